//! The server's side of digest authentication (RFC 2617 §3, RFC 7616), as RTSP uses it.

mod credentials;
mod nonce;
#[cfg(test)]
mod tests;

pub use credentials::Credentials;

use super::{ha1::REALM, users::Users};
use crate::time::MonoTime;
use md5::Md5;
use nonce::Nonces;
use sha2::{Digest as _, Sha256};
use std::{net::IpAddr, sync::Arc};
use subtle::ConstantTimeEq;

/// What a challenge asks for. Never two at once: many clients read only the first challenge, some the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DigestAlgorithm {
    #[default]
    Md5,
    Sha256,
}

impl DigestAlgorithm {
    /// The hash of `parts` with colons between them: 16 or 32 octets.
    fn hash(self, parts: &[&[u8]]) -> Vec<u8> {
        let joined = parts.join(&b':');
        match self {
            Self::Md5 => Md5::digest(joined).to_vec(),
            Self::Sha256 => Sha256::digest(joined).to_vec(),
        }
    }
}

/// Makes challenges and judges the answers. Remembers nothing of either: a nonce carries its own proof, and what was
/// answered on a connection is kept with that connection.
#[derive(Debug)]
pub struct Digest {
    algorithm: DigestAlgorithm,
    nonces: Nonces,
    /// Stands for the HA1 of users who do not exist, so that they take the same time.
    nobody: Vec<u8>,
}

/// What an answer is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The right answer to a fresh nonce.
    Granted {
        user: Arc<str>,
        /// The resource that the answer is for, as the client names it: to be checked against the request.
        uri: String,
    },
    /// No credentials, none of the digest scheme, or not all of them: to be challenged.
    Missing,
    /// A wrong answer to a live nonce, or no such user: to be counted and challenged.
    Wrong {
        /// As claimed.
        user: String,
    },
    /// The nonce is too old, another address's or none of ours, or its count was used on this connection before: to be
    /// challenged with `stale`, and not counted. Of a nonce that is not live it is not said whether the answer would
    /// have been right, else guesses could be made with it that nobody counts.
    Stale {
        /// As claimed.
        user: String,
    },
}

/// What one connection has answered: no answer to a nonce with a count is good twice there (RFC 7616 §3.4, nc), nor is
/// one to a nonce that is older than the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// When the last nonce was made, and its last count.
    last: Option<(MonoTime, u32)>,
}

impl Verdict {
    /// The user that the answer names, if there was one: a lock-out concerns right answers too.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Granted { user, .. } => Some(user),
            Self::Wrong { user } | Self::Stale { user } => Some(user),
            Self::Missing => None,
        }
    }
}

impl Digest {
    /// Nonces of one do not hold for another.
    pub fn new(algorithm: DigestAlgorithm) -> Self {
        let nonces = Nonces::new();
        let nobody = algorithm.hash(&[nonces.secret()]);
        Self { algorithm, nonces, nobody }
    }

    pub fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }

    /// The value of a WWW-Authenticate header. Its nonce is good for a day on all connections from `address`, so that a
    /// client need not be challenged on each, and an answer overheard is of no use elsewhere.
    ///
    /// The order is live555's, which reads no other.
    pub fn challenge(&self, address: IpAddr, now: MonoTime, stale: bool) -> String {
        let nonce = self.nonces.make(address, now);
        let algorithm = match self.algorithm {
            DigestAlgorithm::Md5 => "",
            DigestAlgorithm::Sha256 => ", algorithm=SHA-256",
        };
        format!(r#"Digest realm="{REALM}", nonce="{nonce}", stale={stale}, qop="auth"{algorithm}"#)
    }

    /// Judges the value of a request's Authorization header, as it came. Any header is safe to give.
    pub fn verify(
        &self,
        users: &Users,
        method: &str,
        authorization: Option<&[u8]>,
        address: IpAddr,
        answered: &mut Answered,
        now: MonoTime,
    ) -> Verdict {
        let Some(credentials) = authorization.and_then(Credentials::parse) else { return Verdict::Missing };
        let claimed = credentials.username();
        let Some(made) = self.nonces.made(&credentials.nonce, address, now) else {
            return Verdict::Stale { user: claimed.into_owned() };
        };
        let known = users.ha1(&claimed, self.algorithm);
        let ha1 = known.map_or(&self.nobody[..], |(_, ha1)| ha1);
        let expected = credentials.response(self.algorithm, ha1, method);
        let right = bool::from(expected.ct_eq(&credentials.given()));
        let Some((user, _)) = known.filter(|_| right) else { return Verdict::Wrong { user: claimed.into_owned() } };
        if let Some(count) = credentials.count() {
            let next = Some((made, count));
            if next <= answered.last {
                return Verdict::Stale { user: claimed.into_owned() };
            }
            answered.last = next;
        }
        Verdict::Granted { user: user.clone(), uri: credentials.uri().into_owned() }
    }
}
