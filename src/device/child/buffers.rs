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
        Arc, Mutex, PoisonError,
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

/// One buffer of a program, which gets it back when its picture is dropped.
pub struct Buffer {
    pieces: Vec<Piece>,
    /// As the program counts its buffers.
    number: u32,
    link: Arc<Link>,
    /// The processor has looked into it: another driver that takes the DMA-BUF needs no such care.
    read: Mutex<bool>,
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
    pub fn new(number: u32, link: &Arc<Link>, descriptors: Vec<OwnedFd>, reach: &[usize]) -> Result<Self, String> {
        if descriptors.len() != reach.len() {
            return Err(format!("a buffer of {} descriptors; its format takes {}", descriptors.len(), reach.len()));
        }
        let pieces = descriptors.into_iter().zip(reach).map(|(descriptor, reach)| Piece::new(descriptor, *reach));
        let pieces = pieces.collect::<Result<_, _>>()?;
        Ok(Self { pieces, number, link: link.clone(), read: Mutex::new(false) })
    }

    /// Brackets the processor's reading, as DMA-BUFs need it (`DMA_BUF_IOCTL_SYNC`).
    fn set_read(&self, read: bool) {
        let mut before = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *before, read) != read {
            self.pieces.iter().for_each(|piece| piece.synced(read));
        }
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

impl FrameBuffer for Buffer {
    fn memory(&self, number: usize) -> &[u8] {
        self.set_read(true);
        self.pieces.get(number).map_or(&[], |piece| piece.mapping.bytes())
    }

    fn dma(&self, number: usize) -> Option<BorrowedFd<'_>> {
        self.pieces.get(number)?.dma.as_ref().map(AsFd::as_fd)
    }

    fn give_back(&self) {
        self.set_read(false);
        self.link.send(&protocol::release(self.number));
    }
}
