//! `sendmmsg` and `recvmmsg` put together once and used again and again: what a bare loop and a mere counter need.

use std::{
    io,
    ops::Range,
    os::fd::{AsRawFd, BorrowedFd},
};

/// A control message with one `u16`, as `UDP_SEGMENT` wants it, aligned as the kernel reads it.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct SegmentControl([u8; CONTROL]);

// SAFETY: CMSG_SPACE only computes.
const CONTROL: usize = unsafe { libc::CMSG_SPACE(2) } as usize;

/// Datagrams that leave by one `sendmmsg`, whose messages are runs of equal segments.
pub struct Volley {
    bytes: Box<[u8]>,
    runs: Vec<(Range<usize>, usize)>,
    vectors: Box<[libc::iovec]>,
    controls: Box<[SegmentControl]>,
    headers: Box<[libc::mmsghdr]>,
}

// SAFETY: the pointers in `vectors` and `headers` are into the boxes beside them, which move with it, and are only followed
// by the kernel in `send`.
unsafe impl Send for Volley {}

impl Volley {
    /// `runs`: where each is in `bytes`, and the length of its segments.
    pub fn new(bytes: Vec<u8>, runs: Vec<(Range<usize>, usize)>) -> Self {
        // SAFETY: plain integers and pointers, for which zeroes are valid.
        let (vector, header): (libc::iovec, libc::mmsghdr) = unsafe { std::mem::zeroed() };
        let mut volley = Self {
            bytes: bytes.into(),
            vectors: vec![vector; runs.len()].into(),
            controls: vec![SegmentControl([0; CONTROL]); runs.len()].into(),
            headers: vec![header; runs.len()].into(),
            runs,
        };
        volley.aim();
        volley
    }

    /// The datagrams back to back, to change what is in them.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Makes every message point at its part of the bytes.
    pub fn aim(&mut self) {
        let start = self.bytes.as_mut_ptr();
        for (index, (range, segment)) in self.runs.iter().enumerate() {
            self.vectors[index] =
                libc::iovec { iov_base: self.bytes[range.clone()].as_mut_ptr().cast(), iov_len: range.len() };
            let header = &mut self.headers[index].msg_hdr;
            header.msg_iov = &mut self.vectors[index];
            header.msg_iovlen = 1;
            if range.len() > *segment {
                header.msg_control = self.controls[index].0.as_mut_ptr().cast();
                header.msg_controllen = CONTROL as _;
                // SAFETY: the header has a control buffer of CMSG_SPACE(2) bytes, aligned for cmsghdr, so that the first
                // control message with two bytes of data lies inside it.
                unsafe {
                    let control = libc::CMSG_FIRSTHDR(header);
                    (*control).cmsg_level = libc::SOL_UDP;
                    (*control).cmsg_type = libc::UDP_SEGMENT;
                    (*control).cmsg_len = libc::CMSG_LEN(2) as _;
                    libc::CMSG_DATA(control).cast::<u16>().write_unaligned(*segment as u16);
                }
            }
        }
        debug_assert_eq!(start, self.bytes.as_mut_ptr());
    }

    /// Sends all of it over a connected socket, without blocking. How many messages went out.
    ///
    /// # Errors
    /// As `sendmmsg(2)`.
    pub fn send(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        // SAFETY: the headers, and all that they point at, live in `self`, which nobody else touches until the call returns.
        let sent = unsafe {
            libc::sendmmsg(socket.as_raw_fd(), self.headers.as_mut_ptr(), self.headers.len() as _, libc::MSG_DONTWAIT)
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as usize) }
    }
}

/// How much of each datagram is looked at: the RTP header and what says whether it is a part of an IDR picture.
pub const HEAD: usize = 16;
const DATAGRAMS: usize = 64;

/// Room for the beginnings of datagrams.
pub struct Heads {
    heads: Box<[[u8; HEAD]; DATAGRAMS]>,
    vectors: Box<[libc::iovec; DATAGRAMS]>,
    headers: Box<[libc::mmsghdr; DATAGRAMS]>,
}

// SAFETY: as for `Volley`.
unsafe impl Send for Heads {}

impl Heads {
    pub fn new() -> Self {
        // SAFETY: plain integers and pointers, for which zeroes are valid.
        let (vector, header): (libc::iovec, libc::mmsghdr) = unsafe { std::mem::zeroed() };
        let mut heads = Self {
            heads: Box::new([[0; HEAD]; DATAGRAMS]),
            vectors: Box::new([vector; DATAGRAMS]),
            headers: Box::new([header; DATAGRAMS]),
        };
        for index in 0..DATAGRAMS {
            heads.vectors[index] = libc::iovec { iov_base: heads.heads[index].as_mut_ptr().cast(), iov_len: HEAD };
            heads.headers[index].msg_hdr.msg_iov = &mut heads.vectors[index];
            heads.headers[index].msg_hdr.msg_iovlen = 1;
        }
        heads
    }

    /// Receives what is there, without blocking: the beginning and the whole length of each datagram.
    ///
    /// # Errors
    /// As `recvmmsg(2)`.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<impl Iterator<Item = (&[u8], usize)>> {
        // SAFETY: the headers, and all that they point at, live in `self`, which nobody else touches until the call returns.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                DATAGRAMS as _,
                // The lengths are then those on the wire, not of what fitted.
                (libc::MSG_DONTWAIT | libc::MSG_TRUNC) as _,
                std::ptr::null_mut(),
            )
        };
        if count < 0 {
            return Err(io::Error::last_os_error());
        }
        let received = self.headers[..count as usize].iter().zip(self.heads.iter());
        Ok(received.map(|(header, head)| {
            let length = header.msg_len as usize;
            (&head[..length.min(HEAD)], length)
        }))
    }
}
