//! Which stream a URL names: by its name, an alias, or a bitrate.

use super::{TableEntry, state::State};
use crate::{rtsp::StreamTarget, stream::Hub};
use percent_encoding::percent_decode_str;
use std::{cmp::Reverse, sync::Arc};

impl State {
    /// By its own name, exactly or without case; else by the alias that says the most.
    pub fn stream_of(&self, target: &StreamTarget) -> Option<&Arc<Hub>> {
        let fit = |entry: &TableEntry| {
            let name = entry.hub.name();
            let by_name = [name == target.path, name.eq_ignore_ascii_case(&target.path)];
            let by_alias = entry.aliases.iter().filter_map(|alias| keys_led_by(alias, target)).max();
            (by_name != [false; 2] || by_alias.is_some()).then_some((by_name, by_alias))
        };
        let fits = self.streams.values().filter_map(|stream| Some((fit(&stream.entry)?, &stream.entry.hub)));
        // Of several that fit as well, always the same.
        let (_, found) = fits.max_by_key(|(fit, hub)| (*fit, Reverse(hub.id())))?;
        Some(self.by_bitrate(found, target))
    }

    /// `?bitrate=500k`: the stream of the same camera with the highest configured bitrate not above it.
    fn by_bitrate<'s>(&'s self, found: &'s Arc<Hub>, target: &StreamTarget) -> &'s Arc<Hub> {
        let Some(wanted) = target.query.as_deref().and_then(bitrate_of) else { return found };
        let camera = |hub: &Hub| self.streams.get(&hub.id()).and_then(|stream| stream.entry.camera.clone());
        let own = camera(found);
        let mut same: Vec<(u32, &Arc<Hub>)> = self
            .streams
            .values()
            .filter(|stream| own.is_some() && stream.entry.camera == own)
            .map(|stream| (stream.entry.bitrate, &stream.entry.hub))
            .collect();
        same.sort_by_key(|(bitrate, hub)| (*bitrate, hub.id()));
        let below = same.iter().rev().find(|(bitrate, _)| *bitrate <= wanted);
        below.or(same.first()).map_or(found, |(_, hub)| hub)
    }
}

/// How many keys of its query make an alias such as `/cam/realmonitor?channel=1&subtype=0` name what the client asked
/// for: None unless the path is the same, and each of them is there with the same value. Case is ignored, and so are
/// further keys.
fn keys_led_by(alias: &str, target: &StreamTarget) -> Option<usize> {
    let (path, query) = alias.split_once('?').unwrap_or((alias, ""));
    let has = |key: &&str| {
        let given = target.query.as_deref().unwrap_or("");
        given.split('&').any(|given| given.eq_ignore_ascii_case(key))
    };
    let keys = || query.split('&').filter(|key| !key.is_empty());
    let path = percent_decode_str(path.trim_matches('/')).decode_utf8_lossy();
    (path.eq_ignore_ascii_case(&target.path) && keys().all(|key| has(&key))).then(|| keys().count())
}

/// The value of `bitrate=` in a query, in bit/s: `500k`, `2M` or a number.
fn bitrate_of(query: &str) -> Option<u32> {
    let value = query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.eq_ignore_ascii_case("bitrate").then_some(value)
    })?;
    let (digits, factor) = match value.as_bytes().last()? {
        b'k' | b'K' => (&value[..value.len() - 1], 1_000),
        b'm' | b'M' => (&value[..value.len() - 1], 1_000_000),
        _ => (value, 1),
    };
    digits.parse::<u32>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str, query: Option<&str>) -> StreamTarget {
        StreamTarget { path: path.into(), query: query.map(Into::into), track: None }
    }

    #[test]
    fn aliases_in_the_style_of_other_makers() {
        let dahua = "/cam/realmonitor?channel=1&subtype=0";
        assert_eq!(keys_led_by(dahua, &target("cam/realmonitor", Some("channel=1&subtype=0"))), Some(2));
        let more = target("Cam/RealMonitor", Some("unicast=true&subtype=0&channel=1&proto=Onvif"));
        assert_eq!(keys_led_by(dahua, &more), Some(2));
        assert_eq!(keys_led_by("/cam/realmonitor", &more), Some(0));
        assert_eq!(keys_led_by(dahua, &target("cam/realmonitor", Some("channel=1&subtype=1"))), None);
        assert_eq!(keys_led_by(dahua, &target("cam/realmonitor", None)), None);
        let hikvision = "/Streaming/Channels/101";
        assert_eq!(keys_led_by(hikvision, &target("streaming/channels/101", Some("transportmode=unicast"))), Some(0));
        assert_eq!(keys_led_by(hikvision, &target("streaming/channels/102", None)), None);
        assert_eq!(keys_led_by("/front%20door/", &target("Front Door", None)), Some(0));
    }

    #[test]
    fn bitrates_as_in_the_configuration() {
        assert_eq!(bitrate_of("audio=0&bitrate=500k"), Some(500_000));
        assert_eq!(bitrate_of("Bitrate=2M"), Some(2_000_000));
        assert_eq!(bitrate_of("bitrate=64000"), Some(64_000));
        for wrong in ["", "bitrate", "bitrate=", "bitrate=k", "bitrate=99999999M", "bitrate=-1"] {
            assert_eq!(bitrate_of(wrong), None, "{wrong}");
        }
    }
}
