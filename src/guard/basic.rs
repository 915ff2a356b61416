//! Basic authentication (RFC 7617). The password is told in clear: for connections inside TLS alone, and never asked for,
//! as a challenge stands alone.

use super::{
    Verdict,
    digest::DigestAlgorithm,
    ha1::{REALM, ha1_md5, ha1_sha256},
    users::Users,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use subtle::ConstantTimeEq;

/// Judges the value of an Authorization header; None if it is of another scheme. `url` is the request's: a password, other
/// than a digest, is good for any.
pub fn verify(users: &Users, authorization: &[u8], url: &str) -> Option<Verdict> {
    let text = authorization.trim_ascii();
    let (scheme, encoded) = text.split_at(text.iter().position(u8::is_ascii_whitespace)?);
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim_ascii()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let Some((user, password)) = decoded.as_deref().and_then(|text| text.split_once(':')) else {
        return Some(Verdict::Missing);
    };
    // Both are made for anybody, so that who does not exist takes the same time.
    let (md5, sha256) = (ha1_md5(user, REALM, password), ha1_sha256(user, REALM, password));
    let is = |algorithm, given: &[u8]| {
        users.ha1(user, algorithm).filter(|(_, ha1)| bool::from(ha1.ct_eq(given))).map(|(name, _)| name.clone())
    };
    let known = is(DigestAlgorithm::Md5, &md5).or_else(|| is(DigestAlgorithm::Sha256, &sha256));
    Some(match known {
        Some(user) => Verdict::Granted { user, uri: url.to_owned() },
        None => Verdict::Wrong { user: user.to_owned() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::User;

    #[test]
    fn a_password_opens_whatever_digest_is_kept() {
        let both = User { name: "nvr".into(), password: Some("a:b".into()), ..User::default() };
        let one = User { name: "old".into(), md5_ha1: Some(ha1_md5("old", REALM, "x")), ..User::default() };
        let users = Users::new([both, one]);
        let header = |text: &str| format!("BASIC  {}", STANDARD.encode(text)).into_bytes();
        let granted = |user: &str| Some(Verdict::Granted { user: user.into(), uri: "rtsp://h/main".into() });
        let verify = |header: &[u8]| verify(&users, header, "rtsp://h/main");
        let wrong = |user: &str| Some(Verdict::Wrong { user: user.into() });
        assert_eq!(verify(&header("nvr:a:b")), granted("nvr"));
        assert_eq!(verify(&header("old:x")), granted("old"));
        assert_eq!(verify(&header("nvr:a")), wrong("nvr"));
        assert_eq!(verify(&header("nobody:a:b")), wrong("nobody"));
        assert_eq!(verify(&header("no colon")), Some(Verdict::Missing));
        assert_eq!(verify(b"Basic !!!"), Some(Verdict::Missing));
        assert_eq!(verify(b"Digest username=\"nvr\""), None);
        assert_eq!(verify(b""), None);
    }
}
