//! Media that is encrypted packet by packet (SRTP), under keys told inside TLS.

use base64::prelude::{BASE64_STANDARD, Engine};
use eyrie::{
    rtp::{mikey::Message, srtp::MasterKey},
    time::NtpTime,
};

use super::{
    cipher::{Opener, Told},
    client::{Client, Frame, Response},
    packets::{Rtcp, Rtp, annex_b, assert_unbroken, framed, leaving, pictures, report_about},
    secure::{self, LISTEN_TLS, Socket},
    world::{CAMERA, MAIN, Pair, await_stream, command, datagram, drain, edit, is_quiet, stream},
};
use crate::support::Server;

const INTERLEAVED: &str = "RTP/SAVP/TCP;unicast;interleaved=0-1";

/// A server whose stream is described as RTP/SAVP.
fn server() -> Server {
    Server::start(&format!("anonymous = true\n{LISTEN_TLS}"), &format!("{CAMERA}{MAIN}srtp = true\n"))
}

fn udp(pair: &Pair) -> String {
    pair.transport().replace("RTP/AVP", "RTP/SAVP")
}

/// Sets up the picture over UDP; its key as SETUP tells it.
fn set_up_udp(client: &mut Client<Socket>, pair: &Pair) -> (Response, Told) {
    let response = client.set_up(0, &udp(pair));
    assert_eq!(response.status, 200, "{response:?}");
    let told = Told::set_up(&response);
    (response, told)
}

fn receive(pair: &Pair, opener: &mut Opener, count: usize) -> Vec<Rtp> {
    let more = |packets: &Vec<Rtp>| packets.iter().filter(|packet| packet.marker).count() < count;
    let mut packets = Vec::new();
    while more(&packets) {
        packets.push(opener.rtp(&datagram(&pair.rtp).0));
    }
    packets
}

#[test]
fn the_description_offers_it_inside_tls_and_not_in_clear() {
    let server = server();
    let mut client = secure::client(&server, "main");
    let described = client.describe();
    assert!(described.body.contains("m=video 0 RTP/SAVP 96\r\n") && described.body.contains("m=audio 0 RTP/SAVP "));
    let told = Told::described(&described);
    assert_eq!(told.len(), 2);
    assert_ne!(told[0].key, told[1].key, "each track has its own");
    let again = Told::described(&secure::client(&server, "main").describe());
    assert_eq!(again, told, "all who come share them");
    let mut plain = Client::connect(&server.url("main"));
    let described = plain.describe().body;
    assert!(described.contains("m=video 0 RTP/AVP 96\r\n") && !described.contains("key-mgmt"), "{described}");
    assert_eq!(plain.set_up(0, INTERLEAVED).status, 461);
    assert_eq!(plain.set_up(0, &udp(&Pair::new())).status, 461);
    server.stop();
}

#[test]
fn over_udp_packets_and_reports_are_encrypted_both_ways() {
    let server = server();
    let mut client = secure::client(&server, "main");
    let described = Told::described(&client.describe());
    let pair = Pair::new();
    let (response, told) = set_up_udp(&mut client, &pair);
    assert!(response.header("Transport").unwrap().starts_with("RTP/SAVP;unicast;client_port="), "{response:?}");
    assert_eq!((told.key, told.ssrc), (described[0].key, response.ssrc()));
    let start = client.ok("PLAY", "").start_of(0);
    let mut opener = Opener::new(&told);
    let packets = receive(&pair, &mut opener, 30);
    assert_eq!((packets[0].seq, packets[0].timestamp), start);
    assert_unbroken(&packets);
    assert!(pictures(&packets)[0].is_a_beginning());
    assert_eq!(decoded(&packets), 30);

    let (report, index) = opener.rtcp(&datagram(&pair.rtcp).0);
    let sender = Rtcp::parse(&report).sender.unwrap();
    assert_eq!((sender.ssrc, index), (told.ssrc, 1));
    // Of the client nothing was said but this: its reports are under the key of the stream.
    let report = report_about(told.ssrc, sender.middle, 0);
    let port = response.server_port() + 1;
    let send = |bytes: &[u8]| pair.rtcp.send_to(bytes, ("127.0.0.1", port)).unwrap();
    send(&report);
    send(&Opener::new(&Told { key: [1; 30], ..told.clone() }).seal(&leaving()));
    send(&opener.seal(&report));
    let shown = await_stream(&server, "main", |stream| stream["viewers"][0]["lost"] == 7);
    assert_eq!(shown["viewers"][0]["transport"], "udp+srtp");
    // BYE under another key was not taken; under the right one it is.
    receive(&pair, &mut opener, 5);
    send(&opener.seal(&leaving()));
    await_stream(&server, "main", |stream| stream["viewers"].as_array().unwrap().is_empty());
    server.stop();
}

/// How many pictures a decoder makes of whole access units.
fn decoded(packets: &[Rtp]) -> usize {
    let mut decoder = openh264::decoder::Decoder::new().unwrap();
    let mut units = packets.split_inclusive(|packet| packet.marker);
    units.by_ref().filter(|unit| decoder.decode(&annex_b(unit)).unwrap().is_some()).count()
}

