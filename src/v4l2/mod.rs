//! Video4Linux2 as the kernel speaks it (`linux/videodev2.h`): one open node, its formats, buffers and controls, for
//! whoever captures from a camera or codes with the board's encoder. No policy: what to ask of a device is theirs.

mod sys;

pub use sys::*;
