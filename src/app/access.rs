//! Users, and the password that Eyrie makes itself.

use super::secret;
use crate::{
    config::{self, Config, StreamConfig},
    guard::{AccessList, DigestAlgorithm, LockoutLimits, Role, User, Users, make_password},
    net::AccessRules,
};
use std::{fs, io, path::Path};

/// Who may view where no user is configured.
pub const MADE_USER: &str = "viewer";
const PASSWORD_FILE: &str = "viewer.password";

/// The rules of a config. `made` is the password of [`MADE_USER`], if there is that user.
pub fn rules(config: &Config, anonymous: bool, made: Option<&str>) -> AccessRules {
    let server = &config.server;
    let configured = config.users.iter().map(|user| User {
        name: user.name.clone(),
        md5_ha1: user.md5,
        sha256_ha1: user.sha256,
        password: None,
        role: match user.role {
            config::Role::View => Role::View,
            config::Role::Talk => Role::Talk,
            config::Role::Admin => Role::Admin,
        },
        streams: user.streams.clone(),
    });
    let made = made.map(|password| User {
        name: MADE_USER.to_owned(),
        password: Some(password.to_owned()),
        streams: vec!["*".to_owned()],
        ..User::default()
    });
    AccessRules {
        users: Users::new(configured.chain(made)),
        anonymous: anonymous || server.anonymous,
        admitted: AccessList::new(server.allow.iter().copied(), server.deny.iter().copied()),
        admitted_to: config.streams.iter().map(|stream| (stream.name.clone(), admitted_to(stream))).collect(),
        limits: LockoutLimits {
            failures: server.lockout.failures,
            within: server.lockout.within,
            lasts: server.lockout.duration,
        },
        algorithm: match server.digest {
            config::Digest::Md5 => DigestAlgorithm::Md5,
            config::Digest::Sha256 => DigestAlgorithm::Sha256,
        },
    }
}

fn admitted_to(stream: &StreamConfig) -> AccessList {
    AccessList::new(stream.allow.iter().copied(), stream.deny.iter().copied())
}

/// The password made at the first start, or a new one, kept in `state_dir` where only its owner reads it.
///
/// # Errors
/// The folder cannot be made or written; the text names it.
pub fn made_password(state_dir: &Path) -> io::Result<String> {
    let file = state_dir.join(PASSWORD_FILE);
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.display()));
    match fs::read_to_string(&file) {
        Ok(password) if !password.trim().is_empty() => return Ok(password.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(named(error)),
    }
    let password = make_password();
    secret::write(state_dir, &file, &format!("{password}\n")).map_err(named)?;
    Ok(password)
}

/// The password that was made, where this process may read it.
pub fn kept_password(state_dir: &Path) -> Option<String> {
    let kept = fs::read_to_string(state_dir.join(PASSWORD_FILE)).ok()?;
    Some(kept.trim().to_owned()).filter(|password| !password.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_made_password_is_kept_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("deep/state");
        assert_eq!(kept_password(&state_dir), None);
        let password = made_password(&state_dir).unwrap();
        assert!(password.len() >= 12, "{password}");
        assert_eq!(kept_password(&state_dir).as_ref(), Some(&password));
        assert_eq!(made_password(&state_dir).unwrap(), password);
        let file = state_dir.join(PASSWORD_FILE);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("{password}\n"));
        fs::write(&file, "").unwrap();
        assert_ne!(made_password(&state_dir).unwrap(), "");
    }
}
