//! What the two ends tell each other beside the media: reports, farewells, and the mark of the packets.

use std::process::Command;

use super::{
    client::{Client, Incoming},
    packets::{Received, Rtcp, Rtp, SenderReport, framed, full_intra, leaving, picture_loss, report_about},
    world::{CAMERA, Pair, await_stream, command, datagram, drain, edit, is_quiet, open, stream},
};
use crate::support::Server;

/// A stream that makes a key frame only if asked.
fn rare_keys() -> Server {
    let main = "[stream.main]\nvideo = { from = \"cam\", bitrate = \"300k\", gop = \"60s\" }";
    Server::start("anonymous = true", &format!("{CAMERA}{main}"))
}

fn keyframes(server: &Server) -> u64 {
    stream(server, "main")["keyframes"].as_u64().unwrap()
}

/// Plays the picture over TCP.
fn watch(server: &Server) -> (Client, u32) {
    let mut client = Client::connect(&server.url("main"));
    let ssrc = client.set_up(0, "RTP/AVP/TCP;unicast;interleaved=0-1").ssrc();
    client.ok("PLAY", "");
    (client, ssrc)
}

#[test]
fn what_a_receiver_reports_over_udp_is_shown() {
    let server = open("");
    let (mut client, pair) = (Client::connect(&server.url("main")), Pair::new());
    let answer = client.set_up(0, &pair.transport());
    client.ok("PLAY", "");
    let first = Rtcp::parse(&datagram(&pair.rtcp).0).sender.unwrap();
    let unknown = &stream(&server, "main")["viewers"][0];
    assert!(unknown["lost"].is_null() && unknown["jitter_ms"].is_null() && unknown["rtt_ms"].is_null(), "{unknown}");
    // It answers after a while, and says that it did so at once.
    let mut pictures = 0;
    while pictures < 20 {
        pictures += u8::from(Rtp::parse(&datagram(&pair.rtp).0).marker);
    }
    let report = report_about(answer.ssrc(), first.middle, 0);
    pair.rtcp.send_to(&report, ("127.0.0.1", answer.server_port() + 1)).unwrap();
    assert_told(&server, 100.0);
    server.stop();
}

#[test]
fn what_a_receiver_reports_over_tcp_is_shown() {
    let server = open("");
    let (mut client, ssrc) = watch(&server);
    let received = Received::pictures(&mut client, 20);
    let first = received.rtcp[0][0].sender.unwrap();
    client.send_raw(&framed(1, &report_about(ssrc, first.middle, 0)));
    assert_told(&server, 100.0);
    server.stop();
}

/// The round trip is at least so many ms.
fn assert_told(server: &Server, round_trip: f64) {
    let told = await_stream(server, "main", |stream| !stream["viewers"][0]["lost"].is_null());
    let viewer = &told["viewers"][0];
    assert_eq!((viewer["lost"].as_u64(), viewer["jitter_ms"].as_f64()), (Some(7), Some(10.0)), "{viewer}");
    assert!((round_trip..20_000.0).contains(&viewer["rtt_ms"].as_f64().unwrap()), "{viewer}");
    let table = String::from_utf8(command(server, &["status"]).stdout).unwrap();
    assert!(table.contains("10.0 ms"), "{table}");
}

#[test]
fn reports_of_a_fat_stream_come_every_second() {
    let busy = CAMERA.replacen("fps = 30", "fps = 30\n    scene = \"busy\"", 1);
    let main = "[stream.main]\nvideo = { from = \"cam\", bitrate = \"1M\" }";
    let server = Server::start("anonymous = true", &format!("{busy}{main}"));
    let (mut client, _) = watch(&server);
    let received = Received::until(&mut client, |received| received.rtcp[0].len() == 5);
    assert!(received.rtcp[0].iter().all(|rtcp| rtcp.cname.as_deref().is_some_and(|cname| cname.starts_with("eyrie@"))));
    let reports: Vec<SenderReport> = received.rtcp[0].iter().map(|rtcp| rtcp.sender.unwrap()).collect();
    let intervals: Vec<f64> = reports.windows(2).map(|pair| pair[1].wall - pair[0].wall).collect();
    // The first is the half of five seconds, by the dice of RFC 3550.
    assert!((0.9..3.6).contains(&intervals[0]), "{intervals:?}");
    assert!(intervals[1..].iter().all(|interval| (0.35..2.0).contains(interval)), "{intervals:?}");
    server.stop();
}

#[test]
fn who_says_bye_over_udp_gets_one_back_and_no_more() {
    let server = open("");
    let (mut client, pair) = (Client::connect(&server.url("main")), Pair::new());
    let answer = client.set_up(0, &pair.transport());
    client.ok("PLAY", "");
    datagram(&pair.rtp);
    pair.rtcp.send_to(&leaving(), ("127.0.0.1", answer.server_port() + 1)).unwrap();
    while Rtcp::parse(&datagram(&pair.rtcp).0).bye != Some(answer.ssrc()) {}
    assert!(stream(&server, "main")["viewers"].as_array().unwrap().is_empty());
    drain(&pair.rtp);
    // Other viewers' media goes on meanwhile.
    Received::pictures(&mut watch(&server).0, 10);
    assert!(is_quiet(&pair.rtp));
    client.ok("TEARDOWN", "");
    server.stop();
}

