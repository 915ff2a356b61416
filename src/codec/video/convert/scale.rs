//! Scaling of planar pictures: halving by the mean of four, else by area where a direction shrinks and bilinear where
//! it grows. Weights are worked out once per pair of sizes.

use super::super::{
    picture::{Canvas, Picture, rows},
    sys::widest,
};
use crate::media::Size;

/// Scales pictures of one size into the middle of pictures of another.
pub struct Scaler {
    source: Size,
    shown: Size,
    /// Where the picture lies in the target, in luma pixels; all even.
    inner: Rect,
    target: Size,
    /// For luma and for chroma; none where both directions are exactly halved.
    filters: Option<[Filter; 2]>,
    /// A row of the picture after the vertical pass.
    row: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Rect {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

struct Filter {
    columns: Taps,
    rows: Taps,
}

impl Scaler {
    /// For pictures of `source` that are to be seen in the shape of `shown`.
    pub fn new(source: Size, shown: Size, target: Size) -> Self {
        let inner = fit(shown, target);
        let halved = (inner.width * 2, inner.height * 2) == (source.width as usize, source.height as usize);
        let filters = (!halved).then(|| {
            let [(width, height), (chroma_width, chroma_height), _] = Picture::plane_sizes(source);
            let filter = |from: (usize, usize), to: (usize, usize)| Filter {
                columns: Taps::new(from.0, to.0),
                rows: Taps::new(from.1, to.1),
            };
            [
                filter((width, height), (inner.width, inner.height)),
                filter((chroma_width, chroma_height), (inner.width / 2, inner.height / 2)),
            ]
        });
        Self { source, shown, inner, target, filters, row: Vec::new() }
    }

    /// Whether it was made for such pictures.
    pub fn takes(&self, source: Size, shown: Size) -> bool {
        (self.source, self.shown) == (source, shown)
    }

    /// `picture` has the size, and all rows, that the scaler was made for, and `into` the target's.
    pub fn scale(&mut self, picture: &Picture<'_>, into: &mut Canvas) {
        let sizes = Picture::plane_sizes(picture.size).into_iter().zip(Picture::plane_sizes(self.target));
        for (i, ((source_size, (stride, _)), plane)) in sizes.zip(&mut into.planes).enumerate() {
            let shrink = if i == 0 { 1 } else { 2 };
            let Rect { x, y, width, height } = self.inner;
            let (x, y, width, height) = (x / shrink, y / shrink, width / shrink, height / shrink);
            let source = Source { bytes: picture.planes[i], stride: picture.strides[i], size: source_size };
            let targets = plane.chunks_exact_mut(stride).skip(y).take(height).map(|row| &mut row[x..x + width]);
            match &self.filters {
                None => source.halve(targets),
                Some(filters) => source.filter(&filters[i.min(1)], &mut self.row, targets),
            }
        }
    }
}

/// The greatest rectangle of the source's shape in the middle of the target; all of it where only rounding differs.
fn fit(source: Size, target: Size) -> Rect {
    let (source_width, source_height) = (u64::from(source.width), u64::from(source.height));
    let (width, height) = (u64::from(target.width), u64::from(target.height));
    // The nearest even number to a*b/c.
    let even = |a: u64, b: u64, c: u64| (a * b + c) / (2 * c) * 2;
    let fitted_width = even(height, source_width, source_height).clamp(2, width.max(2));
    let fitted_height = even(width, source_height, source_width).clamp(2, height.max(2));
    let (inner_width, inner_height) = if width * source_height > height * source_width {
        (if width - fitted_width <= 2 { width } else { fitted_width }, height)
    } else {
        (width, if height - fitted_height <= 2 { height } else { fitted_height })
    };
    Rect {
        x: ((width - inner_width) / 4 * 2) as usize,
        y: ((height - inner_height) / 4 * 2) as usize,
        width: inner_width as usize,
        height: inner_height as usize,
    }
}

struct Source<'a> {
    bytes: &'a [u8],
    stride: usize,
    size: (usize, usize),
}

impl<'a> Source<'a> {
    fn row(&self, y: usize) -> &'a [u8] {
        &self.bytes[y * self.stride..][..self.size.0]
    }

    fn halve<'t>(&self, targets: impl Iterator<Item = &'t mut [u8]>) {
        let mut source = rows(self.bytes, self.stride, self.size.0, self.size.1);
        for target in targets {
            let Some(upper) = source.next() else { return };
            widest(halve, (upper, source.next().unwrap_or(upper), target));
        }
    }

    /// First over the rows, where neighbouring pixels share their weights, then along the row.
    fn filter<'t>(&self, filter: &Filter, row: &mut Vec<u8>, targets: impl Iterator<Item = &'t mut [u8]>) {
        // Behind the row's end the last taps may read, with weight 0.
        row.clear();
        row.resize(self.size.0 + 2 * filter.columns.pairs.len(), 0);
        for (y, target) in targets.enumerate() {
            widest(blend_rows, (self, &filter.rows, y, &mut row[..self.size.0]));
            widest(blend_pixels, (row, &filter.columns, target));
        }
    }
}

