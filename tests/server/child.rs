//! A camera that is a program: its pictures reach the viewer, and whatever happens to it ends in a slate and by itself.

use std::{fs, thread, time::Duration};

use eyrie::time::MonoTime;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use openh264::{decoder::Decoder, formats::YUVSource};

use super::{
    client::{Client, PATIENCE},
    packets::{Received, Rtcp, Rtp, SenderReport, annex_b, assert_unbroken},
    world::{await_stream, status},
};
use crate::support::{
    Server, camera_program,
    marks::{Luma, Strip},
};

/// A server of one stream, whose camera is the program with these arguments.
fn start(arguments: &str) -> Server {
    start_with(arguments, "")
}

/// The same, with more said of the stream.
fn start_with(arguments: &str, more: &str) -> Server {
    let camera = format!("[camera.cam]\ndevice = {:?}\nsize = \"320x240\"\nfps = 30\n", camera_program(arguments));
    Server::start(
        "anonymous = true",
        &format!("{camera}[stream.main]\nvideo = {{ from = \"cam\", bitrate = \"500k\" }}\n{more}\n"),
    )
}

/// A viewer that decodes.
pub struct Eye {
    client: Client,
    decoder: Decoder,
    /// The first of those of the picture that comes next.
    begun: usize,
    pub packets: Vec<Rtp>,
    /// RTP time and strip of each picture that has one.
    strips: Vec<(u32, Strip)>,
    reports: Vec<SenderReport>,
}

impl Eye {
    pub fn open(server: &Server) -> Self {
        let client = Client::watch(&server.url("main"), 1);
        let decoder = Decoder::new().unwrap();
        Self { client, decoder, begun: 0, packets: vec![], strips: vec![], reports: vec![] }
    }

    /// The next picture: the camera's frame counter, None for one without the strip.
    pub fn see(&mut self) -> Option<u16> {
        loop {
            let frame = self.client.frame();
            if frame.channel == 1 {
                self.reports.extend(Rtcp::parse(&frame.payload).sender);
                continue;
            }
            let packet = Rtp::parse(&frame.payload);
            let (marker, timestamp) = (packet.marker, packet.timestamp);
            self.packets.push(packet);
            if !marker {
                continue;
            }
            let unit = annex_b(&self.packets[self.begun..]);
            self.begun = self.packets.len();
            let Some(picture) = self.decoder.decode(&unit).unwrap() else { continue };
            let (width, height) = picture.dimensions();
            let luma = Luma { data: picture.y(), width, height, stride: picture.strides().0 };
            assert_eq!((width, height), (320, 240), "the size never changes under a viewer");
            let strip = luma.strip();
            self.strips.extend(strip.map(|strip| (timestamp, strip)));
            return strip.map(|strip| strip.counter);
        }
    }

    /// Looks until a picture is such, and says how long that took.
    pub fn until(&mut self, such: impl Fn(Option<u16>) -> bool) -> Duration {
        let begun = MonoTime::now();
        while !such(self.see()) {
            assert!(MonoTime::now() - begun < PATIENCE, "no such picture");
        }
        MonoTime::now() - begun
    }
}

/// The processes that a server has started.
pub fn children(server: &Server) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap())).collect::<Vec<_>>())
        .collect()
}

/// Waits until a process has ended; whoever inherited it may leave a zombie.
fn ends(process: Pid) -> bool {
    (0..PATIENCE.as_millis() / 10).any(|_| {
        thread::sleep(Duration::from_millis(10));
        fs::read_to_string(format!("/proc/{process}/stat")).map_or(true, |stat| stat.contains(") Z"))
    })
}

fn descriptors(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count()
}

fn camera(server: &Server) -> serde_json::Value {
    status(server)["cameras"][0].clone()
}

#[test]
fn pictures_of_every_kind_arrive_whole() {
    for format in ["yu12", "nv12", "mjpeg"] {
        let server = start(format);
        let mut eye = Eye::open(&server);
        let counters: Vec<u16> =
            (0..20).map(|n| eye.see().unwrap_or_else(|| panic!("{format}: picture {n}"))).collect();
        assert!(counters.windows(2).all(|pair| (1..=30).contains(&pair[1].wrapping_sub(pair[0]))), "{counters:?}");
        assert_unbroken(&eye.packets);
        assert!(server.log().contains(&format!("its program says: gives 320x240 {format} at 30")), "{}", server.log());
        server.stop();
    }
}

