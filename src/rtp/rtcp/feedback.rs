use super::Event;
use rtcp_types::{Fir, PayloadFeedback, Pli, prelude::*};

/// Payload-specific feedback (RFC 4585 §6.3): picture loss, and the full intra request of RFC 5104 §4.3.1. Other
/// messages give nothing.
pub(super) fn events(packet: &[u8]) -> Option<Vec<Event>> {
    let feedback = PayloadFeedback::parse(packet).ok()?;
    if feedback.parse_fci::<Pli>().is_ok() {
        return Some(vec![Event::PictureLoss { ssrc: feedback.media_ssrc() }]);
    }
    let Ok(request) = feedback.parse_fci::<Fir<'_>>() else { return Some(Vec::new()) };
    Some(request.entries().map(|entry| Event::FullIntra { ssrc: entry.ssrc(), sequence: entry.sequence() }).collect())
}
