//! A viewer that sees every packet as it comes: RTSP over a blocking socket, without a library that waits or buffers.

use super::Outcome;
use eyrie::time::MonoTime;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpStream, UdpSocket},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(10);
const IDR: u8 = 5;
const FU_A: u8 = 28;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    Tcp,
    Udp,
}

/// One connection with one session; torn down when dropped.
pub struct Viewer {
    socket: TcpStream,
    incoming: BufReader<TcpStream>,
    url: String,
    requests: u32,
    session: Option<String>,
    /// RTP and RTCP.
    udp: Option<(UdpSocket, UdpSocket)>,
}

impl Viewer {
    /// DESCRIBE and SETUP of the video of `/main`.
    pub fn set_up(socket: TcpStream, way: Way) -> Outcome<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let url = format!("rtsp://{}/main", socket.peer_addr()?);
        let incoming = BufReader::new(socket.try_clone()?);
        let mut viewer = Self { socket, incoming, url, requests: 0, session: None, udp: None };
        viewer.request("DESCRIBE", "", "Accept: application/sdp\r\n")?;
        viewer.response()?;
        let transport = match way {
            Way::Tcp => "RTP/AVP/TCP;unicast;interleaved=0-1".to_owned(),
            Way::Udp => {
                let (rtp, rtcp) = pair()?;
                let ports = (rtp.local_addr()?.port(), rtcp.local_addr()?.port());
                rtp.set_read_timeout(Some(PATIENCE))?;
                viewer.udp = Some((rtp, rtcp));
                format!("RTP/AVP;unicast;client_port={}-{}", ports.0, ports.1)
            }
        };
        viewer.request("SETUP", "/trackID=0", &format!("Transport: {transport}\r\n"))?;
        let head = viewer.response()?;
        let session = head.lines().find_map(|line| line.strip_prefix("Session: ")).ok_or("no Session in SETUP")?;
        viewer.session = Some(session.split(';').next().unwrap_or(session).to_owned());
        Ok(viewer)
    }

    /// Sends PLAY; when it went out.
    pub fn play(&mut self) -> Outcome<MonoTime> {
        let now = MonoTime::now();
        self.request("PLAY", "", "Range: npt=0-\r\n")?;
        Ok(now)
    }

    /// Reads until the first packet that holds a part of an IDR picture; when the first packet of all, and that one,
    /// came.
    pub fn first_idr(&mut self) -> Outcome<(MonoTime, MonoTime)> {
        let (mut first, mut packet) = (None, Vec::new());
        loop {
            if !self.packet(&mut packet)? {
                continue;
            }
            let now = MonoTime::now();
            let first = *first.get_or_insert(now);
            if is_idr(&packet) {
                return Ok((first, now));
            }
        }
    }

    /// The next RTP packet; false for anything else that came.
    pub fn packet(&mut self, packet: &mut Vec<u8>) -> Outcome<bool> {
        if let Some((rtp, _)) = &self.udp {
            packet.resize(2048, 0);
            let length = rtp.recv(packet)?;
            packet.truncate(length);
            return Ok(true);
        }
        if self.incoming.fill_buf()?.first() != Some(&b'$') {
            self.head()?;
            return Ok(false);
        }
        let mut header = [0; 4];
        self.incoming.read_exact(&mut header)?;
        packet.resize(usize::from(u16::from_be_bytes([header[2], header[3]])), 0);
        self.incoming.read_exact(packet)?;
        Ok(header[1] == 0)
    }

    fn request(&mut self, method: &str, track: &str, headers: &str) -> Outcome<()> {
        self.requests += 1;
        let session = self.session.as_ref().map_or(String::new(), |session| format!("Session: {session}\r\n"));
        let request =
            format!("{method} {}{track} RTSP/1.0\r\nCSeq: {}\r\n{session}{headers}\r\n", self.url, self.requests);
        Ok(self.socket.write_all(request.as_bytes())?)
    }

    /// A response with its body read past.
    fn response(&mut self) -> Outcome<String> {
        let head = self.head()?;
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap_or("0");
        self.incoming.read_exact(&mut vec![0; length.trim().parse()?])?;
        Ok(head)
    }

    fn head(&mut self) -> Outcome<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.incoming.read_line(&mut head)? == 0 {
                return Err(format!("the server closed after {head:?}").into());
            }
        }
        if !head.starts_with("RTSP/1.0 200 ") {
            return Err(format!("the server refused: {head}").into());
        }
        Ok(head)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let _ = self.request("TEARDOWN", "", "");
    }
}

/// Whether an RTP packet (RFC 6184 §5.6, §5.8) holds a part of an IDR picture.
fn is_idr(packet: &[u8]) -> bool {
    let contributors = packet.first().map_or(0, |first| usize::from(first & 15));
    match packet.get(12 + contributors * 4..) {
        Some([nal, fragment, ..]) if nal & 31 == FU_A => fragment & 31 == IDR,
        Some([nal, ..]) => nal & 31 == IDR,
        _ => false,
    }
}

/// An even port and the next.
fn pair() -> Outcome<(UdpSocket, UdpSocket)> {
    for _ in 0..100 {
        let rtp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = rtp.local_addr()?.port();
        if port % 2 == 0
            && let Ok(rtcp) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port + 1))
        {
            return Ok((rtp, rtcp));
        }
    }
    Err("no pair of ports".into())
}
