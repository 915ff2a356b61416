//! From a microphone's blocks to sound that can be coded: on the clock of the pictures, as loud as is wanted.

mod clock;
mod level;
mod line;

pub use level::{Fader, Level, Loudness};
pub use line::SoundLine;
