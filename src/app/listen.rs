//! Listening sockets.

use crate::{config, net::Door};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// A listening socket, and the address it was asked for: port 0 is another then.
pub struct Listener {
    pub wanted: SocketAddr,
    /// For TLS.
    pub secure: bool,
    pub socket: TcpListener,
}

/// Sockets for all addresses of `listen`, then of `listen_tls`; those of `present` are used on.
///
/// # Errors
/// An address is taken or not this machine's; the text names it.
pub fn bind(server: &config::Server, present: &[Listener]) -> io::Result<Vec<Listener>> {
    let plain = server.listen.iter().map(|address| (*address, false));
    let all: Vec<_> = plain.chain(server.listen_tls.iter().map(|address| (*address, true))).collect();
    let leaving = present.iter().filter(|listener| !all.contains(&(listener.wanted, listener.secure)));
    let leaving: Vec<_> = leaving.map(|listener| &listener.socket).collect();
    let bound = all.into_iter().map(|(wanted, secure)| {
        let same = |listener: &&Listener| listener.wanted == wanted && listener.secure == secure;
        let socket = match present.iter().find(same) {
            Some(listener) => listener.socket.try_clone()?,
            None => bind_one(wanted, &leaving, if secure { "listen_tls" } else { "listen" })?,
        };
        Ok(Listener { wanted, secure, socket })
    });
    bound.collect()
}

/// Further handles of them, for a worker.
///
/// # Errors
/// There are no descriptors left.
pub fn doors(listeners: &[Listener]) -> io::Result<Vec<Door>> {
    let door = |listener: &Listener| Ok(Door { socket: listener.socket.try_clone()?, secure: listener.secure });
    listeners.iter().map(door).collect()
}

/// A socket that listens at `address`, which stands under `[server]` as `key`. Sockets that are `leaving`, but listen still,
/// do not stand in its way.
///
/// # Errors
/// As [`bind`].
pub fn bind_one(address: SocketAddr, leaving: &[&TcpListener], key: &str) -> io::Result<TcpListener> {
    let opened = match open(address, leaving) {
        // A kernel without IPv6: the wildcard is IPv4's alone.
        Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) && address.ip().is_unspecified() => {
            open(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()), leaving)
        }
        result => result,
    };
    opened.map_err(|error| explain(address, key, &error))
}

fn open(address: SocketAddr, leaving: &[&TcpListener]) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    for other in leaving {
        if other.local_addr()?.port() == address.port() {
            // No other program gets the port by that, unless it is of the same user and asks for it.
            SockRef::from(*other).set_reuse_port(true)?;
            socket.set_reuse_port(true)?;
        }
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn explain(address: SocketAddr, key: &str, error: &io::Error) -> io::Error {
    let what = match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "port {} is taken by another program (`ss -ltnp` names it); choose another under [server] {key}",
            address.port()
        ),
        io::ErrorKind::PermissionDenied => format!("port {} is reserved for root", address.port()),
        io::ErrorKind::AddrNotAvailable => format!("{} is not an address of this machine", address.ip()),
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), format!("cannot listen on {address}: {what}"))
}

/// The address to bind the UDP port pair to: that of the one listener, else all.
pub fn udp_address(listeners: &[Listener]) -> IpAddr {
    let mut addresses =
        listeners.iter().filter_map(|listener| listener.socket.local_addr().ok()).map(|local| local.ip());
    match (addresses.next(), addresses.next()) {
        (Some(only), None) => only,
        (Some(first), Some(_)) if first.is_ipv4() && listeners.iter().all(|listener| listener.wanted.is_ipv4()) => {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        }
        _ => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    }
}
