//! How long a session lives.

use std::{net::SocketAddr, thread, time::Duration};

use super::{
    client::Client,
    packets::{Received, assert_unbroken, receiver_report},
    world::{CAMERA, MAIN, Pair, await_stream, datagram, drain, open, stream},
};
use crate::support::Server;

/// The time-out that is advertised, and the grace after it.
const TIMEOUT_SECONDS: u64 = 1;
const GRACE_SECONDS: u64 = 5;

struct Udp {
    client: Option<Client>,
    pair: Pair,
    server_port: u16,
    address: SocketAddr,
}

impl Udp {
    fn watch(url: &str) -> Self {
        let (mut client, pair) = (Client::connect(url), Pair::new());
        let answer = client.set_up(0, &pair.transport());
        assert!(answer.header("Session").unwrap().ends_with(&format!(";timeout={TIMEOUT_SECONDS}")), "{answer:?}");
        client.ok("PLAY", "");
        let address = client.socket.local_addr().unwrap();
        Udp { client: Some(client), pair, server_port: answer.server_port(), address }
    }
}

fn watches(server: &Server, address: SocketAddr) -> bool {
    let viewers = stream(server, "main")["viewers"].clone();
    viewers.as_array().unwrap().iter().any(|viewer| viewer["address"] == address.to_string())
}

#[test]
fn signs_of_life_keep_a_session_and_silence_ends_it() {
    let server = open(&format!("session_timeout = \"{TIMEOUT_SECONDS}s\""));
    let url = server.url("main");
    let [silent, reporting, asking, nameless, mut left] = [(); 5].map(|()| Udp::watch(&url));
    let mut taking = Client::watch(&url, 1);
    let taking_at = taking.socket.local_addr().unwrap();
    left.client = None;
    drain(&left.pair.rtp);
    datagram(&left.pair.rtp);
    assert!(watches(&server, left.address), "a UDP session outlives its connection");

    let [mut asking_client, mut nameless_client] = [asking.client, nameless.client].map(Option::unwrap);
    let session = nameless_client.session.take();
    for _ in 0..(TIMEOUT_SECONDS + GRACE_SECONDS + 1) * 2 {
        thread::sleep(Duration::from_millis(500));
        reporting.pair.rtcp.send_to(&receiver_report(), ("127.0.0.1", reporting.server_port + 1)).unwrap();
        asking_client.ok("GET_PARAMETER", "");
        nameless_client.ok("GET_PARAMETER", "");
        taking.socket.set_nonblocking(true).unwrap();
        while std::io::Read::read(&mut taking.socket, &mut [0; 65536]).is_ok_and(|length| length > 0) {}
        taking.socket.set_nonblocking(false).unwrap();
    }
    await_stream(&server, "main", |_| !watches(&server, silent.address) && !watches(&server, left.address));
    for (who, address) in [
        ("receiver reports", reporting.address),
        ("GET_PARAMETER with Session", asking.address),
        ("GET_PARAMETER without", nameless.address),
        ("a connection that takes media", taking_at),
    ] {
        assert!(watches(&server, address), "{who} did not keep it");
    }
    // Its connection is still there; its session is not.
    let mut silent = silent.client.unwrap();
    assert_eq!(silent.request("GET_PARAMETER", &url, "").status, 454);
    nameless_client.session = session;
    nameless_client.ok("TEARDOWN", "");
    server.stop();
}

#[test]
fn interleaved_session_ends_with_its_connection() {
    let server = open("");
    let mut client = Client::watch(&server.url("main"), 2);
    client.frame();
    assert_eq!(stream(&server, "main")["viewers"][0]["transport"], "tcp");
    let session = client.session.take().unwrap();
    drop(client);
    await_stream(&server, "main", |stream| stream["viewers"].as_array().unwrap().is_empty());
    let mut again = Client::connect(&server.url("main"));
    again.session = Some(session);
    assert_eq!(again.request("PLAY", &server.url("main"), "").status, 454);
    server.stop();
}

/// A stranger who learnt a session's id can do nothing with it.
#[test]
fn interleaved_session_obeys_its_own_connection_alone() {
    let server = open("");
    let mut client = Client::watch(&server.url("main"), 1);
    let mut other = Client::connect(&server.url("main"));
    other.session = client.session.clone();
    for method in ["PLAY", "PAUSE", "TEARDOWN"] {
        assert_eq!(other.request(method, &server.url("main"), "").status, 454);
    }
    client.frame();
    client.ok("PAUSE", "");
    server.stop();
}

#[test]
fn on_demand_stream_rests_without_viewers() {
    let server = Server::start("anonymous = true", &format!("{CAMERA}{MAIN}on_demand = true"));
    assert_eq!(stream(&server, "main")["state"], "idle");
    for _ in 0..2 {
        let mut client = Client::connect(&server.url("main"));
        client.set_up_tcp(2);
        let answer = client.ok("PLAY", "");
        let received = Received::until(&mut client, |it| it.rtp.iter().all(|packets| packets.len() >= 10));
        for (track, packets) in received.rtp.iter().enumerate() {
            assert_eq!((packets[0].seq, packets[0].timestamp), answer.start_of(track as u8), "track {track}");
            assert_unbroken(packets);
        }
        await_stream(&server, "main", |stream| stream["state"] == "live");
        drop(client);
        await_stream(&server, "main", |stream| stream["state"] == "idle");
    }
    server.stop();
}
