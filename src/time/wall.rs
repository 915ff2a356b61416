use super::MonoTime;
use nix::time::{ClockId, clock_gettime};
use std::{path::Path, time::Duration};

/// Seconds from 1900, where NTP counts from, to 1970 (RFC 5905 §6).
const NTP_TO_UNIX_SECONDS: u64 = 2_208_988_800;
/// A disagreement above this is a step of the system clock (the board learnt the time); below it, it is slewed.
const STEP: Duration = Duration::from_millis(500);
/// Is there once systemd-timesyncd has set the clock.
const TIMESYNCD: &str = "/run/systemd/timesync/synchronized";
/// The fastest slew: 500 ppm, as the kernel's own `adjtime`.
const SLEW_PER_SECOND: i64 = 500_000;

/// CLOCK_REALTIME in nanoseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(u64);

impl WallTime {
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Reads the system clock.
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::CLOCK_REALTIME).expect("CLOCK_REALTIME exists on every Linux");
        Self((now.tv_sec().max(0) as u64).saturating_mul(1_000_000_000).saturating_add(now.tv_nsec() as u64))
    }

    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    pub const fn ntp(self) -> NtpTime {
        let seconds = (self.0 / 1_000_000_000).wrapping_add(NTP_TO_UNIX_SECONDS);
        let fraction = ((self.0 % 1_000_000_000) << 32) / 1_000_000_000;
        NtpTime((seconds << 32) | fraction)
    }
}

/// A 64-bit NTP timestamp as sender reports carry it: 32.32 fixed point seconds since 1900 (RFC 3550 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// The middle 32 bits, as LSR in receiver reports echoes them (RFC 3550 §6.4.1).
    pub const fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// Ties CLOCK_MONOTONIC to the wall clock, the same way for all tracks that ask one `WallClock`: small corrections
/// of the system clock are slewed at 500 ppm, so that media never jumps; a step over 0.5 s is followed at once.
#[derive(Clone, Debug)]
pub struct WallClock {
    /// Wall minus monotonic, in nanoseconds, as of `updated`.
    offset: i64,
    updated: MonoTime,
    steps: u64,
}

impl WallClock {
    /// Starts from a simultaneous reading of both clocks.
    pub fn new(mono: MonoTime, wall: WallTime) -> Self {
        Self { offset: difference(mono, wall), updated: mono, steps: 0 }
    }

    /// Starts from the system's clocks.
    pub fn start() -> Self {
        let (mono, wall) = Self::read();
        Self::new(mono, wall)
    }

    /// Both system clocks, read within the same microsecond or so.
    pub fn read() -> (MonoTime, WallTime) {
        (0..3)
            .map(|_| {
                let before = MonoTime::now();
                let wall = WallTime::now();
                let after = MonoTime::now();
                (after - before, before + (after - before) / 2, wall)
            })
            .min_by_key(|(spent, ..)| *spent)
            .map(|(_, mono, wall)| (mono, wall))
            .expect("three readings")
    }

    /// Takes a simultaneous reading of both clocks; to be called about once a second.
    pub fn update(&mut self, mono: MonoTime, wall: WallTime) {
        let error = difference(mono, wall) - self.offset;
        if error.unsigned_abs() > STEP.as_nanos() as u64 {
            self.offset += error;
            self.steps += 1;
        } else {
            let most = (mono.since(self.updated).as_nanos() as i64).saturating_mul(SLEW_PER_SECOND) / 1_000_000_000;
            self.offset += error.clamp(-most, most);
        }
        self.updated = mono;
    }

    /// The wall time of the instant `mono`.
    pub fn wall(&self, mono: MonoTime) -> WallTime {
        WallTime((mono.as_nanos() as i64).saturating_add(self.offset).max(0) as u64)
    }

    /// How often the system clock was stepped since the start.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Whether the kernel says that its clock is disciplined by NTP or the like (`adjtimex`); or, where a service may not
    /// ask the kernel, systemd-timesyncd does.
    pub fn synchronised() -> bool {
        sys::clock_synchronised().unwrap_or_else(|| Path::new(TIMESYNCD).exists())
    }
}

fn difference(mono: MonoTime, wall: WallTime) -> i64 {
    wall.0 as i64 - mono.as_nanos() as i64
}

mod sys {
    /// `adjtimex` in read-only mode; TIME_ERROR means unsynchronised. None: it may not be asked.
    pub fn clock_synchronised() -> Option<bool> {
        // SAFETY: `timex` is plain integers, for which all zeroes is a valid value; the call fills the struct it is
        // given and, with `modes` 0, changes nothing.
        unsafe {
            let mut timex: libc::timex = std::mem::zeroed();
            let state = libc::adjtimex(&mut timex);
            (state >= 0).then_some(state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> MonoTime {
        MonoTime::from_timespec(seconds, 0)
    }

    #[test]
    fn small_corrections_are_slewed_and_steps_followed_at_once() {
        let mut clock = WallClock::new(at(100), WallTime::from_nanos(1_000_000_000_000));
        // The system clock is 10 ms ahead from now on: 500 ppm a second, so 20 s to follow.
        for second in 1..=30 {
            let wall = WallTime::from_nanos(1_000_000_000_000 + second * 1_000_000_000 + 10_000_000);
            let before = clock.wall(at(100 + second));
            clock.update(at(100 + second), wall);
            let moved = clock.wall(at(100 + second)).0 - before.0;
            assert!(moved <= SECOND.as_nanos() as u64 * 500 / 1_000_000, "moved {moved} ns in a second");
        }
        assert_eq!(clock.wall(at(130)).0, 1_030_010_000_000);
        assert_eq!(clock.steps(), 0);
        clock.update(at(131), WallTime::from_nanos(1_700_000_000_000_000_000));
        assert_eq!(clock.wall(at(131)).0, 1_700_000_000_000_000_000);
        assert_eq!(clock.steps(), 1);
    }

    #[test]
    fn ntp_counts_from_1900_in_binary_fractions() {
        let ntp = WallTime::from_nanos(1_500_000_000).ntp();
        assert_eq!(ntp.0 >> 32, NTP_TO_UNIX_SECONDS + 1);
        assert_eq!(ntp.0 as u32, 1 << 31);
        assert_eq!(ntp.middle(), (((NTP_TO_UNIX_SECONDS + 1) as u32) << 16) | 0x8000);
    }
}
