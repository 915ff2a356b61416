use super::{
    Table, TableEntry,
    access::{Access, Visitor},
    census::Census,
    keys::{StreamKeys, ToldKey},
    link::Link,
    media::Sent,
    multicast::RunningGroup,
    pipe::Pipe,
    play::WaitingPlay,
    reports::ReportContext,
    requests::{Bucket, Requests},
    ring::Ring,
    tunnels::{Junction, Tunnel, TunnelKey},
    udp,
    viewer::{Outlet, Viewer, framed},
    worker::Settings,
};
use crate::{
    guard::{AuditEvent, AuditRecord},
    rtp::rtcp,
    rtsp::{self, ConnectionId, Input, Refusal, SessionId, Sessions},
    time::{MonoTime, WallClock},
};
use rustc_hash::FxHashMap;
use std::{
    cell::RefCell,
    collections::HashMap,
    net::SocketAddr,
    rc::{Rc, Weak},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::Notify;

/// Of a connection that takes media, its sessions are told so often that they are alive.
const TOUCH: Duration = Duration::from_secs(1);

/// All that a worker owns. Its tables' keys are its own numbers or random: nobody outside can choose them.
pub struct State {
    pub settings: Settings,
    pub access: Arc<Access>,
    /// As of the last batch that came, or a quarter of a second ago.
    pub wall: WallClock,
    shared_wall: Arc<Mutex<WallClock>>,
    /// By [`crate::stream::Hub::id`].
    pub streams: FxHashMap<u64, Stream>,
    /// All connections, those too that have not become peers yet.
    pub census: Census,
    pub requests: Requests,
    pub peers: FxHashMap<ConnectionId, Peer>,
    /// HTTP tunnels.
    pub junctions: HashMap<TunnelKey, Rc<Junction>>,
    /// Another one is there.
    pub tunnel_opened: Rc<Notify>,
    pub sessions: Sessions,
    pub viewers: FxHashMap<SessionId, Viewer>,
    pub waiting: Vec<WaitingPlay>,
    /// UDP viewers that have more to send after a pacing tick.
    pub paced: Vec<SessionId>,
    /// Told when the first comes among them outside a round of [`super::media::deliver`].
    pub pacing_begun: Rc<Notify>,
    /// Datagrams to the server's ports that belong to nobody.
    pub strangers: u64,
    /// TCP viewers closed because they read nothing.
    pub stalled: u64,
    pub next_connection: u64,
    /// The most connections there were since their memory was given back last.
    pub crowd: usize,
    /// For tasks that steps of this state start.
    pub me: Weak<RefCell<State>>,
}

/// A stream as a worker sees it.
pub struct Stream {
    pub entry: TableEntry,
    pub ring: Ring,
    pub keys: StreamKeys,
    /// When its viewers' losses were looked at last.
    pub adapted: MonoTime,
    /// Its groups that are sent to.
    pub groups: Vec<RunningGroup>,
    /// Who watches it.
    pub viewers: Vec<SessionId>,
}

/// Viewers who were asked to go elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub told: usize,
    /// Those over UDP that have closed their connection: there is no way to tell them.
    pub out_of_reach: usize,
}

/// One RTSP connection.
pub struct Peer {
    pub address: SocketAddr,
    pub local: SocketAddr,
    pub machine: rtsp::Connection,
    pub pipe: Pipe,
    pub visitor: Visitor,
    /// What it has asked for lately.
    pub asked: Bucket,
    /// Media keys that it was told by descriptions.
    pub keys: Vec<ToldKey>,
    pub link: Link,
    /// None: RTSP as it is.
    pub tunnel: Option<Tunnel>,
    /// Its interleaved viewers.
    pub viewers: Vec<SessionId>,
    /// Wakes its task to look at the peer again.
    pub wake: Rc<Notify>,
    /// Nothing more is read; closed once what waits is out.
    pub closing: bool,
    /// The connection is broken, or its client reads nothing: what waits is not sent any more.
    pub broken: bool,
    /// Since when it has taken nothing although something waits.
    pub stuck_since: Option<MonoTime>,
    /// When its sessions were told last that they are alive.
    pub touched: MonoTime,
    /// The mark of what it is sent.
    pub dscp: u8,
}

