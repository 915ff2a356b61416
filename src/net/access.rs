use crate::{
    guard::{AccessList, Digest, DigestAlgorithm, Lockout, LockoutLimits, Users, Verdict, basic},
    rtsp::{Answer, ConnectionId, Refusal, same_target},
    time::MonoTime,
};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
};

/// Who is let in.
#[derive(Clone, Debug)]
pub struct AccessRules {
    pub users: Users,
    /// Anybody may view.
    pub anonymous: bool,
    pub admitted: AccessList,
    pub limits: LockoutLimits,
    pub algorithm: DigestAlgorithm,
}

/// The rules, and what guessers did so far; shared by all workers.
pub struct Access {
    rules: AccessRules,
    digest: Arc<Digest>,
    lockout: Arc<Mutex<Lockout>>,
}

/// A request that asks to be let in.
pub struct Login<'a> {
    pub address: IpAddr,
    pub connection: ConnectionId,
    /// Inside TLS: a password may come in clear.
    pub secure: bool,
    pub method: &'a str,
    /// As the client sent it.
    pub url: &'a str,
    /// The value of its Authorization header.
    pub authorization: Option<&'a str>,
}

impl Access {
    /// New rules; nonces and lock-outs of `before` go on.
    pub fn new(rules: AccessRules, before: Option<&Access>) -> Arc<Self> {
        let digest = before.map(|before| before.digest.clone()).filter(|digest| digest.algorithm() == rules.algorithm);
        let lockout =
            before.map_or_else(|| Arc::new(Mutex::new(Lockout::new(rules.limits))), |before| before.lockout.clone());
        lockout.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).set_limits(rules.limits);
        Arc::new(Self { digest: digest.unwrap_or_else(|| Arc::new(Digest::new(rules.algorithm))), lockout, rules })
    }

    /// Whether this address may connect at all.
    pub fn admits(&self, address: IpAddr) -> bool {
        self.rules.admitted.admits(address)
    }

    /// Whether a session of this user (None: anonymous) may go on.
    pub fn may_still_view(&self, user: Option<&str>, stream: &str) -> bool {
        self.rules.anonymous || user.is_some_and(|user| self.rules.users.may_view(user, stream))
    }

    /// Who it is; None: anybody.
    ///
    /// # Errors
    /// The answer that it gets instead: a challenge, or 403 while locked out.
    pub fn log_in(&self, login: &Login<'_>, now: MonoTime) -> Result<Option<Arc<str>>, Answer> {
        if self.rules.anonymous {
            return Ok(None);
        }
        let authorization = login.authorization.map(str::as_bytes);
        let connection = login.connection.0;
        let users = &self.rules.users;
        let basic = authorization.filter(|_| login.secure).and_then(|value| basic::verify(users, value, login.url));
        let verdict = basic.unwrap_or_else(|| self.digest.verify(users, login.method, authorization, connection, now));
        let mut lockout = self.lockout.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if verdict.user().is_some_and(|user| lockout.is_locked(login.address, user, now)) {
            return Err(Answer::Refused(Refusal::Forbidden));
        }
        let challenge = |stale| Err(Answer::Challenge(self.digest.challenge(connection, now, stale)));
        match verdict {
            Verdict::Granted { user, uri } if same_target(&uri, login.url) => Ok(Some(user)),
            // The right password, for something else.
            Verdict::Granted { .. } | Verdict::Missing => challenge(false),
            Verdict::Stale { .. } => challenge(true),
            Verdict::Wrong { user } => {
                tracing::warn!(peer = %login.address, user, "wrong user or password");
                if lockout.failed(login.address, &user, now) {
                    tracing::warn!(peer = %login.address, user, "locked out");
                }
                challenge(false)
            }
        }
    }

    /// Whether this user (None: anybody) may view the stream.
    pub fn may_view(&self, user: Option<&str>, stream: &str) -> bool {
        user.is_none_or(|user| self.rules.users.may_view(user, stream))
    }
}
