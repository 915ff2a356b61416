//! How raw pictures lie in an encoder's buffers, and how they come to lie there.

use crate::{
    codec::{CodecError, Picture},
    media::{PixelFormat, Plane, PlaneShape, RawFrame, Size, fourcc},
    v4l2::PictureFormat,
};

/// Where an encoder reads the planes of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    pub format: PixelFormat,
    /// Of the picture; the buffers may have room for more.
    pub size: Size,
    pub planes: [Plane; 3],
    /// How many bytes each piece of memory holds.
    pub pieces: Vec<usize>,
}

impl Input {
    /// What an encoder made of the wish for pictures of `size`.
    ///
    /// # Errors
    /// In words: smaller pictures, a format that Eyrie does not write, planes that do not fit their memory.
    pub fn new(given: &PictureFormat, size: Size) -> Result<Self, String> {
        let letters = fourcc::letters(given.fourcc);
        let coding = fourcc::coding(given.fourcc).ok_or_else(|| format!("it takes pictures in {letters} only"))?;
        let (whole, format) = (Size::new(given.width, given.height), coding.format);
        if whole.width < size.width || whole.height < size.height {
            return Err(format!("it codes at most {whole} of {size}"));
        }
        let pieces: Vec<usize> = given.planes.iter().map(|piece| piece.size as usize).collect();
        let planes = if coding.apart { apart(given, format, whole) } else { together(given, format, whole) };
        let mut planes =
            planes.ok_or_else(|| format!("{whole} {format} does not fit into its buffers of {pieces:?}"))?;
        if coding.swapped {
            planes.swap(1, 2);
        }
        Ok(Self { format, size, planes, pieces })
    }

    /// Whether a frame's planes lie just so in its memory.
    pub fn lies_as(&self, frame: &RawFrame) -> bool {
        let planes = self.format.planes(self.size).len();
        frame.format == self.format && frame.size == self.size && frame.planes[..planes] == self.planes[..planes]
    }

    /// Copies a frame of the same format, row for row where the strides differ.
    ///
    /// # Errors
    /// A plane that does not lie in the frame's buffer.
    pub fn copy_frame(&self, frame: &RawFrame, into: &mut [&mut [u8]]) -> Result<(), CodecError> {
        for (number, shape) in self.format.planes(self.size).iter().enumerate() {
            copy_plane(frame.plane(number), frame.planes[number].stride, shape, self.target(number, into)?)?;
        }
        Ok(())
    }

    /// Copies a planar picture, its chroma interleaved where the format is semi-planar.
    ///
    /// # Errors
    /// A plane that is cut short, and a format that is neither.
    pub fn copy_picture(&self, picture: &Picture<'_>, into: &mut [&mut [u8]]) -> Result<(), CodecError> {
        picture.check()?;
        let shapes = self.format.planes(self.size);
        copy_plane(picture.planes[0], picture.strides[0], &shapes[0], self.target(0, into)?)?;
        match self.format {
            PixelFormat::I420 => {
                for (number, shape) in shapes.iter().enumerate().skip(1) {
                    let (plane, stride) = (picture.planes[number], picture.strides[number]);
                    copy_plane(plane, stride, shape, self.target(number, into)?)?;
                }
                Ok(())
            }
            PixelFormat::Nv12 => {
                let (to, stride) = self.target(1, into)?;
                let u = picture.planes[1].chunks(picture.strides[1]);
                let v = picture.planes[2].chunks(picture.strides[2]);
                for ((to, u), v) in to.chunks_mut(stride).zip(u).zip(v).take(shapes[1].rows) {
                    let pairs = to[..shapes[1].row].as_chunks_mut::<2>().0;
                    for ((pair, u), v) in pairs.iter_mut().zip(u).zip(v) {
                        *pair = [*u, *v];
                    }
                }
                Ok(())
            }
            other => Err(CodecError(format!("pictures are not converted to {other}"))),
        }
    }

