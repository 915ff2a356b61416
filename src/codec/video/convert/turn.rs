//! Turning and mirroring of planar pictures.

use super::super::{
    picture::{Canvas, Picture},
    sys::widest,
};
use crate::media::{Flip, Orientation, Rotation, Size};

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
            if self.transposed { widest(transpose, (self, plane)) } else { widest(reverse, (self, plane)) }
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

/// Pixels in a square that is turned at once, and rows of the target that stay in the cache meanwhile.
const SQUARE: usize = 8;
const BAND: usize = 64;

/// A row of the source becomes a column of the target.
#[inline(always)]
fn transpose((turn, plane): (Turn, Plane<'_>)) {
    let Plane { bytes, stride, target, width, height } = plane;
    // Where the source's row or column comes to lie.
    let column = |row: usize| if turn.mirrored { width - 1 - row } else { row };
    let row = |column: usize| if turn.upended { height - 1 - column } else { column };
    let (rows, columns) = (width - width % SQUARE, height - height % SQUARE);
    for band in (0..columns).step_by(BAND) {
        for y in (0..rows).step_by(SQUARE) {
            let left = column(y).min(column(y + SQUARE - 1));
            for x in (band..columns.min(band + BAND)).step_by(SQUARE) {
                let square = std::array::from_fn(|i| {
                    let y = if turn.mirrored { y + SQUARE - 1 - i } else { y + i };
                    let eight = bytes[y * stride + x..].first_chunk().copied();
                    u64::from_le_bytes(eight.unwrap_or_default())
                });
                for (i, eight) in transpose_square(square).into_iter().enumerate() {
                    target[row(x + i) * width + left..][..SQUARE].copy_from_slice(&eight.to_le_bytes());
                }
            }
        }
    }
    // What is left at two edges.
    for y in 0..width {
        for x in if y < rows { columns } else { 0 }..height {
            target[row(x) * width + column(y)] = bytes[y * stride + x];
        }
    }
}

/// Byte `k` of word `i` becomes byte `i` of word `k`: squares of four, then of two, then single bytes change places.
#[inline(always)]
fn transpose_square(mut words: [u64; SQUARE]) -> [u64; SQUARE] {
    for (distance, mask) in [(4, 0x0000_0000_ffff_ffff), (2, 0x0000_ffff_0000_ffff), (1, 0x00ff_00ff_00ff_00ff_u64)] {
        for i in (0..SQUARE).filter(|i| i & distance == 0) {
            let (a, b, shift) = (words[i], words[i + distance], 8 * distance);
            words[i] = (a & mask) | ((b & mask) << shift);
            words[i + distance] = ((a >> shift) & mask) | (b & !mask);
        }
    }
    words
}
