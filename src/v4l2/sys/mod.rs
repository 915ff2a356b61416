//! The only place that speaks V4L2 to the kernel: typed ioctls on a descriptor, and mapped buffers. Structs and request
//! codes are those of the `v4l` crate's generated bindings, so their layout is right on every architecture.

mod buffers;
mod controls;
mod formats;
mod inputs;
mod media;

pub use buffers::{Dequeued, Filled, MOST_PLANES, Mapping, Memory, MemoryPlane, Used};
pub use formats::{EnumeratedSize, PictureFormat, PlaneFormat, intervals_of_entry, size_of_entry};
pub use inputs::Timings;
pub use media::{Entity, Role};
pub use v4l::v4l_sys::*;

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use std::{
    ffi::c_void,
    fs::{File, OpenOptions},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::fs::OpenOptionsExt,
    },
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use v4l::v4l2::{ioctl, vidioc::*};

/// The last close in the very instant of a USB unplug can oops a kernel (seen with 6.1): a descriptor whose device
/// has gone is closed only after this.
const LINGER: Duration = Duration::from_millis(500);

/// One of a device's queues of buffers (`enum v4l2_buf_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BufferType {
    /// Pictures out of the device, each in one piece of memory.
    Capture,
    /// Pictures out of the device, their planes in pieces of memory of their own.
    CapturePlanes,
    /// Pictures into the device.
    Output,
    OutputPlanes,
}

impl BufferType {
    /// The kernel's number.
    pub fn code(self) -> u32 {
        match self {
            Self::Capture => v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE,
            Self::CapturePlanes => v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
            Self::Output => v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_OUTPUT,
            Self::OutputPlanes => v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE,
        }
    }

    /// Whether the multi-planar API is spoken on it.
    pub fn is_multi_planar(self) -> bool {
        matches!(self, Self::CapturePlanes | Self::OutputPlanes)
    }
}

/// A struct of the kernel's interface in which the fields not named are zero, as V4L2 demands.
pub trait Plain: Copy {
    fn zeroed() -> Self {
        // SAFETY: implemented below for structs of integers, unions of such and raw pointers only, for all of which
        // all zeroes is a valid value.
        unsafe { std::mem::zeroed() }
    }
}

macro_rules! plain {
    ($($name:ty),*) => { $(impl Plain for $name {})* };
}

plain!(
    v4l2_pix_format,
    v4l2_pix_format_mplane,
    v4l2_capability,
    v4l2_fmtdesc,
    v4l2_frmsizeenum,
    v4l2_frmivalenum,
    v4l2_format,
    v4l2_streamparm,
    v4l2_requestbuffers,
    v4l2_buffer,
    v4l2_plane,
    v4l2_exportbuffer,
    v4l2_queryctrl,
    v4l2_querymenu,
    v4l2_control,
    v4l2_input,
    v4l2_event,
    v4l2_event_subscription,
    v4l2_encoder_cmd,
    v4l2_selection,
    v4l2_dv_timings,
    i32,
    u64
);

/// An open video node, non-blocking.
pub struct Descriptor {
    /// None only while being dropped.
    file: Option<File>,
    /// An ioctl said ENODEV.
    gone: AtomicBool,
}

/// What [`Descriptor::wait`] saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// A filled capture buffer, or (for an encoder) also an output buffer that was read.
    Buffer,
    /// POLLERR or POLLHUP; the next dequeue says what it is.
    Trouble,
    Nothing,
}

impl Descriptor {
    pub fn open(node: &Path) -> Result<Self, Errno> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(node)
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
        Ok(Self { file: Some(file), gone: AtomicBool::new(false) })
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.file().as_fd()
    }

    fn file(&self) -> &File {
        self.file.as_ref().expect("taken by drop alone")
    }

    /// Carries out a request whose argument holds no pointer that the kernel follows.
    fn call<T: Plain>(&self, request: _IOC_TYPE, argument: &mut T) -> Result<(), Errno> {
        // The size that the request code carries (asm-generic/ioctl.h).
        assert_eq!((request >> 16) as usize & 0x3fff, size_of::<T>(), "the argument of another request");
        loop {
            // SAFETY: the descriptor is open, and the kernel reads and writes as many bytes at the pointer as the
            // request code says, which is the size of the exclusively borrowed `T`. No request used here makes the
            // kernel keep the pointer. It follows one inside only for multi-planar buffers, whose planes `buffers`
            // keeps alive and counts.
            let result = unsafe { ioctl(self.file().as_raw_fd(), request, (argument as *mut T).cast::<c_void>()) };
            match result.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))) {
                Err(Errno::EINTR) => {}
                Err(Errno::ENODEV) => {
                    self.gone.store(true, Ordering::Relaxed);
                    return Err(Errno::ENODEV);
                }
                other => return other,
            }
        }
    }

    fn ask<T: Plain>(&self, request: _IOC_TYPE, mut question: T) -> Result<T, Errno> {
        self.call(request, &mut question).map(|()| question)
    }

    pub fn capability(&self) -> Result<v4l2_capability, Errno> {
        self.ask(VIDIOC_QUERYCAP, v4l2_capability::zeroed())
    }

    /// Starts or stops a queue.
    pub fn stream(&self, of: BufferType, on: bool) -> Result<(), Errno> {
        self.call(if on { VIDIOC_STREAMON } else { VIDIOC_STREAMOFF }, &mut (of.code() as i32))
    }

    /// Waits for a filled capture buffer.
    pub fn wait(&self, timeout: Duration) -> Result<Ready, Errno> {
        self.wait_for(PollFlags::POLLIN, timeout)
    }

    /// Waits for any of `events`.
    pub fn wait_for(&self, events: PollFlags, timeout: Duration) -> Result<Ready, Errno> {
        let mut fds = [PollFd::new(self.file().as_fd(), events)];
        // Rounded up, so that a caller with a deadline does not spin through the last millisecond.
        let timeout = PollTimeout::try_from(timeout + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(0) | Err(Errno::EINTR) => Ok(Ready::Nothing),
            Ok(_) => {
                let seen = fds[0].revents().unwrap_or(PollFlags::POLLERR);
                let bad = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
                Ok(if seen.intersects(bad) { Ready::Trouble } else { Ready::Buffer })
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if !self.gone.load(Ordering::Relaxed) {
            return;
        }
        let file = self.file.take();
        let linger = move || {
            std::thread::sleep(LINGER);
            drop(file);
        };
        // Where no thread can be had, the closure and with it the descriptor is dropped at once.
        let _ = std::thread::Builder::new().name("v4l2-close".into()).spawn(linger);
    }
}

/// A name of the kernel's, up to its zero byte. It may be cut inside a UTF-8 letter.
pub fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_are_as_long_as_the_kernel_says() {
        assert_eq!(size_of::<v4l2_buffer>(), if cfg!(target_pointer_width = "64") { 88 } else { 68 });
        assert_eq!(size_of::<v4l2_plane>(), if cfg!(target_pointer_width = "64") { 64 } else { 60 });
    }

    #[test]
    fn a_name_cut_inside_a_letter_is_read_nevertheless() {
        assert_eq!(text(b"Kamera f\xc3"), "Kamera f\u{fffd}");
        assert_eq!(text(b"HD Webcam\0\xff\xff"), "HD Webcam");
    }

    #[test]
    fn a_node_that_is_none_says_so() {
        assert_eq!(Descriptor::open(Path::new("/nowhere/video9")).err(), Some(Errno::ENOENT));
        let other = Descriptor::open(Path::new("/dev/null")).unwrap();
        assert_eq!(other.capability().err(), Some(Errno::ENOTTY));
    }
}
