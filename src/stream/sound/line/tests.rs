use super::*;
use std::f64::consts::TAU;

const START: u64 = 5_000_000_000;

/// A device whose clock is off, hearing a sine of 200 Hz of true time.
struct Device {
    rate: u32,
    drift: f64,
    /// True seconds since the start of its next frame.
    now: f64,
}

impl Device {
    fn new(rate: u32, drift: f64) -> Self {
        Self { rate, drift, now: 0.0 }
    }

    fn block(&mut self) -> SampleBlock {
        let stamp = MonoTime::from_nanos(START + (self.now * 1e9) as u64);
        let step = 1.0 / (f64::from(self.rate) * (1.0 + self.drift));
        let frames = self.rate / 100;
        let samples = (0..frames).map(|n| sine(self.now + f64::from(n) * step)).collect();
        self.now += f64::from(frames) * step;
        SampleBlock { samples, channels: 1, rate: self.rate, stamp, after_loss: false }
    }
}

fn sine(seconds: f64) -> f32 {
    ((seconds * 200.0 * TAU).sin() * 0.5) as f32
}

/// What a line gave, checked to be without a break.
#[derive(Default)]
struct Heard {
    first: Option<MonoTime>,
    samples: Vec<f32>,
    rate: u32,
}

impl Heard {
    fn take(&mut self, block: SampleBlock) {
        assert!(!block.after_loss && block.channels == 1);
        let first = *self.first.get_or_insert(block.stamp);
        let expected = first + Duration::from_nanos(self.samples.len() as u64 * 1_000_000_000 / u64::from(block.rate));
        assert!(block.stamp.signed_nanos_since(expected).abs() <= 1, "the line breaks at {expected:?}");
        self.rate = block.rate;
        self.samples.extend(block.samples);
    }

    /// Seconds since the start at which sample `n` is told to have been taken.
    fn time(&self, n: usize) -> f64 {
        self.first.unwrap().signed_nanos_since(MonoTime::from_nanos(START)) as f64 / 1e9
            + n as f64 / f64::from(self.rate)
    }

    /// By how many seconds the last 50 ms of the sine are told late.
    fn late(&self) -> f64 {
        let last = self.rate as usize / 20;
        let begin = self.samples.len() - last;
        let (mut i, mut q) = (0.0, 0.0);
        for (n, sample) in self.samples.iter().enumerate().skip(begin) {
            let angle = self.time(n) * 200.0 * TAU;
            i += f64::from(*sample) * angle.sin();
            q += f64::from(*sample) * angle.cos();
        }
        -q.atan2(i) / TAU / 200.0
    }
}

fn push(line: &mut SoundLine, heard: &mut Heard, block: &SampleBlock) {
    line.push(block, &mut |block| heard.take(block)).unwrap();
}

#[test]
fn a_drifting_device_stays_in_step_at_any_rate() {
    for (from, to, drift) in
        [(8_000, 8_000, 300e-6), (8_000, 8_000, -300e-6), (11_025, 8_000, 100e-6), (8_000, 16_000, 0.0)]
    {
        let (mut line, mut device, mut heard) =
            (SoundLine::new(to, 1, &[]), Device::new(from, drift), Heard::default());
        for n in 0..18_000 {
            push(&mut line, &mut heard, &device.block());
            if n % 100 == 99 {
                // With the half frame by which a stamp is rounded, the sound is nowhere further off.
                assert!(heard.late().abs() < 0.003, "{from} to {to}: {:.2} ms late after {n}", heard.late() * 1e3);
            }
        }
        assert!(heard.late().abs() < 0.0005, "{from} to {to}: {:.3} ms late", heard.late() * 1e3);
        assert!((line.drift_ppm().unwrap() - drift * 1e6).abs() < 10.0, "{from}: {:?} ppm", line.drift_ppm());
        assert_eq!(line.lost(), Duration::ZERO);
    }
}

/// The longest run of silence, in samples, that begins and ends in the sound.
fn silence(samples: &[f32]) -> usize {
    let loud = |sample: &f32| sample.abs() > 0.02;
    let from = samples.iter().position(loud).unwrap();
    let runs = samples[from..].split(loud);
    runs.map(<[f32]>::len).max().unwrap()
}

#[test]
fn what_a_device_lost_becomes_silence_of_its_length() {
    let (mut line, mut device, mut heard) =
        (SoundLine::new(48_000, 1, &[]), Device::new(48_000, 0.0), Heard::default());
    for n in 0..400 {
        let mut block = device.block();
        if n == 200 {
            device.now += 0.7341;
            block = device.block();
            block.after_loss = true;
        }
        push(&mut line, &mut heard, &block);
    }
    assert!(heard.late().abs() < 0.0001, "{:.3} ms late", heard.late() * 1e3);
    let long = (0.7341 + 0.01) * 48_000.0;
    assert!((silence(&heard.samples) as f64 - long).abs() < 80.0, "{} samples", silence(&heard.samples));
    assert!(line.lost().as_micros().abs_diff(744_100) < 100, "{:?}", line.lost());
}

