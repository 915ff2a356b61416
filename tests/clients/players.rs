//! Each player that people use, over UDP and over TCP: ten seconds of which every picture and sound must be right.

use std::{ffi::OsStr, fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use crate::support::{
    self, Expected, Player, Server, Sound, Times,
    judge::Recording,
    marks,
    player::{skip, tells_damage},
};

/// A camera and a microphone that need no hardware; anybody may look.
pub const SCENE: &str = "
    [camera.cam]
    device = \"test\"
    size = \"640x360\"
    fps = 30
    [microphone.mic]
    device = \"test\"
    [stream.main]
    video = { from = \"cam\", codec = \"h264\", bitrate = \"1M\" }
    audio = { from = \"mic\", codec = \"pcmu\" }";

pub const EXPECTED: Expected = Expected { fps: 30.0, step: 1, seconds: 10.0, sound: true };

/// Ten seconds, from the first picture to the last.
pub const PLAYER: Player = Player { width: 640, height: 360, pictures: 301, sound: true, times: Times::Player };

const LISTEN_TLS: &str = "anonymous = true\nlisten_tls = [\"127.0.0.1:0\"]";

pub fn server() -> Server {
    Server::start(LISTEN_TLS, SCENE)
}

/// Inside TLS, under a certificate that nobody vouches for.
pub fn tls_url(server: &Server) -> String {
    server.urls.iter().find(|url| url.starts_with("rtsps://")).unwrap().clone()
}

/// The options of a player that wants to know the port.
fn with_port(options: &[&str], server: &Server) -> Vec<String> {
    let url = server.url("main");
    let port = url.trim_end_matches("/main").rsplit(':').next().unwrap();
    options.iter().map(|option| option.replace("PORT", port)).collect()
}

/// The same with AAC, which is the only sound that browsers and many recorders take.
fn server_of_aac() -> Server {
    Server::start("anonymous = true", &SCENE.replace("pcmu", "aac"))
}

#[test]
fn ffmpeg_udp() {
    ffmpeg("udp");
}

#[test]
fn ffmpeg_tcp() {
    ffmpeg("tcp");
}

fn ffmpeg(transport: &str) {
    if support::missing(&["ffmpeg"]) {
        return;
    }
    let server = server();
    let player = Player { times: Times::Stream, ..PLAYER };
    player.ffmpeg(&["-rtsp_transport", transport], &server.url("main")).check(EXPECTED);
    server.stop();
}

#[test]
fn ffmpeg_aac() {
    if support::missing(&["ffmpeg"]) {
        return;
    }
    let server = server_of_aac();
    let player = Player { times: Times::Stream, ..PLAYER };
    player.ffmpeg(&["-rtsp_transport", "tcp"], &server.url("main")).check(EXPECTED);
    server.stop();
}

/// The name says it: the server's address is `rtsp://` and its port the one for TLS.
#[test]
fn ffmpeg_https() {
    ffmpeg_at(&["-rtsp_transport", "https"], |server| tls_url(server).replace("rtsps://", "rtsp://"));
}

#[test]
fn ffmpeg_http() {
    ffmpeg("http");
}

#[test]
fn ffmpeg_tls() {
    ffmpeg_at(&[], tls_url);
}

fn ffmpeg_at(options: &[&str], url: fn(&Server) -> String) {
    if support::missing(&["ffmpeg"]) {
        return;
    }
    let server = server();
    let player = Player { times: Times::Stream, ..PLAYER };
    player.ffmpeg(options, &url(&server)).check(EXPECTED);
    server.stop();
}

#[test]
fn gstreamer_http() {
    gstreamer_at(|server| server.url("main").replace("rtsp://", "rtsph://"));
}

#[test]
fn gstreamer_tls() {
    gstreamer_at(tls_url);
}

#[test]
fn gstreamer_https() {
    gstreamer_at(|server| tls_url(server).replace("rtsps://", "rtspsh://"));
}

#[test]
fn gstreamer_srtp_udp() {
    gstreamer_srtp("udp");
}

#[test]
fn gstreamer_srtp_tcp() {
    gstreamer_srtp("tcp");
}

/// RTP/SAVP, as the description inside TLS offers it.
fn gstreamer_srtp(transport: &str) {
    if support::missing(&["gst-launch-1.0", "ffmpeg"]) {
        return;
    }
    let server = Server::start(LISTEN_TLS, &format!("{SCENE}\nsrtp = true"));
    let source = format!("location={} tls-validation-flags=0 protocols={transport}+tls", tls_url(&server));
    gstreamer_with(&source, "rtppcmudepay ! mulawdec").check(EXPECTED);
    let way = if transport == "udp" { "udp+srtp" } else { "tcp+tls+srtp" };
    assert!(server.log().contains(&format!("\"transport\":\"{way}\"")), "{}", server.log());
    server.stop();
}

fn gstreamer_at(url: fn(&Server) -> String) {
    if support::missing(&["gst-launch-1.0", "ffmpeg"]) {
        return;
    }
    let server = server();
    let source = format!("location={} tls-validation-flags=0", url(&server));
    gstreamer_with(&source, "rtppcmudepay ! mulawdec").check(EXPECTED);
    server.stop();
}

#[test]
fn gstreamer_udp() {
    gstreamer("udp");
}

#[test]
fn gstreamer_tcp() {
    gstreamer("tcp");
}

#[test]
fn gstreamer_aac() {
    if support::missing(&["gst-launch-1.0", "ffmpeg"]) {
        return;
    }
    let decoded = "rtpmp4gdepay ! aacparse ! avdec_aac ! audioconvert ! audio/x-raw,format=S16LE";
    let server = server_of_aac();
    gstreamer_with(&format!("location={} protocols=udp", server.url("main")), decoded).check(EXPECTED);
}

fn gstreamer(transport: &str) {
    if support::missing(&["gst-launch-1.0", "ffmpeg"]) {
        return;
    }
    let server = server();
    let source = format!("location={} protocols={transport}", server.url("main"));
    gstreamer_with(&source, "rtppcmudepay ! mulawdec").check(EXPECTED);
}

/// What GStreamer makes of picture and sound from `source`, options of its rtspsrc.
pub fn gstreamer_with(source: &str, sound: &str) -> Recording {
    let pipeline = format!(
        "rtspsrc name=s {source} \
         s. ! rtph264depay ! h264parse ! avdec_h264 ! video/x-raw,format=I420 ! queue max-size-time=0 max-size-bytes=0 ! mux. \
         s. ! {sound} ! queue max-size-time=0 max-size-bytes=0 ! mux. \
         matroskamux name=mux streamable=true ! fdsink"
    );
    PLAYER.gstreamer(&pipeline)
}

#[test]
fn mpv_udp() {
    mpv("udp");
}

#[test]
fn mpv_tcp() {
    mpv("tcp");
}

#[test]
fn mpv_aac() {
    mpv_with(server_of_aac, "udp");
}

fn mpv(transport: &str) {
    mpv_with(server, transport);
}

fn mpv_with(server: fn() -> Server, transport: &str) {
    if support::missing(&["mpv", "ffmpeg"]) {
        return;
    }
    let server = server();
    let mut command = Command::new("mpv");
    command.args(["--no-config", "--quiet", "--msg-level=all=warn,ffmpeg=v"]);
    command.arg(format!("--rtsp-transport={transport}"));
    command.args(["--o=-", "--of=nut", "--ovc=rawvideo", "--oac=pcm_s16le"]).arg(server.url("main"));
    PLAYER.pipe(&mut command, tells_damage).check(EXPECTED);
    server.stop();
}

#[test]
fn vlc_udp() {
    vlc(&[]);
}

#[test]
fn vlc_tcp() {
    vlc(&["--rtsp-tcp"]);
}

#[test]
fn vlc_http() {
    vlc(&["--rtsp-http", "--rtsp-http-port=PORT"]);
}

#[test]
fn vlc_aac() {
    vlc_with(server_of_aac, &[]);
}

fn vlc(options: &[&str]) {
    vlc_with(server, options);
}

fn vlc_with(server: fn() -> Server, options: &[&str]) {
    if support::missing(&["ffmpeg"]) || sid_clients_missing() {
        return;
    }
    let server = server();
    vlc_recording(&PLAYER, 12, &with_port(options, &server), &server.url("main")).check(EXPECTED);
    server.stop();
}

/// What VLC, run with `options`, records of `url` in so many seconds.
pub fn vlc_recording(player: &Player, seconds: u32, options: &[impl AsRef<OsStr>], url: &str) -> Recording {
    let folder = folder_for_all();
    let file = folder.path().join("vlc.mkv");
    let output = format!("#std{{access=file,mux=avformat{{mux=matroska}},dst={}}}", file.display());
    let mut command = sid_client();
    command.args(["vlc", "-q", "-I", "dummy", "--no-dbus", &format!("--run-time={seconds}")]).args(options);
    // Once its buffer is first full VLC moves its clock by up to 20 ms, and its own muxer leaves out a packet that would
    // then go back in time.
    command.args(["--clock-synchro=0", "--clock-jitter=0", url, "--sout", &output, "vlc://quit"]);
    let said = command.output().unwrap();
    eprintln!("VLC: {}", String::from_utf8_lossy(&said.stderr));
    player.ffmpeg(&[], file.to_str().unwrap())
}

#[test]
fn openrtsp_udp() {
    openrtsp(&[]);
}

#[test]
fn openrtsp_tcp() {
    openrtsp(&["-t"]);
}

#[test]
fn openrtsp_http() {
    openrtsp(&["-T", "PORT"]);
}

#[test]
fn openrtsp_tls() {
    openrtsp_at(&["-t"], tls_url);
}

fn openrtsp(options: &[&str]) {
    openrtsp_at(options, |server| server.url("main"));
}

/// It records bare H.264 and µ-law, without times: so sound and picture are judged each for itself.
fn openrtsp_at(options: &[&str], url: fn(&Server) -> String) {
    if support::missing(&["ffmpeg"]) || sid_clients_missing() {
        return;
    }
    let server = server();
    let folder = folder_for_all();
    let prefix = folder.path().join("r-");
    let mut command = sid_client();
    command.args(["openRTSP", "-d", "11", "-F", prefix.to_str().unwrap()]);
    command.args(with_port(options, &server)).arg(url(&server));
    let said = command.output().unwrap();
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    let file = |kind: &str| {
        let name = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files = name.filter(|path| path.to_string_lossy().contains(kind));
        files.next().unwrap_or_else(|| panic!("openRTSP recorded no {kind}; it said:\n{said}"))
    };
    let bare = Player { sound: false, times: Times::None, ..PLAYER };
    let mut recording = bare.ffmpeg(&["-f", "h264"], file("r-video").to_str().unwrap());
    let samples = fs::read(file("r-audio")).unwrap().into_iter().map(marks::ulaw).collect();
    recording.sound = Some(Sound { rate: 8000, samples, pieces: Vec::new() });
    recording.check(EXPECTED);
    server.stop();
}

pub fn sid_client() -> Command {
    let mut command = Command::new(sid_clients());
    command.arg("run");
    command
}

/// Whether the tree with VLC and openRTSP has not been made, said aloud.
pub fn sid_clients_missing() -> bool {
    let there = Command::new(sid_clients()).arg("has").status().is_ok_and(|status| status.success());
    if !there {
        skip("VLC with RTSP and openRTSP are not there; `scripts/test clients` fetches them");
    }
    !there
}

fn sid_clients() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/lib/sid-clients"))
}

/// A folder that user nobody, as whom root starts these players, may write to.
pub fn folder_for_all() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    folder
}
