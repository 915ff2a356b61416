use crate::time::MonoTime;
use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

/// No more pairs of address and user are remembered than this.
const MAX_ENTRIES: usize = 10_000;
/// A user's name is remembered to this length, in octets: it comes from whoever likes to send one.
const MAX_NAME: usize = 64;

/// From the third wrong answer on each is held back, the first of them for this long, each next one for twice as long as
/// the one before.
const FIRST_DELAY: Duration = Duration::from_millis(25);
/// But no longer than this: an answer is awaited by people too.
const LONGEST_DELAY: Duration = Duration::from_millis(400);

/// What follows from a wrong answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Penalty {
    /// How long the refusal is to be held back.
    pub delay: Duration,
    /// It began a lock-out.
    pub locked_out: bool,
}

/// After how many wrong answers a guesser is locked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockoutLimits {
    /// Wrong answers; 0 turns lock-out off.
    pub failures: u32,
    /// Within which time they count.
    pub within: Duration,
    /// How long the lock-out lasts.
    pub lasts: Duration,
}

impl Default for LockoutLimits {
    fn default() -> Self {
        Self { failures: 10, within: Duration::from_secs(60), lasts: Duration::from_secs(60) }
    }
}

/// Locks an address out of one user's account after too many wrong answers. Other addresses of that user, and other
/// users of that address, are not touched.
#[derive(Debug)]
pub struct Lockout {
    limits: LockoutLimits,
    entries: HashMap<(IpAddr, Box<str>), Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    /// When the wrong answers came, oldest first; no more than `failures` of them.
    failures: VecDeque<MonoTime>,
    locked_until: Option<MonoTime>,
}

impl Entry {
    fn last(&self) -> MonoTime {
        self.failures.back().copied().unwrap_or_default()
    }

    fn is_locked(&self, now: MonoTime) -> bool {
        self.locked_until.is_some_and(|until| now < until)
    }

    /// Whether it still counts for anything.
    fn is_live(&self, limits: &LockoutLimits, now: MonoTime) -> bool {
        self.is_locked(now) || now < self.last() + limits.within
    }
}

impl Lockout {
    pub fn new(limits: LockoutLimits) -> Self {
        Self { limits, entries: HashMap::new() }
    }

    /// Takes other limits. Lock-outs that run go on, unless the new limits turn them off.
    pub fn set_limits(&mut self, limits: LockoutLimits) {
        self.limits = limits;
        if limits.failures == 0 {
            self.entries.clear();
        }
    }

    /// Whether this address is locked out of this user's account; to be asked before its answer is looked at.
    pub fn is_locked(&self, address: IpAddr, user: &str, now: MonoTime) -> bool {
        self.entries.get(&key(address, user)).is_some_and(|entry| entry.is_locked(now))
    }

    /// Counts a wrong answer.
    pub fn failed(&mut self, address: IpAddr, user: &str, now: MonoTime) -> Penalty {
        let limits = self.limits;
        if limits.failures == 0 {
            return Penalty::default();
        }
        let key = key(address, user);
        if self.entries.len() >= MAX_ENTRIES && !self.entries.contains_key(&key) {
            self.make_room(now);
        }
        let entry = self.entries.entry(key).or_default();
        if entry.is_locked(now) {
            return Penalty::default();
        }
        entry.failures.push_back(now);
        while entry.failures.front().is_some_and(|first| now >= *first + limits.within) {
            entry.failures.pop_front();
        }
        let delay = match entry.failures.len() {
            0..3 => Duration::ZERO,
            count => LONGEST_DELAY.min(FIRST_DELAY.saturating_mul(1 << (count - 3).min(10))),
        };
        let locked_out = entry.failures.len() >= limits.failures as usize;
        if locked_out {
            entry.failures.clear();
            entry.locked_until = Some(now + limits.lasts);
        }
        Penalty { delay, locked_out }
    }

    /// Forgets the lock-outs and wrong answers of one address, or of all. The lock-outs that this ended.
    pub fn unban(&mut self, address: Option<IpAddr>, now: MonoTime) -> Vec<(IpAddr, Box<str>)> {
        let address = address.map(|address| address.to_canonical());
        let forgotten = self.entries.extract_if(|(from, _), _| address.is_none_or(|address| address == *from));
        forgotten.filter(|(_, entry)| entry.is_locked(now)).map(|(who, _)| who).collect()
    }

    /// The address and user of each lock-out.
    pub fn locked(&self, now: MonoTime) -> impl Iterator<Item = (IpAddr, &str)> {
        self.entries.iter().filter(move |(_, entry)| entry.is_locked(now)).map(|((from, user), _)| (*from, &**user))
    }

    /// Drops what no longer counts; if that is not enough, the older half of what is not locked out, or of all: a
    /// guesser who invents names must not push out the lock-out that he has earned.
    fn make_room(&mut self, now: MonoTime) {
        let limits = self.limits;
        self.entries.retain(|_, entry| entry.is_live(&limits, now));
        let most = MAX_ENTRIES / 2;
        if self.entries.len() > most {
            let rank = |entry: &Entry| (entry.is_locked(now), entry.locked_until.unwrap_or_default(), entry.last());
            let mut ranks: Vec<_> = self.entries.values().map(rank).collect();
            ranks.sort_unstable();
            let threshold = ranks[ranks.len() - most];
            self.entries.retain(|_, entry| rank(entry) > threshold);
        }
    }
}

