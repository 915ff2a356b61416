//! From a document to a [`Config`]: which keys there are, how each is written, and what contradicts what.

use super::{
    copies,
    forms::{self, Form, Shape},
    schema::*,
    section::{Findings, Section},
    users::{self, Secrecy},
};
use crate::media::{
    AudioCodec, EncoderChoice, Flip, H264Profile, Orientation, PixelFormat, Rotation, Scene, Size, Tone, VideoCodec,
};
use std::{collections::HashMap, time::Duration};
use toml::{Spanned, de::DeTable};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// The config that `document` holds, good if `findings` then has no errors.
pub(super) fn config(document: &DeTable<'_>, secrecy: Secrecy, findings: &Findings) -> Config {
    let mut root = Section::root(findings, document);
    let server = server(root.section("server"));
    let tls = tls(root.section("tls"));
    let cameras: Vec<_> =
        root.named_sections("camera").into_iter().map(|(name, section)| camera(&name, section)).collect();
    let microphones: Vec<_> =
        root.named_sections("microphone").into_iter().map(|(name, section)| microphone(&name, section)).collect();
    let sections = root.named_sections("stream");
    let mut paths = HashMap::new();
    for (name, section) in &sections {
        stream_name(name, section);
        paths.insert(format!("/{}", name.get_ref()), name.get_ref().clone());
    }
    let mut streams = vec![];
    for (name, section) in sections {
        streams.push(stream(name.into_inner(), section, (&cameras, &microphones), &streams, &mut paths));
    }
    let mut users: Vec<UserConfig> = vec![];
    for section in root.repeated_sections("user") {
        users.extend(users::user(section, server.digest, secrecy, &streams, &users));
    }
    root.finish();
    Config { server, tls, cameras, microphones, streams, users }
}

/// Every key there is, dotted, with `NAME` for names that the user gives.
pub(super) fn keys() -> Vec<(String, Shape)> {
    const ONE_OF_EACH: &str = "[camera.NAME]\n[microphone.NAME]\n[stream.NAME]\n[[user]]\nname = 'NAME'";
    let findings = Findings::default();
    let document = DeTable::parse(ONE_OF_EACH).expect("the text above is TOML");
    config(document.get_ref(), Secrecy::Private, &findings);
    let (_, mut keys) = findings.into_parts();
    keys.sort_by(|(a, _), (b, _)| a.cmp(b));
    keys.dedup();
    keys
}

fn server(mut s: Section<'_, '_>) -> Server {
    let default = Server::default();
    let listen = s.set("listen", forms::socket_address(), default.listen);
    if listen.is_empty() {
        s.refuse_key("listen", "nothing to listen on", "at least one ADDRESS:PORT");
    }
    let server = Server {
        listen,
        listen_tls: s.set("listen_tls", forms::socket_address(), default.listen_tls),
        udp_ports: s.or("udp_ports", forms::port_pair(), default.udp_ports),
        transports: transports(&mut s),
        session_timeout: s.or("session_timeout", forms::duration(SECOND..=HOUR), default.session_timeout),
        packet_size: s.or("packet_size", whole(256..=8952), default.packet_size),
        digest: s.or("digest", forms::choice(&[("md5", Digest::Md5), ("sha256", Digest::Sha256)]), default.digest),
        anonymous: s.or("anonymous", forms::boolean(), default.anonymous),
        allow: s.set("allow", forms::network(), vec![]),
        deny: s.set("deny", forms::network(), vec![]),
        max_connections: s.or("max_connections", whole(1..=100_000), default.max_connections),
        max_connections_per_address: s.or(
            "max_connections_per_address",
            whole(1..=100_000),
            default.max_connections_per_address,
        ),
        max_requests: s.or("max_requests", whole(1..=100_000), default.max_requests),
        max_requests_per_address: s.or(
            "max_requests_per_address",
            whole(1..=100_000),
            default.max_requests_per_address,
        ),
        lockout: lockout(s.section("lockout")),
        state_dir: s.optional("state_dir", forms::absolute_path()),
        control_socket: s.optional("control_socket", socket_path()),
        audit_file: s.or("audit_file", forms::optional(forms::absolute_path()), None),
        metrics: s.or("metrics", forms::optional(forms::socket_address()), None),
    };
    if server.session_timeout.subsec_nanos() != 0 {
        s.refuse_key("session_timeout", "is no whole number of seconds", "whole seconds, as clients are told it so");
    }
    s.finish();
    server
}

