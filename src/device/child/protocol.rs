//! What Eyrie and a camera program say to each other, as bytes. README.md, "A camera as a program", tells it to those who
//! write one: what changes here changes there, and [`VERSION`] with it.
//!
//! Each message is one packet of a SOCK_SEQPACKET socket: 32-bit words in the machine's own byte order, the first of
//! which says what it is.

use crate::{
    device::{CameraMode, CameraWish},
    media::{FrameRate, H264Profile, PixelFormat, Plane, Size},
    time::MonoTime,
};

/// Raised by whatever an older program would not understand.
pub const VERSION: u32 = 1;
/// The longest message in bytes.
pub const LONGEST: usize = 1024;
/// Buffers of a program at most.
pub const MOST_BUFFERS: usize = 32;
/// Pieces of memory of a buffer at most.
pub const MOST_PIECES: usize = 3;
/// The longest side of a picture (ITU-T H.264 level 6.2).
const LONGEST_SIDE: u32 = 8192;

const WISH: u32 = 1;
const RELEASE: u32 = 2;
const KEYFRAME: u32 = 3;
const FORMAT: u32 = 16;
const BUFFER: u32 = 17;
const FRAME: u32 = 18;
const ERROR: u32 = 19;

const DAMAGED: u32 = 1;
const PASSED_ON: u32 = 1;

/// The code on the wire of each format: V4L2's (`linux/videodev2.h`), one for each. In the order in which they are wished.
const FORMATS: &[(&[u8; 4], PixelFormat)] = &[
    (b"YU12", PixelFormat::I420),
    (b"NV12", PixelFormat::Nv12),
    (b"NV21", PixelFormat::Nv21),
    (b"YUYV", PixelFormat::Yuyv),
    (b"UYVY", PixelFormat::Uyvy),
    (b"YVYU", PixelFormat::Yvyu),
    (b"VYUY", PixelFormat::Vyuy),
    (b"422P", PixelFormat::I422),
    (b"NV16", PixelFormat::Nv16),
    (b"MJPG", PixelFormat::Mjpeg),
    (b"RGB3", PixelFormat::Rgb24),
    (b"BGR3", PixelFormat::Bgr24),
    (b"XR24", PixelFormat::Bgrx32),
    (b"RGBP", PixelFormat::Rgb565),
    (b"GREY", PixelFormat::Grey),
    (b"H264", PixelFormat::H264),
];

/// Which formats serve a wish, the best first.
pub fn formats(wish: &CameraWish) -> Vec<PixelFormat> {
    let coded = |pass: &crate::device::PassThrough| if pass.alone { vec![PixelFormat::H264] } else { vec![] };
    match (wish.format, &wish.pass_through) {
        (Some(format), _) => vec![format],
        (None, Some(pass)) => [coded(pass), vec![PixelFormat::Mjpeg]].concat(),
        (None, None) => {
            FORMATS.iter().map(|(_, format)| *format).filter(|format| *format != PixelFormat::H264).collect()
        }
    }
}

/// The first message to a program: what is wanted of it.
pub fn wish(wish: &CameraWish) -> Vec<u8> {
    let pass = wish.pass_through.as_ref();
    let profile = match pass.map(|pass| pass.profile).unwrap_or_default() {
        H264Profile::Baseline => 0,
        H264Profile::Main => 1,
        H264Profile::High => 2,
    };
    let gop = pass.map_or(0, |pass| u32::try_from(pass.gop.as_millis()).unwrap_or(u32::MAX));
    let formats = formats(wish);
    let head = [
        WISH,
        VERSION,
        wish.size.width,
        wish.size.height,
        wish.fps.num,
        wish.fps.den,
        if pass.is_some() { PASSED_ON } else { 0 },
        pass.map_or(0, |pass| pass.bitrate),
        gop,
        profile,
        formats.len() as u32,
    ];
    words(head.into_iter().chain(formats.into_iter().map(code)))
}

/// A buffer's pictures are read: the program may fill it again.
pub fn release(buffer: u32) -> Vec<u8> {
    words([RELEASE, buffer])
}

/// The next picture of an H.264 program is to be one at which decoding can begin.
pub fn keyframe() -> Vec<u8> {
    words([KEYFRAME])
}

fn words(words: impl IntoIterator<Item = u32>) -> Vec<u8> {
    words.into_iter().flat_map(u32::to_ne_bytes).collect()
}

fn code(format: PixelFormat) -> u32 {
    let found = FORMATS.iter().find(|(_, of)| *of == format);
    u32::from_le_bytes(*found.expect("a test holds the table to every format").0)
}

