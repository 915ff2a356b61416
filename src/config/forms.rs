//! How values are written: each form knows what it expects in words and reads a TOML value, or says what is wrong.

use crate::media::{ControlValue, FrameRate, Size};
use ipnet::IpNet;
use std::{
    fmt::Display,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};
use toml::de::DeValue;

/// The kinds of TOML values that a key takes; `set` quotes by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    TextOrNumber,
    Number,
    Boolean,
    List,
    Table,
}

type Read<T> = Box<dyn Fn(&DeValue<'_>) -> Result<T, String>>;

/// A way to write a `T`.
pub(super) struct Form<T> {
    pub shape: Shape,
    /// Follows "expected".
    pub expected: String,
    read: Read<T>,
}

impl<T: 'static> Form<T> {
    pub fn new(
        shape: Shape,
        expected: impl Into<String>,
        read: impl Fn(&DeValue<'_>) -> Result<T, String> + 'static,
    ) -> Self {
        Self { shape, expected: expected.into(), read: Box::new(read) }
    }

    /// A text for which `read` finds a value.
    fn text(expected: impl Into<String>, read: impl Fn(&str) -> Option<T> + 'static) -> Self {
        Self::new(Shape::Text, expected, move |value| {
            let text = value.as_str().ok_or_else(|| describe(value))?;
            read(text).ok_or_else(|| format!("{} does not fit here", show(text)))
        })
    }

    pub fn read(&self, value: &DeValue<'_>) -> Result<T, String> {
        (self.read)(value)
    }

    pub fn map<U: 'static>(self, into: impl Fn(T) -> U + 'static) -> Form<U> {
        Form::new(self.shape, self.expected, move |value| (self.read)(value).map(&into))
    }
}

/// A value as an error message shows it.
pub(super) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {} does not fit here", show(text)),
        DeValue::Integer(number) => format!("the number {number} does not fit here"),
        DeValue::Float(number) => format!("the number {number} does not fit here"),
        DeValue::Boolean(boolean) => format!("`{boolean}` does not fit here"),
        DeValue::Datetime(_) => "a date does not fit here".into(),
        DeValue::Array(_) => "a list does not fit here".into(),
        DeValue::Table(_) => "a table does not fit here".into(),
    }
}

/// Quoted and not endless.
fn show(text: &str) -> String {
    const SHOWN: usize = 60;
    let ellipsis = if text.chars().count() > SHOWN { "…" } else { "" };
    format!("{:?}{ellipsis}", text.chars().take(SHOWN).collect::<String>())
}

/// The nearest of `candidates`, if one is near enough to be what was meant.
pub(super) fn nearest<'c>(wrong: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&wrong.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// `a, b or c`
pub(super) fn one_of<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let mut items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    let last = items.pop().unwrap_or_default();
    if items.is_empty() { last } else { format!("{} or {last}", items.join(", ")) }
}

fn within<N: PartialOrd + Display>(number: N, range: &RangeInclusive<N>) -> Result<N, String> {
    if range.contains(&number) { Ok(number) } else { Err(format!("{number} is out of range")) }
}

fn as_integer(value: &DeValue<'_>) -> Option<i64> {
    value.as_integer().and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok())
}

pub(super) fn boolean() -> Form<bool> {
    Form::new(Shape::Boolean, "true or false", |value| value.as_bool().ok_or_else(|| describe(value)))
}

pub(super) fn integer(range: RangeInclusive<i64>) -> Form<i64> {
    let expected = format!("a whole number from {} to {}", range.start(), range.end());
    Form::new(Shape::Number, expected, move |value| within(as_integer(value).ok_or_else(|| describe(value))?, &range))
}

/// A V4L2 control: a number, a boolean for 0 and 1, or the text of a menu's entry.
pub(super) fn control() -> Form<ControlValue> {
    Form::new(Shape::TextOrNumber, "a whole number, true or false, or the text of a menu's entry", |value| {
        let number = value.as_bool().map(i64::from).or_else(|| as_integer(value)).map(ControlValue::Number);
        let entry = || value.as_str().filter(|text| is_plain(text)).map(|text| ControlValue::Entry(text.to_owned()));
        number.or_else(entry).ok_or_else(|| describe(value))
    })
}

