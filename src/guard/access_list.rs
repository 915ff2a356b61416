use ipnet::{IpNet, Ipv4Net};
use std::net::IpAddr;

/// Which addresses are let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessList {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
}

impl AccessList {
    /// `deny` wins; an empty `allow` lets everybody in. An IPv4 address and the same mapped into IPv6 are one.
    pub fn new(allow: impl IntoIterator<Item = IpNet>, deny: impl IntoIterator<Item = IpNet>) -> Self {
        Self { allow: allow.into_iter().map(unmapped).collect(), deny: deny.into_iter().map(unmapped).collect() }
    }

    pub fn admits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let within = |ranges: &[IpNet]| ranges.iter().any(|range| range.contains(&address));
        !within(&self.deny) && (self.allow.is_empty() || within(&self.allow))
    }
}

/// `::ffff:10.0.0.0/104` as `10.0.0.0/8`.
fn unmapped(range: IpNet) -> IpNet {
    match (range.addr().to_canonical(), range.prefix_len().checked_sub(96)) {
        (IpAddr::V4(address), Some(length)) if matches!(range, IpNet::V6(_)) => {
            Ipv4Net::new(address, length).map_or(range, IpNet::V4)
        }
        _ => range,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(allow: &[&str], deny: &[&str]) -> AccessList {
        let ranges = |texts: &[&str]| -> Vec<IpNet> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        AccessList::new(ranges(allow), ranges(deny))
    }

    #[test]
    fn deny_wins_and_an_empty_allow_is_all() {
        let lan = &["192.168.1.0/24", "fd00::/8"];
        let table = [
            (list(&[], &[]), "8.8.8.8", true),
            (list(lan, &[]), "192.168.1.7", true),
            (list(lan, &[]), "192.168.2.7", false),
            (list(lan, &[]), "fd12::1", true),
            (list(lan, &[]), "2001:db8::1", false),
            (list(lan, &["192.168.1.7/32"]), "192.168.1.7", false),
            (list(&[], &["192.168.1.0/24"]), "192.168.1.7", false),
            (list(&[], &["192.168.1.0/24"]), "10.0.0.1", true),
            (list(&[], &["0.0.0.0/0"]), "::1", true),
        ];
        for (list, address, admitted) in table {
            assert_eq!(list.admits(address.parse().unwrap()), admitted, "{list:?} {address}");
        }
    }

    #[test]
    fn a_dual_stack_socket_shows_ipv4_addresses_mapped() {
        let list = list(&["10.0.0.0/8"], &["::ffff:10.1.0.0/112"]);
        assert!(list.admits("::ffff:10.0.0.1".parse().unwrap()));
        assert!(!list.admits("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!list.admits("10.1.2.3".parse().unwrap()));
        assert!(!list.admits("::ffff:11.0.0.1".parse().unwrap()));
    }
}
