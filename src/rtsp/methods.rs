//! What each method does: the checks in the contract's order, what is asked of the worker, and what is answered.

use super::{
    Answer, Ask, Connection, Description, Method, PlayStart, Refusal, Request, Session, SessionId, SessionState,
    Sessions, StreamInfo, StreamTarget,
    headers::{accepts_sdp, option_tags, range},
    message::{MAX_URL, Version},
    response::{ALLOWED_WHILE_READY, PUBLIC, Response},
    sdp,
    setup::SetupStep,
    url::RequestUrl,
};
use crate::time::{MonoTime, WallTime};
use std::sync::Arc;

/// After 503 (RFC 2326 §12.31), in seconds.
const RETRY_AFTER: &str = "1";

/// A request that is to be served.
#[derive(Debug)]
pub(super) struct Exchange {
    pub request: Request,
    pub method: Method,
    pub url: RequestUrl,
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

pub(super) enum Outcome {
    Respond(Response),
    Ask(Ask, Step),
}

/// An early end is a response, good or bad.
pub(super) type Checked<T> = Result<T, Response>;

impl Exchange {
    /// The checks that need no knowledge: 400 414 505 501 405 551, in this order (413 is the parser's).
    pub fn check(request: &Request) -> Checked<(Method, RequestUrl)> {
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

    pub fn has_session(&self) -> bool {
        self.request.header("Session").is_some()
    }

    fn is_parameter(&self) -> bool {
        matches!(self.method, Method::GetParameter | Method::SetParameter)
    }

    pub fn track(&self) -> Option<u8> {
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
            (Step::Play(id) | Step::Pause(id), Answer::Refused(refusal @ Refusal::SessionOver)) => {
                sessions.remove(id);
                Outcome::Respond(refused(refusal))
            }
            (_, Answer::Refused(refusal)) => Outcome::Respond(refused(refusal)),
            (Step::Describe { .. } | Step::Setup(_), Answer::Elsewhere(location)) => {
                Outcome::Respond(Response::new(302).with("Location", location.as_ref()))
            }
            (Step::Authorize, Answer::Challenge(challenge)) => {
                Outcome::Respond(Response::new(401).with("WWW-Authenticate", challenge))
            }
            (Step::Authorize, Answer::Granted { user, stream }) => {
                settle(self.granted(exchange, user, stream, sessions, now))
            }
            (Step::Describe { target }, Answer::Described(description)) => {
                let response = self.described(exchange, &target, description);
                self.described = Some(target);
                Outcome::Respond(response)
            }
            (Step::Setup(setup), Answer::SetUp(accepted)) => {
                let response = self.set_up(exchange, setup, accepted, sessions, now);
                Outcome::Respond(response.unwrap_or_else(|refusal| refusal))
            }
            (Step::Play(id), Answer::Playing { starts, at }) => {
                Outcome::Respond(played(exchange, id, &starts, at, sessions))
            }
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
                if exchange.request.headers("Range").any(range::ends_before_it_starts) {
                    return Err(Response::new(457));
                }
                Ok(Outcome::Ask(Ask::Play { session }, Step::Play(session)))
            }
            Method::Pause => {
                let session = self.session(exchange, &user, stream.as_ref(), sessions, now)?;
                if session.state != SessionState::Playing {
                    return Err(Response::new(455).with("Allow", ALLOWED_WHILE_READY));
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
            .with("Content-Base", exchange.url.content_base(&self.origin))
            .with("Cache-Control", "no-cache")
            .body("application/sdp", sdp::write(&description, self.settings.local.ip()))
    }

    /// The session that the request names, if this client may control it (else 454): an interleaved one obeys its
    /// own connection alone, one over UDP also another connection of the same address and user.
    pub(super) fn session<'s>(
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
pub(super) fn named_stream(exchange: &Exchange, stream: Option<StreamInfo>) -> Checked<(StreamTarget, StreamInfo)> {
    let (Some(target), Some(mut stream)) = (exchange.url.target.clone(), stream) else {
        return Err(Response::new(404));
    };
    stream.tracks.retain(|track| !left_out(&target, track.video));
    Ok((target, stream))
}

fn left_out(target: &StreamTarget, video: bool) -> bool {
    target.leaves_out(if video { "video" } else { "audio" })
}

fn played(
    exchange: &Exchange,
    id: SessionId,
    starts: &[PlayStart],
    at: Option<WallTime>,
    sessions: &mut Sessions,
) -> Response {
    let Some(session) = sessions.get_mut(id) else { return Response::new(454) };
    session.state = SessionState::Playing;
    // Each track by the URL it was set up by: clients compare it as text.
    let info: Vec<_> = session
        .tracks
        .iter()
        .filter_map(|track| starts.iter().find(|start| start.track == track.id).map(|start| (track, start)))
        .map(|(track, start)| format!("url={};seq={};rtptime={}", track.url, start.seq, start.rtptime))
        .collect();
    // Live plays from now, in whose clock the client asked.
    let by_the_clock = exchange.request.headers("Range").any(range::is_by_the_clock);
    let range = at.filter(|_| by_the_clock).map_or("npt=now-".to_owned(), range::from);
    let mut response = Response::ok().with("Session", session_header(session)).with("Range", range);
    if !info.is_empty() {
        response = response.with("RTP-Info", info.join(","));
    }
    // Live plays at its own pace (RFC 2326 §12.34: the server states what it chose).
    if exchange.request.header("Scale").is_some() {
        response = response.with("Scale", "1.0");
    }
    response
}

pub(super) fn session_header(session: &Session) -> String {
    format!("{};timeout={}", session.id, session.timeout.as_secs())
}

pub(super) fn refused(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Forbidden => Response::new(403),
        Refusal::NotFound => Response::new(404),
        Refusal::Full => Response::new(453),
        Refusal::SessionOver => Response::new(454),
        Refusal::UnsupportedTransport => Response::new(461),
        Refusal::KeyManagement => Response::new(463),
        Refusal::NotReady => Response::new(503).with("Retry-After", RETRY_AFTER),
        Refusal::Internal => Response::new(500),
    }
}
