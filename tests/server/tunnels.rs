//! RTSP inside HTTP and WebSocket, in clear and inside TLS.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::version::TLS13;
use socket2::{Domain, Socket, Type};
use tungstenite::{Message, WebSocket, client::IntoClientRequest, protocol::frame::coding::CloseCode};

use super::{
    client::{Client, address, patient},
    packets::{Received, assert_unbroken},
    secure::{self, LISTEN_TLS},
    world::{CAMERA, MAIN, await_stream, open, status},
};
use crate::support::Server;

pub trait Wire: Read + Write + Send {}
impl<S: Read + Write + Send> Wire for S {}

pub type AnyWire = Box<dyn Wire>;

pub fn plain(server: &Server) -> AnyWire {
    Box::new(connect(server))
}

fn connect(server: &Server) -> TcpStream {
    let socket = TcpStream::connect(address(&server.url("main"))).unwrap();
    patient(&socket);
    socket
}

pub fn inside_tls(server: &Server) -> AnyWire {
    Box::new(secure::connect(&secure::url(server, "main"), &secure::made(server), &TLS13).unwrap())
}

pub fn get(cookie: &str) -> String {
    format!("GET /main HTTP/1.0\r\nx-sessioncookie: {cookie}\r\nAccept: application/x-rtsp-tunnelled\r\n\r\n")
}

/// As clients write it: with a length that means nothing.
pub fn post(cookie: &str) -> String {
    format!(
        "POST /any/path HTTP/1.0\r\nx-sessioncookie: {cookie}\r\nContent-Type: application/x-rtsp-tunnelled\r\n\
         Content-Length: 7\r\n\r\n"
    )
}

pub fn send(wire: &mut impl Write, text: &str) {
    wire.write_all(text.as_bytes()).unwrap();
    wire.flush().unwrap();
}

/// The head of an HTTP answer.
pub fn head(wire: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(wire.read(&mut byte).unwrap(), 1, "closed after {:?}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// What is written is one request, and goes base64 by itself through the POST.
pub struct Http {
    get: AnyWire,
    post: AnyWire,
}

impl Read for Http {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.get.read(buffer)
    }
}

impl Write for Http {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.post.write_all(STANDARD.encode(bytes).as_bytes())?;
        self.post.flush()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub fn tunnel(server: &Server, cookie: &str, connect: fn(&Server) -> AnyWire) -> Client<Http> {
    let (mut the_get, mut the_post) = (connect(server), connect(server));
    send(&mut the_get, &get(cookie));
    let answer = head(&mut the_get);
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.contains("application/x-rtsp-tunnelled"), "{answer}");
    send(&mut the_post, &post(cookie));
    Client::through(Http { get: the_get, post: the_post }, &server.url("main"))
}

#[test]
fn pictures_and_sound_come_through_http() {
    let server = open(LISTEN_TLS);
    for (connect, name) in [(plain as fn(&Server) -> AnyWire, "http"), (inside_tls, "http+tls")] {
        let mut client = tunnel(&server, name, connect);
        assert_eq!(client.describe().status, 200);
        client.set_up_tcp(2);
        client.ok("PLAY", "");
        let received = Received::pictures(&mut client, 20);
        received.rtp.iter().for_each(|packets| assert_unbroken(packets));
        let stream = await_stream(&server, "main", |stream| stream["viewers"][0].is_object());
        assert_eq!(stream["viewers"][0]["transport"], name);
        assert_eq!(status(&server)["network"]["connections"], 2);
        client.ok("TEARDOWN", "");
    }
    server.stop();
}

#[test]
fn the_post_may_come_first_and_nobody_asks_for_a_password_in_http() {
    let user = "[[user]]\nname = \"nvr\"\nmd5 = \"981f15ce7b213f8d217bb136ef992afd\"";
    let server = Server::start("", &format!("{CAMERA}{MAIN}{user}"));
    let (mut the_post, mut the_get) = (plain(&server), plain(&server));
    let request = STANDARD.encode(format!("OPTIONS {} RTSP/1.0\r\nCSeq: 77\r\n\r\n", server.url("main")));
    send(&mut the_post, &(post("c") + &request));
    thread::sleep(Duration::from_millis(200));
    send(&mut the_get, &get("c"));
    assert!(head(&mut the_get).starts_with("HTTP/1.0 200 OK\r\n"));
    let mut client = Client::through(Http { get: the_get, post: the_post }, &server.url("main"));
    assert_eq!(client.response().header("CSeq"), Some("77"));
    client.log_in("nvr", "s3cret pass");
    assert_eq!(client.describe().status, 200);
    server.stop();
}

#[test]
fn a_post_may_end_and_come_again() {
    let server = open("");
    let mut client = tunnel(&server, "c", plain);
    client.set_up_tcp(1);
    client.ok("PLAY", "");
    Received::pictures(&mut client, 2);
    // It ends, and nothing else does.
    client.socket.post = plain(&server);
    Received::pictures(&mut client, 5);
    send(&mut client.socket.post, &post("c"));
    client.ok("GET_PARAMETER", "");
    // Another comes before it ends, in the midst of a request.
    let url = client.url.clone();
    let request = format!("OPTIONS {url} RTSP/1.0\r\nCSeq: 99\r\n\r\n");
    let (begin, end) = request.split_at(20);
    client.send_raw(begin.as_bytes());
    let mut next = plain(&server);
    send(&mut next, &post("c"));
    let former = std::mem::replace(&mut client.socket.post, next);
    client.send_raw(end.as_bytes());
    assert_eq!(client.response().header("CSeq"), Some("99"));
    let mut rest = Vec::new();
    { former }.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "{rest:?}");
    let received = Received::pictures(&mut client, 5);
    assert_unbroken(&received.rtp[0]);
    server.stop();
}

