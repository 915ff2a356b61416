//! One sender for all who join a stream's group, here on the loopback interface; real players are in `tests/clients`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use socket2::{Domain, InterfaceIndexOrAddress, SockRef, Socket, Type};

use super::{
    audit::{await_records, events},
    client::{Client, PATIENCE, Response},
    packets::{Received, Rtcp, Rtp, assert_unbroken, receiver_report, report_about},
    world::{CAMERA, MAIN, await_stream, command, datagram, drain, edit, is_quiet, stream},
};
use crate::support::{
    Server,
    namespace::{self, Namespaces},
};

/// A port whose three followers are free as well, so that tests do not hear each other.
fn free_ports() -> u16 {
    loop {
        let probe = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap().local_addr().unwrap().port() & !3;
        if (probe..probe + 4).all(|port| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()) {
            return probe;
        }
    }
}

fn start(port: u16, server: &str) -> Server {
    let group = format!("multicast = {{ address = \"239.255.77.7\", port = {port}, ttl = 3 }}");
    Server::start(&format!("anonymous = true\n{server}"), &format!("{CAMERA}{MAIN}{group}"))
}

/// A member's socket for one port of the group.
fn join(group: &str, port: u16) -> UdpSocket {
    let v4: bool = group.parse::<IpAddr>().unwrap().is_ipv4();
    join_by(if v4 { "lo" } else { "v0" }, group, port)
}

fn join_by(interface: &str, group: &str, port: u16) -> UdpSocket {
    let group: IpAddr = group.parse().unwrap();
    let address = SocketAddr::new(group, port);
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    let interface = nix::net::if_::if_nametoindex(interface).unwrap();
    match group {
        IpAddr::V4(v4) => socket.join_multicast_v4_n(&v4, &InterfaceIndexOrAddress::Index(interface)).unwrap(),
        IpAddr::V6(v6) => socket.join_multicast_v6(&v6, interface).unwrap(),
    }
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.into()
}

const GROUP: &str = "239.255.77.7";

/// Picture and sound, set up and playing.
fn watch(server: &Server) -> (Client, [Response; 2], Response) {
    watch_at(&server.url("main"))
}

fn watch_at(url: &str) -> (Client, [Response; 2], Response) {
    let mut client = Client::connect(url);
    let answers = [0, 1].map(|track| client.set_up(track, "RTP/AVP;multicast"));
    let play = client.ok("PLAY", "");
    (client, answers, play)
}

fn packets(socket: &UdpSocket, count: usize) -> Vec<Rtp> {
    (0..count).map(|_| Rtp::parse(&datagram(socket).0)).collect()
}

fn bytes(server: &Server) -> Vec<u64> {
    let stream = stream(server, "main");
    stream["viewers"].as_array().unwrap().iter().map(|viewer| viewer["bytes"].as_u64().unwrap()).collect()
}

