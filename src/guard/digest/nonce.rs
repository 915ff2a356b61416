use crate::time::MonoTime;
use sha2::{Digest, Sha256};
use std::{
    fmt::{self, Debug, Formatter},
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};
use subtle::ConstantTimeEq;

/// How long a nonce is good. Clients answer the next challenge by themselves, so the user does not notice its end.
pub(super) const LIFETIME: Duration = Duration::from_secs(24 * 3600);
const TIME: usize = 8;
const TAG: usize = 16;

/// Makes and recognises nonces: a time, and a keyed hash of it and of the client's address. So nothing is kept per
/// nonce.
pub(super) struct Nonces {
    secret: [u8; 32],
}

/// Without the secret.
impl Debug for Nonces {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces").finish_non_exhaustive()
    }
}

impl Nonces {
    pub fn new() -> Self {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).expect("getrandom(2) works on every Linux that Eyrie runs on");
        Self { secret }
    }

    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// 48 hexadecimal digits.
    pub fn make(&self, address: IpAddr, now: MonoTime) -> String {
        let time = now.as_nanos().to_be_bytes();
        let mut nonce = [0; TIME + TAG];
        nonce[..TIME].copy_from_slice(&time);
        nonce[TIME..].copy_from_slice(&self.tag(address, time));
        hex::encode(nonce)
    }

    /// When `nonce` was made, if that was here, for this address, and no longer than [`LIFETIME`] ago.
    pub fn made(&self, nonce: &[u8], address: IpAddr, now: MonoTime) -> Option<MonoTime> {
        let mut bytes = [0; TIME + TAG];
        hex::decode_to_slice(nonce, &mut bytes).ok()?;
        let mut time = [0; TIME];
        time.copy_from_slice(&bytes[..TIME]);
        let ours = bool::from(self.tag(address, time).ct_eq(&bytes[TIME..]));
        let made = MonoTime::from_nanos(u64::from_be_bytes(time));
        (ours && now.since(made) <= LIFETIME).then_some(made)
    }

    /// The hashed text has always the same length and half of the hash stays secret, so it cannot be extended.
    fn tag(&self, address: IpAddr, time: [u8; TIME]) -> [u8; TAG] {
        let address: Ipv6Addr = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let hash = Sha256::new().chain_update(self.secret).chain_update(address.octets()).chain_update(time).finalize();
        let mut tag = [0; TAG];
        tag.copy_from_slice(&hash[..TAG]);
        tag
    }
}
