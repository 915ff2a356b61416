//! What the server writes: responses (RFC 2326 §7), and requests of its own (§6).

use super::Method;
use crate::time::WallTime;
use bytes::Bytes;
use std::time::{Duration, UNIX_EPOCH};

/// All that a play server does (RFC 2326 §12.28, §12.4).
pub(super) const PUBLIC: &str = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER";

/// 455 says what its session does obey (RFC 2326 §11.3.6).
pub(super) const ALLOWED_WHILE_READY: &str = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER, SET_PARAMETER";
pub(super) const ALLOWED_WHILE_PLAYING: &str = "OPTIONS, DESCRIBE, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER";

/// A response without what every response carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Response {
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub fn ok() -> Self {
        Self::new(200)
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn body(mut self, content_type: &str, body: Vec<u8>) -> Self {
        self.body = body;
        self.with("Content-Type", content_type)
    }

    /// The bytes for the wire.
    pub fn encode(&self, cseq: Option<u32>, server: &str, date: Option<WallTime>) -> Bytes {
        let mut message = Message::new(&format!("RTSP/1.0 {} {}", self.status, reason(self.status)), cseq, date);
        message.line("Server", server);
        for (name, value) in &self.headers {
            message.line(name, value);
        }
        if !self.body.is_empty() {
            message.line("Content-Length", &self.body.len().to_string());
        }
        message.finish(&self.body)
    }
}

/// A request of the server's own (RFC 2326 §6), for the wire.
pub(super) fn request(
    method: Method,
    url: &str,
    cseq: u32,
    date: Option<WallTime>,
    headers: &[(&'static str, String)],
) -> Bytes {
    let url: String = url.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
    let mut message = Message::new(&format!("{} {url} RTSP/1.0", method.as_str()), Some(cseq), date);
    for (name, value) in headers {
        message.line(name, value);
    }
    message.finish(&[])
}

/// A message that is being written.
struct Message(String);

impl Message {
    fn new(first_line: &str, cseq: Option<u32>, date: Option<WallTime>) -> Self {
        let mut message = Self(format!("{first_line}\r\n"));
        if let Some(cseq) = cseq {
            message.line("CSeq", &cseq.to_string());
        }
        if let Some(date) = date {
            message.line("Date", &httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(date.as_millis())));
        }
        message
    }

    /// No value can add a line: what controls the terminal or the protocol is left out here, wherever it came from.
    fn line(&mut self, name: &str, value: &str) {
        self.0.extend([name, ": "]);
        self.0.extend(value.chars().filter(|c| !c.is_control()));
        self.0.push_str("\r\n");
    }

    fn finish(mut self, body: &[u8]) -> Bytes {
        self.0.push_str("\r\n");
        let mut bytes = self.0.into_bytes();
        bytes.extend_from_slice(body);
        bytes.into()
    }
}

/// To an HTTP request that opens no tunnel.
pub const HTTP_NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// RFC 2326 §7.1.1.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Moved Temporarily",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Time-out",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Large",
        451 => "Parameter Not Understood",
        453 => "Not Enough Bandwidth",
        454 => "Session Not Found",
        455 => "Method Not Valid in This State",
        457 => "Invalid Range",
        459 => "Aggregate Operation Not Allowed",
        460 => "Only Aggregate Operation Allowed",
        461 => "Unsupported Transport",
        463 => "Key Management Failure",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "RTSP Version Not Supported",
        551 => "Option not supported",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_add_a_line() {
        let response =
            Response::ok().with("Content-Base", "rtsp://h/\r\nSet-Cookie: x").body("text/plain", b"hi".to_vec());
        let bytes = response.encode(Some(7), "Eyrie/0.1.0", Some(WallTime::from_nanos(784_111_777_000_000_000)));
        let expected = "RTSP/1.0 200 OK\r\nCSeq: 7\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: Eyrie/0.1.0\r\n\
                        Content-Base: rtsp://h/Set-Cookie: x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(std::str::from_utf8(&bytes).unwrap(), expected);
    }
}
