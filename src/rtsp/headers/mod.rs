//! Header values: read with tolerance, written in canonical form.

pub mod key_mgmt;
pub mod range;
pub mod transport;

use super::message::is_token;

/// Whether an Accept header (RFC 2326 §12.1) takes a session description. `q` values are not looked at.
pub(super) fn accepts_sdp<'a>(values: impl Iterator<Item = &'a str>) -> bool {
    let mut any = false;
    for media in values.flat_map(|value| value.split(',')) {
        let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if ["application/sdp", "application/*", "*/*", "*"].contains(&media.as_str()) {
            return true;
        }
        any |= !media.is_empty();
    }
    !any
}

/// The option tags of Require or Proxy-Require (RFC 2326 §12.32), as far as they may be echoed.
pub(super) fn option_tags<'a>(values: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let tags = values.flat_map(|value| value.split(',')).map(str::trim).filter(|tag| !tag.is_empty());
    // Tags are tokens, ONVIF's also have slashes: `www.onvif.org/ver20/backchannel`.
    tags.map(|tag| if tag.split('/').all(is_token) { tag } else { "unknown" }).collect()
}

/// Whether a Connection header (RFC 2326 §12.10, RFC 2616 §14.10) wants no further request to be expected.
pub(super) fn says_close<'a>(values: impl Iterator<Item = &'a str>) -> bool {
    values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case("close"))
}

/// A Timestamp (RFC 2326 §12.38) as it may be echoed: digits, points and white space.
pub(super) fn timestamp(value: &str) -> Option<&str> {
    let harmless = |byte: u8| byte.is_ascii_digit() || byte == b'.' || byte == b' ';
    (value.len() <= 40 && !value.is_empty() && value.bytes().all(harmless)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_without_sdp_is_told_from_none_at_all() {
        for yes in [vec![], vec![""], vec!["application/sdp"], vec!["a/b, Application/SDP;q=1"], vec!["a/b", "*/*"]] {
            assert!(accepts_sdp(yes.iter().copied()), "{yes:?}");
        }
        for no in [vec!["application/rtsl"], vec!["text/html, application/xml"]] {
            assert!(!accepts_sdp(no.iter().copied()), "{no:?}");
        }
    }

    #[test]
    fn only_harmless_text_is_echoed() {
        let tags = option_tags(["onvif-replay, www.onvif.org/ver20/backchannel", "<script>,"].into_iter());
        assert_eq!(tags, ["onvif-replay", "www.onvif.org/ver20/backchannel", "unknown"]);
        assert_eq!(timestamp("12.5 0.1"), Some("12.5 0.1"));
        assert_eq!(timestamp("12\tX"), None);
    }
}
