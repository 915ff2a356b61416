//! MJPEG: each picture a JPEG of its own, decoded straight to planar YUV.

mod sys;

#[cfg(test)]
mod tests;

use super::picture::{Canvas, Picture, video_chroma, video_luma};
use crate::codec::CodecError;
use crate::media::Size;
use multiversion::multiversion;
use std::iter;
use turbojpeg::{Compressor, Subsamp, YuvPlanesImage};

/// Letters stay sharp.
const QUALITY: i32 = 80;

/// Decodes JPEG pictures of any subsampling, those without Huffman tables too, as webcams send them.
#[derive(Default)]
pub struct Decoder {
    /// As the JPEG has them; kept for their memory.
    planes: sys::Planes,
}

impl Decoder {
    /// Decodes into `into`, which has the size `expected`, and brings JPEG's full range to that of video. A picture
    /// with damage that the decoder can go over is as good as it gets, not an error: many cameras leave stray bytes.
    ///
    /// # Errors
    /// What is no JPEG of a colour or grey picture of that size.
    pub fn decode(&mut self, jpeg: &[u8], expected: Size, into: &mut Canvas) -> Result<(), CodecError> {
        sys::decode(jpeg, expected, &mut self.planes)?;
        let [(width, height), (chroma_width, chroma_height), _] = Picture::plane_sizes(expected);
        let (across, down) = (self.planes.across, self.planes.down);
        let [y, u, v] = &mut into.planes;
        for row in 0..height {
            let source = &self.planes.bytes[0][row * self.planes.strides[0]..];
            luma_row(source, &mut y[row * width..][..width]);
        }
        for (plane, target) in iter::zip(1.., [u, v]) {
            if self.planes.grey {
                target.fill(128);
                continue;
            }
            let (bytes, stride) = (&self.planes.bytes[plane], self.planes.strides[plane]);
            let last = height.div_ceil(down) - 1;
            for y in 0..chroma_height {
                // The rows of the JPEG's chroma that lie on luma rows 2y and 2y+1.
                let upper = &bytes[(y * 2 / down).min(last) * stride..][..stride];
                let lower = &bytes[((y * 2 + 1) / down).min(last) * stride..][..stride];
                chroma_row(upper, lower, across, &mut target[y * chroma_width..][..chroma_width]);
            }
        }
        Ok(())
    }
}

/// Encodes pictures as baseline 4:2:0 JPEGs with the usual Huffman tables, which RFC 2435 can carry.
pub struct Encoder(Compressor);

impl Encoder {
    /// # Errors
    /// There is no memory.
    pub fn new() -> Result<Self, CodecError> {
        let mut compressor = Compressor::new().map_err(failure)?;
        compressor.set_quality(QUALITY).map_err(failure)?;
        Ok(Self(compressor))
    }

    /// # Errors
    /// A picture whose planes do not hold all of its rows, or of an odd size.
    pub fn encode(&mut self, picture: &Picture<'_>) -> Result<Vec<u8>, CodecError> {
        picture.check()?;
        if !picture.size.width.is_multiple_of(2) || !picture.size.height.is_multiple_of(2) {
            return Err(CodecError(format!("a JPEG is not made of an odd size, {}", picture.size)));
        }
        let (Size { width, height }, [y_plane, u_plane, v_plane]) = (picture.size, picture.planes);
        let [y_stride, u_stride, v_stride] = picture.strides;
        let (width, height) = (width as usize, height as usize);
        let subsamp = Subsamp::Sub2x2;
        let image = YuvPlanesImage { y_plane, u_plane, v_plane, y_stride, u_stride, v_stride, width, height, subsamp };
        self.0.compress_yuv_planes_to_vec(&image).map_err(failure)
    }
}

fn failure(error: turbojpeg::Error) -> CodecError {
    CodecError(format!("JPEG: {error}"))
}

#[multiversion(targets("x86_64+avx2"))]
fn luma_row(full: &[u8], into: &mut [u8]) {
    for (to, from) in into.iter_mut().zip(full) {
        *to = video_luma(*from);
    }
}

/// One row at half the width of the luma from two rows that have one value for each `across` pixels.
#[multiversion(targets("x86_64+avx2"))]
fn chroma_row(upper: &[u8], lower: &[u8], across: usize, into: &mut [u8]) {
    let mean = |a: &u8, b: &u8| ((u16::from(*a) + u16::from(*b) + 1) >> 1) as u8;
    match across {
        1 => {
            let (upper_pairs, upper_last) = upper.as_chunks::<2>();
            let (lower_pairs, _) = lower.as_chunks::<2>();
            let odd = into.len() > upper_pairs.len();
            for ((to, a), b) in into.iter_mut().zip(upper_pairs).zip(lower_pairs) {
                let (a, b) = (u16::from_le_bytes(*a), u16::from_le_bytes(*b));
                *to = video_chroma((((a & 0xff) + (a >> 8) + (b & 0xff) + (b >> 8) + 2) >> 2) as u8);
            }
            if let (true, Some(to), [a], Some(b)) = (odd, into.last_mut(), upper_last, lower.last()) {
                *to = video_chroma(mean(a, b));
            }
        }
        2 => {
            for ((to, a), b) in into.iter_mut().zip(upper).zip(lower) {
                *to = video_chroma(mean(a, b));
            }
        }
        _ => {
            for (x, to) in into.iter_mut().enumerate() {
                let x = x * 2 / across;
                *to = video_chroma(mean(&upper[x], &lower[x]));
            }
        }
    }
}
