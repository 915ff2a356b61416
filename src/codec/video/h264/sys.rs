//! openh264's C interface as one safe type. All pointers that it hands out die here.

use super::super::picture::Picture;
use crate::codec::CodecError;
use crate::media::Size;
use openh264_sys2::{
    API, DynamicAPI, ENCODER_OPTION, ENCODER_OPTION_BITRATE, ENCODER_OPTION_SVC_ENCODE_PARAM_EXT,
    ENCODER_OPTION_TRACE_LEVEL, EVideoFrameType, ISVCEncoder, ISVCEncoderVtbl, SBitrateInfo, SEncParamExt,
    SFrameBSInfo, SPATIAL_LAYER_ALL, SSourcePicture, WELS_LOG_QUIET, videoFormatI420, videoFrameTypeIDR,
    videoFrameTypeSkip,
};
use std::{ffi::c_void, ptr};

/// An initialised encoder of one spatial layer.
pub struct Encoder {
    raw: *mut ISVCEncoder,
    /// What the encoder tells of the picture it coded last. 10 kB, so not on the stack.
    info: Box<SFrameBSInfo>,
    size: Size,
    /// After an error the library has freed its state and would follow null pointers.
    failed: bool,
}

// SAFETY: the encoder has no tie to the thread that made it: its only thread-bound state would be thread-local, and it
// has none. `&self` methods do not touch it, so it need not be `Sync`.
unsafe impl Send for Encoder {}

impl Encoder {
    /// An encoder for pictures of `size`. `adjust` changes the library's default parameters.
    pub fn new(size: Size, adjust: impl FnOnce(&mut SEncParamExt)) -> Result<Self, CodecError> {
        let mut raw: *mut ISVCEncoder = ptr::null_mut();
        // SAFETY: `raw` is a place for one pointer.
        let result = unsafe { DynamicAPI::from_source().WelsCreateSVCEncoder(&raw mut raw) };
        if result != 0 || raw.is_null() {
            return Err(failure("WelsCreateSVCEncoder", result));
        }
        // From here on Drop frees it.
        let mut this = Self { raw, info: Box::default(), size, failed: false };

        // Before InitializeExt, or that writes to stderr.
        let mut level: i32 = WELS_LOG_QUIET;
        this.set_option(ENCODER_OPTION_TRACE_LEVEL, &mut level)?;

        let mut params = SEncParamExt::default();
        let get_defaults = method("GetDefaultParams", this.vtable().GetDefaultParams)?;
        // SAFETY: a live encoder, and a place for the parameters.
        succeeded("GetDefaultParams", unsafe { get_defaults(this.raw, &raw mut params) })?;
        adjust(&mut params);
        (params.iPicWidth, params.iPicHeight) = (size.width as i32, size.height as i32);
        params.iSpatialLayerNum = 1;
        let layer = &mut params.sSpatialLayers[0];
        (layer.iVideoWidth, layer.iVideoHeight) = (size.width as i32, size.height as i32);
        let initialize = method("InitializeExt", this.vtable().InitializeExt)?;
        // SAFETY: a live encoder that was not yet initialised; it copies the parameters, after checking them.
        succeeded("InitializeExt", unsafe { initialize(this.raw, &raw const params) })?;
        Ok(this)
    }

    /// The parameters that are in force: the library corrects what it was given.
    pub fn params(&mut self) -> Result<SEncParamExt, CodecError> {
        let mut params = SEncParamExt::default();
        let get_option = method("GetOption", self.vtable().GetOption)?;
        // SAFETY: a live, initialised encoder; this option writes one SEncParamExt.
        let result =
            unsafe { get_option(self.raw, ENCODER_OPTION_SVC_ENCODE_PARAM_EXT, (&raw mut params).cast::<c_void>()) };
        succeeded("GetOption", result)?;
        Ok(params)
    }

    /// Changes the target rate in bit/s; not above the ceiling it was initialised with.
    pub fn set_bitrate(&mut self, bitrate: i32) -> Result<(), CodecError> {
        self.set_option(ENCODER_OPTION_BITRATE, &mut SBitrateInfo { iLayer: SPATIAL_LAYER_ALL, iBitrate: bitrate })
    }

    /// Makes the next coded picture an IDR.
    pub fn force_idr(&mut self) -> Result<(), CodecError> {
        let force = method("ForceIntraFrame", self.vtable().ForceIntraFrame)?;
        // SAFETY: a live, initialised encoder.
        succeeded("ForceIntraFrame", unsafe { force(self.raw, true) })
    }

