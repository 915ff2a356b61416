//! What real players make of being sent elsewhere: all follow the answer to DESCRIBE, none that was tried follows the
//! server's own request, and none is disturbed by it.

use std::{process::Command, thread, time::Duration};

use super::players::{folder_for_all, sid_client, sid_clients_missing, vlc_recording};
use crate::support::{Expected, Player, Server, Times, missing};

const SCENE: &str = "
    [camera.cam]
    device = \"test\"
    size = \"320x180\"
    fps = 5
    [stream.main]
    video = { from = \"cam\", codec = \"h264\", bitrate = \"200k\" }
    ";

const EXPECTED: Expected = Expected { fps: 5.0, step: 1, seconds: 3.0, sound: false };

const PLAYER: Player = Player { width: 320, height: 180, pictures: 16, sound: false, times: Times::Player };

/// A server whose only place is taken for the next minute, and the relay that it names.
fn full() -> (Server, Server) {
    let relay = Server::start("anonymous = true", SCENE);
    let elsewhere = format!("{SCENE}max_viewers = 1\nrelay = {:?}\n", relay.url("main"));
    let full = Server::start("anonymous = true", &elsewhere.replace("320x180", "160x120"));
    let track = full.url("main") + "/trackID=0";
    // A session over UDP outlives its connection.
    let answer = full.request("SETUP", &track, "Transport: RTP/AVP;unicast;client_port=50000-50001\r\n");
    assert!(answer.starts_with("RTSP/1.0 200 "), "{answer}");
    (full, relay)
}

#[test]
fn ffmpeg_follows_a_full_stream_to_its_relay() {
    if missing(&["ffmpeg"]) {
        return;
    }
    let (full, relay) = full();
    let player = Player { times: Times::Stream, ..PLAYER };
    player.ffmpeg(&["-rtsp_transport", "tcp"], &full.url("main")).check(EXPECTED);
    full.stop();
    relay.stop();
}

#[test]
fn gstreamer_follows_a_full_stream_to_its_relay() {
    if missing(&["gst-launch-1.0", "ffmpeg"]) {
        return;
    }
    let (full, relay) = full();
    gstreamer(&full.url("main"));
    full.stop();
    relay.stop();
}

fn gstreamer(url: &str) {
    let pipeline = format!(
        "rtspsrc location={url} protocols=tcp ! rtph264depay ! h264parse ! avdec_h264 ! video/x-raw,format=I420 ! \
         matroskamux streamable=true ! fdsink"
    );
    PLAYER.gstreamer(&pipeline).check(EXPECTED);
}

#[test]
fn openrtsp_follows_a_full_stream_to_its_relay() {
    if missing(&["ffmpeg"]) || sid_clients_missing() {
        return;
    }
    let (full, relay) = full();
    openrtsp(&full.url("main"));
    full.stop();
    relay.stop();
}

fn openrtsp(url: &str) {
    let folder = folder_for_all();
    let prefix = folder.path().join("r-");
    let mut command = sid_client();
    command.args(["openRTSP", "-d", "4", "-t", "-F", prefix.to_str().unwrap(), url]);
    let said = command.output().unwrap();
    let file = folder.path().join("r-video-H264-1");
    assert!(file.exists(), "openRTSP recorded nothing; it said:\n{}", String::from_utf8_lossy(&said.stderr));
    let bare = Player { times: Times::None, ..PLAYER };
    bare.ffmpeg(&["-f", "h264"], file.to_str().unwrap()).check(EXPECTED);
}

#[test]
fn vlc_follows_a_full_stream_to_its_relay() {
    if missing(&["ffmpeg"]) || sid_clients_missing() {
        return;
    }
    let (full, relay) = full();
    vlc(&full.url("main"));
    full.stop();
    relay.stop();
}

/// That it gets the pictures and goes on; at so few a second it is late with some and its own recording damages them.
fn vlc(url: &str) {
    let pictures = vlc_recording(&PLAYER, 5, &["--rtsp-tcp"], url).pictures;
    let readable = pictures.iter().filter(|picture| picture.strip.is_some()).count();
    assert!(pictures.len() == 16 && readable >= 8, "{readable} of {} pictures", pictures.len());
}

/// While `watch` plays, its player is asked thrice to go elsewhere.
fn asked_to_move(watch: impl FnOnce(&str)) {
    let server = Server::start("anonymous = true", &format!("{SCENE}relay = \"rtsp://127.0.0.1:9/main\""));
    thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut told = 0;
            for _ in 0..200 {
                let mut command = Command::new(env!("CARGO_BIN_EXE_eyrie"));
                let output = command.args(["move", "main", "--socket"]).arg(server.control_socket()).output().unwrap();
                told += usize::from(output.stdout.starts_with(b"1 viewer told"));
                if told == 3 {
                    return;
                }
                thread::sleep(Duration::from_millis(100));
            }
            panic!("told {told} times only");
        });
        watch(&server.url("main"));
        asking.join().unwrap();
    });
    server.stop();
}

#[test]
fn ffmpeg_watches_on_whatever_it_is_asked() {
    if missing(&["ffmpeg"]) {
        return;
    }
    for transport in ["tcp", "udp"] {
        asked_to_move(|url| {
            let player = Player { times: Times::Stream, ..PLAYER };
            player.ffmpeg(&["-rtsp_transport", transport], url).check(EXPECTED);
        });
    }
}

#[test]
fn gstreamer_watches_on_whatever_it_is_asked() {
    if missing(&["gst-launch-1.0", "ffmpeg"]) {
        return;
    }
    asked_to_move(gstreamer);
}

#[test]
fn openrtsp_watches_on_whatever_it_is_asked() {
    if missing(&["ffmpeg"]) || sid_clients_missing() {
        return;
    }
    asked_to_move(openrtsp);
}

#[test]
fn vlc_watches_on_whatever_it_is_asked() {
    if missing(&["ffmpeg"]) || sid_clients_missing() {
        return;
    }
    asked_to_move(vlc);
}
