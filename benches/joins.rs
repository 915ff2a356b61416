//! A hundred viewers who come at random moments, over a minute and over ten seconds: how soon each sees a picture and is at
//! the live edge, what that costs in key frames, bitrate and quality, and whether anybody else loses a packet.
//!
//! The bound is that of `join`: the next picture is half an interval away, a whole one at worst, and has to be coded.

mod rig;

use eyrie::{
    bench::{Crowd, Joined},
    codec::{H264Encoder, H264Settings, Picture},
    device::pattern,
    media::{AccessUnit, H264Profile, RawFrame, Scene},
    time::MonoTime,
};
use openh264::{decoder::Decoder, formats::YUVSource};
use rig::{Figures, Outcome, Random, Server, Viewer, Way, capture, millis, row};
use std::{thread, time::Duration};

/// Key frames come when they are asked for, and else so seldom that they do not matter.
const STREAM: &str = "[camera.front]\ndevice = \"test\"\nscene = \"busy\"\nsize = \"1280x720\"\nfps = 30\n\
    [stream.main.video]\nfrom = \"front\"\nbitrate = \"2M\"\ngop = \"20s\"\n";
/// Milliseconds over half an interval, or a whole one, and the coding.
const GOAL: f64 = 10.0;
/// A viewer is to be at the live edge so soon after PLAY.
const EDGE_GOAL: f64 = 500.0;
/// Key frames in all: one a second, and those that the budget saves up.
const SAVED_UP: u64 = 4;

fn main() -> Outcome<()> {
    let coding = coding()?;
    for way in [Way::Udp, Way::Tcp] {
        for long in [60, 10] {
            joins(way, if rig::smoke() { 2 } else { long }, &coding)?;
        }
    }
    quality()
}

/// How long coding an IDR picture takes, in milliseconds.
fn coding() -> Outcome<Figures> {
    let mut wish = capture::test_camera(capture::SIZE, capture::FPS);
    wish.scene = Scene::Busy;
    let (mut camera, mut encoder) = (eyrie::device::open_camera(&wish)?, capture::Encoder::new(None)?);
    let times = (0..rig::rounds(10)).map(|_| Ok(millis(capture::idr_time(&mut *camera, &mut encoder)?)));
    times.collect::<Outcome<Vec<f64>>>().map(|times| times.into_iter().collect())
}

fn joins(way: Way, seconds: u64, coding: &Figures) -> Outcome<()> {
    let (count, long) = (if rig::smoke() { 5 } else { 100 }, Duration::from_secs(seconds));
    rig::heading(&format!("{count} viewers over {way:?} within {seconds} s; milliseconds"));
    let server = Server::start(rig::program(), STREAM)?;
    let mut crowd = Crowd::new()?;
    for _ in 0..=count {
        crowd.add(Viewer::set_up(server.connect()?, way)?)?;
    }
    // One who is there before all others.
    crowd.play(0)?;
    thread::sleep(Duration::from_secs(2));
    crowd.begin();
    thread::sleep(long.min(Duration::from_secs(20)));
    let alone = crowd.take();
    let alone_rate = alone.bytes as f64 * 8.0 / long.min(Duration::from_secs(20)).as_secs_f64();

    let mut random = Random::default();
    let mut moments: Vec<Duration> = (0..count).map(|_| random.pause(long)).collect();
    moments.sort();
    let keys_before = keyframes(&server)?;
    crowd.begin();
    let begun = MonoTime::now();
    let mut played = Vec::new();
    for (index, moment) in moments.iter().enumerate() {
        thread::sleep((begun + *moment).since(MonoTime::now()));
        played.push(crowd.play(index + 1)?);
    }
    thread::sleep((begun + long).since(MonoTime::now()));
    let (ended, keys) = (MonoTime::now(), keyframes(&server)? - keys_before);
    thread::sleep(Duration::from_secs(1));
    let tally = crowd.take();
    if let Some(refusal) = tally.refusals.first() {
        return Err(format!("refused: {refusal}").into());
    }

    let joined: Vec<(MonoTime, Joined)> =
        played.iter().enumerate().map(|(index, played)| (*played, tally.joined(index + 1))).collect();
    let since = |of: &dyn Fn(&Joined) -> Option<MonoTime>| -> Figures {
        joined.iter().filter_map(|(played, joined)| Some(millis(of(joined)? - *played))).collect()
    };
    let (idr, edge) = (since(&|joined| joined.idr), since(&|joined| joined.edge));
    let interval = millis(capture::FPS.interval());
    row("PLAY to the first IDR packet", &idr);
    row("coding of an IDR picture", coding);
    let over = (idr.median() - interval / 2.0 - coding.median(), idr.percentile(95) - interval - coding.median());
    println!(
        "  over half an interval and the coding {:.1} (median), over a whole one {:.1} (p95); goal {GOAL}: {}",
        over.0,
        over.1,
        judged(over.0 <= GOAL && over.1 <= GOAL)
    );
    row("PLAY to the live edge", &edge);
    let late = edge.values().iter().filter(|value| **value > EDGE_GOAL).count() + count - edge.len();
    println!("  later than {EDGE_GOAL} at the live edge {late} of {count}: {}", judged(late == 0));
    let back: Figures = joined.iter().map(|(_, joined)| millis(joined.back)).filter(|back| *back > interval).collect();
    println!("  from the ring {} of {count}, so far back: {back}", back.len());
    let allowed = (ended - begun).as_secs() + SAVED_UP + seconds / 20 + 1;
    println!("  key frames {keys}, at most {allowed}: {}", judged(keys <= allowed));
    println!("  packets lost {} of {}: {}", tally.lost, tally.packets, judged(tally.lost == 0));
    println!("  bitrate {:.0} kbit/s, before anybody joined {:.0}", server_rate(&server)? / 1e3, alone_rate / 1e3);
    println!("  load {}", rig::load());
    Ok(())
}

