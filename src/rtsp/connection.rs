//! One client's connection: what arrives in which order, what is open, and how long it may last. What the methods
//! mean is in `methods.rs`.

use super::{
    Answer, AskId, CloseReason, ConnectionId, Input, Method, Output, Parsed, Parser, Refusal, Request, SessionId,
    Sessions, StreamTarget, Transport, Transports,
    methods::{Exchange, Open, Outcome, refused},
    response::{self, HTTP_NOT_FOUND, Response},
};
use crate::time::MonoTime;
use bytes::Bytes;
use std::{collections::VecDeque, net::SocketAddr, time::Duration};

/// A connection without a session and without a request is closed after this long.
const IDLE: Duration = Duration::from_secs(60);
/// Without a session, a message must be complete this long after its first byte.
const REQUEST: Duration = Duration::from_secs(10);
/// What a client may send ahead while an answer is awaited.
const MAX_AHEAD: usize = 64 * 1024;
/// Interleaved frames that are passed over as long as there is no session.
const MAX_STRAY_FRAMES: u32 = 64;

/// What a connection is told when it is accepted.
#[derive(Clone, Debug)]
pub struct ConnectionSettings {
    pub id: ConnectionId,
    pub peer: SocketAddr,
    /// The server's own address on this connection: named in the SDP's origin, and in URLs to a client that asked by
    /// a relative one.
    pub local: SocketAddr,
    /// As advertised in the Session header (whole seconds).
    pub session_timeout: Duration,
    pub transports: Transports,
    /// Inside TLS: plain RTP over UDP is not offered there, for it would leave in clear.
    pub secure: bool,
    /// The Server header: `Eyrie/0.1.0`.
    pub server: String,
}

/// The server's side of one RTSP connection.
#[derive(Debug)]
pub struct Connection {
    pub(super) settings: ConnectionSettings,
    /// `rtsp://ADDRESS:PORT`, as the server knows itself.
    pub(super) origin: String,
    parser: Parser,
    outputs: VecDeque<Output>,
    /// The exchange whose ask is open.
    open: Option<(AskId, Open)>,
    last_ask: AskId,
    /// Of the server's own last request (RFC 2326 §12.17: each side counts for itself).
    last_cseq: u32,
    /// The sessions that belong to this connection; some may have ended.
    pub(super) own: Vec<SessionId>,
    /// What the last DESCRIBE led to.
    pub(super) described: Option<StreamTarget>,
    last_request: MonoTime,
    /// When the first byte of an unfinished message came.
    unfinished_since: Option<MonoTime>,
    /// Messages since [`Connection::take_asked`].
    asked: u32,
    /// More was asked than may be.
    too_much: bool,
    frames_dropped: u64,
    stray_frames: u32,
    closed: bool,
}

impl Connection {
    pub fn new(mut settings: ConnectionSettings, now: MonoTime) -> Self {
        settings.peer.set_ip(settings.peer.ip().to_canonical());
        settings.local = SocketAddr::new(settings.local.ip().to_canonical(), settings.local.port());
        let scheme = if settings.secure { "rtsps" } else { "rtsp" };
        Self {
            origin: format!("{scheme}://{}", settings.local),
            settings,
            parser: Parser::default(),
            outputs: VecDeque::new(),
            open: None,
            last_ask: AskId(0),
            last_cseq: 0,
            own: Vec::new(),
            described: None,
            last_request: now,
            unfinished_since: None,
            asked: 0,
            too_much: false,
            frames_dropped: 0,
            stray_frames: 0,
            closed: false,
        }
    }

