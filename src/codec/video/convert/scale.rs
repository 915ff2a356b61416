//! Scaling of planar pictures: by area where a direction shrinks and bilinear where it grows, with weights that are worked
//! out once per pair of sizes. Halving and doubling in both directions need none.

use super::super::picture::{Canvas, Picture, rows};
use crate::media::Size;
use multiversion::multiversion;

/// Scales pictures of one size into the middle of pictures of another.
pub struct Scaler {
    source: Size,
    shown: Size,
    /// Where the picture lies in the target, in luma pixels; all even.
    inner: Rect,
    target: Size,
    way: Way,
}

enum Way {
    Halve,
    Double,
    /// For luma and for chroma.
    Filter(Box<[Filter; 2]>),
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
    /// Rows after the first of the two passes.
    between: [Vec<u8>; 2],
    scratch: Scratch,
}

/// Memory that is kept from one row to the next.
#[derive(Default)]
struct Scratch {
    sums: Vec<u16>,
    /// Each pixel of a row with its right neighbour above it.
    pairs: Vec<u16>,
    /// Of those the ones that make up the pixels of a scaled row.
    fetched: Vec<u16>,
}

impl Scaler {
    /// For pictures of `source` that are to be seen in the shape of `shown`.
    pub fn new(source: Size, shown: Size, target: Size) -> Self {
        let inner = fit(shown, target);
        let (width, height) = (source.width as usize, source.height as usize);
        let way = if (inner.width * 2, inner.height * 2) == (width, height) {
            Way::Halve
        } else if (inner.width, inner.height) == (width * 2, height * 2) && width % 2 + height % 2 == 0 {
            Way::Double
        } else {
            let [luma, chroma, _] = Picture::plane_sizes(source);
            Way::Filter(Box::new([
                Filter::new(luma, (inner.width, inner.height)),
                Filter::new(chroma, (inner.width / 2, inner.height / 2)),
            ]))
        };
        Self { source, shown, inner, target, way }
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
            match &mut self.way {
                Way::Halve => source.halve(targets),
                Way::Double => source.double(targets),
                Way::Filter(filters) => filters[i.min(1)].apply(&source, targets),
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
            halve(upper, source.next().unwrap_or(upper), target);
        }
    }

    fn double<'t>(&self, targets: impl Iterator<Item = &'t mut [u8]>) {
        for (y, target) in targets.enumerate() {
            let near = y / 2;
            let far = if y % 2 == 0 { near.saturating_sub(1) } else { (near + 1).min(self.size.1 - 1) };
            double(self.row(near), self.row(far), target);
        }
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn halve(upper: &[u8], lower: &[u8], target: &mut [u8]) {
    for ((pixel, a), b) in target.iter_mut().zip(upper.as_chunks().0).zip(lower.as_chunks().0) {
        let (a, b) = (u16::from_le_bytes(*a), u16::from_le_bytes(*b));
        *pixel = (((a & 0xff) + (a >> 8) + (b & 0xff) + (b >> 8) + 2) >> 2) as u8;
    }
}

/// Three parts of what is near and one of what is far, in both directions.
#[multiversion(targets("x86_64+avx2"))]
fn double(near: &[u8], far: &[u8], target: &mut [u8]) {
    let column = |(near, far): (&u8, &u8)| u16::from(*near) * 3 + u16::from(*far);
    let pixel = |near: u16, far: u16| (near * 3 + far + 8) >> 4;
    if let ([first, between @ .., last], Some(left), Some(right)) =
        (target, near.first().zip(far.first()), near.last().zip(far.last()))
    {
        (*first, *last) = (pixel(column(left), column(left)) as u8, pixel(column(right), column(right)) as u8);
        let neighbours = near.iter().zip(far).zip(near.iter().zip(far).skip(1));
        for (two, (left, right)) in between.as_chunks_mut().0.iter_mut().zip(neighbours) {
            let (left, right) = (column(left), column(right));
            *two = (pixel(left, right) | pixel(right, left) << 8).to_le_bytes();
        }
    }
}

impl Filter {
    fn new(from: (usize, usize), to: (usize, usize)) -> Self {
        let (columns, rows) = (Taps::new(from.0, to.0), Taps::new(from.1, to.1));
        Self { columns, rows, between: Default::default(), scratch: Scratch::default() }
    }

    /// The pass over the rows comes first where there are fewer of them after it, else the one along each row.
    fn apply<'t>(&mut self, source: &Source<'_>, targets: impl Iterator<Item = &'t mut [u8]>) {
        let Self { columns, rows, between, scratch } = self;
        let (width, height) = source.size;
        let last = height - 1;
        if rows.first.len() < height {
            let row = &mut between[0];
            row.resize(width, 0);
            for (y, target) in targets.enumerate() {
                blend_rows(|n: usize| source.row(n.min(last)), rows, y, &mut scratch.sums, row);
                blend_pixels(row, columns, scratch, target);
            }
            return;
        }
        // Two taps are all that a row has here, and the next row most often has the same.
        let mut held = [usize::MAX; 2];
        for (y, target) in targets.enumerate() {
            let first = rows.first[y] as usize;
            for n in [first, (first + 1).min(last)] {
                if std::mem::replace(&mut held[n % 2], n) != n {
                    let row = &mut between[n % 2];
                    row.resize(columns.first.len(), 0);
                    blend_pixels(source.row(n), columns, scratch, row);
                }
            }
            blend_rows(|n: usize| &*between[n.min(last) % 2], rows, y, &mut scratch.sums, target);
        }
    }
}