    /// The parameter sets, without coding a picture.
    pub fn parameter_sets(&mut self) -> Result<Coded<'_>, CodecError> {
        self.usable()?;
        let encode = method("EncodeParameterSets", self.vtable().EncodeParameterSets)?;
        // SAFETY: a live, initialised encoder, and a place for what it tells.
        succeeded("EncodeParameterSets", unsafe { encode(self.raw, &raw mut *self.info) })?;
        Ok(Coded { info: &self.info })
    }

    /// Codes one picture of the encoder's size. `milliseconds` is its time.
    pub fn encode(&mut self, picture: &Picture<'_>, milliseconds: i64) -> Result<Coded<'_>, CodecError> {
        self.usable()?;
        self.check(picture)?;
        let mut source = SSourcePicture {
            iColorFormat: videoFormatI420,
            iPicWidth: self.size.width as i32,
            iPicHeight: self.size.height as i32,
            uiTimeStamp: milliseconds,
            ..Default::default()
        };
        for (i, (plane, stride)) in picture.planes.iter().zip(picture.strides).enumerate() {
            source.iStride[i] = i32::try_from(stride).map_err(|_| CodecError(format!("a stride of {stride}")))?;
            source.pData[i] = plane.as_ptr().cast_mut();
        }
        let encode = method("EncodeFrame", self.vtable().EncodeFrame)?;
        // SAFETY: a live, initialised encoder. It only reads the planes, which `check` found to hold all rows of the
        // size it was initialised for, and keeps no pointer to them: it copies them into padded pictures of its own.
        let result = unsafe { encode(self.raw, &raw const source, &raw mut *self.info) };
        self.failed = result != 0;
        succeeded("EncodeFrame", result)?;
        Ok(Coded { info: &self.info })
    }

    /// Whether the picture has the encoder's size and all of its rows.
    pub fn check(&self, picture: &Picture<'_>) -> Result<(), CodecError> {
        if picture.size != self.size {
            return Err(CodecError(format!("a picture of {} for an encoder of {}", picture.size, self.size)));
        }
        picture.check()
    }

    fn usable(&self) -> Result<(), CodecError> {
        if self.failed { Err(CodecError("the H.264 encoder failed before".into())) } else { Ok(()) }
    }

    fn set_option<T>(&mut self, option: ENCODER_OPTION, value: &mut T) -> Result<(), CodecError> {
        let set_option = method("SetOption", self.vtable().SetOption)?;
        // SAFETY: a live encoder; callers give each option the type that it reads, as codec_app_def.h lists them.
        succeeded("SetOption", unsafe { set_option(self.raw, option, (&raw mut *value).cast::<c_void>()) })
    }

    fn vtable(&self) -> &ISVCEncoderVtbl {
        // SAFETY: a live encoder begins with the pointer to its function table, which is never freed.
        unsafe { &**self.raw }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: made by WelsCreateSVCEncoder, freed nowhere else. Uninitialises first, which joins its threads.
        unsafe { DynamicAPI::from_source().WelsDestroySVCEncoder(self.raw) }
    }
}

/// One coded picture, in the encoder's memory until it is used again.
pub struct Coded<'a> {
    info: &'a SFrameBSInfo,
}

impl<'a> Coded<'a> {
    pub fn is_idr(&self) -> bool {
        self.kind() == videoFrameTypeIDR
    }

    /// Whether rate control left the picture out.
    pub fn is_skipped(&self) -> bool {
        self.kind() == videoFrameTypeSkip
    }

    fn kind(&self) -> EVideoFrameType {
        self.info.eFrameType
    }

    /// The NAL units in order, without start codes.
    pub fn nals(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let layers = usize::try_from(self.info.iLayerNum).unwrap_or(0);
        self.info.sLayerInfo.iter().take(layers).flat_map(|layer| {
            let count = if layer.pNalLengthInByte.is_null() || layer.pBsBuf.is_null() { 0 } else { layer.iNalCount };
            let mut start = 0;
            (0..usize::try_from(count).unwrap_or(0)).map(move |i| {
                // SAFETY: the encoder filled `iNalCount` lengths, and that many bytes follow each other from `pBsBuf`.
                // Both live in its memory until it is used again, which the borrow `'a` forbids.
                let nal = unsafe {
                    let length = usize::try_from(*layer.pNalLengthInByte.add(i)).unwrap_or(0);
                    let nal = std::slice::from_raw_parts(layer.pBsBuf.add(start), length);
                    start += length;
                    nal
                };
                [&[0, 0, 0, 1][..], &[0, 0, 1]].iter().find_map(|code| nal.strip_prefix(*code)).unwrap_or(nal)
            })
        })
    }
}

fn method<F>(name: &str, function: Option<F>) -> Result<F, CodecError> {
    function.ok_or_else(|| CodecError(format!("openh264 has no {name}")))
}

fn succeeded(call: &str, result: i32) -> Result<(), CodecError> {
    if result == 0 { Ok(()) } else { Err(failure(call, result)) }
}

/// The library's CM_RETURN values: 1 parameters, 2 unknown, 3 memory, 4 not initialised, 5 unsupported input.
fn failure(call: &str, result: i32) -> CodecError {
    CodecError(format!("openh264: {call} failed with {result}"))
}