#[test]
fn silence_that_went_out_before_the_device_told_of_its_loss_counts() {
    let (mut line, mut device, mut heard) =
        (SoundLine::new(48_000, 1, &[]), Device::new(48_000, 0.0), Heard::default());
    let at = |seconds: f64| MonoTime::from_nanos(START + (seconds * 1e9) as u64);
    for _ in 0..100 {
        push(&mut line, &mut heard, &device.block());
    }
    for tenth in 1..=15 {
        line.silence_until(at(device.now + f64::from(tenth) * 0.1), &mut |block| heard.take(block)).unwrap();
    }
    device.now += 1.6;
    let mut block = device.block();
    block.after_loss = true;
    push(&mut line, &mut heard, &block);
    assert!(line.lost().as_micros().abs_diff(1_600_000) < 100, "{:?}", line.lost());
    // A device that went away has lost nothing.
    line.silence_until(at(device.now + 1.0), &mut |block| heard.take(block)).unwrap();
    device.now += 1.2;
    push(&mut line, &mut heard, &device.block());
    assert!(line.lost().as_micros().abs_diff(1_600_000) < 100, "{:?}", line.lost());
}

#[test]
fn a_loss_that_nobody_told_is_found_by_the_stamps() {
    for lost in [0.05, -0.05] {
        let (mut line, mut device, mut heard) =
            (SoundLine::new(8_000, 1, &[]), Device::new(8_000, 0.0), Heard::default());
        for n in 0..1000 {
            if n == 300 {
                device.now += lost;
            }
            push(&mut line, &mut heard, &device.block());
        }
        assert!(heard.late().abs() < 0.001, "{:.3} ms late", heard.late() * 1e3);
        assert_eq!(line.lost() > Duration::ZERO, lost > 0.0, "{:?}", line.lost());
    }
}

#[test]
fn silence_fills_the_time_without_a_device_and_another_rate_joins() {
    let (mut line, mut heard) = (SoundLine::new(16_000, 1, &[]), Heard::default());
    let at = |seconds: f64| MonoTime::from_nanos(START + (seconds * 1e9) as u64);
    line.silence_until(at(0.0), &mut |block| heard.take(block)).unwrap();
    line.silence_until(at(0.5), &mut |block| heard.take(block)).unwrap();
    assert!((heard.samples.len() as f64 - 8_000.0).abs() < 500.0, "{} samples", heard.samples.len());
    let mut device = Device { now: 0.61, ..Device::new(16_000, 0.0) };
    for _ in 0..50 {
        push(&mut line, &mut heard, &device.block());
    }
    assert!(heard.late().abs() < 0.0001, "{:.3} ms late", heard.late() * 1e3);
    for tenth in 1..20 {
        line.silence_until(at(1.11 + f64::from(tenth) * 0.1), &mut |block| heard.take(block)).unwrap();
    }
    // It comes back as another card, whose first blocks are of a time that was silent already.
    let mut device = Device { now: 2.98, ..Device::new(44_100, 0.0) };
    for _ in 0..50 {
        push(&mut line, &mut heard, &device.block());
    }
    assert!(heard.late().abs() < 0.0002, "{:.3} ms late", heard.late() * 1e3);
    let silent = silence(&heard.samples) as f64 / 16_000.0;
    assert!((silent - 1.9).abs() < 0.05, "{silent} s of silence");
    assert_eq!(line.lost(), Duration::ZERO, "a device that is away loses nothing");
}

#[test]
fn a_sleep_of_the_board_is_not_made_up_for() {
    let (mut line, mut device) = (SoundLine::new(8_000, 1, &[]), Device::new(8_000, 0.0));
    let mut blocks = Vec::new();
    for n in 0..20 {
        let mut block = device.block();
        if n == 10 {
            device.now += 3600.0;
            block = device.block();
            block.after_loss = true;
        }
        line.push(&block, &mut |block| blocks.push(block)).unwrap();
    }
    assert!((18..=20).contains(&blocks.len()), "{} blocks", blocks.len());
    let last = blocks.last().unwrap().stamp;
    assert!(last.signed_nanos_since(MonoTime::from_nanos(START)) > 3_600_000_000_000);
}

#[test]
fn channels_are_mixed_or_picked() {
    let heard = |map: &[u16]| {
        let mut line = SoundLine::new(8_000, 1, map);
        let mut last = 0.0;
        for n in 0..20 {
            let stamp = MonoTime::from_nanos(START + n * 10_000_000);
            let samples = [0.5, 0.25].repeat(80);
            let block = SampleBlock { samples, channels: 2, rate: 8_000, stamp, after_loss: false };
            line.push(&block, &mut |block| last = *block.samples.last().unwrap()).unwrap();
        }
        (last * 1000.0f32).round() / 1000.0
    };
    assert_eq!((heard(&[]), heard(&[1]), heard(&[2])), (0.375, 0.5, 0.25));
}
