use nix::time::{ClockId, clock_gettime};
use std::{
    ops::{Add, AddAssign, Sub},
    time::Duration,
};

/// An instant of CLOCK_MONOTONIC in nanoseconds: the clock of V4L2 and ALSA capture stamps, and of every timer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonoTime(u64);

impl MonoTime {
    pub const ZERO: Self = Self(0);

    /// Reads the clock.
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC exists on every Linux");
        Self::from_timespec(now.tv_sec() as u64, now.tv_nsec() as u32)
    }

    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// From the fields of a `timespec` (ALSA) or, with microseconds times 1000, a `timeval` (V4L2).
    pub const fn from_timespec(seconds: u64, nanos: u32) -> Self {
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(nanos as u64))
    }

    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was, zero if it lies in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// `self - other` in nanoseconds, negative when `self` is the earlier one.
    pub const fn signed_nanos_since(self, other: Self) -> i64 {
        self.0.wrapping_sub(other.0) as i64
    }

    /// `duration` earlier, not before the clock's zero.
    pub const fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_nanos() as u64))
    }
}

impl Add<Duration> for MonoTime {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for MonoTime {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for MonoTime {
    type Output = Duration;
    /// Saturates at zero, as [`MonoTime::since`] does.
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_saturate_instead_of_wrapping() {
        let (a, b) = (MonoTime::from_nanos(5), MonoTime::from_nanos(9));
        assert_eq!(b - a, Duration::from_nanos(4));
        assert_eq!(a - b, Duration::ZERO);
        assert_eq!(a.signed_nanos_since(b), -4);
        assert_eq!(a + Duration::MAX, MonoTime::from_nanos(u64::MAX));
    }
}