#[inline(always)]
fn halve((upper, lower, target): (&[u8], &[u8], &mut [u8])) {
    for ((pixel, a), b) in target.iter_mut().zip(upper.as_chunks().0).zip(lower.as_chunks().0) {
        let (a, b) = (u16::from_le_bytes(*a), u16::from_le_bytes(*b));
        *pixel = (((a & 0xff) + (a >> 8) + (b & 0xff) + (b >> 8) + 2) >> 2) as u8;
    }
}

/// Pixels whose sums are worked out at a time: few enough to stay in registers.
const BLOCK: usize = 64;

/// Row `y` of the scaled picture, as wide as the source.
#[inline(always)]
fn blend_rows((source, taps, y, target): (&Source<'_>, &Taps, usize, &mut [u8])) {
    for (block, target) in target.chunks_mut(BLOCK).enumerate() {
        let mut sums = [HALF; BLOCK];
        for (pair, [a, b]) in taps.pairs.iter().enumerate() {
            let row = |n: usize| &source.row(n.min(source.size.1 - 1))[block * BLOCK..][..target.len()];
            let first = taps.first[y] as usize + 2 * pair;
            for ((sum, upper), lower) in sums.iter_mut().zip(row(first)).zip(row(first + 1)) {
                *sum += u16::from(*upper) * a[y] + u16::from(*lower) * b[y];
            }
        }
        finish(&sums, target);
    }
}

/// A row as wide as the target. Where a pixel's taps lie follows no pattern that vectorises, so they are fetched first,
/// two at a time, and weighed then.
#[inline(always)]
fn blend_pixels((row, taps, target): (&[u8], &Taps, &mut [u8])) {
    for (block, target) in target.chunks_mut(BLOCK).enumerate() {
        let span = block * BLOCK..block * BLOCK + target.len();
        let (mut sums, mut fetched) = ([HALF; BLOCK], [0; BLOCK]);
        for (pair, [a, b]) in taps.pairs.iter().enumerate() {
            let row = &row[2 * pair..];
            for (two, first) in fetched.iter_mut().zip(&taps.first[span.clone()]) {
                let first = *first as usize;
                *two = u16::from_le_bytes([row[first], row[first + 1]]);
            }
            let weights = a[span.clone()].iter().zip(&b[span.clone()]);
            for ((sum, two), (a, b)) in sums.iter_mut().zip(&fetched).zip(weights) {
                *sum += (two & 0xff) * a + (two >> 8) * b;
            }
        }
        finish(&sums, target);
    }
}

#[inline(always)]
fn finish(sums: &[u16; BLOCK], target: &mut [u8]) {
    for (pixel, sum) in target.iter_mut().zip(sums) {
        *pixel = (sum >> ONE.ilog2()) as u8;
    }
}

/// What the weights of one pixel add up to. So its sum fits into 16 bits: 255 * 128 and a half for rounding.
const ONE: u64 = 128;
const HALF: u16 = ONE as u16 / 2;

/// Which pixels make up each pixel of a scaled row or column, and how much each counts.
struct Taps {
    first: Vec<u32>,
    /// The weights of the first and second tap of each pixel, then those of the third and fourth, and so on.
    pairs: Vec<[Vec<u16>; 2]>,
}

impl Taps {
    fn new(from: usize, to: usize) -> Self {
        let pixels: Vec<(usize, Vec<u16>)> =
            (0..to).map(|i| if to < from { area(i, from, to) } else { bilinear(i, from, to) }).collect();
        let longest = pixels.iter().map(|(_, weights)| weights.len()).max().unwrap_or(0);
        let tap = |n: usize| pixels.iter().map(|(_, weights)| weights.get(n).copied().unwrap_or(0)).collect();
        Self {
            first: pixels.iter().map(|(first, _)| *first as u32).collect(),
            pairs: (0..longest.div_ceil(2)).map(|pair| [tap(2 * pair), tap(2 * pair + 1)]).collect(),
        }
    }
}

/// Pixel `i` of `to` covers `from / to` pixels; each counts by how much of it is covered.
fn area(i: usize, from: usize, to: usize) -> (usize, Vec<u16>) {
    // In units of 1/to pixels of the source.
    let (start, end) = (i * from, (i + 1) * from);
    let first = start / to;
    // Rounding the running sum, not each weight, keeps the total exact.
    let share = |position: usize| ((position - start) as u64 * ONE + from as u64 / 2) / from as u64;
    let weights =
        (first..end.div_ceil(to)).map(|pixel| (share(end.min((pixel + 1) * to)) - share(start.max(pixel * to))) as u16);
    (first, weights.collect())
}

/// The two neighbours of the point where the middle of pixel `i` comes to lie.
fn bilinear(i: usize, from: usize, to: usize) -> (usize, Vec<u16>) {
    // In units of 1/(2*to) pixels of the source.
    let position = ((2 * i + 1) * from).saturating_sub(to);
    let first = (position / (2 * to)).min(from - 1);
    let second = (((position - first * 2 * to) as u64 * ONE + to as u64) / (2 * to as u64)).min(ONE) as u16;
    if first + 1 < from { (first, vec![ONE as u16 - second, second]) } else { (first, vec![ONE as u16]) }
}