#[test]
fn a_clients_own_key_is_that_of_its_reports() {
    let server = server();
    let mut client = secure::client(&server, "main");
    let own = Told { key: [9; 30], ssrc: 0x1234_5678, rollover: 0 };
    let message = Message { key: MasterKey(own.key), mki: Vec::new(), sessions: Vec::new() };
    let message = BASE64_STANDARD.encode(message.write(NtpTime(1), ([0; 16], 1)));
    let set_up = |client: &mut Client<Socket>, message: &str| {
        let url = format!("{}/trackID=0", client.url);
        let keys = format!("KeyMgmt: prot=mikey;uri=\"{url}\";data=\"{message}\"\r\n");
        client.request("SETUP", &url, &format!("Transport: {INTERLEAVED}\r\n{keys}"))
    };
    assert_eq!(set_up(&mut client, &BASE64_STANDARD.encode("no message")).status, 463);
    let response = set_up(&mut client, &message);
    client.session = Some(response.header("Session").unwrap().split(';').next().unwrap().to_owned());
    let told = Told::set_up(&response);
    let mut opener = Opener::new(&told);
    client.ok("PLAY", "");
    let frames: Vec<_> = (0..40).map(|_| client.frame()).collect();
    let (media, reports): (Vec<_>, Vec<_>) = frames.iter().partition(|frame| frame.channel == 0);
    assert_unbroken(&media.iter().map(|frame| opener.rtp(&frame.payload)).collect::<Vec<_>>());
    let sender = Rtcp::parse(&opener.rtcp(&reports[0].payload).0).sender.unwrap();
    let report = Opener::new(&own).seal(&report_about(told.ssrc, sender.middle, 0));
    client.send_raw(&framed(1, &report));
    let shown = await_stream(&server, "main", |stream| stream["viewers"][0]["lost"] == 7);
    assert_eq!(shown["viewers"][0]["transport"], "tcp+tls+srtp");
    let frames = frames_to_teardown(&mut client);
    assert!(Rtcp::parse(&opener.rtcp(&frames.last().unwrap().payload).0).bye.is_some());
    server.stop();
}

/// What comes until TEARDOWN is answered.
fn frames_to_teardown(client: &mut Client<Socket>) -> Vec<Frame> {
    client.ok("TEARDOWN", "");
    client.early.drain(..).collect()
}

#[test]
fn who_asks_for_it_gets_it_of_any_stream() {
    let server = Server::start(&format!("anonymous = true\n{LISTEN_TLS}"), &format!("{CAMERA}{MAIN}"));
    let mut client = secure::client(&server, "main");
    assert!(client.describe().body.contains("m=video 0 RTP/AVP 96\r\n"));
    let pair = Pair::new();
    let (_, told) = set_up_udp(&mut client, &pair);
    client.ok("PLAY", "");
    assert_unbroken(&receive(&pair, &mut Opener::new(&told), 5));
    server.stop();
}

#[test]
fn a_whole_packet_has_room_for_its_tag() {
    let limits = format!("anonymous = true\n{LISTEN_TLS}packet_size = 600\n");
    let server = Server::start(&limits, &format!("{CAMERA}{MAIN}srtp = true\n"));
    let mut client = secure::client(&server, "main");
    let pair = Pair::new();
    let (_, told) = set_up_udp(&mut client, &pair);
    client.ok("PLAY", "");
    let mut opener = Opener::new(&told);
    let mut sizes = Vec::new();
    while sizes.len() < 200 {
        let packet = datagram(&pair.rtp).0;
        opener.rtp(&packet);
        sizes.push(packet.len());
    }
    // Fragments of one picture are of equal size, and seldom the largest there may be.
    let largest = sizes.into_iter().max().unwrap();
    assert!((570..=600).contains(&largest), "{largest}");
    server.stop();
}

fn set_up_within(client: &mut Client<Socket>) -> Told {
    Told::set_up(&client.set_up(0, INTERLEAVED))
}

/// Opens what comes after PLAY until it is enough; no packet is left out.
fn play(client: &mut Client<Socket>, opener: &mut Opener, mut enough: impl FnMut(&Rtp, &Opener) -> bool) {
    client.ok("PLAY", "");
    let mut before: Option<Rtp> = None;
    loop {
        let frame = client.frame();
        if frame.channel != 0 {
            opener.rtcp(&frame.payload);
            continue;
        }
        let packet = opener.rtp(&frame.payload);
        before.iter().for_each(|before| assert_eq!(packet.seq, before.seq.wrapping_add(1)));
        if enough(&packet, opener) {
            return;
        }
        before = Some(packet);
    }
}

/// For [`play`].
fn packets(mut count: usize) -> impl FnMut(&Rtp, &Opener) -> bool {
    move |_, _| {
        count -= 1;
        count == 0
    }
}

