//! Pictures: to planar 4:2:0 of the wanted size, then to H.264.

mod convert;
mod h264;
mod jpeg;
mod picture;
mod sys;

pub use convert::Converter;
pub use h264::{H264Encoder, H264Settings};
pub use jpeg::Encoder as JpegEncoder;
pub use picture::Picture;
