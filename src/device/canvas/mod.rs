//! Drawing into I420 pictures: rectangles, tints, text. Shared by the test pattern and the "no signal" slate.

mod clock;
mod pool;

pub use clock::ClockText;
pub use pool::{Pool, Sheet};

use crate::media::{PixelFormat, Plane, RawFrame, Size};
use embedded_graphics::{
    Pixel,
    draw_target::DrawTarget,
    geometry::{Dimensions, Point, Size as Extent},
    mono_font::{MonoFont, MonoTextStyle, iso_8859_1 as latin},
    pixelcolor::BinaryColor,
    primitives::Rectangle,
    text::renderer::TextRenderer,
    text::{Baseline, renderer::CharacterStyle},
};
use std::{cmp::Reverse, convert::Infallible, ops::Range};

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

    /// Writes one line with its top left corner at (`x`, `y`); what lies outside the picture is left out. Characters
    /// beyond Latin-1 show as `?`.
    pub fn text(&mut self, x: usize, y: usize, letters: Letters, luma: u8, line: &str) {
        let mut style = MonoTextStyle::new(letters.font, BinaryColor::On);
        style.set_background_color(None);
        let mut target = Enlarged { canvas: self, x, y, scale: letters.scale, luma };
        let Ok(_) = style.draw_string(line, Point::zero(), Baseline::Top, &mut target);
    }

    /// Writes one line into the middle of the picture's width.
    pub fn centred(&mut self, y: usize, letters: Letters, luma: u8, line: &str) {
        let x = self.width().saturating_sub(letters.width(line.chars().count())) / 2;
        self.text(x, y, letters, luma, line);
    }
}

/// A font and how often each of its pixels is repeated in both directions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Letters {
    font: &'static MonoFont<'static>,
    scale: usize,
}

/// From small to tall.
static FONTS: [&MonoFont; 9] = [
    &latin::FONT_4X6,
    &latin::FONT_5X8,
    &latin::FONT_6X9,
    &latin::FONT_6X12,
    &latin::FONT_6X13_BOLD,
    &latin::FONT_7X13_BOLD,
    &latin::FONT_8X13_BOLD,
    &latin::FONT_9X18_BOLD,
    &latin::FONT_10X20,
];

impl Letters {
    /// The tallest, then finest letters of which `columns` fit into `width` pixels, one line into `height`. The
    /// smallest there are if none fit.
    pub fn fit(columns: usize, width: usize, height: usize) -> Self {
        (1..=height.max(1) / 6)
            .flat_map(|scale| FONTS.iter().map(move |font| Self { font, scale }))
            .filter(|letters| letters.height() <= height && letters.width(columns) <= width)
            // The small ones look coarse when enlarged.
            .filter(|letters| letters.scale == 1 || letters.font.character_size.height >= 13)
            .max_by_key(|letters| (letters.height(), Reverse(letters.scale)))
            .unwrap_or(Self { font: FONTS[0], scale: 1 })
    }

    pub fn height(self) -> usize {
        self.font.character_size.height as usize * self.scale
    }

    pub fn width(self, columns: usize) -> usize {
        self.font.character_size.width as usize * self.scale * columns
    }

    /// How many characters fit into `width` pixels.
    pub fn columns(self, width: usize) -> usize {
        width / self.width(1)
    }
}

/// A line as it can be drawn: no control characters, cut with `...` where it exceeds `columns`.
pub fn printable(line: &str, columns: usize) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    if line.chars().count() <= columns {
        return line.chars().map(clean).collect();
    }
    let kept = line.chars().take(columns.saturating_sub(3)).map(clean);
    kept.chain("...".chars()).take(columns).collect()
}

/// Lets embedded-graphics draw enlarged, and clipped, into the luma plane.
struct Enlarged<'a> {
    canvas: &'a mut Canvas,
    x: usize,
    y: usize,
    scale: usize,
    luma: u8,
}

impl Dimensions for Enlarged<'_> {
    fn bounding_box(&self) -> Rectangle {
        let extent = |pixels: usize| u32::try_from(pixels.div_ceil(self.scale)).unwrap_or(u32::MAX);
        Rectangle::new(Point::zero(), Extent::new(extent(self.canvas.width()), extent(self.canvas.height())))
    }
}

impl DrawTarget for Enlarged<'_> {
    type Color = BinaryColor;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<BinaryColor>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(at, _) in pixels {
            if let (Ok(x), Ok(y)) = (usize::try_from(at.x), usize::try_from(at.y)) {
                let (x, y) = (self.x + x * self.scale, self.y + y * self.scale);
                self.canvas.fill(&Area::new(x..x + self.scale, y..y + self.scale), self.luma);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_the_tallest_that_fit() {
        let letters = Letters::fit(23, 1280, 60);
        assert_eq!((letters.height(), letters.width(1)), (60, 30));
        let narrow = Letters::fit(23, 160, 60);
        assert!(narrow.width(23) <= 160);
        assert_eq!(Letters::fit(1000, 10, 1).height(), 6);
    }

    #[test]
    fn text_of_any_script_and_place_is_clipped_and_harmless() {
        let mut canvas = Canvas::new(Size::new(161, 121), BLACK);
        let letters = Letters::fit(4, 161, 60);
        for text in ["Füße", "カメラ", "\u{0}\n\t\u{7f}", "👁 a very long line that leaves the picture on the right"]
        {
            canvas.text(100, 100, letters, WHITE, text);
            canvas.centred(50, letters, WHITE, &printable(text, 4));
        }
        canvas.text(usize::MAX / 2, usize::MAX / 2, letters, WHITE, "far away");
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
