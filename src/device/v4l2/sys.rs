//! The only place that speaks to the kernel: typed ioctls on a descriptor, and mapped buffers. Structs and request
//! codes are those of the `v4l` crate's generated bindings, so their layout is right on every architecture.

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::mman::{MapFlags, ProtFlags, mmap, munmap},
};
use std::{
    ffi::c_void,
    fs::{File, OpenOptions},
    num::NonZeroUsize,
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::OpenOptionsExt,
    },
    path::Path,
    ptr::NonNull,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
pub use v4l::v4l_sys::*;
use v4l::v4l2::{ioctl, vidioc::*};

/// Single-planar capture; the one kind of queue there is so far.
pub const CAPTURE: u32 = v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE;
const MMAP: u32 = v4l2_memory_V4L2_MEMORY_MMAP;
/// The last close in the very instant of a USB unplug can oops a kernel (seen with 6.1): a descriptor whose device
/// has gone is closed only after this.
const LINGER: Duration = Duration::from_millis(500);

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
    v4l2_capability,
    v4l2_fmtdesc,
    v4l2_frmsizeenum,
    v4l2_frmivalenum,
    v4l2_format,
    v4l2_streamparm,
    v4l2_requestbuffers,
    v4l2_buffer,
    v4l2_queryctrl,
    v4l2_querymenu,
    v4l2_control,
    i32
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
    Picture,
    /// POLLERR or POLLHUP; the next dequeue says what it is.
    Trouble,
    Nothing,
}

/// A buffer that was taken from the driver.
#[derive(Clone, Copy, Debug)]
pub struct Dequeued {
    pub index: u32,
    pub used: usize,
    pub flags: u32,
    pub sequence: u32,
    pub seconds: u64,
    pub micros: u32,
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

    fn file(&self) -> &File {
        self.file.as_ref().expect("taken by drop alone")
    }

