//! How fast a sample clock really runs.

use std::time::Duration;

/// Errors are judged once in this time, by their median: interrupts come late now and then, and a few stamps are wrong.
const WINDOW: Duration = Duration::from_secs(1);
/// Of the loop, in rad/s, critically damped: the error that a clock 300 ppm off brings is 2 ms at most.
const BANDWIDTH: f64 = 0.05;
/// Sample clocks are not further off, as a fraction.
const MOST_DRIFT: f64 = 1000e-6;
/// An error is worked off at this rate at most, as a fraction.
const MOST_HASTE: f64 = 300e-6;
/// The rate of the sound changes by at most this much per second, as a fraction: 20 ppm are a thousandth of what a
/// trained ear can tell.
const SLEW: f64 = 20e-6;
/// Windows before the drift is told: by then it is known to some tenths.
const SETTLED: u32 = 60;

/// Follows a device's sample clock by the errors that its stamps show: a loop of second order whose output is by how
/// much more than nominal the device's samples come.
#[derive(Debug, Default)]
pub struct SampleClock {
    /// In nanoseconds, of this window, and how long it is by now.
    errors: Vec<i64>,
    length: Duration,
    windows: u32,
    /// Of the device against CLOCK_MONOTONIC as a fraction, positive for a fast one, as known by now.
    drift: f64,
    /// What is worked towards: the drift, and something more while there is an error to work off.
    target: f64,
    /// What is worked with.
    applied: f64,
}

impl SampleClock {
    /// A block of that `length` came, by which the sound is told `error` nanoseconds later than it was taken. At the end
    /// of a window the median of its errors.
    pub fn observe(&mut self, error: i64, length: Duration) -> Option<i64> {
        self.errors.push(error);
        self.length += length;
        if self.length < WINDOW {
            return None;
        }
        let middle = self.errors.len() / 2;
        let median = *self.errors.select_nth_unstable(middle).1;
        let (seconds, passed) = (median as f64 / 1e9, self.length.as_secs_f64());
        self.forget();
        self.windows = self.windows.saturating_add(1);
        let haste = (2.0 * BANDWIDTH * seconds).clamp(-MOST_HASTE, MOST_HASTE);
        // As much as haste can work off: a large error that is a step must not be taken for drift.
        let bounded = haste / (2.0 * BANDWIDTH);
        self.drift = (self.drift + BANDWIDTH * BANDWIDTH * bounded * passed).clamp(-MOST_DRIFT, MOST_DRIFT);
        self.target = self.drift + haste;
        Some(median)
    }

    /// Forgets the errors of this window: the sound was aligned anew.
    pub fn forget(&mut self) {
        self.errors.clear();
        self.length = Duration::ZERO;
    }

    /// By which fraction more than nominal the device's samples are to be taken for the next `length` of sound.
    pub fn step(&mut self, length: Duration) -> f64 {
        let most = SLEW * length.as_secs_f64();
        self.applied += (self.target - self.applied).clamp(-most, most);
        self.applied
    }

    /// The device's drift against CLOCK_MONOTONIC in ppm, positive for a fast one; None until it is known.
    pub fn drift_ppm(&self) -> Option<f64> {
        (self.windows >= SETTLED).then_some(self.drift * 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: Duration = Duration::from_millis(20);

    /// A sound card as the clock sees it, corrected by what the clock says.
    struct Simulation {
        clock: SampleClock,
        /// Seconds by which the sound is told late.
        offset: f64,
        random: u64,
    }

    impl Simulation {
        fn new() -> Self {
            Self { clock: SampleClock::default(), offset: 0.0, random: 88_172_645_463_325_252 }
        }

        /// Uniform, 0 to 1.
        fn random(&mut self) -> f64 {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            (self.random >> 11) as f64 / (1u64 << 53) as f64
        }

        /// One block from a card that is `drift` fast and tells its position up to `jitter` seconds late; by how much the
        /// rate of the sound changed.
        fn block(&mut self, drift: f64, jitter: f64) -> f64 {
            let before = self.clock.applied;
            let taken = self.clock.step(BLOCK);
            self.offset += (drift - taken) * BLOCK.as_secs_f64();
            // A stamp in a thousand is a tenth of a second wrong.
            let wild = if self.random() < 0.001 { 0.1 } else { 0.0 };
            let told = self.offset - self.random() * jitter - wild;
            if let Some(median) = self.clock.observe((told * 1e9) as i64, BLOCK)
                && median.abs() > 20_000_000
            {
                panic!("{:.1} ms off: taken for a loss", median as f64 / 1e6);
            }
            taken - before
        }
    }

    /// 72 hours of blocks of 20 ms.
    #[test]
    fn sound_stays_in_step_for_days() {
        let mut card = Simulation::new();
        let (mut worst, mut steepest) = (0.0f64, 0.0f64);
        let hour = 3600 * 50;
        for n in 0..72 * hour {
            let hours = n as f64 / f64::from(hour);
            // Warms up, wanders with day and night, and after two days is exchanged for one that is off the other way.
            let drift = match hours {
                ..48.0 => 300e-6 * (1.0 - 0.2 * (-hours).exp()) - 40e-6 * (hours / 24.0 * std::f64::consts::TAU).sin(),
                _ => -300e-6,
            };
            // Every few hours samples vanish that nobody tells of; now and then the machine is busy.
            if n % (5 * hour) == 5 * hour - 1 {
                card.offset -= 0.01;
            }
            if n % (7 * hour) == 7 * hour - 1 {
                card.offset += 0.01;
            }
            let jitter = if n % 90_000 < 3_000 { 0.012 } else { 0.002 };
            steepest = steepest.max(card.block(drift, jitter).abs());
            worst = worst.max(card.offset.abs());
        }
        assert!(worst < 0.025, "{:.1} ms off at worst", worst * 1e3);
        assert!(steepest <= SLEW * BLOCK.as_secs_f64() * 1.000_001, "{steepest:e} in a block");
        let told = card.clock.drift_ppm().unwrap();
        assert!((told + 300.0).abs() < 10.0, "{told} ppm");
    }

    #[test]
    fn drift_is_known_after_minutes_and_the_error_gone() {
        for drift in [-300e-6, -20e-6, 0.0, 80e-6, 300e-6] {
            let mut card = Simulation::new();
            let mut worst = 0.0f64;
            for _ in 0..180 * 50 {
                card.block(drift, 0.001);
                worst = worst.max(card.offset.abs());
            }
            assert!(worst < 0.005, "{:.2} ms off at worst", worst * 1e3);
            let told = card.clock.drift_ppm().unwrap();
            assert!((told - drift * 1e6).abs() < 10.0, "{told} instead of {} ppm", drift * 1e6);
            assert!(card.offset.abs() < 0.0015, "{:.2} ms off in the end", card.offset * 1e3);
        }
    }

    #[test]
    fn nothing_is_told_before_it_is_known() {
        let mut card = Simulation::new();
        for _ in 0..59 * 50 {
            card.block(100e-6, 0.0);
        }
        assert_eq!(card.clock.drift_ppm(), None);
    }
}
