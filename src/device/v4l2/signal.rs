//! The signal at a camera's input. A webcam has always one; a grabber or HDMI bridge shows noise, the last picture or
//! nothing without one, and another size once another source is plugged in.

use crate::{
    time::MonoTime,
    v4l2::{self as sys, Descriptor},
};
use nix::errno::Errno;
use std::time::Duration;

/// Any of these (`V4L2_IN_ST_*`), and what comes is no picture.
const WITHOUT_PICTURE: u32 = sys::V4L2_IN_ST_NO_POWER
    | sys::V4L2_IN_ST_NO_SIGNAL
    | sys::V4L2_IN_ST_NO_H_LOCK
    | sys::V4L2_IN_ST_NO_SYNC
    | sys::V4L2_IN_ST_NO_CARRIER;
/// How often an input is asked whose driver tells of no change.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Watches the input of a streaming camera.
pub struct Signal {
    /// The driver tells of changes.
    told: bool,
    /// None: an input that has always a signal.
    asked: Option<MonoTime>,
}

impl Signal {
    /// Looks for the signal and sets the input to what it is. Before the format is set, which depends on it.
    ///
    /// # Errors
    /// In words: there is none, or it cannot be read.
    pub fn find(device: &Descriptor) -> Result<Self, String> {
        let input = device.input().ok();
        let index = input.as_ref().map_or(0, |input| input.index);
        // Before the signal is looked at, so that no change is missed.
        let told = device.subscribe(sys::V4L2_EVENT_SOURCE_CHANGE, index).is_ok();
        let Some(input) = device.input().ok().or(input) else { return Ok(Self { told, asked: None }) };
        let digital = input.capabilities & sys::V4L2_IN_CAP_DV_TIMINGS != 0;
        let analogue = input.capabilities & sys::V4L2_IN_CAP_STD != 0 || input.std != 0;
        lacking(&input).map_or(Ok(()), Err)?;
        if digital {
            follow_timings(device, &sys::text(&input.name))?;
        } else if analogue {
            follow_standard(device);
        }
        Ok(Self { told, asked: (digital || analogue || input.status != 0).then(MonoTime::now) })
    }

    /// Whether the signal went or became another, in words. Cheap: to be called with every picture.
    pub fn changed(&mut self, device: &Descriptor, now: MonoTime) -> Option<String> {
        let mut event = false;
        while self.told
            && let Ok(Some(kind)) = device.event()
        {
            event |= kind == sys::V4L2_EVENT_SOURCE_CHANGE;
        }
        let due = !self.told && self.asked.is_some_and(|asked| now.since(asked) >= ASK_AGAIN);
        if !event && !due {
            return None;
        }
        self.asked = self.asked.map(|_| now);
        let missing = device.input().ok().and_then(|input| lacking(&input));
        missing.or_else(|| event.then(|| "the signal at its input changed".to_owned()))
    }
}

/// Why there is no picture at an input.
fn lacking(input: &sys::v4l2_input) -> Option<String> {
    let why = match input.status & WITHOUT_PICTURE {
        0 => return None,
        status if status & sys::V4L2_IN_ST_NO_POWER != 0 => "has no power",
        status if status & sys::V4L2_IN_ST_NO_SIGNAL != 0 => "has no signal",
        _ => "has a signal that it cannot lock to",
    };
    Some(format!("its input {} {why}", sys::text(&input.name)))
}

/// A bridge gives pictures of the size that it is set to: that of the signal.
fn follow_timings(device: &Descriptor, input: &str) -> Result<(), String> {
    let found = match device.detected_timings() {
        Ok(found) => found,
        Err(Errno::ENOLINK) => return Err(format!("its input {input} has no signal")),
        Err(Errno::ENOLCK) => return Err(format!("its input {input} has a signal that it cannot lock to")),
        Err(Errno::ERANGE) => return Err(format!("its input {input} has a signal of a kind that it cannot take")),
        // A driver that follows the signal by itself.
        Err(_) => return Ok(()),
    };
    if !device.timings().is_ok_and(|set| set.is_like(&found)) {
        let (width, height) = found.size();
        match device.set_timings(found) {
            Ok(()) => tracing::info!("its input {input} has a signal of {width}x{height}"),
            Err(error) => tracing::warn!("its input {input} was not set to {width}x{height}: {}", error.desc()),
        }
    }
    Ok(())
}

/// Where the signal can only be of standards that the input is not set to, it is set to those.
fn follow_standard(device: &Descriptor) {
    if let (Ok(found), Ok(set)) = (device.detected_standards(), device.standards())
        && found != 0
        && found & set == 0
        && let Err(error) = device.set_standards(found)
    {
        tracing::warn!("its input was not set to the standard of its signal: {}", error.desc());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v4l2::Plain;

    #[test]
    fn an_input_says_why_it_has_no_picture() {
        let said = |status| {
            let mut input = sys::v4l2_input { status, ..sys::v4l2_input::zeroed() };
            input.name[..4].copy_from_slice(b"HDMI");
            lacking(&input)
        };
        assert_eq!(said(0), None);
        assert_eq!(said(sys::V4L2_IN_ST_NO_COLOR | sys::V4L2_IN_ST_HFLIP), None);
        assert_eq!(said(sys::V4L2_IN_ST_NO_SIGNAL).as_deref(), Some("its input HDMI has no signal"));
        let all = sys::V4L2_IN_ST_NO_POWER | sys::V4L2_IN_ST_NO_SIGNAL;
        assert_eq!(said(all).as_deref(), Some("its input HDMI has no power"));
        assert!(said(sys::V4L2_IN_ST_NO_SYNC).unwrap().contains("lock"));
    }
}
