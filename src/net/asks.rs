//! What the RTSP machines ask, answered from the access rules and the hubs.

use super::{
    access::{Denied, Login},
    cursor::Cursor,
    feedback::Allowance,
    keys::TrackKeys,
    multicast::{Interface, Member},
    state::State,
    viewer::{InterleavedOutlet, Outlet, UdpOutlet, Viewer, ViewerTrack},
};
use crate::{
    rtp::{mikey::Message, srtp::Receiver},
    rtsp::{
        Accepted, Answer, Ask, AskId, ConnectionId, DescribedTrack, Description, Input, Refusal, SessionId, SetupAsk,
        StreamInfo, StreamTarget, TrackInfo, TransportOffer,
    },
    stream::{Hub, HubTrack},
    time::MonoTime,
};
use std::{cell::RefCell, net::IpAddr, rc::Weak, sync::Arc, time::Duration};
use tokio::task::spawn_local;

/// How long DESCRIBE waits for a stream's parameter sets; then 503.
const DESCRIBE_WAIT: Duration = Duration::from_secs(5);
/// So many sessions there may be even where fewer connections are allowed.
const FEW_SESSIONS: usize = 32;
/// Assumed where the rate is not known.
const FRAME_INTERVAL: Duration = Duration::from_millis(33);
pub const CLOCK_RATE: u32 = 90_000;

impl State {
    /// The answer, or None if it comes later. Sessions whose PLAY is answered hereby are added to `starting`.
    pub fn answer(
        &mut self,
        connection: ConnectionId,
        id: AskId,
        ask: Ask,
        starting: &mut Vec<(SessionId, Cursor)>,
        now: MonoTime,
    ) -> Option<Answer> {
        match ask {
            Ask::Authorize { method, url, target, authorization } => {
                let attempt = (method.as_str(), url.as_str(), authorization.as_deref());
                match self.authorize(connection, attempt, target.as_ref(), now)? {
                    Ok(granted) => Some(granted),
                    Err(Denied { answer, delay }) if delay.is_zero() => Some(answer),
                    Err(denied) => {
                        spawn_local(hold_back(self.me.clone(), connection, id, denied));
                        None
                    }
                }
            }
            Ask::Describe { stream, target, user } => {
                self.describe(Describing { connection, user, group: target.wants_group() }, id, &stream)
            }
            Ask::Setup(ask) => Some(self.set_up(connection, &ask, now)),
            Ask::Play { session } => self.play(connection, id, session, starting, now),
            Ask::Pause { session } => {
                self.refuse_waits(session, Refusal::NotReady, now);
                let Some(viewer) = self.viewers.get_mut(&session) else {
                    return Some(Answer::Refused(Refusal::SessionOver));
                };
                viewer.pause();
                self.note_stop(session);
                self.part(session, now);
                self.cut_off(session);
                self.mark_connection(connection);
                Some(Answer::Done)
            }
            Ask::Teardown { session } => {
                self.end_viewer(session, now);
                Some(Answer::Done)
            }
        }
    }

    /// Lets in whoever may; who is not logged in sees only that, whether the stream exists or not. None if the
    /// connection is gone.
    fn authorize(
        &mut self,
        connection: ConnectionId,
        (method, url, authorization): (&str, &str, Option<&str>),
        target: Option<&StreamTarget>,
        now: MonoTime,
    ) -> Option<Result<Answer, Denied>> {
        let peer = self.peers.get_mut(&connection)?;
        let address = peer.address.ip();
        let has_session = |user: &str| {
            self.sessions.iter().any(|session| {
                let from_here = session.connection.map_or(session.peer == address, |other| other == connection);
                from_here && session.user.as_deref() == Some(user)
            })
        };
        let secure = peer.pipe.is_secure();
        let login = Login { peer: peer.address, secure, method, url, authorization, has_session: &has_session };
        let user = match self.access.log_in(&login, &mut peer.visitor, now) {
            Ok(user) => user,
            Err(denied) => return Some(Err(denied)),
        };
        let Some(target) = target else { return Some(Ok(Answer::Granted { user, stream: None })) };
        Some(Ok(match self.stream_of(target) {
            None => Answer::Refused(Refusal::NotFound),
            Some(hub) if !self.access.may_view(user.as_deref(), address, hub.name()) => {
                Answer::Refused(Refusal::Forbidden)
            }
            Some(hub) => Answer::Granted { user, stream: Some(info(hub)) },
        }))
    }

    /// Waits, with the stream's sources running, until all its formats are known.
    fn describe(&mut self, asked: Describing, id: AskId, name: &str) -> Option<Answer> {
        let Some(hub) = self.hub(name).cloned() else { return Some(Answer::Refused(Refusal::NotFound)) };
        if let Some(elsewhere) = self.full(&hub) {
            return Some(elsewhere);
        }
        if let Some(description) = self.description(&hub, &asked) {
            return Some(Answer::Described(description));
        }
        let state = self.me.clone();
        spawn_local(async move {
            let _running = hub.demand().watch();
            let known = async {
                for track in hub.tracks() {
                    let _ = track.format_changes().wait_for(Option::is_some).await;
                }
            };
            let _ = tokio::time::timeout(DESCRIBE_WAIT, known).await;
            if let Some(state) = state.upgrade() {
                let mut state = state.borrow_mut();
                let description = state.description(&hub, &asked);
                let answer = description.map_or(Answer::Refused(Refusal::NotReady), Answer::Described);
                state.feed(asked.connection, Input::Answer(id, answer), MonoTime::now());
            }
        });
        None
    }