/// As proxies pass on what has no length of its own.
#[test]
fn a_post_may_come_in_chunks() {
    let server = open("");
    let mut client = tunnel(&server, "c", plain);
    let url = client.url.clone();
    let in_chunks = |cseq: u32| {
        let request = STANDARD.encode(format!("OPTIONS {url} RTSP/1.0\r\nCSeq: {cseq}\r\n\r\n"));
        let pieces = request.as_bytes().chunks(25).map(|piece| str::from_utf8(piece).unwrap());
        pieces.map(|piece| format!("{:x}\r\n{piece}\r\n", piece.len())).collect::<String>()
    };
    let head = post("c").replace("HTTP/1.0", "HTTP/1.1").replace("Content-Length: 7", "Transfer-Encoding: chunked");
    client.socket.post = plain(&server);
    send(&mut client.socket.post, &(head.clone() + &in_chunks(61)));
    assert_eq!(client.response().header("CSeq"), Some("61"));
    let (requests, rest) = (in_chunks(62) + "0\r\n\r\n", &mut Vec::new());
    for byte in requests.bytes() {
        client.socket.post.write_all(&[byte]).unwrap();
    }
    assert_eq!(client.response().header("CSeq"), Some("62"));
    // With its last chunk it has ended, and the tunnel goes on.
    client.socket.post.read_to_end(rest).unwrap();
    assert!(rest.is_empty(), "{rest:?}");
    client.socket.post = plain(&server);
    send(&mut client.socket.post, &post("c"));
    assert_eq!(client.describe().status, 200);
    // Compressed, nobody could read it.
    let mut other = plain(&server);
    send(&mut other, &head.replace("chunked", "gzip, chunked"));
    assert!(self::head(&mut other).starts_with("HTTP/1.1 501 "));
    assert_eq!(client.describe().status, 200);
    client.socket.post = plain(&server);
    send(&mut client.socket.post, &(head + "QUJD\r\n"));
    client.frames_to_the_end();
    server.stop();
}

#[test]
fn a_tunnel_ends_with_its_get_or_by_what_is_no_base64() {
    let server = open("");
    let mut client = tunnel(&server, "c", plain);
    client.set_up_tcp(1);
    client.ok("PLAY", "");
    // The same cookie again is another's.
    let mut second = plain(&server);
    send(&mut second, &get("c"));
    assert!(head(&mut second).starts_with("HTTP/1.0 409 "));
    send(&mut client.socket.post, "OPTIONS * RTSP/1.0\r\n");
    let frames = client.frames_to_the_end();
    assert!(frames.iter().any(|frame| frame.channel == 1), "no report");
    assert!(matches!(client.socket.post.read(&mut [0]), Ok(0) | Err(_)));
    // The cookie is free again, and its POST goes with the GET.
    let mut client = tunnel(&server, "c", plain);
    assert_eq!(client.describe().status, 200);
    client.socket.get = plain(&server);
    assert!(matches!(client.socket.post.read(&mut [0]), Ok(0) | Err(_)));
    server.stop();
}

#[test]
fn half_a_tunnel_is_closed_and_a_stranger_cannot_be_the_other() {
    let server = open("");
    let (mut lonely_get, mut lonely_post, mut other_get) = (plain(&server), plain(&server), plain(&server));
    send(&mut lonely_get, &get("a"));
    send(&mut lonely_post, &post("b"));
    // From another address, with the cookie.
    let stranger = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    stranger.bind(&SocketAddr::new("127.0.0.2".parse::<IpAddr>().unwrap(), 0).into()).unwrap();
    stranger.connect(&address(&server.url("main")).into()).unwrap();
    let mut stranger = TcpStream::from(stranger);
    patient(&stranger);
    send(&mut other_get, &get("c"));
    head(&mut other_get);
    send(&mut stranger, &post("c"));
    head(&mut lonely_get);
    assert!(secure::rest(&mut lonely_get).is_empty());
    assert!(head(&mut lonely_post).starts_with("HTTP/1.1 404 "));
    assert!(head(&mut stranger).starts_with("HTTP/1.1 404 "));
    assert_eq!(Client::connect(&server.url("main")).describe().status, 200);
    server.stop();
}