fn judged(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

fn keyframes(server: &Server) -> Outcome<u64> {
    Ok(server.status()?["streams"][0]["keyframes"].as_u64().unwrap_or(0))
}

fn server_rate(server: &Server) -> Outcome<f64> {
    Ok(server.status()?["streams"][0]["bitrate"].as_f64().unwrap_or(f64::NAN))
}

/// What key frames for joins cost in bitrate and quality: the same pictures coded with none, and with as many as the budget
/// allows, by the encoder as the server sets it.
fn quality() -> Outcome<()> {
    rig::heading("Twenty seconds of the busy scene at 1280x720 and 2 Mbit/s, coded with key frames for joins");
    let pictures = if rig::smoke() { 30 } else { 600 };
    let every = |each: usize| move |number: usize| number > 0 && number.is_multiple_of(each);
    let (alone, joined) = (coded(pictures, |_| false)?, coded(pictures, every(30))?);
    println!("  nobody joins            {:5.0} kbit/s   PSNR {:.2} dB", alone.0 / 1e3, alone.1);
    println!("  a key frame each second {:5.0} kbit/s   PSNR {:.2} dB", joined.0 / 1e3, joined.1);
    println!(
        "  difference              {:5.1} %        {:.2} dB",
        (joined.0 / alone.0 - 1.0) * 100.0,
        joined.1 - alone.1
    );
    Ok(())
}

/// Bit/s, and the PSNR of the luma over all pictures.
fn coded(pictures: usize, forced: impl Fn(usize) -> bool) -> Outcome<(f64, f64)> {
    let mut encoder = H264Encoder::new(&H264Settings {
        size: capture::SIZE,
        fps: capture::FPS,
        bitrate: 2_000_000,
        bitrate_ceiling: 4_000_000,
        gop: Duration::from_secs(20),
        profile: H264Profile::Baseline,
        slices: Some(1),
        frame_skip: false,
    })?;
    let (mut decoder, mut unit, mut bytes) = (Decoder::new()?, AccessUnit::default(), 0);
    let (mut error, mut seen, mut annex_b) = (0.0, 0usize, Vec::new());
    for (number, frame) in pattern::album(capture::SIZE, capture::FPS, Scene::Busy).take(pictures).enumerate() {
        if !encoder.encode(&Picture::of(&frame)?, frame.stamp, forced(number), &mut unit)? {
            return Err("the encoder left a picture out".into());
        }
        bytes += unit.data.len();
        annex_b.clear();
        for nal in unit.nals() {
            annex_b.extend_from_slice(&[0, 0, 0, 1]);
            annex_b.extend_from_slice(nal);
        }
        let Some(decoded) = decoder.decode(&annex_b)? else { continue };
        error += squared_error(&frame, decoded.y(), decoded.strides().0);
        seen += 1;
    }
    let pixels = f64::from(capture::SIZE.width) * f64::from(capture::SIZE.height);
    let psnr = 10.0 * (255.0 * 255.0 / (error / (seen as f64 * pixels))).log10();
    Ok((bytes as f64 * 8.0 * capture::FPS.as_f64() / pictures as f64, psnr))
}

fn squared_error(frame: &RawFrame, luma: &[u8], stride: usize) -> f64 {
    let (width, height) = (capture::SIZE.width as usize, capture::SIZE.height as usize);
    let plane = &frame.planes[0];
    let bytes = frame.buffer.memory(plane.memory);
    let rows = (0..height).map(|y| (&bytes[plane.offset + y * plane.stride..][..width], &luma[y * stride..][..width]));
    let squares =
        rows.map(|(ours, theirs)| ours.iter().zip(theirs).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum::<u64>());
    squares.sum::<u64>() as f64
}
