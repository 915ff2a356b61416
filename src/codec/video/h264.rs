//! H.264 by openh264, set up as a camera needs it.

mod sys;
mod trial;

#[cfg(test)]
mod tests;

use super::picture::Picture;
use crate::codec::CodecError;
use crate::media::h264::{low_delay_sps, nal_type};
use crate::media::{AccessUnit, FrameRate, H264Profile, ParameterSets, Size};
use crate::time::MonoTime;
use openh264_sys2 as oh;
use std::time::Duration;

/// How finely to quantise at most: finer gains nothing that a person sees.
const FINEST_QP: i32 = 12;
/// The same where a picture did not fit into the library's buffers: even white noise does so.
const SAFE_QP: i32 = 32;

/// What an encoder is made for. Only the bitrate changes later.
#[derive(Clone, Debug, PartialEq)]
pub struct H264Settings {
    /// Even in both directions, from 16x16.
    pub size: Size,
    pub fps: FrameRate,
    /// The mean to hold, in bit/s.
    pub bitrate: u32,
    /// How high [`H264Encoder::set_bitrate`] may go, in bit/s; the level is chosen for it. Taken for `bitrate` if lower.
    pub bitrate_ceiling: u32,
    /// From one IDR picture to the next; rounded to whole frames at `fps`.
    pub gop: Duration,
    pub profile: H264Profile,
    /// None: one if this machine codes a hard picture in time that way, else as few as it needs.
    pub slices: Option<u32>,
    /// Whether rate control may leave pictures out.
    pub frame_skip: bool,
}

impl H264Settings {
    /// The greatest picture that level 5.1 allows, in macroblocks.
    const MAX_MACROBLOCKS: u32 = 36_864;

    pub(super) fn check(&self) -> Result<(), CodecError> {
        let Size { width, height } = self.size;
        let refuse = |why: &str| Err(CodecError(format!("H.264 cannot be encoded at {}: {why}", self.size)));
        if width < 16 || height < 16 {
            return refuse("the least size is 16x16");
        }
        if width % 2 != 0 || height % 2 != 0 {
            return refuse("width and height must be even");
        }
        if width > 16_384 || height > 16_384 || width.div_ceil(16) * height.div_ceil(16) > Self::MAX_MACROBLOCKS {
            return refuse("the picture is greater than level 5.1 allows");
        }
        if f64::from(self.bitrate) < self.fps.as_f64() || self.ceiling() > 240_000_000 {
            return Err(CodecError(format!("a bitrate of {} bit/s is out of range", self.bitrate)));
        }
        Ok(())
    }

    pub(super) fn ceiling(&self) -> u32 {
        self.bitrate_ceiling.max(self.bitrate)
    }

    /// openh264 knows 1 to 60 frames per second.
    fn library_fps(&self) -> f64 {
        self.fps.as_f64().clamp(1.0, 60.0)
    }

    /// A rate such that each frame gets its share although the library may believe in another number of frames.
    fn library_bitrate(&self, bitrate: u32) -> i32 {
        (f64::from(bitrate) * self.library_fps() / self.fps.as_f64()) as i32
    }

    /// The intra period in frames.
    pub(super) fn gop_frames(&self) -> u32 {
        ((self.gop.as_secs_f64() * self.fps.as_f64()).round() as u32).max(1)
    }

    fn encoder(&self, slices: u32, min_qp: i32) -> Result<sys::Encoder, CodecError> {
        let mut encoder = sys::Encoder::new(self.size, |params| {
            params.iUsageType = oh::CAMERA_VIDEO_REAL_TIME;
            params.iComplexityMode = oh::LOW_COMPLEXITY;
            params.fMaxFrameRate = self.library_fps() as f32;
            params.uiIntraPeriod = self.gop_frames();
            params.iTemporalLayerNum = 1;
            params.iNumRefFrame = 1;
            params.bEnableLongTermReference = false;
            params.eSpsPpsIdStrategy = oh::CONSTANT_ID;
            // Each would be a key frame that nobody asked for: on a noisy pan one every 17 to 20 frames.
            params.bEnableSceneChangeDetect = false;
            params.bEnableFrameSkip = self.frame_skip;
            params.iRCMode = oh::RC_BITRATE_MODE;
            // The library's own limit of 42 does not hold a low rate on busy pictures.
            (params.iMinQp, params.iMaxQp) = (min_qp, 51);
            params.iMultipleThreadIdc = slices.min(4) as u16;
            let profile = match self.profile {
                H264Profile::Baseline => oh::PRO_BASELINE,
                H264Profile::Main => oh::PRO_MAIN,
                H264Profile::High => oh::PRO_HIGH,
            };
            params.iEntropyCodingModeFlag = i32::from(self.profile != H264Profile::Baseline);
            // The level follows from the rate at the start, so that is the ceiling, lowered before the first picture.
            let ceiling = self.library_bitrate(self.ceiling());
            (params.iTargetBitrate, params.iMaxBitrate) = (ceiling, ceiling);
            let layer = &mut params.sSpatialLayers[0];
            (layer.iSpatialBitrate, layer.iMaxSpatialBitrate) = (ceiling, ceiling);
            layer.fFrameRate = params.fMaxFrameRate;
            layer.uiProfileIdc = profile;
            layer.sSliceArgument.uiSliceMode = if slices > 1 { oh::SM_FIXEDSLCNUM_SLICE } else { oh::SM_SINGLE_SLICE };
            layer.sSliceArgument.uiSliceNum = slices;
        })?;
        encoder.set_bitrate(self.library_bitrate(self.bitrate))?;
        Ok(encoder)
    }
}

