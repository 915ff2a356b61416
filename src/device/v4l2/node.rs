//! Which video nodes there are, which of them are cameras, and which one a name means.

use super::sensors;
use crate::{
    device::DeviceError,
    media::fourcc,
    v4l2::{self as sys, BufferType, Descriptor},
};
use nix::errno::Errno;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A video node and what it says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// `/dev/videoN`; of a bare sensor its `/dev/mediaN`.
    pub path: PathBuf,
    /// The kind of queue that its pictures come from.
    pub queue: BufferType,
    /// The card's name; the node's path where it could not be opened.
    pub name: String,
    /// V4L2's `bus_info`, such as `usb-0000:01:00.0-1.2`; empty where unknown.
    pub bus: String,
    /// Of a USB device that has one.
    pub serial: Option<String>,
    /// Why it is no camera that Eyrie can use, in words.
    pub objection: Option<String>,
}

/// All video nodes by their numbers, then the sensors that none of them gives pictures of.
pub fn nodes() -> Vec<Node> {
    let entries = fs::read_dir("/dev").into_iter().flatten().flatten();
    let mut numbers: Vec<u32> = entries.filter_map(|entry| number_of(&entry.path())).collect();
    numbers.sort_unstable();
    let mut nodes: Vec<_> = numbers.into_iter().map(Node::inspect).collect();
    nodes.extend(sensors::bare(&nodes));
    nodes
}

/// N of `/dev/videoN`.
fn number_of(path: &Path) -> Option<u32> {
    let digits = path.to_str()?.strip_prefix("/dev/video")?;
    digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

impl Node {
    fn inspect(number: u32) -> Self {
        let path = PathBuf::from(format!("/dev/video{number}"));
        let found = Descriptor::open(&path).and_then(|device| {
            let capability = device.capability()?;
            let queue = queue(effective(&capability));
            Ok((capability, queue, formats(&device, queue)))
        });
        let serial = usb_serial(number);
        match found {
            Ok((capability, queue, formats)) => Self {
                queue,
                name: sys::text(&capability.card),
                bus: sys::text(&capability.bus_info),
                serial,
                objection: objection(&sys::text(&capability.driver), effective(&capability), &formats),
                path,
            },
            Err(error) => {
                let (name, bus) = (path.display().to_string(), String::new());
                let objection = Some(refusal(error).to_owned());
                Self { queue: BufferType::Capture, name, bus, serial, objection, path }
            }
        }
    }

    pub fn node(&self) -> String {
        self.path.display().to_string()
    }

    fn is_called(&self, wanted: &str) -> bool {
        let wanted = wanted.trim();
        // Some kernels put the USB interface's name behind the product's, and cut both.
        let product = self.name.split(": ").next().unwrap_or_default();
        let name_fits = [&self.name, product].iter().any(|name| name.eq_ignore_ascii_case(wanted));
        !wanted.is_empty() && (self.bus == wanted || self.serial.as_deref() == Some(wanted) || name_fits)
    }
}

/// Why a node cannot be opened, for a person.
pub fn refusal(error: Errno) -> &'static str {
    match error {
        Errno::EACCES | Errno::EPERM => "permission denied; the user should be in the group `video`",
        Errno::ENODEV | Errno::ENXIO => "its device has just gone",
        other => other.desc(),
    }
}

/// What this node can do; old drivers tell it of the whole device only.
fn effective(capability: &sys::v4l2_capability) -> u32 {
    let tells = capability.capabilities & sys::V4L2_CAP_DEVICE_CAPS != 0;
    if tells { capability.device_caps } else { capability.capabilities }
}

/// The queue that a node with these capabilities captures from.
fn queue(capabilities: u32) -> BufferType {
    let planes = capabilities & (sys::V4L2_CAP_VIDEO_CAPTURE | sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE);
    if planes == sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE { BufferType::CapturePlanes } else { BufferType::Capture }
}

/// The codes of all formats of a node.
pub fn formats(device: &Descriptor, queue: BufferType) -> Vec<u32> {
    let listed = (0..256).map_while(|index| device.enumerated_format(queue, index).ok());
    // Formats that libv4l converts to are not the camera's.
    listed.filter(|f| f.flags & sys::V4L2_FMT_FLAG_EMULATED == 0).map(|f| f.pixelformat).collect()
}

