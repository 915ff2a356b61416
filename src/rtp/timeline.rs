use crate::time::{MonoTime, RtpClock};

/// The timestamps of one track: as its clock has them, but strictly rising, and for sound without gap where the
/// stamps show none.
#[derive(Debug)]
pub(super) struct Timeline {
    rate: u32,
    offset: u32,
    /// Start of the last packet's medium and of what follows it, in ticks since [`MonoTime::ZERO`], not wrapped: a
    /// stream may pause for longer than half of the 32-bit circle.
    last: Option<(u64, u64)>,
}

impl Timeline {
    /// `rate` in Hz, `offset` the timestamp at [`MonoTime::ZERO`].
    pub fn new(rate: u32, offset: u32) -> Self {
        Self { rate, offset, last: None }
    }

    pub fn clock(&self) -> RtpClock {
        RtpClock::new(self.rate, self.offset)
    }

    /// The timestamp of a picture taken at `stamp`.
    pub fn picture(&mut self, stamp: MonoTime) -> u32 {
        let ticks = self.rising(self.ticks(stamp));
        self.last = Some((ticks, ticks));
        self.wrapped(ticks)
    }

    /// The timestamp of a block of `samples` whose first was taken at `stamp`, and whether a gap precedes it. Blocks
    /// follow each other by their samples and their stamps say the same; what differs by more than rounding is a gap.
    pub fn sound(&mut self, stamp: MonoTime, samples: u32) -> (u32, bool) {
        let taken = self.ticks(stamp);
        let tolerance = u64::from(self.rate / 1000).max(1);
        let (ticks, gap) = match self.last {
            Some((_, end)) if taken.abs_diff(end) <= tolerance => (end, false),
            _ => (taken, true),
        };
        let ticks = self.rising(ticks);
        self.last = Some((ticks, ticks + u64::from(samples)));
        (self.wrapped(ticks), gap)
    }

    /// The timestamp that sound without gap goes on with.
    pub fn next(&self) -> u32 {
        self.wrapped(self.last.map_or(0, |(_, end)| end))
    }

    fn rising(&self, ticks: u64) -> u64 {
        self.last.map_or(ticks, |(start, _)| ticks.max(start + 1))
    }

    /// As [`RtpClock::timestamp`] rounds, without its offset and its wrap.
    fn ticks(&self, stamp: MonoTime) -> u64 {
        ((u128::from(stamp.as_nanos()) * u128::from(self.rate) + 500_000_000) / 1_000_000_000) as u64
    }

    fn wrapped(&self, ticks: u64) -> u32 {
        (ticks as u32).wrapping_add(self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn millis(millis: u64) -> MonoTime {
        MonoTime::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn pictures_follow_the_clock_and_strictly_rise() {
        let mut timeline = Timeline::new(90_000, 7);
        assert_eq!(timeline.picture(millis(1000)), 90_007);
        assert_eq!(timeline.picture(millis(1000)), 90_008);
        assert_eq!(timeline.picture(millis(990)), 90_009);
        assert_eq!(timeline.picture(millis(1033)), 92_977);
    }

    /// 13 hours, a little over half of 2^32 ticks of 90 kHz: a comparison on the circle would call it a step back.
    #[test]
    fn a_long_pause_is_no_step_back() {
        let mut timeline = Timeline::new(90_000, 0);
        timeline.picture(millis(1000));
        let late = millis(1000 + 7 * 3600 * 1000);
        assert_eq!(timeline.picture(late), timeline.clock().timestamp(late));
    }

    #[test]
    fn sound_is_contiguous_until_the_stamps_show_a_gap() {
        let mut timeline = Timeline::new(8000, 0);
        assert_eq!(timeline.sound(millis(1000), 160), (8000, true));
        assert_eq!(timeline.sound(MonoTime::from_nanos(1_020_000_400), 160), (8160, false));
        assert_eq!(timeline.sound(MonoTime::from_nanos(1_039_999_600), 160), (8320, false));
        // 21 ms late: 168 samples were lost.
        assert_eq!(timeline.sound(millis(1081), 160), (8648, true));
        assert_eq!(timeline.sound(millis(1101), 160), (8808, false));
        // Stamps that step back are followed as far as the timestamps still rise.
        assert_eq!(timeline.sound(millis(1095), 160), (8809, true));
    }

    proptest! {
        #[test]
        fn agrees_with_the_rtp_clock(nanos: u64, offset: u32, rate in 1u32..200_000) {
            let mut timeline = Timeline::new(rate, offset);
            let stamp = MonoTime::from_nanos(nanos);
            prop_assert_eq!(timeline.picture(stamp), timeline.clock().timestamp(stamp));
        }
    }
}
