//! Viewers that do not read.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use socket2::{Domain, Socket, Type};

use super::{
    client::{Client, address},
    packets::{Received, assert_unbroken, pictures},
    world::{CAMERA, await_stream, status},
};
use crate::support::Server;

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
