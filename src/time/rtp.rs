use super::MonoTime;

/// Turns capture stamps into RTP timestamps of one track (RFC 3550 §5.1): a clock of `rate` Hz with a random
/// offset, running with CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpClock {
    rate: u32,
    offset: u32,
}

impl RtpClock {
    /// `rate` in Hz, `offset` the timestamp at MonoTime zero (random, RFC 3550 §5.1).
    pub const fn new(rate: u32, offset: u32) -> Self {
        Self { rate, offset }
    }

    pub const fn rate(self) -> u32 {
        self.rate
    }

    /// The RTP timestamp of `stamp`, modulo 2^32.
    pub const fn timestamp(self, stamp: MonoTime) -> u32 {
        let ticks = (stamp.as_nanos() as u128 * self.rate as u128 + 500_000_000) / 1_000_000_000;
        (ticks as u32).wrapping_add(self.offset)
    }

    /// `nanos` (may be negative) in ticks, rounded towards zero.
    pub const fn ticks(self, nanos: i64) -> i32 {
        (nanos as i128 * self.rate as i128 / 1_000_000_000) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_at_its_rate_and_wraps() {
        let clock = RtpClock::new(90_000, u32::MAX);
        assert_eq!(clock.timestamp(MonoTime::ZERO), u32::MAX);
        assert_eq!(clock.timestamp(MonoTime::from_nanos(1_000_000_000)), 89_999);
        assert_eq!(clock.ticks(-1_000_000_000), -90_000);
        // A board that has been up for ten years.
        let late = MonoTime::from_timespec(315_360_000, 0);
        assert_eq!(clock.timestamp(late), (315_360_000u64 * 90_000) as u32 - 1);
    }
}
