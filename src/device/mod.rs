//! Cameras and microphones: V4L2, ALSA, test pattern and tone. A device that fails ends with an error; whoever
//! supervises it opens it again.

pub mod alsa;
pub(crate) mod canvas;
pub mod child;
pub mod hotplug;
pub mod list;
mod pace;
pub mod pattern;
mod realtime;
pub mod slate;
mod stamps;
pub mod tone;
pub mod v4l2;

use crate::media::{
    ControlValue, FrameRate, H264Profile, Orientation, PixelFormat, RawFrame, SampleBlock, Scene, Size, Tone,
};
use list::ControlInfo;
use std::{fmt, time::Duration};

/// The device name of the test pattern and of the test microphone.
pub const TEST: &str = "test";

/// How long a camera may take to be opened.
pub const OPENING: Duration = Duration::from_secs(10);

/// A camera that captures. Lives on a thread of its own, which may block in it.
pub trait Camera: Send {
    fn mode(&self) -> &CameraMode;

    /// The next picture: the newest there is, older ones that waited are dropped and counted. Of H.264 each one in turn,
    /// as they build on each other: one that was lost or damaged is missing in the numbers.
    ///
    /// # Errors
    /// [`DeviceError::Stalled`] when none came within `patience`; any other ends the device.
    fn next(&mut self, patience: Duration) -> Result<RawFrame, DeviceError>;

    /// Pictures that the device or this side lost since the start.
    fn dropped(&self) -> u64;

    /// Asks a camera that gives H.264 for a key frame; false where it cannot be asked.
    fn request_keyframe(&mut self) -> bool {
        false
    }
}

/// What was negotiated with a camera.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraMode {
    pub format: PixelFormat,
    /// In which its pictures are shown; one field of an interlaced one has half the rows.
    pub size: Size,
    pub fps: FrameRate,
}

/// A microphone that captures. Lives on a thread of its own, which may block in it.
pub trait Microphone: Send {
    /// Frames per second, and channels, that [`Microphone::next`] will give.
    fn mode(&self) -> MicrophoneMode;

    /// The next block of some 10 to 20 ms. The samples of blocks follow each other without a gap, but where frames were
    /// lost, as the block after them says; their stamps waver.
    ///
    /// # Errors
    /// [`DeviceError::Stalled`] when none came within `patience`; any other ends the device.
    fn next(&mut self, patience: Duration) -> Result<SampleBlock, DeviceError>;

    /// How often frames were lost.
    fn overruns(&self) -> u64;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MicrophoneMode {
    pub rate: u32,
    pub channels: u16,
}

/// Why a device cannot be used, or no longer.
#[derive(Debug)]
pub enum DeviceError {
    /// No device of that name; which ones there are.
    Absent { wanted: String, present: Vec<String> },
    /// The name fits several; their unambiguous names.
    Ambiguous { wanted: String, candidates: Vec<String> },
    /// The device is there and is no camera (or microphone); why.
    Unusable { device: String, reason: String },
    /// Someone else has it; who, where that is known.
    Busy { device: String, by: Option<String> },
    /// It delivered nothing for that long.
    Stalled { after: Duration },
    /// It went away while in use, or failed; in words for a person.
    Failed { device: String, what: String },
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent { wanted, present } if present.is_empty() => write!(f, "no device `{wanted}`; none is there"),
            Self::Absent { wanted, present } => write!(f, "no device `{wanted}`; there are: {}", present.join(", ")),
            Self::Ambiguous { wanted, candidates } => {
                write!(f, "`{wanted}` fits several devices; name one of: {}", candidates.join(", "))
            }
            Self::Unusable { device, reason } => write!(f, "{device} cannot be used: {reason}"),
            Self::Busy { device, by } => {
                write!(f, "{device} is in use by {}", by.as_deref().unwrap_or("another program"))
            }
            Self::Stalled { after } => write!(f, "delivered nothing for {:.1} s", after.as_secs_f64()),
            Self::Failed { device, what } => write!(f, "{device}: {what}"),
        }
    }
}

impl std::error::Error for DeviceError {}

