//! RTCP (RFC 3550 §6): compound packets, one file per packet type. The only room that knows `rtcp-types`.

mod bye;
mod feedback;
mod receiver_report;
mod report_block;
mod sender_report;
mod source_description;

pub use bye::bye;
pub use report_block::ReportBlock;
pub use sender_report::{SenderInfo, renew_sender_report, sender_report};

use rtcp_types::prelude::*;
use rtcp_types::{Bye, CompoundBuilder, PayloadFeedback, ReceiverReport, SenderReport};

/// No more events than this are taken from one compound packet. A receiver of two tracks makes about four.
pub const MAX_EVENTS: usize = 64;
/// Version, count, packet type and length, which begin every packet (RFC 3550 §6.4.1).
const HEADER: usize = 4;

/// What a compound packet says, as far as a sender of media is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A sender or receiver report came, maybe without blocks: its sender is alive.
    Report {
        /// Its sender's SSRC.
        from: u32,
    },
    /// What the sender of the last [`Event::Report`] received.
    Block(ReportBlock),
    /// The decoder lost a picture (RFC 4585 §6.3.1).
    PictureLoss {
        /// Of the track.
        ssrc: u32,
    },
    /// A full intra request (RFC 5104 §4.3.1).
    FullIntra {
        /// Of the track.
        ssrc: u32,
        /// The same again is the same request, repeated.
        sequence: u8,
    },
    /// A receiver leaves.
    Bye { ssrc: u32 },
}

/// Whether a datagram that may be RTP or RTCP is RTCP, by its packet type (RFC 5761 §4).
pub fn is_rtcp(packet: &[u8]) -> bool {
    matches!(packet, [first, 192..=223, ..] if first >> 6 == 2)
}

/// Whether `packet` is RTCP all through: whole packets one after the other, those of a known type well formed.
pub fn is_well_formed(packet: &[u8]) -> bool {
    let mut rest = packet;
    while !rest.is_empty() {
        let Some((first, after)) = split(rest) else { return false };
        if events(first).is_none() {
            return false;
        }
        rest = after;
    }
    !packet.is_empty()
}

/// What a compound packet says, in its order. Packets of other types are passed over, as are malformed ones; the rest
/// of it is too where no packet begins. Reduced-size packets are taken as well (RFC 5506).
pub fn parse(packet: &[u8]) -> Vec<Event> {
    let mut found = Vec::new();
    let mut rest = packet;
    while let Some((first, after)) = split(rest) {
        found.extend(events(first).unwrap_or_default());
        if found.len() >= MAX_EVENTS {
            found.truncate(MAX_EVENTS);
            break;
        }
        rest = after;
    }
    found
}

/// The first packet of a compound one, and what follows.
fn split(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    if !is_rtcp(rest) || rest.len() < HEADER {
        return None;
    }
    let length = HEADER + 4 * usize::from(u16::from_be_bytes([rest[2], rest[3]]));
    rest.split_at_checked(length)
}

/// None if `packet` is of a known type and malformed.
fn events(packet: &[u8]) -> Option<Vec<Event>> {
    match packet[1] {
        SenderReport::PACKET_TYPE => sender_report::events(packet),
        ReceiverReport::PACKET_TYPE => receiver_report::events(packet),
        PayloadFeedback::PACKET_TYPE => feedback::events(packet),
        Bye::PACKET_TYPE => bye::events(packet),
        _ => Some(Vec::new()),
    }
}

/// The bytes of a compound packet whose parts were made within their bounds.
fn built(compound: CompoundBuilder<'_>) -> Vec<u8> {
    let size = compound.calculate_size().expect("the makers keep all counts and lengths within RTCP's bounds");
    let mut bytes = vec![0; size];
    compound.write_into_unchecked(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests;
