//! What it costs to make a camera's pictures into what the encoder reads: to libyuv with the same pictures, to a bare copy
//! of the camera's bytes, for JPEG to a bare decode, and for name and time in the picture to its coding.

mod libyuv;
mod measure;

use eyrie::codec::{Converter, H264Encoder, H264Settings, Picture};
use eyrie::device::{CameraWish, open_camera};
use eyrie::media::{
    AccessUnit, Flip, FrameRate, H264Profile, Lease, Orientation, PixelFormat, Plane, RawFrame, Rotation, Scene, Size,
};
use eyrie::stream::Overlay;
use eyrie::time::{MonoTime, WallTime};
use libyuv::Libyuv;
use measure::Random;
use std::{hint::black_box, time::Duration};

const FULL_HD: Size = Size::new(1920, 1080);
const HD: Size = Size::new(1280, 720);
const NHD: Size = Size::new(640, 360);

/// Those that libyuv takes as they are; of NV12 it copies the luma too.
const FORMATS: [PixelFormat; 7] = [
    PixelFormat::Yuyv,
    PixelFormat::Uyvy,
    PixelFormat::Nv12,
    PixelFormat::Rgb24,
    PixelFormat::Bgr24,
    PixelFormat::Bgrx32,
    PixelFormat::Rgb565,
];

fn main() {
    copies();
    match Libyuv::load() {
        Some(mut libyuv) => against_libyuv(&mut libyuv),
        None => println!("\nlibyuv.so.0 is not installed (Debian: libyuv0), so nothing is compared with it."),
    }
    measure::heading("To a copy of its bytes");
    for (format, size, target) in [
        (PixelFormat::Yuyv, FULL_HD, FULL_HD),
        (PixelFormat::Nv12, FULL_HD, FULL_HD),
        (PixelFormat::I420, HD, NHD),
        (PixelFormat::I420, FULL_HD, HD),
    ] {
        against_copy(&format!("{format} {size} to {target}"), format, size, target);
    }
    measure::heading("Decoding MJPEG to 4:2:0 of video range, to a bare decode by libjpeg-turbo");
    for (size, subsamp) in
        [(FULL_HD, turbojpeg::Subsamp::Sub2x1), (HD, turbojpeg::Subsamp::Sub2x1), (HD, turbojpeg::Subsamp::Sub2x2)]
    {
        against_decode(size, subsamp);
    }
    overlay();
}

/// Counts what does not stay where the camera put it.
fn copies() {
    let mut camera = open_camera(&CameraWish {
        device: "test".into(),
        name: "front".into(),
        size: NHD,
        fps: FrameRate::new(240, 1),
        format: None,
        pass_through: None,
        orientation: Orientation::default(),
        controls: Vec::new(),
        scene: Scene::Bars,
    })
    .expect("the test pattern");
    let mut converter = Converter::new(NHD, Orientation::default());
    const PICTURES: u64 = 30;
    for _ in 0..PICTURES {
        let frame = camera.next(Duration::from_secs(1)).expect("a picture");
        black_box(converter.convert(&frame).expect("a picture").planes);
    }
    let copied = converter.copied();
    println!(
        "\nPlanar pictures at the stream's size: {copied} of {} bytes copied between camera and encoder",
        PICTURES * NHD.pixels() * 3 / 2
    );
}

fn against_libyuv(libyuv: &mut Libyuv) {
    measure::heading("Converting a picture, to libyuv");
    for format in FORMATS {
        let frame = noise(format, FULL_HD);
        let mut converter = Converter::new(FULL_HD, Orientation::default());
        measure::ratio(
            &format!("{format} {FULL_HD}"),
            20,
            || convert(&mut converter, &frame),
            || libyuv.convert(&frame),
        );
    }
    measure::heading("Scaling a picture, to libyuv");
    let wide = Size::new(864, 486);
    for (size, target) in [(FULL_HD, HD), (FULL_HD, NHD), (FULL_HD, wide), (HD, NHD), (NHD, HD)] {
        let frame = noise(PixelFormat::I420, size);
        let mut converter = Converter::new(target, Orientation::default());
        measure::ratio(
            &format!("I420 {size} to {target}"),
            20,
            || convert(&mut converter, &frame),
            || libyuv.scale(&frame, target),
        );
    }
    measure::heading("Turning a picture, to libyuv");
    let frame = noise(PixelFormat::I420, FULL_HD);
    for (rotation, degrees) in [(Rotation::Quarter, 90), (Rotation::Half, 180)] {
        let orientation = Orientation { rotation, flip: Flip::None };
        let mut converter = Converter::new(orientation.turned(FULL_HD), orientation);
        measure::ratio(
            &format!("I420 {FULL_HD} by {degrees}"),
            20,
            || convert(&mut converter, &frame),
            || libyuv.rotate(&frame, degrees),
        );
    }
}