impl Peer {
    /// Whether something is to be written as soon as the socket takes it.
    pub fn waits(&self) -> bool {
        !self.broken && (!self.link.is_empty() || self.pipe.has_unsent())
    }

    /// Closes it, whatever still waits.
    pub fn give_up(&mut self) {
        self.broken = true;
        self.closing = true;
        self.link = Link::default();
        self.stuck_since = None;
    }
}

impl State {
    pub fn new(settings: Settings, access: Arc<Access>, wall: Arc<Mutex<WallClock>>) -> Rc<RefCell<Self>> {
        Rc::new_cyclic(|me| {
            RefCell::new(Self {
                settings,
                access,
                wall: read(&wall),
                shared_wall: wall,
                streams: FxHashMap::default(),
                census: Census::default(),
                requests: Requests::default(),
                peers: FxHashMap::default(),
                junctions: HashMap::new(),
                tunnel_opened: Rc::default(),
                sessions: Sessions::new(),
                viewers: FxHashMap::default(),
                waiting: Vec::new(),
                paced: Vec::new(),
                pacing_begun: Rc::default(),
                strangers: 0,
                stalled: 0,
                next_connection: 0,
                crowd: 0,
                me: me.clone(),
            })
        })
    }

    /// Serves what `table` says from now on. Viewers of streams that are no longer there get BYE and are closed; so are
    /// those whose user or address lost the right.
    pub fn apply(&mut self, table: Table, access: Arc<Access>, now: MonoTime) {
        let before = std::mem::replace(&mut self.access, access);
        let (mut kept, mut regrouped) = (FxHashMap::default(), Vec::new());
        for entry in table.streams {
            let id = entry.hub.id();
            let stream = match self.streams.remove(&id) {
                Some(stream) => {
                    if stream.entry.multicast != entry.multicast || !self.settings.multicast {
                        regrouped.push(id);
                    }
                    Stream { entry, ..stream }
                }
                None => Stream {
                    entry,
                    ring: Ring::default(),
                    keys: StreamKeys::default(),
                    adapted: now,
                    groups: Vec::new(),
                    viewers: Vec::new(),
                },
            };
            kept.insert(id, stream);
        }
        self.streams = kept;
        self.mark_anew();
        let access = self.access.clone();
        // Those too that have not played yet.
        let of_gone = self.viewers.iter().filter(|(_, viewer)| !self.streams.contains_key(&viewer.hub));
        let mut ended: Vec<SessionId> = of_gone.map(|(id, _)| *id).collect();
        let barred = self
            .sessions
            .iter()
            .filter(|session| !access.knows_still(&before, session.user.as_deref(), session.peer, &session.stream));
        ended.extend(barred.map(|session| session.id));
        ended.extend(self.renew_keys(&before));
        // Members of a group that is elsewhere now.
        let members = self.viewers.iter().filter(|(_, viewer)| matches!(viewer.outlet, Outlet::Member(_)));
        ended.extend(members.filter(|(_, viewer)| regrouped.contains(&viewer.hub)).map(|(id, _)| *id));
        for session in ended {
            self.end_session(session, now);
        }
        for peer in self.peers.values_mut().filter(|peer| !access.admits(peer.address.ip())) {
            peer.closing = true;
            peer.wake.notify_one();
        }
    }

    /// Ends a session by the server's will: BYE, and its connection is closed.
    pub fn end_session(&mut self, id: SessionId, now: MonoTime) {
        let session = self.sessions.remove(id);
        self.end_viewer(id, now);
        let connection = session.and_then(|session| session.connection);
        let Some(peer) = connection.and_then(|connection| self.peers.get_mut(&connection)) else { return };
        peer.closing = true;
        peer.wake.notify_one();
    }

