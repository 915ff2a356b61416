//! H.264 syntax that more than one room needs (ITU-T H.264 §7.3).

mod assembler;
mod level;
mod sets;
mod slice;
mod splitter;

pub use assembler::{Assembler, Found, Picture};
pub use level::{name as level_name, per_second as macroblocks_per_second, to_encode as level_to_encode};
pub use splitter::{Begun, Splitter};

use super::FrameRate;
use h264_reader::{
    nal::{
        NalHeader, WritableNal,
        sps::{BitstreamRestrictions, SeqParameterSet, TimingInfo, VuiParameters},
    },
    rbsp::{BitReader, decode_nal},
};

/// `nal_unit_type` values (ITU-T H.264 table 7-1).
pub mod nal_type {
    pub const SLICE: u8 = 1;
    pub const PARTITION_A: u8 = 2;
    pub const PARTITION_B: u8 = 3;
    pub const PARTITION_C: u8 = 4;
    pub const IDR_SLICE: u8 = 5;
    pub const SEI: u8 = 6;
    pub const SPS: u8 = 7;
    pub const PPS: u8 = 8;
    pub const DELIMITER: u8 = 9;
    pub const END_OF_SEQUENCE: u8 = 10;
    pub const END_OF_STREAM: u8 = 11;

    /// Of a NAL unit without start code; 0, which is unspecified, of an empty one.
    pub fn of(nal: &[u8]) -> u8 {
        nal.first().map_or(0, |header| header & 0x1f)
    }
}

/// The same sequence parameter set, saying also that no picture is reordered, so that a decoder shows each one at once
/// instead of holding as many as its level allows, and how fast pictures come (ITU-T H.264 §E.2.1). What else the set
/// says, colour above all, stays. Takes and gives a NAL unit without start code.
///
/// The rate is not promised to be fixed: a camera slows down in the dark, and its pictures may get lost.
///
/// # Errors
/// Why `sps` cannot be read, or that it has more reference frames than its level allows and so cannot say it.
pub fn low_delay_sps(sps: &[u8], fps: FrameRate) -> Result<Vec<u8>, String> {
    let header = *sps.first().ok_or("an empty parameter set")?;
    let header = NalHeader::new(header).map_err(|e| format!("no NAL unit: {e:?}"))?;
    let unreadable = |e: &dyn std::fmt::Debug| format!("unreadable parameter set: {e:?}");
    let rbsp = decode_nal(sps).map_err(|e| unreadable(&e))?;
    let mut set = SeqParameterSet::from_bits(BitReader::new(rbsp.as_ref())).map_err(|e| unreadable(&e))?;

    let vui: &mut VuiParameters = set.vui_parameters.get_or_insert_default();
    vui.timing_info = Some(TimingInfo {
        num_units_in_tick: fps.den,
        // A tick is a field, two of which make a picture.
        time_scale: fps.num.saturating_mul(2),
        fixed_frame_rate_flag: false,
    });
    let restrictions = vui.bitstream_restrictions.get_or_insert(BitstreamRestrictions {
        motion_vectors_over_pic_boundaries_flag: true,
        max_bytes_per_pic_denom: 0,
        max_bits_per_mb_denom: 0,
        log2_max_mv_length_horizontal: 16,
        log2_max_mv_length_vertical: 16,
        max_num_reorder_frames: 0,
        max_dec_frame_buffering: 0,
    });
    restrictions.max_num_reorder_frames = 0;
    restrictions.max_dec_frame_buffering = set.max_num_ref_frames.max(1);
    let written = set.to_vec_with_header(header);
    // More reference frames than the level allows (A.3.1) make a set unreadable once they stand in the restrictions too.
    let rbsp = decode_nal(&written).map_err(|e| unreadable(&e))?;
    SeqParameterSet::from_bits(BitReader::new(rbsp.as_ref())).map_err(|e| unreadable(&e))?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use h264_reader::nal::sps::{ColourDescription, VideoFormat, VideoSignalType};

    fn parse(sps: &[u8]) -> SeqParameterSet {
        SeqParameterSet::from_bits(BitReader::new(decode_nal(sps).unwrap().as_ref())).unwrap()
    }

    /// 1280x720, baseline, no VUI at all.
    pub(super) const BARE: [u8; 9] = [0x67, 0x42, 0xc0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xe4];

    #[test]
    fn a_set_says_that_nothing_is_reordered_and_how_fast_pictures_come() {
        let set = parse(&low_delay_sps(&BARE, FrameRate::new(30, 1)).unwrap());
        assert_eq!(set.pixel_dimensions().unwrap(), (1280, 720));
        let vui = set.vui_parameters.unwrap();
        let restrictions = vui.bitstream_restrictions.unwrap();
        assert_eq!((restrictions.max_num_reorder_frames, restrictions.max_dec_frame_buffering), (0, 1));
        let timing = vui.timing_info.unwrap();
        assert_eq!((timing.num_units_in_tick, timing.time_scale, timing.fixed_frame_rate_flag), (1, 60, false));
    }

    #[test]
    fn what_the_set_said_before_stays_and_zeros_are_escaped() {
        let mut set = parse(&BARE);
        let vui = set.vui_parameters.insert(VuiParameters::default());
        vui.video_signal_type = Some(VideoSignalType {
            video_format: VideoFormat::Unspecified,
            video_full_range_flag: true,
            colour_description: Some(ColourDescription {
                colour_primaries: 1,
                transfer_characteristics: 1,
                matrix_coefficients: 6,
            }),
        });
        let before = set.to_vec_with_header(NalHeader::new(0x67).unwrap());
        // A tick of 1 in 32 bits is 00 00 00 01 at some bit offset: emulation prevention is needed.
        let after = low_delay_sps(&before, FrameRate::new(15, 1)).unwrap();
        assert!(after.windows(3).all(|w| !(w[0] == 0 && w[1] == 0 && w[2] < 3)), "{after:02x?}");
        let mut after = parse(&after);
        let vui = after.vui_parameters.as_mut().unwrap();
        assert!(vui.timing_info.take().is_some() && vui.bitstream_restrictions.take().is_some());
        assert_eq!(after, set);
    }

    #[test]
    fn what_is_no_parameter_set_is_an_error() {
        for wrong in [&[][..], &[0x67], &[0xe7, 0x42, 0, 0], &[0x67, 0, 0, 0, 0], &BARE[..5]] {
            assert!(low_delay_sps(wrong, FrameRate::new(30, 1)).is_err(), "{wrong:02x?}");
        }
    }
}
