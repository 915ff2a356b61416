//! Who may control a session, how long it lives, and what ends it.

use super::*;

const MAIN: &str = "rtsp://h/main";
const SESSION: &str = "Session: SESSION\r\n";

/// A client on a connection of its own that names another's session.
fn borrow(server: &mut Server, peer: &str, session: &str) -> Client {
    let mut client = server.connect_from(peer);
    client.session = session.to_owned();
    client
}

fn only(server: &Server) -> &Session {
    assert_eq!(server.sessions.len(), 1);
    server.sessions.iter().next().unwrap()
}

#[test]
fn a_session_knows_where_its_tracks_go() {
    let mut server = Server::new();
    let mut client = server.connect_from("[::ffff:192.0.2.7]:40000");
    server.play_main(&mut client, false);
    let session = only(&server);
    let peer = "192.0.2.7".parse().unwrap();
    assert_eq!(session.track(0).unwrap().transport, Transport::Udp { peer, client_rtp: 5000, client_rtcp: 5001 });
    assert_eq!(session.track(1).unwrap().transport, Transport::Udp { peer, client_rtp: 5002, client_rtcp: 5003 });
    assert_eq!((session.stream.as_ref(), session.user.as_deref()), ("main", Some("nvr")));
    assert_eq!(session.id.to_string(), client.session);
    assert_eq!(client.session.len(), 32);

    let mut server = Server::new();
    let mut client = server.connect();
    server.play_main(&mut client, true);
    let connection = client.connection.id();
    let expected = Transport::Interleaved { connection, rtp: 2, rtcp: 3 };
    assert_eq!(only(&server).track(1).unwrap().transport, expected);
}

#[test]
fn a_udp_session_obeys_its_own_address_and_user_alone() {
    let mut server = Server::new();
    let mut first = server.connect();
    server.play_main(&mut first, false);
    let id = first.session.clone();
    let mut stranger = borrow(&mut server, "192.0.2.8:40000", &id);
    assert_eq!(server.status(&mut stranger, "TEARDOWN", MAIN, SESSION), 454);
    let mut other_user = borrow(&mut server, "192.0.2.7:40001", &id);
    let other = "Authorization: Digest username=\"other\"\r\nSession: SESSION\r\n";
    assert_eq!(status(&server.bare_request(&mut other_user, "PAUSE", MAIN, other)), 454);
    assert_eq!(status(&server.bare_request(&mut other_user, "PAUSE", MAIN, SESSION)), 401);
    let mut same = borrow(&mut server, "192.0.2.7:40002", &id);
    assert_eq!(server.status(&mut same, "PAUSE", MAIN, SESSION), 200);
    assert_eq!(server.status(&mut same, "GET_PARAMETER", MAIN, SESSION), 200);
    assert_eq!(server.status(&mut same, "TEARDOWN", MAIN, SESSION), 200);
}

#[test]
fn an_interleaved_session_obeys_its_own_connection_alone() {
    let mut server = Server::new();
    let mut first = server.connect();
    server.play_main(&mut first, true);
    let id = first.session.clone();
    let mut second = borrow(&mut server, "192.0.2.7:40001", &id);
    for method in ["PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER"] {
        assert_eq!(server.status(&mut second, method, MAIN, SESSION), 454, "{method}");
    }
    let setup = "Transport: RTP/AVP/TCP;unicast\r\nSession: SESSION\r\n";
    assert_eq!(server.status(&mut second, "SETUP", "rtsp://h/main/trackID=0", setup), 454);
    assert_eq!(server.status(&mut first, "PAUSE", MAIN, SESSION), 200);
}

#[test]
fn an_interleaved_session_ends_with_its_connection() {
    let mut server = Server::new();
    let mut client = server.connect();
    server.play_main(&mut client, true);
    server.input(&mut client, Input::PeerClosed);
    assert_eq!(client.events, ["ended main", "close: closed by the peer"]);
    assert!(server.sessions.is_empty());
    assert_eq!(client.connection.poll_timeout(), None);
}

