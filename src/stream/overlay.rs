use crate::{
    codec::Picture,
    device::canvas::{BLACK, ClockText, GREY, Letters, WHITE, printable},
    media::Size,
    time::WallTime,
};
use std::ops::Range;

/// Of a longer name the end is left out.
const MOST_NAME: usize = 24;
/// In pixels, of a letter that can be read: in small pictures more of the name is left out.
const NARROWEST: usize = 5;
/// Between name and time.
const BLANKS: usize = 2;
/// How much of the picture around the letters is darkened away, of 256, so that they read on anything.
const SHADE: u16 = 160;

/// Writes a camera's name and the local time over pictures of one size: at the left, below the test pattern's time strip
/// and above the middle.
pub struct Overlay {
    name: String,
    letters: Letters,
    clock: ClockText,
    /// Where it lies, in luma pixels; all even.
    columns: Range<usize>,
    rows: Range<usize>,
    /// From the box to its text.
    margin: usize,
    /// Since 1970, which `weights` show.
    second: Option<u64>,
    /// For each luma pixel of the box how much of the picture stays, of 256, and what is added, in 256ths.
    weights: Vec<(u16, u16)>,
    /// The finished picture: the driver's own memory is not written into.
    planes: [Vec<u8>; 3],
}

impl Overlay {
    pub fn new(size: Size, name: &str) -> Self {
        let (width, height) = (size.width as usize, size.height as usize);
        let strip = 3 * ((height / 24) & !1).max(8);
        let gap = (height / 60).next_multiple_of(2);
        let margin = gap / 2;
        let room = (width.saturating_sub(2 * (gap + margin)), (height / 2).saturating_sub(strip + gap + 2 * margin));
        let time = BLANKS + ClockText::SECONDS;
        let name = printable(name, MOST_NAME.min((room.0 / NARROWEST).saturating_sub(time)));
        let length = name.chars().count() + time;
        let letters = Letters::fit(length, room.0, (height / 20).max(16).min(room.1));
        let span = |from: usize, length: usize, end: usize| {
            let from = from.min(end & !1);
            from..(from + (length + 2 * margin).next_multiple_of(2)).min(end & !1)
        };
        Self {
            columns: span(gap, letters.width(length), width),
            rows: span(strip + gap, letters.height(), height),
            name,
            letters,
            clock: ClockText::default(),
            margin,
            second: None,
            weights: Vec::new(),
            planes: [const { Vec::new() }; 3],
        }
    }

