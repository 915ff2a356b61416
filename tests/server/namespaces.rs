//! What loopback cannot show: a firewall's rules, and hosts that vanish.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket},
    process::{Command, Stdio},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

use super::{
    client::{Client, PATIENCE},
    packets::{Received, assert_unbroken},
    world::{CAMERA, MAIN, Pair, await_stream, drain, status},
};
use crate::support::{Namespaces, Server, namespace};

/// What is let in answers within this time; what is not never does.
const PROBE: Duration = Duration::from_millis(400);

fn nft(arguments: &[&str], rules: &str) -> bool {
    let mut nft = Command::new("nft").args(arguments).stdin(Stdio::piped()).spawn().unwrap();
    nft.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
    nft.wait().unwrap().success()
}

fn rules(server: &Server) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_eyrie")).arg("nftables").arg(server.config()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whether a connection comes about.
fn reaches(from: &str, to: &str) -> bool {
    let (from, to) = (SocketAddr::new(from.parse().unwrap(), 0), to.parse::<SocketAddr>().unwrap());
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
    socket.bind(&from.into()).unwrap();
    socket.connect_timeout(&to.into(), PROBE).is_ok()
}

/// Whether a datagram from one port of the client's side comes in at a socket of the camera's side.
fn hears(sides: &Namespaces, socket: &UdpSocket, from: &str, to: &str) -> bool {
    socket.set_read_timeout(Some(PROBE)).unwrap();
    sides.on_client(|| UdpSocket::bind(from).unwrap().send_to(b"probe", to).unwrap());
    socket.recv_from(&mut [0; 16]).is_ok()
}

#[test]
fn the_firewalls_rules_let_in_what_is_served_and_what_a_board_lives_on() {
    let Some(sides) = Namespaces::new() else { return };
    let lists = format!("deny = [\"{}\"]", namespace::OTHER);
    let server = sides.on_camera(|| {
        let server = format!("listen = [\"[::]:8554\"]\nudp_ports = \"8000-8001\"\nanonymous = true\n{lists}");
        Server::start(&server, &format!("{CAMERA}{MAIN}"))
    });
    let (closed, ssh) = sides.on_camera(|| (TcpListener::bind("[::]:9999"), TcpListener::bind("[::]:22")));
    let bind = |address: &str| sides.on_camera(|| UdpSocket::bind(address).unwrap());
    let (dhcp, mdns, other) = (bind("0.0.0.0:68"), bind("0.0.0.0:5353"), bind("0.0.0.0:7000"));
    mdns.join_multicast_v4(&"224.0.0.251".parse().unwrap(), &namespace::CAMERA.parse().unwrap()).unwrap();
    let camera = |port: u16| format!("{}:{port}", namespace::CAMERA);
    let tcp = |from: &str, to: &str| sides.on_client(|| reaches(from, to));
    // Each probe can be seen before there are rules.
    assert!(tcp(namespace::CLIENT, &camera(9999)) && tcp(namespace::CLIENT, &camera(22)));
    assert!(hears(&sides, &other, "0.0.0.0:0", &camera(7000)));

    let rules = rules(&server);
    assert!(sides.on_camera(|| nft(&["-c", "-f", "-"], &rules)), "{rules}");
    assert!(sides.on_camera(|| nft(&["-f", "-"], &rules)), "{rules}");
    assert!(sides.on_camera(|| nft(&["-f", "-"], &rules)), "and once more in place of itself");
    assert!(!tcp(namespace::CLIENT, &camera(9999)), "what is not served");
    assert!(!hears(&sides, &other, "0.0.0.0:0", &camera(7000)));
    assert!(tcp(namespace::CLIENT, &camera(8554)));
    assert!(tcp("fd99::2", "[fd99::1]:8554"), "with its neighbours found");
    assert!(!tcp(namespace::OTHER, &camera(8554)), "denied");
    assert!(tcp(namespace::OTHER, &camera(22)), "but not to who looks after it");
    assert!(hears(&sides, &dhcp, "0.0.0.0:67", &camera(68)));
    assert!(!hears(&sides, &dhcp, "0.0.0.0:6700", &camera(68)));
    assert!(hears(&sides, &mdns, "0.0.0.0:0", "224.0.0.251:5353"));
    sides.on_client(|| {
        // Media goes out; what comes to its ports is let in without having been asked for.
        let (mut client, pair) = (Client::connect(&server.url("main")), Pair::at(namespace::CLIENT.parse().unwrap()));
        let answer = client.set_up(0, &pair.transport());
        client.ok("PLAY", "");
        super::world::datagram(&pair.rtp);
        assert_eq!(answer.server_port(), 8000);
        UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"probe", camera(8001)).unwrap();
    });
    for _ in 0..PATIENCE.as_millis() / 50 {
        if status(&server)["network"]["stray_datagrams"] == 1 {
            drop((closed, ssh));
            return server.stop();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("a datagram to port 8001 does not come in: {}", status(&server));
}

/// As a router asks who is in which group (RFC 2236 §2), to all hosts.
const GROUP_QUERY: [u8; 8] = [0x11, 1, 0xEE, 0xFE, 0, 0, 0, 0];
const LINK_LOCAL: [&str; 2] = ["fe80::99:1", "fe80::99:2"];
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 12, 1);

