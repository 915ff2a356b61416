//! Sender reports: when they are due, and what they say.

use crate::{
    rtp::{PacketBatch, rtcp},
    time::{MonoTime, RtpClock, WallClock},
};
use std::time::Duration;

/// IP and UDP headers, which count as well (RFC 3550 §6.2).
const UDP_OVERHEAD: u32 = 28;
/// RTP, IP and UDP headers of a media packet.
const RTP_OVERHEAD: u32 = 12 + UDP_OVERHEAD;
/// The reduced minimum interval is so many seconds, divided by the session's bandwidth in kbit/s (RFC 3550 §6.2).
const REDUCED: f64 = 360.0;
/// The minimum interval of RFC 3550 §6.2, in seconds. It is not exceeded but by a track that reports would load.
const LONGEST: f64 = 5.0;
/// More reports than one a second tell a receiver nothing new.
const SHORTEST: f64 = 1.0;
/// RTCP may take a twentieth of the bandwidth, and sender and receiver share it (RFC 3550 §6.2, §6.3.1).
const SHARE: f64 = 0.05 / 2.0;
/// Makes up for the drift of the randomised intervals (RFC 3550 §6.3.1): e - 3/2.
const COMPENSATION: f64 = 1.21828;

/// What sender reports of all viewers share.
pub struct ReportContext<'a> {
    pub now: MonoTime,
    pub wall: &'a WallClock,
    pub cname: &'a str,
}

/// One viewer's track's sender reports: when it got the last one, and gets its next.
#[derive(Debug, Default)]
pub struct Reports {
    last: Option<Last>,
    /// The last one; empty before the first.
    packet: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    at: MonoTime,
    next: MonoTime,
    /// Of media with all headers, since the track's beginning, modulo 2^32.
    octets: u32,
}

impl Reports {
    /// The report to send before `batch`, if one is due: with the first packet, then as RFC 3550 §6.3 times them.
    pub fn due(&mut self, batch: &PacketBatch, clock_rate: u32, context: &ReportContext<'_>) -> Option<&[u8]> {
        if self.last.is_some_and(|last| context.now < last.next) {
            return None;
        }
        let info = sender_info(batch, clock_rate, context);
        match self.packet.is_empty() {
            true => self.packet = rtcp::sender_report(&info),
            false => rtcp::renew_sender_report(&mut self.packet, &info),
        }
        let octets = batch.octets_before().wrapping_add(batch.packets_before().wrapping_mul(RTP_OVERHEAD));
        let bits_per_second = self.last.map(|last| {
            let bits = f64::from(octets.wrapping_sub(last.octets)) * 8.0;
            bits / context.now.since(last.at).as_secs_f64().max(0.001)
        });
        let size = self.packet.len() as u32 + UDP_OVERHEAD;
        // Where the kernel has no randomness to give, the middle will do.
        let dice = getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX));
        let next = context.now + interval(bits_per_second, size, dice);
        self.last = Some(Last { at: context.now, next, octets });
        Some(&self.packet)
    }
}

/// From one report of `size` octets to the next, on a track that takes `bits_per_second` (RFC 3550 §6.3.1). None: that
/// is not known yet. `dice` is from 0 to 1, so that no two viewers' reports stay in step.
fn interval(bits_per_second: Option<f64>, size: u32, dice: f64) -> Duration {
    // The first interval is half as long.
    let Some(bits_per_second) = bits_per_second.map(|bits| bits.max(1.0)) else {
        return Duration::from_secs_f64(LONGEST / 2.0 * (0.5 + dice) / COMPENSATION);
    };
    let minimum = (REDUCED * 1000.0 / bits_per_second).clamp(SHORTEST, LONGEST);
    let load = (f64::from(size) * 8.0 / (bits_per_second * SHARE)).min(60.0);
    let seconds = minimum.max(load) * (0.5 + dice) / COMPENSATION;
    Duration::from_secs_f64(seconds.min(load.max(LONGEST)))
}

/// What a report before `batch` says. Its two clocks name one instant, now: the RTP timestamp is carried on from the
/// batch's by the time since its capture.
fn sender_info<'a>(batch: &PacketBatch, clock_rate: u32, context: &ReportContext<'a>) -> rtcp::SenderInfo<'a> {
    let age = context.now.signed_nanos_since(batch.stamp());
    let ticks = RtpClock::new(clock_rate, 0).ticks(age);
    rtcp::SenderInfo {
        ssrc: batch.ssrc(),
        ntp: context.wall.wall(context.now).ntp(),
        rtp_timestamp: batch.timestamp().wrapping_add_signed(ticks),
        packets: batch.packets_before(),
        octets: batch.octets_before(),
        cname: context.cname,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report with its CNAME and headers.
    const SIZE: u32 = 88;

    fn seconds(bits_per_second: f64) -> f64 {
        interval(Some(bits_per_second), SIZE, 0.5).as_secs_f64() * COMPENSATION
    }

    fn about(a: f64, b: f64) -> bool {
        (a - b).abs() < 0.01
    }

    #[test]
    fn the_minimum_is_reduced_as_the_rfc_says() {
        assert!(about(seconds(80_000.0), 4.5), "360 s by 80 kbit/s");
        assert!(about(seconds(180_000.0), 2.0));
        assert!(about(seconds(8_000_000.0), 1.0), "and no further than a second");
        assert!(about(interval(None, SIZE, 0.5).as_secs_f64() * COMPENSATION, 2.5), "half of it at first");
    }

    #[test]
    fn a_small_load_is_not_loaded_further() {
        assert!(about(seconds(72_000.0), 5.0));
        // 88 octets are 704 bits; of 4 kbit/s a fortieth is 100 bit/s.
        assert!(about(seconds(4_000.0), 7.04));
        assert!(seconds(0.0) <= 60.0);
    }

    #[test]
    fn intervals_differ_and_stay_below_five_seconds() {
        let all: Vec<_> = [0.0, 0.25, 0.5, 0.75, 1.0].map(|dice| interval(Some(75_000.0), SIZE, dice)).into();
        assert!(all.is_sorted() && all[0] < all[4] / 2, "{all:?}");
        assert!(all[4] <= Duration::from_secs(5), "{all:?}");
    }
}
