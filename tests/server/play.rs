//! What a viewer gets between PLAY and TEARDOWN.

use nix::{sys::signal::Signal, time::ClockId};

use super::{
    client::Client,
    packets::{Received, Rtcp, Rtp, assert_unbroken, pictures},
    world::{Pair, datagram, is_quiet, open, tell},
};

/// Seconds since 1970.
fn wall() -> f64 {
    let now = ClockId::CLOCK_REALTIME.now().unwrap();
    now.tv_sec() as f64 + now.tv_nsec() as f64 / 1e9
}

#[test]
fn tcp_play_begins_as_its_answer_says() {
    let server = open("");
    let mut client = Client::connect(&server.url("main"));
    let ssrcs = [0, 1].map(|track| {
        let channels = format!("RTP/AVP/TCP;unicast;interleaved={}-{}", 2 * track, 2 * track + 1);
        client.set_up(track, &channels).ssrc()
    });
    let asked = wall();
    let answer = client.ok("PLAY", "");
    assert!(client.early.is_empty(), "a packet before the answer to PLAY");
    let received = Received::until(&mut client, |it| it.rtp[0].len() >= 30 && it.rtp[1].len() >= 10);
    let answered = wall();
    for (track, ssrc) in ssrcs.into_iter().enumerate() {
        let (packets, first) = (&received.rtp[track], &received.rtp[track][0]);
        assert_eq!((first.seq, first.timestamp), answer.start_of(track as u8), "track {track}");
        assert_eq!(first.ssrc, ssrc);
        assert_unbroken(packets);
        let report = &received.rtcp[track][0];
        assert!(report.cname.is_some(), "{report:?}");
        let sender = report.sender.unwrap();
        assert_eq!(sender.ssrc, first.ssrc);
        assert!(sender.wall > asked - 0.05 && sender.wall < answered + 0.05, "{asked} {} {answered}", sender.wall);
    }
    let cnames = [0, 1].map(|track: usize| received.rtcp[track][0].cname.clone());
    assert_eq!(cnames[0], cnames[1], "one source, one name");
    assert!(pictures(&received.rtp[0])[0].is_a_beginning(), "{:?}", pictures(&received.rtp[0])[0]);

    client.ok("TEARDOWN", "");
    let byes: Vec<u32> = client
        .early
        .iter()
        .filter(|frame| frame.channel % 2 == 1)
        .filter_map(|frame| Rtcp::parse(&frame.payload).bye)
        .collect();
    assert_eq!(byes, ssrcs, "goodbye on each track");
    server.stop();
}

#[test]
fn udp_play_begins_as_its_answer_says() {
    let server = open("");
    let mut client = Client::connect(&server.url("main"));
    let ports = [Pair::new(), Pair::new()];
    let answers = [0, 1].map(|track: u8| client.set_up(track, &ports[usize::from(track)].transport()));
    assert!(ports.iter().all(|pair| is_quiet(&pair.rtp) && is_quiet(&pair.rtcp)), "a packet before PLAY");
    let answer = client.ok("PLAY", "");
    for (track, pair) in ports.iter().enumerate() {
        let (report, from) = datagram(&pair.rtcp);
        assert_eq!(from.port(), answers[track].server_port() + 1);
        let report = Rtcp::parse(&report);
        assert!(report.cname.is_some() && report.sender.is_some(), "{report:?}");
        let packets: Vec<Rtp> = (0..20)
            .map(|_| {
                let (packet, from) = datagram(&pair.rtp);
                assert_eq!(from.port(), answers[track].server_port());
                Rtp::parse(&packet)
            })
            .collect();
        assert_eq!((packets[0].seq, packets[0].timestamp), answer.start_of(track as u8), "track {track}");
        assert_eq!(packets[0].ssrc, answers[track].ssrc());
        assert_unbroken(&packets);
        if track == 0 {
            assert!(pictures(&packets)[0].is_a_beginning());
        }
    }
    client.ok("TEARDOWN", "");
    for (track, pair) in ports.iter().enumerate() {
        while Rtcp::parse(&datagram(&pair.rtcp).0).bye != Some(answers[track].ssrc()) {}
    }
    server.stop();
}

