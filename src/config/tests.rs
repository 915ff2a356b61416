use super::*;
use crate::media::{
    AudioCodec, EncoderChoice, Flip, FrameRate, H264Profile, Orientation, PixelFormat, Rotation, Scene, Size, Tone,
};
use std::{collections::BTreeSet, time::Duration};

/// The example with the `#` taken from the lines that begin with one of `marks` and no space.
fn switched_on(marks: &[&str]) -> String {
    let bare = |line: &str| -> String {
        let key = marks.iter().find_map(|mark| line.strip_prefix(mark));
        key.filter(|key| !key.starts_with([' ', '-'])).unwrap_or("").to_owned() + "\n"
    };
    EXAMPLE.lines().map(bare).collect()
}

#[test]
fn the_example_changes_nothing() {
    assert_eq!(parse(EXAMPLE, "example.toml").unwrap(), Config::default());
}

#[test]
fn the_example_claims_the_defaults() {
    let mut config = parse(&switched_on(&["#"]), "example.toml").unwrap_or_else(|errors| panic!("{errors}"));
    let paths = Paths::new(&Server::default(), &Environment::default());
    assert_eq!(config.server.state_dir.take(), Some(paths.state_dir));
    assert_eq!(config.server.control_socket.take(), Some(paths.control_socket));
    let mut stream = StreamConfig::new("main");
    stream.video = Some(VideoConfig::new("front"));
    stream.audio = Some(AudioConfig::new("desk"));
    let expected = Config {
        cameras: vec![CameraConfig::new("front", "test")],
        microphones: vec![MicrophoneConfig::new("desk", "test")],
        streams: vec![stream],
        users: vec![UserConfig {
            name: "nvr".into(),
            md5: Some([0; 16]),
            sha256: Some([0; 32]),
            role: Role::View,
            streams: vec!["*".into()],
        }],
        ..Config::default()
    };
    assert_eq!(config, expected);
}

#[test]
fn the_example_has_every_key_and_no_other() {
    fn collect(prefix: &str, table: &DeTable<'_>, keys: &mut BTreeSet<String>) {
        for (key, value) in table {
            let key = if ["front", "desk", "main"].contains(&key.get_ref().as_ref()) { "NAME" } else { key.get_ref() };
            let path = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
            if let Some(items) = value.get_ref().as_array().filter(|_| key == "user") {
                collect("user.NAME", items[0].get_ref().as_table().unwrap(), keys);
            } else if let Some(inner) = value.get_ref().as_table() {
                collect(&path, inner, keys);
            }
            keys.insert(path);
        }
    }
    let text = switched_on(&["#-", "#"]);
    let mut keys = BTreeSet::new();
    collect("", DeTable::parse(&text).unwrap().get_ref(), &mut keys);
    keys.retain(|key| !key.ends_with(".NAME"));
    let known: BTreeSet<_> = decode::keys().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, known);
}