/// What keeps a board in its groups and its addresses, and the reports of a group's members: each is let in by its rule,
/// and by no other.
#[test]
fn the_firewalls_rules_let_in_what_groups_and_addresses_live_on() {
    let Some(sides) = Namespaces::new() else { return };
    sides.on_camera(|| namespace::ip(&format!("addr add {}/64 dev v0 nodad", LINK_LOCAL[0])));
    sides.on_client(|| namespace::ip(&format!("addr add {}/64 dev v0 nodad", LINK_LOCAL[1])));
    let group = format!("multicast = {{ address = \"{GROUP}\", port = 5004 }}");
    let server = sides.on_camera(|| {
        let lists = format!("deny = [\"{}\"]", namespace::OTHER);
        Server::start(
            &format!("listen = [\"[::]:8554\"]\nanonymous = true\n{lists}"),
            &format!("{CAMERA}{MAIN}{group}"),
        )
    });
    let raw = || Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(nix::libc::IPPROTO_IGMP))).unwrap();
    let igmp = sides.on_camera(raw);
    igmp.set_read_timeout(Some(PROBE)).unwrap();
    let hears_query = || {
        igmp.set_nonblocking(true).unwrap();
        while read(&igmp).is_some() {}
        igmp.set_nonblocking(false).unwrap();
        sides.on_client(|| {
            let all: SocketAddr = "224.0.0.1:0".parse().unwrap();
            raw().send_to(&GROUP_QUERY, &all.into()).unwrap();
        });
        // Its own side's reports come back to it too.
        (0..10).map_while(|_| read(&igmp)).any(|packet| packet.ends_with(&GROUP_QUERY))
    };
    let dhcp = sides.on_camera(|| UdpSocket::bind("[::]:546").unwrap());
    let hears_lease = |from: &str, port: u16| {
        drain(&dhcp);
        dhcp.set_read_timeout(Some(PROBE)).unwrap();
        sides.on_client(|| {
            let scope = nix::net::if_::if_nametoindex("v0").unwrap();
            let [from, to] = [(from, port), (LINK_LOCAL[0], 546)]
                .map(|(address, port)| SocketAddrV6::new(address.parse().unwrap(), port, 0, scope));
            UdpSocket::bind(from).unwrap().send_to(b"lease", to).unwrap();
        });
        dhcp.recv_from(&mut [0; 16]).is_ok()
    };
    let member = |port: u16| {
        sides.on_camera(|| {
            let socket = UdpSocket::bind((GROUP, port)).unwrap();
            socket.join_multicast_v4(&GROUP, &namespace::CAMERA.parse().unwrap()).unwrap();
            socket
        })
    };
    let sockets = [5004, 5005, 5006, 5007].map(|port| (port, member(port)));
    let hears_reports = |from: &str| {
        let heard = sockets
            .iter()
            .filter(|(port, socket)| hears(&sides, socket, &format!("{from}:0"), &format!("{GROUP}:{port}")));
        heard.map(|(port, _)| *port).collect::<Vec<_>>()
    };
    // Each probe can be seen before there are rules, once the cable is found to be plugged in at both ends.
    assert!((0..20).any(|_| hears_query()) && (0..20).any(|_| hears_lease(LINK_LOCAL[1], 547)));
    assert_eq!(hears_reports(namespace::CLIENT), [5004, 5005, 5006, 5007]);

    let rules = rules(&server);
    let load = |rules: &str| assert!(sides.on_camera(|| nft(&["-f", "-"], rules)), "{rules}");
    load(&rules);
    assert!(hears_query());
    assert!(hears_lease(LINK_LOCAL[1], 547));
    assert!(!hears_lease(LINK_LOCAL[1], 5470) && !hears_lease("fd99::2", 547), "no server of leases");
    assert_eq!(hears_reports(namespace::CLIENT), [5005, 5007]);
    assert_eq!(hears_reports(namespace::OTHER), [0; 0], "denied");
    let without = |rule: &str| rules.lines().filter(|line| !line.contains(rule)).collect::<Vec<_>>().join("\n") + "\n";
    load(&without("ip protocol igmp"));
    assert!(!hears_query());
    load(&without("sport 547"));
    assert!(!hears_lease(LINK_LOCAL[1], 547));
    load(&without("reports on main"));
    assert_eq!(hears_reports(namespace::CLIENT), [0; 0]);
    server.stop();
}

