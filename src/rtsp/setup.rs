//! SETUP: one track's transport, in a new session or one that is there (RFC 2326 §10.4).

use super::{
    Accepted, Ask, Connection, Refusal, Session, SessionId, SessionState, SessionTrack, Sessions, SetupAsk, StreamInfo,
    Transport, TransportOffer,
    headers::{
        key_mgmt,
        transport::{self, Alternative, Lower},
    },
    methods::{Checked, Exchange, Outcome, Step, named_stream, refused, session_header},
    response::{ALLOWED_WHILE_PLAYING, Response},
};
use crate::time::MonoTime;
use std::sync::Arc;

/// Sessions that one connection may hold.
const MAX_SESSIONS: usize = 32;

/// What the worker was asked to take up.
#[derive(Debug)]
pub(super) struct SetupStep {
    session: SessionId,
    /// The session does not exist yet.
    fresh: bool,
    stream: Arc<str>,
    user: Option<Arc<str>>,
    track: u8,
    /// Each alternative that was offered, with what became of it.
    offers: Vec<(Alternative, TransportOffer)>,
}

impl Connection {
    /// What is to be set up, once leave is given: 404, then 454, 455, 459, 461.
    pub(super) fn setup(
        &mut self,
        exchange: &Exchange,
        user: Option<Arc<str>>,
        stream: Option<StreamInfo>,
        sessions: &mut Sessions,
        now: MonoTime,
    ) -> Checked<Outcome> {
        let (_, stream) = named_stream(exchange, stream)?;
        let known = exchange.track().is_none_or(|track| stream.tracks.iter().any(|known| known.id == track));
        if stream.tracks.is_empty() || !known {
            return Err(Response::new(404));
        }
        let existing = match exchange.has_session() {
            true => Some(self.session(exchange, &user, None, sessions, now)?),
            false => None,
        };
        if existing.is_some_and(|session| session.state == SessionState::Playing) {
            return Err(Response::new(455).with("Allow", ALLOWED_WHILE_PLAYING));
        }
        // One session is one stream (RFC 2326 §10.4: else 459).
        let bundled = existing.is_some_and(|session| session.stream != stream.name);
        let track = match (exchange.track(), stream.tracks.as_slice()) {
            (Some(track), _) if !bundled => track,
            (None, [only]) if !bundled => only.id,
            _ => return Err(Response::new(459)),
        };
        let existing = existing.map(|session| session.id);
        let offers = self.offers(exchange, existing.map(|session| (session, track)), sessions);
        if offers.is_empty() {
            return Err(Response::new(461));
        }
        let key_message = key_message(exchange, &offers)?;
        let live = self.own.iter().filter(|id| sessions.get(**id).is_some()).count();
        if existing.is_none() && live >= MAX_SESSIONS {
            return Err(refused(Refusal::NotReady));
        }
        let session = match existing {
            Some(session) => session,
            None => SessionId::random().map_err(|_| Response::new(500))?,
        };
        let ask = Ask::Setup(SetupAsk {
            session,
            stream: stream.name.clone(),
            track,
            user: user.clone(),
            transports: offers.iter().map(|(_, offer)| *offer).collect(),
            key_message,
        });
        let fresh = existing.is_none();
        Ok(Outcome::Ask(ask, Step::Setup(SetupStep { session, fresh, stream: stream.name, user, track, offers })))
    }

