//! One microphone's sound as an unbroken line: on the clock of the pictures, at one rate, whatever the device does.

use super::clock::SampleClock;
use crate::{
    codec::{CodecError, audio::Resampler},
    media::{SampleBlock, mix_channels, pick_channels},
    time::MonoTime,
};
use std::time::Duration;

/// Blocks per second that come out.
const BLOCKS: u32 = 100;
/// Sound that is off by more than this was lost, or is there twice, without the device having said so: what is smaller
/// is worked off by the sample clock.
const LOSS: Duration = Duration::from_millis(20);
/// A longer hole is left a hole, the line beginning anew behind it: the board slept.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);
/// Silence is made in pieces of at most this many frames.
const PIECE: u64 = 4096;
const NANOS: i64 = 1_000_000_000;

/// What becomes of sound.
pub type Emit<'a> = &'a mut dyn FnMut(SampleBlock);

/// Takes blocks as a device gives them, whose stamps waver, whose clock drifts, and which stop and come back at another
/// rate. Gives blocks of 10 ms at one rate that follow each other to the frame and whose stamps are those of
/// CLOCK_MONOTONIC: drift goes into the resampling ratio, and what is missing into silence of its length.
pub struct SoundLine {
    rate: u32,
    channels: u16,
    /// Which of the device's channels make those of the line, counted from 1; empty: they are mixed.
    map: Vec<u16>,
    input: Option<Input>,
    clock: SampleClock,
    /// When the line began, and how many frames went out since; None before the first.
    begun: Option<(MonoTime, u64)>,
    /// The device's next block has to be fitted in anew: it comes after silence.
    apart: bool,
    /// Frames of the device's that are to be left out: silence stands in their place already.
    surplus: u64,
    /// The silence that stands for what the device lost.
    lost: Duration,
    /// The silence that went out since the device's last block.
    filled: Duration,
}

/// What the device gives.
struct Input {
    rate: u32,
    resampler: Resampler,
    /// In the line's channels, at the device's rate.
    waiting: Vec<f32>,
}

impl SoundLine {
    /// Gives `rate` frames per second of `channels`, those of the device that `map` names.
    pub fn new(rate: u32, channels: u16, map: &[u16]) -> Self {
        Self {
            rate,
            channels,
            map: map.to_vec(),
            input: None,
            clock: SampleClock::default(),
            begun: None,
            apart: false,
            surplus: 0,
            lost: Duration::ZERO,
            filled: Duration::ZERO,
        }
    }

    /// Takes the device's next block.
    ///
    /// # Errors
    /// A rate that cannot be resampled.
    pub fn push(&mut self, block: &SampleBlock, emit: Emit<'_>) -> Result<(), CodecError> {
        let anew = self.begun.is_none();
        let changed = self.take_rate(block.rate, emit)?;
        let error = self.error(block.stamp);
        if anew || changed || self.apart || block.after_loss {
            let before = self.fit(error, emit)?;
            if block.after_loss {
                // Some of it may have gone out before the device told of its loss.
                self.lost += self.filled + before;
            }
            (self.apart, self.filled) = (false, Duration::ZERO);
        } else if let Some(median) = self.clock.observe(error, block.duration())
            && median.unsigned_abs() > LOSS.as_nanos() as u64
        {
            let silence = self.fit(median, emit)?;
            self.lost += silence;
        }
        let frames = block.frames() as u64;
        let left_out = self.surplus.min(frames);
        self.surplus -= left_out;
        let samples = &block.samples[left_out as usize * usize::from(block.channels)..];
        let Some(input) = &mut self.input else { return Ok(()) };
        match self.map.as_slice() {
            [] => mix_channels(samples, block.channels, self.channels, &mut input.waiting),
            map => pick_channels(samples, block.channels, map, &mut input.waiting),
        }
        self.give(emit)
    }

    /// Silence up to `now`, while there is no device; begins the line if need be.
    ///
    /// # Errors
    /// As [`SoundLine::push`].
    pub fn silence_until(&mut self, now: MonoTime, emit: Emit<'_>) -> Result<(), CodecError> {
        let rate = self.input.as_ref().map_or(self.rate, |input| input.rate);
        self.take_rate(rate, emit)?;
        let error = self.error(now);
        let silence = self.fit(error, emit)?;
        self.filled += silence;
        (self.apart, self.surplus) = (true, 0);
        Ok(())
    }

    /// Ends the line: what comes next begins anew.
    pub fn end(&mut self) {
        (self.begun, self.input, self.apart, self.surplus) = (None, None, false, 0);
        self.filled = Duration::ZERO;
        self.clock.forget();
    }

