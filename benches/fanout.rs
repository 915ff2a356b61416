//! One access unit to many viewers: what that costs the server per viewer, how much of it is lost, and how long it takes
//! from the first viewer to the last, at 1920x1080, 30 pictures a second and 4 Mbit/s.
//!
//! The bound: a bare loop that sends the same bytes by the same calls to the same receivers, in turn with the server.

mod rig;

use eyrie::bench::{BUSY, Bare, Crowd, Recording, Unit, sending_time};
use rig::secure::{SecureViewer, trusting};
use rig::tap::{CABLE, Tap};
use rig::{Figures, Outcome, Server, Viewer, Way, resident, thread_times};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    thread,
    time::Duration,
};

const STREAM: &str = "[camera.front]\ndevice = \"test\"\nscene = \"busy\"\nsize = \"1920x1080\"\nfps = 30\n\
    [stream.main.video]\nfrom = \"front\"\nbitrate = \"4M\"\n";
const SOUND: &str = "[microphone.desk]\ndevice = \"test\"\n[stream.main.audio]\nfrom = \"desk\"\ncodec = \"pcmu\"\n";
const INTERVAL: Duration = Duration::from_nanos(33_333_333);
/// A packet of that sound, and how often there is one.
const SOUND_PACKET: usize = 12 + 160;
const SOUND_INTERVAL: Duration = Duration::from_millis(20);
/// What comes first after PLAY is a backlog.
const SETTLING: Duration = Duration::from_millis(2500);
/// With so many viewers and more, the ratio of processor time and that of the time from first to last.
const ENOUGH: usize = 50;
const GOAL: f64 = 1.3;
/// The same where each packet is encrypted, to a bare loop that sends them in clear.
const SECURE_GOAL: f64 = 1.5;

/// How viewers get the stream: the video alone over the loopback interface, unless said otherwise.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    Udp,
    Tcp,
    /// Encrypted, over UDP.
    Srtp,
    /// Over UDP and a tap device.
    Tap,
    /// With its sound, over UDP.
    Sound,
}

const RUNS: [(&str, Run); 5] =
    [("UDP", Run::Udp), ("TCP", Run::Tcp), ("SRTP", Run::Srtp), ("tap", Run::Tap), ("sound", Run::Sound)];

fn main() -> Outcome<()> {
    nofile()?;
    rig::heading("One access unit to many viewers, 1920x1080 at 30, and a bare loop in turn");
    // `cargo bench --bench fanout -- udp 100 400` takes that way and these numbers alone.
    let named: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let usual: &[usize] = if rig::smoke() { &[10] } else { &[1, 10, 50, 100, 200, 400] };
    let counts = if named.is_empty() { usual } else { &named };
    let is_named = |name: &str| std::env::args().any(|argument| argument.eq_ignore_ascii_case(name));
    let one_is = RUNS.iter().any(|(name, _)| is_named(name));
    for (name, run) in RUNS.into_iter().filter(|(name, _)| !one_is || is_named(name)) {
        let Some(fanout) = Fanout::start(run)? else { continue };
        let recording = &fanout.recording;
        println!(
            "\n  {name}: {} access units of {:.1} kB in the mean, {:.0} kB the greatest: {:.2} Mbit/s\n  \
             % of a core per viewer, lost packets, ms from first to last (median and p95 of access units)\n  \
             viewers   server    bare   ratio (spread)          lost/of      bare's      server's ms    bare's ms      ratio   kB/viewer",
            recording.units.len(),
            recording.bytes_per_unit() / 1e3,
            recording.units.iter().map(|unit| unit.bytes.len()).max().unwrap_or(0) as f64 / 1e3,
            recording.bytes_per_unit() * 8.0 * 30.0 / 1e6
        );
        for count in counts {
            fanout.on_viewers(|| fanout.measure(*count))?;
        }
    }
    println!("  load {}", rig::load());
    Ok(())
}

/// The server of a run.
struct Fanout {
    run: Run,
    server: Server,
    /// Where it takes viewers by TLS.
    secure: SocketAddr,
    recording: Recording,
    tap: Option<Tap>,
}

