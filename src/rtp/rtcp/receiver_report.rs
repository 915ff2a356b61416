use super::{Event, ReportBlock};
use rtcp_types::{ReceiverReport, ReceiverReportBuilder, prelude::*};

/// A report without blocks, which begins a compound packet that has nothing to report (RFC 3550 §6.1).
pub(super) fn empty(ssrc: u32) -> ReceiverReportBuilder {
    ReceiverReport::builder(ssrc)
}

pub(super) fn events(packet: &[u8]) -> Option<Vec<Event>> {
    let report = ReceiverReport::parse(packet).ok()?;
    let blocks = report.report_blocks().map(|block| Event::Block(ReportBlock::new(&block)));
    Some(std::iter::once(Event::Report { from: report.ssrc() }).chain(blocks).collect())
}
