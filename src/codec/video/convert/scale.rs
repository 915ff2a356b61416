//! Scaling of planar pictures: halving by the mean of four, else by area where a direction shrinks and bilinear where
//! it grows. Weights are worked out once per pair of sizes.

use super::super::picture::{Canvas, Picture, rows};
use crate::media::Size;

/// Scales pictures of one size into the middle of pictures of another.
pub struct Scaler {
    source: Size,
    /// Where the picture lies in the target, in luma pixels; all even.
    inner: Rect,
    target: Size,
    /// For luma and for chroma; none where both directions are exactly halved.
    filters: Option<[Filter; 2]>,
    /// A row of the picture after the vertical pass.
    row: Vec<i16>,
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
    pub fn new(source: Size, target: Size) -> Self {
        let inner = fit(source, target);
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
        Self { source, inner, target, filters, row: Vec::new() }
    }

    /// The size of the pictures it takes.
    pub fn source(&self) -> Size {
        self.source
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
            let lower = source.next().unwrap_or(upper);
            for ((pixel, a), b) in target.iter_mut().zip(upper.as_chunks().0).zip(lower.as_chunks().0) {
                let (a, b) = (u16::from_le_bytes(*a), u16::from_le_bytes(*b));
                *pixel = (((a & 0xff) + (a >> 8) + (b & 0xff) + (b >> 8) + 2) >> 2) as u8;
            }
        }
    }

    /// First over the rows, where neighbouring pixels share their weights and so make one vector, then along the row.
    fn filter<'t>(&self, filter: &Filter, row: &mut Vec<i16>, targets: impl Iterator<Item = &'t mut [u8]>) {
        // Behind the row's end the last taps may read, with weight 0.
        row.clear();
        row.resize(self.size.0 + filter.columns.length, 0);
        for (y, target) in targets.enumerate() {
            let (first, weights) = filter.rows.of(y);
            let sums = &mut row[..self.size.0];
            for (i, weight) in weights.iter().enumerate() {
                if i == 0 {
                    set_weighted(sums, self.row(first), *weight);
                } else if *weight != 0 {
                    add_weighted(sums, self.row(first + i), *weight);
                }
            }
            match filter.columns.length {
                2 => filter_row::<2>(&filter.columns, row, target),
                4 => filter_row::<4>(&filter.columns, row, target),
                8 => filter_row::<8>(&filter.columns, row, target),
                _ => {
                    for (x, pixel) in target.iter_mut().enumerate() {
                        let (first, weights) = filter.columns.of(x);
                        *pixel = weighted(&row[first..first + weights.len()], weights);
                    }
                }
            }
        }
    }
}

fn set_weighted(sums: &mut [i16], row: &[u8], weight: i16) {
    for (sum, pixel) in sums.iter_mut().zip(row) {
        *sum = i16::from(*pixel) * weight;
    }
}

fn add_weighted(sums: &mut [i16], row: &[u8], weight: i16) {
    for (sum, pixel) in sums.iter_mut().zip(row) {
        *sum += i16::from(*pixel) * weight;
    }
}

/// As the loop that it replaces, for a number of taps that the compiler knows.
fn filter_row<const N: usize>(taps: &Taps, row: &[i16], target: &mut [u8]) {
    for ((pixel, first), weights) in target.iter_mut().zip(&taps.first).zip(taps.weights.as_chunks::<N>().0) {
        let Some(pixels) = row.get(*first..).and_then(|row| row.first_chunk::<N>()) else { return };
        *pixel = weighted(pixels, weights);
    }
}

#[inline(always)]
fn weighted(pixels: &[i16], weights: &[i16]) -> u8 {
    // Signed, because that is the multiply-and-add that processors have.
    let sum: i32 = pixels.iter().zip(weights).map(|(pixel, weight)| i32::from(*pixel) * i32::from(*weight)).sum();
    // Both passes weigh with a sum of ONE.
    ((sum + (1 << 13)) >> 14) as u8
}

/// What the weights of one pixel add up to. So the vertical pass fits into 15 bits: 255 * 128.
const ONE: u64 = 128;

/// Which pixels make up each pixel of a scaled row or column, and how much each counts.
struct Taps {
    first: Vec<usize>,
    /// `length` for each pixel.
    weights: Vec<i16>,
    length: usize,
}

impl Taps {
    fn new(from: usize, to: usize) -> Self {
        let pixels: Vec<(usize, Vec<i16>)> =
            (0..to).map(|i| if to < from { area(i, from, to) } else { bilinear(i, from, to) }).collect();
        let longest = pixels.iter().map(|(_, weights)| weights.len()).max().unwrap_or(0);
        let length = if longest <= 8 { longest.next_power_of_two().max(2) } else { longest };
        let mut taps = Self { first: Vec::with_capacity(to), weights: Vec::with_capacity(to * length), length };
        for (first, mut weights) in pixels {
            weights.resize(length, 0);
            taps.first.push(first);
            taps.weights.extend(weights);
        }
        taps
    }

    fn of(&self, i: usize) -> (usize, &[i16]) {
        (self.first[i], &self.weights[i * self.length..][..self.length])
    }
}

/// Pixel `i` of `to` covers `from / to` pixels; each counts by how much of it is covered.
fn area(i: usize, from: usize, to: usize) -> (usize, Vec<i16>) {
    // In units of 1/to pixels of the source.
    let (start, end) = (i * from, (i + 1) * from);
    let first = start / to;
    // Rounding the running sum, not each weight, keeps the total exact.
    let share = |position: usize| ((position - start) as u64 * ONE + from as u64 / 2) / from as u64;
    let weights =
        (first..end.div_ceil(to)).map(|pixel| (share(end.min((pixel + 1) * to)) - share(start.max(pixel * to))) as i16);
    (first, weights.collect())
}

/// The two neighbours of the point where the middle of pixel `i` comes to lie.
fn bilinear(i: usize, from: usize, to: usize) -> (usize, Vec<i16>) {
    // In units of 1/(2*to) pixels of the source.
    let position = ((2 * i + 1) * from).saturating_sub(to);
    let first = (position / (2 * to)).min(from - 1);
    let second = (((position - first * 2 * to) as u64 * ONE + to as u64) / (2 * to as u64)).min(ONE) as i16;
    if first + 1 < from { (first, vec![ONE as i16 - second, second]) } else { (first, vec![ONE as i16]) }
}
