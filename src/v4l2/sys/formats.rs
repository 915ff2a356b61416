//! Formats, sizes and rates.

use super::{BufferType, Descriptor, Plain};
use nix::errno::Errno;
use v4l::{
    v4l_sys::*,
    v4l2::vidioc::{
        _IOC_TYPE, VIDIOC_ENUM_FMT, VIDIOC_ENUM_FRAMEINTERVALS, VIDIOC_ENUM_FRAMESIZES, VIDIOC_G_FMT, VIDIOC_G_PARM,
        VIDIOC_S_FMT, VIDIOC_S_PARM, VIDIOC_TRY_FMT,
    },
};

/// The crate's bindings lack it.
const VIDIOC_S_SELECTION: _IOC_TYPE = nix::request_code_readwrite!(b'V', 95, size_of::<v4l2_selection>()) as _IOC_TYPE;

/// A format of a queue, of one memory plane or several alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureFormat {
    /// V4L2's four letters, little endian.
    pub fourcc: u32,
    /// In pixels.
    pub width: u32,
    pub height: u32,
    /// `v4l2_field_*`.
    pub field: u32,
    /// `v4l2_colorspace_*`, 0: unknown.
    pub colorspace: u32,
    /// `v4l2_quantization_*`, 0: the colour space's default.
    pub quantization: u32,
    /// One for each piece of memory.
    pub planes: Vec<PlaneFormat>,
}

/// One piece of memory of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlaneFormat {
    /// From one row to the next in bytes (`bytesperline`); 0 where the driver does not tell or there are no rows.
    pub stride: u32,
    /// In bytes (`sizeimage`).
    pub size: u32,
}

impl PictureFormat {
    /// A progressive picture, the rest left to the driver.
    pub fn new(fourcc: u32, (width, height): (u32, u32)) -> Self {
        let field = v4l2_field_V4L2_FIELD_NONE;
        Self { fourcc, width, height, field, colorspace: 0, quantization: 0, planes: vec![PlaneFormat::default()] }
    }

    fn to_kernel(&self, of: BufferType) -> v4l2_format {
        let mut format = v4l2_format { type_: of.code(), ..v4l2_format::zeroed() };
        if of.is_multi_planar() {
            let mut pix = v4l2_pix_format_mplane {
                width: self.width,
                height: self.height,
                pixelformat: self.fourcc,
                field: self.field,
                colorspace: self.colorspace,
                num_planes: self.planes.len().min(8) as u8,
                ..v4l2_pix_format_mplane::zeroed()
            };
            let mut planes = pix.plane_fmt;
            for (kernel, plane) in planes.iter_mut().zip(&self.planes) {
                kernel.bytesperline = plane.stride;
                kernel.sizeimage = plane.size;
            }
            pix.plane_fmt = planes;
            pix.quantization = self.quantization as u8;
            format.fmt.pix_mp = pix;
        } else {
            let plane = self.planes.first().copied().unwrap_or_default();
            format.fmt.pix = v4l2_pix_format {
                width: self.width,
                height: self.height,
                pixelformat: self.fourcc,
                field: self.field,
                colorspace: self.colorspace,
                quantization: self.quantization,
                bytesperline: plane.stride,
                sizeimage: plane.size,
                ..v4l2_pix_format::zeroed()
            };
        }
        format
    }

    fn from_kernel(of: BufferType, format: &v4l2_format) -> Self {
        if of.is_multi_planar() {
            // SAFETY: plain integers of a union that was zeroed and then filled by the kernel, for a type whose member
            // is `pix_mp`.
            let pix = unsafe { format.fmt.pix_mp };
            let planes = pix.plane_fmt;
            let planes = planes.iter().take(usize::from(pix.num_planes));
            Self {
                fourcc: pix.pixelformat,
                width: pix.width,
                height: pix.height,
                field: pix.field,
                colorspace: pix.colorspace,
                quantization: u32::from(pix.quantization),
                planes: planes.map(|plane| PlaneFormat { stride: plane.bytesperline, size: plane.sizeimage }).collect(),
            }
        } else {
            // SAFETY: as above; the member is `pix`.
            let pix = unsafe { format.fmt.pix };
            Self {
                fourcc: pix.pixelformat,
                width: pix.width,
                height: pix.height,
                field: pix.field,
                colorspace: pix.colorspace,
                quantization: pix.quantization,
                planes: vec![PlaneFormat { stride: pix.bytesperline, size: pix.sizeimage }],
            }
        }
    }
}

impl Descriptor {
    /// The format of that index, EINVAL after the last.
    pub fn enumerated_format(&self, of: BufferType, index: u32) -> Result<v4l2_fmtdesc, Errno> {
        self.ask(VIDIOC_ENUM_FMT, v4l2_fmtdesc { index, type_: of.code(), ..v4l2_fmtdesc::zeroed() })
    }

    pub fn enumerated_size(&self, pixel_format: u32, index: u32) -> Result<v4l2_frmsizeenum, Errno> {
        self.ask(VIDIOC_ENUM_FRAMESIZES, v4l2_frmsizeenum { index, pixel_format, ..v4l2_frmsizeenum::zeroed() })
    }

    pub fn enumerated_interval(
        &self,
        pixel_format: u32,
        (width, height): (u32, u32),
        index: u32,
    ) -> Result<v4l2_frmivalenum, Errno> {
        let question = v4l2_frmivalenum { index, pixel_format, width, height, ..v4l2_frmivalenum::zeroed() };
        self.ask(VIDIOC_ENUM_FRAMEINTERVALS, question)
    }

