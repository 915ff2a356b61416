//! The marks of the test source, read back from what a player decoded: the time strip, the flash and the beep.
//!
//! The strip is a grid of 3 rows of 32 cells at the top left: a sync word, the camera's frame counter, the wall-clock
//! time of the capture in milliseconds and a CRC. In the first 100 ms of every even second the lower half is white and
//! a 1000 Hz tone of about -6 dBFS sounds.

use std::f64::consts::TAU;

/// Milliseconds from one flash to the next, and how long one lasts.
pub const MARK_PERIOD_MS: u64 = 2000;
pub const MARK_MS: u64 = 100;
/// The pitch of the beep in Hz.
pub const TONE_HZ: f64 = 1000.0;

const SYNC: u16 = 0xB5C3;
const ROWS: usize = 3;
const COLUMNS: usize = 32;

/// What stands in the strip of one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strip {
    /// The camera's frame counter, modulo 65,536.
    pub counter: u16,
    /// When the picture was taken, in milliseconds since 1970.
    pub millis: u64,
}

impl Strip {
    /// Whether the picture was taken while the flash is on.
    pub fn in_flash(self) -> bool {
        self.millis % MARK_PERIOD_MS < MARK_MS
    }

    /// Seconds from the beginning of the picture's mark period to its capture.
    pub fn since_mark(self) -> f64 {
        (self.millis % MARK_PERIOD_MS) as f64 / 1000.0
    }
}

/// A luma plane whose rows lie `stride` bytes apart.
#[derive(Clone, Copy)]
pub struct Luma<'a> {
    pub data: &'a [u8],
    pub width: usize,
    pub height: usize,
    pub stride: usize,
}

impl Luma<'_> {
    /// The strip; `None` where it is damaged or there is none.
    pub fn strip(&self) -> Option<Strip> {
        let (cell_width, cell_height) = self.cell();
        let mut levels = [0.0; ROWS * COLUMNS];
        for (n, level) in levels.iter_mut().enumerate() {
            let (x, y) = (n % COLUMNS * cell_width, n / COLUMNS * cell_height);
            // The middle of a cell: its edges ring.
            *level =
                self.mean(x + cell_width / 4, y + cell_height / 4, cell_width.div_ceil(2), cell_height.div_ceil(2));
        }
        let low = levels.iter().copied().fold(f64::MAX, f64::min);
        let high = levels.iter().copied().fold(f64::MIN, f64::max);
        if high - low < 60.0 {
            return None;
        }
        let bits = levels.iter().fold(0u128, |bits, level| bits << 1 | u128::from(*level > (low + high) / 2.0));
        let body = (bits >> 16) as u64;
        if (bits >> 80) as u16 != SYNC || crc16(&body.to_be_bytes()) != bits as u16 {
            return None;
        }
        Some(Strip { counter: (body >> 48) as u16, millis: body & 0xFFFF_FFFF_FFFF })
    }

    /// Whether the lower half is what the strip's time says: white in a flash, else dark. One pixel in fifty may ring.
    pub fn lower_half_is_right(&self, strip: Strip) -> bool {
        let rows = self.height / 2 + 8..self.height;
        let wrong = |luma: u8| if strip.in_flash() { luma < 180 } else { luma > 125 };
        let pixels = rows.len() * self.width;
        let bad: usize = rows.map(|y| self.row(y).iter().filter(|luma| wrong(**luma)).count()).sum();
        bad * 50 < pixels
    }

    fn cell(&self) -> (usize, usize) {
        ((self.width / COLUMNS) & !1, ((self.height / 24) & !1).max(8))
    }

    fn row(&self, y: usize) -> &[u8] {
        &self.data[y * self.stride..][..self.width]
    }

    fn mean(&self, x: usize, y: usize, width: usize, height: usize) -> f64 {
        let sum: u32 = (y..y + height).flat_map(|y| &self.row(y)[x..x + width]).map(|luma| u32::from(*luma)).sum();
        f64::from(sum) / (width * height) as f64
    }
}

/// CRC-16/CCITT-FALSE.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| if crc & 0x8000 != 0 { crc << 1 ^ 0x1021 } else { crc << 1 })
    })
}

/// Where beeps begin, as indices into samples of full scale 1: the first that is loud after 0.3 s that were not.
pub fn beeps(samples: &[f32], rate: u32) -> Vec<usize> {
    let quiet = rate as usize * 3 / 10;
    let mut silent = 0;
    let mut found = Vec::new();
    for (at, sample) in samples.iter().enumerate() {
        if sample.abs() < 0.05 {
            silent += 1;
        } else {
            if silent >= quiet {
                found.push(at);
            }
            silent = 0;
        }
    }
    found
}

/// The strongest pitch in Hz, to 2 Hz, between 100 Hz and a little below half the rate.
pub fn pitch(samples: &[f32], rate: u32) -> f64 {
    let highest = (rate / 2 - 100).min(5000);
    let power = |hertz: &u32| {
        let step = TAU * f64::from(*hertz) / f64::from(rate);
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in samples.iter().enumerate() {
            // A Hann window, or a short beep would have side lobes.
            let window = 0.5 - 0.5 * (TAU * n as f64 / samples.len() as f64).cos();
            let (sin, cos) = (step * n as f64).sin_cos();
            re += f64::from(*sample) * window * cos;
            im += f64::from(*sample) * window * sin;
        }
        re * re + im * im
    };
    let strongest = |candidates: Vec<u32>| candidates.into_iter().max_by(|a, b| power(a).total_cmp(&power(b))).unwrap();
    let near = strongest((100..highest).step_by(20).collect());
    f64::from(strongest((near - 20..=near + 20).step_by(2).collect()))
}

/// The level of samples in dB below full scale of a sine: 0 is a sine that just clips.
pub fn level_dbfs(samples: &[f32]) -> f64 {
    let square: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    10.0 * (2.0 * square / samples.len().max(1) as f64).max(1e-12).log10()
}

/// One sample of G.711 µ-law, at full scale 1.
pub fn ulaw(code: u8) -> f32 {
    let code = !code;
    let magnitude = (((i32::from(code & 0x0F) << 3) + 0x84) << (code >> 4 & 7)) - 0x84;
    (if code & 0x80 != 0 { -magnitude } else { magnitude }) as f32 / 32768.0
}
