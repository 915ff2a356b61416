//! Which encoder makes a stream's H.264: the board's own where there is one that can, else openh264. One that fails is
//! followed by openh264, with the next picture a key frame.

use super::{
    H264Encoder, H264Settings, MakePicture,
    m2m::{BoardEncoder, Counts, Failure},
};
use crate::{
    codec::CodecError,
    media::{AccessUnit, EncoderChoice, ParameterSets, RawFrame},
};

/// An encoder of either kind: pictures go in by [`VideoEncoder::submit`], and what is ready comes out by
/// [`VideoEncoder::next`].
pub struct VideoEncoder {
    settings: H264Settings,
    kind: Kind,
    /// Why the board's encoder is not used where it was to be.
    fallen_back: Option<String>,
    /// A key frame was asked for and has not come.
    key_owed: bool,
}

enum Kind {
    /// `ready`: `unit` has a picture that was not fetched yet.
    Library {
        encoder: Box<H264Encoder>,
        unit: AccessUnit,
        ready: bool,
    },
    Board(Box<BoardEncoder>),
}

impl VideoEncoder {
    /// # Errors
    /// Settings that no encoder takes.
    pub fn new(settings: &H264Settings, choice: EncoderChoice) -> Result<Self, CodecError> {
        settings.check()?;
        let found = match choice {
            EncoderChoice::OpenH264 => None,
            EncoderChoice::Auto => BoardEncoder::find(settings, false),
            EncoderChoice::M2m => BoardEncoder::find(settings, true)
                .or_else(|| Some(Err(CodecError("this board has no H.264 encoder that can be used".into())))),
        };
        let (kind, fallen_back) = match found {
            Some(Ok(board)) => (Kind::Board(Box::new(board)), None),
            Some(Err(why)) => (Kind::library(settings)?, Some(why.to_string())),
            None => (Kind::library(settings)?, None),
        };
        Ok(Self { settings: settings.clone(), kind, fallen_back, key_owed: false })
    }

    /// `openh264`, or `m2m` and the name of the board's encoder.
    pub fn name(&self) -> String {
        match &self.kind {
            Kind::Library { .. } => "openh264".to_owned(),
            Kind::Board(board) => format!("m2m {}", board.name()),
        }
    }

    /// Why openh264 encodes where the board's encoder was to; None where it was not to, or does.
    pub fn fallen_back(&self) -> Option<&str> {
        self.fallen_back.as_deref()
    }

    /// How many slices make a picture, where that is known.
    pub fn slices(&self) -> Option<u32> {
        match &self.kind {
            Kind::Library { encoder, .. } => Some(encoder.slices()),
            Kind::Board(_) => None,
        }
    }

    /// How pictures came into the board's encoder; None of openh264, which reads them where the converter left them.
    pub fn counts(&self) -> Option<Counts> {
        match &self.kind {
            Kind::Library { .. } => None,
            Kind::Board(board) => Some(board.counts()),
        }
    }

    /// Those of the key frame that came out last and of all that follow; None before the board's first.
    pub fn parameter_sets(&self) -> Option<&ParameterSets> {
        match &self.kind {
            Kind::Library { encoder, .. } => Some(encoder.parameter_sets()),
            Kind::Board(board) => board.parameter_sets(),
        }
    }

    /// Gives it a picture. With `force_idr` a key frame comes as soon as it can, however many pictures fail or are left
    /// out until then.
    ///
    /// # Errors
    /// A damaged picture, or one that openh264 does not take.
    pub fn submit(&mut self, frame: &RawFrame, maker: &mut dyn MakePicture, force_idr: bool) -> Result<(), CodecError> {
        self.key_owed |= force_idr;
        if let Kind::Board(board) = &mut self.kind {
            match board.submit(frame, maker, self.key_owed) {
                Ok(()) => return Ok(()),
                Err(Failure::Picture(error)) => return Err(error),
                Err(Failure::Encoder(error)) => self.fall_back(&error)?,
            }
        }
        if let Kind::Library { encoder, unit, ready } = &mut self.kind {
            let picture = maker.make(frame)?;
            *ready = false;
            *ready = encoder.encode(&picture, frame.stamp, self.key_owed, unit)?;
        }
        Ok(())
    }

