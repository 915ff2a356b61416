//! Messages on the wire: framing, request lines and headers (RFC 2326 §4–7), interleaved frames (§10.12).

use bytes::{Buf, Bytes, BytesMut};

/// Request line and headers together.
pub const MAX_HEADER: usize = 16 * 1024;
/// The request's URL.
pub const MAX_URL: usize = 2 * 1024;
/// What comes behind the headers.
pub const MAX_BODY: usize = 16 * 1024;
const MAX_HEADERS: usize = 100;
/// RTCP of a receiver is far smaller; a longer frame is passed over.
const MAX_RTCP: usize = 2 * 1024;

/// The methods of RFC 2326 §10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Options,
    Describe,
    Setup,
    Play,
    Pause,
    Teardown,
    GetParameter,
    SetParameter,
    Announce,
    Record,
    Redirect,
}

impl Method {
    const ALL: [Self; 11] = [
        Self::Options,
        Self::Describe,
        Self::Setup,
        Self::Play,
        Self::Pause,
        Self::Teardown,
        Self::GetParameter,
        Self::SetParameter,
        Self::Announce,
        Self::Record,
        Self::Redirect,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Options => "OPTIONS",
            Self::Describe => "DESCRIBE",
            Self::Setup => "SETUP",
            Self::Play => "PLAY",
            Self::Pause => "PAUSE",
            Self::Teardown => "TEARDOWN",
            Self::GetParameter => "GET_PARAMETER",
            Self::SetParameter => "SET_PARAMETER",
            Self::Announce => "ANNOUNCE",
            Self::Record => "RECORD",
            Self::Redirect => "REDIRECT",
        }
    }

    /// Methods are case-sensitive (RFC 2326 §6.1).
    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == text)
    }
}

/// What the version of a request line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Rtsp1,
    /// 505.
    Other,
    Http,
}

/// A request, or what was sent in the place of one, complete with its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// None: one that RFC 2326 does not know (501).
    pub method: Option<Method>,
    /// As sent: printable characters without white space.
    pub url: String,
    pub version: Version,
    /// None where the header is missing or no number (400).
    pub cseq: Option<u32>,
    /// Names as sent; values without the white space around them, free of control characters.
    headers: Vec<(String, String)>,
    pub body: Bytes,
    /// Well-framed, but its request line or a header cannot be read (400).
    pub malformed: bool,
}

impl Request {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    pub fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What a parser found next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    Request(Request),
    /// A response of the client to a request of the server; its body is passed over.
    Response,
    /// RTCP on a channel that was asked for.
    Frame {
        channel: u8,
        payload: Bytes,
    },
    /// A frame that nobody asked for is passed over, whatever its length.
    Skipped {
        channel: u8,
    },
    /// Where the next message begins is lost: answer with this status, then close.
    Lost {
        status: u16,
        cseq: Option<u32>,
    },
}

/// Takes messages out of a stream of bytes. Holds no more than one message and what was sent ahead of it.
#[derive(Debug, Default)]
pub struct Parser {
    buffer: BytesMut,
    /// Bytes of a skipped frame that are still to come.
    skip: usize,
    /// How much of the buffer is known to hold no end of headers, so that a byte at a time is not quadratic.
    scanned: usize,
    /// How long the message at the front is, once its headers were read.
    needed: usize,
    /// Set by [`Parsed::Lost`]; nothing can be read any more.
    lost: bool,
}

impl Parser {
    pub fn push(&mut self, mut bytes: &[u8]) {
        if self.lost {
            return;
        }
        if self.buffer.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that wait for the rest of their message, or for a call of [`Parser::next`].
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// The next message; None as long as more bytes are needed. `wanted` says which interleaved channels somebody
    /// listens to.
    pub fn next(&mut self, wanted: impl Fn(u8) -> bool) -> Option<Parsed> {
        if self.lost {
            return None;
        }
        let skipped = self.skip.min(self.buffer.len());
        self.buffer.advance(skipped);
        self.skip -= skipped;
        // Stray line ends between messages (hydra, after a request with credentials).
        let stray = self.buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.buffer.advance(stray);
        match self.buffer.first()? {
            b'$' => self.frame(wanted),
            byte if byte.is_ascii_graphic() => self.message(),
            // A TLS handshake, or noise.
            _ => Some(self.lose(400, None)),
        }
    }

    fn frame(&mut self, wanted: impl Fn(u8) -> bool) -> Option<Parsed> {
        let &[_, channel, high, low] = self.buffer.first_chunk()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if !wanted(channel) || length > MAX_RTCP {
            self.buffer.advance(4);
            self.skip = length;
            return Some(Parsed::Skipped { channel });
        }
        if self.buffer.len() < 4 + length {
            return None;
        }
        self.buffer.advance(4);
        Some(Parsed::Frame { channel, payload: self.buffer.split_to(length).freeze() })
    }

    fn message(&mut self) -> Option<Parsed> {
        if self.buffer.len() < self.needed {
            return None;
        }
        let Some(end) = self.header_end() else {
            return (self.buffer.len() > MAX_HEADER).then(|| self.header_too_long());
        };
        if end > MAX_HEADER {
            return Some(self.header_too_long());
        }
        let head = Head::parse(&self.buffer[..end]);
        let length = match head.content_length() {
            Ok(length) if length > MAX_BODY as u64 => {
                let status = if head.is_bad() { 400 } else { 413 };
                return Some(self.lose(status, head.cseq()));
            }
            Ok(length) => length as usize,
            Err(_) => return Some(self.lose(400, head.cseq())),
        };
        if self.buffer.len() < end + length {
            // The end of the headers is found again at once when all has come.
            self.scanned = end;
            self.needed = end + length;
            return None;
        }
        self.scanned = 0;
        self.needed = 0;
        self.buffer.advance(end);
        let body = self.buffer.split_to(length).freeze();
        Some(head.finish(body))
    }

    /// Where the headers end: behind the first empty line, whether lines end with CRLF or with LF alone.
    fn header_end(&mut self) -> Option<usize> {
        let from = self.scanned.saturating_sub(3);
        let window = &self.buffer[from..];
        for (at, _) in window.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            let rest = &window[at + 1..];
            match rest {
                [b'\n', ..] => return Some(from + at + 2),
                [b'\r', b'\n', ..] => return Some(from + at + 3),
                _ => {}
            }
        }
        self.scanned = self.buffer.len();
        None
    }

