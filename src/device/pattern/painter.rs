//! What a picture of the test pattern looks like. From the top: the time strip; colour bars (or, in the busy scene,
//! moving texture in their colours) and a band with name and clock, both above the middle; in the lower half ramps,
//! gratings and a moving block, dark, or all white while the mark is on.

use super::{busy::Busy, marked, strip};
use crate::{
    device::canvas::{Area, BLACK, Canvas, ClockText, GREY, Letters, Sheet, WHITE, printable},
    media::{Scene, Size},
    time::WallTime,
};
use std::ops::Range;

/// 75 % colour bars: luma and chroma (ITU-R BT.601).
const BARS: [(u8, (u8, u8)); 8] = [
    (180, GREY),
    (162, (44, 142)),
    (131, (156, 44)),
    (112, (72, 58)),
    (84, (184, 198)),
    (65, (100, 212)),
    (35, (212, 114)),
    (BLACK, GREY),
];
/// Luma of the name and the clock.
const LETTERING: u8 = 220;
/// Everything in the lower half keeps within 40..=90 while the mark is off.
const GROUND: u8 = 46;
const BLOCK: u8 = 88;
const RAMP: Range<u8> = 42..90;
const RAMP_STEPS: usize = 12;
/// Widths in pixels of a line of the gratings, from left to right.
const GRATINGS: [usize; 5] = [16, 8, 4, 2, 1];

/// A canvas and what changes on it from frame to frame.
pub struct Painted {
    canvas: Canvas,
    /// Whether the lower half is white.
    flash: bool,
    /// Where the moving block is drawn.
    block: Option<Area>,
}

impl Sheet for Painted {
    fn canvas(&self) -> &Canvas {
        &self.canvas
    }
}

pub struct Painter {
    /// All that does not move; what a new sheet begins with.
    still: Canvas,
    letters: Letters,
    clock: ClockText,
    /// Rows of bars, of the clock's line, of the lower half, and of the block's track within it.
    bars: Range<usize>,
    line: Range<usize>,
    lower: Range<usize>,
    track: Range<usize>,
    busy: Option<Busy>,
}

impl Painter {
    /// `size` as [`super::TestPattern::open`] allows it.
    pub fn new(size: Size, name: &str, scene: Scene) -> Self {
        let (width, height) = (size.width as usize, size.height as usize);
        let top = strip::height(size);
        // Even, so that no row of chroma belongs to bars and lower half both.
        let middle = (height / 2) & !1;
        let mut letters = Letters::fit(ClockText::COLUMNS, width - width / 16, (middle - top) * 2 / 9);
        let gap = letters.height() / 8;
        let line = middle - gap - letters.height()..middle - gap;
        let title = line.start - letters.height();
        let bars = top..(title - gap) & !1;
        let lower = height / 2..height;
        let third = lower.len() / 3;
        let track = lower.start + third..lower.end - third;

        let mut still = Canvas::new(size, BLACK);
        draw_bars(&mut still, &bars);
        let name = printable(name, letters.columns(width));
        still.centred(title, &mut letters, LETTERING, &name);
        still.rows(lower.clone()).fill(GROUND);
        draw_ramp(&mut still, lower.start..track.start);
        draw_gratings(&mut still, track.end..lower.end);
        let busy = (scene == Scene::Busy).then(|| Busy::new(width));
        Self { still, letters, clock: ClockText::default(), bars, line, lower, track, busy }
    }

    pub fn sheet(&self) -> Painted {
        Painted { canvas: self.still.clone(), flash: false, block: None }
    }

    /// Draws what frame `sequence`, taken at `wall`, shows on a sheet of any earlier frame.
    pub fn paint(&mut self, sheet: &mut Painted, sequence: u64, wall: WallTime) {
        let canvas = &mut sheet.canvas;
        let width = canvas.width();
        strip::draw(canvas, sequence, wall);
        canvas.rows(self.line.clone()).fill(BLACK);
        canvas.centred(self.line.start, &mut self.letters, LETTERING, self.clock.at(wall));
        let flash = marked(wall);
        if let Some(busy) = &self.busy {
            busy.fill::<48, 0, 1>(canvas.rows(self.bars.clone()), width, sequence);
            if !flash {
                busy.fill::<43, 2, 2>(canvas.rows(self.lower.clone()), width, sequence);
            }
        }
        if flash && !sheet.flash {
            canvas.rows(self.lower.clone()).fill(WHITE);
        }
        if !flash && self.busy.is_none() {
            if sheet.flash {
                canvas.copy_rows(&self.still, self.lower.clone());
            } else if let Some(old) = &sheet.block {
                canvas.fill(old, GROUND);
            }
            let block = self.block(width, sequence);
            canvas.fill(&block, BLOCK);
            sheet.block = Some(block);
        }
        sheet.flash = flash;
    }

    /// A block that runs from left to right and back; never in the same place in two frames that follow each other.
    fn block(&self, width: usize, sequence: u64) -> Area {
        let edge = width / 8;
        let step = (width / 96).max(1);
        // There in `turns` steps and back in as many.
        let turns = ((width - edge) / step) as u64;
        let at = sequence % (2 * turns);
        let x = at.min(2 * turns - at) as usize * step;
        let inset = self.track.len() / 8;
        Area::new(x..x + edge, self.track.start + inset..self.track.end - inset)
    }
}

fn draw_bars(canvas: &mut Canvas, rows: &Range<usize>) {
    let width = canvas.width();
    let edge = |n: usize| (width * n / BARS.len()) & !1;
    for (n, (luma, chroma)) in BARS.into_iter().enumerate() {
        let bar = Area::new(edge(n)..edge(n + 1), rows.clone());
        canvas.fill(&bar, luma);
        canvas.tint(&bar, chroma);
    }
}

