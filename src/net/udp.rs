//! The UDP side of viewers: one port pair for all, with a connected socket of its own for each viewer's RTP and RTCP.

use super::sys::{Message, send_messages};
use crate::rtp::PacketBatch;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, SockRef, Socket, Type};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::AsFd,
};
use tokio::net::UdpSocket;

/// Tries to find a free even port with its odd neighbour.
const PAIR_TRIES: usize = 100;

/// The server's port pair: unconnected sockets that hear strangers, and viewers whose announced port is not their real one.
pub struct PortPair {
    pub rtp: std::net::UdpSocket,
    pub rtcp: std::net::UdpSocket,
    /// The even port; RTCP is on the next.
    pub port: u16,
}

impl PortPair {
    /// Binds the pair that begins with `port`, or any free pair, on `address` (a wildcard in most cases).
    ///
    /// # Errors
    /// A port is taken, or there is no free pair; the text names the port.
    pub fn bind(address: IpAddr, port: Option<u16>) -> io::Result<Self> {
        if let Some(port) = port {
            return Self::bind_at(address, port);
        }
        let mut last = None;
        for _ in 0..PAIR_TRIES {
            let probe = socket(SocketAddr::new(address, 0), false)?;
            let port = probe.local_addr()?.as_socket().map_or(0, |address| address.port()) & !1;
            drop(probe);
            match Self::bind_at(address, port) {
                Ok(pair) => return Ok(pair),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::other("no free UDP port pair")))
    }

    fn bind_at(address: IpAddr, port: u16) -> io::Result<Self> {
        let bind = |port: u16| {
            // Without SO_REUSEPORT first: another program, or another Eyrie, on this port is found out.
            let exclusive = socket(SocketAddr::new(address, port), false);
            drop(exclusive.map_err(|error| io::Error::new(error.kind(), format!("UDP port {port}: {error}")))?);
            let shared = socket(SocketAddr::new(address, port), true)
                .map_err(|error| io::Error::new(error.kind(), format!("UDP port {port}: {error}")))?;
            Ok::<_, io::Error>(shared.into())
        };
        Ok(Self { rtp: bind(port)?, rtcp: bind(port + 1)?, port })
    }
}

/// A socket on the server's `local` port that hears and reaches `peer` alone.
///
/// # Errors
/// As `bind(2)` and `connect(2)`.
pub fn connected(local: SocketAddr, peer: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(local, true)?;
    socket.connect(&SockAddr::from(peer))?;
    let socket = UdpSocket::from_std(socket.into())?;
    // Between bind and connect datagrams from anybody may have come in.
    let mut scrap = [0; 16];
    while socket.try_recv(&mut scrap).is_ok() {}
    Ok(socket)
}

/// A socket that sends to `group` out by an interface. What it sends is heard on this machine too.
///
/// # Errors
/// As `bind(2)` and `connect(2)`.
pub fn to_group(local: SocketAddr, group: SocketAddr, interface: u32, ttl: u8) -> io::Result<UdpSocket> {
    let socket = socket(local, true)?;
    match local.ip() {
        IpAddr::V4(address) => {
            socket.set_multicast_if_v4(&address)?;
            socket.set_multicast_ttl_v4(u32::from(ttl))?;
        }
        IpAddr::V6(_) => {
            socket.set_multicast_if_v6(interface)?;
            socket.set_multicast_hops_v6(u32::from(ttl))?;
        }
    }
    socket.connect(&SockAddr::from(group))?;
    UdpSocket::from_std(socket.into())
}

/// A socket that hears what is sent to `group` on an interface, beside others of this machine.
///
/// # Errors
/// As `bind(2)`, and where the system lets no more groups be joined.
pub fn in_group(group: SocketAddr, interface: u32) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(group), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&SockAddr::from(group))?;
    match group.ip() {
        IpAddr::V4(address) => socket.join_multicast_v4_n(&address, &InterfaceIndexOrAddress::Index(interface))?,
        IpAddr::V6(address) => socket.join_multicast_v6(&address, interface)?,
    }
    UdpSocket::from_std(socket.into())
}

