use super::Lease;
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
    /// `YU12`: planar 4:2:0, Y then U then V. Also known as I420; what the encoder takes. `YV12` is this too, its planes
    /// named in the other order.
    I420,
    /// `NV12`: planar 4:2:0, Y then interleaved UV.
    Nv12,
    /// `NV21`: as NV12, V before U.
    Nv21,
    /// `422P`: planar 4:2:2, Y then U then V.
    I422,
    /// `NV16`: planar 4:2:2, Y then interleaved UV.
    Nv16,
    /// `YUYV`: packed 4:2:2.
    Yuyv,
    /// `UYVY`: packed 4:2:2.
    Uyvy,
    /// `YVYU`: packed 4:2:2.
    Yvyu,
    /// `VYUY`: packed 4:2:2.
    Vyuy,
    /// `GREY`: luma alone, of the full range.
    Grey,
    /// `RGB3`: three bytes a pixel, red first.
    Rgb24,
    /// `BGR3`: three bytes a pixel, blue first.
    Bgr24,
    /// `XR24`, `AR24` or `BGR4`: four bytes a pixel, blue first, the last one unused.
    Bgrx32,
    /// `RGBP`: 16 bits a pixel, little endian, red in the highest five.
    Rgb565,
    /// `MJPG` or `JPEG`: each picture a JPEG of its own.
    Mjpeg,
    /// `H264`: a piece of an H.264 byte stream (ITU-T H.264 Annex B), most often one access unit.
    H264,
}

impl PixelFormat {
    /// Whether pictures are coded: their bytes have no rows.
    pub const fn is_coded(self) -> bool {
        matches!(self, Self::Mjpeg | Self::H264)
    }

    /// As a config names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::I420 => "yu12",
            Self::Nv12 => "nv12",
            Self::Nv21 => "nv21",
            Self::I422 => "422p",
            Self::Nv16 => "nv16",
            Self::Yuyv => "yuyv",
            Self::Uyvy => "uyvy",
            Self::Yvyu => "yvyu",
            Self::Vyuy => "vyuy",
            Self::Grey => "grey",
            Self::Rgb24 => "rgb24",
            Self::Bgr24 => "bgr24",
            Self::Bgrx32 => "bgrx32",
            Self::Rgb565 => "rgb565",
            Self::Mjpeg => "mjpeg",
            Self::H264 => "h264",
        }
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One plane of a [`RawFrame`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plane {
    /// Which of the buffer's pieces of memory it lies in; most buffers have one.
    pub memory: usize,
    /// Where it begins in that piece, in bytes.
    pub offset: usize,
    /// From one row to the next, in bytes.
    pub stride: usize,
}

/// One picture as a camera gave it. Its clones share the buffer, which goes back when the last one is dropped.
#[derive(Clone)]
pub struct RawFrame {
    pub format: PixelFormat,
    pub size: Size,
    /// The size in whose shape it is to be shown: `size`, but for one field of an interlaced picture, which has half the
    /// rows.
    pub shown: Size,
    /// As many as the format has: planar ones three, semi-planar ones two, packed ones one. Of coded pictures one, whose
    /// stride is 0.
    pub planes: [Plane; 3],
    /// When the picture was taken, by the driver.
    pub stamp: MonoTime,
    /// Counts the device's pictures, lost ones too.
    pub sequence: u64,
    /// Whole rows of all planes, or exactly the bytes of a coded picture. Makers check that every plane lies inside.
    pub buffer: Lease,
}

/// What a plane of a format is: bytes in a row and rows, of a picture of that size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaneShape {
    /// Bytes of one row that are picture.
    pub row: usize,
    pub rows: usize,
    /// The stride for a stride of the first plane: this many halves of it.
    pub stride_halves: usize,
}

impl PixelFormat {
    /// The shapes of the format's planes, in order; none of a coded one.
    pub fn planes(self, size: Size) -> Vec<PlaneShape> {
        let (width, height) = (size.width as usize, size.height as usize);
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        let shape = |row, rows, stride_halves| PlaneShape { row, rows, stride_halves };
        match self {
            Self::I420 => {
                vec![shape(width, height, 2), shape(half_width, half_height, 1), shape(half_width, half_height, 1)]
            }
            Self::I422 => vec![shape(width, height, 2), shape(half_width, height, 1), shape(half_width, height, 1)],
            Self::Nv12 | Self::Nv21 => vec![shape(width, height, 2), shape(half_width * 2, half_height, 2)],
            Self::Nv16 => vec![shape(width, height, 2), shape(half_width * 2, height, 2)],
            Self::Yuyv | Self::Uyvy | Self::Yvyu | Self::Vyuy => vec![shape(half_width * 4, height, 2)],
            Self::Grey => vec![shape(width, height, 2)],
            Self::Rgb24 | Self::Bgr24 => vec![shape(width * 3, height, 2)],
            Self::Bgrx32 => vec![shape(width * 4, height, 2)],
            Self::Rgb565 => vec![shape(width * 2, height, 2)],
            Self::Mjpeg | Self::H264 => vec![],
        }
    }
}

impl RawFrame {
    /// The planes of a buffer whose rows and planes follow each other in one piece with `stride` bytes from one row of
    /// the first plane to the next, as V4L2's single-planar formats are laid out (chroma strides follow from the
    /// format). None if they do not fit into `length` bytes or the stride is shorter than a row.
    pub fn layout(format: PixelFormat, size: Size, stride: usize, length: usize) -> Option<[Plane; 3]> {
        let mut planes = [Plane::default(); 3];
        let mut offset = 0usize;
        for (plane, shape) in planes.iter_mut().zip(format.planes(size)) {
            let stride = (stride * shape.stride_halves).div_ceil(2);
            let last_row = stride.checked_mul(shape.rows.checked_sub(1)?)?;
            if stride < shape.row || offset.checked_add(last_row)?.checked_add(shape.row)? > length {
                return None;
            }
            *plane = Plane { memory: 0, offset, stride };
            offset = offset.checked_add(last_row)?.checked_add(stride)?;
        }
        Some(planes)
    }

    /// Everything in the first, usually the only, piece of memory.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.memory(0)
    }

    /// From the first byte of a plane on.
    pub fn plane(&self, number: usize) -> &[u8] {
        let Plane { memory, offset, .. } = self.planes[number];
        self.buffer.memory(memory).get(offset..).unwrap_or_default()
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
        assert_eq!(planes[2], Plane { memory: 0, offset: 640 * 480 * 5 / 4, stride: 320 });
        assert!(RawFrame::layout(PixelFormat::Nv12, size, 640, 640 * 480 * 3 / 2 - 1).is_none());
        assert!(RawFrame::layout(PixelFormat::Rgb24, size, 1920, 640 * 480 * 3).is_some());
        assert!(RawFrame::layout(PixelFormat::Yuyv, size, usize::MAX / 4, usize::MAX).is_none());
        assert_eq!(RawFrame::layout(PixelFormat::H264, size, 0, 0), Some([Plane::default(); 3]));
        // The last row of the last plane may end with its last pixel.
        assert!(RawFrame::layout(PixelFormat::I422, size, 704, 704 * 480 * 2 - 32).is_some());
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
