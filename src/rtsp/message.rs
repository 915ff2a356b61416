//! Messages on the wire (RFC 2326 §4–7, §10.12).

/// The methods of RFC 2326 §10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Options,
    Describe,
    Setup,
    Play,
    Pause,
    Teardown,
    GetParameter,
    SetParameter,
    Announce,
    Record,
    Redirect,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {}

/// What a parser found.
#[derive(Clone, Debug)]
pub enum Parsed {}

/// Takes messages out of a stream of bytes.
#[derive(Debug, Default)]
pub struct Parser {}