    /// A copy of `picture`, which has the size that this was made for, taken at `wall`, with name and time.
    pub fn draw(&mut self, picture: &Picture<'_>, wall: WallTime) -> Picture<'_> {
        let second = wall.as_millis() / 1000;
        if self.second != Some(second) {
            self.second = Some(second);
            self.write(wall);
        }
        let sizes = Picture::plane_sizes(picture.size);
        for (i, (width, height)) in sizes.into_iter().enumerate() {
            self.planes[i].clear();
            let rows = picture.planes[i].chunks(picture.strides[i]).take(height);
            rows.for_each(|row| self.planes[i].extend_from_slice(&row[..width]));
        }
        let [luma, u, v] = &mut self.planes;
        let weights = self.weights.chunks_exact(self.columns.len().max(1));
        for (row, weights) in rows(luma, sizes[0].0, &self.columns, &self.rows).zip(weights) {
            for (pixel, (kept, added)) in row.iter_mut().zip(weights) {
                *pixel = ((u16::from(*pixel) * kept + added) >> 8) as u8;
            }
        }
        let half = |range: &Range<usize>| range.start / 2..range.end / 2;
        for (plane, grey) in [(u, GREY.0), (v, GREY.1)] {
            for row in rows(plane, sizes[1].0, &half(&self.columns), &half(&self.rows)) {
                for pixel in row {
                    *pixel = ((u16::from(*pixel) * (256 - SHADE) + u16::from(grey) * SHADE + 128) >> 8) as u8;
                }
            }
        }
        let strides = sizes.map(|(width, _)| width);
        Picture { size: picture.size, planes: self.planes.each_ref().map(Vec::as_slice), strides }
    }

    /// Works out the weights for the text of that instant.
    fn write(&mut self, wall: WallTime) {
        let (width, height) = (self.columns.len(), self.rows.len());
        let shaded = |much: u16| {
            // A letter over the shade over the picture; what each has of 256.
            let kept = (256 - SHADE) * (256 - much) / 256;
            (kept, u16::from(WHITE) * much + u16::from(BLACK) * (256 - much - kept) + 128)
        };
        self.weights.clear();
        self.weights.resize(width * height, shaded(0));
        let line = format!("{}{}{}", self.name, " ".repeat(BLANKS), self.clock.seconds(wall));
        let weights = &mut self.weights;
        self.letters.draw(self.margin, self.margin, &line, |x, y, coverage| {
            if x < width && y < height {
                for (weight, much) in weights[y * width + x..(y + 1) * width].iter_mut().zip(coverage) {
                    // Neighbours may share a pixel of their edges.
                    *weight = (*weight).min(shaded(u16::from(*much) + u16::from(much >> 7)));
                }
            }
        });
    }
}

/// Those columns of those rows of a plane of `width`.
fn rows<'a>(
    plane: &'a mut [u8],
    width: usize,
    columns: &'a Range<usize>,
    rows: &Range<usize>,
) -> impl Iterator<Item = &'a mut [u8]> + use<'a> {
    plane.chunks_exact_mut(width).skip(rows.start).take(rows.len()).map(|row| &mut row[columns.clone()])
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: WallTime = WallTime::from_nanos(1_769_903_999_987_654_321);

    /// A picture of one luma and colour.
    fn flat(size: Size, luma: u8) -> [Vec<u8>; 3] {
        let sizes = Picture::plane_sizes(size);
        [(luma, 0), (90, 1), (200, 2)].map(|(value, plane)| vec![value; sizes[plane].0 * sizes[plane].1])
    }

    fn picture(size: Size, planes: &[Vec<u8>; 3]) -> Picture<'_> {
        let strides = Picture::plane_sizes(size).map(|(width, _)| width);
        Picture { size, planes: planes.each_ref().map(Vec::as_slice), strides }
    }

    /// The columns and rows of luma that differ.
    fn changed(size: Size, before: &[u8], after: &[u8]) -> (Range<usize>, Range<usize>) {
        const NONE: Range<usize> = Range { start: usize::MAX, end: 0 };
        let (mut columns, mut rows) = (NONE, NONE);
        for at in (0..before.len()).filter(|at| before[*at] != after[*at]) {
            let (x, y) = (at % size.width as usize, at / size.width as usize);
            columns = columns.start.min(x)..columns.end.max(x + 1);
            rows = rows.start.min(y)..rows.end.max(y + 1);
        }
        (columns, rows)
    }

    #[test]
    fn it_stands_below_the_strip_and_above_the_middle() {
        for (width, height) in [(160, 120), (320, 240), (640, 360), (360, 640), (1280, 720), (1920, 1080)] {
            let size = Size::new(width, height);
            let planes = flat(size, 130);
            let mut overlay = Overlay::new(size, "A name that is longer than anybody would give");
            let (columns, rows) = changed(size, &planes[0], overlay.draw(&picture(size, &planes), WALL).planes[0]);
            let (width, height) = (width as usize, height as usize);
            assert!(rows.start >= 3 * ((height / 24) & !1).max(8) && rows.end <= height / 2, "{size}: {rows:?}");
            assert!(columns.start > 0 && columns.end < width, "{size}: {columns:?}");
            assert!(columns.len() > width / 3, "{size}: {columns:?}");
        }
    }

    #[test]
    fn letters_are_bright_on_dark_whatever_is_below() {
        let size = Size::new(640, 360);
        for luma in [0, 16, 128, 235, 255] {
            let planes = flat(size, luma);
            let mut overlay = Overlay::new(size, "Haustür");
            let drawn = overlay.draw(&picture(size, &planes), WALL).planes[0].to_vec();
            let inside = |y: usize| &drawn[y * 640..][overlay.columns.clone()];
            let bright = overlay.rows.clone().flat_map(inside).filter(|y| **y >= 225).count();
            let dark = overlay.rows.clone().flat_map(inside).filter(|y| **y <= 110).count();
            assert!(bright > 400 && dark > 3 * bright, "on {luma}: {bright} bright, {dark} dark");
        }
    }

    #[test]
    fn it_shows_the_second_and_leaves_the_rest_as_it_was() {
        let size = Size::new(640, 360);
        let planes = flat(size, 100);
        let before = picture(size, &planes);
        let mut overlay = Overlay::new(size, "front");
        let luma = |overlay: &mut Overlay, millis: u64| {
            overlay.draw(&before, WallTime::from_nanos(WALL.as_nanos() + millis * 1_000_000)).planes[0].to_vec()
        };
        let first = luma(&mut overlay, 0);
        assert!(first == luma(&mut overlay, 10), "the same second");
        assert!(first != luma(&mut overlay, 20), "the next one");
        let named = Overlay::new(size, "fr0nt").draw(&before, WALL).planes[0].to_vec();
        assert!(first != named);
        let (columns, rows) = (overlay.columns.clone(), overlay.rows.clone());
        let drawn = overlay.draw(&before, WALL);
        let (width, height) = Picture::plane_sizes(size)[1];
        for (x, y) in (0..width).flat_map(|x| (0..height).map(move |y| (x, y))) {
            let inside = columns.contains(&(x * 2)) && rows.contains(&(y * 2));
            assert_eq!(drawn.planes[1][y * width + x] != 90, inside, "chroma at {x},{y}");
        }
    }

    #[test]
    fn no_size_and_no_name_is_too_much() {
        for (width, height) in [(2, 2), (16, 16), (64, 48), (48, 64), (4000, 16), (16, 4000)] {
            let size = Size::new(width, height);
            let planes = flat(size, 60);
            for name in ["", "x", "日本語 👁\u{0}\n", &"endless".repeat(50)] {
                let mut overlay = Overlay::new(size, name);
                for wall in [WALL, WallTime::from_nanos(0), WallTime::from_nanos(u64::MAX)] {
                    assert_eq!(overlay.draw(&picture(size, &planes), wall).size, size);
                }
            }
        }
    }
}
