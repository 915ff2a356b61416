//! How a driver lays its pictures into buffers: planes in one piece of memory or in several, strides and padding, and
//! the fields of an interlaced picture, of which one is shown ("bob"): both at once would tear what moves.

use crate::{
    media::{PixelFormat, Plane, PlaneShape, RawFrame, Size, fourcc},
    v4l2::{
        MOST_PLANES, PictureFormat, Used, v4l2_field_V4L2_FIELD_ALTERNATE as ALTERNATE,
        v4l2_field_V4L2_FIELD_ANY as ANY, v4l2_field_V4L2_FIELD_BOTTOM as BOTTOM,
        v4l2_field_V4L2_FIELD_INTERLACED as INTERLACED, v4l2_field_V4L2_FIELD_INTERLACED_BT as INTERLACED_BT,
        v4l2_field_V4L2_FIELD_INTERLACED_TB as INTERLACED_TB, v4l2_field_V4L2_FIELD_NONE as NONE,
        v4l2_field_V4L2_FIELD_SEQ_BT as SEQ_BT, v4l2_field_V4L2_FIELD_SEQ_TB as SEQ_TB,
        v4l2_field_V4L2_FIELD_TOP as TOP,
    },
};

/// Where the pictures of a queue lie in its buffers.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    pub format: PixelFormat,
    /// Of what is read of each buffer.
    pub size: Size,
    /// Twice as high as `size` where one field is read.
    pub shown: Size,
    /// From where the picture begins in each piece of memory.
    planes: [Plane; 3],
    /// How long the picture is in each piece of memory, with all fields; 0 of a coded one, which may have any length.
    needed: [usize; 3],
    /// Each buffer holds one field and nothing else.
    alone: bool,
    /// Only buffers with this field (`v4l2_field_*`) are read; None: all.
    only: Option<u32>,
}

/// What is read of a buffer.
#[derive(Clone, Copy, PartialEq)]
enum Read {
    All,
    /// The buffer holds one field and nothing else; where an `only` is given the others hold the other one.
    OneField {
        only: Option<u32>,
    },
    /// Every second row, from the first on.
    EvenRows,
    FirstHalf,
    SecondHalf,
}

impl Layout {
    /// The layout that a driver tells.
    ///
    /// # Errors
    /// In words: a format that is not read, planes that do not fit their memory, fields that cannot be told apart.
    pub fn new(given: &PictureFormat) -> Result<Self, String> {
        let letters = fourcc::letters(given.fourcc);
        let coding =
            fourcc::coding(given.fourcc).ok_or_else(|| format!("it gives {letters}, which Eyrie does not read"))?;
        let format = coding.format;
        let read = read(given.field).ok_or_else(|| interlaced(given.field, "an order that is unknown"))?;
        let size = Size::new(given.width, given.height);
        if size.pixels() == 0 {
            return Err(format!("it gives pictures of {size}"));
        }
        if format.is_coded() {
            if format == PixelFormat::Mjpeg && read != Read::All {
                return Err(interlaced(given.field, "and fields cannot be taken out of a JPEG"));
            }
            let (planes, needed) = ([Plane::default(); 3], [0; 3]);
            return Ok(Self { format, size, shown: size, planes, needed, alone: false, only: None });
        }
        let shapes = format.planes(size);
        let (mut planes, needed) = if coding.apart { apart(given, &shapes) } else { together(given, format, size) }
            .ok_or_else(|| {
                let told = given.planes.iter().map(|p| format!("{} bytes in rows of {}", p.size, p.stride));
                let told = told.collect::<Vec<_>>().join(" and ");
                format!("{size} {format} ({letters}) does not fit into {told}")
            })?;
        if coding.swapped {
            planes.swap(1, 2);
        }
        let (field, shown) = match read {
            Read::All => (size, size),
            Read::OneField { .. } => (size, Size::new(size.width, size.height.saturating_mul(2))),
            _ => (Size::new(size.width, size.height / 2), size),
        };
        if matches!(read, Read::EvenRows | Read::FirstHalf | Read::SecondHalf) {
            if shapes.iter().any(|shape| shape.rows % 2 != 0) {
                return Err(interlaced(given.field, &format!("and {size} {format} has no two equal fields")));
            }
            for (plane, shape) in planes.iter_mut().zip(&shapes) {
                match read {
                    Read::EvenRows => plane.stride = plane.stride.saturating_mul(2),
                    Read::SecondHalf => plane.offset += plane.stride * (shape.rows / 2),
                    _ => {}
                }
            }
        }
        let (alone, only) = if let Read::OneField { only } = read { (true, only) } else { (false, None) };
        Ok(Self { format, size: field, shown, planes, needed, alone, only })
    }

    /// Each buffer holds one field and nothing else.
    pub fn is_field(&self) -> bool {
        self.alone
    }

    /// Whether a picture with that field is read; the other one of two that come by turns is not.
    pub fn reads(&self, field: u32) -> bool {
        self.only.is_none_or(|only| only == field)
    }

