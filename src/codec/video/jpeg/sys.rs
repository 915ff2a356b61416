//! libjpeg-turbo's TurboJPEG interface. Not the `turbojpeg` crate's own decoder: that takes the subsampling of the
//! buffer on trust, and gives up on damage that the library goes over.

use crate::codec::CodecError;
use crate::media::Size;
use std::ffi::CStr;
use turbojpeg::raw;

/// More scans than any camera sends; a progressive picture with thousands takes minutes.
const MAX_SCANS: i32 = 64;

/// A picture as the JPEG has it: planes of whole blocks of `across` x `down` luma pixels to one of chroma.
#[derive(Default)]
pub struct Planes {
    pub bytes: [Vec<u8>; 3],
    /// At least as long as the plane is wide; a plane has no more than its rows.
    pub strides: [usize; 3],
    pub across: usize,
    pub down: usize,
    /// There are no chroma planes.
    pub grey: bool,
}

impl Planes {
    /// Room for a picture, by TurboJPEG's rule: luma is padded to whole chroma pixels.
    fn resize(&mut self, size: Size, across: usize, down: usize, grey: bool) {
        let (width, height) = (size.width as usize, size.height as usize);
        (self.across, self.down, self.grey) = (across, down, grey);
        let chroma = if grey { (0, 0) } else { (width.div_ceil(across), height.div_ceil(down)) };
        let luma = (width.next_multiple_of(across), height.next_multiple_of(down));
        for (i, (width, height)) in [luma, chroma, chroma].into_iter().enumerate() {
            self.strides[i] = width;
            self.bytes[i].resize(width * height, 128);
        }
    }
}

/// Decodes a picture that must be of size `expected` and that fills `planes`.
pub fn decode(jpeg: &[u8], expected: Size, planes: &mut Planes) -> Result<(), CodecError> {
    // Made anew for each picture, which costs microseconds: an error in a header leaves an instance in the middle of
    // it, and one without a picture leaves the values of the last one standing.
    Instance::new()?.decode(jpeg, expected, planes)
}

/// A TurboJPEG instance for one picture.
struct Instance(raw::tjhandle);

impl Instance {
    fn new() -> Result<Self, CodecError> {
        // SAFETY: no arguments that could be wrong; null is checked.
        let handle = unsafe { raw::tj3Init(raw::TJINIT_TJINIT_DECOMPRESS as i32) };
        if handle.is_null() {
            return Err(CodecError("no memory for a JPEG decoder".into()));
        }
        let this = Self(handle);
        // SAFETY: a live handle.
        if unsafe { raw::tj3Set(handle, raw::TJPARAM_TJPARAM_SCANLIMIT as i32, MAX_SCANS) } != 0 {
            return Err(this.error());
        }
        Ok(this)
    }

    fn decode(&mut self, jpeg: &[u8], expected: Size, planes: &mut Planes) -> Result<(), CodecError> {
        // SAFETY: a live handle, and a slice. Warnings count as errors here: the values below may be missing.
        if unsafe { raw::tj3DecompressHeader(self.0, jpeg.as_ptr(), jpeg.len() as _) } != 0 {
            return Err(self.error());
        }
        let (width, height) = (self.param(raw::TJPARAM_TJPARAM_JPEGWIDTH), self.param(raw::TJPARAM_TJPARAM_JPEGHEIGHT));
        if width < 1 || height < 1 {
            return Err(CodecError("a JPEG without a picture".into()));
        }
        if (i64::from(width), i64::from(height)) != (i64::from(expected.width), i64::from(expected.height)) {
            return Err(CodecError(format!("a JPEG of {width}x{height} where {expected} was expected")));
        }
        let subsampling = self.param(raw::TJPARAM_TJPARAM_SUBSAMP);
        let (across, down) = match subsampling {
            raw::TJSAMP_TJSAMP_444 | raw::TJSAMP_TJSAMP_GRAY => (1, 1),
            raw::TJSAMP_TJSAMP_422 => (2, 1),
            raw::TJSAMP_TJSAMP_420 => (2, 2),
            raw::TJSAMP_TJSAMP_440 => (1, 2),
            raw::TJSAMP_TJSAMP_411 => (4, 1),
            raw::TJSAMP_TJSAMP_441 => (1, 4),
            other => return Err(CodecError(format!("a JPEG of unknown subsampling {other}"))),
        };
        let grey = subsampling == raw::TJSAMP_TJSAMP_GRAY;
        let usual = if grey { raw::TJCS_TJCS_GRAY } else { raw::TJCS_TJCS_YCbCr };
        if self.param(raw::TJPARAM_TJPARAM_COLORSPACE) != usual as i32 || self.param(raw::TJPARAM_TJPARAM_LOSSLESS) != 0
        {
            return Err(CodecError("a JPEG that is not of YCbCr or grey, coded with loss".into()));
        }
        planes.resize(expected, across, down, grey);

        let mut pointers = planes.bytes.each_mut().map(|plane| plane.as_mut_ptr());
        let mut strides = planes.strides.map(|stride| stride as i32);
        // SAFETY: a live handle and a slice. The library reads the same header from the same bytes again, so it writes
        // planes of the size and subsampling that it told above, which is what they were made for. Grey has only one.
        let result = unsafe {
            raw::tj3DecompressToYUVPlanes8(
                self.0,
                jpeg.as_ptr(),
                jpeg.len() as _,
                pointers.as_mut_ptr(),
                strides.as_mut_ptr(),
            )
        };
        // SAFETY: a live handle.
        if result != 0 && unsafe { raw::tj3GetErrorCode(self.0) } != raw::TJERR_TJERR_WARNING as i32 {
            return Err(self.error());
        }
        Ok(())
    }

    fn param(&self, param: raw::TJPARAM) -> i32 {
        // SAFETY: a live handle; an unknown parameter gives -1.
        unsafe { raw::tj3Get(self.0, param as i32) }
    }

    fn error(&self) -> CodecError {
        // SAFETY: a live handle gives a C string that lives until it is used again.
        let text = unsafe { CStr::from_ptr(raw::tj3GetErrorStr(self.0)) };
        CodecError(format!("JPEG: {}", text.to_string_lossy()))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: made by tj3Init, freed nowhere else.
        unsafe { raw::tj3Destroy(self.0) }
    }
}
