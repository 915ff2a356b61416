//! Exchanges as real clients send them. Each test is named for the client that taught it.

use super::*;

/// Sends one request as it was captured; `LOGIN` and `SESSION` stand for what the client had learnt. Line ends are
/// made CRLF.
pub(super) fn send(server: &mut Server, client: &mut Client, request: &str) -> String {
    let request = request.replace("LOGIN\n", LOGIN).replace("SESSION", &client.session).replace("\r\n", "\n");
    let answer = server.exchange(client, (request.replace('\n', "\r\n") + "\r\n").as_bytes());
    if request.starts_with("SETUP")
        && let Some(session) = header(&answer, "Session")
    {
        client.session = session.split(';').next().unwrap().to_owned();
        assert_eq!(session, format!("{};timeout=60", client.session));
    }
    answer
}

pub(super) fn transport(answer: &str) -> &str {
    header(answer, "Transport").unwrap_or_else(|| panic!("{answer}"))
}

fn only_ask(client: &Client, wanted: fn(&Ask) -> bool) -> usize {
    client.asked.iter().filter(|(_, ask)| wanted(ask)).count()
}

#[test]
fn ffmpeg_over_tcp() {
    let (mut server, base) = (Server::new(), "rtsp://192.0.2.1:8554/main");
    let mut client = server.connect();
    let mut send = |text: &str| send(&mut server, &mut client, text);
    let answer = send(&format!("OPTIONS {base} RTSP/1.0\nCSeq: 1\nUser-Agent: Lavf59.27.100\n"));
    assert!(header(&answer, "Public").unwrap().contains("GET_PARAMETER"));
    let describe = format!("DESCRIBE {base} RTSP/1.0\nAccept: application/sdp\n");
    let answer = send(&format!("{describe}CSeq: 2\nUser-Agent: Lavf59.27.100\n"));
    assert_eq!((status(&answer), header(&answer, "WWW-Authenticate")), (401, Some(CHALLENGE)));
    let answer = send(&format!("{describe}CSeq: 3\nLOGIN\n").replace("\n\n", "\n"));
    assert_eq!(header(&answer, "Content-Base"), Some("rtsp://192.0.2.1:8554/main/"));
    assert_eq!(header(&answer, "Content-Type"), Some("application/sdp"));
    assert!(answer.contains("\r\na=control:trackID=0\r\n") && answer.contains("\r\na=control:trackID=1\r\n"));
    let answer = send(
        &format!("SETUP {base}/trackID=0 RTSP/1.0\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\nCSeq: 4\nLOGIN\n")
            .replace("\n\n", "\n"),
    );
    assert_eq!(transport(&answer), "RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=E0000000");
    let answer = send(
        "SETUP rtsp://192.0.2.1:8554/main/trackID=1 RTSP/1.0\nTransport: RTP/AVP/TCP;unicast;interleaved=2-3\n\
         CSeq: 5\nSession: SESSION\nLOGIN\n",
    );
    assert_eq!(transport(&answer), "RTP/AVP/TCP;unicast;interleaved=2-3;ssrc=E0000001");
    let answer =
        send("PLAY rtsp://192.0.2.1:8554/main/ RTSP/1.0\nRange: npt=0.000-\nCSeq: 6\nSession: SESSION\nLOGIN\n");
    assert_eq!(status(&answer), 200);
    let info = format!("url={base}/trackID=0;seq=7;rtptime=70,url={base}/trackID=1;seq=9;rtptime=90");
    assert_eq!(header(&answer, "RTP-Info"), Some(info.as_str()));
    assert_eq!(header(&answer, "Range"), Some("npt=now-"));
    let answer = send("GET_PARAMETER rtsp://192.0.2.1:8554/main/ RTSP/1.0\nCSeq: 7\nSession: SESSION\nLOGIN\n");
    assert_eq!(status(&answer), 200);
    assert_eq!(status(&send("TEARDOWN rtsp://192.0.2.1:8554/main/ RTSP/1.0\nCSeq: 8\nSession: SESSION\nLOGIN\n")), 200);
    assert!(server.sessions.is_empty());
    assert_eq!(only_ask(&client, |ask| matches!(ask, Ask::Teardown { .. })), 1);
}

