//! Request URLs: which stream and track they name, in all the forms that clients send.

use percent_encoding::percent_decode_str;

const TRACK: &str = "trackID=";

/// What a request URL names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamTarget {
    /// Percent-decoded, without the slashes around it and without `trackID=n`: `main`. Empty for `rtsp://host`.
    pub path: String,
    /// As sent, without `/trackID=n` and without the slash at its end.
    pub query: Option<String>,
    /// `n` of `trackID=n`, wherever the client put it.
    pub track: Option<u8>,
}

impl StreamTarget {
    /// `?multicast`: whether the description is to name the group.
    pub fn wants_group(&self) -> bool {
        let keys = self.query.as_deref().unwrap_or_default().split('&');
        keys.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .any(|(key, value)| key.eq_ignore_ascii_case("multicast") && value != "0")
    }

    /// Whether `?NAME=0` leaves a kind of track out.
    pub(super) fn leaves_out(&self, name: &str) -> bool {
        self.query_values(name).any(|value| value == "0")
    }

    /// The values of a query key; keys are compared without case.
    fn query_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let pairs = self.query.as_deref().unwrap_or_default().split('&');
        pairs.filter_map(|pair| pair.split_once('=')).filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    }
}

/// A request URL taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestUrl {
    /// `rtsp://host:port`, without credentials; empty for a relative URL.
    origin: String,
    /// As sent, from the first slash on, without fragment and without track.
    rest: String,
    /// None for `*`, which names the server.
    pub target: Option<StreamTarget>,
}

impl RequestUrl {
    /// Absolute, relative or `*` (RFC 2326 §6.1). None for another scheme than RTSP's or an empty host.
    pub fn parse(url: &str) -> Option<Self> {
        if url == "*" {
            return Some(Self { origin: String::new(), rest: String::new(), target: None });
        }
        let url = url.split('#').next().unwrap_or_default();
        let (origin, rest) = match url.split_once("://") {
            Some((scheme, after)) if !scheme.contains(['/', '?']) => {
                if !["rtsp", "rtsps", "rtspu"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
                    return None;
                }
                let end = after.find(['/', '?']).unwrap_or(after.len());
                let (authority, rest) = after.split_at(end);
                let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
                if host.is_empty() {
                    return None;
                }
                (format!("{}://{host}", scheme.to_ascii_lowercase()), rest)
            }
            _ => (String::new(), url),
        };
        let (rest, target) = split_track(rest);
        Some(Self { origin, rest, target: Some(target) })
    }

    /// GStreamer resolves `trackID=n` against the Content-Base `rtsp://h/a/b?query/` as RFC 3986 §5.2 has it, and asks
    /// for `rtsp://h/a/trackID=n`: that is the track of what this connection described last. So is a track whose
    /// client merely dropped the query.
    pub fn resolve(&mut self, described: &StreamTarget) {
        let Some(target) = &mut self.target else { return };
        let parent = described.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let lost = target.query.is_none() && (target.path == parent || target.path == described.path);
        if lost && described.query.is_some() && target.track.is_some() {
            *target = StreamTarget { track: target.track, ..described.clone() };
        }
    }

    /// What relative control URLs are resolved against: the client's own URL with a slash at its end, credentials
    /// and track left out (RFC 2326 §C.1.1).
    ///
    /// `own` is the server's own origin on this connection, for a client that named none.
    pub fn content_base(&self, own: &str) -> String {
        let rest = self.rest.trim_end_matches('/');
        let slash = if rest.is_empty() || rest.starts_with(['/', '?']) { "" } else { "/" };
        match self.origin.as_str() {
            "" => format!("{own}{slash}{rest}/"),
            origin => format!("{origin}{rest}/"),
        }
    }

    /// The URL by which the stream was asked for, absolute, without credentials and track.
    pub fn presentation_url(&self, own: &str) -> String {
        self.content_base(own).trim_end_matches('/').to_owned()
    }

    /// The URL by which this track was asked for, absolute and without credentials.
    pub fn track_url(&self, own: &str) -> String {
        let base = self.content_base(own);
        match self.target.as_ref().and_then(|target| target.track) {
            Some(track) => format!("{base}{TRACK}{track}"),
            None => self.presentation_url(own),
        }
    }
}

/// Path and query without the track, and what they name: `path/trackID=n`, `path?query/trackID=n` and
/// `path/trackID=n?query` are one and the same track.
fn split_track(rest: &str) -> (String, StreamTarget) {
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    let (path, path_track) = take_track(path);
    let (query, query_track) = query.map_or((None, None), |query| {
        let (query, track) = take_track(query);
        (Some(query), track)
    });
    let target = StreamTarget {
        path: percent_decode_str(path.trim_matches('/')).decode_utf8_lossy().into_owned(),
        query: query.map(|query| query.trim_end_matches('/').to_owned()).filter(|query| !query.is_empty()),
        track: query_track.or(path_track),
    };
    let rest = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    (rest, target)
}

/// Takes `trackID=n` off the end, where it is a segment of its own.
fn take_track(text: &str) -> (&str, Option<u8>) {
    let trimmed = text.trim_end_matches('/');
    let (before, last) = trimmed.rsplit_once('/').map_or(("", trimmed), |(before, last)| (before, last));
    let track = last
        .get(..TRACK.len())
        .filter(|name| name.eq_ignore_ascii_case(TRACK))
        .and_then(|_| super::message::number(&last[TRACK.len()..]));
    if track.is_some() { (before, track) } else { (text, None) }
}

