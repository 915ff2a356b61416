use super::{
    controls,
    modes::{self, Choice},
    node, offers,
    queue::{Held, Queue, Sequence},
};
use crate::{
    device::{Camera, CameraMode, CameraWish, DeviceError},
    media::{FrameRate, PixelFormat, RawFrame, Size},
    time::MonoTime,
    v4l2::{self as sys, BufferType, Dequeued, Descriptor, PictureFormat, Ready},
};
use nix::errno::Errno;
use std::time::Duration;

/// A capture stamp further than this before or after now is a driver's mistake.
const STALE: Duration = Duration::from_secs(10);
const EARLY: Duration = Duration::from_secs(1);

/// A camera that streams. Its pictures are the driver's own buffers, given back when dropped, also after the camera is.
pub struct V4l2Camera {
    name: String,
    mode: CameraMode,
    /// From one row of the first plane to the next, in bytes.
    stride: usize,
    queue: Queue,
    sequence: Sequence,
    dropped: u64,
    /// It was logged that the driver's stamps are of no use.
    stamps_mistrusted: bool,
}

/// Finds the camera, negotiates the mode nearest to the wish, sets the controls and starts it.
///
/// # Errors
/// Absent, Ambiguous or Unusable by its name, Busy if another program streams from it, else Failed with the step.
pub fn open(wish: &CameraWish) -> Result<V4l2Camera, DeviceError> {
    let node = node::find(&wish.device)?;
    let device = Descriptor::open(&node.path).map_err(|error| match error {
        Errno::EBUSY => DeviceError::Busy { device: node.node() },
        other => DeviceError::Unusable { device: node.node(), reason: node::refusal(other).to_owned() },
    })?;
    let name = format!("{} ({}, {})", node.name, node.bus, node.node());
    let unusable = |reason: String| DeviceError::Unusable { device: name.clone(), reason };

    let choice = modes::choose(&offers::near(&device, wish.size), wish)
        .ok_or_else(|| unusable("it tells no picture size".to_owned()))?;
    let size = (choice.size.width, choice.size.height);
    let given = device
        .set_format(BufferType::Capture, &PictureFormat::new(choice.fourcc, size))
        .map_err(|e| failure(&node.bus, &name, "setting the format", e))?;
    let (mode, stride) = accepted(&given, &choice).map_err(unusable)?;
    let interval = device.set_interval(BufferType::Capture, (choice.fps.den, choice.fps.num));
    let mode = CameraMode { fps: rate(interval, &choice, &node.bus, &name)?, ..mode };
    tracing::info!("{name}: {} {} at {} fps ({})", mode.size, mode.format, mode.fps, choice.reason);
    if (mode.format, mode.size, mode.fps) != (choice.format, choice.size, choice.fps) {
        let Choice { format, size, fps, .. } = choice;
        tracing::warn!("{name}: the driver changed what was chosen ({size} {} at {fps} fps)", format);
    }

    controls::apply(&device, &wish.controls);
    let queue = Queue::start(device).map_err(|error| failure(&node.bus, &name, "starting it", error))?;
    let sequence = Sequence::default();
    Ok(V4l2Camera { name, mode, stride, queue, sequence, dropped: 0, stamps_mistrusted: false })
}

/// The mode and stride that the driver gives, or why it cannot be read.
fn accepted(given: &PictureFormat, choice: &Choice) -> Result<(CameraMode, usize), String> {
    if ![sys::v4l2_field_V4L2_FIELD_NONE, sys::v4l2_field_V4L2_FIELD_ANY].contains(&given.field) {
        return Err(format!("its pictures are interlaced (V4L2 field order {})", given.field));
    }
    let format = modes::format_of(given.fourcc)
        .ok_or_else(|| format!("asked for {}, it gives {}", choice.format, modes::letters(given.fourcc)))?;
    let size = Size::new(given.width, given.height);
    let stride = match (given.planes[0].stride, format) {
        (0, PixelFormat::Yuyv | PixelFormat::Uyvy) => size.width as usize * 2,
        (0, _) => size.width as usize,
        (stride, _) => stride as usize,
    };
    let length = given.planes[0].size as usize;
    if size.pixels() == 0 || RawFrame::layout(format, size, stride, length).is_none() {
        return Err(format!("{size} {} in rows of {stride} bytes does not fit its {length} bytes", format));
    }
    Ok((CameraMode { format, size, fps: choice.fps }, stride))
}