#[test]
fn every_key_is_read() {
    let text = r#"
[server]
listen = ["127.0.0.1:0", "[::1]:554"]
udp_ports = "0"
transports = ["tcp"]
session_timeout = "30s"
packet_size = 1200
digest = "sha256"
anonymous = true
allow = ["10.0.0.0/8"]
deny = ["10.0.0.1"]
max_connections = 5
max_connections_per_address = 2
max_requests = 7
max_requests_per_address = 3
lockout = { failures = 0, within = "10s", for = "1h" }
state_dir = "/s"
audit_file = "/a"
control_socket = "/c"

[camera.b]
device = "usb-1"
size = "640x480"
fps = 25
format = "yu12"
rotate = 270
flip = "horizontal"
controls = { gain = 3, auto_exposure = true, power_line_frequency = "50 Hz" }
[camera.a]
device = "test"
scene = "busy"

[microphone.m]
device = "test"
rate = 16000
channels = 2
tone = "continuous"

[stream.z]
video = { from = "b", size = "320x240", fps = 12.5, bitrate = 64000, gop = "1s", profile = "high", slices = 2, encoder = "m2m", frame_skip = true, bitrate_min = "50k", bitrate_max = "1M" }
aliases = ["/Streaming/Channels/101"]
start = "fresh"
on_demand = true
overlay = true
allow = ["10.0.0.0/24", "fd00::/8"]
deny = ["10.0.0.9"]
[stream.a]
audio = { from = "m", codec = "opus" }

[[user]]
name = "nvr"
password = "secret"
role = "admin"
streams = ["z"]
[[user]]
name = "Ünal"
sha256 = "00000000000000000000000000000000000000000000000000000000000000ff"
"#;
    let config = parse(text, "f").unwrap_or_else(|errors| panic!("{errors}"));
    let server = Server {
        listen: vec!["127.0.0.1:0".parse().unwrap(), "[::1]:554".parse().unwrap()],
        udp_ports: None,
        transports: vec![Transport::Tcp],
        session_timeout: Duration::from_secs(30),
        packet_size: 1200,
        digest: Digest::Sha256,
        anonymous: true,
        allow: vec!["10.0.0.0/8".parse().unwrap()],
        deny: vec!["10.0.0.1/32".parse().unwrap()],
        max_connections: 5,
        max_connections_per_address: 2,
        max_requests: 7,
        max_requests_per_address: 3,
        lockout: Lockout { failures: 0, within: Duration::from_secs(10), duration: Duration::from_secs(3600) },
        state_dir: Some("/s".into()),
        control_socket: Some("/c".into()),
        audit_file: Some("/a".into()),
        ..Server::default()
    };
    assert_eq!(config.server, server);
    let b = CameraConfig {
        size: Size::new(640, 480),
        fps: FrameRate::new(25, 1),
        format: Some(PixelFormat::I420),
        orientation: Orientation { flip: Flip::Horizontal, rotation: Rotation::ThreeQuarters },
        controls: vec![
            ("gain".into(), 3.into()),
            ("auto_exposure".into(), 1.into()),
            ("power_line_frequency".into(), "50 Hz".into()),
        ],
        ..CameraConfig::new("b", "usb-1")
    };
    let a = CameraConfig { scene: Scene::Busy, ..CameraConfig::new("a", "test") };
    assert_eq!(config.cameras, [b, a], "in the order of the file");
    let m = MicrophoneConfig { rate: 16000, channels: 2, tone: Tone::Continuous, ..MicrophoneConfig::new("m", "test") };
    assert_eq!(config.microphones, [m]);
    let video = VideoConfig {
        size: Some(Size::new(320, 240)),
        fps: Some(FrameRate::new(25, 2)),
        bitrate: 64_000,
        gop: Duration::from_secs(1),
        profile: H264Profile::High,
        slices: Some(2),
        encoder: EncoderChoice::M2m,
        frame_skip: true,
        bitrate_min: 50_000,
        bitrate_max: 1_000_000,
        ..VideoConfig::new("b")
    };
    let z = StreamConfig {
        video: Some(video),
        aliases: vec!["/Streaming/Channels/101".into()],
        start: Start::Fresh,
        on_demand: true,
        overlay: true,
        allow: vec!["10.0.0.0/24".parse().unwrap(), "fd00::/8".parse().unwrap()],
        deny: vec!["10.0.0.9/32".parse().unwrap()],
        ..StreamConfig::new("z")
    };
    let audio = AudioConfig { codec: AudioCodec::Opus, ..AudioConfig::new("m") };
    assert_eq!(config.streams, [z, StreamConfig { audio: Some(audio), ..StreamConfig::new("a") }]);
    let (md5, sha256) = digests("nvr", "secret");
    let nvr = UserConfig {
        name: "nvr".into(),
        md5: Some(md5),
        sha256: Some(sha256),
        role: Role::Admin,
        streams: vec!["z".into()],
    };
    assert_eq!(config.users[0], nvr);
    assert_eq!(config.users[1].sha256.unwrap()[31], 0xff);
    assert!(!format!("{config:?}").contains("255"), "digests are not logged");
}

/// The digest of RFC 2617 §3.5 under our realm, as `printf %s Mufasa:Eyrie:'Circle Of Life' | md5sum` gives it.
#[test]
fn digests_are_of_name_realm_and_password() {
    let (md5, sha256) = digests("Mufasa", "Circle Of Life");
    assert_eq!(hex::encode(md5), "fd5c774c1f91a99ef6550df02eede765");
    assert_eq!(hex::encode(sha256), "5eecbb368f61b88ea4c794b10d626149b5478fe0ad23f01428eea75ef284e2e2");
}

/// One camera, one microphone and one stream of them, for the table of errors to build upon.
const BASE: &str = "[camera.front]\ndevice = 'test'\n[microphone.desk]\ndevice = 'test'\nchannels = 4\n[stream.main]\nvideo = { from = 'front' }\n";

