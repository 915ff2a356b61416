//! What ten milliseconds of sound cost: to bring them onto the clock of the pictures, to a copy of them; and to code them
//! in each codec, to the coding of the same samples without that.

mod measure;

use eyrie::{
    codec::audio::AudioEncoder,
    media::{AudioCodec, SampleBlock},
    stream::SoundLine,
    time::MonoTime,
};
use measure::Random;
use std::{f64::consts::TAU, hint::black_box};

fn main() {
    measure::heading("10 ms of a card's sound onto the clock of the pictures, to a copy");
    for (from, to, channels) in [(48_000, 48_000, 1), (48_000, 48_000, 2), (8_000, 8_000, 1), (44_100, 48_000, 1)] {
        line(from, to, channels);
    }
    measure::heading("10 ms of 48 kHz mono onto that clock and coded, to the coding alone");
    for codec in [AudioCodec::Pcmu, AudioCodec::L16, AudioCodec::Opus, AudioCodec::Aac] {
        coded(codec);
    }
}

/// Blocks of 10 ms of a tone in some noise, the next one at each call, as a card gives them whose clock is exact.
fn card(rate: u32, channels: u16) -> impl FnMut() -> SampleBlock {
    let mut n = 0;
    let frames = u64::from(rate / 100);
    let mut random = Random(1);
    let mut noise = || f32::from(random.byte()) / 25_600.0;
    let tone = |n: u64| ((n as f64 * 1000.0 * TAU / f64::from(rate)).sin() * 0.5) as f32;
    let samples: Vec<f32> =
        (0..frames).flat_map(|n| std::iter::repeat_n(tone(n) + noise(), usize::from(channels))).collect();
    move || {
        n += 1;
        let stamp = MonoTime::from_nanos(n * 10_000_000);
        SampleBlock { samples: samples.clone(), channels, rate, stamp, after_loss: false }
    }
}

fn line(from: u32, to: u32, channels: u16) {
    let (mut next, mut other) = (card(from, channels), card(from, channels));
    let mut line = SoundLine::new(to, channels, &[]);
    measure::ratio(
        &format!("{from} to {to} Hz, {channels} channels"),
        200,
        || line.push(&next(), &mut |block| drop(black_box(block))).expect("sound"),
        || drop(black_box(other())),
    );
}

fn coded(codec: AudioCodec) {
    let encoder = || {
        let format = AudioEncoder::format_for(codec, 48_000, 1);
        AudioEncoder::new(format, (48_000, 1)).expect("an encoder")
    };
    let (mut ours, mut bound) = (encoder(), encoder());
    let (mut next, mut other) = (card(48_000, 1), card(48_000, 1));
    let mut line = SoundLine::new(48_000, 1, &[]);
    let mut take = |unit: &eyrie::media::AccessUnit| {
        black_box(unit);
    };
    let mut also = take;
    measure::ratio(
        &format!("{codec:?}"),
        200,
        || line.push(&next(), &mut |block| ours.encode(&block, &mut take).expect("sound")).expect("sound"),
        || bound.encode(&other(), &mut also).expect("sound"),
    );
}
