use super::{Event, ReportBlock, built, source_description};
use crate::time::NtpTime;
use rtcp_types::{Compound, SenderReport, prelude::*};
use std::ops::Range;

/// Where in a sender report the sender information is (RFC 3550 §6.4.1).
const SENDER_INFO: Range<usize> = 8..28;

/// What a sender report says (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug)]
pub struct SenderInfo<'a> {
    pub ssrc: u32,
    /// The instant of `rtp_timestamp` on the wall clock: what keeps the tracks of a stream in step.
    pub ntp: NtpTime,
    /// The instant of `ntp` on the track's clock.
    pub rtp_timestamp: u32,
    /// Sent since the beginning, modulo 2^32.
    pub packets: u32,
    /// Of payload since the beginning, modulo 2^32.
    pub octets: u32,
    /// The same for all tracks of a stream (RFC 3550 §6.5.1).
    pub cname: &'a str,
}

/// A compound packet of a sender report and a source description with its CNAME (RFC 3550 §6.1).
pub fn sender_report(info: &SenderInfo<'_>) -> Vec<u8> {
    let report = SenderReport::builder(info.ssrc)
        .ntp_timestamp(info.ntp.0)
        .rtp_timestamp(info.rtp_timestamp)
        .packet_count(info.packets)
        .octet_count(info.octets);
    built(Compound::builder().add_packet(report).add_packet(source_description::cname(info.ssrc, info.cname)))
}

/// Makes of a track's last compound packet its next, in place: all but the sender information stays.
pub fn renew_sender_report(packet: &mut [u8], info: &SenderInfo<'_>) {
    let room = packet.get_mut(SENDER_INFO).expect("a sender report is at the front");
    let (ntp, rest) = room.split_at_mut(8);
    ntp.copy_from_slice(&info.ntp.0.to_be_bytes());
    for (field, number) in rest.chunks_exact_mut(4).zip([info.rtp_timestamp, info.packets, info.octets]) {
        field.copy_from_slice(&number.to_be_bytes());
    }
}

pub(super) fn events(packet: &[u8]) -> Option<Vec<Event>> {
    let report = SenderReport::parse(packet).ok()?;
    let blocks = report.report_blocks().map(|block| Event::Block(ReportBlock::new(&block)));
    Some(std::iter::once(Event::Report { from: report.ssrc() }).chain(blocks).collect())
}
