//! MIKEY messages (RFC 3830) as RTSP carries them (RFC 4567): a key for SRTP, in clear, because the connection is
//! encrypted. So GStreamer and MediaMTX do it too.

use super::srtp::MasterKey;
use crate::time::NtpTime;

/// What one side tells the other: under this key it sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub key: MasterKey,
    /// Octets that name the key in each packet; mostly none.
    pub mki: Vec<u8>,
    /// The sources that it is for.
    pub sessions: Vec<CryptoSession>,
}

/// One source, and where it is (RFC 3830 §6.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CryptoSession {
    pub ssrc: u32,
    /// Its rollover counter.
    pub rollover: u32,
}

const VERSION: u8 = 1;
/// Data type: an initiator's message with a pre-shared key, which is none here (RFC 3830 §6.1).
const PRE_SHARED: u8 = 0;
/// CS ID map types (RFC 3830 §6.1, RFC 4563 §4).
const SRTP_ID: u8 = 0;
const EMPTY_MAP: u8 = 1;
/// Payloads, by the number in the field before them (RFC 3830 §6.1).
mod payload {
    pub const LAST: u8 = 0;
    pub const KEMAC: u8 = 1;
    pub const T: u8 = 5;
    pub const ID: u8 = 6;
    pub const CERT: u8 = 7;
    pub const V: u8 = 9;
    pub const SP: u8 = 10;
    pub const RAND: u8 = 11;
    pub const EXTENSION: u8 = 21;
}
/// Key data types: a key for traffic, and the same with its salt apart (RFC 3830 §6.13).
const TEK: u8 = 2;
const TEK_AND_SALT: u8 = 3;
/// The key is named by an SPI, which in SRTP is the MKI (RFC 3830 §6.14).
const NAMED: u8 = 1;
const VALID_FOR: u8 = 2;
/// AES-CM, HMAC-SHA1, a key of 16 octets, 80 bits of tag: what this room knows (RFC 3830 §6.10.1), with the numbers of
/// the parameters. HMAC's key is derived and has 20 octets; GStreamer and MediaMTX write 10, the tag's length, all the same.
const POLICY: [(u8, u8); 8] = [(0, 1), (1, 16), (2, 1), (3, 10), (7, 1), (8, 1), (10, 1), (11, 10)];

impl Message {
    /// `time` is now, `random` must be that: 16 octets, and the number of this message.
    pub fn write(&self, time: NtpTime, random: ([u8; 16], u32)) -> Vec<u8> {
        let mut out = vec![VERSION, PRE_SHARED, payload::T, 0];
        out.extend(random.1.to_be_bytes());
        out.extend([self.sessions.len() as u8, SRTP_ID]);
        for session in &self.sessions {
            // Of the policy below.
            out.push(0);
            out.extend(session.ssrc.to_be_bytes());
            out.extend(session.rollover.to_be_bytes());
        }
        // The time as NTP-UTC.
        out.extend([payload::RAND, 0]);
        out.extend(time.0.to_be_bytes());
        out.extend([payload::SP, random.0.len() as u8]);
        out.extend(random.0);
        out.extend([payload::KEMAC, 0, 0]);
        out.extend((3 * POLICY.len() as u16).to_be_bytes());
        POLICY.iter().for_each(|(parameter, value)| out.extend([*parameter, 1, *value]));
        // Neither encrypted nor authenticated.
        let key = [&[payload::LAST, TEK << 4, 0, MasterKey::SIZE as u8], &self.key.0[..]].concat();
        out.extend([payload::LAST, 0]);
        out.extend((key.len() as u16).to_be_bytes());
        out.extend(key);
        out.push(0);
        out
    }

