//! What the benches of the whole server share: the real binary, a viewer, an encoder to compare with, and figures.

#![allow(dead_code, unused_imports)] // Each bench uses a part of it.

pub mod capture;
pub mod secure;
pub mod tap;

pub use eyrie::bench::{Figures, Outcome, Random, Server, Viewer, Way, load, resident, thread_times};
use std::{path::Path, time::Duration};

/// The binary that is measured.
pub fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_eyrie"))
}

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

pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Prints one line of a table.
pub fn row(what: &str, figures: &Figures) {
    println!("  {what:<52} {figures}");
}

/// A line of ratios, or of other small numbers.
pub fn fine_row(what: &str, figures: &Figures) {
    println!("  {what:<52} {figures:.3}");
}
