//! What may be wrong with an installation, and the mend. Decides over facts, and looks at nothing itself.

use super::status::{Clock, State, Status};
use crate::device::list::CameraInfo;
use serde::Serialize;

/// What was found out about a machine.
#[derive(Debug, Default)]
pub struct Facts {
    /// What is wrong with the config, as `eyrie check` says it.
    pub config_errors: Option<String>,
    /// The running server's status, or why there is none.
    pub server: Option<Status>,
    pub silence: Option<String>,
    /// Why it cannot be asked, though it may run.
    pub hidden: Option<String>,
    /// Listening addresses that the server, which does not run, could not have.
    pub taken: Vec<String>,
    pub clock_synchronised: bool,
    pub cameras: Vec<CameraFacts>,
    pub disks: Vec<Disk>,
}

/// A video node, and what is known of it beside.
#[derive(Debug)]
pub struct CameraFacts {
    pub info: CameraInfo,
    /// How the config names it, if it does.
    pub configured: Option<String>,
    /// The config has a camera that a program reads, which this one may be.
    pub by_program: bool,
    /// Of its USB link, in Mbit/s.
    pub usb_speed: Option<f64>,
}

/// A file system, in bytes.
#[derive(Debug)]
pub struct Disk {
    /// What of Eyrie's lies on it.
    pub path: String,
    pub free: u64,
    pub total: u64,
    /// No further file has its place, however small.
    pub no_more_files: bool,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `config`, `server`, `clock`, `camera front`, `stream main`, `disk /`, `board` …
    pub about: String,
    pub problem: String,
    pub mend: String,
}

/// Less is free than this: logs, certificates and edited configs may not find their place.
const LEAST_FREE: u64 = 50_000_000;
/// A camera or an encoder is slow if it gives less of what it should.
const ENOUGH: f64 = 0.9;
/// USB 2's High Speed, in Mbit/s: what a camera needs at least.
const HIGH_SPEED: f64 = 480.0;
/// Boards slow down their processor from about here on, in degrees Celsius.
const HOT: f64 = 80.0;

/// All that is wrong, the gravest first.
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut say = |about: &str, problem: String, mend: &str| {
        found.push(Finding { about: about.to_owned(), problem, mend: mend.to_owned() });
    };
    if let Some(errors) = &facts.config_errors {
        say("config", errors.trim_end().to_owned(), "correct the line; `eyrie check` says whether it is right");
    }
    if let Some(why) = &facts.silence {
        say(
            "server",
            why.clone(),
            "start it: `sudo systemctl start eyrie`, or `eyrie run`; why it does not stay up stands in `journalctl -u eyrie`",
        );
    }
    if let Some(why) = &facts.hidden {
        say("server", why.clone(), "ask with `sudo`, or as a user in the group `eyrie`");
    }
    for taken in &facts.taken {
        say(
            "server",
            taken.clone(),
            "end the program that has it (`sudo ss -tulnp` shows which), or choose another in the config",
        );
    }
    if let Some(status) = &facts.server {
        of_board(status, &mut say);
        of_devices(status, &mut say);
        of_streams(status, facts, &mut say);
    }
    if !facts.clock_synchronised {
        say(
            "clock",
            "it is not synchronised: recordings and the time in pictures may be wrong".to_owned(),
            "`sudo timedatectl set-ntp true`; where no time server can be reached, name the network's own in /etc/systemd/timesyncd.conf",
        );
    }
    facts.cameras.iter().for_each(|camera| of_node(camera, facts.server.is_some(), &mut say));
    for disk in facts.disks.iter().filter(|disk| disk.free < LEAST_FREE.min(disk.total / 20)) {
        let problem = format!("{} MB are free of {} MB", disk.free / 1_000_000, disk.total / 1_000_000);
        say(
            &format!("disk of {}", disk.path),
            problem,
            "delete what is not needed; `sudo du -xh / | sort -h | tail` shows what takes the room",
        );
    }
    for disk in facts.disks.iter().filter(|disk| disk.no_more_files) {
        say(
            &format!("disk of {}", disk.path),
            "no further file has its place".to_owned(),
            "delete files that are not needed; `sudo du --inodes -x / | sort -n | tail` shows where the most are",
        );
    }
    found
}

fn of_board(status: &Status, say: &mut impl FnMut(&str, String, &str)) {
    if status.board.under_voltage == Some(true) {
        say(
            "board",
            "its supply's voltage is too low: it runs slowly, and cameras fail".to_owned(),
            "a stronger supply and a shorter, thicker cable",
        );
    }
    if let Some(hot) = status.board.temperature_c.filter(|degrees| *degrees >= HOT) {
        say(
            "board",
            format!("its processor has {hot:.0} °C and slows down"),
            "a heat sink or fan, air around it, or a smaller picture",
        );
    }
    if status.board.reset_cause.as_deref() == Some("watchdog") {
        say(
            "board",
            "its watchdog had to reset it".to_owned(),
            "`journalctl -b -1 -e` shows what came before; often it is the supply or a failing card",
        );
    }
}

