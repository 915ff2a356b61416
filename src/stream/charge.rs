use crate::time::MonoTime;
use std::time::Duration;

/// Threads that are left in a driver at most: each keeps a stack, a descriptor and perhaps the driver's buffers.
const MOST_LEFT: usize = 4;

/// Which of a device's threads is in charge of it, and which were left in its driver. A call that does not return cannot be
/// ended from outside, so its thread is left and a fresh one takes over.
#[derive(Debug, Default)]
pub struct Charge {
    /// The number of the thread in charge.
    current: u64,
    /// What it is doing in the device.
    call: Option<Call>,
    /// Numbers and beginnings of calls that have not returned.
    left: Vec<(u64, MonoTime)>,
}

#[derive(Clone, Copy, Debug)]
struct Call {
    begun: MonoTime,
    due: MonoTime,
}

/// What the thread in charge finds after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returned {
    InCharge,
    /// It was away so long that another one took over: what it holds is to be dropped, and nothing touched.
    Replaced(Duration),
}

impl Charge {
    /// The thread in charge goes into the device and should be back within `bound`.
    pub fn enter(&mut self, now: MonoTime, bound: Duration) {
        self.call = Some(Call { begun: now, due: now + bound });
    }

    /// Thread `number` is back from a call.
    pub fn leave(&mut self, number: u64, now: MonoTime) -> Returned {
        match self.left.iter().position(|(left, _)| *left == number) {
            Some(index) => Returned::Replaced(now - self.left.swap_remove(index).1),
            None => {
                self.call = None;
                Returned::InCharge
            }
        }
    }

    /// The number of a fresh thread that is to take over now, if one is.
    pub fn successor(&self, now: MonoTime) -> Option<u64> {
        let overdue = self.call.is_some_and(|call| now > call.due);
        (overdue && self.left.len() < MOST_LEFT).then_some(self.current + 1)
    }

    /// The successor takes over, and the thread before it counts as left.
    pub fn appoint(&mut self, successor: u64) {
        self.left.extend(self.call.take().map(|call| (self.current, call.begun)));
        self.current = successor;
    }

    /// How many threads have not come back in time, and since when the longest.
    pub fn stuck(&self, now: MonoTime) -> (usize, Option<Duration>) {
        let overdue = self.call.filter(|call| now > call.due).map(|call| call.begun);
        let begun = self.left.iter().map(|(_, begun)| *begun).chain(overdue);
        (begun.clone().count(), begun.min().map(|begun| now - begun))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> MonoTime {
        MonoTime::from_timespec(1000 + seconds, 0)
    }

    #[test]
    fn a_call_that_returns_in_time_changes_nothing() {
        let mut charge = Charge::default();
        charge.enter(at(0), BOUND);
        assert_eq!((charge.successor(at(5)), charge.stuck(at(5))), (None, (0, None)));
        assert_eq!(charge.leave(0, at(5)), Returned::InCharge);
        assert_eq!(charge.successor(at(1000)), None);
    }

    #[test]
    fn who_is_away_too_long_is_replaced_and_learns_it() {
        let mut charge = Charge::default();
        charge.enter(at(0), BOUND);
        assert_eq!(charge.stuck(at(6)), (1, Some(Duration::from_secs(6))));
        assert_eq!(charge.successor(at(6)), Some(1));
        charge.appoint(1);
        charge.enter(at(7), BOUND);
        assert_eq!(charge.stuck(at(8)), (1, Some(Duration::from_secs(8))));
        assert_eq!(charge.leave(0, at(9)), Returned::Replaced(Duration::from_secs(9)));
        assert_eq!(charge.stuck(at(10)), (0, None));
        assert_eq!(charge.leave(1, at(10)), Returned::InCharge);
    }

    #[test]
    fn no_more_than_a_few_are_left() {
        let mut charge = Charge::default();
        for number in 0..MOST_LEFT as u64 {
            charge.enter(at(number * 10), BOUND);
            assert_eq!(charge.successor(at(number * 10 + 6)), Some(number + 1));
            charge.appoint(number + 1);
        }
        charge.enter(at(100), BOUND);
        assert_eq!((charge.successor(at(200)), charge.stuck(at(200)).0), (None, MOST_LEFT + 1));
        // One that comes back makes room, and the one in charge may be back by itself.
        assert!(matches!(charge.leave(2, at(201)), Returned::Replaced(_)));
        assert_eq!(charge.successor(at(202)), Some(5));
        assert_eq!(charge.leave(4, at(203)), Returned::InCharge);
    }
}
