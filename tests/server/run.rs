//! `eyrie run` as a process: what it prints, what it refuses, how it ends.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    process::{Command, Stdio},
    time::Duration,
};

use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    signal::Signal,
};

use super::{
    client::Client,
    packets::{Received, pictures},
    world::{CAMERA, MAIN, open, status, stream, tell},
};
use crate::support::{Server, server::wait};

/// Runs a config that is to be refused; its exit code, stdout and stderr.
fn refused(config: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("eyrie.toml");
    fs::write(&path, config.replace("HERE", folder.path().to_str().unwrap())).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_eyrie"))
        .args(["run", "--config"])
        .arg(&path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    if wait(&mut child, Duration::from_secs(15)).is_none() {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn config(listen: &str, udp: &str, socket: &str) -> String {
    format!(
        "[server]\nlisten = [{listen:?}]\nudp_ports = {udp:?}\nstate_dir = \"HERE/state\"\ncontrol_socket = {socket:?}\n\
         anonymous = true\n{CAMERA}{MAIN}"
    )
}

#[test]
fn the_encoder_that_runs_is_told_and_a_board_without_one_says_so_once() {
    let main = |encoder| {
        format!("[stream.{encoder}]\nvideo = {{ from = \"cam\", bitrate = \"300k\", encoder = \"{encoder}\" }}\n")
    };
    let sub = "[stream.sub]\nvideo = { from = \"cam\" }\non_demand = true";
    let rest = format!("{CAMERA}{}{}{}{sub}", main("auto"), main("openh264"), main("m2m"));
    let server = Server::start("anonymous = true", &rest);
    assert_eq!(stream(&server, "openh264")["encoder"], "openh264");
    assert_eq!(stream(&server, "sub")["encoder"], serde_json::Value::Null, "nobody watches");
    let board = eyrie::codec::m2m::encoders(u32::from_le_bytes(*b"H264")).next().map(|node| node.name);
    let expected = board.as_ref().map_or("openh264".to_owned(), |name| format!("m2m {name}"));
    assert_eq!(stream(&server, "m2m")["encoder"], expected);
    let log = server.log();
    assert!(log.lines().any(|line| line.contains("stream=\"openh264\"") && line.contains("with openh264 in")), "{log}");
    let notes: Vec<_> = log.lines().filter(|line| line.contains("in place of the board's encoder")).collect();
    assert_eq!(notes.len(), usize::from(board.is_none()), "{notes:?}");
    assert!(notes.iter().all(|note| note.contains("stream=\"m2m\"")), "{notes:?}");
    server.stop();
}

#[test]
fn urls_then_ready() {
    let sub = "[stream.sub]\nvideo = { from = \"cam\", fps = 10, bitrate = \"100k\" }\non_demand = true";
    let server = Server::start("", &format!("{CAMERA}{MAIN}{sub}"));
    let port = super::client::address(&server.url("main")).port();
    assert_eq!(server.urls, ["main", "sub"].map(|name| format!("rtsp://127.0.0.1:{port}/{name}")));
    let main = stream(&server, "main");
    assert_eq!((&main["state"], &main["width"], &main["height"]), (&"live".into(), &320.into(), &240.into()));
    assert_eq!(stream(&server, "sub")["state"], "idle");
    let status = status(&server);
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert!(["synced", "unsynced"].contains(&status["clock"].as_str().unwrap()), "{status}");
    server.stop();
}

#[test]
fn taken_places_are_named() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap().to_string();
    let (code, stdout, stderr) = refused(&config(&address, "0", "HERE/c.sock"));
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains(&address), "{stderr}");

    let udp = std::iter::repeat_with(|| UdpSocket::bind("127.0.0.1:0").unwrap());
    let udp = udp.into_iter().find(|socket| socket.local_addr().unwrap().port().is_multiple_of(2)).unwrap();
    let port = udp.local_addr().unwrap().port();
    let (code, stdout, stderr) = refused(&config("127.0.0.1:0", &format!("{port}-{}", port + 1), "HERE/c.sock"));
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains(&port.to_string()), "{stderr}");

    let server = open("");
    let socket = server.control_socket();
    let (code, stdout, stderr) = refused(&config("127.0.0.1:0", "0", socket.to_str().unwrap()));
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains(socket.to_str().unwrap()), "{stderr}");
    status(&server);
    server.stop();
}

/// A hundred viewers hold more descriptors than the usual soft limit.
#[test]
fn as_many_files_may_be_open_as_the_system_lets() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 300, hard).unwrap();
    let server = open("");
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let files: Vec<_> =
        limits.lines().find(|line| line.starts_with("Max open files")).unwrap().split_whitespace().collect();
    assert_eq!(files[3], hard.to_string());
    assert_eq!(files[4], files[3]);
    server.stop();
}

#[test]
fn interrupt_ends_it_well() {
    let server = open("");
    let mut client = Client::watch(&server.url("main"), 2);
    client.frame();
    tell(&server, Signal::SIGINT);
    client.frames_to_the_end();
    server.stop();
}

#[test]
fn without_its_camera_it_shows_a_slate() {
    let camera = CAMERA.replacen("\"test\"", "\"no such camera\"", 1);
    let server = Server::start("anonymous = true", &format!("{camera}{MAIN}"));
    let status = status(&server);
    assert_eq!(status["streams"][0]["state"], "no-signal", "{status}");
    let reason = status["cameras"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("no such camera"), "{reason}");
    let mut client = Client::watch(&server.url("main"), 2);
    let received = Received::until(&mut client, |it| it.rtp[1].len() > 5 && it.rtp[0].len() > 5);
    assert!(pictures(&received.rtp[0])[0].is_a_beginning());
    server.stop();
}