    /// Asks all who have played this stream to go on at `location`. Who does not understand that stays.
    pub fn redirect(&mut self, hub: u64, location: &str, now: MonoTime) -> Told {
        let viewers =
            self.viewers.iter().filter(|(_, viewer)| viewer.hub == hub && viewer.since.is_some() && !viewer.is_group());
        let sessions: Vec<SessionId> = viewers.map(|(session, _)| *session).collect();
        let mut told = Told::default();
        for session in sessions {
            match self.sessions.get(session).and_then(|session| session.connection) {
                Some(connection) => {
                    self.feed(connection, Input::Redirect { session, location }, now);
                    told.told += 1;
                }
                None => told.out_of_reach += 1,
            }
        }
        told
    }

    /// Stops a viewer, with RTCP BYE.
    pub fn end_viewer(&mut self, id: SessionId, now: MonoTime) {
        self.paced.retain(|paced| *paced != id);
        self.cut_off(id);
        self.part(id, now);
        self.refuse_waits(id, Refusal::SessionOver, now);
        let Some(viewer) = self.viewers.remove(&id) else { return };
        if let Some(since) = viewer.since
            && !viewer.is_group()
        {
            let seconds = now.since(since).as_millis() as f64 / 1000.0;
            let end = self.audit(AuditEvent::End, &viewer);
            self.access.tell(AuditRecord { seconds: Some(seconds), bytes: Some(viewer.bytes), ..end });
        }
        if let Some(stream) = self.streams.get_mut(&viewer.hub) {
            stream.viewers.retain(|viewer| *viewer != id);
        }
        self.say_bye(&viewer);
        if viewer.is_group() {
            self.forget_group(viewer.hub, id);
            tracing::info!(group = %viewer.peer, bytes = viewer.bytes, "multicast ends");
            return;
        }
        if let Outlet::Interleaved(outlet) = &viewer.outlet
            && let Some(peer) = self.peers.get_mut(&ConnectionId(outlet.connection))
        {
            peer.viewers.retain(|viewer| *viewer != id);
            self.mark_connection(ConnectionId(outlet.connection));
            self.flush(ConnectionId(outlet.connection), now);
        }
        tracing::debug!(peer = %viewer.peer, dropped = viewer.dropped(), "viewer left");
    }

    /// What happened to a viewer.
    pub fn audit(&self, event: AuditEvent, viewer: &Viewer) -> AuditRecord {
        AuditRecord {
            stream: Some(viewer.stream.to_string()),
            transport: Some(self.transport_of(viewer).to_string()),
            ..self.access.record(event).from(viewer.peer).by(viewer.user.as_deref())
        }
    }

    /// Lets nothing follow of an interleaved viewer's access unit that is half out, but the end of its packet.
    pub fn cut_off(&mut self, id: SessionId) {
        let Some(Outlet::Interleaved(outlet)) = self.viewers.get(&id).map(|viewer| &viewer.outlet) else { return };
        let Some(peer) = self.peers.get_mut(&ConnectionId(outlet.connection)) else { return };
        for (channel, _) in outlet.channels.iter().flatten() {
            peer.link.cut(*channel);
        }
    }

    /// RTCP BYE on every track that packets went out on.
    fn say_bye(&mut self, viewer: &Viewer) {
        if viewer.since.is_none() {
            return;
        }
        for (index, track) in viewer.tracks.iter().enumerate() {
            let Some(track) = track else { continue };
            let mut bye = rtcp::bye(track.ssrc, &self.settings.cname);
            if !track.protect(&mut bye) {
                continue;
            }
            match &viewer.outlet {
                Outlet::Member(_) => {}
                Outlet::Udp(udp) | Outlet::Group(udp) => {
                    if let Some(route) = &udp.tracks[index] {
                        // A lost BYE costs the client a time-out, no more.
                        let _ = udp::send_datagram(&route.rtcp.socket, &bye);
                    }
                }
                Outlet::Interleaved(outlet) => {
                    let peer = self.peers.get_mut(&ConnectionId(outlet.connection));
                    if let (Some(peer), Some((_, channel))) = (peer, outlet.channels[index]) {
                        peer.closing |= !peer.link.push_control(framed(channel, &bye));
                    }
                }
            }
        }
    }

