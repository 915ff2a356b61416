//! Hears the kernel tell that a device came or went, so that who waits for one need not poll.

use crate::time::MonoTime;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket},
};
use std::{
    os::fd::{AsFd, AsRawFd, OwnedFd},
    time::Duration,
};

/// The kernel's own messages; group 2 is udev's, which a board need not have.
const KERNEL_GROUP: u32 = 1;
/// The kernel's messages are shorter (`UEVENT_BUFFER_SIZE`).
const LONGEST_MESSAGE: usize = 8192;

/// A netlink socket on the kernel's device events (`NETLINK_KOBJECT_UEVENT`).
pub struct Hotplug {
    /// None where it was refused, as in some containers.
    socket: Option<OwnedFd>,
}

impl Hotplug {
    pub fn new() -> Self {
        let socket = listening().inspect_err(|error| {
            tracing::debug!("no events of the kernel's ({}); devices are looked for from time to time", error.desc());
        });
        Self { socket: socket.ok() }
    }

    /// Waits until a camera, sound card or USB device came, went or changed: true. False after `timeout`.
    ///
    /// The event comes before udev has set the permissions of a new node: who opens it then may have to try again.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        let deadline = MonoTime::now() + timeout;
        while let Some(socket) = &self.socket {
            let left = deadline - MonoTime::now();
            let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
            let left = PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
            match poll(&mut fds, left) {
                Ok(0) => return false,
                Ok(_) if drain(socket) => return true,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => self.socket = None,
            }
        }
        std::thread::sleep(deadline - MonoTime::now());
        false
    }
}

impl Default for Hotplug {
    fn default() -> Self {
        Self::new()
    }
}

fn listening() -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Netlink, SockType::Datagram, flags, SockProtocol::NetlinkKObjectUEvent)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL_GROUP))?;
    Ok(socket)
}

/// Reads all that waits, so that the many events of one plug are one; whether any of it concerns us.
fn drain(socket: &OwnedFd) -> bool {
    let (mut concerned, mut message) = (false, [0; LONGEST_MESSAGE]);
    loop {
        match recv(socket.as_raw_fd(), &mut message, MsgFlags::empty()) {
            Ok(length) => concerned |= concerns(&message[..length]),
            Err(Errno::EINTR) => {}
            // More came than the socket holds: any of it may have concerned us.
            Err(Errno::ENOBUFS) => concerned = true,
            Err(_) => return concerned,
        }
    }
}

/// Whether a message (`ACTION@DEVPATH`, then `KEY=VALUE`, each ended by a zero byte) is of a device that captures.
fn concerns(message: &[u8]) -> bool {
    let subsystem = message.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(b"SUBSYSTEM="));
    matches!(subsystem, Some(b"video4linux" | b"sound" | b"usb"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_devices_that_capture_concern_us() {
        let camera = b"add@/devices/x/video4linux/video0\0ACTION=add\0DEVPATH=/devices/x\0SUBSYSTEM=video4linux\0";
        assert!(concerns(camera));
        assert!(concerns(b"remove@/devices/usb1/1-1\0ACTION=remove\0SUBSYSTEM=usb\0DEVTYPE=usb_device\0"));
        assert!(!concerns(b"add@/devices/virtual/block/loop0\0ACTION=add\0SUBSYSTEM=block\0"));
        assert!(!concerns(b"libudev\0\xfe\xed\xca\xfe"));
        assert!(!concerns(b""));
    }

    #[test]
    fn without_the_kernels_events_it_waits_all_the_same() {
        let start = MonoTime::now();
        assert!(!Hotplug { socket: None }.wait(Duration::from_millis(20)));
        assert!(MonoTime::now() - start >= Duration::from_millis(20));
    }
}
