use super::super::picture::rows;
use super::*;
use crate::media::{Flip, FrameBuffer, Lease, Plane, Rotation};
use crate::time::MonoTime;
use proptest::prelude::*;

fn frame(format: PixelFormat, size: Size, planes: [Plane; 3], bytes: Vec<u8>) -> RawFrame {
    RawFrame { format, size, shown: size, planes, stamp: MonoTime::ZERO, sequence: 0, buffer: Lease::new(bytes) }
}

fn unturned(target: Size) -> Converter {
    Converter::new(target, Orientation::default())
}

/// A frame whose bytes have no pattern, with `spare` bytes behind each row, but none behind the last one.
fn noise(format: PixelFormat, size: Size, spare: usize) -> RawFrame {
    let shapes = format.planes(size);
    let stride = (shapes[0].row + spare).next_multiple_of(2);
    let length = stride * size.height as usize * 3;
    let planes = RawFrame::layout(format, size, stride, length).unwrap();
    let end =
        shapes.iter().zip(planes).map(|(shape, plane)| plane.offset + (shape.rows - 1) * plane.stride + shape.row);
    frame(format, size, planes, (0..end.max().unwrap()).map(|i| (i * i / 3 + i * 7) as u8).collect())
}

/// Memory in several pieces, as some drivers give it.
struct Pieces(Vec<Vec<u8>>);

impl FrameBuffer for Pieces {
    fn memory(&self, number: usize) -> &[u8] {
        self.0.get(number).map_or(&[], Vec::as_slice)
    }
}

/// The same frame with a piece of memory for each plane, in which it begins after `number + 3` bytes.
fn in_pieces(mut frame: RawFrame) -> RawFrame {
    let shapes = frame.format.planes(frame.size);
    let pieces = shapes.iter().enumerate().map(|(number, shape)| {
        let length = frame.planes[number].stride * (shape.rows - 1) + shape.row;
        [vec![0; number + 3], frame.plane(number)[..length].to_vec()].concat()
    });
    let pieces = Pieces(pieces.collect());
    for (number, plane) in frame.planes.iter_mut().take(shapes.len()).enumerate() {
        (plane.memory, plane.offset) = (number, number + 3);
    }
    RawFrame { buffer: Lease::new(pieces), ..frame }
}

/// Y, U, V without spare bytes.
fn packed_planes(picture: &Picture<'_>) -> [Vec<u8>; 3] {
    let sizes = Picture::plane_sizes(picture.size);
    [0, 1, 2].map(|i| rows(picture.planes[i], picture.strides[i], sizes[i].0, sizes[i].1).flatten().copied().collect())
}

