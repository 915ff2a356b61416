//! A small RTSP client over one TCP connection.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use md5::{Digest, Md5};
use sha2::Sha256;
use socket2::{Domain, Socket, Type};

use super::packets::Rtcp;
use crate::support::Server;

/// For what must come: a loaded machine is slow.
pub const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    }

    /// The value of `name=` in the Transport header.
    pub fn transport(&self, name: &str) -> Option<&str> {
        let mut parameters = self.header("Transport")?.split(';').filter_map(|parameter| parameter.split_once('='));
        parameters.find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// Of the track that the Transport header is of.
    pub fn ssrc(&self) -> u32 {
        u32::from_str_radix(self.transport("ssrc").unwrap(), 16).unwrap()
    }

    /// The even server port.
    pub fn server_port(&self) -> u16 {
        self.transport("server_port").unwrap().split('-').next().unwrap().parse().unwrap()
    }

    /// RTP-Info's sequence number and RTP time of a track.
    pub fn start_of(&self, track: u8) -> (u16, u32) {
        let info = self.header("RTP-Info").unwrap();
        let ending = format!("/trackID={track}");
        let part = info.split(',').find(|part| part.split(';').next().unwrap().ends_with(&ending));
        let part = part.unwrap_or_else(|| panic!("no track {track} in {info}"));
        let value = |name: &str| part.split(';').find_map(|field| field.strip_prefix(name)).unwrap();
        (value("seq=").parse().unwrap(), value("rtptime=").parse().unwrap())
    }
}

/// What came on an interleaved channel.
#[derive(Clone, Debug)]
pub struct Frame {
    pub channel: u8,
    pub payload: Vec<u8>,
}

/// What the server asks for; a response without a status.
#[derive(Debug)]
pub struct Request {
    /// Method and URL.
    pub line: String,
    headers: Response,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.header(name)
    }
}

#[derive(Debug)]
pub enum Incoming {
    Response(Response),
    Request(Request),
    Frame(Frame),
}

pub struct Client<S = TcpStream> {
    pub socket: S,
    buffer: Vec<u8>,
    cseq: u32,
    /// Of the stream.
    pub url: String,
    pub session: Option<String>,
    /// Sent with each request.
    pub login: Option<Login>,
    /// Frames that came while something else was awaited.
    pub early: VecDeque<Frame>,
    /// What the server asked for while something else was awaited.
    pub asked: VecDeque<Request>,
}

/// An answer to a challenge, for any request.
#[derive(Clone)]
pub struct Login {
    pub user: String,
    pub password: String,
    pub nonce: String,
    /// What is signed; None: the URL of the request.
    pub uri: Option<String>,
    sha256: bool,
    count: u32,
}

impl Login {
    pub fn new(challenge: &str, user: &str, password: &str) -> Self {
        let nonce = challenge.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap();
        let sha256 = challenge.contains("algorithm=SHA-256");
        Login { user: user.into(), password: password.into(), nonce: nonce.into(), uri: None, sha256, count: 0 }
    }

    fn digest(&self, text: String) -> String {
        if self.sha256 { hex::encode(Sha256::digest(text)) } else { hex::encode(Md5::digest(text)) }
    }

    fn header(&mut self, method: &str, uri: &str) -> String {
        self.count += 1;
        let Login { user, password, nonce, .. } = &*self;
        let uri = self.uri.as_deref().unwrap_or(uri);
        let nc = format!("{:08x}", self.count);
        let ha1 = self.digest(format!("{user}:Eyrie:{password}"));
        let ha2 = self.digest(format!("{method}:{uri}"));
        let response = self.digest(format!("{ha1}:{nonce}:{nc}:c0ffee:auth:{ha2}"));
        let algorithm = if self.sha256 { ", algorithm=SHA-256" } else { "" };
        format!(
            "Authorization: Digest username=\"{user}\", realm=\"Eyrie\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", qop=auth, nc={nc}, cnonce=\"c0ffee\"{algorithm}\r\n"
        )
    }
}

