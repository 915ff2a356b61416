//! What `eyrie devices` tells of the cameras.

use crate::media::FrameRate;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;

pub use super::v4l2::{cameras, lasting_names};

/// A video node. The first usable one is what runs without a config.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CameraInfo {
    /// The card's name.
    pub name: String,
    /// `/dev/videoN`.
    pub node: String,
    /// The bus path, which does not change when a camera is plugged into the same port again.
    pub bus: String,
    /// Of a USB device that has one.
    pub serial: Option<String>,
    pub usable: bool,
    /// Why it is not usable.
    pub reason: Option<String>,
    pub formats: Vec<FormatInfo>,
    pub controls: Vec<ControlInfo>,
}

/// One format, size and rate that a camera has.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FormatInfo {
    /// As a config names it.
    pub format: &'static str,
    /// In pixels.
    pub width: u32,
    pub height: u32,
    /// Pictures per second; None where the driver does not tell.
    #[serde(serialize_with = "as_number")]
    pub fps: Option<FrameRate>,
}

/// A control that takes one number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ControlInfo {
    /// As a config names it.
    pub name: String,
    pub min: i64,
    pub max: i64,
    pub default: i64,
    /// None where it can only be set.
    pub value: Option<i64>,
    /// The meaning of each value, if there is a menu.
    pub menu: Option<BTreeMap<i64, String>>,
}

/// Whole rates as whole numbers, others with two decimals.
fn as_number<S: Serializer>(fps: &Option<FrameRate>, serializer: S) -> Result<S::Ok, S::Error> {
    match fps {
        None => serializer.serialize_none(),
        Some(fps) if fps.num.is_multiple_of(fps.den) => serializer.serialize_u32(fps.num / fps.den),
        Some(fps) => serializer.serialize_f64((fps.as_f64() * 100.0).round() / 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_as_the_command_prints_it() {
        let format = |fps| FormatInfo { format: "yuyv", width: 640, height: 480, fps };
        let camera = CameraInfo {
            name: "HD Webcam".into(),
            node: "/dev/video0".into(),
            bus: "usb-0000:01:00.0-1.2".into(),
            serial: None,
            usable: true,
            reason: None,
            formats: vec![format(Some(FrameRate::new(30, 1))), format(Some(FrameRate::new(30000, 1001))), format(None)],
            controls: vec![ControlInfo {
                name: "auto_exposure".into(),
                min: 0,
                max: 3,
                default: 3,
                value: Some(1),
                menu: Some(BTreeMap::from([(1, "Manual Mode".into())])),
            }],
        };
        let json = serde_json::to_value(&camera).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "name": "HD Webcam", "node": "/dev/video0", "bus": "usb-0000:01:00.0-1.2", "serial": null,
                "usable": true, "reason": null,
                "formats": [
                    {"format": "yuyv", "width": 640, "height": 480, "fps": 30},
                    {"format": "yuyv", "width": 640, "height": 480, "fps": 29.97},
                    {"format": "yuyv", "width": 640, "height": 480, "fps": null},
                ],
                "controls": [{"name": "auto_exposure", "min": 0, "max": 3, "default": 3, "value": 1,
                              "menu": {"1": "Manual Mode"}}],
            })
        );
    }
}