    /// Reads a message of the other side. None if it is malformed, or its key or policy is of another kind than ours.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let [VERSION, PRE_SHARED, mut next, flags] = reader.array()? else { return None };
        // No other function than the default one is known.
        if flags & 0x7f != 0 {
            return None;
        }
        let _id: [u8; 4] = reader.array()?;
        let [count, map] = reader.array()?;
        let sessions: Option<Vec<_>> = match map {
            SRTP_ID => (0..count).map(|_| crypto_session(&mut reader)).collect(),
            EMPTY_MAP => Some(Vec::new()),
            _ => None,
        };
        let sessions = sessions?;
        let mut key = None;
        while next != payload::LAST {
            let here = std::mem::replace(&mut next, reader.byte()?);
            match here {
                payload::T => {
                    let octets = if reader.byte()? == 2 { 4 } else { 8 };
                    reader.take(octets)?;
                }
                payload::RAND => {
                    let octets = reader.byte()?;
                    reader.take(octets.into())?;
                }
                payload::ID | payload::CERT | payload::EXTENSION => {
                    reader.byte()?;
                    reader.block()?;
                }
                payload::V => match reader.byte()? {
                    0 => {}
                    1 => drop(reader.take(20)?),
                    _ => return None,
                },
                payload::SP => {
                    let [_policy, protocol] = reader.array()?;
                    let known = protocol == 0 && is_known(reader.block()?)?;
                    if !known {
                        return None;
                    }
                }
                payload::KEMAC => {
                    let encryption = reader.byte()?;
                    key = Some(key_data(reader.block()?)?);
                    if (encryption, reader.byte()?) != (0, 0) {
                        return None;
                    }
                }
                _ => return None,
            }
        }
        let (key, mki) = key?;
        reader.0.is_empty().then_some(Self { key, mki, sessions })
    }
}

fn crypto_session(reader: &mut Reader<'_>) -> Option<CryptoSession> {
    reader.byte()?;
    let (ssrc, rollover) = (u32::from_be_bytes(reader.array()?), u32::from_be_bytes(reader.array()?));
    Some(CryptoSession { ssrc, rollover })
}

/// Whether all parameters of a policy are ours. What is left out has its default, which is ours too but for the tag and the
/// encryption of RTCP, which is told in each packet.
fn is_known(parameters: &[u8]) -> Option<bool> {
    let mut reader = Reader(parameters);
    let mut known = true;
    while !reader.0.is_empty() {
        let [parameter, octets] = reader.array()?;
        let value = reader.take(octets.into())?;
        known &= match (parameter, value) {
            // HMAC's key as it is, and RTCP in clear.
            (3, [20]) | (8, [0]) => true,
            // Octets of salt, function, rate of derivation, forward error correction, prefix of the function.
            (4, [14]) | (5, [0]) | (6, [0, ..]) | (6, []) | (9, [0]) | (12, [0]) => true,
            (parameter, [value]) => POLICY.contains(&(parameter, *value)),
            _ => false,
        };
    }
    Some(known)
}