/// Row `y` of the scaled picture, of the rows that `row` gives.
#[multiversion(targets("x86_64+avx2"))]
fn blend_rows<'a, R: Fn(usize) -> &'a [u8]>(row: R, taps: &Taps, y: usize, sums: &mut Vec<u16>, target: &mut [u8]) {
    start(sums, target.len());
    for (pair, [a, b]) in taps.pairs.iter().enumerate() {
        let first = taps.first[y] as usize + 2 * pair;
        let (a, b) = (a[y], b[y]);
        let blended =
            row(first).iter().zip(row(first + 1)).map(|(upper, lower)| u16::from(*upper) * a + u16::from(*lower) * b);
        add(blended, sums, (pair + 1 == taps.pairs.len()).then_some(&mut *target));
    }
}

/// A row as wide as the target. Where a pixel's taps lie follows no pattern that vectorises, so they are fetched first,
/// two at a time, and weighed then.
#[multiversion(targets("x86_64+avx2"))]
fn blend_pixels(row: &[u8], taps: &Taps, scratch: &mut Scratch, target: &mut [u8]) {
    let Scratch { sums, pairs, fetched } = scratch;
    // Behind the row's end the last taps may read, with weight 0.
    pairs.resize(row.len() + 2 * taps.pairs.len(), 0);
    for ((pair, left), right) in pairs.iter_mut().zip(row).zip(&row[1..]) {
        *pair = u16::from(*left) | u16::from(*right) << 8;
    }
    pairs[row.len() - 1] = u16::from(row[row.len() - 1]);
    start(sums, target.len());
    fetched.resize(target.len(), 0);
    for (pair, [a, b]) in taps.pairs.iter().enumerate() {
        let pairs = &pairs[2 * pair..];
        for (two, first) in fetched.iter_mut().zip(&taps.first) {
            *two = pairs[*first as usize];
        }
        let weighed = fetched.iter().zip(a).zip(b).map(|((two, a), b)| (two & 0xff) * a + (two >> 8) * b);
        add(weighed, sums, (pair + 1 == taps.pairs.len()).then_some(&mut *target));
    }
}

#[inline(always)]
fn start(sums: &mut Vec<u16>, width: usize) {
    sums.clear();
    sums.resize(width, HALF);
}

/// Adds to the sums, or if they are whole then makes pixels of them.
#[inline(always)]
fn add(values: impl Iterator<Item = u16>, sums: &mut [u16], target: Option<&mut [u8]>) {
    match target {
        Some(target) => {
            target
                .iter_mut()
                .zip(sums)
                .zip(values)
                .for_each(|((pixel, sum), value)| *pixel = ((*sum + value) >> ONE.ilog2()) as u8);
        }
        None => sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value),
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
