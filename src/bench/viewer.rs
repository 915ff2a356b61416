use super::{Outcome, tally::is_idr};
use crate::time::MonoTime;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream, UdpSocket},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// How media comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Tcp,
    Udp,
}

/// A viewer that sees every packet as it comes: RTSP over a blocking socket, without a library that waits or buffers. One
/// connection with one session; torn down when dropped.
pub struct Viewer {
    control: Control,
    incoming: BufReader<TcpStream>,
    udp: Option<UdpPair>,
}

/// Where RTP and RTCP come in.
pub(super) struct UdpPair {
    pub rtp: UdpSocket,
    /// Nobody reads them. Empty: somebody else has them.
    rtcp: Vec<UdpSocket>,
}

impl UdpPair {
    pub fn of(rtp: UdpSocket) -> Self {
        Self { rtp, rtcp: Vec::new() }
    }
}

/// The asking side of a viewer.
pub(super) struct Control {
    socket: TcpStream,
    url: String,
    requests: u32,
    session: Option<String>,
}

impl Viewer {
    /// DESCRIBE and SETUP of the video of `/main`.
    ///
    /// # Errors
    /// The server refuses or is gone.
    pub fn set_up(socket: TcpStream, way: Way) -> Outcome<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let url = format!("rtsp://{}/main", socket.peer_addr()?);
        let incoming = BufReader::new(socket.try_clone()?);
        let mut viewer = Self { control: Control { socket, url, requests: 0, session: None }, incoming, udp: None };
        viewer.control.ask("DESCRIBE", "", "Accept: application/sdp\r\n")?;
        viewer.response()?;
        let transport = match way {
            Way::Tcp => "RTP/AVP/TCP;unicast;interleaved=0-1".to_owned(),
            Way::Udp => {
                let (rtp, rtcp) = pair(viewer.control.socket.local_addr()?.ip())?;
                let ports = (rtp.local_addr()?.port(), rtcp.local_addr()?.port());
                rtp.set_read_timeout(Some(PATIENCE))?;
                viewer.udp = Some(UdpPair { rtp, rtcp: vec![rtcp] });
                format!("RTP/AVP;unicast;client_port={}-{}", ports.0, ports.1)
            }
        };
        viewer.control.ask("SETUP", "/trackID=0", &format!("Transport: {transport}\r\n"))?;
        let head = viewer.response()?;
        let session = head.lines().find_map(|line| line.strip_prefix("Session: ")).ok_or("no Session in SETUP")?;
        viewer.control.session = Some(session.split(';').next().unwrap_or(session).to_owned());
        Ok(viewer)
    }

    /// SETUP of the sound as well; the socket that its RTP comes to.
    ///
    /// # Errors
    /// There is none, or the viewer gets its video over TCP.
    pub fn set_up_sound(&mut self) -> Outcome<UdpSocket> {
        let udp = self.udp.as_mut().ok_or("sound comes over UDP alone")?;
        let (rtp, rtcp) = pair(self.control.address()?)?;
        let ports = (rtp.local_addr()?.port(), rtcp.local_addr()?.port());
        udp.rtcp.push(rtcp);
        let transport = format!("Transport: RTP/AVP;unicast;client_port={}-{}\r\n", ports.0, ports.1);
        self.control.ask("SETUP", "/trackID=1", &transport)?;
        self.response()?;
        Ok(rtp)
    }

    /// Sends PLAY; when it went out.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn play(&mut self) -> Outcome<MonoTime> {
        self.control.play()
    }

    /// Reads until the first packet that holds a part of an IDR picture; when the first packet of all, and that one,
    /// came.
    ///
    /// # Errors
    /// None comes.
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
    ///
    /// # Errors
    /// Nothing comes, or the server is gone.
    pub fn packet(&mut self, packet: &mut Vec<u8>) -> Outcome<bool> {
        if let Some(UdpPair { rtp, .. }) = &self.udp {
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

    /// Who asks, where answers come, and where media comes over UDP; what comes is read without blocking from now on.
    pub(super) fn split(self) -> Outcome<(Control, TcpStream, Option<UdpPair>)> {
        self.control.socket.set_nonblocking(true)?;
        Ok((self.control, self.incoming.into_inner(), self.udp))
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

impl Control {
    /// Sends PLAY; when it went out.
    pub fn play(&mut self) -> Outcome<MonoTime> {
        let now = MonoTime::now();
        self.ask("PLAY", "", "Range: npt=0-\r\n")?;
        Ok(now)
    }

    pub fn pause(&mut self) -> Outcome<()> {
        self.ask("PAUSE", "", "")
    }

    /// Its address, as the server sees it.
    pub fn address(&self) -> Outcome<IpAddr> {
        Ok(self.socket.local_addr()?.ip())
    }

    fn ask(&mut self, method: &str, track: &str, headers: &str) -> Outcome<()> {
        self.requests += 1;
        let session = self.session.as_ref().map_or(String::new(), |session| format!("Session: {session}\r\n"));
        let request =
            format!("{method} {}{track} RTSP/1.0\r\nCSeq: {}\r\n{session}{headers}\r\n", self.url, self.requests);
        Ok(self.socket.write_all(request.as_bytes())?)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // A server that is gone has ended the session too.
        let _ = self.ask("TEARDOWN", "", "");
    }
}

/// Two sockets on an even port and the next, for who speaks to `address`.
///
/// # Errors
/// There are none.
pub fn pair(address: IpAddr) -> Outcome<(UdpSocket, UdpSocket)> {
    let any = match address {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    for _ in 0..100 {
        let rtp = UdpSocket::bind((any, 0))?;
        let port = rtp.local_addr()?.port();
        if port % 2 == 0
            && let Ok(rtcp) = UdpSocket::bind((any, port + 1))
        {
            return Ok((rtp, rtcp));
        }
    }
    Err("no pair of ports".into())
}
