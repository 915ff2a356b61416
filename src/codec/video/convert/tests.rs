use super::super::picture::rows;
use super::*;
use crate::media::Plane;
use crate::time::MonoTime;
use proptest::prelude::*;

fn frame(format: PixelFormat, size: Size, planes: [Plane; 3], bytes: Vec<u8>) -> RawFrame {
    RawFrame { format, size, shown: size, planes, stamp: MonoTime::ZERO, sequence: 0, buffer: Box::new(bytes) }
}

/// A frame whose bytes have no pattern, with `spare` bytes behind each row.
fn noise(format: PixelFormat, size: Size, spare: usize) -> RawFrame {
    let row = match format {
        PixelFormat::Yuyv | PixelFormat::Uyvy => size.width.div_ceil(2) as usize * 4,
        _ => size.width.next_multiple_of(2) as usize,
    };
    let stride = row + spare;
    let length = stride * size.height as usize * 2 + 4 * stride;
    let planes = RawFrame::layout(format, size, stride, length).unwrap();
    frame(format, size, planes, (0..length).map(|i| (i * i / 3 + i * 7) as u8).collect())
}

/// Y, U, V without spare bytes.
fn packed_planes(picture: &Picture<'_>) -> [Vec<u8>; 3] {
    let sizes = Picture::plane_sizes(picture.size);
    [0, 1, 2].map(|i| rows(picture.planes[i], picture.strides[i], sizes[i].0, sizes[i].1).flatten().copied().collect())
}

/// The definition, one value at a time: Y, U, V at a place of the plane.
fn expected(frame: &RawFrame, plane: usize, x: usize, y: usize) -> u8 {
    let bytes = frame.bytes();
    let at = |p: usize, x: usize, y: usize| bytes[frame.planes[p].offset + y * frame.planes[p].stride + x];
    let packed = |luma: usize, chroma: [usize; 2]| match plane {
        0 => at(0, x * 2 + luma, y),
        _ => {
            let lower = (y * 2 + 1).min(frame.size.height as usize - 1);
            let value = |y| u16::from(at(0, x * 4 + chroma[plane - 1], y));
            (value(y * 2) + value(lower)).div_ceil(2) as u8
        }
    };
    match frame.format {
        PixelFormat::I420 => at(plane, x, y),
        PixelFormat::Nv12 => {
            if plane == 0 {
                at(0, x, y)
            } else {
                at(1, x * 2 + plane - 1, y)
            }
        }
        PixelFormat::Yuyv => packed(0, [1, 3]),
        PixelFormat::Uyvy => packed(1, [0, 2]),
        other => unreachable!("{other} is not converted"),
    }
}

const RAW: [PixelFormat; 4] = [PixelFormat::I420, PixelFormat::Nv12, PixelFormat::Yuyv, PixelFormat::Uyvy];

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn formats_convert_as_defined(width in 1..90_u32, height in 1..20_u32, spare in 0..9_usize) {
        let size = Size::new(width, height);
        let mut converter = Converter::new(size);
        for format in RAW {
            let frame = noise(format, size, spare * 2);
            let picture = converter.convert(&frame).unwrap();
            prop_assert!(picture.check().is_ok());
            for (plane, values) in packed_planes(&picture).iter().enumerate() {
                let plane_width = Picture::plane_sizes(size)[plane].0;
                for (at, value) in values.iter().enumerate() {
                    let (x, y) = (at % plane_width, at / plane_width);
                    prop_assert_eq!(*value, expected(&frame, plane, x, y), "{:?} plane {} at {},{}", format, plane, x, y);
                }
            }
        }
    }

    /// Any size to any other: a flat colour stays what it is, in the middle, with black around it.
    #[test]
    fn flat_pictures_stay_flat_at_any_scale(
        from in (1..70_u32, 1..70_u32),
        to in (8..70_u32, 8..70_u32),
    ) {
        let (size, target) = (Size::new(from.0, from.1), Size::new(to.0 * 2, to.1 * 2));
        let sizes = Picture::plane_sizes(size);
        let bytes = [200_u8, 90, 160].iter().zip(sizes).flat_map(|(v, (w, h))| vec![*v; w * h]).collect();
        let planes = [0, sizes[0].0 * sizes[0].1, sizes[0].0 * sizes[0].1 + sizes[1].0 * sizes[1].1];
        let planes = [0, 1, 2].map(|i| Plane { memory: 0, offset: planes[i], stride: sizes[i].0 });
        let frame = frame(PixelFormat::I420, size, planes, bytes);
        let mut converter = Converter::new(target);
        let picture = converter.convert(&frame).unwrap();
        prop_assert_eq!(picture.size, target);
        let planes = packed_planes(&picture);
        let (width, height) = Picture::plane_sizes(target)[1];
        for (plane, (colour, black)) in [(200, 16), (90, 128), (160, 128)].into_iter().enumerate() {
            prop_assert!(planes[plane].iter().all(|v| *v == colour || *v == black));
        }
        // Luma and chroma agree on where the picture is, which touches the target's edges in one direction.
        let inside = |x: usize, y: usize| planes[0][y * 2 * width * 2 + x * 2] == 200;
        for y in 0..height {
            for x in 0..width {
                prop_assert_eq!(inside(x, y), planes[1][y * width + x] == 90);
            }
        }
        prop_assert!((0..width).any(|x| inside(x, 0)) || (0..height).any(|y| inside(0, y)));
    }
}