fn of_devices(status: &Status, say: &mut impl FnMut(&str, String, &str)) {
    let cameras = status.cameras.iter().map(|camera| ("camera", &camera.name, camera.state, &camera.reason));
    let microphones = status.microphones.iter().map(|one| ("microphone", &one.name, one.state, &one.reason));
    for (kind, name, state, reason) in cameras.chain(microphones) {
        if state == State::NoSignal {
            let why = reason.clone().unwrap_or_else(|| "it gives nothing".to_owned());
            say(
                &format!("{kind} {name}"),
                why,
                "what each of these messages means stands in the README under \"When the picture does not come\"; `eyrie devices` lists what is there",
            );
        }
    }
    for camera in status.cameras.iter().filter(|camera| camera.stuck_threads > 0) {
        let problem = format!("{} of its threads are stuck in its driver", camera.stuck_threads);
        say(
            &format!("camera {}", camera.name),
            problem,
            "unplug it and plug it in again; if that does not help, reboot",
        );
    }
}

/// Streams that are slower than asked, by their camera's fault or the encoder's.
fn of_streams(status: &Status, facts: &Facts, say: &mut impl FnMut(&str, String, &str)) {
    for stream in status.streams.iter().filter(|stream| stream.state == State::Live) {
        if let Some(why) = &stream.reason {
            say(&format!("stream {}", stream.name), why.clone(), "see the README for this message");
        }
        let Some((fps, asked)) = stream.fps.zip(stream.fps_asked) else { continue };
        if fps >= asked * ENOUGH {
            continue;
        }
        let slowest = status.cameras.iter().filter_map(|camera| Some((camera, camera.fps?)));
        let slow_camera =
            slowest.filter(|(_, given)| *given < asked * ENOUGH).find(|(_, given)| (given - fps).abs() < 1.0);
        match slow_camera {
            Some((camera, given)) => {
                let dims = facts
                    .cameras
                    .iter()
                    .find(|node| node.configured.as_ref() == Some(&camera.name))
                    .and_then(slowing_control);
                let problem = format!("it gives {given:.1} pictures a second of {asked:.0}");
                let mend = match dims {
                    Some(control) => format!("it exposes longer in the dark: `eyrie set camera.{}.controls.{control} 0`, or more light", camera.name),
                    None => "`eyrie devices` lists the rates of each format and size: MJPEG, or a smaller size, is often faster; so is more light".to_owned(),
                };
                say(&format!("camera {}", camera.name), problem, &mend);
            }
            None => {
                let problem = format!(
                    "{fps:.1} pictures a second of {asked:.0} come out of the encoder, which is too slow for the size"
                );
                say(
                    &format!("stream {}", stream.name),
                    problem,
                    "a smaller `size` or `fps`, fewer streams, or `encoder = \"m2m\"` where the board has one",
                );
            }
        }
    }
    if status.clock == Clock::Synced && status.streams.is_empty() {
        say("config", "no stream is served".to_owned(), "`eyrie stream add main --camera NAME`");
    }
}

/// The control by which a camera lowers its rate in the dark, if it does.
fn slowing_control(camera: &CameraFacts) -> Option<&str> {
    const NAMES: [&str; 2] = ["exposure_dynamic_framerate", "exposure_auto_priority"];
    let on =
        camera.info.controls.iter().find(|control| NAMES.contains(&control.name.as_str()) && control.value == Some(1));
    on.map(|control| control.name.as_str())
}