/// A message from a program. Its numbers are read, not believed.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    Format(Told),
    /// One more buffer, of as many pieces of memory as descriptors came with it.
    Buffer,
    Frame(Frame),
    /// Why it cannot go on.
    Error(String),
}

/// What a program says of its pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub version: u32,
    /// V4L2's code.
    pub code: u32,
    pub size: Size,
    /// Frames per second, as numerator and denominator.
    pub fps: (u32, u32),
    pub planes: [Plane; 3],
}

/// A picture in a buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    /// Which one, in the order in which they were announced.
    pub buffer: u32,
    /// Counts the camera's pictures, lost ones too, and wraps.
    pub sequence: u32,
    /// By CLOCK_MONOTONIC.
    pub stamp: MonoTime,
    /// Bytes of a coded picture.
    pub used: usize,
    pub damaged: bool,
}

impl Message {
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut words = Words(bytes);
        let kind = words.u32()?;
        let message = match kind {
            FORMAT => Self::Format(Told {
                version: words.u32()?,
                code: words.u32()?,
                size: Size::new(words.u32()?, words.u32()?),
                fps: (words.u32()?, words.u32()?),
                planes: [words.plane()?, words.plane()?, words.plane()?],
            }),
            BUFFER => Self::Buffer,
            FRAME => Self::Frame(Frame {
                buffer: words.u32()?,
                sequence: words.u32()?,
                damaged: words.u32()? & DAMAGED != 0,
                used: words.u32()? as usize,
                stamp: {
                    // So that the stamp lies where a C compiler puts it.
                    words.u32()?;
                    MonoTime::from_nanos(words.u64()?)
                },
            }),
            ERROR => Self::Error(words.text()),
            other => return Err(format!("a message of kind {other}, which there is not")),
        };
        match words.0.len() {
            0 => Ok(message),
            more => Err(format!("a message of kind {kind} with {more} bytes too many")),
        }
    }
}

/// The rest of a message.
struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn u32(&mut self) -> Result<u32, String> {
        let (word, rest) = self.0.split_first_chunk().ok_or("a message that ends too early")?;
        self.0 = rest;
        Ok(u32::from_ne_bytes(*word))
    }

    fn u64(&mut self) -> Result<u64, String> {
        let (word, rest) = self.0.split_first_chunk().ok_or("a message that ends too early")?;
        self.0 = rest;
        Ok(u64::from_ne_bytes(*word))
    }

    fn plane(&mut self) -> Result<Plane, String> {
        Ok(Plane { memory: self.u32()? as usize, offset: self.u32()? as usize, stride: self.u32()? as usize })
    }

    /// All that is left, fit for one line.
    fn text(&mut self) -> String {
        let text = String::from_utf8_lossy(std::mem::take(&mut self.0));
        let text = text.trim_end_matches('\0').trim();
        text.chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

/// How a program's pictures are and where in a buffer they lie, as far as that can be checked without one.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    pub mode: CameraMode,
    pub planes: [Plane; 3],
    /// For each piece of memory of a buffer, how many bytes the picture reaches into it.
    pub reach: Vec<usize>,
}

