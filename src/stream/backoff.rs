use crate::time::MonoTime;
use std::time::Duration;

/// From the first failure to the next try; doubled up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);
/// After an event of the kernel's: udev sets the permissions of a new node late, and a driver may take its time.
const EVENTFUL: Duration = Duration::from_secs(2);
/// A device that worked this long starts with a short pause again.
const PROVEN: Duration = Duration::from_secs(1);

/// How long to wait before a failed device is tried again.
#[derive(Debug)]
pub struct Backoff {
    pause: Duration,
    eventful_until: MonoTime,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { pause: FIRST, eventful_until: MonoTime::ZERO }
    }
}

impl Backoff {
    /// From the beginning of one try to that of the next at least.
    pub const LEAST: Duration = FIRST;

    /// The device has just failed, after it had worked for so long: how long to wait, if nothing happens meanwhile.
    pub fn failed(&mut self, worked: Duration, now: MonoTime) -> Duration {
        if worked >= PROVEN {
            self.pause = FIRST;
        }
        if now < self.eventful_until {
            return FIRST;
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST);
        pause
    }

    /// A device came or went.
    pub fn event(&mut self, now: MonoTime) {
        self.eventful_until = now + EVENTFUL;
        self.pause = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Duration = Duration::ZERO;

    fn at(millis: u64) -> MonoTime {
        MonoTime::from_nanos(1_000_000_000_000 + millis * 1_000_000)
    }

    #[test]
    fn pauses_grow_to_a_second_and_are_short_again_once_it_worked() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..6).map(|_| backoff.failed(NEVER, at(1)).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.failed(PROVEN, at(2)), FIRST);
        assert_eq!(backoff.failed(NEVER, at(3)), FIRST * 2);
    }

    #[test]
    fn for_a_while_after_an_event_it_is_tried_often() {
        let mut backoff = Backoff::default();
        assert!((0..5).map(|_| backoff.failed(NEVER, at(1))).max() == Some(LONGEST));
        backoff.event(at(100));
        assert!((0..19).all(|n| backoff.failed(NEVER, at(101 + n * 100)) == FIRST));
        assert_eq!([0, 0].map(|_| backoff.failed(NEVER, at(2200))), [FIRST, FIRST * 2]);
    }
}