/// Whether the `uri` of a digest names what the request's URL names: it may be relative, the Content-Base, with or
/// without slash, the aggregate URL for a track (VLC and openRTSP sign all with it), with or without the query.
/// Host and port are not compared: through a forwarded port a client knows the server by another name.
pub fn same_target(uri: &str, request_url: &str) -> bool {
    if uri == request_url {
        return true;
    }
    let (Some(uri), Some(request)) = (RequestUrl::parse(uri), RequestUrl::parse(request_url)) else {
        return false;
    };
    match (uri.target, request.target) {
        (Some(uri), Some(request)) => {
            // Streams are found whatever the case.
            (uri.path.eq_ignore_ascii_case(&request.path) || request.path.is_empty())
                && (uri.track.is_none() || uri.track == request.track)
                && (uri.query.is_none() || uri.query == request.query)
        }
        // `*`, as `rtsp://host`, names no stream; what is signed for one may as well stand for the server.
        (_, None) => true,
        (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "rtsp://192.0.2.1:8554";

    fn target(url: &str) -> StreamTarget {
        RequestUrl::parse(url).unwrap().target.unwrap()
    }

    fn base(url: &str) -> String {
        RequestUrl::parse(url).unwrap().content_base(OWN)
    }

    #[test]
    fn every_form_names_the_stream_and_the_track() {
        for (url, path, query, track) in [
            ("rtsp://h:8554/main", "main", None, None),
            ("rtsp://h:8554/main/", "main", None, None),
            ("RTSPS://u:p%40w@h/main/trackID=0", "main", None, Some(0)),
            ("rtsp://h/main/trackID=1/", "main", None, Some(1)),
            ("rtsp://h/main/trackid=1", "main", None, Some(1)),
            ("rtsp://h/main?audio=0/trackID=0", "main", Some("audio=0"), Some(0)),
            ("rtsp://h/main/?audio=0/", "main", Some("audio=0"), None),
            ("rtsp://h/main/trackID=1?audio=0", "main", Some("audio=0"), Some(1)),
            ("rtsp://h/main?trackID=1", "main", None, Some(1)),
            ("rtsp://h/cam/realmonitor?channel=1&subtype=0", "cam/realmonitor", Some("channel=1&subtype=0"), None),
            ("rtsp://h/M%41in%20one", "MAin one", None, None),
            ("rtsp://h/%ff", "\u{fffd}", None, None),
            ("rtsp://h", "", None, None),
            ("rtsp://h/", "", None, None),
            ("rtsp://h?audio=0", "", Some("audio=0"), None),
            ("/main/trackID=2", "main", None, Some(2)),
            ("main", "main", None, None),
            ("trackID=0", "", None, Some(0)),
            ("rtsp://[::1]:8554/main", "main", None, None),
            ("rtsp://h/main/trackID=300", "main/trackID=300", None, None),
            ("rtsp://h/main/trackID=+1", "main/trackID=+1", None, None),
            ("rtsp://h/main/trackID=", "main/trackID=", None, None),
            ("rtsp://h/ünï", "ünï", None, None),
            ("rtsp://h/../../etc/passwd", "../../etc/passwd", None, None),
        ] {
            let expected = StreamTarget { path: path.into(), query: query.map(Into::into), track };
            assert_eq!(target(url), expected, "{url}");
        }
        assert_eq!(RequestUrl::parse("*").unwrap().target, None);
        for wrong in ["http://h/main", "rtsp://", "rtsp:///main", "rtsp://u:p@/main", "file:///etc/passwd"] {
            assert_eq!(RequestUrl::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_content_base_is_the_clients_own_url_with_a_slash_and_without_credentials() {
        for (url, expected) in [
            ("rtsp://u:p@h:8554/main", "rtsp://h:8554/main/"),
            ("rtsp://u:p@ss@h/main/", "rtsp://h/main/"),
            ("rtsp://h/main?audio=0", "rtsp://h/main?audio=0/"),
            ("rtsp://h/main?audio=0/", "rtsp://h/main?audio=0/"),
            ("rtsp://h/main/trackID=0", "rtsp://h/main/"),
            ("rtsp://h/main#here", "rtsp://h/main/"),
            ("rtsp://h", "rtsp://h/"),
            ("rtsps://[::1]:1/main", "rtsps://[::1]:1/main/"),
            ("/main", "rtsp://192.0.2.1:8554/main/"),
            ("main", "rtsp://192.0.2.1:8554/main/"),
        ] {
            assert_eq!(base(url), expected, "{url}");
        }
    }

    #[test]
    fn a_track_url_comes_back_as_it_was_built_from_the_content_base() {
        for url in ["rtsp://h/main/trackID=0", "rtsp://h/main?audio=0/trackID=0", "rtsp://h/main"] {
            assert_eq!(RequestUrl::parse(url).unwrap().track_url(OWN), url);
        }
        let other = RequestUrl::parse("rtsp://u:p@h/main/trackID=0?audio=0").unwrap().track_url(OWN);
        assert_eq!(target(&other), target("rtsp://h/main?audio=0/trackID=0"));
    }

    #[test]
    fn digest_uris_name_the_request_in_many_ways() {
        let track = "rtsp://h:8554/main/trackID=1";
        for uri in [track, "rtsp://h:8554/main/", "rtsp://other/main", "/main", "/main/trackID=1", "main/"] {
            assert!(same_target(uri, track), "{uri}");
        }
        for uri in ["rtsp://h:8554/sub", "/main/trackID=0", "", "*", "http://h/main", "/main?audio=0", "rtsp://h"] {
            assert!(!same_target(uri, track), "{uri}");
        }
        assert!(same_target("rtsp://h/main", "rtsp://h/main?audio=0/trackID=1"));
        assert!(same_target("rtsp://h:8554", "rtsp://h:8554/"));
        assert!(same_target("rtsp://h/main", "*"));
        assert!(same_target("*", "*"));
    }
}
