//! What recorders and restreamers send. go2rtc and Scrypted as their sources and logs have it; of the makers' NVRs there
//! is no capture, so those tests have the URLs of their documents and the forms that generic clients are known to use.

use super::{
    clients::{send, transport},
    *,
};

/// It asks for talk-back first, takes 551 for an answer, sends its login only where it was asked, and keeps alive by
/// OPTIONS every 25 s.
#[test]
fn go2rtc() {
    let mut server = Server::new();
    let mut client = server.connect();
    let mut step = |text: &str| send(&mut server, &mut client, text);
    assert_eq!(status(&step("OPTIONS rtsp://h:8554/main RTSP/1.0\nCSeq: 1\nUser-Agent: go2rtc/1.9.9\n")), 200);
    let describe = "DESCRIBE rtsp://h:8554/main RTSP/1.0\nAccept: application/sdp\nUser-Agent: go2rtc/1.9.9\n";
    let require = "Require: www.onvif.org/ver20/backchannel\n";
    let answer = step(&format!("{describe}CSeq: 2\n{require}"));
    assert_eq!((status(&answer), header(&answer, "Unsupported")), (551, Some("www.onvif.org/ver20/backchannel")));
    assert_eq!(status(&step(&format!("{describe}CSeq: 3\n"))), 401);
    let answer = step(&format!("{describe}CSeq: 4\nLOGIN\n").replace("\n\n", "\n"));
    assert_eq!((status(&answer), header(&answer, "Content-Base")), (200, Some("rtsp://h:8554/main/")));
    for (track, cseq) in [(0, 5), (1, 6)] {
        let session = if track == 0 { "" } else { "Session: SESSION\n" };
        let channels = format!("interleaved={}-{}", 2 * track, 2 * track + 1);
        let answer = step(&format!(
            "SETUP rtsp://h:8554/main/trackID={track} RTSP/1.0\nCSeq: {cseq}\nLOGIN\n{session}\
             Transport: RTP/AVP/TCP;unicast;{channels}\n"
        ));
        // It reads the channel out of the text behind this beginning.
        assert!(transport(&answer).starts_with(&format!("RTP/AVP/TCP;unicast;{channels}")), "{answer}");
    }
    assert_eq!(status(&step("PLAY rtsp://h:8554/main/ RTSP/1.0\nCSeq: 7\nLOGIN\nSession: SESSION\n")), 200);
    for cseq in 8..14 {
        server.pass(25);
        let keep_alive = format!("OPTIONS rtsp://h:8554/main/ RTSP/1.0\nCSeq: {cseq}\nLOGIN\nSession: SESSION\n");
        assert_eq!(status(&send(&mut server, &mut client, &keep_alive)), 200);
        assert!(server.sessions.expired(server.now).is_empty());
    }
    let teardown = "TEARDOWN rtsp://h:8554/main/ RTSP/1.0\nCSeq: 14\nLOGIN\nSession: SESSION\n";
    assert_eq!(status(&send(&mut server, &mut client, teardown)), 200);
}

/// It puts two slashes between host and path.
#[test]
fn scrypted() {
    let mut server = Server::new();
    let mut client = server.connect();
    let setup = "SETUP rtsp://h:8554//main/trackID=1 RTSP/1.0\nTransport: RTP/AVP/TCP;unicast;interleaved=2-3\n\
                 CSeq: 4\nUser-Agent: Scrypted\nLOGIN\n";
    let answer = send(&mut server, &mut client, setup);
    assert_eq!(transport(&answer), "RTP/AVP/TCP;unicast;interleaved=2-3;ssrc=E0000001");
    let play = "PLAY rtsp://h:8554//main/ RTSP/1.0\nCSeq: 5\nUser-Agent: Scrypted\nSession: SESSION\nLOGIN\n";
    let answer = send(&mut server, &mut client, play);
    assert_eq!(header(&answer, "RTP-Info"), Some("url=rtsp://h:8554//main/trackID=1;seq=9;rtptime=90"));
}

/// The query of its maker's URLs stays in the Content-Base, and tracks are asked for behind it.
#[test]
fn dahua() {
    let (mut server, base) = (Server::new(), "rtsp://h:8554/cam/realmonitor?channel=1&subtype=0");
    let mut client = server.connect();
    let mut step = |text: String| send(&mut server, &mut client, &text);
    let answer =
        step(format!("DESCRIBE {base}&unicast=true&proto=Onvif RTSP/1.0\nCSeq: 2\nAccept: application/sdp\nLOGIN\n"));
    let base = format!("{base}&unicast=true&proto=Onvif");
    assert_eq!(header(&answer, "Content-Base"), Some(format!("{base}/").as_str()));
    for (track, cseq) in [(0, 3), (1, 4)] {
        let session = if track == 0 { "" } else { "Session: SESSION\n" };
        let answer = step(format!(
            "SETUP {base}/trackID={track} RTSP/1.0\nCSeq: {cseq}\nLOGIN\n{session}\
             Transport: RTP/AVP/TCP;unicast;interleaved={}-{}\n",
            2 * track,
            2 * track + 1
        ));
        assert_eq!(status(&answer), 200);
    }
    let answer = step(format!("PLAY {base}/ RTSP/1.0\nCSeq: 5\nRange: npt=0.000-\nLOGIN\nSession: SESSION\n"));
    let info = format!("url={base}/trackID=0;seq=7;rtptime=70,url={base}/trackID=1;seq=9;rtptime=90");
    assert_eq!(header(&answer, "RTP-Info"), Some(info.as_str()));
    assert_eq!(status(&step(format!("GET_PARAMETER {base}/ RTSP/1.0\nCSeq: 6\nLOGIN\nSession: SESSION\n"))), 200);
}