/// The definition, one value at a time: Y, U, V at a place of the plane.
fn expected(frame: &RawFrame, plane: usize, x: usize, y: usize) -> f64 {
    let (width, height) = (frame.size.width as usize, frame.size.height as usize);
    let at = |p: usize, x: usize, y: usize| frame.plane(p)[y * frame.planes[p].stride + x];
    // Rows 2y and 2y+1, or the last one twice; columns alike.
    let lower = (y * 2 + 1).min(height - 1);
    let right = (x * 2 + 1).min(width - 1);
    let mean = |a: u8, b: u8| (u16::from(a) + u16::from(b)).div_ceil(2) as u8;
    let packed = |luma: usize, chroma: [usize; 2]| match plane {
        0 => at(0, x * 2 + luma, y),
        _ => mean(at(0, x * 4 + chroma[plane - 1], y * 2), at(0, x * 4 + chroma[plane - 1], lower)),
    };
    let rgb = |pixel: &dyn Fn(usize, usize) -> [u8; 3]| {
        let corners = match plane {
            0 => [[x, y]; 4],
            _ => [[x * 2, y * 2], [right, y * 2], [x * 2, lower], [right, lower]],
        };
        let [r, g, b] = [0, 1, 2].map(|i| corners.iter().map(|[x, y]| f64::from(pixel(*x, *y)[i])).sum::<f64>() / 4.0);
        // ITU-R BT.601 §2.5.1 and 2.5.2, to 219 steps of luma and 224 of chroma.
        let luma = 0.299 * r + 0.587 * g + 0.114 * b;
        let scaled = |steps: f64| steps / 255.0;
        [
            16.0 + luma * scaled(219.0),
            128.0 + (b - luma) / 1.772 * scaled(224.0),
            128.0 + (r - luma) / 1.402 * scaled(224.0),
        ][plane]
    };
    let bytes = |order: [usize; 3], each: usize| rgb(&|x, y| order.map(|i| at(0, x * each + i, y)));
    f64::from(match frame.format {
        PixelFormat::I420 => at(plane, x, y),
        PixelFormat::Nv12 | PixelFormat::Nv21 | PixelFormat::Nv16 | PixelFormat::I422 | PixelFormat::Grey
            if plane == 0 =>
        {
            let y = at(0, x, y);
            if frame.format == PixelFormat::Grey { ((u32::from(y) * 219 * 2 + 255) / 510 + 16) as u8 } else { y }
        }
        PixelFormat::Nv12 => at(1, x * 2 + plane - 1, y),
        PixelFormat::Nv21 => at(1, x * 2 + 2 - plane, y),
        PixelFormat::Nv16 => mean(at(1, x * 2 + plane - 1, y * 2), at(1, x * 2 + plane - 1, lower)),
        PixelFormat::I422 => mean(at(plane, x, y * 2), at(plane, x, lower)),
        PixelFormat::Grey => 128,
        PixelFormat::Yuyv => packed(0, [1, 3]),
        PixelFormat::Yvyu => packed(0, [3, 1]),
        PixelFormat::Uyvy => packed(1, [0, 2]),
        PixelFormat::Vyuy => packed(1, [2, 0]),
        PixelFormat::Rgb24 => return bytes([0, 1, 2], 3),
        PixelFormat::Bgr24 => return bytes([2, 1, 0], 3),
        PixelFormat::Bgrx32 => return bytes([2, 1, 0], 4),
        PixelFormat::Rgb565 => {
            return rgb(&|x, y| {
                let pixel = u16::from_le_bytes([at(0, x * 2, y), at(0, x * 2 + 1, y)]);
                let full = |value: u16, most: u16| (f64::from(value) * 255.0 / f64::from(most)).round() as u8;
                [full(pixel >> 11, 31), full(pixel >> 5 & 63, 63), full(pixel & 31, 31)]
            });
        }
        PixelFormat::Mjpeg | PixelFormat::H264 => unreachable!("no raw format"),
    })
}

const RAW: [PixelFormat; 14] = [
    PixelFormat::I420,
    PixelFormat::Nv12,
    PixelFormat::Nv21,
    PixelFormat::I422,
    PixelFormat::Nv16,
    PixelFormat::Yuyv,
    PixelFormat::Uyvy,
    PixelFormat::Yvyu,
    PixelFormat::Vyuy,
    PixelFormat::Grey,
    PixelFormat::Rgb24,
    PixelFormat::Bgr24,
    PixelFormat::Bgrx32,
    PixelFormat::Rgb565,
];