    /// A plane of an encoder's buffer from its first byte on, and its stride.
    fn target<'a>(&self, number: usize, into: &'a mut [&mut [u8]]) -> Result<(&'a mut [u8], usize), CodecError> {
        let Plane { memory, offset, stride } = self.planes[number];
        let plane = into.get_mut(memory).and_then(|piece| piece.get_mut(offset..));
        Ok((plane.ok_or_else(|| CodecError("the encoder's buffers are shorter than it said".into()))?, stride))
    }
}

fn together(given: &PictureFormat, format: PixelFormat, whole: Size) -> Option<[Plane; 3]> {
    let told = given.planes.first()?;
    let stride = if told.stride > 0 { told.stride as usize } else { format.planes(whole).first()?.row };
    RawFrame::layout(format, whole, stride, told.size as usize)
}

fn apart(given: &PictureFormat, format: PixelFormat, whole: Size) -> Option<[Plane; 3]> {
    let mut planes = [Plane::default(); 3];
    for (memory, shape) in format.planes(whole).iter().enumerate() {
        let told = given.planes.get(memory)?;
        let stride = if told.stride > 0 { told.stride as usize } else { shape.row };
        if stride < shape.row || stride.checked_mul(shape.rows)? > told.size as usize {
            return None;
        }
        planes[memory] = Plane { memory, offset: 0, stride };
    }
    Some(planes)
}

