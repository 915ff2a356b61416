use super::{Event, built, receiver_report, source_description};
use rtcp_types::{Bye, Compound, prelude::*};

/// A compound packet that ends the track `ssrc`: an empty report, a source description, and BYE (RFC 3550 §6.6).
pub fn bye(ssrc: u32, cname: &str) -> Vec<u8> {
    built(
        Compound::builder()
            .add_packet(receiver_report::empty(ssrc))
            .add_packet(source_description::cname(ssrc, cname))
            .add_packet(Bye::builder().add_source(ssrc)),
    )
}

pub(super) fn events(packet: &[u8]) -> Option<Vec<Event>> {
    Some(Bye::parse(packet).ok()?.ssrcs().map(|ssrc| Event::Bye { ssrc }).collect())
}
