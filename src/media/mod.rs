//! What flows through the house: raw pictures and samples, access units, and what a track is.

mod access_unit;
mod choices;
pub mod fourcc;
mod frame;
pub mod h264;
pub mod jpeg;
mod lease;
mod samples;
mod track;

pub use access_unit::AccessUnit;
pub use choices::{ControlValue, EncoderChoice, Flip, H264Profile, Orientation, Rotation, Scene, Tone, VideoCodec};
pub use frame::{FrameRate, PixelFormat, Plane, PlaneShape, RawFrame, Size};
pub use lease::{FrameBuffer, Lease, Lendable, Pool, Unlent};
pub use samples::{SampleBlock, mix_channels, pick_channels};
pub use track::{AudioCodec, AudioFormat, H264Format, JpegFormat, ParameterSets, TrackFormat};
