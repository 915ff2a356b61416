use super::{
    fail, print, redrawn,
    server::Server,
    table::{or_dash, table},
};
use crate::health::{
    control::{Command, Response},
    status::{self, BoardStatus, Clock, DeviceStatus, MicrophoneStatus, StageStatus, StreamStatus},
};
use std::{process::ExitCode, thread, time::Duration};

#[derive(clap::Args)]
pub struct Status {
    /// For programs
    #[arg(long)]
    json: bool,
    /// Again every second, until it is ended
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    server: Server,
}

impl Status {
    pub fn run(self) -> ExitCode {
        loop {
            let text = match self.server.ask(Command::Status) {
                Ok(Response::Status(status)) => self.shown(&status),
                Ok(Response::Failed(why)) => return fail(why),
                Ok(_) => return fail("the server told no status"),
                Err(error) => return fail(error),
            };
            let printed = print(&text);
            // A reader that has gone away wants no more.
            if !self.watch || printed != ExitCode::SUCCESS {
                return printed;
            }
            thread::sleep(AGAIN);
        }
    }

    fn shown(&self, status: &status::Status) -> String {
        let json = || serde_json::to_string_pretty(status).expect("these structs are JSON") + "\n";
        match (self.json, self.watch) {
            (true, false) => json(),
            // One a line.
            (true, true) => serde_json::to_string(status).expect("these structs are JSON") + "\n",
            (false, false) => readable(status),
            (false, true) => redrawn(&readable(status)),
        }
    }
}

/// How often `--watch` looks.
const AGAIN: Duration = Duration::from_secs(1);

/// For people.
fn readable(status: &status::Status) -> String {
    let clock = match status.clock {
        Clock::Synced => "the clock is synchronised",
        Clock::Unsynced => "the clock is NOT synchronised",
    };
    let mut text = format!("eyrie {}, up {}, {clock}\n\n", status.version, show_seconds(status.uptime_s));
    let streams = status.streams.iter().map(|stream| {
        [
            stream.name.clone(),
            stream.state.as_str().to_owned(),
            or_dash(stream.width.zip(stream.height).map(|(width, height)| format!("{width}x{height}"))),
            show_rate(stream.fps, stream.fps_asked),
            or_dash(stream.bitrate.map(show_bitrate)),
            or_dash(stream.keyframes),
            or_dash(stream.encoder.as_ref()),
            or_dash(stream.encoder_drops),
            stream.viewers.len().to_string(),
            stream.reason.clone().unwrap_or_default(),
        ]
    });
    let headings = ["STREAM", "STATE", "SIZE", "FPS", "BITRATE", "KEY FRAMES", "ENCODER", "DROPS", "VIEWERS", "REASON"];
    text += &table(headings, &streams.collect::<Vec<_>>());
    let latencies = status.streams.iter().filter(|stream| stream.latency.stages().iter().any(|(_, it)| it.is_some()));
    let latencies: Vec<_> = latencies.map(latency_row).collect();
    if !latencies.is_empty() {
        let headings = [
            "MS, MEDIAN/P99",
            "CAPTURE",
            "QUEUE",
            "CONVERT",
            "ENCODE",
            "PACKETIZE",
            "FIRST",
            "LAST",
            "HANDLING",
            "PACED",
        ];
        text += "\n";
        text += &table(headings, &latencies);
    }
    let viewers = status.streams.iter().flat_map(|stream| stream.viewers.iter().map(move |v| (stream, v)));
    let viewers = viewers.map(|(stream, viewer)| {
        [
            viewer.address.clone(),
            stream.name.clone(),
            viewer.transport.clone(),
            or_dash(viewer.user.as_ref()),
            show_seconds(viewer.seconds),
            show_bytes(viewer.bytes),
            viewer.dropped.to_string(),
            or_dash(viewer.lost),
            or_dash(viewer.jitter_ms.map(|ms| format!("{ms:.1} ms"))),
            or_dash(viewer.rtt_ms.map(|ms| format!("{ms:.1} ms"))),
        ]
    });
    let viewers: Vec<_> = viewers.collect();
    if !viewers.is_empty() {
        let headings =
            ["VIEWER", "STREAM", "TRANSPORT", "USER", "TIME", "SENT", "DROPPED", "LOST", "JITTER", "ROUND TRIP"];
        text += "\n";
        text += &table(headings, &viewers);
    }
    if !status.cameras.is_empty() {
        let rows = status.cameras.iter().map(camera_row).collect::<Vec<_>>();
        text += "\n";
        text += &table(["CAMERA", "STATE", "FPS", "DROPS", "REOPENED", "STUCK", "REASON"], &rows);
    }
    if !status.microphones.is_empty() {
        let headings = ["MICROPHONE", "STATE", "PEAK", "RMS", "GAIN", "DRIFT", "DROPS", "REOPENED", "REASON"];
        text += "\n";
        text += &table(headings, &status.microphones.iter().map(microphone_row).collect::<Vec<_>>());
    }
    let board = show_board(&status.board);
    if !board.is_empty() {
        text += &format!("\nBOARD {board}\n");
    }
    if let Some(tls) = &status.tls {
        text += &format!("\nTLS CERTIFICATE, SHA-256 {}\n", tls.fingerprint);
    }
    text
}