/// Killed again and again: who watches stays, sees why, and has the picture back; nothing is left behind.
#[test]
fn a_killed_program_is_started_again_under_its_viewers() {
    let server = start("nv12");
    let mut eye = Eye::open(&server);
    eye.until(|counter| counter.is_some());
    let before = descriptors(&server);
    for round in 1..=3 {
        let [child] = children(&server)[..] else { panic!("not one child: {:?}", children(&server)) };
        kill(child, Signal::SIGKILL).unwrap();
        let slate = eye.until(|counter| counter.is_none());
        let back = eye.until(|counter| counter.is_some());
        eprintln!("killed: slate after {slate:?}, picture back {back:?} later");
        assert!(back < Duration::from_secs(10), "{back:?}");
        assert_eq!(camera(&server)["reopened"], round);
        assert!(kill(child, None).is_err(), "the killed one is waited for");
    }
    assert_unbroken(&eye.packets);
    assert_eq!(children(&server).len(), 1);
    let kept = (0..200).any(|_| {
        thread::sleep(Duration::from_millis(10));
        descriptors(&server) <= before
    });
    assert!(kept, "{} descriptors, once {before}", descriptors(&server));
    let log = server.log();
    assert!(log.contains("camera: its program was killed by SIGKILL"), "{log}");
    let [child] = children(&server)[..] else { panic!() };
    server.stop();
    assert!(ends(child), "it ends with the server");
}

/// However a program fails, the slate says why, and the next one has the picture.
#[test]
fn a_program_that_fails_or_falls_silent_is_started_again() {
    for (trouble, reason) in [
        ("--exit-after 20", "its program ended with exit code 3, and said: it falls over now"),
        ("--fail-after 20", "the sensor does not answer"),
        ("--hang-after 20", "delivered nothing for 2.0 s"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = start(&format!("yu12 {trouble} --once {}", folder.path().join("done").display()));
        let mut eye = Eye::open(&server);
        eye.until(|counter| counter.is_some());
        eye.until(|counter| counter.is_none());
        eye.until(|counter| counter.is_some());
        assert_unbroken(&eye.packets);
        assert!(server.log().contains(reason), "{reason:?} is not in\n{}", server.log());
        await_stream(&server, "main", |stream| stream["state"] == "live");
        server.stop();
    }
}

/// A clock that falls back by 5 s stops no picture, and the times that sender reports tie to the wall clock stay true.
#[test]
fn a_clock_that_falls_back_stops_no_picture() {
    let server = start("yu12 --stamps-back 90");
    let mut eye = Eye::open(&server);
    while eye.reports.len() < 3 || eye.strips.len() < 120 {
        eye.see().expect("no slate");
    }
    assert_unbroken(&eye.packets);
    let counters: Vec<_> = eye.strips.iter().map(|(_, strip)| strip.counter).collect();
    assert!(counters.windows(2).all(|pair| (1..=60).contains(&pair[1].wrapping_sub(pair[0]))), "{counters:?}");
    assert!(counters[0] < 85 && *counters.last().unwrap() > 100, "not across the fall: {counters:?}");
    for report in &eye.reports {
        for (timestamp, strip) in &eye.strips {
            let wall = report.wall + f64::from(timestamp.wrapping_sub(report.rtp) as i32) / 90_000.0;
            let off = wall - strip.millis as f64 / 1000.0;
            assert!(off.abs() < 0.25, "picture {} is told {off:.3} s late", strip.counter);
        }
    }
    server.stop();
}

#[test]
fn a_program_that_cannot_be_used_is_told_of() {
    let server = start("none");
    let told = camera(&server);
    assert_eq!(told["state"], "no-signal");
    let reason = told["reason"].as_str().unwrap();
    assert!(reason.contains("examples/camera: it cannot give what is wished"), "{reason}");
    server.stop();
}

/// The server itself is killed: its programs go with it.
#[test]
fn a_program_does_not_outlive_its_server() {
    let server = start("yu12 --hang-after 0");
    let [child] = children(&server)[..] else { panic!("not one child") };
    kill(Pid::from_raw(server.pid() as i32), Signal::SIGKILL).unwrap();
    assert!(ends(child));
}

/// A crowd watches while it is killed: nobody is dropped, misses a packet or sees time stand.
#[test]
fn a_crowd_stays_while_a_program_is_killed() {
    const PICTURES: usize = 120;
    let server = start("nv12");
    let mut eye = Eye::open(&server);
    thread::scope(|scope| {
        let crowd: Vec<_> = (0..12)
            .map(|_| {
                let mut client = Client::watch(&server.url("main"), 1);
                scope.spawn(move || Received::pictures(&mut client, PICTURES))
            })
            .collect();
        for _ in 0..2 {
            eye.until(|counter| counter.is_some());
            let [child] = children(&server)[..] else { panic!("not one child") };
            kill(child, Signal::SIGKILL).unwrap();
            eye.until(|counter| counter.is_none());
        }
        eye.until(|counter| counter.is_some());
        for viewer in crowd {
            assert_unbroken(&viewer.join().unwrap().rtp[0]);
        }
    });
    assert_unbroken(&eye.packets);
    server.stop();
}

/// It runs while somebody watches, and no longer.
#[test]
fn a_program_rests_when_nobody_watches() {
    let server = start_with("yu12", "on_demand = true");
    assert!(children(&server).is_empty());
    let mut eye = Eye::open(&server);
    eye.until(|counter| counter.is_some());
    let [child] = children(&server)[..] else { panic!("not one child") };
    drop(eye);
    assert!(ends(child));
    await_stream(&server, "main", |stream| stream["state"] == "idle");
    assert!(children(&server).is_empty(), "it is waited for");
    Eye::open(&server).until(|counter| counter.is_some());
    server.stop();
}