    /// The format that holds now.
    pub fn format(&self, of: BufferType) -> Result<PictureFormat, Errno> {
        let question = v4l2_format { type_: of.code(), ..v4l2_format::zeroed() };
        Ok(PictureFormat::from_kernel(of, &self.ask(VIDIOC_G_FMT, question)?))
    }

    /// What the driver would make of a format.
    pub fn try_format(&self, of: BufferType, wish: &PictureFormat) -> Result<PictureFormat, Errno> {
        self.negotiate(VIDIOC_TRY_FMT, of, wish)
    }

    /// Sets the format; what the driver made of it.
    pub fn set_format(&self, of: BufferType, wish: &PictureFormat) -> Result<PictureFormat, Errno> {
        self.negotiate(VIDIOC_S_FMT, of, wish)
    }

    fn negotiate(&self, request: _IOC_TYPE, of: BufferType, wish: &PictureFormat) -> Result<PictureFormat, Errno> {
        Ok(PictureFormat::from_kernel(of, &self.ask(request, wish.to_kernel(of))?))
    }

    /// Has an encoder code only the upper left part of that size of its pictures; the size that it took.
    pub fn set_crop(&self, (width, height): (u32, u32)) -> Result<(u32, u32), Errno> {
        let r = v4l2_rect { left: 0, top: 0, width, height };
        // The single-planar type stands for both (the kernel's "VIDIOC_G_SELECTION, VIDIOC_S_SELECTION").
        let type_ = BufferType::Output.code();
        let wish = v4l2_selection { type_, target: V4L2_SEL_TGT_CROP, r, ..v4l2_selection::zeroed() };
        let taken = self.ask(VIDIOC_S_SELECTION, wish)?.r;
        Ok((taken.width, taken.height))
    }

    /// Asks for that time per picture in seconds; the one that the driver took, None where it knows no rate.
    pub fn set_interval(
        &self,
        of: BufferType,
        (numerator, denominator): (u32, u32),
    ) -> Result<Option<(u32, u32)>, Errno> {
        let question = v4l2_streamparm { type_: of.code(), ..v4l2_streamparm::zeroed() };
        let mut parameters = self.ask(VIDIOC_G_PARM, question)?;
        let wish = v4l2_fract { numerator, denominator };
        let taken = match of {
            BufferType::Capture | BufferType::CapturePlanes => {
                let mut capture = capture_parameters(&parameters);
                if capture.capability & V4L2_CAP_TIMEPERFRAME != 0 {
                    capture.timeperframe = wish;
                    parameters.parm.capture = capture;
                    capture = capture_parameters(&self.ask(VIDIOC_S_PARM, parameters)?);
                }
                capture.timeperframe
            }
            BufferType::Output | BufferType::OutputPlanes => {
                let mut output = output_parameters(&parameters);
                output.timeperframe = wish;
                parameters.parm.output = output;
                output_parameters(&self.ask(VIDIOC_S_PARM, parameters)?).timeperframe
            }
        };
        Ok((taken.numerator != 0 && taken.denominator != 0).then_some((taken.numerator, taken.denominator)))
    }
}

fn capture_parameters(parameters: &v4l2_streamparm) -> v4l2_captureparm {
    // SAFETY: plain integers of a union that was zeroed and then filled by the kernel; the member of the capture types
    // is `capture`.
    unsafe { parameters.parm.capture }
}

fn output_parameters(parameters: &v4l2_streamparm) -> v4l2_outputparm {
    // SAFETY: as above; the member of the output types is `output`.
    unsafe { parameters.parm.output }
}

/// The only size, or the limits of a range.
pub enum EnumeratedSize {
    Discrete(v4l2_frmsize_discrete),
    Stepwise(v4l2_frmsize_stepwise),
}

pub fn size_of_entry(entry: &v4l2_frmsizeenum) -> EnumeratedSize {
    // SAFETY: plain integers, and `type_` says which member the kernel filled.
    unsafe {
        if entry.type_ == v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_DISCRETE {
            EnumeratedSize::Discrete(entry.__bindgen_anon_1.discrete)
        } else {
            EnumeratedSize::Stepwise(entry.__bindgen_anon_1.stepwise)
        }
    }
}

/// The shortest and the longest time per picture; the same where the entry is a single one.
pub fn intervals_of_entry(entry: &v4l2_frmivalenum) -> (v4l2_fract, v4l2_fract) {
    // SAFETY: plain integers, and `type_` says which member the kernel filled.
    unsafe {
        if entry.type_ == v4l2_frmivaltypes_V4L2_FRMIVAL_TYPE_DISCRETE {
            (entry.__bindgen_anon_1.discrete, entry.__bindgen_anon_1.discrete)
        } else {
            (entry.__bindgen_anon_1.stepwise.min, entry.__bindgen_anon_1.stepwise.max)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_survive_the_way_to_the_kernel_and_back() {
        for of in [BufferType::Capture, BufferType::OutputPlanes] {
            let mut format = PictureFormat::new(u32::from_le_bytes(*b"NM12"), (1920, 1080));
            format.planes = vec![PlaneFormat { stride: 1920, size: 1920 * 1088 }];
            if of.is_multi_planar() {
                format.planes.push(PlaneFormat { stride: 1920, size: 1920 * 544 });
            }
            (format.colorspace, format.quantization) = (3, 2);
            assert_eq!(PictureFormat::from_kernel(of, &format.to_kernel(of)), format);
        }
    }
}