/// Over UDP; tracks are asked for in front of the query, a single Transport names the first port alone.
#[test]
fn hikvision() {
    let (mut server, path) = (Server::new(), "rtsp://h:8554/Streaming/Channels/101");
    let mut client = server.connect();
    let mut step = |text: String| send(&mut server, &mut client, &text);
    let query = "?transportmode=unicast&profile=Profile_1";
    let answer = step(format!("DESCRIBE {path}{query} RTSP/1.0\nCSeq: 2\nAccept: application/sdp\nLOGIN\n"));
    assert_eq!(status(&answer), 200);
    let answer = step(format!(
        "SETUP {path}/trackID=0{query} RTSP/1.0\nCSeq: 3\nLOGIN\nTransport: RTP/AVP;unicast;client_port=8274\n"
    ));
    assert_eq!(transport(&answer), "RTP/AVP;unicast;client_port=8274-8275;server_port=8000-8001;ssrc=E0000000");
    let answer = step(format!(
        "PLAY {path}{query} RTSP/1.0\nCSeq: 4\nLOGIN\nSession: SESSION;timeout=60\nRange: npt=0.000000-0.000000\n"
    ));
    assert_eq!((status(&answer), header(&answer, "Range")), (200, Some("npt=now-")));
    assert_eq!(status(&step(format!("GET_PARAMETER {path} RTSP/1.0\nCSeq: 5\nLOGIN\nSession: SESSION\n"))), 200);
}

/// As the ONVIF Streaming Specification has it: SET_PARAMETER keeps alive, replay and talk-back are asked for by
/// Require, and a PLAY may carry replay's headers, which mean nothing to a live stream.
#[test]
fn onvif() {
    let mut server = Server::new();
    let mut client = server.connect();
    let mut step = |text: &str| send(&mut server, &mut client, text);
    let answer =
        step("SETUP rtsp://h/main/trackID=0 RTSP/1.0\nCSeq: 1\nLOGIN\nRequire: onvif-replay\nTransport: RTP/AVP/TCP\n");
    assert_eq!((status(&answer), header(&answer, "Unsupported")), (551, Some("onvif-replay")));
    let setup =
        "SETUP rtsp://h/main/trackID=0 RTSP/1.0\nCSeq: 2\nLOGIN\nTransport: RTP/AVP;unicast;client_port=4588-4589\n";
    assert_eq!(status(&step(setup)), 200);
    let play = "PLAY rtsp://h/main/ RTSP/1.0\nCSeq: 3\nLOGIN\nSession: SESSION\nRange: npt=0-\n\
                Rate-Control: no\nImmediate: yes\nFrames: intra\n";
    assert_eq!(status(&step(play)), 200);
    for cseq in 4..9 {
        server.pass(50);
        let keep_alive = format!("SET_PARAMETER rtsp://h/main/ RTSP/1.0\nCSeq: {cseq}\nLOGIN\nSession: SESSION\n");
        assert_eq!(status(&send(&mut server, &mut client, &keep_alive)), 200);
        assert!(server.sessions.expired(server.now).is_empty());
    }
}

/// A PLAY for each track, each by its own URL, where the aggregate would do.
#[test]
fn one_that_plays_each_track() {
    let mut server = Server::new();
    let mut client = server.connect();
    server.setup_main(&mut client, true);
    for track in [0, 1] {
        let url = format!("rtsp://h/main/trackID={track}");
        assert_eq!(server.status(&mut client, "PLAY", &url, "Session: SESSION\r\n"), 200);
    }
}

/// Header names in other cases, no blank behind the colon, lines that end with LF alone.
#[test]
fn one_that_writes_as_it_likes() {
    let mut server = Server::new();
    let mut client = server.connect();
    for name in ["CSeq", "Cseq", "CSEQ", "cseq"] {
        let answer = server.exchange(&mut client, format!("OPTIONS * RTSP/1.0\n{name}:4\n\n").as_bytes());
        assert_eq!((status(&answer), header(&answer, "CSeq")), (200, Some("4")), "{name}");
    }
}