fn socket(local: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    if local.is_ipv6() {
        socket.set_only_v6(!local.ip().is_unspecified())?;
    }
    socket.set_reuse_port(shared)?;
    socket.bind(&SockAddr::from(local))?;
    Ok(socket)
}

/// Marks what leaves through a socket with `dscp`, 0 to 63 (RFC 2474 §3). A socket of both families gets both marks.
/// Where the system refuses, media goes unmarked.
pub fn mark(socket: &impl AsFd, dscp: u8) {
    let socket = SockRef::from(socket);
    let class = u32::from(dscp) << 2;
    let v6 = socket.domain().and_then(|domain| match domain {
        Domain::IPV6 => socket.set_tclass_v6(class),
        _ => Ok(()),
    });
    if let Err(error) = v6.and_then(|()| socket.set_tos_v4(class)) {
        tracing::debug!("packets are not marked with dscp {dscp}: {error}");
    }
}

/// An IPv4 address that came in through an IPv6 socket, as what it is.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        // As it is: a link-local one has its interface with it.
        IpAddr::V6(_) => address,
        v4 => SocketAddr::new(v4, address.port()),
    }
}

/// Sends one datagram, such as a report. Tokio's `try_send` would refuse it until the runtime has looked at the socket: of
/// a viewer that has just come, the first sender report was lost so.
///
/// # Errors
/// As `sendmmsg(2)`.
pub fn send_datagram(socket: &UdpSocket, bytes: &[u8]) -> io::Result<()> {
    send_messages(socket.as_fd(), std::iter::once(Message { bytes, segment: None })).map(drop)
}

/// Sends packets of `batch` from byte `from` on, at most `allowed` bytes of them, in one system call. Returns the byte after the
/// last one sent, always a packet's end. `offload` is cleared when this socket's route cannot segment.
///
/// # Errors
/// As `sendmmsg(2)`, `WouldBlock` above all; nothing was sent then.
pub fn send_batch(
    socket: &UdpSocket,
    batch: &PacketBatch,
    from: usize,
    allowed: usize,
    offload: &mut bool,
) -> io::Result<usize> {
    loop {
        let messages = messages(batch, from, allowed, *offload);
        match send_messages(socket.as_fd(), messages.clone()) {
            Ok(sent) => return Ok(from + messages.take(sent).map(|message| message.bytes.len()).sum::<usize>()),
            Err(error)
                if *offload && matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EOPNOTSUPP)) =>
            {
                *offload = false;
            }
            Err(error) => return Err(error),
        }
    }
}

/// What may leave of a batch from byte `from` on, cut into messages.
fn messages(
    batch: &PacketBatch,
    from: usize,
    allowed: usize,
    offload: bool,
) -> impl Iterator<Item = Message<'_>> + Clone {
    let (mut runs, mut position, end) = (batch.runs().iter().peekable(), from, from.saturating_add(allowed));
    std::iter::from_fn(move || {
        while runs.next_if(|run| run.range.end <= position).is_some() {}
        let run = runs.peek()?;
        let whole = if offload { run.range.end } else { (position + run.segment).min(run.range.end) };
        // As many whole packets as are allowed.
        let stop =
            if whole <= end { whole } else { position + end.saturating_sub(position) / run.segment * run.segment };
        let message = &batch.bytes()[position..stop];
        position = stop;
        let segment = (message.len() > run.segment).then_some(run.segment as u16);
        (!message.is_empty()).then_some(Message { bytes: message, segment })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_leaves_before_the_runtime_has_looked_at_its_socket() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let _inside = runtime.enter();
        let far = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let near = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        near.connect(far.local_addr().unwrap()).unwrap();
        near.set_nonblocking(true).unwrap();
        let near = UdpSocket::from_std(near).unwrap();
        assert_eq!(near.try_send(b"refused").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        send_datagram(&near, b"report").unwrap();
        let mut bytes = [0; 16];
        let length = far.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"report");
    }
}
