use crate::time::NtpTime;
use std::time::Duration;

/// No way takes longer, in 65,536ths of a second: a minute.
const LONGEST_WAY: u32 = 60 << 16;

/// What a receiver tells of one track (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// Of the track.
    pub ssrc: u32,
    /// Since the previous report, in 256ths.
    pub fraction_lost: u8,
    /// Packets since the beginning, 24 bits wide; negative where more came than were expected.
    pub lost: i32,
    /// The highest sequence number received, with the count of its wraps in the upper half.
    pub highest_sequence: u32,
    /// In ticks of the track's clock.
    pub jitter: u32,
    /// The middle half of the NTP time of the sender report received last; 0 if there was none.
    pub last_sender_report: u32,
    /// Since that report, in 65,536ths of a second.
    pub delay: u32,
}

impl ReportBlock {
    pub(super) fn new(block: &rtcp_types::ReportBlock<'_>) -> Self {
        Self {
            ssrc: block.ssrc(),
            fraction_lost: block.fraction_lost(),
            // The sign is bit 23.
            lost: (block.cumulative_lost() << 8) as i32 >> 8,
            highest_sequence: block.extended_sequence_number(),
            jitter: block.interarrival_jitter(),
            last_sender_report: block.last_sender_report_timestamp(),
            delay: block.delay_since_last_sender_report_timestamp(),
        }
    }

    /// The jitter of a track whose clock runs at `rate` Hz.
    pub fn jitter(&self, rate: u32) -> Duration {
        Duration::from_nanos(u64::from(self.jitter) * 1_000_000_000 / u64::from(rate.max(1)))
    }

    /// From sender to receiver and back, for a report that came at `arrival`, on the clock of the sender reports
    /// (RFC 3550 §6.4.1). None before the receiver has had one, and where a clock step or a false report makes it
    /// negative, or longer than any way.
    pub fn round_trip(&self, arrival: NtpTime) -> Option<Duration> {
        if self.last_sender_report == 0 {
            return None;
        }
        let units = arrival.middle().wrapping_sub(self.last_sender_report).wrapping_sub(self.delay);
        // The upper half of the circle, nine hours long, is the past; below it more than a minute is a clock's step.
        (units <= LONGEST_WAY).then(|| Duration::from_nanos((u64::from(units) * 1_000_000_000) >> 16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(last_sender_report: u32, delay: u32) -> ReportBlock {
        ReportBlock { ssrc: 1, fraction_lost: 0, lost: 0, highest_sequence: 0, jitter: 0, last_sender_report, delay }
    }

    /// The figures of RFC 3550 §6.4.1.
    #[test]
    fn round_trip_of_the_rfc() {
        let arrival = NtpTime(0xb44d_b705_2000_0000);
        let block = block(0xb705_2000 - 0x0006_2000 - 0x0005_4000, 0x0005_4000);
        assert_eq!(block.round_trip(arrival), Some(Duration::from_millis(6125)));
    }

    #[test]
    fn a_round_trip_that_cannot_be_known_is_none() {
        let arrival = NtpTime(0x0000_0001_0000_0000);
        assert_eq!(block(0, 0).round_trip(arrival), None);
        assert_eq!(block(0x0001_0000, 1).round_trip(arrival), None);
        // The clock was set three hours forwards between the sender's report and the receiver's.
        assert_eq!(block(0x0001_0000, 0).round_trip(NtpTime((3 * 3600 + 1) << 32)), None);
        // The middle half wraps every 18 hours.
        assert_eq!(block(0xffff_ffff, 0).round_trip(NtpTime(0)), Some(Duration::from_nanos(15_258)));
    }

    #[test]
    fn jitter_is_in_ticks() {
        assert_eq!(ReportBlock { jitter: 90, ..block(0, 0) }.jitter(90_000), Duration::from_millis(1));
        assert_eq!(ReportBlock { jitter: u32::MAX, ..block(0, 0) }.jitter(0).as_secs(), u64::from(u32::MAX));
    }
}