/// The rate that the driver took; the chosen one where it knows none.
fn rate(
    answer: Result<Option<(u32, u32)>, Errno>,
    choice: &Choice,
    bus: &str,
    name: &str,
) -> Result<FrameRate, DeviceError> {
    match answer {
        Ok(Some((numerator, denominator))) => Ok(FrameRate::new(denominator, numerator)),
        Ok(None) | Err(Errno::ENOTTY | Errno::EINVAL) => Ok(choice.fps),
        Err(error) => Err(failure(bus, name, "setting the rate", error)),
    }
}

/// What an error before the first picture means.
fn failure(bus: &str, name: &str, step: &str, error: Errno) -> DeviceError {
    let what = match error {
        Errno::EBUSY => return DeviceError::Busy { device: name.to_owned() },
        Errno::ENOSPC => format!(
            "{step} failed: the bus {bus} has no bandwidth left for it; format = \"mjpeg\", a smaller size or another port \
             helps"
        ),
        Errno::ENODEV => "it was unplugged".to_owned(),
        other => format!("{step} failed: {}", other.desc()),
    };
    DeviceError::Failed { device: name.to_owned(), what }
}

impl V4l2Camera {
    /// The newest filled buffer that is whole; older ones go back at once and are counted, as are damaged ones.
    fn newest(&mut self) -> Result<Option<RawFrame>, Errno> {
        let mut newest = None;
        while let Some((done, held)) = self.queue.dequeue()? {
            let (sequence, missing) = self.sequence.advance(done.sequence);
            self.dropped += missing;
            let damaged = done.flags & sys::V4L2_BUF_FLAG_ERROR != 0;
            let planes = RawFrame::layout(self.mode.format, self.mode.size, self.stride, held.len());
            match planes.filter(|_| !damaged && held.len() > 0) {
                Some(planes) => self.dropped += u64::from(newest.replace((sequence, planes, done, held)).is_some()),
                None => self.dropped += 1,
            }
        }
        Ok(newest.map(|(sequence, planes, done, held): (_, _, _, Held)| RawFrame {
            format: self.mode.format,
            size: self.mode.size,
            shown: self.mode.size,
            planes,
            stamp: self.stamp(&done),
            sequence,
            buffer: Box::new(held),
        }))
    }

    /// When the picture was taken by the driver's word, or now where that is no use.
    fn stamp(&mut self, done: &Dequeued) -> MonoTime {
        let now = MonoTime::now();
        let stamp = trusted_stamp(done, now);
        if stamp.is_none() && !self.stamps_mistrusted {
            self.stamps_mistrusted = true;
            tracing::warn!("{}: its driver's time stamps are no use; pictures are stamped as they arrive", self.name);
        }
        stamp.unwrap_or(now)
    }

    fn failed(&self, error: Errno) -> DeviceError {
        let what = match error {
            Errno::ENODEV => "it was unplugged".to_owned(),
            Errno::EIO => "its driver reports an input/output error".to_owned(),
            other => format!("taking a picture failed: {}", other.desc()),
        };
        DeviceError::Failed { device: self.name.clone(), what }
    }
}

/// The driver's stamp, if it is of CLOCK_MONOTONIC and believable.
fn trusted_stamp(done: &Dequeued, now: MonoTime) -> Option<MonoTime> {
    let monotonic = done.flags & sys::V4L2_BUF_FLAG_TIMESTAMP_MASK == sys::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    let stamp = MonoTime::from_timespec(done.seconds, done.micros.saturating_mul(1000));
    (monotonic && now.since(stamp) < STALE && stamp.since(now) < EARLY).then_some(stamp)
}

impl Camera for V4l2Camera {
    fn mode(&self) -> &CameraMode {
        &self.mode
    }

