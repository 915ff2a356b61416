use crate::time::MonoTime;
use std::time::Duration;

/// What may leave for one UDP viewer at once: a default receive buffer holds twice that.
pub const BURST: usize = 64 * 1024;
/// How often a viewer whose access unit does not fit into a burst gets more of it.
pub const TICK: Duration = Duration::from_millis(2);

/// Spreads what exceeds a burst: the rest of an access unit over its frame interval, a backlog at a burst per interval.
#[derive(Debug)]
pub struct Pacer {
    /// Bytes that may leave now.
    tokens: usize,
    counted: MonoTime,
    /// Bytes per second.
    rate: u64,
}

impl Pacer {
    pub fn new(now: MonoTime) -> Self {
        Self { tokens: BURST, counted: now, rate: BURST as u64 * 30 }
    }

    /// An access unit of `bytes` begins; it is to be out within nine tenths of `interval`.
    pub fn begin(&mut self, bytes: usize, interval: Duration, now: MonoTime) {
        self.count(now);
        let nanos = interval.as_nanos().max(1) as u64;
        let rest = bytes.saturating_sub(self.tokens) as u64;
        let per_second = |bytes: u64, nanos: u64| bytes.saturating_mul(1_000_000_000) / nanos.max(1);
        self.rate = per_second(BURST as u64, nanos).max(per_second(rest, nanos / 10 * 9));
    }

    /// How many bytes may leave now.
    pub fn allowance(&mut self, now: MonoTime) -> usize {
        self.count(now);
        self.tokens
    }

    pub fn spend(&mut self, bytes: usize) {
        self.tokens = self.tokens.saturating_sub(bytes);
    }

    fn count(&mut self, now: MonoTime) {
        let earned = now.since(self.counted).as_nanos() * u128::from(self.rate) / 1_000_000_000;
        self.tokens = (self.tokens as u128 + earned).min(BURST as u128) as usize;
        self.counted = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(33);

    /// Sends `bytes` in packets of 1400 every tick; when each left, in ms.
    fn send(pacer: &mut Pacer, bytes: usize, from: MonoTime) -> Vec<(u64, usize)> {
        pacer.begin(bytes, INTERVAL, from);
        let (mut left, mut now, mut log) = (bytes, from, Vec::new());
        while left > 0 {
            let now_allowed = (pacer.allowance(now) / 1400 * 1400).min(left).max(if left < 1400 { left } else { 0 });
            if now_allowed > 0 {
                pacer.spend(now_allowed);
                left -= now_allowed;
                log.push((now.since(from).as_millis() as u64, now_allowed));
            }
            now += TICK;
        }
        log
    }

    #[test]
    fn a_small_unit_leaves_at_once_and_a_large_one_within_its_interval() {
        let start = MonoTime::from_nanos(1_000_000_000);
        let mut pacer = Pacer::new(start);
        assert_eq!(send(&mut pacer, 9000, start), [(0, 9000)]);
        let later = start + Duration::from_secs(1);
        let log = send(&mut pacer, 250_000, later);
        assert!(log[0].1 <= BURST, "{log:?}");
        assert!(log.last().unwrap().0 <= 33, "{log:?}");
        // Readers that fetch every 5 ms never see more than a default receive buffer's 130 kB.
        for window in 0..33 {
            let sum: usize = log.iter().filter(|(at, _)| (window..window + 5).contains(at)).map(|(_, n)| n).sum();
            assert!(sum < 110_000, "{sum} bytes from {window} ms on");
        }
    }

    #[test]
    fn a_backlog_leaves_at_a_burst_per_interval() {
        let start = MonoTime::from_nanos(1_000_000_000);
        let mut pacer = Pacer::new(start);
        let mut now = start;
        let mut sent = 0;
        while now.since(start) < Duration::from_millis(330) {
            pacer.begin(8000, INTERVAL, now);
            while pacer.allowance(now) >= 8000 {
                pacer.spend(8000);
                sent += 8000;
            }
            now += TICK;
        }
        assert!((BURST * 10..=BURST * 11 + 8000).contains(&sent), "{sent}");
    }
}
