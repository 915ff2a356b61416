use super::*;
use std::f64::consts::TAU;

const START: u64 = 5_000_000_000;
const AMPLITUDE: f64 = 16_384.0;

fn at(nanos: u64) -> MonoTime {
    MonoTime::from_nanos(START + nanos)
}

/// Blocks of 10 ms of what `sound` gives for a time in seconds, on all channels.
fn blocks(rate: u32, channels: u16, count: u64, sound: impl Fn(f64) -> f64) -> Vec<SampleBlock> {
    let length = u64::from(rate / 100);
    (0..count)
        .map(|b| {
            let value = |n: u64| sound(n as f64 / f64::from(rate)).round() as i16;
            let frames = (b * length..(b + 1) * length).map(value);
            let samples = frames.flat_map(|s| std::iter::repeat_n(s, usize::from(channels))).collect();
            SampleBlock { samples, channels, rate, stamp: at(nanos(b * length, rate) as u64) }
        })
        .collect()
}

fn sine(hertz: f64) -> impl Fn(f64) -> f64 {
    move |seconds| (seconds * hertz * TAU).sin() * AMPLITUDE
}

fn encode(encoder: &mut AudioEncoder, blocks: &[SampleBlock]) -> Vec<AccessUnit> {
    let mut units = Vec::new();
    for block in blocks {
        encoder.encode(block, &mut |unit| units.push(unit.clone())).unwrap();
    }
    units
}

/// The first channel as a receiver hears it, at the RTP clock's rate.
fn decode(format: &AudioFormat, units: &[AccessUnit]) -> Vec<f64> {
    let channels = usize::from(format.channels);
    match format.codec {
        AudioCodec::Pcmu => units.iter().flat_map(|u| &u.data).map(|c| g711::tests::mu_law_value(*c).into()).collect(),
        AudioCodec::Pcma => units.iter().flat_map(|u| &u.data).map(|c| g711::tests::a_law_value(*c).into()).collect(),
        AudioCodec::L16 => {
            let samples = units.iter().flat_map(|u| u.data.chunks(2 * channels));
            samples.map(|bytes| i16::from_be_bytes([bytes[0], bytes[1]]).into()).collect()
        }
        AudioCodec::Opus => {
            let layout = if channels == 1 { opus::Channels::Mono } else { opus::Channels::Stereo };
            let mut decoder = opus::Decoder::new(OPUS_CLOCK, layout).unwrap();
            let mut buffer = vec![0i16; 960 * channels];
            let mut sound = Vec::new();
            for unit in units {
                assert_eq!(decoder.decode(&unit.data, &mut buffer, false).unwrap(), 960);
                sound.extend(buffer.iter().step_by(channels).map(|s| f64::from(*s)));
            }
            sound
        }
    }
}

/// Amplitude and phase (in radians, of a sine that has phase 0 at `from` seconds) of `hertz` in `sound`.
fn tone(sound: &[f64], rate: u32, from: f64, hertz: f64) -> (f64, f64) {
    let (mut i, mut q) = (0.0, 0.0);
    for (n, value) in sound.iter().enumerate() {
        let angle = (from + n as f64 / f64::from(rate)) * hertz * TAU;
        i += value * angle.sin();
        q += value * angle.cos();
    }
    let scale = 2.0 / sound.len() as f64;
    ((i * i + q * q).sqrt() * scale, q.atan2(i))
}

const CASES: [(AudioCodec, u32, u16); 14] = [
    (AudioCodec::Pcmu, 8_000, 1),
    (AudioCodec::Pcmu, 48_000, 1),
    (AudioCodec::Pcmu, 44_100, 2),
    (AudioCodec::Pcmu, 11_025, 1),
    (AudioCodec::Pcma, 16_000, 2),
    (AudioCodec::Pcma, 96_000, 1),
    (AudioCodec::L16, 44_100, 2),
    (AudioCodec::L16, 48_000, 1),
    (AudioCodec::L16, 11_025, 1),
    (AudioCodec::Opus, 48_000, 2),
    (AudioCodec::Opus, 44_100, 1),
    (AudioCodec::Opus, 16_000, 1),
    (AudioCodec::Opus, 32_000, 2),
    (AudioCodec::Opus, 96_000, 1),
];

#[test]
fn a_sine_comes_back_with_its_frequency_its_level_and_in_time() {
    for (codec, rate, channels) in CASES {
        let format = AudioEncoder::format_for(codec, rate, channels);
        let mut encoder = AudioEncoder::new(format.clone(), (rate, channels)).unwrap();
        let units = encode(&mut encoder, &blocks(rate, channels, 100, sine(440.0)));
        assert!(units.len() >= 48, "{codec:?} {rate}: {} packets of a second", units.len());
        let clock = format.rate;
        for unit in &units {
            assert_eq!((unit.samples, unit.key, unit.nals.len()), (clock / 50, true, 1));
            assert_eq!(unit.nals().next().unwrap().len(), unit.data.len());
        }
        // What a receiver plays at a packet's stamp was heard at that instant: the phase tells to the microsecond.
        let heard = decode(&format, &units);
        let skip = 10;
        let from = (units[skip].stamp.as_nanos() - START) as f64 / 1e9;
        let part = &heard[skip * (clock / 50) as usize..][..(clock / 2) as usize];
        let (level, phase) = tone(part, clock, from, 440.0);
        let late = -phase / TAU / 440.0 * 1000.0;
        assert!((level / AMPLITUDE - 1.0).abs() < 0.03, "{codec:?} {rate}: level {level}");
        assert!(late.abs() < 0.02, "{codec:?} {rate}: {late} ms late");
        for other in [220.0, 430.0, 880.0, 1320.0] {
            assert!(tone(part, clock, from, other).0 < AMPLITUDE / 50.0, "{codec:?} {rate}: {other} Hz");
        }
    }
}

