//! The H.264 encoder inside a camera, by the controls of its driver. Most cameras have few of them or none: what is
//! there is set to the nearest possible, and what is missing stays as the camera has it.

use super::controls::{self, Control};
use crate::{
    device::PassThrough,
    media::{FrameRate, H264Profile},
    v4l2::{self as sys, Descriptor},
};

/// Sets what streams want of the encoder; what was taken, for the log.
pub fn set(device: &Descriptor, wish: &PassThrough, fps: FrameRate) -> String {
    let known = controls::controls(device);
    let mut taken = Vec::new();
    for (id, value) in settings(wish, fps) {
        let Some(control) = known.iter().find(|control| control.is(id)) else { continue };
        let value = nearest(control, id, value);
        if device.set_control(id, value as i32).is_ok() {
            taken.push(format!("{} {}", control.name, control.value(device).unwrap_or(value)));
        }
    }
    match taken.is_empty() {
        true => "its H.264 is as the camera has it; the driver has no controls for it".to_owned(),
        false => format!("its H.264 has {}", taken.join(", ")),
    }
}

/// Whether the camera can be asked for a key frame.
pub fn can_make_keyframes(device: &Descriptor) -> bool {
    device.described_control(sys::V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME).is_ok()
}

/// Asks for a key frame.
pub fn make_keyframe(device: &Descriptor) -> bool {
    device.set_control(sys::V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME, 1).is_ok()
}

/// What is set, in this order: a constant rate before its value, no pictures that are shown out of turn, parameter sets
/// before every key frame.
fn settings(wish: &PassThrough, fps: FrameRate) -> [(u32, i64); 8] {
    let pictures = (wish.gop.as_secs_f64() * fps.as_f64()).round().max(1.0) as i64;
    [
        (
            sys::V4L2_CID_MPEG_VIDEO_BITRATE_MODE,
            sys::v4l2_mpeg_video_bitrate_mode_V4L2_MPEG_VIDEO_BITRATE_MODE_CBR.into(),
        ),
        (sys::V4L2_CID_MPEG_VIDEO_BITRATE, i64::from(wish.bitrate)),
        (sys::V4L2_CID_MPEG_VIDEO_H264_PROFILE, profile(wish.profile)),
        (sys::V4L2_CID_MPEG_VIDEO_B_FRAMES, 0),
        (sys::V4L2_CID_MPEG_VIDEO_GOP_SIZE, pictures),
        (sys::V4L2_CID_MPEG_VIDEO_H264_I_PERIOD, pictures),
        (
            sys::V4L2_CID_MPEG_VIDEO_HEADER_MODE,
            sys::v4l2_mpeg_video_header_mode_V4L2_MPEG_VIDEO_HEADER_MODE_JOINED_WITH_1ST_FRAME.into(),
        ),
        (sys::V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER, 1),
    ]
}

fn profile(profile: H264Profile) -> i64 {
    i64::from(match profile {
        H264Profile::Baseline => sys::v4l2_mpeg_video_h264_profile_V4L2_MPEG_VIDEO_H264_PROFILE_CONSTRAINED_BASELINE,
        H264Profile::Main => sys::v4l2_mpeg_video_h264_profile_V4L2_MPEG_VIDEO_H264_PROFILE_MAIN,
        H264Profile::High => sys::v4l2_mpeg_video_h264_profile_V4L2_MPEG_VIDEO_H264_PROFILE_HIGH,
    })
}

/// The nearest possible value. Of profiles the nearest number means something only by chance: plain baseline stands for
/// constrained baseline, and else what the camera has stays.
fn nearest(control: &Control, id: u32, value: i64) -> i64 {
    let nearest = control.nearest(value);
    if nearest == value || id != sys::V4L2_CID_MPEG_VIDEO_H264_PROFILE {
        return nearest;
    }
    let baseline = i64::from(sys::v4l2_mpeg_video_h264_profile_V4L2_MPEG_VIDEO_H264_PROFILE_BASELINE);
    if value == profile(H264Profile::Baseline) && control.nearest(baseline) == baseline {
        baseline
    } else {
        control.default
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, time::Duration};

    fn wish(profile: H264Profile) -> PassThrough {
        PassThrough { alone: true, bitrate: 3_000_000, gop: Duration::from_secs(2), profile }
    }

    #[test]
    fn the_gop_is_counted_in_pictures() {
        let of = |fps| settings(&wish(H264Profile::Main), fps);
        let gop = |fps| of(fps).into_iter().find(|(id, _)| *id == sys::V4L2_CID_MPEG_VIDEO_GOP_SIZE).unwrap().1;
        assert_eq!(gop(FrameRate::new(30000, 1001)), 60);
        assert_eq!(gop(FrameRate::new(1, 10)), 1);
        assert!(of(FrameRate::new(30, 1)).contains(&(sys::V4L2_CID_MPEG_VIDEO_BITRATE, 3_000_000)));
    }

    #[test]
    fn a_profile_that_is_not_there_is_not_replaced_by_a_neighbour() {
        let id = sys::V4L2_CID_MPEG_VIDEO_H264_PROFILE;
        let menu = |entries: &[i64]| {
            let menu: BTreeMap<_, _> = entries.iter().map(|entry| (*entry, String::new())).collect();
            Control::for_test(id, (0, 16, 1), entries[0], Some(menu))
        };
        let [baseline, constrained, main, high] = [0, 1, 2, 4];
        let all = menu(&[baseline, constrained, main, high]);
        assert_eq!(nearest(&all, id, profile(H264Profile::Baseline)), constrained);
        assert_eq!(nearest(&all, id, profile(H264Profile::High)), high);
        assert_eq!(nearest(&menu(&[main, baseline]), id, profile(H264Profile::Baseline)), baseline);
        assert_eq!(nearest(&menu(&[high, main]), id, profile(H264Profile::Baseline)), high);
        let bitrate = Control::for_test(1, (25_000, 2_500_000, 25_000), 1, None);
        assert_eq!(nearest(&bitrate, 1, 3_000_000), 2_500_000);
    }
}
