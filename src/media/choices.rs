//! Choices that a config names and a device or codec carries out.

use super::Size;
use std::fmt;

/// What the test pattern shows below its marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scene {
    #[default]
    Bars,
    /// Moving texture and noise that fill a bitrate.
    Busy,
}

/// What the test microphone plays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// 100 ms at the even seconds of the wall clock.
    #[default]
    Beep,
    Continuous,
}

/// H.264 profiles (ITU-T H.264 Annex A).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum H264Profile {
    /// Constrained baseline: what every decoder plays.
    #[default]
    Baseline,
    Main,
    High,
}

/// What a video track is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VideoCodec {
    /// Encoded here.
    #[default]
    H264,
    /// The camera's own H.264 or JPEG, passed through.
    Copy,
}

/// What a camera's control is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlValue {
    /// Of a switch 0 or 1, of a menu the entry's number.
    Number(i64),
    /// The text of a menu's entry.
    Entry(String),
}

impl From<i64> for ControlValue {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for ControlValue {
    /// As a person types it: a number, `true` or `false`, or a menu entry's text.
    fn from(text: &str) -> Self {
        match text.trim() {
            "true" => Self::Number(1),
            "false" => Self::Number(0),
            text => text.parse().map_or_else(|_| Self::Entry(text.to_owned()), Self::Number),
        }
    }
}

impl fmt::Display for ControlValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Entry(text) => write!(f, "`{text}`"),
        }
    }
}

/// Which encoder makes the H.264.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EncoderChoice {
    /// The board's own where there is one that can, else openh264.
    #[default]
    Auto,
    OpenH264,
    /// The board's own (a V4L2 memory-to-memory device); openh264 where it cannot.
    M2m,
}

/// How a camera's pictures are turned before they are encoded: first the flip, then the rotation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orientation {
    pub flip: Flip,
    pub rotation: Rotation,
}

impl Orientation {
    /// The size of a picture of that size once it is turned, or before it was.
    pub const fn turned(self, size: Size) -> Size {
        match self.rotation {
            Rotation::None | Rotation::Half => size,
            Rotation::Quarter | Rotation::ThreeQuarters => Size::new(size.height, size.width),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flip {
    #[default]
    None,
    /// Left and right change places.
    Horizontal,
    /// Top and bottom change places.
    Vertical,
}

/// Clockwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rotation {
    #[default]
    None,
    Quarter,
    Half,
    ThreeQuarters,
}
