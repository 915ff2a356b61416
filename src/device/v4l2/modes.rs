//! Which of a camera's formats, sizes and rates serves a wish best. Pure: what the camera offers comes in as a list.

use crate::{
    device::CameraWish,
    media::{FrameRate, PixelFormat, Size},
};
use std::cmp::Reverse;

/// Rates this close below the wish count as the wish: 29.97 for 30, 14.98 for 15.
const RATE_TOLERANCE: f64 = 0.01;

/// One format in one size that a camera has.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    pub format: PixelFormat,
    /// The camera's own code for it; of Mjpeg there are two.
    pub fourcc: u32,
    pub size: Size,
    pub rates: Rates,
}

/// The rates of an [`Offer`].
#[derive(Clone, Debug, PartialEq)]
pub enum Rates {
    /// The driver does not tell.
    Unknown,
    Each(Vec<FrameRate>),
    Between(FrameRate, FrameRate),
}

impl Rates {
    /// The rate nearest to the wish: the lowest that reaches it, else the highest there is.
    pub fn nearest(&self, wish: FrameRate) -> FrameRate {
        match self {
            Self::Unknown => wish,
            Self::Between(low, high) => wish.clamp(*low.min(high), *high.max(low)),
            Self::Each(rates) => {
                let reaching = rates.iter().filter(|rate| reaches(**rate, wish)).min();
                *reaching.or(rates.iter().max()).unwrap_or(&wish)
            }
        }
    }
}

fn reaches(rate: FrameRate, wish: FrameRate) -> bool {
    rate.as_f64() >= wish.as_f64() * (1.0 - RATE_TOLERANCE)
}

/// What was chosen of a camera's offers, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    pub format: PixelFormat,
    pub fourcc: u32,
    pub size: Size,
    pub fps: FrameRate,
    pub reason: String,
}

/// The offer nearest to the wish: of the wished format if there is one, then the exact or nearest size, then one that
/// reaches the rate, then the format that costs the encoder least, and that is MJPEG last. None without offers.
pub fn choose(offers: &[Offer], wish: &CameraWish) -> Option<Choice> {
    let of_format = |offer: &&Offer| wish.format.is_none_or(|format| offer.format == format);
    let format_missing = !offers.iter().any(|offer| of_format(&offer));
    let candidates = || offers.iter().filter(|offer| format_missing || of_format(offer));
    let best = candidates().min_by_key(|offer| {
        let rate = offer.rates.nearest(wish.fps);
        let shortfall = if reaches(rate, wish.fps) { FrameRate::new(u32::MAX, 1) } else { rate };
        (distance(offer.size, wish.size), Reverse(shortfall), cost(offer.format), rate)
    })?;
    let fps = best.rates.nearest(wish.fps);

    let mut reasons = Vec::new();
    if let Some(format) = wish.format.filter(|_| format_missing) {
        reasons.push(format!("the camera has no {}", format));
    }
    reasons.push(if best.size == wish.size {
        format!("it has {} exactly", wish.size)
    } else {
        format!("{} is the nearest it has to {}", best.size, wish.size)
    });
    reasons.push(match &best.rates {
        Rates::Unknown => "it does not tell its rates".to_owned(),
        _ if reaches(fps, wish.fps) => format!("at {fps} fps"),
        _ => format!("with {fps} fps at most, not {}", wish.fps),
    });
    if wish.format.is_none() || format_missing {
        let cheaper_but_short =
            candidates().any(|other| other.size == best.size && cost(other.format) < cost(best.format));
        reasons.push(if cheaper_but_short {
            format!("in that rate only as {}", best.format)
        } else {
            format!("{} costs the encoder least", best.format)
        });
    }
    Some(Choice { format: best.format, fourcc: best.fourcc, size: best.size, fps, reason: reasons.join(", ") })
}

/// How far a size is from the wished one; of two equally far the larger comes first.
fn distance(size: Size, wish: Size) -> (u64, Reverse<u64>) {
    let away = size.width.abs_diff(wish.width) as u64 + size.height.abs_diff(wish.height) as u64;
    (away, Reverse(size.pixels()))
}

