//! V4L2's codes of picture formats (`linux/videodev2.h`): which of them Eyrie reads, and what they say.

use super::PixelFormat;

/// What a code says of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coding {
    pub format: PixelFormat,
    /// Each plane lies in a piece of memory of its own.
    pub apart: bool,
    /// V comes before U, where the format has them the other way round.
    pub swapped: bool,
}

/// What a code says, None for one that Eyrie does not read.
pub fn coding(fourcc: u32) -> Option<Coding> {
    use PixelFormat::*;
    let (format, apart, swapped) = match &fourcc.to_le_bytes() {
        b"YU12" => (I420, false, false),
        b"YV12" => (I420, false, true),
        b"YM12" => (I420, true, false),
        b"YM21" => (I420, true, true),
        b"NV12" => (Nv12, false, false),
        b"NM12" => (Nv12, true, false),
        b"NV21" => (Nv21, false, false),
        b"NM21" => (Nv21, true, false),
        b"422P" => (I422, false, false),
        b"YM16" => (I422, true, false),
        b"YM61" => (I422, true, true),
        b"NV16" => (Nv16, false, false),
        b"NM16" => (Nv16, true, false),
        b"YUYV" => (Yuyv, false, false),
        b"UYVY" => (Uyvy, false, false),
        b"YVYU" => (Yvyu, false, false),
        b"VYUY" => (Vyuy, false, false),
        b"GREY" => (Grey, false, false),
        b"RGB3" => (Rgb24, false, false),
        b"BGR3" => (Bgr24, false, false),
        b"XR24" | b"AR24" | b"BGR4" => (Bgrx32, false, false),
        b"RGBP" => (Rgb565, false, false),
        b"MJPG" | b"JPEG" => (Mjpeg, false, false),
        b"H264" => (H264, false, false),
        _ => return None,
    };
    Some(Coding { format, apart, swapped })
}

/// The format of a code, None for one that Eyrie does not read.
pub fn format_of(fourcc: u32) -> Option<PixelFormat> {
    coding(fourcc).map(|coding| coding.format)
}

/// The four letters of a code; others than letters and digits as `.`.
pub fn letters(fourcc: u32) -> String {
    let letters = (fourcc & 0x7fff_ffff).to_le_bytes();
    letters.iter().map(|b| if b.is_ascii_alphanumeric() { *b as char } else { '.' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_formats_belong_together() {
        let of = |letters: &[u8; 4]| coding(u32::from_le_bytes(*letters));
        assert_eq!(of(b"JPEG").unwrap().format, PixelFormat::Mjpeg);
        assert_eq!(of(b"YM21"), Some(Coding { format: PixelFormat::I420, apart: true, swapped: true }));
        assert_eq!(of(b"BA81"), None);
        assert_eq!(letters(u32::from_le_bytes(*b"pRA\xff")), "pRA.");
    }
}
