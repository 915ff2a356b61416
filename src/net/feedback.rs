use crate::{rtp::rtcp::ReportBlock, time::NtpTime};
use std::time::Duration;

/// What a viewer's receiver reports said last of one track.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Feedback {
    /// Packets lost since it began, as it counts them.
    pub lost: Option<i32>,
    /// Interarrival jitter.
    pub jitter: Option<Duration>,
    pub round_trip: Option<Duration>,
}

impl Feedback {
    /// Takes one report block, which came at `now` by the clock of the sender reports.
    pub fn report(&mut self, block: &ReportBlock, clock_rate: u32, now: NtpTime) {
        self.lost = Some(block.lost);
        self.jitter = Some(block.jitter(clock_rate));
        self.round_trip = block.round_trip(now).or(self.round_trip);
    }
}