    fn set_up(&mut self, connection: ConnectionId, ask: &SetupAsk, now: MonoTime) -> Answer {
        let session = ask.session;
        let Some(hub) = self.hub(&ask.stream).cloned() else { return Answer::Refused(Refusal::NotFound) };
        if !self.viewers.contains_key(&session)
            && let Some(elsewhere) = self.full(&hub)
        {
            return elsewhere;
        }
        let Some(peer) = self.peers.get(&connection) else { return Answer::Refused(Refusal::Internal) };
        let (peer_address, local) = (peer.address, peer.local);
        if !self.viewers.contains_key(&session) && !self.has_room_for_session(peer_address.ip()) {
            return Answer::Refused(Refusal::NotReady);
        }
        let dscp = self.streams.get(&hub.id()).map_or(0, |stream| stream.entry.dscp);
        let Some(index) = hub.tracks().iter().position(|candidate| candidate.id == ask.track) else {
            return Answer::Refused(Refusal::NotFound);
        };
        let interval = hub.tracks().iter().find_map(|track| track.format()?.picture().map(|(_, fps)| fps.interval()));
        // A stream that does not run tells it when it does: a client may know the description from before.
        let clock_rate = hub.tracks()[index].format().map_or(CLOCK_RATE, |format| format.clock_rate());
        // All tracks of a session go the way of the first.
        let fits = |offer: &TransportOffer| match (self.viewers.get(&session).map(|viewer| &viewer.outlet), offer) {
            (None, _) => true,
            (Some(Outlet::Udp(_)), offer) => matches!(offer, TransportOffer::Udp { .. }),
            (Some(Outlet::Interleaved(_)), offer) => matches!(offer, TransportOffer::Interleaved { .. }),
            (Some(Outlet::Member(_) | Outlet::Group(_)), offer) => *offer == TransportOffer::Multicast,
        };
        let protected = self.viewers.get(&session).map(Viewer::is_protected);
        let group = self.group(hub.id(), index);
        let fits = |offer: &TransportOffer| {
            (*offer != TransportOffer::Multicast || group.is_some())
                && protected.is_none_or(|protected| protected == offer.is_srtp())
                && fits(offer)
        };
        let Some(chosen) = ask.transports.iter().position(fits) else {
            return Answer::Refused(Refusal::UnsupportedTransport);
        };
        let offer = ask.transports[chosen];
        let keys = match offer.is_srtp().then(|| self.track_keys(connection, ask, hub.id(), index)).transpose() {
            Ok(keys) => keys,
            Err(refusal) => return Answer::Refused(refusal),
        };
        let key_message = keys.as_ref().and_then(|keys| self.key_message(hub.id(), index, &keys.ours));
        let udp_track = match offer {
            TransportOffer::Interleaved { .. } | TransportOffer::Multicast => None,
            TransportOffer::Udp { client_rtp, client_rtcp, .. } => {
                match self.open_udp(session, index, peer_address, local, (client_rtp, client_rtcp), dscp) {
                    Ok(track) => Some(track),
                    Err(error) => {
                        tracing::warn!(peer = %peer_address, "no UDP socket for a viewer: {error}");
                        return Answer::Refused(Refusal::NotReady);
                    }
                }
            }
        };
        let interface = group.filter(|_| offer == TransportOffer::Multicast);
        let interface = match interface.map(|group| Interface::of(local.ip(), group.address)).transpose() {
            Ok(interface) => interface,
            Err(error) => {
                tracing::warn!(peer = %peer_address, "no multicast for a viewer: {error}");
                return Answer::Refused(Refusal::UnsupportedTransport);
            }
        };
        let viewer = self.viewers.entry(session).or_insert_with(|| Viewer {
            hub: hub.id(),
            stream: hub.name().into(),
            peer: peer_address,
            user: ask.user.as_deref().map(str::to_owned),
            since: None,
            cursor: None,
            outlet: match (offer, interface) {
                (_, Some(interface)) => Outlet::Member(Member { interface, joined: None }),
                (TransportOffer::Udp { .. }, None) => {
                    Outlet::Udp(Box::new(UdpOutlet::new(interval.unwrap_or(FRAME_INTERVAL), now)))
                }
                _ => Outlet::Interleaved(InterleavedOutlet { connection: connection.0, channels: [None; 2] }),
            },
            tracks: [None, None],
            bytes: 0,
            paced: false,
            dropped_before: 0,
            allowance: Allowance::default(),
            _watch: hub.demand().watch(),
        });
        let ssrc = hub.tracks()[index].ssrc;
        viewer.tracks[index] = Some(ViewerTrack { ssrc, clock_rate, keys, ..ViewerTrack::default() });
        match (&mut viewer.outlet, offer, udp_track) {
            (Outlet::Member(_), TransportOffer::Multicast, _) => {}
            (Outlet::Udp(outlet), _, Some(track)) => outlet.tracks[index] = Some(track),
            (Outlet::Interleaved(outlet), TransportOffer::Interleaved { rtp, rtcp, .. }, _) => {
                outlet.channels[index] = Some((rtp, rtcp));
                if let Some(peer) = self.peers.get_mut(&connection)
                    && !peer.viewers.contains(&session)
                {
                    peer.viewers.push(session);
                }
            }
            _ => return Answer::Refused(Refusal::UnsupportedTransport),
        }
        let udp = matches!(offer, TransportOffer::Udp { .. });
        let server_ports = self.settings.ports.filter(|_| udp).map(|port| (port, port + 1));
        let group = interface.and(group);
        Answer::SetUp(Accepted { chosen, server_ports, group, ssrc, key_message })
    }