/// What name and time in the picture cost, to the coding of it.
fn overlay() {
    measure::heading("Name and time in the picture, to its coding");
    for size in [NHD, HD] {
        let frame = noise(PixelFormat::I420, size);
        let picture = Picture::of(&frame).expect("a picture");
        let mut overlay = Overlay::new(size, "Front door");
        let mut encoder = H264Encoder::new(&H264Settings {
            size,
            fps: FrameRate::new(30, 1),
            bitrate: 2_000_000,
            bitrate_ceiling: 2_000_000,
            gop: Duration::from_secs(2),
            profile: H264Profile::Baseline,
            slices: Some(1),
            frame_skip: false,
        })
        .expect("an encoder");
        let (mut unit, mut millis, wall) = (AccessUnit::default(), 0, WallTime::now());
        measure::ratio(
            &format!("I420 {size}"),
            20,
            || {
                black_box(overlay.draw(&picture, wall).planes);
            },
            || {
                millis += 33;
                let stamp = MonoTime::from_nanos(millis * 1_000_000);
                encoder.encode(&picture, stamp, false, &mut unit).expect("a picture");
            },
        );
    }
}

fn convert(converter: &mut Converter, frame: &RawFrame) {
    black_box(converter.convert(frame).expect("a picture").planes);
}

/// A frame whose bytes have no pattern.
fn noise(format: PixelFormat, size: Size) -> RawFrame {
    let stride = format.planes(size)[0].row;
    let length = stride * size.height as usize * if format.planes(size).len() > 1 { 2 } else { 1 };
    let mut random = Random(1);
    let bytes: Vec<u8> = (0..length).map(|_| random.byte()).collect();
    raw_frame(format, size, RawFrame::layout(format, size, stride, length).expect("it fits"), bytes)
}

fn against_copy(what: &str, format: PixelFormat, size: Size, target: Size) {
    let frame = noise(format, size);
    let bytes: usize = format.planes(size).iter().map(|plane| plane.row * plane.rows).sum();
    let mut copy = vec![0; bytes];
    let mut converter = Converter::new(target, Orientation::default());
    measure::ratio(
        what,
        20,
        || convert(&mut converter, &frame),
        || {
            copy.copy_from_slice(black_box(&frame.bytes()[..bytes]));
            black_box(&mut copy);
        },
    );
}

fn against_decode(size: Size, subsamp: turbojpeg::Subsamp) {
    let (width, height) = (size.width as usize, size.height as usize);
    let mut random = Random(1);
    let mut pixels = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let (x, y) = (x as f32 / 40.0, y as f32 / 30.0);
            let value = (110.0 + 50.0 * (x.sin() + y.cos() * x.cos())) as u8 + random.byte() % 8;
            pixels.extend([value, 255 - value, value / 2]);
        }
    }
    let format = turbojpeg::PixelFormat::RGB;
    let image = turbojpeg::Image { pixels: &pixels[..], width, pitch: width * 3, height, format };
    let jpeg = turbojpeg::compress(image, 85, subsamp).expect("a JPEG").to_vec();
    let frame = raw_frame(PixelFormat::Mjpeg, size, [Plane::default(); 3], jpeg.clone());
    let mut converter = Converter::new(size, Orientation::default());
    let mut decompressor = turbojpeg::Decompressor::new().expect("a decoder");
    let length = turbojpeg::yuv_pixels_len(width, 1, height, subsamp).expect("a size");
    let mut planes = vec![0; length];
    measure::ratio(
        &format!("MJPEG {size} {subsamp:?}, {} kB", jpeg.len() / 1000),
        15,
        || {
            black_box(converter.convert(&frame).expect("a picture").planes);
        },
        || {
            let image = turbojpeg::YuvImage { pixels: &mut planes[..], width, align: 1, height, subsamp };
            decompressor.decompress_to_yuv(&jpeg, image).expect("a picture");
        },
    );
}

fn raw_frame(format: PixelFormat, size: Size, planes: [Plane; 3], bytes: Vec<u8>) -> RawFrame {
    RawFrame { format, size, shown: size, planes, stamp: MonoTime::ZERO, sequence: 0, buffer: Lease::new(bytes) }
}