fn copy_plane(
    from: &[u8],
    stride: usize,
    shape: &PlaneShape,
    (to, to_stride): (&mut [u8], usize),
) -> Result<(), CodecError> {
    let extent = |stride: usize| stride * (shape.rows - 1) + shape.row;
    if stride < shape.row || from.len() < extent(stride) || to.len() < extent(to_stride) {
        return Err(CodecError(format!("a plane of {} rows does not fit", shape.rows)));
    }
    if stride == to_stride {
        to[..extent(stride)].copy_from_slice(&from[..extent(stride)]);
        return Ok(());
    }
    for (to, from) in to.chunks_mut(to_stride).zip(from.chunks(stride)).take(shape.rows) {
        to[..shape.row].copy_from_slice(&from[..shape.row]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{media::Lease, time::MonoTime, v4l2::PlaneFormat};

    fn given(letters: &[u8; 4], size: (u32, u32), pieces: &[(u32, u32)]) -> PictureFormat {
        let planes = pieces.iter().map(|(stride, size)| PlaneFormat { stride: *stride, size: *size }).collect();
        PictureFormat { planes, ..PictureFormat::new(u32::from_le_bytes(*letters), size) }
    }

    const SIZE: Size = Size::new(6, 4);

    /// A frame of ascending bytes with its rows `stride` apart.
    fn frame(format: PixelFormat, stride: usize) -> RawFrame {
        let buffer: Vec<u8> = (0..=255).collect();
        let planes = RawFrame::layout(format, SIZE, stride, buffer.len()).unwrap();
        let stamp = MonoTime::ZERO;
        RawFrame { format, size: SIZE, shown: SIZE, planes, stamp, sequence: 0, buffer: Lease::new(buffer) }
    }

    #[test]
    fn the_rows_that_an_encoder_pads_lie_between_the_planes() {
        let size = Size::new(1920, 1080);
        let input = Input::new(&given(b"NV12", (1920, 1088), &[(1920, 1920 * 1088 * 3 / 2)]), size).unwrap();
        assert_eq!(input.planes[1], Plane { memory: 0, offset: 1920 * 1088, stride: 1920 });
        let wide = Input::new(&given(b"YU12", (1920, 1080), &[(1984, 1984 * 1080 * 3 / 2)]), size).unwrap();
        assert_eq!(wide.planes[2], Plane { memory: 0, offset: 1984 * 1080 * 5 / 4, stride: 992 });
        let apart =
            Input::new(&given(b"NM12", (1920, 1088), &[(1920, 1920 * 1088), (1920, 1920 * 544)]), size).unwrap();
        assert_eq!(apart.planes[1], Plane { memory: 1, offset: 0, stride: 1920 });
        let swapped = Input::new(&given(b"YV12", (6, 4), &[(6, 36)]), SIZE).unwrap();
        assert_eq!((swapped.planes[1].offset, swapped.planes[2].offset), (30, 24));
    }

    #[test]
    fn what_an_encoder_cannot_hold_is_refused_in_words() {
        let refused = |given: PictureFormat| Input::new(&given, Size::new(1920, 1080)).unwrap_err();
        assert!(refused(given(b"YU12", (1280, 720), &[(1280, 1_382_400)])).contains("at most 1280x720"));
        assert!(refused(given(b"BA81", (1920, 1080), &[(1920, 2_073_600)])).contains("BA81"));
        assert!(refused(given(b"YU12", (1920, 1080), &[(1920, 2_073_600)])).contains("does not fit"));
        assert!(refused(given(b"NM12", (1920, 1080), &[(1920, 2_073_600)])).contains("does not fit"));
    }

    #[test]
    fn a_frame_is_taken_as_it_lies_only_where_every_plane_lies_there() {
        let input = Input::new(&given(b"YU12", (6, 4), &[(8, 48)]), SIZE).unwrap();
        assert!(input.lies_as(&frame(PixelFormat::I420, 8)));
        assert!(!input.lies_as(&frame(PixelFormat::I420, 6)) && !input.lies_as(&frame(PixelFormat::Nv12, 8)));
        let padded = Input::new(&given(b"YU12", (6, 6), &[(8, 72)]), SIZE).unwrap();
        assert!(!padded.lies_as(&frame(PixelFormat::I420, 8)));
    }

    #[test]
    fn rows_are_copied_to_their_places_and_padding_is_left() {
        let input = Input::new(&given(b"YU12", (8, 6), &[(8, 72)]), SIZE).unwrap();
        let source = frame(PixelFormat::I420, 6);
        let mut memory = vec![0xee; 72];
        input.copy_frame(&source, &mut [&mut memory]).unwrap();
        assert_eq!(memory[..8], [0, 1, 2, 3, 4, 5, 0xee, 0xee]);
        assert_eq!(memory[24..30], [18, 19, 20, 21, 22, 23]);
        assert_eq!(memory[32..48], [0xee; 16]);
        // Chroma: 3 of 4 bytes of a row, 2 of 3 rows.
        assert_eq!(memory[48..60], [24, 25, 26, 0xee, 27, 28, 29, 0xee, 0xee, 0xee, 0xee, 0xee]);
        assert_eq!(memory[60..64], [30, 31, 32, 0xee]);
        assert!(input.copy_frame(&source, &mut [&mut memory[..40]]).is_err());
    }

    #[test]
    fn planar_chroma_is_interleaved_where_the_encoder_wants_it() {
        let input = Input::new(&given(b"NM12", (6, 4), &[(8, 32), (8, 16)]), SIZE).unwrap();
        let (y, u, v) = ([7; 24], [1, 2, 3, 4, 5, 6], [11, 12, 13, 14, 15, 16]);
        let picture = Picture { size: SIZE, planes: [&y, &u, &v], strides: [6, 3, 3] };
        let (mut luma, mut chroma) = (vec![0; 32], vec![0; 16]);
        input.copy_picture(&picture, &mut [&mut luma, &mut chroma]).unwrap();
        assert_eq!(chroma, [1, 11, 2, 12, 3, 13, 0, 0, 4, 14, 5, 15, 6, 16, 0, 0]);
        assert_eq!(luma[..10], [7, 7, 7, 7, 7, 7, 0, 0, 7, 7]);
        let packed = Input::new(&given(b"YUYV", (6, 4), &[(12, 48)]), SIZE).unwrap();
        assert!(packed.copy_picture(&picture, &mut [&mut [0; 48]]).is_err());
    }
}
