//! Turning and mirroring of planar pictures.

use super::super::{
    picture::{Canvas, Picture},
    sys::widest,
};
use crate::media::{Flip, Orientation, Rotation, Size};
use std::array::from_fn;

/// How a picture comes to lie: first rows and columns change places, then the order of either is reversed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    transposed: bool,
    /// Left and right change places.
    mirrored: bool,
    /// Top and bottom change places.
    upended: bool,
}

impl Turn {
    pub fn new(orientation: Orientation) -> Self {
        let (across, down) = (orientation.flip == Flip::Horizontal, orientation.flip == Flip::Vertical);
        let (transposed, mirrored, upended) = match orientation.rotation {
            Rotation::None => (false, across, down),
            Rotation::Half => (false, !across, !down),
            // To transpose makes left and right of top and bottom.
            Rotation::Quarter => (true, !down, across),
            Rotation::ThreeQuarters => (true, down, !across),
        };
        Self { transposed, mirrored, upended }
    }

    /// Nothing is to be done.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// Writes the turned picture, which has the size `target`, as `into` has.
    pub fn turn(self, picture: &Picture<'_>, target: Size, into: &mut Canvas) {
        let targets = Picture::plane_sizes(target);
        for (i, ((width, height), target)) in targets.into_iter().zip(&mut into.planes).enumerate() {
            let plane = Plane { bytes: picture.planes[i], stride: picture.strides[i], target, width, height };
            match (self.transposed, self.upended) {
                (false, _) => widest(reverse, (self, plane)),
                (true, false) => widest(transpose::<false>, (self, plane)),
                (true, true) => widest(transpose::<true>, (self, plane)),
            }
        }
    }
}

struct Plane<'a> {
    bytes: &'a [u8],
    stride: usize,
    target: &'a mut [u8],
    /// Of the target.
    width: usize,
    height: usize,
}

#[inline(always)]
fn reverse((turn, plane): (Turn, Plane<'_>)) {
    for (y, target) in plane.target.chunks_exact_mut(plane.width).enumerate() {
        let y = if turn.upended { plane.height - 1 - y } else { y };
        let source = &plane.bytes[y * plane.stride..][..plane.width];
        if turn.mirrored {
            target.iter_mut().zip(source.iter().rev()).for_each(|(to, from)| *to = *from);
        } else {
            target.copy_from_slice(source);
        }
    }
}

/// Pixels along a square that is turned at once: what fits into a word.
const SQUARE: usize = 8;
/// Squares side by side in the source, which vectorises.
const ABREAST: usize = 4;
const BAND: usize = SQUARE * ABREAST;

/// A row of the source becomes a column of the target. `UPENDED` as in the turn.
#[inline(always)]
fn transpose<const UPENDED: bool>((turn, plane): (Turn, Plane<'_>)) {
    let Plane { bytes, stride, target, width, height } = plane;
    if width < SQUARE || height < BAND {
        for (y, target) in target.chunks_exact_mut(width).enumerate() {
            let x = if UPENDED { height - 1 - y } else { y };
            for (to, from) in target.iter_mut().enumerate() {
                let y = if turn.mirrored { width - 1 - to } else { to };
                *from = bytes[y * stride + x];
            }
        }
        return;
    }
    let mut squares = [[0; ABREAST]; SQUARE];
    // The last ones overlap those before.
    for left in (0..width).step_by(SQUARE).map(|left| left.min(width - SQUARE)) {
        for top in (0..height).step_by(BAND).map(|top| top.min(height - BAND)) {
            let x = if UPENDED { height - BAND - top } else { top };
            for (i, squares) in squares.iter_mut().enumerate() {
                let y = if turn.mirrored { width - 1 - left - i } else { left + i };
                let row = bytes[y * stride + x..][..BAND].as_chunks().0;
                *squares = from_fn(|square| u64::from_le_bytes(row[square]));
            }
            transpose_squares(&mut squares);
            for (square, rows) in target[top * width..][..BAND * width].chunks_exact_mut(SQUARE * width).enumerate() {
                let square = if UPENDED { ABREAST - 1 - square } else { square };
                for (i, row) in rows.chunks_exact_mut(width).enumerate() {
                    let word = squares[if UPENDED { SQUARE - 1 - i } else { i } % SQUARE][square % ABREAST];
                    row[left..left + SQUARE].copy_from_slice(&word.to_le_bytes());
                }
            }
        }
    }
}

/// Byte `k` of word `i` of each square becomes byte `i` of word `k`: squares of four, then of two, then single bytes
/// change places.
#[inline(always)]
fn transpose_squares(words: &mut [[u64; ABREAST]; SQUARE]) {
    exchange::<4>(words, 0x0000_0000_ffff_ffff);
    exchange::<2>(words, 0x0000_ffff_0000_ffff);
    exchange::<1>(words, 0x00ff_00ff_00ff_00ff);
}

#[inline(always)]
fn exchange<const DISTANCE: usize>(words: &mut [[u64; ABREAST]; SQUARE], mask: u64) {
    for pair in 0..SQUARE / 2 {
        let i = pair % DISTANCE + pair / DISTANCE * 2 * DISTANCE;
        let (upper, lower) = words.split_at_mut(i + DISTANCE);
        for (a, b) in upper[i].iter_mut().zip(&mut lower[0]) {
            let changed = ((*a >> (8 * DISTANCE)) ^ *b) & mask;
            *a ^= changed << (8 * DISTANCE);
            *b ^= changed;
        }
    }
}