/// Cheapest first for an encoder that takes planar 4:2:0.
fn cost(format: PixelFormat) -> u32 {
    match format {
        PixelFormat::I420 => 0,
        PixelFormat::Nv12 => 1,
        PixelFormat::Yuyv => 2,
        PixelFormat::Uyvy => 3,
        PixelFormat::Mjpeg => 4,
        _ => 5,
    }
}

/// The value of a stepwise range (`least`, `least + step` … `most`) that is nearest to `wish`.
pub fn nearest_step(wish: u32, least: u32, most: u32, step: u32) -> u32 {
    let (most, step) = (most.max(least), step.max(1));
    let steps = (wish.clamp(least, most) - least + step / 2) / step;
    least.saturating_add(steps.min((most - least) / step) * step)
}

/// The format of a V4L2 code (`linux/videodev2.h`), None for one that Eyrie does not read.
pub fn format_of(fourcc: u32) -> Option<PixelFormat> {
    Some(match &fourcc.to_le_bytes() {
        b"YU12" => PixelFormat::I420,
        b"NV12" => PixelFormat::Nv12,
        b"YUYV" => PixelFormat::Yuyv,
        b"UYVY" => PixelFormat::Uyvy,
        b"MJPG" | b"JPEG" => PixelFormat::Mjpeg,
        _ => return None,
    })
}

/// The name that a config uses for a V4L2 code, None for one that it cannot name.
pub fn config_name(fourcc: u32) -> Option<&'static str> {
    Some(match &fourcc.to_le_bytes() {
        b"RGB3" => "rgb24",
        b"H264" => "h264",
        _ => return format_of(fourcc).map(|format| format.name()),
    })
}

