//! Clients that mean harm: the others notice nothing.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpStream, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use socket2::SockRef;

use super::{
    client::{Client, PATIENCE, address},
    packets::{Received, assert_unbroken, empty_rtp, receiver_report},
    world::{Pair, datagram, open, status},
};
use crate::support::Server;

#[test]
fn harm_stays_with_its_doer() {
    let server = open("");
    let url = server.url("main");
    let mut viewer = Client::watch(&url, 2);

    let half = format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: a");
    let halves: Vec<_> = (0..300)
        .map(|_| {
            let mut client = Client::connect(&url);
            client.send_raw(half.as_bytes());
            client
        })
        .collect();
    assert_eq!(Client::connect(&url).describe().status, 200);
    let before: Vec<_> = Received::pictures(&mut viewer, 30).rtp.into();
    before.iter().for_each(|packets| assert_unbroken(packets));
    drop(halves);

    // Frames of a session that does not exist are passed over, but not for ever.
    let mut stray = Client::connect(&url);
    stray.send_raw(&b"$\x00\x00\x04abcd".repeat(10));
    stray.ok("OPTIONS", "");
    stray.send_raw(&b"$\x00\x00\x04abcd".repeat(100));
    assert!(stray.next().is_none());

    let mut huge = Client::connect(&url);
    huge.send_raw(format!("GET_PARAMETER {url} RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 4294967296\r\n\r\n").as_bytes());
    assert_eq!(huge.response().status, 413);
    assert!(huge.next().is_none());

    for rubbish in [
        &b"\0\0\0\0\0\0\0\0\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xFF; 4096],
    ] {
        Client::connect(&url).send_raw(rubbish);
    }
    Client::connect(&url).ok("OPTIONS", "");
    Received::pictures(&mut viewer, 10).rtp.iter().for_each(|packets| assert_unbroken(packets));
    server.stop();
}

/// Ends the threads that watch it, also where a judgement failed.
struct Raise<'a>(&'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What the process holds: descriptors, and memory in kB.
fn held(server: &Server) -> (usize, i64) {
    let proc = format!("/proc/{}", server.pid());
    let memory = fs::read_to_string(format!("{proc}/status")).unwrap();
    let resident = memory.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    (fs::read_dir(format!("{proc}/fd")).unwrap().count(), resident.trim().trim_end_matches(" kB").parse().unwrap())
}

/// Connects, or is not let in; says something, and does not wait for an answer.
fn throw(url: &str, bytes: &[u8]) -> Option<TcpStream> {
    let mut socket = TcpStream::connect(address(url)).ok()?;
    let _ = socket.write_all(bytes);
    Some(socket)
}

/// All that a stranger can think of, from one address.
fn attack(url: &str, media_port: u16) {
    let pair = Pair::new();
    // Thousands that connect and say nothing, or half a request, or leave by a reset; most are over the cap.
    let mut crowd: Vec<_> = (0..2000)
        .filter_map(|number: u32| {
            let words = if number.is_multiple_of(2) { "" } else { "DESCRIBE rtsp://h/main RTS" };
            throw(url, words.as_bytes())
        })
        .collect();
    crowd.drain(..1000).for_each(|socket| SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap());
    // One byte now and then.
    for byte in b"P/1.0\r\nCSeq" {
        crowd.iter_mut().for_each(|socket| drop(socket.write(&[*byte])));
        thread::sleep(Duration::from_millis(50));
    }
    drop(crowd);
    // SETUP after SETUP, each for a session of its own, over UDP and inside; nobody reads the answers.
    for transport in [pair.transport(), "RTP/AVP/TCP;unicast;interleaved=0-1".into()] {
        let flood: String = (1..2000)
            .map(|cseq| format!("SETUP {url}/trackID=0 RTSP/1.0\r\nCSeq: {cseq}\r\nTransport: {transport}\r\n\r\n"))
            .collect();
        let floods: Vec<_> = (0..10)
            .map(|_| {
                let (url, flood) = (url.to_owned(), flood.clone());
                thread::spawn(move || {
                    let socket = TcpStream::connect(address(&url)).ok()?;
                    socket.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
                    let _ = (&socket).write_all(flood.as_bytes());
                    Some(socket)
                })
            })
            .collect();
        floods.into_iter().for_each(|flood| drop(flood.join().unwrap()));
    }
    // Frames of no session, a body without end, what is no RTSP.
    let huge =
        format!("SET_PARAMETER {url} RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 4294967296\r\n\r\n{}", "x".repeat(100_000));
    for words in [b"$\x00\xff\xff".repeat(20_000), huge.into_bytes(), vec![0xff; 200_000], b"a:b\r\n".repeat(30_000)] {
        throw(url, &words);
    }
    // From strangers to the media ports: rubbish, RTP, reports.
    let stranger = UdpSocket::bind("127.0.0.3:0").unwrap();
    for datagram in [&[0xff; 1400][..], &empty_rtp(), &receiver_report(), &[]] {
        for port in [media_port, media_port + 1] {
            (0..300).for_each(|_| drop(stranger.send_to(datagram, ("127.0.0.1", port))));
        }
    }
}