/// All of them, which is the default, or those that are there already.
fn transports(s: &mut Section<'_, '_>) -> Vec<Transport> {
    const WORDS: &[(&str, Transport)] = &[
        ("udp", Transport::Udp),
        ("tcp", Transport::Tcp),
        ("http", Transport::Http),
        ("websocket", Transport::WebSocket),
        ("multicast", Transport::Multicast),
    ];
    let transports = s.set("transports", forms::choice(WORDS), Transport::ALL.to_vec());
    if transports.is_empty() {
        s.refuse_key("transports", "none is left", "at least one, such as \"tcp\"");
    }
    transports
}

fn lockout(mut s: Section<'_, '_>) -> Lockout {
    let default = Lockout::default();
    let day = 24 * HOUR;
    let lockout = Lockout {
        failures: s.or("failures", whole(0..=1000), default.failures),
        within: s.or("within", forms::duration(SECOND..=day), default.within),
        duration: s.or("for", forms::duration(SECOND..=day), default.duration),
    };
    s.finish();
    lockout
}

fn tls(mut s: Section<'_, '_>) -> Tls {
    for (key, other) in [("cert", "key"), ("key", "cert")] {
        if s.has(key) && !s.has(other) {
            s.refuse_key(key, "stands alone", format!("`{other}` beside it, or neither"));
        }
    }
    let tls = Tls { cert: s.optional("cert", forms::absolute_path()), key: s.optional("key", forms::absolute_path()) };
    s.finish();
    tls
}

fn camera(name: &Spanned<String>, mut s: Section<'_, '_>) -> CameraConfig {
    device_name(name, &s);
    let form = forms::text(
        "a bus path, serial, card name, /dev/videoN, or \"test\" (`eyrie devices` lists them), or \"child:\" and a program",
    );
    let device = s.required("device", form).unwrap_or_default();
    let default = CameraConfig::new(name.get_ref(), device);
    let smallest = if default.device == "test" { Size::new(160, 120) } else { Size::new(16, 16) };
    const FORMATS: &[(&str, Option<PixelFormat>)] = &[
        ("auto", None),
        ("yuyv", Some(PixelFormat::Yuyv)),
        ("uyvy", Some(PixelFormat::Uyvy)),
        ("nv12", Some(PixelFormat::Nv12)),
        ("yu12", Some(PixelFormat::I420)),
        ("rgb24", Some(PixelFormat::Rgb24)),
        ("mjpeg", Some(PixelFormat::Mjpeg)),
        ("h264", Some(PixelFormat::H264)),
        ("nv21", Some(PixelFormat::Nv21)),
        ("nv16", Some(PixelFormat::Nv16)),
        ("422p", Some(PixelFormat::I422)),
        ("yvyu", Some(PixelFormat::Yvyu)),
        ("vyuy", Some(PixelFormat::Vyuy)),
        ("grey", Some(PixelFormat::Grey)),
        ("bgr24", Some(PixelFormat::Bgr24)),
        ("bgrx32", Some(PixelFormat::Bgrx32)),
        ("rgb565", Some(PixelFormat::Rgb565)),
    ];
    const FLIPS: &[(&str, Flip)] =
        &[("none", Flip::None), ("horizontal", Flip::Horizontal), ("vertical", Flip::Vertical)];
    let scene = s.optional("scene", forms::choice(&[("bars", Scene::Bars), ("busy", Scene::Busy)]));
    if scene.is_some() {
        only_for_test("scene", &default.device, &s);
    }
    let camera = CameraConfig {
        size: s.or("size", forms::size(smallest), default.size),
        fps: s.or("fps", forms::frame_rate(), default.fps),
        format: s.or("format", forms::choice(FORMATS), default.format),
        orientation: Orientation {
            rotation: s.or("rotate", rotation(), default.orientation.rotation),
            flip: s.or("flip", forms::choice(FLIPS), default.orientation.flip),
        },
        controls: s.entries("controls", forms::control()),
        scene: scene.unwrap_or_default(),
        ..default
    };
    if camera.device == "test" && !camera.controls.is_empty() {
        s.refuse_key("controls", "the test pattern has none", "a real camera as `device`, or no controls");
    }
    if let Some(program) = camera.device.strip_prefix("child:") {
        if !program.starts_with('/') {
            s.refuse_key(
                "device",
                "names no program",
                "its whole path and arguments, such as \"child:/usr/bin/camera 0\"",
            );
        }
        if !camera.controls.is_empty() {
            s.refuse_key("controls", "a program has none", "what it is to do as its arguments in `device`");
        }
    }
    s.finish();
    camera
}

