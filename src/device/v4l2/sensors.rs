//! Bare camera sensors, as camera modules on a board's ribbon cable have them: what comes out of the board's pipeline is
//! raw, and only libcamera makes a picture of it.

use super::node::Node;
use crate::v4l2::{BufferType, Descriptor, Entity, Role};
use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// Pipelines have a few dozen parts; one whose list has no end is cut here.
const MOST_PARTS: usize = 1000;

/// The sensors whose pipeline leads to no usable one of `nodes`, each as a node of its media device.
pub fn bare(nodes: &[Node]) -> Vec<Node> {
    let usable: Vec<_> = nodes.iter().filter(|node| node.objection.is_none()).collect();
    let numbers: Vec<_> = usable.iter().filter_map(|node| Some(fs::metadata(&node.path).ok()?.rdev())).collect();
    let entries = fs::read_dir("/dev").into_iter().flatten().flatten().map(|entry| entry.path());
    let mut devices: Vec<_> =
        entries.filter(|path| path.to_str().is_some_and(|path| path.starts_with("/dev/media"))).collect();
    devices.sort();
    let sensors = |device: &std::path::PathBuf| {
        let names = without_camera(&parts(device), &numbers);
        names.into_iter().map(|name| sensor(device, name)).collect::<Vec<_>>()
    };
    devices.iter().flat_map(sensors).collect()
}

fn parts(device: &Path) -> Vec<Entity> {
    let Ok(media) = Descriptor::open(device) else { return vec![] };
    let mut parts: Vec<Entity> = Vec::new();
    while parts.len() < MOST_PARTS {
        let last = parts.last().map_or(0, |part| part.id);
        match media.entity_after(last) {
            Ok(part) if part.id > last => parts.push(part),
            _ => break,
        }
    }
    parts
}

/// The names of the sensors in a pipeline that has none of these video nodes. A USB camera has a sensor too, and with it
/// the node that its pictures come from.
fn without_camera(parts: &[Entity], usable: &[u64]) -> Vec<String> {
    let is_usable = |part: &Entity| match part.role {
        Role::Node(major, minor) => usable.contains(&nix::sys::stat::makedev(major.into(), minor.into())),
        _ => false,
    };
    if parts.iter().any(is_usable) {
        return vec![];
    }
    parts.iter().filter(|part| part.role == Role::Sensor).map(|part| part.name.clone()).collect()
}

fn sensor(device: &Path, name: String) -> Node {
    let objection = "a bare camera sensor, whose raw data needs libcamera; a USB camera, an HDMI bridge, or a program that \
                     hands over its pictures (device = \"child:PROGRAM\") can be used instead";
    Node {
        path: device.to_owned(),
        queue: BufferType::Capture,
        name,
        bus: String::new(),
        serial: None,
        objection: Some(objection.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, role: Role) -> Entity {
        Entity { id: 1, name: name.into(), role }
    }

    #[test]
    fn a_sensor_is_bare_where_no_node_of_its_pipeline_gives_pictures() {
        let csi = [
            part("imx708_wide 10-001a", Role::Sensor),
            part("dw9807 10-000c", Role::Other),
            part("rp1-cfe-csi2_ch0", Role::Node(81, 0)),
        ];
        let usb = [part("Camera 1", Role::Sensor), part("HD Webcam", Role::Node(81, 4))];
        let usable = [nix::sys::stat::makedev(81, 4)];
        assert_eq!(without_camera(&csi, &usable), ["imx708_wide 10-001a"]);
        assert_eq!(without_camera(&usb, &usable), [""; 0]);
        assert_eq!(without_camera(&[], &usable), [""; 0]);
    }
}
