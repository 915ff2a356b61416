//! A stream that takes no more viewers, and viewers that are sent elsewhere.

use super::{
    client::Client,
    packets::{Received, assert_unbroken},
    world::{CAMERA, MAIN, Pair, await_stream, command, datagram, drain, edit, open, stream},
};
use crate::support::Server;

const RELAY: &str = "rtsp://relay.example:554/front?x=1";

fn server(keys: &str) -> Server {
    Server::start("anonymous = true", &format!("{CAMERA}{MAIN}{keys}\n[stream.other]\naudio = {{ from = \"mic\" }}"))
}

fn viewers(server: &Server, stream_name: &str) -> usize {
    stream(server, stream_name)["viewers"].as_array().unwrap().len()
}

#[test]
fn a_full_stream_sends_further_viewers_to_its_relay() {
    let server = server(&format!("max_viewers = 2\nrelay = {RELAY:?}"));
    let url = server.url("main");
    let mut inside = [Client::watch(&url, 2), Client::watch(&url, 1)];
    let mut late = Client::connect(&url);
    let described = late.describe();
    assert_eq!((described.status, described.header("Location")), (302, Some(RELAY)));
    for transport in ["RTP/AVP/TCP;unicast", &Pair::new().transport()] {
        let set_up = late.set_up(0, transport);
        assert_eq!((set_up.status, set_up.header("Location")), (302, Some(RELAY)));
        assert_eq!(set_up.header("Session"), None);
    }
    // What is not there at all is no matter of places, and other streams have their own.
    assert_eq!(late.request("DESCRIBE", &server.url("main").replace("/main", "/none"), "").status, 404);
    assert_eq!(late.request("DESCRIBE", &server.url("other"), "").status, 200);
    // Those inside are not disturbed, and may take another track.
    assert_eq!(viewers(&server, "main"), 2);
    inside[1].ok("PAUSE", "");
    inside[1].early.clear();
    assert_eq!(inside[1].set_up(1, "RTP/AVP/TCP;unicast;interleaved=2-3").status, 200);
    inside[1].ok("PLAY", "");
    inside.iter_mut().for_each(|client| assert_unbroken(&Received::pictures(client, 5).rtp[0]));
    // A place that becomes free is taken.
    inside[0].ok("TEARDOWN", "");
    assert_eq!(late.describe().status, 200);
    late.set_up_tcp(2);
    late.ok("PLAY", "");
    late.frame();
    assert_eq!(Client::connect(&url).describe().status, 302);
    server.stop();
}

#[test]
fn without_a_relay_there_is_453_and_a_reload_makes_room() {
    let server = server("max_viewers = 1");
    let url = server.url("main");
    let mut inside = Client::watch(&url, 1);
    let mut late = Client::connect(&url);
    assert_eq!(late.describe().status, 453);
    assert_eq!(late.set_up(0, "RTP/AVP/TCP;unicast").status, 453);
    edit(&server, "max_viewers = 1", "max_viewers = 2");
    assert!(command(&server, &["reload"]).status.success());
    assert_eq!(late.describe().status, 200);
    late.set_up_tcp(1);
    late.ok("PLAY", "");
    late.frame();
    // Fewer places drop nobody.
    edit(&server, "max_viewers = 2", "max_viewers = 1");
    assert!(command(&server, &["reload"]).status.success());
    for client in [&mut inside, &mut late] {
        assert_unbroken(&Received::pictures(client, 10).rtp[0]);
    }
    assert_eq!(viewers(&server, "main"), 2);
    server.stop();
}

#[test]
fn move_tells_every_viewer_where_to_go_on_and_ends_none() {
    let server = server(&format!("relay = {RELAY:?}"));
    let url = server.url("main");
    let mut tcp = Client::watch(&url, 2);
    let mut elsewhere = Client::connect(&server.url("other"));
    assert_eq!(elsewhere.set_up(0, "RTP/AVP/TCP;unicast").status, 200);
    elsewhere.ok("PLAY", "");
    let udp = |pair: &Pair| {
        let mut client = Client::connect(&url);
        assert_eq!(client.set_up(0, &pair.transport()).status, 200);
        client.ok("PLAY", "");
        client
    };
    let pairs = [Pair::new(), Pair::new()];
    let (mut with_connection, without) = (udp(&pairs[0]), udp(&pairs[1]));
    drop(without);
    // Until the server has seen that it is gone, it still counts as told.
    let said = loop {
        let output = command(&server, &["move", "main"]);
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        if said.contains("not told") {
            break said;
        }
    };
    assert_eq!(
        said,
        format!("2 viewers told to go on at {RELAY}\n1 viewer over UDP without an open connection: not told\n")
    );
    for client in [&mut tcp, &mut with_connection] {
        let request = client.asked();
        assert_eq!(request.line, format!("REDIRECT {url}"));
        assert_eq!(request.header("Location"), Some(RELAY));
        assert_eq!(request.header("Session"), client.session.as_deref());
        assert_eq!(request.header("CSeq"), Some("1"));
        client.send_raw(b"RTSP/1.0 501 Not Implemented\r\nCSeq: 1\r\n\r\n");
        client.ok("GET_PARAMETER", "");
    }
    assert_eq!(viewers(&server, "main"), 3);
    assert_unbroken(&Received::pictures(&mut tcp, 30).rtp[0]);
    pairs.iter().for_each(|pair| {
        drain(&pair.rtp);
        datagram(&pair.rtp);
    });
    // Who watches something else is not asked.
    elsewhere.ok("GET_PARAMETER", "");
    assert!(elsewhere.asked.is_empty());
    // Who understands goes.
    tcp.ok("TEARDOWN", "");
    await_stream(&server, "main", |stream| stream["viewers"].as_array().unwrap().len() == 2);
    server.stop();
}

#[test]
fn move_says_what_it_lacks() {
    let server = open("");
    for (stream, why) in [
        ("main", "stream main has no `relay` to which its viewers could be sent"),
        ("mian", "no stream is named `mian`; did you mean `main`?"),
        ("x", "no stream is named `x`; there are: main"),
    ] {
        let output = command(&server, &["move", stream]);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!((String::from_utf8(output.stderr).unwrap().trim_end(), output.stdout.len()), (why, 0));
    }
    server.stop();
}
