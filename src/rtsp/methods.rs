//! What each method does: the checks in the contract's order, what is asked of the worker, and what is answered.

use super::{
    Accepted, Answer, Ask, Connection, Description, Method, PlayStart, Refusal, Request, Session, SessionId,
    SessionState, SessionTrack, Sessions, StreamInfo, StreamTarget, Transport, TransportOffer,
    headers::{
        accepts_sdp, option_tags,
        range::ends_before_it_starts,
        transport::{self, Alternative, Lower},
    },
    message::{MAX_URL, Version},
    response::{PUBLIC, Response},
    sdp,
    url::RequestUrl,
};
use crate::time::MonoTime;
use std::sync::Arc;

/// Sessions that one connection may hold.
const MAX_SESSIONS: usize = 32;
/// After 503 (RFC 2326 §12.31), in seconds.
const RETRY_AFTER: &str = "1";

/// A request that is to be served.
#[derive(Debug)]
pub(super) struct Exchange {
    pub request: Request,
    method: Method,
    url: RequestUrl,
}

/// What an open ask is part of.
#[derive(Debug)]
pub(super) struct Open {
    pub exchange: Exchange,
    pub step: Step,
}

#[derive(Debug)]
pub(super) enum Step {
    Authorize,
    Describe { target: StreamTarget },
    Setup(SetupStep),
    Play(SessionId),
    Pause(SessionId),
    Teardown(SessionId),
}

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

pub(super) enum Outcome {
    Respond(Response),
    Ask(Ask, Step),
}

/// An early end is a response, good or bad.
type Checked<T> = Result<T, Response>;

impl Exchange {
    /// The checks that need no knowledge: 400 414 505 501 405 551, in this order (413 is the parser's).
    pub fn begin(request: Request) -> Result<Self, (Response, Request)> {
        match Self::check(&request) {
            Ok((method, url)) => Ok(Self { request, method, url }),
            Err(response) => Err((response, request)),
        }
    }

    fn check(request: &Request) -> Checked<(Method, RequestUrl)> {
        let url = RequestUrl::parse(&request.url).filter(|_| !request.malformed && request.cseq.is_some());
        let url = url.ok_or_else(|| Response::new(400))?;
        if request.url.len() > MAX_URL {
            return Err(Response::new(414));
        }
        if request.version != Version::Rtsp1 {
            return Err(Response::new(505));
        }
        let method = request.method.ok_or_else(|| Response::new(501).with("Public", PUBLIC))?;
        if matches!(method, Method::Announce | Method::Record | Method::Redirect) {
            return Err(Response::new(405).with("Allow", PUBLIC));
        }
        // No option is supported, so whatever is required is not.
        let required = option_tags(request.headers("Require").chain(request.headers("Proxy-Require")));
        if !required.is_empty() {
            return Err(Response::new(551).with("Unsupported", required.join(", ")));
        }
        Ok((method, url))
    }

    /// The Session header's id. Some clients send its parameters back.
    fn session_id(&self) -> Checked<SessionId> {
        let value = self.request.header("Session").unwrap_or_default();
        let id = value.split(';').next().unwrap_or_default().trim();
        id.parse().map_err(|_| Response::new(454))
    }

    fn has_session(&self) -> bool {
        self.request.header("Session").is_some()
    }

    fn is_parameter(&self) -> bool {
        matches!(self.method, Method::GetParameter | Method::SetParameter)
    }

    fn track(&self) -> Option<u8> {
        self.url.target.as_ref().and_then(|target| target.track)
    }
}

