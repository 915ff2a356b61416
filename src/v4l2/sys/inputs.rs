//! Inputs: what signal there is, and events that tell of another one.

use super::{Descriptor, Plain};
use nix::errno::Errno;
use v4l::{v4l_sys::*, v4l2::vidioc::*};

/// Requests that the crate's bindings lack.
const VIDIOC_QUERYSTD: _IOC_TYPE = nix::request_code_read!(b'V', 63, size_of::<v4l2_std_id>()) as _IOC_TYPE;
const VIDIOC_S_DV_TIMINGS: _IOC_TYPE =
    nix::request_code_readwrite!(b'V', 87, size_of::<v4l2_dv_timings>()) as _IOC_TYPE;
const VIDIOC_G_DV_TIMINGS: _IOC_TYPE =
    nix::request_code_readwrite!(b'V', 88, size_of::<v4l2_dv_timings>()) as _IOC_TYPE;
const VIDIOC_DQEVENT: _IOC_TYPE = nix::request_code_read!(b'V', 89, size_of::<v4l2_event>()) as _IOC_TYPE;
const VIDIOC_SUBSCRIBE_EVENT: _IOC_TYPE =
    nix::request_code_write!(b'V', 90, size_of::<v4l2_event_subscription>()) as _IOC_TYPE;
const VIDIOC_QUERY_DV_TIMINGS: _IOC_TYPE = nix::request_code_read!(b'V', 99, size_of::<v4l2_dv_timings>()) as _IOC_TYPE;

/// The timing of a digital signal (HDMI, SDI), as the driver tells and takes it.
#[derive(Clone, Copy)]
pub struct Timings(v4l2_dv_timings);

impl Timings {
    /// Of its picture, in pixels.
    pub fn size(&self) -> (u32, u32) {
        let bt = self.bt();
        (bt.width, bt.height)
    }

    /// Whether a driver set to one takes a signal of the other.
    pub fn is_like(&self, other: &Self) -> bool {
        let (a, b) = (self.bt(), other.bt());
        // A measured clock is never exactly that of the standard.
        let near = a.pixelclock.abs_diff(b.pixelclock) <= a.pixelclock / 100;
        (a.width, a.height, a.interlaced) == (b.width, b.height, b.interlaced) && near
    }

    fn bt(&self) -> v4l2_bt_timings {
        // SAFETY: plain integers of a union that was zeroed and then filled by the kernel; it has no other member in use.
        unsafe { self.0.__bindgen_anon_1.bt }
    }
}

impl Descriptor {
    /// The input that is chosen, with its status (`V4L2_IN_ST_NO_SIGNAL` …).
    pub fn input(&self) -> Result<v4l2_input, Errno> {
        let index = self.ask(VIDIOC_G_INPUT, 0i32)?;
        self.ask(VIDIOC_ENUMINPUT, v4l2_input { index: index as u32, ..v4l2_input::zeroed() })
    }

    /// The timings of the signal that there is; ENOLINK without one, ENOLCK and ERANGE for one that cannot be read.
    pub fn detected_timings(&self) -> Result<Timings, Errno> {
        Ok(Timings(self.ask(VIDIOC_QUERY_DV_TIMINGS, v4l2_dv_timings::zeroed())?))
    }

    /// The timings that the input is set to.
    pub fn timings(&self) -> Result<Timings, Errno> {
        Ok(Timings(self.ask(VIDIOC_G_DV_TIMINGS, v4l2_dv_timings::zeroed())?))
    }

    pub fn set_timings(&self, timings: Timings) -> Result<(), Errno> {
        self.ask(VIDIOC_S_DV_TIMINGS, timings.0).map(drop)
    }

    /// The television standards that the signal may be of (`V4L2_STD_*`); 0 without a signal.
    pub fn detected_standards(&self) -> Result<v4l2_std_id, Errno> {
        self.ask(VIDIOC_QUERYSTD, 0)
    }

    /// The television standards that the input is set to.
    pub fn standards(&self) -> Result<v4l2_std_id, Errno> {
        self.ask(VIDIOC_G_STD, 0)
    }

    pub fn set_standards(&self, standards: v4l2_std_id) -> Result<(), Errno> {
        self.ask(VIDIOC_S_STD, standards).map(drop)
    }

    /// Has events of that kind (`V4L2_EVENT_SOURCE_CHANGE` …) and of that thing (of a source change the input) reported
    /// by [`Descriptor::event`].
    pub fn subscribe(&self, kind: u32, id: u32) -> Result<(), Errno> {
        let wish = v4l2_event_subscription { type_: kind, id, ..v4l2_event_subscription::zeroed() };
        self.ask(VIDIOC_SUBSCRIBE_EVENT, wish).map(drop)
    }

    /// The kind of the oldest event that waits, None while there is none.
    pub fn event(&self) -> Result<Option<u32>, Errno> {
        match self.ask(VIDIOC_DQEVENT, v4l2_event::zeroed()) {
            Ok(event) => Ok(Some(event.type_)),
            Err(Errno::ENOENT | Errno::EAGAIN) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timings_are_alike_whose_clocks_nearly_are() {
        let timings = |width, pixelclock| {
            let mut timings = v4l2_dv_timings::zeroed();
            timings.__bindgen_anon_1.bt = v4l2_bt_timings { width, height: 1080, pixelclock, ..bt_zeroed() };
            Timings(timings)
        };
        assert_eq!(size_of::<v4l2_dv_timings>(), 132);
        assert!(timings(1920, 148_500_000).is_like(&timings(1920, 148_351_000)));
        assert!(!timings(1920, 148_500_000).is_like(&timings(1920, 74_250_000)));
        assert!(!timings(1920, 148_500_000).is_like(&timings(1280, 148_500_000)));
        assert_eq!(timings(1920, 1).size(), (1920, 1080));
    }

    fn bt_zeroed() -> v4l2_bt_timings {
        Timings(v4l2_dv_timings::zeroed()).bt()
    }
}
