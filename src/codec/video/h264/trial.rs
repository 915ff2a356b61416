//! How many slices a machine needs to code in time: found by coding noise, the hardest there is.

use super::{H264Settings, Picture, SAFE_QP};
use crate::codec::CodecError;
use crate::media::Size;
use nix::time::{ClockId, clock_gettime};
use std::{thread, time::Duration};

/// How much of the interval between frames one frame may take.
const SHARE: f64 = 0.7;
/// How much of the work runs on one thread whatever the number of slices (measured: two slices need 0.6 of the time of
/// one, four need 0.45).
const SERIAL: f64 = 0.25;
/// The library's limit.
const MAX_THREADS: usize = 4;
/// The trial codes a smaller picture, to be over soon, and reckons with the number of pixels.
const TRIAL_PIXELS: u64 = 640 * 360;
const TRIAL_FRAMES: usize = 4;
/// The library makes one slice of pictures up to here: 48 macroblocks.
const TINY_PIXELS: u64 = 48 * 256;

/// One slice if a frame then takes less than [`SHARE`] of its interval, else as few as it needs, at most the cores.
pub fn slices_needed(settings: &H264Settings) -> Result<u32, CodecError> {
    let cores = thread::available_parallelism().map_or(1, |n| n.get().min(MAX_THREADS)) as u32;
    if cores == 1 || settings.size.pixels() <= TINY_PIXELS {
        return Ok(1);
    }
    let limit = settings.fps.interval().as_secs_f64() * SHARE;
    Ok(fewest_slices(time_of_one_slice(settings)?.as_secs_f64(), limit, cores))
}

/// `time` is that of a frame of one slice.
fn fewest_slices(time: f64, limit: f64, cores: u32) -> u32 {
    (1..cores).find(|n| time * (SERIAL + (1.0 - SERIAL) / f64::from(*n)) < limit).unwrap_or(cores)
}

/// The processor time of a frame of moving noise: the least of a few, as whatever else starts at the same moment stretches
/// some. The time on the clock would be stretched far more.
fn time_of_one_slice(settings: &H264Settings) -> Result<Duration, CodecError> {
    let mut trial = settings.clone();
    while trial.size.pixels() > TRIAL_PIXELS {
        trial.size =
            Size::new((trial.size.width / 2).next_multiple_of(16), (trial.size.height / 2).next_multiple_of(16));
    }
    let ratio = settings.size.pixels() as f64 / trial.size.pixels() as f64;
    trial.bitrate = ((f64::from(settings.bitrate) / ratio) as u32).max(settings.fps.as_f64().ceil() as u32);
    trial.bitrate_ceiling = trial.bitrate;
    trial.frame_skip = false;

    let noise = noise(trial.size.pixels() as usize + TRIAL_FRAMES * STEP);
    let mut encoder = trial.encoder(1, SAFE_QP)?;
    let width = trial.size.width as usize;
    let mut least = Duration::MAX;
    for frame in 0..TRIAL_FRAMES {
        // Each frame lies a little further in the same noise, so it seems to move.
        let plane = &noise[frame * STEP..];
        let strides = [width, width.div_ceil(2), width.div_ceil(2)];
        let picture = Picture { size: trial.size, planes: [plane; 3], strides };
        let start = thread_time();
        encoder.encode(&picture, frame as i64 * 1000 / 30)?;
        // The first is a key frame, and the first to touch its memory.
        if frame > 0 {
            least = least.min(thread_time() - start);
        }
    }
    Ok(least.mul_f64(ratio))
}

/// How far the noise moves, in pixels.
const STEP: usize = 5;

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = vec![0; length];
    for chunk in bytes.chunks_mut(8) {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
    }
    bytes
}

fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_few_slices_as_the_time_allows() {
        assert_eq!(fewest_slices(0.010, 0.023, 4), 1);
        assert_eq!(fewest_slices(0.030, 0.023, 4), 2);
        assert_eq!(fewest_slices(0.045, 0.023, 4), 3);
        assert_eq!(fewest_slices(0.050, 0.023, 4), 4);
        assert_eq!(fewest_slices(1.000, 0.023, 4), 4);
        assert_eq!(fewest_slices(1.000, 0.023, 2), 2);
    }
}
