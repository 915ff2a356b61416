//! The one system call that the safe wrappers do not have: `sendmmsg` whose messages carry segment sizes of their own.

use std::{io, mem::MaybeUninit, os::fd::BorrowedFd};

/// Messages per call; more than one access unit needs.
const MESSAGES: usize = 64;

/// One datagram, or a run of datagrams that the kernel cuts into `segment` bytes each (the last may be shorter).
#[derive(Clone, Copy)]
pub struct Message<'a> {
    pub bytes: &'a [u8],
    /// None: one datagram.
    pub segment: Option<u16>,
}

/// A control message with one `u16`, as `UDP_SEGMENT` wants it, aligned as the kernel reads it.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct SegmentControl([u8; CONTROL]);

// SAFETY: CMSG_SPACE only computes.
const CONTROL: usize = unsafe { libc::CMSG_SPACE(2) } as usize;

/// Sends the messages over a connected UDP socket, without blocking and without a system call if there are none. Returns how
/// many went out whole; messages beyond the first 64 are not looked at.
///
/// # Errors
/// As `sendmmsg(2)`, when not even the first could be sent.
pub fn send_messages<'a>(socket: BorrowedFd<'_>, messages: impl Iterator<Item = Message<'a>>) -> io::Result<usize> {
    use std::os::fd::AsRawFd;
    // Most access units are one or two messages: what is not needed is not written.
    let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; MESSAGES];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MESSAGES];
    let mut controls = [const { MaybeUninit::<SegmentControl>::uninit() }; MESSAGES];
    let mut count = 0;
    for (index, message) in messages.take(MESSAGES).enumerate() {
        // The kernel only reads through this pointer.
        let vector = libc::iovec { iov_base: message.bytes.as_ptr() as *mut _, iov_len: message.bytes.len() };
        // SAFETY: plain integers and pointers, for which zeroes are valid (null pointers, zero lengths).
        let header = &mut headers[index].write(unsafe { std::mem::zeroed() }).msg_hdr;
        header.msg_iov = vectors[index].write(vector);
        header.msg_iovlen = 1;
        count += 1;
        if let Some(segment) = message.segment {
            header.msg_control = controls[index].write(SegmentControl([0; CONTROL])).0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL as _;
            // SAFETY: the header has a control buffer of CMSG_SPACE(2) bytes, aligned for cmsghdr, so that the first
            // control message with two bytes of data lies inside it.
            unsafe {
                let control = libc::CMSG_FIRSTHDR(header);
                (*control).cmsg_level = libc::SOL_UDP;
                (*control).cmsg_type = libc::UDP_SEGMENT;
                (*control).cmsg_len = libc::CMSG_LEN(2) as _;
                libc::CMSG_DATA(control).cast::<u16>().write_unaligned(segment);
            }
        }
    }
    if count == 0 {
        return Ok(0);
    }
    // SAFETY: the first `count` of `headers` are written, and their vectors and control buffers live until the call returns.
    let sent =
        unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr().cast(), count as _, libc::MSG_DONTWAIT) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as usize) }
}
