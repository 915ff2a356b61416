//! Sessions: what a client has set up, and how long it lives.

use crate::time::{MonoTime, WallClock, WallTime};
use rustc_hash::FxHashMap;
use std::{fmt, net::IpAddr, str::FromStr, sync::Arc, time::Duration};

/// A silent session is reaped this long after the advertised time-out: clients send their keep-alive late.
const GRACE: Duration = Duration::from_secs(5);

/// Names a connection within one worker; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// 128 random bits, 32 hex digits on the wire: not to be guessed (RFC 2326 §3.4 asks for at least eight octets).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// A new one; fails only where the kernel has no randomness to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SessionId {
    type Err = hex::FromHexError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

/// RFC 2326 §A.2, without Init: a session exists from its first SETUP on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    Ready,
    Playing,
}

/// Where the packets of a track go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// To the peer's own address, never to another that it names.
    Udp { peer: IpAddr, client_rtp: u16, client_rtcp: u16 },
    /// Inside the RTSP connection (RFC 2326 §10.12).
    Interleaved { connection: ConnectionId, rtp: u8, rtcp: u8 },
    /// To all members of the stream's group at once.
    Multicast,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionTrack {
    pub id: u8,
    pub transport: Transport,
    /// The URL it was set up by, without credentials: RTP-Info names the track by it.
    pub(super) url: String,
}

/// What one client has set up of one stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    pub id: SessionId,
    /// The stream's own name.
    pub stream: Arc<str>,
    pub state: SessionState,
    /// In the order they were set up; one entry per track.
    pub tracks: Vec<SessionTrack>,
    /// Of the client, IPv4 in its own form even where it came through an IPv6 socket.
    pub peer: IpAddr,
    /// None: anonymous.
    pub user: Option<Arc<str>>,
    /// The connection that it belongs to; none once that was closed.
    pub connection: Option<ConnectionId>,
    pub last_activity: MonoTime,
    /// How the client named the stream.
    pub(super) path: String,
    /// The same as an absolute URL, without credentials.
    pub(super) url: String,
    pub(super) timeout: Duration,
}

impl Session {
    /// An interleaved session lives in its connection and ends with it.
    pub fn is_interleaved(&self) -> bool {
        self.tracks.iter().any(|track| matches!(track.transport, Transport::Interleaved { .. }))
    }

    pub fn track(&self, id: u8) -> Option<&SessionTrack> {
        self.tracks.iter().find(|track| track.id == id)
    }

    fn deadline(&self) -> MonoTime {
        self.last_activity + self.timeout + GRACE
    }
}

/// All sessions of one worker.
#[derive(Debug, Default)]
pub struct Sessions {
    by_id: FxHashMap<SessionId, Session>,
    /// No session ends before; found anew when it is reached, so that a touch costs no search.
    earliest: Option<MonoTime>,
    clock: Option<WallClock>,
}

impl Sessions {
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives responses their Date header; without a clock they have none. To be renewed as the clock is.
    pub fn set_clock(&mut self, clock: WallClock) {
        self.clock = Some(clock);
    }

    pub(super) fn wall(&self, now: MonoTime) -> Option<WallTime> {
        self.clock.as_ref().map(|clock| clock.wall(now))
    }

    pub fn get(&self, id: SessionId) -> Option<&Session> {
        self.by_id.get(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.by_id.values()
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// A sign of life: a receiver report, or media that an interleaved client took. Unknown ids are ignored.
    pub fn touch(&mut self, id: SessionId, now: MonoTime) {
        if let Some(session) = self.by_id.get_mut(&id) {
            session.last_activity = session.last_activity.max(now);
        }
    }

    /// Ends a session: its next request gets 454.
    pub fn remove(&mut self, id: SessionId) -> Option<Session> {
        self.by_id.remove(&id)
    }

    /// When [`Sessions::expired`] is to be called next; never later than needed.
    pub fn poll_timeout(&self) -> Option<MonoTime> {
        if self.by_id.is_empty() { None } else { self.earliest }
    }

    /// Removes and hands out the sessions that were silent for their advertised time-out and 5 s more.
    pub fn expired(&mut self, now: MonoTime) -> Vec<Session> {
        if self.earliest.is_none_or(|earliest| now < earliest) {
            return Vec::new();
        }
        let over = self.by_id.extract_if(|_, session| session.deadline() <= now).map(|(_, session)| session).collect();
        self.earliest = self.by_id.values().map(Session::deadline).min();
        over
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn insert(&mut self, session: Session) {
        let deadline = session.deadline();
        self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
        self.by_id.insert(session.id, session);
    }
}
