//! Under which keys streams are protected (SRTP), and who was told them.

use super::{access::Access, ring::Ring, state::State, viewer::Outlet};
use crate::{
    rtp::{
        mikey::{CryptoSession, Message},
        srtp::{Protection, Receiver},
    },
    rtsp::{ConnectionId, SessionId},
    time::MonoTime,
};
use std::{
    collections::HashSet,
    net::IpAddr,
    sync::{Arc, Weak},
};

/// Listeners that are remembered by name; were more told a key, any change of the rules renews it.
const MOST_TOLD: usize = 4096;

/// Half of all sequence numbers.
const HALF: u64 = 1 << 15;

/// Keys of a track in use at a time.
const MOST_KEYS: usize = 8;

/// One stream's keys. All who come about the same time share one for each track.
#[derive(Default)]
pub struct StreamKeys {
    /// What newcomers are told, by index into the hub's tracks.
    current: [Option<Arc<Protection>>; 2],
    /// All that somebody may still watch by.
    alive: [Vec<Weak<Protection>>; 2],
    /// How many there have been.
    made: u64,
    told: HashSet<Listener>,
}

/// A user (none: anonymous) at an address.
pub type Listener = (Option<Arc<str>>, IpAddr);

/// A key that a connection was told.
pub struct ToldKey {
    /// [`crate::stream::Hub::id`] of what it is for, and which track.
    hub: u64,
    track: usize,
    protection: Arc<Protection>,
}

/// How a track goes to one viewer, and what it sends back comes in.
#[derive(Debug)]
pub struct TrackKeys {
    pub ours: Arc<Protection>,
    /// What the viewer was told of our rollover counter: it cannot read packets of before.
    pub rollover: u32,
    /// The index of the packet that was next when it stopped; None: it has not played yet.
    pub stopped: Option<u64>,
    pub theirs: Receiver,
}

impl StreamKeys {
    /// How many keys there have been: the description has changed as often.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// The key of a track for somebody who begins about now. None: the kernel has no randomness to give.
    fn tell(&mut self, track: usize, ring: &Ring) -> Option<Arc<Protection>> {
        let next = next_number(ring, track);
        let (current, alive) = (&mut self.current[track], &mut self.alive[track]);
        if let Some(current) = current.as_ref().filter(|current| current.is_fresh(next)) {
            return Some(current.clone());
        }
        // Each key costs an encryption of every packet: of many the youngest goes on, as long as it can.
        alive.retain(|key| key.strong_count() > 0);
        if alive.len() >= MOST_KEYS
            && let Some(current) = current.as_ref().filter(|current| current.has_reports_left())
        {
            return Some(current.clone());
        }
        let new = Protection::random().ok()?;
        alive.push(Arc::downgrade(&new));
        self.made += 1;
        current.insert(new).clone().into()
    }

    fn note(&mut self, listener: Listener) {
        if self.told.len() < MOST_TOLD {
            self.told.insert(listener);
        }
    }
}

/// Of the packet of a track that comes next.
fn next_number(ring: &Ring, track: usize) -> u64 {
    ring.newest_of(track).map_or(0, |newest| newest.batch.extended() + newest.batch.len() as u64)
}

impl State {
    /// Whether media keys may be told on this connection.
    pub fn is_secure(&self, connection: ConnectionId) -> bool {
        self.peers.get(&connection).is_some_and(|peer| peer.pipe.is_secure())
    }

    /// The key of a track for who describes the stream, as a MIKEY message.
    pub fn describe_key(
        &mut self,
        connection: ConnectionId,
        user: Option<&Arc<str>>,
        hub: u64,
        track: usize,
    ) -> Option<Vec<u8>> {
        let (peer, stream) = (self.peers.get_mut(&connection)?, self.streams.get_mut(&hub)?);
        let protection = stream.keys.tell(track, &stream.ring)?;
        stream.keys.note((user.cloned(), peer.address.ip()));
        peer.keys.retain(|told| (told.hub, told.track) != (hub, track));
        peer.keys.push(ToldKey { hub, track, protection: protection.clone() });
        self.key_message(hub, track, &protection)
    }

