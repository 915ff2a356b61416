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
/// reaches the rate, then the format that costs the encoder least. What is passed through is never changed for another
/// format.
///
/// # Errors
/// In words: nothing is offered that serves the wish.
pub fn choose(offers: &[Offer], wish: &CameraWish) -> Result<Choice, String> {
    let (candidates, missing) = candidates(offers, wish)?;
    let best = candidates.iter().copied().min_by_key(|offer| {
        let rate = offer.rates.nearest(wish.fps);
        let shortfall = if reaches(rate, wish.fps) { FrameRate::new(u32::MAX, 1) } else { rate };
        (distance(offer.size, wish.size), Reverse(shortfall), cost(offer.format), rate)
    });
    let best = best.ok_or("it tells no picture size")?;
    let fps = best.rates.nearest(wish.fps);

    let mut reasons = Vec::new();
    if let Some(format) = missing {
        reasons.push(format!("the camera has no {format}"));
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
    if wish.pass_through.is_some() {
        reasons.push(format!("its {} is passed through", best.format));
    } else if wish.format.is_none() || missing.is_some() {
        let cheaper_but_short =
            candidates.iter().any(|other| other.size == best.size && cost(other.format) < cost(best.format));
        reasons.push(if cheaper_but_short {
            format!("in that rate only as {}", best.format)
        } else {
            format!("{} costs the encoder least", best.format)
        });
    }
    Ok(Choice { format: best.format, fourcc: best.fourcc, size: best.size, fps, reason: reasons.join(", ") })
}

/// The offers that serve the wish, and the wished format if none of them has it.
fn candidates<'a>(offers: &'a [Offer], wish: &CameraWish) -> Result<(Vec<&'a Offer>, Option<PixelFormat>), String> {
    let of = |format: PixelFormat| offers.iter().filter(|offer| offer.format == format).collect::<Vec<_>>();
    if let Some(pass_through) = &wish.pass_through {
        let servable =
            if pass_through.alone { &[PixelFormat::H264, PixelFormat::Mjpeg][..] } else { &[PixelFormat::Mjpeg] };
        let serves = |format: &&PixelFormat| wish.format.is_none_or(|wished| wished == **format);
        let found = servable.iter().filter(serves).map(|format| of(*format)).find(|offers| !offers.is_empty());
        return found.map(|offers| (offers, None)).ok_or_else(|| nothing_to_pass(offers, wish, servable));
    }
    let decoded: Vec<_> = offers.iter().filter(|offer| offer.format != PixelFormat::H264).collect();
    if decoded.is_empty() && !offers.is_empty() {
        return Err("it gives H.264 alone, which is served as it is: codec = \"copy\" in the stream".to_owned());
    }
    match wish.format.map(|format| (format, of(format))) {
        Some((format, wished)) if format != PixelFormat::H264 && !wished.is_empty() => return Ok((wished, None)),
        _ => {}
    }
    // Without colour only where there is no other picture.
    let coloured: Vec<_> = decoded.iter().copied().filter(|offer| offer.format != PixelFormat::Grey).collect();
    Ok((if coloured.is_empty() { decoded } else { coloured }, wish.format))
}

fn nothing_to_pass(offers: &[Offer], wish: &CameraWish, servable: &[PixelFormat]) -> String {
    let names = |formats: &mut dyn Iterator<Item = PixelFormat>| {
        let mut names: Vec<_> = formats.map(PixelFormat::name).collect();
        names.dedup();
        names.join(", ")
    };
    let there = names(&mut offers.iter().map(|offer| offer.format));
    let wanted = match wish.format {
        Some(format) => format!("{format}, as `format` says, of {}", names(&mut servable.iter().copied())),
        None => names(&mut servable.iter().copied()),
    };
    format!("codec = \"copy\" passes {wanted} through, and it gives {there}; codec = \"h264\" in the stream helps")
}

/// How far a size is from the wished one; of two equally far the larger comes first.
fn distance(size: Size, wish: Size) -> (u64, Reverse<u64>) {
    let away = size.width.abs_diff(wish.width) as u64 + size.height.abs_diff(wish.height) as u64;
    (away, Reverse(size.pixels()))
}

