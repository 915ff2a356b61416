//! What it costs to make a camera's pictures into what the encoder reads: to a bare copy of the camera's bytes, and for
//! JPEG to a bare decode.

mod measure;

use eyrie::codec::Converter;
use eyrie::media::{Orientation, PixelFormat, Plane, RawFrame, Size};
use eyrie::time::MonoTime;
use measure::Random;
use std::hint::black_box;

const FULL_HD: Size = Size::new(1920, 1080);
const HD: Size = Size::new(1280, 720);
const NHD: Size = Size::new(640, 360);

fn main() {
    measure::heading("Converting a picture, to a copy of its bytes");
    for (format, name) in [(PixelFormat::Yuyv, "YUYV"), (PixelFormat::Uyvy, "UYVY"), (PixelFormat::Nv12, "NV12")] {
        against_copy(&format!("{name} {FULL_HD}"), format, FULL_HD, FULL_HD);
    }
    measure::heading("Scaling a picture, to a copy of its bytes");
    against_copy(&format!("I420 {HD} to {NHD}"), PixelFormat::I420, HD, NHD);
    against_copy(&format!("YUYV {HD} to {NHD}"), PixelFormat::Yuyv, HD, NHD);
    against_copy(&format!("I420 {FULL_HD} to {HD}"), PixelFormat::I420, FULL_HD, HD);
    against_copy(&format!("I420 {FULL_HD} to {NHD}"), PixelFormat::I420, FULL_HD, NHD);
    against_copy("I420 640x480 to 1280x720, with bars", PixelFormat::I420, Size::new(640, 480), HD);

    measure::heading("Decoding MJPEG to 4:2:0 of video range, to a bare decode");
    for (size, subsamp) in
        [(FULL_HD, turbojpeg::Subsamp::Sub2x1), (HD, turbojpeg::Subsamp::Sub2x1), (HD, turbojpeg::Subsamp::Sub2x2)]
    {
        against_decode(size, subsamp);
    }
}

fn against_copy(what: &str, format: PixelFormat, size: Size, target: Size) {
    let (width, pixels) = (size.width as usize, size.pixels() as usize);
    let (stride, length) = match format {
        PixelFormat::Yuyv | PixelFormat::Uyvy => (width * 2, pixels * 2),
        _ => (width, pixels * 3 / 2),
    };
    let mut random = Random(1);
    let bytes: Vec<u8> = (0..length).map(|_| random.byte()).collect();
    let mut copy = vec![0; length];
    let frame =
        raw_frame(format, size, RawFrame::layout(format, size, stride, length).expect("it fits"), bytes.clone());
    let mut converter = Converter::new(target, Orientation::default());
    measure::ratio(
        what,
        50,
        || {
            black_box(converter.convert(&frame).expect("a picture").planes);
        },
        || {
            copy.copy_from_slice(black_box(&bytes));
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
    RawFrame { format, size, shown: size, planes, stamp: MonoTime::ZERO, sequence: 0, buffer: Box::new(bytes) }
}
