//! RTSP 1.0 (RFC 2326): messages, headers, SDP, and the server's connection and session state machines. Bytes and
//! events in, bytes and actions out: no socket, task, clock or map of streams lives here.
//!
//! A worker drives it so:
//!
//! 1. One [`Sessions`] per worker; one [`Connection`] per accepted TCP connection (or tunnel), with a
//!    [`ConnectionId`] that the worker never gives twice.
//! 2. Bytes that were read go in as [`Input::Bytes`], in order and cut anywhere, at most 32 kB at once (64 kB
//!    behind an open ask are a flood). After each call of [`Connection::handle_input`] the worker takes
//!    [`Connection::poll_output`] until it is empty:
//!    - [`Output::Send`]: one whole message; it goes out at the next packet boundary.
//!    - [`Output::Ask`]: something only the worker can know or do. It answers, now or later, with
//!      [`Input::Answer`] and the same [`AskId`]; [`Ask`] says which [`Answer`] fits. At most one ask of a connection
//!      is open at a time, and nothing of the connection moves on before its answer: pipelined requests and
//!      interleaved frames behind it wait (bounded). So an answer must come in bounded time.
//!    - [`Output::Interleaved`]: RTCP from the client on a channel that one of this connection's sessions set up.
//!    - [`Output::SessionEnded`]: this session ended with its connection; its viewer stops.
//!    - [`Output::Close`]: write what is queued, then close. Nothing follows it.
//! 3. When [`Connection::poll_timeout`] is due: [`Input::Timeout`]. When the peer closed or the socket failed:
//!    [`Input::PeerClosed`], then the outputs once more (sessions end), then the `Connection` is dropped. An ask that
//!    is open then needs no answer; what the worker began for it, it takes back.
//! 4. The worker calls [`Sessions::touch`] on RTCP from a UDP viewer and when an interleaved viewer took media;
//!    everything that comes through a `Connection` touches by itself. When [`Sessions::poll_timeout`] is due,
//!    [`Sessions::expired`] hands out the sessions whose time is over, already removed. The worker may also end a
//!    session itself: [`Sessions::remove`].
//! 5. PLAY: on [`Ask::Play`] the worker finds the access unit the viewer begins with, answers
//!    [`Answer::Playing`], sends the outputs that follow, and only then starts the viewer (it may already run: PLAY
//!    while playing is legal). Where each track goes stands in [`Session::tracks`]; which state the session is in,
//!    in [`Session::state`]. On [`Ask::Pause`] the viewer stops and its outlets stay, on [`Ask::Teardown`] both go.
//! 6. A viewer that should go elsewhere: [`Input::Redirect`] to the connection that its session belongs to. What the
//!    client answers is a sign of life and no more; one that understands sends TEARDOWN.
//!
//! A session over UDP outlives its connection until its time-out; one with an interleaved track ends with it.
//!
//! A connection may be a [`tunnel`], whose ends a worker joins.
//!
//! Refusals come in the order 400 413 414 505 501 405 551, then 401, 404, 403, 454, 455, 459–461; then what
//! the worker has to say: 302, 453, 461, 463, 503.

mod ask;
mod connection;
mod headers;
mod message;
mod methods;
mod response;
mod sdp;
mod session;
mod setup;
pub mod tunnel;
mod url;

#[cfg(test)]
mod tests;

pub use ask::{
    Accepted, Answer, Ask, AskId, CloseReason, DescribedTrack, Description, Input, Output, PlayStart, Refusal,
    SetupAsk, StreamInfo, TrackInfo,
};
pub use connection::{Connection, ConnectionSettings};
pub use headers::transport::{Group, TransportOffer, Transports};
pub use message::{Method, Parsed, Parser, Request};
pub use response::HTTP_NOT_FOUND;
pub use session::{ConnectionId, Session, SessionId, SessionState, SessionTrack, Sessions, Transport};
pub use url::{StreamTarget, same_target};

/// Reads one header value in every way this room does: the door for a fuzz target. Must return for any text.
#[doc(hidden)]
pub fn read_header_value(value: &str) {
    headers::transport::parse(value);
    headers::key_mgmt::parse(value);
    headers::range::ends_before_it_starts(value);
    headers::range::is_by_the_clock(value);
    headers::accepts_sdp(std::iter::once(value));
    headers::option_tags(std::iter::once(value));
    headers::timestamp(value);
}
