//! The test microphone: a beep in step with the test pattern's flash, or a continuous tone.

use super::{
    DeviceError, Microphone, MicrophoneMode, MicrophoneWish,
    pace::{DeviceWall, sleep_until},
    pattern::marked,
};
use crate::{
    media::{SampleBlock, Tone},
    time::{MonoTime, WallTime},
};
use std::{f64::consts::TAU, ops::RangeInclusive, time::Duration};

const HERTZ: u64 = 1000;
/// -6 dBFS.
const AMPLITUDE: f64 = 0.501_187;
const RATES: RangeInclusive<u32> = 8_000..=96_000;
const NANOS: u64 = 1_000_000_000;
/// Whoever comes back later than this was suspended; what he missed is left out.
const SUSPENDED: Duration = Duration::from_secs(1);

/// A microphone that hears a 1000 Hz sine of -6 dBFS.
pub struct TestTone {
    mode: MicrophoneMode,
    tone: Tone,
    /// When sample 0 was taken, and the number of the next sample.
    start: MonoTime,
    next: u64,
    jumps: u64,
    wall: DeviceWall,
}

impl TestTone {
    /// Takes rate (8 to 96 kHz), channels (1 or 2) and tone as wished, the nearest there is otherwise.
    pub fn open(wish: &MicrophoneWish) -> Self {
        Self {
            mode: MicrophoneMode {
                rate: wish.rate.clamp(*RATES.start(), *RATES.end()),
                channels: wish.device_channels().clamp(1, 2),
            },
            tone: wish.tone,
            start: MonoTime::now(),
            next: 0,
            jumps: 0,
            wall: DeviceWall::start(),
        }
    }

    /// When sample `n` was taken.
    fn instant(&self, n: u64) -> MonoTime {
        self.start + Duration::from_nanos((u128::from(n) * u128::from(NANOS) / u128::from(self.mode.rate)) as u64)
    }
}

impl Microphone for TestTone {
    fn mode(&self) -> MicrophoneMode {
        self.mode
    }

    /// Blocks of 10 ms.
    fn next(&mut self, patience: Duration) -> Result<SampleBlock, DeviceError> {
        let MicrophoneMode { rate, channels } = self.mode;
        let frames = u64::from(rate / 100);
        let now = MonoTime::now();
        let mut due = self.instant(self.next + frames);
        let after_loss = now - due > SUSPENDED;
        if after_loss {
            self.jumps += 1;
            (self.start, self.next) = (now, 0);
            due = self.instant(frames);
        }
        let limit = now + patience;
        sleep_until(due.min(limit));
        if due > limit {
            return Err(DeviceError::Stalled { after: patience });
        }
        let stamp = self.instant(self.next);
        let wall = self.wall.wall(stamp, now);
        let mut samples = Vec::with_capacity((frames * u64::from(channels)) as usize);
        for n in 0..frames {
            let value = match self.tone {
                Tone::Beep => beep(WallTime::from_nanos(wall.as_nanos() + n * NANOS / u64::from(rate))),
                Tone::Continuous => continuous(self.next + n, rate),
            };
            samples.extend(std::iter::repeat_n(value, usize::from(channels)));
        }
        self.next += frames;
        Ok(SampleBlock { samples, channels, rate, stamp, after_loss })
    }

    fn overruns(&self) -> u64 {
        self.jumps
    }
}

/// The sample taken at `wall`: a sine that begins with phase 0 at each mark, silence between them.
fn beep(wall: WallTime) -> f32 {
    // Marks begin at whole seconds, so the phase of a tone of whole hertz is that of the second.
    if marked(wall) { sine((wall.as_nanos() % NANOS) as f64 / NANOS as f64) } else { 0.0 }
}

/// Sample `n`. By its number and not by the wall clock, whose corrections would click.
fn continuous(n: u64, rate: u32) -> f32 {
    sine((n % u64::from(rate)) as f64 / f64::from(rate))
}

