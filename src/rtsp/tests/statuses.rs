//! Every status, and the order in which refusals come.

use super::*;

const UDP: &str = "Transport: RTP/AVP;unicast;client_port=5000-5001\r\n";
const SESSION: &str = "Session: SESSION\r\n";
const UNKNOWN: &str = "Session: 00112233445566778899aabbccddeeff\r\n";

#[test]
fn each_request_on_a_fresh_connection() {
    for (expected, method, url, headers) in [
        (200, "OPTIONS", "*", ""),
        (200, "OPTIONS", "rtsp://h/nothing", ""),
        (200, "DESCRIBE", "rtsp://h/main", "Accept: application/sdp\r\n"),
        (200, "DESCRIBE", "rtsp://h/alias/", ""),
        (200, "DESCRIBE", "main", ""),
        (200, "GET_PARAMETER", "*", ""),
        (200, "GET_PARAMETER", "rtsp://h/", ""),
        (200, "SET_PARAMETER", "rtsp://h/main", ""),
        (200, "SETUP", "rtsp://h/mute", UDP),
        (200, "SETUP", "rtsp://h/main?audio=0", UDP),
        (200, "SETUP", "rtsp://h/main?audio=0/trackID=0", UDP),
        (200, "SETUP", "rtsp://h/main/trackID=1?video=0", UDP),
        (200, "SETUP", "rtsp://h/radio/trackID=0", UDP),
        (302, "DESCRIBE", "rtsp://h/relayed", ""),
        (302, "SETUP", "rtsp://h/relayed", UDP),
        (400, "DESCRIBE", "http://h/main", ""),
        (400, "DESCRIBE", "rtsp://h/main", "no colon\r\n"),
        (400, "DESCRIBE", "rtsp://h/main", "bad name: x\r\n"),
        (400, "DESCRIBE", "rtsp://h/main", "X: \u{1}\r\n"),
        (400, "DE(SCRIBE", "rtsp://h/main", ""),
        (403, "DESCRIBE", "rtsp://h/secret", ""),
        (404, "DESCRIBE", "rtsp://h/nothing", ""),
        (404, "DESCRIBE", "rtsp://h", ""),
        (404, "DESCRIBE", "*", ""),
        (404, "DESCRIBE", "rtsp://h/radio?audio=0", ""),
        (404, "DESCRIBE", "rtsp://h/../../etc/passwd", ""),
        (404, "SETUP", "rtsp://h/main/trackID=2", UDP),
        (404, "SETUP", "rtsp://h/main?audio=0/trackID=1", UDP),
        (404, "SETUP", "*", UDP),
        (404, "PLAY", "rtsp://h/nothing", UNKNOWN),
        (405, "ANNOUNCE", "rtsp://h/main", ""),
        (405, "RECORD", "rtsp://h/main", ""),
        (405, "REDIRECT", "rtsp://h/main", ""),
        (406, "DESCRIBE", "rtsp://h/main", "Accept: application/rtsl, text/html\r\n"),
        (453, "DESCRIBE", "rtsp://h/full", ""),
        (453, "SETUP", "rtsp://h/full", UDP),
        (454, "PLAY", "rtsp://h/main", UNKNOWN),
        (454, "PLAY", "rtsp://h/main", ""),
        (454, "PAUSE", "rtsp://h/main", UNKNOWN),
        (454, "TEARDOWN", "rtsp://h/main", "Session: ../../x\r\n"),
        (454, "GET_PARAMETER", "rtsp://h/main", UNKNOWN),
        (454, "SETUP", "rtsp://h/main/trackID=0", &format!("{UDP}{UNKNOWN}")),
        (454, "SETUP", "rtsp://h/main", &format!("{UDP}{UNKNOWN}")),
        (459, "SETUP", "rtsp://h/main", UDP),
        (459, "SETUP", "rtsp://h/main/", "Transport: RTP/SAVP;unicast;client_port=1-2\r\n"),
        (461, "SETUP", "rtsp://h/main/trackID=0", ""),
        (461, "SETUP", "rtsp://h/mute", "Transport: RTP/AVP;multicast;port=5000-5001\r\n"),
        (461, "SETUP", "rtsp://h/mute", "Transport: RTP/SAVP;unicast;client_port=1-2\r\n"),
        (463, "SETUP", "rtsp://h/keyed", UDP),
        (501, "PLAY_NOTIFY", "rtsp://h/main", ""),
        (501, "describe", "rtsp://h/main", ""),
        (503, "DESCRIBE", "rtsp://h/starting", ""),
        (551, "DESCRIBE", "rtsp://h/main", "Require: www.onvif.org/ver20/backchannel\r\n"),
        (551, "OPTIONS", "*", "Proxy-Require: a, b\r\n"),
    ] {
        let mut server = Server::new();
        let mut client = server.connect();
        let answer = server.request(&mut client, method, url, headers);
        assert_eq!(status(&answer), expected, "{method} {url} {headers:?}: {answer}");
        assert_eq!(header(&answer, "CSeq"), Some("1"), "{answer}");
        assert_eq!(client.events, Vec::<String>::new(), "{method} {url} leaves the connection open");
        // The connection goes on.
        assert_eq!(server.status(&mut client, "OPTIONS", "*", ""), 200);
    }
}

