//! AAC as FFmpeg's decoder, which is none of ours, hears it: how much noise there is, and when each sound is.

use eyrie::{
    codec::audio::AudioEncoder,
    media::{AudioCodec, SampleBlock},
    time::MonoTime,
};
use std::{
    f64::consts::TAU,
    io::Write,
    process::{Command, Stdio},
};

use crate::support;

const START: u64 = 1_000_000_000;
const SECONDS: f64 = 2.0;

/// What goes into each channel at a time in seconds, at that rate.
type Wave = fn(f64, f64) -> f64;

fn a4(seconds: f64, _: f64) -> f64 {
    (seconds * 440.0 * TAU).sin() * 0.5
}

fn kilohertz(seconds: f64, _: f64) -> f64 {
    (seconds * 1000.0 * TAU).sin() * 0.5
}

/// From 100 Hz to 0.3 of the rate, as fast an octave everywhere.
fn sweep(seconds: f64, rate: f64) -> f64 {
    let octaves = (0.3 * rate / 100.0).ln() / SECONDS;
    (TAU * 100.0 / octaves * ((octaves * seconds).exp() - 1.0)).sin() * 0.5
}

/// The access units with an ADTS header each (ISO/IEC 13818-7 §6.2), and by how many samples the first is told to begin
/// before the sound does.
fn encoded(rate: u32, channels: u16, wave: Wave) -> (Vec<u8>, usize) {
    let format = AudioEncoder::format_for(AudioCodec::Aac, rate, channels);
    assert_eq!((format.rate, format.channels), (rate, channels));
    let mut encoder = AudioEncoder::new(format, (rate, channels)).unwrap();
    let (mut stream, mut early) = (Vec::new(), None);
    let length = u64::from(rate / 100);
    for block in 0..(SECONDS * 100.0) as u64 {
        let value = |frame: u64| wave(frame as f64 / f64::from(rate), f64::from(rate)) as f32;
        let frames = (block * length..(block + 1) * length).map(value);
        let samples = frames.flat_map(|value| std::iter::repeat_n(value, usize::from(channels))).collect();
        let stamp = MonoTime::from_nanos(START + block * 10_000_000);
        let block = SampleBlock { samples, channels, rate, stamp, after_loss: false };
        let mut take = |unit: &eyrie::media::AccessUnit| {
            let before = START as f64 - unit.stamp.as_nanos() as f64;
            early.get_or_insert((before * f64::from(rate) / 1e9).round() as usize);
            stream.extend(syom::wrap_adts_au(&unit.data, rate, usize::from(channels)).unwrap());
        };
        encoder.encode(&block, &mut take).unwrap();
    }
    (stream, early.unwrap())
}

/// All samples that FFmpeg decodes, channels interleaved.
fn decoded(stream: &[u8]) -> Vec<f32> {
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-xerror", "-f", "aac", "-i", "pipe:0", "-f", "f32le", "pipe:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = ffmpeg.stdin.take().unwrap();
    let stream = stream.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&stream));
    let output = ffmpeg.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    output.stdout.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// Signal to noise in dB, noise being all that differs from the wave at the time that is told.
fn quality(rate: u32, channels: u16, wave: Wave) -> f64 {
    let (stream, early) = encoded(rate, channels, wave);
    let heard = decoded(&stream);
    let (mut signal, mut noise) = (0.0, 0.0);
    // The start and the end are cut off: the last window lacks its other half.
    let frames = heard.len() / usize::from(channels);
    for frame in early + 4096..frames - 2048 {
        let wanted = wave((frame - early) as f64 / f64::from(rate), f64::from(rate));
        for sample in &heard[frame * usize::from(channels)..][..usize::from(channels)] {
            signal += wanted * wanted;
            noise += (f64::from(*sample) - wanted).powi(2);
        }
    }
    10.0 * f64::log10(signal / noise)
}

#[test]
fn ffmpeg_hears_little_noise_and_each_sound_at_its_time() {
    if support::missing(&["ffmpeg"]) {
        return;
    }
    let mut poor = Vec::new();
    for rate in [8_000, 16_000, 24_000, 32_000, 44_100, 48_000] {
        for channels in [1, 2] {
            for (name, wave, least) in
                [("440 Hz", a4 as Wave, 40.0), ("1 kHz", kilohertz, 40.0), ("sweep", sweep, 50.0)]
            {
                let quality = quality(rate, channels, wave);
                eprintln!("{rate} Hz, {channels} channels, {name}: {quality:.1} dB");
                if quality < least {
                    poor.push(format!("{rate} Hz, {channels} channels, {name}: {quality:.1} dB"));
                }
            }
        }
    }
    assert!(poor.is_empty(), "{poor:#?}");
}
