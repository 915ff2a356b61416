//! How much clients may ask, so that a flood of requests costs the others nothing.

use crate::time::MonoTime;
use std::{collections::HashMap, net::IpAddr, time::Duration};

/// What was not asked for in so long may be asked for at once: recorders behind one address begin together.
const SAVED: Duration = Duration::from_secs(10);
/// A connection counts as so many requests.
const CONNECTION: u32 = 5;
/// So many requests on one connection, and one more each second, are never too many: a client that plays and keeps its
/// session alive asks less, and pays for nobody else at its address.
const OWN: Duration = Duration::from_secs(20);

/// Requests in a second that may come for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    pub in_all: u32,
    pub per_address: u32,
}

/// What may be taken at a steady rate, with some saved up: known by when all of it will be back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket(MonoTime);

impl Bucket {
    fn take(&mut self, count: u32, per_second: u32, now: MonoTime) {
        self.0 = self.0.max(now) + Duration::from_secs(count.into()) / per_second;
    }

    fn is_empty(&self, saved: Duration, now: MonoTime) -> bool {
        self.0 > now + saved
    }
}

/// What was asked of a worker lately.
#[derive(Debug, Default)]
pub struct Requests {
    all: Bucket,
    by_address: HashMap<IpAddr, Bucket>,
}

impl Requests {
    /// Whether an address may open one more connection, which counts.
    pub fn admit(&mut self, address: IpAddr, limits: RequestLimits, now: MonoTime) -> bool {
        let bucket = self.by_address.entry(address).or_default();
        let admitted = !bucket.is_empty(SAVED, now);
        if admitted {
            bucket.take(CONNECTION, limits.per_address, now);
        }
        admitted
    }

    /// Counts what came on a connection, which has a bucket of its own.
    pub fn count(&mut self, own: &mut Bucket, address: IpAddr, asked: u32, limits: RequestLimits, now: MonoTime) {
        own.take(asked, 1, now);
        self.by_address.entry(address).or_default().take(asked, limits.per_address, now);
        self.all.take(asked, limits.in_all, now);
    }

    /// Whether such a connection is to ask for nothing more at present.
    pub fn are_too_many(&self, own: &Bucket, address: IpAddr, now: MonoTime) -> bool {
        let same_address = self.by_address.get(&address).is_some_and(|bucket| bucket.is_empty(SAVED, now));
        own.is_empty(OWN, now) && (same_address || self.all.is_empty(SAVED, now))
    }

    /// Forgets who has asked nothing for so long that it does not matter any more.
    pub fn forget(&mut self, now: MonoTime) {
        self.by_address.retain(|_, bucket| bucket.is_empty(Duration::ZERO, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RequestLimits = RequestLimits { in_all: 100, per_address: 10 };

    fn at(millis: u64) -> MonoTime {
        MonoTime::from_nanos(1_000_000_000 + millis * 1_000_000)
    }

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    /// Whether one more request is served.
    fn ask(requests: &mut Requests, own: &mut Bucket, from: u8, now: MonoTime) -> bool {
        let served = !requests.are_too_many(own, address(from), now);
        if served {
            requests.count(own, address(from), 1, LIMITS, now);
        }
        served
    }

    #[test]
    fn a_flood_is_stopped_and_who_keeps_alive_beside_it_is_not() {
        let (mut requests, mut flood, mut quiet) = (Requests::default(), Bucket::default(), Bucket::default());
        // Ten seconds' worth at once, and one.
        assert_eq!((0..1000).filter(|_| ask(&mut requests, &mut flood, 1, at(0))).count(), 101);
        for second in 0..1000 {
            assert!(ask(&mut requests, &mut quiet, 1, at(second * 1000)));
            let served = (0..50).filter(|_| ask(&mut requests, &mut flood, 1, at(second * 1000))).count();
            assert!(second == 0 || (8..=10).contains(&served), "{served}");
        }
    }

    #[test]
    fn connections_count_and_other_addresses_have_their_own() {
        let mut requests = Requests::default();
        assert_eq!((0..100).take_while(|_| requests.admit(address(1), LIMITS, at(0))).count(), 21);
        assert!(requests.admit(address(2), LIMITS, at(0)));
        // What is refused does not count.
        assert!(!requests.admit(address(1), LIMITS, at(400)));
        assert!(requests.admit(address(1), LIMITS, at(600)));
        requests.forget(at(1000));
        assert_eq!(requests.by_address.len(), 1);
        requests.forget(at(20_000));
        assert!(requests.by_address.is_empty());
    }

    #[test]
    fn floods_from_everywhere_share_what_there_is_in_all() {
        let mut requests = Requests::default();
        let served = (0..100).map(|from| {
            let mut own = Bucket::default();
            (0..50).filter(|_| ask(&mut requests, &mut own, from, at(0))).count()
        });
        let served: Vec<_> = served.collect();
        assert_eq!((served[0], served[99]), (50, 21), "who has asked nothing yet is always heard");
    }
}