#[test]
fn headers_that_belong_to_a_status() {
    let mut server = Server::new();
    let mut client = server.connect();
    let public = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER";
    let answer = server.bare_request(&mut client, "OPTIONS", "*", "Timestamp: 12.5\r\n");
    assert_eq!((header(&answer, "Public"), header(&answer, "Timestamp")), (Some(public), Some("12.5")));
    assert_eq!(header(&answer, "Server"), Some("Eyrie/0.1.0"));
    let answer = server.request(&mut client, "ANNOUNCE", "rtsp://h/main", "");
    assert_eq!(header(&answer, "Allow"), Some(public));
    let answer = server.request(&mut client, "OPTIONS", "*", "Require: onvif-replay\r\n");
    assert_eq!(header(&answer, "Unsupported"), Some("onvif-replay"));
    for method in ["DESCRIBE", "SETUP"] {
        let answer = server.request(&mut client, method, "rtsp://h/relayed", UDP);
        assert_eq!(header(&answer, "Location"), Some(RELAY));
    }
    let answer = server.request(&mut client, "DESCRIBE", "rtsp://h/main", "");
    assert_eq!(header(&answer, "Cache-Control"), Some("no-cache"));
    let answer = server.request(&mut client, "SETUP", "rtsp://h/mute", UDP);
    assert_eq!(header(&answer, "Cache-Control"), Some("no-cache"));
    let answer = server.request(&mut client, "DESCRIBE", "rtsp://h/starting", "");
    assert_eq!(header(&answer, "Retry-After"), Some("1"));
    let answer = server.bare_request(&mut client, "DESCRIBE", "rtsp://h/main", "");
    assert_eq!((status(&answer), header(&answer, "WWW-Authenticate")), (401, Some(CHALLENGE)));
    assert_eq!(header(&answer, "Date"), None);
    let wall = crate::time::WallTime::from_nanos(784_111_777_000_000_000);
    server.sessions.set_clock(crate::time::WallClock::new(server.now, wall));
    let answer = server.bare_request(&mut client, "OPTIONS", "*", "");
    assert_eq!(header(&answer, "Date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
}

#[test]
fn who_is_not_logged_in_sees_only_401() {
    for path in ["main", "nothing", "secret", "starting", "full", "relayed", "", "main/trackID=9", "../x"] {
        for method in ["DESCRIBE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER"] {
            let mut server = Server::new();
            let mut client = server.connect();
            let answer = server.bare_request(&mut client, method, &format!("rtsp://h/{path}"), UNKNOWN);
            assert_eq!(status(&answer), 401, "{method} {path}");
            assert_eq!(client.events, Vec::<String>::new());
        }
    }
}

#[test]
fn of_several_faults_the_first_of_the_order_is_named() {
    let long = format!("rtsp://h/{}", "x".repeat(3000));
    // Each line has its own fault and all that follow.
    for (expected, method, url, version, headers) in [
        (400, "PLAY_NOTIFY", long.as_str(), "2.0", "CSeq: x\r\nRequire: a\r\n"),
        (414, "PLAY_NOTIFY", long.as_str(), "2.0", "CSeq: 1\r\nRequire: a\r\n"),
        (505, "PLAY_NOTIFY", "rtsp://h/nothing", "2.0", "CSeq: 1\r\nRequire: a\r\n"),
        (501, "PLAY_NOTIFY", "rtsp://h/nothing", "1.0", "CSeq: 1\r\nRequire: a\r\n"),
        (405, "RECORD", "rtsp://h/nothing", "1.0", "CSeq: 1\r\nRequire: a\r\n"),
        (551, "SETUP", "rtsp://h/nothing", "1.0", "CSeq: 1\r\nRequire: a\r\n"),
        (401, "SETUP", "rtsp://h/nothing", "1.0", "CSeq: 1\r\nSession: x\r\n"),
    ] {
        let mut server = Server::new();
        let mut client = server.connect();
        let text = format!("{method} {url} RTSP/{version}\r\n{headers}\r\n");
        let answer = server.exchange(&mut client, text.as_bytes());
        assert_eq!(status(&answer), expected, "{text}");
    }
}

#[test]
fn a_session_refuses_what_its_state_does_not_allow() {
    let mut server = Server::new();
    let mut client = server.connect();
    server.setup_main(&mut client, false);
    let client = &mut client;
    let again = format!("{UDP}{SESSION}");
    for (expected, method, url, headers) in [
        (455, "PAUSE", "rtsp://h/main", SESSION),
        (459, "SETUP", "rtsp://h/mute/trackID=0", again.as_str()),
        (459, "SETUP", "rtsp://h/main", again.as_str()),
        (454, "PLAY", "rtsp://h/mute", SESSION),
        (457, "PLAY", "rtsp://h/main", "Session: SESSION\r\nRange: npt=10-5\r\n"),
        // Set up anew while ready.
        (200, "SETUP", "rtsp://h/main/trackID=1", again.as_str()),
        (200, "PLAY", "rtsp://h/main", SESSION),
        (455, "SETUP", "rtsp://h/main/trackID=1", again.as_str()),
        (455, "SETUP", "rtsp://h/main", again.as_str()),
        (460, "PAUSE", "rtsp://h/main/trackID=0", SESSION),
        (200, "PLAY", "rtsp://h/main/trackID=1", SESSION),
        (200, "PAUSE", "rtsp://h/main/", SESSION),
        (455, "PAUSE", "rtsp://h/main/", SESSION),
        (200, "PLAY", "rtsp://h/main", "Session: SESSION;timeout=60\r\nRange: npt=5-8\r\n"),
        (451, "SET_PARAMETER", "rtsp://h/main", "Session: SESSION\r\nContent-Length: 4\r\n\r\na: b"),
        (200, "TEARDOWN", "rtsp://h/main/trackID=0", SESSION),
        (454, "PLAY", "rtsp://h/main", SESSION),
        (454, "TEARDOWN", "rtsp://h/main", SESSION),
    ] {
        // A body takes the place of the line end that closes the headers.
        let answer = server.request(client, method, url, headers);
        assert_eq!(status(&answer), expected, "{method} {url} {headers:?}");
    }
    assert!(server.sessions.is_empty());
}

#[test]
fn what_a_state_does_not_allow_is_told_with_what_it_does() {
    let mut server = Server::new();
    let mut client = server.connect();
    server.setup_main(&mut client, false);
    let answer = server.request(&mut client, "PAUSE", "rtsp://h/main", SESSION);
    let allowed = header(&answer, "Allow").unwrap();
    assert!(allowed.contains("SETUP") && allowed.contains("PLAY") && !allowed.contains("PAUSE"), "{answer}");
    server.status(&mut client, "PLAY", "rtsp://h/main", SESSION);
    let answer = server.request(&mut client, "SETUP", "rtsp://h/main/trackID=1", &format!("{UDP}{SESSION}"));
    let allowed = header(&answer, "Allow").unwrap();
    assert!(!allowed.contains("SETUP") && allowed.contains("PAUSE"), "{answer}");
}

#[test]
fn the_only_track_of_a_session_may_be_paused_by_its_own_url() {
    let mut server = Server::new();
    let mut client = server.connect();
    assert_eq!(server.status(&mut client, "SETUP", "rtsp://h/main/trackID=0", UDP), 200);
    assert_eq!(server.status(&mut client, "PLAY", "rtsp://h/main/trackID=0", SESSION), 200);
    assert_eq!(server.status(&mut client, "PAUSE", "rtsp://h/main/trackID=0", SESSION), 200);
}

#[test]
fn play_says_which_time_now_is_in_the_clients_own_measure() {
    let clock = WallTime::from_nanos(1_769_903_999_987_654_321);
    for (range, known, unknown) in [
        ("", "npt=now-", "npt=now-"),
        ("Range: npt=0.000-\r\n", "npt=now-", "npt=now-"),
        ("Range: npt=now-\r\n", "npt=now-", "npt=now-"),
        ("Range: npt=5-8\r\n", "npt=now-", "npt=now-"),
        ("Range: smpte=0:10:20-\r\n", "npt=now-", "npt=now-"),
        ("Range: of=nonsense\r\n", "npt=now-", "npt=now-"),
        ("Range: clock=20200101T000000Z-\r\n", "clock=20260131T235959.987Z-", "npt=now-"),
        ("Range: Clock=20200101T000000Z-20200102T000000Z\r\n", "clock=20260131T235959.987Z-", "npt=now-"),
    ] {
        for (clock, expected) in [(Some(clock), known), (None, unknown)] {
            let mut server = Server::new();
            server.clock = clock;
            let mut client = server.connect();
            server.setup_main(&mut client, false);
            let answer = server.request(&mut client, "PLAY", "rtsp://h/main/", &format!("{SESSION}{range}"));
            assert_eq!((status(&answer), header(&answer, "Range")), (200, Some(expected)), "{range}");
        }
    }
}

#[test]
fn who_asks_by_a_relative_url_learns_the_whole_one() {
    for (secure, expected) in [(false, "rtsp://192.0.2.1:8554/main/"), (true, "rtsps://192.0.2.1:8554/main/")] {
        let mut server = Server::new();
        server.secure = secure;
        let mut client = server.connect();
        for url in ["main", "/main", "/main/"] {
            let answer = server.request(&mut client, "DESCRIBE", url, "");
            assert_eq!(header(&answer, "Content-Base"), Some(expected), "{url}");
        }
    }
}

/// What says how much the client can take is for servers that would choose by it (RFC 2326 §12.6, §12.7).
#[test]
fn bandwidth_and_blocksize_change_nothing() {
    let mut server = Server::new();
    let mut client = server.connect();
    let plain = server.request(&mut client, "DESCRIBE", "rtsp://h/main", "");
    let hinted = server.request(&mut client, "DESCRIBE", "rtsp://h/main", "Bandwidth: 1\r\nBlocksize: 1\r\n");
    assert_eq!(plain.replace("CSeq: 1\r\n", "CSeq: 2\r\n"), hinted);
    let setup = format!("{UDP}Bandwidth: x\r\nBlocksize: -5\r\n");
    assert_eq!(server.status(&mut client, "SETUP", "rtsp://h/mute", &setup), 200);
}

#[test]
fn the_first_transport_on_offer_is_taken() {
    let list =
        "Transport: RTP/SAVP;unicast;client_port=1-2,RTP/AVP;multicast,RTP/AVP/TCP;unicast,RTP/AVP;client_port=6-7\r\n";
    for (udp, tcp, expected) in [
        (true, true, Some("RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=E0000000")),
        (true, false, Some("RTP/AVP;unicast;client_port=6-7;server_port=8000-8001;ssrc=E0000000")),
        (false, false, None),
    ] {
        let mut server = Server::new();
        server.transports = Transports { udp, tcp, multicast: false };
        let mut client = server.connect();
        let answer = server.request(&mut client, "SETUP", "rtsp://h/mute", list);
        assert_eq!(status(&answer), if expected.is_some() { 200 } else { 461 });
        assert_eq!(header(&answer, "Transport"), expected);
    }
}

#[test]
fn a_taken_or_missing_pair_of_channels_becomes_a_free_one() {
    let mut server = Server::new();
    let mut client = server.connect();
    let mut setup = |track: u8, interleaved: &str, session: &str| {
        let headers = format!("Transport: RTP/AVP/TCP;unicast{interleaved}\r\n{session}");
        let answer = server.request(&mut client, "SETUP", &format!("rtsp://h/main/trackID={track}"), &headers);
        let transport = header(&answer, "Transport").unwrap().to_owned();
        transport.split(';').nth(2).unwrap().to_owned()
    };
    assert_eq!(setup(0, ";interleaved=0-1", ""), "interleaved=0-1");
    assert_eq!(setup(1, ";interleaved=1-2", SESSION), "interleaved=2-3");
    // Its own pair is free for the track itself.
    assert_eq!(setup(1, ";interleaved=2-3", SESSION), "interleaved=2-3");
    // A second session on the same connection.
    assert_eq!(setup(0, "", ""), "interleaved=4-5");
    assert_eq!(setup(1, ";interleaved=9-8", SESSION), "interleaved=9-8");
}

#[test]
fn where_framing_is_lost_the_connection_closes() {
    let headers = "X: y\r\n".repeat(4000);
    for (expected, bytes) in [
        (400, format!("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n{headers}")),
        (400, "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: -1\r\n\r\n".into()),
        (400, "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".into()),
        (413, "SET_PARAMETER * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 4294967296\r\n\r\n".into()),
        (413, "SET_PARAMETER * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 65536\r\n\r\n".into()),
        (400, "SET_PARAMETER * RTSP/1.0\r\nContent-Length: 65536\r\n\r\n".into()),
        (414, format!("OPTIONS {}", "x".repeat(17_000))),
        (400, "\u{16}\u{3}\u{1}".into()),
    ] {
        let mut server = Server::new();
        let mut client = server.connect();
        let answer = server.exchange(&mut client, bytes.as_bytes());
        assert_eq!(status(&answer), expected, "{}", &bytes[..bytes.len().min(80)]);
        assert_eq!(client.events, ["close: not understood"]);
        assert_eq!(server.exchange(&mut client, b"OPTIONS * RTSP/1.0\r\nCSeq: 2\r\n\r\n"), "");
    }
}

#[test]
fn an_http_request_is_answered_in_http() {
    let mut server = Server::new();
    let mut client = server.connect();
    let answer = server.exchange(&mut client, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
    assert_eq!(client.events.len(), 1);
}

#[test]
fn a_client_may_ask_for_the_connection_to_close() {
    let mut server = Server::new();
    let mut client = server.connect();
    for kept in ["keep-alive", "Keep-Alive, Upgrade", "closely"] {
        let answer = server.request(&mut client, "OPTIONS", "*", &format!("Connection: {kept}\r\n"));
        assert_eq!((status(&answer), header(&answer, "Connection")), (200, None), "{kept}");
    }
    assert_eq!(client.events, Vec::<String>::new());
    for close in ["close", "Keep-Alive, Close"] {
        let mut client = server.connect();
        let answer = server.request(&mut client, "OPTIONS", "*", &format!("Connection: {close}\r\n"));
        assert_eq!((status(&answer), header(&answer, "Connection")), (200, Some("close")), "{close}");
        assert_eq!(client.events, ["close: as the client asked"]);
    }
}

#[test]
fn nothing_of_the_clients_text_becomes_a_line_of_its_own() {
    let mut server = Server::new();
    let mut client = server.connect();
    for text in [
        "OPTIONS * RTSP/1.0\r\nCSeq: 1\rX-Evil: 1\r\n\r\n",
        "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n X-Evil: 1\r\n\r\n",
        "DESCRIBE rtsp://h/main%0d%0aX-Evil:1 RTSP/1.0\r\nCSeq: 1\r\nAuthorization: \"nvr\"\r\n\r\n",
        "DESCRIBE rtsp://h/\rX-Evil:1 RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nRequire: a\rX-Evil: 1\r\n\r\n",
        "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nTimestamp: 1\r\n\tX-Evil: 1\r\n\r\n",
        "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nSession: a\0X-Evil: 1\r\n\r\n",
    ] {
        let answer = server.exchange(&mut client, text.as_bytes());
        assert!(status(&answer) != 0 && !answer.contains("X-Evil"), "{answer}");
    }
}
