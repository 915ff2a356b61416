//! Change of sample rate, a packet at a time, by windowed sinc interpolation.

use crate::codec::CodecError;
use rubato::{
    Async, FixedAsync, Resampler as _, SincInterpolationParameters, WindowFunction,
    audioadapter_buffers::direct::InterleavedSlice,
};

pub struct Resampler {
    inner: Async<f32>,
    channels: usize,
    /// Frames that come out at a time.
    frames: usize,
    /// Scratch, allocated once for the most there can be.
    input: Vec<f32>,
    output: Vec<f32>,
    /// How much later, in seconds, a sound comes out than it went in.
    delay: f64,
}

impl Resampler {
    /// From `from` to `to` frames per second, `frames` at a time.
    ///
    /// # Errors
    /// A ratio that cannot be resampled, such as one to zero.
    pub fn new(from: u32, to: u32, channels: u16, frames: usize) -> Result<Self, CodecError> {
        // Downwards the filter's slope, as steep in hertz as it is long in time, has to fit the narrower band.
        let taps = if to < from { 256 } else { 128 };
        let parameters = SincInterpolationParameters::new(taps, WindowFunction::BlackmanHarris2);
        let (ratio, channels) = (f64::from(to) / f64::from(from), usize::from(channels));
        let inner = Async::new_sinc(ratio, 1.0, &parameters, frames, channels, FixedAsync::Output)
            .map_err(|error| CodecError(format!("cannot resample from {from} to {to} Hz: {error}")))?;
        let input = vec![0.0; inner.input_frames_max() * channels];
        let output = vec![0.0; frames * channels];
        // Half the filter; but the first frame that comes out already is one step of the output beyond the start.
        let delay = taps as f64 / 2.0 / f64::from(from) - 1.0 / f64::from(to);
        Ok(Self { inner, channels, frames, input, output, delay })
    }

    /// How many input frames the next packet takes.
    pub fn needed(&self) -> usize {
        self.inner.input_frames_next()
    }

    pub fn delay(&self) -> f64 {
        self.delay
    }

    /// Forgets what it heard.
    pub fn reset(&mut self) {
        self.inner.reset();
    }

    /// Turns [`Resampler::needed`] frames, interleaved, into a packet, appended to `packet`.
    ///
    /// # Errors
    /// Only if `samples` is shorter than that.
    pub fn resample(&mut self, samples: &[i16], packet: &mut Vec<i16>) -> Result<(), CodecError> {
        let needed = self.needed();
        for (value, sample) in self.input.iter_mut().zip(&samples[..(needed * self.channels).min(samples.len())]) {
            *value = f32::from(*sample);
        }
        let failed = |error: &dyn std::fmt::Display| CodecError(format!("resampling failed: {error}"));
        let input = InterleavedSlice::new(&self.input, self.channels, needed).map_err(|error| failed(&error))?;
        let mut output =
            InterleavedSlice::new_mut(&mut self.output, self.channels, self.frames).map_err(|error| failed(&error))?;
        self.inner.process_into_buffer(&input, &mut output, None).map_err(|error| failed(&error))?;
        // `as` saturates, which is what a sample that overshoots needs.
        packet.extend(self.output.iter().map(|value| value.round() as i16));
        Ok(())
    }
}