/// Each config is BASE and the text; the error is `key: message`, in part.
#[test]
fn errors_name_key_and_mend() {
    let zeros = "0".repeat(32);
    let user = format!("[[user]]\nname = 'nvr'\nmd5 = '{zeros}'\n");
    let table = [
        // Unknown keys.
        ("[sever]", "sever: unknown key; expected `server`"),
        ("[server]\nlistn = []", "server.listn: unknown key; expected `listen`"),
        ("[server]\nxyzzy = 1", "server.xyzzy: unknown key; expected `listen`, `listen_tls`, "),
        ("[camera.b]\ndevice = 'test'\nfpss = 3", "camera.b.fpss: unknown key; expected `fps`"),
        ("[server]\nlockout = { fails = 3 }", "server.lockout.fails: unknown key; expected `failures`"),
        // Wrong types.
        (
            "[server]\nlisten = ':8554'",
            "server.listen: the text \":8554\" does not fit here; expected a list, each item",
        ),
        ("[server]\nlisten = [8554]", "server.listen: the number 8554 does not fit here; expected ADDRESS:PORT"),
        ("[server]\nlisten = []", "server.listen: nothing to listen on; expected at least one ADDRESS:PORT"),
        ("[server]\nlisten = ['[::]:1', '[::]:1']", "server.listen: is there twice"),
        (
            "[server]\nlisten = ['localhost:8554']",
            "server.listen: \"localhost:8554\" does not fit here; expected ADDRESS:PORT",
        ),
        ("[server]\nanonymous = 'yes'", "server.anonymous: the text \"yes\" does not fit here; expected true or false"),
        (
            "[server]\nsession_timeout = 60",
            "server.session_timeout: the number 60 does not fit here; expected a duration",
        ),
        ("server = 3", "server: the number 3 does not fit here; expected a table"),
        ("[[server]]", "server: a list does not fit here; expected a table"),
        ("camera.b = 3", "camera.b: the number 3 does not fit here; expected a table [camera.NAME]"),
        ("[user]", "user: a table does not fit here; expected tables [[user]]"),
        ("user = [1]", "user: the number 1 does not fit here; expected tables [[user]]"),
        ("[camera.b]\ndevice = 'x'\ncontrols = { gain = 0.5 }", "camera.b.controls.gain: the number 0.5"),
        // Impossible values.
        ("[server]\nsession_timeout = '1500ms'", "server.session_timeout: is no whole number of seconds"),
        (
            "[server]\nudp_ports = '8001-8002'",
            "server.udp_ports: \"8001-8002\" does not fit here; expected an even port",
        ),
        (
            "[server]\npacket_size = 12",
            "server.packet_size: 12 is out of range; expected a whole number from 256 to 8952",
        ),
        (
            "[server]\ndigest = 'sha-256'",
            "server.digest: \"sha-256\" is unknown, did you mean \"sha256\"?; expected \"md5\" or \"sha256\"",
        ),
        (
            "[server]\nallow = ['10.0.0.0/40']",
            "server.allow: \"10.0.0.0/40\" does not fit here; expected an address or a range",
        ),
        ("[server]\nlockout = { for = '0s' }", "server.lockout.for: \"0s\" does not fit here"),
        ("[server]\nstate_dir = 'state'", "server.state_dir: \"state\" does not fit here; expected an absolute path"),
        ("[tls]\ncert = '/c'", "tls.cert: stands alone; expected `key` beside it, or neither"),
        ("[tls]\nkey = 'k'", "tls.key: \"k\" does not fit here; expected an absolute path"),
        ("[server]\ntransports = []", "server.transports: none is left; expected at least one"),
        (
            "[camera.b]\ndevice = 'test'\nsize = '641x480'",
            "camera.b.size: 641x480 is odd; expected \"WIDTHxHEIGHT\", both even",
        ),
        ("[camera.b]\ndevice = 'test'\nsize = '64x48'", "camera.b.size: 64x48 is too small"),
        ("[camera.b]\ndevice = 'test'\nfps = 0", "camera.b.fps: 0 is out of range; expected pictures per second"),
        ("[camera.b]\ndevice = 'child:camera'", "camera.b.device: names no program; expected its whole path"),
        ("[camera.b]\ndevice = 'child:/x'\ncontrols = { gain = 1 }", "camera.b.controls: a program has none"),
        (
            "[camera.b]\ndevice = 'test'\nrotate = 45",
            "camera.b.rotate: pictures cannot be turned by 45 degrees; expected 0, 90, 180 or 270",
        ),
        ("[camera.b]", "camera.b.device: is missing; expected a bus path"),
        ("[camera.b]\ndevice = ''", "camera.b.device: \"\" does not fit here; expected a bus path"),
        ("[camera.\"\"]\ndevice = 'test'", "camera.\"\": cannot be a name"),
        ("[microphone.b]\ndevice = 'test'\nrate = 0", "microphone.b.rate: 0 is out of range"),
        ("[stream.'a/b']\nvideo = { from = 'front' }", "stream.\"a/b\": cannot be the path of a URL"),
        ("[stream.'..']\nvideo = { from = 'front' }", "stream.\"..\": cannot be the path of a URL"),
        // Contradictions.
        (
            "[camera.b]\ndevice = 'usb-1'\nscene = 'busy'",
            "camera.b.scene: a real device has none; expected device = \"test\"",
        ),
        ("[camera.b]\ndevice = 'test'\ncontrols = { gain = 1 }", "camera.b.controls: the test pattern has none"),
        (
            "[microphone.b]\ndevice = 'hw:0'\nmap = [1, 2]",
            "microphone.b.map: 2 channels are named, `channels` is 1; expected one of the card's channels for each",
        ),
        ("[microphone.b]\ndevice = 'hw:0'\ngain = '90dB'", "microphone.b.gain: \"90dB\" does not fit here"),
        (
            "[camera.b]\ndevice = 'usb-1'\nformat = 'h264'\n[stream.b]\nvideo = { from = 'b' }",
            "stream.b.video.codec: the H.264 of camera \"b\" is passed through only; expected another `format`",
        ),
        ("[microphone.b]\ndevice = 'hw:0'\ntone = 'beep'", "microphone.b.tone: a real device has none"),
        ("[stream.b]", "stream.b: has neither video nor audio; expected video = "),
        ("[stream.b]\nvideo = {}", "stream.b.video.from: is missing; expected \"front\""),
        (
            "[stream.b]\nvideo = { from = 'fromt' }",
            "stream.b.video.from: no camera is named \"fromt\", did you mean \"front\"?; expected \"front\"",
        ),
        (
            "[stream.b]\naudio = { from = 'front' }",
            "stream.b.audio.from: no microphone is named \"front\"; expected \"desk\"",
        ),
        (
            "[camera.b]\ndevice = 'usb-1'\nflip = 'vertical'\n[stream.b]\nvideo = { from = 'b', codec = 'copy' }",
            "stream.b.video.codec: what is passed through cannot be turned or flipped; expected the camera's own",
        ),
        (
            "[camera.b]\ndevice = 'usb-1'\n[stream.b]\nvideo = { from = 'b', codec = 'copy' }\noverlay = true",
            "stream.b.video.codec: nothing can be drawn into what is passed through; expected overlay = false",
        ),
        (
            "[stream.b]\naudio = { from = 'desk', codec = 'opus' }",
            "stream.b.audio.codec: this codec carries one or two channels, the microphone has 4",
        ),
        ("[stream.b]\naudio = { from = 'desk', codec = 'l16' }", "stream.b.audio.codec: this codec carries one or two"),
        (
            "[stream.b]\nvideo = { from = 'front', bitrate_min = '5M' }",
            "stream.b.video.bitrate_min: 5000000 is above bitrate_max, 4000000",
        ),
        (
            "[stream.b]\nvideo = { from = 'front' }\naliases = ['/main']",
            "stream.b.aliases: \"/main\" is already stream \"main\"",
        ),
        (
            "[stream.b]\nvideo = { from = 'front' }\naliases = ['/x', '/x/']",
            "stream.b.aliases: \"/x/\" is already stream \"b\"",
        ),
        ("[stream.b]\nvideo = { from = 'front' }\naliases = ['x']", "stream.b.aliases: \"x\" is no path of a URL"),
        (
            "[stream.b]\nvideo = { from = 'front' }\nrelay = 'relay.example/front'",
            "stream.b.relay: \"relay.example/front\" does not fit here; expected a whole URL, such as",
        ),
        (
            "[stream.b]\nvideo = { from = 'front' }\nrelay = 'rtsp://:8554/b'",
            "stream.b.relay: \"rtsp://:8554/b\" does not",
        ),
        ("[stream.b]\nvideo = { from = 'front' }\nmax_viewers = -1", "stream.b.max_viewers: -1 is out of range"),
        ("[stream.main]", "syntax: duplicate key"),
        (
            "[[user]]\nname = 'nvr'",
            "user.nvr: has no password; expected md5 and sha256 as `eyrie passwd NAME` prints them",
        ),
        ("[[user]]\nmd5 = 'x'", "user.name: is missing"),
        ("[[user]]\nname = 'nvr'\nmd5 = 'xyz'", "user.nvr.md5: is no such digest; expected 32 hex digits"),
        ("[[user]]\nname = 'a:b'\npassword = 'x'", "user.\"a:b\".name: \"a:b\" cannot be a user's name"),
        (&format!("{user}password = 'x'"), "user.nvr.password: stands beside a digest; expected either"),
        (&format!("{user}{user}"), "user.nvr.name: there already is a user \"nvr\""),
        (
            &format!("{user}streams = ['mian']"),
            "user.nvr.streams: no stream is named \"mian\", did you mean \"main\"?; expected \"*\" or \"main\"",
        ),
        (
            &format!("{user}role = 'root'"),
            "user.nvr.role: \"root\" is unknown; expected \"view\", \"talk\" or \"admin\"",
        ),
        (&format!("{user}[server]\ndigest = 'sha256'"), "user.nvr: has no sha256; expected sha256, as server.digest"),
    ];
    for (text, expected) in table {
        let whole = if text.starts_with('[') { format!("{BASE}{text}\n") } else { format!("{text}\n{BASE}") };
        let errors = parse(&whole, "f").expect_err(text).to_string();
        assert!(errors.contains(expected), "{text}\n→ {errors}\n≠ {expected}");
    }
}

