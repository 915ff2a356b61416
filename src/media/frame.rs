use crate::time::MonoTime;
use std::{fmt, str::FromStr, time::Duration};

/// Width and height of a picture in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

impl Size {
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    pub const fn pixels(self) -> u64 {
        self.width as u64 * self.height as u64
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for Size {
    type Err = String;
    /// `WIDTHxHEIGHT`, both in decimal pixels and not zero.
    fn from_str(text: &str) -> Result<Self, String> {
        let number =
            |part: &str| part.parse::<u32>().ok().filter(|n| *n > 0 && part.starts_with(|c: char| c.is_ascii_digit()));
        text.split_once('x')
            .and_then(|(w, h)| Some(Self::new(number(w)?, number(h)?)))
            .ok_or_else(|| format!("`{text}` is not a size; expected WIDTHxHEIGHT, such as 1280x720"))
    }
}

/// Pictures per second, as an exact fraction; NTSC's 30000/1001 is one.
#[derive(Clone, Copy, Debug, Eq)]
pub struct FrameRate {
    /// Frames per `den` seconds; never zero.
    pub num: u32,
    /// Never zero.
    pub den: u32,
}

impl FrameRate {
    /// `num / den` frames per second. Zero in either place is taken for one.
    pub const fn new(num: u32, den: u32) -> Self {
        Self { num: if num == 0 { 1 } else { num }, den: if den == 0 { 1 } else { den } }
    }

    pub const fn as_f64(self) -> f64 {
        self.num as f64 / self.den as f64
    }

    /// The time from one frame to the next.
    pub const fn interval(self) -> Duration {
        Duration::from_nanos(1_000_000_000 * self.den as u64 / self.num as u64)
    }
}

impl PartialEq for FrameRate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl PartialOrd for FrameRate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for FrameRate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.num as u64 * other.den as u64).cmp(&(other.num as u64 * self.den as u64))
    }
}

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.num.is_multiple_of(self.den) {
            write!(f, "{}", self.num / self.den)
        } else {
            write!(f, "{:.2}", self.as_f64())
        }
    }
}

/// How a camera's pictures lie in memory, by V4L2's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// `YU12`: planar 4:2:0, Y then U then V. Also known as I420; what the encoder takes.
    I420,
    /// `NV12`: planar 4:2:0, Y then interleaved UV.
    Nv12,
    /// `YUYV`: packed 4:2:2.
    Yuyv,
    /// `UYVY`: packed 4:2:2.
    Uyvy,
    /// `MJPG` or `JPEG`: each picture a JPEG of its own.
    Mjpeg,
}

/// One plane of a [`RawFrame`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plane {
    /// Where it begins in the buffer, in bytes.
    pub offset: usize,
    /// From one row to the next, in bytes.
    pub stride: usize,
}

/// The memory behind a [`RawFrame`], given back to its owner (a V4L2 queue, a pool) when dropped.
pub trait FrameBuffer: Send + Sync {
    fn bytes(&self) -> &[u8];
}

impl FrameBuffer for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

/// One picture as a camera gave it. Shared between encoders by `Arc`; the buffer goes back when the last one drops it.
pub struct RawFrame {
    pub format: PixelFormat,
    pub size: Size,
    /// As many as the format has: I420 three, Nv12 two, packed formats one. Mjpeg: one, whose stride is 0.
    pub planes: [Plane; 3],
    /// When the picture was taken, by the driver.
    pub stamp: MonoTime,
    /// Counts the device's pictures, lost ones too.
    pub sequence: u64,
    /// Whole rows of all planes, or for Mjpeg exactly the picture's bytes. Makers check that every plane lies inside.
    pub buffer: Box<dyn FrameBuffer>,
}

impl RawFrame {
    /// The planes of a buffer whose rows and planes follow each other with `stride` bytes from one row of the first
    /// plane to the next, as V4L2's single-planar formats are laid out (chroma strides follow from the format).
    /// None if they do not fit into `length` bytes or the stride is shorter than a row.
    pub fn layout(format: PixelFormat, size: Size, stride: usize, length: usize) -> Option<[Plane; 3]> {
        let (width, height) = (size.width as usize, size.height as usize);
        let (chroma_width, chroma_height) = (width.div_ceil(2), height.div_ceil(2));
        let luma = Plane { offset: 0, stride };
        let after_luma = stride.checked_mul(height)?;
        let none = Plane { offset: 0, stride: 0 };
        let (planes, end, row) = match format {
            PixelFormat::I420 => {
                let half = stride.div_ceil(2);
                let v = after_luma + half * chroma_height;
                let planes = [luma, Plane { offset: after_luma, stride: half }, Plane { offset: v, stride: half }];
                (planes, v + half * (chroma_height - 1) + chroma_width, width)
            }
            PixelFormat::Nv12 => {
                let planes = [luma, Plane { offset: after_luma, stride }, none];
                (planes, after_luma + stride * (chroma_height - 1) + chroma_width * 2, width)
            }
            PixelFormat::Yuyv | PixelFormat::Uyvy => {
                ([luma, none, none], stride * (height - 1) + chroma_width * 4, chroma_width * 4)
            }
            PixelFormat::Mjpeg => return Some([none; 3]),
        };
        (stride >= row && end <= length).then_some(planes)
    }

    pub fn bytes(&self) -> &[u8] {
        self.buffer.bytes()
    }
}

impl fmt::Debug for RawFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawFrame({:?} {} #{} at {:?})", self.format, self.size, self.sequence, self.stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_that_does_not_fit_is_refused() {
        let size = Size::new(640, 480);
        assert!(RawFrame::layout(PixelFormat::Yuyv, size, 1280, 640 * 480 * 2).is_some());
        assert!(RawFrame::layout(PixelFormat::Yuyv, size, 1280, 640 * 480 * 2 - 1).is_none());
        assert!(RawFrame::layout(PixelFormat::Yuyv, size, 1279, usize::MAX).is_none());
        let planes = RawFrame::layout(PixelFormat::I420, size, 640, 640 * 480 * 3 / 2).unwrap();
        assert_eq!(planes[2], Plane { offset: 640 * 480 * 5 / 4, stride: 320 });
        assert!(RawFrame::layout(PixelFormat::Nv12, size, 640, 640 * 480 * 3 / 2 - 1).is_none());
    }

    #[test]
    fn sizes_and_rates_read_as_written() {
        assert_eq!("1280x720".parse(), Ok(Size::new(1280, 720)));
        for wrong in ["", "1280", "1280x", "x720", "0x720", "-1x2", "+1x2", "1280x720x3", "1280 x 720"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
        assert_eq!(FrameRate::new(30000, 1001).to_string(), "29.97");
        assert_eq!(FrameRate::new(60, 2), FrameRate::new(30, 1));
        assert!(FrameRate::new(30000, 1001) < FrameRate::new(30, 1));
    }
}