    fn call<T: Plain>(&self, request: _IOC_TYPE, argument: &mut T) -> Result<(), Errno> {
        // The size that the request code carries (asm-generic/ioctl.h).
        assert_eq!((request >> 16) as usize & 0x3fff, size_of::<T>(), "the argument of another request");
        loop {
            // SAFETY: the descriptor is open, and the kernel reads and writes as many bytes at the pointer as the
            // request code says, which is the size of the exclusively borrowed `T`. No request used here makes the
            // kernel keep the pointer or follow one inside.
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

    /// The format of that index, EINVAL after the last.
    pub fn enumerated_format(&self, index: u32) -> Result<v4l2_fmtdesc, Errno> {
        self.ask(VIDIOC_ENUM_FMT, v4l2_fmtdesc { index, type_: CAPTURE, ..v4l2_fmtdesc::zeroed() })
    }

    pub fn enumerated_size(&self, pixel_format: u32, index: u32) -> Result<v4l2_frmsizeenum, Errno> {
        self.ask(VIDIOC_ENUM_FRAMESIZES, v4l2_frmsizeenum { index, pixel_format, ..v4l2_frmsizeenum::zeroed() })
    }

    pub fn enumerated_interval(
        &self,
        pixel_format: u32,
        (width, height): (u32, u32),
        index: u32,
    ) -> Result<v4l2_frmivalenum, Errno> {
        let question = v4l2_frmivalenum { index, pixel_format, width, height, ..v4l2_frmivalenum::zeroed() };
        self.ask(VIDIOC_ENUM_FRAMEINTERVALS, question)
    }

    /// What the driver would give for a progressive picture of that format and size.
    pub fn try_format(&self, pixelformat: u32, size: (u32, u32)) -> Result<v4l2_pix_format, Errno> {
        self.format(VIDIOC_TRY_FMT, pixelformat, size)
    }

    /// Sets the format; what the driver made of it.
    pub fn set_format(&self, pixelformat: u32, size: (u32, u32)) -> Result<v4l2_pix_format, Errno> {
        self.format(VIDIOC_S_FMT, pixelformat, size)
    }

    fn format(
        &self,
        request: _IOC_TYPE,
        pixelformat: u32,
        (width, height): (u32, u32),
    ) -> Result<v4l2_pix_format, Errno> {
        let mut question = v4l2_format { type_: CAPTURE, ..v4l2_format::zeroed() };
        question.fmt.pix =
            v4l2_pix_format { width, height, pixelformat, field: v4l2_field_V4L2_FIELD_NONE, ..pix(&question) };
        Ok(pix(&self.ask(request, question)?))
    }

    /// Asks for that time per picture in seconds; the one that the driver took, None where it knows no rate.
    pub fn set_interval(&self, numerator: u32, denominator: u32) -> Result<Option<(u32, u32)>, Errno> {
        let mut parameters =
            self.ask(VIDIOC_G_PARM, v4l2_streamparm { type_: CAPTURE, ..v4l2_streamparm::zeroed() })?;
        let mut capture = capture_parameters(&parameters);
        if capture.capability & V4L2_CAP_TIMEPERFRAME != 0 {
            capture.timeperframe = v4l2_fract { numerator, denominator };
            parameters.parm.capture = capture;
            capture = capture_parameters(&self.ask(VIDIOC_S_PARM, parameters)?);
        }
        let taken = capture.timeperframe;
        Ok((taken.numerator != 0 && taken.denominator != 0).then_some((taken.numerator, taken.denominator)))
    }

    /// Asks for `count` buffers; how many there are. 0 gives them back; what is mapped stays so.
    pub fn request_buffers(&self, count: u32) -> Result<u32, Errno> {
        let question = v4l2_requestbuffers { count, type_: CAPTURE, memory: MMAP, ..v4l2_requestbuffers::zeroed() };
        Ok(self.ask(VIDIOC_REQBUFS, question)?.count)
    }

    /// Maps a buffer for reading.
    pub fn map(&self, index: u32) -> Result<Mapping, Errno> {
        let buffer = self.ask(VIDIOC_QUERYBUF, buffer(index))?;
        // SAFETY: for a buffer of the MMAP kind the kernel filled `offset` in.
        let offset = unsafe { buffer.m.offset };
        let length = NonZeroUsize::new(buffer.length as usize).ok_or(Errno::EINVAL)?;
        // SAFETY: a new shared mapping at an address that the kernel chooses touches no memory of this program.
        let start = unsafe {
            mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, self.file().as_fd(), offset as libc::off_t)?
        };
        Ok(Mapping { start, length: length.get() })
    }

    pub fn queue(&self, index: u32) -> Result<(), Errno> {
        self.ask(VIDIOC_QBUF, buffer(index)).map(drop)
    }

    /// The oldest filled buffer, None while there is none.
    pub fn dequeue(&self) -> Result<Option<Dequeued>, Errno> {
        match self.ask(VIDIOC_DQBUF, buffer(0)) {
            Ok(done) => Ok(Some(Dequeued {
                index: done.index,
                used: done.bytesused as usize,
                flags: done.flags,
                sequence: done.sequence,
                seconds: u64::try_from(done.timestamp.tv_sec).unwrap_or(0),
                micros: u32::try_from(done.timestamp.tv_usec).unwrap_or(0),
            })),
            Err(Errno::EAGAIN) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn stream(&self, on: bool) -> Result<(), Errno> {
        self.call(if on { VIDIOC_STREAMON } else { VIDIOC_STREAMOFF }, &mut (CAPTURE as i32))
    }

    /// Waits for a filled buffer.
    pub fn wait(&self, timeout: Duration) -> Result<Ready, Errno> {
        let mut fds = [PollFd::new(self.file().as_fd(), PollFlags::POLLIN)];
        // Rounded up, so that a caller with a deadline does not spin through the last millisecond.
        let timeout = PollTimeout::try_from(timeout + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(0) | Err(Errno::EINTR) => Ok(Ready::Nothing),
            Ok(_) => {
                let seen = fds[0].revents().unwrap_or(PollFlags::POLLERR);
                let bad = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
                Ok(if seen.intersects(bad) { Ready::Trouble } else { Ready::Picture })
            }
            Err(error) => Err(error),
        }
    }

    /// The control after `id` (0: the first), EINVAL after the last. Compound ones are left out by the kernel.
    pub fn control_after(&self, id: u32) -> Result<v4l2_queryctrl, Errno> {
        let id = id | V4L2_CTRL_FLAG_NEXT_CTRL;
        self.ask(VIDIOC_QUERYCTRL, v4l2_queryctrl { id, ..v4l2_queryctrl::zeroed() })
    }

    /// The entry of a menu by its name or, of an integer menu, its number; None where the menu has a gap.
    pub fn menu_entry(&self, id: u32, index: u32, integer: bool) -> Option<String> {
        let entry = self.ask(VIDIOC_QUERYMENU, v4l2_querymenu { id, index, ..v4l2_querymenu::zeroed() }).ok()?;
        // SAFETY: both members are plain bytes of a struct that was zeroed and then filled by the kernel.
        let (name, value) = unsafe { (entry.__bindgen_anon_1.name, entry.__bindgen_anon_1.value) };
        Some(if integer { value.to_string() } else { text(&name) })
    }

    pub fn control(&self, id: u32) -> Result<i32, Errno> {
        Ok(self.ask(VIDIOC_G_CTRL, v4l2_control { id, value: 0 })?.value)
    }

    pub fn set_control(&self, id: u32, value: i32) -> Result<(), Errno> {
        self.ask(VIDIOC_S_CTRL, v4l2_control { id, value }).map(drop)
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

/// A buffer of the driver's, mapped for reading. The memory stays valid after the device is closed or gone.
pub struct Mapping {
    start: NonNull<c_void>,
    length: usize,
}

// SAFETY: the mapping is bound to no thread, and this side only reads it.
unsafe impl Send for Mapping {}
// SAFETY: as above; shared reads do not conflict.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub fn len(&self) -> usize {
        self.length
    }

    /// Only to be read while the buffer is dequeued: the driver writes to it in between.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `start` is a readable mapping of `length` bytes until drop. The callers in `queue` hand it out only
        // from dequeue to requeue, when no driver writes to it.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by `mmap` with this length and unmapped once; every slice of it borrowed `self`.
        let _ = unsafe { munmap(self.start, self.length) };
    }
}

fn buffer(index: u32) -> v4l2_buffer {
    v4l2_buffer { index, type_: CAPTURE, memory: MMAP, ..v4l2_buffer::zeroed() }
}

fn pix(format: &v4l2_format) -> v4l2_pix_format {
    // SAFETY: plain integers of a union that was zeroed and then filled by the kernel, for a type whose member is `pix`.
    unsafe { format.fmt.pix }
}

fn capture_parameters(parameters: &v4l2_streamparm) -> v4l2_captureparm {
    // SAFETY: as for `pix`; the member of the capture type is `capture`.
    unsafe { parameters.parm.capture }
}

/// The only size, or the limits of a range.
pub enum EnumeratedSize {
    Discrete(v4l2_frmsize_discrete),
    Stepwise(v4l2_frmsize_stepwise),
}

pub fn size_of_entry(entry: &v4l2_frmsizeenum) -> EnumeratedSize {
    // SAFETY: plain integers, and `type_` says which member the kernel filled.
    unsafe {
        if entry.type_ == v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_DISCRETE {
            EnumeratedSize::Discrete(entry.__bindgen_anon_1.discrete)
        } else {
            EnumeratedSize::Stepwise(entry.__bindgen_anon_1.stepwise)
        }
    }
}

/// The shortest and the longest time per picture; the same where the entry is a single one.
pub fn intervals_of_entry(entry: &v4l2_frmivalenum) -> (v4l2_fract, v4l2_fract) {
    // SAFETY: plain integers, and `type_` says which member the kernel filled.
    unsafe {
        if entry.type_ == v4l2_frmivaltypes_V4L2_FRMIVAL_TYPE_DISCRETE {
            (entry.__bindgen_anon_1.discrete, entry.__bindgen_anon_1.discrete)
        } else {
            (entry.__bindgen_anon_1.stepwise.min, entry.__bindgen_anon_1.stepwise.max)
        }
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
