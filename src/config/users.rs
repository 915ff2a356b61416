//! `[[user]]`: names, digests and what they may see.

use super::{Digest, REALM, Role, StreamConfig, UserConfig, forms, section::Section};
use md5::{Digest as _, Md5};
use sha2::Sha256;

/// What is in the way of a password in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy {
    Private,
    /// The file can be read by "other".
    Open,
}

/// One `[[user]]`, whose digests suit the server's challenge.
pub(super) fn user(
    mut s: Section<'_, '_>,
    digest: Digest,
    secrecy: Secrecy,
    streams: &[StreamConfig],
    others: &[UserConfig],
) -> Option<UserConfig> {
    let name = s.required("name", forms::text(USER_NAME)).unwrap_or_default();
    if !name.is_empty() && !is_user_name(&name) {
        s.refuse_key("name", format!("{name:?} cannot be a user's name"), USER_NAME);
    }
    if !name.is_empty() && others.iter().any(|other| other.name == name) {
        s.refuse_key("name", format!("there already is a user {name:?}"), "each user once");
    }
    let mut md5 = s.optional("md5", forms::hex());
    let mut sha256 = s.optional("sha256", forms::hex());
    if let Some(password) = s.optional("password", forms::secret()) {
        if secrecy == Secrecy::Open {
            let expected =
                "a file that \"other\" cannot read (chmod o= FILE), or the digests that `eyrie passwd` prints";
            s.refuse_key("password", "stands in a file that everybody can read", expected);
        }
        if md5.is_some() || sha256.is_some() {
            s.refuse_key("password", "stands beside a digest", "either the password or the digests");
        }
        let (of_md5, of_sha256) = digests(&name, &password);
        (md5, sha256) = (Some(of_md5), Some(of_sha256));
    }
    let role =
        s.or("role", forms::choice(&[("view", Role::View), ("talk", Role::Talk), ("admin", Role::Admin)]), Role::View);
    let user = UserConfig { md5, sha256, role, streams: user_streams(&mut s, streams), name };
    match (digest, md5, sha256) {
        (_, None, None) => s.refuse("has no password", "md5 and sha256 as `eyrie passwd NAME` prints them"),
        (Digest::Md5, None, _) => s.refuse("has no md5", "md5, as server.digest = \"md5\" asks for it"),
        (Digest::Sha256, _, None) => s.refuse("has no sha256", "sha256, as server.digest = \"sha256\" asks for it"),
        _ => {}
    }
    s.finish();
    Some(user)
}

/// Which streams a user may see: all, or those named, which there must be.
fn user_streams(s: &mut Section<'_, '_>, streams: &[StreamConfig]) -> Vec<String> {
    let names = s.set("streams", forms::text("\"*\" or the name of a stream"), vec!["*".to_owned()]);
    let known: Vec<_> = streams.iter().map(|stream| stream.name.as_str()).collect();
    // The built-in streams are as many as there are cameras.
    let numbered = |n: &str| n.is_empty() || n.parse::<u32>().is_ok_and(|n| n >= 2);
    let built_in = |name: &str| name == "sub" || name.strip_prefix("main").is_some_and(numbered);
    for name in &names {
        let there = if streams.is_empty() { built_in(name) } else { known.contains(&name.as_str()) };
        if name != "*" && !there {
            let meant = forms::nearest(name, known.iter().copied());
            let meant = meant.map_or(String::new(), |name| format!(", did you mean {name:?}?"));
            let expected = forms::one_of(std::iter::once(&"*").chain(&known).map(|name| format!("{name:?}")));
            s.refuse_key("streams", format!("no stream is named {name:?}{meant}"), expected);
        }
    }
    names
}

const USER_NAME: &str = "a name of 1 to 64 characters without `:`, `\"` and `\\`";

/// Whether a digest can be made for that name (RFC 7616 §3.4.4) and a URL be written with it.
pub fn is_user_name(name: &str) -> bool {
    forms::is_plain(name) && name.chars().count() <= 64 && !name.contains([':', '"', '\\'])
}

/// MD5 and SHA-256 of `NAME:Eyrie:PASSWORD`, the HA1 of RFC 7616 §3.4.2.
pub fn digests(name: &str, password: &str) -> ([u8; 16], [u8; 32]) {
    let ha1 = format!("{name}:{REALM}:{password}");
    (Md5::digest(&ha1).into(), Sha256::digest(&ha1).into())
}
