use aes::{
    Aes128,
    cipher::{InnerIvInit, KeyInit, StreamCipher},
};
use ctr::{CtrCore, flavors};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use std::fmt;

/// A master key of 128 bits with its master salt of 112 bits, in this order (RFC 3711 §4.3).
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey(pub [u8; Self::SIZE]);

impl MasterKey {
    /// Octets of key and salt.
    pub const SIZE: usize = KEY + SALT;

    /// A new one.
    ///
    /// # Errors
    /// The kernel has no randomness to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; Self::SIZE];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

/// A key is never told by accident.
impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// Octets of an AES key and of a salt.
const KEY: usize = 16;
const SALT: usize = 14;
/// Octets of an HMAC-SHA1 key (RFC 3711 §5.2).
const AUTH_KEY: usize = 20;
/// Octets of the tag that is sent: 80 bits of HMAC-SHA1 (RFC 4568 §6.2).
pub(super) const TAG: usize = 10;
/// Octets of an RTCP packet that stay in clear: its first header and SSRC (RFC 3711 §3.4).
const RTCP_CLEAR: usize = 8;
/// The flag before the SRTCP index: the packet is encrypted (RFC 3711 §3.4).
const ENCRYPTED: u32 = 1 << 31;
/// Octets of flag and index.
const INDEX: usize = 4;

/// AES_CM_128_HMAC_SHA1_80 (RFC 3711, RFC 4568 §6.2): all that is derived from one master key. The key derivation rate is
/// 0, so it is derived once.
pub struct Context {
    rtp: Keys,
    rtcp: Keys,
}

struct Keys {
    cipher: Aes128,
    salt: [u8; SALT],
    mac: Hmac<Sha1>,
}

impl Context {
    pub fn new(master: &MasterKey) -> Self {
        // RFC 3711 §4.3.2.
        Self { rtp: Keys::derive(master, 0), rtcp: Keys::derive(master, 3) }
    }

    /// Protects the RTP packet that `bytes` holds from `start` to its end, of a header of `header` octets: its payload is
    /// encrypted, the tag appended (RFC 3711 §3.3). `index` is the rollover counter and sequence number, 48 bits.
    pub fn protect_rtp(&self, bytes: &mut Vec<u8>, start: usize, header: usize, index: u64) {
        let ssrc = ssrc(&bytes[start + 8..]);
        self.rtp.encrypt(&mut bytes[start + header..], ssrc, index);
        let rollover = (index >> 16) as u32;
        let tag = self.rtp.tag(&bytes[start..], &rollover.to_be_bytes());
        bytes.extend_from_slice(&tag);
    }

    /// Protects a compound RTCP packet under the 31 bits of `index` (RFC 3711 §3.4).
    pub fn protect_rtcp(&self, packet: &mut Vec<u8>, index: u32) {
        let index = index & !ENCRYPTED;
        let ssrc = ssrc(&packet[4..]);
        self.rtcp.encrypt(&mut packet[RTCP_CLEAR..], ssrc, index.into());
        packet.extend_from_slice(&(index | ENCRYPTED).to_be_bytes());
        let tag = self.rtcp.tag(packet, &[]);
        packet.extend_from_slice(&tag);
    }

    /// The compound packet inside an SRTCP packet, and its index. `mki` octets before the tag name the master key. None if
    /// it was not made under this key.
    pub fn unprotect_rtcp(&self, packet: &[u8], mki: usize) -> Option<(Vec<u8>, u32)> {
        let (rest, tag) = packet.split_at_checked(packet.len().checked_sub(TAG)?)?;
        let (authentic, _) = rest.split_at_checked(rest.len().checked_sub(mki)?)?;
        let (compound, index) = authentic.split_at_checked(authentic.len().checked_sub(INDEX)?)?;
        if compound.len() < RTCP_CLEAR {
            return None;
        }
        self.rtcp.mac.clone().chain_update(authentic).verify_truncated_left(tag).ok()?;
        let index = u32::from_be_bytes(index.try_into().ok()?);
        let mut plain = compound.to_vec();
        if index & ENCRYPTED != 0 {
            self.rtcp.encrypt(&mut plain[RTCP_CLEAR..], ssrc(&compound[4..]), (index & !ENCRYPTED).into());
        }
        Some((plain, index & !ENCRYPTED))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Context(…)")
    }
}

impl Keys {
    /// The session keys whose labels begin with `label`: encryption, authentication, salt.
    fn derive(master: &MasterKey, label: u8) -> Self {
        let (key, salt) = master.0.split_at(KEY);
        let cipher = Aes128::new_from_slice(key).expect("a key of 16 octets");
        let generate = |label: u8, key: &mut [u8]| {
            let mut block = [0; KEY];
            block[..SALT].copy_from_slice(salt);
            block[7] ^= label;
            keystream(&cipher, block, key);
        };
        let (mut key, mut auth, mut salt) = ([0; KEY], [0; AUTH_KEY], [0; SALT]);
        generate(label, &mut key);
        generate(label + 1, &mut auth);
        generate(label + 2, &mut salt);
        Self {
            cipher: Aes128::new_from_slice(&key).expect("a key of 16 octets"),
            salt,
            mac: Hmac::new_from_slice(&auth).expect("HMAC takes keys of any length"),
        }
    }

    /// RFC 3711 §4.1.1; decrypts too.
    fn encrypt(&self, payload: &mut [u8], ssrc: u32, index: u64) {
        let mut block = [0; KEY];
        block[..SALT].copy_from_slice(&self.salt);
        let mixed = u128::from_be_bytes(block) ^ u128::from(ssrc) << 64 ^ u128::from(index) << 16;
        keystream(&self.cipher, mixed.to_be_bytes(), payload);
    }

    fn tag(&self, packet: &[u8], behind: &[u8]) -> [u8; TAG] {
        let whole = self.mac.clone().chain_update(packet).chain_update(behind).finalize().into_bytes();
        whole[..TAG].try_into().expect("a SHA-1 has 20 octets")
    }
}

/// Adds the key stream that begins with `block`.
fn keystream(cipher: &Aes128, block: [u8; KEY], bytes: &mut [u8]) {
    let core = CtrCore::<_, flavors::Ctr128BE>::inner_iv_init(cipher, &block.into());
    ctr::cipher::StreamCipherCoreWrapper::from_core(core).apply_keystream(bytes);
}

/// The SSRC that stands here.
pub(super) fn ssrc(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
