//! What the server takes: at rest, when streams wait for viewers, and with one viewer of 1280x720 at 30 pictures a
//! second, beside a process that does nothing but draw and code the same pictures at the same time; and how much more
//! memory it has than that by size.

mod rig;

use eyrie::{device::open_camera, media::Size, time::MonoTime};
use rig::capture::SIZE;
use rig::{Figures, Outcome, Server, Viewer, Way, capture, fine_row, resident, row, thread_times};
use std::{
    env,
    process::{Child, Command, Stdio},
    sync::mpsc::sync_channel,
    thread,
    time::Duration,
};

/// Set for the process to compare with: width, height, bits per second, and how many slices (0: as many as are needed).
const BARE: &str = "EYRIE_BENCH_BARE";
/// The names of its threads.
const DRAWS: &str = "draw";
const CODES: &str = "code";
/// Percent of a core at rest, and megabytes with a viewer.
const REST_GOAL: f64 = 0.5;
const RESIDENT_GOAL: f64 = 25.0;
/// Megabytes over drawing and coding alone, at each size.
const OVER_GOAL: f64 = 8.0;

fn main() -> Outcome<()> {
    if let Ok(told) = env::var(BARE) {
        return bare(&told);
    }
    at_rest()?;
    with_a_viewer()?;
    by_size()
}

fn at_rest() -> Outcome<()> {
    rig::heading("At rest: two streams on_demand, nobody watches; percent of a core");
    let server = Server::start(
        rig::program(),
        "[camera.front]\ndevice = \"test\"\nsize = \"1280x720\"\nfps = 30\n\
         [stream.main]\nvideo = { from = \"front\" }\non_demand = true\n\
         [stream.sub]\nvideo = { from = \"front\", size = \"640x360\", fps = 15, bitrate = \"500k\" }\non_demand = true\n",
    )?;
    thread::sleep(Duration::from_secs(1));
    let mut figures = Figures::default();
    for _ in 0..rig::rounds(10) {
        let window = Window::open(server.pid())?;
        thread::sleep(if rig::smoke() { Duration::from_secs(1) } else { Duration::from_secs(5) });
        figures.push(window.shares()?.iter().map(|(_, share)| share).sum());
    }
    fine_row("the server", &figures);
    println!("  median {:.3}, goal {REST_GOAL}: {}", figures.median(), judged(figures.median() <= REST_GOAL));
    println!("  resident {:.1} MB", resident(server.pid())?.0);
    Ok(())
}

fn with_a_viewer() -> Outcome<()> {
    let server = Server::start(rig::program(), capture::STREAM)?;
    let bare = Bare::start(SIZE, 2_000_000, 0)?;
    for way in [Way::Udp, Way::Tcp] {
        rig::heading(&format!("One viewer of 1280x720 at 30 over {way:?}; percent of a core"));
        let mut viewer = Viewer::set_up(server.connect()?, way)?;
        viewer.play()?;
        viewer.first_idr()?;
        thread::sleep(Duration::from_secs(1));

        let mut threads: Vec<(String, Figures)> = Vec::new();
        let [mut whole, mut coding, mut ratio, mut overhead] = <[Figures; 4]>::default();
        for _ in 0..rig::rounds(12) {
            let (ours, theirs) = (Window::open(server.pid())?, Window::open(bare.0.id())?);
            watch(&mut viewer, if rig::smoke() { Duration::from_secs(1) } else { Duration::from_secs(3) })?;
            let (ours, theirs) = (ours.shares()?, theirs.shares()?);
            let sum = |shares: &[(String, f64)], of: &dyn Fn(&str) -> bool| -> f64 {
                shares.iter().filter(|(name, _)| of(name)).map(|(_, share)| share).sum()
            };
            let bare_coding = sum(&theirs, &|name| name == CODES);
            whole.push(sum(&ours, &|_| true));
            coding.push(bare_coding);
            ratio.push(sum(&ours, &|_| true) / sum(&theirs, &|_| true));
            overhead.push(sum(&ours, &|name| !name.starts_with("cam-")) / bare_coding);
            for (name, share) in ours {
                match threads.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, figures)) => figures.push(share),
                    None => threads.push((name, Figures::from_iter([share]))),
                }
            }
        }
        row("the server", &whole);
        for (name, figures) in &threads {
            row(&format!("  its thread {name}"), figures);
        }
        row("the encoder alone", &coding);
        fine_row("ratio of the server to drawing and coding alone", &ratio);
        fine_row("ratio without the camera, to coding alone", &overhead);
        let (ours, theirs) = (resident(server.pid())?, resident(bare.0.id())?);
        println!(
            "  {} slices, resident {:.1} MB (goal {RESIDENT_GOAL}: {}), {:.1} of it not from files; drawing and coding alone {:.1} \
             and {:.1}; load {}",
            server.slices().unwrap_or(0),
            ours.0,
            judged(ours.0 <= RESIDENT_GOAL),
            ours.1,
            theirs.0,
            theirs.1,
            rig::load()
        );
    }
    Ok(())
}