/// `served`: a server runs, whose own rights count, and not ours.
fn of_node(camera: &CameraFacts, served: bool, say: &mut impl FnMut(&str, String, &str)) {
    let about = format!("camera {} ({})", camera.info.name, camera.info.node);
    // Most nodes that are no cameras are just that; these two are cameras all the same.
    match camera.info.reason.as_deref() {
        Some(reason) if reason.contains("permission denied") && !served => {
            say(&about, reason.to_owned(), "`sudo usermod -aG video,audio $USER`, and log in anew");
        }
        Some(reason) if reason.contains("bare camera sensor") && !camera.by_program => {
            say(
                &about,
                reason.to_owned(),
                "name the program as the camera's `device`, as the README shows under \"A camera as a program\"",
            );
        }
        _ => {}
    }
    let Some(speed) = camera.usb_speed.filter(|_| camera.info.usable) else { return };
    if speed < HIGH_SPEED {
        let problem = format!("its USB link has {speed} Mbit/s, too few for pictures");
        say(&about, problem, "another port, cable or hub: this one is of USB 1");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device::list::ControlInfo,
        health::status::{BoardStatus, DeviceStatus, LatencyStatus, NetworkStatus, StreamStatus},
    };

    fn camera(fps: Option<f64>) -> DeviceStatus {
        DeviceStatus {
            name: "front".into(),
            state: State::Live,
            reason: None,
            fps,
            drops: None,
            reopened: None,
            stuck_threads: 0,
            stuck_s: None,
        }
    }

    fn status(camera_fps: f64, stream_fps: f64) -> Status {
        let stream = StreamStatus {
            name: "main".into(),
            state: State::Live,
            reason: None,
            width: None,
            height: None,
            fps: Some(stream_fps),
            fps_asked: Some(30.0),
            bitrate: None,
            bitrate_asked: None,
            keyframes: None,
            encoder: None,
            encoder_drops: None,
            latency: LatencyStatus::default(),
            viewers: vec![],
        };
        Status {
            version: String::new(),
            uptime_s: 0,
            clock: Clock::Synced,
            streams: vec![stream],
            cameras: vec![camera(Some(camera_fps))],
            microphones: vec![],
            tls: None,
            network: NetworkStatus::default(),
            board: BoardStatus::default(),
        }
    }

    fn node(usb_speed: f64, controls: Vec<ControlInfo>) -> CameraFacts {
        let info = CameraInfo {
            name: "HD Webcam".into(),
            node: "/dev/video0".into(),
            bus: "usb-1".into(),
            serial: None,
            usable: true,
            reason: None,
            formats: vec![],
            controls,
        };
        CameraFacts { info, configured: Some("front".into()), usb_speed: Some(usb_speed), by_program: false }
    }

    fn well() -> Facts {
        let disks = vec![Disk { path: "/var/lib/eyrie".into(), free: 1 << 30, total: 1 << 32, no_more_files: false }];
        Facts {
            server: Some(status(30.0, 29.8)),
            clock_synchronised: true,
            cameras: vec![node(480.0, vec![])],
            disks,
            ..Facts::default()
        }
    }

    fn told(facts: &Facts) -> Vec<(String, String)> {
        findings(facts).into_iter().map(|finding| (finding.about, finding.mend)).collect()
    }

    #[test]
    fn of_a_sound_installation_nothing_is_said() {
        assert_eq!(findings(&well()), []);
    }

    #[test]
    fn a_dim_camera_is_told_from_a_slow_encoder() {
        let control = |value| ControlInfo {
            name: "exposure_dynamic_framerate".into(),
            min: 0,
            max: 1,
            default: 0,
            value: Some(value),
            menu: None,
        };
        let slow = |camera, stream, controls| {
            told(&Facts { server: Some(status(camera, stream)), cameras: vec![node(480.0, controls)], ..well() })
        };
        let [(about, mend)] = &slow(15.0, 15.0, vec![control(1)])[..] else { panic!() };
        assert!(
            about == "camera front" && mend.contains("eyrie set camera.front.controls.exposure_dynamic_framerate 0")
        );
        let [(about, mend)] = &slow(15.0, 15.0, vec![control(0)])[..] else { panic!() };
        assert!(about == "camera front" && mend.contains("MJPEG"), "{mend}");
        let [(about, mend)] = &slow(30.0, 12.0, vec![control(1)])[..] else { panic!() };
        assert!(about == "stream main" && mend.contains("smaller `size`"), "{mend}");
    }

    #[test]
    fn each_fault_has_its_line() {
        let one = |facts: Facts, about: &str, mend: &str| {
            let told = told(&facts);
            assert!(told.len() == 1 && told[0].0 == about && told[0].1.contains(mend), "{told:?}");
        };
        one(Facts { config_errors: Some("f:1:2: x".into()), ..well() }, "config", "eyrie check");
        one(Facts { silence: Some("no server".into()), server: None, ..well() }, "server", "systemctl start eyrie");
        one(Facts { taken: vec!["port".into()], ..well() }, "server", "ss -tulnp");
        one(Facts { clock_synchronised: false, ..well() }, "clock", "timedatectl");
        one(Facts { cameras: vec![node(12.0, vec![])], ..well() }, "camera HD Webcam (/dev/video0)", "another port");
        for (reason, mend) in [
            ("permission denied; the user should be in the group `video`", "usermod -aG video"),
            ("a bare camera sensor, whose raw data needs libcamera", "A camera as a program"),
        ] {
            let mut denied = node(480.0, vec![]);
            (denied.info.usable, denied.info.reason) = (false, Some(reason.into()));
            let silent = Facts { cameras: vec![denied], server: None, ..well() };
            one(silent, "camera HD Webcam (/dev/video0)", mend);
        }
        for (free, no_more_files, mend) in [(1000, false, "du -xh"), (1 << 30, true, "du --inodes")] {
            let full = vec![Disk { path: "/var/lib/eyrie".into(), free, total: 1 << 32, no_more_files }];
            one(Facts { disks: full, ..well() }, "disk of /var/lib/eyrie", mend);
        }
        let board = BoardStatus { under_voltage: Some(true), ..BoardStatus::default() };
        one(Facts { server: Some(Status { board, ..status(30.0, 30.0) }), ..well() }, "board", "supply");
        let board = BoardStatus { temperature_c: Some(84.0), ..BoardStatus::default() };
        one(Facts { server: Some(Status { board, ..status(30.0, 30.0) }), ..well() }, "board", "heat sink");
        let mut away = status(30.0, 30.0);
        (away.cameras[0].state, away.cameras[0].reason) = (State::NoSignal, Some("it was unplugged".into()));
        one(Facts { server: Some(away), ..well() }, "camera front", "eyrie devices");
    }
}