/// Why a node that only looks like a camera is none. Boards have dozens of them.
fn objection(driver: &str, capabilities: u32, formats: &[u32]) -> Option<String> {
    use sys::*;
    let has = |capability: u32| capabilities & capability != 0;
    let readable = formats.iter().any(|fourcc| fourcc::format_of(*fourcc).is_some());
    let of_board = match driver {
        "bcm2835-codec" => Some("the board's video encoder and decoder"),
        "bcm2835-isp" | "pispbe" => Some("the board's image processor; a camera module's pictures go through it"),
        // Behind an HDMI bridge they give finished pictures, through a single node.
        "unicam" | "rp1-cfe" if has(V4L2_CAP_IO_MC) || !readable => {
            Some("a camera module's raw sensor data, without colour and exposure")
        }
        _ if driver.contains("hevc") => Some("the board's video decoder"),
        _ => None,
    };
    let reason = if let Some(reason) = of_board {
        reason
    } else if has(V4L2_CAP_VIDEO_M2M | V4L2_CAP_VIDEO_M2M_MPLANE) {
        "a converter or codec, which takes pictures from memory"
    } else if has(V4L2_CAP_IO_MC) {
        "one stage of a media pipeline that has to be set up by another program"
    } else if has(V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_CAPTURE_MPLANE) && !has(V4L2_CAP_STREAMING) {
        "its driver cannot stream into memory"
    } else if has(V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_CAPTURE_MPLANE) {
        let names: Vec<String> = formats.iter().map(|fourcc| fourcc::letters(*fourcc)).collect();
        return match (readable, names.is_empty()) {
            (true, _) => None,
            (false, true) => Some("it has no picture format".to_owned()),
            (false, false) => Some(format!("it has only formats that Eyrie does not read: {}", names.join(", "))),
        };
    } else if has(V4L2_CAP_META_CAPTURE) {
        "data about a camera's pictures, not the pictures"
    } else if has(V4L2_CAP_VIDEO_OUTPUT | V4L2_CAP_VIDEO_OUTPUT_MPLANE | V4L2_CAP_VIDEO_OUTPUT_OVERLAY) {
        "an output, which shows pictures rather than taking them"
    } else {
        "it does not capture video"
    };
    Some(reason.to_owned())
}

/// The serial number of the USB device that a node belongs to.
fn usb_serial(number: u32) -> Option<String> {
    let device = fs::canonicalize(format!("/sys/class/video4linux/video{number}/device")).ok()?;
    let usb_device = device.ancestors().find(|folder| folder.join("idVendor").exists())?;
    let serial = fs::read(usb_device.join("serial")).ok()?;
    Some(String::from_utf8_lossy(&serial).trim().to_owned()).filter(|serial| !serial.is_empty())
}

/// The camera that `wanted` names: a path, or the bus path, serial or card's name of exactly one.
///
/// # Errors
/// Absent and Ambiguous with unambiguous names of what there is; Unusable where the only one of that name is no camera.
pub fn find(wanted: &str) -> Result<Node, DeviceError> {
    if !wanted.starts_with('/') {
        return pick(wanted, &nodes());
    }
    // A link of /dev/v4l/by-id or by-path, or a node.
    let target = fs::canonicalize(wanted).ok();
    match target.as_deref().and_then(number_of) {
        Some(number) => usable(Node::inspect(number)),
        None if target.is_some() => {
            Err(DeviceError::Unusable { device: wanted.to_owned(), reason: "it is not a video node".to_owned() })
        }
        None => Err(DeviceError::Absent { wanted: wanted.to_owned(), present: unambiguous_names(&nodes()) }),
    }
}

fn pick(wanted: &str, nodes: &[Node]) -> Result<Node, DeviceError> {
    let called: Vec<&Node> = nodes.iter().filter(|node| node.is_called(wanted)).collect();
    let cameras: Vec<&Node> = called.iter().copied().filter(|node| node.objection.is_none()).collect();
    match (&cameras[..], &called[..]) {
        ([camera], _) => Ok((*camera).clone()),
        ([], []) => Err(DeviceError::Absent { wanted: wanted.to_owned(), present: unambiguous_names(nodes) }),
        ([], [other, ..]) => usable((*other).clone()),
        (several, _) => {
            let candidates = several.iter().map(|node| unambiguous_name(node, nodes)).collect();
            Err(DeviceError::Ambiguous { wanted: wanted.to_owned(), candidates })
        }
    }
}