/// Opens the camera that `wish` names, for this thread, which comes before others from then on if it is a real device.
///
/// # Errors
/// Any [`DeviceError`] but `Stalled`.
pub fn open_camera(wish: &CameraWish) -> Result<Box<dyn Camera>, DeviceError> {
    match wish.device.as_str() {
        TEST => Ok(Box::new(pattern::TestPattern::open(wish)?)),
        program if program.starts_with(child::PREFIX) => Ok(Box::new(child::open(wish)?)),
        _ => {
            realtime::ask();
            Ok(Box::new(v4l2::open(wish)?))
        }
    }
}

/// The controls that the camera of that device has, with their values now, also while it captures.
///
/// # Errors
/// Absent, Ambiguous or Unusable.
pub fn camera_controls(device: &str) -> Result<Vec<ControlInfo>, DeviceError> {
    with_controls(device)?;
    v4l2::camera_controls(device)
}

/// One control of the camera of that device.
///
/// # Errors
/// As for [`camera_controls`], and Failed with the nearest right name.
pub fn camera_control(device: &str, name: &str) -> Result<ControlInfo, DeviceError> {
    with_controls(device)?;
    v4l2::camera_control(device, name)
}

/// Sets a control of the camera of that device, also while it captures; what it is then.
///
/// # Errors
/// As for [`camera_controls`], and Failed with the nearest right name or value.
pub fn set_camera_control(device: &str, name: &str, value: &ControlValue) -> Result<ControlInfo, DeviceError> {
    with_controls(device)?;
    v4l2::set_camera_control(device, name, value)
}

fn with_controls(device: &str) -> Result<(), DeviceError> {
    if device == TEST || device.starts_with(child::PREFIX) {
        return Err(DeviceError::Failed { device: device.to_owned(), what: "it has no controls".to_owned() });
    }
    Ok(())
}

/// Opens the microphone that `wish` names, for this thread, as [`open_camera`] does.
///
/// # Errors
/// Any [`DeviceError`] but `Stalled`.
pub fn open_microphone(wish: &MicrophoneWish) -> Result<Box<dyn Microphone>, DeviceError> {
    let microphone: Box<dyn Microphone> = match wish.device.as_str() {
        TEST => Box::new(tone::TestTone::open(wish)),
        _ => {
            realtime::ask();
            Box::new(alsa::open(wish)?)
        }
    };
    let has = microphone.mode().channels;
    match wish.map.iter().find(|channel| **channel > has) {
        None => Ok(microphone),
        Some(channel) => Err(DeviceError::Unusable {
            device: wish.device.clone(),
            reason: format!("`map` names channel {channel}, and it gives {has}"),
        }),
    }
}

/// What streams that pass the camera's own coding on want of it.
#[derive(Clone, Debug, PartialEq)]
pub struct PassThrough {
    /// No stream decodes the pictures: H.264 serves, and comes first. Else only JPEG does.
    pub alone: bool,
    /// Of H.264, in bit/s.
    pub bitrate: u32,
    /// Of H.264, from one key frame to the next.
    pub gop: Duration,
    pub profile: H264Profile,
}

/// What is wanted of a camera; the nearest it has is taken.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraWish {
    /// Bus path, serial, card name, `/dev/videoN`, `child:` with a program and its arguments, or `test`.
    pub device: String,
    /// What the person calls it; drawn into the test pattern.
    pub name: String,
    pub size: Size,
    pub fps: FrameRate,
    /// None: whichever serves best.
    pub format: Option<PixelFormat>,
    /// None: no stream passes the camera's own coding on.
    pub pass_through: Option<PassThrough>,
    /// How its pictures are turned by who encodes them.
    pub orientation: Orientation,
    /// V4L2 controls by name.
    pub controls: Vec<(String, ControlValue)>,
    /// Only for `test`.
    pub scene: Scene,
}

/// What is wanted of a microphone; the nearest it has is taken.
#[derive(Clone, Debug, PartialEq)]
pub struct MicrophoneWish {
    /// An ALSA name, a card's name, or `test`.
    pub device: String,
    pub rate: u32,
    pub channels: u16,
    /// Which of the device's channels these are, counted from 1; empty: all of them, mixed.
    pub map: Vec<u16>,
    /// Only for `test`.
    pub tone: Tone,
}

impl MicrophoneWish {
    /// How many channels the device should have.
    pub fn device_channels(&self) -> u16 {
        self.map.iter().copied().max().unwrap_or(self.channels).max(1)
    }
}