#[test]
fn what_is_not_listed_is_not_found() {
    let server = open("transports = [\"tcp\"]");
    let websocket = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: rtsp.onvif.org\r\n\r\n";
    for request in [get("c"), post("c"), websocket.to_owned(), "GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned()] {
        let mut wire = plain(&server);
        send(&mut wire, &request);
        let answer = head(&mut wire);
        assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{request} → {answer}");
        assert!(matches!(wire.read(&mut [0]), Ok(0) | Err(_)));
    }
    server.stop();
    // And the other way round: media only inside a tunnel.
    let server = open("transports = [\"http\", \"websocket\"]");
    assert_eq!(Client::connect(&server.url("main")).set_up(0, "RTP/AVP/TCP;unicast;interleaved=0-1").status, 461);
    assert_eq!(tunnel(&server, "c", plain).set_up(0, "RTP/AVP/TCP;unicast;interleaved=0-1").status, 200);
    // What opens no WebSocket as it should is told why.
    for (from, to, status) in
        [("13", "8", "426"), ("dGhlIHNhbXBsZSBub25jZQ==", "x", "400"), ("rtsp.onvif.org", "x", "404")]
    {
        let mut wire = plain(&server);
        send(&mut wire, &websocket.replace(from, to));
        let answer = head(&mut wire);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{to} → {answer}");
    }
    server.stop();
}

#[test]
fn a_slow_head_is_told_so_and_a_fast_one_may_be_cut_anywhere() {
    let server = open("");
    let mut slow = plain(&server);
    send(&mut slow, "GET /main HTTP/1.0\r\n");
    let mut fast = connect(&server);
    for byte in get("c").bytes() {
        fast.write_all(&[byte]).unwrap();
    }
    assert!(head(&mut fast).starts_with("HTTP/1.0 200 OK\r\n"));
    assert!(head(&mut slow).starts_with("RTSP/1.0 408 "));
    server.stop();
}

/// Each message is read, and written, as a piece of one stream.
pub struct Socketed {
    socket: WebSocket<AnyWire>,
    waiting: VecDeque<u8>,
    /// Whether each message so far was one whole response or frame.
    whole: bool,
    closed: Option<CloseCode>,
}

impl Socketed {
    pub fn open(server: &Server, wire: AnyWire) -> Client<Self> {
        let mut request = "ws://localhost/any/path".into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", "rtsp.onvif.org".parse().unwrap());
        let (socket, answer) = tungstenite::client(request, wire).unwrap();
        assert_eq!(answer.headers()["Sec-WebSocket-Protocol"], "rtsp.onvif.org");
        let socketed = Socketed { socket, waiting: VecDeque::new(), whole: true, closed: None };
        Client::through(socketed, &server.url("main"))
    }
}

impl Read for Socketed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.waiting.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(message)) => {
                    self.whole &= match &message[..] {
                        [b'$', _, high, low, rest @ ..] => rest.len() == usize::from(u16::from_be_bytes([*high, *low])),
                        response => response.starts_with(b"RTSP/1.0 "),
                    };
                    self.waiting.extend(&message[..]);
                }
                Ok(Message::Close(frame)) => self.closed = frame.map(|frame| frame.code),
                Ok(Message::Pong(payload)) => assert_eq!(payload, "?"),
                Ok(other) => panic!("{other}"),
                Err(tungstenite::Error::ConnectionClosed) => return Ok(0),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        self.waiting.read(buffer)
    }
}

impl Write for Socketed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send(Message::binary(bytes.to_vec())).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn pictures_and_sound_come_through_a_websocket() {
    let server = open(LISTEN_TLS);
    for (wire, name) in [(plain(&server), "websocket"), (inside_tls(&server), "websocket+tls")] {
        let mut client = Socketed::open(&server, wire);
        assert_eq!(client.describe().status, 200);
        client.set_up_tcp(2);
        client.ok("PLAY", "");
        let mut received = Received::pictures(&mut client, 10);
        client.socket.socket.send(Message::Ping("?".into())).unwrap();
        client.ok("GET_PARAMETER", "");
        // Several messages may be one request.
        let request = format!("OPTIONS {} RTSP/1.0\r\nCSeq: 55\r\n\r\n", client.url);
        request.as_bytes().chunks(9).for_each(|piece| client.send_raw(piece));
        assert_eq!(client.response().header("CSeq"), Some("55"));
        for frame in std::mem::take(&mut client.early) {
            received.add(&frame);
        }
        while received.rtp[0].iter().filter(|packet| packet.marker).count() < 20 {
            received.add(&client.frame());
        }
        received.rtp.iter().for_each(|packets| assert_unbroken(packets));
        assert!(client.socket.whole);
        let stream = await_stream(&server, "main", |stream| stream["viewers"][0].is_object());
        assert_eq!(stream["viewers"][0]["transport"], name);
        client.ok("TEARDOWN", "");
        client.early.clear();
        client.socket.socket.close(None).unwrap();
        assert!(client.frames_to_the_end().is_empty());
    }
    server.stop();
}

#[test]
fn the_end_of_the_server_is_said_in_the_websocket() {
    let server = open("");
    let mut client = Socketed::open(&server, plain(&server));
    client.hears_the_end_of(server);
    assert_eq!(client.socket.closed, Some(CloseCode::Normal));
}
