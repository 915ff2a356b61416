//! RTSP inside HTTP ("Tunnelling QuickTime RTSP and RTP over HTTP") and inside WebSocket (RFC 6455, ONVIF Streaming
//! Specification §5.1.1.5): how such a connection begins, and what its client sends. What the tunnel carries is RTSP with
//! interleaved frames, and goes to a [`super::Connection`].

mod base64;
mod body;
mod websocket;

pub use body::{BrokenBody, PostBody};
pub use websocket::{Event, WebSocket};

use super::message::MAX_HEADER;
use bytes::Bytes;

const MAX_HEADERS: usize = 100;
const MAX_COOKIE: usize = 256;
/// The WebSocket subprotocol.
const SUBPROTOCOL: &str = "rtsp.onvif.org";

/// The answer to the GET of a tunnel. Its body, which has no end, is what the server says.
pub const TUNNEL_OPEN: &[u8] =
    b"HTTP/1.0 200 OK\r\nConnection: close\r\nCache-Control: no-store\r\nPragma: no-cache\r\n\
    Content-Type: application/x-rtsp-tunnelled\r\n\r\n";
/// The answer to a GET whose tunnel is there already.
pub const TUNNEL_TAKEN: &[u8] = b"HTTP/1.0 409 Conflict\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
/// The answer to a POST in a transfer coding that is not known (RFC 9112 §6.1).
pub const UNKNOWN_CODING: &[u8] = b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
/// The answer to a request while there are as many connections as may be.
pub const OVER_CAP: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const BAD_REQUEST: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const OTHER_VERSION: &[u8] = b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\
    Connection: close\r\n\r\n";

/// What the first bytes of a connection say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Nothing yet: more of them are needed.
    Unfinished,
    /// RTSP, or an HTTP request that opens no tunnel, to which [`super::Connection`] has an answer too.
    Rtsp,
    /// The half of a tunnel in which the server speaks. What the client sends behind these `head` bytes means nothing.
    Get { head: usize, cookie: Bytes },
    /// The half in which the client speaks, behind these `head` bytes. Content-Length says nothing. No body: it is in a
    /// transfer coding that is not known.
    Post { head: usize, cookie: Bytes, body: Option<PostBody> },
    /// To be answered thus, and frames follow behind these `head` bytes.
    WebSocket { head: usize, answer: Bytes },
    /// To be answered thus, and closed.
    Refused(&'static [u8]),
}

impl Opening {
    /// Looks at all that has come so far. Must be asked again until it says something else than [`Opening::Unfinished`],
    /// which it does within 16 kB.
    pub fn of(bytes: &[u8]) -> Self {
        let begins = |word: &[u8]| bytes.starts_with(&word[..word.len().min(bytes.len())]);
        if !begins(b"GET ") && !begins(b"POST ") {
            return Self::Rtsp;
        }
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(head)) if head <= MAX_HEADER => opened(&request, head),
            Ok(httparse::Status::Partial) if bytes.len() < MAX_HEADER => Self::Unfinished,
            _ => Self::Rtsp,
        }
    }
}

fn opened(request: &httparse::Request<'_, '_>, head: usize) -> Opening {
    let get = request.method == Some("GET");
    if get && has(request, "Upgrade", "websocket") && has(request, "Sec-WebSocket-Protocol", SUBPROTOCOL) {
        return upgrade(request, head);
    }
    match values(request, "x-sessioncookie").next() {
        Some(cookie) if !cookie.is_empty() && cookie.len() <= MAX_COOKIE => {
            let cookie = Bytes::copy_from_slice(cookie);
            if get { Opening::Get { head, cookie } } else { Opening::Post { head, cookie, body: body(request) } }
        }
        _ => Opening::Rtsp,
    }
}

/// What the body of a POST is coded in (RFC 9112 §6.1).
fn body(request: &httparse::Request<'_, '_>) -> Option<PostBody> {
    let mut codings = values(request, "Transfer-Encoding");
    match (codings.next(), codings.next()) {
        (None, _) => Some(PostBody::default()),
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Some(PostBody::chunked()),
        _ => None,
    }
}

/// RFC 6455 §4.2.
fn upgrade(request: &httparse::Request<'_, '_>, head: usize) -> Opening {
    let version = values(request, "Sec-WebSocket-Version").next();
    if version.is_some_and(|version| version != b"13") {
        return Opening::Refused(OTHER_VERSION);
    }
    // 16 octets in base64.
    let key = values(request, "Sec-WebSocket-Key").next().filter(|key| key.len() == 24);
    let (Some(key), Some(_), Some(1), true) = (key, version, request.version, has(request, "Connection", "upgrade"))
    else {
        return Opening::Refused(BAD_REQUEST);
    };
    let accept = tungstenite::handshake::derive_accept_key(key);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    );
    Opening::WebSocket { head, answer: answer.into() }
}