    /// The planes of a filled buffer of whose pieces of memory so much is used; None of a damaged one.
    pub fn planes(&self, used: &[Used; MOST_PLANES]) -> Option<[Plane; 3]> {
        let mut lengths = used.iter().map(|used| used.end.saturating_sub(used.offset));
        if self.format.is_coded() {
            // Its bytes are all there is in the buffer: it begins where they do.
            return lengths.next().filter(|length| *length > 0).map(|_| self.planes);
        }
        if !self.needed.iter().filter(|needed| **needed > 0).all(|needed| lengths.next() >= Some(*needed)) {
            return None;
        }
        Some(self.planes.map(|plane| Plane { offset: plane.offset + used[plane.memory].offset, ..plane }))
    }
}

fn interlaced(field: u32, why: &str) -> String {
    format!("its pictures are interlaced (V4L2 field order {field}), {why}; a progressive mode of the camera helps")
}

/// What to read of buffers of a field order; None of one that is unknown.
///
/// Always the upper field, so that the picture stands still: it begins with the first row.
fn read(field: u32) -> Option<Read> {
    Some(match field {
        ANY | NONE => Read::All,
        TOP | BOTTOM => Read::OneField { only: None },
        ALTERNATE => Read::OneField { only: Some(TOP) },
        INTERLACED | INTERLACED_TB | INTERLACED_BT => Read::EvenRows,
        SEQ_TB => Read::FirstHalf,
        SEQ_BT => Read::SecondHalf,
        _ => return None,
    })
}

/// Planes that follow each other in one piece of memory, and how much of it they need.
fn together(given: &PictureFormat, format: PixelFormat, size: Size) -> Option<([Plane; 3], [usize; 3])> {
    let told = given.planes.first()?;
    let shapes = format.planes(size);
    let stride = if told.stride > 0 { told.stride as usize } else { shapes.first()?.row };
    let planes = RawFrame::layout(format, size, stride, told.size as usize)?;
    let ends = planes.iter().zip(&shapes).map(|(plane, shape)| Some(plane.offset + extent(shape, plane.stride)?));
    Some((planes, [ends.max()??, 0, 0]))
}

/// Planes in pieces of memory of their own, and how much of each they need.
fn apart(given: &PictureFormat, shapes: &[PlaneShape]) -> Option<([Plane; 3], [usize; 3])> {
    let (mut planes, mut needed) = ([Plane::default(); 3], [0; 3]);
    for (memory, shape) in shapes.iter().enumerate() {
        let told = given.planes.get(memory)?;
        let stride = if told.stride > 0 { told.stride as usize } else { shape.row };
        needed[memory] = extent(shape, stride)?;
        if stride < shape.row || needed[memory] > told.size as usize {
            return None;
        }
        planes[memory] = Plane { memory, offset: 0, stride };
    }
    Some((planes, needed))
}