/// A staircase from dark to light.
fn draw_ramp(canvas: &mut Canvas, rows: Range<usize>) {
    let width = canvas.width();
    for step in 0..RAMP_STEPS {
        let luma = RAMP.start + (RAMP.len() * step / (RAMP_STEPS - 1)) as u8;
        canvas.fill(&Area::new(width * step / RAMP_STEPS..width * (step + 1) / RAMP_STEPS, rows.clone()), luma);
    }
}

/// Lines that get finer, to tell how sharp a picture arrives.
fn draw_gratings(canvas: &mut Canvas, rows: Range<usize>) {
    let width = canvas.width();
    let inset = rows.len() / 8;
    for x in 0..width {
        let line = GRATINGS[x * GRATINGS.len() / width];
        if (x / line).is_multiple_of(2) {
            canvas.fill(&Area::new(x..x + 1, rows.start + inset..rows.end), BLOCK - 8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::pattern::strip::tests::read;

    const SECOND: u64 = 1_000_000_000;
    const SIZES: [(u32, u32); 5] = [(160, 120), (162, 122), (640, 360), (1000, 602), (1280, 720)];

    /// Frames of `fps` 30 beginning a few frames before a mark, drawn on one sheet in turn.
    fn frames(size: (u32, u32), scene: Scene, count: u64, mut look: impl FnMut(&mut Canvas, u64, WallTime)) {
        let mut painter = Painter::new(Size::new(size.0, size.1), "Front door", scene);
        let mut sheet = painter.sheet();
        for n in 0..count {
            let wall = WallTime::from_nanos(1_700_000_000 * SECOND - SECOND / 10 + n * SECOND / 30);
            painter.paint(&mut sheet, n, wall);
            look(&mut sheet.canvas, n, wall);
        }
    }

    fn chroma(canvas: &Canvas, rows: Range<usize>) -> impl Iterator<Item = u8> + '_ {
        canvas.planes().into_iter().skip(1).flat_map(move |plane| {
            let bytes = &canvas.bytes()[plane.offset..plane.offset + plane.stride * canvas.height() / 2];
            bytes[rows.start / 2 * plane.stride..rows.end / 2 * plane.stride].iter().copied()
        })
    }

    #[test]
    fn everything_keeps_to_its_place_and_range() {
        for size in SIZES {
            for scene in [Scene::Bars, Scene::Busy] {
                let mut flashes = 0;
                frames(size, scene, 12, |canvas, n, wall| {
                    let (width, height) = (canvas.width(), canvas.height());
                    let reading = read(canvas.bytes(), width, width, height).expect("the strip reads");
                    assert_eq!((u64::from(reading.counter), reading.millis), (n, wall.as_millis()));
                    let top = strip::height(canvas.size());
                    let grid = 32 * ((width / 32) & !1);
                    assert!(canvas.rows(0..top).chunks(width).all(|row| row[grid..].iter().all(|y| *y == BLACK)));
                    let lower = canvas.rows(height / 2..height);
                    if wall.as_nanos() % (2 * SECOND) < SECOND / 10 {
                        flashes += 1;
                        assert!(lower.iter().all(|luma| *luma == 235), "{size:?} {scene:?} #{n}");
                    } else {
                        assert!(lower.iter().all(|luma| (40..=90).contains(luma)), "{size:?} {scene:?} #{n}");
                    }
                    assert!(canvas.rows(top..height / 2).iter().all(|luma| (16..=235).contains(luma)));
                    assert!(chroma(canvas, 0..top).all(|c| c == 128));
                    assert!(chroma(canvas, (height / 2) & !1..height).all(|c| c == 128));
                    assert!(chroma(canvas, top..height / 2).any(|c| c != 128));
                });
                assert_eq!(flashes, 3);
            }
        }
    }

    /// Something beside the strip and the clock moves, and in a flash at least those two do.
    #[test]
    fn no_picture_is_like_the_one_before() {
        for scene in [Scene::Bars, Scene::Busy] {
            let mut before: Option<(Vec<u8>, Vec<u8>, bool)> = None;
            frames((640, 360), scene, 700, |canvas, n, wall| {
                let upper = canvas.rows(strip::height(canvas.size())..180).to_vec();
                let lower = canvas.rows(180..360).to_vec();
                if let Some((last_upper, last_lower, flash)) = &before {
                    assert!(upper != *last_upper, "{scene:?} #{n}");
                    assert!(lower != *last_lower || (*flash && marked(wall)), "{scene:?} #{n}");
                }
                before = Some((upper, lower, marked(wall)));
            });
        }
    }

    #[test]
    fn a_sheet_used_before_looks_like_a_new_one() {
        for scene in [Scene::Bars, Scene::Busy] {
            let mut painter = Painter::new(Size::new(640, 360), "x", scene);
            let mut fresh = Painter::new(Size::new(640, 360), "x", scene);
            let mut sheet = painter.sheet();
            for n in 0..30 {
                let wall = WallTime::from_nanos(n * SECOND / 7);
                painter.paint(&mut sheet, n, wall);
                let mut new = fresh.sheet();
                fresh.paint(&mut new, n, wall);
                assert!(sheet.canvas.bytes() == new.canvas.bytes(), "{scene:?} #{n}");
            }
        }
    }

    #[test]
    fn any_name_is_drawn() {
        for name in
            ["", "Haustür", "カメラ", "a name that is much too long for the width of so small a picture, really"]
        {
            Painter::new(Size::new(160, 120), name, Scene::Bars);
        }
    }
}
