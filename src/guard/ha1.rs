use md5::{Digest, Md5};
use sha2::Sha256;

/// The realm of every challenge and of every stored digest: another would void them all.
pub const REALM: &str = "Eyrie";

/// MD5 of `user:realm:password`, the HA1 of RFC 2617 §3.2.2.2: what a config keeps instead of a password.
pub fn ha1_md5(user: &str, realm: &str, password: &str) -> [u8; 16] {
    Md5::digest(format!("{user}:{realm}:{password}")).into()
}

/// The same with SHA-256 (RFC 7616 §3.4.2).
pub fn ha1_sha256(user: &str, realm: &str, password: &str) -> [u8; 32] {
    Sha256::digest(format!("{user}:{realm}:{password}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The password of RFC 7616 §3.9.1; the digests are coreutils' `md5sum` and `sha256sum`.
    #[test]
    fn digests_as_the_rfcs_have_them() {
        let (user, realm, password) = ("Mufasa", "http-auth@example.org", "Circle of Life");
        assert_eq!(hex::encode(ha1_md5(user, realm, password)), "3d78807defe7de2157e2b0b6573a855f");
        assert_eq!(
            hex::encode(ha1_sha256(user, realm, password)),
            "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232"
        );
    }
}
