//! Cameras that another program reads, such as modules that need libcamera: it runs as a child process and hands its
//! pictures over as descriptors of the memory they lie in, through a socket that is its standard input.
//!
//! The program is trusted as this one is: it runs as the same user, and only who writes the config names it. What it sends
//! is checked all the same, so that its mistakes end in words and not in a crash.

mod buffers;
mod camera;
mod process;
mod protocol;
mod sys;

pub use camera::{ChildCamera, open};

/// What a device begins with that is a program.
pub const PREFIX: &str = "child:";

/// The program and its arguments that a device name stands for: what blanks separate. No shell reads it.
fn words(device: &str) -> Vec<&str> {
    device.strip_prefix(PREFIX).unwrap_or_default().split_ascii_whitespace().collect()
}