#[test]
fn an_i420_picture_of_the_right_size_is_not_copied() {
    let size = Size::new(64, 48);
    let frame = noise(PixelFormat::I420, size, 16);
    let mut converter = Converter::new(size);
    let picture = converter.convert(&frame).unwrap();
    assert!(std::ptr::eq(picture.planes[0].as_ptr(), frame.bytes().as_ptr()));
    assert_eq!(picture.strides, [80, 40, 40]);
}

#[test]
fn planes_outside_the_buffer_are_an_error() {
    let size = Size::new(64, 48);
    let mut converter = Converter::new(size);
    for format in RAW {
        let mut frame = noise(format, size, 0);
        frame.buffer = Box::new(frame.bytes()[..64 * 48 + 63].to_vec());
        assert!(converter.convert(&frame).is_err(), "{format:?} cut");
        let mut frame = noise(format, size, 0);
        frame.planes[0].stride -= 1;
        assert!(converter.convert(&frame).is_err(), "{format:?} stride");
        frame.planes[0] = Plane { memory: 0, offset: usize::MAX, stride: usize::MAX };
        assert!(converter.convert(&frame).is_err(), "{format:?} offset");
        frame.size = Size::new(0, 48);
        assert!(converter.convert(&frame).is_err(), "{format:?} empty");
    }
}

/// A picture whose luma is given and whose chroma is grey.
fn grey(size: Size, luma: impl Fn(usize, usize) -> u8) -> RawFrame {
    let (width, height) = (size.width as usize, size.height as usize);
    let mut bytes: Vec<u8> = (0..width * height).map(|at| luma(at % width, at / width)).collect();
    bytes.resize(width * height * 3 / 2, 128);
    let planes = RawFrame::layout(PixelFormat::I420, size, width, bytes.len()).unwrap();
    frame(PixelFormat::I420, size, planes, bytes)
}

#[test]
fn halving_is_the_mean_of_four() {
    let (size, target) = (Size::new(64, 32), Size::new(32, 16));
    let source = noise(PixelFormat::I420, size, 6);
    let mut converter = Converter::new(target);
    let picture = converter.convert(&source).unwrap();
    for (plane, (width, height)) in Picture::plane_sizes(target).into_iter().enumerate() {
        for y in 0..height {
            for x in 0..width {
                let corner = |i: usize| u32::from(expected(&source, plane, x * 2 + i % 2, y * 2 + i / 2));
                let mean = ((0..4).map(corner).sum::<u32>() + 2) / 4;
                assert_eq!(u32::from(picture.planes[plane][y * width + x]), mean);
            }
        }
    }
}