/// From the first byte of a plane to its last pixel.
fn extent(shape: &PlaneShape, stride: usize) -> Option<usize> {
    stride.checked_mul(shape.rows - 1)?.checked_add(shape.row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v4l2::PlaneFormat;

    fn given(fourcc: &[u8; 4], (width, height): (u32, u32), planes: &[(u32, u32)]) -> PictureFormat {
        let planes = planes.iter().map(|(stride, size)| PlaneFormat { stride: *stride, size: *size }).collect();
        PictureFormat { planes, ..PictureFormat::new(u32::from_le_bytes(*fourcc), (width, height)) }
    }

    fn plane(memory: usize, offset: usize, stride: usize) -> Plane {
        Plane { memory, offset, stride }
    }

    fn used(pieces: &[(usize, usize)]) -> [Used; MOST_PLANES] {
        let mut used = [Used::default(); MOST_PLANES];
        for (used, (offset, end)) in used.iter_mut().zip(pieces) {
            *used = Used { offset: *offset, end: *end };
        }
        used
    }

    fn planes_of(layout: &Layout, pieces: &[(usize, usize)]) -> Option<[Plane; 3]> {
        layout.planes(&used(pieces))
    }

    #[test]
    fn strides_and_padding_are_as_the_driver_tells() {
        let layout = Layout::new(&given(b"YUYV", (640, 480), &[(1344, 1344 * 500)])).unwrap();
        assert_eq!(planes_of(&layout, &[(0, 1344 * 500)]).unwrap()[0], plane(0, 0, 1344));
        for (fourcc, stride) in [(b"NV12", 640), (b"UYVY", 1280), (b"RGB3", 1920), (b"XR24", 2560), (b"GREY", 640)] {
            let layout = Layout::new(&given(fourcc, (640, 480), &[(0, 640 * 480 * 4)])).unwrap();
            assert_eq!(layout.planes[0].stride, stride, "{fourcc:?}");
        }
    }

    #[test]
    fn planes_in_several_pieces_of_memory_each_have_a_stride_and_an_offset() {
        let layout = Layout::new(&given(b"NM12", (640, 480), &[(768, 768 * 512), (704, 704 * 240)])).unwrap();
        let full = [(64, 64 + 768 * 480), (0, 704 * 240)];
        assert_eq!(planes_of(&layout, &full).unwrap()[..2], [plane(0, 64, 768), plane(1, 0, 704)]);
        let short =
            |n: usize| [(64, 64 + 768 * 479 + 640 - usize::from(n == 0)), (0, 704 * 239 + 640 - usize::from(n == 1))];
        assert!(planes_of(&layout, &short(2)).is_some());
        assert!(planes_of(&layout, &short(0)).is_none() && planes_of(&layout, &short(1)).is_none());
        assert!(planes_of(&layout, &[(0, 0), (0, 0)]).is_none());
    }

    #[test]
    fn the_planes_are_y_u_v_even_where_v_comes_first_in_memory() {
        let together = Layout::new(&given(b"YV12", (64, 48), &[(64, 64 * 48 * 3 / 2)])).unwrap();
        assert_eq!(together.planes, [plane(0, 0, 64), plane(0, 64 * 60, 32), plane(0, 64 * 48, 32)]);
        let apart = Layout::new(&given(b"YM21", (64, 48), &[(64, 3072), (32, 768), (48, 1152)])).unwrap();
        assert_eq!(apart.planes, [plane(0, 0, 64), plane(2, 0, 48), plane(1, 0, 32)]);
    }

    #[test]
    fn a_short_or_empty_buffer_is_damaged() {
        let raw = Layout::new(&given(b"YUYV", (640, 480), &[(1280, 640 * 480 * 2)])).unwrap();
        assert!(planes_of(&raw, &[(0, 640 * 480 * 2)]).is_some());
        assert!(planes_of(&raw, &[(0, 640 * 480 * 2 - 1)]).is_none());
        let jpeg = Layout::new(&given(b"MJPG", (640, 480), &[(0, 100)])).unwrap();
        assert!(planes_of(&jpeg, &[(0, 1)]).is_some() && planes_of(&jpeg, &[(0, 0)]).is_none());
        assert!(planes_of(&jpeg, &[(9, 9)]).is_none());
    }

    #[test]
    fn one_field_is_read_of_an_interlaced_picture() {
        let field = |order, (width, height)| {
            let size = width * height * 3 / 2;
            Layout::new(&PictureFormat { field: order, ..given(b"NV12", (width, height), &[(width, size)]) }).unwrap()
        };
        let rows = 720 * 576;
        for (order, luma, chroma) in [
            (INTERLACED, (0, 1440), (rows, 1440)),
            (INTERLACED_BT, (0, 1440), (rows, 1440)),
            (SEQ_TB, (0, 720), (rows, 720)),
            (SEQ_BT, (rows / 2, 720), (rows + rows / 4, 720)),
        ] {
            let layout = field(order, (720, 576));
            assert_eq!((layout.size, layout.shown), (Size::new(720, 288), Size::new(720, 576)));
            assert_eq!(layout.planes[..2], [plane(0, luma.0, luma.1), plane(0, chroma.0, chroma.1)], "{order}");
            assert!(layout.reads(order) && !layout.is_field());
            // Half a picture, though it holds one field, is no whole one.
            assert!(planes_of(&layout, &[(0, 720 * 576)]).is_none());
        }
        let alternate = field(ALTERNATE, (720, 288));
        assert_eq!((alternate.size, alternate.shown), (Size::new(720, 288), Size::new(720, 576)));
        assert!(alternate.is_field() && alternate.reads(TOP) && !alternate.reads(BOTTOM));
    }

    #[test]
    fn what_cannot_be_read_is_refused_in_words() {
        let refused = |given: PictureFormat| Layout::new(&given).unwrap_err();
        assert!(refused(given(b"YUYV", (640, 480), &[(1280, 1000)])).contains("does not fit into 1000 bytes"));
        assert!(refused(given(b"NM12", (640, 480), &[(640, 640 * 480)])).contains("does not fit"));
        assert!(refused(given(b"BA81", (640, 480), &[(640, 640 * 480)])).contains("gives BA81"));
        assert!(refused(given(b"YUYV", (640, 0), &[(1280, 1280)])).contains("640x0"));
        let interlaced = |fourcc, height| PictureFormat {
            field: INTERLACED,
            ..given(fourcc, (640, height), &[(640, 640 * 480 * 2)])
        };
        assert!(refused(interlaced(b"MJPG", 480)).contains("interlaced"));
        assert!(refused(interlaced(b"YU12", 478)).contains("no two equal fields"));
        assert!(refused(PictureFormat { field: 77, ..given(b"YUYV", (2, 2), &[(4, 8)]) }).contains("order 77"));
        let endless = given(b"YM12", (u32::MAX, u32::MAX), &[(u32::MAX, u32::MAX); 3]);
        assert!(refused(endless).contains("does not fit"));
    }
}
