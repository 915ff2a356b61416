use super::Way;
use crate::{
    codec::{CodecError, H264Encoder, H264Settings, JpegEncoder, Picture},
    device::slate::Slate,
    media::{AccessUnit, FrameRate, H264Format, JpegFormat, Size, TrackFormat, jpeg::LARGEST_SIDE},
    stream::VideoSettings,
    time::{MonoTime, WallTime},
};

/// A slate in the coding of the camera that it stands in for.
pub struct CodedSlate {
    slate: Slate,
    encoder: Encoder,
    format: TrackFormat,
}

enum Encoder {
    H264(Box<H264Encoder>),
    Jpeg(JpegEncoder),
}

impl CodedSlate {
    /// Of `size`, or the nearest that can be.
    pub fn new(
        way: &Way,
        size: Size,
        fps: FrameRate,
        name: &str,
        settings: &VideoSettings,
    ) -> Result<Self, CodecError> {
        let largest = |side: u32| if matches!(way, Way::Jpeg(_)) { side.min(LARGEST_SIDE) } else { side };
        let size = Size::new(largest(size.width).max(16) & !1, largest(size.height).max(16) & !1);
        let (encoder, format) = match way {
            Way::H264(_) => {
                let encoder = H264Encoder::new(&H264Settings {
                    size,
                    fps,
                    bitrate: settings.bitrate,
                    bitrate_ceiling: settings.bitrate_ceiling.max(settings.bitrate),
                    gop: settings.gop,
                    profile: settings.profile,
                    slices: Some(1),
                    frame_skip: false,
                })?;
                let (bitrate, parameter_sets) = (settings.bitrate, encoder.parameter_sets().clone());
                let format = TrackFormat::H264(H264Format { size, fps, bitrate, parameter_sets });
                (Encoder::H264(Box::new(encoder)), format)
            }
            Way::Jpeg(_) => (Encoder::Jpeg(JpegEncoder::new()?), TrackFormat::Jpeg(JpegFormat { size, fps })),
        };
        Ok(Self { slate: Slate::new(size, name), encoder, format })
    }

    /// The slate of that instant into `unit`; false if it was left out.
    pub fn draw(
        &mut self,
        reason: &str,
        (now, wall): (MonoTime, WallTime),
        sequence: u64,
        keyframe: bool,
        unit: &mut AccessUnit,
    ) -> Result<bool, CodecError> {
        let frame = self.slate.draw(reason, wall, now, sequence);
        let picture = Picture::of(&frame)?;
        match &mut self.encoder {
            Encoder::H264(encoder) => encoder.encode(&picture, now, keyframe, unit),
            Encoder::Jpeg(encoder) => {
                unit.clear();
                unit.push_nal(&encoder.encode(&picture)?);
                (unit.key, unit.stamp) = (true, now);
                Ok(true)
            }
        }
    }

    pub fn format(&self) -> TrackFormat {
        self.format.clone()
    }
}