#[test]
fn a_group_is_a_multicast_address_of_one_stream() {
    let group = |text: &str| parse(&format!("{BASE}[stream.main.multicast]\n{text}"), "f");
    let config = group("address = '239.255.12.1'\nport = 6000\nttl = 4").unwrap();
    let expected = Multicast { address: "239.255.12.1".parse().unwrap(), port: 6000, ttl: 4 };
    assert_eq!(config.streams[0].multicast, Some(expected));
    let config = group("address = 'ff15::12:1'").unwrap();
    assert_eq!(config.streams[0].multicast.as_ref().map(|group| (group.port, group.ttl)), Some((5004, 1)));
    for (wrong, error) in [
        ("port = 6000", "stream.main.multicast.address: is missing"),
        ("address = '192.168.1.1'", "expected a multicast address"),
        ("address = '239.255.12.1'\nport = 65533", "is out of range"),
        ("address = '239.255.12.1'\nttl = 0", "is out of range"),
        (
            "address = '239.255.12.1'\n[stream.other]\nvideo = { from = 'front' }\n\
             multicast = { address = '239.255.12.1', port = 5007 }",
            "stream \"main\" sends to these ports",
        ),
    ] {
        let errors = group(wrong).expect_err(wrong).to_string();
        assert!(errors.contains(error), "{errors}");
    }
}

