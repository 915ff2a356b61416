//! The test pattern and the encoder by themselves, without the server around them.

use super::Outcome;
use eyrie::{
    codec::{Converter, H264Encoder, H264Settings},
    device::{Camera, CameraWish, open_camera},
    media::{AccessUnit, FrameRate, H264Profile, Orientation, RawFrame, Scene, Size},
    time::MonoTime,
};
use std::time::Duration;

pub const SIZE: Size = Size::new(1280, 720);
pub const FPS: FrameRate = FrameRate::new(30, 1);

/// The stream of all benches, as the server is given it.
pub const STREAM: &str = "[camera.front]\ndevice = \"test\"\nsize = \"1280x720\"\nfps = 30\n\
    [stream.main.video]\nfrom = \"front\"\nbitrate = \"2M\"\n";

pub fn pattern() -> Outcome<Box<dyn Camera>> {
    Ok(open_camera(&test_camera(SIZE, FPS))?)
}

/// The test pattern, in that size and rate.
pub fn test_camera(size: Size, fps: FrameRate) -> CameraWish {
    CameraWish {
        device: "test".into(),
        name: "front".into(),
        size,
        fps,
        format: None,
        pass_through: None,
        orientation: Orientation::default(),
        controls: Vec::new(),
        scene: Scene::Bars,
    }
}

/// The encoder as the server makes it for [`STREAM`].
pub struct Encoder {
    encoder: H264Encoder,
    converter: Converter,
    unit: AccessUnit,
}

impl Encoder {
    /// With so many slices; None: as many as this machine needs, which it finds out.
    pub fn new(slices: Option<u32>) -> Outcome<Self> {
        Self::of(SIZE, 2_000_000, slices)
    }

    /// For pictures of another size, and bits per second.
    pub fn of(size: Size, bitrate: u32, slices: Option<u32>) -> Outcome<Self> {
        let encoder = H264Encoder::new(&H264Settings {
            size,
            fps: FPS,
            bitrate,
            bitrate_ceiling: 2 * bitrate,
            gop: Duration::from_secs(2),
            profile: H264Profile::Baseline,
            slices,
            frame_skip: false,
        })?;
        Ok(Self { encoder, converter: Converter::new(size, Orientation::default()), unit: AccessUnit::default() })
    }

    pub fn slices(&self) -> u32 {
        self.encoder.slices()
    }

    /// How long coding this picture takes.
    pub fn encode(&mut self, frame: &RawFrame, force_idr: bool) -> Outcome<Duration> {
        let begun = MonoTime::now();
        let picture = self.converter.convert(frame)?;
        let coded = self.encoder.encode(&picture, frame.stamp, force_idr, &mut self.unit)?;
        let taken = MonoTime::now() - begun;
        if !coded || (force_idr && !self.unit.key) {
            return Err("the encoder left a picture out".into());
        }
        Ok(taken)
    }
}

/// How long an IDR picture takes by itself, a few ordinary ones before it.
pub fn idr_time(camera: &mut dyn Camera, encoder: &mut Encoder) -> Outcome<Duration> {
    for _ in 0..3 {
        encoder.encode(&camera.next(Duration::from_secs(1))?, false)?;
    }
    encoder.encode(&camera.next(Duration::from_secs(1))?, true)
}