    /// The device's drift in ppm, positive for a fast one.
    pub fn drift_ppm(&self) -> Option<f64> {
        self.clock.drift_ppm()
    }

    /// How long the silence is that stands for what the device lost while it was there.
    pub fn lost(&self) -> Duration {
        self.lost
    }

    /// Whether the device gives another rate than before, for which all is ready then.
    fn take_rate(&mut self, rate: u32, emit: Emit<'_>) -> Result<bool, CodecError> {
        if self.input.as_ref().is_some_and(|input| input.rate == rate) {
            return Ok(false);
        }
        if let Some(input) = &self.input {
            // What is in the filter comes out.
            let held = (input.resampler.lag() * f64::from(input.rate)).ceil() as u64;
            self.hush(held, emit)?;
        }
        let resampler = Resampler::new(rate, self.rate, self.channels, (self.rate / BLOCKS).max(1) as usize)?;
        self.input = Some(Input { rate, resampler, waiting: Vec::new() });
        Ok(true)
    }

    /// By how many nanoseconds later the line tells a frame than it was taken, if the next of the device's was taken at
    /// `stamp`.
    fn error(&mut self, stamp: MonoTime) -> i64 {
        let Some(input) = &self.input else { return 0 };
        let waiting = (input.waiting.len() / usize::from(self.channels)) as f64 / f64::from(input.rate);
        let behind = ((waiting + input.resampler.lag()) * 1e9).round() as u64;
        match self.begun {
            Some((begun, sent)) => {
                (at(begun, sent, self.rate) + Duration::from_nanos(behind)).signed_nanos_since(stamp)
            }
            None => {
                self.begun = Some((stamp.saturating_sub(Duration::from_nanos(behind)), 0));
                0
            }
        }
    }

    /// Has the device's next frame told when it was taken, where the line would tell it `error` nanoseconds late: with
    /// silence before it, or without those frames for which silence went out already. How long the silence is.
    fn fit(&mut self, error: i64, emit: Emit<'_>) -> Result<Duration, CodecError> {
        self.clock.forget();
        let Some(rate) = self.input.as_ref().map(|input| input.rate) else { return Ok(Duration::ZERO) };
        let frames = (error.unsigned_abs() as u128 * u128::from(rate) + NANOS as u128 / 2) / NANOS as u128;
        self.surplus = 0;
        if error > 0 {
            self.surplus = frames as u64;
        } else if error.unsigned_abs() > LONGEST_SILENCE.as_nanos() as u64 {
            self.begun = self.begun.map(|(begun, sent)| (begun + Duration::from_nanos(error.unsigned_abs()), sent));
        } else {
            self.hush(frames as u64, emit)?;
            return Ok(Duration::from_nanos(error.unsigned_abs()));
        }
        Ok(Duration::ZERO)
    }

    /// So many frames of silence, at the device's rate.
    fn hush(&mut self, mut frames: u64, emit: Emit<'_>) -> Result<(), CodecError> {
        while frames > 0 {
            let Some(input) = &mut self.input else { return Ok(()) };
            let piece = frames.min(PIECE);
            input.waiting.resize(input.waiting.len() + piece as usize * usize::from(self.channels), 0.0);
            frames -= piece;
            self.give(emit)?;
        }
        Ok(())
    }

    /// Hands out each block that is whole.
    fn give(&mut self, emit: Emit<'_>) -> Result<(), CodecError> {
        let (Some(input), Some((begun, sent))) = (&mut self.input, &mut self.begun) else { return Ok(()) };
        let frames = u64::from((self.rate / BLOCKS).max(1));
        loop {
            let needed = input.resampler.needed() * usize::from(self.channels);
            if input.waiting.len() < needed {
                return Ok(());
            }
            let mut samples = Vec::with_capacity(frames as usize * usize::from(self.channels));
            input.resampler.resample(&input.waiting[..needed], &mut samples)?;
            input.waiting.drain(..needed);
            input
                .resampler
                .set_drift(self.clock.step(Duration::from_nanos(frames * NANOS as u64 / u64::from(self.rate))));
            let stamp = at(*begun, *sent, self.rate);
            *sent += frames;
            emit(SampleBlock { samples, channels: self.channels, rate: self.rate, stamp, after_loss: false });
        }
    }
}

/// When frame `n` of a line is told to have been taken that began at `begun`.
fn at(begun: MonoTime, n: u64, rate: u32) -> MonoTime {
    begun + Duration::from_nanos((u128::from(n) * NANOS as u128 / u128::from(rate)) as u64)
}

#[cfg(test)]
mod tests;
