//! One access unit to many viewers: what that costs the server per viewer, how much of it is lost, and how long it takes
//! from the first viewer to the last, at 1920x1080, 30 pictures a second and 4 Mbit/s.
//!
//! The bound: a bare loop that sends the same bytes by the same calls to the same receivers, in turn with the server.

mod rig;

use eyrie::bench::{BUSY, Bare, Crowd, Recording, sending_time};
use rig::secure::{SecureViewer, trusting};
use rig::{Figures, Outcome, Server, Viewer, Way, resident};
use std::{
    net::{SocketAddr, TcpListener},
    thread,
    time::Duration,
};

const STREAM: &str = "[camera.front]\ndevice = \"test\"\nscene = \"busy\"\nsize = \"1920x1080\"\nfps = 30\n\
    [stream.main.video]\nfrom = \"front\"\nbitrate = \"4M\"\n";
const INTERVAL: Duration = Duration::from_nanos(33_333_333);
/// What comes first after PLAY is a backlog.
const SETTLING: Duration = Duration::from_millis(2500);
/// With so many viewers and more, the ratio of processor time and that of the time from first to last.
const ENOUGH: usize = 50;
const GOAL: f64 = 1.3;
/// The same where each packet is encrypted, to a bare loop that sends them in clear.
const SECURE_GOAL: f64 = 1.5;

fn main() -> Outcome<()> {
    nofile()?;
    let secure = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let server = Server::start(rig::program(), &format!("listen_tls = [\"{secure}\"]\n{STREAM}"))?;
    let recording = {
        let mut viewer = Viewer::set_up(server.connect()?, Way::Udp)?;
        viewer.play()?;
        Recording::make(&mut viewer)?
    };
    rig::heading("One access unit to many viewers, 1920x1080 at 30, and a bare loop in turn");
    println!(
        "  {} access units of {:.1} kB in the mean, {:.0} kB the greatest: {:.2} Mbit/s",
        recording.units.len(),
        recording.bytes_per_unit() / 1e3,
        recording.units.iter().map(|unit| unit.bytes.len()).max().unwrap_or(0) as f64 / 1e3,
        recording.bytes_per_unit() * 8.0 * 30.0 / 1e6
    );
    // `cargo bench --bench fanout -- udp 100 400` takes that way and these numbers alone.
    let named: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let usual: &[usize] = if rig::smoke() { &[10] } else { &[1, 10, 50, 100, 200, 400] };
    let counts = if named.is_empty() { usual } else { &named };
    let is_named = |name: &str| std::env::args().any(|argument| argument.eq_ignore_ascii_case(name));
    let ways = [("UDP", Way::Udp, None), ("TCP", Way::Tcp, None), ("SRTP", Way::Udp, Some(secure))];
    let one_is = ways.iter().any(|(name, ..)| is_named(name));
    for (name, way, secure) in ways.into_iter().filter(|(name, ..)| !one_is || is_named(name)) {
        println!(
            "\n  {name}: % of a core per viewer, lost packets, ms from first to last (median and p95 of access units)\n  \
             viewers   server    bare   ratio (spread)          lost/of      bare's      server's ms    bare's ms      ratio   kB/viewer"
        );
        for count in counts {
            measure(&server, &recording, way, *count, secure)?;
        }
    }
    println!("  load {}", rig::load());
    Ok(())
}

/// `secure`: where viewers set up SRTP over UDP; None: in clear.
fn measure(server: &Server, recording: &Recording, way: Way, count: usize, secure: Option<SocketAddr>) -> Outcome<()> {
    let goal = if secure.is_some() { SECURE_GOAL } else { GOAL };
    let long = if rig::smoke() { Duration::from_secs(1) } else { Duration::from_secs(10) };
    let mut crowd = Crowd::new()?;
    let before = resident(server.pid())?.0;
    let mut asking = Vec::new();
    let trusting = secure.map(|_| trusting(&server.certificate())).transpose()?;
    for _ in 0..count {
        let Some((secure, trusting)) = secure.zip(trusting.as_ref()) else {
            crowd.add(Viewer::set_up(server.connect()?, way)?)?;
            continue;
        };
        let (viewer, rtp) = SecureViewer::set_up(secure, trusting)?;
        let address = SocketAddr::new(secure.ip(), rtp.local_addr()?.port());
        crowd.add_socket(rtp, address)?;
        asking.push(viewer);
    }
    let mut bare = Bare::to(&mut crowd, way)?;
    let [mut ours, mut theirs, mut ratio] = <[Figures; 3]>::default();
    let (mut spreads, mut busiest, mut grown) = ([Figures::default(), Figures::default()], 0.0f64, 0.0f64);
    let (mut lost, mut packets) = ([0; 2], [0; 2]);
    for _ in 0..rig::rounds(5) {
        crowd.play_all()?;
        asking.iter_mut().try_for_each(SecureViewer::play)?;
        thread::sleep(SETTLING);
        crowd.begin();
        let (before_net, before_crowd) = (sending_time(server.pid())?, Crowd::reading_time()?);
        thread::sleep(long);
        let (net, read, tally) =
            (sending_time(server.pid())? - before_net, Crowd::reading_time()? - before_crowd, crowd.take());
        grown = grown.max(resident(server.pid())?.0 - before);
        crowd.pause_all()?;
        asking.iter_mut().try_for_each(SecureViewer::pause)?;
        busiest = busiest.max(read.as_secs_f64() / long.as_secs_f64());
        let share = |time: Duration| time.as_secs_f64() / long.as_secs_f64() * 100.0 / count as f64;
        ours.push(share(net));
        let per_byte = net.as_secs_f64() / tally.bytes as f64;
        lost[0] += tally.lost;
        packets[0] += tally.packets;
        tally.spreads().values().iter().for_each(|value| spreads[0].push(*value));
        if tally.silent() > 0 {
            return Err(format!("{} viewers of {count} got nothing", tally.silent()).into());
        }

        crowd.begin();
        let before_crowd = Crowd::reading_time()?;
        let round = bare.run(recording, INTERVAL, long)?;
        let tally = crowd.take();
        busiest = busiest.max((Crowd::reading_time()? - before_crowd).as_secs_f64() / long.as_secs_f64());
        theirs.push(share(round.time));
        ratio.push(per_byte / (round.time.as_secs_f64() / tally.bytes as f64));
        lost[1] += tally.lost;
        packets[1] += tally.packets;
        tally.spreads().values().iter().for_each(|value| spreads[1].push(*value));
    }
    asking.iter_mut().try_for_each(SecureViewer::tear_down)?;
    let [first, second] = &spreads;
    println!(
        "  {count:7} {:8.4} {:8.4} {:7.3} ({:.3} to {:.3}) {:8}/{:<8} {:5}/{:<8} {:6.2} {:6.2} {:6.2} {:6.2} {:8.2} {:8.1}{}{}",
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
        if busiest > BUSY { "  (the receivers were the limit)" } else { "" },
        if count >= ENOUGH && ratio.median() > goal { "  ratio missed" } else { "" },
    );
    Ok(())
}

fn nofile() -> Outcome<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}
