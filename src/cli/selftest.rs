use super::{fail, print};
use crate::{
    codec::{CodecError, H264Encoder, H264Settings, JpegEncoder, Picture},
    device::pattern,
    media::{AccessUnit, FrameRate, H264Profile, Scene, Size},
};
use sha2::{Digest, Sha256};
use std::{process::ExitCode, time::Duration};

const SIZE: Size = Size::new(640, 360);
const FPS: FrameRate = FrameRate::new(30, 1);
/// Two key frames and what follows them.
const PICTURES: usize = 75;

#[derive(clap::Args)]
pub struct SelfTest {}

impl SelfTest {
    pub fn run(self) -> ExitCode {
        match digests() {
            Ok([h264, jpeg]) => print(&format!("h264 {h264}\njpeg {jpeg}\n")),
            Err(error) => fail(error),
        }
    }
}

/// SHA-256 of what openh264 (in one slice: with more, its threads share a rate control) and libjpeg-turbo make of the test pattern. Whichever vector code of theirs this processor runs,
/// it must come to the same.
fn digests() -> Result<[String; 2], CodecError> {
    let settings = H264Settings {
        size: SIZE,
        fps: FPS,
        bitrate: 500_000,
        bitrate_ceiling: 500_000,
        gop: Duration::from_secs(2),
        profile: H264Profile::Baseline,
        slices: Some(1),
        frame_skip: false,
    };
    let (mut h264, mut jpeg) = (H264Encoder::new(&settings)?, JpegEncoder::new()?);
    let (mut digests, mut unit) = ([Sha256::new(), Sha256::new()], AccessUnit::default());
    for frame in pattern::album(SIZE, FPS, Scene::Bars).take(PICTURES) {
        let picture = Picture::of(&frame)?;
        h264.encode(&picture, frame.stamp, false, &mut unit)?;
        digests[0].update(&unit.data);
        digests[1].update(jpeg.encode(&picture)?);
    }
    Ok(digests.map(|digest| hex::encode(digest.finalize())))
}
