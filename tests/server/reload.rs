//! A changed config touches what it changes, and nothing else.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use nix::sys::signal::Signal;

use super::{
    client::Client,
    packets::{Received, Rtcp, assert_unbroken, pictures},
    secure,
    world::{CAMERA, MAIN, await_stream, command, edit, open, stream, tell},
};
use crate::support::Server;

const USER: &str = "
    [[user]]
    name = \"nvr\"
    md5 = \"981f15ce7b213f8d217bb136ef992afd\"
    ";

fn reload(server: &Server) {
    let output = command(server, &["reload"]);
    assert!(output.status.success(), "{output:?}");
}

fn bandwidth(client: &mut Client) -> u32 {
    let description = client.describe().body;
    let video = description.split("m=video").nth(1).unwrap();
    video.lines().find_map(|line| line.strip_prefix("b=AS:")).unwrap().parse().unwrap()
}

/// Session and version of `o=`.
fn origin(client: &mut Client) -> (u64, u64) {
    let description = client.describe().body;
    let origin = description.lines().find_map(|line| line.strip_prefix("o=- ")).unwrap();
    let mut numbers = origin.split(' ').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn bitrate_changes_under_a_viewer() {
    let camera = CAMERA.replace("fps = 30", "fps = 30\nscene = \"busy\"");
    let main = "[stream.main]\nvideo = { from = \"cam\", bitrate = \"1M\", gop = \"1s\" }";
    let server = Server::start("anonymous = true", &format!("{camera}{main}"));
    let mut viewer = Client::watch(&server.url("main"), 1);
    let mut other = Client::connect(&server.url("main"));
    let mut received = Received::pictures(&mut viewer, 120);
    let before = bandwidth(&mut other);
    let origin = origin(&mut other);
    edit(&server, "\"1M\"", "\"300k\"");
    reload(&server);
    // It takes effect with the next picture.
    while bandwidth(&mut other) > before / 2 {
        assert!(received.rtp[0].len() < 1000, "still b=AS:{before}");
        received.add(&viewer.frame());
    }
    let changed = self::origin(&mut other);
    assert_eq!(changed.0, origin.0, "another session");
    assert!(changed.1 > origin.1, "{changed:?} follows {origin:?}");
    let until = received.rtp[0].last().unwrap().timestamp.wrapping_add(5 * 90_000);
    while (until.wrapping_sub(received.rtp[0].last().unwrap().timestamp) as i32) > 0 {
        received.add(&viewer.frame());
    }
    let packets = &received.rtp[0];
    assert_unbroken(packets);
    let pictures = pictures(packets);
    let rate = |range: std::ops::Range<usize>| {
        let ticks = pictures[range.end].timestamp.wrapping_sub(pictures[range.start].timestamp);
        pictures[range].iter().map(|picture| picture.bytes).sum::<usize>() as f64 * 8.0 * 90_000.0 / f64::from(ticks)
    };
    // All that goes over the network in four seconds is within what is announced.
    let announced = received.rtp[0].iter().take_while(|packet| packet.timestamp != pictures[119].timestamp);
    let sent: usize = announced.map(|packet| packet.payload.len() + 12 + 28).sum();
    let seconds = f64::from(pictures[119].timestamp.wrapping_sub(pictures[0].timestamp)) / 90_000.0;
    let bandwidth = sent as f64 * 8.0 / seconds / 1000.0;
    assert!(bandwidth <= f64::from(before), "{bandwidth:.0} kbit/s under b=AS:{before}");
    let end = pictures.len() - 1;
    let (first, last) = (rate(0..60), rate(end - 90..end));
    assert!(first > 700_000.0 && last < 360_000.0, "{first:.0}, then {last:.0} bit/s");
    server.stop();
}

#[test]
fn size_changes_with_goodbye_and_only_there() {
    let sub = "[stream.sub]\nvideo = { from = \"cam\", size = \"160x120\", bitrate = \"100k\" }\n";
    let server = Server::start("anonymous = true", &format!("{CAMERA}{MAIN}{sub}"));
    let mut main = Client::watch(&server.url("main"), 2);
    let mut sub = Client::watch(&server.url("sub"), 1);
    let mut ready = Client::connect(&server.url("sub"));
    ready.set_up_tcp(1);
    sub.frame();
    edit(&server, "160x120", "200x150");
    reload(&server);
    let frames = sub.frames_to_the_end();
    assert!(frames.iter().any(|frame| frame.channel == 1 && Rtcp::parse(&frame.payload).bye.is_some()));
    assert!(ready.frames_to_the_end().is_empty(), "one that has not played yet is closed too");
    let received = Received::pictures(&mut main, 30);
    received.rtp.iter().for_each(|packets| assert_unbroken(packets));
    Received::pictures(&mut Client::watch(&server.url("sub"), 1), 1);
    let stream = await_stream(&server, "sub", |stream| stream["width"] == 200);
    assert_eq!(stream["height"], 150);
    server.stop();
}

#[test]
fn bad_config_changes_nothing() {
    let server = Server::start("anonymous = true", &format!("{CAMERA}{MAIN}"));
    let mut viewer = Client::watch(&server.url("main"), 2);
    edit(&server, "300k", "much");
    let output = command(&server, &["reload"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("stream.main.video.bitrate") && text.contains("expected") && text.contains('^'), "{text}");
    tell(&server, Signal::SIGHUP);
    while !server.log().contains("stream.main.video.bitrate") {
        viewer.frame();
    }
    Received::pictures(&mut viewer, 10).rtp.iter().for_each(|packets| assert_unbroken(packets));

    // Mended, a signal does as well as the command.
    edit(&server, "much", "200k");
    edit(&server, "[stream.main]", "[stream.renamed]");
    tell(&server, Signal::SIGHUP);
    viewer.frames_to_the_end();
    let url = server.url("main").replace("/main", "/renamed");
    Received::pictures(&mut Client::watch(&url, 2), 3);
    assert_eq!(stream(&server, "renamed")["viewers"].as_array().unwrap().len(), 0);
    server.stop();
}

#[test]
fn users_come_and_go() {
    let other = USER.replace("nvr", "other");
    let server = Server::start("", &format!("{CAMERA}{MAIN}{USER}{other}"));
    let mut viewer = Client::connect(&server.url("main"));
    viewer.log_in("nvr", "s3cret pass");
    viewer.set_up_tcp(2);
    viewer.ok("PLAY", "");
    viewer.frame();
    edit(&server, USER, "");
    reload(&server);
    viewer.frames_to_the_end();
    let mut again = Client::connect(&server.url("main"));
    again.log_in("nvr", "s3cret pass");
    assert_eq!(again.describe().status, 401);
    edit(&server, &other, USER);
    reload(&server);
    again.log_in("nvr", "s3cret pass");
    assert_eq!(again.describe().status, 200);
    server.stop();
}

/// What `look` gives at last: a worker closes what it had in its own time.
fn until<T>(look: impl Fn() -> Option<T>) -> T {
    let mut tries = (0..500).inspect(|_| thread::sleep(Duration::from_millis(10)));
    tries.find_map(|_| look()).expect("within five seconds")
}

/// The one that leaves a port still listens as the other begins.
#[test]
fn a_port_moves_to_other_addresses_and_into_tls() {
    let server = open("");
    let mut viewer = Client::watch(&server.url("main"), 2);
    let url = server.url("main");
    let port: u16 = url.trim_end_matches("/main").rsplit(':').next().unwrap().parse().unwrap();
    let reaches = |host: [u8; 4]| TcpStream::connect((Ipv4Addr::from(host), port)).is_ok();
    assert!(reaches([127, 0, 0, 1]) && !reaches([127, 0, 0, 2]));
    let mut before = "listen = [\"127.0.0.1:0\"]".to_owned();
    let mut change = |to: String| {
        edit(&server, &before, &to);
        reload(&server);
        before = to;
    };
    change(format!("listen = [\"0.0.0.0:{port}\"]"));
    assert!(reaches([127, 0, 0, 1]) && reaches([127, 0, 0, 2]));
    change(format!("listen = [\"127.0.0.2:{port}\"]"));
    until(|| (!reaches([127, 0, 0, 1]) && reaches([127, 0, 0, 2])).then_some(()));
    let url = url.replace("127.0.0.1", "127.0.0.2");
    assert_eq!(Client::connect(&url).describe().status, 200);
    change(format!("listen = [\"127.0.0.3:0\"]\nlisten_tls = [\"127.0.0.2:{port}\"]"));
    let (url, made) = (url.replace("rtsp:", "rtsps:"), secure::made(&server));
    let socket = until(|| secure::connect(&url, &made, &rustls::version::TLS13).ok());
    assert_eq!(Client::through(socket, &url).describe().status, 200);
    Received::pictures(&mut viewer, 5).rtp.iter().for_each(|packets| assert_unbroken(packets));
    let taken = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), port)).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse, "another program cannot have it");
    server.stop();
}
