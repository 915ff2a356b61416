//! Streams of bytes: cut anywhere, pipelined, mixed with frames, or noise.

use super::*;
use proptest::prelude::*;

/// All that a connection puts out for these bytes, cut at these places, the random session ids made equal.
fn run(bytes: &[u8], cuts: &[usize]) -> (String, Vec<String>) {
    let mut server = Server::new();
    let mut client = server.connect();
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let mut from = 0;
    for cut in cuts.into_iter().chain([bytes.len()]) {
        // A worker reads no more than this at once, so that the answer to an ask comes before the bound on what waits.
        for read in bytes[from..cut].chunks(16 * 1024) {
            server.input(&mut client, Input::Bytes(read));
        }
        from = cut;
    }
    let without_id = |line: &str| match line.split_once("Session: ") {
        Some((before, id)) => format!("{before}Session: {}", &id[32..]),
        None => line.to_owned(),
    };
    let sent = client.sent.split_inclusive('\n').map(without_id).collect();
    let asked = client.asked.iter().map(|(id, ask)| format!("{id:?} {}", format!("{ask:?}").len()));
    let mut events = client.events.clone();
    events.extend(asked);
    (sent, events)
}

/// What clients send, in one piece.
fn conversation() -> Vec<u8> {
    let text = format!(
        "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n$\0\0\u{4}abcd\r\n\r\n\
         DESCRIBE rtsp://h/main RTSP/1.0\nCSeq: 2\n\n\
         DESCRIBE rtsp://h/main RTSP/1.0\r\nCSeq: 3\r\n{LOGIN}User-Agent: a\r\n b\r\n\r\n\r\n\
         SETUP rtsp://h/main/trackID=0 RTSP/1.0\r\nCSeq: 4\r\n{LOGIN}Transport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n\
         SET_PARAMETER * RTSP/1.0\r\nCSeq: 5\r\nContent-Length: 6\r\n\r\na: b\r\n\
         $\u{1}\0\u{3}xyz$\u{7}\0\0\
         RTSP/1.0 200 OK\r\nCSeq: 9\r\nContent-Length: 2\r\n\r\nok\
         PLAY rtsp://h/main RTSP/2.0\r\nCSeq: 6\r\n\r\nnonsense\r\n\r\n\
         OPTIONS * RTSP/1.0\r\nCSeq: 7\r\n\r\n"
    );
    text.into_bytes()
}

