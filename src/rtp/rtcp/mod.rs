//! RTCP (RFC 3550 §6).

/// Whether a datagram that may be RTP or RTCP is RTCP, by its packet type (RFC 5761 §4).
pub fn is_rtcp(packet: &[u8]) -> bool {
    matches!(packet, [first, 192..=223, ..] if first >> 6 == 2)
}
