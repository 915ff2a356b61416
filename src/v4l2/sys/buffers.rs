//! Buffers: asked for, mapped, exported, queued and taken back, in one piece of memory or several.

use super::{BufferType, Descriptor, Plain};
use nix::{
    errno::Errno,
    sys::mman::{MapFlags, ProtFlags, mmap, munmap},
};
use std::{
    ffi::c_void,
    num::NonZeroUsize,
    os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr::NonNull,
};
use v4l::{
    v4l_sys::*,
    v4l2::vidioc::{VIDIOC_DQBUF, VIDIOC_EXPBUF, VIDIOC_QBUF, VIDIOC_QUERYBUF, VIDIOC_REQBUFS},
};

/// Pieces of memory of one buffer at most (`VIDEO_MAX_PLANES`).
pub const MOST_PLANES: usize = 8;

/// Where the memory of buffers comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// The driver's own, mapped.
    Mapped,
    /// Another driver's, by DMA-BUF descriptors.
    Dma,
}

impl Memory {
    fn code(self) -> u32 {
        match self {
            Self::Mapped => v4l2_memory_V4L2_MEMORY_MMAP,
            Self::Dma => v4l2_memory_V4L2_MEMORY_DMABUF,
        }
    }
}

/// A buffer that is given to the driver.
#[derive(Clone, Copy, Debug)]
pub struct Filled<'a> {
    pub index: u32,
    pub memory: Memory,
    /// One for each piece of memory; for a capture queue of mapped buffers only their number counts.
    pub planes: &'a [MemoryPlane],
    /// Handed through by an encoder: seconds and microseconds.
    pub stamp: (u64, u32),
}

/// One piece of memory of a buffer that is given to the driver.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryPlane {
    /// Bytes that hold the picture; 0 for capture.
    pub used: u32,
    /// Bytes that there are; needed of DMA-BUFs.
    pub length: u32,
    /// Where in the piece the picture begins; multi-planar queues only.
    pub offset: u32,
    /// The DMA-BUF; -1 for mapped memory.
    pub fd: RawFd,
}

/// A buffer that was taken from the driver.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dequeued {
    pub index: u32,
    pub flags: u32,
    /// `v4l2_field_*`.
    pub field: u32,
    pub sequence: u32,
    pub seconds: u64,
    pub micros: u32,
    /// What each piece of memory holds.
    pub planes: [Used; MOST_PLANES],
}

/// What is used of a piece of memory, in bytes. Reported by the driver: may be wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Where the picture begins.
    pub offset: usize,
    /// Where it ends.
    pub end: usize,
}

impl Dequeued {
    /// What the first, usually the only, piece of memory holds.
    pub fn used(&self) -> usize {
        self.planes[0].end - self.planes[0].offset
    }
}

/// A buffer as the kernel sees it, together with the planes that it may point to.
struct KernelBuffer {
    buffer: v4l2_buffer,
    planes: [v4l2_plane; MOST_PLANES],
}

impl KernelBuffer {
    fn new(of: BufferType, memory: Memory, index: u32) -> Self {
        let buffer = v4l2_buffer { index, type_: of.code(), memory: memory.code(), ..v4l2_buffer::zeroed() };
        Self { buffer, planes: [v4l2_plane::zeroed(); MOST_PLANES] }
    }

    /// Points the buffer at its planes: only then may it move no more, which the borrow sees to.
    fn linked(&mut self, of: BufferType, planes: usize) -> &mut v4l2_buffer {
        if of.is_multi_planar() {
            self.buffer.m.planes = self.planes.as_mut_ptr();
            self.buffer.length = planes.min(MOST_PLANES) as u32;
        }
        &mut self.buffer
    }
}

impl Descriptor {
    /// Asks for `count` buffers; how many there are. 0 gives them back; what is mapped stays so.
    pub fn request_buffers(&self, of: BufferType, memory: Memory, count: u32) -> Result<u32, Errno> {
        let (type_, memory) = (of.code(), memory.code());
        let question = v4l2_requestbuffers { count, type_, memory, ..v4l2_requestbuffers::zeroed() };
        Ok(self.ask(VIDIOC_REQBUFS, question)?.count)
    }

    /// Maps all pieces of memory of a buffer, for reading or, where `writable`, for writing too.
    pub fn map(&self, of: BufferType, index: u32, writable: bool) -> Result<Vec<Mapping>, Errno> {
        let mut question = KernelBuffer::new(of, Memory::Mapped, index);
        self.call(VIDIOC_QUERYBUF, question.linked(of, MOST_PLANES))?;
        let KernelBuffer { buffer, planes } = question;
        if of.is_multi_planar() {
            let told = planes.iter().take(buffer.length as usize);
            // SAFETY: for a buffer of the mapped kind the kernel filled `mem_offset` in.
            return told.map(|plane| self.map_piece(unsafe { plane.m.mem_offset }, plane.length, writable)).collect();
        }
        // SAFETY: for a buffer of the mapped kind the kernel filled `offset` in.
        Ok(vec![self.map_piece(unsafe { buffer.m.offset }, buffer.length, writable)?])
    }

