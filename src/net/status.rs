use super::{
    state::State,
    viewer::{Outlet, Viewer},
};
use crate::time::MonoTime;
use std::net::SocketAddr;

/// What a worker knows of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkerStatus {
    pub viewers: Vec<ViewerStatus>,
    /// RTSP connections.
    pub connections: usize,
    /// TCP viewers closed because they read nothing, since the start.
    pub stalled: u64,
    /// Datagrams to the server's ports that belonged to nobody, since the start.
    pub strangers: u64,
}

/// What is known of one viewer.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewerStatus {
    /// [`crate::stream::Hub::id`] of what it watches.
    pub hub: u64,
    pub address: SocketAddr,
    pub transport: TransportName,
    pub user: Option<String>,
    /// Since its first PLAY.
    pub seconds: f64,
    pub bytes: u64,
    /// Access units.
    pub dropped: u64,
    /// Packets, as the viewer itself counts them, all tracks together.
    pub lost: Option<i64>,
    /// The worst of its tracks.
    pub jitter_ms: Option<f64>,
    pub round_trip_ms: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportName {
    Udp,
    Tcp,
}

impl TransportName {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

impl State {
    /// All viewers that have played, and the counters.
    pub fn status(&self, now: MonoTime) -> WorkerStatus {
        WorkerStatus {
            viewers: self.viewers.values().filter_map(|viewer| status(viewer, now)).collect(),
            connections: self.peers.len(),
            stalled: self.stalled,
            strangers: self.strangers,
        }
    }
}

fn status(viewer: &Viewer, now: MonoTime) -> Option<ViewerStatus> {
    let feedback = || viewer.tracks.iter().flatten().map(|track| &track.feedback);
    let millis = |duration: std::time::Duration| duration.as_secs_f64() * 1000.0;
    Some(ViewerStatus {
        hub: viewer.hub,
        address: viewer.peer,
        transport: match viewer.outlet {
            Outlet::Udp(_) => TransportName::Udp,
            Outlet::Interleaved(_) => TransportName::Tcp,
        },
        user: viewer.user.clone(),
        seconds: now.since(viewer.since?).as_secs_f64(),
        bytes: viewer.bytes,
        dropped: viewer.dropped(),
        lost: feedback().filter_map(|track| track.lost).map(i64::from).reduce(|a, b| a + b),
        jitter_ms: feedback().filter_map(|track| track.jitter).max().map(millis),
        round_trip_ms: feedback().filter_map(|track| track.round_trip).max().map(millis),
    })
}
