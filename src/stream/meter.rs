use crate::time::MonoTime;
use std::{collections::VecDeque, time::Duration};

/// The time over which rates are measured.
const WINDOW: Duration = Duration::from_secs(4);

/// Measures units and bits per second over the last few seconds.
#[derive(Debug, Default)]
pub struct Meter {
    /// When, and how many bytes.
    units: VecDeque<(MonoTime, usize)>,
    bytes: usize,
}

/// What a [`Meter`] read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Units per second.
    pub per_second: f64,
    /// Bit/s.
    pub bitrate: f64,
}

impl Meter {
    pub fn count(&mut self, now: MonoTime, bytes: usize) {
        self.units.push_back((now, bytes));
        self.bytes += bytes;
        self.forget(now);
    }

    /// None until half a second was seen, or when nothing came for a while.
    pub fn rates(&mut self, now: MonoTime) -> Option<Rates> {
        self.forget(now);
        let (first, last) = (self.units.front()?, self.units.back()?);
        let span = last.0.since(first.0).as_secs_f64();
        // The first unit opens the span and is not part of it.
        let (units, bytes) = (self.units.len() - 1, self.bytes - first.1);
        (span >= 0.5).then(|| Rates { per_second: units as f64 / span, bitrate: bytes as f64 * 8.0 / span })
    }

    fn forget(&mut self, now: MonoTime) {
        while let Some((at, bytes)) = self.units.front().copied()
            && now.since(at) > WINDOW
        {
            self.units.pop_front();
            self.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_came_within_the_window() {
        let mut meter = Meter::default();
        let at = |millis: u64| MonoTime::from_nanos(millis * 1_000_000);
        assert_eq!(meter.rates(at(0)), None);
        for i in 0..=300 {
            meter.count(at(i * 40), 5000);
        }
        let rates = meter.rates(at(12_000)).unwrap();
        assert!((rates.per_second - 25.0).abs() < 0.01, "{rates:?}");
        assert!((rates.bitrate - 1_000_000.0).abs() < 1.0, "{rates:?}");
        assert_eq!(meter.rates(at(20_000)), None);
    }
}