#[test]
fn all_errors_are_told_in_the_order_of_the_file() {
    let two = parse("server.listen = ['a', 'b']", "f").unwrap_err();
    assert_eq!(two.0.len(), 2, "{two}");
    let text = "[server]\nanonymous = 1\n[camera.a]\n[stream.s]\nvideo = { from = 'b', fps = 0 }\n";
    let errors = parse(text, "f.toml").unwrap_err();
    let places: Vec<_> = errors.0.iter().map(|error| error.place.as_ref().map(|p| (p.line, p.column))).collect();
    assert_eq!(places, [Some((2, 13)), Some((3, 9)), Some((5, 18)), Some((5, 29))]);
    let lines: Vec<_> = errors.0[3].to_string().lines().map(str::to_owned).collect();
    assert_eq!(
        lines[0],
        "f.toml:5:29: stream.s.video.fps: 0 is out of range; expected pictures per second, a number from 1 to 240"
    );
    assert_eq!(lines[1], "video = { from = 'b', fps = 0 }");
    assert_eq!(lines[2], format!("{}^", " ".repeat(28)));
}

#[test]
fn a_file_that_is_no_toml_names_the_place() {
    let errors = parse("[server]\nlisten = [\n\nanonymous = tru\n", "f").unwrap_err();
    assert!(errors.to_string().starts_with("f:"), "{errors}");
    assert!(errors.to_string().contains(": syntax: "), "{errors}");
    assert!(errors.to_string().contains("; expected "), "{errors}");
}

#[test]
fn no_text_makes_it_panic() {
    use proptest::prelude::*;
    let words = "[\\[\\]{}=.,'\"# \n\t\rß0-9a-z]{0,80}";
    proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) }, |(text in words)| {
        let _ = parse(&text, "f").map_err(|errors| errors.to_string());
        let _ = parse(&format!("{BASE}{text}"), "f").map_err(|errors| errors.to_string());
        let _ = edit(BASE, "f", &text, &text);
        let _ = edit(BASE, "f", "stream.main.video.gop", &text);
    });
}
