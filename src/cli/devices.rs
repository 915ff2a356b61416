use super::{
    control::control_table,
    print,
    table::{or_dash, table},
};
use crate::device::{
    alsa,
    list::{self, ControlInfo},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Devices {
    /// For programs
    #[arg(long)]
    json: bool,
}

impl Devices {
    pub fn run(self) -> ExitCode {
        let found = found();
        if self.json {
            return print(&(format!("{found:#}") + "\n"));
        }
        let found: Found = serde_json::from_value(found).expect("a test holds the two rooms to this shape");
        print(&readable(&found))
    }
}

/// All there is, as `--json` prints it.
fn found() -> Value {
    json!({ "cameras": list::cameras(), "sound_cards": alsa::sound_cards() })
}

/// What the table needs of it.
#[derive(Deserialize)]
struct Found {
    cameras: Vec<Camera>,
    sound_cards: Vec<SoundCard>,
}

#[derive(Deserialize)]
struct Camera {
    name: String,
    node: String,
    bus: String,
    serial: Option<String>,
    usable: bool,
    reason: Option<String>,
    formats: Vec<Format>,
    controls: Vec<ControlInfo>,
}

#[derive(Deserialize)]
struct Format {
    format: String,
    width: u32,
    height: u32,
    fps: Option<f64>,
}

#[derive(Deserialize)]
struct SoundCard {
    name: String,
    device: String,
    rates: Vec<u32>,
    channels: Vec<u16>,
    formats: Vec<String>,
}

/// For people.
fn readable(found: &Found) -> String {
    let mut text = String::new();
    if found.cameras.is_empty() {
        text += "No camera is there.\n";
    } else {
        let row = |camera: &Camera| {
            let usable = if camera.usable { "yes" } else { "no" };
            let reason = camera.reason.clone().unwrap_or_default();
            let serial = or_dash(camera.serial.as_ref());
            [camera.name.clone(), camera.node.clone(), camera.bus.clone(), serial, usable.to_owned(), reason]
        };
        let rows: Vec<_> = found.cameras.iter().map(row).collect();
        text += &table(["CAMERA", "NODE", "BUS PATH", "SERIAL", "USABLE", "REASON"], &rows);
    }
    for camera in found.cameras.iter().filter(|camera| camera.usable) {
        text += &format!("\n{} ({})\n", camera.name, camera.node);
        text += &table(["FORMAT", "SIZE", "PICTURES PER SECOND"], &modes(&camera.formats));
        if !camera.controls.is_empty() {
            text += "\n";
            text += &control_table(&camera.controls);
        }
    }
    text += "\n";
    if found.sound_cards.is_empty() {
        return text + "No sound card is there.\n";
    }
    let row = |card: &SoundCard| {
        [card.name.clone(), card.device.clone(), joined(&card.rates), joined(&card.channels), card.formats.join(", ")]
    };
    let rows: Vec<_> = found.sound_cards.iter().map(row).collect();
    text + &table(["SOUND CARD", "DEVICE", "RATES", "CHANNELS", "FORMATS"], &rows)
}

/// One row for each format and size, with all its rates.
fn modes(formats: &[Format]) -> Vec<[String; 3]> {
    let mut rows: Vec<[String; 3]> = vec![];
    for Format { format, width, height, fps } in formats {
        let (size, fps) = (format!("{width}x{height}"), or_dash(*fps));
        match rows.last_mut() {
            Some([last_format, last_size, rates]) if last_format == format && *last_size == size => {
                *rates += &format!(", {fps}");
            }
            _ => rows.push([format.clone(), size, fps]),
        }
    }
    rows
}

fn joined<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_people() {
        let found = json!({
            "cameras": [
                {"name": "HD Webcam", "node": "/dev/video0", "bus": "usb-0000:01:00.0-1.2", "serial": null,
                 "usable": true, "reason": null,
                 "formats": [{"format": "yuyv", "width": 640, "height": 480, "fps": 30},
                             {"format": "yuyv", "width": 640, "height": 480, "fps": 29.97},
                             {"format": "mjpeg", "width": 1280, "height": 720, "fps": null}],
                 "controls": [{"name": "gain", "min": 0, "max": 9, "default": 3, "value": 4, "menu": null},
                              {"name": "auto_exposure", "min": 0, "max": 3, "default": 3, "value": null,
                               "menu": {"1": "Manual Mode", "3": "Aperture Priority"}}]},
                {"name": "HD Webcam", "node": "/dev/video1", "bus": "usb-0000:01:00.0-1.2", "serial": "A1",
                 "usable": false, "reason": "metadata, no pictures", "formats": [], "controls": []},
            ],
            "sound_cards": [{"name": "USB Audio", "device": "hw:CARD=Device", "rates": [44100, 48000],
                             "channels": [1, 2], "formats": ["S16_LE"]}],
        });
        assert_eq!(
            readable(&serde_json::from_value(found).unwrap()),
            "\
CAMERA     NODE         BUS PATH              SERIAL  USABLE  REASON
HD Webcam  /dev/video0  usb-0000:01:00.0-1.2  -       yes
HD Webcam  /dev/video1  usb-0000:01:00.0-1.2  A1      no      metadata, no pictures

HD Webcam (/dev/video0)
FORMAT  SIZE      PICTURES PER SECOND
yuyv    640x480   30, 29.97
mjpeg   1280x720  -

CONTROL        VALUE  DEFAULT  RANGE
gain           4      3        0 to 9
auto_exposure  -      3        1 Manual Mode, 3 Aperture Priority

SOUND CARD  DEVICE          RATES         CHANNELS  FORMATS
USB Audio   hw:CARD=Device  44100, 48000  1, 2      S16_LE
"
        );
    }

    #[test]
    fn the_rooms_keep_to_the_shape() {
        let found: Found = serde_json::from_value(found()).expect("the shape");
        assert!(readable(&found).contains("CAMERA") || readable(&found).contains("No camera is there."));
    }
}
