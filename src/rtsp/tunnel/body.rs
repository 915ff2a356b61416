use super::base64::Base64Run;
use std::fmt;

/// The longest line that says how long a chunk is, with its extensions.
const MAX_SIZE_LINE: usize = 256;

/// The body of one POST, which is base64: as it comes, or in chunks (RFC 9112 §7.1), as HTTP/1.1 clients and proxies send
/// what has no length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostBody {
    base64: Base64Run,
    /// None: no chunks.
    chunks: Option<Chunk>,
    over: bool,
}

/// Where in the chunks it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Chunk {
    /// In the line that says how long the next one is.
    Size(Vec<u8>),
    /// So many bytes of one are to come.
    Data(u64),
    /// In the line end behind one, of which this is to come.
    End(&'static [u8]),
}

/// What cannot be decoded: everything behind it is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokenBody {
    NotBase64,
    NotAChunk,
}

impl fmt::Display for BrokenBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotBase64 => "what is no base64",
            Self::NotAChunk => "what is no chunk",
        })
    }
}

impl PostBody {
    pub fn chunked() -> Self {
        Self { chunks: Some(Chunk::Size(Vec::new())), ..Self::default() }
    }

    /// Whether it has said by itself that nothing more will come.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Adds what `bytes`, cut anywhere, stand for to `decoded`. What comes behind the last chunk means nothing.
    ///
    /// # Errors
    /// There is something else in them.
    pub fn push(&mut self, mut bytes: &[u8], decoded: &mut Vec<u8>) -> Result<(), BrokenBody> {
        let Some(chunk) = &mut self.chunks else { return self.base64.push(bytes, decoded) };
        while !self.over && !bytes.is_empty() {
            match chunk {
                Chunk::Data(left) => {
                    let length = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    self.base64.push(&bytes[..length], decoded)?;
                    bytes = &bytes[length..];
                    *left -= length as u64;
                    if *left == 0 {
                        *chunk = Chunk::End(b"\r\n");
                    }
                }
                Chunk::End(expected) => {
                    if bytes[0] != expected[0] {
                        return Err(BrokenBody::NotAChunk);
                    }
                    bytes = &bytes[1..];
                    let rest = &expected[1..];
                    *chunk = if rest.is_empty() { Chunk::Size(Vec::new()) } else { Chunk::End(rest) };
                }
                Chunk::Size(line) => {
                    let whole = bytes.iter().position(|byte| *byte == b'\n');
                    let length = whole.map_or(bytes.len(), |end| end + 1);
                    if line.len() + length > MAX_SIZE_LINE {
                        return Err(BrokenBody::NotAChunk);
                    }
                    line.extend_from_slice(&bytes[..length]);
                    bytes = &bytes[length..];
                    if whole.is_none() {
                        return Ok(());
                    }
                    match httparse::parse_chunk_size(line) {
                        // It takes no digits for zero.
                        Ok(httparse::Status::Complete((_, size))) if line[0].is_ascii_hexdigit() => {
                            self.over = size == 0;
                            *chunk = Chunk::Data(size);
                        }
                        _ => return Err(BrokenBody::NotAChunk),
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::base64::{Engine, engine::general_purpose::STANDARD};
    use proptest::prelude::*;

    #[test]
    fn what_is_no_chunk_is_refused() {
        let long = format!("4;{}\r\nQUJD\r\n", "a".repeat(MAX_SIZE_LINE));
        for wrong in ["QUJD\r\n", "\r\nQUJD", "4\r\nQUJDRA==", "-1\r\n", "10000000000000000\r\n", "4\nQUJD\n", &long] {
            assert_eq!(
                PostBody::chunked().push(wrong.as_bytes(), &mut Vec::new()),
                Err(BrokenBody::NotAChunk),
                "{wrong}"
            );
        }
        assert_eq!(PostBody::chunked().push(b"2\r\n??\r\n2\r\n??", &mut Vec::new()), Err(BrokenBody::NotBase64));
    }

    #[test]
    fn the_last_chunk_ends_it() {
        let (mut body, mut decoded) = (PostBody::chunked(), Vec::new());
        assert_eq!(body.push(b"04;name=value\r\nQUJD\r\n", &mut decoded), Ok(()));
        assert!(!body.is_over());
        assert_eq!(body.push(b"0\r\nTrailer: 1\r\n\r\nGET ", &mut decoded), Ok(()));
        assert!(body.is_over());
        assert_eq!(decoded, b"ABC");
    }

    proptest! {
        #[test]
        fn chunks_come_out_in_one_piece(
            requests in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..10),
            chunk in 1usize..30,
            cut in 1usize..20,
        ) {
            let encoded: String = requests.iter().map(|request| STANDARD.encode(request)).collect();
            let chunks = encoded.as_bytes().chunks(chunk).map(|it| (it.len(), str::from_utf8(it).unwrap()));
            let sent: String = chunks.map(|(length, it)| format!("{length:X}\r\n{it}\r\n")).collect();
            let (mut body, mut decoded) = (PostBody::chunked(), Vec::new());
            for piece in sent.as_bytes().chunks(cut) {
                prop_assert_eq!(body.push(piece, &mut decoded), Ok(()));
            }
            prop_assert_eq!(decoded, requests.concat());
        }
    }
}