/// How far a value may be off: of RGB and the full range by rounding, else by nothing.
fn tolerance(format: PixelFormat) -> f64 {
    match format {
        PixelFormat::Rgb24 | PixelFormat::Bgr24 | PixelFormat::Bgrx32 => 1.1,
        // Its bits are repeated rather than scaled.
        PixelFormat::Rgb565 => 2.1,
        PixelFormat::Grey => 1.0,
        _ => 0.0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn formats_convert_as_defined(width in 1..90_u32, height in 1..40_u32, spare in 0..19_usize, pieces: bool) {
        let size = Size::new(width, height);
        let mut converter = unturned(size);
        for format in RAW {
            let frame = noise(format, size, spare);
            let frame = if pieces { in_pieces(frame) } else { frame };
            let picture = converter.convert(&frame).unwrap();
            prop_assert!(picture.check().is_ok());
            for (plane, values) in packed_planes(&picture).iter().enumerate() {
                let plane_width = Picture::plane_sizes(size)[plane].0;
                for (at, value) in values.iter().enumerate() {
                    let (x, y) = (at % plane_width, at / plane_width);
                    let expected = expected(&frame, plane, x, y);
                    let off = (f64::from(*value) - expected).abs();
                    prop_assert!(off <= tolerance(format), "{format} plane {plane} at {x},{y}: {value}, {expected}");
                }
            }
        }
    }

    /// What was at a place is where the definition of flip and rotation puts it.
    #[test]
    fn pictures_turn_as_defined(width in 1..80_usize, height in 1..80_usize, spare in 0..9_usize) {
        let size = Size::new(width as u32 * 2, height as u32 * 2);
        let frame = noise(PixelFormat::I420, size, spare * 2);
        for flip in [Flip::None, Flip::Horizontal, Flip::Vertical] {
            for rotation in [Rotation::None, Rotation::Quarter, Rotation::Half, Rotation::ThreeQuarters] {
                let orientation = Orientation { flip, rotation };
                let target = orientation.turned(size);
                let mut converter = Converter::new(target, orientation);
                let picture = converter.convert(&frame).unwrap();
                prop_assert_eq!(picture.size, target);
                for (plane, values) in packed_planes(&picture).iter().enumerate() {
                    let (width, height) = Picture::plane_sizes(size)[plane];
                    let target_width = Picture::plane_sizes(target)[plane].0;
                    for (at, value) in values.iter().enumerate() {
                        let (x, y) = (at % target_width, at / target_width);
                        let (x, y) = match rotation {
                            Rotation::None => (x, y),
                            Rotation::Quarter => (y, height - 1 - x),
                            Rotation::Half => (width - 1 - x, height - 1 - y),
                            Rotation::ThreeQuarters => (width - 1 - y, x),
                        };
                        let (x, y) = match flip {
                            Flip::None => (x, y),
                            Flip::Horizontal => (width - 1 - x, y),
                            Flip::Vertical => (x, height - 1 - y),
                        };
                        let expected = frame.plane(plane)[y * frame.planes[plane].stride + x];
                        prop_assert_eq!(*value, expected, "{:?} plane {}", orientation, plane);
                    }
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
        let mut converter = unturned(target);
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
    let mut converter = unturned(size);
    let picture = converter.convert(&frame).unwrap();
    assert_eq!(picture.planes.map(<[u8]>::as_ptr), [0, 1, 2].map(|number| frame.plane(number).as_ptr()));
    assert_eq!(picture.strides, [80, 40, 40]);
    assert_eq!(converter.copied(), 0);
}

#[test]
fn what_is_copied_is_counted() {
    let size = Size::new(64, 48);
    let whole = 64 * 48 * 3 / 2;
    let copied = |format, target, orientation| {
        let mut converter = Converter::new(target, orientation);
        let frame = in_pieces(noise(format, size, 2));
        converter.convert(&frame).unwrap();
        converter.convert(&frame).unwrap();
        converter.copied()
    };
    let (same, turned) = (Orientation::default(), Orientation { flip: Flip::Vertical, rotation: Rotation::None });
    assert_eq!(copied(PixelFormat::I420, size, same), 0);
    assert_eq!(copied(PixelFormat::Nv12, size, same), 2 * whole / 3);
    assert_eq!(copied(PixelFormat::Yuyv, size, same), 2 * whole);
    assert_eq!(copied(PixelFormat::I420, size, turned), 2 * whole);
    assert_eq!(copied(PixelFormat::I420, Size::new(32, 24), same), 2 * whole / 4);
}

#[test]
fn planes_outside_the_buffer_are_an_error() {
    let size = Size::new(64, 48);
    let mut converter = unturned(size);
    for format in RAW {
        let mut frame = noise(format, size, 0);
        frame.buffer = Lease::new(frame.bytes()[..frame.bytes().len() - 1].to_vec());
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
    let mut converter = unturned(target);
    let picture = converter.convert(&source).unwrap();
    for (plane, (width, height)) in Picture::plane_sizes(target).into_iter().enumerate() {
        for y in 0..height {
            for x in 0..width {
                let corner = |i: usize| expected(&source, plane, x * 2 + i % 2, y * 2 + i / 2) as u32;
                let mean = ((0..4).map(corner).sum::<u32>() + 2) / 4;
                assert_eq!(u32::from(picture.planes[plane][y * width + x]), mean);
            }
        }
    }
}

/// Of each direction three quarters are the pixel's own and one quarter its neighbour's, at an edge its own again.
#[test]
fn doubling_weighs_the_nearest_four() {
    let (size, target) = (Size::new(34, 16), Size::new(68, 32));
    let source = noise(PixelFormat::I420, size, 6);
    let mut converter = unturned(target);
    let picture = converter.convert(&source).unwrap();
    for (plane, (width, height)) in Picture::plane_sizes(target).into_iter().enumerate() {
        let neighbour = |i: usize, length: usize| (i / 2 + i % 2).saturating_sub(1 - i % 2).min(length / 2 - 1);
        for y in 0..height {
            for x in 0..width {
                let at = |x, y| expected(&source, plane, x, y) as u32;
                let (left, top) = (neighbour(x, width), neighbour(y, height));
                let (near, far) = (at(x / 2, y / 2) * 3 + at(left, y / 2), at(x / 2, top) * 3 + at(left, top));
                assert_eq!(
                    u32::from(picture.planes[plane][y * width + x]),
                    (near * 3 + far + 8) / 16,
                    "{plane}: {x},{y}"
                );
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
        let mut converter = unturned(target);
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
    let mut converter = unturned(target);
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

#[test]
fn one_field_of_an_interlaced_picture_has_the_shape_of_both() {
    let (shown, field) = (Size::new(96, 64), Size::new(96, 32));
    let slope = RawFrame { shown, ..grey(field, |_, y| (y * 4) as u8 + 20) };
    for target in [shown, Size::new(48, 32), Size::new(192, 128)] {
        let mut converter = unturned(target);
        let picture = converter.convert(&slope).unwrap();
        let (width, height) = (target.width as usize, target.height as usize);
        for y in height / 8..height * 7 / 8 {
            let expected = ((y as f64 + 0.5) * 32.0 / height as f64 - 0.5) * 4.0 + 20.0;
            let row = &picture.planes[0][y * width..][..width];
            assert!(row.iter().all(|luma| (f64::from(*luma) - expected).abs() <= 1.5), "{target} at {y}: {row:?}");
        }
    }
    // Turned, it is as wide as it was high.
    let quarter = Orientation { rotation: Rotation::Quarter, flip: Flip::None };
    let mut converter = Converter::new(Size::new(64, 96), quarter);
    let picture = converter.convert(&slope).unwrap();
    let row = &picture.planes[0][10 * 64..][..64];
    assert!(row.is_sorted_by(|a, b| a >= b) && row[0] > 140 && row[63] < 24, "{row:?}");
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
        let mut converter = unturned(target);
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
    let mut converter = unturned(Size::new(32, 24));
    let whole = frame(PixelFormat::Mjpeg, size, [none; 3], jpeg.clone());
    let picture = converter.convert(&whole).unwrap();
    assert!(picture.planes[0].iter().all(|y| y.abs_diff(126) <= 1) && picture.size == Size::new(32, 24));
    assert!(converter.convert(&frame(PixelFormat::Mjpeg, size, [none; 3], jpeg[..40].to_vec())).is_err());
    assert!(converter.convert(&frame(PixelFormat::Mjpeg, size, [none; 3], Vec::new())).is_err());
}