fn by_size() -> Outcome<()> {
    rig::heading(
        "Resident with one viewer, one slice, in MB: the server, drawing and coding alone, and what is between them",
    );
    for (size, bitrate) in [(Size::new(640, 360), 500_000), (SIZE, 2_000_000), (Size::new(1920, 1080), 4_000_000)] {
        let server = Server::start(
            rig::program(),
            &format!(
                "[camera.front]\ndevice = \"test\"\nsize = \"{size}\"\nfps = 30\n\
                 [stream.main.video]\nfrom = \"front\"\nbitrate = {bitrate}\nslices = 1\n"
            ),
        )?;
        let bare = Bare::start(size, bitrate, 1)?;
        let mut viewer = Viewer::set_up(server.connect()?, Way::Tcp)?;
        viewer.play()?;
        watch(&mut viewer, if rig::smoke() { Duration::from_secs(1) } else { Duration::from_secs(10) })?;
        let [ours, theirs] = [resident(server.pid())?.0, resident(bare.0.id())?.0];
        let over = ours - theirs;
        println!("  {size}: {ours:.1}, {theirs:.1}, {over:.1} (goal {OVER_GOAL}: {})", judged(over <= OVER_GOAL));
    }
    Ok(())
}

fn judged(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

/// Reads all that comes.
fn watch(viewer: &mut Viewer, long: Duration) -> Outcome<()> {
    let (end, mut packet) = (MonoTime::now() + long, Vec::new());
    while MonoTime::now() < end {
        viewer.packet(&mut packet)?;
    }
    Ok(())
}

/// What a process' threads took from now on.
struct Window {
    pid: u32,
    begun: MonoTime,
    before: std::collections::BTreeMap<String, Duration>,
}

impl Window {
    fn open(pid: u32) -> Outcome<Self> {
        Ok(Self { pid, begun: MonoTime::now(), before: thread_times(pid)? })
    }

    /// Percent of a core by name of thread.
    fn shares(&self) -> Outcome<Vec<(String, f64)>> {
        let long = (MonoTime::now() - self.begun).as_secs_f64();
        let shares = thread_times(self.pid)?.into_iter().map(|(name, now)| {
            let before = self.before.get(&name).copied().unwrap_or_default();
            (name, now.saturating_sub(before).as_secs_f64() / long * 100.0)
        });
        Ok(shares.collect())
    }
}

/// The process to compare with; ends with this one.
struct Bare(Child);

impl Bare {
    fn start(size: Size, bitrate: u32, slices: u32) -> Outcome<Self> {
        let told = format!("{} {} {bitrate} {slices}", size.width, size.height);
        Ok(Self(Command::new(env::current_exe()?).env(BARE, told).stdin(Stdio::piped()).spawn()?))
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Draws on one thread and codes on another, until stdin ends.
fn bare(told: &str) -> Outcome<()> {
    let numbers = told.split(' ').map(str::parse).collect::<Result<Vec<u32>, _>>()?;
    let [width, height, bitrate, slices] = numbers[..] else { return Err("width, height, bitrate, slices".into()) };
    let size = Size::new(width, height);
    let (put, take) = sync_channel(1);
    let mut pattern = open_camera(&capture::test_camera(size, capture::FPS))?;
    let draw = move || {
        while let Ok(frame) = pattern.next(Duration::from_secs(1))
            && put.send(frame).is_ok()
        {}
    };
    thread::Builder::new().name(DRAWS.into()).spawn(draw)?;
    let code = move || {
        let Ok(mut encoder) = capture::Encoder::of(size, bitrate, (slices > 0).then_some(slices)) else { return };
        while let Ok(frame) = take.recv()
            && encoder.encode(&frame, false).is_ok()
        {}
    };
    thread::Builder::new().name(CODES.into()).spawn(code)?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}
