//! How frames are best taken by an encoder: where they lie, else copied, else converted.

use super::{input::Input, node::Node};
use crate::{
    codec::{CodecError, MakePicture},
    media::{PixelFormat, Plane, PlaneShape, RawFrame, Size, fourcc},
    v4l2::{Memory, PictureFormat, PlaneFormat},
};

/// What pictures are converted to, the best first: the converter's own, then what most encoders read.
const CONVERTED: [&[u8; 4]; 4] = [b"YU12", b"NV12", b"YM12", b"NM12"];

/// What decides how frames are taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    format: PixelFormat,
    size: Size,
    planes: [Plane; 3],
    dma: bool,
    as_it_is: bool,
}

/// How they are taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub format: PictureFormat,
    pub input: Input,
    pub memory: Memory,
    /// Frames are taken in their own format, else as the converter makes them.
    pub as_it_is: bool,
}

impl Shape {
    /// `dma`: whether the encoder reads the memory of others.
    pub fn of(frame: &RawFrame, maker: &dyn MakePicture, dma: bool) -> Self {
        let RawFrame { format, size, planes, .. } = *frame;
        let dma = dma && frame.buffer.dma(0).is_some();
        Self { format, size, planes, dma, as_it_is: maker.keeps(frame) }
    }
}

impl Plan {
    /// How frames of a shape are best taken.
    pub fn of(node: &Node, frame: &RawFrame, shape: &Shape, size: Size) -> Result<Self, CodecError> {
        let of_frame = |code: &&u32| fourcc::format_of(**code) == Some(frame.format);
        let own = || node.formats.iter().filter(|_| shape.as_it_is && is_video(frame.format)).filter(of_frame);
        let shared = |(_, input): &(PictureFormat, Input)| {
            input.lies_as(frame) && (0..input.pieces.len()).all(|n| frame.buffer.dma(n).is_some())
        };
        let share = |code: &u32| try_format(node, *code, size, Some(frame)).ok().filter(shared);
        if shape.dma
            && let Some((format, input)) = own().find_map(share)
        {
            return Ok(Self { format, input, memory: Memory::Dma, as_it_is: true });
        }
        if let Some((format, input)) = own().find_map(|code| try_format(node, *code, size, None).ok()) {
            return Ok(Self { format, input, memory: Memory::Mapped, as_it_is: true });
        }
        Self::converted(node, size)
    }

    /// How pictures of the converter's are taken.
    pub fn converted(node: &Node, size: Size) -> Result<Self, CodecError> {
        let takes = |code: &&u32| node.formats.contains(code);
        let codes: Vec<u32> = CONVERTED.iter().map(|letters| u32::from_le_bytes(**letters)).collect();
        let mut refusal = CodecError("it takes no format that pictures are converted to".into());
        for code in codes.iter().filter(takes) {
            match try_format(node, *code, size, None) {
                Ok((format, input)) => return Ok(Self { format, input, memory: Memory::Mapped, as_it_is: false }),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }
}

/// What the encoder makes of a raw format, in a frame's own strides and rows where it can.
fn try_format(
    node: &Node,
    code: u32,
    size: Size,
    frame: Option<&RawFrame>,
) -> Result<(PictureFormat, Input), CodecError> {
    let mut wish = PictureFormat::new(code, (size.width, size.height));
    if let Some(frame) = frame {
        (wish.planes, wish.height) = own_layout(frame, size);
    }
    let given = node.device.try_format(node.raw, &wish);
    let given =
        given.map_err(|error| CodecError(format!("it takes no {}: {}", fourcc::letters(code), error.desc())))?;
    if given.fourcc != code {
        return Err(CodecError(format!("it takes no {}", fourcc::letters(code))));
    }
    Input::new(&given, size).map(|input| (given, input)).map_err(CodecError)
}

/// The memory of a frame as an encoder is asked to take it: the strides of its pieces, and with rows between the planes
/// how many rows there are of the first.
fn own_layout(frame: &RawFrame, size: Size) -> (Vec<PlaneFormat>, u32) {
    let shapes = frame.format.planes(size);
    let planes = &frame.planes[..shapes.len()];
    let first_of_piece =
        planes.iter().enumerate().filter(|(n, plane)| !planes[..*n].iter().any(|p| p.memory == plane.memory));
    let pieces = first_of_piece.map(|(_, plane)| PlaneFormat { stride: plane.stride as u32, size: 0 }).collect();
    (pieces, rows_of_first(planes, &shapes).and_then(|rows| u32::try_from(rows).ok()).unwrap_or(size.height))
}

fn rows_of_first(planes: &[Plane], shapes: &[PlaneShape]) -> Option<usize> {
    let [first, second, ..] = planes else { return None };
    let distance = second.offset.checked_sub(first.offset).filter(|_| second.memory == first.memory)?;
    distance.checked_div(first.stride).filter(|rows| *rows >= shapes[0].rows)
}

/// Formats whose values have the range of video (16 to 235), as what is coded has: full ones are converted.
fn is_video(format: PixelFormat) -> bool {
    use PixelFormat::*;
    matches!(format, I420 | Nv12 | Nv21 | Yuyv | Uyvy | Yvyu | Vyuy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{media::Lease, time::MonoTime};

    #[test]
    fn an_encoder_is_asked_for_the_strides_and_rows_that_frames_have() {
        let size = Size::new(1920, 1080);
        let wish = |format, planes: &[(usize, usize, usize)]| {
            let mut all = [Plane::default(); 3];
            for (plane, (memory, offset, stride)) in all.iter_mut().zip(planes) {
                *plane = Plane { memory: *memory, offset: *offset, stride: *stride };
            }
            let buffer = Lease::new(Vec::new());
            let frame = RawFrame { format, size, shown: size, planes: all, stamp: MonoTime::ZERO, sequence: 0, buffer };
            let (pieces, rows) = own_layout(&frame, size);
            (pieces.iter().map(|piece| piece.stride).collect::<Vec<_>>(), rows)
        };
        assert_eq!(wish(PixelFormat::Nv12, &[(0, 0, 1920), (0, 1920 * 1088, 1920)]), (vec![1920], 1088));
        assert_eq!(
            wish(PixelFormat::I420, &[(0, 0, 1984), (0, 1984 * 1080, 992), (0, 1984 * 1350, 992)]),
            (vec![1984], 1080)
        );
        assert_eq!(wish(PixelFormat::Nv12, &[(0, 0, 2048), (1, 0, 2048)]), (vec![2048, 2048], 1080));
        assert_eq!(wish(PixelFormat::Yuyv, &[(0, 0, 3840)]), (vec![3840], 1080));
    }
}
