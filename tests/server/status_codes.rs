//! Every refusal over the socket, in the order in which a request is refused.

use super::{
    client::Client,
    world::{CAMERA, MAIN, open},
};
use crate::support::Server;

#[test]
fn without_a_login_only_the_form_of_a_request_is_judged() {
    let server = Server::start("", &format!("{CAMERA}{MAIN}"));
    let url = server.url("main");
    let status = |request: String| {
        let mut client = Client::connect(&url);
        client.send_raw(request.as_bytes());
        client.response()
    };
    assert_eq!(status(format!("DESCRIBE {url} RTSP/1.0\r\n\r\n")).status, 400, "no CSeq");
    assert_eq!(status(format!("DESCRIBE {url}{} RTSP/1.0\r\nCSeq: 1\r\n\r\n", "x".repeat(3000))).status, 414);
    assert_eq!(status(format!("DESCRIBE {url} RTSP/2.0\r\nCSeq: 1\r\n\r\n")).status, 505);
    assert_eq!(status(format!("FETCH {url} RTSP/1.0\r\nCSeq: 1\r\n\r\n")).status, 501);
    let announce = status(format!("ANNOUNCE {url} RTSP/1.0\r\nCSeq: 1\r\n\r\n"));
    assert_eq!(announce.status, 405);
    assert!(announce.header("Allow").unwrap().contains("DESCRIBE"), "{announce:?}");
    let require = status(format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\nRequire: a-wonder\r\n\r\n"));
    assert_eq!((require.status, require.header("Unsupported")), (551, Some("a-wonder")));

    let mut client = Client::connect(&url);
    let public = client.ok("OPTIONS", "");
    for method in "OPTIONS DESCRIBE SETUP PLAY PAUSE TEARDOWN GET_PARAMETER SET_PARAMETER".split(' ') {
        assert!(public.header("Public").unwrap().split(", ").any(|other| other == method), "{public:?}");
    }
    for path in [url.clone(), url.replace("/main", "/other"), format!("{url}/trackID=7")] {
        for method in ["DESCRIBE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER"] {
            assert_eq!(client.request(method, &path, "").status, 401, "{method} {path}");
        }
    }
    server.stop();
}

#[test]
fn who_is_let_in_is_told_what_is_wrong() {
    let server = open("transports = [\"udp\", \"tcp\"]");
    let url = server.url("main");
    let mut client = Client::connect(&url);
    assert_eq!(client.request("DESCRIBE", &url.replace("/main", "/other"), "").status, 404);
    assert_eq!(client.set_up(7, "RTP/AVP/TCP;unicast").status, 404);
    for (session, status) in [("", 454), ("Session: 0123456789abcdef0123456789abcdef\r\n", 454)] {
        for method in ["PLAY", "PAUSE", "TEARDOWN"] {
            assert_eq!(client.request(method, &url, session).status, status, "{method} {session}");
        }
    }
    let aggregate = client.request("SETUP", &url, "Transport: RTP/AVP/TCP;unicast\r\n");
    assert_eq!(aggregate.status, 459);
    assert_eq!(client.set_up(0, "RTP/AVP;multicast").status, 461);
    assert_eq!(client.set_up(0, "RAW/RAW/UDP;unicast;client_port=5000-5001").status, 461);

    assert_eq!(client.request("DESCRIBE", &url, "Accept: text/html\r\n").status, 406);
    let stream = client.request("DESCRIBE", &url, "Timestamp: 12.5\r\nBandwidth: 1\r\nBlocksize: 1\r\n");
    for (name, value) in [("Timestamp", "12.5"), ("Cache-Control", "no-cache"), ("Content-Type", "application/sdp")] {
        assert_eq!(stream.header(name), Some(value));
    }
    assert!(stream.header("Server").unwrap().starts_with("Eyrie/"), "{stream:?}");
    assert!(stream.header("Date").unwrap().ends_with(" GMT"), "{stream:?}");

    client.set_up_tcp(2);
    let paused = client.request("PAUSE", &url, "");
    assert_eq!((paused.status, paused.header("Allow").is_some()), (455, true), "nothing plays");
    assert_eq!(client.request("PLAY", &url, "Range: npt=10-5\r\n").status, 457);
    client.send("SET_PARAMETER", &url, "Content-Type: text/parameters\r\nContent-Length: 10\r\n");
    client.send_raw(b"volume: 11");
    assert_eq!(client.response().status, 451);
    client.ok("PLAY", "");
    assert_eq!(client.set_up(0, "RTP/AVP/TCP;unicast").status, 455, "it plays");
    assert_eq!(client.request("PAUSE", &format!("{url}/trackID=0"), "").status, 460);
    assert_eq!(client.request("PLAY", &format!("{url}/trackID=0"), "").status, 200);
    assert_eq!(client.request("TEARDOWN", &format!("{url}/trackID=0"), "").status, 200);
    assert_eq!(client.request("PLAY", &url, "").status, 454, "its session is over");
    client.session = None;
    let heavy = client.request("SET_PARAMETER", &url, "Content-Length: 4294967296\r\n");
    assert_eq!(heavy.status, 413);
    assert!(client.next().is_none(), "where the next request begins is not known");
    server.stop();
}

#[test]
fn transports_that_are_not_listed_are_461() {
    let server = open("transports = [\"tcp\"]");
    let mut client = Client::connect(&server.url("main"));
    assert_eq!(client.set_up(0, "RTP/AVP;unicast;client_port=5000-5001").status, 461);
    let response = client.set_up(0, "RTP/AVP;unicast;client_port=5000-5001,RTP/AVP/TCP;unicast;interleaved=4-5");
    assert_eq!((response.status, response.transport("interleaved")), (200, Some("4-5")));
    server.stop();
}

#[test]
fn channels_are_as_asked_and_a_taken_pair_gets_another() {
    let server = open("");
    let mut client = Client::connect(&server.url("main"));
    let first = client.set_up(0, "RTP/AVP/TCP;unicast;interleaved=6-7");
    assert_eq!(first.transport("interleaved"), Some("6-7"));
    let second = client.set_up(1, "RTP/AVP/TCP;unicast;interleaved=6-7");
    assert_eq!(second.status, 200);
    assert_ne!(second.transport("interleaved"), Some("6-7"));
    client.ok("PLAY", "");
    let channel: u8 = second.transport("interleaved").unwrap().split('-').next().unwrap().parse().unwrap();
    let mut wanted = vec![6, channel];
    while !wanted.is_empty() {
        let seen = client.frame().channel;
        assert!([6, 7, channel, channel + 1].contains(&seen), "channel {seen}");
        wanted.retain(|channel| *channel != seen);
    }
    server.stop();
}
