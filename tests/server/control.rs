//! Sessions and who controls them, and what PLAY says of time.

use super::{
    client::Client,
    packets::{Received, assert_unbroken, pictures},
    world::{CAMERA, MAIN, Pair, await_stream, datagram, drain, open, status, stream},
};
use crate::support::Server;

const SUB: &str = "[stream.sub]\nvideo = { from = \"cam\", size = \"160x120\", fps = 10, bitrate = \"100k\" }\n";

#[test]
fn play_by_the_clock_is_answered_by_the_clock_if_that_is_right() {
    let server = open("");
    let mut client = Client::connect(&server.url("main"));
    client.set_up_tcp(2);
    assert_eq!(client.ok("PLAY", "Range: npt=0.000-\r\n").header("Range"), Some("npt=now-"));
    let before = jiff::Timestamp::now();
    let answer = client.ok("PLAY", "Range: clock=20200101T000000Z-\r\n");
    let range = answer.header("Range").unwrap();
    if status(&server)["clock"] == "synced" {
        let start = range.strip_prefix("clock=").and_then(|range| range.strip_suffix("Z-")).expect(range);
        let start = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S%.f", start).unwrap();
        let start = jiff::tz::TimeZone::UTC.to_timestamp(start).unwrap();
        let late = before.duration_since(start).as_secs_f64().abs();
        assert!(late < 10.0, "{range} is {late} s from now");
    } else {
        assert_eq!(range, "npt=now-", "nobody knows how late it is");
    }
    server.stop();
}

#[test]
fn two_sessions_share_a_connection_and_end_each_for_itself() {
    let server = Server::start("anonymous = true", &format!("{CAMERA}{MAIN}{SUB}"));
    let mut client = Client::watch(&server.url("main"), 1);
    let main = client.session.take();
    client.url = server.url("sub");
    assert_eq!(client.set_up(0, "RTP/AVP/TCP;unicast;interleaved=2-3").status, 200);
    client.ok("PLAY", "");
    let sub = client.session.clone();
    assert_ne!(main, sub);
    client.early.clear();
    let received = Received::until(&mut client, |it| it.rtp.iter().all(|packets| packets.len() >= 20));
    received.rtp.iter().for_each(|packets| assert_unbroken(packets));
    assert_ne!(received.rtp[0][0].ssrc, received.rtp[1][0].ssrc);

    // A session answers to the URL of its own stream alone.
    client.session = main.clone();
    assert_eq!(client.request("PAUSE", &server.url("sub"), "").status, 454);
    client.session = sub;
    client.ok("TEARDOWN", "");
    await_stream(&server, "sub", |stream| stream["viewers"].as_array().unwrap().is_empty());
    client.early.clear();
    assert!((0..20).all(|_| client.frame().channel < 2), "the other goes on alone");
    client.session = main;
    client.url = server.url("main");
    client.ok("PAUSE", "");
    server.stop();
}

#[test]
fn a_udp_session_obeys_other_connections_of_its_own_address_alone() {
    let server = open("");
    let url = server.url("main");
    let (mut first, pair) = (Client::connect(&url), Pair::new());
    first.set_up(0, &pair.transport());
    first.ok("PLAY", "");
    datagram(&pair.rtp);
    let mut stranger = Client::connect_from("127.0.0.2", &url);
    stranger.session = first.session.clone();
    for method in ["PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER"] {
        assert_eq!(stranger.request(method, &url, "").status, 454, "{method}");
    }
    drain(&pair.rtp);
    datagram(&pair.rtp);
    let mut second = Client::connect(&url);
    second.session = first.session.clone();
    second.ok("PAUSE", "");
    second.ok("PLAY", "");
    drop(first);
    drain(&pair.rtp);
    datagram(&pair.rtp);
    second.ok("TEARDOWN", "");
    assert_eq!(stream(&server, "main")["viewers"].as_array().unwrap().len(), 0);
    server.stop();
}

/// A track that is set up anew while ready takes its new ports.
#[test]
fn set_up_again_moves_a_track() {
    let server = open("");
    let mut client = Client::connect(&server.url("main"));
    let [old, new, sound] = [(); 3].map(|()| Pair::new());
    let session = client.set_up(0, &old.transport()).header("Session").unwrap().to_owned();
    client.set_up(1, &sound.transport());
    let again = client.set_up(0, &new.transport());
    assert_eq!(again.header("Session"), Some(session.as_str()), "the same session");
    let answer = client.ok("PLAY", "");
    let (first, from) = datagram(&new.rtp);
    let first = super::packets::Rtp::parse(&first);
    assert_eq!((first.seq, first.timestamp), answer.start_of(0));
    assert_eq!(from.port(), again.server_port());
    datagram(&sound.rtp);
    assert!(super::world::is_quiet(&old.rtp));
    server.stop();
}

#[test]
fn ipv6_is_served_as_ipv4_is() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        crate::support::player::skip("this machine has no IPv6");
        return;
    }
    let server = Server::start("anonymous = true\nlisten = [\"[::1]:0\"]", &format!("{CAMERA}{MAIN}"));
    let url = server.url("main");
    assert!(url.starts_with("rtsp://[::1]:"), "{url}");
    let mut client = Client::connect(&url);
    let described = client.describe();
    assert_eq!(described.header("Content-Base"), Some(format!("{url}/").as_str()));
    for line in [" IN IP6 ::1\r\n", "\r\nc=IN IP6 ::\r\n"] {
        assert!(described.body.contains(line), "{}", described.body);
    }
    let pair = Pair::at("::1".parse().unwrap());
    client.set_up(0, &pair.transport());
    let answer = client.ok("PLAY", "");
    let packets: Vec<_> = (0..20).map(|_| super::packets::Rtp::parse(&datagram(&pair.rtp).0)).collect();
    assert_eq!((packets[0].seq, packets[0].timestamp), answer.start_of(0));
    assert_unbroken(&packets);
    assert!(pictures(&packets)[0].is_a_beginning());
    let mut tcp = Client::watch(&url, 2);
    tcp.frame();
    assert_eq!(stream(&server, "main")["viewers"].as_array().unwrap().len(), 2);
    server.stop();
}
