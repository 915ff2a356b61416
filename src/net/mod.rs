//! The shell of sockets: workers, viewers, TCP, TLS, tunnels and UDP.
//!
//! A worker is one thread with a tokio runtime of its own. It owns its connections, sessions and viewers whole, in one
//! `State` that its tasks borrow for the length of one step and never across an await:
//!
//! - per TCP connection one task that waits for its socket and feeds the RTSP machine;
//! - per UDP viewer's socket one that waits for receiver reports;
//! - one that fetches batches from the [`Inbox`](crate::stream::Inbox), puts them into the rings and sends to all
//!   viewers, yielding after a millisecond;
//! - one for time-outs.

mod access;
mod asks;
mod audit;
mod census;
mod clients;
mod cursor;
mod feedback;
mod keys;
mod link;
mod losses;
mod media;
mod multicast;
mod names;
mod pacer;
mod pipe;
mod play;
mod ports;
mod receivers;
mod reports;
mod requests;
mod ring;
mod state;
mod status;
mod sys;
mod tls;
mod tunnels;
mod udp;
mod viewer;
mod worker;

pub use access::{Access, AccessRules};
pub use audit::{Trail, TrailEnd};
pub use requests::RequestLimits;
pub use state::Told;
pub use status::{TransportName, ViewerStatus, Way, WorkerStatus};
pub use tls::Identity;
pub use udp::PortPair;
pub use worker::{Door, Settings, Worker};

use crate::{config::Multicast, stream::Hub};
use std::sync::Arc;

/// What a worker serves. A new table replaces the old one whole.
#[derive(Clone, Default)]
pub struct Table {
    pub streams: Vec<TableEntry>,
}

/// A stream and its names.
#[derive(Clone)]
pub struct TableEntry {
    pub hub: Arc<Hub>,
    /// Further paths, with leading slash, perhaps with a query.
    pub aliases: Vec<String>,
    /// Never begin from a key frame older than 250 ms.
    pub fresh: bool,
    /// Sessions that it takes at a time; None: as many as come.
    pub max_viewers: Option<usize>,
    /// The URL to which further ones are sent.
    pub relay: Option<Arc<str>>,
    /// What it shows, and at which configured bitrate (bit/s): `?bitrate=` chooses among the streams of one camera.
    pub camera: Option<String>,
    pub bitrate: u32,
    /// The mark of its packets, 0 to 63 (RFC 2474 §3).
    pub dscp: u8,
    /// Inside TLS its description offers RTP/SAVP.
    pub srtp: bool,
    /// Where it goes for all members of its group at once.
    pub multicast: Option<Multicast>,
}