    /// The next coded picture into `out`, false where there is none for now. A key frame has its parameter sets before
    /// it. Waits for the board's encoder, but not longer than until the next picture is due.
    ///
    /// # Errors
    /// No encoder could be made after the board's failed.
    pub fn next(&mut self, out: &mut AccessUnit) -> Result<bool, CodecError> {
        let made = match &mut self.kind {
            Kind::Library { unit, ready, .. } => {
                std::mem::swap(out, unit);
                std::mem::take(ready)
            }
            Kind::Board(board) => match board.next(out) {
                Ok(made) => made,
                Err(error) => {
                    self.fall_back(&error)?;
                    false
                }
            },
        };
        self.key_owed &= !(made && out.key);
        Ok(made)
    }

    /// Changes the mean to hold, from the next picture on, in bit/s.
    ///
    /// # Errors
    /// A rate that needs a new encoder.
    pub fn set_bitrate(&mut self, bitrate: u32) -> Result<(), CodecError> {
        match &mut self.kind {
            Kind::Library { encoder, .. } => encoder.set_bitrate(bitrate),
            Kind::Board(board) => board.set_bitrate(bitrate),
        }?;
        self.settings.bitrate = bitrate;
        Ok(())
    }

    fn fall_back(&mut self, error: &CodecError) -> Result<(), CodecError> {
        self.fallen_back = Some(format!("{}: {error}", self.name().trim_start_matches("m2m ")));
        self.kind = Kind::library(&self.settings)?;
        Ok(())
    }
}

impl Kind {
    fn library(settings: &H264Settings) -> Result<Self, CodecError> {
        let encoder = Box::new(H264Encoder::new(settings)?);
        Ok(Self::Library { encoder, unit: AccessUnit::default(), ready: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::{Converter, m2m::encoders},
        media::{FrameRate, H264Profile, Lease, Orientation, PixelFormat, Size},
        time::MonoTime,
    };
    use std::time::Duration;

    const SIZE: Size = Size::new(64, 48);

    fn settings() -> H264Settings {
        H264Settings {
            size: SIZE,
            fps: FrameRate::new(30, 1),
            bitrate: 100_000,
            bitrate_ceiling: 200_000,
            gop: Duration::from_secs(10),
            profile: H264Profile::Baseline,
            slices: Some(1),
            frame_skip: false,
        }
    }

    fn frame(number: u64, length: usize) -> RawFrame {
        let planes = RawFrame::layout(PixelFormat::I420, SIZE, 64, 64 * 48 * 3 / 2).unwrap();
        let stamp = MonoTime::from_nanos(1_000_000_000 + number * 33_333_333);
        let (format, buffer) = (PixelFormat::I420, Lease::new(vec![100; length]));
        RawFrame { format, size: SIZE, shown: SIZE, planes, stamp, sequence: number, buffer }
    }

    const WHOLE: usize = 64 * 48 * 3 / 2;

    #[test]
    fn a_key_frame_stays_owed_until_one_comes() {
        let mut encoder = VideoEncoder::new(&settings(), EncoderChoice::OpenH264).unwrap();
        let (mut converter, mut unit) = (Converter::new(SIZE, Orientation::default()), AccessUnit::default());
        let mut key = |number, length, force| {
            let taken = encoder.submit(&frame(number, length), &mut converter, force);
            assert_eq!(taken.is_ok(), length == WHOLE);
            let made = encoder.next(&mut unit).unwrap();
            assert_eq!(made, length == WHOLE);
            assert!(!encoder.next(&mut AccessUnit::default()).unwrap(), "once");
            made && unit.key
        };
        assert!(key(0, WHOLE, false), "the first");
        assert!(!key(1, WHOLE, false));
        // It was to be the one, and is damaged.
        assert!(!key(2, WHOLE / 2, true));
        assert!(key(3, WHOLE, false));
        assert!(!key(4, WHOLE, false));
    }

    #[test]
    fn a_board_without_an_encoder_is_no_error() {
        if encoders(u32::from_le_bytes(*b"H264")).next().is_some() {
            return;
        }
        let auto = VideoEncoder::new(&settings(), EncoderChoice::Auto).unwrap();
        assert_eq!((auto.name().as_str(), auto.fallen_back()), ("openh264", None));
        let wished = VideoEncoder::new(&settings(), EncoderChoice::M2m).unwrap();
        assert_eq!(wished.name(), "openh264");
        assert!(wished.fallen_back().unwrap().contains("no H.264 encoder"));
        let odd = H264Settings { size: Size::new(63, 48), ..settings() };
        assert!(VideoEncoder::new(&odd, EncoderChoice::M2m).is_err());
    }
}
