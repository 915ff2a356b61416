//! Camera pictures to the planar 4:2:0 pictures that the encoder reads, in the stream's size.

mod packed;
mod scale;
mod semi_planar;

#[cfg(test)]
mod tests;

use super::jpeg::Decoder;
use super::picture::{Canvas, Picture, check_plane};
use crate::codec::CodecError;
use crate::media::{PixelFormat, RawFrame, Size};
use scale::Scaler;

/// Converts, scales and letterboxes pictures of any format and size to I420 of one size. Where the format has less
/// than the full range of values it stays so; JPEG's full range is brought to that of video (16 to 235).
pub struct Converter {
    target: Size,
    /// The picture as I420 in the camera's size, or its chroma where the luma can stay where it is.
    unpacked: Canvas,
    scaled: Canvas,
    scaler: Option<Scaler>,
    jpeg: Decoder,
}

impl Converter {
    /// For pictures of `target`, which is even in both directions.
    pub fn new(target: Size) -> Self {
        Self { target, unpacked: Canvas::default(), scaled: Canvas::default(), scaler: None, jpeg: Decoder::default() }
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
        let [luma, chroma, _] = frame.planes;
        let sizes = Picture::plane_sizes(size);
        let picture = match frame.format {
            PixelFormat::I420 => Picture {
                size,
                planes: [plane(frame, 0, sizes[0])?, plane(frame, 1, sizes[1])?, plane(frame, 2, sizes[2])?],
                strides: frame.planes.map(|plane| plane.stride),
            },
            PixelFormat::Nv12 => {
                let y = plane(frame, 0, sizes[0])?;
                let uv = plane(frame, 1, (sizes[1].0 * 2, sizes[1].1))?;
                self.unpacked.resize(size);
                semi_planar::split(uv, chroma.stride, &mut self.unpacked, size);
                let mut picture = self.unpacked.picture();
                (picture.planes[0], picture.strides[0]) = (y, luma.stride);
                picture
            }
            PixelFormat::Yuyv | PixelFormat::Uyvy => {
                let packed = plane(frame, 0, (sizes[1].0 * 4, sizes[0].1))?;
                self.unpacked.resize(size);
                match frame.format {
                    PixelFormat::Yuyv => packed::yuyv(packed, luma.stride, &mut self.unpacked, size),
                    _ => packed::uyvy(packed, luma.stride, &mut self.unpacked, size),
                }
                self.unpacked.picture()
            }
            PixelFormat::Mjpeg => {
                self.unpacked.resize(size);
                self.jpeg.decode(frame.bytes(), size, &mut self.unpacked)?;
                self.unpacked.picture()
            }
            other => return Err(CodecError(format!("pictures in {other} are not converted"))),
        };
        if size == self.target {
            return Ok(picture);
        }
        let scaler = match &mut self.scaler {
            Some(scaler) if scaler.source() == size => scaler,
            other => {
                // The bars may lie elsewhere now.
                self.scaled = Canvas::default();
                other.insert(Scaler::new(size, self.target))
            }
        };
        self.scaled.resize(self.target);
        scaler.scale(&picture, &mut self.scaled);
        Ok(self.scaled.picture())
    }
}

/// The bytes of one plane from its first pixel on, checked to hold all rows of `size`.
fn plane(frame: &RawFrame, number: usize, (width, height): (usize, usize)) -> Result<&[u8], CodecError> {
    let bytes = frame.plane(number);
    check_plane(bytes, frame.planes[number].stride, width, height)?;
    Ok(bytes)
}