    /// Takes an event; what follows from it waits in [`Connection::poll_output`].
    pub fn handle_input(&mut self, input: Input<'_>, sessions: &mut Sessions, now: MonoTime) {
        if self.closed {
            return;
        }
        match input {
            Input::Bytes(bytes) => {
                self.parser.push(bytes);
                self.advance(sessions, now);
            }
            Input::Answer(id, answer) => self.answered(id, answer, sessions, now),
            Input::Redirect { session, location } => self.redirect(session, location, sessions, now),
            Input::TooMuch(too_much) => self.too_much = too_much,
            Input::Timeout => self.timed_out(sessions, now),
            Input::PeerClosed => self.close(CloseReason::PeerClosed, sessions),
        }
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Timeout`] is due, if nothing comes before.
    pub fn poll_timeout(&self) -> Option<MonoTime> {
        if self.closed || self.open.is_some() {
            return None;
        }
        let idle = self.last_request + IDLE;
        Some(self.unfinished_since.map_or(idle, |since| idle.min(since + REQUEST)))
    }

    pub fn id(&self) -> ConnectionId {
        self.settings.id
    }

    /// How many messages came since this was asked last.
    pub fn take_asked(&mut self) -> u32 {
        std::mem::take(&mut self.asked)
    }

    /// Interleaved frames from the client that belonged to no session's RTCP channel.
    pub fn frames_dropped(&self) -> u64 {
        self.frames_dropped
    }

    /// Reads on until an ask is open or bytes are missing.
    fn advance(&mut self, sessions: &mut Sessions, now: MonoTime) {
        while !self.closed && self.open.is_none() {
            let own = &self.own;
            let Some(parsed) = self.parser.next(|channel| rtcp_track(own, sessions, channel).is_some()) else { break };
            self.unfinished_since = None;
            if !matches!(parsed, Parsed::Frame { .. } | Parsed::Skipped { .. }) {
                self.asked = self.asked.saturating_add(1);
            }
            match parsed {
                Parsed::Request(request) => self.request(request, sessions, now),
                Parsed::Response => self.alive(sessions, now),
                Parsed::Frame { channel, payload } => self.frame(channel, payload, sessions, now),
                Parsed::Skipped { .. } => self.frame_skipped(sessions),
                Parsed::Lost { status, cseq } => {
                    self.send(&Response::new(status), cseq, sessions, now);
                    self.close(CloseReason::BadRequest, sessions);
                }
            }
        }
        if self.open.is_some() && self.parser.pending() > MAX_AHEAD {
            self.close(CloseReason::Flood, sessions);
        } else if self.open.is_none() && self.parser.pending() > 0 {
            self.unfinished_since.get_or_insert(now);
        }
    }

    fn request(&mut self, request: Request, sessions: &mut Sessions, now: MonoTime) {
        self.alive(sessions, now);
        if request.version == super::message::Version::Http {
            self.outputs.push_back(Output::Send(Bytes::from_static(HTTP_NOT_FOUND)));
            self.close(CloseReason::Http, sessions);
            return;
        }
        if self.too_much {
            self.respond(refused(Refusal::NotReady), &request, sessions, now);
            self.close(CloseReason::TooMuch, sessions);
            return;
        }
        match Exchange::check(&request) {
            Ok((method, mut url)) => {
                if let Some(described) = &self.described {
                    url.resolve(described);
                }
                let exchange = Exchange { request, method, url };
                let outcome = self.begin(&exchange, sessions, now);
                self.carry_out(exchange, outcome, sessions, now);
            }
            Err(response) => self.respond(response, &request, sessions, now),
        }
    }

    fn answered(&mut self, id: AskId, answer: Answer, sessions: &mut Sessions, now: MonoTime) {
        let Some((_, Open { exchange, step })) = self.open.take_if(|(open, _)| *open == id) else { return };
        self.last_request = now;
        let outcome = self.go_on(&exchange, step, answer, sessions, now);
        self.carry_out(exchange, outcome, sessions, now);
        self.advance(sessions, now);
    }

    fn carry_out(&mut self, exchange: Exchange, outcome: Outcome, sessions: &mut Sessions, now: MonoTime) {
        match outcome {
            Outcome::Respond(response) => self.respond(response, &exchange.request, sessions, now),
            Outcome::Ask(ask, step) => {
                self.last_ask = AskId(self.last_ask.0 + 1);
                self.open = Some((self.last_ask, Open { exchange, step }));
                self.outputs.push_back(Output::Ask(self.last_ask, ask));
            }
        }
    }

    fn respond(&mut self, mut response: Response, request: &Request, sessions: &mut Sessions, now: MonoTime) {
        if let Some(timestamp) = request.header("Timestamp").and_then(super::headers::timestamp) {
            response = response.with("Timestamp", timestamp);
        }
        let closes = super::headers::says_close(request.headers("Connection"));
        if closes {
            response = response.with("Connection", "close");
        }
        self.send(&response, request.cseq, sessions, now);
        if closes {
            self.close(CloseReason::Requested, sessions);
        }
    }

    fn send(&mut self, response: &Response, cseq: Option<u32>, sessions: &Sessions, now: MonoTime) {
        self.outputs.push_back(Output::Send(response.encode(cseq, &self.settings.server, sessions.wall(now))));
    }

    /// RFC 2326 §10.10. A client that does not know the method says so, or nothing, and goes on as before.
    fn redirect(&mut self, id: SessionId, location: &str, sessions: &Sessions, now: MonoTime) {
        let Some(session) = sessions.get(id).filter(|session| session.connection == Some(self.settings.id)) else {
            return;
        };
        self.last_cseq += 1;
        let headers = [("Session", id.to_string()), ("Location", location.to_owned())];
        let request = response::request(Method::Redirect, &session.url, self.last_cseq, sessions.wall(now), &headers);
        self.outputs.push_back(Output::Send(request));
    }

    fn frame(&mut self, channel: u8, payload: Bytes, sessions: &mut Sessions, now: MonoTime) {
        let Some((session, track)) = rtcp_track(&self.own, sessions, channel) else { return };
        // Version 2, sender or receiver report (RFC 3550 §6.4): the first packet of every compound.
        if payload.len() >= 8 && payload[0] >> 6 == 2 && matches!(payload[1], 200 | 201) {
            sessions.touch(session, now);
        }
        self.outputs.push_back(Output::Interleaved { session, track, channel, payload });
    }

    fn frame_skipped(&mut self, sessions: &mut Sessions) {
        self.frames_dropped += 1;
        if self.owns_session(sessions) {
            return;
        }
        self.stray_frames += 1;
        if self.stray_frames > MAX_STRAY_FRAMES {
            self.close(CloseReason::Flood, sessions);
        }
    }

    /// A request, whatever it says and whether its credentials are stale, shows that the client of this connection's
    /// sessions is there.
    fn alive(&mut self, sessions: &mut Sessions, now: MonoTime) {
        self.last_request = now;
        self.own.iter().for_each(|id| sessions.touch(*id, now));
    }

    fn owns_session(&mut self, sessions: &Sessions) -> bool {
        self.own.retain(|id| sessions.get(*id).is_some());
        !self.own.is_empty()
    }

    fn timed_out(&mut self, sessions: &mut Sessions, now: MonoTime) {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return;
        }
        if self.owns_session(sessions) {
            // The session's own time-out decides, which media and reports put off too.
            self.last_request = now;
            self.unfinished_since = self.unfinished_since.map(|_| now);
        } else if self.unfinished_since.is_some_and(|since| since + REQUEST <= now) {
            self.send(&Response::new(408), None, sessions, now);
            self.close(CloseReason::SlowRequest, sessions);
        } else {
            self.close(CloseReason::Idle, sessions);
        }
    }

    /// Interleaved sessions end here; those over UDP live on without a connection.
    fn close(&mut self, reason: CloseReason, sessions: &mut Sessions) {
        if self.closed {
            return;
        }
        self.closed = true;
        self.open = None;
        self.parser = Parser::default();
        for id in std::mem::take(&mut self.own) {
            match sessions.get_mut(id) {
                Some(session) if !session.is_interleaved() => session.connection = None,
                _ => self.outputs.extend(sessions.remove(id).map(|session| Output::SessionEnded(Box::new(session)))),
            }
        }
        self.outputs.push_back(Output::Close { reason });
    }
}

/// The session and track whose RTCP travels on this channel of the connection.
fn rtcp_track(own: &[SessionId], sessions: &Sessions, channel: u8) -> Option<(SessionId, u8)> {
    own.iter().filter_map(|id| sessions.get(*id)).find_map(|session| {
        let listens = |transport| matches!(transport, Transport::Interleaved { rtcp, .. } if rtcp == channel);
        session.tracks.iter().find(|track| listens(track.transport)).map(|track| (session.id, track.id))
    })
}