#[test]
fn all_members_share_one_sender_that_ends_with_the_last() {
    let port = free_ports();
    let server = start(port, "");
    let [video, control, sound, more] = [0, 1, 2, 3].map(|offset| join(GROUP, port + offset));
    let (mut first, answers, play) = watch(&server);
    for (track, answer) in (0..).zip(&answers) {
        let transport = answer.header("Transport").unwrap();
        let (rtp, rtcp) = (port + 2 * track, port + 2 * track + 1);
        let expected = format!("RTP/AVP;multicast;destination={GROUP};port={rtp}-{rtcp};ttl=3;");
        assert!(transport.starts_with(&expected), "{transport}");
    }
    let begun = packets(&video, 20);
    assert_eq!((begun[0].seq, begun[0].ssrc), (play.start_of(0).0, answers[0].ssrc()));
    assert!(begun[0].nal_types().contains(&7), "it begins with a key frame");
    assert_eq!(packets(&sound, 5)[0].ssrc, answers[1].ssrc());
    let report = Rtcp::parse(&datagram(&control).0);
    assert_eq!(report.sender.unwrap().ssrc, answers[0].ssrc());
    assert_eq!(Rtcp::parse(&datagram(&more).0).sender.unwrap().ssrc, answers[1].ssrc());

    // A second member: each packet still comes once, with a key frame for it, from the place that it is told.
    let (mut second, _, play) = watch(&server);
    let mut seen = begun;
    while !seen[20..].iter().any(|packet| packet.nal_types().contains(&5)) || seen.len() < 100 {
        seen.extend(packets(&video, 1));
    }
    assert_unbroken(&seen);
    let start = play.start_of(0).0;
    assert!(start.wrapping_sub(seen[0].seq) < 2000, "{start} after {}", seen[0].seq);
    let status = stream(&server, "main");
    let viewers = status["viewers"].as_array().unwrap();
    assert_eq!(viewers.len(), 2);
    assert!(viewers.iter().all(|viewer| viewer["transport"] == "multicast"), "{status}");
    let counted = bytes(&server);
    assert!(counted[0] != counted[1] && counted.iter().all(|bytes| *bytes > 1000), "{counted:?}");

    first.ok("TEARDOWN", "");
    drain(&video);
    packets(&video, 20);
    assert_eq!(stream(&server, "main")["viewers"].as_array().unwrap().len(), 1);
    second.ok("PAUSE", "");
    while Rtcp::parse(&datagram(&control).0).bye != Some(answers[0].ssrc()) {}
    drain(&video);
    let mut other = Client::watch(&server.url("main"), 1);
    Received::pictures(&mut other, 10);
    assert!(is_quiet(&video), "nobody is there any more");
    // The last comes back.
    second.ok("PLAY", "");
    packets(&video, 20);
    server.stop();
    while Rtcp::parse(&datagram(&control).0).bye.is_none() {}
}

#[test]
fn a_group_that_is_not_on_offer_is_461() {
    let port = free_ports();
    let server = start(port, "transports = [\"udp\", \"tcp\"]");
    let mut client = Client::connect(&server.url("main"));
    assert_eq!(client.set_up(0, "RTP/AVP;multicast").status, 461);
    let answer = client.set_up(0, "RTP/AVP;multicast,RTP/AVP/TCP;unicast;interleaved=0-1");
    assert!(answer.header("Transport").unwrap().starts_with("RTP/AVP/TCP;unicast"), "{answer:?}");
    server.stop();
    let server = super::world::open("");
    let mut client = Client::connect(&server.url("main"));
    assert_eq!(client.set_up(0, "RTP/AVP;multicast").status, 461, "a stream without a group");
    server.stop();
    let server = start(port, "transports = [\"multicast\"]");
    let mut client = Client::connect(&server.url("main"));
    assert_eq!(client.set_up(0, "RTP/AVP/TCP;unicast;interleaved=0-1").status, 461);
    assert_eq!(client.set_up(0, "RTP/AVP/UDP;multicast").status, 200);
    server.stop();
}

#[test]
fn the_description_names_the_group_if_asked() {
    let port = free_ports();
    let server = start(port, "");
    let describe = |query: &str| Client::connect(&format!("{}{query}", server.url("main"))).describe().body;
    let text = describe("?multicast");
    assert!(text.contains("\r\nc=IN IP4 239.255.77.7/3\r\n"), "{text}");
    let media = |text: &str, port: u16| text.contains(&format!("m=video {port} ")) as u8;
    assert_eq!((media(&text, port), text.contains(&format!("m=audio {} ", port + 2))), (1, true), "{text}");
    for query in ["", "?multicast=0", "?audio=0"] {
        let text = describe(query);
        assert!(text.contains("c=IN IP4 0.0.0.0\r\n") && media(&text, 0) == 1, "{text}");
    }
    server.stop();
}

#[test]
fn a_member_reports_to_the_group() {
    let port = free_ports();
    let server = start(port, "");
    let control = join(GROUP, port + 1);
    let (_member, answers, _) = watch(&server);
    let report = Rtcp::parse(&datagram(&control).0).sender.unwrap();
    let from = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    from.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    from.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let from = UdpSocket::from(from);
    from.send_to(&report_about(answers[0].ssrc(), report.middle, 0), (GROUP, port + 1)).unwrap();
    let told = await_stream(&server, "main", |stream| !stream["viewers"][0]["lost"].is_null());
    assert_eq!(told["viewers"][0]["lost"], 7, "{told}");
    // A stranger's is nobody's.
    let stranger = UdpSocket::bind("127.0.0.2:0").unwrap();
    socket2::SockRef::from(&stranger).set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    stranger.send_to(&receiver_report(), (GROUP, port + 1)).unwrap();
    server.stop();
}

