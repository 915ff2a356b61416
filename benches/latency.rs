//! How long pictures take from the camera's thread to the first viewer's first byte and on to the last viewer's last, as
//! the server itself measures it, beside threads that do nothing but wake each other, and a bare loop.

mod rig;

use eyrie::{
    bench::{Bare, Crowd, Recording},
    time::MonoTime,
};
use rig::{Figures, Outcome, Random, Server, Viewer, Way};
use std::{sync::mpsc, thread, time::Duration};

const STAGES: [&str; 9] = ["capture", "queue", "convert", "encode", "packetize", "first", "last", "handling", "paced"];
const INTERVAL: Duration = Duration::from_nanos(33_333_333);
/// Milliseconds over two wake-ups.
const HANDLING_GOAL: f64 = 0.3;
/// To what a bare loop takes from first to last.
const LAST_GOAL: f64 = 1.3;

fn main() -> Outcome<()> {
    // `cargo bench --bench latency -- tcp 100` takes that way and these numbers alone.
    let named: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let counts = if named.is_empty() { vec![1, 100] } else { named };
    let is_named = |way: &Way| std::env::args().any(|argument| argument.eq_ignore_ascii_case(&format!("{way:?}")));
    let ways = [Way::Udp, Way::Tcp];
    let one_is = ways.iter().any(is_named);
    for count in counts {
        let server = Server::start(rig::program(), rig::capture::STREAM)?;
        let recording = {
            let mut viewer = Viewer::set_up(server.connect()?, Way::Udp)?;
            viewer.play()?;
            Recording::make(&mut viewer)?
        };
        drop(server);
        for way in ways.into_iter().filter(|way| !one_is || is_named(way)) {
            measure(way, count, &recording)?;
        }
    }
    Ok(())
}

fn measure(way: Way, count: usize, recording: &Recording) -> Outcome<()> {
    rig::heading(&format!(
        "{count} viewers over {way:?}, 1280x720 at 30; milliseconds, of the server's own histograms"
    ));
    let long = Duration::from_secs(if rig::smoke() { 2 } else { 20 });
    // Histograms are of all since the start.
    let server = Server::start(rig::program(), rig::capture::STREAM)?;
    let mut crowd = Crowd::new()?;
    for _ in 0..count {
        crowd.add(Viewer::set_up(server.connect()?, way)?)?;
    }
    crowd.play_all()?;
    let woken = two_wakes(long)?;
    let latency = server.status()?["streams"][0]["latency"].clone();
    let of = |stage: &str, key: &str| latency[stage][key].as_f64();
    for stage in STAGES {
        if let (Some(median), Some(p99), Some(most)) =
            (of(stage, "median_ms"), of(stage, "p99_ms"), of(stage, "max_ms"))
        {
            println!(
                "  {stage:<20} median {median:8.3}   p99 {p99:8.3}   most {most:8.3}   ({})",
                latency[stage]["count"]
            );
        }
    }
    println!("  {:<20} median {:8.3}   p99 {:8.3}", "two bare wake-ups", woken.median(), woken.percentile(99));
    let over = of("handling", "median_ms").unwrap_or(f64::NAN) - woken.median();
    println!("  handling over two bare wake-ups {over:.3}, goal {HANDLING_GOAL}: {}", judged(over <= HANDLING_GOAL));
    if count > 1 {
        crowd.pause_all()?;
        let mut bare = Bare::to(&mut crowd, way)?;
        let round = bare.run(recording, INTERVAL, long)?;
        let (ours, bound) = (of("last", "median_ms").unwrap_or(f64::NAN), round.spread.median());
        println!(
            "  first to last {ours:.3}, of a bare loop {bound:.3} (p99 {:.3}): ratio {:.2}, goal {LAST_GOAL}: {}",
            round.spread.percentile(99),
            ours / bound,
            judged(ours <= bound * LAST_GOAL)
        );
        // One who watches elsewhere keeps the encoder at work, which is what the server's loop has beside it.
        let mut watching = Viewer::set_up(server.connect()?, Way::Udp)?;
        watching.play()?;
        let beside = bare.run(recording, INTERVAL, long)?.spread;
        println!(
            "  of a bare loop beside the same encoder {:.3} (p99 {:.3}): ratio {:.2}",
            beside.median(),
            beside.percentile(99),
            ours / beside.median()
        );
    }
    println!("  load {}", rig::load());
    Ok(())
}

fn judged(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

/// How long a thread takes to be woken that is woken by another that is woken, in milliseconds.
fn two_wakes(long: Duration) -> Outcome<Figures> {
    let (first, woken) = mpsc::channel::<MonoTime>();
    let (second, last) = mpsc::channel::<MonoTime>();
    let between = thread::spawn(move || {
        while let Ok(begun) = woken.recv()
            && second.send(begun).is_ok()
        {}
    });
    let end = thread::spawn(move || {
        let taken = last.iter().map(|begun| (MonoTime::now() - begun).as_secs_f64() * 1e3);
        taken.collect::<Figures>()
    });
    let (begun, mut random) = (MonoTime::now(), Random::default());
    while MonoTime::now() - begun < long {
        thread::sleep(Duration::from_millis(20) + random.pause(Duration::from_millis(20)));
        first.send(MonoTime::now())?;
    }
    drop(first);
    let _ = between.join();
    end.join().map_err(|_| "a thread panicked".into())
}