/// A stream that sends 65,536 packets within seconds. Receivers count on from the last packet that they had, or from what
/// they were told, and are wrong after half of all numbers (RFC 3711 §3.3.1).
#[test]
fn who_joins_or_goes_on_after_65_536_packets_is_told_how_often_the_number_began_anew() {
    let camera = "
        [camera.cam]
        device = \"test\"
        scene = \"busy\"
        size = \"640x360\"
        fps = 30
        [stream.main]
        video = { from = \"cam\", bitrate = \"30M\", gop = \"500ms\" }
        srtp = true
        ";
    let server = Server::start(&format!("anonymous = true\n{LISTEN_TLS}packet_size = 256\n"), camera);
    let mut early = secure::client(&server, "main");
    let described = Told::described(&early.describe());
    let [mut first, mut paused, mut never_played] = [(); 3].map(|()| secure::client(&server, "main"));
    set_up_within(&mut never_played);
    let mut opener = Opener::new(&set_up_within(&mut paused));
    let told = set_up_within(&mut first);
    assert_eq!((told.key, told.rollover), (described[0].key, 0));
    // A short rest is none.
    for _ in 0..2 {
        play(&mut paused, &mut opener, packets(5));
        paused.ok("PAUSE", "");
        paused.early.clear();
    }
    play(&mut first, &mut Opener::new(&told), |packet, opener| opener.rollover() == 1 && packet.seq > 100);
    // Who was told the key before, and comes now.
    let told = set_up_within(&mut early);
    assert_eq!((told.key, told.rollover), (described[0].key, 1));
    play(&mut early, &mut Opener::new(&told), packets(5000));
    // Who comes new is told a new one, of which no number began anew: players that never ask for it can follow too.
    let mut late = secure::client(&server, "main");
    let described = Told::described(&late.describe());
    let fresh = set_up_within(&mut late);
    assert_eq!((fresh.key, fresh.rollover), (described[0].key, 0));
    assert_ne!(fresh.key, told.key);
    play(&mut late, &mut Opener::new(&fresh), packets(5000));
    // Who rested all the while has to set up anew.
    for mut client in [never_played, paused] {
        let url = client.url.clone();
        assert_eq!(client.request("PLAY", &url, "").status, 454);
        client.session = None;
        let told = set_up_within(&mut client);
        // The session that was over said goodbye under the old key.
        client.early.clear();
        play(&mut client, &mut Opener::new(&told), packets(100));
    }
    server.stop();
}

const USERS: &str = "
    [[user]]
    name = \"nvr\"
    md5 = \"5af20b440a2f1f007a9b6c4c3fc0ce7a\"
    [[user]]
    name = \"guest\"
    md5 = \"6b3889fd6b6ccb9a9975de61aa8edf1b\"
    ";

/// `nvr` and `guest`, whose passwords are `secret`.
fn logged_in(server: &Server, user: &str) -> Client<Socket> {
    let mut client = secure::client(server, "main");
    client.log_in(user, "secret");
    client
}

#[test]
fn a_user_who_loses_the_right_loses_the_key() {
    let server = Server::start(LISTEN_TLS, &format!("{CAMERA}{MAIN}srtp = true\n{USERS}"));
    let mut guest = logged_in(&server, "guest");
    let known = Told::described(&guest.describe())[0].key;
    // Over UDP, where the guest may listen, and inside TLS, where not.
    let pair = Pair::new();
    let mut open = logged_in(&server, "nvr");
    assert_eq!(Told::described(&open.describe())[0].key, known);
    let (_, told) = set_up_udp(&mut open, &pair);
    open.ok("PLAY", "");
    receive(&pair, &mut Opener::new(&told), 3);
    let mut within = logged_in(&server, "nvr");
    let mut opener = Opener::new(&Told::set_up(&within.set_up(0, INTERLEAVED)));
    within.ok("PLAY", "");
    // A change that takes no right from anybody renews nothing.
    edit(&server, "300k", "310k");
    assert!(command(&server, &["reload"]).status.success());
    assert_eq!(Told::described(&logged_in(&server, "nvr").describe())[0].key, known);
    receive(&pair, &mut Opener::new(&Told { rollover: 0, ..told.clone() }), 3);

    edit(&server, &USERS[USERS.rfind("[[user]]").unwrap()..], "");
    assert!(command(&server, &["reload"]).status.success());
    let renewed = Told::described(&logged_in(&server, "nvr").describe())[0].key;
    assert_ne!(renewed, known);
    // The connection is closed, so that the viewer comes back and is told the new key.
    assert!(open.frames_to_the_end().is_empty());
    await_stream(&server, "main", |stream| stream["viewers"].as_array().unwrap().len() == 1);
    drain(&pair.rtp);
    // Whoever is left is sent a picture more, and this one is not.
    let mut frames = (0..20).map(|_| within.frame()).filter(|frame| frame.channel == 0);
    frames.by_ref().for_each(|frame| drop(opener.rtp(&frame.payload)));
    assert!(is_quiet(&pair.rtp));
    assert_eq!(stream(&server, "main")["viewers"][0]["transport"], "tcp+tls+srtp");
    server.stop();
}
