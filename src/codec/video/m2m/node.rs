//! Which video nodes are encoders, found by what they can and not by their numbers: those move from boot to boot and
//! from board to board.

use crate::v4l2::{self as sys, BufferType, Descriptor, PictureFormat};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// No driver lists as many; one whose list has no end is cut here.
const MOST_FORMATS: u32 = 128;

/// An encoder that was found, open and set to the coded format that was looked for. Each open is an encoder of its own.
pub struct Node {
    /// The card's name, such as `bcm2835-codec-encode`.
    pub name: String,
    /// Its driver's name, such as `bcm2835-codec`.
    pub driver: String,
    pub device: Descriptor,
    /// The queue that takes raw pictures.
    pub raw: BufferType,
    /// The queue that gives coded ones.
    pub coded: BufferType,
    /// The codes of the raw formats that it takes.
    pub formats: Vec<u32>,
}

/// All encoders that make `coded`, a code of V4L2's such as `H264`, by their numbers.
pub fn encoders(coded: u32) -> impl Iterator<Item = Node> {
    let names = fs::read_dir("/dev").into_iter().flatten().flatten().map(|entry| entry.file_name());
    let number = |name: &str| name.strip_prefix("video")?.parse::<u32>().ok();
    let mut numbers: Vec<u32> = names.filter_map(|name| number(name.to_str()?)).collect();
    numbers.sort_unstable();
    numbers.into_iter().filter_map(move |n| Node::open(&PathBuf::from(format!("/dev/video{n}")), coded))
}

impl Node {
    /// None where `path` is no encoder for `coded`, or not ours to open.
    pub fn open(path: &Path, coded: u32) -> Option<Self> {
        let device = Descriptor::open(path).ok()?;
        let about = device.capability().ok()?;
        let whole = about.capabilities & sys::V4L2_CAP_DEVICE_CAPS == 0;
        let capabilities = if whole { about.capabilities } else { about.device_caps };
        let (raw, of) = if capabilities & sys::V4L2_CAP_VIDEO_M2M_MPLANE != 0 {
            (BufferType::OutputPlanes, BufferType::CapturePlanes)
        } else if capabilities & sys::V4L2_CAP_VIDEO_M2M != 0 {
            (BufferType::Output, BufferType::Capture)
        } else {
            return None;
        };
        // A decoder has the coded format on the other queue, and a converter has it nowhere.
        if !formats(&device, of).any(|format| format == coded) {
            return None;
        }
        // The coded format decides which raw ones there are; this sets nothing for others who open the node.
        let taken = device.set_format(of, &PictureFormat::new(coded, (640, 480))).ok()?;
        let formats: Vec<u32> = formats(&device, raw).collect();
        let (name, driver) = (sys::text(&about.card), sys::text(&about.driver));
        (taken.fourcc == coded).then_some(Self { name, driver, device, raw, coded: of, formats })
    }
}

fn formats(device: &Descriptor, of: BufferType) -> impl Iterator<Item = u32> {
    (0..MOST_FORMATS).map_while(move |index| Some(device.enumerated_format(of, index).ok()?.pixelformat))
}
