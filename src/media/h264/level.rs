//! The levels of ITU-T H.264 table A-1.

use crate::media::FrameRate;

/// `level_idc`, macroblocks per second, macroblocks in a frame; of levels with the same bounds the first.
const LEVELS: [(u8, u64, u64); 17] = [
    (10, 1_485, 99),
    (11, 3_000, 396),
    (12, 6_000, 396),
    (13, 11_880, 396),
    (21, 19_800, 792),
    (22, 20_250, 1_620),
    (30, 40_500, 1_620),
    (31, 108_000, 3_600),
    (32, 216_000, 5_120),
    (40, 245_760, 8_192),
    (42, 522_240, 8_704),
    (50, 589_824, 22_080),
    (51, 983_040, 36_864),
    (52, 2_073_600, 36_864),
    (60, 4_177_920, 139_264),
    (61, 8_355_840, 139_264),
    (62, 16_711_680, 139_264),
];

/// The lowest level for frames of so many macroblocks; the highest there is where none is enough. A tenth more is let
/// pass: the rate is a camera's promise, and no decoder stops at the very edge.
pub fn needed(macroblocks: u64, fps: FrameRate) -> u8 {
    let per_second = (macroblocks as f64 * fps.as_f64() * 0.9) as u64;
    let enough = |(_, rate, size): &&(u8, u64, u64)| per_second <= *rate && macroblocks <= *size;
    LEVELS.iter().find(enough).map_or(62, |(level, ..)| *level)
}

/// As a person writes it.
pub fn name(level_idc: u8) -> String {
    format!("{}.{}", level_idc / 10, level_idc % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_by_size_and_rate() {
        let level =
            |width: u64, height: u64, fps| needed(width.div_ceil(16) * height.div_ceil(16), FrameRate::new(fps, 1));
        assert_eq!(level(1280, 720, 30), 31);
        assert_eq!(level(1280, 720, 60), 32);
        assert_eq!(level(1920, 1080, 30), 40);
        assert_eq!(level(1920, 1080, 60), 42);
        assert_eq!(level(640, 480, 30), 30);
        assert_eq!(level(320, 240, 15), 12);
        assert_eq!(level(320, 240, 30), 13);
        assert_eq!(level(3840, 2160, 30), 51);
        assert_eq!(level(60_000, 60_000, 30), 62);
        assert_eq!(name(31), "3.1");
    }
}