/// Cheapest first for an encoder that takes planar 4:2:0; a picture of fewer shades comes after one that costs more.
fn cost(format: PixelFormat) -> u32 {
    match format {
        PixelFormat::I420 => 0,
        PixelFormat::Nv12 => 1,
        PixelFormat::Nv21 => 2,
        PixelFormat::I422 => 3,
        PixelFormat::Nv16 => 4,
        PixelFormat::Yuyv => 5,
        PixelFormat::Uyvy => 6,
        PixelFormat::Yvyu => 7,
        PixelFormat::Vyuy => 8,
        PixelFormat::Bgrx32 => 9,
        PixelFormat::Rgb24 => 10,
        PixelFormat::Bgr24 => 11,
        PixelFormat::Mjpeg => 12,
        PixelFormat::Rgb565 => 13,
        PixelFormat::Grey => 14,
        PixelFormat::H264 => 15,
    }
}

/// The value of a stepwise range (`least`, `least + step` … `most`) that is nearest to `wish`.
pub fn nearest_step(wish: u32, least: u32, most: u32, step: u32) -> u32 {
    let (most, step) = (most.max(least), step.max(1));
    let steps = (wish.clamp(least, most) - least + step / 2) / step;
    least.saturating_add(steps.min((most - least) / step) * step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device::PassThrough,
        media::{H264Profile, Orientation, Scene},
    };

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
        assert!(choose(&[], &wish("640x480", 30)).is_err());
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

    fn passing(alone: bool) -> CameraWish {
        let gop = std::time::Duration::from_secs(2);
        let pass = PassThrough { alone, bitrate: 2_000_000, gop, profile: H264Profile::Baseline };
        CameraWish { pass_through: Some(pass), ..wish("1280x720", 30) }
    }

    #[test]
    fn for_pass_through_h264_comes_before_mjpeg_unless_others_decode_the_pictures() {
        let mut camera = usb_camera();
        assert_eq!(chosen(&camera, &passing(true)).0, PixelFormat::Mjpeg);
        camera.push(offer(PixelFormat::H264, "1920x1080", &[30]));
        assert_eq!(chosen(&camera, &passing(true)), (PixelFormat::H264, "1920x1080".into(), "30".into()));
        assert_eq!(chosen(&camera, &passing(false)).0, PixelFormat::Mjpeg);
        let mjpeg = CameraWish { format: Some(PixelFormat::Mjpeg), ..passing(true) };
        assert_eq!(chosen(&camera, &mjpeg).0, PixelFormat::Mjpeg);
        let refused = |wish| choose(&camera, &wish).unwrap_err();
        assert!(refused(CameraWish { format: Some(PixelFormat::H264), ..passing(false) }).contains("helps"));
        assert!(refused(CameraWish { format: Some(PixelFormat::Yuyv), ..passing(true) }).contains("yuyv"));
        let raw_alone = choose(&[offer(PixelFormat::Yuyv, "640x480", &[30])], &passing(true)).unwrap_err();
        assert!(raw_alone.contains("h264, mjpeg through, and it gives yuyv;"), "{raw_alone}");
    }

    #[test]
    fn h264_is_not_decoded_and_grey_is_the_last_choice() {
        let h264 = offer(PixelFormat::H264, "640x480", &[30]);
        let grey = offer(PixelFormat::Grey, "640x480", &[60]);
        let slow = offer(PixelFormat::Mjpeg, "320x240", &[5]);
        let offers = [h264.clone(), grey.clone(), slow];
        assert_eq!(chosen(&offers, &wish("640x480", 60)).0, PixelFormat::Mjpeg);
        let wished = |format| CameraWish { format: Some(format), ..wish("640x480", 60) };
        assert_eq!(chosen(&offers, &wished(PixelFormat::Grey)).0, PixelFormat::Grey);
        assert_eq!(chosen(&offers, &wished(PixelFormat::H264)).0, PixelFormat::Mjpeg);
        assert_eq!(chosen(&[grey], &wish("640x480", 60)).0, PixelFormat::Grey);
        assert!(choose(&[h264], &wish("640x480", 30)).unwrap_err().contains("copy"));
    }
}