/// An openh264 encoder. Its threads, one per slice where there are several, end with it.
pub struct H264Encoder {
    raw: sys::Encoder,
    /// With the bitrate that holds now.
    settings: H264Settings,
    parameter_sets: ParameterSets,
    slices: u32,
}

impl H264Encoder {
    /// # Errors
    /// Settings that H.264 or the encoder do not allow.
    pub fn new(settings: &H264Settings) -> Result<Self, CodecError> {
        settings.check()?;
        let wanted = match settings.slices {
            Some(slices) => slices.clamp(1, settings.size.height.div_ceil(16)),
            None => trial::slices_needed(settings)?,
        };
        let mut raw = settings.encoder(wanted, FINEST_QP)?;
        let slices = raw.params()?.sSpatialLayers[0].sSliceArgument.uiSliceNum.max(1);
        let parameter_sets = parameter_sets(&mut raw, settings.fps)?;
        let settings = H264Settings { bitrate_ceiling: settings.ceiling(), ..settings.clone() };
        Ok(Self { raw, settings, parameter_sets, slices })
    }

    /// Codes one picture into `out`, which is emptied first. The first picture, one every gop and one with `force_idr`
    /// is an IDR picture with its parameter sets before it; a forced one begins a new gop. False, and nothing in `out`,
    /// if rate control left the picture out.
    ///
    /// # Errors
    /// A picture of another size, or with planes that are cut short.
    pub fn encode(
        &mut self,
        picture: &Picture<'_>,
        stamp: MonoTime,
        force_idr: bool,
        out: &mut AccessUnit,
    ) -> Result<bool, CodecError> {
        out.clear();
        out.stamp = stamp;
        self.raw.check(picture)?;
        if force_idr {
            self.raw.force_idr()?;
        }
        let milliseconds = (stamp.as_nanos() / 1_000_000) as i64;
        let coded = match self.raw.encode(picture, milliseconds) {
            Err(error) => {
                // The library frees its state when a picture does not fit into its buffers, as fine noise may not.
                tracing::warn!(%error, "the H.264 encoder begins anew, coarser");
                self.raw = self.settings.encoder(self.slices, SAFE_QP)?;
                self.raw.encode(picture, milliseconds)
            }
            coded => coded,
        }?;
        if coded.is_skipped() {
            return Ok(false);
        }
        out.key = coded.is_idr();
        if out.key {
            out.push_nal(&self.parameter_sets.sps);
            out.push_nal(&self.parameter_sets.pps);
        }
        let slices = coded.nals().filter(|nal| matches!(nal_type::of(nal), nal_type::SLICE | nal_type::IDR_SLICE));
        for nal in slices {
            out.push_nal(nal);
        }
        Ok(!out.nals.is_empty())
    }

    /// Changes the mean to hold, from the next picture on, in bit/s.
    ///
    /// # Errors
    /// A rate above the ceiling that the encoder was made with, or of less than a bit per frame.
    pub fn set_bitrate(&mut self, bitrate: u32) -> Result<(), CodecError> {
        let ceiling = self.settings.bitrate_ceiling;
        if bitrate > ceiling || f64::from(bitrate) < self.settings.fps.as_f64() {
            return Err(CodecError(format!("a bitrate of {bitrate} bit/s is out of range; the ceiling is {ceiling}")));
        }
        self.raw.set_bitrate(self.settings.library_bitrate(bitrate))?;
        self.settings.bitrate = bitrate;
        Ok(())
    }

    /// Those of every key picture to come.
    pub fn parameter_sets(&self) -> &ParameterSets {
        &self.parameter_sets
    }

    /// How many slices, each one NAL unit, make a picture.
    pub fn slices(&self) -> u32 {
        self.slices
    }
}

fn parameter_sets(raw: &mut sys::Encoder, fps: FrameRate) -> Result<ParameterSets, CodecError> {
    let coded = raw.parameter_sets()?;
    let find = |wanted: u8| {
        let missing = || CodecError("openh264 gave no parameter sets".into());
        coded.nals().find(|nal| nal_type::of(nal) == wanted).ok_or_else(missing)
    };
    let sps = low_delay_sps(find(nal_type::SPS)?, fps).map_err(CodecError)?;
    Ok(ParameterSets { sps: sps.into(), pps: find(nal_type::PPS)?.into() })
}
