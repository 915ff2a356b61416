//! The picture that stands in for a camera which is not there: dark, with the camera's name, the reason and the time.

use super::canvas::{Area, Canvas, ClockText, GREY, Letters, Sheet, drawn, printable};
use crate::{
    media::{Pool, RawFrame, Size},
    time::{MonoTime, WallTime},
};
use std::ops::Range;

const TITLE: &str = "NO SIGNAL";
const GROUND: u8 = 26;
const FAINT: u8 = 60;
const TEXT: u8 = 180;
const BRIGHT: u8 = 225;
/// Luma and chroma of the runner that shows that the stream is alive.
const AMBER: (u8, (u8, u8)) = (170, (60, 156));

/// Draws slates of one size for one camera.
pub struct Slate {
    /// Everything but clock and runner, for `reason`.
    still: Canvas,
    name: String,
    reason: String,
    /// Counts the reasons, so that a sheet knows whether it shows the present one.
    edition: u64,
    layout: Layout,
    clock: ClockText,
    pool: Pool<Drawn>,
}

struct Layout {
    name: Letters,
    title: Letters,
    text: Letters,
    /// Where lines begin, in rows from the top.
    name_top: usize,
    title_top: usize,
    track: Area,
    reason: Range<usize>,
    clock: Range<usize>,
}

struct Drawn {
    canvas: Canvas,
    edition: u64,
}

impl Sheet for Drawn {
    fn canvas(&self) -> &Canvas {
        &self.canvas
    }
}

impl Slate {
    /// For pictures of `size` (any) of the camera that a person calls `name`.
    pub fn new(size: Size, name: &str) -> Self {
        let size = Size::new(size.width.max(2), size.height.max(2));
        let mut slate = Self {
            still: Canvas::new(size, GROUND),
            name: name.to_owned(),
            reason: String::new(),
            edition: 0,
            layout: Layout::of(size),
            clock: ClockText::default(),
            pool: Pool::default(),
        };
        slate.draw_still();
        slate
    }

    /// The slate of the instant `stamp`, which is `wall` by the wall clock.
    pub fn draw(&mut self, reason: &str, wall: WallTime, stamp: MonoTime, sequence: u64) -> RawFrame {
        if reason != self.reason {
            self.reason = reason.to_owned();
            self.edition += 1;
            self.draw_still();
        }
        let (still, layout) = (&self.still, &mut self.layout);
        let fresh = || Drawn { canvas: still.clone(), edition: self.edition };
        let mut sheet = self.pool.take(fresh);
        if sheet.edition != self.edition {
            *sheet = fresh();
        }
        let canvas = &mut sheet.canvas;
        canvas.rows(layout.clock.clone()).fill(GROUND);
        canvas.centred(layout.clock.start, &mut layout.text, TEXT, self.clock.at(wall));
        layout.draw_runner(canvas, sequence);
        drawn(sheet, stamp, sequence)
    }

    fn draw_still(&mut self) {
        let mut canvas = Canvas::new(self.still.size(), GROUND);
        let layout = &mut self.layout;
        let usable = canvas.width() * 15 / 16;
        let columns = layout.text.columns(usable);
        let (name, lines) = (printable(&self.name, layout.name.columns(usable)), wrap(&self.reason, columns));
        canvas.centred(layout.name_top, &mut layout.name, TEXT, &name);
        canvas.centred(layout.title_top, &mut layout.title, BRIGHT, TITLE);
        let pitch = layout.text.height() * 5 / 4;
        let fit = layout.reason.len() / pitch;
        for (n, line) in lines.iter().take(fit).enumerate() {
            let more = n + 1 == fit && lines.len() > fit;
            let line = if more { printable(&format!("{line} ..."), columns) } else { line.clone() };
            canvas.centred(layout.reason.start + n * pitch, &mut layout.text, TEXT, &line);
        }
        self.still = canvas;
    }
}

impl Layout {
    fn of(size: Size) -> Self {
        let (width, height) = (size.width as usize, size.height as usize);
        let title = Letters::fit(TITLE.len() + 2, width, height / 6);
        let name = Letters::fit(16, width, height / 12);
        let text = Letters::fit(ClockText::COLUMNS, width * 15 / 16, (height / 20).max(9));
        let title_top = height / 4;
        let track_top = (title_top + title.height() + height / 24) & !1;
        let track_bottom = (track_top + ((height / 120).max(2) & !1)).min(height);
        let clock = (height - (2 * text.height()).min(height), height - text.height().min(height));
        let reason = (track_bottom + height / 20).min(clock.0)..clock.0;
        Self {
            name,
            title,
            text,
            name_top: height / 10,
            title_top,
            track: Area::new((width / 4) & !1..(width * 3 / 4) & !1, track_top..track_bottom.max(track_top)),
            reason,
            clock: clock.0..clock.1,
        }
    }

