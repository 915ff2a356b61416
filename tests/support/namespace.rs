//! Network namespaces: a camera's side and a client's side, joined by a virtual cable, with no way out.

use std::{
    fs::File,
    process::{Command, Stdio},
    thread,
};

use nix::sched::{CloneFlags, setns, unshare};

pub const CAMERA: &str = "10.99.0.1";
pub const CLIENT: &str = "10.99.0.2";
/// A second address of the client's side.
pub const OTHER: &str = "10.99.0.3";
/// On a second cable.
pub const CAMERA_BY_V1: &str = "10.98.0.1";
pub const CLIENT_BY_V1: &str = "10.98.0.2";

/// Both sides; gone when dropped and everything in them has ended.
pub struct Namespaces {
    camera: File,
    client: File,
}

impl Namespaces {
    /// None, with a word why, where none may be made.
    pub fn new() -> Option<Self> {
        let both = Self::apart()?;
        is_there("nft", "-v").then_some(())?;
        both.join("v0", CAMERA, &[CLIENT, OTHER]);
        both.on_camera(|| ip("addr add fd99::1/64 dev v0 nodad"));
        both.on_client(|| {
            ip("addr add fd99::2/64 dev v0 nodad");
            ip("route add 224.0.0.0/4 dev v0");
        });
        Some(both)
    }

    /// Both sides without a cable. None, with a word why, where none may be made.
    pub fn apart() -> Option<Self> {
        let (Some(camera), Some(client)) = (make(), make()) else {
            eprintln!("skipped: network namespaces need root, or the right to make them");
            return None;
        };
        is_there("ip", "-V").then_some(())?;
        let both = Self { camera, client };
        both.on_camera(|| ip("link set lo up"));
        both.on_client(|| ip("link set lo up"));
        Some(both)
    }

    /// One more cable: `v1`, with [`CAMERA_BY_V1`] on the camera's side.
    pub fn join_by_v1(&self) {
        self.join("v1", CAMERA_BY_V1, &[CLIENT_BY_V1]);
    }

    fn join(&self, cable: &str, camera: &str, client: &[&str]) {
        self.on_camera(|| {
            // The far end is given to the thread of the other side, which lives as long as this closure of it.
            let (ready, is_ready) = std::sync::mpsc::channel();
            let (over, is_over) = std::sync::mpsc::channel::<()>();
            thread::scope(|scope| {
                scope.spawn(|| {
                    self.on_client(move || {
                        ready.send(nix::unistd::gettid()).unwrap();
                        let _ = is_over.recv();
                    });
                });
                let peer = is_ready.recv().unwrap();
                ip(&format!("link add {cable} type veth peer name {cable} netns {peer}"));
                drop(over);
            });
            ip(&format!("addr add {camera}/24 dev {cable}"));
            ip(&format!("link set {cable} up"));
        });
        self.on_client(|| {
            client.iter().for_each(|address| ip(&format!("addr add {address}/24 dev {cable}")));
            ip(&format!("link set {cable} up"));
        });
    }

    /// What it starts lives on the camera's side.
    pub fn on_camera<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.camera, work)
    }

    pub fn on_client<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.client, work)
    }

    /// The client's side is there no more, without a word.
    pub fn unplug(&self) {
        self.on_client(|| ip("link set v0 down"));
    }
}

fn is_there(program: &str, says: &str) -> bool {
    let is_there = Command::new(program).arg(says).stdout(Stdio::null()).status().is_ok_and(|s| s.success());
    if !is_there {
        eprintln!("skipped: {program} is not there (packages iproute2 and nftables)");
    }
    is_there
}

/// A namespace belongs to a thread, so each piece of work gets one of its own.
fn inside<T: Send>(namespace: &File, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn make() -> Option<File> {
    let made = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).ok()?;
        File::open("/proc/thread-self/ns/net").ok()
    });
    made.join().unwrap()
}

/// `ip` on the side that this is called on.
pub fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}
