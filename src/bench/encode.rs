use super::Outcome;
use crate::{
    codec::{Converter, H264Settings, VideoEncoder},
    device::pattern,
    media::{AccessUnit, EncoderChoice, FrameRate, H264Profile, Orientation, Scene, Size},
    time::MonoTime,
};
use std::time::Duration;

const FPS: FrameRate = FrameRate::new(30, 1);

/// How fast an encoder codes.
#[derive(Clone, Debug)]
pub struct Coding {
    /// `openh264`, or `m2m` and the name of the board's encoder.
    pub encoder: String,
    /// None: the board's encoder does not say.
    pub slices: Option<u32>,
    /// Pictures a second, converted and coded one after the other; drawing them is left out.
    pub per_second: f64,
}

/// Codes the busy test pattern until that has taken `long`, as fast as it goes. `slices`: None lets the encoder choose.
///
/// # Errors
/// There is no such encoder, or it fails.
pub fn code(size: Size, bitrate: u32, slices: Option<u32>, choice: EncoderChoice, long: Duration) -> Outcome<Coding> {
    let settings = H264Settings {
        size,
        fps: FPS,
        bitrate,
        bitrate_ceiling: bitrate,
        gop: Duration::from_secs(2),
        profile: H264Profile::Baseline,
        slices,
        frame_skip: false,
    };
    let mut encoder = VideoEncoder::new(&settings, choice)?;
    if choice == EncoderChoice::M2m
        && let Some(why) = encoder.fallen_back()
    {
        return Err(why.into());
    }
    let (mut converter, mut unit) = (Converter::new(size, Orientation::default()), AccessUnit::default());
    let (mut coded, mut taken) = (0, Duration::ZERO);
    for frame in pattern::album(size, FPS, Scene::Busy) {
        let begun = MonoTime::now();
        encoder.submit(&frame, &mut converter, false)?;
        while encoder.next(&mut unit)? {
            coded += 1;
        }
        taken += MonoTime::now().since(begun);
        if taken >= long {
            break;
        }
    }
    Ok(Coding { encoder: encoder.name(), slices: encoder.slices(), per_second: f64::from(coded) / taken.as_secs_f64() })
}
