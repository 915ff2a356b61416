//! Who may connect, and how many.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use super::{
    client::Client,
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
