//! What is fuzzed: each function takes any bytes and must neither panic nor break the promises that it asserts.
//!
//! `tests/seeds.rs` runs them on everything in `fuzz/seeds`, so that a finding, once kept there, stays mended.

use std::{iter, net::Ipv4Addr, sync::LazyLock, time::Duration};

use eyrie::{
    codec::Converter,
    config,
    guard::{self, Answered, Digest, DigestAlgorithm, Role, User, Users},
    media::{
        AccessUnit, AudioCodec, AudioFormat, FrameRate, H264Format, JpegFormat, Lease, Orientation, ParameterSets,
        PixelFormat, RawFrame, Size, TrackFormat, h264, jpeg::Jpeg,
    },
    rtp::{
        self, Packetizer,
        mikey::Message,
        rtcp as rtcp_packets,
        srtp::{MasterKey, Receiver},
    },
    rtsp::{
        self, Accepted, Answer, Ask, Connection, ConnectionId, ConnectionSettings, DescribedTrack, Description, Input,
        Output, Parsed, Parser, PlayStart, Sessions, StreamInfo, TrackInfo, Transports,
        tunnel::{Event, Opening, WebSocket},
    },
    time::{MonoTime, NtpTime},
};

/// On a connection that has asked for so much the next request is one too many.
const PATIENCE: u32 = 50;
/// The longest message that the server takes is well below this.
const MOST_PENDING: usize = 1 << 20;

/// Messages are the same however the bytes are cut.
pub fn rtsp_messages(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else { return };
    let whole = messages(iter::once(bytes));
    let pieces = messages(bytes.chunks(usize::from(cut) + 1));
    assert_eq!(whole, pieces);
}

fn messages<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Parsed> {
    let mut parser = Parser::default();
    let mut found = Vec::new();
    for piece in pieces {
        parser.push(piece);
        while let Some(parsed) = parser.next(|channel| channel % 4 == 1) {
            found.push(parsed);
        }
        assert!(parser.pending() < MOST_PENDING);
    }
    found
}

/// A whole connection: the first byte says how the rest is cut and, odd, that it is inside TLS, time passes between the pieces, every ask is answered.
pub fn rtsp_connection(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else { return };
    let mut server = Server::new(cut % 2 == 1);
    for piece in bytes.chunks(usize::from(cut) + 1) {
        server.feed(piece);
    }
    server.finish();
}

/// The Transport header of a SETUP.
pub fn rtsp_transport(data: &[u8]) {
    let mut server = Server::new(false);
    server.feed(b"SETUP rtsp://camera/main/trackID=0 RTSP/1.0\r\nCSeq: 1\r\nTransport: ");
    server.feed(data);
    server.feed(b"\r\n\r\n");
    server.finish();
}

/// The value of any other header that is read, also where an answer carries it back.
pub fn rtsp_headers(data: &[u8]) {
    let Ok(value) = str::from_utf8(data) else { return };
    rtsp::read_header_value(value);
    let mut server = Server::new(false);
    let mut request = |method: &str, names: &[&str]| {
        server.feed(format!("{method} rtsp://camera/main RTSP/1.0\r\nCSeq: 1\r\n").as_bytes());
        for name in names {
            server.feed(format!("{name}: ").as_bytes());
            server.feed(data);
            server.feed(b"\r\n");
        }
        server.feed(b"\r\n");
    };
    request("OPTIONS", &["Timestamp", "Require", "Proxy-Require", "Session"]);
    request("DESCRIBE", &["Accept", "Timestamp"]);
    request("PLAY", &["Session", "Range", "Scale"]);
    request("OPTIONS", &["Connection"]);
    server.finish();
}

/// The URL of a request, where the answers carry it back.
pub fn rtsp_url(data: &[u8]) {
    let mut server = Server::new(false);
    for method in ["DESCRIBE ", "SETUP "] {
        server.feed(method.as_bytes());
        server.feed(data);
        server.feed(b" RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n");
    }
    server.finish();
}

/// An Authorization header, with `NONCE` for one that is live: no bytes log in who does not know the password.
pub fn digest(data: &[u8]) {
    static USERS: LazyLock<Users> = LazyLock::new(|| {
        Users::new([User {
            name: "nvr".into(),
            md5_ha1: Some(guard::ha1_md5("nvr", guard::REALM, "a password that nobody guesses")),
            sha256_ha1: Some(guard::ha1_sha256("nvr", guard::REALM, "a password that nobody guesses")),
            password: None,
            role: Role::View,
            streams: vec!["*".into()],
        }])
    });
    for algorithm in [DigestAlgorithm::Md5, DigestAlgorithm::Sha256] {
        let (digest, address, now) = (Digest::new(algorithm), Ipv4Addr::LOCALHOST.into(), MonoTime::from_nanos(1));
        let challenge = digest.challenge(address, now, false);
        let nonce = challenge.split('"').nth(3).unwrap_or_default();
        let answered = &mut Answered::default();
        for header in [data.to_vec(), with_nonce(data, nonce)] {
            let verdict = digest.verify(&USERS, "DESCRIBE", Some(&header), address, answered, now);
            assert!(!matches!(verdict, guard::Verdict::Granted { .. }));
        }
        assert_eq!(*answered, Answered::default());
    }
}

