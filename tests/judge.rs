//! The judge of what players showed must itself be right: it reads good marks, and every kind of fault fails it.

mod support;

use std::f64::consts::TAU;

use support::{
    Expected, Picture, Recording, Sound,
    marks::{self, Luma, Strip},
};

const WIDTH: usize = 640;
const HEIGHT: usize = 360;
const START_MS: u64 = 1_800_000_000_500;
const EXPECTED: Expected = Expected { fps: 30.0, step: 1, seconds: 10.0, sound: true };

/// A picture as the test source draws it, with noise.
fn draw(strip: Strip) -> Vec<u8> {
    let mut body = [0; 12];
    body[..2].copy_from_slice(&0xB5C3u16.to_be_bytes());
    body[2..4].copy_from_slice(&strip.counter.to_be_bytes());
    body[4..10].copy_from_slice(&strip.millis.to_be_bytes()[2..]);
    let mut crc = 0xFFFFu16;
    for bit in body[2..10].iter().flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1)) {
        let carry = (crc >> 15) as u8 ^ bit;
        crc = crc << 1 ^ if carry == 1 { 0x1021 } else { 0 };
    }
    body[10..].copy_from_slice(&crc.to_be_bytes());
    let mut seed = 1u32;
    (0..WIDTH * HEIGHT)
        .map(|n| {
            let (x, y) = (n % WIDTH / 20, n / WIDTH / 14);
            let luma = match (y, n / WIDTH >= HEIGHT / 2) {
                (0..3, _) if body[(y * 32 + x) / 8] >> (7 - x % 8) & 1 == 1 => 235,
                (0..3, _) => 16,
                (_, true) if strip.in_flash() => 235,
                _ => 60,
            };
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (luma + (seed >> 27) as i32 - 16).clamp(0, 255) as u8
        })
        .collect()
}

fn luma(data: &[u8]) -> Luma<'_> {
    Luma { data, width: WIDTH, height: HEIGHT, stride: WIDTH }
}

/// A faultless recording of ten seconds.
fn good() -> Recording {
    let pictures = (0..301).map(|n: u16| {
        let seconds = f64::from(n) / 30.0;
        let strip = Strip { counter: n.wrapping_add(65_400), millis: START_MS + (seconds * 1e3) as u64 };
        Picture { time: Some(seconds), strip: Some(strip), half_is_right: true }
    });
    let samples = (0..81_000).map(|n| {
        let since_mark = (START_MS as f64 / 1e3 + f64::from(n) / 8e3) % 2.0;
        if since_mark < 0.1 { 0.5 * (TAU * 1000.0 * since_mark).sin() as f32 } else { 0.0 }
    });
    let pieces = (0..81_000).step_by(160).map(|first| (first, first as f64 / 8e3)).collect();
    Recording {
        pictures: pictures.collect(),
        sound: Some(Sound { rate: 8000, samples: samples.collect(), pieces }),
        stream_time: true,
        complaints: Vec::new(),
    }
}

/// Expects that a recording fails for what `spoil` does to it.
fn caught(reason: &str, spoil: impl FnOnce(&mut Recording)) {
    let mut recording = good();
    spoil(&mut recording);
    let panic = std::panic::catch_unwind(|| recording.check(EXPECTED)).expect_err(reason);
    let said = panic.downcast_ref::<String>().unwrap();
    assert!(said.contains(reason), "{said}");
}

#[test]
fn marks_read_through_noise() {
    for millis in [START_MS, START_MS / 2000 * 2000 + 50] {
        let strip = Strip { counter: 65_535, millis };
        let mut picture = draw(strip);
        assert_eq!(luma(&picture).strip(), Some(strip));
        assert!(luma(&picture).lower_half_is_right(strip));
        picture[HEIGHT / 2 * WIDTH..][..WIDTH * 40].fill(150);
        assert!(!luma(&picture).lower_half_is_right(strip));
        picture[WIDTH * 16..WIDTH * 26].fill(16);
        assert_eq!(luma(&picture).strip(), None);
    }
}

#[test]
fn faultless_recording_passes() {
    good().check(EXPECTED);
}

#[test]
fn faults_of_pictures_are_caught() {
    caught("the counter rose by 2", |it| _ = it.pictures.remove(100));
    caught("the counter rose by 0", |it| it.pictures.insert(100, it.pictures[99]));
    caught("strip does not read", |it| it.pictures[3].strip = None);
    caught("lower half is wrong", |it| it.pictures[300].half_is_right = false);
    caught("s of pictures", |it| drop(it.pictures.drain(299..)));
    caught("no picture", |it| it.pictures.clear());
    caught("by media time", |it| it.pictures.iter_mut().for_each(|picture| *picture.time.as_mut().unwrap() *= 1.01));
    caught("concealing", |it| it.complaints.push("concealing 440 DC errors".into()));
}

#[test]
fn faults_of_sound_are_caught() {
    fn sound(it: &mut Recording) -> &mut Sound {
        it.sound.as_mut().unwrap()
    }
    caught("no sound", |it| it.sound = None);
    caught("of sound", |it| sound(it).samples.truncate(70_000));
    caught("a gap of 20.0 ms", |it| sound(it).pieces[100..].iter_mut().for_each(|piece| piece.1 += 0.020));
    caught("1.9800 s from one beep to the next", |it| drop(sound(it).samples.drain(30_000..30_160)));
    caught("ms late", |it| sound(it).pieces.iter_mut().for_each(|piece| piece.1 += 0.021));
    caught("ms late", |it| sound(it).pieces.iter_mut().for_each(|piece| piece.1 -= 0.021));
    caught("beeps", |it| sound(it).samples.fill(0.0));
    caught("dBFS", |it| sound(it).samples.iter_mut().for_each(|sample| *sample /= 2.0));
    caught("Hz", |it| {
        let tone = |(n, sample): (usize, &mut f32)| *sample *= (TAU * 60.0 / 8e3 * n as f64).cos() as f32 * 1.4;
        sound(it).samples.iter_mut().enumerate().for_each(tone);
    });
}

#[test]
fn ulaw_is_decoded() {
    let decoded = [0xFF, 0x80, 0x00, 0xF0].map(|code| (marks::ulaw(code) * 32768.0) as i32);
    assert_eq!(decoded, [0, 32_124, -32_124, 120]);
}
