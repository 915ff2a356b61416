//! The controls of an H.264 encoder. What a driver lacks it does its own way; only the level must be one that holds the
//! pictures.

use crate::{
    codec::{CodecError, H264Settings},
    media::{H264Profile, h264},
    v4l2::{self as sys, Descriptor},
};
use nix::errno::Errno;

/// What drivers are known to keep up with and no ioctl tells, in macroblocks a second: 1080p30.
const KNOWN_SPEEDS: &[(&str, u64)] = &[("bcm2835-codec", 245_760)];

/// Why an encoder of that driver is too slow for pictures of that size and rate.
pub fn too_slow(driver: &str, settings: &H264Settings) -> Option<String> {
    let (_, most) = KNOWN_SPEEDS.iter().find(|(known, _)| *known == driver)?;
    let needed = h264::macroblocks_per_second(settings.size, settings.fps);
    (needed > *most).then(|| format!("it does not keep up with {} at {} fps", settings.size, settings.fps))
}

/// Sets all that H.264 has, before the queues have buffers.
///
/// # Errors
/// A level that the encoder does not have.
pub fn set(device: &Descriptor, settings: &H264Settings) -> Result<(), CodecError> {
    for (id, value) in wishes(settings) {
        set_if_there(device, id, value);
    }
    if settings.profile == H264Profile::Baseline && !has_constrained_baseline(device) {
        let baseline = sys::v4l2_mpeg_video_h264_profile_V4L2_MPEG_VIDEO_H264_PROFILE_BASELINE;
        set_if_there(device, sys::V4L2_CID_MPEG_VIDEO_H264_PROFILE, baseline as i32);
    }
    let needed = h264::level_to_encode(settings.size, settings.fps, settings.ceiling());
    if device.described_control(sys::V4L2_CID_MPEG_VIDEO_H264_LEVEL).is_err() {
        return Ok(());
    }
    // Its menu may have gaps: the next level that is there.
    let enough = LEVELS.iter().filter(|(level, _)| *level >= needed);
    let mut tries = enough.map(|(_, code)| device.set_control(sys::V4L2_CID_MPEG_VIDEO_H264_LEVEL, *code as i32));
    match tries.any(|tried| tried.is_ok()) {
        true => Ok(()),
        false => Err(CodecError(format!("it does not have level {}", h264::level_name(needed)))),
    }
}

/// Changes the mean to hold, in bit/s.
pub fn set_bitrate(device: &Descriptor, bitrate: u32) -> Result<(), Errno> {
    device.set_control(sys::V4L2_CID_MPEG_VIDEO_BITRATE, bitrate.min(i32::MAX as u32) as i32)
}

/// What is set, in this order: that the rate is held and how, before its value.
fn wishes(settings: &H264Settings) -> [(u32, i32); 11] {
    let gop = settings.gop_frames().min(i32::MAX as u32) as i32;
    let bitrate = settings.bitrate.min(i32::MAX as u32) as i32;
    let constant = sys::v4l2_mpeg_video_bitrate_mode_V4L2_MPEG_VIDEO_BITRATE_MODE_CBR;
    let joined = sys::v4l2_mpeg_video_header_mode_V4L2_MPEG_VIDEO_HEADER_MODE_JOINED_WITH_1ST_FRAME;
    let (profile, entropy) = match settings.profile {
        H264Profile::Baseline => (
            sys::v4l2_mpeg_video_h264_profile_V4L2_MPEG_VIDEO_H264_PROFILE_CONSTRAINED_BASELINE,
            sys::v4l2_mpeg_video_h264_entropy_mode_V4L2_MPEG_VIDEO_H264_ENTROPY_MODE_CAVLC,
        ),
        H264Profile::Main => (
            sys::v4l2_mpeg_video_h264_profile_V4L2_MPEG_VIDEO_H264_PROFILE_MAIN,
            sys::v4l2_mpeg_video_h264_entropy_mode_V4L2_MPEG_VIDEO_H264_ENTROPY_MODE_CABAC,
        ),
        H264Profile::High => (
            sys::v4l2_mpeg_video_h264_profile_V4L2_MPEG_VIDEO_H264_PROFILE_HIGH,
            sys::v4l2_mpeg_video_h264_entropy_mode_V4L2_MPEG_VIDEO_H264_ENTROPY_MODE_CABAC,
        ),
    };
    [
        (sys::V4L2_CID_MPEG_VIDEO_FRAME_RC_ENABLE, 1),
        (sys::V4L2_CID_MPEG_VIDEO_BITRATE_MODE, constant as i32),
        (sys::V4L2_CID_MPEG_VIDEO_BITRATE, bitrate),
        // Nothing is shown out of turn.
        (sys::V4L2_CID_MPEG_VIDEO_B_FRAMES, 0),
        (sys::V4L2_CID_MPEG_VIDEO_GOP_SIZE, gop),
        (sys::V4L2_CID_MPEG_VIDEO_H264_I_PERIOD, gop),
        (sys::V4L2_CID_MPEG_VIDEO_H264_PROFILE, profile as i32),
        (sys::V4L2_CID_MPEG_VIDEO_H264_ENTROPY_MODE, entropy as i32),
        // Parameter sets in band; where they come in a buffer of their own that is fine too.
        (sys::V4L2_CID_MPEG_VIDEO_HEADER_MODE, joined as i32),
        (sys::V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER, 1),
        (sys::V4L2_CID_MPEG_VIDEO_PREPEND_SPSPPS_TO_IDR, 1),
    ]
}