#[test]
fn ffmpeg_over_udp() {
    let (mut server, base) = (Server::new(), "rtsp://192.0.2.1:8554/main");
    let mut client = server.connect();
    let mut step = |text: &str| send(&mut server, &mut client, text);
    let agent = "User-Agent: Lavf59.27.100\nLOGIN\n";
    for (track, cseq) in [(0, 4), (1, 5)] {
        let (port, session) = (21_000 + 2 * track, if track == 0 { "" } else { "Session: SESSION\n" });
        let answer = step(
            &format!(
                "SETUP {base}/trackID={track} RTSP/1.0\n\
                 Transport: RTP/AVP/UDP;unicast;client_port={port}-{}\nCSeq: {cseq}\n{session}{agent}",
                port + 1
            )
            .replace("\n\n", "\n"),
        );
        let expected =
            format!("RTP/AVP/UDP;unicast;client_port={port}-{};server_port=8000-8001;ssrc=E000000{track}", port + 1);
        assert_eq!(transport(&answer), expected);
    }
    let play = format!("PLAY {base}/ RTSP/1.0\nRange: npt=0.000-\nCSeq: 6\nSession: SESSION\n{agent}");
    assert_eq!(status(&step(&play.replace("\n\n", "\n"))), 200);
    // Every half of the time-out, and nothing but these.
    for cseq in 7..12 {
        server.pass(30);
        let keep_alive = format!("GET_PARAMETER {base}/ RTSP/1.0\nCSeq: {cseq}\nSession: SESSION\n{agent}");
        assert_eq!(status(&send(&mut server, &mut client, &keep_alive.replace("\n\n", "\n"))), 200);
        assert!(server.sessions.expired(server.now).is_empty());
    }
}

#[test]
fn gstreamer_over_tcp_says_nothing_but_its_reports() {
    let mut server = Server::new();
    let mut client = server.connect();
    for (track, cseq) in [(0, 3), (1, 4)] {
        let session = if track == 0 { "" } else { "Session: SESSION\n" };
        let answer = send(
            &mut server,
            &mut client,
            &format!(
                "SETUP rtsp://h:8554/main/trackID={track} RTSP/1.0\nCSeq: {cseq}\nUser-Agent: GStreamer/1.22.0\n\
                 {session}LOGIN\nTransport: RTP/AVP/TCP;unicast;interleaved={}-{}\n",
                2 * track,
                2 * track + 1
            ),
        );
        assert_eq!(status(&answer), 200);
    }
    let play = "PLAY rtsp://h:8554/main/ RTSP/1.0\nCSeq: 5\nRange: npt=now-\nSession: SESSION\nLOGIN\n";
    assert_eq!(status(&send(&mut server, &mut client, play)), 200);
    for second in 0..40 {
        server.pass(5);
        server.exchange(&mut client, &receiver_report(1 + 2 * (second % 2)));
        server.input(&mut client, Input::Timeout);
        assert!(server.sessions.expired(server.now).is_empty());
    }
    // It says goodbye in two steps.
    let pause = "PAUSE rtsp://h:8554/main/ RTSP/1.0\nCSeq: 6\nSession: SESSION\nLOGIN\n";
    assert_eq!(status(&send(&mut server, &mut client, pause)), 200);
    assert_eq!(status(&send(&mut server, &mut client, &pause.replace("PAUSE", "TEARDOWN").replace("6", "7"))), 200);
    assert!(server.sessions.is_empty());
}

#[test]
fn gstreamer_over_udp() {
    let mut server = Server::new();
    let mut client = server.connect();
    let mut send = |text: &str| send(&mut server, &mut client, text);
    let answer = send(
        "OPTIONS rtsp://h:8554/main RTSP/1.0\nCSeq: 1\nUser-Agent: GStreamer/1.22.0\n\
         ClientChallenge: 9e26d33f2984236010ef6253fb1887f7\nUser-Agent: GStreamer/1.22.0\n",
    );
    assert_eq!(status(&answer), 200);
    let answer = send("DESCRIBE rtsp://h:8554/main RTSP/1.0\nCSeq: 2\nAccept: application/sdp\nLOGIN\n");
    assert!(answer.contains("\r\na=range:npt=now-\r\n"));
    let answer = send(
        "SETUP rtsp://h:8554/main/trackID=0 RTSP/1.0\nCSeq: 3\nLOGIN\n\
         Transport: RTP/AVP;unicast;client_port=49524-49525,RTP/AVP/TCP;unicast;interleaved=0-1\n",
    );
    let expected = "RTP/AVP;unicast;client_port=49524-49525;server_port=8000-8001;ssrc=E0000000";
    assert_eq!(transport(&answer), expected);
    assert_eq!(
        status(&send("PLAY rtsp://h:8554/main/ RTSP/1.0\nCSeq: 4\nRange: npt=now-\nSession: SESSION\nLOGIN\n")),
        200
    );
    assert_eq!(status(&send("PAUSE rtsp://h:8554/main/ RTSP/1.0\nCSeq: 5\nSession: SESSION\nLOGIN\n")), 200);
    assert_eq!(status(&send("TEARDOWN rtsp://h:8554/main/ RTSP/1.0\nCSeq: 6\nSession: SESSION\nLOGIN\n")), 200);
}

