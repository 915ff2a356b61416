//! Servers to test, what they say of themselves, and UDP ports to hear them on.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    process::{Command, Output},
    thread,
    time::Duration,
};

use nix::{sys::signal, unistd::Pid};
use serde_json::Value;

use super::client::PATIENCE;
use crate::support::Server;

pub const CAMERA: &str = "
    [camera.cam]
    device = \"test\"
    size = \"320x240\"
    fps = 30
    [microphone.mic]
    device = \"test\"
    ";

/// Picture and sound. The picture is small: a test is about what goes over the wire.
pub const MAIN: &str = "
    [stream.main]
    video = { from = \"cam\", bitrate = \"300k\" }
    audio = { from = \"mic\" }
    ";

/// A server of one stream that anybody may see.
pub fn open(server: &str) -> Server {
    Server::start(&format!("anonymous = true\n{server}"), &format!("{CAMERA}{MAIN}"))
}

/// Runs a command that speaks to the server.
pub fn command(server: &Server, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eyrie"));
    command.args(arguments).arg("--socket").arg(server.control_socket()).output().unwrap()
}

pub fn status(server: &Server) -> Value {
    let output = command(server, &["status", "--json"]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The status of one stream.
pub fn stream(server: &Server, name: &str) -> Value {
    let status = status(server);
    let streams = status["streams"].as_array().unwrap();
    streams.iter().find(|stream| stream["name"] == name).unwrap_or_else(|| panic!("no {name} in {status}")).clone()
}

/// Waits until a stream's status is so.
pub fn await_stream(server: &Server, name: &str, what: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..PATIENCE.as_millis() / 50 {
        let stream = stream(server, name);
        if what(&stream) {
            return stream;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("still {}", stream(server, name));
}

/// Changes the server's config file; it takes effect by a reload.
pub fn edit(server: &Server, from: &str, to: &str) {
    let config = fs::read_to_string(server.config()).unwrap();
    assert!(config.contains(from), "no {from} in {config}");
    fs::write(server.config(), config.replace(from, to)).unwrap();
}

pub fn tell(server: &Server, signal: signal::Signal) {
    signal::kill(Pid::from_raw(server.pid() as i32), signal).unwrap();
}

/// A client's RTP and RTCP ports.
pub struct Pair {
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
}

impl Pair {
    pub fn new() -> Self {
        Self::at(Ipv4Addr::LOCALHOST.into())
    }

    pub fn at(address: IpAddr) -> Self {
        loop {
            let rtp = UdpSocket::bind((address, 0)).unwrap();
            let port = rtp.local_addr().unwrap().port();
            if !port.is_multiple_of(2) {
                continue;
            }
            if let Ok(rtcp) = UdpSocket::bind((address, port + 1)) {
                rtp.set_read_timeout(Some(PATIENCE)).unwrap();
                rtcp.set_read_timeout(Some(PATIENCE)).unwrap();
                return Pair { rtp, rtcp };
            }
        }
    }

    pub fn transport(&self) -> String {
        let port = self.rtp.local_addr().unwrap().port();
        format!("RTP/AVP;unicast;client_port={port}-{}", port + 1)
    }
}

/// The next datagram and who sent it.
pub fn datagram(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut bytes = [0; 2048];
    let (length, from) = socket.recv_from(&mut bytes).expect("nothing comes");
    (bytes[..length].to_vec(), from)
}

/// Whether nothing waits at a socket right now.
pub fn is_quiet(socket: &UdpSocket) -> bool {
    socket.set_nonblocking(true).unwrap();
    let quiet = socket.recv_from(&mut [0; 2048]).is_err();
    socket.set_nonblocking(false).unwrap();
    quiet
}

/// Takes all that waits at a socket.
pub fn drain(socket: &UdpSocket) -> usize {
    socket.set_nonblocking(true).unwrap();
    let count = std::iter::from_fn(|| socket.recv_from(&mut [0; 2048]).ok()).count();
    socket.set_nonblocking(false).unwrap();
    count
}
