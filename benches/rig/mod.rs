//! What the benches of the whole server share: the real binary, a viewer, an encoder to compare with, and figures.

#![allow(dead_code)] // Each bench uses a part of it.

pub mod capture;
pub mod process;
pub mod viewer;

use std::{fmt, fs, time::Duration};

pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Whether only to show that the bench still runs.
pub fn smoke() -> bool {
    std::env::var_os("EYRIE_BENCH_SMOKE").is_some_and(|value| value != "0")
}

/// So many rounds, or one.
pub fn rounds(count: usize) -> usize {
    if smoke() { 1 } else { count }
}

pub fn heading(title: &str) {
    println!("\n{title}");
    println!("load {}, {} cores", load(), std::thread::available_parallelism().map_or(1, |cores| cores.get()));
}

/// How busy the machine was over the last 1, 5 and 15 minutes.
pub fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Measured values of one kind.
#[derive(Default)]
pub struct Figures(Vec<f64>);

impl Figures {
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn median(&self) -> f64 {
        self.percentile(50)
    }

    /// The least value that so many percent do not exceed.
    pub fn percentile(&self, percent: usize) -> f64 {
        self.0[(self.0.len() * percent).div_ceil(100).clamp(1, self.0.len()) - 1]
    }
}

impl FromIterator<f64> for Figures {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(1);
        let [median, p95, least, most] = [self.median(), self.percentile(95), self.percentile(0), self.percentile(100)];
        write!(
            f,
            "median {median:8.digits$}   p95 {p95:8.digits$}   {least:.digits$} to {most:.digits$}   ({})",
            self.0.len()
        )
    }
}

/// Prints one line of a table.
pub fn row(what: &str, figures: &Figures) {
    println!("  {what:<52} {figures}");
}

/// A line of ratios, or of other small numbers.
pub fn fine_row(what: &str, figures: &Figures) {
    println!("  {what:<52} {figures:.3}");
}

/// Numbers without a pattern, the same in every run.
pub struct Random(u64);

impl Random {
    pub fn new() -> Self {
        Self(0x2545_f491_4f6c_dd1d)
    }

    /// Up to `most`.
    pub fn pause(&mut self, most: Duration) -> Duration {
        // Marsaglia's xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        most.mul_f64((self.0 >> 11) as f64 / (1u64 << 53) as f64)
    }
}
