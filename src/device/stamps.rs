//! When pictures were taken, by the driver's stamps as long as these run with CLOCK_MONOTONIC.
//!
//! A camera's own clock may be off by hundreds of ppm: a second in an hour. What tells it is the time from a picture's
//! stamp to its arrival. The load of the board only ever lengthens that, so the least of some seconds is nearly constant
//! for a true clock, and creeps for any other. A clock that is true is left alone; one that creeps is drawn back after
//! [`SLACK`], gently; one that leaps is anchored anew. Stamps that are given out always rise.

use crate::{
    time::MonoTime,
    v4l2::{self as sys, Dequeued},
};
use std::time::Duration;

/// A first stamp further than this before or after now is a driver's mistake.
const STALE: Duration = Duration::from_secs(10);
const EARLY: Duration = Duration::from_secs(1);

/// Over how long the least delay is taken.
const WINDOW: Duration = Duration::from_secs(5);
/// So far a clock may be off before it is drawn back, in nanoseconds: what a loaded board alone may do to the least delay.
const SLACK: i64 = 10_000_000;
/// What is beyond it is drawn back by this part in each window, and by at most [`LARGEST_STEP`] (1000 ppm).
const GENTLENESS: i64 = 4;
const LARGEST_STEP: i64 = 5_000_000;
/// A stamp that comes this much sooner after its picture than any before: the clock was set, in nanoseconds.
const LEAP: i64 = 200_000_000;
/// So many leaps with less than a minute from one to the next, and the clock is no clock.
const MOST_LEAPS: u32 = 5;
/// What comes so soon after a piece of a picture and with its stamp is another piece of it.
const ONE_PICTURE: Duration = Duration::from_millis(15);
/// From one picture's stamp to the next at least.
const SHORTEST_STEP: Duration = Duration::from_millis(1);

/// Turns a driver's stamps into times of CLOCK_MONOTONIC.
#[derive(Default)]
pub struct Stamps {
    /// What is added to the driver's stamps, in nanoseconds.
    correction: i64,
    /// The least delay from stamp to arrival when the clock was first seen, in nanoseconds; the delays of later windows
    /// are held to it.
    baseline: Option<i64>,
    window: Option<Window>,
    /// The last stamp of the driver, and what was made of the last picture's.
    told: Option<MonoTime>,
    given: MonoTime,
    arrived: MonoTime,
    leaps: u32,
    leapt: MonoTime,
    mistrusted: bool,
}

struct Window {
    since: MonoTime,
    least: i64,
}

/// The stamp of a buffer, if its driver says that it is of CLOCK_MONOTONIC.
pub fn told(done: &Dequeued) -> Option<MonoTime> {
    let monotonic = done.flags & sys::V4L2_BUF_FLAG_TIMESTAMP_MASK == sys::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    monotonic.then(|| MonoTime::from_timespec(done.seconds, done.micros.saturating_mul(1000)))
}

impl Stamps {
    /// When the picture that came `now` was taken. Pieces of one picture have one stamp.
    pub fn stamp(&mut self, told: Option<MonoTime>, now: MonoTime) -> MonoTime {
        if told.is_some() && told == self.told && now.since(self.arrived) < ONE_PICTURE {
            return self.given;
        }
        let believed = told.filter(|_| !self.mistrusted).and_then(|told| self.corrected(told, now));
        self.mistrusted |= believed.is_none();
        (self.told, self.arrived) = (told, now);
        self.given = believed.unwrap_or(now).min(now).max(self.given + SHORTEST_STEP);
        self.given
    }

    /// The driver's stamps are of no use, for as long as the camera runs: pictures are stamped as they arrive.
    pub fn mistrusted(&self) -> bool {
        self.mistrusted
    }

    fn corrected(&mut self, told: MonoTime, now: MonoTime) -> Option<MonoTime> {
        let Some(window) = &mut self.window else {
            if now.since(told) >= STALE || told.since(now) >= EARLY {
                return None;
            }
            self.window = Some(Window { since: now, least: now.signed_nanos_since(told) });
            return Some(told);
        };
        let usual = self.baseline.unwrap_or(window.least).max(0);
        let mut stamp = MonoTime::from_nanos(told.as_nanos().wrapping_add_signed(self.correction));
        let mut delay = now.signed_nanos_since(stamp);
        let set_back = self.told.is_some_and(|before| told <= before);
        if set_back || delay < usual - LEAP || delay >= STALE.as_nanos() as i64 {
            self.leaps = if now.since(self.leapt) < Duration::from_secs(60) { self.leaps + 1 } else { 1 };
            self.leapt = now;
            if self.leaps > MOST_LEAPS {
                return None;
            }
            self.correction = self.correction.wrapping_add(delay - usual);
            (stamp, delay) = (now.saturating_sub(Duration::from_nanos(usual as u64)), usual);
            *window = Window { since: now, least: delay };
        }
        window.least = window.least.min(delay);
        if now.since(window.since) >= WINDOW {
            let least = std::mem::replace(window, Window { since: now, least: i64::MAX }).least;
            match self.baseline {
                None => self.baseline = Some(least.max(0)),
                Some(baseline) => self.correction += step(least - baseline),
            }
        }
        Some(stamp)
    }
}