#[test]
fn gstreamer_loses_path_and_query_in_the_url_of_a_track() {
    let mut server = Server::new();
    let mut client = server.connect();
    let answer = server.request(&mut client, "DESCRIBE", "rtsp://h/main?audio=0", "");
    assert_eq!(header(&answer, "Content-Base"), Some("rtsp://h/main?audio=0/"));
    let setup = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
    assert_eq!(server.status(&mut client, "SETUP", "rtsp://h/trackID=0", setup), 200);
    let play = server.request(&mut client, "PLAY", "rtsp://h/main?audio=0/", "Session: SESSION\r\n");
    // It compares with the URL that it asked for.
    assert_eq!(header(&play, "RTP-Info"), Some("url=rtsp://h/trackID=0;seq=7;rtptime=70"));
    // Without what was described before, that URL names no stream.
    let mut other = server.connect();
    assert_eq!(server.status(&mut other, "SETUP", "rtsp://h/trackID=0", setup), 404);
    server.request(&mut other, "DESCRIBE", "rtsp://h/main", "");
    assert_eq!(server.status(&mut other, "SETUP", "rtsp://h/trackID=0", setup), 404);
}

#[test]
fn vlc_and_openrtsp_sign_all_with_the_content_base() {
    let mut server = Server::new();
    let mut client = server.connect();
    let mut send = |text: &str| send(&mut server, &mut client, text);
    let login = "Authorization: Digest username=\"nvr\", realm=\"Eyrie\", uri=\"rtsp://h:8554/main/\", response=\"0\"";
    let agent = "User-Agent: LibVLC/3.0.24 (LIVE555 Streaming Media v2016.11.28)";
    let answer = send(&format!(
        "SETUP rtsp://h:8554/main/trackID=0 RTSP/1.0\nCSeq: 5\n{login}\n{agent}\n\
         Transport: RTP/AVP;unicast;client_port=60784-60785\n"
    ));
    assert_eq!(status(&answer), 200);
    let answer = send(&format!(
        "PLAY rtsp://h:8554/main/ RTSP/1.0\nCSeq: 6\n{login}\n{agent}\nSession: SESSION\nRange: npt=0.000-8.000\n"
    ));
    assert_eq!(status(&answer), 200);
    let answer =
        send(&format!("GET_PARAMETER rtsp://h:8554/main/ RTSP/1.0\nCSeq: 7\n{login}\n{agent}\nSession: SESSION\n"));
    assert_eq!(status(&answer), 200);
    for (_, ask) in &client.asked {
        if let Ask::Authorize { url, .. } = ask {
            assert!(same_target("rtsp://h:8554/main/", url), "{url}");
        }
    }
    // openRTSP without -K says nothing more: its receiver reports keep it alive.
    server.pass(60);
    server.sessions.touch(client.session.parse().unwrap(), server.now);
    server.pass(60);
    assert!(server.sessions.expired(server.now).is_empty());
}

#[test]
fn retina_begins_with_describe_and_keeps_alive_with_options() {
    let mut server = Server::new();
    let mut client = server.connect();
    let mut step = |text: &str| send(&mut server, &mut client, text);
    let describe = "DESCRIBE rtsp://h:8554/main RTSP/1.0\nAccept: application/sdp\nUser-Agent: retina\n";
    assert_eq!(status(&step(&format!("{describe}CSeq: 1\n"))), 401);
    assert_eq!(status(&step(&format!("{describe}CSeq: 2\nLOGIN\n").replace("\n\n", "\n"))), 200);
    let answer = step(
        "SETUP rtsp://h:8554/main/trackID=0 RTSP/1.0\nCSeq: 3\nLOGIN\nTransport: RTP/AVP/UDP;unicast;client_port=5000-5001\n",
    );
    assert!(transport(&answer).starts_with("RTP/AVP/UDP;unicast;client_port=5000-5001;server_port=8000-8001"));
    let play = "PLAY rtsp://h:8554/main/ RTSP/1.0\nCSeq: 4\nSession: SESSION\nLOGIN\nRange: npt=0.000-\n";
    assert_eq!(status(&step(play)), 200);
    for cseq in 5..9 {
        server.pass(30);
        let keep_alive = format!("OPTIONS rtsp://h:8554/main/ RTSP/1.0\nCSeq: {cseq}\nSession: SESSION\nLOGIN\n");
        assert_eq!(status(&send(&mut server, &mut client, &keep_alive.replace("\n\n", "\n"))), 200);
        assert!(server.sessions.expired(server.now).is_empty());
    }
    server.input(&mut client, Input::PeerClosed);
    server.pass(65);
    assert_eq!(server.sessions.expired(server.now).len(), 1);
}

