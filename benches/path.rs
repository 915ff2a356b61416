//! The way of a picture between its capture and its encoding, and between its encoding and the workers: how long it
//! waits and is handed on, beside bare wake-ups of threads that do nothing, measured at the same time.

mod rig;

use eyrie::{
    media::{AccessUnit, FrameRate, H264Format, ParameterSets, Size, TrackFormat},
    rtp::Packetizer,
    stream::{CameraSource, Delivery, Demand, Hub, Inbox, Mailbox, Taken},
    time::MonoTime,
};
use rig::{Figures, Outcome};
use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

/// So small that drawing it takes next to nothing: what is left is the hand-over.
const SMALL: Size = Size::new(160, 120);
const FPS: FrameRate = FrameRate::new(50, 1);

fn main() -> Outcome<()> {
    rig::heading("Capture stamp to encoder input, and bare wake-ups at the same instants");
    let (ours, drawn, bare) = captured(rig::rounds(1500).max(20))?;
    tell("drawing the picture alone", &drawn);
    tell("capture stamp to encoder input", &ours);
    tell("a timer wakes a thread, which wakes another", &bare);
    rig::fine_row(
        "ratio of the medians, the drawing taken off",
        &Figures::from_iter([(ours.median() - drawn.median()) / bare.median()]),
    );

    rig::heading("Encoder output to packet batch, and to the worker that is woken");
    for (bytes, what) in [(8_000, "a P picture of 8 kB"), (100_000, "an IDR picture of 100 kB")] {
        let (batch, woken, bare) = packetized(bytes, rig::rounds(1000).max(20))?;
        tell(&format!("{what}: to packet batch"), &batch);
        tell(&format!("{what}: to the woken worker"), &woken);
        tell("a thread wakes another", &bare);
        rig::fine_row("ratio of the medians", &Figures::from_iter([woken.median() / bare.median()]));
    }
    Ok(())
}

/// In microseconds.
fn tell(what: &str, figures: &Figures) {
    println!(
        "  {what:<52} median {:8.1} µs   p99 {:8.1} µs   ({})",
        figures.median(),
        figures.percentile(99),
        figures.len()
    );
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// How long the real source takes to bring `count` pictures to who encodes them, how long drawing alone takes, and how
/// long bare threads take to be woken one after the other by the same clock.
fn captured(count: usize) -> Outcome<(Figures, Figures, Figures)> {
    let wish = rig::capture::test_camera(SMALL, FPS);
    let mut pattern = eyrie::device::open_camera(&wish)?;
    let drawn = (0..count.min(100)).map(|_| pattern.next(Duration::from_secs(1)).map(|frame| (MonoTime::now(), frame)));
    let drawn = drawn.map(|taken| taken.map(|(at, frame)| micros(at - frame.stamp))).collect::<Result<Vec<_>, _>>()?;
    // What the wake-up itself takes is part of both: only the drawing is to be taken off.
    let wake = bare_wakes(drawn.len(), false);
    let drawn: Figures = drawn.iter().map(|taken| (taken - wake.median()).max(0.0)).collect();

    let demand = Demand::new();
    let _watch = demand.watch();
    let source = CameraSource::start(wish)?;
    let mailbox = source.subscribe(Mailbox::new(), demand, None);
    let bare = thread::spawn(move || bare_wakes(count, true));
    let mut ours = Figures::default();
    let mut warm = 0;
    while ours.len() < count {
        match mailbox.take(None) {
            Taken::Item(item) => {
                let now = MonoTime::now();
                warm += 1;
                if warm > 10 {
                    ours.push(micros(now - item.frame.stamp));
                }
            }
            Taken::Nothing => {}
            Taken::Closed => return Err("the source ended".into()),
        }
    }
    Ok((ours, drawn, bare.join().map_err(|_| "the bare threads failed")?))
}

/// From an instant of the frame grid until a thread that waits for it runs, or, `handing_on`, until a second one does
/// that it wakes.
fn bare_wakes(count: usize, handing_on: bool) -> Figures {
    let (hand_on, handed) = mpsc::sync_channel::<MonoTime>(1);
    let second = thread::spawn(move || handed.iter().map(|due| micros(MonoTime::now() - due)).collect::<Vec<_>>());
    let mut first = Vec::new();
    let mut due = MonoTime::now() + FPS.interval() / 2;
    for _ in 0..count {
        due += FPS.interval();
        thread::sleep(due - MonoTime::now());
        first.push(micros(MonoTime::now() - due));
        if handing_on {
            let _ = hand_on.send(due);
        }
    }
    drop(hand_on);
    let second = second.join().unwrap_or_default();
    if handing_on { second.into_iter().collect() } else { first.into_iter().collect() }
}

/// For an access unit of `bytes`: from the encoder's return until its batch is made, until a worker's loop has it, and
/// what waking a bare thread takes, in turn.
fn packetized(bytes: usize, count: usize) -> Outcome<(Figures, Figures, Figures)> {
    let hub = Hub::new("main", true, false, MonoTime::now());
    let inbox = Arc::new(Inbox::default());
    hub.connect(inbox.clone());
    let (arrived, arrivals) = mpsc::channel::<MonoTime>();
    let ended = Arc::new(Mutex::new(false));
    let worker = thread::spawn({
        let ended = ended.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async {
                let mut deliveries: Vec<Delivery> = Vec::new();
                while !*ended.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) {
                    inbox.arrived().await;
                    let now = MonoTime::now();
                    inbox.drain(&mut deliveries);
                    let _ = deliveries.drain(..).try_for_each(|_| arrived.send(now));
                }
            });
        }
    });
    let format = TrackFormat::H264(H264Format {
        size: Size::new(1280, 720),
        fps: FPS,
        bitrate: 2_000_000,
        parameter_sets: ParameterSets { sps: [0x67, 0x42, 0xc0, 0x1f][..].into(), pps: [0x68, 0xce][..].into() },
    });
    let mut packetizer = Packetizer::new(&format, 1360, 1, 0, 0);
    let mut unit = AccessUnit::default();
    let (wake, woken) = mpsc::channel::<MonoTime>();
    let (tell, told) = mpsc::channel::<MonoTime>();
    let bare_thread = thread::spawn(move || woken.iter().all(|_| tell.send(MonoTime::now()).is_ok()));
    let (mut batches, mut workers, mut bare) = (Figures::default(), Figures::default(), Figures::default());
    let mut random = rig::Random::default();
    for _ in 0..count {
        unit.clear();
        unit.push_nal(&vec![0x41; bytes]);
        unit.stamp = MonoTime::now();
        // Threads that wait have gone to sleep by then, as they have between two pictures.
        thread::sleep(Duration::from_millis(2) + random.pause(Duration::from_millis(2)));
        let begun = MonoTime::now();
        let batch = packetizer.packetize(&unit);
        batches.push(micros(MonoTime::now() - begun));
        hub.publish(0, batch, bytes, None, begun);
        workers.push(micros(arrivals.recv_timeout(Duration::from_secs(5))? - begun));

        thread::sleep(Duration::from_millis(2) + random.pause(Duration::from_millis(2)));
        let begun = MonoTime::now();
        wake.send(begun)?;
        bare.push(micros(told.recv_timeout(Duration::from_secs(5))? - begun));
    }
    drop(wake);
    *ended.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = true;
    hub.publish(0, packetizer.packetize(&unit), bytes, None, MonoTime::now());
    worker.join().map_err(|_| "the worker failed")?;
    bare_thread.join().map_err(|_| "the bare thread failed")?;
    Ok((batches, workers, bare))
}
