//! The levels of ITU-T H.264 table A-1.

use crate::media::{FrameRate, Size};

/// `level_idc`, macroblocks per second, macroblocks in a frame, bit/s in thousands; of levels with the same bounds the
/// first.
const LEVELS: [(u8, u64, u64, u64); 18] = [
    (10, 1_485, 99, 64),
    (11, 3_000, 396, 192),
    (12, 6_000, 396, 384),
    (13, 11_880, 396, 768),
    (21, 19_800, 792, 4_000),
    (22, 20_250, 1_620, 4_000),
    (30, 40_500, 1_620, 10_000),
    (31, 108_000, 3_600, 14_000),
    (32, 216_000, 5_120, 20_000),
    (40, 245_760, 8_192, 20_000),
    (41, 245_760, 8_192, 50_000),
    (42, 522_240, 8_704, 50_000),
    (50, 589_824, 22_080, 135_000),
    (51, 983_040, 36_864, 240_000),
    (52, 2_073_600, 36_864, 240_000),
    (60, 4_177_920, 139_264, 240_000),
    (61, 8_355_840, 139_264, 480_000),
    (62, 16_711_680, 139_264, 800_000),
];

/// The lowest level for frames of so many macroblocks; the highest there is where none is enough. A tenth more is let
/// pass: the rate is a camera's promise, and no decoder stops at the very edge.
pub fn needed(macroblocks: u64, fps: FrameRate) -> u8 {
    lowest((macroblocks as f64 * fps.as_f64() * 0.9) as u64, macroblocks, 0)
}

/// The lowest level for what is encoded here, with nothing let pass: `bitrate` is the highest that is planned, in bit/s.
/// An encoder may refuse to make what its level does not allow.
pub fn to_encode(size: Size, fps: FrameRate, bitrate: u32) -> u8 {
    let macroblocks = u64::from(size.width.div_ceil(16)) * u64::from(size.height.div_ceil(16));
    lowest(per_second(size, fps), macroblocks, u64::from(bitrate.div_ceil(1000)))
}

/// Macroblocks a second, begun ones counted whole.
pub fn per_second(size: Size, fps: FrameRate) -> u64 {
    let macroblocks = u64::from(size.width.div_ceil(16)) * u64::from(size.height.div_ceil(16));
    (macroblocks * u64::from(fps.num)).div_ceil(u64::from(fps.den))
}

fn lowest(per_second: u64, macroblocks: u64, kilobits: u64) -> u8 {
    let enough =
        |(_, rate, size, bits): &&(u8, u64, u64, u64)| per_second <= *rate && macroblocks <= *size && kilobits <= *bits;
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

    #[test]
    fn levels_to_encode_hold_what_they_promise() {
        let level = |width, height, fps, bitrate| to_encode(Size::new(width, height), FrameRate::new(fps, 1), bitrate);
        assert_eq!(level(1920, 1080, 30, 4_000_000), 40);
        // 8160 macroblocks 31 times: a tenth too many for 4.0 would pass from a camera.
        assert_eq!(level(1920, 1080, 31, 4_000_000), 42);
        assert_eq!(level(1920, 1080, 30, 20_000_001), 41);
        assert_eq!(level(1280, 720, 30, 4_000_000), 31);
        assert_eq!(level(640, 480, 25, 500_000), 30);
        assert_eq!(level(1280, 720, 30, 14_000_500), 32);
        assert_eq!(per_second(Size::new(1280, 720), FrameRate::new(30000, 1001)), 107_893);
    }
}