fn with_nonce(data: &[u8], nonce: &str) -> Vec<u8> {
    let Some(at) = data.windows(5).position(|window| window == b"NONCE") else { return data.to_vec() };
    [&data[..at], nonce.as_bytes(), &data[at + 5..]].concat()
}

/// RTCP and RTP from the network.
pub fn rtcp(data: &[u8]) {
    let events = rtcp_packets::parse(data);
    let _ = rtcp_packets::is_well_formed(data);
    // Each has a source of its own in the packet.
    assert!(events.len() <= data.len() / 4);
    let _ = rtcp_packets::is_rtcp(data);
    let _ = rtp::is_well_formed_rtp(data);
    if let Some((_, payload)) = rtp::Header::parse(data) {
        assert!(payload.len() < data.len());
    }
}

/// A client's MIKEY message, and SRTCP under a key that it was not made with.
pub fn mikey(data: &[u8]) {
    if let Some(message) = Message::parse(data) {
        assert!(message.mki.len() < 256 && message.sessions.len() < 256);
        // What was read is written as this room writes it; names of keys it does not write.
        let message = Message { mki: Vec::new(), ..message };
        assert_eq!(Message::parse(&message.write(NtpTime(1), ([0; 16], 2))), Some(message));
    }
    assert!(Receiver::new(&MasterKey([1; 30]), data.len() % 3).open(data).is_none());
}

/// The beginning of a connection, and behind it the body of a POST, cut where the first byte says: a tunnel is the same
/// one however it is cut.
pub fn tunnel(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else { return };
    let cut = usize::from(cut) + 1;
    let pieces = (1..=bytes.len().div_ceil(cut)).map(|count| Opening::of(&bytes[..bytes.len().min(count * cut)]));
    let opening = { pieces }.find(|opening| *opening != Opening::Unfinished).unwrap_or(Opening::Unfinished);
    assert_eq!(opening, if bytes.is_empty() { Opening::Unfinished } else { Opening::of(bytes) });
    if let Opening::Post { head, cookie, body: Some(body) } = opening {
        assert!(!cookie.is_empty() && head <= bytes.len());
        let rest = &bytes[head..];
        let decode = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let (mut body, mut decoded) = (body.clone(), Vec::new());
            let sound = pieces.map(|piece| body.push(piece, &mut decoded)).all(|pushed| pushed.is_ok());
            (sound, body.is_over(), decoded)
        };
        let whole = decode(&mut iter::once(rest));
        assert!(whole.2.len() <= rest.len() / 4 * 3);
        assert_eq!(decode(&mut rest.chunks(cut)), whole);
    }
}

/// What a client sends in a WebSocket: the same however it is cut, and never more than was sent.
pub fn websocket(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else { return };
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let (mut socket, mut events, mut replies) = (WebSocket::default(), Vec::new(), Vec::new());
        for piece in pieces {
            socket.push(piece);
            events.extend(iter::from_fn(|| socket.poll()));
            replies.extend(socket.take_replies().unwrap_or_default());
        }
        (events, replies)
    };
    let (events, replies) = read(&mut iter::once(bytes));
    let length = |event: &Event| if let Event::Data(data) = event { data.len() } else { 0 };
    assert!(events.iter().map(length).sum::<usize>() <= bytes.len());
    let ends = events.iter().filter(|event| **event == Event::End).count();
    assert!(ends == 0 || ends == 1 && events.last() == Some(&Event::End));
    let (cut_events, cut_replies) = read(&mut bytes.chunks(usize::from(cut) + 1));
    assert_eq!(cut_events, events);
    // Of pings that come at once the last one may be answered alone (RFC 6455 §5.5.3).
    assert!(cut_replies.len() >= replies.len());
}

/// A config file, and one changed key in it, which leaves a good file good.
pub fn config(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let (text, edited) = text.split_once('\0').unwrap_or((text, "stream.main.video.bitrate=4M"));
    match config::parse(text, "fuzz.toml") {
        Ok(_) => {
            let (key, value) = edited.split_once('=').unwrap_or((edited, ""));
            if let Ok(changed) = config::edit(text, "fuzz.toml", key, value) {
                config::parse(&changed, "fuzz.toml").expect("an edit that was taken leaves a good file");
            }
        }
        Err(errors) => assert!(errors.to_string().contains("fuzz.toml")),
    }
}

