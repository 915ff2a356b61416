//! A camera's side and the viewers' side, each with a tap device, and a thread between the two for a cable. A tap device
//! without offloads is nearer to a board's network card than the loopback interface is: in the sender's time the kernel
//! cuts runs of segments into packets and sums each up, and what receiving them takes is the cable's.

#[path = "../../tests/support/namespace.rs"]
mod namespace;

use super::Outcome;
use namespace::{CAMERA, CLIENT, Namespaces, ip};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::{
    fs::File,
    io::{Read, Write},
    net::Ipv4Addr,
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

/// What the thread for the cable is called.
pub const CABLE: &str = "cable";
/// So many frames may wait at each end, so that none of a burst is lost for want of room.
const QUEUE: usize = 20_000;
/// Frames carried one way before the other has its turn.
const FRAMES: usize = 64;

/// Gone when dropped.
pub struct Tap {
    sides: Namespaces,
    over: Arc<AtomicBool>,
    cable: Option<JoinHandle<()>>,
}

impl Tap {
    /// None, with a word why, where there may be none.
    pub fn new() -> Outcome<Option<Self>> {
        let Some(sides) = Namespaces::apart() else { return Ok(None) };
        let ends = (sides.on_camera(|| end(CAMERA)), sides.on_client(|| end(CLIENT)));
        let ends = match ends {
            (Ok(camera), Ok(viewers)) => [camera, viewers],
            (Err(error), _) | (_, Err(error)) => {
                eprintln!("skipped: no tap device: {error}");
                return Ok(None);
            }
        };
        let over = Arc::new(AtomicBool::new(false));
        let is_over = over.clone();
        let cable = thread::Builder::new().name(CABLE.into()).spawn(move || carry(ends, &is_over))?;
        Ok(Some(Self { sides, over, cable: Some(cable) }))
    }

    /// The address of the camera's side.
    pub fn address() -> Outcome<Ipv4Addr> {
        Ok(CAMERA.parse()?)
    }

    /// The sockets and processes that it makes are the camera's.
    pub fn on_camera<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.sides.on_camera(work)
    }

    pub fn on_viewers<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.sides.on_client(work)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(cable) = self.cable.take() {
            let _ = cable.join();
        }
    }
}

/// A tap device in the namespace of the calling thread, with that address.
fn end(address: &str) -> Outcome<File> {
    let end = sys::tap("tap0")?;
    ip(&format!("link set tap0 txqueuelen {QUEUE}"));
    ip(&format!("addr add {address}/24 dev tap0"));
    ip("link set tap0 up");
    Ok(end)
}

/// Carries frames both ways until it is over.
fn carry(ends: [File; 2], over: &AtomicBool) {
    let mut frame = [0; 2048];
    let [camera, viewers] = &ends;
    while !over.load(Ordering::Relaxed) {
        for (mut from, mut to) in [(camera, viewers), (viewers, camera)] {
            for _ in 0..FRAMES {
                let Ok(length) = from.read(&mut frame) else { break };
                // What the other end does not take is lost, and the viewers tell.
                let _ = to.write(&frame[..length]);
            }
        }
        let mut both = [camera, viewers].map(|end| PollFd::new(end.as_fd(), PollFlags::POLLIN));
        let _ = poll(&mut both, PollTimeout::from(50u8));
    }
}

mod sys {
    use std::{
        fs::{File, OpenOptions},
        io,
        os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    };

    /// Without TUNSETOFFLOAD it has no offloads.
    pub fn tap(name: &str) -> io::Result<File> {
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
        // SAFETY: plain integers and pointers, for which zeroes are valid.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
        // SAFETY: the request, which names an interface and flags, lives until the call returns.
        let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &request) };
        if made < 0 { Err(io::Error::last_os_error()) } else { Ok(file) }
    }
}
