//! Viewers that do not read, or get less than is sent.

use std::{
    net::SocketAddr,
    process::Command,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::Duration,
};

use socket2::{Domain, Socket, Type};

use super::{
    client::{Client, address},
    packets::{Received, assert_unbroken, pictures},
    world::{CAMERA, await_stream, status},
};
use crate::support::{Namespaces, Server};

/// A viewer whose kernel takes little.
fn narrow(url: &str) -> (Client, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address(url).into()).unwrap();
    let mut client = Client::on(socket.into(), url);
    client.set_up_tcp(1);
    client.ok("PLAY", "");
    let address = client.socket.local_addr().unwrap();
    (client, address)
}

#[test]
fn one_that_stops_reading_loses_and_nobody_else() {
    let camera = CAMERA.replace("fps = 30", "fps = 30\nscene = \"busy\"");
    let main = "[stream.main]\nvideo = { from = \"cam\", bitrate = \"2M\", gop = \"1s\" }";
    let server = Server::start("anonymous = true", &format!("{camera}{main}"));
    let url = server.url("main");
    let mut good = Client::watch(&url, 1);
    let (mut pausing, pausing_at) = narrow(&url);
    let (stuck, stuck_at) = narrow(&url);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| Received::until(&mut good, |_| over.load(Ordering::Relaxed)));
        thread::sleep(Duration::from_secs(5));
        // It missed three seconds and more: after what its buffers held comes a gap, then a key frame.
        let received = Received::until(&mut pausing, |it| {
            let gap = it.rtp[0].windows(2).position(|pair| pair[1].seq != pair[0].seq.wrapping_add(1));
            gap.is_some_and(|gap| it.rtp[0][gap + 1..].iter().filter(|packet| packet.marker).count() > 3)
        });
        let packets = &received.rtp[0];
        let gap = packets.windows(2).position(|pair| pair[1].seq != pair[0].seq.wrapping_add(1)).unwrap();
        assert!(packets[gap].marker, "the gap is inside a picture");
        let after = &packets[gap + 1..];
        assert_unbroken(after);
        assert!(pictures(after)[0].is_a_beginning(), "{:?}", pictures(after)[0]);
        let viewer = |stream: &serde_json::Value, address: SocketAddr| {
            let viewers = stream["viewers"].as_array().unwrap();
            viewers.iter().find(|viewer| viewer["address"] == address.to_string()).cloned()
        };
        let stream = await_stream(&server, "main", |stream| viewer(stream, pausing_at).is_some());
        assert!(viewer(&stream, pausing_at).unwrap()["dropped"].as_u64().unwrap() > 10, "{stream}");
        drop(pausing);
        await_stream(&server, "main", |stream| viewer(stream, stuck_at).is_none());
        assert!(server.log().contains("has read nothing for 10 s"), "{}", server.log());
        assert_eq!(status(&server)["network"]["stalled_viewers"], 1);
        over.store(true, Ordering::Relaxed);
        let received = reader.join().unwrap();
        assert_unbroken(&received.rtp[0]);
        assert!(received.rtp[0].len() > 300);
    });
    drop(stuck);
    server.stop();
}

/// What a viewer over TCP gets is never older than this, in ticks of 90 kHz: two seconds wait here, the 128 kB that wait in
/// the kernel take 1.5 s over that link, and the rest is on its way.
const OLDEST: i32 = 45 * 9000;

#[test]
fn one_on_a_link_slower_than_the_stream_sees_what_is_new_and_nobody_else_loses() {
    let Some(sides) = Namespaces::new() else { return };
    let camera = CAMERA.replace("fps = 30", "fps = 30\nscene = \"busy\"");
    let main = "[stream.main]\nvideo = { from = \"cam\", bitrate = \"2M\", gop = \"2s\" }";
    let server = sides.on_camera(|| {
        let narrow =
            ["qdisc", "replace", "dev", "v0", "root", "tbf", "rate", "700kbit", "burst", "16kb", "latency", "50ms"];
        assert!(Command::new("tc").args(narrow).status().unwrap().success());
        Server::start("listen = [\"[::]:8554\"]\nanonymous = true", &format!("{camera}{main}"))
    });
    let url = server.url("main");
    let mut good = sides.on_camera(|| Client::watch(&url, 1));
    let (newest, over) = (AtomicU32::new(0), AtomicBool::new(false));
    let (mut oldest, mut gaps) = (0, 0);
    let (slow, good) = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            Received::until(&mut good, |it| {
                if let Some(packet) = it.rtp[0].last() {
                    newest.store(packet.timestamp, Ordering::Relaxed);
                }
                over.load(Ordering::Relaxed)
            })
        });
        // Whatever becomes of the slow one, the other ends.
        let slow = scope.spawn(|| {
            let mut slow = sides.on_client(|| Client::watch(&url, 1));
            Received::until(&mut slow, |it| {
                let [.., before, last] = &it.rtp[0][..] else { return false };
                gaps += usize::from(last.seq != before.seq.wrapping_add(1));
                // One that the other has not got yet is not old.
                oldest = oldest.max((newest.load(Ordering::Relaxed).wrapping_sub(last.timestamp) as i32).max(0));
                gaps >= 4 && last.marker && last.timestamp.wrapping_sub(it.rtp[0][0].timestamp) > 10 * 90_000
            })
        });
        let slow = slow.join();
        over.store(true, Ordering::Relaxed);
        (slow.unwrap(), reader.join().unwrap())
    });
    assert!(oldest <= OLDEST, "{} s old", f64::from(oldest) / 9e4);
    // What is left out is whole pictures, and what follows begins with a key frame.
    for whole in slow.rtp[0].chunk_by(|before, next| next.seq == before.seq.wrapping_add(1)) {
        assert!(pictures(whole)[0].is_a_beginning(), "{:?}", pictures(whole)[0]);
    }
    let good = &good.rtp[0];
    assert_unbroken(good);
    // One that the stream makes every two seconds, and by the budget one a second more and four.
    let seconds = good.last().unwrap().timestamp.wrapping_sub(good[0].timestamp) as usize / 90_000;
    let keys = pictures(good).iter().filter(|picture| picture.is_a_beginning()).count();
    assert!(keys <= 5 + seconds + seconds / 2, "{keys} key frames in {seconds} s");
    server.stop();
}