#[test]
fn a_group_that_moves_ends_its_members() {
    let port = free_ports();
    let server = start(port, "");
    let (video, control) = (join(GROUP, port), join(GROUP, port + 1));
    let (mut member, ..) = watch(&server);
    let mut other = Client::watch(&server.url("main"), 1);
    packets(&video, 5);
    edit(&server, "ttl = 3", "ttl = 4");
    assert!(command(&server, &["reload"]).status.success());
    while Rtcp::parse(&datagram(&control).0).bye.is_none() {}
    assert!(member.next().is_none(), "its connection is closed");
    Received::pictures(&mut other, 30);
    let (_member, answers, _) = watch(&server);
    assert_eq!(answers[0].transport("ttl"), Some("4"));
    drain(&video);
    packets(&video, 5);
    server.stop();
}

/// On a cable, for loopback carries no multicast of IPv6.
#[test]
fn a_group_of_ipv6() {
    let Some(sides) = Namespaces::new() else { return };
    sides.on_camera(|| {
        let port = free_ports();
        let group = format!("multicast = {{ address = \"ff15::77:7\", port = {port} }}");
        let server = Server::start("anonymous = true\nlisten = [\"[fd99::1]:0\"]", &format!("{CAMERA}{MAIN}{group}"));
        let video = join("ff15::77:7", port);
        let (mut member, answers, _) = watch(&server);
        assert_eq!(answers[0].transport("destination"), Some("ff15::77:7"));
        packets(&video, 30);
        member.ok("TEARDOWN", "");
        server.stop();
    });
}

/// Of a camera with two: each network has the group while somebody in it watches, and not before.
#[test]
fn a_group_goes_out_by_the_interface_that_its_members_came_in_through() {
    let Some(sides) = Namespaces::new() else { return };
    sides.join_by_v1();
    let config = "anonymous = true\nlisten = [\"0.0.0.0:8554\"]";
    let group = format!("multicast = {{ address = \"{GROUP}\", port = 5004 }}");
    let server = sides.on_camera(|| Server::start(config, &format!("{CAMERA}{MAIN}{group}")));
    sides.on_client(|| {
        let [by_v0, by_v1] = ["v0", "v1"].map(|interface| {
            let socket = join_by(interface, GROUP, 5004);
            // Else it hears what comes in by any interface on which somebody of this machine is a member.
            SockRef::from(&socket).bind_device(Some(interface.as_bytes())).unwrap();
            socket
        });
        let url = |address: &str| format!("rtsp://{address}:8554/main");
        let (mut first, answers, _) = watch_at(&url(namespace::CAMERA_BY_V1));
        let seen = packets(&by_v1, 30);
        assert_unbroken(&seen);
        assert!(is_quiet(&by_v0), "nobody watches there");
        let (_second, ..) = watch_at(&url(namespace::CAMERA));
        let other = packets(&by_v0, 30);
        assert_unbroken(&other);
        assert_eq!((seen[0].ssrc, other[0].ssrc), (answers[0].ssrc(), answers[0].ssrc()));
        drain(&by_v1);
        packets(&by_v1, 5);
        first.ok("TEARDOWN", "");
        drain(&by_v1);
        packets(&by_v0, 30);
        assert!(is_quiet(&by_v1), "nobody watches there any more");
    });
    server.stop();
}

#[test]
fn members_are_in_the_audit_trail_and_their_sender_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    let port = free_ports();
    let server = start(port, &format!("audit_file = {file:?}"));
    let video = join(GROUP, port);
    let (mut member, ..) = watch(&server);
    packets(&video, 30);
    member.ok("TEARDOWN", "");
    server.stop();
    let seen = await_records(&file, 3);
    assert_eq!(events(&seen), ["connect", "play", "end"]);
    for record in &seen[1..] {
        let said = (&record["address"], &record["stream"], &record["transport"]);
        assert_eq!(said, (&"127.0.0.1".into(), &"main".into(), &"multicast".into()));
    }
    assert!(seen[2]["bytes"].as_u64().unwrap() > 1000 && seen[2]["seconds"].as_f64().unwrap() > 0.0, "{}", seen[2]);
}
