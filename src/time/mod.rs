//! The clocks. Nothing outside this room reads one (`.clippy.toml` forbids it), so that every other room can be
//! driven by a simulated time in tests.

mod mono;
mod rtp;
mod wall;

pub use mono::MonoTime;
pub use rtp::RtpClock;
pub use wall::{NtpTime, WallClock, WallTime};