impl Client {
    /// A connection to the server that serves `url`.
    pub fn connect(url: &str) -> Self {
        Self::on(TcpStream::connect(address(url)).unwrap(), url)
    }

    /// From another address of this machine, such as 127.0.0.2.
    pub fn connect_from(from: &str, url: &str) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(from.parse().unwrap(), 0).into()).unwrap();
        socket.connect(&address(url).into()).unwrap();
        Self::on(socket.into(), url)
    }

    pub fn on(socket: TcpStream, url: &str) -> Self {
        patient(&socket);
        Self::through(socket, url)
    }

    /// A viewer of the first `tracks` tracks over TCP, playing.
    pub fn watch(url: &str, tracks: u8) -> Self {
        let mut client = Client::connect(url);
        client.set_up_tcp(tracks);
        client.ok("PLAY", "");
        client
    }
}

/// A socket that waits for what must come, but not for ever.
pub fn patient(socket: &TcpStream) {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket.set_nodelay(true).unwrap();
}

impl<S: Read + Write> Client<S> {
    /// A client whose bytes go through `socket`, whatever that makes of them.
    pub fn through(socket: S, url: &str) -> Self {
        Client {
            socket,
            buffer: Vec::new(),
            cseq: 0,
            url: url.into(),
            session: None,
            login: None,
            early: VecDeque::new(),
            asked: VecDeque::new(),
        }
    }

    /// The next response or frame; `None` if the server has closed.
    pub fn next(&mut self) -> Option<Incoming> {
        loop {
            if let Some((length, incoming)) = parse(&self.buffer) {
                self.buffer.drain(..length);
                return Some(incoming);
            }
            let mut chunk = [0; 65536];
            match self.socket.read(&mut chunk) {
                Ok(0) => return None,
                Ok(length) => self.buffer.extend_from_slice(&chunk[..length]),
                // A connection inside TLS that ends without saying so ends all the same.
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof) => {
                    return None;
                }
                Err(error) => panic!("{error} after {} bytes that are no message", self.buffer.len()),
            }
        }
    }

    /// The next response; frames before it wait.
    pub fn response(&mut self) -> Response {
        loop {
            match self.next().expect("closed instead of a response") {
                Incoming::Response(response) => return response,
                Incoming::Request(request) => self.asked.push_back(request),
                Incoming::Frame(frame) => self.early.push_back(frame),
            }
        }
    }

    /// The next request of the server; a response before it is a fault.
    pub fn asked(&mut self) -> Request {
        loop {
            if let Some(request) = self.asked.pop_front() {
                return request;
            }
            match self.next().expect("closed instead of a request") {
                Incoming::Request(request) => return request,
                Incoming::Frame(frame) => self.early.push_back(frame),
                Incoming::Response(response) => panic!("a response that nobody asked for: {response:?}"),
            }
        }
    }

    /// The next frame; a response before it is a fault.
    pub fn frame(&mut self) -> Frame {
        if let Some(frame) = self.early.pop_front() {
            return frame;
        }
        loop {
            match self.next().expect("closed instead of a frame") {
                Incoming::Frame(frame) => return frame,
                Incoming::Request(request) => self.asked.push_back(request),
                Incoming::Response(response) => panic!("a response that nobody asked for: {response:?}"),
            }
        }
    }

    /// Plays until the server, told to stop, closes: BYE came on the first track.
    pub fn hears_the_end_of(&mut self, server: Server) {
        self.set_up_tcp(1);
        self.ok("PLAY", "");
        self.frame();
        let ending = thread::spawn(move || server.stop());
        let frames = self.frames_to_the_end();
        assert!(frames.iter().any(|frame| frame.channel == 1 && Rtcp::parse(&frame.payload).bye.is_some()));
        ending.join().unwrap();
    }

    /// All frames until the server closes.
    pub fn frames_to_the_end(&mut self) -> Vec<Frame> {
        let mut frames: Vec<_> = self.early.drain(..).collect();
        while let Some(incoming) = self.next() {
            if let Incoming::Frame(frame) = incoming {
                frames.push(frame);
            }
        }
        frames
    }

    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// Sends a request with whatever session and login there is.
    pub fn send(&mut self, method: &str, url: &str, headers: &str) {
        self.cseq += 1;
        let mut request = format!("{method} {url} RTSP/1.0\r\nCSeq: {}\r\n{headers}", self.cseq);
        if let Some(session) = self.session.as_ref().filter(|_| !headers.contains("Session:")) {
            request += &format!("Session: {session}\r\n");
        }
        if let Some(login) = &mut self.login {
            request += &login.header(method, url);
        }
        self.send_raw((request + "\r\n").as_bytes());
    }

    /// The response, which is the one to this request.
    pub fn request(&mut self, method: &str, url: &str, headers: &str) -> Response {
        self.send(method, url, headers);
        let response = self.response();
        assert_eq!(response.header("CSeq"), Some(self.cseq.to_string().as_str()), "{response:?}");
        response
    }

    /// A request to the stream's own URL that must be served.
    pub fn ok(&mut self, method: &str, headers: &str) -> Response {
        let response = self.request(method, &self.url.clone(), headers);
        assert_eq!(response.status, 200, "{method}: {response:?}");
        response
    }

    pub fn describe(&mut self) -> Response {
        self.request("DESCRIBE", &self.url.clone(), "Accept: application/sdp\r\n")
    }

    /// Fetches a challenge and answers it from now on.
    pub fn log_in(&mut self, user: &str, password: &str) {
        self.login = None;
        let response = self.describe();
        assert_eq!(response.status, 401, "{response:?}");
        self.login = Some(Login::new(response.header("WWW-Authenticate").unwrap(), user, password));
    }

    /// SETUP of one track, served or not.
    pub fn set_up(&mut self, track: u8, transport: &str) -> Response {
        let url = format!("{}/trackID={track}", self.url);
        let response = self.request("SETUP", &url, &format!("Transport: {transport}\r\n"));
        if response.status == 200 {
            let session = response.header("Session").unwrap();
            self.session = Some(session.split(';').next().unwrap().to_owned());
        }
        response
    }

    /// Sets up all tracks inside this connection, on channels 0-1 and 2-3.
    pub fn set_up_tcp(&mut self, tracks: u8) {
        for track in 0..tracks {
            let channels = format!("RTP/AVP/TCP;unicast;interleaved={}-{}", 2 * track, 2 * track + 1);
            assert_eq!(self.set_up(track, &channels).status, 200);
        }
    }
}

