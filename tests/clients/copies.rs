//! Players of what a camera encoded itself: H.264 and JPEG as they came, over UDP and over TCP.

use std::process::Command;

use crate::support::{self, Player, Server, Times, camera_program, judge::Recording, player::tells_damage};

/// Small: JPEGs of a larger size overrun the receive buffer of a player that a loaded machine lets wait.
const PLAYER: Player = Player { width: 320, height: 240, pictures: 151, sound: false, times: Times::None };

fn server(format: &str) -> Server {
    let device = camera_program(format);
    let camera = format!("[camera.cam]\ndevice = {device:?}\nsize = \"320x240\"\nfps = 30");
    let video = "video = { from = \"cam\", codec = \"copy\", bitrate = \"1M\" }";
    Server::start("anonymous = true", &format!("{camera}\n[stream.main]\n{video}"))
}

/// Every picture is whole and of its turn. They are not counted: on a loaded machine the program leaves some out.
fn check(recording: &Recording) {
    assert!(recording.complaints.is_empty(), "{:#?}", recording.complaints);
    assert!(recording.pictures.len() >= 150, "{} pictures", recording.pictures.len());
    let strips: Vec<_> =
        recording.pictures.iter().map(|picture| picture.strip.filter(|_| picture.half_is_right)).collect();
    let damaged: Vec<_> = (0..strips.len()).filter(|n| strips[*n].is_none()).collect();
    assert!(damaged.is_empty(), "damaged: {damaged:?}");
    let counters: Vec<u16> = strips.into_iter().flatten().map(|strip| strip.counter).collect();
    assert!(counters.windows(2).all(|pair| (1..60).contains(&pair[1].wrapping_sub(pair[0]))), "{counters:?}");
}

#[test]
fn ffmpeg_of_h264() {
    ffmpeg("h264");
}

#[test]
fn ffmpeg_of_jpeg() {
    ffmpeg("mjpeg");
}

fn ffmpeg(format: &str) {
    if support::missing(&["ffmpeg"]) {
        return;
    }
    let server = server(format);
    for transport in ["udp", "tcp"] {
        check(&PLAYER.ffmpeg(&["-rtsp_transport", transport], &server.url("main")));
    }
    server.stop();
}

#[test]
fn gstreamer_of_h264() {
    gstreamer("h264", "rtph264depay ! h264parse ! avdec_h264 ! video/x-raw,format=I420");
}

#[test]
fn gstreamer_of_jpeg() {
    gstreamer("mjpeg", "rtpjpegdepay ! jpegdec ! videoconvert ! video/x-raw,format=I420");
}

fn gstreamer(format: &str, decode: &str) {
    if support::missing(&["gst-launch-1.0", "ffmpeg"]) {
        return;
    }
    let server = server(format);
    for transport in ["udp", "tcp"] {
        let pipeline = format!(
            "rtspsrc location={} protocols={transport} ! {decode} ! queue ! matroskamux streamable=true ! fdsink",
            server.url("main")
        );
        check(&PLAYER.gstreamer(&pipeline));
    }
    server.stop();
}

#[test]
fn mpv_of_h264() {
    mpv("h264");
}

#[test]
fn mpv_of_jpeg() {
    mpv("mjpeg");
}

fn mpv(format: &str) {
    if support::missing(&["mpv", "ffmpeg"]) {
        return;
    }
    let server = server(format);
    for transport in ["udp", "tcp"] {
        let mut command = Command::new("mpv");
        command.args(["--no-config", "--quiet", "--msg-level=all=warn,ffmpeg=v"]);
        command.arg(format!("--rtsp-transport={transport}"));
        command.args(["--o=-", "--of=nut", "--ovc=rawvideo"]).arg(server.url("main"));
        check(&PLAYER.pipe(&mut command, tells_damage));
    }
    server.stop();
}
