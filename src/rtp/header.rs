//! The RTP header (RFC 3550 §5.1). The only file that knows `rtp-rs`.

use rtp_rs::{RtpPacketBuilder, RtpReader, Seq};

/// The fields of an RTP header without contributing sources and extensions, which Eyrie does not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// 0..=127.
    pub payload_type: u8,
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
}

impl Header {
    /// Octets of a header without contributing sources and extensions.
    pub const SIZE: usize = 12;

    /// Appends the header to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut bytes = [0; Self::SIZE];
        RtpPacketBuilder::new()
            .payload_type(self.payload_type & 0x7f)
            .marked(self.marker)
            .sequence(Seq::from(self.sequence))
            .timestamp(self.timestamp)
            .ssrc(self.ssrc)
            .build_into_unchecked(&mut bytes);
        out.extend_from_slice(&bytes);
    }

    /// Reads a whole packet: its header, and its payload without padding. Contributing sources and extensions are
    /// skipped. None if it is not well formed.
    pub fn parse(packet: &[u8]) -> Option<(Self, &[u8])> {
        let reader = RtpReader::new(packet).ok()?;
        let header = Self {
            payload_type: reader.payload_type(),
            marker: reader.mark(),
            sequence: reader.sequence_number().into(),
            timestamp: reader.timestamp(),
            ssrc: reader.ssrc(),
        };
        Some((header, reader.payload()))
    }

    /// Sets the marker bit of a packet that [`Header::write`] began.
    pub(super) fn mark(packet: &mut [u8]) {
        packet[1] |= 0x80;
    }

    /// Sets the sequence number of a packet that [`Header::write`] began.
    pub(super) fn renumber(packet: &mut [u8], sequence: u16) {
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    }
}

/// Whether `packet` can be RTP: version 2, all lengths inside it, and no payload type that stands for RTCP where the
/// two share a port (RFC 5761 §4).
pub fn is_well_formed_rtp(packet: &[u8]) -> bool {
    Header::parse(packet).is_some_and(|(header, _)| !(64..96).contains(&header.payload_type))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn writes_what_the_rfc_draws() {
        let header =
            Header { payload_type: 96, marker: true, sequence: 0x1234, timestamp: 0x5678_9abc, ssrc: 0xdef0_1234 };
        let mut packet = Vec::new();
        header.write(&mut packet);
        assert_eq!(packet, [0x80, 0xe0, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0x12, 0x34]);
        packet.extend_from_slice(b"payload");
        assert_eq!(Header::parse(&packet), Some((header, &b"payload"[..])));
        assert!(is_well_formed_rtp(&packet));
    }

    #[test]
    fn marking_changes_the_marker_alone() {
        let header = Header { payload_type: 97, marker: false, sequence: 1, timestamp: 2, ssrc: 3 };
        let mut packet = Vec::new();
        header.write(&mut packet);
        Header::mark(&mut packet);
        assert_eq!(Header::parse(&packet), Some((Header { marker: true, ..header }, &[][..])));
    }

    #[test]
    fn other_traffic_is_not_taken_for_rtp() {
        // ffmpeg 5.1 opens its NAT with an empty packet of payload type 0.
        assert!(is_well_formed_rtp(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
        // live555 opens it with 0xFEEDFACE, which is nothing.
        assert!(!is_well_formed_rtp(&[0xfe, 0xed, 0xfa, 0xce]));
        let receiver_report = [0x80, 201, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(!is_well_formed_rtp(&receiver_report));
        let stun = [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        assert!(!is_well_formed_rtp(&stun));
    }

    proptest! {
        #[test]
        fn never_panics(packet in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = is_well_formed_rtp(&packet);
        }
    }
}
