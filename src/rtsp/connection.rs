//! One client's connection.

use super::{ConnectionId, Input, Output, Sessions, Transports};
use crate::time::MonoTime;
use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// What a connection is told when it is accepted.
#[derive(Clone, Debug)]
pub struct ConnectionSettings {
    pub id: ConnectionId,
    pub peer: SocketAddr,
    /// The server's own address on this connection: named in the SDP's origin.
    pub local: IpAddr,
    /// As advertised in the Session header (whole seconds).
    pub session_timeout: Duration,
    pub transports: Transports,
    /// The Server header: `Eyrie/0.1.0`.
    pub server: String,
}

/// The server's side of one RTSP connection.
#[derive(Debug)]
pub struct Connection {
    settings: ConnectionSettings,
    outputs: VecDeque<Output>,
    deadline: MonoTime,
}

impl Connection {
    pub fn new(settings: ConnectionSettings, now: MonoTime) -> Self {
        Self { settings, outputs: VecDeque::new(), deadline: now }
    }

    /// Takes an event; what follows from it waits in [`Connection::poll_output`].
    pub fn handle_input(&mut self, input: Input<'_>, sessions: &mut Sessions, now: MonoTime) {
        let _ = (input, sessions, now);
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Timeout`] is due, if nothing comes before.
    pub fn poll_timeout(&self) -> Option<MonoTime> {
        Some(self.deadline)
    }

    pub fn id(&self) -> ConnectionId {
        self.settings.id
    }

    /// Interleaved frames from the client that belonged to no session's RTCP channel.
    pub fn frames_dropped(&self) -> u64 {
        0
    }
}
