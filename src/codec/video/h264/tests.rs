use super::*;
use crate::codec::video::picture::Canvas;
use h264_reader::{nal::sps::SeqParameterSet, rbsp};
use openh264::{decoder::Decoder, formats::YUVSource};

fn settings(size: Size) -> H264Settings {
    H264Settings {
        size,
        fps: FrameRate::new(30, 1),
        bitrate: 500_000,
        bitrate_ceiling: 2_000_000,
        gop: Duration::from_secs(2),
        profile: H264Profile::Baseline,
        slices: Some(1),
        frame_skip: false,
    }
}

const SMALL: Size = Size::new(320, 192);

/// Soft shapes that move a little with each frame, as a camera sees them.
fn calm(size: Size, frame: usize) -> Canvas {
    draw(size, |plane, x, y| {
        let (x, y) = ((x * if plane == 0 { 1 } else { 2 } + frame) as f32, (y * if plane == 0 { 1 } else { 2 }) as f32);
        (128.0 + 60.0 * (x / 17.0).sin() * (y / 23.0).cos() * if plane == 0 { 1.0 } else { 0.5 }) as u8
    })
}

/// Texture that moves sideways with fresh noise over it; another texture every 25 frames.
fn busy(size: Size, frame: usize) -> Canvas {
    let turn = |n: usize| n as f32 * std::f32::consts::TAU / 256.0;
    let scene = 3.0 + (frame / 25) as f32;
    let columns: Vec<f32> = (0..size.width as usize).map(|x| (turn(x + frame * 3) * scene).sin()).collect();
    let lines: Vec<f32> = (0..size.height as usize).map(|y| (turn(y) * 5.0).sin()).collect();
    draw(size, |plane, x, y| {
        let grain = hash(x as u32 / 2, (y as u32 / 2) ^ ((frame * 3 + plane) as u32 * 0x9e37)) % 16;
        (100.0 + 20.0 * (columns[x] + lines[y] + columns[x] * lines[y])) as u8 + grain as u8
    })
}

fn hash(x: u32, y: u32) -> u32 {
    let n = x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca6b);
    let n = (n ^ n >> 15).wrapping_mul(0x2c1b_3c6d);
    (n ^ n >> 13) >> 8
}

fn draw(size: Size, pixel: impl Fn(usize, usize, usize) -> u8) -> Canvas {
    let mut canvas = Canvas::default();
    canvas.resize(size);
    let sizes = Picture::plane_sizes(size);
    for (i, plane) in canvas.planes.iter_mut().enumerate() {
        for (at, to) in plane.iter_mut().enumerate() {
            *to = pixel(i, at % sizes[i].0, at / sizes[i].0);
        }
    }
    canvas
}

fn stamp(frame: usize) -> MonoTime {
    MonoTime::from_nanos(1_000_000_000 + frame as u64 * 33_333_333)
}

/// What an encoder makes of some frames: for each whether it is key, and its size in bytes.
fn run(encoder: &mut H264Encoder, frames: usize, picture: impl Fn(usize) -> Canvas) -> Vec<(bool, usize)> {
    let mut unit = AccessUnit::default();
    (0..frames)
        .map(|frame| {
            assert!(encoder.encode(&picture(frame).picture(), stamp(frame), false, &mut unit).unwrap());
            (unit.key, unit.data.len())
        })
        .collect()
}

fn rate(units: &[(bool, usize)]) -> f64 {
    units.iter().map(|(_, bytes)| bytes * 8).sum::<usize>() as f64 / units.len() as f64 * 30.0
}

fn annex_b(unit: &AccessUnit) -> Vec<u8> {
    unit.nals().flat_map(|nal| [&[0, 0, 0, 1], nal].concat()).collect()
}

fn psnr(decoded: &[u8], stride: usize, source: &Canvas, size: Size) -> f64 {
    let width = size.width as usize;
    let squares: u64 = source.planes[0]
        .chunks(width)
        .zip(decoded.chunks(stride))
        .flat_map(|(a, b)| a.iter().zip(b))
        .map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2))
        .sum();
    10.0 * (255.0 * 255.0 * size.pixels() as f64 / squares.max(1) as f64).log10()
}

/// Each unit gives its picture at once, in the right size and much like the one that was coded.
fn plays(settings: &H264Settings) {
    let mut encoder = H264Encoder::new(settings).unwrap();
    let mut decoder = Decoder::new().unwrap();
    let mut unit = AccessUnit::default();
    for frame in 0..5 {
        let source = calm(settings.size, frame);
        let coded = encoder.encode(&source.picture(), stamp(frame), false, &mut unit);
        assert_eq!(coded, Ok(true), "frame {frame} with {settings:?}");
        assert_eq!((unit.key, unit.stamp), (frame == 0, stamp(frame)));
        let types: Vec<u8> = unit.nals().map(nal_type::of).collect();
        let slices = encoder.slices() as usize;
        let expected = if unit.key { [vec![7, 8], vec![5; slices]].concat() } else { vec![1; slices] };
        assert_eq!(types, expected, "{settings:?}");
        let bytes = annex_b(&unit);
        let decoded = decoder.decode(&bytes).unwrap().expect("a picture from each unit");
        assert_eq!(decoded.dimensions(), (settings.size.width as usize, settings.size.height as usize));
        let psnr = psnr(decoded.y(), decoded.strides().0, &source, settings.size);
        assert!(psnr > 30.0, "{psnr} dB with {settings:?}");
    }
}

