use crate::{
    rtp::rtcp::ReportBlock,
    time::{MonoTime, NtpTime},
};
use std::time::Duration;

/// What a viewer's receiver reports said last of one track.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Feedback {
    /// The SSRC that reports.
    pub from: Option<u32>,
    /// Packets lost since it began, as it counts them.
    pub lost: Option<i32>,
    /// Interarrival jitter.
    pub jitter: Option<Duration>,
    pub round_trip: Option<Duration>,
    /// Of the last full intra request: the same again is no new one (RFC 5104 §4.3.1.1).
    pub intra_request: Option<u8>,
}

impl Feedback {
    /// Takes one report block, which came at `now` by the clock of the sender reports.
    pub fn report(&mut self, block: &ReportBlock, clock_rate: u32, now: NtpTime) {
        self.lost = Some(block.lost);
        self.jitter = Some(block.jitter(clock_rate));
        self.round_trip = block.round_trip(now).or(self.round_trip);
    }
}

/// What one viewer may take of the key frames that all share: two at once, then one in two seconds, so that a viewer that
/// asks without end leaves half of the budget to others.
#[derive(Debug, Default)]
pub struct Allowance {
    /// When the last two were asked for, the older first.
    taken: [Option<MonoTime>; 2],
}

impl Allowance {
    const WINDOW: Duration = Duration::from_secs(4);

    pub fn is_left(&self, now: MonoTime) -> bool {
        self.taken[0].is_none_or(|taken| now.since(taken) >= Self::WINDOW)
    }

    /// One was asked for.
    pub fn take(&mut self, now: MonoTime) {
        self.taken = [self.taken[1], Some(now)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_of_one_viewer_takes_half_of_the_budget() {
        let mut allowance = Allowance::default();
        let asked: Vec<u64> = (0..60_000)
            .filter(|millis| {
                let now = MonoTime::from_nanos(1_000_000_000 + millis * 1_000_000);
                let left = allowance.is_left(now);
                if left {
                    allowance.take(now);
                }
                left
            })
            .collect();
        assert_eq!((asked[0], asked[1], asked[2]), (0, 1, 4000));
        assert_eq!(asked.len(), 30);
    }
}
