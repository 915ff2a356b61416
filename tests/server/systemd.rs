//! What the server tells systemd, heard as systemd hears it.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::{fs::MetadataExt, net::UnixDatagram},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use nix::{
    sys::{
        ptrace,
        signal::Signal,
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};
use tempfile::TempDir;

use super::{
    client::{Client, PATIENCE},
    world::{CAMERA, MAIN, command, edit, tell},
};
use crate::support::Server;

/// Within this it wants to be fed, as the environment says it: in microseconds.
const WATCHDOG: &str = "3000000";

/// The other end of NOTIFY_SOCKET.
struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, folder }
    }

    fn start(&self, camera: &str, rest: &str) -> Server {
        let path = self.folder.path().join("notify");
        let environment = [("NOTIFY_SOCKET", path.as_path()), ("WATCHDOG_USEC", Path::new(WATCHDOG))];
        Server::start_in("anonymous = true", &format!("{camera}{MAIN}{rest}"), &environment)
    }

    /// The next message, one assignment a line.
    fn next(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).expect("systemd hears nothing");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    /// The next message but for those of the watchdog and for `systemctl status`.
    fn next_change(&self) -> String {
        let passing = |message: &String| message.starts_with("WATCHDOG=") || message.starts_with("STATUS=");
        std::iter::repeat_with(|| self.next()).find(|message| !passing(message)).unwrap()
    }

    fn await_message(&self, wanted: impl Fn(&str) -> bool) {
        let found = (0..200).any(|_| wanted(self.next().trim_end()));
        assert!(found, "it does not come");
    }

    fn await_food(&self) {
        self.await_message(|message| message == "WATCHDOG=1");
    }

    fn await_health(&self) {
        self.await_message(|message| message == "STATUS=3 streams, 0 viewers");
    }

    /// Whether it is not fed for some looks at the pulses.
    fn is_left_hungry(&self) -> bool {
        let limit = Duration::from_micros(WATCHDOG.parse().unwrap()) / 2;
        self.socket.set_read_timeout(Some(limit)).unwrap();
        let mut bytes = [0; 4096];
        let heard = std::iter::from_fn(|| self.socket.recv(&mut bytes).ok().map(|length| bytes[..length].to_vec()));
        let hungry = heard.into_iter().all(|message| message != b"WATCHDOG=1\n");
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        hungry
    }
}

/// The thread of that name, stopped as one that a driver does not let go; goes on when dropped.
struct Stopped(Pid);

impl Stopped {
    fn new(server: &Server, name: &str) -> Self {
        let threads = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap().map(|entry| entry.unwrap());
        let named = |path: &Path| fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim_end() == name);
        let thread = threads.into_iter().find(|entry| named(&entry.path())).unwrap_or_else(|| panic!("no {name}"));
        let thread = Pid::from_raw(thread.file_name().to_str().unwrap().parse().unwrap());
        ptrace::seize(thread, ptrace::Options::empty()).unwrap();
        ptrace::interrupt(thread).unwrap();
        waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
        Self(thread)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        ptrace::detach(self.0, None).unwrap();
    }
}

#[test]
fn start_reload_and_end_are_told() {
    let manager = Manager::new();
    // There is no camera, and the service is up all the same.
    let camera = CAMERA.replacen("\"test\"", "\"no such camera\"", 1);
    let server = manager.start(&camera, "");
    assert_eq!(manager.next(), "READY=1\n");
    edit(&server, "bitrate = \"300k\"", "bitrate = \"400k\"");
    assert!(command(&server, &["reload"]).status.success());
    let reloading = manager.next_change();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(manager.next_change(), "READY=1\n");
    edit(&server, "bitrate = \"400k\"", "bitrate = \"oops\"");
    assert!(!command(&server, &["reload"]).status.success());
    assert!(manager.next_change().starts_with("RELOADING=1\n"));
    assert_eq!(manager.next_change(), "READY=1\n", "the old config goes on");
    let mut client = Client::watch(&server.url("main"), 2);
    client.frame();
    tell(&server, Signal::SIGTERM);
    assert_eq!(manager.next_change(), "STOPPING=1\n");
    client.frames_to_the_end();
    server.stop();
}

#[test]
fn the_journal_hears_how_grave_each_line_is() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let config = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nudp_ports = \"0\"\nanonymous = true\nstate_dir = {place:?}\n\
         control_socket = {:?}\n{}{MAIN}",
        place.join("c.sock"),
        CAMERA.replacen("\"test\"", "\"no such camera\"", 1)
    );
    fs::write(place.join("eyrie.toml"), config).unwrap();
    let log = fs::File::create(place.join("log")).unwrap();
    let stream = log.metadata().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_eyrie"))
        .args(["run", "--config"])
        .arg(place.join("eyrie.toml"))
        .env("JOURNAL_STREAM", format!("{}:{}", stream.dev(), stream.ino()))
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "ready"));
    child.kill().unwrap();
    child.wait().unwrap();
    let log = fs::read_to_string(place.join("log")).unwrap();
    assert!(log.lines().any(|line| line.starts_with("<4> WARN ") && line.contains("no picture")), "{log}");
    assert!(log.lines().any(|line| line.starts_with("<6> INFO ")), "{log}");
}

/// A camera that is not there and a stream that nobody watches are no reason to restart anything; a thread that stands
/// still is.
#[test]
fn the_watchdog_is_fed_while_every_thread_goes_on() {
    let manager = Manager::new();
    let absent = "[camera.absent]\ndevice = \"no such camera\"\nsize = \"320x240\"\n";
    let rest = format!(
        "{absent}[stream.dark]\nvideo = {{ from = \"absent\", bitrate = \"100k\" }}\n\
         [stream.sub]\nvideo = {{ from = \"cam\", bitrate = \"100k\" }}\non_demand = true\n"
    );
    let server = manager.start(CAMERA, &rest);
    manager.await_health();
    (0..5).for_each(|_| manager.await_food());
    for (thread, part) in [
        ("enc-main", "the picture of stream main"),
        ("enc-dark", "the picture of stream dark"),
        ("mic-mic", "the sound of microphone mic"),
        ("net-0", "the network"),
    ] {
        let stopped = Stopped::new(&server, thread);
        manager.await_message(|message| message.starts_with("STATUS=standing still: ") && message.contains(part));
        assert!(manager.is_left_hungry(), "{thread}");
        drop(stopped);
        manager.await_health();
        manager.await_food();
    }
    // One that sleeps because nobody watches may sleep.
    let _stopped = Stopped::new(&server, "enc-sub");
    (0..10).for_each(|_| manager.await_food());
    assert!(server.log().contains("standing still: the network"));
}