/// The four letters of a code; others than letters and digits as `.`.
pub fn letters(fourcc: u32) -> String {
    let letters = (fourcc & 0x7fff_ffff).to_le_bytes();
    letters.iter().map(|b| if b.is_ascii_alphanumeric() { *b as char } else { '.' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{Orientation, Scene};

    fn wish(size: &str, fps: u32) -> CameraWish {
        CameraWish {
            device: "x".into(),
            name: "x".into(),
            size: size.parse().unwrap(),
            fps: FrameRate::new(fps, 1),
            format: None,
            pass_through: None,
            orientation: Orientation::default(),
            controls: vec![],
            scene: Scene::Bars,
        }
    }

    fn offer(format: PixelFormat, size: &str, rates: &[u32]) -> Offer {
        let rates = Rates::Each(rates.iter().map(|fps| FrameRate::new(*fps, 1)).collect());
        Offer { format, fourcc: 0, size: size.parse().unwrap(), rates }
    }

    /// What a plain USB 2 camera offers: raw only as fast as the bus is.
    fn usb_camera() -> Vec<Offer> {
        vec![
            offer(PixelFormat::Mjpeg, "1280x720", &[30, 15]),
            offer(PixelFormat::Mjpeg, "640x480", &[30, 15]),
            offer(PixelFormat::Yuyv, "1280x720", &[10, 5]),
            offer(PixelFormat::Yuyv, "640x480", &[30, 25, 15]),
        ]
    }

    fn chosen(offers: &[Offer], wish: &CameraWish) -> (PixelFormat, String, String) {
        let choice = choose(offers, wish).unwrap();
        (choice.format, choice.size.to_string(), choice.fps.to_string())
    }

    #[test]
    fn raw_where_it_reaches_the_rate_and_mjpeg_where_not() {
        let camera = usb_camera();
        assert_eq!(chosen(&camera, &wish("640x480", 30)), (PixelFormat::Yuyv, "640x480".into(), "30".into()));
        assert_eq!(chosen(&camera, &wish("1280x720", 30)), (PixelFormat::Mjpeg, "1280x720".into(), "30".into()));
        assert_eq!(chosen(&camera, &wish("1280x720", 10)), (PixelFormat::Yuyv, "1280x720".into(), "10".into()));
        let why = choose(&camera, &wish("1280x720", 30)).unwrap().reason;
        assert!(why.contains("only as mjpeg"), "{why}");
    }

    #[test]
    fn the_nearest_size_and_the_lowest_rate_that_reaches() {
        let camera = usb_camera();
        assert_eq!(chosen(&camera, &wish("1920x1080", 30)).1, "1280x720");
        assert_eq!(chosen(&camera, &wish("320x240", 20)), (PixelFormat::Yuyv, "640x480".into(), "25".into()));
        assert_eq!(chosen(&camera, &wish("640x480", 60)), (PixelFormat::Yuyv, "640x480".into(), "30".into()));
        let why = choose(&camera, &wish("640x480", 60)).unwrap().reason;
        assert!(why.contains("30 fps at most, not 60"), "{why}");
    }

    #[test]
    fn the_cheapest_format_for_the_encoder() {
        use PixelFormat::*;
        for (best, formats) in [(I420, [Uyvy, Nv12, I420, Yuyv]), (Nv12, [Yuyv, Nv12, Mjpeg, Uyvy])] {
            let offers = formats.map(|format| offer(format, "640x480", &[30]));
            assert_eq!(chosen(&offers, &wish("640x480", 30)).0, best);
        }
    }

    #[test]
    fn a_wished_format_is_taken_even_where_it_is_slow_and_missed_in_words() {
        let camera = usb_camera();
        let mut yuyv = wish("1280x720", 30);
        yuyv.format = Some(PixelFormat::Yuyv);
        assert_eq!(chosen(&camera, &yuyv), (PixelFormat::Yuyv, "1280x720".into(), "10".into()));
        yuyv.format = Some(PixelFormat::Nv12);
        let choice = choose(&camera, &yuyv).unwrap();
        assert_eq!(choice.format, PixelFormat::Mjpeg);
        assert!(choice.reason.contains("has no nv12"), "{}", choice.reason);
    }

    #[test]
    fn rates_that_are_ranges_unknown_or_nearly_right() {
        let between = Rates::Between(FrameRate::new(1, 1), FrameRate::new(60, 1));
        assert_eq!(between.nearest(FrameRate::new(25, 1)), FrameRate::new(25, 1));
        assert_eq!(between.nearest(FrameRate::new(90, 1)), FrameRate::new(60, 1));
        assert_eq!(Rates::Unknown.nearest(FrameRate::new(7, 1)), FrameRate::new(7, 1));
        let ntsc = Rates::Each(vec![FrameRate::new(60, 1), FrameRate::new(30000, 1001)]);
        assert_eq!(ntsc.nearest(FrameRate::new(30, 1)), FrameRate::new(30000, 1001));
        assert_eq!(Rates::Each(vec![]).nearest(FrameRate::new(30, 1)), FrameRate::new(30, 1));
        assert!(choose(&[], &wish("640x480", 30)).is_none());
    }

    #[test]
    fn steps_of_a_range_are_kept() {
        assert_eq!(nearest_step(640, 16, 4096, 16), 640);
        assert_eq!(nearest_step(637, 16, 4096, 16), 640);
        assert_eq!(nearest_step(9999, 32, 1000, 64), 992);
        assert_eq!(nearest_step(1, 32, 1000, 64), 32);
        assert_eq!(nearest_step(5, 10, 3, 0), 10);
        assert_eq!(nearest_step(u32::MAX, u32::MAX - 1, u32::MAX, 1), u32::MAX);
    }

    #[test]
    fn codes_and_names_belong_together() {
        assert_eq!(format_of(u32::from_le_bytes(*b"JPEG")), Some(PixelFormat::Mjpeg));
        assert_eq!(config_name(u32::from_le_bytes(*b"YU12")), Some("yu12"));
        assert_eq!(config_name(u32::from_le_bytes(*b"H264")), Some("h264"));
        assert_eq!(config_name(u32::from_le_bytes(*b"BA81")), None);
        assert_eq!(letters(u32::from_le_bytes(*b"pRA\xff")), "pRA.");
    }
}