#[test]
fn encoders_and_converters_may_move_to_a_thread_of_their_own() {
    fn movable<T: Send + 'static>() {}
    movable::<H264Encoder>();
    movable::<crate::codec::Converter>();
}

#[test]
fn every_unit_decodes_at_once_to_what_was_coded() {
    for profile in [H264Profile::Baseline, H264Profile::Main, H264Profile::High] {
        plays(&H264Settings { profile, ..settings(SMALL) });
    }
    plays(&H264Settings { slices: Some(3), ..settings(SMALL) });
    plays(&H264Settings { slices: Some(2), profile: H264Profile::High, ..settings(SMALL) });
}

#[test]
fn small_and_crooked_even_sizes_play() {
    for (width, height) in [(16, 16), (18, 16), (16, 34), (160, 120), (322, 182), (64, 500)] {
        plays(&H264Settings { slices: Some(4), ..settings(Size::new(width, height)) });
        plays(&H264Settings { slices: None, ..settings(Size::new(width, height)) });
    }
}

#[test]
fn sizes_and_rates_that_cannot_be_are_refused_in_words() {
    for (width, height) in
        [(0, 0), (14, 16), (17, 16), (16, 17), (321, 240), (100_000, 100_000), (4096, 4096), (16_400, 16)]
    {
        let error = H264Encoder::new(&settings(Size::new(width, height))).err().expect("refused");
        assert!(error.to_string().contains(&format!("{width}x{height}")), "{error}");
    }
    assert!(H264Encoder::new(&H264Settings { bitrate: 20, ..settings(SMALL) }).is_err());
    assert!(H264Encoder::new(&H264Settings { bitrate: 1 << 30, ..settings(SMALL) }).is_err());
}

#[test]
fn a_picture_of_another_size_or_cut_short_is_an_error_and_the_encoder_goes_on() {
    let mut encoder = H264Encoder::new(&settings(SMALL)).unwrap();
    let mut unit = AccessUnit::default();
    let other = calm(Size::new(320, 176), 0);
    assert!(encoder.encode(&other.picture(), stamp(0), false, &mut unit).is_err());
    let right = calm(SMALL, 0);
    let mut cut = right.picture();
    cut.planes[2] = &cut.planes[2][1..];
    assert!(encoder.encode(&cut, stamp(0), false, &mut unit).is_err());
    assert!(encoder.encode(&right.picture(), stamp(0), false, &mut unit).unwrap());
}

#[test]
fn parameter_sets_are_known_before_the_first_picture_and_tell_players_to_hold_none() {
    let expected = [(H264Profile::Baseline, 66, 0xc0), (H264Profile::Main, 77, 0x4c), (H264Profile::High, 100, 0x0c)];
    for (profile, idc, constraints) in expected {
        let settings = H264Settings { profile, fps: FrameRate::new(30000, 1001), ..settings(Size::new(1280, 720)) };
        let mut encoder = H264Encoder::new(&settings).unwrap();
        let sets = encoder.parameter_sets().clone();
        assert_eq!(sets.profile_level_id(), [idc, constraints, 31]);
        let rbsp = rbsp::decode_nal(&sets.sps).unwrap();
        let sps = SeqParameterSet::from_bits(rbsp::BitReader::new(rbsp.as_ref())).unwrap();
        assert_eq!(sps.pixel_dimensions().unwrap(), (1280, 720));
        let vui = sps.vui_parameters.unwrap();
        let restrictions = vui.bitstream_restrictions.unwrap();
        assert_eq!((restrictions.max_num_reorder_frames, restrictions.max_dec_frame_buffering), (0, 1));
        let timing = vui.timing_info.unwrap();
        assert_eq!((timing.num_units_in_tick, timing.time_scale), (1001, 60000));

        let mut unit = AccessUnit::default();
        for frame in 0..2 {
            encoder.encode(&calm(settings.size, 0).picture(), stamp(frame), true, &mut unit).unwrap();
            assert_eq!(unit.nals().take(2).collect::<Vec<_>>(), [&*sets.sps, &*sets.pps]);
        }
    }
}

#[test]
fn the_level_is_that_of_the_ceiling() {
    let level = |bitrate_ceiling| {
        let settings = H264Settings { bitrate_ceiling, ..settings(Size::new(1280, 720)) };
        H264Encoder::new(&settings).unwrap().parameter_sets().profile_level_id()[2]
    };
    assert_eq!((level(4_000_000), level(40_000_000)), (31, 41));
}

