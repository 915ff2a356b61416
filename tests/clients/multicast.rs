//! Players that join a stream's group, over a cable between two network namespaces.

use std::process::Command;

use crate::support::{
    Expected, Player, Server, Times, missing,
    namespace::{CAMERA, Namespaces},
    player::tells_damage,
};

const SCENE: &str = "
    [camera.cam]
    device = \"test\"
    size = \"640x360\"
    fps = 30
    [microphone.mic]
    device = \"test\"
    [stream.main]
    video = { from = \"cam\", codec = \"h264\", bitrate = \"1M\" }
    audio = { from = \"mic\", codec = \"pcmu\" }
    multicast = { address = \"239.255.12.1\", port = 5004, ttl = 2 }
    dscp = 34";

const EXPECTED: Expected = Expected { fps: 30.0, step: 1, seconds: 10.0, sound: true };
const PLAYER: Player = Player { width: 640, height: 360, pictures: 301, sound: true, times: Times::Player };

/// Both sides of a cable, and the server on one of them. On the other, what comes with the configured mark and time to
/// live is counted.
fn cable() -> Option<(Namespaces, Server)> {
    if missing(&["ffmpeg"]) {
        return None;
    }
    let sides = Namespaces::new()?;
    sides.on_client(|| {
        nft("add table ip t");
        nft("add chain ip t c { type filter hook input priority 0 ; }");
        nft("add rule ip t c ip daddr 239.255.12.1 ip dscp 34 ip ttl 2 counter");
    });
    let server = sides.on_camera(|| Server::start(&format!("anonymous = true\nlisten = [\"{CAMERA}:0\"]"), SCENE));
    Some((sides, server))
}

fn nft(arguments: &str) -> String {
    let output = Command::new("nft").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "nft {arguments}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn assert_marked(sides: &Namespaces) {
    let rules = sides.on_client(|| nft("list table ip t"));
    let packets = rules.split("packets ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(packets.parse::<u64>().unwrap() > 500, "{rules}");
}

#[test]
fn ffmpeg_joins_the_group() {
    let Some((sides, server)) = cable() else { return };
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "warning", "-nostdin", "-rtsp_transport", "udp_multicast", "-i", &server.url("main")]);
    command.args(["-c", "copy", "-f", "matroska", "pipe:1"]);
    sides.on_client(|| PLAYER.pipe(&mut command, tells_damage)).check(EXPECTED);
    assert_marked(&sides);
    server.stop();
}

#[test]
fn gstreamer_joins_the_group() {
    if missing(&["gst-launch-1.0"]) {
        return;
    }
    let Some((sides, server)) = cable() else { return };
    let pipeline = format!(
        "rtspsrc name=s location={} protocols=udp-mcast \
         s. ! rtph264depay ! h264parse ! avdec_h264 ! video/x-raw,format=I420 ! queue max-size-time=0 max-size-bytes=0 ! mux. \
         s. ! rtppcmudepay ! mulawdec ! queue max-size-time=0 max-size-bytes=0 ! mux. \
         matroskamux name=mux streamable=true ! fdsink",
        server.url("main")
    );
    let mut command = Command::new("gst-launch-1.0");
    command.args(["-q", "-e"]).args(pipeline.split_whitespace());
    command.env("GST_DEBUG", "2,libav:4").env("GST_DEBUG_NO_COLOR", "1");
    let complaint = |line: &str| line.contains(" ERROR ") || tells_damage(line);
    sides.on_client(|| PLAYER.pipe(&mut command, complaint)).check(EXPECTED);
    assert_marked(&sides);
    server.stop();
}
