use crate::time::MonoTime;
use std::time::Duration;

/// Sound as a microphone gave it: samples with full scale at -1 and 1, channels interleaved.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleBlock {
    /// `frames * channels` values.
    pub samples: Vec<f32>,
    pub channels: u16,
    /// Frames (one sample of every channel) per second, as the device counts them.
    pub rate: u32,
    /// When the first frame was taken, on the clock that pictures are stamped with, as well as the device can tell.
    pub stamp: MonoTime,
    /// The device lost frames before this block; `stamp` tells how many.
    pub after_loss: bool,
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
pub fn mix_channels(samples: &[f32], from: u16, to: u16, out: &mut Vec<f32>) {
    let (from, to) = (usize::from(from.max(1)), usize::from(to.max(1)));
    let frames = samples.chunks_exact(from);
    if from == to {
        out.extend_from_slice(samples);
    } else if to == 1 {
        out.extend(frames.map(|frame| frame.iter().sum::<f32>() / from as f32));
    } else {
        out.extend(frames.flat_map(|frame| frame.iter().cycle().take(to)));
    }
}

/// Appends of interleaved `samples` of `from` channels those channels that `map` names, the first being 1; one that is
/// not there is silent.
pub fn pick_channels(samples: &[f32], from: u16, map: &[u16], out: &mut Vec<f32>) {
    let picked = |frame: &[f32], channel: u16| {
        usize::from(channel).checked_sub(1).and_then(|index| frame.get(index).copied()).unwrap_or(0.0)
    };
    let frames = samples.chunks_exact(usize::from(from.max(1)));
    out.extend(frames.flat_map(|frame| map.iter().map(move |channel| picked(frame, *channel))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_mixed_down_and_repeated() {
        let mixed = |samples: &[f32], from, to| {
            let mut out = Vec::new();
            mix_channels(samples, from, to, &mut out);
            out
        };
        assert_eq!(mixed(&[0.25, 0.75, 1.0, 1.0, -1.0, -1.0], 2, 1), [0.5, 1.0, -1.0]);
        assert_eq!(mixed(&[0.5, 0.6], 1, 2), [0.5, 0.5, 0.6, 0.6]);
        assert_eq!(mixed(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], 4, 2), [0.1, 0.2, 0.5, 0.6]);
        assert_eq!(mixed(&[0.1, 0.2, 0.3], 1, 1), [0.1, 0.2, 0.3]);
        // Half a frame at the end is nobody's.
        assert_eq!(mixed(&[0.25, 0.75, 0.9], 2, 1), [0.5]);
    }

    #[test]
    fn channels_are_picked_by_number() {
        let picked = |map: &[u16]| {
            let mut out = Vec::new();
            pick_channels(&[0.1, 0.2, 0.3, 0.4], 2, map, &mut out);
            out
        };
        assert_eq!(picked(&[2]), [0.2, 0.4]);
        assert_eq!(picked(&[2, 1]), [0.2, 0.1, 0.4, 0.3]);
        assert_eq!(picked(&[3, 0, 1]), [0.0, 0.0, 0.1, 0.0, 0.0, 0.3]);
    }
}
