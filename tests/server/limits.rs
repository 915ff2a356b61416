//! Who may connect, and how many.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use super::{
    client::{Client, Incoming},
    world::{Pair, open},
};

/// The status of OPTIONS, and whether the connection stays open after it.
fn options(client: &mut Client) -> u16 {
    let url = client.url.clone();
    let status = client.request("OPTIONS", &url, "").status;
    if status == 503 {
        assert!(client.next().is_none(), "not closed after 503");
    }
    status
}

#[test]
fn over_the_cap_there_is_503() {
    let server = open("max_connections = 2");
    let url = server.url("main");
    let mut inside = [Client::connect(&url), Client::connect(&url)];
    inside.iter_mut().for_each(|client| assert_eq!(options(client), 200));
    assert_eq!(options(&mut Client::connect(&url)), 503);
    // In the words of who asks.
    for request in ["GET /main HTTP/1.0\r\nx-sessioncookie: c\r\n\r\n", "POST / HTTP/1.1\r\n\r\n"] {
        let mut socket = Client::connect(&url).socket;
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    }
    inside.iter_mut().for_each(|client| assert_eq!(options(client), 200));
    drop(inside);
    // The server learns of it in its own time.
    while options(&mut Client::connect(&url)) == 503 {
        thread::sleep(Duration::from_millis(20));
    }
    server.stop();
}

#[test]
fn one_address_cannot_take_all_places() {
    let server = open("max_connections_per_address = 1");
    let url = server.url("main");
    let mut one = Client::connect(&url);
    assert_eq!(options(&mut one), 200);
    assert_eq!(options(&mut Client::connect(&url)), 503);
    assert_eq!(options(&mut Client::connect_from("127.0.0.2", &url)), 200);
    server.stop();
}

/// A flood is stopped, also that of many connections; who keeps a session alive at the same address is served, and so
/// are others.
#[test]
fn requests_are_counted() {
    let server = open("max_requests_per_address = 1");
    let url = server.url("main");
    let mut viewer = Client::watch(&url, 1);
    let mut flood = Client::connect_from("127.0.0.2", &url);
    let mut served = 0;
    while options(&mut flood) == 200 {
        served += 1;
    }
    assert!((20..40).contains(&served), "{served}");
    assert_eq!(options(&mut Client::connect_from("127.0.0.2", &url)), 503, "another connection");
    assert_eq!(options(&mut Client::connect_from("127.0.0.3", &url)), 200);
    // Of its own address nothing is left either, but this one has asked little.
    while options(&mut Client::connect(&url)) == 200 {}
    (0..10).for_each(|_| drop(viewer.ok("GET_PARAMETER", "")));
    viewer.frame();
    // All at once is one answer more.
    let request = format!("OPTIONS {url} RTSP/1.0\r\nCSeq: 9\r\n\r\n");
    viewer.send_raw(request.repeat(100).as_bytes());
    let mut statuses = Vec::new();
    while let Some(incoming) = viewer.next() {
        if let Incoming::Response(response) = incoming {
            statuses.push(response.status);
        }
    }
    assert_eq!(statuses.pop(), Some(503));
    assert!(statuses.iter().all(|status| *status == 200) && statuses.len() < 100, "{}", statuses.len());
    server.stop();
}

/// They outlive their connections, so who comes again and again is bounded too.
#[test]
fn sessions_over_udp_are_counted() {
    let server = open("max_connections_per_address = 2");
    let (url, pair) = (server.url("main"), Pair::new());
    let set_up = |client: &mut Client| {
        client.session = None;
        client.set_up(0, &pair.transport()).status
    };
    for _ in 0..2 {
        let mut client = Client::connect(&url);
        (0..16).for_each(|_| assert_eq!(set_up(&mut client), 200));
    }
    let mut client = Client::connect(&url);
    while options(&mut client) == 503 {
        client = Client::connect(&url);
    }
    assert_eq!(set_up(&mut client), 503);
    assert_eq!(set_up(&mut Client::connect_from("127.0.0.2", &url)), 200);
    server.stop();
}

/// The server closes without a byte.
fn is_shut_out(mut socket: TcpStream) -> bool {
    let _ = socket.write_all(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n");
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    answer.is_empty()
}

#[test]
fn addresses_that_are_not_welcome_get_no_byte() {
    let server = open("allow = [\"127.0.0.0/29\"]\ndeny = [\"127.0.0.2\"]");
    let url = server.url("main");
    assert_eq!(options(&mut Client::connect_from("127.0.0.1", &url)), 200);
    assert_eq!(options(&mut Client::connect_from("127.0.0.3", &url)), 200);
    assert!(is_shut_out(Client::connect_from("127.0.0.2", &url).socket), "denied");
    assert!(is_shut_out(Client::connect_from("127.0.0.9", &url).socket), "not allowed");
    server.stop();
}
