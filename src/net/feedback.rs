use crate::{
    rtp::rtcp::ReportBlock,
    time::{MonoTime, NtpTime},
};
use std::time::Duration;

/// So many packets must have been expected for their loss to mean anything.
const ENOUGH: u32 = 20;
/// A loss that neither raises nor lowers a bitrate.
const NEUTRAL: f64 = 0.02;

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
    /// What part of its packets was lost between the last two reports, 0 to 1, our own drops left out; and when it said so.
    pub loss: Option<(f64, MonoTime)>,
    /// Of the last report: highest sequence number, packets lost, and how many we had left out by then.
    counted: Option<(u32, i32, u64)>,
    /// Of those that we left out, how many are still to be counted as lost: a gap shows only with what follows it.
    owed: u64,
    /// Of the last full intra request: the same again is no new one (RFC 5104 §4.3.1.1).
    pub intra_request: Option<u8>,
}

impl Feedback {
    /// Takes one report block, which came at `now`, or `arrival` by the clock of the sender reports. `unsent`: packets that
    /// we have left out for this viewer so far, which it counts as lost.
    pub fn report(&mut self, block: &ReportBlock, clock_rate: u32, unsent: u64, (now, arrival): (MonoTime, NtpTime)) {
        let before = self.counted.replace((block.highest_sequence, block.lost, unsent));
        if let Some((highest, lost, left_out)) = before {
            let expected = block.highest_sequence.wrapping_sub(highest);
            let lost = (i64::from(block.lost) - i64::from(lost)).max(0) as u64;
            self.owed += unsent.saturating_sub(left_out);
            let own = self.owed.min(lost);
            self.owed -= own;
            // Few packets tell little; a number that falls is of a receiver that began anew.
            if (ENOUGH..1 << 31).contains(&expected) {
                let loss = (lost - own) as f64 / f64::from(expected);
                // Who is too slow for what there is has no room for more.
                let least = if own > 0 || unsent > left_out { NEUTRAL } else { 0.0 };
                self.loss = Some((loss.max(least), now));
            }
        }
        self.lost = Some(block.lost);
        self.jitter = Some(block.jitter(clock_rate));
        self.round_trip = block.round_trip(arrival).or(self.round_trip);
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
    fn losses_are_counted_between_reports_without_our_own_drops() {
        let block = |highest_sequence, lost| ReportBlock {
            ssrc: 1,
            fraction_lost: 0,
            lost,
            highest_sequence,
            jitter: 0,
            last_sender_report: 0,
            delay: 0,
        };
        let mut feedback = Feedback::default();
        let mut loss = |highest, lost, unsent, second| {
            let at = (MonoTime::from_timespec(second, 0), NtpTime(0));
            feedback.report(&block(highest, lost), 90_000, unsent, at);
            feedback.loss
        };
        let at = |loss, second| Some((loss, MonoTime::from_timespec(second, 0)));
        assert_eq!(loss(1000, 7, 0, 1), None, "the first tells nothing of how long");
        assert_eq!(loss(1100, 17, 0, 2), at(0.1, 2));
        assert_eq!(loss(1200, 47, 25, 3), at(0.05, 3), "25 were never sent");
        assert_eq!(loss(1210, 57, 25, 4), at(0.05, 3), "too few");
        assert_eq!(loss(1310, 40, 25, 5), at(0.0, 5), "more came than were expected");
        assert_eq!(loss(5, 0, 25, 6), at(0.0, 5), "it began anew");
    }

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
