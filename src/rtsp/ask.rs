//! What goes into a connection and what comes out of it.

use super::{Group, Method, Session, SessionId, StreamTarget, TransportOffer};
use crate::{media::TrackFormat, time::WallTime};
use bytes::Bytes;
use std::{fmt, sync::Arc};

/// What happened to a connection.
#[derive(Debug)]
pub enum Input<'a> {
    /// Read from the peer, cut anywhere.
    Bytes(&'a [u8]),
    /// The answer to an [`Ask`]. One that nobody waits for is ignored.
    Answer(AskId, Answer),
    /// Tell the client of this session, which belongs to the connection, to go on at `location`, an absolute URL.
    Redirect { session: SessionId, location: &'a str },
    /// Whether the client has asked for too much lately: then its next request gets 503, and the connection is closed.
    TooMuch(bool),
    /// The time that [`super::Connection::poll_timeout`] named has come.
    Timeout,
    /// The peer closed, or the socket failed.
    PeerClosed,
}

/// What the worker is to do, in this order.
#[derive(Debug)]
pub enum Output {
    /// One whole message for the peer.
    Send(Bytes),
    /// To be answered by [`Input::Answer`] with this id.
    Ask(AskId, Ask),
    /// An RTCP packet from the client on a session's channel. Receiver and sender reports have already counted as a
    /// sign of life.
    Interleaved { session: SessionId, track: u8, channel: u8, payload: Bytes },
    /// The session ended with its connection, and is no longer in [`super::Sessions`].
    SessionEnded(Box<Session>),
    /// Send what is queued, then close.
    Close { reason: CloseReason },
}

/// Ties an [`Answer`] to its [`Ask`], within one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AskId(pub u64);

/// What a connection cannot know by itself. Every ask may also be answered by [`Answer::Refused`].
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// May this request be served? Answer: [`Answer::Granted`] or [`Answer::Challenge`]; refusals `NotFound` and
    /// `Forbidden`. Who is not logged in gets the challenge whether the stream exists or not.
    Authorize {
        method: Method,
        /// As the client sent it, for [`super::same_target`] against the `uri` of its digest.
        url: String,
        /// None for `*`, which names the server.
        target: Option<StreamTarget>,
        /// The value of the Authorization header.
        authorization: Option<String>,
    },
    /// Answer: [`Answer::Described`].
    Describe { target: StreamTarget, stream: Arc<str>, user: Option<Arc<str>> },
    /// Take up one track's transport. Answer: [`Answer::SetUp`]; refusal `KeyManagement` if the client's key is none.
    Setup(SetupAsk),
    /// Answer: [`Answer::Playing`]. Comes for a playing session too. Refusal `SessionOver`: the session is removed.
    Play { session: SessionId },
    /// Answer: [`Answer::Done`]. Refusal `SessionOver`: the session is removed.
    Pause { session: SessionId },
    /// Stop the viewer (RTCP BYE goes out before the response). Answer: [`Answer::Done`], whereupon the session is
    /// removed.
    Teardown { session: SessionId },
}

/// The transport of one track, as a client wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct SetupAsk {
    /// New, or one that is already in [`super::Sessions`] (another track, or the same one anew).
    pub session: SessionId,
    pub stream: Arc<str>,
    pub track: u8,
    pub user: Option<Arc<str>>,
    /// Those of the client's alternatives that are on offer here, in the client's order; never empty.
    pub transports: Vec<TransportOffer>,
    /// The client's own MIKEY message (RFC 4567), if it sent one: under that key it sends RTCP.
    pub key_message: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Granted {
        /// None: anonymous.
        user: Option<Arc<str>>,
        /// The stream that the target names; None only where there was no target.
        stream: Option<StreamInfo>,
    },
    /// The value of WWW-Authenticate (401).
    Challenge(String),
    Described(Description),
    SetUp(Accepted),
    Playing {
        /// One for each track of the session that has media to come.
        starts: Vec<PlayStart>,
        /// When what is sent first was taken; None while the clock cannot tell.
        at: Option<WallTime>,
    },
    Done,
    /// 302: the stream takes no further viewers, but this URL does.
    Elsewhere(Arc<str>),
    Refused(Refusal),
}

/// Why an ask was not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 403: logged in, but without the right; or locked out.
    Forbidden,
    /// 404
    NotFound,
    /// 453: the stream takes no further viewers, and nobody else does in its place.
    Full,
    /// 454: the session's viewer has left, by RTCP BYE.
    SessionOver,
    /// 461: none of the offers can be taken.
    UnsupportedTransport,
    /// 463: the client's keys cannot be taken (RFC 4567).
    KeyManagement,
    /// 503 with Retry-After: the stream has no picture yet, or a cap of the server is reached.
    NotReady,
    /// 500
    Internal,
}

/// The stream that a request leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its own name, whatever alias the client used.
    pub name: Arc<str>,
    pub tracks: Vec<TrackInfo>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackInfo {
    /// `n` of `trackID=n`: video 0, audio 1, or audio 0 where the stream has no video.
    pub id: u8,
    pub video: bool,
}

/// What a session description is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// Shown as the session's name (`s=`).
    pub name: String,
    /// Of `o=`: the same as long as the stream lives (RFC 4566 §5.2).
    pub session_id: u64,
    /// Of `o=`: raised whenever anything in the description changes.
    pub version: u64,
    /// All tracks of the stream; `?audio=0` and `?video=0` are seen to here.
    pub tracks: Vec<DescribedTrack>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribedTrack {
    pub id: u8,
    pub format: TrackFormat,
    /// Of the group, where the client asked for it (`?multicast`) and there is one.
    pub group: Option<Group>,
    /// The MIKEY message with its key, where the profile is RTP/SAVP.
    pub key_message: Option<Vec<u8>>,
}

/// A transport that was taken up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Which of the ask's `transports`.
    pub chosen: usize,
    /// UDP: the server's RTP and RTCP port.
    pub server_ports: Option<(u16, u16)>,
    /// Multicast: where to.
    pub group: Option<Group>,
    /// Of the packets to come.
    pub ssrc: u32,
    /// RTP/SAVP: the MIKEY message with their key.
    pub key_message: Option<Vec<u8>>,
}

/// Where a track begins: RTP-Info (RFC 2326 §12.33).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayStart {
    pub track: u8,
    /// Of the first packet that will be sent.
    pub seq: u16,
    pub rtptime: u32,
}

/// Why the server closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer did so first.
    PeerClosed,
    /// The client asked for it (`Connection: close`).
    Requested,
    /// No request for a while, and no session.
    Idle,
    /// A request was begun and not finished in time.
    SlowRequest,
    /// Where the next message begins cannot be known any more.
    BadRequest,
    /// More was sent ahead than is kept.
    Flood,
    /// More was asked than may be.
    TooMuch,
    /// An HTTP request that opens no tunnel.
    Http,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PeerClosed => "closed by the peer",
            Self::Requested => "as the client asked",
            Self::Idle => "idle without a session",
            Self::SlowRequest => "a request took too long to arrive",
            Self::BadRequest => "not understood",
            Self::Flood => "too much sent ahead",
            Self::TooMuch => "too many requests",
            Self::Http => "an HTTP request that opens no tunnel",
        })
    }
}
