//! `codec = "copy"`: what the camera encodes reaches the viewers as it is, and a slate of its kind where it does not.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use super::{
    child::{Eye, children},
    client::Client,
    packets::{Picture, Received, Rtp, assert_unbroken, pictures},
    world::{await_stream, command, stream},
};
use crate::support::{Server, camera_program, marks::Luma};

/// Its picture and its sound come back within this time on a loaded machine.
const LONG: Duration = Duration::from_secs(10);

/// A server whose stream `main` passes on what the program of that format gives.
fn start(format: &str, main: &str, more: &str) -> Server {
    let camera = format!("[camera.cam]\ndevice = {:?}\nsize = \"320x240\"\nfps = 30\n", camera_program(format));
    Server::start(
        "anonymous = true",
        &format!("{camera}{more}\n[stream.main.video]\nfrom = \"cam\"\ncodec = \"copy\"\n{main}\n"),
    )
}

fn description(server: &Server) -> String {
    Client::connect(&server.url("main")).describe().body
}

/// What follows `name` in a description, to the next separator.
fn field(description: &str, name: &str) -> String {
    let found = description.split(name).nth(1).unwrap_or_else(|| panic!("no {name} in {description}"));
    found.split(['\r', ';', ' ']).next().unwrap().to_owned()
}

fn version(description: &str) -> u64 {
    description.lines().find(|line| line.starts_with("o=")).unwrap().split(' ').nth(2).unwrap().parse().unwrap()
}

/// The parameter sets are in the description and, the same, before each key picture.
#[test]
fn h264_comes_as_the_camera_made_it() {
    let server = start("h264", "gop = \"500ms\"", "");
    let mut eye = Eye::open(&server);
    let counters: Vec<u16> = (0..40).map(|n| eye.see().unwrap_or_else(|| panic!("picture {n}"))).collect();
    assert!(counters.windows(2).all(|pair| (1..=4).contains(&pair[1].wrapping_sub(pair[0]))), "{counters:?}");
    assert_unbroken(&eye.packets);
    let pictures = pictures(&eye.packets);
    let keys = pictures.iter().filter(|picture| picture.nal_types.contains(&5)).count();
    assert!(keys >= 2 && pictures.iter().filter(|picture| picture.is_a_beginning()).count() == keys, "{pictures:?}");
    let status = await_stream(&server, "main", |stream| stream["fps"].as_f64().is_some_and(|fps| fps > 20.0));
    assert_eq!((status["state"].as_str(), status["width"].as_u64()), (Some("live"), Some(320)));
    assert_eq!(status["reason"], serde_json::Value::Null);
    let text = description(&server);
    assert!(field(&text, "profile-level-id=").starts_with("42"), "{text}");
    assert!(text.contains("m=video 0 RTP/AVP 96\r\n") && text.contains("a=framerate:30\r\n"), "{text}");
    assert!(!server.log().contains("encodes"), "nothing is encoded here: {}", server.log());
    server.stop();
}

/// The camera makes a key frame only when asked.
#[test]
fn a_viewer_that_joins_has_the_camera_asked() {
    let server = start("h264", "gop = \"60s\"", "");
    let mut first = Client::watch(&server.url("main"), 1);
    Received::pictures(&mut first, 31);
    let before = stream(&server, "main")["keyframes"].as_u64().unwrap();
    let mut second = Client::watch(&server.url("main"), 1);
    let seen = pictures(&Received::pictures(&mut second, 3).rtp[0]);
    assert!(seen[0].is_a_beginning(), "{:?}", seen[0]);
    // More than one only where a loaded machine lost pictures of the camera's.
    assert!(stream(&server, "main")["keyframes"].as_u64().unwrap() > before);
    let shared = pictures(&Received::pictures(&mut first, 40).rtp[0]);
    assert!(shared.iter().any(|picture| picture.timestamp == seen[0].timestamp && picture.is_a_beginning()));
    server.stop();
}