    /// A lit piece of a line that runs from left to right, a little further with every picture.
    fn draw_runner(&self, canvas: &mut Canvas, sequence: u64) {
        let track = &self.track;
        canvas.fill(track, FAINT);
        canvas.tint(track, GREY);
        let (length, step) = ((track.x.len() / 8) & !1, ((track.x.len() / 64) & !1).max(2));
        let places = ((track.x.len() - length) / step).max(1) as u64;
        let left = track.x.start + (sequence % places) as usize * step;
        let lit = Area::new(left..left + length, track.y.clone());
        canvas.fill(&lit, AMBER.0);
        canvas.tint(&lit, AMBER.1);
    }
}

/// Breaks at blanks into lines of at most `columns` characters; a longer word is cut.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        let mut length = 0;
        for word in paragraph.split_whitespace() {
            let mut rest: Vec<char> = printable(word, usize::MAX).chars().collect();
            if length > 0 && length + 1 + rest.len() > columns {
                lines.push(std::mem::take(&mut line));
                length = 0;
            }
            while rest.len() > columns.max(1) {
                lines.push(rest.drain(..columns.max(1)).collect());
            }
            if length > 0 {
                line.push(' ');
                length += 1;
            }
            length += rest.len();
            line.extend(rest);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const REASON: &str = "no device `usb-0000:01:00.0-1.2`; there are: usb-0000:00:14.0-3 (HD Webcam)";

    fn luma(frame: &RawFrame) -> Vec<u8> {
        frame.bytes()[..frame.size.pixels() as usize].to_vec()
    }

    #[test]
    fn shows_the_reason_and_something_moves() {
        let mut slate = Slate::new(Size::new(640, 360), "Haustür");
        let wall = |n: u64| WallTime::from_nanos(1_700_000_000_000_000_000 + n * 100_000_000);
        let first = slate.draw(REASON, wall(0), MonoTime::from_nanos(5), 7);
        assert_eq!((first.stamp, first.sequence, first.size), (MonoTime::from_nanos(5), 7, Size::new(640, 360)));
        // Even with a clock that stands still.
        let second = slate.draw(REASON, wall(0), MonoTime::from_nanos(6), 8);
        assert_ne!(luma(&first), luma(&second));
        let other = slate.draw("the device is in use by another program", wall(1), MonoTime::ZERO, 9);
        let rows = slate.layout.reason.start * 640..slate.layout.reason.end * 640;
        assert_eq!(luma(&first)[rows.clone()], luma(&second)[rows.clone()]);
        assert_ne!(luma(&second)[rows.clone()], luma(&other)[rows]);
        // Dark, and no time strip that a checker could take for the test pattern.
        let mean = luma(&first).iter().map(|y| u64::from(*y)).sum::<u64>() / first.size.pixels();
        assert!((16..60).contains(&mean), "mean luma {mean}");
        assert!(luma(&first)[..640 * 24].iter().all(|y| *y == GROUND));
    }

    #[test]
    fn a_sheet_with_an_old_reason_is_not_shown_again() {
        let mut slate = Slate::new(Size::new(320, 240), "x");
        drop(slate.draw("one", WallTime::default(), MonoTime::ZERO, 0));
        let reused = slate.draw("two", WallTime::default(), MonoTime::ZERO, 0);
        let mut fresh = Slate::new(Size::new(320, 240), "x");
        assert!(reused.bytes() == fresh.draw("two", WallTime::default(), MonoTime::ZERO, 0).bytes());
    }

    #[test]
    fn every_size_and_script_is_drawn() {
        let long = "word ".repeat(300) + &"endless".repeat(100) + "\n\n\u{0}日本語 👁";
        for (width, height) in
            [(0, 0), (1, 1), (2, 2), (17, 31), (160, 120), (161, 121), (4000, 10), (10, 2000), (1920, 1080)]
        {
            let mut slate = Slate::new(Size::new(width, height), &long);
            for n in 0..3 {
                slate.draw(&long, WallTime::from_nanos(u64::MAX), MonoTime::ZERO, u64::MAX - n);
            }
        }
    }

    #[test]
    fn lines_break_at_blanks() {
        assert_eq!(wrap("one two three\nfour", 8), ["one two", "three", "four"]);
        assert_eq!(wrap("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrap("", 10), Vec::<String>::new());
    }
}
