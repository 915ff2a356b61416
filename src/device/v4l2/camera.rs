use super::{
    coder, controls, holders,
    layout::Layout,
    modes::{self, Choice},
    node::{self, Node},
    offers,
    queue::{Queue, Sequence},
    signal::Signal,
};
use crate::{
    device::{
        Camera, CameraMode, CameraWish, DeviceError,
        stamps::{self, Stamps},
    },
    media::{FrameRate, PixelFormat, RawFrame},
    time::MonoTime,
    v4l2::{self as sys, Descriptor, PictureFormat, Ready},
};
use nix::errno::Errno;
use std::time::Duration;

/// A camera that streams. Its pictures are the driver's own buffers, given back when dropped, also after the camera is.
pub struct V4l2Camera {
    name: String,
    mode: CameraMode,
    layout: Layout,
    queue: Queue,
    signal: Signal,
    sequence: Sequence,
    stamps: Stamps,
    dropped: u64,
    /// Of H.264: it can be asked for a key frame.
    asks_keyframes: bool,
}

/// Finds the camera, negotiates the mode nearest to the wish, sets the controls and starts it.
///
/// # Errors
/// Absent, Ambiguous or Unusable by its name, Busy if another program streams from it, else Failed with the step.
pub fn open(wish: &CameraWish) -> Result<V4l2Camera, DeviceError> {
    let node = node::find(&wish.device)?;
    start(&node, wish).map_err(|error| match error {
        // By now it is no more open here.
        DeviceError::Busy { device, .. } => DeviceError::Busy { device, by: holders::holders(&node.path) },
        other => other,
    })
}

fn start(node: &Node, wish: &CameraWish) -> Result<V4l2Camera, DeviceError> {
    let device = Descriptor::open(&node.path).map_err(|error| match error {
        Errno::EBUSY => DeviceError::Busy { device: node.node(), by: None },
        other => DeviceError::Unusable { device: node.node(), reason: node::refusal(other).to_owned() },
    })?;
    let name = format!("{} ({}, {})", node.name, node.bus, node.node());
    let unusable = |reason: String| DeviceError::Unusable { device: name.clone(), reason };

    let signal = Signal::find(&device).map_err(|what| DeviceError::Failed { device: name.clone(), what })?;
    let choice = modes::choose(&offers::near(&device, node.queue, wish.size), wish).map_err(unusable)?;
    let size = (choice.size.width, choice.size.height);
    let set = |wish: &PictureFormat| {
        let given = device.set_format(node.queue, wish);
        let given = given.map_err(|error| failure(&node.bus, &name, "setting the format", error))?;
        Ok((Layout::new(&given).map_err(unusable)?, given.field))
    };
    let wished = PictureFormat::new(choice.fourcc, size);
    let (mut layout, field) = set(&wished)?;
    if layout.is_field() {
        // Now a height means the rows of one field.
        layout = set(&PictureFormat { height: size.1 / 2, field, ..wished })?.0;
    }
    let interval = device.set_interval(node.queue, (choice.fps.den, choice.fps.num));
    let fps = rate(interval, &choice, &node.bus, &name)?;
    let mode = CameraMode { format: layout.format, size: layout.shown, fps };
    tracing::info!("{name}: {} {} at {} fps ({})", mode.size, mode.format, mode.fps, choice.reason);
    if (mode.format, mode.size, mode.fps) != (choice.format, choice.size, choice.fps) {
        let Choice { format, size, fps, .. } = choice;
        tracing::warn!("{name}: the driver changed what was chosen ({size} {} at {fps} fps)", format);
    }
    if layout.size != layout.shown {
        tracing::info!("{name}: interlaced; of each picture the upper field is shown");
    }

    controls::apply(&device, &wish.controls);
    let h264 = wish.pass_through.as_ref().filter(|_| mode.format == PixelFormat::H264);
    if let Some(pass_through) = h264 {
        tracing::info!("{name}: {}", coder::set(&device, pass_through, fps));
    }
    let asks_keyframes = h264.is_some() && coder::can_make_keyframes(&device);
    let queue = Queue::start(device, node.queue, mode.format.is_coded());
    let queue = queue.map_err(|error| failure(&node.bus, &name, "starting it", error))?;
    let (sequence, stamps) = (Sequence::default(), Stamps::default());
    Ok(V4l2Camera { name, mode, layout, queue, signal, sequence, stamps, dropped: 0, asks_keyframes })
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
        Errno::EBUSY => return DeviceError::Busy { device: name.to_owned(), by: None },
        Errno::ENOSPC => format!(
            "{step} failed: the bus {bus} has no bandwidth left for it; format = \"mjpeg\", a smaller size, fewer pictures \
             per second or another port helps"
        ),
        Errno::ENODEV => "it was unplugged".to_owned(),
        other => format!("{step} failed: {}", other.desc()),
    };
    DeviceError::Failed { device: name.to_owned(), what }
}

