//! The test pattern: a camera without hardware. Its pictures carry their number and capture time as a strip of black
//! and white cells, flash in step with the test microphone's beep, and move in every frame, so that whoever decodes
//! them can tell loss, repetition, damage, latency and lip sync.

mod busy;
mod painter;
mod strip;

use super::{
    Camera, CameraMode, CameraWish, DeviceError,
    canvas::drawn,
    pace::{DeviceWall, FrameGrid, sleep_until},
};
use crate::{
    media::{FrameRate, PixelFormat, Pool, RawFrame, Scene, Size},
    time::{MonoTime, WallTime},
};
use painter::{Painted, Painter};
use std::time::Duration;

const SMALLEST: Size = Size::new(160, 120);
/// The most that H.264 level 6.2 codes in one direction.
const LARGEST_SIDE: u32 = 8192;
/// The sync mark, flash and beep alike: on for the first `MARK` of every `MARK_PERIOD` of the wall clock.
const MARK_PERIOD: u64 = 2_000_000_000;
const MARK: u64 = 100_000_000;

/// Whether flash and beep are on at `wall`.
pub(super) fn marked(wall: WallTime) -> bool {
    wall.as_nanos() % MARK_PERIOD < MARK
}

/// Its pictures one after the other as if taken from 1970 on, which are the same on every machine in UTC.
pub fn album(size: Size, fps: FrameRate, scene: Scene) -> impl Iterator<Item = RawFrame> {
    let mut painter = Painter::new(size, "album", scene);
    let (grid, mut pool) = (FrameGrid::new(MonoTime::ZERO, fps), Pool::default());
    (0..).map(move |number| {
        let stamp = grid.instant(number);
        let mut sheet = pool.take(|| painter.sheet());
        painter.paint(&mut sheet, number, WallTime::from_nanos(stamp.as_nanos()));
        drawn(sheet, stamp, number)
    })
}

/// A camera that draws its pictures, each stamped with its instant on an exact frame grid.
pub struct TestPattern {
    mode: CameraMode,
    grid: FrameGrid,
    /// The number of the next frame on the grid.
    next: u64,
    dropped: u64,
    wall: DeviceWall,
    painter: Painter,
    pool: Pool<Painted>,
}

impl TestPattern {
    /// Takes size, rate, scene and name as wished.
    ///
    /// # Errors
    /// [`DeviceError::Unusable`] for a size that is odd, below 160x120 or beyond 8192 pixels a side.
    pub fn open(wish: &CameraWish) -> Result<Self, DeviceError> {
        let size = wish.size;
        let even = size.width.is_multiple_of(2) && size.height.is_multiple_of(2);
        let fits = |pixels: u32, least: u32| (least..=LARGEST_SIDE).contains(&pixels);
        if !even || !fits(size.width, SMALLEST.width) || !fits(size.height, SMALLEST.height) {
            let mended = |pixels: u32, least: u32| pixels.clamp(least, LARGEST_SIDE) & !1;
            let mend = Size::new(mended(size.width, SMALLEST.width), mended(size.height, SMALLEST.height));
            return Err(DeviceError::Unusable {
                device: "the test pattern".into(),
                reason: format!(
                    "it has no size {size}; expected even width and height from {SMALLEST} to \
                     {LARGEST_SIDE}x{LARGEST_SIDE}, such as {mend}"
                ),
            });
        }
        Ok(Self {
            mode: CameraMode { format: PixelFormat::I420, size, fps: wish.fps },
            grid: FrameGrid::new(MonoTime::now(), wish.fps),
            next: 0,
            dropped: 0,
            wall: DeviceWall::start(),
            painter: Painter::new(size, &wish.name, wish.scene),
            pool: Pool::default(),
        })
    }
}

impl Camera for TestPattern {
    fn mode(&self) -> &CameraMode {
        &self.mode
    }

    fn next(&mut self, patience: Duration) -> Result<RawFrame, DeviceError> {
        let due = self.grid.instant(self.next);
        let limit = MonoTime::now() + patience;
        sleep_until(due.min(limit));
        if due > limit {
            return Err(DeviceError::Stalled { after: patience });
        }
        let now = MonoTime::now();
        // Woken so late that further frames are due: the newest counts, as with a camera whose queue is drained.
        let sequence = self.grid.newest(now).max(self.next);
        self.dropped += sequence - self.next;
        self.next = sequence + 1;
        let stamp = self.grid.instant(sequence);
        let wall = self.wall.wall(stamp, now);
        let mut sheet = self.pool.take(|| self.painter.sheet());
        self.painter.paint(&mut sheet, sequence, wall);
        Ok(drawn(sheet, stamp, sequence))
    }

    fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Orientation;

    fn wish(size: Size) -> CameraWish {
        CameraWish {
            device: "test".into(),
            name: "front".into(),
            size,
            fps: FrameRate::new(200, 1),
            format: None,
            pass_through: None,
            orientation: Orientation::default(),
            controls: Vec::new(),
            scene: Scene::Bars,
        }
    }

    #[test]
    fn frames_are_stamped_on_the_grid_and_numbered_without_a_hole() {
        let mut camera = TestPattern::open(&wish(Size::new(320, 240))).unwrap();
        let mut last: Option<RawFrame> = None;
        for _ in 0..6 {
            let frame = camera.next(Duration::from_secs(1)).unwrap();
            assert!(frame.stamp <= MonoTime::now());
            let drawn = strip::tests::decode(&frame).expect("the strip reads");
            assert_eq!(u64::from(drawn.counter), frame.sequence);
            let wall = WallTime::now().as_millis();
            assert!(wall.abs_diff(drawn.millis) < 1000, "strip {} at {wall}", drawn.millis);
            if let Some(last) = last {
                let steps = frame.sequence - last.sequence;
                assert_eq!(frame.stamp - last.stamp, Duration::from_millis(5) * steps as u32);
            }
            last = Some(frame);
        }
        let last = last.unwrap().sequence;
        assert_eq!(camera.dropped(), last + 1 - 6, "a late wake-up skips frames and counts them");
    }

    #[test]
    fn frames_missed_by_a_slow_caller_are_counted_and_show_in_the_sequence() {
        let mut camera = TestPattern::open(&wish(Size::new(160, 120))).unwrap();
        let first = camera.next(Duration::from_secs(1)).unwrap();
        sleep_until(first.stamp + Duration::from_millis(52));
        let second = camera.next(Duration::from_secs(1)).unwrap();
        assert!(second.sequence >= first.sequence + 10);
        assert_eq!(camera.dropped(), first.sequence + second.sequence - first.sequence - 1);
    }

    #[test]
    fn a_frame_that_is_not_due_within_patience_is_a_stall() {
        let slow = CameraWish { fps: FrameRate::new(1, 60), ..wish(Size::new(160, 120)) };
        let mut camera = TestPattern::open(&slow).unwrap();
        camera.next(Duration::ZERO).unwrap();
        assert!(matches!(camera.next(Duration::from_millis(1)), Err(DeviceError::Stalled { .. })));
    }

    #[test]
    fn sizes_it_cannot_draw_are_refused_with_the_mend() {
        for (width, height, mend) in
            [(161, 120, "160x120"), (160, 118, "160x120"), (1921, 1081, "1920x1080"), (100_000, 720, "8192x720")]
        {
            let error = TestPattern::open(&wish(Size::new(width, height))).err().unwrap().to_string();
            assert!(error.contains(&format!("such as {mend}")), "{error}");
        }
    }
}
