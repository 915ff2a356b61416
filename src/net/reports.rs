//! Sender reports: when they are due, and what they say.

use crate::{
    rtp::{PacketBatch, rtcp},
    time::{MonoTime, RtpClock, WallClock},
};
use std::time::Duration;

/// RFC 3550 §6.2 asks for five seconds at most; a little less, for they are only looked at when media goes out.
const INTERVAL: Duration = Duration::from_millis(4500);

/// What sender reports of all viewers share.
pub struct ReportContext<'a> {
    pub now: MonoTime,
    pub wall: &'a WallClock,
    pub cname: &'a str,
}

/// When one viewer's track got its last sender report.
#[derive(Debug, Default)]
pub struct ReportTimer {
    last: Option<MonoTime>,
}

impl ReportTimer {
    /// The report to send before `batch`, if one is due: with the first packet, then at least every five seconds.
    pub fn due(&mut self, batch: &PacketBatch, clock_rate: u32, context: &ReportContext<'_>) -> Option<Vec<u8>> {
        if self.last.is_some_and(|last| context.now.since(last) < INTERVAL) {
            return None;
        }
        self.last = Some(context.now);
        Some(sender_report(batch, clock_rate, context))
    }
}

/// A compound of sender report and CNAME. Its two clocks name one instant, now: the RTP timestamp is carried on from the
/// batch's by the time since its capture.
fn sender_report(batch: &PacketBatch, clock_rate: u32, context: &ReportContext<'_>) -> Vec<u8> {
    let age = context.now.signed_nanos_since(batch.stamp());
    let ticks = RtpClock::new(clock_rate, 0).ticks(age);
    rtcp::sender_report(&rtcp::SenderInfo {
        ssrc: batch.ssrc(),
        ntp: context.wall.wall(context.now).ntp(),
        rtp_timestamp: batch.timestamp().wrapping_add_signed(ticks),
        packets: batch.packets_before(),
        octets: batch.octets_before(),
        cname: context.cname,
    })
}
