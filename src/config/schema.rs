//! The config as values, with the names of the file. `Default` of each part is what the file's empty part means.

use crate::media::{
    AudioCodec, ControlValue, EncoderChoice, FrameRate, H264Profile, Orientation, PixelFormat, Scene, Size, Tone,
    VideoCodec,
};
use ipnet::IpNet;
use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// A whole config; [`Config::default`] is the empty file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    pub server: Server,
    pub tls: Tls,
    /// In the order of the file, as are the other lists.
    pub cameras: Vec<CameraConfig>,
    pub microphones: Vec<MicrophoneConfig>,
    /// Empty: the built-in streams, see [`Config::or_builtin_streams`].
    pub streams: Vec<StreamConfig>,
    /// Empty and not `anonymous`: the user `viewer` with a made password.
    pub users: Vec<UserConfig>,
}

impl Config {
    pub fn camera(&self, name: &str) -> Option<&CameraConfig> {
        self.cameras.iter().find(|camera| camera.name == name)
    }

    pub fn microphone(&self, name: &str) -> Option<&MicrophoneConfig> {
        self.microphones.iter().find(|microphone| microphone.name == name)
    }

    pub fn stream(&self, name: &str) -> Option<&StreamConfig> {
        self.streams.iter().find(|stream| stream.name == name)
    }
}

/// `[server]`
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// RTSP, and later its HTTP and WebSocket tunnels. Port 0 is any free one.
    pub listen: Vec<SocketAddr>,
    pub listen_tls: Vec<SocketAddr>,
    /// The even port for RTP, the next one is for RTCP; None: any free pair.
    pub udp_ports: Option<u16>,
    pub transports: Vec<Transport>,
    /// Whole seconds, as the Session header says them.
    pub session_timeout: Duration,
    /// The whole RTP packet in bytes.
    pub packet_size: usize,
    pub digest: Digest,
    /// Anybody may view.
    pub anonymous: bool,
    /// Empty: all.
    pub allow: Vec<IpNet>,
    /// Wins over `allow`.
    pub deny: Vec<IpNet>,
    pub max_connections: usize,
    pub max_connections_per_address: usize,
    /// A second, with ten seconds' worth at once.
    pub max_requests: u32,
    pub max_requests_per_address: u32,
    pub lockout: Lockout,
    /// None: by the environment, see [`super::Paths`].
    pub state_dir: Option<PathBuf>,
    /// None: by the environment, see [`super::Paths`].
    pub control_socket: Option<PathBuf>,
    pub audit_file: Option<PathBuf>,
    pub metrics: Option<SocketAddr>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 8554)],
            listen_tls: vec![],
            udp_ports: Some(8000),
            transports: Transport::ALL.to_vec(),
            session_timeout: Duration::from_secs(60),
            packet_size: 1360,
            digest: Digest::Md5,
            anonymous: false,
            allow: vec![],
            deny: vec![],
            max_connections: 1000,
            max_connections_per_address: 500,
            max_requests: 10_000,
            max_requests_per_address: 5000,
            lockout: Lockout::default(),
            state_dir: None,
            control_socket: None,
            audit_file: None,
            metrics: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
    Http,
    WebSocket,
    Multicast,
}

impl Transport {
    pub const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Http, Self::WebSocket, Self::Multicast];
}

/// The algorithm of the one challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    Md5,
    Sha256,
}

/// Wrong passwords from one address for one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lockout {
    /// This many wrong answers get 401, the next ones 403; 0: off.
    pub failures: u32,
    /// The wrong answers are counted over this time.
    pub within: Duration,
    /// `for` in the file: how long it lasts.
    pub duration: Duration,
}

impl Default for Lockout {
    fn default() -> Self {
        Self { failures: 10, within: Duration::from_secs(60), duration: Duration::from_secs(60) }
    }
}

/// `[tls]`; nothing: a self-signed pair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

/// `[camera.NAME]`
#[derive(Clone, Debug, PartialEq)]
pub struct CameraConfig {
    pub name: String,
    /// Bus path, serial, card name, `/dev/videoN`, or `test`.
    pub device: String,
    pub size: Size,
    pub fps: FrameRate,
    /// None: whichever serves best.
    pub format: Option<PixelFormat>,
    /// `flip` and `rotate`.
    pub orientation: Orientation,
    /// V4L2 controls by name.
    pub controls: Vec<(String, ControlValue)>,
    /// Only for `test`.
    pub scene: Scene,
}

impl CameraConfig {
    /// A camera of which nothing is said but its device.
    pub fn new(name: impl Into<String>, device: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            device: device.into(),
            size: Size::new(1280, 720),
            fps: FrameRate::new(30, 1),
            format: None,
            orientation: Orientation::default(),
            controls: vec![],
            scene: Scene::Bars,
        }
    }
}