fn microphone(name: &Spanned<String>, mut s: Section<'_, '_>) -> MicrophoneConfig {
    device_name(name, &s);
    let form = forms::text("an ALSA name, a card's name, or \"test\" (`eyrie devices` lists them)");
    let device = s.required("device", form).unwrap_or_default();
    let tone = s.optional("tone", forms::choice(&[("beep", Tone::Beep), ("continuous", Tone::Continuous)]));
    if tone.is_some() {
        only_for_test("tone", &device, &s);
    }
    let default = MicrophoneConfig::new(name.get_ref(), device);
    let microphone = MicrophoneConfig {
        rate: s.or("rate", whole(8000..=192_000), default.rate),
        channels: s.or("channels", whole(1..=8), default.channels),
        map: s.list("map", whole(1..=32)).unwrap_or_default().into_iter().map(Spanned::into_inner).collect(),
        gain: s.or("gain", forms::decibels(), default.gain),
        mute: s.or("mute", forms::boolean(), default.mute),
        tone: tone.unwrap_or_default(),
        ..default
    };
    if !microphone.map.is_empty() && microphone.map.len() != usize::from(microphone.channels) {
        let wrong = format!("{} channels are named, `channels` is {}", microphone.map.len(), microphone.channels);
        s.refuse_key(
            "map",
            wrong,
            "one of the card's channels for each of `channels`, such as [2] for the second alone",
        );
    }
    s.finish();
    microphone
}

fn only_for_test(key: &str, device: &str, s: &Section<'_, '_>) {
    if device != "test" {
        s.refuse_key(key, "a real device has none", "device = \"test\" beside it");
    }
}

fn stream(
    name: String,
    mut s: Section<'_, '_>,
    (cameras, microphones): (&[CameraConfig], &[MicrophoneConfig]),
    others: &[StreamConfig],
    paths: &mut HashMap<String, String>,
) -> StreamConfig {
    let default = StreamConfig::new(name);
    let overlay = s.or("overlay", forms::boolean(), default.overlay);
    let stream = StreamConfig {
        video: video(s.section("video"), overlay, cameras, others),
        audio: audio(s.section("audio"), microphones),
        aliases: aliases(&default.name, &mut s, paths),
        start: s.or("start", forms::choice(&[("fast", Start::Fast), ("fresh", Start::Fresh)]), default.start),
        on_demand: s.or("on_demand", forms::boolean(), default.on_demand),
        overlay,
        srtp: s.or("srtp", forms::boolean(), default.srtp),
        max_viewers: s.or("max_viewers", whole(0..=100_000), default.max_viewers),
        relay: s.or("relay", forms::optional(forms::rtsp_url()), None),
        dscp: s.or("dscp", whole(0..=63), default.dscp),
        allow: s.set("allow", forms::network(), vec![]),
        deny: s.set("deny", forms::network(), vec![]),
        multicast: multicast(s.section("multicast"), others),
        ..default
    };
    if stream.video.is_none() && stream.audio.is_none() {
        s.refuse("has neither video nor audio", "video = { from = CAMERA }, or audio = { from = MICROPHONE }");
    }
    s.finish();
    stream
}

