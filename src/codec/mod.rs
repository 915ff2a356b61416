//! Pixels and samples to bitstreams: pixel conversion, openh264, the board's own encoder, JPEG, audio codecs.

pub mod audio;
mod sys;
mod video;

pub use sys::give_back_pages;
pub use video::{Converter, H264Encoder, H264Settings, JpegEncoder, MakePicture, Picture, VideoEncoder, m2m};

use std::fmt;

/// Why a codec refused its settings or its input, in words for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecError(pub String);

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CodecError {}