fn sine(seconds: f64) -> f32 {
    ((seconds * HERTZ as f64 * TAU).sin() * AMPLITUDE) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(rate: u32, channels: u16, tone: Tone) -> MicrophoneWish {
        MicrophoneWish { device: "test".into(), rate, channels, map: vec![], tone }
    }

    #[test]
    fn blocks_follow_each_other_exactly_at_any_rate() {
        for (rate, channels) in [(8000, 1), (11_025, 2), (44_100, 2), (96_000, 1)] {
            let mut microphone = TestTone::open(&wish(rate, channels, Tone::Continuous));
            let mut frames = 0;
            let first = microphone.next(Duration::from_secs(1)).unwrap();
            for _ in 0..3 {
                let block = microphone.next(Duration::from_secs(1)).unwrap();
                frames += first.frames() as u64;
                assert_eq!((block.rate, block.channels, block.frames() as u32), (rate, channels, rate / 100));
                assert_eq!((block.stamp - first.stamp).as_nanos() as u64, frames * NANOS / u64::from(rate));
                assert!(block.stamp + block.duration() <= MonoTime::now(), "nothing is heard before it sounds");
                assert_eq!(block.samples[0], continuous(frames, rate));
            }
        }
    }

    #[test]
    fn late_blocks_leave_no_gap_but_a_suspend_is_jumped_over() {
        let mut microphone = TestTone::open(&wish(48_000, 1, Tone::Beep));
        let first = microphone.next(Duration::from_secs(1)).unwrap();
        // As if half a second had passed unnoticed.
        microphone.start = microphone.start.saturating_sub(Duration::from_millis(500));
        let second = microphone.next(Duration::from_secs(1)).unwrap();
        assert_eq!(second.stamp, first.stamp.saturating_sub(Duration::from_millis(490)));
        microphone.start = microphone.start.saturating_sub(Duration::from_secs(2));
        let before = MonoTime::now();
        let third = microphone.next(Duration::from_secs(1)).unwrap();
        assert!(third.stamp >= before);
        assert!(third.after_loss && !second.after_loss);
        assert_eq!(microphone.overruns(), 1);
    }

    #[test]
    fn the_beep_is_the_first_tenth_of_every_other_second() {
        let at = |nanos: u64| beep(WallTime::from_nanos(1_700_000_000 * NANOS + nanos));
        assert_eq!((at(0), at(250_000), at(750_000)), (0.0, AMPLITUDE as f32, -AMPLITUDE as f32));
        assert!((at(99_250_000) - AMPLITUDE as f32).abs() < 1e-6);
        assert_eq!((at(100_250_000), at(NANOS + 250_000), at(2 * NANOS - 250_000)), (0.0, 0.0, 0.0));
        assert_eq!(at(2 * NANOS + 250_000), AMPLITUDE as f32);
    }

    #[test]
    fn a_wish_out_of_range_is_met_by_the_nearest() {
        let mode = TestTone::open(&wish(192_000, 6, Tone::Beep)).mode();
        assert_eq!(mode, MicrophoneMode { rate: 96_000, channels: 2 });
        let mode = TestTone::open(&wish(1, 0, Tone::Beep)).mode();
        assert_eq!(mode, MicrophoneMode { rate: 8_000, channels: 1 });
    }

    #[test]
    fn a_map_beyond_its_channels_is_refused() {
        let open = |map: &[u16]| {
            let wish = MicrophoneWish { map: map.to_vec(), ..wish(48_000, 1, Tone::Beep) };
            crate::device::open_microphone(&wish).map(|microphone| microphone.mode().channels)
        };
        assert_eq!(open(&[2]).unwrap(), 2, "opened with as many channels as the map needs");
        let error = open(&[3]).unwrap_err().to_string();
        assert_eq!(error, "test cannot be used: `map` names channel 3, and it gives 2");
    }

    #[test]
    fn a_block_that_takes_longer_than_patience_is_a_stall() {
        let mut microphone = TestTone::open(&wish(8000, 1, Tone::Beep));
        assert!(matches!(microphone.next(Duration::ZERO), Err(DeviceError::Stalled { .. })));
        assert!(microphone.next(Duration::from_secs(1)).is_ok());
    }
}
