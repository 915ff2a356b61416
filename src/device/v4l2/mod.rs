//! Cameras through Video4Linux2 (`linux/videodev2.h`, the kernel's "Video for Linux API").

mod camera;
mod coder;
mod controls;
mod fourcc;
mod holders;
mod layout;
mod modes;
mod node;
mod offers;
mod queue;
mod signal;
mod stamps;

pub use camera::{V4l2Camera, open};

use crate::{
    device::list::{CameraInfo, ControlInfo, FormatInfo},
    v4l2::Descriptor,
};

/// Every video node, by its number: cameras, and what only looks like one with the reason. A node is opened for it, but
/// nothing is set.
pub fn cameras() -> Vec<CameraInfo> {
    node::nodes().into_iter().map(described).collect()
}

fn described(node: node::Node) -> CameraInfo {
    let (mut formats, mut controls) = (Vec::new(), Vec::new());
    if node.objection.is_none()
        && let Ok(device) = Descriptor::open(&node.path)
    {
        formats = offers::all(&device, node.queue)
            .into_iter()
            .map(|(format, size, fps)| FormatInfo { format, width: size.width, height: size.height, fps })
            .collect();
        controls = controls::controls(&device)
            .into_iter()
            .map(|control| ControlInfo {
                value: control.value(&device),
                name: control.name,
                min: control.min,
                max: control.max,
                default: control.default,
                menu: control.menu,
            })
            .collect();
    }
    CameraInfo {
        node: node.node(),
        name: node.name,
        bus: node.bus,
        serial: node.serial,
        usable: node.objection.is_none(),
        reason: node.objection,
        formats,
        controls,
    }
}
