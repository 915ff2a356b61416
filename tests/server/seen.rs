//! What a viewer's decoder makes of a picture that was turned or written over.

use openh264::{decoder::Decoder, formats::YUVSource};

use super::{
    client::Client,
    packets::{Received, annex_b, assert_unbroken},
    world::{command, edit},
};
use crate::support::{Picture, Server, marks::Luma};

const SIZE: (usize, usize) = (640, 360);
const CAMERA: &str = "
    [camera.\"Haustür\"]
    device = \"test\"
    size = \"640x360\"
    fps = 30
    ";

/// A viewer that decodes.
struct Eye {
    client: Client,
    decoder: Decoder,
    received: Received,
}

/// Luma without a gap between rows.
struct Seen {
    luma: Vec<u8>,
    width: usize,
    height: usize,
}

impl Eye {
    fn on(server: &Server, stream: &str) -> Self {
        let client = Client::watch(&server.url(stream), 1);
        Self { client, decoder: Decoder::new().unwrap(), received: Received::default() }
    }

    /// The next picture.
    fn see(&mut self) -> Seen {
        loop {
            let begun = self.received.rtp[0].iter().rposition(|packet| packet.marker).map_or(0, |last| last + 1);
            while !self.received.rtp[0].last().is_some_and(|packet| packet.marker)
                || begun == self.received.rtp[0].len()
            {
                self.received.add(&self.client.frame());
            }
            let unit = annex_b(&self.received.rtp[0][begun..]);
            if let Some(picture) = self.decoder.decode(&unit).unwrap() {
                let ((width, height), (stride, ..)) = (picture.dimensions(), picture.strides());
                let rows = picture.y().chunks(stride).take(height).flat_map(|row| &row[..width]);
                return Seen { luma: rows.copied().collect(), width, height };
            }
        }
    }
}

impl Seen {
    fn read(&self) -> Picture {
        Picture::read(Luma { data: &self.luma, width: self.width, height: self.height, stride: self.width }, None)
    }

    /// White pixels in the upper part of the test pattern's colour bars, which have none of their own.
    fn lettering(&self) -> usize {
        let bars = 48 * self.width..90 * self.width;
        self.luma[bars].iter().filter(|luma| **luma > 205).count()
    }
}

#[test]
fn name_and_time_stand_in_the_picture_and_its_marks_still_read() {
    let streams = "
        [stream.plain]
        video = { from = \"Haustür\" }
        [stream.named]
        video = { from = \"Haustür\" }
        overlay = true
        [stream.small]
        video = { from = \"Haustür\", size = \"320x180\" }
        overlay = true
        ";
    let server = Server::start("anonymous = true", &format!("{CAMERA}{streams}"));
    for (stream, expected) in [("plain", 0..1), ("named", 400..10_000), ("small", 200..10_000)] {
        let mut eye = Eye::on(&server, stream);
        // The text changes meanwhile.
        for n in 0..40 {
            let seen = eye.see();
            let picture = seen.read();
            assert!(picture.strip.is_some() && picture.half_is_right, "{stream} {n}: {picture:?}");
            if stream != "small" {
                assert!(expected.contains(&seen.lettering()), "{stream} {n}: {} white pixels", seen.lettering());
            }
        }
    }
    server.stop();
}

#[test]
fn an_overlay_comes_and_goes_under_a_viewer() {
    let stream = "[stream.main]\nvideo = { from = \"Haustür\" }\noverlay = false";
    let server = Server::start("anonymous = true", &format!("{CAMERA}{stream}"));
    let mut eye = Eye::on(&server, "main");
    assert_eq!(eye.see().lettering(), 0);
    for (from, to) in [("false", "true"), ("true", "false")] {
        edit(&server, &format!("overlay = {from}"), &format!("overlay = {to}"));
        let output = command(&server, &["reload"]);
        assert!(output.status.success(), "{output:?}");
        let mut pictures = 0;
        while (eye.see().lettering() > 500) != (to == "true") {
            pictures += 1;
            assert!(pictures < 300, "still overlay = {from}");
        }
    }
    assert_unbroken(&eye.received.rtp[0]);
    server.stop();
}

#[test]
fn a_picture_is_turned_and_mirrored_as_configured() {
    for (orientation, name) in
        [("rotate = 180", "half"), ("flip = \"vertical\"", "flip"), ("rotate = 90\nflip = \"horizontal\"", "quarter")]
    {
        let stream = "[stream.main]\nvideo = { from = \"Haustür\" }";
        let server = Server::start("anonymous = true", &format!("{CAMERA}{orientation}\n{stream}"));
        let seen = Eye::on(&server, "main").see();
        let (width, height) = SIZE;
        let turned = if name == "quarter" { (height, width) } else { SIZE };
        assert_eq!((seen.width, seen.height), turned, "{name}");
        assert_eq!(seen.read().strip, None, "{name}");
        // Where each pixel of the camera's picture came to lie.
        let at = |x: usize, y: usize| match name {
            "half" => (width - 1 - x, height - 1 - y),
            "flip" => (x, height - 1 - y),
            // To the right edge, from the top down; by then left and right had changed places.
            _ => (height - 1 - y, width - 1 - x),
        };
        let pixels = (0..width * height).map(|n| at(n % width, n / width)).map(|(x, y)| seen.luma[y * turned.0 + x]);
        let upright = Seen { luma: pixels.collect(), width, height };
        assert!(upright.read().half_is_right, "{name}");
        server.stop();
    }
}
