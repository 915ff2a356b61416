use crate::time::MonoTime;
use std::time::Duration;

/// Sound as a microphone gave it: signed 16-bit samples, channels interleaved.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleBlock {
    /// `frames * channels` values.
    pub samples: Vec<i16>,
    pub channels: u16,
    /// Frames (one sample of every channel) per second.
    pub rate: u32,
    /// When the first frame was taken, on the clock that pictures are stamped with.
    pub stamp: MonoTime,
}

impl SampleBlock {
    /// Samples per channel.
    pub fn frames(&self) -> usize {
        self.samples.len() / usize::from(self.channels.max(1))
    }

    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.frames() as u64 * 1_000_000_000 / u64::from(self.rate.max(1)))
    }
}