/// Those who get the stream from the server and from a bare loop.
struct Audience {
    crowd: Crowd,
    /// Who hears its sound; they are asked by those who see it.
    ears: Crowd,
    /// Who asks for an encrypted stream.
    asking: Vec<SecureViewer>,
}

impl Fanout {
    /// None where this run may not be.
    fn start(run: Run) -> Outcome<Option<Self>> {
        let tap = if run == Run::Tap { Tap::new()? } else { None };
        if run == Run::Tap && tap.is_none() {
            return Ok(None);
        }
        let secure = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = match run {
            Run::Srtp => format!("listen_tls = [\"{secure}\"]\n{STREAM}"),
            Run::Sound => format!("{STREAM}{SOUND}"),
            _ => STREAM.to_owned(),
        };
        let server = match &tap {
            Some(tap) => tap.on_camera(|| Server::start_at(Tap::address()?, rig::program(), &config))?,
            None => Server::start(rig::program(), &config)?,
        };
        let mut fanout = Self { run, server, secure, recording: Recording { units: Vec::new() }, tap };
        fanout.recording = fanout.on_viewers(|| {
            let mut viewer = Viewer::set_up(fanout.server.connect()?, Way::Udp)?;
            viewer.play()?;
            Recording::make(&mut viewer)
        })?;
        Ok(Some(fanout))
    }

