//! The connection machine as a worker drives it, on a simulated clock.

mod clients;
mod keys;
mod recorders;
mod redirects;
mod sessions;
mod statuses;
mod streams;

use super::*;
use crate::{
    media::{AudioCodec, AudioFormat, FrameRate, H264Format, ParameterSets, Size, TrackFormat},
    time::{MonoTime, WallTime},
};
use bytes::Bytes;
use std::{fmt::Write, sync::Arc, time::Duration};

/// What `user:secret` of the tests' own scheme grants; the digest itself is not this room's matter.
const LOGIN: &str = "Authorization: Digest username=\"nvr\"\r\n";
const CHALLENGE: &str = "Digest realm=\"Eyrie\", nonce=\"1\", stale=false, qop=\"auth\"";

const RELAY: &str = "rtsp://relay.example/front";

/// A worker with the streams `main` (video and sound), `mute` (video) and `radio` (sound), the user `nvr`, who may
/// not see `secret`; `starting` has no picture yet, `full` and `relayed` are full, `keyed` takes no keys.
pub(super) struct Server {
    pub sessions: Sessions,
    pub now: MonoTime,
    pub anonymous: bool,
    /// What PLAY is answered with.
    pub clock: Option<WallTime>,
    pub transports: Transports,
    pub secure: bool,
    /// Asks are kept in `asked` and not answered.
    pub hold: bool,
    next_connection: u64,
}

/// A client and the server's side of its connection.
pub(super) struct Client {
    pub connection: Connection,
    /// All that was sent, as text.
    pub sent: String,
    /// All other outputs, in order.
    pub events: Vec<String>,
    pub asked: Vec<(AskId, Ask)>,
    pub session: String,
    cseq: u32,
}

impl Server {
    pub fn new() -> Self {
        Self {
            sessions: Sessions::new(),
            now: MonoTime::from_timespec(1000, 0),
            anonymous: false,
            clock: None,
            transports: Transports { udp: true, tcp: true, multicast: false },
            secure: false,
            hold: false,
            next_connection: 1,
        }
    }

    pub fn connect(&mut self) -> Client {
        self.connect_from("192.0.2.7:40000")
    }

    pub fn connect_from(&mut self, peer: &str) -> Client {
        let settings = ConnectionSettings {
            id: ConnectionId(self.next_connection),
            peer: peer.parse().unwrap(),
            local: "192.0.2.1:8554".parse().unwrap(),
            session_timeout: Duration::from_secs(60),
            transports: self.transports,
            secure: self.secure,
            server: "Eyrie/0.1.0".into(),
        };
        self.next_connection += 1;
        Client {
            connection: Connection::new(settings, self.now),
            sent: String::new(),
            events: Vec::new(),
            asked: Vec::new(),
            session: String::new(),
            cseq: 0,
        }
    }

    pub fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    pub fn input(&mut self, client: &mut Client, input: Input<'_>) {
        client.connection.handle_input(input, &mut self.sessions, self.now);
        while let Some(output) = client.connection.poll_output() {
            match output {
                Output::Send(bytes) => client.sent.push_str(std::str::from_utf8(&bytes).unwrap()),
                Output::Ask(id, ask) if self.hold => client.asked.push((id, ask)),
                Output::Ask(id, ask) => {
                    let answer = self.answer(&ask);
                    client.asked.push((id, ask));
                    client.connection.handle_input(Input::Answer(id, answer), &mut self.sessions, self.now);
                }
                Output::Interleaved { track, channel, payload, .. } => {
                    client.events.push(format!("rtcp {channel} track {track}: {}", hex::encode(payload)));
                }
                Output::SessionEnded(session) => client.events.push(format!("ended {}", session.stream)),
                Output::Close { reason } => client.events.push(format!("close: {reason}")),
            }
        }
    }

    /// Sends bytes and hands out what came back.
    pub fn exchange(&mut self, client: &mut Client, bytes: &[u8]) -> String {
        self.input(client, Input::Bytes(bytes));
        std::mem::take(&mut client.sent)
    }

    /// One request with the login and what `headers` add. In them and in the answer SESSION stands for the session
    /// that was last set up.
    pub fn request(&mut self, client: &mut Client, method: &str, url: &str, headers: &str) -> String {
        self.bare_request(client, method, url, &format!("{LOGIN}{headers}"))
    }

    pub fn bare_request(&mut self, client: &mut Client, method: &str, url: &str, headers: &str) -> String {
        client.cseq += 1;
        let mut text = format!("{method} {url} RTSP/1.0\r\nCSeq: {}\r\n", client.cseq);
        write!(text, "{}\r\n", headers.replace("SESSION", &client.session)).unwrap();
        let answer = self.exchange(client, text.as_bytes());
        if method == "SETUP"
            && let Some(session) = header(&answer, "Session")
        {
            client.session = session.split(';').next().unwrap().to_owned();
        }
        if client.session.is_empty() { answer } else { answer.replace(&client.session, "SESSION") }
    }

    pub fn status(&mut self, client: &mut Client, method: &str, url: &str, headers: &str) -> u16 {
        status(&self.request(client, method, url, headers))
    }