#[test]
fn requests_are_answered_in_order_and_frames_between_them_are_taken_out() {
    let (sent, events) = run(&conversation(), &[]);
    let statuses: Vec<_> = sent.split("\r\n").filter(|line| line.starts_with("RTSP/1.0 ")).map(status).collect();
    assert_eq!(statuses, [200, 401, 200, 200, 451, 505, 400, 200]);
    let cseqs: Vec<_> = sent.split("\r\n").filter_map(|line| line.strip_prefix("CSeq: ")).collect();
    assert_eq!(cseqs, ["1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!(events[0], "rtcp 1 track 0: 78797a");
}

#[test]
fn what_stands_behind_an_open_ask_waits_in_bounds() {
    let mut server = Server::new();
    server.hold = true;
    let mut client = server.connect();
    server.request(&mut client, "DESCRIBE", "rtsp://h/main", "");
    assert_eq!(client.asked.len(), 1);
    let options = b"OPTIONS * RTSP/1.0\r\nCSeq: 2\r\n\r\n";
    server.exchange(&mut client, options);
    assert_eq!((client.sent.as_str(), client.connection.poll_timeout()), ("", None));
    let id = client.asked[0].0;
    server.input(&mut client, Input::Answer(id, Answer::Refused(Refusal::NotFound)));
    let statuses: Vec<_> = client.sent.split("\r\n").filter(|line| line.starts_with("RTSP/")).map(status).collect();
    assert_eq!(statuses, [404, 200]);

    server.request(&mut client, "DESCRIBE", "rtsp://h/main", "");
    for _ in 0..3000 {
        server.exchange(&mut client, options);
    }
    assert_eq!(client.events, ["close: too much sent ahead"]);
}

#[test]
fn frames_before_setup_are_passed_over_in_bounds() {
    let mut server = Server::new();
    let mut client = server.connect();
    let mut frame = vec![b'$', 0, 0xff, 0xff];
    frame.resize(4 + 0xffff, b'x');
    for _ in 0..64 {
        server.exchange(&mut client, &frame);
    }
    assert_eq!(client.connection.frames_dropped(), 64);
    assert_eq!(server.status(&mut client, "OPTIONS", "*", ""), 200);
    server.exchange(&mut client, &frame);
    assert_eq!(client.events, ["close: too much sent ahead"]);
}

#[test]
fn frames_of_a_session_are_passed_over_without_end() {
    let mut server = Server::new();
    let mut client = server.connect();
    server.play_main(&mut client, true);
    for _ in 0..1000 {
        server.exchange(&mut client, b"$\x00\x00\x04abcd");
    }
    assert_eq!(client.connection.frames_dropped(), 1000);
    assert_eq!(client.events, Vec::<String>::new());
}

#[test]
fn a_byte_at_a_time_gives_the_same() {
    let bytes = conversation();
    assert_eq!(run(&bytes, &(0..bytes.len()).collect::<Vec<_>>()), run(&bytes, &[]));
}

/// Pieces of requests, put together at random.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n".to_vec()),
        Just(b"SETUP rtsp://h/main/trackID=0 RTSP/1.0\r\nCSeq: 4\r\nAuthorization: \"nvr\"\r\n".to_vec()),
        Just(b"Transport: RTP/AVP/TCP\r\n".to_vec()),
        Just(b"Transport: RTP/AVP;client_port=1-2;mode=\"\r\n".to_vec()),
        Just(b"Content-Length: 3\r\n".to_vec()),
        Just(b"Content-Length: 99999\r\n".to_vec()),
        Just(b"PLAY rtsp://h/main?x=%zz/ RTSP/1.0\r\nCSeq: 4\r\n".to_vec()),
        Just(b"GET /x HTTP/1.0\r\n".to_vec()),
        Just(b"Session: 0\r\nRange: npt=3-1\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"$\x01\x00\x05".to_vec()),
        Just(b"$".to_vec()),
        Just(vec![b'x'; 9000]),
        Just(vec![b'$'; 70_000]),
        proptest::collection::vec(any::<u8>(), 0..20),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_as_a_request_reads_back(
        (method, url) in ("(OPTIONS|DESCRIBE|PLAY|REDIRECT)", "[!-~]{1,60}"),
        headers in proptest::collection::vec(("[A-Za-z0-9_-]{1,12}", "([!-~ß]([ -~\t]{0,20}[!-~])?)?"), 0..8),
        body in proptest::collection::vec(any::<u8>(), 0..40),
        cut in any::<usize>(),
    ) {
        // What frames the message is ours.
        let framing = |name: &str| ["CSeq", "Content-Length"].iter().any(|known| known.eq_ignore_ascii_case(name));
        let headers: Vec<_> = headers.into_iter().filter(|(name, _)| !framing(name)).collect();
        let mut bytes = format!("{method} {url} RTSP/1.0\r\nCSeq: 7\r\nContent-Length: {}\r\n", body.len()).into_bytes();
        headers.iter().for_each(|(name, value)| bytes.extend(format!("{name}: {value}\r\n").into_bytes()));
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&body);
        let mut parser = Parser::default();
        let (first, second) = bytes.split_at(cut % bytes.len());
        parser.push(first);
        prop_assert_eq!(parser.next(|_| false), None);
        parser.push(second);
        let Some(Parsed::Request(request)) = parser.next(|_| false) else { panic!("no request") };
        prop_assert!(!request.malformed);
        prop_assert_eq!(request.method.map(Method::as_str), Some(method.as_str()));
        prop_assert_eq!((request.url.as_str(), request.cseq, request.body.as_ref()), (url.as_str(), Some(7), body.as_slice()));
        for (name, value) in &headers {
            prop_assert!(request.headers(name).any(|read| read == value), "{}: {:?}", name, value);
        }
        prop_assert_eq!(parser.pending(), 0);
    }

    #[test]
    fn streams_cut_anywhere_give_the_same(bytes in pieces(), cuts in proptest::collection::vec(any::<usize>(), 0..20)) {
        prop_assert_eq!(run(&bytes, &cuts), run(&bytes, &[]));
    }

    #[test]
    fn the_conversation_cut_anywhere_gives_the_same(cuts in proptest::collection::vec(any::<usize>(), 0..20)) {
        let bytes = conversation();
        prop_assert_eq!(run(&bytes, &cuts), run(&bytes, &[]));
    }

    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        run(&bytes, &[]);
    }

    #[test]
    fn noise_inside_a_request_never_panics(url in "[!-~äß]{0,60}", name in "(Transport|Range|Session|CSeq|Require|Accept)", value in ".{0,60}") {
        let text = format!("SETUP {url} RTSP/1.0\r\nCSeq: 1\r\n{LOGIN}{name}: {value}\r\n\r\n");
        run(text.as_bytes(), &[]);
        same_target(&value, &url);
    }
}
