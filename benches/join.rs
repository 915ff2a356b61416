//! From PLAY to the first packet of an IDR picture, with the test pattern at 1280x720 and 30 pictures a second.
//!
//! The bound: a new key frame can only be the next picture, half a frame interval away in the mean and a whole one at
//! worst, and has to be coded. How long that takes is measured beside each join with the same encoder.

mod rig;

use eyrie::time::MonoTime;
use rig::{Figures, Outcome, Random, Server, Viewer, Way, capture, fine_row, millis, row};
use std::{thread, time::Duration};

/// Over these the goals are missed: the median over half an interval and the coding, the 95th percentile over a whole
/// interval and the coding.
const GOAL: f64 = 10.0;

/// One join.
struct Join {
    /// PLAY to the first packet that holds a part of an IDR picture, in milliseconds.
    taken: f64,
    /// The coding of an IDR picture right after, in milliseconds.
    coding: f64,
}

fn main() -> Outcome<()> {
    // A long gop, so that key frames come when they are asked for and no join finds a young one.
    let server = Server::start(rig::program(), &format!("{}gop = \"10s\"\n", capture::STREAM))?;
    let mut camera = capture::pattern()?;
    let mut encoder = capture::Encoder::new(None)?;
    let mut random = Random::default();

    let rounds = rig::rounds(60);
    rig::heading("PLAY to the first IDR packet, each join asks for a new key frame; milliseconds");
    let mut joins: [Vec<Join>; 2] = Default::default();
    for _ in 0..rounds {
        for (way, joins) in [Way::Tcp, Way::Udp].into_iter().zip(&mut joins) {
            // More than a second apart, so that the encoder's budget for key frames is never spent.
            thread::sleep(Duration::from_millis(1000) + random.pause(Duration::from_millis(300)));
            let taken = millis(join(&server, way)?);
            let coding = millis(capture::idr_time(&mut *camera, &mut encoder)?);
            joins.push(Join { taken, coding });
        }
    }
    for (way, joins) in [Way::Tcp, Way::Udp].into_iter().zip(&joins) {
        report(way, joins);
    }
    let slices = server.slices().ok_or("the server does not say how many slices it codes")?;
    println!("  load {}; slices of the server {slices}, of the encoder beside it {}", rig::load(), encoder.slices());

    rig::heading("The same about three times a second, which spends the budget for key frames; milliseconds");
    for way in [Way::Tcp, Way::Udp] {
        let mut figures = Figures::default();
        for _ in 0..rig::rounds(40) {
            // A key frame of up to 250 ms would be taken as it is, without a question to the budget.
            thread::sleep(Duration::from_millis(260) + random.pause(Duration::from_millis(150)));
            figures.push(millis(join(&server, way)?));
        }
        row(&format!("over {way:?}"), &figures);
    }
    Ok(())
}

fn join(server: &Server, way: Way) -> Outcome<Duration> {
    let mut viewer = Viewer::set_up(server.connect()?, way)?;
    let asked: MonoTime = viewer.play()?;
    let (_, idr) = viewer.first_idr()?;
    Ok(idr - asked)
}

fn report(way: Way, joins: &[Join]) {
    let interval = millis(capture::FPS.interval());
    let figures = |of: &dyn Fn(&Join) -> f64| joins.iter().map(of).collect::<Figures>();
    println!("over {way:?}");
    row("PLAY to the first IDR packet", &figures(&|join| join.taken));
    row("the coding of an IDR picture", &figures(&|join| join.coding));
    fine_row("ratio to half an interval and the coding", &figures(&|join| join.taken / (interval / 2.0 + join.coding)));
    let over_half = figures(&|join| join.taken - interval / 2.0 - join.coding).median();
    let over_whole = figures(&|join| join.taken - interval - join.coding).percentile(95);
    let judged = |over: f64| if over <= GOAL { "met" } else { "missed" };
    println!("  median over half an interval and the coding {over_half:+.1}, goal {GOAL}: {}", judged(over_half));
    println!("  p95 over a whole interval and the coding {over_whole:+.1}, goal {GOAL}: {}", judged(over_whole));
}
