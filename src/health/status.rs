//! What `eyrie status --json` says. A field that is unknown is null, never left out.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub uptime_s: u64,
    pub clock: Clock,
    pub streams: Vec<StreamStatus>,
    pub cameras: Vec<DeviceStatus>,
    pub microphones: Vec<MicrophoneStatus>,
    /// None: nothing listens for TLS.
    pub tls: Option<TlsStatus>,
    pub network: NetworkStatus,
    pub board: BoardStatus,
}

/// Whether the system clock is known to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    Synced,
    Unsynced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nothing has come yet.
    Starting,
    Live,
    /// The slate or silence stands in for a device that is away.
    NoSignal,
    /// Nobody watches what runs on demand.
    Idle,
}

impl State {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Live => "live",
            Self::NoSignal => "no-signal",
            Self::Idle => "idle",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamStatus {
    pub name: String,
    pub state: State,
    /// What is wrong with the pictures that the camera gives.
    pub reason: Option<String>,
    /// Of the encoded picture, in pixels.
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// Measured.
    pub fps: Option<f64>,
    /// As many as were asked for.
    pub fps_asked: Option<f64>,
    /// Measured, in bit/s.
    pub bitrate: Option<u64>,
    /// What the encoder is to make, in bit/s: as configured, or as the network carries.
    pub bitrate_asked: Option<u64>,
    /// Since the start.
    pub keyframes: Option<u64>,
    /// What encodes now: `openh264`, or `m2m` and the name of the board's encoder.
    pub encoder: Option<String>,
    /// The camera's pictures that came while the encoder was busy with others, and were left out for that.
    pub encoder_drops: Option<u64>,
    /// How long its pictures took since the start, stage by stage.
    pub latency: LatencyStatus,
    pub viewers: Vec<ViewerStatus>,
}

/// How long pictures took on their way, of all since the start. A stage that none went through is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyStatus {
    /// From the driver's stamp until the camera's thread had it.
    pub capture: Option<StageStatus>,
    /// Until the encoder's thread took it.
    pub queue: Option<StageStatus>,
    /// Until it was a picture as the encoder takes it.
    pub convert: Option<StageStatus>,
    /// Until the encoder gave it out.
    pub encode: Option<StageStatus>,
    /// Until it was cut into packets and handed to the network thread.
    pub packetize: Option<StageStatus>,
    /// Until the first viewer's first byte was out.
    pub first: Option<StageStatus>,
    /// From there until the last viewer's last byte was out, of those who are neither paced nor behind.
    pub last: Option<StageStatus>,
    /// From the camera's thread to the first viewer's first byte, but converting and encoding.
    pub handling: Option<StageStatus>,
    /// What spreading a large picture over its interval took, for each viewer over UDP.
    pub paced: Option<StageStatus>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageStatus {
    pub median_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    pub count: u64,
}

impl LatencyStatus {
    /// The stages in their order, with their names.
    pub fn stages(&self) -> [(&'static str, Option<&StageStatus>); 9] {
        [
            ("capture", self.capture.as_ref()),
            ("queue", self.queue.as_ref()),
            ("convert", self.convert.as_ref()),
            ("encode", self.encode.as_ref()),
            ("packetize", self.packetize.as_ref()),
            ("first", self.first.as_ref()),
            ("last", self.last.as_ref()),
            ("handling", self.handling.as_ref()),
            ("paced", self.paced.as_ref()),
        ]
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewerStatus {
    pub address: String,
    /// `udp`, `tcp`, `http`, `websocket` or `multicast`, with `+tls`, `+srtp`.
    pub transport: String,
    /// None: anonymous.
    pub user: Option<String>,
    /// Since PLAY.
    pub seconds: u64,
    pub bytes: u64,
    /// Access units that were left out for this viewer.
    pub dropped: u64,
    /// Packets that the viewer reported lost.
    pub lost: Option<u64>,
    pub jitter_ms: Option<f64>,
    pub rtt_ms: Option<f64>,
}

/// What is shown to those who connect over TLS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TlsStatus {
    /// SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` writes it: `AB:CD:…`.
    pub fingerprint: String,
}

/// What the network did, since the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkStatus {
    /// RTSP connections now.
    pub connections: u64,
    /// Viewers that were closed because they had read nothing for 10 s.
    pub stalled_viewers: u64,
    /// Datagrams to the media ports that belonged to nobody and were dropped.
    pub stray_datagrams: u64,
    /// Access units and blocks of sound that the network's thread did not fetch in time.
    pub lost_batches: u64,
}

/// The board that it runs on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BoardStatus {
    /// Of the processor, in degrees Celsius.
    pub temperature_c: Option<f64>,
    /// The supply's voltage is too low now. Unknown where the kernel cannot tell.
    pub under_voltage: Option<bool>,
    /// How often the board was started since Eyrie was installed.
    pub boots: Option<u64>,
    /// Why it was started last: `watchdog` or `power`. Unknown without a watchdog that tells.
    pub reset_cause: Option<String>,
}

/// A camera.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceStatus {
    pub name: String,
    pub state: State,
    /// Why it is not live.
    pub reason: Option<String>,
    /// Pictures per second that it gives, measured.
    pub fps: Option<f64>,
    /// Pictures lost since the start.
    pub drops: Option<u64>,
    /// How often it was opened again.
    pub reopened: Option<u64>,
    /// Threads that have not come back from its driver, and for how long the longest.
    pub stuck_threads: u64,
    pub stuck_s: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MicrophoneStatus {
    pub name: String,
    pub state: State,
    /// Why it is not live.
    pub reason: Option<String>,
    /// How often sound was lost since the start.
    pub drops: Option<u64>,
    /// The silence, in ms, that stands for it.
    pub silence_ms: Option<u64>,
    /// How often it was opened again.
    pub reopened: Option<u64>,
    /// Threads that never came back from its driver.
    pub stuck_threads: u64,
    /// By how much its clock is fast against CLOCK_MONOTONIC; unknown for the first minute.
    pub drift_ppm: Option<f64>,
    pub gain_db: f64,
    pub muted: bool,
    /// Of the last second, with the gain, as if it were not muted; a sine at full scale has 0 and -3.
    pub peak_dbfs: Option<f64>,
    pub rms_dbfs: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_is_null() {
        let stream = StreamStatus {
            name: "main".into(),
            state: State::NoSignal,
            reason: None,
            width: None,
            height: None,
            fps: None,
            fps_asked: Some(30.0),
            bitrate: Some(2_000_000),
            bitrate_asked: None,
            keyframes: None,
            encoder: None,
            encoder_drops: None,
            latency: LatencyStatus {
                first: Some(StageStatus { median_ms: 0.25, p99_ms: 1.0, max_ms: 2.0, count: 3 }),
                ..LatencyStatus::default()
            },
            viewers: vec![ViewerStatus {
                address: "192.168.1.7:50000".into(),
                transport: "udp".into(),
                user: None,
                seconds: 3,
                bytes: 10,
                dropped: 0,
                lost: None,
                jitter_ms: None,
                rtt_ms: None,
            }],
        };
        let status = Status {
            version: "0.1.0".into(),
            uptime_s: 3,
            clock: Clock::Unsynced,
            streams: vec![stream],
            cameras: vec![],
            microphones: vec![],
            tls: None,
            network: NetworkStatus::default(),
            board: BoardStatus { temperature_c: Some(51.5), ..BoardStatus::default() },
        };
        let json = serde_json::to_string(&status).unwrap();
        assert_eq!(
            json,
            r#"{"version":"0.1.0","uptime_s":3,"clock":"unsynced","streams":[{"name":"main","state":"no-signal","reason":null,"width":null,"height":null,"fps":null,"fps_asked":30.0,"bitrate":2000000,"bitrate_asked":null,"keyframes":null,"encoder":null,"encoder_drops":null,"latency":{"capture":null,"queue":null,"convert":null,"encode":null,"packetize":null,"first":{"median_ms":0.25,"p99_ms":1.0,"max_ms":2.0,"count":3},"last":null,"handling":null,"paced":null},"viewers":[{"address":"192.168.1.7:50000","transport":"udp","user":null,"seconds":3,"bytes":10,"dropped":0,"lost":null,"jitter_ms":null,"rtt_ms":null}]}],"cameras":[],"microphones":[],"tls":null,"network":{"connections":0,"stalled_viewers":0,"stray_datagrams":0,"lost_batches":0},"board":{"temperature_c":51.5,"under_voltage":null,"boots":null,"reset_cause":null}}"#
        );
        assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status);
        assert_eq!(serde_json::to_value(State::NoSignal).unwrap(), State::NoSignal.as_str());
    }
}