/// Of the server of a URL.
pub fn address(url: &str) -> SocketAddr {
    url.split_once("://").unwrap().1.split('/').next().unwrap().parse().unwrap()
}

/// A whole message at the beginning of `bytes`, and its length.
fn parse(bytes: &[u8]) -> Option<(usize, Incoming)> {
    if bytes.first()? == &b'$' {
        let length = usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])) + 4;
        let frame = Frame { channel: bytes[1], payload: bytes.get(4..length)?.to_vec() };
        return Some((length, Incoming::Frame(frame)));
    }
    let begins_as = |start: &[u8]| start.starts_with(&bytes[..bytes.len().min(start.len())]);
    let asks = begins_as(b"REDIRECT ");
    assert!(asks || begins_as(b"RTSP/1.0 "), "no framing: {:02x?}", &bytes[..bytes.len().min(64)]);
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = str::from_utf8(&bytes[..head]).unwrap();
    let mut lines = text.lines();
    let line = lines.next().unwrap();
    let status = if asks { 0 } else { line["RTSP/1.0 ".len()..][..3].parse().unwrap() };
    let headers: Vec<(String, String)> =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.into(), value.into())).collect();
    let mut response = Response { status, headers, body: String::new() };
    if asks {
        let line = line.strip_suffix(" RTSP/1.0").unwrap().to_owned();
        return Some((head, Incoming::Request(Request { line, headers: response })));
    }
    let body = response.header("Content-Length").map_or(0, |length| length.parse().unwrap());
    response.body = String::from_utf8(bytes.get(head..head + body)?.to_vec()).unwrap();
    Some((head + body, Incoming::Response(response)))
}
