//! The Transport header (RFC 2326 §12.39).

/// Which transports a connection offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transports {
    /// RTP/AVP over UDP, unicast. Not inside TLS, or media would leave in clear.
    pub udp: bool,
    /// RTP/AVP/TCP: interleaved.
    pub tcp: bool,
}

/// One alternative of a SETUP that can be served, its channels or ports settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportOffer {
    Udp { client_rtp: u16, client_rtcp: u16 },
    Interleaved { rtp: u8, rtcp: u8 },
}
