//! A client that speaks TLS, and looks at whom it speaks to.

use std::{
    fs,
    io::{self, Read},
    net::TcpStream,
    path::Path,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    pki_types::{CertificateDer, pem::PemObject},
};
use sha2::{Digest, Sha256};

use super::client::{Client, address, patient};
use crate::support::Server;

/// For the server's `[server]` table.
pub const LISTEN_TLS: &str = "listen_tls = [\"127.0.0.1:0\"]\n";

pub type Socket = StreamOwned<ClientConnection, TcpStream>;

/// The `rtsps://` URL of a stream.
pub fn url(server: &Server, stream: &str) -> String {
    let urls = server.urls.iter().filter(|url| url.starts_with("rtsps://"));
    urls.clone().find(|url| url.ends_with(&format!("/{stream}"))).unwrap_or_else(|| panic!("{:?}", server.urls)).clone()
}

/// The certificate that the server made.
pub fn made(server: &Server) -> CertificateDer<'static> {
    certificate(&server.state_dir().join("tls-cert.pem"))
}

pub fn certificate(file: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(&fs::read(file).unwrap()).unwrap()
}

/// As `openssl x509 -fingerprint -sha256` writes it.
pub fn fingerprint(certificate: &[u8]) -> String {
    hex::encode_upper(Sha256::digest(certificate))
        .as_bytes()
        .chunks(2)
        .map(String::from_utf8_lossy)
        .collect::<Vec<_>>()
        .join(":")
}

/// Shakes hands with who listens at `url`, and goes on only if that is `trusted`.
pub fn connect(
    url: &str,
    trusted: &CertificateDer<'static>,
    version: &'static SupportedProtocolVersion,
) -> io::Result<Socket> {
    over(TcpStream::connect(address(url))?, trusted, version)
}

/// As [`connect`], over a socket that is there.
pub fn over(
    socket: TcpStream,
    trusted: &CertificateDer<'static>,
    version: &'static SupportedProtocolVersion,
) -> io::Result<Socket> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_protocol_versions(&[version]).unwrap();
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let session = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    patient(&socket);
    let mut socket = StreamOwned::new(session, socket);
    socket.conn.complete_io(&mut socket.sock)?;
    Ok(socket)
}

/// A client of a server with a certificate that it made.
pub fn client(server: &Server, stream: &str) -> Client<Socket> {
    let url = url(server, stream);
    Client::through(connect(&url, &made(server), &rustls::version::TLS13).unwrap(), &url)
}

/// Everything until the end.
pub fn rest(socket: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = socket.read_to_end(&mut bytes);
    bytes
}
