//! A picture at once for everybody, and no more key frames than the budget has.

use std::time::Duration;

use eyrie::time::MonoTime;

use super::{
    client::Client,
    packets::{Picture, Received, Rtp, picture_loss, pictures},
    world::{CAMERA, Pair, datagram, drain, stream},
};
use crate::support::Server;

/// A stream that makes a key frame only if asked.
fn start() -> Server {
    let main = "[stream.main]\nvideo = { from = \"cam\", bitrate = \"300k\", gop = \"60s\" }";
    Server::start("anonymous = true", &format!("{CAMERA}{main}"))
}

fn keyframes(server: &Server) -> u64 {
    stream(server, "main")["keyframes"].as_u64().unwrap()
}

/// One a second and four saved up, in `time` and the second that it is not whole; and one that was under way.
fn budget(time: Duration) -> u64 {
    time.as_secs() + 1 + 4 + 1
}

fn beginnings(pictures: &[Picture]) -> usize {
    pictures.iter().filter(|picture| picture.is_a_beginning()).count()
}

#[test]
fn a_second_viewer_begins_at_once() {
    let server = start();
    let mut first = Client::watch(&server.url("main"), 1);
    Received::pictures(&mut first, 31);
    let before = keyframes(&server);
    let mut second = Client::watch(&server.url("main"), 1);
    let seen = pictures(&Received::pictures(&mut second, 5).rtp[0]);
    assert!(seen[0].is_a_beginning(), "{:?}", seen[0]);
    assert_eq!(keyframes(&server), before + 1, "one was made for it");
    let shared = pictures(&Received::pictures(&mut first, 60).rtp[0]);
    assert_eq!(beginnings(&shared), 1, "and went to both");
    server.stop();
}

#[test]
fn a_crowd_gets_pictures_within_the_budget() {
    let server = start();
    let mut metronome = Client::watch(&server.url("main"), 1);
    let (before, begun) = (keyframes(&server), MonoTime::now());
    let crowd: Vec<Client> = (0..20)
        .map(|_| {
            Received::pictures(&mut metronome, 3);
            let mut viewer = Client::watch(&server.url("main"), 1);
            let seen = pictures(&Received::pictures(&mut viewer, 3).rtp[0]);
            assert!(seen[0].is_a_beginning(), "{:?}", seen[0]);
            viewer
        })
        .collect();
    let made = keyframes(&server) - before;
    let time = MonoTime::now().since(begun);
    assert!(made >= 4 && made <= budget(time), "{made} key frames in {time:?}");
    assert_eq!(stream(&server, "main")["viewers"].as_array().unwrap().len(), crowd.len() + 1);
    server.stop();
}

#[test]
fn loss_told_over_tcp_brings_a_key_frame() {
    let server = start();
    let mut client = Client::connect(&server.url("main"));
    let ssrc = client.set_up(0, "RTP/AVP/TCP;unicast;interleaved=0-1").ssrc();
    client.ok("PLAY", "");
    Received::pictures(&mut client, 10);
    let (before, begun) = (keyframes(&server), MonoTime::now());
    let loss = picture_loss(ssrc);
    let framed = [&[b'$', 1, 0, loss.len() as u8], loss.as_slice()].concat();
    client.send_raw(&framed);
    Received::until(&mut client, |it| beginnings(&pictures(&it.rtp[0])) > 0);
    // A client that never stops asking gets no more than the budget.
    for _ in 0..60 {
        client.send_raw(&framed);
        Received::pictures(&mut client, 1);
    }
    let made = keyframes(&server) - before;
    let time = MonoTime::now().since(begun);
    assert!(made > 1 && made <= budget(time), "{made} key frames in {time:?}");
    server.stop();
}

#[test]
fn loss_told_over_udp_brings_a_key_frame() {
    let server = start();
    let mut client = Client::connect(&server.url("main"));
    let pair = Pair::new();
    let answer = client.set_up(0, &pair.transport());
    client.ok("PLAY", "");
    let until = |found: &dyn Fn(&Rtp) -> bool| while !found(&Rtp::parse(&datagram(&pair.rtp).0)) {};
    until(&|packet| packet.nal_types().contains(&5));
    (0..10).for_each(|_| until(&|packet| packet.marker));
    drain(&pair.rtp);
    pair.rtcp.send_to(&picture_loss(answer.ssrc()), ("127.0.0.1", answer.server_port() + 1)).unwrap();
    until(&|packet| packet.nal_types().contains(&5));
    server.stop();
}
