//! Packed 4:2:2: two pixels in four bytes. The loops read whole words, which is what makes them vectorise.

use super::super::picture::{Canvas, Picture, rows};
use crate::media::Size;

/// Y U Y V. `packed` holds all rows.
pub fn yuyv(packed: &[u8], stride: usize, into: &mut Canvas, size: Size) {
    unpack::<0, 8, 24>(packed, stride, into, size);
}

/// U Y V Y. `packed` holds all rows.
pub fn uyvy(packed: &[u8], stride: usize, into: &mut Canvas, size: Size) {
    unpack::<8, 0, 16>(packed, stride, into, size);
}

/// `Y` is where luma lies in a pixel's 16 bits, `U` and `V` where chroma lies in the 32 bits of two, from the least.
fn unpack<const Y: u32, const U: u32, const V: u32>(packed: &[u8], stride: usize, into: &mut Canvas, size: Size) {
    let [(width, height), (chroma_width, _), _] = Picture::plane_sizes(size);
    let mut source = rows(packed, stride, chroma_width * 4, height);
    let [luma, u, v] = &mut into.planes;
    let chroma = u.chunks_exact_mut(chroma_width).zip(v.chunks_exact_mut(chroma_width));
    // Two rows of luma share one of chroma: their mean. An odd last row has none to share with.
    for (pair, (u, v)) in luma.chunks_mut(width * 2).zip(chroma) {
        let Some(upper) = source.next() else { return };
        let (y0, y1) = pair.split_at_mut(width);
        take_luma::<Y>(upper, y0);
        let lower = if y1.is_empty() { upper } else { source.next().unwrap_or(upper) };
        take_luma::<Y>(lower, y1);
        take_chroma::<U>(upper, lower, u);
        take_chroma::<V>(upper, lower, v);
    }
}

fn take_luma<const Y: u32>(row: &[u8], into: &mut [u8]) {
    for (y, pixel) in into.iter_mut().zip(row.as_chunks().0) {
        *y = (u16::from_le_bytes(*pixel) >> Y) as u8;
    }
}

fn take_chroma<const C: u32>(upper: &[u8], lower: &[u8], into: &mut [u8]) {
    for ((c, a), b) in into.iter_mut().zip(upper.as_chunks().0).zip(lower.as_chunks().0) {
        let (a, b) = (u32::from_le_bytes(*a) >> C & 0xff, u32::from_le_bytes(*b) >> C & 0xff);
        *c = ((a + b + 1) >> 1) as u8;
    }
}
