//! What a stream promises in numbers: its frames, its bitrate, its clock, its first picture.

use std::time::Duration;

use super::retina::{Retina, Seen};
use crate::support::{Expected, Server};

/// A camera of 30 pictures a second, streamed as it is and small with every third picture.
fn server(scene: &str, bitrate: &str, more: &str) -> Server {
    let config = format!(
        "[camera.cam]\ndevice = \"test\"\nsize = \"640x360\"\nfps = 30\nscene = \"{scene}\"\n\
         [microphone.mic]\ndevice = \"test\"\n\
         [stream.main]\n\
         video = {{ from = \"cam\", codec = \"h264\", bitrate = \"{bitrate}\" }}\n\
         audio = {{ from = \"mic\", codec = \"pcmu\" }}\n{more}"
    );
    Server::start("anonymous = true", &config)
}

fn watch(server: &Server, stream: &str, transport: &str, seconds: f64) -> Seen {
    let url = server.url(stream);
    Retina { url: &url, user: None, transport, seconds }.watch().unwrap()
}

const MAIN: Expected = Expected { fps: 30.0, step: 1, seconds: 10.0, sound: true };

#[test]
fn retina_udp() {
    whole("udp");
}

#[test]
fn retina_tcp() {
    whole("tcp");
}

/// Every picture and sound, in step by the sender reports, which agree among themselves.
fn whole(transport: &str) {
    let server = server("bars", "1M", "");
    let seen = watch(&server, "main", transport, 10.0);
    seen.recording.check(MAIN);
    assert!(seen.bitrate <= 1.1e6, "{:.0} bit/s", seen.bitrate);
    assert!(!seen.clock_errors.is_empty(), "one sender report in 10 s");
    assert!(seen.clock_errors.iter().all(|error| error.abs() < 0.005), "reports disagree: {:?}", seen.clock_errors);
    server.stop();
}

/// A scene that could use any bitrate gets what is configured, within a tenth.
#[test]
fn busy_scene_fills_its_bitrate() {
    let server = server("busy", "1500k", "");
    let seen = watch(&server, "main", "tcp", 10.0);
    seen.recording.check(MAIN);
    assert!((1.35e6..=1.65e6).contains(&seen.bitrate), "{:.0} bit/s", seen.bitrate);
    server.stop();
}

/// A scaled stream of a third of the camera's pictures, evenly.
#[test]
fn sub_stream_takes_every_third_picture() {
    let sub = "[stream.sub]\n\
               video = { from = \"cam\", codec = \"h264\", size = \"320x180\", fps = 10, bitrate = \"200k\" }\n\
               audio = { from = \"mic\", codec = \"pcmu\" }";
    let server = server("bars", "1M", sub);
    let seen = watch(&server, "sub", "udp", 10.0);
    seen.recording.check(Expected { fps: 10.0, step: 3, ..MAIN });
    assert!(seen.bitrate <= 2.2e5, "{:.0} bit/s", seen.bitrate);
    server.stop();
}

/// Camera and encoder rest until somebody plays: a second viewer later finds the stream at once as well.
#[test]
fn on_demand_shows_a_picture_within_a_second() {
    let server = server("bars", "1M", "on_demand = true");
    for _ in 0..2 {
        let seen = watch(&server, "main", "tcp", 1.0);
        assert!(seen.first_picture < Duration::from_secs(1), "after {:?}", seen.first_picture);
        seen.recording.check(Expected { seconds: 1.0, ..MAIN });
    }
    server.stop();
}

/// Four viewers of one stream at once, over both transports: each sees all of it.
#[test]
fn viewers_do_not_disturb_each_other() {
    let server = server("bars", "1M", "");
    std::thread::scope(|scope| {
        for viewer in 0..4 {
            let server = &server;
            scope.spawn(move || {
                let transport = if viewer % 2 == 0 { "udp" } else { "tcp" };
                watch(server, "main", transport, 10.0).recording.check(MAIN);
            });
        }
    });
    server.stop();
}
