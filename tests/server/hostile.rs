//! Clients that mean harm: the others notice nothing.

use super::{
    client::Client,
    packets::{Received, assert_unbroken},
    world::open,
};

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