impl Connection {
    /// The first step: most requests need leave.
    pub(super) fn begin(&mut self, exchange: &Exchange, sessions: &mut Sessions, now: MonoTime) -> Outcome {
        if exchange.method == Method::Options {
            return Outcome::Respond(Response::ok().with("Public", PUBLIC));
        }
        if self.needs_no_credentials(exchange, sessions) {
            return settle(self.granted(exchange, None, None, sessions, now));
        }
        let mut target = exchange.url.target.clone();
        if exchange.is_parameter() {
            // Keep-alives are sent to `rtsp://host/` too, which names no stream.
            target = target.filter(|target| !target.path.is_empty());
        }
        let ask = Ask::Authorize {
            method: exchange.method,
            url: exchange.request.url.clone(),
            target,
            authorization: exchange.request.header("Authorization").map(str::to_owned),
        };
        Outcome::Ask(ask, Step::Authorize)
    }

    /// Leave was given on this connection when its session was set up; what controls that session alone needs it
    /// no second time. Credentials that are sent are looked at all the same.
    fn needs_no_credentials(&mut self, exchange: &Exchange, sessions: &Sessions) -> bool {
        if exchange.request.header("Authorization").is_some() {
            return false;
        }
        let names = |session: &Session| {
            exchange.url.target.as_ref().is_none_or(|target| target.path == session.path)
                || (exchange.is_parameter() && exchange.url.target.as_ref().is_some_and(|t| t.path.is_empty()))
        };
        let mut own = self.own.iter().filter_map(|id| sessions.get(*id)).filter(|session| names(session));
        match exchange.method {
            Method::GetParameter | Method::SetParameter if !exchange.has_session() => own.next().is_some(),
            Method::GetParameter | Method::SetParameter | Method::Play | Method::Pause | Method::Teardown => {
                exchange.session_id().is_ok_and(|id| own.any(|session| session.id == id))
            }
            _ => false,
        }
    }

    /// What the worker's answer to an open ask leads to.
    pub(super) fn go_on(
        &mut self,
        exchange: &Exchange,
        step: Step,
        answer: Answer,
        sessions: &mut Sessions,
        now: MonoTime,
    ) -> Outcome {
        match (step, answer) {
            // The session ends, whatever became of its viewer.
            (Step::Teardown(id), _) => {
                sessions.remove(id);
                Outcome::Respond(Response::ok())
            }
            (_, Answer::Refused(refusal)) => Outcome::Respond(refused(refusal)),
            (Step::Authorize, Answer::Challenge(challenge)) => {
                Outcome::Respond(Response::new(401).with("WWW-Authenticate", challenge))
            }
            (Step::Authorize, Answer::Granted { user, stream }) => {
                settle(self.granted(exchange, user, stream, sessions, now))
            }
            (Step::Describe { target }, Answer::Described(description)) => {
                Outcome::Respond(self.described(exchange, &target, description))
            }
            (Step::Setup(setup), Answer::SetUp(accepted)) => {
                let response = self.set_up(exchange, setup, accepted, sessions, now);
                Outcome::Respond(response.unwrap_or_else(|refusal| refusal))
            }
            (Step::Play(id), Answer::Playing(starts)) => Outcome::Respond(played(exchange, id, &starts, sessions)),
            (Step::Pause(id), Answer::Done) => Outcome::Respond(match sessions.get_mut(id) {
                Some(session) => {
                    session.state = SessionState::Ready;
                    Response::ok().with("Session", session_header(session))
                }
                None => Response::new(454),
            }),
            // An answer to something else: the worker's fault, not the client's.
            _ => Outcome::Respond(Response::new(500)),
        }
    }

