use super::*;
use std::f64::consts::TAU;

const START: u64 = 5_000_000_000;
const AMPLITUDE: f64 = 0.5;

fn at(nanos: u64) -> MonoTime {
    MonoTime::from_nanos(START + nanos)
}

/// Blocks of 10 ms of what `sound` gives for a time in seconds, on all channels.
fn blocks(rate: u32, channels: u16, count: u64, sound: impl Fn(f64) -> f64) -> Vec<SampleBlock> {
    let length = u64::from(rate / 100);
    (0..count)
        .map(|b| {
            let value = |n: u64| sound(n as f64 / f64::from(rate)) as f32;
            let frames = (b * length..(b + 1) * length).map(value);
            let samples = frames.flat_map(|s| std::iter::repeat_n(s, usize::from(channels))).collect();
            let stamp = at(nanos(b * length, rate) as u64);
            SampleBlock { samples, channels, rate, stamp, after_loss: false }
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
    let of_16_bits = |sample: i16| f64::from(sample) / 32_768.0;
    let bytes = || units.iter().flat_map(|unit| &unit.data);
    match format.codec {
        AudioCodec::Pcmu => bytes().map(|code| of_16_bits(g711::tests::mu_law_value(*code))).collect(),
        AudioCodec::Pcma => bytes().map(|code| of_16_bits(g711::tests::a_law_value(*code))).collect(),
        AudioCodec::L16 => {
            let samples = units.iter().flat_map(|u| u.data.chunks(2 * channels));
            samples.map(|bytes| of_16_bits(i16::from_be_bytes([bytes[0], bytes[1]]))).collect()
        }
        AudioCodec::Opus => {
            let layout = if channels == 1 { opus::Channels::Mono } else { opus::Channels::Stereo };
            let mut decoder = opus::Decoder::new(OPUS_CLOCK, layout).unwrap();
            let mut buffer = vec![0.0; 960 * channels];
            let mut sound = Vec::new();
            for unit in units {
                assert_eq!(decoder.decode_float(&unit.data, &mut buffer, false).unwrap(), 960);
                sound.extend(buffer.iter().step_by(channels).map(|s| f64::from(*s)));
            }
            sound
        }
        AudioCodec::Aac => {
            let stream: Vec<u8> = units
                .iter()
                .flat_map(|unit| syom::wrap_adts_au(&unit.data, format.rate, channels).expect("an access unit"))
                .collect();
            let decoded = syom::decode_with(&stream, &syom::DecodeOptions::unbounded()).unwrap();
            assert_eq!((decoded.sample_rate, decoded.channels.len()), (format.rate, channels));
            decoded.channels[0].iter().map(|sample| f64::from(*sample)).collect()
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

/// Samples per channel of a packet.
fn packet(format: &AudioFormat) -> usize {
    if format.codec == AudioCodec::Aac { 1024 } else { format.rate as usize / 50 }
}

const CASES: [(AudioCodec, u32, u16); 19] = [
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
    (AudioCodec::Aac, 48_000, 2),
    (AudioCodec::Aac, 44_100, 1),
    (AudioCodec::Aac, 16_000, 1),
    (AudioCodec::Aac, 8_000, 2),
    (AudioCodec::Aac, 96_000, 1),
];

#[test]
fn a_sine_comes_back_with_its_frequency_its_level_and_in_time() {
    for (codec, rate, channels) in CASES {
        let format = AudioEncoder::format_for(codec, rate, channels);
        let mut encoder = AudioEncoder::new(format.clone(), (rate, channels)).unwrap();
        let units = encode(&mut encoder, &blocks(rate, channels, 100, sine(440.0)));
        let (clock, packet) = (format.rate, packet(&format));
        let whole = clock as usize / packet;
        assert!(units.len() + 2 >= whole, "{codec:?} {rate}: {} packets of a second", units.len());
        for unit in &units {
            assert_eq!((unit.samples as usize, unit.key, unit.nals.len()), (packet, true, 1));
            assert_eq!(unit.nals().next().unwrap().len(), unit.data.len());
        }
        // What a receiver plays at a packet's stamp was heard at that instant: the phase tells to the microsecond.
        let heard = decode(&format, &units);
        let skip = whole / 5 + 1;
        let from = (units[skip].stamp.as_nanos() - START) as f64 / 1e9;
        let part = &heard[skip * packet..][..(clock / 2) as usize];
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
        let packet = packet(&format);
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
fn stamps_count_samples_and_step_over_gaps() {
    let format = AudioEncoder::format_for(AudioCodec::Pcmu, 8000, 1);
    let mut encoder = AudioEncoder::new(format, (8000, 1)).unwrap();
    let mut all = blocks(8000, 1, 13, |_| 0.15);
    // Rounding, then a second lost in the middle of a packet.
    for (n, block) in all.iter_mut().enumerate() {
        block.stamp = at(n as u64 * 10_000_000 + n as u64 % 3 + if n >= 5 { 1_000_000_000 } else { 0 });
    }
    let units = encode(&mut encoder, &all);
    let stamps: Vec<u64> = units.iter().map(|unit| unit.stamp.as_nanos() - START).collect();
    // The half packet before the gap is of another time.
    let begun = 1_050_000_002;
    assert_eq!(stamps, [0, 20_000_000, begun, begun + 20_000_000, begun + 40_000_000, begun + 60_000_000]);
    assert!(units.iter().all(|unit| unit.data == [g711::mu_law(of_16_bits(0.15)); 160]));
}

#[test]
fn time_told_anew_backwards_drops_what_waits() {
    let format = AudioEncoder::format_for(AudioCodec::L16, 8000, 1);
    let mut encoder = AudioEncoder::new(format, (8000, 1)).unwrap();
    let mut all = blocks(8000, 1, 4, |_| 0.1);
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
    assert!((2_999_000..=3_041_000).contains(&jumps[0]), "{jumps:?}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let l16 = AudioFormat { codec: AudioCodec::L16, rate: 8000, channels: 1 };
    assert!(AudioEncoder::new(l16.clone(), (0, 1)).is_err());
    assert!(AudioEncoder::new(l16.clone(), (8000, 0)).is_err());
    for (codec, rate) in [(AudioCodec::Opus, 48_000), (AudioCodec::Aac, 48_000)] {
        assert!(AudioEncoder::new(AudioFormat { codec, rate, channels: 3 }, (8000, 3)).is_err());
    }
    assert!(AudioEncoder::new(AudioFormat { codec: AudioCodec::Aac, rate: 9000, channels: 1 }, (8000, 1)).is_err());
    let mut encoder = AudioEncoder::new(l16, (8000, 1)).unwrap();
    let foreign = blocks(16_000, 1, 1, |_| 0.0);
    assert!(encoder.encode(&foreign[0], &mut |_| ()).is_err());
}
