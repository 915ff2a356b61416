//! Cameras through Video4Linux2 (`linux/videodev2.h`, the kernel's "Video for Linux API").

mod camera;
mod coder;
mod controls;
mod holders;
mod layout;
mod modes;
mod node;
mod offers;
mod queue;
mod sensors;
mod signal;

pub use camera::{V4l2Camera, open};
pub use queue::Sequence;

use crate::{
    device::{
        DeviceError,
        list::{CameraInfo, ControlInfo, FormatInfo},
    },
    media::ControlValue,
    v4l2::Descriptor,
};

/// Every video node, by its number: cameras, and what only looks like one with the reason. A node is opened for it, but
/// nothing is set.
pub fn cameras() -> Vec<CameraInfo> {
    node::nodes().into_iter().map(described).collect()
}

/// The controls of a camera, by a descriptor of its own: whoever captures from it goes on.
///
/// # Errors
/// Absent, Ambiguous or Unusable.
pub fn camera_controls(wanted: &str) -> Result<Vec<ControlInfo>, DeviceError> {
    let (_, device) = opened(wanted)?;
    Ok(controls::controls(&device).into_iter().map(|control| control.info(&device)).collect())
}

/// One control of a camera.
///
/// # Errors
/// As for [`camera_controls`], and Failed with the nearest right name.
pub fn camera_control(wanted: &str, name: &str) -> Result<ControlInfo, DeviceError> {
    let (node, device) = opened(wanted)?;
    controls::one(&device, name).map_err(|what| DeviceError::Failed { device: node.name, what })
}

/// Sets a control of a camera; what it is then.
///
/// # Errors
/// As for [`camera_controls`], and Failed with the nearest right name or value.
pub fn set_camera_control(wanted: &str, name: &str, value: &ControlValue) -> Result<ControlInfo, DeviceError> {
    let (node, device) = opened(wanted)?;
    controls::set_one(&device, name, value).map_err(|what| DeviceError::Failed { device: node.name, what })
}

fn opened(wanted: &str) -> Result<(node::Node, Descriptor), DeviceError> {
    let node = node::find(wanted)?;
    let device = Descriptor::open(&node.path)
        .map_err(|error| DeviceError::Unusable { device: node.node(), reason: node::refusal(error).to_owned() })?;
    Ok((node, device))
}

/// A name for each camera by which it is found again, at whatever port and number.
pub fn lasting_names() -> Vec<String> {
    let nodes = node::nodes();
    let cameras = nodes.iter().filter(|node| node.objection.is_none());
    cameras.map(|camera| node::lasting_name(camera, &nodes)).collect()
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
        controls = controls::controls(&device).into_iter().map(|control| control.info(&device)).collect();
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
