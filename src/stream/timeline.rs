use crate::{media::SampleBlock, time::MonoTime};

/// The longest silence made in one piece; a longer hole (the board slept) is left a hole.
const LONGEST_FRAMES_SECONDS: u64 = 2;

/// Keeps sound gapless while its device comes and goes: knows up to when there is sound.
#[derive(Debug, Default)]
pub struct Timeline {
    next: Option<MonoTime>,
}

impl Timeline {
    /// Sound went out.
    pub fn passed(&mut self, block: &SampleBlock) {
        let end = block.stamp + block.duration();
        self.next = Some(self.next.map_or(end, |next| next.max(end)));
    }

    /// Silence from where sound ended to `now`; nothing before there was any sound: it then begins now.
    pub fn silence_until(&mut self, now: MonoTime, rate: u32, channels: u16) -> SampleBlock {
        let from = *self.next.get_or_insert(now);
        let missing = now.since(from).as_nanos() as u64 * u64::from(rate) / 1_000_000_000;
        let (stamp, frames) =
            if missing > LONGEST_FRAMES_SECONDS * u64::from(rate) { (now, 0) } else { (from, missing) };
        if frames == 0 && stamp == now {
            self.next = Some(now);
        }
        SampleBlock { samples: vec![0; frames as usize * usize::from(channels)], channels, rate, stamp }
    }

    /// A device begins to deliver, `first` being its first block: the silence that is still missing before it. What
    /// overlaps with silence that went out already is cut off the block.
    pub fn join(&mut self, first: &mut SampleBlock) -> Option<SampleBlock> {
        let next = self.next?;
        if first.stamp >= next {
            let silence = self.silence_until(first.stamp, first.rate, first.channels);
            return (silence.frames() > 0).then_some(silence);
        }
        let overlap = next.since(first.stamp).as_nanos() as u64 * u64::from(first.rate) / 1_000_000_000;
        let cut = (overlap as usize).min(first.frames());
        first.samples.drain(..cut * usize::from(first.channels));
        first.stamp = next;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> MonoTime {
        MonoTime::from_nanos(5_000_000_000 + millis * 1_000_000)
    }

    fn block(millis: u64, length: u64) -> SampleBlock {
        SampleBlock { samples: vec![1; length as usize * 8], channels: 1, rate: 8000, stamp: at(millis) }
    }

    #[test]
    fn silence_fills_exactly_what_is_missing() {
        let mut timeline = Timeline::default();
        timeline.passed(&block(0, 20));
        let silence = timeline.silence_until(at(60), 8000, 1);
        assert_eq!((silence.stamp, silence.frames()), (at(20), 320));
        timeline.passed(&silence);
        // The device is back and its first sample was taken 15 ms later.
        let mut first = block(75, 10);
        let silence = timeline.join(&mut first).unwrap();
        assert_eq!((silence.stamp, silence.frames(), first.frames()), (at(60), 120, 80));
    }

    #[test]
    fn what_silence_has_covered_is_cut_off() {
        let mut timeline = Timeline::default();
        timeline.passed(&block(0, 100));
        let mut first = block(95, 20);
        assert_eq!(timeline.join(&mut first), None);
        assert_eq!((first.stamp, first.frames()), (at(100), 120));
        let mut late = block(10, 20);
        assert_eq!(timeline.join(&mut late), None);
        assert_eq!(late.frames(), 0);
    }

    #[test]
    fn a_sleep_of_the_board_is_not_made_up_for() {
        let mut timeline = Timeline::default();
        timeline.passed(&block(0, 20));
        assert_eq!(timeline.silence_until(at(3_600_000), 8000, 1).frames(), 0);
        assert_eq!(timeline.silence_until(at(3_600_020), 8000, 1).frames(), 160);
    }
}