/// The one key inside KEMAC, and its name.
fn key_data(data: &[u8]) -> Option<(MasterKey, Vec<u8>)> {
    let mut reader = Reader(data);
    let [payload::LAST, kind] = reader.array()? else { return None };
    let mut key = reader.block()?.to_vec();
    match kind >> 4 {
        TEK => {}
        TEK_AND_SALT => key.extend_from_slice(reader.block()?),
        _ => return None,
    }
    let mut name = Vec::new();
    match kind & 0xf {
        0 => {}
        NAMED => name = reader.short_block()?.to_vec(),
        VALID_FOR => {
            reader.short_block()?;
            reader.short_block()?;
        }
        _ => return None,
    }
    let key = MasterKey(key.try_into().ok()?);
    reader.0.is_empty().then_some((key, name))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, octets: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(octets)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// Octets that are counted before, in 16 bits.
    fn block(&mut self) -> Option<&'a [u8]> {
        let octets = u16::from_be_bytes(self.array()?);
        self.take(octets.into())
    }

    /// The same, in 8 bits.
    fn short_block(&mut self) -> Option<&'a [u8]> {
        let octets = self.byte()?;
        self.take(octets.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::{BASE64_STANDARD, Engine};
    use proptest::prelude::*;

    fn read(base64: &str) -> Option<Message> {
        Message::parse(&BASE64_STANDARD.decode(base64).unwrap())
    }

    fn message() -> Message {
        let sessions = vec![CryptoSession { ssrc: 0x3068_5760, rollover: 3 }];
        Message { key: MasterKey([7; 30]), mki: Vec::new(), sessions }
    }

    /// As it stands in the SETUP of a MediaMTX client.
    #[test]
    fn mediamtx() {
        let read = read(
            "AQAFAHojKV4BAACVjCMnAAAAAAsA6/mdTLBeokwKEGwcAuPrxj6/enyb+A2+rNcBAAAAFQABAQEBEAIBAQMBCgcBAQgBAQoBAQAAACIA\
             IAAeX8XvOCzIMh0JTOWivWLxEflTUSp1fjj2i8xG7D9DAA==",
        )
        .unwrap();
        assert_eq!(read.sessions, [CryptoSession { ssrc: 0x958c_2327, rollover: 0 }]);
        assert_eq!((read.key.0[..4].to_vec(), read.mki), (vec![0x5f, 0xc5, 0xef, 0x38], Vec::new()));
    }

    /// A client for Hanwha's cameras: its key has a name.
    #[test]
    fn hanwha() {
        let read = read(
            "AQAFAP1td9ABAADCD1UcAAAAAAoAAdOOGc75XD0BAAAAGAABAQEBEAIBAQMBFAcBAQgBAQoBAQsBCgAAACcAIQAe30C59UrClE0e27UP\
             5h/Wty9UL8+dfzg+2ttmmo3kBAAAAC8A",
        )
        .unwrap();
        assert_eq!(read.mki, [0, 0, 0, 47]);
        assert_eq!(read.key.0[..2], [0xdf, 0x40]);
    }

    #[test]
    fn what_is_written_is_laid_out_as_the_rfc_draws() {
        let written = message().write(NtpTime(0xebfe_6f2d_b1c1_3fd0), ([9; 16], 0xe69d_51f8));
        let expected = [
            "01000500 e69d51f8 0100 00 30685760 00000003",
            "0b00 ebfe6f2db1c13fd0",
            "0a10 09090909090909090909090909090909",
            "0100000018 000101 010110 020101 03010a 070101 080101 0a0101 0b010a",
            "00000022 0020001e",
            &"07".repeat(30),
            "00",
        ];
        assert_eq!(hex::encode(written), expected.concat().replace(' ', ""));
    }

    #[test]
    fn other_algorithms_and_other_keys_are_not_taken() {
        let written = message().write(NtpTime(1), ([9; 16], 1));
        let find = |octets: &[u8]| written.windows(octets.len()).position(|window| window == octets).unwrap();
        let policy = find(&[0, 1, 1, 1, 1, 16]);
        // AES-GCM, a key of 256 bits, no authentication, in clear; HMAC's true length is fine, and RTCP in clear.
        for (at, value, taken) in
            [(2, 6, false), (5, 32, false), (8, 0, false), (14, 0, false), (11, 20, true), (17, 0, true)]
        {
            let mut changed = written.clone();
            changed[policy + at] = value;
            assert_eq!(Message::parse(&changed).is_some(), taken, "{at}: {value}");
        }
        // KEMAC: encrypted, a key to make keys from.
        let kemac = find(&[0, 0, 0, 34]);
        for at in [1, 5] {
            let mut changed = written.clone();
            changed[kemac + at] = 1;
            assert_eq!(Message::parse(&changed), None);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            key: [u8; 30], random: ([u8; 16], u32), time: u64, ids in prop::collection::vec(any::<(u32, u32)>(), 0..20),
        ) {
            let sessions = ids.into_iter().map(|(ssrc, rollover)| CryptoSession { ssrc, rollover }).collect();
            let message = Message { key: MasterKey(key), mki: Vec::new(), sessions };
            prop_assert_eq!(Message::parse(&message.write(NtpTime(time), random)), Some(message));
        }

        #[test]
        fn cut_anywhere_it_is_none(at in any::<prop::sample::Index>()) {
            let written = message().write(NtpTime(1), ([9; 16], 1));
            prop_assert_eq!(Message::parse(&written[..at.index(written.len())]), None);
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::parse(&bytes);
        }
    }
}
