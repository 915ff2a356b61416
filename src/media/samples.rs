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

/// Appends interleaved `samples` of `from` channels to `out` as `to` channels: to mono their mean; from mono each sample
/// as often; else the first `to` of them, in turn again where there are fewer.
pub fn mix_channels(samples: &[i16], from: u16, to: u16, out: &mut Vec<i16>) {
    let (from, to) = (usize::from(from.max(1)), usize::from(to.max(1)));
    let frames = samples.chunks_exact(from);
    if from == to {
        out.extend_from_slice(samples);
    } else if to == 1 {
        out.extend(frames.map(|frame| (frame.iter().map(|s| i32::from(*s)).sum::<i32>() / from as i32) as i16));
    } else {
        out.extend(frames.flat_map(|frame| frame.iter().cycle().take(to)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_mixed_down_and_repeated() {
        let mixed = |samples: &[i16], from, to| {
            let mut out = Vec::new();
            mix_channels(samples, from, to, &mut out);
            out
        };
        assert_eq!(mixed(&[1, 3, i16::MAX, i16::MAX, i16::MIN, i16::MIN], 2, 1), [2, i16::MAX, i16::MIN]);
        assert_eq!(mixed(&[5, 6], 1, 2), [5, 5, 6, 6]);
        assert_eq!(mixed(&[1, 2, 3, 4, 5, 6, 7, 8], 4, 2), [1, 2, 5, 6]);
        assert_eq!(mixed(&[1, 2, 3], 1, 1), [1, 2, 3]);
        // Half a frame at the end is nobody's.
        assert_eq!(mixed(&[1, 3, 9], 2, 1), [2]);
    }
}