fn set_if_there(device: &Descriptor, id: u32, value: i32) {
    if let Err(error) = device.set_control(id, value)
        && device.described_control(id).is_ok()
    {
        tracing::debug!("the encoder did not take {value} for control {id:#x}: {error}");
    }
}

fn has_constrained_baseline(device: &Descriptor) -> bool {
    let constrained = sys::v4l2_mpeg_video_h264_profile_V4L2_MPEG_VIDEO_H264_PROFILE_CONSTRAINED_BASELINE;
    device.menu_entry(sys::V4L2_CID_MPEG_VIDEO_H264_PROFILE, constrained, false).is_some()
}

/// `level_idc` and V4L2's number for it (`enum v4l2_mpeg_video_h264_level`), as far as encoders go.
const LEVELS: [(u8, u32); 15] = [
    (10, sys::v4l2_mpeg_video_h264_level_V4L2_MPEG_VIDEO_H264_LEVEL_1_0),
    (11, sys::v4l2_mpeg_video_h264_level_V4L2_MPEG_VIDEO_H264_LEVEL_1_1),
    (12, sys::v4l2_mpeg_video_h264_level_V4L2_MPEG_VIDEO_H264_LEVEL_1_2),
    (13, sys::v4l2_mpeg_video_h264_level_V4L2_MPEG_VIDEO_H264_LEVEL_1_3),
    (21, sys::v4l2_mpeg_video_h264_level_V4L2_MPEG_VIDEO_H264_LEVEL_2_1),
    (22, sys::v4l2_mpeg_video_h264_level_V4L2_MPEG_VIDEO_H264_LEVEL_2_2),
    (30, sys::v4l2_mpeg_video_h264_level_V4L2_MPEG_VIDEO_H264_LEVEL_3_0),
    (31, sys::v4l2_mpeg_video_h264_level_V4L2_MPEG_VIDEO_H264_LEVEL_3_1),
    (32, sys::v4l2_mpeg_video_h264_level_V4L2_MPEG_VIDEO_H264_LEVEL_3_2),
    (40, sys::v4l2_mpeg_video_h264_level_V4L2_MPEG_VIDEO_H264_LEVEL_4_0),
    (41, sys::v4l2_mpeg_video_h264_level_V4L2_MPEG_VIDEO_H264_LEVEL_4_1),
    (42, sys::v4l2_mpeg_video_h264_level_V4L2_MPEG_VIDEO_H264_LEVEL_4_2),
    (50, sys::v4l2_mpeg_video_h264_level_V4L2_MPEG_VIDEO_H264_LEVEL_5_0),
    (51, sys::v4l2_mpeg_video_h264_level_V4L2_MPEG_VIDEO_H264_LEVEL_5_1),
    (52, sys::v4l2_mpeg_video_h264_level_V4L2_MPEG_VIDEO_H264_LEVEL_5_2),
];
