//! A camera whose pictures another program takes.

use super::{
    buffers::{Buffer, Link},
    process::Process,
    protocol::{self, Frame, LONGEST, Layout, MOST_BUFFERS, Message},
    sys,
};
use crate::{
    device::{Camera, CameraMode, CameraWish, DeviceError, OPENING, stamps::Stamps, v4l2::Sequence},
    media::{Lendable, PixelFormat, Pool, RawFrame},
    time::MonoTime,
};
use nix::errno::Errno;
use std::{
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

/// A camera program that runs. Its buffers are read where they lie and go back when their pictures are dropped.
pub struct ChildCamera {
    program: Program,
    layout: Layout,
    buffers: Vec<Arc<Lendable<Buffer>>>,
    /// What coded pictures are copied into.
    copies: Pool<Vec<u8>>,
    sequence: Sequence,
    dropped: u64,
    /// Taken while it was started.
    first: Option<RawFrame>,
    stamps: Stamps,
}

/// Starts the program that `wish` names and waits for its first picture.
///
/// # Errors
/// Unusable where it cannot be started, Stalled where it does not get ready, else Failed with what it says or did wrong.
pub fn open(wish: &CameraWish) -> Result<ChildCamera, DeviceError> {
    let words = super::words(&wish.device);
    let name = words.first().copied().unwrap_or_default().to_owned();
    let unusable = |reason: String| DeviceError::Unusable { device: name.clone(), reason };
    let (link, other_end) = Link::pair().map_err(|error| unusable(error.desc().to_owned()))?;
    let process = Process::start(&wish.name, &words, link.clone(), other_end)
        .map_err(|error| unusable(format!("it cannot be started: {error}")))?;
    ChildCamera::greet(Program { name, link, process }, wish)
}

impl ChildCamera {
    /// Tells a program what is wanted and waits for its first picture.
    fn greet(mut program: Program, wish: &CameraWish) -> Result<Self, DeviceError> {
        let deadline = MonoTime::now() + OPENING;
        program.link.send(&protocol::wish(wish));
        let layout = match program.message(deadline)? {
            Some((Message::Format(told), _)) => Layout::new(&told, &protocol::formats(wish)),
            Some((Message::Error(why), _)) => return Err(program.failed(why)),
            Some(_) => Err("its first message does not tell its format".to_owned()),
            None => return Err(DeviceError::Stalled { after: OPENING }),
        };
        let layout = layout.map_err(|what| program.failed(what))?;
        let mode = &layout.mode;
        tracing::info!(camera = wish.name, "{}: {} {} at {} fps", program.name, mode.size, mode.format, mode.fps);
        let mut camera = Self {
            program,
            layout,
            buffers: vec![],
            copies: Pool::default(),
            sequence: Sequence::default(),
            dropped: 0,
            first: None,
            stamps: Stamps::default(),
        };
        camera.first = Some(camera.await_frame(deadline)?.ok_or(DeviceError::Stalled { after: OPENING })?);
        Ok(camera)
    }

    /// The newest picture, of H.264 the next one. None when there was none until `deadline`.
    fn await_frame(&mut self, deadline: MonoTime) -> Result<Option<RawFrame>, DeviceError> {
        let mut newest = None;
        loop {
            // With a picture in hand, only for what has already come.
            let until = if newest.is_some() { MonoTime::ZERO } else { deadline };
            let Some((message, descriptors)) = self.program.message(until)? else { return Ok(newest) };
            let frame = self.heed(message, descriptors).map_err(|what| self.program.failed(what))?;
            if let Some(frame) = frame {
                if self.layout.mode.format == PixelFormat::H264 {
                    return Ok(Some(frame));
                }
                self.dropped += u64::from(newest.replace(frame).is_some());
            }
        }
    }

    /// Does what a message says; the picture if it is one.
    fn heed(&mut self, message: Message, descriptors: Vec<OwnedFd>) -> Result<Option<RawFrame>, String> {
        match message {
            Message::Buffer if self.buffers.len() == MOST_BUFFERS => Err(format!("more than {MOST_BUFFERS} buffers")),
            Message::Buffer => {
                let number = self.buffers.len() as u32;
                let buffer = Buffer::new(number, &self.program.link, descriptors, &self.layout.reach)?;
                self.buffers.push(Lendable::new(buffer));
                Ok(None)
            }
            Message::Frame(frame) => self.frame(&frame),
            Message::Format(_) => Err("a second format".to_owned()),
            Message::Error(why) => Err(why),
        }
    }

    fn frame(&mut self, frame: &Frame) -> Result<Option<RawFrame>, String> {
        let buffer = self.buffers.get(frame.buffer as usize);
        let buffer = buffer.ok_or_else(|| format!("a picture in buffer {}, which there is not", frame.buffer))?;
        let held = buffer.lend();
        let held = held.ok_or_else(|| format!("a picture in buffer {}, which it has not got back", frame.buffer))?;
        let (sequence, missing) = self.sequence.advance(frame.sequence);
        self.dropped += missing;
        if frame.damaged {
            self.dropped += 1;
            return Ok(None);
        }
        let mode = &self.layout.mode;
        let buffer = if mode.format.is_coded() {
            // Copied, as who reads it checks it first, and must find the same afterwards. It is small.
            let coded = held.memory(0).get(..frame.used).filter(|coded| !coded.is_empty());
            let coded = coded.ok_or_else(|| format!("a picture of {} bytes, which its buffer has not", frame.used))?;
            let mut copy = self.copies.take(Vec::new);
            copy.clear();
            copy.extend_from_slice(coded);
            copy.lend()
        } else {
            held
        };
        Ok(Some(RawFrame {
            format: mode.format,
            size: mode.size,
            shown: mode.size,
            planes: self.layout.planes,
            sequence,
            stamp: self.stamp(frame.stamp),
            buffer,
        }))
    }

    fn stamp(&mut self, told: MonoTime) -> MonoTime {
        let mistrusted = self.stamps.mistrusted();
        let stamp = self.stamps.stamp(Some(told), MonoTime::now());
        if self.stamps.mistrusted() && !mistrusted {
            let name = &self.program.name;
            tracing::warn!("{name}: its stamps are not of CLOCK_MONOTONIC; pictures are stamped as they arrive");
        }
        stamp
    }
}

impl Camera for ChildCamera {
    fn mode(&self) -> &CameraMode {
        &self.layout.mode
    }

    fn next(&mut self, patience: Duration) -> Result<RawFrame, DeviceError> {
        if let Some(frame) = self.first.take() {
            return Ok(frame);
        }
        self.await_frame(MonoTime::now() + patience)?.ok_or(DeviceError::Stalled { after: patience })
    }

    fn dropped(&self) -> u64 {
        self.dropped
    }

    fn request_keyframe(&mut self) -> bool {
        let asked = self.layout.mode.format == PixelFormat::H264;
        if asked {
            self.program.link.send(&protocol::keyframe());
        }
        asked
    }
}

/// The program at the other end.
struct Program {
    /// Its path.
    name: String,
    link: Arc<Link>,
    process: Process,
}

impl Program {
    /// The next message and the descriptors with it, None if none came until `deadline`.
    fn message(&mut self, deadline: MonoTime) -> Result<Option<(Message, Vec<OwnedFd>)>, DeviceError> {
        let mut bytes = [0; LONGEST];
        loop {
            if self.link.is_deaf() {
                return Err(self.failed("its program does not read what it is sent".to_owned()));
            }
            match sys::receive(self.link.as_fd(), &mut bytes) {
                Ok(Some((length, descriptors))) => {
                    let message = Message::parse(&bytes[..length]).map_err(|what| self.failed(what))?;
                    return Ok(Some((message, descriptors)));
                }
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Ok(None) | Err(Errno::ECONNRESET) => {
                    let what = self.process.epitaph();
                    return Err(self.failed(what));
                }
                Err(Errno::EMSGSIZE) => {
                    return Err(self.failed(format!("a message of more than {LONGEST} bytes")));
                }
                Err(other) => return Err(self.failed(format!("its messages cannot be read: {}", other.desc()))),
            }
            let left = deadline - MonoTime::now();
            if left.is_zero() {
                return Ok(None);
            }
            self.process.wait(left);
        }
    }

    fn failed(&self, what: String) -> DeviceError {
        DeviceError::Failed { device: self.name.clone(), what }
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol::tests::{a_wish, buffer_message, error_message, format_message, frame_message, plain};
    use super::*;
    use crate::media::Size;
    use nix::{
        fcntl::{FcntlArg, SealFlag, fcntl},
        sys::{
            memfd::{MFdFlags, memfd_create},
            socket::{ControlMessage, MsgFlags, UnixAddr, recv, sendmsg},
        },
    };
    use std::{
        fs::File,
        io::IoSlice,
        os::{fd::AsRawFd, unix::fs::FileExt},
    };

    const SIZE: Size = Size::new(64, 48);
    const BYTES: usize = 64 * 48 * 3 / 2;
    const PATIENCE: Duration = Duration::from_secs(20);

    /// The other end, in the place of a program.
    struct Peer(OwnedFd);

    impl Peer {
        fn new() -> (Program, Self) {
            let (link, other_end) = Link::pair().unwrap();
            let process = Process::start("front", &["/bin/true"], link.clone(), other_end.try_clone().unwrap());
            (Program { name: "/bin/camera".into(), link, process: process.unwrap() }, Self(other_end))
        }

        /// One that has told its format and announced `buffers`.
        fn ready(format: PixelFormat, buffers: &[&File]) -> (Program, Self) {
            let (program, peer) = Self::new();
            peer.tell(&format_message(&plain(format, SIZE)), &[]);
            buffers.iter().for_each(|buffer| peer.tell(&buffer_message(), &[buffer]));
            (program, peer)
        }

        fn tell(&self, message: &[u8], with: &[&File]) {
            let numbers: Vec<_> = with.iter().map(|file| file.as_raw_fd()).collect();
            let rights = [ControlMessage::ScmRights(&numbers)];
            let rights = if with.is_empty() { &rights[..0] } else { &rights[..] };
            let pieces = [IoSlice::new(message)];
            sendmsg::<UnixAddr>(self.0.as_raw_fd(), &pieces, rights, MsgFlags::empty(), None).unwrap();
        }

        fn frame(&self, buffer: u32, sequence: u32) {
            self.tell(&frame_message(&a_frame(buffer, sequence)), &[]);
        }

        /// The next message from Eyrie, as words.
        fn told(&self) -> Vec<u32> {
            let mut bytes = [0; LONGEST];
            let length = recv(self.0.as_raw_fd(), &mut bytes, MsgFlags::empty()).unwrap();
            bytes[..length].as_chunks().0.iter().map(|word| u32::from_ne_bytes(*word)).collect()
        }
    }

    fn a_frame(buffer: u32, sequence: u32) -> Frame {
        Frame { buffer, sequence, stamp: MonoTime::now(), used: 0, damaged: false }
    }

    fn memory(bytes: usize, seals: SealFlag) -> File {
        let file = File::from(memfd_create("picture", MFdFlags::MFD_ALLOW_SEALING | MFdFlags::MFD_CLOEXEC).unwrap());
        file.set_len(bytes as u64).unwrap();
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).unwrap();
        file
    }

    fn sealed(bytes: usize) -> File {
        memory(bytes, SealFlag::F_SEAL_SHRINK)
    }

    fn said(error: Result<ChildCamera, DeviceError>) -> String {
        error.err().expect("it is refused").to_string()
    }

    #[test]
    fn pictures_are_read_where_they_lie_and_their_buffers_given_back() {
        let buffers = [sealed(BYTES), sealed(BYTES + 100)];
        let (program, peer) = Peer::ready(PixelFormat::I420, &[&buffers[0], &buffers[1]]);
        peer.frame(0, 7);
        let mut camera = ChildCamera::greet(program, &a_wish()).unwrap();
        assert_eq!(peer.told()[..2], [1, protocol::VERSION]);
        let first = camera.next(PATIENCE).unwrap();
        buffers[0].write_all_at(&[200; BYTES], 0).unwrap();
        assert_eq!((first.plane(2)[0], first.bytes().len()), (200, BYTES), "the memory is the program's own");
        assert!(first.buffer.dma(0).is_none() && first.buffer.memory(1).is_empty());
        peer.frame(1, 9);
        let second = camera.next(PATIENCE).unwrap();
        assert_eq!((second.sequence - first.sequence, camera.dropped()), (2, 1));
        drop(first);
        assert_eq!(peer.told(), [2, 0]);
        peer.frame(0, 10);
        drop(camera.next(PATIENCE).unwrap());
        assert_eq!(peer.told(), [2, 0]);
        // A picture outlives its camera and the program.
        drop(camera);
        assert_eq!(second.bytes().len(), BYTES + 100);
    }

    #[test]
    fn the_newest_picture_counts_but_of_h264_each() {
        let buffers: Vec<_> = (0..4).map(|_| sealed(BYTES)).collect();
        let all: Vec<_> = buffers.iter().collect();
        let (program, peer) = Peer::ready(PixelFormat::Nv12, &all);
        (0..3).for_each(|n| peer.frame(n, n));
        peer.tell(&frame_message(&Frame { damaged: true, ..a_frame(3, 3) }), &[]);
        let mut camera = ChildCamera::greet(program, &a_wish()).unwrap();
        assert_eq!((camera.next(PATIENCE).unwrap().sequence, camera.dropped()), (2, 3));
        assert!(!camera.request_keyframe());

        let wish = CameraWish { format: Some(PixelFormat::H264), ..a_wish() };
        let (program, peer) = Peer::ready(PixelFormat::H264, &all);
        for n in 0..3 {
            buffers[n as usize].write_all_at(&[n as u8; 100], 0).unwrap();
            peer.tell(&frame_message(&Frame { used: 10 + n as usize, ..a_frame(n, n) }), &[]);
        }
        let mut camera = ChildCamera::greet(program, &wish).unwrap();
        for n in 0..3 {
            let picture = camera.next(PATIENCE).unwrap();
            assert_eq!((picture.sequence, picture.bytes()), (n, &vec![n as u8; 10 + n as usize][..]));
        }
        peer.told();
        assert_eq!((0..3).map(|_| peer.told()).collect::<Vec<_>>(), [[2, 0], [2, 1], [2, 2]], "given back once copied");
        assert!(camera.request_keyframe());
        assert_eq!(peer.told(), [3]);
    }

    #[test]
    fn memory_that_could_be_taken_away_is_refused() {
        let plain_file = tempfile::tempfile().unwrap();
        plain_file.set_len(BYTES as u64).unwrap();
        for (buffer, why) in [
            (sealed(BYTES - 1), "a buffer of 4607 bytes, where its pictures take 4608"),
            (memory(BYTES, SealFlag::F_SEAL_GROW), "F_SEAL_SHRINK"),
            (plain_file, "F_SEAL_SHRINK"),
            (File::open("/dev/null").unwrap(), "F_SEAL_SHRINK"),
        ] {
            let (program, peer) = Peer::ready(PixelFormat::I420, &[&buffer]);
            drop(peer);
            let error = said(ChildCamera::greet(program, &a_wish()));
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn what_breaks_the_protocol_ends_in_words() {
        let buffer = sealed(BYTES);
        let format = format_message(&plain(PixelFormat::I420, SIZE));
        let tell = |tell: &dyn Fn(&Peer), why: &str| {
            let (program, peer) = Peer::new();
            tell(&peer);
            // What it said can still be read, and nobody has to wait for its end.
            drop(peer);
            let error = said(ChildCamera::greet(program, &a_wish()));
            assert!(error.starts_with("/bin/camera: ") && error.contains(why), "{error}");
        };
        tell(&|peer| peer.tell(&buffer_message(), &[&buffer]), "its first message does not tell its format");
        tell(&|peer| peer.tell(&error_message("no sensor"), &[]), "no sensor");
        tell(&|peer| peer.tell(&[1; LONGEST + 1], &[]), "a message of more than 1024 bytes");
        let then = |more: &dyn Fn(&Peer), why: &str| {
            tell(
                &|peer| {
                    peer.tell(&format, &[]);
                    peer.tell(&buffer_message(), &[&buffer]);
                    more(peer);
                },
                why,
            );
        };
        then(&|peer| peer.tell(&format, &[]), "a second format");
        then(&|peer| peer.frame(1, 0), "a picture in buffer 1, which there is not");
        then(&|peer| peer.frame(u32::MAX, 0), "which there is not");
        then(&|peer| (0..2).for_each(|n| peer.frame(0, n)), "which it has not got back");
        then(&|peer| peer.tell(&buffer_message(), &[]), "a buffer of 0 descriptors; its format takes 1");
        then(&|peer| peer.tell(&buffer_message(), &[&buffer; 2]), "a buffer of 2 descriptors");
        then(&|peer| peer.tell(&buffer_message(), &[&buffer; 200]), "a buffer of 200 descriptors");
        then(&|peer| (0..MOST_BUFFERS).for_each(|_| peer.tell(&buffer_message(), &[&buffer])), "more than 32 buffers");
        then(&|peer| peer.tell(&error_message("the sensor fell off"), &[]), "the sensor fell off");
        let wish = CameraWish { format: Some(PixelFormat::Mjpeg), ..a_wish() };
        for used in [0, BYTES + 1, usize::MAX] {
            let (program, peer) = Peer::ready(PixelFormat::Mjpeg, &[&buffer]);
            peer.tell(&frame_message(&Frame { used, ..a_frame(0, 0) }), &[]);
            drop(peer);
            assert!(said(ChildCamera::greet(program, &wish)).contains("which its buffer has not"));
        }
    }

    #[test]
    fn stamps_that_cannot_be_are_those_of_the_arrival() {
        let buffers = [sealed(BYTES), sealed(BYTES)];
        let (program, peer) = Peer::ready(PixelFormat::I420, &[&buffers[0], &buffers[1]]);
        let wrong = Frame { stamp: MonoTime::from_nanos(u64::MAX), ..a_frame(0, 0) };
        peer.tell(&frame_message(&wrong), &[]);
        let before = MonoTime::now();
        let mut camera = ChildCamera::greet(program, &a_wish()).unwrap();
        let stamp = camera.next(PATIENCE).unwrap().stamp;
        assert!(stamp >= before && stamp <= MonoTime::now());

        let (program, peer) = Peer::ready(PixelFormat::I420, &[&buffers[0], &buffers[1]]);
        peer.tell(&frame_message(&Frame { stamp: before, ..a_frame(0, 0) }), &[]);
        let mut camera = ChildCamera::greet(program, &a_wish()).unwrap();
        assert_eq!(camera.next(PATIENCE).unwrap().stamp, before);
    }

    #[test]
    fn silence_and_deafness_are_found() {
        let buffer = sealed(BYTES);
        let (program, peer) = Peer::ready(PixelFormat::I420, &[&buffer]);
        peer.frame(0, 0);
        let mut camera = ChildCamera::greet(program, &a_wish()).unwrap();
        drop(camera.next(PATIENCE).unwrap());
        assert!(matches!(camera.next(Duration::from_millis(20)), Err(DeviceError::Stalled { .. })));
        // It goes on giving pictures and never reads that their buffers are free.
        let error = (1..10_000).find_map(|n| {
            peer.frame(0, n);
            camera.next(PATIENCE).err()
        });
        assert!(error.unwrap().to_string().contains("does not read"));
    }

    #[test]
    fn a_program_is_named_by_its_path() {
        let open = |device: &str| open(&CameraWish { device: device.into(), ..a_wish() }).err().unwrap().to_string();
        assert!(open("child:").contains("cannot be started"));
        assert!(
            open("child:/nowhere/camera --fast").starts_with("/nowhere/camera cannot be used: it cannot be started")
        );
        assert_eq!(open("child:/bin/false"), "/bin/false: its program ended with exit code 1");
    }
}