#[test]
fn a_udp_session_outlives_its_connection_and_moves_to_the_next() {
    let mut server = Server::new();
    let mut client = server.connect();
    server.play_main(&mut client, false);
    server.input(&mut client, Input::PeerClosed);
    assert_eq!(client.events, ["close: closed by the peer"]);
    assert_eq!(only(&server).connection, None);
    let id = client.session.clone();
    let mut next = borrow(&mut server, "192.0.2.7:40001", &id);
    assert_eq!(server.status(&mut next, "GET_PARAMETER", "*", SESSION), 200);
    assert_eq!(only(&server).connection, Some(next.connection.id()));
    // It belongs there now: requests without Session keep it alive.
    for _ in 0..4 {
        server.pass(40);
        assert_eq!(status(&server.bare_request(&mut next, "OPTIONS", "*", "")), 200);
        assert!(server.sessions.expired(server.now).is_empty());
    }
}

#[test]
fn a_silent_session_is_reaped_five_seconds_after_the_advertised_time() {
    let mut server = Server::new();
    let mut client = server.connect();
    assert_eq!(server.sessions.poll_timeout(), None);
    server.play_main(&mut client, false);
    let due = server.now + Duration::from_secs(65);
    assert_eq!(server.sessions.poll_timeout(), Some(due));
    server.pass(64);
    assert!(server.sessions.expired(server.now).is_empty());
    server.pass(1);
    let over = server.sessions.expired(server.now);
    assert_eq!(over.iter().map(|session| session.id.to_string()).collect::<Vec<_>>(), [client.session.clone()]);
    assert_eq!(server.sessions.poll_timeout(), None);
    assert_eq!(server.status(&mut client, "PLAY", MAIN, SESSION), 454);
}

