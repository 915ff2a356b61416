//! A WebSocket client of others, Python's `websockets`, carries a player's RTSP.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use super::players::{EXPECTED, PLAYER, server, tls_url};
use crate::support::{Player, Server, Times, missing, player::skip};

/// Killed when dropped.
struct Carrier(Child);

impl Drop for Carrier {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn plays_through(url: fn(&Server) -> String) {
    if missing(&["ffmpeg"]) {
        return;
    }
    // The distribution's Python, whose package it is.
    let known = Command::new("/usr/bin/python3").args(["-c", "import websockets"]).output();
    if !known.is_ok_and(|known| known.status.success()) {
        return skip("python3-websockets is not installed; `scripts/test clients` installs it");
    }
    let server = server();
    let url = url(&server);
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/websocket.py"));
    command.arg(&url);
    if url.starts_with("wss://") {
        command.arg(server.state_dir().join("tls-cert.pem"));
    }
    let mut carrier = Carrier(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut port = String::new();
    BufReader::new(carrier.0.stdout.as_mut().unwrap()).read_line(&mut port).unwrap();
    let player = Player { times: Times::Stream, ..PLAYER };
    player.ffmpeg(&["-rtsp_transport", "tcp"], &format!("rtsp://127.0.0.1:{}/main", port.trim())).check(EXPECTED);
    assert!(carrier.0.wait().unwrap().success(), "it did not come to its end");
    server.stop();
}

#[test]
fn ffmpeg_through_a_websocket() {
    plays_through(|server| server.url("main").replace("rtsp://", "ws://"));
}

/// Under the name that the certificate vouches for.
#[test]
fn ffmpeg_through_a_websocket_inside_tls() {
    plays_through(|server| tls_url(server).replace("rtsps://127.0.0.1", "wss://localhost"));
}
