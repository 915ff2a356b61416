//! Figures that mean something on any machine and on a busy one: the processor time of our way to that of a bound, the
//! least that the work could take, both run in turn in one process.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// One round where `EYRIE_BENCH_SMOKE` is set, which only shows that the bench still runs.
fn rounds() -> usize {
    if std::env::var_os("EYRIE_BENCH_SMOKE").is_some() { 1 } else { 15 }
}

pub fn heading(title: &str) {
    println!("\n{title}, {} rounds", rounds());
    println!("{:<44} {:>9} {:>9}  {:>6}  spread", "", "ours", "bound", "ratio");
}

/// Runs both in turn, each `times` a round, and prints the median time of each and the median, least and greatest ratio.
pub fn ratio(what: &str, times: usize, mut ours: impl FnMut(), mut bound: impl FnMut()) {
    ours();
    bound();
    let mut figures: Vec<(f64, f64)> =
        (0..rounds()).map(|_| (time(times, &mut ours), time(times, &mut bound))).collect();
    let median = |values: &mut dyn Iterator<Item = f64>| {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let ours = median(&mut figures.iter().map(|f| f.0));
    let bound = median(&mut figures.iter().map(|f| f.1));
    figures.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let of = |figure: &(f64, f64)| figure.0 / figure.1;
    println!(
        "{what:<44} {:>6.0} µs {:>6.0} µs  {:>6.3}  {:.3} to {:.3}",
        ours * 1e6,
        bound * 1e6,
        of(&figures[figures.len() / 2]),
        of(&figures[0]),
        of(&figures[figures.len() - 1]),
    );
}

/// Seconds of this thread's processor time, each.
fn time(times: usize, work: &mut impl FnMut()) -> f64 {
    let start = thread_time();
    for _ in 0..times {
        work();
    }
    (thread_time() - start).as_secs_f64() / times as f64
}

fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).expect("Linux has this clock")
}

/// Numbers without a pattern.
pub struct Random(pub u64);

impl Random {
    pub fn byte(&mut self) -> u8 {
        // Marsaglia's xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u8
    }
}
