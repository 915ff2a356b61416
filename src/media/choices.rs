//! Choices that a config names and a device or codec carries out.

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
