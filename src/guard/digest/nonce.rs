use crate::time::MonoTime;
use sha2::{Digest, Sha256};
use std::{
    fmt::{self, Debug, Formatter},
    time::Duration,
};
use subtle::ConstantTimeEq;

/// How long a nonce is good. Clients answer the next challenge by themselves, so the user does not notice its end.
pub(super) const LIFETIME: Duration = Duration::from_secs(300);
const TIME: usize = 8;
const TAG: usize = 16;

/// Makes and recognises nonces: a time, and a keyed hash of it and of the connection's number. So nothing is kept per
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
    pub fn make(&self, connection: u64, now: MonoTime) -> String {
        let time = now.as_nanos().to_be_bytes();
        let mut nonce = [0; TIME + TAG];
        nonce[..TIME].copy_from_slice(&time);
        nonce[TIME..].copy_from_slice(&self.tag(connection, time));
        hex::encode(nonce)
    }

    /// Whether `nonce` was made here for `connection`, no longer than [`LIFETIME`] ago.
    pub fn is_fresh(&self, nonce: &[u8], connection: u64, now: MonoTime) -> bool {
        let mut bytes = [0; TIME + TAG];
        if hex::decode_to_slice(nonce, &mut bytes).is_err() {
            return false;
        }
        let mut time = [0; TIME];
        time.copy_from_slice(&bytes[..TIME]);
        let ours = bool::from(self.tag(connection, time).ct_eq(&bytes[TIME..]));
        ours && now.since(MonoTime::from_nanos(u64::from_be_bytes(time))) <= LIFETIME
    }

    /// The hashed text has always the same length and half of the hash stays secret, so it cannot be extended.
    fn tag(&self, connection: u64, time: [u8; TIME]) -> [u8; TAG] {
        let hash = Sha256::new()
            .chain_update(self.secret)
            .chain_update(connection.to_be_bytes())
            .chain_update(time)
            .finalize();
        let mut tag = [0; TAG];
        tag.copy_from_slice(&hash[..TAG]);
        tag
    }
}