#[test]
fn an_attack_costs_the_others_nothing_and_leaves_nothing_behind() {
    let server = open("session_timeout = \"1s\"");
    let url = server.url("main");
    let (over, done) = (AtomicBool::new(false), AtomicBool::new(false));
    let (mut udp, pair) = (Client::connect(&url), Pair::new());
    let media_port = udp.set_up(0, &pair.transport()).server_port();
    udp.ok("PLAY", "");
    datagram(&pair.rtp);
    // A hundred, one of which reads nothing.
    let viewers: Vec<_> = (0..99).map(|_| Client::watch(&url, 1)).collect();
    thread::scope(|scope| {
        let _end = [Raise(&over), Raise(&done)];
        let others: Vec<_> = viewers
            .into_iter()
            .map(|mut viewer| {
                let over = &over;
                scope.spawn(move || Received::until(&mut viewer, |_| over.load(Ordering::Relaxed)))
            })
            .collect();
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                udp.ok("GET_PARAMETER", "");
                thread::sleep(Duration::from_millis(200));
            }
        });
        let (fds, memory) = {
            let warm = throw(&url, b"");
            drop(warm);
            thread::sleep(Duration::from_secs(1));
            held(&server)
        };
        let stalled = Client::watch(&url, 1);
        let asking = scope.spawn(|| {
            let mut answered = 0;
            while !done.load(Ordering::Relaxed) {
                Client::connect_from("127.0.0.2", &url).ok("OPTIONS", "");
                answered += 1;
                thread::sleep(Duration::from_millis(20));
            }
            answered
        });
        attack(&url, media_port);
        done.store(true, Ordering::Relaxed);
        let answered = asking.join().unwrap();
        assert!(answered > 3, "OPTIONS from elsewhere was answered {answered} times");
        drop(stalled);
        // Sessions over UDP have their time-out yet.
        let mut now = held(&server);
        for _ in 0..2 * PATIENCE.as_millis() / 100 {
            if now.0 <= fds && now.1 <= memory + 5000 {
                break;
            }
            thread::sleep(Duration::from_millis(100));
            now = held(&server);
        }
        assert_eq!(now.0, fds, "descriptors");
        assert!(now.1 <= memory + 5000, "{memory} kB before, {} kB after", now.1);
        eprintln!("{fds} descriptors and {memory} kB before, {now:?} after; {answered} OPTIONS answered");
        assert!(status(&server)["network"]["stray_datagrams"].as_u64().unwrap() > 0);
        over.store(true, Ordering::Relaxed);
        for other in others {
            let received = other.join().unwrap();
            assert_unbroken(&received.rtp[0]);
            assert!(received.rtp[0].len() > 100);
        }
    });
    let mut scrap = [0; 2048];
    pair.rtp.set_nonblocking(true).unwrap();
    assert!(pair.rtp.recv(&mut scrap).is_ok(), "the viewer by UDP has its media still");
    server.stop();
}

/// What a client writes into a request comes back, if at all, as a value; and no path leads out.
#[test]
fn no_header_is_injected_and_no_path_leads_out() {
    let server = open("");
    let url = server.url("main");
    let mut answers = String::new();
    for (target, more) in [
        (format!("{url}%0d%0aX-Evil:%201"), ""),
        (format!("{url}\rX-Evil: 1"), ""),
        (format!("{url}?a=%0d%0aX-Evil:%201"), ""),
        (url.clone(), "Timestamp: 1\rX-Evil: 1\r\n"),
        (url.clone(), "Require: a\rX-Evil: 1\r\n"),
        (url.clone(), "Require: a\nX-Evil: 1\r\n"),
    ] {
        let mut socket = TcpStream::connect(address(&url)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("DESCRIBE {target} RTSP/1.0\r\nCSeq: 1\r\nConnection: close\r\n{more}\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        socket.read_to_string(&mut answers).unwrap();
    }
    assert!(answers.matches("RTSP/1.0 ").count() >= 6, "{answers}");
    assert!(!answers.lines().any(|line| line.split('\r').any(|part| part.starts_with("X-Evil"))), "{answers}");
    let mut client = Client::connect(&url);
    for path in
        ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/main/../../etc/passwd", "//etc/passwd", "/main%00", "/"]
    {
        assert_eq!(client.request("DESCRIBE", &url.replace("/main", path), "").status, 404, "{path}");
    }
    server.stop();
}