impl Layout {
    /// # Errors
    /// Why pictures cannot be read by what the program tells of them.
    pub fn new(told: &Told, wished: &[PixelFormat]) -> Result<Self, String> {
        if told.version != VERSION {
            return Err(format!("it speaks version {} of the protocol, Eyrie version {VERSION}", told.version));
        }
        let letters = told.code.to_le_bytes();
        let format = FORMATS.iter().find(|(code, _)| **code == letters).map(|(_, format)| *format);
        let format = format.filter(|format| wished.contains(format)).ok_or_else(|| {
            let wished: Vec<_> = wished.iter().map(|format| format.name()).collect();
            format!("it gives `{}`, expected one of {}", letters.escape_ascii(), wished.join(", "))
        })?;
        let size = told.size;
        let possible = 1..=LONGEST_SIDE;
        if !possible.contains(&size.width) || !possible.contains(&size.height) {
            return Err(format!("pictures of {size} pixels cannot be; expected 1x1 to {LONGEST_SIDE}x{LONGEST_SIDE}"));
        }
        let (frames, seconds) = told.fps;
        if frames == 0 || seconds == 0 || frames / seconds > 1000 || seconds / frames > 60 {
            return Err(format!("{frames}/{seconds} pictures per second cannot be"));
        }
        let mode = CameraMode { format, size, fps: FrameRate::new(frames, seconds) };
        if format.is_coded() {
            return Ok(Self { mode, planes: [Plane::default(); 3], reach: vec![0] });
        }
        let (mut planes, mut reach) = ([Plane::default(); 3], [0; MOST_PIECES]);
        for (number, shape) in format.planes(size).iter().enumerate() {
            let plane = told.planes[number];
            let end = || plane.stride.checked_mul(shape.rows - 1)?.checked_add(plane.offset)?.checked_add(shape.row);
            let piece = reach.get_mut(plane.memory);
            let (Some(piece), Some(end), true) = (piece, end(), plane.stride >= shape.row) else {
                return Err(format!("plane {number} of {size} {format} cannot lie as it says: {plane:?}"));
            };
            *piece = end.max(*piece);
            planes[number] = plane;
        }
        let pieces = reach.iter().rposition(|bytes| *bytes > 0).map_or(0, |last| last + 1);
        Ok(Self { mode, planes, reach: reach[..pieces].to_vec() })
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::device::PassThrough;
    use crate::media::{Orientation, RawFrame, Scene};
    use proptest::prelude::*;
    use std::time::Duration;

    pub fn a_wish() -> CameraWish {
        CameraWish {
            device: "child:/bin/camera".into(),
            name: "front".into(),
            size: Size::new(640, 360),
            fps: FrameRate::new(30_000, 1001),
            format: None,
            pass_through: None,
            orientation: Orientation::default(),
            controls: vec![],
            scene: Scene::Bars,
        }
    }

    /// Pictures whose rows and planes follow each other in one piece.
    pub fn plain(format: PixelFormat, size: Size) -> Told {
        let stride = format.planes(size).first().map_or(0, |shape| shape.row);
        let planes = RawFrame::layout(format, size, stride, usize::MAX).unwrap();
        Told { version: VERSION, code: code(format), size, fps: (30, 1), planes }
    }

    pub fn format_message(told: &Told) -> Vec<u8> {
        let planes = told.planes.iter().flat_map(|plane| [plane.memory, plane.offset, plane.stride].map(|n| n as u32));
        let head = [FORMAT, told.version, told.code, told.size.width, told.size.height, told.fps.0, told.fps.1];
        words(head.into_iter().chain(planes))
    }

    pub fn buffer_message() -> Vec<u8> {
        words([BUFFER])
    }

    pub fn frame_message(frame: &Frame) -> Vec<u8> {
        let head = [FRAME, frame.buffer, frame.sequence, u32::from(frame.damaged), frame.used as u32, 0];
        [words(head), frame.stamp.as_nanos().to_ne_bytes().to_vec()].concat()
    }

    pub fn error_message(text: &str) -> Vec<u8> {
        [&words([ERROR])[..], text.as_bytes()].concat()
    }

    #[test]
    fn every_format_has_a_code_of_its_own() {
        use PixelFormat::*;
        let all =
            [I420, Nv12, Nv21, I422, Nv16, Yuyv, Uyvy, Yvyu, Vyuy, Grey, Rgb24, Bgr24, Bgrx32, Rgb565, Mjpeg, H264];
        let mut codes: Vec<_> = all.into_iter().map(code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), FORMATS.len());
    }

    #[test]
    fn a_wish_names_the_formats_that_serve() {
        let of = |wish: &CameraWish| {
            let words: Vec<_> = super::wish(wish).as_chunks().0.iter().map(|word| u32::from_ne_bytes(*word)).collect();
            assert_eq!(words[..6], [WISH, VERSION, 640, 360, 30_000, 1001]);
            assert_eq!(words.len(), 11 + words[10] as usize);
            (words[6..10].to_vec(), words[11..].iter().map(|code| code.to_le_bytes()).collect::<Vec<_>>())
        };
        let (plain, formats) = of(&a_wish());
        assert_eq!(plain, [0, 0, 0, 0]);
        assert_eq!(formats.len(), FORMATS.len() - 1);
        assert!(formats[0] == *b"YU12" && !formats.contains(b"H264"), "{formats:?}");
        let pass = |alone| {
            let (bitrate, gop, profile) = (2_000_000, Duration::from_secs(2), H264Profile::High);
            CameraWish { pass_through: Some(PassThrough { alone, bitrate, gop, profile }), ..a_wish() }
        };
        assert_eq!(of(&pass(true)), (vec![1, 2_000_000, 2000, 2], vec![*b"H264", *b"MJPG"]));
        assert_eq!(of(&pass(false)).1, vec![*b"MJPG"]);
        let chosen = CameraWish { format: Some(PixelFormat::Uyvy), ..pass(true) };
        assert_eq!(of(&chosen).1, vec![*b"UYVY"]);
    }