/// A sequence parameter set, as a camera or an encoder gives it: what was rewritten can be read again.
pub fn sps(data: &[u8]) {
    if let Ok(rewritten) = h264::low_delay_sps(data, FrameRate::new(30, 1)) {
        let again = h264::low_delay_sps(&rewritten, FrameRate::new(30, 1)).expect("it was written by us");
        assert_eq!(again, rewritten);
    }
}

/// A camera's H.264, cut into buffers of lengths that the first bytes say: NAL units are the same however it is cut, and
/// key pictures carry their parameter sets.
pub fn annex_b(data: &[u8]) {
    let Some((lengths, bytes)) = data.split_at_checked(4) else { return };
    let whole = nal_units(iter::once(bytes));
    let mut buffers = Vec::new();
    let (mut rest, mut lengths) = (bytes, lengths.iter().cycle());
    while !rest.is_empty() {
        let length = lengths.next().map_or(1, |length| usize::from(*length) + 1);
        let (buffer, behind) = rest.split_at(length.min(rest.len()));
        buffers.push(buffer);
        rest = behind;
    }
    assert_eq!(nal_units(buffers.iter().copied()), whole);
    let mut assembler = h264::Assembler::new(FrameRate::new(30, 1));
    for buffer in buffers {
        assembler.push(buffer, MonoTime::ZERO, &mut |found| {
            if let h264::Found::Picture(picture) = found {
                let kinds: Vec<_> = picture.unit.nals().map(h264::nal_type::of).collect();
                assert!(!picture.unit.key || kinds.starts_with(&[h264::nal_type::SPS, h264::nal_type::PPS]));
                assert!(kinds.iter().any(|kind| (1..=5).contains(kind)));
            }
        });
    }
}

fn nal_units<'a>(buffers: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let (mut splitter, mut nals) = (h264::Splitter::default(), Vec::new());
    let mut each = |nal: &[u8], _: h264::Begun| nals.push(nal.to_vec());
    buffers.for_each(|buffer| splitter.push(buffer, MonoTime::ZERO, &mut each));
    splitter.end(&mut each);
    nals
}

/// A JPEG as a camera gives it, in a frame that says 64x48, and on its way over RTP.
pub fn mjpeg(data: &[u8]) {
    let format = TrackFormat::Jpeg(JpegFormat { size: Size::new(64, 48), fps: FrameRate::new(30, 1) });
    let mut unit = AccessUnit::default();
    unit.push_nal(data);
    let batch = Packetizer::new(&format, 400, 7, 0, 0).packetize(&unit);
    assert!(batch.packets().all(|packet| packet.len() + rtp::SRTP_TRAILER <= 400));
    if let Ok(jpeg) = Jpeg::parse(data) {
        let headers = batch.len() * (rtp::Header::SIZE + 8 + if jpeg.restart_interval > 0 { 4 } else { 0 }) + 132;
        assert!(batch.is_empty() || batch.bytes().len() == headers + jpeg.scan.len());
    }
    let size = Size::new(64, 48);
    let frame = RawFrame {
        format: PixelFormat::Mjpeg,
        size,
        shown: size,
        planes: RawFrame::layout(PixelFormat::Mjpeg, size, 0, data.len()).expect("any length will do"),
        stamp: MonoTime::from_nanos(0),
        sequence: 0,
        buffer: Lease::new(data.to_vec()),
    };
    for target in [size, Size::new(32, 18)] {
        if let Ok(picture) = Converter::new(target, Orientation::default()).convert(&frame) {
            assert_eq!(picture.size, target);
        }
    }
}

/// An access unit of any NAL units, or any sound: every packet keeps to its size, and no byte is lost.
pub fn packetize(data: &[u8]) {
    let [kind, size, data @ ..] = data else { return };
    let packet_size = 128 + usize::from(*size) * 6;
    let video = kind % 2 == 0;
    let format = if video { video_format() } else { audio_format() };
    let mut unit = AccessUnit { samples: u32::from(!video) * 160, key: true, ..AccessUnit::default() };
    // A unit ends where a byte says so.
    let ends = |byte: &u8| video && *byte == b'|';
    data.split(ends).for_each(|part| unit.push_nal(part));
    let batch = Packetizer::new(&format, packet_size, 7, 65_530, 0).packetize(&unit);
    let interleaved = batch.framed(rtp::Framing { channel: 0, websocket: false });
    let mut at = 0;
    for (n, packet) in batch.packets().enumerate() {
        assert!(packet.len() + rtp::SRTP_TRAILER <= packet_size);
        let (header, _) = rtp::Header::parse(packet).expect("our own");
        assert_eq!(header.sequence, batch.first_sequence().wrapping_add(n as u16));
        let framed = &interleaved.bytes()[at..interleaved.boundary(at + 1)];
        assert_eq!(&framed[4..], packet);
        at += framed.len();
    }
}