    /// Marks what leaves for all viewers as their streams say now.
    fn mark_anew(&mut self) {
        for viewer in self.viewers.values() {
            let (Outlet::Udp(udp) | Outlet::Group(udp), Some(stream)) = (&viewer.outlet, self.streams.get(&viewer.hub))
            else {
                continue;
            };
            for channel in udp.tracks.iter().flatten().flat_map(|track| [&track.rtp, &track.rtcp]) {
                udp::mark(&*channel.socket, stream.entry.dscp);
            }
        }
        let connections: Vec<ConnectionId> = self.peers.keys().copied().collect();
        connections.into_iter().for_each(|id| self.mark_connection(id));
    }

    /// Marks a connection as the stream that plays in it says; of several, as the most urgent.
    pub fn mark_connection(&mut self, id: ConnectionId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let playing = peer.viewers.iter().filter_map(|id| self.viewers.get(id)).filter(|it| it.cursor.is_some());
        let streams = playing.filter_map(|viewer| self.streams.get(&viewer.hub));
        let dscp = streams.map(|stream| stream.entry.dscp).max().unwrap_or(0);
        if dscp != peer.dscp {
            peer.dscp = dscp;
            udp::mark(&**peer.pipe.socket(), dscp);
        }
    }

    /// Looks what the wall clock says now.
    pub fn read_wall(&mut self) {
        self.wall = read(&self.shared_wall);
    }

    /// Writes what waits for a connection, and media for its interleaved viewers while it takes them. What came of it for
    /// the latter.
    pub fn flush(&mut self, id: ConnectionId, now: MonoTime) -> Sent {
        let Some(peer) = self.peers.get_mut(&id) else { return Sent::Nothing };
        let context = ReportContext { now, wall: &self.wall, cname: &self.settings.cname };
        let waited = peer.waits();
        let mut written = 0;
        let failed = loop {
            match peer.link.write(&mut peer.pipe) {
                Ok(count) => written += count,
                Err(_) => break true,
            }
            if peer.waits() || peer.closing || !begin_next(peer, &self.streams, &mut self.viewers, &context) {
                break false;
            }
        };
        if failed {
            peer.give_up();
        }
        if !peer.waits() {
            peer.stuck_since = None;
        } else if written > 0 || peer.stuck_since.is_none() {
            peer.stuck_since = Some(now);
        }
        // A connection that takes media is alive.
        if written > 0 && now.since(peer.touched) >= TOUCH {
            peer.touched = now;
            peer.viewers.iter().for_each(|viewer| self.sessions.touch(*viewer, now));
        }
        let waits = peer.waits();
        if failed || waited != waits {
            peer.wake.notify_one();
        }
        match written {
            _ if waits => Sent::Part,
            0 => Sent::Nothing,
            _ => Sent::All,
        }
    }
}

fn read(wall: &Mutex<WallClock>) -> WallClock {
    wall.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
}

/// Puts the next batch of one of the peer's viewers on its link, each viewer in turn. False if none has anything.
fn begin_next(
    peer: &mut Peer,
    streams: &FxHashMap<u64, Stream>,
    viewers: &mut FxHashMap<SessionId, Viewer>,
    context: &ReportContext<'_>,
) -> bool {
    for index in 0..peer.viewers.len() {
        let Some(viewer) = viewers.get_mut(&peer.viewers[index]) else { continue };
        let Some(stream) = streams.get(&viewer.hub) else { continue };
        let Some(next) = viewer.next_interleaved(&stream.ring, context) else { continue };
        if let Some(report) = next.report {
            peer.closing |= !peer.link.push_control(report);
        }
        peer.link.begin(next.batch, next.channel);
        peer.viewers.rotate_left(index + 1);
        return true;
    }
    false
}