    /// The request may be served: on to what its method asks for.
    fn granted(
        &mut self,
        exchange: &Exchange,
        user: Option<Arc<str>>,
        stream: Option<StreamInfo>,
        sessions: &mut Sessions,
        now: MonoTime,
    ) -> Checked<Outcome> {
        match exchange.method {
            Method::Describe => {
                let (target, stream) = named_stream(exchange, stream)?;
                if stream.tracks.is_empty() {
                    return Err(Response::new(404));
                }
                if !accepts_sdp(exchange.request.headers("Accept")) {
                    return Err(Response::new(406));
                }
                let ask = Ask::Describe { target: target.clone(), stream: stream.name, user };
                Ok(Outcome::Ask(ask, Step::Describe { target }))
            }
            Method::Setup => self.setup(exchange, user, stream, sessions, now),
            Method::Play => {
                let session = self.session(exchange, &user, stream.as_ref(), sessions, now)?.id;
                if exchange.request.headers("Range").any(ends_before_it_starts) {
                    return Err(Response::new(457));
                }
                Ok(Outcome::Ask(Ask::Play { session }, Step::Play(session)))
            }
            Method::Pause => {
                let session = self.session(exchange, &user, stream.as_ref(), sessions, now)?;
                if session.state != SessionState::Playing {
                    return Err(Response::new(455));
                }
                if exchange.track().is_some() && session.tracks.len() > 1 {
                    return Err(Response::new(460));
                }
                Ok(Outcome::Ask(Ask::Pause { session: session.id }, Step::Pause(session.id)))
            }
            Method::Teardown => {
                let session = self.session(exchange, &user, stream.as_ref(), sessions, now)?.id;
                Ok(Outcome::Ask(Ask::Teardown { session }, Step::Teardown(session)))
            }
            _ => self.parameter(exchange, &user, sessions, now).map(Outcome::Respond),
        }
    }

    /// GET_PARAMETER and SET_PARAMETER: the keep-alive. There are no parameters (RFC 2326 §10.8, §10.9).
    fn parameter(
        &mut self,
        exchange: &Exchange,
        user: &Option<Arc<str>>,
        sessions: &mut Sessions,
        now: MonoTime,
    ) -> Checked<Response> {
        let session = match exchange.has_session() {
            true => Some(session_header(self.session(exchange, user, None, sessions, now)?)),
            false => None,
        };
        let asks_for_none = exchange.request.body.iter().all(u8::is_ascii_whitespace);
        let response = Response::new(if asks_for_none { 200 } else { 451 });
        Ok(match session {
            Some(header) => response.with("Session", header),
            None => response,
        })
    }

    fn described(&self, exchange: &Exchange, target: &StreamTarget, mut description: Description) -> Response {
        description.tracks.retain(|track| !left_out(target, track.format.is_video()));
        Response::ok()
            .with("Content-Base", exchange.url.content_base(self.settings.local))
            .with("Cache-Control", "no-cache")
            .body("application/sdp", sdp::write(&description, self.settings.local))
    }

    fn setup(
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
            return Err(Response::new(455));
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
        let live = self.own.iter().filter(|id| sessions.get(**id).is_some()).count();
        if existing.is_none() && live >= MAX_SESSIONS {
            return Err(refused(Refusal::NotReady));
        }
        let session = match existing {
            Some(session) => session,
            None => SessionId::random().map_err(|_| Response::new(500))?,
        };
        let ask = Ask::Setup {
            session,
            stream: stream.name.clone(),
            track,
            user: user.clone(),
            transports: offers.iter().map(|(_, offer)| *offer).collect(),
        };
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
            .filter_map(|alternative| {
                let offer = match alternative.lower {
                    Lower::Udp { rtp, rtcp, .. } if offered.udp => {
                        TransportOffer::Udp { client_rtp: rtp, client_rtcp: rtcp }
                    }
                    Lower::Tcp { channels } if offered.tcp => {
                        let (rtp, rtcp) = channels.filter(free).or_else(any_free)?;
                        TransportOffer::Interleaved { rtp, rtcp }
                    }
                    _ => return None,
                };
                Some((alternative, offer))
            })
            .collect()
    }