    /// The key of a track for who sets it up: that which was described on the connection, or the newcomers'.
    pub fn setup_key(
        &mut self,
        connection: ConnectionId,
        user: Option<&Arc<str>>,
        hub: u64,
        track: usize,
    ) -> Option<Arc<Protection>> {
        let (peer, stream) = (self.peers.get(&connection)?, self.streams.get_mut(&hub)?);
        stream.keys.note((user.cloned(), peer.address.ip()));
        let told = peer.keys.iter().find(|told| (told.hub, told.track) == (hub, track));
        told.map_or_else(|| stream.keys.tell(track, &stream.ring), |told| Some(told.protection.clone()))
    }

    /// What is said of a track's key (RFC 3830): the key, and where its rollover counter is.
    pub fn key_message(&self, hub: u64, track: usize, protection: &Protection) -> Option<Vec<u8>> {
        let rollover = self.rollover(hub, track, protection);
        let session = CryptoSession { ssrc: self.streams.get(&hub)?.entry.hub.tracks().get(track)?.ssrc, rollover };
        let message = Message { key: protection.key().clone(), mki: Vec::new(), sessions: vec![session] };
        let mut random = [0; 16];
        getrandom::fill(&mut random).ok()?;
        let now = self.wall.wall(MonoTime::now()).ntp();
        Some(message.write(now, (random, getrandom::u32().ok()?)))
    }

    /// Where a track's rollover counter is under a key.
    pub fn rollover(&self, hub: u64, track: usize, protection: &Protection) -> u32 {
        self.streams.get(&hub).map_or(0, |stream| protection.rollover(next_number(&stream.ring, track)))
    }

    /// Notes where a viewer's tracks are as it stops.
    pub fn note_stop(&mut self, session: SessionId) {
        let Some(viewer) = self.viewers.get_mut(&session) else { return };
        let Some(stream) = self.streams.get(&viewer.hub) else { return };
        for (index, track) in viewer.tracks.iter_mut().enumerate() {
            if let Some(keys) = track.as_mut().and_then(|track| track.keys.as_mut()) {
                keys.stopped = Some(keys.ours.index(next_number(&stream.ring, index)));
            }
        }
    }

    /// Whether a viewer would take what comes now for packets of another round: a receiver counts on from the last that it
    /// had, and is wrong after half of all sequence numbers (RFC 3711 §3.3.1).
    pub fn has_lost_count(&self, session: SessionId) -> bool {
        let Some(viewer) = self.viewers.get(&session) else { return false };
        let Some(stream) = self.streams.get(&viewer.hub) else { return false };
        viewer.tracks.iter().enumerate().any(|(index, track)| {
            let Some(keys) = track.as_ref().and_then(|track| track.keys.as_ref()) else { return false };
            let next = next_number(&stream.ring, index);
            match keys.stopped {
                Some(stopped) => keys.ours.index(next).saturating_sub(stopped) >= HALF,
                None => keys.ours.rollover(next) != keys.rollover,
            }
        })
    }

    /// Gives up the keys of streams that somebody was told who may no longer watch. Viewers whose packets others could
    /// still open with them are handed out, to be ended: they come back and are told the new ones. What goes inside TLS
    /// stays.
    pub fn renew_keys(&mut self, before: &Access) -> Vec<SessionId> {
        let access = &self.access;
        let mut renewed = Vec::new();
        for (id, stream) in &mut self.streams {
            let name = stream.entry.hub.name();
            let lost = |(user, address): &Listener| !access.knows_still(before, user.as_deref(), *address, name);
            if stream.keys.told.len() >= MOST_TOLD || stream.keys.told.iter().any(lost) {
                tracing::info!(stream = name, "its keys are renewed: somebody who knew them may no longer watch");
                stream.keys = StreamKeys { made: stream.keys.made, ..StreamKeys::default() };
                renewed.push(*id);
            }
        }
        for peer in self.peers.values_mut() {
            peer.keys.retain(|told| !renewed.contains(&told.hub));
        }
        let exposed = self.viewers.iter().filter(|(_, viewer)| {
            renewed.contains(&viewer.hub) && viewer.is_protected() && matches!(viewer.outlet, Outlet::Udp(_))
        });
        exposed.map(|(id, _)| *id).collect()
    }
}
