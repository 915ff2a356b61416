//! The time strip: 3 rows of 32 cells at the top left of the picture, white for 1 and black for 0, that hold the
//! frame counter and the capture time: 16 bits of sync word, 16 bits of counter, 48 bits of CLOCK_REALTIME in
//! milliseconds, CRC-16/CCITT-FALSE over those eight bytes; most significant bit first, row by row.

use crate::{
    device::canvas::{Area, BLACK, Canvas, WHITE},
    media::Size,
    time::WallTime,
};

const ROWS: usize = 3;
const COLUMNS: usize = 32;
const SYNC: u16 = 0xb5c3;

/// Width and height of a cell in a picture of that size.
fn cell(size: Size) -> (usize, usize) {
    let (width, height) = (size.width as usize, size.height as usize);
    ((width / COLUMNS) & !1, ((height / 24) & !1).max(8))
}

/// Rows of luma that the strip takes.
pub fn height(size: Size) -> usize {
    ROWS * cell(size).1
}

pub fn draw(canvas: &mut Canvas, sequence: u64, wall: WallTime) {
    let (width, height) = cell(canvas.size());
    let stride = canvas.width();
    for (row, bits) in words(sequence, wall).into_iter().enumerate() {
        let top = row * height;
        for column in 0..COLUMNS {
            let luma = if bits & (1 << 31 >> column) != 0 { WHITE } else { BLACK };
            canvas.fill(&Area::new(column * width..(column + 1) * width, top..top + 1), luma);
        }
        let rows = canvas.rows(top..top + height);
        for below in 1..height {
            rows.copy_within(..COLUMNS * width, below * stride);
        }
    }
}

/// The 96 bits, a word per row.
fn words(sequence: u64, wall: WallTime) -> [u32; ROWS] {
    let counter = sequence & 0xffff;
    let body = (counter << 48) | (wall.as_millis() & 0xffff_ffff_ffff);
    let tail = (body << 16) | u64::from(crc16(&body.to_be_bytes()));
    [(u32::from(SYNC) << 16) | counter as u32, (tail >> 32) as u32, tail as u32]
}

/// CRC-16/CCITT-FALSE: polynomial 0x1021, initially 0xffff.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc, _| if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 },
        )
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::media::RawFrame;

    #[derive(Debug, PartialEq)]
    pub struct Reading {
        pub counter: u16,
        pub millis: u64,
    }

    /// Reads a strip as somebody who knows only its definition does: means over the middle of each cell.
    pub fn read(luma: &[u8], stride: usize, width: usize, height: usize) -> Option<Reading> {
        let (cw, ch) = (width / 32 / 2 * 2, std::cmp::max(8, height / 24 / 2 * 2));
        let mut means = Vec::new();
        for row in 0..3 {
            for column in 0..32 {
                let (mut sum, mut count) = (0usize, 0);
                for y in row * ch + ch / 4..(row + 1) * ch - ch / 4 {
                    for x in column * cw + cw / 4..(column + 1) * cw - cw / 4 {
                        sum += usize::from(luma[y * stride + x]);
                        count += 1;
                    }
                }
                means.push(sum / count);
            }
        }
        let (low, high) = (*means.iter().min()?, *means.iter().max()?);
        let bits: Vec<bool> = means.iter().map(|mean| *mean > (low + high) / 2).collect();
        let number = |range: std::ops::Range<usize>| bits[range].iter().fold(0u64, |n, bit| n * 2 + u64::from(*bit));
        // CRC by long division of the message followed by 16 zeroes, the first 16 bits inverted for the initial value.
        let mut message: Vec<bool> = bits[16..80].iter().copied().chain([false; 16]).collect();
        message[..16].iter_mut().for_each(|bit| *bit = !*bit);
        for at in 0..64 {
            if message[at] {
                for tap in [0, 4, 11, 16] {
                    message[at + tap] = !message[at + tap];
                }
            }
        }
        let valid = high - low >= 60 && number(0..16) == 0xb5c3 && message[64..] == bits[80..];
        valid.then(|| Reading { counter: number(16..32) as u16, millis: number(32..80) })
    }

    pub fn decode(frame: &RawFrame) -> Option<Reading> {
        read(frame.bytes(), frame.planes[0].stride, frame.size.width as usize, frame.size.height as usize)
    }

    #[test]
    fn the_crc_is_the_catalogued_one() {
        assert_eq!(crc16(b"123456789"), 0x29b1);
    }

    #[test]
    fn a_strip_reads_back_at_every_size() {
        for (width, height) in [(160, 120), (162, 122), (640, 360), (1000, 600), (1280, 720), (1920, 1080)] {
            let size = Size::new(width, height);
            let mut canvas = Canvas::new(size, 77);
            let millis = 0x0123_4567_89ab;
            draw(&mut canvas, 0x5_4321, WallTime::from_nanos(millis * 1_000_000 + 999_999));
            let (width, height) = (canvas.width(), canvas.height());
            let reading = read(canvas.bytes(), width, width, height);
            assert_eq!(reading, Some(Reading { counter: 0x4321, millis }), "{size}");
            // Nothing beside or below the grid was touched.
            let grid = 32 * (width / 32 / 2 * 2);
            for (y, row) in canvas.rows(0..height).chunks(width).enumerate() {
                let free = if y < super::height(size) { &row[grid..] } else { row };
                assert!(free.iter().all(|luma| *luma == 77));
            }
        }
    }
}