    fn set_up(
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
            TransportOffer::Udp { client_rtp, client_rtcp } => Transport::Udp { peer, client_rtp, client_rtcp },
            TransportOffer::Interleaved { rtp, rtcp } => {
                Transport::Interleaved { connection: self.settings.id, rtp, rtcp }
            }
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
                path: exchange.url.target.as_ref().map(|target| target.path.clone()).unwrap_or_default(),
                timeout: self.settings.session_timeout,
            });
        }
        // It may have ended while the worker was asked.
        let session = sessions.get_mut(setup.session).ok_or_else(|| Response::new(454))?;
        let url = exchange.url.track_url(self.settings.local);
        let track = SessionTrack { id: setup.track, transport, url };
        match session.tracks.iter_mut().find(|other| other.id == setup.track) {
            Some(other) => *other = track,
            None => session.tracks.push(track),
        }
        let ports = accepted.server_ports.filter(|_| matches!(offer, TransportOffer::Udp { .. }));
        Ok(Response::ok()
            .with("Transport", transport::answer(asked, offer, ports, accepted.ssrc))
            .with("Session", session_header(session))
            .with("Cache-Control", "no-cache"))
    }

    /// The session that the request names, if this client may control it (else 454): an interleaved one obeys its
    /// own connection alone, one over UDP also another connection of the same address and user.
    fn session<'s>(
        &mut self,
        exchange: &Exchange,
        user: &Option<Arc<str>>,
        stream: Option<&StreamInfo>,
        sessions: &'s mut Sessions,
        now: MonoTime,
    ) -> Checked<&'s Session> {
        let id = exchange.session_id()?;
        let session = sessions.get_mut(id).ok_or_else(|| Response::new(454))?;
        let own = session.connection == Some(self.settings.id);
        let same_client = !session.is_interleaved() && session.peer == self.settings.peer.ip() && session.user == *user;
        let same_stream = stream.is_none_or(|stream| stream.name == session.stream);
        if !(own || same_client) || !same_stream {
            return Err(Response::new(454));
        }
        session.last_activity = session.last_activity.max(now);
        if session.connection.is_none() {
            // Its own connection is gone; it belongs to this one from now on.
            session.connection = Some(self.settings.id);
            self.own.push(id);
        }
        Ok(session)
    }
}

fn settle(checked: Checked<Outcome>) -> Outcome {
    checked.unwrap_or_else(Outcome::Respond)
}

/// The stream that the URL names, without the tracks that its query leaves out. 404 for `*`.
fn named_stream(exchange: &Exchange, stream: Option<StreamInfo>) -> Checked<(StreamTarget, StreamInfo)> {
    let (Some(target), Some(mut stream)) = (exchange.url.target.clone(), stream) else {
        return Err(Response::new(404));
    };
    stream.tracks.retain(|track| !left_out(&target, track.video));
    Ok((target, stream))
}

fn left_out(target: &StreamTarget, video: bool) -> bool {
    target.leaves_out(if video { "video" } else { "audio" })
}

fn played(exchange: &Exchange, id: SessionId, starts: &[PlayStart], sessions: &mut Sessions) -> Response {
    let Some(session) = sessions.get_mut(id) else { return Response::new(454) };
    session.state = SessionState::Playing;
    // Each track by the URL it was set up by: clients compare it as text.
    let info: Vec<_> = session
        .tracks
        .iter()
        .filter_map(|track| starts.iter().find(|start| start.track == track.id).map(|start| (track, start)))
        .map(|(track, start)| format!("url={};seq={};rtptime={}", track.url, start.seq, start.rtptime))
        .collect();
    let mut response = Response::ok().with("Session", session_header(session)).with("Range", "npt=now-");
    if !info.is_empty() {
        response = response.with("RTP-Info", info.join(","));
    }
    // Live plays at its own pace (RFC 2326 §12.34: the server states what it chose).
    if exchange.request.header("Scale").is_some() {
        response = response.with("Scale", "1.0");
    }
    response
}

fn session_header(session: &Session) -> String {
    format!("{};timeout={}", session.id, session.timeout.as_secs())
}

fn refused(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Forbidden => Response::new(403),
        Refusal::NotFound => Response::new(404),
        Refusal::Full => Response::new(453),
        Refusal::UnsupportedTransport => Response::new(461),
        Refusal::NotReady => Response::new(503).with("Retry-After", RETRY_AFTER),
        Refusal::Internal => Response::new(500),
    }
}