    /// What has sockets of the server's side.
    fn on_camera<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.tap {
            Some(tap) => tap.on_camera(work),
            None => work(),
        }
    }

    /// What has sockets of the viewers' side.
    fn on_viewers<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.tap {
            Some(tap) => tap.on_viewers(work),
            None => work(),
        }
    }

    fn way(&self) -> Way {
        if self.run == Run::Tcp { Way::Tcp } else { Way::Udp }
    }

    fn audience(&self, count: usize) -> Outcome<Audience> {
        let mut audience = Audience { crowd: Crowd::new()?, ears: Crowd::new()?, asking: Vec::new() };
        if self.run == Run::Srtp {
            let trusting = trusting(&self.server.certificate())?;
            for _ in 0..count {
                let (viewer, rtp) = SecureViewer::set_up(self.secure, &trusting)?;
                let address = SocketAddr::new(self.secure.ip(), rtp.local_addr()?.port());
                audience.crowd.add_socket(rtp, address)?;
                audience.asking.push(viewer);
            }
            return Ok(audience);
        }
        for _ in 0..count {
            let mut viewer = Viewer::set_up(self.server.connect()?, self.way())?;
            if self.run == Run::Sound {
                let rtp = viewer.set_up_sound()?;
                let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), rtp.local_addr()?.port());
                audience.ears.add_socket(rtp, address)?;
            }
            audience.crowd.add(viewer)?;
        }
        Ok(audience)
    }

    fn measure(&self, count: usize) -> Outcome<()> {
        let goal = if self.run == Run::Srtp { SECURE_GOAL } else { GOAL };
        let long = if rig::smoke() { Duration::from_secs(1) } else { Duration::from_secs(10) };
        let pid = self.server.pid();
        let before = resident(pid)?.0;
        let mut audience = self.audience(count)?;
        let mut bare = self.on_camera(|| Bare::to(&mut audience.crowd, self.way()))?;
        let mut bare_sound = self.on_camera(|| Bare::to(&mut audience.ears, Way::Udp))?;
        let [mut ours, mut theirs, mut ratio] = <[Figures; 3]>::default();
        let (mut spreads, mut busiest, mut grown) = ([Figures::default(), Figures::default()], [0.0f64; 2], 0.0f64);
        let (mut lost, mut packets) = ([0; 2], [0; 2]);
        let share = |time: Duration| time.as_secs_f64() / long.as_secs_f64() * 100.0 / count as f64;
        for _ in 0..rig::rounds(5) {
            audience.play()?;
            thread::sleep(SETTLING);
            audience.begin();
            let (before_net, before_read) = (sending_time(pid)?, receiving()?);
            thread::sleep(long);
            let net = sending_time(pid)? - before_net;
            note(&mut busiest, before_read, long)?;
            let (tally, heard) = (audience.crowd.take(), audience.ears.take());
            grown = grown.max(resident(pid)?.0 - before);
            audience.pause()?;
            ours.push(share(net));
            let per_byte = net.as_secs_f64() / tally.bytes as f64;
            lost[0] += tally.lost + heard.lost;
            packets[0] += tally.packets + heard.packets;
            tally.spreads().values().iter().for_each(|value| spreads[0].push(*value));
            if tally.silent() + heard.silent() > 0 {
                return Err(format!("{} viewers of {count} got nothing", tally.silent() + heard.silent()).into());
            }

            audience.begin();
            let before_read = receiving()?;
            let mut time = bare.run(&self.recording, INTERVAL, long)?.time;
            note(&mut busiest, before_read, long)?;
            if self.run == Run::Sound {
                time += bare_sound.run(&sound(), SOUND_INTERVAL, long)?.time;
            }
            let (tally, heard) = (audience.crowd.take(), audience.ears.take());
            theirs.push(share(time));
            ratio.push(per_byte / (time.as_secs_f64() / tally.bytes as f64));
            lost[1] += tally.lost + heard.lost;
            packets[1] += tally.packets + heard.packets;
            tally.spreads().values().iter().for_each(|value| spreads[1].push(*value));
        }
        audience.asking.iter_mut().try_for_each(SecureViewer::tear_down)?;
        let [first, second] = &spreads;
        println!(
            "  {count:7} {:8.4} {:8.4} {:7.3} ({:.3} to {:.3}) {:8}/{:<8} {:5}/{:<8} {:6.2} {:6.2} {:6.2} {:6.2} {:8.2} {:8.1}{}{}{}{}",
            ours.median(),
            theirs.median(),
            ratio.median(),
            ratio.percentile(0),
            ratio.percentile(100),
            lost[0],
            packets[0],
            lost[1],
            packets[1],
            first.median(),
            first.percentile(95),
            second.median(),
            second.percentile(95),
            first.median() / second.median(),
            grown * 1e3 / count as f64,
            if busiest[0] > BUSY { "  (the receivers were the limit)" } else { "" },
            if busiest[1] > BUSY { "  (the cable was the limit)" } else { "" },
            if count >= ENOUGH && ratio.median() > goal { "  ratio missed" } else { "" },
            if count >= ENOUGH && first.median() > second.median() * GOAL { "  first to last missed" } else { "" },
        );
        Ok(())
    }
}

impl Audience {
    fn play(&mut self) -> Outcome<()> {
        self.crowd.play_all()?;
        self.asking.iter_mut().try_for_each(SecureViewer::play)
    }

    fn pause(&mut self) -> Outcome<()> {
        self.crowd.pause_all()?;
        self.asking.iter_mut().try_for_each(SecureViewer::pause)
    }

    /// Counts from now on.
    fn begin(&self) {
        self.crowd.begin();
        self.ears.begin();
    }
}

/// What a bare loop sends again and again for sound.
fn sound() -> Recording {
    let mut bytes = vec![0; SOUND_PACKET];
    bytes[0] = 0x80;
    Recording { units: vec![Unit { bytes, ends: vec![SOUND_PACKET] }] }
}

/// Processor time of those who read for viewers, and of the cable.
fn receiving() -> Outcome<[Duration; 2]> {
    let cable = thread_times(std::process::id())?.get(CABLE).copied().unwrap_or_default();
    Ok([Crowd::reading_time()?, cable])
}

/// The most of a core that each took.
fn note(busiest: &mut [f64; 2], before: [Duration; 2], long: Duration) -> Outcome<()> {
    for ((most, after), before) in busiest.iter_mut().zip(receiving()?).zip(before) {
        *most = most.max((after - before).as_secs_f64() / long.as_secs_f64());
    }
    Ok(())
}

fn nofile() -> Outcome<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}
