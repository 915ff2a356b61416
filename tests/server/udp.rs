//! Datagrams go to the one who asked, on the port that is truly theirs.

use std::net::UdpSocket;

use super::{
    client::{Client, Response},
    packets::{empty_rtp, receiver_report},
    world::{Pair, datagram, drain, is_quiet, open, status},
};

/// A UDP viewer of the picture, playing.
fn watch(url: &str, transport: &str) -> (Client, Response) {
    let mut client = Client::connect(url);
    let answer = client.set_up(0, transport);
    assert_eq!(answer.status, 200, "{answer:?}");
    client.ok("PLAY", "");
    (client, answer)
}

/// Media that was sent after now: whatever waits is thrown away first.
fn fresh(socket: &UdpSocket, count: usize) {
    drain(socket);
    (0..count).for_each(|_| drop(datagram(socket)));
}

/// Players that get the first packets without it set their clocks again later, and lose what they hold then.
#[test]
fn a_sender_report_goes_before_the_first_packet() {
    let server = open("");
    for _ in 0..10 {
        let pair = Pair::new();
        pair.rtcp.set_nonblocking(true).unwrap();
        let port = pair.rtp.local_addr().unwrap().port();
        let _viewer = watch(&server.url("main"), &format!("RTP/AVP;unicast;client_port={port}-{}", port + 1));
        datagram(&pair.rtp);
        let mut report = [0; 1500];
        assert!(pair.rtcp.recv(&mut report).is_ok_and(|length| length >= 28) && report[1] == 200);
    }
    server.stop();
}

#[test]
fn another_destination_is_never_obeyed() {
    let server = open("");
    let mine = Pair::new();
    let port = mine.rtp.local_addr().unwrap().port();
    let victim = UdpSocket::bind(("127.0.0.2", port)).unwrap();
    let transport = format!("RTP/AVP;unicast;destination=127.0.0.2;client_port={port}-{}", port + 1);
    let (_client, answer) = watch(&server.url("main"), &transport);
    assert!(!answer.header("Transport").unwrap().contains("127.0.0.2"), "{answer:?}");
    fresh(&mine.rtp, 10);
    assert!(is_quiet(&victim));
    server.stop();
}

#[test]
fn the_true_port_is_learnt_from_a_packet() {
    let server = open("");
    let (announced, real) = (Pair::new(), Pair::new());
    let (_client, answer) = watch(&server.url("main"), &announced.transport());
    fresh(&announced.rtp, 3);
    real.rtp.send_to(&empty_rtp(), ("127.0.0.1", answer.server_port())).unwrap();
    fresh(&real.rtp, 10);
    drain(&announced.rtp);
    fresh(&real.rtp, 10);
    assert!(is_quiet(&announced.rtp), "media goes to both");

    // RTCP is learnt by RTCP; the next sender report takes its time, but BYE comes when asked for.
    real.rtcp.send_to(&receiver_report(), ("127.0.0.1", answer.server_port() + 1)).unwrap();
    fresh(&real.rtp, 5);
    drain(&announced.rtcp);
    let mut client = _client;
    client.ok("TEARDOWN", "");
    datagram(&real.rtcp);
    assert!(is_quiet(&announced.rtcp));
    server.stop();
}

#[test]
fn nothing_else_moves_a_stream() {
    let server = open("");
    let (announced, other) = (Pair::new(), Pair::new());
    let stranger = Pair::at("127.0.0.2".parse().unwrap());
    let (_client, answer) = watch(&server.url("main"), &announced.transport());
    let to = ("127.0.0.1", answer.server_port());
    fresh(&announced.rtp, 1);
    stranger.rtp.send_to(&empty_rtp(), to).unwrap();
    for malformed in [&b""[..], b"hello", b"\x00\x00\x00\x00", &empty_rtp()[..11], &[0x40; 20], &receiver_report()] {
        other.rtp.send_to(malformed, to).unwrap();
    }
    fresh(&announced.rtp, 10);
    assert!(is_quiet(&other.rtp) && is_quiet(&stranger.rtp));

    // Once the announced port has spoken, it is the true one.
    announced.rtp.send_to(&empty_rtp(), to).unwrap();
    fresh(&announced.rtp, 10);
    other.rtp.send_to(&empty_rtp(), to).unwrap();
    fresh(&announced.rtp, 10);
    assert!(is_quiet(&other.rtp));
    assert_eq!(status(&server)["network"]["stray_datagrams"], 8, "each that moved nothing is counted");
    server.stop();
}

#[test]
fn of_two_that_wait_neither_is_guessed() {
    let server = open("");
    let (one, two, other) = (Pair::new(), Pair::new(), Pair::new());
    let (_one, answer) = watch(&server.url("main"), &one.transport());
    let (_two, _) = watch(&server.url("main"), &two.transport());
    other.rtp.send_to(&empty_rtp(), ("127.0.0.1", answer.server_port())).unwrap();
    fresh(&one.rtp, 10);
    fresh(&two.rtp, 10);
    assert!(is_quiet(&other.rtp));

    // When one has spoken, only the other waits.
    one.rtp.send_to(&empty_rtp(), ("127.0.0.1", answer.server_port())).unwrap();
    fresh(&one.rtp, 10);
    other.rtp.send_to(&empty_rtp(), ("127.0.0.1", answer.server_port())).unwrap();
    fresh(&other.rtp, 10);
    fresh(&one.rtp, 10);
    server.stop();
}
