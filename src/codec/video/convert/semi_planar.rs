//! NV12: the luma is planar already, U and V stand side by side.

use super::super::picture::{Canvas, Picture, rows};
use crate::media::Size;

/// Parts U and V. `interleaved` holds all rows.
pub fn split(interleaved: &[u8], stride: usize, into: &mut Canvas, size: Size) {
    let [_, (width, height), _] = Picture::plane_sizes(size);
    let [_, u, v] = &mut into.planes;
    let targets = u.chunks_exact_mut(width).zip(v.chunks_exact_mut(width));
    for (row, (u, v)) in rows(interleaved, stride, width * 2, height).zip(targets) {
        // One plane at a time and in words: so it vectorises.
        for (u, pair) in u.iter_mut().zip(row.as_chunks().0) {
            *u = u16::from_le_bytes(*pair) as u8;
        }
        for (v, pair) in v.iter_mut().zip(row.as_chunks().0) {
            *v = (u16::from_le_bytes(*pair) >> 8) as u8;
        }
    }
}
