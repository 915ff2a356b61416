//! A viewer whose media is encrypted packet by packet (SRTP over UDP): it sets up and plays inside TLS. What comes is only
//! counted, for which RTP's header stands in clear.

use super::Outcome;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    path::Path,
    sync::Arc,
};

pub struct SecureViewer {
    tls: StreamOwned<ClientConnection, TcpStream>,
    url: String,
    requests: u32,
    session: String,
    _rtcp: UdpSocket,
}

/// Whoever trusts the server's own certificate.
pub fn trusting(certificate: &Path) -> Outcome<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13])?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

impl SecureViewer {
    /// SETUP of the video of `/main` by RTP/SAVP; with it the socket that RTP comes to.
    pub fn set_up(address: SocketAddr, config: &Arc<ClientConfig>) -> Outcome<(Self, UdpSocket)> {
        let session = ClientConnection::new(config.clone(), "localhost".try_into()?)?;
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        let (rtp, rtcp) = eyrie::bench::pair(address.ip())?;
        let ports = (rtp.local_addr()?.port(), rtcp.local_addr()?.port());
        let mut viewer = Self {
            tls: StreamOwned::new(session, socket),
            url: format!("rtsps://{address}/main"),
            requests: 0,
            session: String::new(),
            _rtcp: rtcp,
        };
        viewer.ask("DESCRIBE", "", "Accept: application/sdp\r\n")?;
        let transport = format!("Transport: RTP/SAVP;unicast;client_port={}-{}\r\n", ports.0, ports.1);
        let head = viewer.ask("SETUP", "/trackID=0", &transport)?;
        let session = head.lines().find_map(|line| line.strip_prefix("Session: ")).ok_or("no Session in SETUP")?;
        viewer.session = format!("Session: {}\r\n", session.split(';').next().unwrap_or(session));
        Ok((viewer, rtp))
    }

    pub fn play(&mut self) -> Outcome<()> {
        self.ask("PLAY", "", "Range: npt=0-\r\n").map(drop)
    }

    pub fn pause(&mut self) -> Outcome<()> {
        self.ask("PAUSE", "", "").map(drop)
    }

    /// Ends the session.
    pub fn tear_down(&mut self) -> Outcome<()> {
        self.ask("TEARDOWN", "", "").map(drop)
    }

    /// The response's head; its body is read past.
    fn ask(&mut self, method: &str, track: &str, headers: &str) -> Outcome<String> {
        self.requests += 1;
        let (url, number, session) = (&self.url, self.requests, &self.session);
        self.tls.write_all(
            format!("{method} {url}{track} RTSP/1.0\r\nCSeq: {number}\r\n{session}{headers}\r\n").as_bytes(),
        )?;
        self.tls.flush()?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.tls.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head)?;
        if !head.starts_with("RTSP/1.0 200 ") {
            return Err(format!("the server refused: {head}").into());
        }
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap_or("0");
        self.tls.read_exact(&mut vec![0; length.trim().parse()?])?;
        Ok(head)
    }
}
