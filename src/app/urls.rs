//! The URLs that a person or an NVR is given.

use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// `rtsp://[USER:PASSWORD@]HOST:PORT/NAME` for each stream on one listener; `rtsps://` if it is `secure`.
pub fn urls(
    secure: bool,
    listener: SocketAddr,
    login: Option<(&str, &str)>,
    streams: impl IntoIterator<Item = String>,
) -> Vec<String> {
    let scheme = if secure { "rtsps" } else { "rtsp" };
    let login = login.map_or(String::new(), |(user, password)| format!("{user}:{password}@"));
    let host = SocketAddr::new(reachable(listener.ip()), listener.port());
    streams.into_iter().map(|stream| format!("{scheme}://{login}{host}/{stream}")).collect()
}

/// The address itself; for a wildcard the first of this machine that is not loopback, IPv4 before IPv6.
fn reachable(listening: IpAddr) -> IpAddr {
    if !listening.is_unspecified() {
        return listening;
    }
    let mut addresses: Vec<IpAddr> = getifaddrs()
        .into_iter()
        .flatten()
        .filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP))
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        .filter(|address| !address.is_loopback() && !is_link_local(*address))
        .filter(|address| address.is_ipv4() || listening.is_ipv6())
        .collect();
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses.first().copied().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// Such an IPv6 address is of no use without its interface.
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_always_written_and_ipv6_in_brackets() {
        let listener = "[2001:db8::1]:554".parse().unwrap();
        let made = urls(false, listener, Some(("viewer", "secret")), ["main".to_owned(), "sub".to_owned()]);
        assert_eq!(made[0], "rtsp://viewer:secret@[2001:db8::1]:554/main");
        assert_eq!(urls(true, "127.0.0.1:8322".parse().unwrap(), None, ["x".to_owned()]), ["rtsps://127.0.0.1:8322/x"]);
    }

    #[test]
    fn a_wildcard_is_never_handed_out() {
        assert!(!reachable("::".parse().unwrap()).is_unspecified());
        assert!(reachable("0.0.0.0".parse().unwrap()).is_ipv4());
    }
}
