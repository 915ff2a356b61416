//! A camera program, as README.md describes what one has to say: it takes its pictures from the test pattern, whose marks
//! tell every loss, and hands them over raw or coded. Its options make it fail.
//!
//! `camera FORMAT [OPTIONS…]`: FORMAT is `yu12`, `nv12`, `mjpeg` or `h264`; after as many pictures,
//! `--exit-after N` ends it, `--hang-after N` lets it fall silent, `--fail-after N` says why it cannot go on; with
//! `--once FILE` it does so only while FILE is absent, and makes it. `--stamps-back N` has its clock fall back by 5 s then.
//! `--key-size N` makes each key frame of `h264` N bytes long.

use eyrie::{
    device::{Camera, CameraWish, pattern::TestPattern},
    media::{FrameRate, Orientation, RawFrame, Scene, Size},
};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, SealFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        memfd::{MFdFlags, memfd_create},
        socket::{ControlMessage, MsgFlags, UnixAddr, recv, sendmsg},
    },
};
use openh264::{
    OpenH264API,
    encoder::{BitRate, Encoder, EncoderConfig, RateControlMode},
    formats::YUVSlices,
};
use std::{
    fs::File,
    io::{IoSlice, stdin},
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::FileExt,
    },
    process::ExitCode,
    time::Duration,
};

const BUFFERS: usize = 4;

/// What Eyrie wants, by the words of its first message.
struct Wish {
    size: Size,
    fps: FrameRate,
    /// In bit/s; 0 where the pictures are not passed on.
    bitrate: u32,
    gop: Duration,
    /// V4L2's codes.
    formats: Vec<[u8; 4]>,
}

/// One of the buffers that were announced.
struct Buffer {
    memory: File,
    free: bool,
}

/// The other end of the socket.
struct Eyrie {
    buffers: Vec<Buffer>,
    keyframe: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    let number = |name: &str| option(name).and_then(|value| value.parse::<u64>().ok());
    let format = arguments.first().map_or("", String::as_str);
    let Some(first) = receive(true) else { return ExitCode::FAILURE };
    let wish = Wish::parse(&first);
    let Some(code) = code(format).filter(|code| wish.formats.contains(code)) else {
        eprintln!("{format} is not what is wished");
        send(&[&19u32.to_ne_bytes()[..], b"it cannot give what is wished"].concat(), None);
        return ExitCode::FAILURE;
    };
    let again = option("--once").is_some_and(|path| File::create_new(path).is_err());
    let trouble = |name: &str| number(name).filter(|_| !again);
    let (exit, hang, fail) = (trouble("--exit-after"), trouble("--hang-after"), trouble("--fail-after"));
    let back = trouble("--stamps-back");

    let mut pattern = TestPattern::open(&wish.of_pattern()).expect("a size that the pattern has");
    let mut coder = Coder::new(format, &wish, number("--key-size").unwrap_or(0) as usize);
    let (size, fps) = (wish.size, wish.fps);
    // Padding after each row, so that a reader who takes the width for the stride is found out.
    let stride = size.width + 64;
    let chroma = if code == *b"NV12" { stride } else { stride / 2 };
    let rows = size.height;
    let planes = [[0, 0, stride], [0, stride * rows, chroma], [0, stride * rows + chroma * rows / 2, chroma]];
    let head = [16, 1, u32::from_le_bytes(code), size.width, size.height, fps.num, fps.den];
    send(&words(head.into_iter().chain(planes.into_iter().flatten())), None);
    let mut eyrie = Eyrie { buffers: vec![], keyframe: true };
    for _ in 0..BUFFERS {
        let memory = File::from(memfd_create("camera", MFdFlags::MFD_ALLOW_SEALING).unwrap());
        memory.set_len(u64::from(stride * rows * 2)).unwrap();
        fcntl(&memory, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK)).unwrap();
        send(&words([17]), Some(&memory));
        eyrie.buffers.push(Buffer { memory, free: true });
    }
    eprintln!("gives {size} {format} at {fps} pictures a second");

    for n in 0u64.. {
        let frame = pattern.next(Duration::from_secs(10)).unwrap();
        if exit == Some(n) {
            eprintln!("it falls over now");
            return ExitCode::from(3);
        }
        if fail == Some(n) {
            send(&[&19u32.to_ne_bytes()[..], b"the sensor does not answer"].concat(), None);
        }
        while hang.is_some_and(|after| n >= after) {
            if receive(true).is_none() {
                return ExitCode::SUCCESS;
            }
        }
        if !eyrie.listen() {
            return ExitCode::SUCCESS;
        }
        let Some(index) = eyrie.buffers.iter().position(|buffer| buffer.free) else { continue };
        let picture = coder.picture(&frame, stride as usize, std::mem::take(&mut eyrie.keyframe));
        eyrie.buffers[index].memory.write_all_at(&picture, 0).unwrap();
        eyrie.buffers[index].free = false;
        let used = if code == *b"MJPG" || code == *b"H264" { picture.len() as u32 } else { 0 };
        let behind = if back.is_some_and(|after| n >= after) { 5_000_000_000 } else { 0 };
        let stamp = frame.stamp.as_nanos() - behind;
        let head = words([18, index as u32, frame.sequence as u32, 0, used, 0]);
        send(&[head, stamp.to_ne_bytes().to_vec()].concat(), None);
    }
    ExitCode::SUCCESS
}