    #[test]
    fn what_a_program_tells_is_read_back() {
        let told = plain(PixelFormat::I420, Size::new(640, 360));
        assert_eq!(Message::parse(&format_message(&told)), Ok(Message::Format(told)));
        let stamp = MonoTime::from_timespec(1 << 33, 999_999_999);
        let frame = Frame { buffer: 3, sequence: u32::MAX, stamp, used: 70_000, damaged: true };
        assert_eq!(Message::parse(&frame_message(&frame)), Ok(Message::Frame(frame)));
        assert_eq!(Message::parse(&buffer_message()), Ok(Message::Buffer));
        let said = Message::parse(&error_message(" no sensor\non i2c-10\0"));
        assert_eq!(said, Ok(Message::Error("no sensor on i2c-10".into())));
    }

    #[test]
    fn what_is_no_message_is_refused_in_words() {
        for (bytes, why) in [
            (vec![], "ends too early"),
            (words([FRAME, 1]), "ends too early"),
            (words([BUFFER, 0]), "4 bytes too many"),
            (words([7]), "kind 7"),
            (words([WISH, VERSION]), "kind 1"),
        ] {
            let said = Message::parse(&bytes).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn a_layout_is_believed_only_where_it_can_be() {
        let size = Size::new(640, 360);
        let wished = formats(&a_wish());
        let good = plain(PixelFormat::Nv12, size);
        let layout = Layout::new(&good, &wished).unwrap();
        assert_eq!(layout.reach, [640 * 360 * 3 / 2]);
        let refused = |told: Told| Layout::new(&told, &wished).unwrap_err();
        assert!(refused(Told { version: 2, ..good.clone() }).contains("version 2"));
        assert!(
            refused(Told { code: code(PixelFormat::H264), ..good.clone() }).contains("`H264`, expected one of yu12")
        );
        assert!(refused(Told { code: u32::MAX, ..good.clone() }).contains("\\xff"));
        assert!(refused(Told { size: Size::new(0, 360), ..good.clone() }).contains("0x360"));
        assert!(refused(Told { size: Size::new(640, 8193), ..good.clone() }).contains("640x8193"));
        for fps in [(0, 1), (30, 0), (1001, 1), (1, 61)] {
            assert!(refused(Told { fps, ..good.clone() }).contains("per second"));
        }
        let mut apart = good.clone();
        apart.planes[1] = Plane { memory: 2, offset: 64, stride: 704 };
        assert_eq!(Layout::new(&apart, &wished).unwrap().reach, [640 * 360, 0, 64 + 179 * 704 + 640]);
        for plane in [
            Plane { memory: 3, ..good.planes[1] },
            Plane { stride: 639, ..good.planes[1] },
            Plane { offset: usize::MAX, ..good.planes[1] },
            Plane { stride: usize::MAX, ..good.planes[1] },
        ] {
            let mut bad = good.clone();
            bad.planes[1] = plane;
            assert!(refused(bad).contains("plane 1"));
        }
        // A coded picture has no rows, and what is said of them counts for nothing.
        let coded = Told { code: code(PixelFormat::Mjpeg), planes: apart.planes, ..good };
        let layout = Layout::new(&coded, &wished).unwrap();
        assert_eq!((layout.planes, layout.reach), ([Plane::default(); 3], vec![0]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_refused(kind in 0u32..24, rest in prop::collection::vec(any::<u8>(), 0..96)) {
            let message = Message::parse(&[&kind.to_ne_bytes()[..], &rest].concat());
            if let Ok(Message::Format(told)) = message {
                let _ = Layout::new(&told, &formats(&a_wish()));
            }
        }

        /// Whatever it says of its planes: one that is believed lies within what is reached for.
        #[test]
        fn every_plane_lies_within_its_reach(
            planes in prop::array::uniform3((0usize..4, 0..=u32::MAX as usize, 0..=u32::MAX as usize)),
            (width, height) in (1u32..9000, 1u32..9000),
            format in 0..FORMATS.len(),
        ) {
            let planes = planes.map(|(memory, offset, stride)| Plane { memory, offset, stride });
            let (letters, format) = FORMATS[format];
            let size = Size::new(width, height);
            let told = Told { version: VERSION, code: u32::from_le_bytes(*letters), size, fps: (30, 1), planes };
            if let Ok(layout) = Layout::new(&told, &[format]) {
                for (plane, shape) in layout.planes.iter().zip(format.planes(size)) {
                    let end = plane.offset + plane.stride * (shape.rows - 1) + shape.row;
                    prop_assert!(plane.stride >= shape.row && end <= layout.reach[plane.memory]);
                }
            }
        }
    }
}