impl V4l2Camera {
    /// The newest filled buffer that is whole; older ones go back at once and are counted, as are damaged ones. Of H.264
    /// the oldest.
    fn take(&mut self) -> Result<Option<RawFrame>, Errno> {
        let in_turn = self.mode.format == PixelFormat::H264;
        let mut taken = None;
        while let Some((done, buffer)) = self.queue.dequeue()? {
            if !self.layout.reads(done.field) {
                continue;
            }
            let (sequence, missing) = self.sequence.advance(done.sequence);
            self.dropped += missing;
            let whole = done.flags & sys::V4L2_BUF_FLAG_ERROR == 0;
            match self.layout.planes(&done.planes).filter(|_| whole) {
                Some(planes) => self.dropped += u64::from(taken.replace((sequence, planes, done, buffer)).is_some()),
                None => self.dropped += 1,
            }
            if in_turn && taken.is_some() {
                break;
            }
        }
        Ok(taken.map(|(sequence, planes, done, buffer)| RawFrame {
            format: self.mode.format,
            size: self.layout.size,
            shown: self.layout.shown,
            planes,
            stamp: self.stamp(stamps::told(&done)),
            sequence,
            buffer,
        }))
    }

    /// When the picture was taken by the driver's word, or now where that is no use.
    fn stamp(&mut self, told: Option<MonoTime>) -> MonoTime {
        let mistrusted = self.stamps.mistrusted();
        let stamp = self.stamps.stamp(told, MonoTime::now());
        if self.stamps.mistrusted() && !mistrusted {
            tracing::warn!("{}: its driver's time stamps are no use; pictures are stamped as they arrive", self.name);
        }
        stamp
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

impl Camera for V4l2Camera {
    fn mode(&self) -> &CameraMode {
        &self.mode
    }

    fn next(&mut self, patience: Duration) -> Result<RawFrame, DeviceError> {
        let (deadline, dropped) = (MonoTime::now() + patience, self.dropped);
        let mut trouble = false;
        loop {
            if let Some(what) = self.signal.changed(self.queue.device(), MonoTime::now()) {
                return Err(DeviceError::Failed { device: self.name.clone(), what });
            }
            if let Some(frame) = self.take().map_err(|error| self.failed(error))? {
                return Ok(frame);
            }
            if trouble {
                // The driver signals an error and tells none.
                return Err(self.failed(Errno::EIO));
            }
            let left = deadline - MonoTime::now();
            if left.is_zero() && self.dropped > dropped {
                let what = format!("for {:.1} s it gave damaged pictures alone", patience.as_secs_f64());
                return Err(DeviceError::Failed { device: self.name.clone(), what });
            }
            if left.is_zero() {
                return Err(DeviceError::Stalled { after: patience });
            }
            trouble = self.queue.wait(left).map_err(|error| self.failed(error))? == Ready::Trouble;
        }
    }

    fn dropped(&self) -> u64 {
        self.dropped
    }

    fn request_keyframe(&mut self) -> bool {
        self.asks_keyframes && coder::make_keyframe(self.queue.device())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Size;

    fn choice() -> Choice {
        let (format, size, fps) = (PixelFormat::Yuyv, Size::new(640, 480), FrameRate::new(30, 1));
        Choice { format, fourcc: u32::from_le_bytes(*b"YUYV"), size, fps, reason: String::new() }
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