pub(super) fn frame_rate() -> Form<FrameRate> {
    Form::new(Shape::Number, "pictures per second, a number from 1 to 240", |value| {
        if let Some(whole) = as_integer(value) {
            return within(whole, &(1..=240)).map(|whole| FrameRate::new(whole as u32, 1));
        }
        let number = value.as_float().and_then(|number| number.as_str().parse::<f64>().ok());
        let number = within(number.ok_or_else(|| describe(value))?, &(1.0..=240.0))?;
        // 29.97 and its like stand for NTSC's fractions.
        let ntsc = number.ceil() * 1000.0 / 1001.0;
        Ok(if (number - ntsc).abs() < 0.005 {
            FrameRate::new(number.ceil() as u32 * 1000, 1001)
        } else {
            FrameRate::new((number * 1000.0).round() as u32, 1000)
        })
    })
}

/// Any text of at least one and at most 256 characters, none of them a control character.
pub(super) fn text(expected: &str) -> Form<String> {
    Form::text(expected, |text| is_plain(text).then(|| text.to_owned()))
}

pub(super) fn is_plain(text: &str) -> bool {
    (1..=256).contains(&text.chars().count()) && !text.contains(char::is_control)
}

/// A text for which `""` stands for none.
pub(super) fn optional<T: 'static>(form: Form<T>) -> Form<Option<T>> {
    Form::new(form.shape, form.expected, move |value| match value.as_str() {
        Some("") => Ok(None),
        _ => (form.read)(value).map(Some),
    })
}

/// One of some words.
pub(super) fn choice<T: Copy + 'static>(words: &'static [(&str, T)]) -> Form<T> {
    let expected = one_of(words.iter().map(|(word, _)| format!("{word:?}")));
    Form::new(Shape::Text, expected, move |value| {
        let wrong = value.as_str().ok_or_else(|| describe(value))?;
        if let Some((_, choice)) = words.iter().find(|(word, _)| *word == wrong) {
            return Ok(*choice);
        }
        Err(match nearest(wrong, words.iter().map(|(word, _)| *word)) {
            Some(word) => format!("{} is unknown, did you mean {word:?}?", show(wrong)),
            None => format!("{} is unknown", show(wrong)),
        })
    })
}

/// `"500ms"`, `"2s"`, `"1m"`, `"1h"`.
pub(super) fn duration(range: RangeInclusive<Duration>) -> Form<Duration> {
    let expected = format!(
        "a duration such as \"500ms\", \"2s\", \"1m\" or \"1h\", from {} to {}",
        show_duration(*range.start()),
        show_duration(*range.end())
    );
    Form::text(expected, move |text| {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = text[..digits].parse().ok()?;
        let milliseconds = match &text[digits..] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        Some(Duration::from_millis(number.checked_mul(milliseconds)?)).filter(|duration| range.contains(duration))
    })
}