#[test]
fn bye_on_one_track_leaves_the_other() {
    let server = open("");
    let mut client = Client::watch(&server.url("main"), 2);
    Received::until(&mut client, |received| received.rtp.iter().all(|track| !track.is_empty()));
    client.send_raw(&framed(1, &leaving()));
    let (mut sound, mut silent) = (0, 0);
    while silent < 50 {
        let Some(Incoming::Frame(frame)) = client.next() else { panic!("closed") };
        match frame.channel {
            2 => (sound, silent) = (sound + 1, silent + 1),
            0 => silent = 0,
            _ => {}
        }
        assert!(sound < 1000, "the picture goes on");
    }
    assert_eq!(stream(&server, "main")["viewers"].as_array().unwrap().len(), 1);
    server.stop();
}

/// Its session is over, and says so, once it is asked for more; the connection goes on.
#[test]
fn bye_on_all_tracks_leaves_nothing_to_play() {
    let server = open("");
    let url = server.url("main");
    for method in ["PLAY", "PAUSE"] {
        let mut client = Client::watch(&url, 2);
        Received::until(&mut client, |received| received.rtp.iter().all(|track| !track.is_empty()));
        client.send_raw(&[framed(1, &leaving()), framed(3, &leaving())].concat());
        await_stream(&server, "main", |stream| stream["viewers"].as_array().unwrap().is_empty());
        assert_eq!(client.request(method, &url, "").status, 454);
        assert_eq!(client.request("TEARDOWN", &url, "").status, 454);
        client.session = None;
        client.early.clear();
        client.set_up_tcp(2);
        client.ok("PLAY", "");
        Received::pictures(&mut client, 5);
        client.ok("TEARDOWN", "");
    }
    server.stop();
}

#[test]
fn one_that_asks_without_end_leaves_key_frames_to_others() {
    let server = rare_keys();
    let ((mut greedy, ssrc), (mut other, _)) = (watch(&server), watch(&server));
    Received::pictures(&mut greedy, 10);
    let before = keyframes(&server);
    let begun = Received::pictures(&mut greedy, 1).rtp[0][0].timestamp;
    let mut last = begun;
    for _ in 0..90 {
        greedy.send_raw(&framed(1, &picture_loss(ssrc)));
        last = Received::pictures(&mut greedy, 1).rtp[0].last().unwrap().timestamp;
    }
    let seconds = u64::from(last.wrapping_sub(begun) / 90_000);
    let made = keyframes(&server) - before;
    assert!(made >= 2 && made <= 2 + 2 * (seconds / 4 + 1), "{made} key frames in {seconds} s");
    // What it could not have is there for the other.
    let before = keyframes(&server);
    other.send_raw(&framed(1, &picture_loss(ssrc)));
    await_stream(&server, "main", |stream| stream["keyframes"].as_u64().unwrap() > before);
    server.stop();
}

#[test]
fn a_full_intra_request_repeated_is_the_same() {
    let server = rare_keys();
    let (mut client, ssrc) = watch(&server);
    Received::pictures(&mut client, 10);
    for (sequence, new) in [(1, true), (1, false), (2, true)] {
        let before = keyframes(&server);
        client.send_raw(&framed(1, &full_intra(ssrc, sequence)));
        let seen = Received::pictures(&mut client, 20).rtp[0].iter().any(|packet| packet.nal_types().contains(&5));
        assert_eq!((seen, keyframes(&server) - before), (new, u64::from(new)), "{sequence}");
    }
    server.stop();
}

/// What the kernel knows of the mark of the server's sockets, by `ss`: 0 where there is none.
fn marks(server: &Server, kind: &str) -> Vec<String> {
    let output = Command::new("ss").args(["-H", "-n", "-p", "--tos", kind]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let own = text.lines().filter(|line| line.contains(&format!("pid={},", server.pid())));
    own.map(|line| line.split("tos:").nth(1).unwrap_or("0").split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn packets_carry_the_mark_of_their_stream() {
    if crate::support::missing(&["ss"]) {
        return;
    }
    let server = Server::start(
        "anonymous = true",
        &format!(
            "{CAMERA}[stream.main]\nvideo = {{ from = \"cam\" }}\ndscp = 34\n[stream.plain]\nvideo = {{ from = \"cam\" }}"
        ),
    );
    let pair = Pair::new();
    let mut udp = Client::connect(&server.url("main"));
    udp.set_up(0, &pair.transport());
    udp.ok("PLAY", "");
    assert_eq!(marks(&server, "-u"), ["0x88", "0x88"]);
    assert_eq!(marks(&server, "-t"), ["0"], "the connection of a UDP viewer carries no media");
    let (mut tcp, _) = watch(&server);
    let _plain = Client::watch(&server.url("plain"), 1);
    let sorted = |server: &Server| {
        let mut marks = marks(server, "-t");
        marks.sort();
        marks
    };
    assert_eq!(sorted(&server), ["0", "0", "0x88"]);
    // Another mark drops no viewer.
    edit(&server, "dscp = 34", "dscp = 46");
    assert!(command(&server, &["reload"]).status.success());
    assert_eq!((marks(&server, "-u").concat(), sorted(&server).concat()), ("0xb80xb8".into(), "000xb8".into()));
    Received::pictures(&mut tcp, 5);
    tcp.ok("PAUSE", "");
    assert_eq!(sorted(&server), ["0"; 3]);
    server.stop();
}