fn video(
    mut s: Section<'_, '_>,
    overlay: bool,
    cameras: &[CameraConfig],
    others: &[StreamConfig],
) -> Option<VideoConfig> {
    const CODECS: &[(&str, VideoCodec)] = &[("h264", VideoCodec::H264), ("copy", VideoCodec::Copy)];
    const PROFILES: &[(&str, H264Profile)] =
        &[("baseline", H264Profile::Baseline), ("main", H264Profile::Main), ("high", H264Profile::High)];
    const ENCODERS: &[(&str, EncoderChoice)] =
        &[("auto", EncoderChoice::Auto), ("openh264", EncoderChoice::OpenH264), ("m2m", EncoderChoice::M2m)];
    let names: Vec<_> = cameras.iter().map(|camera| camera.name.as_str()).collect();
    let default = VideoConfig::new(from(&mut s, "camera", &names).unwrap_or_default());
    let video = VideoConfig {
        codec: s.or("codec", forms::choice(CODECS), default.codec),
        size: s.optional("size", forms::size(Size::new(64, 48))),
        fps: s.optional("fps", forms::frame_rate()),
        bitrate: s.or("bitrate", forms::bitrate(), default.bitrate),
        gop: s.or("gop", forms::duration(SECOND / 10..=60 * SECOND), default.gop),
        profile: s.or("profile", forms::choice(PROFILES), default.profile),
        slices: s.or("slices", slices(), default.slices),
        encoder: s.or("encoder", forms::choice(ENCODERS), default.encoder),
        frame_skip: s.or("frame_skip", forms::boolean(), default.frame_skip),
        adapt: s.or("adapt", forms::boolean(), default.adapt),
        bitrate_min: s.or("bitrate_min", forms::bitrate(), default.bitrate_min),
        bitrate_max: s.or("bitrate_max", forms::bitrate(), default.bitrate_max),
        ..default
    };
    let camera = cameras.iter().find(|camera| camera.name == video.from);
    if video.codec != VideoCodec::Copy && camera.is_some_and(|camera| camera.format == Some(PixelFormat::H264)) {
        let wrong = format!("the H.264 of camera {:?} is passed through only", video.from);
        s.refuse_key("codec", wrong, format!("another `format` in [camera.{}], or codec = \"copy\"", video.from));
    }
    if video.bitrate_min > video.bitrate_max {
        let wrong = format!("{} is above bitrate_max, {}", video.bitrate_min, video.bitrate_max);
        s.refuse_key("bitrate_min", wrong, "bitrate_min not above bitrate_max");
    }
    copies::check(&s, &video, overlay, cameras, others);
    let present = s.is_present();
    s.finish();
    present.then_some(video)
}

fn audio(mut s: Section<'_, '_>, microphones: &[MicrophoneConfig]) -> Option<AudioConfig> {
    const CODECS: &[(&str, AudioCodec)] = &[
        ("pcmu", AudioCodec::Pcmu),
        ("pcma", AudioCodec::Pcma),
        ("l16", AudioCodec::L16),
        ("opus", AudioCodec::Opus),
        ("aac", AudioCodec::Aac),
    ];
    let names: Vec<_> = microphones.iter().map(|microphone| microphone.name.as_str()).collect();
    let default = AudioConfig::new(from(&mut s, "microphone", &names).unwrap_or_default());
    let audio = AudioConfig { codec: s.or("codec", forms::choice(CODECS), default.codec), ..default };
    let channels =
        microphones.iter().find(|microphone| microphone.name == audio.from).map_or(1, |found| found.channels);
    if channels > 2 && matches!(audio.codec, AudioCodec::L16 | AudioCodec::Opus | AudioCodec::Aac) {
        let wrong = format!("this codec carries one or two channels, the microphone has {channels}");
        s.refuse_key("codec", wrong, format!("channels = 2 in [microphone.{}], or \"pcmu\"", audio.from));
    }
    let present = s.is_present();
    s.finish();
    present.then_some(audio)
}

/// The camera or microphone that a track comes from.
fn from(s: &mut Section<'_, '_>, kind: &str, names: &[&str]) -> Option<String> {
    let there_are = match names {
        [] => format!("a [{kind}.NAME] of that name"),
        _ => forms::one_of(names.iter().map(|name| format!("{name:?}"))),
    };
    let form = forms::text(&there_are);
    let from = if s.is_present() { s.required("from", form)? } else { s.optional("from", form)? };
    if !names.contains(&from.as_str()) {
        let meant = forms::nearest(&from, names.iter().copied());
        let meant = meant.map_or(String::new(), |name| format!(", did you mean {name:?}?"));
        s.refuse_key("from", format!("no {kind} is named {from:?}{meant}"), there_are);
    }
    Some(from)
}

