//! What `eyrie status` says.

use super::{
    plan::VideoPlan,
    serving::{Running, Serving},
};
use crate::{
    health::board,
    health::status::{
        Clock, DeviceStatus, LatencyStatus, MicrophoneStatus, NetworkStatus, StageStatus, State, Status, StreamStatus,
        TlsStatus, ViewerStatus,
    },
    net,
    stream::{CameraSource, Latency, SourceState, Stage, Trouble},
    time::{MonoTime, WallClock},
};
use std::path::Path;

/// All of it, now.
pub async fn status(serving: &Serving, settings: &net::Settings, boots: Option<u64>, started: MonoTime) -> Status {
    let worker = serving.worker.status().await;
    let now = MonoTime::now();
    let cameras = serving.cameras.iter().map(|(name, camera)| {
        let (state, reason) = camera_state(camera, now);
        let (drops, reopened) = (Some(camera.dropped()), Some(camera.reopened()));
        let (stuck, since) = camera.stuck(now);
        let (stuck_threads, stuck_s) = (stuck as u64, since.map(|since| since.as_secs()));
        let fps = camera.rate(now).map(hundredths);
        DeviceStatus { name: name.clone(), state, reason, fps, drops, reopened, stuck_threads, stuck_s }
    });
    let microphones = serving.microphones.iter().map(|(name, microphone)| {
        let (state, reason) = told(microphone.state());
        let (health, loudness) = (microphone.health(), microphone.loudness());
        MicrophoneStatus {
            name: name.clone(),
            state,
            reason,
            drops: Some(health.overruns),
            silence_ms: Some(health.silence.as_millis() as u64),
            reopened: Some(microphone.reopened()),
            stuck_threads: microphone.stuck(),
            drift_ppm: health.drift_ppm.map(tenths),
            gain_db: tenths(loudness.gain),
            muted: loudness.mute,
            peak_dbfs: health.level.map(|level| tenths(level.peak.into())),
            rms_dbfs: health.level.map(|level| tenths(level.rms.into())),
        }
    });
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_s: now.since(started).as_secs(),
        clock: if WallClock::synchronised() { Clock::Synced } else { Clock::Unsynced },
        streams: serving.streams.iter().map(|running| stream(running, serving, &worker.viewers, now)).collect(),
        cameras: cameras.collect(),
        microphones: microphones.collect(),
        tls: settings.identity.as_ref().map(|identity| TlsStatus { fingerprint: identity.fingerprint.to_string() }),
        network: NetworkStatus {
            connections: worker.connections as u64,
            stalled_viewers: worker.stalled,
            stray_datagrams: worker.strangers,
            lost_batches: serving.worker.inbox().lost(),
        },
        board: board::status(Path::new("/"), boots),
    }
}

fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn stream(running: &Running, serving: &Serving, viewers: &[net::ViewerStatus], now: MonoTime) -> StreamStatus {
    let video = running.hub.video().map(|index| &running.hub.tracks()[index]);
    let size = video.and_then(|track| track.format()?.picture()).map(|(size, _)| size);
    let rates = video.or(running.hub.tracks().first()).and_then(|track| track.rates(now));
    let reason = running.hub.trouble().map(|trouble| match trouble {
        Trouble::Dark(why) | Trouble::Flawed(why) => why,
    });
    StreamStatus {
        name: running.plan.name.clone(),
        state: stream_state(running, serving, now),
        reason,
        width: size.map(|size| size.width),
        height: size.map(|size| size.height),
        fps: rates.filter(|_| video.is_some()).map(|rates| hundredths(rates.per_second)),
        fps_asked: running.plan.video.as_ref().and_then(|video| fps_asked(video, serving)),
        bitrate: rates.map(|rates| rates.bitrate as u64),
        bitrate_asked: running
            .plan
            .video
            .as_ref()
            .map(|video| u64::from(running.hub.carried_bitrate().unwrap_or(video.settings.bitrate))),
        keyframes: video.map(|_| running.hub.keyframes()),
        encoder: running.encoder(),
        encoder_drops: running.missed(),
        latency: latency(running.hub.latency()),
        viewers: viewers.iter().filter(|viewer| viewer.hub == running.hub.id()).map(viewer).collect(),
    }
}

fn latency(latency: &Latency) -> LatencyStatus {
    let stage = |stage| {
        let spread = latency.spread(stage)?;
        let millis = |time: std::time::Duration| time.as_micros() as f64 / 1000.0;
        let [median_ms, p99_ms, max_ms] = [spread.median, spread.p99, spread.most].map(millis);
        Some(StageStatus { median_ms, p99_ms, max_ms, count: spread.count })
    };
    LatencyStatus {
        capture: stage(Stage::Capture),
        queue: stage(Stage::Queue),
        convert: stage(Stage::Convert),
        encode: stage(Stage::Encode),
        packetize: stage(Stage::Packetize),
        first: stage(Stage::First),
        last: stage(Stage::Last),
        handling: stage(Stage::Handling),
        paced: stage(Stage::Paced),
    }
}

/// A stream that names no rate asks for its camera's.
fn fps_asked(video: &VideoPlan, serving: &Serving) -> Option<f64> {
    let camera = serving.cameras.get(&video.camera)?.wish().fps.as_f64();
    // A stream that asks for more has what the camera gives.
    Some(hundredths(video.settings.fps.map_or(camera, |fps| fps.as_f64().min(camera))))
}

fn stream_state(running: &Running, serving: &Serving, now: MonoTime) -> State {
    if !running.hub.demand().wanted(now) {
        return State::Idle;
    }
    let source = match (&running.plan.video, &running.plan.audio) {
        (Some(video), _) => serving.cameras.get(&video.camera).map(|camera| camera_state(camera, now).0),
        (None, Some(audio)) => serving.microphones.get(&audio.microphone).map(|one| told(one.state()).0),
        (None, None) => None,
    };
    let begun = running.hub.tracks().iter().all(|track| track.format().is_some());
    match source {
        Some(State::Live) if matches!(running.hub.trouble(), Some(Trouble::Dark(_))) => State::NoSignal,
        Some(State::Live) if !begun => State::Starting,
        Some(state) => state,
        None => State::Starting,
    }
}

fn camera_state(camera: &CameraSource, now: MonoTime) -> (State, Option<String>) {
    told(camera.silence(now).map_or_else(|| camera.state(), SourceState::NoSignal))
}

fn told(state: SourceState) -> (State, Option<String>) {
    match state {
        SourceState::Idle => (State::Idle, None),
        SourceState::Starting => (State::Starting, None),
        SourceState::Live => (State::Live, None),
        SourceState::NoSignal(reason) => (State::NoSignal, Some(reason)),
    }
}

fn viewer(viewer: &net::ViewerStatus) -> ViewerStatus {
    let rounded = |millis: f64| (millis * 1000.0).round() / 1000.0;
    ViewerStatus {
        address: viewer.address.to_string(),
        transport: viewer.transport.to_string(),
        user: viewer.user.clone(),
        seconds: viewer.seconds as u64,
        bytes: viewer.bytes,
        dropped: viewer.dropped,
        // More than were expected came: duplicates, and none lost.
        lost: viewer.lost.map(|lost| lost.max(0) as u64),
        jitter_ms: viewer.jitter_ms.map(rounded),
        rtt_ms: viewer.round_trip_ms.map(rounded),
    }
}