fn usable(node: Node) -> Result<Node, DeviceError> {
    match &node.objection {
        None => Ok(node),
        Some(reason) => Err(DeviceError::Unusable { device: node.node(), reason: reason.clone() }),
    }
}

/// One name for each camera, and what could not even be opened with the reason.
fn unambiguous_names(nodes: &[Node]) -> Vec<String> {
    let named = |node: &Node| match &node.objection {
        None => Some(unambiguous_name(node, nodes)),
        Some(refusal) if node.name == node.node() => Some(format!("{} ({refusal})", node.name)),
        Some(_) => None,
    };
    nodes.iter().filter_map(named).collect()
}

/// The bus path if no other camera has it, else the serial, else the node.
fn unambiguous_name(node: &Node, nodes: &[Node]) -> String {
    first_alone([Some(node.bus.as_str()), node.serial.as_deref()], node, nodes)
}

/// A name by which a camera is found again at whatever port and number: its serial if no other camera has it (some
/// makers give all the same), else the bus path, else the node.
pub fn lasting_name(node: &Node, nodes: &[Node]) -> String {
    first_alone([node.serial.as_deref(), Some(node.bus.as_str())], node, nodes)
}

fn first_alone(names: [Option<&str>; 2], node: &Node, nodes: &[Node]) -> String {
    let alone = |name: &str| nodes.iter().filter(|n| n.objection.is_none() && n.is_called(name)).count() <= 1;
    let name = names.into_iter().flatten().find(|name| !name.is_empty() && alone(name));
    name.map_or_else(|| node.node(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sys::*;

    fn node(number: u32, name: &str, bus: &str, serial: Option<&str>) -> Node {
        let path = PathBuf::from(format!("/dev/video{number}"));
        let (name, bus, serial) = (name.into(), bus.into(), serial.map(str::to_owned));
        Node { path, queue: BufferType::Capture, name, bus, serial, objection: None }
    }

    /// Two webcams of one kind, a metadata node beside the first, and a stereo camera with two nodes on one bus path.
    fn desk() -> Vec<Node> {
        let mut metadata = node(1, "HD Webcam", "usb-1", Some("A1"));
        metadata.objection = Some("data about a camera's pictures, not the pictures".into());
        vec![
            node(0, "HD Webcam", "usb-1", Some("A1")),
            metadata,
            node(2, "HD Webcam", "usb-2", None),
            node(4, "Stereo", "usb-3", None),
            node(6, "Stereo", "usb-3", None),
        ]
    }

    fn number(wanted: &str) -> u32 {
        number_of(&pick(wanted, &desk()).unwrap().path).unwrap()
    }

    #[test]
    fn found_by_bus_path_serial_and_card() {
        assert_eq!(number("usb-1"), 0);
        assert_eq!(number("A1"), 0);
        assert_eq!(number("usb-2"), 2);
        assert_eq!(pick("hd webcam", &desk()[..2]).unwrap().path, Path::new("/dev/video0"));
        let with_interface = [node(3, "C920: HD Pro Webcam C920: UVC", "usb-9", None)];
        assert_eq!(pick("C920", &with_interface).unwrap().path, Path::new("/dev/video3"));
    }

    #[test]
    fn ambiguous_and_absent_names_list_what_there_is() {
        let error = pick("HD Webcam", &desk()).unwrap_err().to_string();
        assert!(error.ends_with("name one of: usb-1, usb-2"), "{error}");
        let error = pick("usb-3", &desk()).unwrap_err().to_string();
        assert!(error.ends_with("name one of: /dev/video4, /dev/video6"), "{error}");
        let error = pick("", &desk()).unwrap_err().to_string();
        assert!(error.ends_with("there are: usb-1, usb-2, /dev/video4, /dev/video6"), "{error}");
        assert!(matches!(find("/dev/video98765"), Err(DeviceError::Absent { .. })));
        assert!(matches!(find("/dev/null"), Err(DeviceError::Unusable { .. })));
    }

    #[test]
    fn without_a_config_a_camera_is_called_by_what_stays_with_it() {
        let mut nodes = desk();
        let names = |nodes: &[Node]| nodes.iter().map(|node| lasting_name(node, nodes)).collect::<Vec<_>>();
        assert_eq!(names(&nodes), ["A1", "A1", "usb-2", "/dev/video4", "/dev/video6"]);
        nodes[2].serial = Some("A1".into());
        assert_eq!(names(&nodes)[..3], ["usb-1", "usb-1", "usb-2"]);
    }

    #[test]
    fn what_cannot_be_opened_is_told_where_a_camera_is_missing() {
        let mut shut = node(0, "/dev/video0", "", None);
        shut.objection = Some(refusal(Errno::EACCES).into());
        let error = pick("usb-1", &[shut]).unwrap_err().to_string();
        assert!(error.contains("there are: /dev/video0 (permission denied"), "{error}");
    }

    #[test]
    fn a_name_that_only_a_metadata_node_has_says_why_it_is_no_camera() {
        let error = pick("usb-1", &desk()[1..2]).unwrap_err();
        assert!(matches!(&error, DeviceError::Unusable { device, .. } if device == "/dev/video1"), "{error}");
    }

    #[test]
    fn what_only_looks_like_a_camera_is_named_with_the_reason() {
        let yuyv = [u32::from_le_bytes(*b"YUYV")];
        let camera = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        assert_eq!(objection("uvcvideo", camera, &yuyv), None);
        assert_eq!(objection("unicam", camera, &yuyv), None, "an HDMI bridge on the ribbon cable");
        let planes = V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_STREAMING;
        assert_eq!(objection("other", planes, &[u32::from_le_bytes(*b"NM12")]), None);
        assert_eq!([queue(camera), queue(planes)], [BufferType::Capture, BufferType::CapturePlanes]);
        for (driver, capabilities, formats, reason) in [
            ("uvcvideo", V4L2_CAP_META_CAPTURE | V4L2_CAP_STREAMING, &yuyv[..], "data about"),
            ("bcm2835-codec", V4L2_CAP_VIDEO_M2M_MPLANE, &yuyv, "encoder"),
            ("bcm2835-isp", camera, &yuyv, "image processor"),
            ("unicam", camera, &[u32::from_le_bytes(*b"pRAA")], "raw sensor"),
            ("unicam", camera | V4L2_CAP_IO_MC, &yuyv, "raw sensor"),
            ("rp1-cfe", camera | V4L2_CAP_IO_MC, &yuyv, "raw sensor"),
            ("pispbe", camera, &yuyv, "image processor"),
            ("rpi-hevc-dec", V4L2_CAP_VIDEO_M2M_MPLANE, &yuyv, "decoder"),
            ("vim2m", V4L2_CAP_VIDEO_M2M, &yuyv, "from memory"),
            ("sun6i-csi", camera | V4L2_CAP_IO_MC, &yuyv, "media pipeline"),
            ("vivid", V4L2_CAP_VIDEO_OUTPUT, &yuyv, "an output"),
            ("vivid", V4L2_CAP_VBI_CAPTURE, &yuyv, "does not capture video"),
            ("other", V4L2_CAP_VIDEO_CAPTURE, &yuyv, "cannot stream"),
            ("other", V4L2_CAP_VIDEO_CAPTURE_MPLANE, &yuyv, "cannot stream"),
            ("other", camera, &[u32::from_le_bytes(*b"BA81")], "does not read: BA81"),
            ("other", camera, &[], "no picture format"),
        ] {
            let said = objection(driver, capabilities, formats).unwrap_or_default();
            assert!(said.contains(reason), "{driver}: {said}");
        }
    }

    #[test]
    fn only_video_nodes_have_numbers() {
        assert_eq!(number_of(Path::new("/dev/video12")), Some(12));
        for other in ["/dev/video", "/dev/video+1", "/dev/video-1", "/dev/v4l-subdev0", "/dev/video99999999999"] {
            assert_eq!(number_of(Path::new(other)), None, "{other}");
        }
    }
}
