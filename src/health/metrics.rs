//! The server's status as Prometheus reads it, over HTTP on an address of its own.

use super::{
    control::{Command, Handler, Response},
    status::{Clock, State, Status, StreamStatus},
};
use axum::{
    Router, extract,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
    serve::Listener,
};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};
use tokio::{net::TcpListener, task::AbortHandle};

/// What the answer is (OpenMetrics 1.0), which Prometheus asks for.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From the first byte to the last of a scrape: it is a small question with a small answer.
const SCRAPE: Duration = Duration::from_secs(10);

/// Connections at a time. A further one takes the place of the oldest: that had its time to ask.
const CONNECTIONS: usize = 32;

/// Answers `GET /metrics`, once for each connection, until its task is aborted.
pub async fn serve<H: Handler>(mut listener: TcpListener, handler: Arc<H>) {
    let router = Router::new().route("/metrics", get(scrape::<H>)).with_state(handler);
    let mut connections = VecDeque::with_capacity(CONNECTIONS);
    loop {
        // Tries again where no descriptor is left.
        let (socket, _) = Listener::accept(&mut listener).await;
        let connection = http1::Builder::new()
            .keep_alive(false)
            .serve_connection(TokioIo::new(socket), TowerToHyperService::new(router.clone()));
        let task = tokio::spawn(tokio::time::timeout(SCRAPE, connection));
        connections.retain(|connection: &Connection| !connection.0.is_finished());
        connections.truncate(CONNECTIONS - 1);
        connections.push_front(Connection(task.abort_handle()));
    }
}