    /// What one viewer more gets of a stream that has all it takes.
    fn full(&self, hub: &Hub) -> Option<Answer> {
        let entry = &self.streams.get(&hub.id())?.entry;
        let viewers = self.viewers.values().filter(|viewer| viewer.hub == hub.id() && !viewer.is_group()).count();
        entry.max_viewers.filter(|most| viewers >= *most)?;
        Some(entry.relay.clone().map_or(Answer::Refused(Refusal::Full), Answer::Elsewhere))
    }

    /// Sessions over UDP outlive their connections, so they are bounded as those are, and a few may share one.
    fn has_room_for_session(&self, address: IpAddr) -> bool {
        let same = self.viewers.values().filter(|viewer| viewer.peer.ip() == address).count();
        self.viewers.len() < self.settings.max_connections.max(FEW_SESSIONS)
            && same < self.settings.max_connections_per_address.max(FEW_SESSIONS)
    }

    /// A track's keys for a viewer: ours, and those of what it sends, which are ours too if it names none.
    fn track_keys(
        &mut self,
        connection: ConnectionId,
        ask: &SetupAsk,
        hub: u64,
        track: usize,
    ) -> Result<Box<TrackKeys>, Refusal> {
        let ours = self.setup_key(connection, ask.user.as_ref(), hub, track).ok_or(Refusal::Internal)?;
        let theirs = match &ask.key_message {
            Some(message) => {
                let message = Message::parse(message).ok_or(Refusal::KeyManagement)?;
                Receiver::new(&message.key, message.mki.len())
            }
            None => Receiver::new(ours.key(), 0),
        };
        let rollover = self.rollover(hub, track, &ours);
        Ok(Box::new(TrackKeys { ours, rollover, stopped: None, theirs }))
    }

    /// None while the format of a track is not known.
    fn description(&mut self, hub: &Hub, asked: &Describing) -> Option<Description> {
        let srtp = !asked.group && self.streams.get(&hub.id()).is_some_and(|stream| stream.entry.srtp);
        let srtp = srtp && self.is_secure(asked.connection);
        let describe = |(index, track): (usize, &HubTrack)| {
            let group = self.group(hub.id(), index).filter(|_| asked.group);
            let format = track.format()?;
            let key_message = match srtp {
                true => Some(self.describe_key(asked.connection, asked.user.as_ref(), hub.id(), index)?),
                false => None,
            };
            Some(DescribedTrack { id: track.id, format, group, key_message })
        };
        let tracks: Option<_> = hub.tracks().iter().enumerate().map(describe).collect();
        let keys = self.streams.get(&hub.id()).map_or(0, |stream| stream.keys.made());
        Some(Description {
            name: hub.name().to_owned(),
            session_id: hub.session_id(),
            version: hub.version() + keys,
            tracks: tracks?,
        })
    }

    fn hub(&self, name: &str) -> Option<&Arc<Hub>> {
        self.streams.values().map(|stream| &stream.entry.hub).find(|hub| hub.name() == name)
    }
}

/// Who asks for a description.
struct Describing {
    connection: ConnectionId,
    user: Option<Arc<str>>,
    /// Of the stream's group.
    group: bool,
}

/// Answers who guessed wrong, later; what that connection sends meanwhile waits.
async fn hold_back(state: Weak<RefCell<State>>, connection: ConnectionId, id: AskId, denied: Denied) {
    tokio::time::sleep(denied.delay).await;
    if let Some(state) = state.upgrade() {
        state.borrow_mut().feed(connection, Input::Answer(id, denied.answer), MonoTime::now());
    }
}

fn info(hub: &Arc<Hub>) -> StreamInfo {
    let tracks = hub.tracks().iter().map(|track| TrackInfo { id: track.id, video: track.video }).collect();
    StreamInfo { name: hub.name().into(), tracks }
}