impl Wish {
    fn parse(message: &[u8]) -> Self {
        let words: Vec<u32> = message.as_chunks().0.iter().map(|word| u32::from_ne_bytes(*word)).collect();
        assert_eq!(words[..2], [1, 1], "a wish of version 1");
        Self {
            size: Size::new(words[2], words[3]),
            fps: FrameRate::new(words[4], words[5]),
            bitrate: words[7],
            gop: Duration::from_millis(u64::from(words[8])),
            formats: words[11..].iter().map(|code| code.to_le_bytes()).collect(),
        }
    }

    fn of_pattern(&self) -> CameraWish {
        CameraWish {
            device: "test".into(),
            name: "program".into(),
            size: self.size,
            fps: self.fps,
            format: None,
            pass_through: None,
            orientation: Orientation::default(),
            controls: vec![],
            scene: Scene::Bars,
        }
    }
}

impl Eyrie {
    /// Heeds what it said meanwhile; false once it has closed.
    fn listen(&mut self) -> bool {
        loop {
            let stdin = stdin();
            let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::ZERO).unwrap_or(0) == 0 {
                return true;
            }
            let Some(message) = receive(false) else { return false };
            let words: Vec<u32> = message.as_chunks().0.iter().map(|word| u32::from_ne_bytes(*word)).collect();
            match words[..] {
                [2, buffer] => self.buffers[buffer as usize].free = true,
                [3] => self.keyframe = true,
                _ => panic!("{words:?} is no message of version 1"),
            }
        }
    }
}

/// From the pattern's pictures, planar and without padding, to what goes into a buffer.
enum Coder {
    Planar,
    Interleaved,
    Jpeg,
    H264 { encoder: Box<Encoder>, gop: u64, coded: u64, key_size: usize },
}

impl Coder {
    fn new(format: &str, wish: &Wish, key_size: usize) -> Self {
        match format {
            "nv12" => Self::Interleaved,
            "mjpeg" => Self::Jpeg,
            "h264" => {
                let config = EncoderConfig::new()
                    .bitrate(BitRate::from_bps(if wish.bitrate > 0 { wish.bitrate } else { 1_000_000 }))
                    .max_frame_rate(openh264::encoder::FrameRate::from_hz(wish.fps.as_f64() as f32))
                    .rate_control_mode(RateControlMode::Bitrate)
                    .scene_change_detect(false)
                    .skip_frames(false);
                let encoder = Encoder::with_api_config(OpenH264API::from_source(), config).unwrap();
                let gop = (wish.gop.as_secs_f64() * wish.fps.as_f64()).round() as u64;
                Self::H264 { encoder: Box::new(encoder), gop: if gop > 0 { gop } else { 60 }, coded: 0, key_size }
            }
            _ => Self::Planar,
        }
    }

