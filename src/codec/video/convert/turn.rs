//! Turning and mirroring of planar pictures.

use super::super::picture::{Canvas, Picture};
use crate::media::{Flip, Orientation, Rotation, Size};
use multiversion::multiversion;
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
                (false, _) => self.reverse(plane),
                (true, false) => transpose::<false>(self.mirrored, plane),
                (true, true) => transpose::<true>(self.mirrored, plane),
            }
        }
    }

    fn reverse(self, plane: Plane<'_>) {
        for (y, target) in plane.target.chunks_exact_mut(plane.width).enumerate() {
            let y = if self.upended { plane.height - 1 - y } else { y };
            let source = &plane.bytes[y * plane.stride..][..plane.width];
            if self.mirrored {
                mirror(source, target);
            } else {
                target.copy_from_slice(source);
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

#[multiversion(targets("x86_64+avx2"))]
fn mirror(source: &[u8], target: &mut [u8]) {
    target.iter_mut().zip(source.iter().rev()).for_each(|(to, from)| *to = *from);
}

/// Pixels along a square that is turned at once: what fits into a vector.
const SQUARE: usize = 16;

/// A row of the source becomes a column of the target. `UPENDED` as in the turn.
#[multiversion(targets("x86_64+avx2"))]
fn transpose<const UPENDED: bool>(mirrored: bool, plane: Plane<'_>) {
    let Plane { bytes, stride, target, width, height } = plane;
    let column = |x: usize| if mirrored { width - 1 - x } else { x } * stride;
    if width < SQUARE || height < SQUARE {
        for (y, target) in target.chunks_exact_mut(width).enumerate() {
            let y = if UPENDED { height - 1 - y } else { y };
            target.iter_mut().enumerate().for_each(|(x, to)| *to = bytes[column(x) + y]);
        }
        return;
    }
    // The last squares overlap those before.
    for top in (0..height).step_by(SQUARE).map(|top| top.min(height - SQUARE)) {
        let from = if UPENDED { height - SQUARE - top } else { top };
        for left in (0..width).step_by(SQUARE).map(|left| left.min(width - SQUARE)) {
            let mut square = from_fn(|i| bytes[column(left + i) + from..][..SQUARE].as_chunks().0[0]);
            // Bit by bit, the number of a column and that of a byte in it change places.
            for _ in 0..SQUARE.ilog2() {
                square = shuffle(&square);
            }
            for (y, row) in target[top * width..][..SQUARE * width].chunks_exact_mut(width).enumerate() {
                row[left..left + SQUARE].copy_from_slice(&square[if UPENDED { SQUARE - 1 - y } else { y }]);
            }
        }
    }
}

/// Interleaves each line of the upper half with its fellow of the lower half.
#[inline(always)]
fn shuffle(square: &[[u8; SQUARE]; SQUARE]) -> [[u8; SQUARE]; SQUARE] {
    let (mut shuffled, (upper, lower)) = ([[0; SQUARE]; SQUARE], square.split_at(SQUARE / 2));
    for ((two, a), b) in shuffled.as_chunks_mut().0.iter_mut().zip(upper).zip(lower) {
        *two = [interleave::<0>(a, b), interleave::<{ SQUARE / 2 }>(a, b)];
    }
    shuffled
}

/// Halves of two lines byte by byte, from the byte `FIRST` on.
#[inline(always)]
fn interleave<const FIRST: usize>(a: &[u8; SQUARE], b: &[u8; SQUARE]) -> [u8; SQUARE] {
    from_fn(|i| if i % 2 == 0 { a[FIRST + i / 2] } else { b[FIRST + i / 2] })
}
