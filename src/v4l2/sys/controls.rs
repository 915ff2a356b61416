//! Controls, one number each.

use super::{Descriptor, Plain, text};
use nix::errno::Errno;
use v4l::{
    v4l_sys::*,
    v4l2::vidioc::{VIDIOC_ENCODER_CMD, VIDIOC_G_CTRL, VIDIOC_QUERYCTRL, VIDIOC_QUERYMENU, VIDIOC_S_CTRL},
};

impl Descriptor {
    /// The control after `id` (0: the first), EINVAL after the last. Compound ones are left out by the kernel.
    pub fn control_after(&self, id: u32) -> Result<v4l2_queryctrl, Errno> {
        self.described_control(id | V4L2_CTRL_FLAG_NEXT_CTRL)
    }

    /// What the driver tells of control `id`, EINVAL where it has none.
    pub fn described_control(&self, id: u32) -> Result<v4l2_queryctrl, Errno> {
        self.ask(VIDIOC_QUERYCTRL, v4l2_queryctrl { id, ..v4l2_queryctrl::zeroed() })
    }

    /// The entry of a menu by its name or, of an integer menu, its number; None where the menu has a gap.
    pub fn menu_entry(&self, id: u32, index: u32, integer: bool) -> Option<String> {
        let entry = self.ask(VIDIOC_QUERYMENU, v4l2_querymenu { id, index, ..v4l2_querymenu::zeroed() }).ok()?;
        // SAFETY: both members are plain bytes of a struct that was zeroed and then filled by the kernel.
        let (name, value) = unsafe { (entry.__bindgen_anon_1.name, entry.__bindgen_anon_1.value) };
        Some(if integer { value.to_string() } else { text(&name) })
    }

    pub fn control(&self, id: u32) -> Result<i32, Errno> {
        Ok(self.ask(VIDIOC_G_CTRL, v4l2_control { id, value: 0 })?.value)
    }

    pub fn set_control(&self, id: u32, value: i32) -> Result<(), Errno> {
        self.ask(VIDIOC_S_CTRL, v4l2_control { id, value }).map(drop)
    }

    /// Tells an encoder to start or stop (`V4L2_ENC_CMD_*`).
    pub fn encoder_command(&self, cmd: u32) -> Result<(), Errno> {
        self.ask(VIDIOC_ENCODER_CMD, v4l2_encoder_cmd { cmd, ..v4l2_encoder_cmd::zeroed() }).map(drop)
    }
}