/// `[microphone.NAME]`
#[derive(Clone, Debug, PartialEq)]
pub struct MicrophoneConfig {
    pub name: String,
    /// An ALSA name, a card's name, or `test`.
    pub device: String,
    /// Frames per second.
    pub rate: u32,
    pub channels: u16,
    /// Which of the card's channels these are, counted from 1; empty: all of them, mixed.
    pub map: Vec<u16>,
    /// In dB.
    pub gain: f64,
    pub mute: bool,
    /// Only for `test`.
    pub tone: Tone,
}

impl MicrophoneConfig {
    /// A microphone of which nothing is said but its device.
    pub fn new(name: impl Into<String>, device: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            device: device.into(),
            rate: 48_000,
            channels: 1,
            map: vec![],
            gain: 0.0,
            mute: false,
            tone: Tone::Beep,
        }
    }
}

/// `[stream.NAME]`: with video, or audio, or both.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamConfig {
    /// The path of its URL.
    pub name: String,
    pub video: Option<VideoConfig>,
    pub audio: Option<AudioConfig>,
    /// Further paths, each with its leading `/`, perhaps with a query.
    pub aliases: Vec<String>,
    pub start: Start,
    /// Camera and encoder run only while somebody watches.
    pub on_demand: bool,
    pub overlay: bool,
    /// Over TLS the session description offers RTP/SAVP.
    pub srtp: bool,
    /// 0: as many as the server's caps allow.
    pub max_viewers: u32,
    pub relay: Option<String>,
    pub dscp: u8,
    pub allow: Vec<IpNet>,
    pub deny: Vec<IpNet>,
    pub multicast: Option<Multicast>,
}

impl StreamConfig {
    /// A stream without video and audio yet, all else at its default.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            video: None,
            audio: None,
            aliases: vec![],
            start: Start::Fast,
            on_demand: false,
            overlay: false,
            srtp: false,
            max_viewers: 0,
            relay: None,
            dscp: 0,
            allow: vec![],
            deny: vec![],
            multicast: None,
        }
    }
}

/// Where a new viewer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At once, from an older key frame if need be.
    Fast,
    /// Never from a key frame older than 250 ms.
    Fresh,
}

#[derive(Clone, Debug, PartialEq)]
pub struct VideoConfig {
    /// The name of a camera.
    pub from: String,
    pub codec: VideoCodec,
    /// None: the camera's.
    pub size: Option<Size>,
    /// None: the camera's.
    pub fps: Option<FrameRate>,
    /// bit/s, as are the two bounds.
    pub bitrate: u32,
    /// From one key frame to the next.
    pub gop: Duration,
    pub profile: H264Profile,
    /// None: as few as the encoder's speed allows.
    pub slices: Option<u32>,
    pub encoder: EncoderChoice,
    /// The encoder may leave out pictures to hold the bitrate.
    pub frame_skip: bool,
    /// The bitrate follows what the network carries, within the two bounds.
    pub adapt: bool,
    pub bitrate_min: u32,
    pub bitrate_max: u32,
}

impl VideoConfig {
    /// Of this camera, all else at its default.
    pub fn new(from: impl Into<String>) -> Self {
        Self {
            from: from.into(),
            codec: VideoCodec::H264,
            size: None,
            fps: None,
            bitrate: 2_000_000,
            gop: Duration::from_secs(2),
            profile: H264Profile::Baseline,
            slices: None,
            encoder: EncoderChoice::Auto,
            frame_skip: false,
            adapt: false,
            bitrate_min: 500_000,
            bitrate_max: 4_000_000,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct AudioConfig {
    /// The name of a microphone.
    pub from: String,
    pub codec: AudioCodec,
}

impl AudioConfig {
    /// Of this microphone, in the default codec.
    pub fn new(from: impl Into<String>) -> Self {
        Self { from: from.into(), codec: AudioCodec::Pcmu }
    }
}

/// `multicast` of a stream: where its packets go for all viewers at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multicast {
    pub address: IpAddr,
    /// RTP of the video; its RTCP has the next, and those of the sound the two after.
    pub port: u16,
    /// How many routers may pass them on.
    pub ttl: u8,
}

impl Multicast {
    /// Ports that it takes, from `port` on.
    pub const PORTS: u16 = 4;
}

/// `[[user]]`; at least the digest that the server's challenge needs is there.
#[derive(Clone, PartialEq, Eq)]
pub struct UserConfig {
    pub name: String,
    /// MD5 of `NAME:Eyrie:PASSWORD` (RFC 2617 §3.2.2.2, HA1).
    pub md5: Option<[u8; 16]>,
    /// SHA-256 of the same (RFC 7616 §3.4.2).
    pub sha256: Option<[u8; 32]>,
    pub role: Role,
    /// Names of streams; `*` is every one.
    pub streams: Vec<String>,
}

/// Without the digests: they open the door as the password does, and configs are logged.
impl std::fmt::Debug for UserConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, role, streams, .. } = self;
        f.debug_struct("UserConfig")
            .field("name", name)
            .field("role", role)
            .field("streams", streams)
            .finish_non_exhaustive()
    }
}

/// Each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    View,
    Talk,
    Admin,
}
