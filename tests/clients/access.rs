//! Who may look: the password made at the first start, configured users, nobody else.

use super::retina::{Retina, Seen};
use crate::support::{Expected, Player, Server, Times, missing};

const SCENE: &str = "
    [camera.cam]
    device = \"test\"
    size = \"320x180\"
    fps = 10
    [stream.main]
    video = { from = \"cam\", codec = \"h264\", bitrate = \"200k\" }";

/// MD5 and SHA-256 of `nvr:Eyrie:s3cret pass`.
const NVR: &str = "
    [[user]]
    name = \"nvr\"
    md5 = \"981f15ce7b213f8d217bb136ef992afd\"
    sha256 = \"156b82d3dfeadfac5fb1937ab568e5c9101ec6ad1ad7fc7c5d5cd308e4bb02c1\"
    role = \"view\"
    streams = [\"*\"]";

const SECOND: Expected = Expected { fps: 10.0, step: 1, seconds: 1.0, sound: false };

fn watch(server: &Server, user: Option<(&str, &str)>) -> Result<Seen, retina::Error> {
    Retina { url: &server.url("main"), user, transport: "tcp", seconds: 1.0 }.watch()
}

#[test]
fn made_viewer_password_opens_and_others_do_not() {
    let server = Server::start("", SCENE);
    let password = server.viewer_password();
    watch(&server, Some(("viewer", &password))).unwrap().recording.check(SECOND);
    assert_eq!(watch(&server, Some(("viewer", "wrong"))).err().unwrap().status_code(), Some(401));
    assert_eq!(watch(&server, Some(("nobody", &password))).err().unwrap().status_code(), Some(401));
    assert!(!server.urls[0].contains(&password), "printed to a pipe: {:?}", server.urls);
    server.stop();
}

#[test]
fn ffmpeg_logs_in_with_the_password_in_its_url() {
    if missing(&["ffmpeg"]) {
        return;
    }
    let server = Server::start("", SCENE);
    let player = Player { width: 320, height: 180, pictures: 11, sound: false, times: Times::Stream };
    let url = server.url_as("main", "viewer", &server.viewer_password());
    player.ffmpeg(&["-rtsp_transport", "tcp"], &url).check(SECOND);
    server.stop();
}

#[test]
fn configured_user_opens_and_the_made_one_is_gone() {
    for digest in ["md5", "sha256"] {
        let server = Server::start(&format!("digest = {digest:?}"), &format!("{SCENE}\n{NVR}"));
        if digest == "md5" {
            watch(&server, Some(("nvr", "s3cret pass"))).unwrap().recording.check(SECOND);
        }
        assert_eq!(watch(&server, Some(("nvr", "wrong"))).err().unwrap().status_code(), Some(401));
        assert!(!server.state_dir().join("viewer.password").exists());
        server.stop();
    }
}

#[test]
fn nobody_learns_which_streams_there_are() {
    let server = Server::start("", SCENE);
    let url = server.url("main");
    let there = server.request("DESCRIBE", &url, "Accept: application/sdp\r\n");
    let elsewhere = server.request("DESCRIBE", &url.replace("/main", "/other"), "Accept: application/sdp\r\n");
    for answer in [&there, &elsewhere] {
        assert!(answer.starts_with("RTSP/1.0 401 "), "{answer}");
        assert_eq!(answer.matches("WWW-Authenticate:").count(), 1, "{answer}");
        assert!(answer.contains("WWW-Authenticate: Digest realm=\"Eyrie\", nonce=\""), "{answer}");
    }
    assert!(server.request("OPTIONS", &url, "").starts_with("RTSP/1.0 200 "));
    server.stop();
}

#[test]
fn anonymous_opens_to_all_and_unknown_streams_are_404() {
    let server = Server::start("anonymous = true", SCENE);
    watch(&server, None).unwrap().recording.check(SECOND);
    let elsewhere = server.url("main").replace("/main", "/other");
    assert!(server.request("DESCRIBE", &elsewhere, "Accept: application/sdp\r\n").starts_with("RTSP/1.0 404 "));
    server.stop();
}
