//! Pictures: to planar 4:2:0 of the wanted size, then to H.264.

mod convert;
mod encoder;
mod h264;
mod jpeg;
pub mod m2m;
mod picture;

pub use convert::{Converter, MakePicture};
pub use encoder::VideoEncoder;
pub use h264::{H264Encoder, H264Settings};
pub use jpeg::Encoder as JpegEncoder;
pub use picture::Picture;