    /// The client's alternatives that are on offer on this connection, in its order. `replaced` is the track that
    /// gives its channels back, if it has any.
    fn offers(
        &self,
        exchange: &Exchange,
        replaced: Option<(SessionId, u8)>,
        sessions: &Sessions,
    ) -> Vec<(Alternative, TransportOffer)> {
        let mut taken = [false; 256];
        for session in self.own.iter().filter_map(|id| sessions.get(*id)) {
            for track in session.tracks.iter().filter(|track| replaced != Some((session.id, track.id))) {
                if let Transport::Interleaved { rtp, rtcp, .. } = track.transport {
                    taken[usize::from(rtp)] = true;
                    taken[usize::from(rtcp)] = true;
                }
            }
        }
        let free = |(rtp, rtcp): &(u8, u8)| !taken[usize::from(*rtp)] && !taken[usize::from(*rtcp)];
        let any_free = || (0..=254).step_by(2).map(|rtp| (rtp, rtp + 1)).find(free);
        let offered = self.settings.transports;
        let alternatives = exchange.request.headers("Transport").flat_map(transport::parse);
        alternatives
            .filter(|alternative| offered.offer(alternative, self.settings.secure))
            .filter_map(|alternative| {
                let srtp = alternative.srtp;
                let offer = match alternative.lower {
                    Lower::Udp { rtp, rtcp, .. } => TransportOffer::Udp { client_rtp: rtp, client_rtcp: rtcp, srtp },
                    Lower::Tcp { channels } => {
                        let (rtp, rtcp) = channels.filter(free).or_else(any_free)?;
                        TransportOffer::Interleaved { rtp, rtcp, srtp }
                    }
                    Lower::Multicast { .. } => TransportOffer::Multicast,
                };
                Some((alternative, offer))
            })
            .collect()
    }

    /// The worker took a transport up: the session holds it from now on.
    pub(super) fn set_up(
        &mut self,
        exchange: &Exchange,
        setup: SetupStep,
        accepted: Accepted,
        sessions: &mut Sessions,
        now: MonoTime,
    ) -> Checked<Response> {
        let &(asked, offer) = setup.offers.get(accepted.chosen).ok_or_else(|| Response::new(500))?;
        let peer = self.settings.peer.ip();
        let transport = match offer {
            TransportOffer::Udp { client_rtp, client_rtcp, .. } => Transport::Udp { peer, client_rtp, client_rtcp },
            TransportOffer::Interleaved { rtp, rtcp, .. } => {
                Transport::Interleaved { connection: self.settings.id, rtp, rtcp }
            }
            TransportOffer::Multicast => Transport::Multicast,
        };
        if setup.fresh {
            self.own.retain(|id| sessions.get(*id).is_some());
            self.own.push(setup.session);
            sessions.insert(Session {
                id: setup.session,
                stream: setup.stream,
                state: SessionState::Ready,
                tracks: Vec::new(),
                peer,
                user: setup.user,
                connection: Some(self.settings.id),
                last_activity: now,
                url: exchange.url.presentation_url(&self.origin),
                path: exchange.url.target.as_ref().map(|target| target.path.clone()).unwrap_or_default(),
                timeout: self.settings.session_timeout,
            });
        }
        // It may have ended while the worker was asked.
        let session = sessions.get_mut(setup.session).ok_or_else(|| Response::new(454))?;
        let url = exchange.url.track_url(&self.origin);
        let keys = accepted.key_message.as_ref().map(|message| key_mgmt::write(&url, message));
        let track = SessionTrack { id: setup.track, transport, url };
        match session.tracks.iter_mut().find(|other| other.id == setup.track) {
            Some(other) => *other = track,
            None => session.tracks.push(track),
        }
        let ports = accepted.server_ports.filter(|_| matches!(offer, TransportOffer::Udp { .. }));
        let response = Response::ok()
            .with("Transport", transport::answer(asked, offer, ports, accepted.group, accepted.ssrc))
            .with("Session", session_header(session))
            .with("Cache-Control", "no-cache");
        Ok(match keys {
            Some(keys) => response.with("KeyMgmt", keys),
            None => response,
        })
    }
}

/// What the client says of its own key, where keys may come to be used: 463 if that cannot be read.
fn key_message(exchange: &Exchange, offers: &[(Alternative, TransportOffer)]) -> Checked<Option<Vec<u8>>> {
    let mut headers = exchange.request.headers("KeyMgmt").peekable();
    if headers.peek().is_none() || !offers.iter().any(|(_, offer)| offer.is_srtp()) {
        return Ok(None);
    }
    headers.find_map(key_mgmt::parse).map(Some).ok_or_else(|| refused(Refusal::KeyManagement))
}
