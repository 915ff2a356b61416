//! The memory that a camera program shares: announced once, read where it lies, given back when its pictures are dropped.

use super::{protocol, sys};
use crate::{media::FrameBuffer, v4l2::Mapping};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, SealFlag, fcntl},
    sys::{
        socket::{AddressFamily, MsgFlags, SockFlag, SockType, send, socketpair},
        statfs::{FsType, fstatfs},
    },
    unistd::{Whence, lseek},
};
use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// What `fstatfs` says of a DMA-BUF (`DMA_BUF_MAGIC`, `linux/magic.h`).
const DMA_BUF: FsType = FsType(0x444d_4142);

/// This side's end of the socket. Held pictures keep it open, to give their buffers back.
pub struct Link {
    socket: OwnedFd,
    /// The program did not read what it was sent.
    deaf: AtomicBool,
}

impl Link {
    /// A link and its other end.
    pub fn pair() -> Result<(Arc<Self>, OwnedFd), Errno> {
        let (socket, other_end) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        Ok((Arc::new(Self { socket, deaf: AtomicBool::new(false) }), other_end))
    }

    /// Sends a message, or finds that nobody takes it: then the program has ended, or reads nothing.
    pub fn send(&self, message: &[u8]) {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        if send(self.socket.as_raw_fd(), message, flags) == Err(Errno::EAGAIN) {
            self.deaf.store(true, Ordering::Relaxed);
        }
    }

    pub fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::Relaxed)
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// One buffer of a program.
pub struct Buffer {
    pieces: Vec<Piece>,
    /// A picture in it has not been given back.
    lent: AtomicBool,
}

struct Piece {
    mapping: Mapping,
    /// Kept where it is one.
    dma: Option<OwnedFd>,
}

impl Buffer {
    /// Maps what came with a buffer's message. Each piece has at least as many bytes as `reach` says.
    ///
    /// # Errors
    /// Why this memory cannot be read without danger, in words.
    pub fn new(descriptors: Vec<OwnedFd>, reach: &[usize]) -> Result<Self, String> {
        if descriptors.len() != reach.len() {
            return Err(format!("a buffer of {} descriptors; its format takes {}", descriptors.len(), reach.len()));
        }
        let pieces = descriptors.into_iter().zip(reach).map(|(descriptor, reach)| Piece::new(descriptor, *reach));
        Ok(Self { pieces: pieces.collect::<Result<_, _>>()?, lent: AtomicBool::new(false) })
    }

    /// Takes it for a picture; None while another one is in it.
    pub fn lend(self: &Arc<Self>, number: u32, link: &Arc<Link>) -> Option<Held> {
        let free = !self.lent.swap(true, Ordering::AcqRel);
        free.then(|| Held { buffer: self.clone(), number, link: link.clone(), read: OnceLock::new() })
    }
}

impl Piece {
    fn new(descriptor: OwnedFd, reach: usize) -> Result<Self, String> {
        let told = |error: Errno| format!("a buffer that cannot be mapped: {}", error.desc());
        let is_dma = fstatfs(&descriptor).is_ok_and(|about| about.filesystem_type() == DMA_BUF);
        // A program that made its file shorter would have this one killed by SIGBUS.
        let sealed = || fcntl(&descriptor, FcntlArg::F_GET_SEALS).map(SealFlag::from_bits_truncate);
        if !is_dma && !sealed().is_ok_and(|seals| seals.contains(SealFlag::F_SEAL_SHRINK)) {
            return Err("a buffer that is neither a DMA-BUF nor a memfd sealed with F_SEAL_SHRINK".to_owned());
        }
        let length = lseek(&descriptor, 0, Whence::SeekEnd).map_err(told)? as usize;
        if length < reach.max(1) {
            return Err(format!("a buffer of {length} bytes, where its pictures take {reach}"));
        }
        let mapping = Mapping::new(descriptor.as_fd(), 0, length, false).map_err(told)?;
        Ok(Self { mapping, dma: is_dma.then_some(descriptor) })
    }

    fn synced(&self, begin: bool) {
        if let Some(descriptor) = &self.dma {
            sys::sync_dma(descriptor.as_fd(), begin);
        }
    }
}

/// A buffer with a picture in it; the program's again when dropped.
pub struct Held {
    buffer: Arc<Buffer>,
    number: u32,
    link: Arc<Link>,
    /// The processor has looked into it: another driver that takes the DMA-BUF needs no such care.
    read: OnceLock<()>,
}

impl Held {
    /// The first `bytes` of its first piece of memory, None where there are not so many.
    pub fn copy(self, bytes: usize) -> Option<Vec<u8>> {
        self.memory(0).get(..bytes).filter(|coded| !coded.is_empty()).map(<[u8]>::to_vec)
    }
}

impl FrameBuffer for Held {
    fn memory(&self, number: usize) -> &[u8] {
        self.read.get_or_init(|| self.buffer.pieces.iter().for_each(|piece| piece.synced(true)));
        self.buffer.pieces.get(number).map_or(&[], |piece| piece.mapping.bytes())
    }

    fn dma(&self, number: usize) -> Option<BorrowedFd<'_>> {
        self.buffer.pieces.get(number)?.dma.as_ref().map(AsFd::as_fd)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.read.get().is_some() {
            self.buffer.pieces.iter().for_each(|piece| piece.synced(false));
        }
        self.buffer.lent.store(false, Ordering::Release);
        self.link.send(&protocol::release(self.number));
    }
}
