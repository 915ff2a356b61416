//! A bitrate that follows the network, over a cable between two namespaces that loses packets.

use std::{
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::support::{
    Server, missing,
    namespace::{CAMERA, Namespaces},
};

/// How often it is looked, and how often at most.
const PAUSE: Duration = Duration::from_millis(250);
const LOOKS: usize = 140;

const STREAM: &str = "
    [camera.cam]
    device = \"test\"
    scene = \"busy\"
    size = \"640x360\"
    fps = 15
    [stream.main]
    video = { from = \"cam\", bitrate = \"1M\", bitrate_min = \"500k\", bitrate_max = \"1M\", adapt = true }
    ";

fn nft(rules: &str) {
    let output = Command::new("nft").args(rules.split(' ')).output().unwrap();
    assert!(output.status.success(), "nft {rules}: {output:?}");
}

/// Waits until the encoder is asked for such a bitrate.
fn until(server: &Server, is_so: impl Fn(u64) -> bool) {
    let asked = || {
        let mut status = Command::new(env!("CARGO_BIN_EXE_eyrie"));
        let output = status.args(["status", "--json", "--socket"]).arg(server.control_socket()).output().unwrap();
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        status["streams"][0]["bitrate_asked"].as_u64().unwrap()
    };
    let seen = (0..LOOKS).any(|_| {
        thread::sleep(PAUSE);
        is_so(asked())
    });
    assert!(seen, "{} bit/s\n{}", asked(), server.log());
}

#[test]
fn what_the_cable_loses_lowers_the_bitrate_until_it_loses_no_more() {
    if missing(&["ffmpeg", "nft"]) {
        return;
    }
    let Some(sides) = Namespaces::new() else { return };
    let listen = format!("anonymous = true\nlisten = [\"{CAMERA}:0\"]");
    let server = sides.on_camera(|| Server::start(&listen, STREAM));
    let mut viewer = sides.on_client(|| {
        nft("add table ip t");
        nft("add chain ip t c { type filter hook input priority 0 ; }");
        nft("add rule ip t c ip protocol udp numgen random mod 100 < 50 drop");
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "quiet", "-nostdin", "-rtsp_transport", "udp", "-i", &server.url("main")]);
        ffmpeg.args(["-f", "null", "-"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    });
    until(&server, |bitrate| bitrate == 500_000);
    sides.on_client(|| nft("flush chain ip t c"));
    until(&server, |bitrate| bitrate > 520_000);
    viewer.kill().unwrap();
    viewer.wait().unwrap();
    server.stop();
}
