//! Red, green and blue to luma and chroma: ITU-R BT.601, limited range, whatever the picture's size, as players take a
//! stream that does not say otherwise. A chroma value is that of the mean of its four pixels.

use super::super::picture::{Canvas, Picture, rows};
use crate::codec::CodecError;
use crate::media::{PixelFormat, Size};
use multiversion::multiversion;
use std::{ops::Range, slice::from_mut};
use yuv::{
    BufferStoreMut, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix, bgr_to_yuv420, bgra_to_yuv420,
    rgb_to_yuv420,
};

/// Of `format`, one of those in RGB. `packed` holds all rows.
pub fn to_planar(
    format: PixelFormat,
    packed: &[u8],
    stride: usize,
    into: &mut Canvas,
    size: Size,
) -> Result<(), CodecError> {
    if format == PixelFormat::Rgb565 {
        rgb565_to_planar(packed, stride, into, size);
        return Ok(());
    }
    // The library wants whole strides, and of the last row there may be less.
    let height = size.height as usize;
    let row = format.planes(size)[0].row;
    let last = (height - 1) & !1;
    let mut spare = std::mem::take(&mut into.spare);
    spare.clear();
    rows(&packed[last * stride..], stride, row, height - last).for_each(|row| spare.extend_from_slice(row));
    let done = convert(format, &packed[..last * stride], stride, into, 0..last, size)
        .and_then(|()| convert(format, &spare, row, into, last..height, size));
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

/// Of 5 bits of red, 6 of green and 5 of blue.
fn rgb565_to_planar(packed: &[u8], stride: usize, into: &mut Canvas, size: Size) {
    let [(width, height), (chroma_width, _), _] = Picture::plane_sizes(size);
    let mut source = rows(packed, stride, width * 2, height);
    let [y, u, v] = &mut into.planes;
    let chroma = u.chunks_exact_mut(chroma_width).zip(v.chunks_exact_mut(chroma_width));
    for (pair, (u, v)) in y.chunks_mut(width * 2).zip(chroma) {
        let Some(upper) = source.next() else { return };
        let (y0, y1) = pair.split_at_mut(width);
        luma_of_565(upper, y0);
        // An odd last row and column count twice.
        let lower = if y1.is_empty() { upper } else { source.next().unwrap_or(upper) };
        luma_of_565(lower, y1);
        chroma_of_565(upper, lower, u, v);
        if let (true, ([.., a0, a1], [.., b0, b1]), Some(u), Some(v)) =
            (width % 2 == 1, (upper, lower), u.last_mut(), v.last_mut())
        {
            chroma_of_565(&[*a0, *a1, *a0, *a1], &[*b0, *b1, *b0, *b1], from_mut(u), from_mut(v));
        }
    }
}

/// In 256ths; what red, green and blue weigh makes white of the greatest 5, 6 and 5 bits.
#[multiversion(targets("x86_64+avx2"))]
fn luma_of_565(row: &[u8], into: &mut [u8]) {
    for (luma, pixel) in into.iter_mut().zip(row.as_chunks().0) {
        let pixel = u16::from_le_bytes(*pixel);
        let weighed = (pixel >> 11) * 541 + (pixel >> 5 & 63) * 522 + (pixel & 31) * 206;
        *luma = ((weighed + (16 << 8) + 128) >> 8) as u8;
    }
}

/// Likewise, of the sums of four pixels.
#[multiversion(targets("x86_64+avx2"))]
fn chroma_of_565(upper: &[u8], lower: &[u8], u: &mut [u8], v: &mut [u8]) {
    for (((u, v), a), b) in u.iter_mut().zip(v).zip(upper.as_chunks().0).zip(lower.as_chunks().0) {
        let (a, b) = (u32::from_le_bytes(*a), u32::from_le_bytes(*b));
        let sum = |shift: u32, most: u32| -> u32 {
            [a >> shift, a >> (shift + 16), b >> shift, b >> (shift + 16)].into_iter().map(|part| part & most).sum()
        };
        let (red, green, blue) = (sum(11, 31), sum(5, 63), sum(0, 31));
        let grey = (128 << 8) + 128;
        *u = ((grey + 231 * blue - 78 * red - 75 * green) >> 8) as u8;
        *v = ((grey + 231 * red - 95 * green - 38 * blue) >> 8) as u8;
    }
}
