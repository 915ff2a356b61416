use super::{
    digest::DigestAlgorithm,
    ha1::{REALM, ha1_md5, ha1_sha256},
};
use std::{
    collections::HashMap,
    fmt::{self, Debug, Formatter},
    sync::Arc,
};

/// What a user may do; each role includes those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    #[default]
    View,
    /// Also speak through the camera.
    Talk,
    Admin,
}

/// One who may log in. A digest left out is made from the password, if there is one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct User {
    pub name: String,
    /// [`ha1_md5`] with [`REALM`].
    pub md5_ha1: Option<[u8; 16]>,
    /// [`ha1_sha256`] with [`REALM`].
    pub sha256_ha1: Option<[u8; 32]>,
    pub password: Option<String>,
    pub role: Role,
    /// Names of the streams that may be viewed; `*` is all of them.
    pub streams: Vec<String>,
}

/// Without the secrets.
impl Debug for User {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("role", &self.role)
            .field("streams", &self.streams)
            .finish_non_exhaustive()
    }
}

/// All users by name.
#[derive(Clone, Debug, Default)]
pub struct Users(HashMap<Arc<str>, User>);

impl Users {
    /// Passwords are turned into digests and forgotten. Of two users of one name the last counts.
    pub fn new(users: impl IntoIterator<Item = User>) -> Self {
        let digested = |mut user: User| {
            if let Some(password) = user.password.take() {
                user.md5_ha1.get_or_insert_with(|| ha1_md5(&user.name, REALM, &password));
                user.sha256_ha1.get_or_insert_with(|| ha1_sha256(&user.name, REALM, &password));
            }
            (Arc::from(user.name.as_str()), user)
        };
        Self(users.into_iter().map(digested).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The user of this name, whose `password` is always None.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.0.get(name)
    }

    /// Whether `user` exists and may view the stream of this name.
    pub fn may_view(&self, user: &str, stream: &str) -> bool {
        self.user(user).is_some_and(|user| user.streams.iter().any(|name| name == "*" || name == stream))
    }

    /// Whether `user` exists and has at least this role.
    pub fn has_role(&self, user: &str, role: Role) -> bool {
        self.user(user).is_some_and(|user| user.role >= role)
    }

    /// The name, shared, and the HA1 of a user who has one for `algorithm`.
    pub(super) fn ha1(&self, name: &str, algorithm: DigestAlgorithm) -> Option<(&Arc<str>, &[u8])> {
        let (name, user) = self.0.get_key_value(name)?;
        let ha1 = match algorithm {
            DigestAlgorithm::Md5 => user.md5_ha1.as_ref()?.as_slice(),
            DigestAlgorithm::Sha256 => user.sha256_ha1.as_ref()?.as_slice(),
        };
        Some((name, ha1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        let user = |name: &str, role, streams: &[&str]| User {
            name: name.into(),
            password: Some("secret".into()),
            role,
            streams: streams.iter().map(|name| name.to_string()).collect(),
            ..User::default()
        };
        Users::new([
            user("nvr", Role::View, &["*"]),
            user("guest", Role::Talk, &["sub"]),
            user("nobody", Role::Admin, &[]),
        ])
    }

    #[test]
    fn streams_are_those_named() {
        let users = users();
        let table = [
            ("nvr", "main", true),
            ("guest", "sub", true),
            ("guest", "main", false),
            ("guest", "*", false),
            ("nobody", "main", false),
            ("stranger", "main", false),
        ];
        for (user, stream, may) in table {
            assert_eq!(users.may_view(user, stream), may, "{user} {stream}");
        }
    }

    #[test]
    fn a_role_includes_those_before_it() {
        let users = users();
        assert!(users.has_role("guest", Role::View) && users.has_role("guest", Role::Talk));
        assert!(!users.has_role("guest", Role::Admin) && !users.has_role("stranger", Role::View));
    }

    #[test]
    fn a_password_becomes_digests_and_is_forgotten() {
        let users = users();
        let user = users.user("nvr").unwrap();
        assert_eq!(user.password, None);
        assert_eq!(user.md5_ha1, Some(ha1_md5("nvr", "Eyrie", "secret")));
        assert_eq!(user.sha256_ha1, Some(ha1_sha256("nvr", "Eyrie", "secret")));
        assert!(!format!("{:?}", User { password: Some("secret".into()), ..user.clone() }).contains("secret"));
    }
}