#[test]
fn the_end_of_the_server_is_told_to_all() {
    let server = open("");
    let (mut tcp, mut udp, pair) =
        (Client::watch(&server.url("main"), 2), Client::connect(&server.url("main")), Pair::new());
    let ssrc = udp.set_up(0, &pair.transport()).ssrc();
    udp.ok("PLAY", "");
    tcp.frame();
    datagram(&pair.rtp);
    tell(&server, Signal::SIGTERM);
    let frames = tcp.frames_to_the_end();
    let byes = frames.iter().filter(|frame| frame.channel % 2 == 1 && Rtcp::parse(&frame.payload).bye.is_some());
    assert_eq!(byes.count(), 2);
    while Rtcp::parse(&datagram(&pair.rtcp).0).bye != Some(ssrc) {}
    assert!(udp.frames_to_the_end().is_empty());
    server.stop();
}

/// Reports follow each other within five seconds and tell one clock.
#[test]
fn sender_reports_go_on() {
    let server = open("");
    let mut client = Client::watch(&server.url("main"), 2);
    let received = Received::until(&mut client, |it| it.rtcp.iter().all(|reports| reports.len() >= 2));
    for (reports, clock_rate) in received.rtcp.iter().zip([90_000.0, 8000.0]) {
        let reports: Vec<_> = reports.iter().filter_map(|report| report.sender).collect();
        let (first, second) = (reports[0], reports[1]);
        let apart = second.wall - first.wall;
        assert!((1.0..5.2).contains(&apart), "{apart} s apart");
        let ticks = f64::from(second.rtp.wrapping_sub(first.rtp)) / clock_rate;
        assert!((ticks - apart).abs() < 0.005, "{ticks} s of RTP in {apart} s");
        assert!(second.packets > first.packets);
    }
    for packets in &received.rtp {
        assert_unbroken(packets);
    }
    server.stop();
}

#[test]
fn pause_holds_and_play_goes_on() {
    let server = open("");
    let mut client = Client::watch(&server.url("main"), 2);
    let before = Received::pictures(&mut client, 5);
    client.ok("PAUSE", "");
    client.early.clear();
    // Whatever was on its way has come before this answer; a packet after it would come before the next one.
    for _ in 0..5 {
        client.ok("GET_PARAMETER", "");
    }
    assert!(client.early.is_empty(), "{} packets in a pause", client.early.len());
    let answer = client.ok("PLAY", "");
    assert!(client.early.is_empty(), "{} packets in a pause", client.early.len());
    let after = Received::until(&mut client, |it| it.rtp[0].len() >= 20 && it.rtp[1].len() >= 5);
    for track in 0..2 {
        let first = &after.rtp[track][0];
        assert_eq!((first.seq, first.timestamp), answer.start_of(track as u8), "track {track}");
        assert_eq!(first.ssrc, before.rtp[track][0].ssrc);
        assert_unbroken(&after.rtp[track]);
    }
    assert!(pictures(&after.rtp[0])[0].is_a_beginning());
    server.stop();
}

/// A track that was not set up is not sent, and one that the query leaves out is not described.
#[test]
fn only_what_was_set_up_comes() {
    let server = open("");
    let mut client = Client::watch(&server.url("main"), 1);
    let received = Received::pictures(&mut client, 20);
    assert!(received.rtp[1].is_empty() && received.rtcp[1].is_empty());
    let mut deaf = Client::connect(&format!("{}?audio=0", server.url("main")));
    let description = deaf.describe();
    assert!(description.body.contains("m=video") && !description.body.contains("m=audio"), "{}", description.body);
    server.stop();
}

#[test]
fn replies_go_out_between_packets() {
    let server = open("");
    let mut client = Client::watch(&server.url("main"), 2);
    let url = client.url.clone();
    for _ in 0..20 {
        for _ in 0..10 {
            client.send("GET_PARAMETER", &url, "");
        }
        for _ in 0..10 {
            assert_eq!(client.response().status, 200);
        }
        client.frame();
    }
    let frames: Vec<_> = client.early.drain(..).collect();
    let mut received = Received::default();
    frames.iter().for_each(|frame| received.add(frame));
    server.stop();
}