/// By how much a clock is drawn back whose least delay is that much longer than at first; all in nanoseconds.
fn step(error: i64) -> i64 {
    ((error - error.clamp(-SLACK, SLACK)) / GENTLENESS).clamp(-LARGEST_STEP, LARGEST_STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;
    const START: u64 = 1_000_000_000_000;

    fn at(nanos: i64) -> MonoTime {
        MonoTime::from_nanos(START.wrapping_add_signed(nanos))
    }

    /// Pictures every 100 ms for `hours` that arrive 30 to 38 ms after they were taken, stamped by `clock`; the most that
    /// a stamp was off, and the last one.
    fn run(stamps: &mut Stamps, hours: i64, clock: impl Fn(i64) -> i64) -> (i64, MonoTime) {
        let (mut worst, mut last, mut noise) = (0, MonoTime::ZERO, 1u64);
        for taken in (0..hours * 36_000).map(|n| n * 100 * MS) {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let arrival = at(taken + 30 * MS + (noise >> 33) as i64 % (8 * MS));
            let stamp = stamps.stamp(Some(at(clock(taken))), arrival);
            assert!(stamp > last && stamp <= arrival, "{stamp:?} after {last:?}, at {arrival:?}");
            worst = worst.max(stamp.signed_nanos_since(at(taken)).abs());
            last = stamp;
        }
        (worst, last)
    }

    #[test]
    fn a_true_clock_is_left_alone() {
        let mut stamps = Stamps::default();
        assert_eq!(run(&mut stamps, 24, |taken| taken).0, 0);
        assert!(!stamps.mistrusted());
    }

    #[test]
    fn a_clock_off_by_hundreds_of_ppm_is_held_for_days() {
        for ppm in [-300, -100, 50, 300, 900] {
            let mut stamps = Stamps::default();
            let (worst, _) = run(&mut stamps, 72, |taken| taken + taken / 1_000_000 * ppm);
            assert!(worst < 40 * MS, "{ppm} ppm: off by {} ms", worst / MS);
            assert!(!stamps.mistrusted());
        }
    }

    #[test]
    fn a_clock_that_is_set_is_anchored_anew_at_once() {
        for leap in [-3_600_000 * MS, -500 * MS, 300 * MS, 3_600_000 * MS, i64::MAX - (START as i64)] {
            let mut stamps = Stamps::default();
            let (worst, _) =
                run(&mut stamps, 1, |taken| if taken < 600_000 * MS { taken } else { taken.wrapping_add(leap) });
            assert!(worst <= 40 * MS, "{leap}: off by {} ms", worst / MS);
            assert!(!stamps.mistrusted());
        }
    }

    #[test]
    fn a_loaded_board_moves_no_stamp() {
        let mut stamps = Stamps::default();
        for n in 0..1000 {
            let taken = n * 100 * MS;
            // A second in ten the thread is late, and then finds all that waited at once.
            let late = if n % 100 > 90 { (100 - n % 100) * 100 * MS } else { 0 };
            assert_eq!(stamps.stamp(Some(at(taken)), at(taken + 30 * MS + late)), at(taken));
        }
    }

    #[test]
    fn stamps_of_another_clock_or_time_are_not_trusted() {
        let now = MonoTime::from_timespec(1000, 0);
        let done = |flags, seconds| Dequeued { flags, seconds, micros: 500_000, ..Dequeued::default() };
        let monotonic = sys::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC | sys::V4L2_BUF_FLAG_MAPPED;
        let first = |done: Dequeued| {
            let mut stamps = Stamps::default();
            (stamps.stamp(told(&done), now), stamps.mistrusted())
        };
        assert_eq!(first(done(monotonic, 999)), (MonoTime::from_timespec(999, 500_000_000), false));
        for (flags, seconds) in [
            (sys::V4L2_BUF_FLAG_TIMESTAMP_UNKNOWN, 999),
            (sys::V4L2_BUF_FLAG_TIMESTAMP_COPY, 999),
            (monotonic, 0),
            (monotonic, 1002),
            (monotonic, u64::MAX),
        ] {
            assert_eq!(first(done(flags, seconds)), (now, true));
        }
    }

    #[test]
    fn a_clock_that_leaps_again_and_again_is_none() {
        let mut stamps = Stamps::default();
        let mut last = MonoTime::ZERO;
        for n in 0..100 {
            let stamp = stamps.stamp(Some(at(n % 7 * 1000 * MS)), at(n * 100 * MS));
            assert!(stamp > last);
            last = stamp;
        }
        assert!(stamps.mistrusted());
        assert_eq!(last, at(9900 * MS));
    }

    #[test]
    fn pieces_of_one_picture_have_one_stamp_but_a_clock_that_stands_is_none() {
        let mut stamps = Stamps::default();
        let first = stamps.stamp(Some(at(0)), at(30 * MS));
        assert_eq!(stamps.stamp(Some(at(0)), at(40 * MS)), first);
        for n in 1..20 {
            let before = stamps.given;
            assert!(stamps.stamp(Some(at(0)), at(n * 100 * MS)) > before);
        }
        assert!(stamps.mistrusted());
    }
}