#[test]
fn an_onset_is_heard_where_the_stamps_say() {
    for (codec, rate, channels) in CASES {
        let format = AudioEncoder::format_for(codec, rate, channels);
        let mut encoder = AudioEncoder::new(format.clone(), (rate, channels)).unwrap();
        let onset = 0.303;
        let click = |seconds: f64| if seconds < onset { 0.0 } else { sine(1000.0)(seconds - onset) };
        let units = encode(&mut encoder, &blocks(rate, channels, 60, click));
        let heard = decode(&format, &units);
        let first = heard.iter().position(|value| value.abs() > AMPLITUDE / 2.0).unwrap();
        let packet = (format.rate / 50) as usize;
        let stamp = units[first / packet].stamp.as_nanos() - START;
        let time = stamp as f64 / 1e9 + (first % packet) as f64 / f64::from(format.rate);
        // A 1000 Hz sine passes half its amplitude after a twelfth of a millisecond.
        assert!((time - onset - 1.0 / 12_000.0).abs() < 0.0006, "{codec:?} {rate}: onset at {time}");
    }
}

#[test]
fn what_the_lower_rate_cannot_carry_is_filtered_out() {
    let format = AudioEncoder::format_for(AudioCodec::Pcmu, 48_000, 1);
    for (hertz, most) in [(3000.0, 1.03), (5500.0, 0.01), (7000.0, 0.01), (12_000.0, 0.01)] {
        let mut encoder = AudioEncoder::new(format.clone(), (48_000, 1)).unwrap();
        let heard = decode(&format, &encode(&mut encoder, &blocks(48_000, 1, 50, sine(hertz))));
        let loudest = heard[1000..].iter().fold(0.0f64, |most, value| most.max(value.abs()));
        assert!(loudest <= AMPLITUDE * most, "{hertz} Hz: {loudest}");
        assert!(hertz > 4000.0 || loudest > AMPLITUDE * 0.97);
    }
}

#[test]
fn stamps_follow_the_microphones_clock_and_step_over_gaps() {
    let format = AudioEncoder::format_for(AudioCodec::Pcmu, 8000, 1);
    let mut encoder = AudioEncoder::new(format, (8000, 1)).unwrap();
    let mut all = blocks(8000, 1, 13, |_| 5000.0);
    // A clock that is 1000 ppm slow, then a second lost in the middle of a packet, then a small hiccup.
    for (n, block) in all.iter_mut().enumerate() {
        let lost = if n >= 5 { 1_000_000_000 } else { 0 } + if n >= 10 { 7_000_000 } else { 0 };
        block.stamp = at(n as u64 * 10_010_000 + lost);
    }
    let units = encode(&mut encoder, &all);
    let stamps: Vec<u64> = units.iter().map(|unit| unit.stamp.as_nanos() - START).collect();
    assert_eq!(
        stamps[..5],
        [
            // Told by the block that completes the packet.
            10_000,
            20_030_000,
            // Half a packet of sound, half of silence.
            40_040_000,
            1_050_060_000,
            1_070_080_000,
        ]
    );
    assert_eq!(units[2].data[..80], [g711::mu_law(5000); 80]);
    assert_eq!(units[2].data[80..], [g711::mu_law(0); 80]);
    assert!(units[3..].iter().all(|unit| unit.data == [g711::mu_law(5000); 160]));
    // The hiccup is under 20 ms: no samples are made up, the stamps follow.
    assert_eq!(stamps[5], 1_097_100_000);
}

#[test]
fn time_told_anew_backwards_drops_what_waits() {
    let format = AudioEncoder::format_for(AudioCodec::L16, 8000, 1);
    let mut encoder = AudioEncoder::new(format, (8000, 1)).unwrap();
    let mut all = blocks(8000, 1, 4, |_| 1.0);
    all[0].stamp = at(9_000_000_000);
    let units = encode(&mut encoder, &all);
    assert_eq!(units.len(), 1);
    assert_eq!(units[0].stamp, at(10_000_000));
}

#[test]
fn a_gap_is_told_through_the_resampler_too() {
    let format = AudioEncoder::format_for(AudioCodec::Opus, 44_100, 1);
    let mut encoder = AudioEncoder::new(format, (44_100, 1)).unwrap();
    let mut all = blocks(44_100, 1, 40, sine(440.0));
    all[20..].iter_mut().for_each(|block| block.stamp += Duration::from_secs(3));
    let stamps: Vec<MonoTime> = encode(&mut encoder, &all).iter().map(|unit| unit.stamp).collect();
    let jumps = stamps.windows(2).filter(|pair| pair[1] - pair[0] != Duration::from_millis(20));
    let jumps: Vec<u128> =
        jumps.map(|pair| (pair[1] - pair[0]).as_micros()).filter(|us| us.abs_diff(20_000) > 1).collect();
    assert_eq!(jumps.len(), 1, "{jumps:?}");
    assert!((2_999_000..=3_021_000).contains(&jumps[0]), "{jumps:?}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let l16 = AudioFormat { codec: AudioCodec::L16, rate: 8000, channels: 1 };
    assert!(AudioEncoder::new(l16.clone(), (0, 1)).is_err());
    assert!(AudioEncoder::new(l16.clone(), (8000, 0)).is_err());
    assert!(AudioEncoder::new(AudioFormat { codec: AudioCodec::Opus, rate: 48_000, channels: 3 }, (8000, 3)).is_err());
    let mut encoder = AudioEncoder::new(l16, (8000, 1)).unwrap();
    let foreign = blocks(16_000, 1, 1, |_| 0.0);
    assert!(encoder.encode(&foreign[0], &mut |_| ()).is_err());
}
