//! From exec to the first RTP packet at a viewer that tries from the first moment on, with the test pattern at 1280x720
//! and 30 pictures a second.
//!
//! The bound: a process that does nothing, and an encoder that is made, without finding out how many slices it needs,
//! and codes one picture.

mod rig;

use eyrie::time::MonoTime;
use rig::{Figures, Outcome, Server, Viewer, Way, capture, fine_row, millis, row};
use std::{process::Command, time::Duration};

/// Milliseconds from exec to the first packet.
const GOAL: f64 = 150.0;

fn main() -> Outcome<()> {
    rig::heading("exec to the first RTP packet; milliseconds");
    let mut figures: [Figures; 7] = Default::default();
    for round in 0..rig::rounds(20) {
        let way = if round % 2 == 0 { Way::Tcp } else { Way::Udp };
        let [connected, set_up, first] = start(way)?;
        let nothing = timed(|| Ok(Command::new("/bin/true").status().map(drop)?))?;
        let bare = timed(|| first_picture(Some(1)))?;
        let whole = timed(|| first_picture(None))?;
        let ratio = first / (nothing + bare);
        for (figures, value) in figures.iter_mut().zip([connected, set_up, first, nothing, bare, whole, ratio]) {
            figures.push(value);
        }
    }
    let names = [
        "exec to the first connection",
        "exec to SETUP answered",
        "exec to the first packet",
        "a process that does nothing",
        "an encoder and its first picture",
        "the same, with the slices found out",
    ];
    for (name, figures) in names.into_iter().zip(&figures) {
        row(name, figures);
    }
    fine_row("ratio of the first packet to process and encoder", &figures[6]);
    let judged = if figures[2].median() <= GOAL { "met" } else { "missed" };
    println!("  median to the first packet {:.0}, goal {GOAL}: {judged}; load {}", figures[2].median(), rig::load());
    Ok(())
}

/// Milliseconds from exec to a connection, to an answered SETUP, to the first packet.
fn start(way: Way) -> Outcome<[f64; 3]> {
    let server = Server::exec(rig::program(), capture::STREAM)?;
    let since = |then: MonoTime| millis(then - server.started);
    let socket = server.connect()?;
    let connected = since(MonoTime::now());
    let mut viewer = Viewer::set_up(socket, way)?;
    let set_up = since(MonoTime::now());
    viewer.play()?;
    let (first, _) = viewer.first_idr()?;
    Ok([connected, set_up, since(first)])
}

fn first_picture(slices: Option<u32>) -> Outcome<()> {
    let frame = capture::pattern()?.next(Duration::from_secs(1))?;
    capture::Encoder::new(slices)?.encode(&frame, false)?;
    Ok(())
}

fn timed(work: impl FnOnce() -> Outcome<()>) -> Outcome<f64> {
    let begun = MonoTime::now();
    work()?;
    Ok(millis(MonoTime::now() - begun))
}