fn aliases(stream: &str, s: &mut Section<'_, '_>, paths: &mut HashMap<String, String>) -> Vec<String> {
    let form = forms::text("a URL's path, such as \"/Streaming/Channels/101\"");
    let aliases = s.set("aliases", form, vec![]);
    for alias in &aliases {
        let printable = alias.bytes().all(|byte| byte.is_ascii_graphic() && !br#""<>\^`{|}#"#.contains(&byte));
        if !alias.starts_with('/') || alias.len() == 1 || !printable || alias.contains("trackID=") {
            s.refuse_key(
                "aliases",
                format!("{alias:?} is no path of a URL"),
                "each such as \"/Streaming/Channels/101\"",
            );
        } else if let Some(other) = paths.insert(alias.trim_end_matches('/').to_owned(), stream.to_owned()) {
            s.refuse_key("aliases", format!("{alias:?} is already stream {other:?}"), "each path once");
        }
    }
    aliases
}

fn multicast(mut s: Section<'_, '_>, others: &[StreamConfig]) -> Option<Multicast> {
    if !s.is_present() {
        // Asked for all the same: what is asked for is the schema.
        s.optional("address", forms::multicast_address());
        s.optional("port", whole::<u16>(1..=65_532));
        s.optional("ttl", whole::<u8>(1..=255));
        return None;
    }
    let address = s.required("address", forms::multicast_address());
    let (port, ttl) = (s.or("port", whole(1..=65_532), 5004), s.or("ttl", whole(1..=255), 1));
    let multicast = address.map(|address| Multicast { address, port, ttl });
    let meets = |other: &&StreamConfig| {
        let both = other.multicast.as_ref().zip(multicast.as_ref());
        both.is_some_and(|(a, b)| a.address == b.address && a.port.abs_diff(b.port) < Multicast::PORTS)
    };
    if let Some(other) = others.iter().find(meets) {
        let wrong = format!("stream {:?} sends to these ports of the group", other.name);
        s.refuse_key("port", wrong, "another group, or a port that is at least 4 away");
    }
    s.finish();
    multicast
}

/// Cameras and microphones are called by any name that fits into a line.
fn device_name(name: &Spanned<String>, s: &Section<'_, '_>) {
    if !forms::is_plain(name.get_ref()) || name.get_ref().chars().count() > 64 {
        s.refuse("cannot be a name", "1 to 64 characters");
    }
}

/// Streams are called by a piece of their URL (RFC 3986 §2.3, unreserved).
fn stream_name(name: &Spanned<String>, s: &Section<'_, '_>) {
    let name = name.get_ref();
    let unreserved = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte));
    if !unreserved || !(1..=64).contains(&name.len()) || name.bytes().all(|byte| byte == b'.') {
        s.refuse("cannot be the path of a URL", "1 to 64 of A-Z a-z 0-9 - _ . ~");
    }
}

/// Degrees, clockwise.
fn rotation() -> Form<Rotation> {
    Form::new(Shape::Number, "0, 90, 180 or 270", |value| match forms::integer(0..=270).read(value)? {
        0 => Ok(Rotation::None),
        90 => Ok(Rotation::Quarter),
        180 => Ok(Rotation::Half),
        270 => Ok(Rotation::ThreeQuarters),
        other => Err(format!("pictures cannot be turned by {other} degrees")),
    })
}

/// `"auto"` is None.
fn slices() -> Form<Option<u32>> {
    let number = forms::integer(1..=16);
    Form::new(Shape::TextOrNumber, "\"auto\" or a number from 1 to 16", move |value| match value.as_str() {
        Some("auto") => Ok(None),
        _ => number.read(value).map(|slices| Some(slices as u32)),
    })
}

/// A whole number of whichever type the field has; `range` fits into it.
fn whole<N: TryFrom<i64> + 'static>(range: std::ops::RangeInclusive<i64>) -> Form<N> {
    forms::integer(range).map(|number| N::try_from(number).ok().expect("the range fits the type"))
}

fn socket_path() -> Form<std::path::PathBuf> {
    /// `sun_path` without its final zero (unix(7)), less what the name beside it needs while it is made.
    const LONGEST: usize = 100;
    let form = forms::absolute_path();
    Form::new(Shape::Text, "an absolute path of at most 100 bytes", move |value| {
        form.read(value).and_then(|path| {
            if path.as_os_str().len() <= LONGEST { Ok(path) } else { Err("is too long for a socket".into()) }
        })
    })
}
