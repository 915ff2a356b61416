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
use std::sync::Arc;
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

/// Makes challenges and judges the answers. Remembers nothing of either: a nonce carries its own proof.
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
    /// A wrong answer, or no such user: to be counted and challenged.
    Wrong {
        /// As claimed.
        user: String,
    },
    /// The right answer to a nonce that is too old, or another connection's: to be challenged with `stale`, and not
    /// counted.
    Stale { user: Arc<str> },
}

impl Verdict {
    /// The user that the answer names, if there was one: a lock-out concerns right answers too.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Granted { user, .. } | Self::Stale { user } => Some(user),
            Self::Wrong { user } => Some(user),
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

    /// The value of a WWW-Authenticate header. `connection` is any number that no other open connection has: the
    /// nonce is good on that one alone, so that an answer overheard is of no use on another.
    ///
    /// The order is live555's, which reads no other.
    pub fn challenge(&self, connection: u64, now: MonoTime, stale: bool) -> String {
        let nonce = self.nonces.make(connection, now);
        let algorithm = match self.algorithm {
            DigestAlgorithm::Md5 => "",
            DigestAlgorithm::Sha256 => ", algorithm=SHA-256",
        };
        format!(r#"Digest realm="{REALM}", nonce="{nonce}", stale={stale}, qop="auth"{algorithm}"#)
    }

    /// Judges the value of a request's Authorization header, as it came. Any header is safe to give.
    ///
    /// A nonce-count that repeats is taken: clients that begin anew on a connection do that, and nobody else has
    /// the nonce.
    pub fn verify(
        &self,
        users: &Users,
        method: &str,
        authorization: Option<&[u8]>,
        connection: u64,
        now: MonoTime,
    ) -> Verdict {
        let Some(credentials) = authorization.and_then(Credentials::parse) else { return Verdict::Missing };
        let claimed = credentials.username();
        let known = users.ha1(&claimed, self.algorithm);
        let ha1 = known.map_or(&self.nobody[..], |(_, ha1)| ha1);
        let expected = credentials.response(self.algorithm, ha1, method);
        let right = bool::from(expected.ct_eq(&credentials.given()));
        match known {
            Some((user, _)) if right && self.nonces.is_fresh(&credentials.nonce, connection, now) => {
                Verdict::Granted { user: user.clone(), uri: credentials.uri().into_owned() }
            }
            Some((user, _)) if right => Verdict::Stale { user: user.clone() },
            _ => Verdict::Wrong { user: claimed.into_owned() },
        }
    }
}