    /// Sets all of `main` up.
    pub fn setup_main(&mut self, client: &mut Client, tcp: bool) {
        let transport = |n: u16| match tcp {
            true => format!("Transport: RTP/AVP/TCP;unicast;interleaved={n}-{}\r\n", n + 1),
            false => format!("Transport: RTP/AVP;unicast;client_port={}-{}\r\n", 5000 + n, 5001 + n),
        };
        assert_eq!(self.status(client, "SETUP", "rtsp://h/main/trackID=0", &transport(0)), 200);
        let second = format!("{}Session: SESSION\r\n", transport(2));
        assert_eq!(self.status(client, "SETUP", "rtsp://h/main/trackID=1", &second), 200);
    }

    pub fn play_main(&mut self, client: &mut Client, tcp: bool) {
        self.setup_main(client, tcp);
        assert_eq!(self.status(client, "PLAY", "rtsp://h/main/", "Session: SESSION\r\n"), 200);
    }

    fn answer(&self, ask: &Ask) -> Answer {
        match ask {
            Ask::Authorize { target, authorization, .. } => {
                let user = authorization.as_ref().and_then(|text| text.split('"').nth(1)).map(Arc::from);
                if user.is_none() && !self.anonymous {
                    return Answer::Challenge(CHALLENGE.into());
                }
                let stream = match target.as_ref().map(|target| target.path.as_str()) {
                    None => None,
                    Some("secret") => return Answer::Refused(Refusal::Forbidden),
                    Some("main" | "alias" | "cam/realmonitor" | "Streaming/Channels/101") => {
                        Some(info("main", &[(0, true), (1, false)]))
                    }
                    Some("starting") => Some(info("starting", &[(0, true)])),
                    Some(name @ ("full" | "relayed" | "keyed")) => Some(info(name, &[(0, true)])),
                    Some("mute") => Some(info("mute", &[(0, true)])),
                    Some("radio") => Some(info("radio", &[(0, false)])),
                    Some(_) => return Answer::Refused(Refusal::NotFound),
                };
                Answer::Granted { user, stream }
            }
            Ask::Describe { stream, .. } => match stream.as_ref() {
                "starting" => Answer::Refused(Refusal::NotReady),
                "full" => Answer::Refused(Refusal::Full),
                "relayed" => Answer::Elsewhere(RELAY.into()),
                name => Answer::Described(description(name)),
            },
            Ask::Setup(ask) if ask.stream.as_ref() == "full" => Answer::Refused(Refusal::Full),
            Ask::Setup(ask) if ask.stream.as_ref() == "relayed" => Answer::Elsewhere(RELAY.into()),
            Ask::Setup(ask) if ask.stream.as_ref() == "keyed" => Answer::Refused(Refusal::KeyManagement),
            Ask::Setup(ask) => Answer::SetUp(Accepted {
                chosen: 0,
                server_ports: Some((8000, 8001)),
                group: None,
                ssrc: 0xe000_0000 + u32::from(ask.track),
                key_message: ask.transports[0].is_srtp().then(|| vec![1, 2, 3, 4]),
            }),
            Ask::Play { .. } => Answer::Playing {
                starts: vec![PlayStart { track: 1, seq: 9, rtptime: 90 }, PlayStart { track: 0, seq: 7, rtptime: 70 }],
                at: self.clock,
            },
            Ask::Pause { .. } | Ask::Teardown { .. } => Answer::Done,
        }
    }
}

fn info(name: &str, tracks: &[(u8, bool)]) -> StreamInfo {
    let tracks = tracks.iter().map(|(id, video)| TrackInfo { id: *id, video: *video }).collect();
    StreamInfo { name: name.into(), tracks }
}

fn description(name: &str) -> Description {
    let parameter_sets =
        ParameterSets { sps: vec![0x67, 0x42, 0xc0, 0x1f, 0x8c].into(), pps: vec![0x68, 0xce, 0x3c, 0x80].into() };
    let video = TrackFormat::H264(H264Format {
        size: Size::new(1280, 720),
        fps: FrameRate::new(30, 1),
        bitrate: 2_000_000,
        parameter_sets,
    });
    let sound = TrackFormat::Audio(AudioFormat { codec: AudioCodec::Pcmu, rate: 8000, channels: 1 });
    let formats = match name {
        "mute" => vec![video],
        "radio" => vec![sound],
        _ => vec![video, sound],
    };
    let tracks =
        (0..).zip(formats).map(|(id, format)| DescribedTrack { id, format, group: None, key_message: None }).collect();
    Description { name: name.into(), session_id: 5, version: 1, tracks }
}

pub(super) fn status(answer: &str) -> u16 {
    answer.strip_prefix("RTSP/1.0 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok()).unwrap_or(0)
}

pub(super) fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = answer.split("\r\n").filter_map(|line| line.split_once(": "));
    lines.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// An empty receiver report (RFC 3550 §6.4.2) on a channel.
pub(super) fn receiver_report(channel: u8) -> Bytes {
    let mut frame = vec![b'$', channel, 0, 8, 0x80, 201, 0, 1];
    frame.extend_from_slice(&[1, 2, 3, 4]);
    frame.into()
}
