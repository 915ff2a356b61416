//! The server's own request: REDIRECT (RFC 2326 §10.10), and what clients make of it.

use super::*;

fn redirect(server: &mut Server, client: &mut Client) -> String {
    let session = client.session.parse().unwrap();
    server.input(client, Input::Redirect { session, location: RELAY });
    std::mem::take(&mut client.sent).replace(&client.session, "SESSION")
}

#[test]
fn a_viewer_is_told_where_to_go_on() {
    let mut server = Server::new();
    let mut client = server.connect();
    server.play_main(&mut client, true);
    let expected = "REDIRECT rtsp://h/main RTSP/1.0\r\nCSeq: 1\r\nSession: SESSION\r\n\
                    Location: rtsp://relay.example/front\r\n\r\n";
    assert_eq!(redirect(&mut server, &mut client), expected);
    // The server counts for itself.
    assert_eq!(redirect(&mut server, &mut client), expected.replace("CSeq: 1", "CSeq: 2"));
    assert_eq!(client.events, Vec::<String>::new());
}

#[test]
fn the_url_is_that_by_which_the_client_knows_the_stream() {
    for (asked, known) in [
        ("rtsp://u:p@h:8554/main/trackID=0", "rtsp://h:8554/main"),
        ("rtsp://h/alias?channel=1/trackID=0", "rtsp://h/alias?channel=1"),
        ("rtsp://h/main/trackID=0?audio=0", "rtsp://h/main?audio=0"),
        ("rtsp://h/mute", "rtsp://h/mute"),
        ("main/trackID=0", "rtsp://192.0.2.1:8554/main"),
    ] {
        let mut server = Server::new();
        let mut client = server.connect();
        assert_eq!(server.status(&mut client, "SETUP", asked, "Transport: RTP/AVP/TCP\r\n"), 200);
        let request = redirect(&mut server, &mut client);
        assert!(request.starts_with(&format!("REDIRECT {known} RTSP/1.0\r\n")), "{request}");
    }
}

/// As each was seen or reads in its source: FFmpeg answers 501, live555 405, GStreamer 200, and some say nothing.
#[test]
fn a_client_that_does_not_understand_is_left_alone() {
    let answers: [&[u8]; 5] = [
        b"RTSP/1.0 501 Not Implemented\r\nCSeq: 1\r\nSession: x\r\n\r\n",
        b"RTSP/1.0 405 Method Not Allowed\r\nCSeq: 1\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 4\r\n\r\nbody",
        b"RTSP/1.0 551 Option not supported\nCSeq: 77\n\n",
        b"",
    ];
    for tcp in [true, false] {
        for answer in answers {
            let mut server = Server::new();
            let mut client = server.connect();
            server.play_main(&mut client, tcp);
            redirect(&mut server, &mut client);
            // Between frames, and cut anywhere.
            if tcp {
                server.exchange(&mut client, &receiver_report(1));
            }
            for byte in answer {
                assert_eq!(server.exchange(&mut client, &[*byte]), "", "an answer to an answer");
            }
            if tcp {
                server.exchange(&mut client, &receiver_report(3));
            }
            let reports = client.events.iter().filter(|event| event.starts_with("rtcp")).count();
            assert_eq!((reports, client.events.len()), if tcp { (2, 2) } else { (0, 0) }, "{:?}", client.events);
            let session = server.sessions.get(client.session.parse().unwrap()).unwrap();
            assert_eq!(session.state, SessionState::Playing);
            let again = server.request(&mut client, "GET_PARAMETER", "rtsp://h/main/", "Session: SESSION\r\n");
            assert_eq!(status(&again), 200);
        }
    }
}

#[test]
fn a_client_that_understands_tears_down_and_goes() {
    let mut server = Server::new();
    let mut client = server.connect();
    server.play_main(&mut client, true);
    redirect(&mut server, &mut client);
    // Its answer and its next request in one piece.
    let goodbye = format!(
        "RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\nTEARDOWN rtsp://h/main RTSP/1.0\r\nCSeq: 9\r\nSession: {}\r\n\r\n",
        client.session
    );
    let answer = server.exchange(&mut client, goodbye.as_bytes());
    assert_eq!((status(&answer), header(&answer, "CSeq")), (200, Some("9")));
    assert!(server.sessions.is_empty());
}

#[test]
fn it_goes_out_while_an_answer_is_awaited_and_only_on_the_sessions_own_connection() {
    let mut server = Server::new();
    let mut client = server.connect();
    server.play_main(&mut client, true);
    server.hold = true;
    server.request(&mut client, "DESCRIBE", "rtsp://h/main", "");
    assert!(redirect(&mut server, &mut client).starts_with("REDIRECT "));
    let mut other = server.connect();
    other.session = client.session.clone();
    assert_eq!(redirect(&mut server, &mut other), "");
}
