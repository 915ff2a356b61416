use super::*;
use turbojpeg::{Compressor, Subsamp, YuvImage};

/// What each pixel of the picture is, full range.
fn luma(x: usize, y: usize) -> u8 {
    (x * 5 + y * 2).min(255) as u8
}

fn chroma(plane: usize, x: usize, y: usize) -> u8 {
    if plane == 1 { (60 + x * 2) as u8 } else { (200 - y * 2) as u8 }
}

fn compress(size: Size, subsamp: Subsamp) -> Vec<u8> {
    let (width, height) = (size.width as usize, size.height as usize);
    let (across, down) = (subsamp.width(), subsamp.height());
    let mut pixels = Vec::new();
    let padded = (width.next_multiple_of(across), height.next_multiple_of(down));
    pixels.extend((0..padded.0 * padded.1).map(|at| luma((at % padded.0).min(width - 1), at / padded.0)));
    if subsamp != Subsamp::Gray {
        for plane in 1..3 {
            let (width, height) = (padded.0 / across, padded.1 / down);
            pixels.extend((0..width * height).map(|at| chroma(plane, at % width * across, at / width * down)));
        }
    }
    let mut compressor = Compressor::new().unwrap();
    compressor.set_quality(98).unwrap();
    compressor.set_subsamp(subsamp).unwrap();
    let image = YuvImage { pixels: pixels.as_slice(), width, align: 1, height, subsamp };
    compressor.compress_yuv_to_vec(image).unwrap()
}

const ALL: [Subsamp; 7] =
    [Subsamp::None, Subsamp::Sub2x1, Subsamp::Sub2x2, Subsamp::Gray, Subsamp::Sub1x2, Subsamp::Sub4x1, Subsamp::Sub1x4];

fn decode(decoder: &mut Decoder, jpeg: &[u8], size: Size) -> Result<Canvas, CodecError> {
    let mut canvas = Canvas::default();
    canvas.resize(size);
    decoder.decode(jpeg, size, &mut canvas)?;
    Ok(canvas)
}

fn assert_shows_it(canvas: &Canvas, size: Size, grey: bool, what: &str) {
    let sizes = Picture::plane_sizes(size);
    for (plane, (width, height)) in sizes.into_iter().enumerate() {
        assert_eq!(canvas.planes[plane].len(), width * height);
        for (at, pixel) in canvas.planes[plane].iter().enumerate() {
            let (x, y) = (at % width, at / width);
            let expected = match plane {
                0 => f64::from(luma(x, y)) * 219.0 / 255.0 + 16.0,
                _ if grey => 128.0,
                _ => (f64::from(chroma(plane, x * 2, y * 2)) - 128.0) * 224.0 / 255.0 + 128.0,
            };
            // Loss, and chroma that was taken up to 3 pixels away.
            let allowed = if plane == 0 { 4.0 } else { 8.0 };
            assert!(
                (f64::from(*pixel) - expected).abs() <= allowed,
                "{what}: plane {plane} at {x},{y}: {pixel}, {expected}"
            );
        }
    }
}

#[test]
fn every_subsampling_becomes_420_of_video_range_in_odd_sizes_too() {
    let mut decoder = Decoder::default();
    for (width, height) in [(48, 32), (47, 33), (16, 16), (1, 1), (2, 3)] {
        let size = Size::new(width, height);
        for subsamp in ALL {
            let jpeg = compress(size, subsamp);
            let canvas = decode(&mut decoder, &jpeg, size).unwrap();
            assert_shows_it(&canvas, size, subsamp == Subsamp::Gray, &format!("{subsamp:?} {size}"));
        }
    }
}

#[test]
fn the_ranges_end_where_they_should() {
    assert_eq!([0, 255].map(video_luma), [16, 235]);
    assert_eq!([0, 128, 255].map(video_chroma), [16, 128, 240]);
    for full in 0..=255_u8 {
        assert!((f64::from(video_luma(full)) - (f64::from(full) * 219.0 / 255.0 + 16.0)).abs() < 0.7);
        assert!((f64::from(video_chroma(full)) - ((f64::from(full) - 128.0) * 224.0 / 255.0 + 128.0)).abs() < 0.7);
    }
}

/// A JPEG without the segments of one marker.
fn without(jpeg: &[u8], marker: u8) -> Vec<u8> {
    let mut out = jpeg[..2].to_vec();
    let mut at = 2;
    while jpeg[at + 1] != 0xda {
        let length = 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        if jpeg[at + 1] != marker {
            out.extend_from_slice(&jpeg[at..at + length]);
        }
        at += length;
    }
    out.extend_from_slice(&jpeg[at..]);
    out
}

#[test]
fn webcam_pictures_without_huffman_tables_decode() {
    let size = Size::new(48, 32);
    let jpeg = compress(size, Subsamp::Sub2x1);
    let bare = without(&jpeg, 0xc4);
    assert!(bare.len() < jpeg.len() - 300);
    assert_shows_it(&decode(&mut Decoder::default(), &bare, size).unwrap(), size, false, "no DHT");
}

#[test]
fn stray_bytes_before_the_end_do_no_harm() {
    let size = Size::new(48, 32);
    let mut jpeg = compress(size, Subsamp::Sub2x1);
    let end = jpeg.len() - 2;
    jpeg.splice(end..end, [0x12, 0x34, 0x56]);
    assert_shows_it(&decode(&mut Decoder::default(), &jpeg, size).unwrap(), size, false, "stray bytes");
}

#[test]
fn another_size_is_refused_before_decoding() {
    let jpeg = compress(Size::new(64, 48), Subsamp::None);
    let mut decoder = Decoder::default();
    for (width, height) in [(48, 32), (48, 64), (64, 47), (65, 48)] {
        let error = decode(&mut decoder, &jpeg, Size::new(width, height)).err().expect("refused");
        assert!(error.to_string().contains("64x48"), "{error}");
    }
    // A header that claims a huge picture.
    let mut huge = jpeg.clone();
    let frame = huge.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    huge[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    assert!(decode(&mut decoder, &huge, Size::new(64, 48)).is_err());
    assert!(decode(&mut decoder, &jpeg, Size::new(64, 48)).is_ok());
}

#[test]
fn damaged_pictures_are_an_error_or_a_picture_and_the_next_one_is_whole() {
    let size = Size::new(48, 32);
    let mut decoder = Decoder::default();
    let mut state = 1_u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize
    };
    for subsamp in ALL {
        let jpeg = compress(size, subsamp);
        for length in 0..jpeg.len() {
            let _ = decode(&mut decoder, &jpeg[..length], size);
        }
        for _ in 0..2000 {
            let mut damaged = jpeg.clone();
            for _ in 0..=random() % 4 {
                let at = random() % damaged.len();
                damaged[at] = random() as u8;
            }
            if let Ok(canvas) = decode(&mut decoder, &damaged, size) {
                assert_eq!(canvas.planes[0].len(), 48 * 32);
            }
        }
        let canvas = decode(&mut decoder, &jpeg, size).unwrap();
        assert_shows_it(&canvas, size, subsamp == Subsamp::Gray, "after damage");
    }
}
