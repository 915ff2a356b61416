//! Red, green and blue to luma and chroma: ITU-R BT.601, limited range, whatever the picture's size, as players take a
//! stream that does not say otherwise. A chroma value is that of the mean of its four pixels.

use super::super::{
    picture::{Canvas, Picture, rows},
    sys::widest,
};
use crate::codec::CodecError;
use crate::media::{PixelFormat, Size};
use std::ops::Range;
use yuv::{
    BufferStoreMut, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix, bgr_to_yuv420, bgra_to_yuv420,
    rgb_to_yuv420,
};

/// Rows of 16-bit pixels that are widened at a time; even, and few enough to stay in the cache.
const STRIP: usize = 16;

/// Of `format`, one of those in RGB. `packed` holds all rows.
pub fn to_planar(
    format: PixelFormat,
    packed: &[u8],
    stride: usize,
    into: &mut Canvas,
    size: Size,
) -> Result<(), CodecError> {
    let (width, height) = (size.width as usize, size.height as usize);
    let mut spare = std::mem::take(&mut into.spare);
    spare.clear();
    let done = if format == PixelFormat::Rgb565 {
        (0..height).step_by(STRIP).try_for_each(|top| {
            let strip = top..height.min(top + STRIP);
            spare.resize(width * 4 * strip.len(), 0);
            let source = rows(&packed[top * stride..], stride, width * 2, strip.len());
            for (row, wide) in source.zip(spare.chunks_exact_mut(width * 4)) {
                widest(widen, (row, wide));
            }
            convert(PixelFormat::Bgrx32, &spare, width * 4, into, strip, size)
        })
    } else {
        // The library wants whole strides, and of the last row there may be less.
        let row = format.planes(size)[0].row;
        let last = (height - 1) & !1;
        rows(&packed[last * stride..], stride, row, height - last).for_each(|row| spare.extend_from_slice(row));
        convert(format, &packed[..last * stride], stride, into, 0..last, size)
            .and_then(|()| convert(format, &spare, row, into, last..height, size))
    };
    into.spare = spare;
    done
}

/// Converts `packed`, whole strides of them, to those rows of the picture; they begin with an even one.
fn convert(
    format: PixelFormat,
    packed: &[u8],
    stride: usize,
    into: &mut Canvas,
    strip: Range<usize>,
    size: Size,
) -> Result<(), CodecError> {
    if strip.is_empty() {
        return Ok(());
    }
    let [(width, _), (chroma_width, _), _] = Picture::plane_sizes(size);
    let chroma = strip.start / 2 * chroma_width..strip.end.div_ceil(2) * chroma_width;
    let [y, u, v] = &mut into.planes;
    let mut image = YuvPlanarImageMut {
        y_plane: BufferStoreMut::Borrowed(&mut y[strip.start * width..strip.end * width]),
        y_stride: width as u32,
        u_plane: BufferStoreMut::Borrowed(&mut u[chroma.clone()]),
        u_stride: chroma_width as u32,
        v_plane: BufferStoreMut::Borrowed(&mut v[chroma]),
        v_stride: chroma_width as u32,
        width: size.width,
        height: strip.len() as u32,
    };
    let convert = match format {
        PixelFormat::Rgb24 => rgb_to_yuv420,
        PixelFormat::Bgr24 => bgr_to_yuv420,
        _ => bgra_to_yuv420,
    };
    let stride = u32::try_from(stride).map_err(|_| CodecError(format!("a stride of {stride}")))?;
    convert(&mut image, packed, stride, YuvRange::Limited, YuvStandardMatrix::Bt601, YuvConversionMode::Balanced)
        .map_err(|error| CodecError(format!("{format} to 4:2:0: {error}")))
}

/// Five and six bits to eight, so that the greatest stays the greatest.
#[inline(always)]
fn widen((row, into): (&[u8], &mut [u8])) {
    for (wide, pixel) in into.as_chunks_mut().0.iter_mut().zip(row.as_chunks().0) {
        let pixel = u32::from(u16::from_le_bytes(*pixel));
        let (red, green, blue) = (pixel >> 11, pixel >> 5 & 63, pixel & 31);
        let (red, green, blue) = (red << 3 | red >> 2, green << 2 | green >> 4, blue << 3 | blue >> 2);
        *wide = (red << 16 | green << 8 | blue).to_le_bytes();
    }
}