/// While the program is away viewers see a slate with parameter sets of its own, and the picture comes back under them.
#[test]
fn an_h264_slate_stands_in_for_a_killed_camera() {
    // The program knows no profiles, the slate has the one that is configured.
    let server = start("h264", "profile = \"high\"", "");
    let mut eye = Eye::open(&server);
    eye.until(|counter| counter.is_some());
    let live = description(&server);
    let [child] = children(&server)[..] else { panic!("not one child: {:?}", children(&server)) };
    kill(child, Signal::SIGKILL).unwrap();
    eye.until(|counter| counter.is_none());
    let back = eye.until(|counter| counter.is_some());
    eprintln!("the picture is back {back:?} after the slate");
    assert!(back < LONG, "{back:?}");
    assert_unbroken(&eye.packets);
    let after = description(&server);
    let sets = |text: &str| field(text, "sprop-parameter-sets=");
    assert_eq!(sets(&live), sets(&after));
    assert!(version(&after) >= version(&live) + 2, "the slate's were told meanwhile: {live}\n{after}");
    assert_eq!(stream(&server, "main")["state"], "live");
    server.stop();
}

/// A camera that cannot be had yet: its kind is known by its format, so the slate is there at once.
#[test]
fn a_camera_that_never_came_has_a_slate_of_the_kind_that_its_format_says() {
    for (format, expected) in [("h264", "RTP/AVP 96"), ("mjpeg", "RTP/AVP 26")] {
        let server = start("none", "", &format!("format = \"{format}\""));
        let text = description(&server);
        assert!(text.contains(&format!("m=video 0 {expected}\r\n")), "{text}");
        let mut client = Client::watch(&server.url("main"), 1);
        assert!(!Received::pictures(&mut client, 3).rtp[0].is_empty());
        assert_eq!(stream(&server, "main")["state"], "no-signal");
        server.stop();
    }
}

#[test]
fn sound_beside_it_goes_on_while_the_camera_is_away() {
    let sound = "[microphone.mic]\ndevice = \"test\"\n[stream.main.audio]\nfrom = \"mic\"";
    let server = start("h264", "", sound);
    let mut client = Client::watch(&server.url("main"), 2);
    Received::pictures(&mut client, 15);
    let [child] = children(&server)[..] else { panic!("not one child: {:?}", children(&server)) };
    kill(child, Signal::SIGKILL).unwrap();
    let received = Received::pictures(&mut client, 90);
    assert_unbroken(&received.rtp[0]);
    assert_unbroken(&received.rtp[1]);
    let (pictures, blocks) = (received.rtp[0].iter().filter(|packet| packet.marker).count(), received.rtp[1].len());
    assert!(blocks * 2 > pictures, "{pictures} pictures and {blocks} blocks of sound");
    server.stop();
}

/// A viewer that puts JPEGs together (RFC 2435 appendix B) and reads the strip.
struct JpegEye {
    client: Client,
    scan: Vec<u8>,
    headers: Vec<u8>,
    packets: Vec<Rtp>,
}

impl JpegEye {
    fn open(server: &Server) -> Self {
        let client = Client::watch(&server.url("main"), 1);
        Self { client, scan: vec![], headers: vec![], packets: vec![] }
    }

    fn see(&mut self) -> Option<u16> {
        loop {
            let frame = self.client.frame();
            if frame.channel != 0 {
                continue;
            }
            let packet = Rtp::parse(&frame.payload);
            let marker = packet.marker;
            self.depacketize(&packet);
            self.packets.push(packet);
            if marker {
                let jpeg =
                    [std::mem::take(&mut self.headers), std::mem::take(&mut self.scan), vec![0xFF, 0xD9]].concat();
                let picture = turbojpeg::decompress(&jpeg, turbojpeg::PixelFormat::GRAY).unwrap();
                let (width, height, stride) = (picture.width, picture.height, picture.pitch);
                assert_eq!((width, height), (320, 240), "the size never changes under a viewer");
                return Luma { data: &picture.pixels, width, height, stride }.strip().map(|strip| strip.counter);
            }
        }
    }

