use super::{
    state::State,
    tunnels::Tunnel,
    viewer::{Outlet, Viewer},
};
use crate::{
    rtsp::{ConnectionId, SessionId},
    time::MonoTime,
};
use std::{fmt, net::SocketAddr};

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

/// The way to a viewer: `udp`, `tcp+tls`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportName {
    pub way: Way,
    /// Media goes inside TLS.
    pub tls: bool,
    /// Each packet is encrypted by itself.
    pub srtp: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Udp,
    Tcp,
    Http,
    WebSocket,
    Multicast,
}

impl fmt::Display for TransportName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.way {
            Way::Udp => "udp",
            Way::Tcp => "tcp",
            Way::Http => "http",
            Way::WebSocket => "websocket",
            Way::Multicast => "multicast",
        })?;
        f.write_str(if self.tls { "+tls" } else { "" })?;
        f.write_str(if self.srtp { "+srtp" } else { "" })
    }
}

impl State {
    /// All viewers that have played, and the counters.
    pub fn status(&self, now: MonoTime) -> WorkerStatus {
        WorkerStatus {
            viewers: self.viewers.iter().filter_map(|(id, viewer)| self.viewer_status(*id, viewer, now)).collect(),
            connections: self.census.count(),
            stalled: self.stalled,
            strangers: self.strangers,
        }
    }

    fn viewer_status(&self, id: SessionId, viewer: &Viewer, now: MonoTime) -> Option<ViewerStatus> {
        if viewer.is_group() {
            return None;
        }
        let (bytes, dropped) = self.sent_to_member(id);
        let feedback = || viewer.tracks.iter().flatten().map(|track| &track.feedback);
        let millis = |duration: std::time::Duration| duration.as_secs_f64() * 1000.0;
        Some(ViewerStatus {
            hub: viewer.hub,
            address: viewer.peer,
            transport: self.transport_of(viewer),
            user: viewer.user.clone(),
            seconds: now.since(viewer.since?).as_secs_f64(),
            bytes: viewer.bytes + bytes,
            dropped: viewer.dropped() + dropped,
            lost: feedback().filter_map(|track| track.lost).map(i64::from).reduce(|a, b| a + b),
            jitter_ms: feedback().filter_map(|track| track.jitter).max().map(millis),
            round_trip_ms: feedback().filter_map(|track| track.round_trip).max().map(millis),
        })
    }

    /// How media gets to this viewer.
    pub fn transport_of(&self, viewer: &Viewer) -> TransportName {
        let srtp = viewer.is_protected();
        match &viewer.outlet {
            Outlet::Member(_) | Outlet::Group(_) => TransportName { way: Way::Multicast, tls: false, srtp },
            Outlet::Udp(_) => TransportName { way: Way::Udp, tls: false, srtp },
            Outlet::Interleaved(outlet) => {
                let peer = self.peers.get(&ConnectionId(outlet.connection));
                let way = match peer.and_then(|peer| peer.tunnel.as_ref()) {
                    None => Way::Tcp,
                    Some(Tunnel::Http) => Way::Http,
                    Some(Tunnel::WebSocket(_)) => Way::WebSocket,
                };
                TransportName { way, tls: peer.is_some_and(|peer| peer.pipe.is_secure()), srtp }
            }
        }
    }
}
