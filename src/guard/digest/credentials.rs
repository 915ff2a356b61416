use super::DigestAlgorithm;
use percent_encoding::percent_decode;
use std::borrow::Cow;

/// The answer of a client: the value of an Authorization header (RFC 7616 §3.4), quotes and escapes taken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials<'a> {
    username: Cow<'a, [u8]>,
    pub(super) nonce: Cow<'a, [u8]>,
    uri: Cow<'a, [u8]>,
    response: Cow<'a, [u8]>,
    /// Absent as RFC 2069 has it: most RTSP clients answer so, whatever they are offered.
    qop: Option<Qop<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Qop<'a> {
    /// `auth`, in the client's spelling, which goes into the hash.
    name: Cow<'a, [u8]>,
    /// As sent, and its value: how often the nonce was answered with this one.
    count_text: Cow<'a, [u8]>,
    count: u32,
    client_nonce: Cow<'a, [u8]>,
}

impl<'a> Credentials<'a> {
    /// Reads parameters in any order, quoted or not, with or without space around them, and passes over unknown ones;
    /// of two of one name the first counts. None for other schemes, for a `qop` that was not offered, for a count that
    /// is no hexadecimal number, if a parameter is missing, or if a quoted string does not end.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let value = value.trim_ascii();
        let (scheme, mut rest) = value.split_at(value.iter().position(u8::is_ascii_whitespace)?);
        if !scheme.eq_ignore_ascii_case(b"digest") {
            return None;
        }
        let [mut username, mut extended, mut nonce, mut uri, mut response] = [const { None }; 5];
        let [mut qop, mut count, mut client_nonce] = [const { None }; 3];
        while let Some((name, value, after)) = parameter(rest)? {
            let slot = match name.to_ascii_lowercase().as_slice() {
                b"username" => &mut username,
                b"username*" => &mut extended,
                b"nonce" => &mut nonce,
                b"uri" => &mut uri,
                b"response" => &mut response,
                b"qop" => &mut qop,
                b"nc" => &mut count,
                b"cnonce" => &mut client_nonce,
                _ => &mut None,
            };
            slot.get_or_insert(value);
            rest = after;
        }
        let qop = match qop.filter(|name| !name.is_empty()) {
            Some(name) if name.eq_ignore_ascii_case(b"auth") => {
                let count_text = count?;
                let count = u32::from_str_radix(str::from_utf8(&count_text).ok()?, 16).ok()?;
                Some(Qop { name, count_text, count, client_nonce: client_nonce? })
            }
            Some(_) => return None,
            None => None,
        };
        let username = username.or_else(|| extended.as_deref().and_then(decode_extended))?;
        Some(Self { username, nonce: nonce?, uri: uri?, response: response?, qop })
    }

    /// As claimed. What is not UTF-8 is replaced, and so is no user's.
    pub fn username(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.username)
    }

    pub fn uri(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.uri)
    }

    /// The nonce-count, where there is one.
    pub(super) fn count(&self) -> Option<u32> {
        self.qop.as_ref().map(|qop| qop.count)
    }

    /// The response that the client gave, empty if it is not hexadecimal.
    pub(super) fn given(&self) -> Vec<u8> {
        hex::decode(&self.response).unwrap_or_default()
    }

    /// The response that is right (RFC 7616 §3.4.1, RFC 2069 §2.1.2). `ha1`: not yet hexadecimal.
    pub(super) fn response(&self, algorithm: DigestAlgorithm, ha1: &[u8], method: &str) -> Vec<u8> {
        let ha1 = hex::encode(ha1);
        let ha2 = hex::encode(algorithm.hash(&[method.as_bytes(), &self.uri]));
        match &self.qop {
            Some(Qop { name, count_text, client_nonce, .. }) => {
                algorithm.hash(&[ha1.as_bytes(), &self.nonce, count_text, client_nonce, name, ha2.as_bytes()])
            }
            None => algorithm.hash(&[ha1.as_bytes(), &self.nonce, ha2.as_bytes()]),
        }
    }
}

type Parameter<'a> = (&'a [u8], Cow<'a, [u8]>, &'a [u8]);

/// The first parameter: name, value, and what follows. Some(None) at the end, None if a quoted string does not end.
fn parameter(text: &[u8]) -> Option<Option<Parameter<'_>>> {
    let mut rest = text;
    loop {
        rest = rest.trim_ascii_start();
        match rest.split_first() {
            None => return Some(None),
            Some((b',', after)) => rest = after,
            Some(_) => break,
        }
    }
    let end = rest.iter().position(|byte| matches!(byte, b'=' | b',')).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    let Some(value) = after.strip_prefix(b"=") else {
        // A word without a value.
        return Some(Some((name.trim_ascii(), Cow::Borrowed(&[]), after)));
    };
    let value = value.trim_ascii_start();
    let (value, after) = match value.strip_prefix(b"\"") {
        Some(quoted) => unquote(quoted)?,
        None => {
            let (value, after) = value.split_at(value.iter().position(|byte| *byte == b',').unwrap_or(value.len()));
            (Cow::Borrowed(value.trim_ascii_end()), after)
        }
    };
    Some(Some((name.trim_ascii(), value, after)))
}

/// A quoted string behind its opening quote, and what follows the closing one.
fn unquote(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let plain = text.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    if text[plain] == b'"' {
        return Some((Cow::Borrowed(&text[..plain]), &text[plain + 1..]));
    }
    let mut value = Vec::new();
    let mut bytes = text.iter().enumerate();
    while let Some((index, byte)) = bytes.next() {
        match byte {
            b'"' => return Some((Cow::Owned(value), &text[index + 1..])),
            b'\\' => value.push(*bytes.next()?.1),
            _ => value.push(*byte),
        }
    }
    None
}

/// `UTF-8''percent-encoded`, as clients write a name that is not ASCII (RFC 5987 §3.2, RFC 7616 §3.4).
fn decode_extended<'a>(text: &[u8]) -> Option<Cow<'a, [u8]>> {
    let mut parts = text.splitn(3, |byte| *byte == b'\'');
    let (charset, _language, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    charset.eq_ignore_ascii_case(b"utf-8").then(|| Cow::Owned(percent_decode(encoded).collect()))
}