#[test]
fn every_sign_of_life_counts() {
    type Sign = fn(&mut Server, &mut Client);
    let request: Sign = |server, client| drop(server.request(client, "GET_PARAMETER", "*", SESSION));
    let without_session: Sign = |server, client| drop(server.bare_request(client, "GET_PARAMETER", "rtsp://h/", ""));
    let options: Sign = |server, client| drop(server.bare_request(client, "OPTIONS", "*", ""));
    let stale: Sign = |server, client| {
        // Refused, but from the session's own connection: a stale nonce never ends a session.
        assert_eq!(status(&server.bare_request(client, "DESCRIBE", MAIN, "")), 401);
    };
    let report: Sign = |server, client| drop(server.exchange(client, &receiver_report(1)));
    let touch: Sign = |server, client| server.sessions.touch(client.session.parse().unwrap(), server.now);
    let response: Sign = |server, client| drop(server.exchange(client, b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"));
    for sign in [request, without_session, options, stale, report, touch, response] {
        let mut server = Server::new();
        let mut client = server.connect();
        server.play_main(&mut client, true);
        for _ in 0..5 {
            server.pass(50);
            sign(&mut server, &mut client);
            server.input(&mut client, Input::Timeout);
            assert!(server.sessions.expired(server.now).is_empty());
        }
        server.pass(66);
        assert_eq!(server.sessions.expired(server.now).len(), 1);
    }
}

#[test]
fn media_from_the_client_is_no_sign_of_life() {
    let mut server = Server::new();
    let mut client = server.connect();
    server.play_main(&mut client, true);
    server.pass(50);
    // The RTP channel, a stranger's channel, and no report at all.
    server.exchange(&mut client, &receiver_report(0));
    server.exchange(&mut client, &receiver_report(9));
    server.exchange(&mut client, b"$\x01\x00\x02hi");
    assert_eq!(client.connection.frames_dropped(), 2);
    assert_eq!(client.events, ["rtcp 1 track 0: 6869"]);
    server.pass(15);
    assert_eq!(server.sessions.expired(server.now).len(), 1);
}

#[test]
fn a_connection_is_idle_only_without_a_session() {
    let mut server = Server::new();
    let mut idle = server.connect();
    assert_eq!(idle.connection.poll_timeout(), Some(server.now + Duration::from_secs(60)));
    server.pass(59);
    server.input(&mut idle, Input::Timeout);
    assert_eq!(idle.events, Vec::<String>::new());
    server.pass(1);
    server.input(&mut idle, Input::Timeout);
    assert_eq!(idle.events, ["close: idle without a session"]);

    let mut owner = server.connect();
    server.play_main(&mut owner, false);
    for _ in 0..10 {
        server.pass(60);
        server.sessions.touch(owner.session.parse().unwrap(), server.now);
        server.input(&mut owner, Input::Timeout);
        assert!(owner.connection.poll_timeout().unwrap() > server.now);
    }
    assert_eq!(owner.events, Vec::<String>::new());
    assert!(server.sessions.remove(owner.session.parse().unwrap()).is_some());
    server.pass(60);
    server.input(&mut owner, Input::Timeout);
    assert_eq!(owner.events, ["close: idle without a session"]);
}

#[test]
fn a_request_must_be_finished_in_time() {
    let mut server = Server::new();
    let mut client = server.connect();
    server.exchange(&mut client, b"OPTIONS * RTSP/1.0\r\n");
    server.pass(9);
    // More bytes of the same request win no time.
    server.exchange(&mut client, b"CSeq: 1\r\n");
    server.pass(1);
    assert_eq!(client.connection.poll_timeout(), Some(server.now));
    server.input(&mut client, Input::Timeout);
    assert_eq!(status(&client.sent), 408);
    assert_eq!(client.events, ["close: a request took too long to arrive"]);
}

#[test]
fn a_session_that_ends_while_the_worker_is_asked_is_gone() {
    let mut server = Server::new();
    let mut client = server.connect();
    server.setup_main(&mut client, false);
    client.asked.clear();
    server.hold = true;
    server.request(&mut client, "PLAY", MAIN, SESSION);
    let (id, _) = client.asked.pop().unwrap();
    let user = Some("nvr".into());
    server.input(&mut client, Input::Answer(id, Answer::Granted { user, stream: Some(info("main", &[(0, true)])) }));
    let (id, ask) = client.asked.pop().unwrap();
    assert!(matches!(ask, Ask::Play { .. }));
    server.sessions.remove(client.session.parse().unwrap());
    server.input(&mut client, Input::Answer(id, Answer::Playing { starts: vec![], at: None }));
    assert_eq!(status(&client.sent), 454);
    // An answer that nobody waits for.
    server.input(&mut client, Input::Answer(id, Answer::Done));
    assert_eq!(client.events, Vec::<String>::new());
}

#[test]
fn a_connection_holds_a_bounded_number_of_sessions() {
    let mut server = Server::new();
    let mut client = server.connect();
    let setup = "Transport: RTP/AVP;unicast;client_port=5000-5001\r\n";
    for _ in 0..32 {
        assert_eq!(server.status(&mut client, "SETUP", "rtsp://h/mute", setup), 200);
    }
    assert_eq!(server.status(&mut client, "SETUP", "rtsp://h/mute", setup), 503);
    assert_eq!(server.sessions.len(), 32);
}

#[test]
fn with_anonymous_viewers_nobody_logs_in() {
    let mut server = Server::new();
    server.anonymous = true;
    let mut client = server.connect();
    assert_eq!(status(&server.bare_request(&mut client, "DESCRIBE", MAIN, "")), 200);
    let setup = "Transport: RTP/AVP;unicast;client_port=5000-5001\r\n";
    assert_eq!(status(&server.bare_request(&mut client, "SETUP", "rtsp://h/main/trackID=0", setup)), 200);
    assert_eq!(status(&server.bare_request(&mut client, "PLAY", MAIN, SESSION)), 200);
    assert_eq!(only(&server).user, None);
}