fn key(address: IpAddr, user: &str) -> (IpAddr, Box<str>) {
    let mut end = user.len().min(MAX_NAME);
    while !user.is_char_boundary(end) {
        end -= 1;
    }
    (address.to_canonical(), user[..end].into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 1, 7));

    fn at(seconds: u64) -> MonoTime {
        MonoTime::from_timespec(1000 + seconds, 0)
    }

    #[test]
    fn ten_wrong_answers_within_a_minute_lock_out_for_a_minute() {
        let mut lockout = Lockout::new(LockoutLimits::default());
        for second in 0..9 {
            assert!(!lockout.failed(HOME, "nvr", at(second)).locked_out);
        }
        assert!(!lockout.is_locked(HOME, "nvr", at(9)));
        assert!(lockout.failed(HOME, "nvr", at(9)).locked_out);
        assert!(lockout.is_locked(HOME, "nvr", at(9)));
        assert!(lockout.is_locked("::ffff:192.168.1.7".parse().unwrap(), "nvr", at(68)));
        assert!(!lockout.is_locked(HOME, "nvr", at(69)));
        assert!(!lockout.failed(HOME, "nvr", at(70)).locked_out, "it counts from none again");
    }

    #[test]
    fn refusals_are_held_back_longer_and_longer() {
        let mut lockout = Lockout::new(LockoutLimits::default());
        let delays = std::iter::repeat_with(|| lockout.failed(HOME, "nvr", at(0)).delay.as_millis());
        assert_eq!(delays.take(10).collect::<Vec<_>>(), [0, 0, 25, 50, 100, 200, 400, 400, 400, 400]);
        assert_eq!(lockout.failed(HOME, "other", at(0)).delay, Duration::ZERO, "of this user alone");
    }

    #[test]
    fn only_this_user_at_this_address() {
        let mut lockout = Lockout::new(LockoutLimits { failures: 1, ..LockoutLimits::default() });
        assert!(lockout.failed(HOME, "nvr", at(0)).locked_out);
        assert_eq!(lockout.locked(at(1)).collect::<Vec<_>>(), [(HOME, "nvr")]);
        assert!(!lockout.is_locked(HOME, "admin", at(1)));
        assert!(!lockout.is_locked("192.168.1.8".parse().unwrap(), "nvr", at(1)));
    }

    #[test]
    fn old_failures_do_not_count() {
        let mut lockout = Lockout::new(LockoutLimits { failures: 2, ..LockoutLimits::default() });
        assert!(!lockout.failed(HOME, "nvr", at(0)).locked_out);
        assert!(!lockout.failed(HOME, "nvr", at(60)).locked_out);
        assert!(lockout.failed(HOME, "nvr", at(119)).locked_out);
    }

    #[test]
    fn answers_during_a_lock_out_do_not_lengthen_it() {
        let mut lockout = Lockout::new(LockoutLimits { failures: 1, ..LockoutLimits::default() });
        assert!(lockout.failed(HOME, "nvr", at(0)).locked_out);
        assert!(!lockout.failed(HOME, "nvr", at(30)).locked_out);
        assert!(!lockout.is_locked(HOME, "nvr", at(60)));
    }

    #[test]
    fn zero_failures_turn_it_off() {
        let mut lockout = Lockout::new(LockoutLimits { failures: 0, ..LockoutLimits::default() });
        assert!((0..100).all(|second| !lockout.failed(HOME, "nvr", at(second)).locked_out));
        assert!(!lockout.is_locked(HOME, "nvr", at(100)));
    }

    #[test]
    fn unban_frees_an_address_or_all() {
        let other = "10.0.0.1".parse().unwrap();
        let mut lockout = Lockout::new(LockoutLimits { failures: 1, ..LockoutLimits::default() });
        lockout.failed(HOME, "nvr", at(0));
        lockout.failed(other, "nvr", at(0));
        assert_eq!(lockout.unban(Some("::ffff:192.168.1.7".parse().unwrap()), at(1)), [(HOME, "nvr".into())]);
        assert!(!lockout.is_locked(HOME, "nvr", at(1)) && lockout.is_locked(other, "nvr", at(1)));
        assert_eq!(lockout.unban(None, at(1)), [(other, "nvr".into())]);
        assert!(!lockout.is_locked(other, "nvr", at(1)));
    }

    #[test]
    fn invented_names_neither_fill_memory_nor_push_out_a_lock_out() {
        let mut lockout = Lockout::new(LockoutLimits::default());
        assert!((0..10).any(|_| lockout.failed(HOME, "nvr", at(0)).locked_out));
        assert!(lockout.is_locked(HOME, "nvr", at(1)));
        for number in 0..3 * MAX_ENTRIES {
            lockout.failed(
                HOME,
                &format!("{number}{}", "x".repeat(10_000)),
                at(1) + Duration::from_millis(number as u64),
            );
        }
        assert!(lockout.entries.len() <= MAX_ENTRIES);
        assert!(lockout.entries.keys().all(|(_, name)| name.len() <= MAX_NAME));
        assert!(lockout.is_locked(HOME, "nvr", at(40)));
    }
}