fn video_format() -> TrackFormat {
    TrackFormat::H264(H264Format {
        size: Size::new(640, 360),
        fps: FrameRate::new(30, 1),
        bitrate: 1_000_000,
        parameter_sets: ParameterSets {
            sps: [0x67, 0x42, 0xC0, 0x1E, 0xDA].as_slice().into(),
            pps: [0x68, 0xCE, 0x3C, 0x80].as_slice().into(),
        },
    })
}

fn audio_format() -> TrackFormat {
    TrackFormat::Audio(AudioFormat { codec: AudioCodec::Pcmu, rate: 8000, channels: 1 })
}

/// The worker's part: it answers every ask, and looks at what comes out.
struct Server {
    connection: Connection,
    sessions: Sessions,
    now: MonoTime,
    asked: u32,
    closed: bool,
}

impl Server {
    /// `secure`: inside TLS.
    fn new(secure: bool) -> Self {
        let now = MonoTime::from_nanos(1_000_000_000);
        let settings = ConnectionSettings {
            id: ConnectionId(1),
            peer: (Ipv4Addr::LOCALHOST, 40_000).into(),
            local: (Ipv4Addr::LOCALHOST, 8554).into(),
            session_timeout: Duration::from_secs(60),
            transports: Transports { udp: true, tcp: true, multicast: true },
            secure,
            server: "Eyrie".into(),
        };
        Server { connection: Connection::new(settings, now), sessions: Sessions::new(), now, asked: 0, closed: false }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.asked += self.connection.take_asked();
        self.handle(Input::TooMuch(self.asked > PATIENCE));
        self.handle(Input::Bytes(bytes));
        self.now += Duration::from_millis(700);
        // The server's own request may come between any two pieces.
        let sessions: Vec<_> = self.sessions.iter().map(|session| session.id).collect();
        for session in sessions {
            self.handle(Input::Redirect { session, location: "rtsp://relay/front" });
        }
        if self.connection.poll_timeout().is_some_and(|due| due <= self.now) {
            self.handle(Input::Timeout);
        }
        for session in self.sessions.expired(self.now) {
            assert!(self.sessions.get(session.id).is_none());
        }
    }

    fn finish(mut self) {
        self.handle(Input::PeerClosed);
        assert!(self.sessions.iter().all(|session| !session.is_interleaved()), "outlived its connection");
    }

    fn handle(&mut self, input: Input<'_>) {
        self.connection.handle_input(input, &mut self.sessions, self.now);
        while let Some(output) = self.connection.poll_output() {
            assert!(!self.closed, "an output after Close: {output:?}");
            match output {
                Output::Ask(id, ask) => {
                    let answer = self.answer(&ask);
                    self.connection.handle_input(Input::Answer(id, answer), &mut self.sessions, self.now);
                }
                Output::Send(message) => {
                    let head = message.windows(4).position(|end| end == b"\r\n\r\n").expect("a whole head");
                    let head = str::from_utf8(&message[..head]).expect("text");
                    // Nothing that the client sent may begin a header of its own.
                    assert!(head.split("\r\n").skip(1).all(|line| line.contains(": ") && !line.contains(['\r', '\n'])));
                }
                // Its session may have ended by something that came behind it.
                Output::Interleaved { .. } => {}
                Output::SessionEnded(session) => assert!(self.sessions.get(session.id).is_none()),
                Output::Close { .. } => self.closed = true,
            }
        }
    }

    fn answer(&self, ask: &Ask) -> Answer {
        match ask {
            Ask::Authorize { target, .. } => {
                let tracks = vec![TrackInfo { id: 0, video: true }, TrackInfo { id: 1, video: false }];
                let stream = target.as_ref().map(|_| StreamInfo { name: "main".into(), tracks });
                Answer::Granted { user: Some("nvr".into()), stream }
            }
            Ask::Describe { .. } => Answer::Described(Description {
                name: "main".into(),
                session_id: 1,
                version: 1,
                tracks: vec![
                    DescribedTrack { id: 0, format: video_format(), group: None, key_message: None },
                    DescribedTrack { id: 1, format: audio_format(), group: None, key_message: None },
                ],
            }),
            Ask::Setup(ask) => Answer::SetUp(Accepted {
                chosen: ask.transports.len() - 1,
                server_ports: Some((8000, 8001)),
                group: None,
                ssrc: 7,
                key_message: ask.key_message.clone(),
            }),
            Ask::Play { session } => {
                let session = self.sessions.get(*session).expect("a session that plays is there");
                let start = |track: u8| PlayStart { track, seq: 1, rtptime: 2 };
                Answer::Playing { starts: session.tracks.iter().map(|track| start(track.id)).collect(), at: None }
            }
            Ask::Pause { .. } | Ask::Teardown { .. } => Answer::Done,
        }
    }
}