    fn picture(&mut self, frame: &RawFrame, stride: usize, keyframe: bool) -> Vec<u8> {
        let (width, height) = (frame.size.width as usize, frame.size.height as usize);
        let chroma = width / 2 * (height / 2);
        let plane = |number: usize, length: usize| &frame.plane(number)[..length];
        let [y, u, v] = [plane(0, width * height), plane(1, chroma), plane(2, chroma)];
        let padded = |plane: &[u8], width: usize, rows: usize, stride: usize| {
            let rows = plane.chunks(width).take(rows);
            rows.flat_map(|row| [row, &vec![0x55; stride - width]].concat()).collect::<Vec<_>>()
        };
        let luma = || padded(y, width, height, stride);
        match self {
            Self::Planar => {
                let chroma = |plane| padded(plane, width / 2, height / 2, stride / 2);
                [luma(), chroma(u), chroma(v)].concat()
            }
            Self::Interleaved => {
                let pairs = u.iter().zip(v).take(width * height / 4);
                let pairs: Vec<u8> = pairs.flat_map(|(u, v)| [*u, *v]).collect();
                [luma(), padded(&pairs, width, height / 2, stride)].concat()
            }
            Self::Jpeg => {
                let image = turbojpeg::YuvPlanesImage {
                    y_plane: y,
                    u_plane: u,
                    v_plane: v,
                    width,
                    height,
                    y_stride: width,
                    u_stride: width / 2,
                    v_stride: width / 2,
                    subsamp: turbojpeg::Subsamp::Sub2x2,
                };
                turbojpeg::compress_yuv_planes(&image, 85).unwrap().to_vec()
            }
            Self::H264 { encoder, gop, coded, key_size } => {
                if keyframe || coded.is_multiple_of(*gop) {
                    encoder.force_intra_frame();
                    *coded = 0;
                }
                *coded += 1;
                let strides = (width, width / 2, width / 2);
                let unit = encoder.encode(&YUVSlices::new((y, u, v), (width, height), strides)).unwrap().to_vec();
                lengthened(unit, *key_size)
            }
        }
    }
}

/// A key frame with a message of no meaning before its slice, SEI "user data unregistered", so that it has that size; any
/// other picture as it is.
fn lengthened(mut unit: Vec<u8>, size: usize) -> Vec<u8> {
    let slice = unit.windows(5).position(|bytes| bytes[..4] == [0, 0, 0, 1] && bytes[4] & 31 == 5);
    // Start code, header, the payload's type and the closing bit, and one byte of its size for each 255.
    let Some((slice, more)) = slice.zip(size.checked_sub(unit.len() + 7 + size / 255)) else { return unit };
    let mut message = vec![0, 0, 0, 1, 6, 5];
    message.resize(message.len() + more / 255, 255);
    message.push((more % 255) as u8);
    message.resize(message.len() + more, 0x55);
    message.push(0x80);
    unit.splice(slice..slice, message);
    unit
}

fn code(format: &str) -> Option<[u8; 4]> {
    match format {
        "yu12" => Some(*b"YU12"),
        "nv12" => Some(*b"NV12"),
        "mjpeg" => Some(*b"MJPG"),
        "h264" => Some(*b"H264"),
        _ => None,
    }
}

fn words(words: impl IntoIterator<Item = u32>) -> Vec<u8> {
    words.into_iter().flat_map(u32::to_ne_bytes).collect()
}

/// The next message from Eyrie, waiting for it or not; None once it has closed.
fn receive(wait: bool) -> Option<Vec<u8>> {
    let mut bytes = [0; 1024];
    let flags = if wait { MsgFlags::empty() } else { MsgFlags::MSG_DONTWAIT };
    match recv(stdin().as_raw_fd(), &mut bytes, flags) {
        Ok(0) | Err(Errno::ECONNRESET | Errno::ENOTSOCK) => None,
        Ok(length) => Some(bytes[..length].to_vec()),
        Err(error) => panic!("{error}"),
    }
}

/// Sends a message, perhaps with a descriptor. Where Eyrie has closed, the next `receive` finds it.
fn send(message: &[u8], with: Option<&File>) {
    let number = with.map(|file| [file.as_raw_fd()]);
    let rights = number.as_ref().map(|number| ControlMessage::ScmRights(number));
    let pieces = [IoSlice::new(message)];
    let _ = sendmsg::<UnixAddr>(stdin().as_raw_fd(), &pieces, rights.as_slice(), MsgFlags::MSG_NOSIGNAL, None);
}