/// Which part of a picture's way takes how long.
fn latency_row(stream: &StreamStatus) -> [String; 10] {
    let shown = |stage: Option<&StageStatus>| or_dash(stage.map(|it| format!("{:.1}/{:.1}", it.median_ms, it.p99_ms)));
    let [capture, queue, convert, encode, packetize, first, last, handling, paced] =
        stream.latency.stages().map(|(_, stage)| shown(stage));
    [stream.name.clone(), capture, queue, convert, encode, packetize, first, last, handling, paced]
}

fn camera_row(device: &DeviceStatus) -> [String; 7] {
    [
        device.name.clone(),
        device.state.as_str().to_owned(),
        show_rate(device.fps, None),
        or_dash(device.drops),
        or_dash(device.reopened),
        device.stuck_threads.to_string(),
        device.reason.clone().unwrap_or_default(),
    ]
}

fn microphone_row(device: &MicrophoneStatus) -> [String; 9] {
    let level = |level: Option<f64>| or_dash(level.map(|level| format!("{level:.1} dB")));
    [
        device.name.clone(),
        device.state.as_str().to_owned(),
        level(device.peak_dbfs),
        level(device.rms_dbfs),
        if device.muted { "muted".to_owned() } else { format!("{:+.1} dB", device.gain_db) },
        or_dash(device.drift_ppm.map(|ppm| format!("{ppm:+.0} ppm"))),
        or_dash(device.drops),
        or_dash(device.reopened),
        device.reason.clone().unwrap_or_default(),
    ]
}

/// Pictures per second, and how many were asked for if that is not about the same.
fn show_rate(measured: Option<f64>, asked: Option<f64>) -> String {
    let asked = asked.filter(|asked| measured.is_none_or(|measured| (measured - asked).abs() >= 0.05 * asked));
    match (measured, asked) {
        (Some(measured), Some(asked)) => format!("{measured:.1} of {asked}"),
        (measured, _) => or_dash(measured.map(|measured| format!("{measured:.1}"))),
    }
}

/// What is known of the board.
fn show_board(board: &BoardStatus) -> String {
    let known = [
        board.temperature_c.map(|degrees| format!("{degrees:.1} °C")),
        board.under_voltage.map(|low| if low { "its voltage is TOO LOW" } else { "its voltage is fine" }.to_owned()),
        board.boots.map(|boots| format!("boot {boots}")),
        board.reset_cause.as_ref().map(|cause| format!("last by {cause}")),
    ];
    known.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn show_seconds(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, s) => format!("{m}m {s}s"),
        (0, h, m, _) => format!("{h}h {m}m"),
        (d, h, ..) => format!("{d}d {h}h"),
    }
}

fn show_bitrate(bits: u64) -> String {
    match bits {
        0..1_000_000 => format!("{}k", (bits + 500) / 1000),
        _ => format!("{:.1}M", bits as f64 / 1e6),
    }
}

