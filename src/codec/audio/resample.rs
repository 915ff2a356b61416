//! Change of sample rate, a packet at a time, by windowed sinc interpolation.

use crate::codec::CodecError;
use rubato::{
    Adjustable, Async, FixedAsync, Resampler as _, SincInterpolationParameters, SincInterpolationType, WindowFunction,
    audioadapter_buffers::direct::InterleavedSlice,
};

/// How far, as a fraction, the true rate of what goes in may be from the one it claims.
pub const MOST_DRIFT: f64 = 0.002;

pub struct Resampler {
    inner: Async<f32>,
    channels: usize,
    /// Frames that come out at a time.
    frames: usize,
    /// Scratch, allocated once.
    output: Vec<f32>,
    /// How much later, in seconds, a sound comes out than it went in.
    delay: f64,
    /// Frames per second that go in, and that come out.
    rates: (f64, f64),
    /// From one frame that comes out to the next, in those that go in: now, and at the end of the next packet.
    step: f64,
    next_step: f64,
    /// Frames that went in beyond what the filter's place needs.
    ahead: f64,
}

impl Resampler {
    /// From `from` to `to` frames per second, `frames` at a time.
    ///
    /// # Errors
    /// A ratio that cannot be resampled, such as one to zero.
    pub fn new(from: u32, to: u32, channels: u16, frames: usize) -> Result<Self, CodecError> {
        // Downwards the filter's slope, as steep in hertz as it is long in time, has to fit the narrower band. Where only
        // the clocks differ there is no band to cut, and a short filter between finer steps does: a quarter of the work.
        let (taps, parameters) = match from.cmp(&to) {
            std::cmp::Ordering::Greater => {
                (256, SincInterpolationParameters::new(256, WindowFunction::BlackmanHarris2))
            }
            std::cmp::Ordering::Less => (128, SincInterpolationParameters::new(128, WindowFunction::BlackmanHarris2)),
            std::cmp::Ordering::Equal => {
                let short = SincInterpolationParameters::new(64, WindowFunction::BlackmanHarris2);
                let finer = short.oversampling_factor(512).interpolation(SincInterpolationType::Linear);
                (64, finer.f_cutoff(0.95))
            }
        };
        let (ratio, channels) = (f64::from(to) / f64::from(from), usize::from(channels));
        let inner = Async::new_sinc(ratio, 1.0 + MOST_DRIFT, &parameters, frames, channels, FixedAsync::Output)
            .map_err(|error| CodecError(format!("cannot resample from {from} to {to} Hz: {error}")))?;
        // Half the filter; but the first frame that comes out already is one step of the output beyond the start.
        let delay = f64::from(taps) / 2.0 / f64::from(from) - 1.0 / f64::from(to);
        let (rates, step) = ((f64::from(from), f64::from(to)), f64::from(from) / f64::from(to));
        let output = vec![0.0; frames * channels];
        Ok(Self { inner, channels, frames, output, delay, rates, step, next_step: step, ahead: 0.0 })
    }

    /// How many input frames the next packet takes.
    pub fn needed(&self) -> usize {
        self.inner.input_frames_next()
    }

    pub fn delay(&self) -> f64 {
        self.delay
    }

    /// How long before the end of what went in, in seconds, that was which comes out next.
    pub fn lag(&self) -> f64 {
        self.delay + self.ahead / self.rates.0
    }

    /// From now on what goes in comes `1 + drift` times as fast as its rate says, the change spread over the next packet;
    /// what is beyond [`MOST_DRIFT`] is taken for it.
    pub fn set_drift(&mut self, drift: f64) {
        let bound = MOST_DRIFT * 0.99;
        let faster = 1.0 + drift.clamp(-bound, bound);
        self.inner
            .set_resample_ratio_relative(1.0 / faster, true)
            .expect("the ratio is within the bounds that it was made for");
        self.next_step = self.rates.0 / self.rates.1 * faster;
    }

    /// Forgets what it heard.
    pub fn reset(&mut self) {
        self.inner.reset();
        self.next_step = self.rates.0 / self.rates.1;
        (self.step, self.ahead) = (self.next_step, 0.0);
    }

    /// Turns [`Resampler::needed`] frames, interleaved, into a packet, appended to `packet`.
    ///
    /// # Errors
    /// Only if `samples` is shorter than that.
    pub fn resample(&mut self, samples: &[f32], packet: &mut Vec<f32>) -> Result<(), CodecError> {
        let failed = |error: &dyn std::fmt::Display| CodecError(format!("resampling failed: {error}"));
        let input = InterleavedSlice::new(samples, self.channels, samples.len() / self.channels)
            .map_err(|error| failed(&error))?;
        let mut output =
            InterleavedSlice::new_mut(&mut self.output, self.channels, self.frames).map_err(|error| failed(&error))?;
        let (taken, _) = self.inner.process_into_buffer(&input, &mut output, None).map_err(|error| failed(&error))?;
        // The sum of all steps from one rate to the other.
        let passed = (self.frames as f64 * (self.step + self.next_step) + self.next_step - self.step) / 2.0;
        self.ahead += taken as f64 - passed;
        self.step = self.next_step;
        packet.extend_from_slice(&self.output);
        Ok(())
    }
}
