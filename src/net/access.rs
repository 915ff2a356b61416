use super::audit::Trail;
use crate::{
    guard::{
        AccessList, Answered, AuditEvent, AuditRecord, Digest, DigestAlgorithm, Lockout, LockoutLimits, Users, Verdict,
        basic,
    },
    rtsp::{Answer, Refusal, same_target},
    time::{MonoTime, WallTime},
};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

/// Who is let in.
#[derive(Clone, Debug)]
pub struct AccessRules {
    pub users: Users,
    /// Anybody may view.
    pub anonymous: bool,
    /// Who may connect.
    pub admitted: AccessList,
    /// And who of them may view a stream, by its name; all, where it is not named.
    pub admitted_to: HashMap<String, AccessList>,
    pub limits: LockoutLimits,
    pub algorithm: DigestAlgorithm,
}

/// The rules, and what guessers did so far; shared by all workers. What it decides on logins stands in the audit trail.
pub struct Access {
    rules: AccessRules,
    digest: Arc<Digest>,
    lockout: Arc<Mutex<Lockout>>,
    trail: Trail,
}

/// What a connection has shown of who is behind it.
#[derive(Debug, Default)]
pub struct Visitor {
    answered: Answered,
    /// Who gave the last right answer.
    user: Option<Arc<str>>,
}

/// A request that asks to be let in.
pub struct Login<'a> {
    pub peer: SocketAddr,
    /// Inside TLS: a password may come in clear.
    pub secure: bool,
    pub method: &'a str,
    /// As the client sent it.
    pub url: &'a str,
    /// The value of its Authorization header.
    pub authorization: Option<&'a str>,
    /// Whether this client has a session open as that user: a lock-out does not concern it.
    pub has_session: &'a dyn Fn(&str) -> bool,
}

/// What a request gets instead of being let in.
pub struct Denied {
    /// A challenge, or 403 while locked out.
    pub answer: Answer,
    /// How long that is to be held back.
    pub delay: Duration,
}

impl Access {
    /// New rules.
    pub fn new(rules: AccessRules, trail: Trail) -> Arc<Self> {
        let lockout = Arc::new(Mutex::new(Lockout::new(rules.limits)));
        Arc::new(Self { digest: Arc::new(Digest::new(rules.algorithm)), lockout, trail, rules })
    }

    /// Other rules; nonces and lock-outs of before go on.
    pub fn changed(&self, rules: AccessRules) -> Arc<Self> {
        let kept = self.digest.algorithm() == rules.algorithm;
        let digest = if kept { self.digest.clone() } else { Arc::new(Digest::new(rules.algorithm)) };
        self.lockout().set_limits(rules.limits);
        Arc::new(Self { digest, lockout: self.lockout.clone(), trail: self.trail.clone(), rules })
    }

    /// Whether this address may connect at all.
    pub fn admits(&self, address: IpAddr) -> bool {
        self.rules.admitted.admits(address)
    }

    /// Whether a session of this user (None: anonymous) from this address may go on.
    pub fn may_still_view(&self, user: Option<&str>, address: IpAddr, stream: &str) -> bool {
        let known = self.rules.anonymous || user.is_some_and(|user| self.rules.users.may_view(user, stream));
        known && self.admits(address) && self.admits_to(stream, address)
    }

    /// As [`Access::may_still_view`], of somebody who came in under the rules of `before`: a changed password is a lost right.
    pub fn knows_still(&self, before: &Self, user: Option<&str>, address: IpAddr, stream: &str) -> bool {
        let same = |name: &str| {
            let (before, now) = (before.rules.users.user(name)?, self.rules.users.user(name)?);
            let md5 = before.md5_ha1.zip(now.md5_ha1).map(|(before, now)| before == now);
            md5.or(before.sha256_ha1.zip(now.sha256_ha1).map(|(before, now)| before == now))
        };
        self.may_still_view(user, address, stream) && user.and_then(same).unwrap_or(true)
    }

    /// Whether this user (None: anybody) at this address may view the stream.
    pub fn may_view(&self, user: Option<&str>, address: IpAddr, stream: &str) -> bool {
        user.is_none_or(|user| self.rules.users.may_view(user, stream)) && self.admits_to(stream, address)
    }

    fn admits_to(&self, stream: &str, address: IpAddr) -> bool {
        self.rules.admitted_to.get(stream).is_none_or(|list| list.admits(address))
    }

    /// Who it is; None: anybody.
    ///
    /// # Errors
    /// The answer that it gets instead.
    pub fn log_in(&self, login: &Login<'_>, visitor: &mut Visitor, now: MonoTime) -> Result<Option<Arc<str>>, Denied> {
        if self.rules.anonymous {
            return Ok(None);
        }
        let (address, method) = (login.peer.ip(), login.method);
        let authorization = login.authorization.map(str::as_bytes);
        let users = &self.rules.users;
        let basic = authorization.filter(|_| login.secure).and_then(|value| basic::verify(users, value, login.url));
        let verdict = basic
            .unwrap_or_else(|| self.digest.verify(users, method, authorization, address, &mut visitor.answered, now));
        let is_locked_out = |user: &str| self.lockout().is_locked(address, user, now) && !(login.has_session)(user);
        if verdict.user().is_some_and(is_locked_out) {
            return Err(Denied { answer: Answer::Refused(Refusal::Forbidden), delay: Duration::ZERO });
        }
        let (stale, delay) = match verdict {
            Verdict::Granted { user, uri } if same_target(&uri, login.url) => {
                if visitor.user.as_ref() != Some(&user) {
                    self.tell(self.record(AuditEvent::Login).from(login.peer).by(Some(&user)));
                    visitor.user = Some(user.clone());
                }
                return Ok(Some(user));
            }
            // The right password, for something else.
            Verdict::Granted { .. } | Verdict::Missing => (false, Duration::ZERO),
            Verdict::Stale { .. } => (true, Duration::ZERO),
            Verdict::Wrong { user } => (false, self.failed(login.peer, &user, now)),
        };
        Err(Denied { answer: Answer::Challenge(self.digest.challenge(address, now, stale)), delay })
    }

    /// How long the refusal of a wrong answer is held back.
    fn failed(&self, peer: SocketAddr, user: &str, now: MonoTime) -> Duration {
        let penalty = self.lockout().failed(peer.ip(), user, now);
        self.tell(self.record(AuditEvent::LoginFailed).from(peer).by(Some(user)));
        if penalty.locked_out {
            self.tell(self.record(AuditEvent::Lockout).from(peer).by(Some(user)));
        }
        penalty.delay
    }

    /// Ends the lock-outs of one address, or all; how many that were.
    pub fn unban(&self, address: Option<IpAddr>, now: MonoTime) -> usize {
        let ended = self.lockout().unban(address, now);
        for (address, user) in &ended {
            self.tell(self.record(AuditEvent::Unban).of(*address).by(Some(user)));
        }
        ended.len()
    }

    /// Puts a record into the audit trail.
    pub fn tell(&self, record: AuditRecord) {
        self.trail.tell(record);
    }

    /// A record of what happens now.
    pub fn record(&self, event: AuditEvent) -> AuditRecord {
        AuditRecord::new(WallTime::now(), event)
    }

    fn lockout(&self) -> MutexGuard<'_, Lockout> {
        self.lockout.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
