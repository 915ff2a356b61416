//! SRTP's receiving side, from the pages of RFC 3711: what the server protects is opened here, and the other way round.

use aes::{
    Aes128,
    cipher::{KeyIvInit, StreamCipher},
};
use base64::prelude::{BASE64_STANDARD, Engine};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::{client::Response, packets::Rtp};

const TAG: usize = 10;

/// What a MIKEY message of the server says (RFC 3830), which has one crypto session and one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub ssrc: u32,
    pub rollover: u32,
    pub key: [u8; 30],
}

impl Told {
    fn parse(base64: &str) -> Self {
        let message = BASE64_STANDARD.decode(base64).unwrap();
        // Version 1, pre-shared key, T follows, no verification; one session, SRTP-ID map.
        assert_eq!((&message[..4], &message[8..10]), (&[1, 0, 5, 0][..], &[1, 0][..]));
        let word = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().unwrap());
        // At the end KEMAC with one TEK of 30 octets, in clear, and no MAC.
        let kemac = message.len() - 39;
        assert_eq!(message[kemac..kemac + 8], [0, 0, 0, 34, 0, 0x20, 0, 30]);
        Told { ssrc: word(11), rollover: word(15), key: message[kemac + 8..kemac + 38].try_into().unwrap() }
    }

    /// Of each track of a session description (RFC 4567 §3.1).
    pub fn described(response: &Response) -> Vec<Self> {
        let lines = response.body.lines();
        lines.filter_map(|line| line.strip_prefix("a=key-mgmt:mikey ")).map(Self::parse).collect()
    }

    /// Of the track that was set up (RFC 4567 §3.2).
    pub fn set_up(response: &Response) -> Self {
        let header = response.header("KeyMgmt").unwrap_or_else(|| panic!("no keys in {response:?}"));
        let parts: Vec<&str> = header.split(';').collect();
        assert_eq!(parts[0], "prot=mikey");
        assert!(parts[1].starts_with("uri=\"rtsps://"), "{header}");
        Self::parse(parts[2].strip_prefix("data=\"").unwrap().strip_suffix('"').unwrap())
    }
}

/// One track under one key.
pub struct Opener {
    rtp: [Vec<u8>; 3],
    rtcp: [Vec<u8>; 3],
    rollover: u32,
    /// The index of the last packet.
    last: Option<u64>,
    sent: u32,
}

impl Opener {
    pub fn new(told: &Told) -> Self {
        let derive = |label: u8, length| {
            let mut iv = [0; 16];
            iv[..14].copy_from_slice(&told.key[16..]);
            iv[7] ^= label;
            let mut key = vec![0; length];
            stream(&told.key[..16], iv, &mut key);
            key
        };
        let keys = |label| [derive(label, 16), derive(label + 1, 20), derive(label + 2, 14)];
        Opener { rtp: keys(0), rtcp: keys(3), rollover: told.rollover, last: None, sent: 0 }
    }

    /// How often the sequence number has begun anew.
    pub fn rollover(&self) -> u32 {
        self.rollover
    }

    /// The packet inside; panics if it is not authentic.
    pub fn rtp(&mut self, packet: &[u8]) -> Rtp {
        let (authentic, tag) = packet.split_at(packet.len() - TAG);
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        // Within half of all numbers of the last (RFC 3711 §3.3.1).
        let index = match self.last {
            Some(last) => last.wrapping_add_signed(i64::from(sequence.wrapping_sub(last as u16) as i16)),
            None => u64::from(self.rollover) << 16 | u64::from(sequence),
        };
        self.rollover = (index >> 16) as u32;
        self.last = Some(index);
        let rollover = self.rollover.to_be_bytes();
        assert_eq!(tag, mac(&self.rtp[1], &[authentic, &rollover]), "at {sequence}, round {}", self.rollover);
        let mut plain = authentic.to_vec();
        crypt(&self.rtp, ssrc(&packet[8..]), index, &mut plain[12..]);
        Rtp::parse(&plain)
    }

    /// The compound packet inside, and its index; panics if it is not authentic.
    pub fn rtcp(&self, packet: &[u8]) -> (Vec<u8>, u32) {
        let (authentic, tag) = packet.split_at(packet.len() - TAG);
        assert_eq!(tag, mac(&self.rtcp[1], &[authentic]));
        let (compound, index) = authentic.split_at(authentic.len() - 4);
        let index = u32::from_be_bytes(index.try_into().unwrap());
        assert_eq!(index >> 31, 1, "encrypted");
        let mut plain = compound.to_vec();
        crypt(&self.rtcp, ssrc(&packet[4..]), (index & !(1 << 31)).into(), &mut plain[8..]);
        (plain, index & !(1 << 31))
    }

    /// The other way round.
    pub fn seal(&mut self, compound: &[u8]) -> Vec<u8> {
        let mut packet = compound.to_vec();
        crypt(&self.rtcp, ssrc(&compound[4..]), self.sent.into(), &mut packet[8..]);
        packet.extend((self.sent | 1 << 31).to_be_bytes());
        self.sent += 1;
        let tag = mac(&self.rtcp[1], &[&packet]);
        packet.extend(tag);
        packet
    }
}

fn crypt(keys: &[Vec<u8>; 3], ssrc: u32, index: u64, payload: &mut [u8]) {
    let mut iv = [0; 16];
    iv[..14].copy_from_slice(&keys[2]);
    ssrc.to_be_bytes().iter().zip(&mut iv[4..8]).for_each(|(byte, iv)| *iv ^= byte);
    index.to_be_bytes()[2..].iter().zip(&mut iv[8..14]).for_each(|(byte, iv)| *iv ^= byte);
    stream(&keys[0], iv, payload);
}

fn stream(key: &[u8], iv: [u8; 16], bytes: &mut [u8]) {
    ctr::Ctr128BE::<Aes128>::new_from_slices(key, &iv).unwrap().apply_keystream(bytes);
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes()[..TAG].to_vec()
}

fn ssrc(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}
