//! What no safe interface does: descriptors out of a message, a program that ends with this one, and the coherence of a
//! DMA-BUF.

use nix::{
    cmsg_space,
    errno::Errno,
    sys::{
        prctl,
        signal::Signal,
        socket::{ControlMessageOwned, MsgFlags, UnixAddr, recvmsg},
    },
    unistd::{Pid, getppid},
};
use std::{
    io::{self, IoSliceMut},
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Child, Command},
};

/// As many descriptors as the kernel lets come with one message (`SCM_MAX_FD`): none is ever cut off.
const MOST_DESCRIPTORS: usize = 253;

/// `struct dma_buf_sync` (`linux/dma-buf.h`).
#[repr(C)]
pub struct DmaSync {
    flags: u64,
}

nix::ioctl_write_ptr!(
    /// Before and after the processor reads a DMA-BUF.
    dma_buf_sync,
    b'b',
    0,
    DmaSync
);

/// The next message, without waiting: its length and the descriptors that came with it. None after the last one.
///
/// # Errors
/// EAGAIN while there is none, EMSGSIZE for one that is longer than `into`.
pub fn receive(socket: BorrowedFd<'_>, into: &mut [u8]) -> Result<Option<(usize, Vec<OwnedFd>)>, Errno> {
    let mut space = cmsg_space!([std::os::fd::RawFd; MOST_DESCRIPTORS]);
    let mut pieces = [IoSliceMut::new(into)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut pieces, Some(&mut space), flags)?;
    let mut descriptors = vec![];
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            // SAFETY: the kernel has just opened them for us, and nobody else knows their numbers.
            descriptors.extend(numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }));
        }
    }
    if message.flags.contains(MsgFlags::MSG_TRUNC) {
        return Err(Errno::EMSGSIZE);
    }
    Ok((message.bytes > 0).then_some((message.bytes, descriptors)))
}

/// Starts a program that is killed when the calling thread ends, however that comes about, and that gets no descriptor but
/// those of its standard streams.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let parent = Pid::this();
    let prepare = move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // Between the fork and here it may have ended already.
        if getppid() != parent {
            return Err(Errno::ESRCH.into());
        }
        // Whatever some library opened without O_CLOEXEC. Kernels before 5.11 do not know the call, and keep it open.
        // SAFETY: takes numbers alone, and marks descriptors to be closed by the exec that follows.
        unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes system calls alone: it allocates nothing and takes no lock.
    unsafe { command.pre_exec(prepare) };
    command.spawn()
}

/// Has the processor see what the device wrote (`begin`), and the device know that it has been read.
pub fn sync_dma(buffer: BorrowedFd<'_>, begin: bool) {
    /// DMA_BUF_SYNC_READ, DMA_BUF_SYNC_END.
    const READ: u64 = 1;
    const END: u64 = 1 << 2;
    let sync = DmaSync { flags: if begin { READ } else { READ | END } };
    // SAFETY: the kernel reads `sync`, whose layout is that of the request's own struct, and keeps no pointer. Of a
    // descriptor that is no DMA-BUF it makes an error.
    let _ = unsafe { dma_buf_sync(buffer.as_raw_fd(), &sync) };
}
