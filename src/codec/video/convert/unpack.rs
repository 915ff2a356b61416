//! Luma and chroma taken apart, to planes of 4:2:0. Rows of 4:2:2 share their chroma in pairs: its mean. The loops read
//! whole words, which is what makes them vectorise.

use super::super::picture::{Canvas, Picture, rows, video_luma};
use crate::media::Size;
use multiversion::multiversion;

/// Packed 4:2:2, two pixels in four bytes. `LUMA` is where luma lies in a pixel's 16 bits, from the least: 0 or 8. In
/// `swapped` ones V comes before U. `packed` holds all rows.
pub fn packed<const LUMA: u32>(packed: &[u8], stride: usize, swapped: bool, into: &mut Canvas, size: Size) {
    let [(width, height), (chroma_width, _), _] = Picture::plane_sizes(size);
    let (luma, first, second, spare) = into.parts(swapped);
    // Its chroma row and a half pixel more where the width is odd.
    spare.resize(chroma_width * 2, 0);
    let mut source = rows(packed, stride, chroma_width * 4, height);
    let chroma = first.chunks_exact_mut(chroma_width).zip(second.chunks_exact_mut(chroma_width));
    // An odd last row has none to share with.
    for (pair, (first, second)) in luma.chunks_mut(width * 2).zip(chroma) {
        let Some(upper) = source.next() else { return };
        let (y0, y1) = pair.split_at_mut(width);
        let lower = if y1.is_empty() { upper } else { source.next().unwrap_or(upper) };
        packed_rows::<LUMA>(upper, lower, y0, y1, spare);
        split(spare, first, second);
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn packed_rows<const LUMA: u32>(upper: &[u8], lower: &[u8], y0: &mut [u8], y1: &mut [u8], spare: &mut [u8]) {
    for (row, y) in [(upper, y0), (lower, y1)] {
        for (y, pixel) in y.iter_mut().zip(row.as_chunks().0) {
            *y = (u16::from_le_bytes(*pixel) >> LUMA) as u8;
        }
    }
    let chroma = |pixel: &[u8; 2]| (u16::from_le_bytes(*pixel) >> (8 - LUMA)) & 0xff;
    for ((c, a), b) in spare.iter_mut().zip(upper.as_chunks().0).zip(lower.as_chunks().0) {
        *c = ((chroma(a) + chroma(b) + 1) >> 1) as u8;
    }
}

/// Semi-planar chroma of half the luma's rows. `interleaved` holds all of them.
pub fn semi_planar(interleaved: &[u8], stride: usize, swapped: bool, into: &mut Canvas, size: Size) {
    let [_, (width, height), _] = Picture::plane_sizes(size);
    let (_, first, second, _) = into.parts(swapped);
    let targets = first.chunks_exact_mut(width).zip(second.chunks_exact_mut(width));
    for (row, (first, second)) in rows(interleaved, stride, width * 2, height).zip(targets) {
        split(row, first, second);
    }
}

/// Semi-planar chroma of as many rows as the luma.
pub fn semi_planar_422(interleaved: &[u8], stride: usize, into: &mut Canvas, size: Size) {
    let [(_, height), (width, _), _] = Picture::plane_sizes(size);
    let (_, first, second, spare) = into.parts(false);
    spare.resize(width * 2, 0);
    let targets = first.chunks_exact_mut(width).zip(second.chunks_exact_mut(width));
    for ((upper, lower), (first, second)) in row_pairs(interleaved, stride, width * 2, height).zip(targets) {
        mean(upper, lower, spare);
        split(spare, first, second);
    }
}

/// A plane of chroma of as many rows as the luma, to one of half of them.
pub fn planar_422(plane: &[u8], stride: usize, into: &mut [u8], size: Size) {
    let [(_, height), (width, _), _] = Picture::plane_sizes(size);
    for ((upper, lower), target) in row_pairs(plane, stride, width, height).zip(into.chunks_exact_mut(width)) {
        mean(upper, lower, target);
    }
}

/// Luma of the full range alone, to that of video and grey.
pub fn grey(plane: &[u8], stride: usize, into: &mut Canvas, size: Size) {
    let [(width, height), ..] = Picture::plane_sizes(size);
    let [luma, u, v] = &mut into.planes;
    for (row, target) in rows(plane, stride, width, height).zip(luma.chunks_exact_mut(width)) {
        to_video_luma(row, target);
    }
    u.fill(128);
    v.fill(128);
}

/// 0..255 to 16..235 for as many as there are of both.
#[multiversion(targets("x86_64+avx2"))]
fn to_video_luma(full: &[u8], into: &mut [u8]) {
    for (to, from) in into.iter_mut().zip(full) {
        *to = video_luma(*from);
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn mean(a: &[u8], b: &[u8], into: &mut [u8]) {
    for ((to, a), b) in into.iter_mut().zip(a).zip(b) {
        *to = ((u16::from(*a) + u16::from(*b) + 1) >> 1) as u8;
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn split(pairs: &[u8], first: &mut [u8], second: &mut [u8]) {
    for ((first, second), pair) in first.iter_mut().zip(second).zip(pairs.as_chunks().0) {
        let pair = u16::from_le_bytes(*pair);
        (*first, *second) = (pair as u8, (pair >> 8) as u8);
    }
}

/// Rows in pairs; an odd last one with itself.
fn row_pairs(bytes: &[u8], stride: usize, width: usize, height: usize) -> impl Iterator<Item = (&[u8], &[u8])> {
    let row = move |y: usize| &bytes[y * stride..][..width];
    (0..height).step_by(2).map(move |y| (row(y), row((y + 1).min(height - 1))))
}