#[test]
fn slopes_keep_their_place_up_and_down() {
    for (from, to) in [((120, 80), (80, 54)), ((120, 80), (40, 26)), ((120, 80), (16, 10)), ((48, 32), (120, 80))] {
        let (size, target) = (Size::new(from.0, from.1), Size::new(to.0, to.1));
        let ratio = f64::from(from.0) / f64::from(to.0);
        let frame = grey(size, |x, _| (x * 2) as u8);
        let mut converter = Converter::new(target);
        let picture = converter.convert(&frame).unwrap();
        for x in 2..to.0 as usize - 2 {
            // The middle of the pixel, in the source's pixels.
            let expected = ((x as f64 + 0.5) * ratio - 0.5) * 2.0;
            let got = f64::from(picture.planes[0][x + 4 * to.0 as usize]);
            assert!((got - expected).abs() <= 1.5, "{size} to {target} at {x}: {got}, {expected}");
        }
    }
}

#[test]
fn another_shape_gets_bars_and_a_new_shape_new_ones() {
    let target = Size::new(128, 72);
    let mut converter = Converter::new(target);
    let row = |converter: &mut Converter, size, y: usize| -> Vec<u8> {
        let frame = grey(size, |_, _| 200);
        converter.convert(&frame).unwrap().planes[0][y * 128..][..128].to_vec()
    };
    // 4:3 in 16:9: 96 of 128 columns.
    let middle = row(&mut converter, Size::new(64, 48), 36);
    assert_eq!(middle, [vec![16; 16], vec![200; 96], vec![16; 16]].concat());
    assert_eq!(row(&mut converter, Size::new(200, 50), 0), [16; 128]);
    assert_eq!(row(&mut converter, Size::new(200, 50), 36), [200; 128]);
    // One pixel of rounding makes no bars.
    assert_eq!(row(&mut converter, Size::new(1280, 718), 0), [200; 128]);
}

/// The marks that tests draw: cells of `(width / 32) & !1` by `max(8, (height / 24) & !1)`, black or white.
#[test]
fn cells_read_after_scaling_between_widths_of_multiples_of_64() {
    let cell = |size: Size| ((size.width as usize / 32) & !1, 8.max((size.height as usize / 24) & !1));
    let bit = |column: usize, line: usize| (column * 7 + line * 5 + column * line).is_multiple_of(3);
    for (from, to) in
        [((1280, 720), (640, 360)), ((1920, 1080), (640, 360)), ((640, 360), (1280, 720)), ((1280, 720), (832, 468))]
    {
        let (size, target) = (Size::new(from.0, from.1), Size::new(to.0, to.1));
        let (width, height) = cell(size);
        let frame = grey(size, |x, y| if bit(x / width, y / height) { 235 } else { 16 });
        let mut converter = Converter::new(target);
        let picture = converter.convert(&frame).unwrap();
        let (width, height) = cell(target);
        for line in 0..3 {
            for column in 0..32 {
                let (x, y) = (column * width + width / 2, line * height + height / 2);
                let white = picture.planes[0][y * to.0 as usize + x] > 125;
                assert_eq!(white, bit(column, line), "{size} to {target}: {column},{line}");
            }
        }
    }
}

#[test]
fn mjpeg_is_decoded_and_scaled() {
    let size = Size::new(64, 48);
    let pixels = vec![128_u8; 64 * 48 * 3];
    let image = turbojpeg::Image {
        pixels: &pixels[..],
        width: 64,
        pitch: 192,
        height: 48,
        format: turbojpeg::PixelFormat::RGB,
    };
    let jpeg = turbojpeg::compress(image, 90, turbojpeg::Subsamp::Sub2x1).unwrap().to_vec();
    let none = Plane::default();
    let mut converter = Converter::new(Size::new(32, 24));
    let whole = frame(PixelFormat::Mjpeg, size, [none; 3], jpeg.clone());
    let picture = converter.convert(&whole).unwrap();
    assert!(picture.planes[0].iter().all(|y| y.abs_diff(126) <= 1) && picture.size == Size::new(32, 24));
    assert!(converter.convert(&frame(PixelFormat::Mjpeg, size, [none; 3], jpeg[..40].to_vec())).is_err());
    assert!(converter.convert(&frame(PixelFormat::Mjpeg, size, [none; 3], Vec::new())).is_err());
}