    fn next(&mut self, patience: Duration) -> Result<RawFrame, DeviceError> {
        let deadline = MonoTime::now() + patience;
        let mut trouble = false;
        loop {
            if let Some(frame) = self.newest().map_err(|error| self.failed(error))? {
                return Ok(frame);
            }
            if trouble {
                // The driver signals an error and tells none.
                return Err(self.failed(Errno::EIO));
            }
            let left = deadline - MonoTime::now();
            if left.is_zero() {
                return Err(DeviceError::Stalled { after: patience });
            }
            trouble = self.queue.wait(left).map_err(|error| self.failed(error))? == Ready::Trouble;
        }
    }

    fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v4l2::PlaneFormat;

    fn given(fourcc: &[u8; 4], bytesperline: u32, sizeimage: u32) -> PictureFormat {
        let planes = vec![PlaneFormat { stride: bytesperline, size: sizeimage }];
        PictureFormat { planes, ..PictureFormat::new(u32::from_le_bytes(*fourcc), (640, 480)) }
    }

    fn choice() -> Choice {
        let (format, size, fps) = (PixelFormat::Yuyv, Size::new(640, 480), FrameRate::new(30, 1));
        Choice { format, fourcc: u32::from_le_bytes(*b"YUYV"), size, fps, reason: String::new() }
    }

    #[test]
    fn what_the_driver_gives_is_believed_or_refused_in_words() {
        let (mode, stride) = accepted(&given(b"YUYV", 1344, 1344 * 480), &choice()).unwrap();
        assert_eq!((mode.format, stride), (PixelFormat::Yuyv, 1344));
        assert_eq!(accepted(&given(b"NV12", 0, 640 * 480 * 3 / 2), &choice()).unwrap().1, 640);
        assert_eq!(accepted(&given(b"UYVY", 0, 640 * 480 * 2), &choice()).unwrap().1, 1280);
        assert!(accepted(&given(b"MJPG", 0, 1000), &choice()).is_ok());
        let refused = |given| accepted(&given, &choice()).unwrap_err();
        assert!(refused(given(b"YUYV", 1280, 1000)).contains("does not fit"));
        assert!(refused(given(b"BA81", 640, 640 * 480)).contains("gives BA81"));
        let interlaced = PictureFormat { field: 4, ..given(b"YUYV", 1280, 1280 * 480) };
        assert!(refused(interlaced).contains("interlaced"));
        assert!(refused(PictureFormat { height: 0, ..given(b"YUYV", 1280, 1280 * 480) }).contains("640x0"));
    }

    #[test]
    fn stamps_of_another_clock_or_time_are_not_trusted() {
        let now = MonoTime::from_timespec(1000, 0);
        let done = |flags, seconds| Dequeued { flags, seconds, micros: 500_000, ..Dequeued::default() };
        let monotonic = sys::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC | sys::V4L2_BUF_FLAG_MAPPED;
        assert_eq!(trusted_stamp(&done(monotonic, 999), now), Some(MonoTime::from_timespec(999, 500_000_000)));
        for (flags, seconds) in [
            (sys::V4L2_BUF_FLAG_TIMESTAMP_UNKNOWN, 999),
            (sys::V4L2_BUF_FLAG_TIMESTAMP_COPY, 999),
            (monotonic, 0),
            (monotonic, 1002),
            (monotonic, u64::MAX),
        ] {
            assert_eq!(trusted_stamp(&done(flags, seconds), now), None);
        }
    }

    #[test]
    fn errors_before_the_first_picture_say_what_helps() {
        let said = |error| failure("usb-0000:01:00.0-1", "Webcam", "starting it", error);
        assert!(matches!(said(Errno::EBUSY), DeviceError::Busy { .. }));
        let text = said(Errno::ENOSPC).to_string();
        assert!(text.contains("usb-0000:01:00.0-1") && text.contains("mjpeg"), "{text}");
        assert_eq!(said(Errno::ENODEV).to_string(), "Webcam: it was unplugged");
    }

    #[test]
    fn a_driver_without_rates_keeps_the_chosen_one() {
        for answer in [Ok(None), Err(Errno::ENOTTY), Err(Errno::EINVAL)] {
            assert_eq!(rate(answer, &choice(), "", "").unwrap(), FrameRate::new(30, 1));
        }
        assert_eq!(rate(Ok(Some((1001, 24000))), &choice(), "", "").unwrap(), FrameRate::new(24000, 1001));
        assert!(rate(Err(Errno::ENODEV), &choice(), "", "").is_err());
    }
}