fn show_duration(duration: Duration) -> String {
    match duration.as_millis() {
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

/// `"500k"`, `"2M"`, `"1.5M"`, or a number of bit/s.
pub(super) fn bitrate() -> Form<u32> {
    const RANGE: RangeInclusive<i64> = 10_000..=200_000_000;
    let expected = "bits per second from 10k to 200M, such as \"500k\", \"2M\" or 2000000";
    Form::new(Shape::TextOrNumber, expected, |value| {
        let bits = match value {
            DeValue::String(text) => parse_bitrate(text).ok_or_else(|| format!("{} is no bitrate", show(text)))?,
            _ => as_integer(value).ok_or_else(|| describe(value))?,
        };
        within(bits, &RANGE).map(|bits| bits as u32)
    })
}

fn parse_bitrate(text: &str) -> Option<i64> {
    let (number, factor) = match text.strip_suffix(['k', 'K', 'M']) {
        Some(number) if text.ends_with('M') => (number, 1e6),
        Some(number) => (number, 1e3),
        None => (text, 1.0),
    };
    let plain = number.starts_with(|c: char| c.is_ascii_digit()) && !number.contains(|c: char| c.is_alphabetic());
    let bits: f64 = number.parse().ok().filter(|_| plain)?;
    Some((bits * factor).round() as i64)
}

/// `"WIDTHxHEIGHT"`, both even (4:2:0 pictures have no half pixels).
pub(super) fn size(smallest: Size) -> Form<Size> {
    const LARGEST: u32 = 4096;
    /// What the encoder takes: level 5.2 (ITU-T H.264 table A-1).
    const MOST_PIXELS: u64 = 36_864 * 256;
    let expected = format!(
        "\"WIDTHxHEIGHT\", both even, from {smallest} to {LARGEST} a side and {MOST_PIXELS} pixels in all, such as \
         \"1280x720\""
    );
    Form::new(Shape::Text, expected, move |value| {
        let text = value.as_str().ok_or_else(|| describe(value))?;
        let size: Size = text.parse().map_err(|_| format!("{} is no size", show(text)))?;
        if size.width % 2 == 1 || size.height % 2 == 1 {
            return Err(format!("{size} is odd"));
        }
        if size.width < smallest.width || size.height < smallest.height {
            return Err(format!("{size} is too small"));
        }
        if size.width.max(size.height) > LARGEST || size.pixels() > MOST_PIXELS {
            return Err(format!("{size} is too large"));
        }
        Ok(size)
    })
}

pub(super) fn socket_address() -> Form<SocketAddr> {
    Form::text("ADDRESS:PORT, such as \"0.0.0.0:8554\" or \"[::]:8554\"", |text| text.parse().ok())
}

/// Absolute, as a Location header carries it.
pub(super) fn rtsp_url() -> Form<String> {
    Form::text("a whole URL, such as \"rtsp://relay.example/front\"", |text| {
        let (scheme, rest) = text.split_once("://")?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let known = ["rtsp", "rtsps"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        (known && !host.is_empty() && !host.starts_with(':') && printable && is_plain(text)).then(|| text.to_owned())
    })
}

pub(super) fn multicast_address() -> Form<IpAddr> {
    Form::text("a multicast address, such as \"239.255.12.1\" or \"ff15::12:1\"", |text| {
        text.parse::<IpAddr>().ok().filter(IpAddr::is_multicast)
    })
}

/// An address or a CIDR range.
pub(super) fn network() -> Form<IpNet> {
    Form::text("an address or a range, such as \"192.168.1.7\" or \"192.168.0.0/16\"", |text| {
        text.parse().ok().or_else(|| text.parse::<IpAddr>().map(IpNet::from).ok())
    })
}

pub(super) fn absolute_path() -> Form<PathBuf> {
    Form::text("an absolute path", |text| Some(PathBuf::from(text)).filter(|path| path.is_absolute() && is_plain(text)))
}

/// `"8000-8001"`, an even port and the next one, or `"0"` for any.
pub(super) fn port_pair() -> Form<Option<u16>> {
    Form::text("an even port and the next one, such as \"8000-8001\", or \"0\" for any free pair", |text| {
        if text == "0" {
            return Some(None);
        }
        let (rtp, rtcp) = text.split_once('-')?;
        let (rtp, rtcp) = (rtp.parse::<u16>().ok()?, rtcp.parse::<u16>().ok()?);
        (rtp > 0 && rtp % 2 == 0 && rtcp == rtp + 1).then_some(Some(rtp))
    })
}

/// `"-6dB"`, `"0dB"`, in dB.
pub(super) fn decibels() -> Form<f64> {
    Form::text("decibels such as \"0dB\" or \"-6dB\"", |text| {
        text.strip_suffix("dB")?.trim().parse().ok().filter(|gain: &f64| (-60.0..=60.0).contains(gain))
    })
}

/// `N` bytes in hex.
pub(super) fn hex<const N: usize>() -> Form<[u8; N]> {
    Form::new(Shape::Text, format!("{} hex digits, as `eyrie passwd NAME` prints them", 2 * N), |value| {
        let mut bytes = [0; N];
        // What stands there is a secret, and its error is not to show it.
        let text = value.as_str().unwrap_or_default();
        hex::decode_to_slice(text, &mut bytes).map_err(|_| "is no such digest".to_owned())?;
        Ok(bytes)
    })
}

/// A text that no error shows.
pub(super) fn secret() -> Form<String> {
    Form::new(Shape::Text, "a text of 1 to 256 characters", |value| {
        value.as_str().filter(|text| is_plain(text)).map(str::to_owned).ok_or_else(|| "is no password".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: 'static>(form: &Form<T>, value: &str) -> Result<T, String> {
        form.read(DeValue::parse(value).expect("TOML").get_ref())
    }

    #[test]
    fn durations() {
        let form = duration(Duration::from_millis(500)..=Duration::from_secs(7200));
        for (text, ms) in [("500ms", 500), ("2s", 2000), ("1m", 60_000), ("1h", 3_600_000)] {
            assert_eq!(read(&form, &format!("{text:?}")), Ok(Duration::from_millis(ms)));
        }
        for wrong in ["\"\"", "\"2\"", "\"s\"", "\"-2s\"", "\"1.5s\"", "\"2 s\"", "\"499ms\"", "\"3h\"", "2", "true"] {
            assert!(read(&form, wrong).is_err(), "{wrong}");
        }
        assert!(read(&form, "\"99999999999999999999h\"").is_err());
        assert!(form.expected.ends_with("from 500ms to 2h"));
    }

    #[test]
    fn bitrates() {
        for (text, bits) in [
            ("\"500k\"", 500_000),
            ("\"2M\"", 2_000_000),
            ("\"1.5M\"", 1_500_000),
            ("64000", 64_000),
            ("\"64000\"", 64_000),
        ] {
            assert_eq!(read(&bitrate(), text), Ok(bits));
        }
        for wrong in ["0", "-1", "\"2m\"", "\"M\"", "\"-2M\"", "\"infM\"", "\"1e9M\"", "\"2 M\"", "2.0", "\"201M\""] {
            assert!(read(&bitrate(), wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn frame_rates() {
        assert_eq!(read(&frame_rate(), "30"), Ok(FrameRate::new(30, 1)));
        assert_eq!(read(&frame_rate(), "29.97"), Ok(FrameRate::new(30_000, 1001)));
        assert_eq!(read(&frame_rate(), "12.5"), Ok(FrameRate::new(25, 2)));
        for wrong in ["0", "-1", "241", "nan", "inf", "0.5", "\"30\""] {
            assert!(read(&frame_rate(), wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        let form = size(Size::new(64, 48));
        assert_eq!(read(&form, "\"640x360\""), Ok(Size::new(640, 360)));
        for (wrong, why) in [
            ("\"641x360\"", "641x360 is odd"),
            ("\"62x48\"", "62x48 is too small"),
            ("\"4096x4096\"", "4096x4096 is too large"),
            ("\"8000x64\"", "8000x64 is too large"),
            ("\"640\"", "\"640\" is no size"),
            ("640", "the number 640 does not fit here"),
        ] {
            assert_eq!(read(&form, wrong), Err(why.to_owned()));
        }
    }

    #[test]
    fn addresses_and_ports() {
        assert_eq!(read(&network(), "\"10.0.0.7\""), Ok("10.0.0.7/32".parse().unwrap()));
        assert_eq!(read(&network(), "\"fd00::/8\""), Ok("fd00::/8".parse().unwrap()));
        assert!(read(&network(), "\"10.0.0.0/33\"").is_err());
        assert_eq!(read(&port_pair(), "\"8000-8001\""), Ok(Some(8000)));
        assert_eq!(read(&port_pair(), "\"0\""), Ok(None));
        for wrong in ["\"8001-8002\"", "\"8000-8002\"", "\"8000\"", "\"0-1\"", "\"65534\"", "\"70000-70001\"", "8000"] {
            assert!(read(&port_pair(), wrong).is_err(), "{wrong}");
        }
        assert_eq!(read(&port_pair(), "\"65534-65535\""), Ok(Some(65534)));
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(read(&hex::<16>(), "\"abc\""), Err("is no such digest".into()));
        assert_eq!(read(&secret(), "\"\\u0007\""), Err("is no password".into()));
    }

    #[test]
    fn the_nearest_word() {
        assert_eq!(nearest("bitrat", ["bitrate", "bitrate_min", "gop"]), Some("bitrate"));
        assert_eq!(nearest("Codec", ["codec", "size"]), Some("codec"));
        assert_eq!(nearest("zzz", ["codec", "size"]), None);
        assert_eq!(one_of(["a", "b", "c"]), "a, b or c");
    }
}