fn values<'a>(request: &'a httparse::Request<'_, '_>, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let named = request.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    named.map(|header| header.value.trim_ascii())
}

/// Whether a header that is a list has this token in it.
fn has(request: &httparse::Request<'_, '_>, name: &str, token: &str) -> bool {
    let tokens = |value: &'_ [u8]| {
        value.split(|byte| *byte == b',').any(|one| one.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    };
    values(request, name).any(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEBSOCKET: &str = "GET /any HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Protocol: chat, rtsp.onvif.org\r\n\r\n";

    #[test]
    fn the_halves_of_a_tunnel_by_whatever_client() {
        for (client, text, get) in [
            (
                "ffmpeg",
                "GET /main HTTP/1.1\r\nUser-Agent: Lavf\r\nAccept: application/x-rtsp-tunnelled\r\nRange: bytes=0-\r\nConnection: close\r\nHost: h\r\nx-sessioncookie: 5a\r\n\r\n",
                true,
            ),
            (
                "live555",
                "GET /main HTTP/1.0\r\nCSeq: 2\r\nUser-Agent: openRTSP\r\nx-sessioncookie: 5a\r\nAccept: application/x-rtsp-tunnelled\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n\r\n",
                true,
            ),
            (
                "GStreamer",
                "POST /main HTTP/1.0\r\nX-Sessioncookie: 5a\r\nContent-Length: 32767\r\nExpires: Sun, 9 Jan 1972 00:00:00 GMT\r\n\r\n",
                false,
            ),
        ] {
            let (head, cookie) = (text.len(), Bytes::from_static(b"5a"));
            let body = Some(PostBody::default());
            let expected = if get { Opening::Get { head, cookie } } else { Opening::Post { head, cookie, body } };
            assert_eq!(Opening::of(format!("{text}T1BUSU9O").as_bytes()), expected, "{client}");
            for cut in 0..text.len() {
                assert_eq!(Opening::of(&text.as_bytes()[..cut]), Opening::Unfinished, "{client} after {cut} bytes");
            }
        }
    }

    #[test]
    fn a_post_may_come_in_chunks_and_in_nothing_else() {
        for (codings, expected) in [
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Some(PostBody::chunked())),
            ("transfer-encoding: Chunked \r\n", Some(PostBody::chunked())),
            ("Transfer-Encoding: gzip, chunked\r\n", None),
            ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", None),
        ] {
            let text = format!("POST / HTTP/1.1\r\nx-sessioncookie: 5a\r\n{codings}\r\n");
            let Opening::Post { body, .. } = Opening::of(text.as_bytes()) else { panic!("{codings}") };
            assert_eq!(body, expected, "{codings}");
        }
    }

    #[test]
    fn what_opens_no_tunnel_is_rtsps_to_answer() {
        for text in [
            "OPTIONS * RTSP/1.0\r\n",
            "GET_PARAMETER rtsp://h RTSP/1.0\r\n",
            "$\0\0\x04",
            "\x16\x03\x01",
            "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET / RTSP/1.0\r\nx-sessioncookie: 5a\r\n\r\n",
            "POST / HTTP/1.0\r\nx-sessioncookie:\r\n\r\n",
            "GET / HTTP/1.1\r\nbad header\r\n\r\n",
            &WEBSOCKET.replace("rtsp.onvif.org", "rtsp"),
            &format!("GET / HTTP/1.1\r\nx-sessioncookie: {}\r\n\r\n", "5".repeat(300)),
            &format!("GET /{}", "a".repeat(MAX_HEADER)),
        ] {
            assert_eq!(Opening::of(text.as_bytes()), Opening::Rtsp, "{text}");
        }
    }

    #[test]
    fn a_websocket_is_taken_up_as_rfc_6455_has_it() {
        let Opening::WebSocket { head, answer } = Opening::of(WEBSOCKET.as_bytes()) else { panic!() };
        assert_eq!(head, WEBSOCKET.len());
        // RFC 6455 §1.3.
        assert!(
            answer.windows(50).any(|part| part == b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".as_slice())
        );
        for (from, to, expected) in [
            ("Version: 13", "Version: 8", OTHER_VERSION),
            ("Sec-WebSocket-Version: 13\r\n", "", BAD_REQUEST),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhl", BAD_REQUEST),
            ("keep-alive, Upgrade", "keep-alive", BAD_REQUEST),
            ("HTTP/1.1", "HTTP/1.0", BAD_REQUEST),
        ] {
            assert_eq!(Opening::of(WEBSOCKET.replace(from, to).as_bytes()), Opening::Refused(expected), "{to}");
        }
    }
}
