//! What keeps the test devices in step: the frame grid, a sleep to an instant, and the wall clock of a device.

use crate::{
    media::FrameRate,
    time::{MonoTime, WallClock, WallTime},
};
use nix::{
    errno::Errno,
    sys::time::TimeSpec,
    time::{ClockId, ClockNanosleepFlags, clock_nanosleep},
};
use std::time::Duration;

const NANOS: u128 = 1_000_000_000;
const WALL_UPDATE: Duration = Duration::from_secs(1);

/// Sleeps until CLOCK_MONOTONIC shows `deadline`; not at all if that has passed.
pub fn sleep_until(deadline: MonoTime) {
    let request = TimeSpec::from_duration(Duration::from_nanos(deadline.as_nanos()));
    while clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &request) == Err(Errno::EINTR) {
    }
}

/// The instants of a camera that keeps its rate exactly: frame `n` is taken `n / rate` after the start. Nothing adds
/// up, so 30000/1001 is still on its grid after years.
#[derive(Clone, Copy, Debug)]
pub struct FrameGrid {
    start: MonoTime,
    rate: FrameRate,
}

impl FrameGrid {
    pub fn new(start: MonoTime, rate: FrameRate) -> Self {
        Self { start, rate }
    }

    /// When frame `n` is taken.
    pub fn instant(&self, n: u64) -> MonoTime {
        let nanos = u128::from(n) * u128::from(self.rate.den) * NANOS / u128::from(self.rate.num);
        self.start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The last frame taken at or before `now`.
    pub fn newest(&self, now: MonoTime) -> u64 {
        // The largest n with floor(n * den * NANOS / num) <= elapsed.
        let past = (u128::from((now - self.start).as_nanos() as u64) + 1) * u128::from(self.rate.num);
        (past.div_ceil(u128::from(self.rate.den) * NANOS) - 1) as u64
    }
}

/// The wall clock as one device sees it, brought up to date about once a second.
#[derive(Debug)]
pub struct DeviceWall {
    clock: WallClock,
    updated: MonoTime,
}

impl DeviceWall {
    pub fn start() -> Self {
        let (mono, wall) = WallClock::read();
        Self { clock: WallClock::new(mono, wall), updated: mono }
    }

    /// The wall time of `stamp`; `now` is what CLOCK_MONOTONIC shows.
    pub fn wall(&mut self, stamp: MonoTime, now: MonoTime) -> WallTime {
        if now - self.updated >= WALL_UPDATE {
            let (mono, wall) = WallClock::read();
            self.clock.update(mono, wall);
            self.updated = mono;
        }
        self.clock.wall(stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_is_exact_and_finds_every_instant_again() {
        for (num, den) in [(30, 1), (30_000, 1001), (7, 3), (1, 10), (1_000_000, 1)] {
            let grid = FrameGrid::new(MonoTime::from_nanos(12_345), FrameRate::new(num, den));
            for n in (0..500).chain([1_000_003, 1_234_567_890]) {
                let instant = grid.instant(n);
                assert_eq!(grid.newest(instant), n, "{num}/{den} #{n}");
                assert_eq!(grid.newest(instant + Duration::from_nanos(1)), n);
                if n > 0 {
                    assert_eq!(grid.newest(MonoTime::from_nanos(instant.as_nanos() - 1)), n - 1);
                }
            }
        }
        let ntsc = FrameGrid::new(MonoTime::ZERO, FrameRate::new(30_000, 1001));
        assert_eq!(ntsc.instant(30_000), MonoTime::from_timespec(1001, 0));
    }

    #[test]
    fn a_sleep_ends_at_its_instant_and_a_past_one_at_once() {
        let deadline = MonoTime::now() + Duration::from_millis(3);
        sleep_until(deadline);
        assert!(MonoTime::now() >= deadline);
        sleep_until(MonoTime::ZERO);
    }
}