fn show_bytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", (bytes + 500) / 1000),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::status::{LatencyStatus, State, ViewerStatus};

    #[test]
    fn for_people() {
        let status = status::Status {
            version: "0.1.0".into(),
            uptime_s: 3 * 3600 + 125,
            clock: Clock::Synced,
            streams: vec![
                StreamStatus {
                    name: "main".into(),
                    state: State::Live,
                    reason: Some("the camera's H.264 is interlaced".into()),
                    width: Some(1280),
                    height: Some(720),
                    fps: Some(29.97),
                    fps_asked: Some(30.0),
                    bitrate: Some(1_950_000),
                    bitrate_asked: Some(2_000_000),
                    keyframes: Some(70),
                    encoder: Some("m2m bcm2835-codec-encode".into()),
                    encoder_drops: Some(3),
                    latency: LatencyStatus {
                        capture: Some(StageStatus { median_ms: 0.25, p99_ms: 1.04, max_ms: 9.0, count: 70 }),
                        encode: Some(StageStatus { median_ms: 12.0, p99_ms: 20.0, max_ms: 30.0, count: 70 }),
                        ..LatencyStatus::default()
                    },
                    viewers: vec![ViewerStatus {
                        address: "192.168.1.7:5000".into(),
                        transport: "udp".into(),
                        user: Some("nvr".into()),
                        seconds: 61,
                        bytes: 15_000_000,
                        dropped: 0,
                        lost: Some(2),
                        jitter_ms: Some(0.25),
                        rtt_ms: None,
                    }],
                },
                StreamStatus {
                    name: "sub".into(),
                    state: State::Idle,
                    reason: None,
                    width: None,
                    height: None,
                    fps: None,
                    fps_asked: Some(15.0),
                    bitrate: None,
                    bitrate_asked: None,
                    keyframes: Some(0),
                    encoder: None,
                    encoder_drops: None,
                    latency: LatencyStatus::default(),
                    viewers: vec![],
                },
            ],
            cameras: vec![DeviceStatus {
                name: "front".into(),
                state: State::NoSignal,
                reason: Some("no device `x`; none is there".into()),
                fps: Some(14.96),
                drops: Some(3),
                reopened: None,
                stuck_threads: 1,
                stuck_s: Some(7),
            }],
            microphones: vec![MicrophoneStatus {
                name: "desk".into(),
                state: State::Live,
                reason: None,
                drops: Some(0),
                silence_ms: Some(0),
                reopened: Some(1),
                stuck_threads: 0,
                drift_ppm: Some(-31.4),
                gain_db: 6.0,
                muted: false,
                peak_dbfs: Some(-6.0),
                rms_dbfs: Some(-9.0),
            }],
            tls: Some(status::TlsStatus { fingerprint: "AB:CD".into() }),
            network: status::NetworkStatus::default(),
            board: BoardStatus {
                temperature_c: Some(51.5),
                under_voltage: Some(false),
                boots: Some(3),
                reset_cause: None,
            },
        };
        assert_eq!(
            readable(&status),
            "\
eyrie 0.1.0, up 3h 2m, the clock is synchronised

STREAM  STATE  SIZE      FPS   BITRATE  KEY FRAMES  ENCODER                   DROPS  VIEWERS  REASON
main    live   1280x720  30.0  1.9M     70          m2m bcm2835-codec-encode  3      1        the camera's H.264 is interlaced
sub     idle   -         -     -        0           -                         -      0

MS, MEDIAN/P99  CAPTURE  QUEUE  CONVERT  ENCODE     PACKETIZE  FIRST  LAST  HANDLING  PACED
main            0.2/1.0  -      -        12.0/20.0  -          -      -     -         -

VIEWER            STREAM  TRANSPORT  USER  TIME   SENT     DROPPED  LOST  JITTER  ROUND TRIP
192.168.1.7:5000  main    udp        nvr   1m 1s  15.0 MB  0        2     0.2 ms  -

CAMERA  STATE      FPS   DROPS  REOPENED  STUCK  REASON
front   no-signal  15.0  3      -         1      no device `x`; none is there

MICROPHONE  STATE  PEAK     RMS      GAIN     DRIFT    DROPS  REOPENED  REASON
desk        live   -6.0 dB  -9.0 dB  +6.0 dB  -31 ppm  0      1

BOARD 51.5 °C, its voltage is fine, boot 3

TLS CERTIFICATE, SHA-256 AB:CD
"
        );
        assert_eq!(show_seconds(200_000), "2d 7h");
        assert_eq!(show_bitrate(64_400), "64k");
        assert_eq!(show_bytes(2_500_000_000), "2.5 GB");
    }
}