    fn header_too_long(&mut self) -> Parsed {
        let head = Head::parse(&self.buffer[..MAX_HEADER]);
        let first_line_ends = self.buffer[..MAX_HEADER].contains(&b'\n');
        self.lose(if first_line_ends { 400 } else { 414 }, head.cseq())
    }

    fn lose(&mut self, status: u16, cseq: Option<u32>) -> Parsed {
        self.lost = true;
        self.buffer = BytesMut::new();
        Parsed::Lost { status, cseq }
    }
}

/// Request line and headers, as text.
struct Head {
    first_line: String,
    headers: Vec<(String, String)>,
    malformed: bool,
}

impl Head {
    fn parse(bytes: &[u8]) -> Self {
        let mut lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let mut malformed = false;
        let mut text = |line: &[u8]| {
            malformed |= line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t');
            String::from_utf8_lossy(line).into_owned()
        };
        let first_line = lines.next().map(&mut text).unwrap_or_default();
        let mut headers: Vec<(String, String)> = Vec::new();
        let mut unreadable = false;
        for line in lines.take_while(|line| !line.is_empty()) {
            let line = text(line);
            if line.starts_with([' ', '\t']) {
                // A value that goes on (RFC 2326 §4, RFC 2616 §4.2).
                match headers.last_mut() {
                    Some((_, value)) => {
                        value.push(' ');
                        value.push_str(line.trim());
                    }
                    None => unreadable = true,
                }
                continue;
            }
            match line.split_once(':') {
                Some((name, value)) if is_token(name.trim_end()) && headers.len() < MAX_HEADERS => {
                    headers.push((name.trim_end().to_owned(), value.trim().to_owned()));
                }
                _ => unreadable = true,
            }
        }
        Self { first_line, headers, malformed: malformed || unreadable }
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// A number only, so that nothing of the client's own text is echoed.
    fn cseq(&self) -> Option<u32> {
        self.values("CSeq").next().and_then(number)
    }

    /// Zero where there is none. Two that differ, or one that is no number, hide where the message ends.
    fn content_length(&self) -> Result<u64, ()> {
        let mut lengths = self.values("Content-Length").map(number::<u64>);
        let first = lengths.next().unwrap_or(Some(0)).ok_or(())?;
        if lengths.all(|other| other == Some(first)) { Ok(first) } else { Err(()) }
    }

    /// Whether the answer is 400, which comes before 413.
    fn is_bad(&self) -> bool {
        self.malformed || self.cseq().is_none() || RequestLine::parse(&self.first_line).is_none()
    }

    fn finish(self, body: Bytes) -> Parsed {
        if self.first_line.starts_with("RTSP/") {
            return Parsed::Response;
        }
        let line = RequestLine::parse(&self.first_line);
        let cseq = self.cseq();
        let malformed = self.malformed || line.is_none();
        let RequestLine { method, url, version } =
            line.unwrap_or(RequestLine { method: "", url: "", version: Version::Rtsp1 });
        Parsed::Request(Request {
            method: Method::parse(method),
            url: url.to_owned(),
            version,
            cseq,
            headers: self.headers,
            body,
            malformed,
        })
    }
}

struct RequestLine<'a> {
    method: &'a str,
    url: &'a str,
    version: Version,
}

impl<'a> RequestLine<'a> {
    /// Method, URL and version; None if it is no request line at all.
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (method, url, version) = (words.next()?, words.next()?, words.next()?);
        let version = match version.split_once('/')? {
            ("RTSP", "1.0") => Version::Rtsp1,
            ("RTSP", number) if is_version(number) => Version::Other,
            ("HTTP", number) if is_version(number) => Version::Http,
            _ => return None,
        };
        (words.next().is_none() && is_token(method)).then_some(Self { method, url, version })
    }
}

fn is_version(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.').is_some_and(|(major, minor)| digits(major) && digits(minor))
}

/// A number in digits alone: `parse` would take a sign.
pub(super) fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// RFC 2616 §2.2.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte))
}