#[test]
fn aiortsp_asks_for_a_scale() {
    let mut server = Server::new();
    let mut client = server.connect();
    let mut send = |text: &str| send(&mut server, &mut client, text);
    let answer = send(
        "SETUP rtsp://h:8554/main/trackID=0 RTSP/1.0\nCSeq: 3\nLOGIN\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\n",
    );
    assert_eq!(status(&answer), 200);
    let answer =
        send("PLAY rtsp://h:8554/main/ RTSP/1.0\nCSeq: 4\nRange: npt=now-\nScale: 1\nSession: SESSION\nLOGIN\n");
    assert_eq!((status(&answer), header(&answer, "Scale")), (200, Some("1.0")));
}

#[test]
fn yellowstone_writes_no_unicast_and_plays_a_track() {
    let mut server = Server::new();
    let mut client = server.connect();
    let mut send = |text: &str| send(&mut server, &mut client, text);
    // Its repeated DESCRIBE has no Accept and carries the headers of the response.
    let answer = send(&format!(
        "DESCRIBE rtsp://h:8554/main RTSP/1.0\nCSeq: 2\nLOGIN\nServer: Eyrie/0.1.0\nWWW-Authenticate: {CHALLENGE}\n"
    ));
    assert_eq!(status(&answer), 200);
    let answer =
        send("SETUP rtsp://h:8554/main/trackID=0 RTSP/1.0\nCSeq: 3\nLOGIN\nTransport: RTP/AVP/TCP;interleaved=0-1\n");
    assert_eq!(transport(&answer), "RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=E0000000");
    let answer = send(
        "SETUP rtsp://h:8554/main/trackID=1 RTSP/1.0\nCSeq: 4\nLOGIN\nTransport: RTP/AVP/TCP;interleaved=2-3\nSession: SESSION\n",
    );
    assert_eq!(status(&answer), 200);
    assert_eq!(status(&send("PLAY rtsp://h:8554/main/trackID=0 RTSP/1.0\nCSeq: 5\nLOGIN\nSession: SESSION\n")), 200);
}

#[test]
fn hydra_guesses_on_an_empty_path_and_leaves_a_stray_line_end() {
    let mut server = Server::new();
    let mut client = server.connect();
    let answer = server.exchange(&mut client, b"DESCRIBE rtsp://192.0.2.1:8554 RTSP/1.0\r\nCSeq: 2\r\n\r\n");
    assert_eq!(status(&answer), 401);
    let guess = "DESCRIBE rtsp://192.0.2.1:8554 RTSP/1.0\r\nCSeq: 2\r\nAuthorization: Basic eDp5\r\n\r\n\r\n";
    for _ in 0..3 {
        assert_eq!(status(&server.exchange(&mut client, guess.as_bytes())), 401);
    }
    assert_eq!(client.events, Vec::<String>::new());
}

#[test]
fn a_client_that_sends_its_login_only_once() {
    let mut server = Server::new();
    let mut client = server.connect();
    server.setup_main(&mut client, true);
    let session = "Session: SESSION\r\n";
    for method in ["PLAY", "GET_PARAMETER", "PAUSE", "SET_PARAMETER", "PLAY", "TEARDOWN"] {
        let answer = server.bare_request(&mut client, method, "rtsp://h/main/", session);
        assert_eq!(status(&answer), 200, "{method}");
    }
    // The session is gone, and with it what it allowed.
    for method in ["PLAY", "GET_PARAMETER"] {
        let answer = server.bare_request(&mut client, method, "rtsp://h/main/", session);
        assert_eq!(status(&answer), 401, "{method}");
    }
}

#[test]
fn left_out_tracks_are_not_described_and_nothing_is_renumbered() {
    let mut server = Server::new();
    let mut client = server.connect();
    let answer = server.request(&mut client, "DESCRIBE", "rtsp://u:p@h/main?video=0&x=1", "");
    assert!(!answer.contains("m=video") && answer.contains("\r\na=control:trackID=1\r\n"), "{answer}");
    assert_eq!(header(&answer, "Content-Base"), Some("rtsp://h/main?video=0&x=1/"));
    let setup = "Transport: RTP/AVP;unicast;client_port=5000-5001\r\n";
    let answer = server.request(&mut client, "SETUP", "rtsp://h/main?video=0&x=1/trackID=1", setup);
    assert!(transport(&answer).ends_with("ssrc=E0000001"));
    let answer = server.request(&mut client, "PLAY", "rtsp://h/main?video=0&x=1/", "Session: SESSION\r\n");
    assert_eq!(header(&answer, "RTP-Info"), Some("url=rtsp://h/main?video=0&x=1/trackID=1;seq=9;rtptime=90"));
}