#[test]
fn key_frames_come_once_a_gop_and_when_asked_and_never_else() {
    let settings = H264Settings { gop: Duration::from_millis(1000), ..settings(SMALL) };
    let mut encoder = H264Encoder::new(&settings).unwrap();
    // Cuts at 25, 50, 75: none makes a key frame.
    let units = run(&mut encoder, 100, |frame| busy(SMALL, frame));
    let keys: Vec<usize> = (0..units.len()).filter(|frame| units[*frame].0).collect();
    assert_eq!(keys, [0, 30, 60, 90]);

    let mut unit = AccessUnit::default();
    let mut keys = Vec::new();
    for frame in 0..80 {
        encoder.encode(&calm(SMALL, frame).picture(), stamp(100 + frame), frame == 7, &mut unit).unwrap();
        if unit.key {
            keys.push(frame);
        }
    }
    // The forced one begins a new gop.
    assert_eq!(keys, [7, 37, 67]);
}

#[test]
fn the_bitrate_is_held_on_busy_pictures_and_not_wasted_on_still_ones() {
    let size = Size::new(640, 352);
    let mut encoder = H264Encoder::new(&H264Settings { bitrate: 1_000_000, ..settings(size) }).unwrap();
    let pictures: Vec<Canvas> = (0..50).map(|frame| busy(size, frame)).collect();
    let mut unit = AccessUnit::default();
    let units: Vec<(bool, usize)> = (0..240)
        .map(|frame| {
            encoder.encode(&pictures[frame % 50].picture(), stamp(frame), false, &mut unit).unwrap();
            (unit.key, unit.data.len())
        })
        .collect();
    let measured = rate(&units[60..]) / 1e6;
    assert!((0.9..=1.1).contains(&measured), "{measured} of the target");
    let still = run(&mut encoder, 180, |_| calm(size, 0));
    assert!(rate(&still) < 1.1e6, "{}", rate(&still));
}

#[test]
fn the_bitrate_goes_up_and_down_at_run_time() {
    let mut encoder = H264Encoder::new(&settings(SMALL)).unwrap();
    let mut measure = |bitrate| {
        encoder.set_bitrate(bitrate).unwrap();
        // Pictures are counted by how they differ, so beginning again at 0 is fine.
        rate(&run(&mut encoder, 120, |frame| busy(SMALL, frame))[60..])
    };
    for bitrate in [500_000, 1_500_000, 400_000] {
        let measured = measure(bitrate) / f64::from(bitrate);
        assert!((0.85..=1.15).contains(&measured), "{measured} of {bitrate}");
    }
    assert!(encoder.set_bitrate(2_000_001).is_err() && encoder.set_bitrate(0).is_err());
}

#[test]
fn frames_are_left_out_only_where_that_was_asked_for() {
    let skipped = |frame_skip| {
        let settings = H264Settings { frame_skip, bitrate: 60_000, bitrate_ceiling: 60_000, ..settings(SMALL) };
        let mut encoder = H264Encoder::new(&settings).unwrap();
        let mut unit = AccessUnit::default();
        (0..60)
            .filter(|frame| {
                let coded = encoder.encode(&busy(SMALL, *frame).picture(), stamp(*frame), false, &mut unit).unwrap();
                assert_eq!(coded, !unit.data.is_empty());
                !coded
            })
            .count()
    };
    assert_eq!(skipped(false), 0);
    assert!(skipped(true) > 0);
}

#[test]
fn a_rate_of_frames_that_the_library_does_not_know_holds_the_bitrate_too() {
    let settings = H264Settings { fps: FrameRate::new(120, 1), ..settings(SMALL) };
    let mut encoder = H264Encoder::new(&settings).unwrap();
    let units = run(&mut encoder, 360, |frame| busy(SMALL, frame));
    let measured = rate(&units[120..]) / 30.0 * 120.0 / 500_000.0;
    assert!((0.85..=1.15).contains(&measured), "{measured}");
    assert_eq!(units.iter().filter(|(key, _)| *key).count(), 2);
}

#[test]
fn a_picture_that_overflows_the_library_is_coded_by_a_new_encoder() {
    let size = Size::new(160, 120);
    let noise = draw(size, |plane, x, y| hash(x as u32, (y + plane * 999) as u32) as u8);
    let settings = H264Settings { bitrate: 2_000_000, ..settings(size) };
    let mut raw = settings.encoder(1, FINEST_QP).unwrap();
    assert!(raw.encode(&noise.picture(), 0).is_err(), "the library has learnt; beginning anew may go");
    assert!(raw.encode(&noise.picture(), 0).is_err() && raw.force_idr().is_err());

    let mut encoder = H264Encoder::new(&settings).unwrap();
    let mut unit = AccessUnit::default();
    for frame in 0..3 {
        assert!(encoder.encode(&noise.picture(), stamp(frame), frame == 2, &mut unit).unwrap());
        assert!(unit.key || frame == 1);
    }
    assert_eq!(parameter_sets(&mut encoder.raw, settings.fps).unwrap(), encoder.parameter_sets);
}