/// A datagram, with its header; None when none comes.
fn read(socket: &Socket) -> Option<Vec<u8>> {
    let mut packet = vec![0; 256];
    let length = (&*socket).read(&mut packet).ok()?;
    packet.truncate(length);
    Some(packet)
}

fn descriptors(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count()
}

#[test]
fn hosts_that_vanish_are_forgotten_and_nobody_else_notices() {
    let Some(sides) = Namespaces::new() else { return };
    let server = sides.on_camera(|| {
        let server = "listen = [\"[::]:8554\"]\nudp_ports = \"8000-8001\"\nanonymous = true\nsession_timeout = \"1s\"";
        Server::start(server, &format!("{CAMERA}{MAIN}"))
    });
    let near = server.url("main");
    let mut good = sides.on_camera(|| Client::watch(&near, 2));
    Received::pictures(&mut good, 1);
    let before = descriptors(&server);
    let far = sides.on_client(|| {
        let mut clients: Vec<_> = (0..10).map(|_| Client::watch(&near, 2)).collect();
        let pair = Pair::at(namespace::CLIENT.parse().unwrap());
        let mut udp = Client::connect(&near);
        assert_eq!(udp.set_up(0, &pair.transport()).status, 200);
        udp.ok("PLAY", "");
        clients.push(udp);
        // Connections that say nothing at all.
        let silent: Vec<_> =
            (0..10).map(|_| TcpStream::connect(clients[0].socket.peer_addr().unwrap()).unwrap()).collect();
        (clients, pair, silent)
    });
    await_stream(&server, "main", |stream| stream["viewers"].as_array().unwrap().len() == 12);
    sides.unplug();
    let mut received = Received::pictures(&mut good, 1);
    // Ten seconds without a byte taken, then they are closed. Those that say nothing have a minute, as has the connection of
    // the one over UDP.
    let viewers = || super::world::stream(&server, "main")["viewers"].as_array().unwrap().len();
    while viewers() > 1 || descriptors(&server) > before + 11 {
        assert!(received.rtp[0].len() < 3000, "{before} descriptors before, {} now", descriptors(&server));
        let wanted = received.rtp[0].len() + 30;
        while received.rtp[0].len() < wanted {
            let frame = good.frame();
            received.add(&frame);
        }
    }
    received.rtp.iter().for_each(|packets| assert_unbroken(packets));
    drop(far);
    server.stop();
}
