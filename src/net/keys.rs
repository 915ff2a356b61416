//! Under which keys streams are protected (SRTP), and who was told them.

use super::{ring::Ring, state::State, viewer::Outlet};
use crate::{
    rtp::{
        mikey::{CryptoSession, Message},
        srtp::{Protection, Receiver},
    },
    rtsp::{ConnectionId, SessionId},
    time::MonoTime,
};
use std::{collections::HashSet, net::IpAddr, sync::Arc};

/// Listeners that are remembered by name; were more told a key, any change of the rules renews it.
const MOST_TOLD: usize = 4096;

/// One stream's keys. All who come about the same time share one for each track.
#[derive(Default)]
pub struct StreamKeys {
    /// What newcomers are told, by index into the hub's tracks.
    current: [Option<Arc<Protection>>; 2],
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
        let current = &mut self.current[track];
        if !current.as_ref().is_some_and(|current| current.is_fresh(next)) {
            *current = Some(Protection::random().ok()?);
            self.made += 1;
        }
        current.clone()
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
        let now = self.wall().wall(MonoTime::now()).ntp();
        Some(message.write(now, (random, getrandom::u32().ok()?)))
    }

    /// Where a track's rollover counter is under a key.
    pub fn rollover(&self, hub: u64, track: usize, protection: &Protection) -> u32 {
        self.streams.get(&hub).map_or(0, |stream| protection.rollover(next_number(&stream.ring, track)))
    }

    /// Gives up the keys of streams that somebody was told who may no longer watch. Viewers whose packets others could
    /// still open with them are handed out, to be ended: they come back and are told the new ones. What goes inside TLS
    /// stays.
    pub fn renew_keys(&mut self) -> Vec<SessionId> {
        let access = &self.access;
        let mut renewed = Vec::new();
        for (id, stream) in &mut self.streams {
            let name = stream.entry.hub.name();
            let lost = |(user, address): &Listener| !access.may_still_view(user.as_deref(), *address, name);
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
