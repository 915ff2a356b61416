//! Camera pictures to the planar 4:2:0 pictures that the encoder reads, in the stream's size and upright.

mod rgb;
mod scale;
mod turn;
mod unpack;

#[cfg(test)]
mod tests;

use super::jpeg::Decoder;
use super::picture::{Canvas, Picture, check_plane};
use crate::codec::CodecError;
use crate::media::{Orientation, PixelFormat, RawFrame, Size};
use scale::Scaler;
use turn::Turn;

/// Converts, scales, letterboxes and turns pictures of any raw format, and JPEG, to I420 of one size. Where the format
/// has less than the full range of values it stays so; the full range of RGB, JPEG and grey is brought to that of video
/// (16 to 235).
pub struct Converter {
    target: Size,
    /// `target` before it is turned.
    unturned: Size,
    turn: Turn,
    /// The picture as I420 in the camera's size, or its chroma where the luma can stay where it is.
    unpacked: Canvas,
    scaled: Canvas,
    scaler: Option<Scaler>,
    turned: Canvas,
    jpeg: Decoder,
    copied: u64,
}

/// Makes a stream's picture of a camera's frame.
pub trait MakePicture {
    /// Whether the frame is the picture already, but for its format.
    fn keeps(&self, frame: &RawFrame) -> bool;

    /// The picture as I420.
    ///
    /// # Errors
    /// As of [`Converter::convert`].
    fn make<'a>(&'a mut self, frame: &'a RawFrame) -> Result<Picture<'a>, CodecError>;
}

impl MakePicture for Converter {
    fn keeps(&self, frame: &RawFrame) -> bool {
        (frame.size, frame.shown) == (self.target, self.target) && self.turn.is_none()
    }

    fn make<'a>(&'a mut self, frame: &'a RawFrame) -> Result<Picture<'a>, CodecError> {
        self.convert(frame)
    }
}

impl Converter {
    /// For pictures that shall have the size `target`, even in both directions, once they are turned.
    pub fn new(target: Size, orientation: Orientation) -> Self {
        Self {
            target,
            unturned: orientation.turned(target),
            turn: Turn::new(orientation),
            unpacked: Canvas::default(),
            scaled: Canvas::default(),
            scaler: None,
            turned: Canvas::default(),
            jpeg: Decoder::default(),
            copied: 0,
        }
    }

    /// The picture as I420 of the target size: where it is that already, its own memory; else in a buffer that is kept
    /// from one call to the next. Another shape gets black bars.
    ///
    /// # Errors
    /// Planes that do not lie in the frame's buffer, and a JPEG that cannot be decoded or has another size than the
    /// frame says. The next picture may be fine.
    pub fn convert<'a>(&'a mut self, frame: &'a RawFrame) -> Result<Picture<'a>, CodecError> {
        let size = frame.size;
        if size.width == 0 || size.height == 0 {
            return Err(CodecError(format!("a picture of {size}")));
        }
        let mut picture = unpack(frame, &mut self.unpacked, &mut self.jpeg)?;
        // Scaled before it is turned: most often there is less to turn then.
        let target = self.unturned;
        if (size, frame.shown) != (target, target) {
            let scaler = match &mut self.scaler {
                Some(scaler) if scaler.takes(size, frame.shown) => scaler,
                other => {
                    // The bars may lie elsewhere now.
                    self.scaled = Canvas::default();
                    other.insert(Scaler::new(size, frame.shown, target))
                }
            };
            self.scaled.resize(target);
            scaler.scale(&picture, &mut self.scaled);
            picture = self.scaled.picture();
        }
        if !self.turn.is_none() {
            self.turned.resize(self.target);
            self.turn.turn(&picture, self.target, &mut self.turned);
            picture = self.turned.picture();
        }
        self.copied += picture.made_of(frame);
        Ok(picture)
    }

    /// Of all pictures so far, the bytes that did not stay where the camera had put them.
    pub fn copied(&self) -> u64 {
        self.copied
    }
}

/// The picture as I420 in its own size; what of it is that already stays where it is.
fn unpack<'a>(frame: &'a RawFrame, into: &'a mut Canvas, jpeg: &mut Decoder) -> Result<Picture<'a>, CodecError> {
    let (format, size) = (frame.format, frame.size);
    if format == PixelFormat::I420 {
        return Picture::of(frame);
    }
    into.resize(size);
    if format == PixelFormat::Mjpeg {
        jpeg.decode(frame.bytes(), size, into)?;
        return Ok(into.picture());
    }
    let mut planes = [&[][..]; 3];
    for (number, shape) in format.planes(size).into_iter().enumerate() {
        planes[number] = plane(frame, number, (shape.row, shape.rows))?;
    }
    let ([first, second, third], strides) = (planes, frame.planes.map(|plane| plane.stride));
    match format {
        PixelFormat::Nv12 | PixelFormat::Nv21 => {
            unpack::semi_planar(second, strides[1], format == PixelFormat::Nv21, into, size);
        }
        PixelFormat::Nv16 => unpack::semi_planar_422(second, strides[1], into, size),
        PixelFormat::I422 => {
            unpack::planar_422(second, strides[1], &mut into.planes[1], size);
            unpack::planar_422(third, strides[2], &mut into.planes[2], size);
        }
        PixelFormat::Yuyv | PixelFormat::Yvyu => {
            unpack::packed::<0>(first, strides[0], format == PixelFormat::Yvyu, into, size);
        }
        PixelFormat::Uyvy | PixelFormat::Vyuy => {
            unpack::packed::<8>(first, strides[0], format == PixelFormat::Vyuy, into, size);
        }
        PixelFormat::Grey => unpack::grey(first, strides[0], into, size),
        PixelFormat::Rgb24 | PixelFormat::Bgr24 | PixelFormat::Bgrx32 | PixelFormat::Rgb565 => {
            rgb::to_planar(format, first, strides[0], into, size)?;
        }
        PixelFormat::I420 | PixelFormat::Mjpeg | PixelFormat::H264 => {
            return Err(CodecError(format!("pictures in {format} are not converted")));
        }
    }
    let mut picture = into.picture();
    if let PixelFormat::Nv12 | PixelFormat::Nv21 | PixelFormat::Nv16 | PixelFormat::I422 = format {
        // The luma is planar already.
        (picture.planes[0], picture.strides[0]) = (first, strides[0]);
    }
    Ok(picture)
}

/// The bytes of one plane from its first pixel on, checked to hold all rows of `size`.
fn plane(frame: &RawFrame, number: usize, (width, height): (usize, usize)) -> Result<&[u8], CodecError> {
    let bytes = frame.plane(number);
    check_plane(bytes, frame.planes[number].stride, width, height)?;
    Ok(bytes)
}
