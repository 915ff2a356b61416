use fontdue::{Font, FontSettings};
use std::{collections::HashMap, sync::LazyLock};

/// Bold, so that strokes outlast the encoder, and all letters of one width. Its licence lies beside it.
static FONT: LazyLock<Font> = LazyLock::new(|| {
    let bytes: &[u8] = include_bytes!("DejaVuSansMono-Bold.ttf");
    Font::from_bytes(bytes, FontSettings::default()).expect("a whole font")
});
/// Of the font, in its size: from one line to the next, from a line's top to the foot of its letters, and from one letter
/// to the next.
const LINE: f32 = 1.164;
const ASCENT: f32 = 0.928;
const ADVANCE: f32 = 0.602;
/// Smaller ones are no longer letters.
const LEAST: usize = 6;

/// Letters of one height, and what they look like as far as they were needed.
#[derive(Clone)]
pub struct Letters {
    height: usize,
    /// From one letter to the next.
    pitch: usize,
    glyphs: HashMap<char, Glyph>,
}

#[derive(Clone)]
struct Glyph {
    /// From the top left corner of the letter's place; may lie a little outside of it.
    x: isize,
    y: isize,
    width: usize,
    /// How much of each pixel is letter; of 255.
    coverage: Vec<u8>,
}

impl Letters {
    /// The tallest of which `columns` fit into `width` pixels, one line into `height`. The smallest there are if none
    /// fit.
    pub fn fit(columns: usize, width: usize, height: usize) -> Self {
        let pitch = width / columns.max(1);
        let height = height.min(((pitch + 1) as f32 / ADVANCE * LINE) as usize).max(LEAST);
        let fits = |height: &usize| Self::pitch(*height) <= pitch;
        let height = (LEAST..=height).rev().find(fits).unwrap_or(LEAST);
        Self { height, pitch: Self::pitch(height), glyphs: HashMap::new() }
    }

    fn pitch(height: usize) -> usize {
        (height as f32 / LINE * ADVANCE).ceil() as usize
    }

    /// Of a line, with room for what letters have above and below.
    pub fn height(&self) -> usize {
        self.height
    }

    pub fn width(&self, columns: usize) -> usize {
        self.pitch * columns
    }

    /// How many characters fit into `width` pixels.
    pub fn columns(&self, width: usize) -> usize {
        width / self.pitch
    }

    /// Draws a line with its top left corner at (`x`, `y`): `put` is given the coverage, of 255, of some pixels of row
    /// `y` from column `x` on. Characters that the font has not show as `?`.
    pub fn draw(&mut self, x: usize, y: usize, line: &str, mut put: impl FnMut(usize, usize, &[u8])) {
        let size = self.height as f32 / LINE;
        for (column, letter) in line.chars().enumerate() {
            let glyph = self.glyphs.entry(letter).or_insert_with(|| Glyph::new(letter, size));
            let Some(left) = x.checked_add(column * self.pitch).and_then(|x| x.checked_add_signed(glyph.x)) else {
                continue;
            };
            let Some(top) = y.checked_add_signed(glyph.y) else { continue };
            for (row, coverage) in glyph.coverage.chunks_exact(glyph.width.max(1)).enumerate() {
                put(left, top + row, coverage);
            }
        }
    }
}

impl Glyph {
    fn new(letter: char, size: f32) -> Self {
        let letter = if FONT.has_glyph(letter) { letter } else { '?' };
        let (metrics, coverage) = FONT.rasterize(letter, size);
        let foot = (ASCENT * size).round() as isize;
        Self {
            x: metrics.xmin as isize,
            y: foot - metrics.ymin as isize - metrics.height as isize,
            width: metrics.width,
            coverage,
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Range;

    #[test]
    fn letters_are_the_tallest_that_fit() {
        let letters = Letters::fit(23, 1280, 60);
        assert_eq!(letters.height(), 60);
        let narrow = Letters::fit(23, 160, 60);
        assert!(narrow.width(23) <= 160 && Letters::pitch(narrow.height() + 1) * 23 > 160);
        assert_eq!(Letters::fit(1000, 10, 1).height(), LEAST);
        assert_eq!(Letters::fit(0, 0, usize::MAX).height(), LEAST);
    }

    /// The columns and rows that a text touches, and how much of it all there is.
    fn drawn(text: &str) -> (Range<usize>, Range<usize>, u64) {
        let mut letters = Letters::fit(1, 100, 40);
        const NONE: Range<usize> = Range { start: usize::MAX, end: 0 };
        let (mut columns, mut rows, mut sum) = (NONE, NONE, 0);
        letters.draw(100, 100, text, |x, y, coverage| {
            for (x, much) in (x..).zip(coverage).filter(|(_, much)| **much > 0) {
                columns = columns.start.min(x)..columns.end.max(x + 1);
                rows = rows.start.min(y)..rows.end.max(y + 1);
                sum += u64::from(*much);
            }
        });
        (columns, rows, sum)
    }

    #[test]
    fn letters_keep_to_their_line_and_have_smooth_edges() {
        for text in ["A", "Ä", "g", "ß", "Ű", "Я", "|"] {
            let (columns, rows, _) = drawn(text);
            assert!(columns.start >= 99 && columns.end <= 101 + Letters::pitch(40), "{text}: {columns:?}");
            assert!(rows.start >= 99 && rows.end <= 141, "{text}: {rows:?}");
        }
        let mut grey = 0;
        Letters::fit(1, 100, 40)
            .draw(0, 0, "O", |_, _, row| grey += row.iter().filter(|c| !matches!(c, 0 | 255)).count());
        assert!(grey > 50, "{grey} pixels of the edge are partly covered");
    }

    #[test]
    fn umlauts_are_drawn_and_what_the_font_has_not_is_a_question_mark() {
        assert_ne!(drawn("ü"), drawn("u"));
        assert_ne!(drawn("ü"), drawn("?"));
        assert_eq!(drawn("カ"), drawn("?"));
        assert_eq!(drawn(" ").2, 0);
    }
}