/// Closed when it is dropped: none outlives the config that allowed it.
struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn scrape<H: Handler>(extract::State(handler): extract::State<Arc<H>>) -> axum::response::Response {
    match handler.handle(Command::Status).await {
        Response::Status(status) => ([(CONTENT_TYPE, OPEN_METRICS)], render(*status)).into_response(),
        _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// As OpenMetrics text. What is unknown is left out.
pub fn render(status: Status) -> String {
    let mut registry = Registry::with_prefix("eyrie");
    registry.register_collector(Box::new(Figures(status)));
    let mut text = String::new();
    text::encode(&mut text, &registry).expect("a String takes all that is written");
    text
}

#[derive(Debug)]
struct Figures(Status);

/// Whose figure it is, and the figure.
type Row = (Vec<(&'static str, String)>, f64);

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = &self.0;
        let one = |figure: Option<f64>| figure.map(|figure| (vec![], figure)).into_iter().collect::<Vec<Row>>();
        let truth = |is: bool| f64::from(u8::from(is));
        let mut gauge = |name, help, rows: Vec<Row>| family(&mut encoder, MetricType::Gauge, name, help, rows);
        gauge("uptime_seconds", "Since the server was started", one(Some(status.uptime_s as f64)))?;
        gauge(
            "clock_synchronised",
            "Whether the system clock is right",
            one(Some(truth(status.clock == Clock::Synced))),
        )?;
        gauge("connections", "RTSP connections", one(Some(status.network.connections as f64)))?;
        gauge("temperature_celsius", "Of the processor", one(status.board.temperature_c))?;
        gauge("under_voltage", "Whether the supply's voltage is too low", one(status.board.under_voltage.map(truth)))?;
        gauge(
            "stream_live",
            "Whether the stream shows its camera",
            streams(status, |it| Some(truth(it.state == State::Live))),
        )?;
        gauge("stream_viewers", "Who watches", streams(status, |it| Some(it.viewers.len() as f64)))?;
        gauge("stream_fps", "Pictures a second, measured", streams(status, |it| it.fps))?;
        gauge("stream_fps_asked", "Pictures a second, asked for", streams(status, |it| it.fps_asked))?;
        gauge("stream_bits_per_second", "Measured", streams(status, |it| it.bitrate.map(|bits| bits as f64)))?;
        let asked = streams(status, |it| it.bitrate_asked.map(|bits| bits as f64));
        gauge("stream_bits_per_second_asked", "What the encoder is to make", asked)?;
        gauge(
            "stream_stage_seconds",
            "How long pictures took on a part of their way, since the start",
            stages(status),
        )?;
        let camera = |name: &str| vec![("camera", name.to_owned())];
        let live = status.cameras.iter().map(|it| (camera(&it.name), truth(it.state == State::Live)));
        gauge("camera_live", "Whether the camera gives pictures", live.collect())?;
        let stuck = status.cameras.iter().map(|it| (camera(&it.name), it.stuck_threads as f64));
        gauge("camera_stuck_threads", "Threads that have not come back from its driver", stuck.collect())?;
        let microphone = |name: &str| vec![("microphone", name.to_owned())];
        let live = status.microphones.iter().map(|it| (microphone(&it.name), truth(it.state == State::Live)));
        gauge("microphone_live", "Whether the microphone gives sound", live.collect())?;
        let drift = status.microphones.iter().filter_map(|it| Some((microphone(&it.name), it.drift_ppm?)));
        gauge("microphone_drift_ppm", "By how much its clock is fast", drift.collect())?;

        let mut counter = |name, help, rows: Vec<Row>| family(&mut encoder, MetricType::Counter, name, help, rows);
        counter("boots", "How often the board was started", one(status.board.boots.map(|boots| boots as f64)))?;
        counter(
            "stalled_viewers",
            "Viewers closed because they read nothing",
            one(Some(status.network.stalled_viewers as f64)),
        )?;
        counter(
            "stray_datagrams",
            "To the media ports, and of nobody",
            one(Some(status.network.stray_datagrams as f64)),
        )?;
        counter("stream_key_frames", "Since the start", streams(status, |it| it.keyframes.map(|count| count as f64)))?;
        let missed = streams(status, |it| it.encoder_drops.map(|count| count as f64));
        counter("stream_encoder_drops", "Pictures that came while the encoder was busy with others", missed)?;
        let lost = one(Some(status.network.lost_batches as f64));
        counter("lost_batches", "What the network's thread did not fetch in time", lost)?;
        let drops = status.cameras.iter().filter_map(|it| Some((camera(&it.name), it.drops? as f64)));
        counter("camera_drops", "Pictures lost", drops.collect())?;
        let reopened = status.cameras.iter().filter_map(|it| Some((camera(&it.name), it.reopened? as f64)));
        counter("camera_reopened", "How often it was opened again", reopened.collect())?;
        let drops = status.microphones.iter().filter_map(|it| Some((microphone(&it.name), it.drops? as f64)));
        counter("microphone_drops", "How often sound was lost", drops.collect())
    }
}

fn stages(status: &Status) -> Vec<Row> {
    let rows = status.streams.iter().flat_map(|stream| {
        stream.latency.stages().into_iter().filter_map(|(stage, it)| Some((stage, it?))).flat_map(|(stage, it)| {
            [("0.5", it.median_ms), ("0.99", it.p99_ms), ("1", it.max_ms)].map(|(quantile, millis)| {
                let labels = [("stream", stream.name.as_str()), ("stage", stage), ("quantile", quantile)];
                (labels.map(|(name, value)| (name, value.to_owned())).to_vec(), millis / 1000.0)
            })
        })
    });
    rows.collect()
}

fn streams(status: &Status, figure: impl Fn(&StreamStatus) -> Option<f64>) -> Vec<Row> {
    let row = |stream: &StreamStatus| Some((vec![("stream", stream.name.clone())], figure(stream)?));
    status.streams.iter().filter_map(row).collect()
}

fn family(
    encoder: &mut DescriptorEncoder<'_>,
    kind: MetricType,
    name: &str,
    help: &str,
    rows: Vec<Row>,
) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, figure) in rows {
        let metric = family.encode_family(&labels)?;
        match kind {
            MetricType::Counter => ConstCounter::new(figure).encode(metric)?,
            _ => ConstGauge::new(figure).encode(metric)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::status::{BoardStatus, LatencyStatus, NetworkStatus, StageStatus};

    #[test]
    fn what_is_known_is_told_and_the_rest_left_out() {
        let stream = StreamStatus {
            name: "main".into(),
            state: State::Live,
            reason: None,
            width: None,
            height: None,
            fps: Some(29.97),
            fps_asked: None,
            bitrate: Some(2_000_000),
            bitrate_asked: None,
            keyframes: Some(7),
            encoder: None,
            encoder_drops: Some(4),
            latency: LatencyStatus {
                encode: Some(StageStatus { median_ms: 12.5, p99_ms: 20.0, max_ms: 30.0, count: 70 }),
                ..LatencyStatus::default()
            },
            viewers: vec![],
        };
        let status = Status {
            version: String::new(),
            uptime_s: 5,
            clock: Clock::Unsynced,
            streams: vec![stream],
            cameras: vec![],
            microphones: vec![],
            tls: None,
            network: NetworkStatus { connections: 3, ..NetworkStatus::default() },
            board: BoardStatus { temperature_c: Some(51.5), ..BoardStatus::default() },
        };
        let text = render(status);
        for line in [
            "# TYPE eyrie_uptime_seconds gauge",
            "eyrie_uptime_seconds 5.0",
            "eyrie_clock_synchronised 0.0",
            "eyrie_connections 3.0",
            "eyrie_temperature_celsius 51.5",
            "eyrie_stream_live{stream=\"main\"} 1.0",
            "eyrie_stream_viewers{stream=\"main\"} 0.0",
            "eyrie_stream_fps{stream=\"main\"} 29.97",
            "eyrie_stream_key_frames_total{stream=\"main\"} 7.0",
            "eyrie_stream_stage_seconds{stream=\"main\",stage=\"encode\",quantile=\"0.99\"} 0.02",
            "eyrie_stream_encoder_drops_total{stream=\"main\"} 4.0",
            "eyrie_lost_batches_total 0.0",
            "# EOF",
        ] {
            assert!(text.lines().any(|other| other == line), "no {line} in\n{text}");
        }
        assert!(!text.contains("under_voltage") && !text.contains("eyrie_camera") && !text.contains("asked"), "{text}");
    }
}