    fn map_piece(&self, offset: u32, length: u32, writable: bool) -> Result<Mapping, Errno> {
        Mapping::new(self.as_fd(), offset as libc::off_t, length as usize, writable)
    }

    /// A piece of memory of a mapped buffer as a DMA-BUF that another driver can read from.
    pub fn export(&self, of: BufferType, index: u32, plane: u32) -> Result<OwnedFd, Errno> {
        let flags = (libc::O_CLOEXEC | libc::O_RDONLY) as u32;
        let question = v4l2_exportbuffer { type_: of.code(), index, plane, flags, ..v4l2_exportbuffer::zeroed() };
        let exported = self.ask(VIDIOC_EXPBUF, question)?;
        // SAFETY: a descriptor that the kernel has just made for us.
        Ok(unsafe { OwnedFd::from_raw_fd(exported.fd) })
    }

    /// Gives a buffer to the driver: an empty one to fill, or a full one to read.
    pub fn queue(&self, of: BufferType, filled: &Filled<'_>) -> Result<(), Errno> {
        let mut given = KernelBuffer::new(of, filled.memory, filled.index);
        given.buffer.timestamp.tv_sec = filled.stamp.0 as _;
        given.buffer.timestamp.tv_usec = filled.stamp.1 as _;
        given.buffer.field = v4l2_field_V4L2_FIELD_NONE;
        for (kernel, plane) in given.planes.iter_mut().zip(filled.planes) {
            (kernel.bytesused, kernel.length, kernel.data_offset) =
                (plane.offset + plane.used, plane.length, plane.offset);
            if filled.memory == Memory::Dma {
                kernel.m.fd = plane.fd;
            }
        }
        if !of.is_multi_planar()
            && let Some(plane) = filled.planes.first()
        {
            (given.buffer.bytesused, given.buffer.length) = (plane.used, plane.length);
            if filled.memory == Memory::Dma {
                given.buffer.m.fd = plane.fd;
            }
        }
        self.call(VIDIOC_QBUF, given.linked(of, filled.planes.len().max(1)))
    }

    /// The oldest buffer that the driver is done with, None while there is none.
    pub fn dequeue(&self, of: BufferType, memory: Memory) -> Result<Option<Dequeued>, Errno> {
        let mut taken = KernelBuffer::new(of, memory, 0);
        match self.call(VIDIOC_DQBUF, taken.linked(of, MOST_PLANES)) {
            Ok(()) => {}
            Err(Errno::EAGAIN) => return Ok(None),
            Err(error) => return Err(error),
        }
        let KernelBuffer { buffer, planes } = taken;
        let mut used = [Used::default(); MOST_PLANES];
        if of.is_multi_planar() {
            for (used, plane) in used.iter_mut().zip(&planes).take(buffer.length as usize) {
                let end = plane.bytesused as usize;
                *used = Used { offset: (plane.data_offset as usize).min(end), end };
            }
        } else {
            used[0].end = buffer.bytesused as usize;
        }
        Ok(Some(Dequeued {
            index: buffer.index,
            flags: buffer.flags,
            field: buffer.field,
            sequence: buffer.sequence,
            seconds: u64::try_from(buffer.timestamp.tv_sec).unwrap_or(0),
            micros: u32::try_from(buffer.timestamp.tv_usec).unwrap_or(0),
            planes: used,
        }))
    }
}

/// A piece of memory that a driver or another program fills, mapped. It stays valid after the device is closed or gone.
pub struct Mapping {
    start: NonNull<c_void>,
    length: usize,
    writable: bool,
}

// SAFETY: the mapping is bound to no thread, and shared references only read it.
unsafe impl Send for Mapping {}
// SAFETY: as above; shared reads do not conflict.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `length` bytes from `offset` on, which there must be as long as the mapping lives.
    pub fn new(of: BorrowedFd<'_>, offset: libc::off_t, length: usize, writable: bool) -> Result<Self, Errno> {
        let some = NonZeroUsize::new(length).ok_or(Errno::EINVAL)?;
        let mut access = ProtFlags::PROT_READ;
        access.set(ProtFlags::PROT_WRITE, writable);
        // SAFETY: a new shared mapping at an address that the kernel chooses touches no memory of this program.
        let start = unsafe { mmap(None, some, access, MapFlags::MAP_SHARED, of, offset)? };
        Ok(Self { start, length, writable })
    }

    pub fn len(&self) -> usize {
        self.length
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Only to be read while the buffer is dequeued: the driver writes to it in between.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `start` is a readable mapping of `length` bytes until drop. Who holds a mapping hands it out only
        // from dequeue to requeue, when no driver writes to it.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.length) }
    }

    /// Only to be written while the buffer is dequeued; empty where it was not mapped for writing.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let length = if self.writable { self.length } else { 0 };
        // SAFETY: as in `bytes`, and mapped writable; the exclusive borrow keeps others out.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by `mmap` with this length and unmapped once; every slice of it borrowed `self`.
        let _ = unsafe { munmap(self.start, self.length) };
    }
}
