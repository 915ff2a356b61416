//! Drawing into I420 pictures: rectangles, tints, text. Shared by the test pattern, the "no signal" slate and what is
//! written over pictures.

mod clock;
mod sheet;
mod text;

pub use clock::ClockText;
pub use sheet::{Sheet, drawn};
pub use text::{Letters, printable};

use crate::media::{PixelFormat, Plane, RawFrame, Size};
use std::ops::Range;

/// Video levels of luma (ITU-R BT.601).
pub const BLACK: u8 = 16;
pub const WHITE: u8 = 235;
/// Chroma of everything grey.
pub const GREY: (u8, u8) = (128, 128);

/// A rectangle in luma pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    pub x: Range<usize>,
    pub y: Range<usize>,
}

impl Area {
    pub fn new(x: Range<usize>, y: Range<usize>) -> Self {
        Self { x, y }
    }
}

/// An I420 picture in the making; rows and planes follow each other without gaps.
#[derive(Clone)]
pub struct Canvas {
    size: Size,
    planes: [Plane; 3],
    bytes: Vec<u8>,
}

impl Canvas {
    /// A grey picture of that luma.
    pub fn new(size: Size, luma: u8) -> Self {
        let (width, height) = (size.width as usize, size.height as usize);
        let pixels = width * height;
        let mut bytes = vec![GREY.0; pixels + 2 * width.div_ceil(2) * height.div_ceil(2)];
        bytes[..pixels].fill(luma);
        let planes = RawFrame::layout(PixelFormat::I420, size, width, bytes.len()).expect("made to measure");
        Self { size, planes, bytes }
    }

    pub fn size(&self) -> Size {
        self.size
    }

    pub fn planes(&self) -> [Plane; 3] {
        self.planes
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn width(&self) -> usize {
        self.size.width as usize
    }

    pub fn height(&self) -> usize {
        self.size.height as usize
    }

    /// The luma of whole rows.
    pub fn rows(&mut self, rows: Range<usize>) -> &mut [u8] {
        let width = self.width();
        &mut self.bytes[rows.start * width..rows.end * width]
    }

    /// The luma of those rows as `other`, a canvas of the same size, has it.
    pub fn copy_rows(&mut self, other: &Canvas, rows: Range<usize>) {
        let span = rows.start * self.width()..rows.end * self.width();
        self.bytes[span.clone()].copy_from_slice(&other.bytes[span]);
    }

    /// Sets the luma of a rectangle; what lies outside the picture is left out.
    pub fn fill(&mut self, area: &Area, luma: u8) {
        let (width, height) = (self.width(), self.height());
        let (left, right) = (area.x.start.min(width), area.x.end.min(width));
        if left < right {
            for y in area.y.start..area.y.end.min(height) {
                self.bytes[y * width + left..y * width + right].fill(luma);
            }
        }
    }

    /// Sets the chroma of a rectangle, whose bounds should be even.
    pub fn tint(&mut self, area: &Area, (u, v): (u8, u8)) {
        let (width, height) = (self.width().div_ceil(2), self.height().div_ceil(2));
        let (left, right) = ((area.x.start / 2).min(width), (area.x.end / 2).min(width));
        for (plane, value) in [(self.planes[1], u), (self.planes[2], v)] {
            for y in area.y.start / 2..(area.y.end / 2).min(height) {
                let row = plane.offset + y * plane.stride;
                self.bytes[row + left..row + right.max(left)].fill(value);
            }
        }
    }

    /// Writes one line with its top left corner at (`x`, `y`); what lies outside the picture is left out.
    pub fn text(&mut self, x: usize, y: usize, letters: &mut Letters, luma: u8, line: &str) {
        let (width, height) = (self.width(), self.height());
        letters.draw(x, y, line, |x, y, coverage| {
            if x < width && y < height {
                let row = &mut self.bytes[y * width + x..(y + 1) * width];
                row.iter_mut().zip(coverage).for_each(|(pixel, much)| *pixel = mixed(*pixel, luma, *much));
            }
        });
    }

    /// Writes one line into the middle of the picture's width.
    pub fn centred(&mut self, y: usize, letters: &mut Letters, luma: u8, line: &str) {
        let x = self.width().saturating_sub(letters.width(line.chars().count())) / 2;
        self.text(x, y, letters, luma, line);
    }
}

/// `below`, of which `much` of 255 is covered by `above`.
fn mixed(below: u8, above: u8, much: u8) -> u8 {
    let (below, above, much) = (u16::from(below), u16::from(above), u16::from(much));
    ((below * (255 - much) + above * much + 127) / 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_any_script_and_place_is_clipped_and_harmless() {
        let mut canvas = Canvas::new(Size::new(161, 121), BLACK);
        let mut letters = Letters::fit(4, 161, 60);
        for text in ["Füße", "カメラ", "\u{0}\n\t\u{7f}", "👁 a very long line that leaves the picture on the right"]
        {
            canvas.text(100, 100, &mut letters, WHITE, text);
            canvas.centred(50, &mut letters, WHITE, &printable(text, 4));
        }
        canvas.text(usize::MAX, usize::MAX, &mut letters, WHITE, "far away");
        assert!(canvas.bytes().contains(&WHITE));
        assert_eq!(printable("Wohnzimmer\n1", 20), "Wohnzimmer 1");
        assert_eq!(printable("äöüäöüäöü", 5), "äö...");
        assert_eq!(printable("abc", 2), "..");
    }

    #[test]
    fn a_tint_touches_its_rectangle_alone() {
        let mut canvas = Canvas::new(Size::new(16, 8), BLACK);
        canvas.tint(&Area::new(4..8, 2..4), (10, 20));
        let count = |value| canvas.bytes().iter().filter(|b| **b == value).count();
        assert_eq!((count(10), count(20)), (2, 2));
        assert_eq!(canvas.bytes()[canvas.planes()[1].offset + 8 + 2], 10);
    }
}