    fn depacketize(&mut self, packet: &Rtp) {
        let (head, mut rest) = packet.payload.split_at(8);
        assert_eq!(packet.payload_type, 26);
        assert_eq!(u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize, self.scan.len());
        assert_eq!((head[4], head[5]), (1, 255), "4:2:0, tables in band");
        if self.scan.is_empty() {
            let (height, width) = (u16::from(head[7]) * 8, u16::from(head[6]) * 8);
            assert_eq!(rest[..4], [0, 0, 0, 128]);
            self.headers = vec![0xFF, 0xD8];
            for (number, table) in rest[4..132].chunks(64).enumerate() {
                self.headers.extend([&[0xFF, 0xDB, 0, 67, number as u8], table].concat());
            }
            self.headers.extend([0xFF, 0xC0, 0, 17, 8]);
            self.headers.extend([height.to_be_bytes(), width.to_be_bytes()].concat());
            self.headers.extend([3, 0, 0x22, 0, 1, 0x11, 1, 2, 0x11, 1]);
            self.headers.extend([0xFF, 0xDA, 0, 12, 3, 0, 0, 1, 0x11, 2, 0x11, 0, 63, 0]);
            rest = &rest[132..];
        }
        self.scan.extend(rest);
    }

    fn until(&mut self, such: impl Fn(Option<u16>) -> bool) {
        assert!((0..900).any(|_| such(self.see())), "no such picture");
    }
}

/// A JPEG slate stands in, and another stream decodes the same pictures.
#[test]
fn jpegs_come_as_the_camera_made_them_and_are_encoded_for_another_stream() {
    let server = start("mjpeg", "", "[stream.sub.video]\nfrom = \"cam\"\nsize = \"160x120\"\nbitrate = \"200k\"");
    let mut eye = JpegEye::open(&server);
    let counters: Vec<u16> = (0..20).map(|n| eye.see().unwrap_or_else(|| panic!("picture {n}"))).collect();
    assert!(counters.windows(2).all(|pair| (1..=4).contains(&pair[1].wrapping_sub(pair[0]))), "{counters:?}");
    let text = description(&server);
    for line in ["m=video 0 RTP/AVP 26", "a=rtpmap:26 JPEG/90000", "a=framerate:30", "a=x-dimensions:320,240"] {
        assert!(text.contains(&format!("{line}\r\n")), "{text}");
    }
    let status = await_stream(&server, "main", |stream| stream["fps"].as_f64().is_some_and(|fps| fps > 20.0));
    assert_eq!((status["width"].as_u64(), status["height"].as_u64()), (Some(320), Some(240)));
    assert!(status["keyframes"].as_u64().unwrap() >= 20);
    let mut sub = Client::watch(&server.url("sub"), 1);
    let decoded: Vec<Picture> = pictures(&Received::pictures(&mut sub, 5).rtp[0]);
    assert!(decoded[0].is_a_beginning());

    let [child] = children(&server)[..] else { panic!("not one child: {:?}", children(&server)) };
    kill(child, Signal::SIGKILL).unwrap();
    eye.until(|counter| counter.is_none());
    eye.until(|counter| counter.is_some());
    assert_unbroken(&eye.packets);
    server.stop();
}

/// Fewer JPEGs are left out evenly; of a camera that gives H.264 none can be.
#[test]
fn fewer_jpegs_a_second() {
    let server = start("mjpeg", "fps = 10", "format = \"mjpeg\"");
    let mut eye = JpegEye::open(&server);
    let counters: Vec<u16> = (0..10).map(|n| eye.see().unwrap_or_else(|| panic!("picture {n}"))).collect();
    assert!(counters.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) >= 3), "{counters:?}");
    server.stop();
}

/// Which way the pictures go is told by the camera: it gives what cannot be passed on.
#[test]
fn a_camera_without_a_coding_of_its_own_is_refused_in_words() {
    let server = start("yu12", "", "[stream.main]\non_demand = true");
    assert_eq!(Client::connect(&server.url("main")).describe().status, 503, "nothing tells what it would be");
    let said = command(&server, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    let camera = &status["cameras"][0];
    assert_eq!(camera["state"], "no-signal", "{camera}");
    server.stop();
}
