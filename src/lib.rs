//! Eyrie turns a Linux board with a camera and a microphone into a professional network camera.
//!
//! Media flows one way: `device` → `codec` → `stream` (packetizes with `rtp`, once) → `net` → socket.
//! Requests flow through `rtsp`, which owns no socket and no clock. The rooms and who may import whom are
//! listed in `tests/layout.rs`, which fails when the code disagrees.

pub mod media;
pub mod time;
pub mod v4l2;

pub mod codec;
pub mod config;
pub mod device;
pub mod guard;
pub mod rtp;
pub mod rtsp;

pub mod stream;

pub mod bench;
pub mod health;
pub mod net;

pub mod app;
pub mod cli;
