//! Players that join a stream's group, over a cable between two network namespaces.

use std::process::Command;

use super::players::{EXPECTED, PLAYER, SCENE, gstreamer_with, sid_clients_missing, vlc_recording};
use crate::support::{
    Server, missing,
    namespace::{CAMERA, Namespaces},
    player::tells_damage,
};

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
    let group = "multicast = { address = \"239.255.12.1\", port = 5004, ttl = 2 }\ndscp = 34";
    let listen = format!("anonymous = true\nlisten = [\"{CAMERA}:0\"]");
    let server = sides.on_camera(|| Server::start(&listen, &format!("{SCENE}\n{group}")));
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
    let source = format!("location={} protocols=udp-mcast", server.url("main"));
    sides.on_client(|| gstreamer_with(&source, "rtppcmudepay ! mulawdec")).check(EXPECTED);
    assert_marked(&sides);
    server.stop();
}

/// By the description alone, which names the group.
#[test]
fn vlc_joins_the_group() {
    if sid_clients_missing() {
        return;
    }
    let Some((sides, server)) = cable() else { return };
    let url = format!("{}?multicast", server.url("main"));
    sides.on_client(|| vlc_recording(&PLAYER, 12, &[] as &[&str], &url)).check(EXPECTED);
    assert_marked(&sides);
    server.stop();
}
