//! When each block's first frame was taken.

use crate::time::MonoTime;
use alsa::pcm::Frames;
use std::time::Duration;

/// A measured stamp that is further than this from the expected one is no jitter.
const GAP: Duration = Duration::from_millis(20);
/// Of each measured error, one part in this many is taken over: jitter of interrupts averages out, and a card whose
/// clock is 200 ppm off is followed with a lag of 0.1 ms.
const FOLLOW: i64 = 64;
const NANOS: u64 = 1_000_000_000;

/// Smooths the stamps that a card's status gives: each block begins where the one before ended, but for a small part
/// of what the measurement says otherwise.
#[derive(Debug)]
pub struct Stamps {
    rate: u32,
    /// When the next frame is expected to be taken, and the remainder of its nanoseconds in 1/`rate`.
    next: Option<(MonoTime, u64)>,
}

impl Stamps {
    pub fn new(rate: u32) -> Self {
        Self { rate, next: None }
    }

    /// The stamp of a block of `frames` whose first one was taken at `measured` as far as the card can tell.
    pub fn block(&mut self, measured: MonoTime, frames: usize) -> MonoTime {
        let stamp = match self.next {
            Some((next, _)) => {
                let error = measured.signed_nanos_since(next);
                if error.unsigned_abs() > GAP.as_nanos() as u64 {
                    self.next = None;
                    measured
                } else {
                    MonoTime::from_nanos(next.as_nanos().saturating_add_signed(error / FOLLOW))
                }
            }
            None => measured,
        };
        self.advance(stamp, frames);
        stamp
    }

    /// The stamp of a block of `frames` that nobody measured: where the one before ended.
    pub fn unmeasured(&mut self, frames: usize) -> Option<MonoTime> {
        let (stamp, _) = self.next?;
        self.advance(stamp, frames);
        Some(stamp)
    }

    fn advance(&mut self, stamp: MonoTime, frames: usize) {
        let rest = self.next.map_or(0, |(_, rest)| rest);
        let length = frames as u64 * NANOS + rest;
        let rate = u64::from(self.rate);
        self.next = Some((stamp + Duration::from_nanos(length / rate), length % rate));
    }

    /// How many frames are missing between the last block and one that begins at `measured`; 0 before the first.
    pub fn missing(&self, measured: MonoTime) -> u64 {
        let lost = self.next.map_or(Duration::ZERO, |(next, _)| measured - next);
        ((lost.as_nanos() * u128::from(self.rate) + u128::from(NANOS / 2)) / u128::from(NANOS)) as u64
    }

    /// Forgets what was: the next block is stamped as measured.
    pub fn reset(&mut self) {
        self.next = None;
    }
}

/// When the first frame that waits was taken: `delay` frames before the card's status was true.
pub fn first_waiting(status: MonoTime, delay: Frames, rate: u32) -> MonoTime {
    status.saturating_sub(Duration::from_nanos(delay.max(0) as u64 * NANOS / u64::from(rate.max(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: u64 = 10_000_000;

    fn at(nanos: u64) -> MonoTime {
        MonoTime::from_nanos(1_000_000_000 + nanos)
    }

    #[test]
    fn jitter_is_smoothed_and_drift_followed() {
        let mut stamps = Stamps::new(48_000);
        let mut last = stamps.block(at(0), 480);
        // Jitter of 2 ms to either side and a card that runs 200 ppm slow.
        for n in 1..3000u64 {
            let truth = n * (BLOCK + 2_000);
            let jitter = if n % 2 == 0 { 2_000_000 } else { -2_000_000 };
            let stamp = stamps.block(at(truth.saturating_add_signed(jitter)), 480);
            let step = (stamp - last).as_nanos() as i64 - BLOCK as i64;
            assert!(step.abs() < 40_000, "block {n} is {step} ns off its length");
            let error = stamp.signed_nanos_since(at(truth));
            assert!(error.abs() < 200_000, "block {n} is {error} ns off the truth");
            last = stamp;
        }
    }

    #[test]
    fn lengths_that_are_no_whole_nanoseconds_do_not_add_up() {
        let mut stamps = Stamps::new(44_100);
        assert_eq!(stamps.unmeasured(441), None);
        stamps.block(at(0), 0);
        for _ in 0..44_100 {
            stamps.unmeasured(1);
        }
        assert_eq!(stamps.unmeasured(1), Some(at(NANOS)));
    }

    #[test]
    fn a_gap_is_anchored_anew() {
        let mut stamps = Stamps::new(8000);
        stamps.block(at(0), 80);
        assert_eq!(stamps.block(at(BLOCK + 20_000_001), 80), at(BLOCK + 20_000_001));
        assert_eq!(stamps.block(at(5), 80), at(5));
        stamps.reset();
        assert_eq!(stamps.missing(at(77)), 0);
        assert_eq!(stamps.block(at(77), 80), at(77));
    }

    #[test]
    fn missing_frames_are_counted_to_the_frame() {
        let mut stamps = Stamps::new(48_000);
        stamps.block(at(0), 480);
        assert_eq!(stamps.missing(at(BLOCK)), 0);
        assert_eq!(stamps.missing(at(0)), 0);
        assert_eq!(stamps.missing(at(BLOCK + 500_000_000)), 24_000);
        assert_eq!(stamps.missing(at(BLOCK + 20_833)), 1);
    }

    #[test]
    fn the_first_waiting_frame_is_as_old_as_the_delay() {
        assert_eq!(first_waiting(at(BLOCK), 480, 48_000), at(0));
        assert_eq!(first_waiting(at(0), -5, 48_000), at(0));
        assert_eq!(first_waiting(MonoTime::ZERO, 1_000_000, 8000), MonoTime::ZERO);
    }
}
