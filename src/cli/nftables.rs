//! `eyrie nftables`: rules of nftables (nft(8)) that let in what a config serves and what a board lives on.

use super::{fail, print};
use crate::config::{self, Config, Multicast, Transport};
use ipnet::IpNet;
use std::{
    fmt::{self, Display, Write},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
};

#[derive(clap::Args)]
pub struct Nftables {
    /// The config; left out, /etc/eyrie/eyrie.toml, and without that the built-in defaults
    file: Option<PathBuf>,
    /// The same, as `eyrie run` has it
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
}

impl Nftables {
    pub fn run(self) -> ExitCode {
        match config::load_or_default(self.config.or(self.file).as_deref()) {
            Ok(config) => print(&rules(&config)),
            Err(errors) => fail(errors.to_string().trim_end()),
        }
    }
}

/// Before Eyrie's own: what a board needs to keep its addresses and its name, and to be reached by who looks after it.
/// Neighbour discovery and group membership are not tracked, so they come before what is invalid.
const HEAD: &str = r#"# Lets in what Eyrie serves, and what a board needs to keep its addresses, its name and its way in by SSH.
# Made from the config by `eyrie nftables`: make it anew when that changes.
# Check it with `nft -c -f FILE`, load it with `nft -f FILE`, take it back with `nft delete table inet eyrie`.

table inet eyrie
delete table inet eyrie

table inet eyrie {
	chain input {
		type filter hook input priority filter; policy drop;

		iif "lo" accept
		ct state established,related accept
		# ICMPv6 (neighbours, router advertisements, groups, path MTU, ping), ICMP, IGMP.
		meta l4proto ipv6-icmp accept
		icmp type { echo-request, destination-unreachable, time-exceeded, parameter-problem } accept
		ip protocol igmp accept
		ct state invalid drop
		# DHCP
		udp sport 67 udp dport 68 accept
		ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept
		# mDNS
		ip daddr 224.0.0.251 udp dport 5353 accept
		ip6 daddr ff02::fb udp dport 5353 accept
		# SSH
		tcp dport 22 accept

"#;

/// The whole ruleset. One rule for each range of the access lists: sets refuse ranges that overlap.
fn rules(config: &Config) -> String {
    let server = &config.server;
    let mut text = HEAD.to_owned();
    let mut line = |rule: &dyn Display| {
        let _ = writeln!(text, "\t\t{rule}");
    };
    for (addresses, name) in [(&server.listen, "RTSP"), (&server.listen_tls, "RTSP inside TLS")] {
        addresses.iter().for_each(|address| line(&listener(*address, name)));
    }
    if server.transports.contains(&Transport::Udp) {
        match server.udp_ports {
            Some(port) => line(&format_args!("udp dport {port}-{} jump viewers # RTP and RTCP", port + 1)),
            None => {
                line(&"# udp_ports = \"0\": only what answers is let in; clients behind address translation are not")
            }
        }
    }
    if server.transports.contains(&Transport::Multicast) {
        let groups = config.streams.iter().filter_map(|stream| stream.multicast.as_ref().map(|group| (stream, group)));
        for (stream, Multicast { address, port, .. }) in groups {
            let (family, video, audio) = (Family(*address), port + 1, port + 3);
            line(&format_args!(
                "{family} daddr {address} udp dport {{ {video}, {audio} }} jump viewers # reports on {}",
                stream.name
            ));
        }
    }
    if let Some(metrics) = server.metrics {
        line(&listener(metrics, "metrics"));
    }
    text += "\t}\n\n\t# Who may connect: the lists of [server].\n\tchain viewers {\n";
    let mut ranges = |ranges: &[IpNet], verdict: &str| {
        for range in ranges {
            let _ = writeln!(text, "\t\t{} saddr {range} {verdict}", Family(range.addr()));
        }
    };
    ranges(&server.deny, "drop");
    ranges(&server.allow, "accept");
    text += if server.allow.is_empty() { "\t\taccept\n" } else { "\t\tdrop\n" };
    text + "\t}\n}\n"
}

/// `ip` or `ip6`.
struct Family(IpAddr);

impl Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_ipv4() { "ip" } else { "ip6" })
    }
}

/// The rule for one listening address.
fn listener(address: SocketAddr, name: &str) -> String {
    let (ip, port) = (address.ip(), address.port());
    let to = match ip {
        _ if port == 0 => return format!("# {name} at any free port: no rule can name it"),
        _ if ip.is_loopback() => return format!("# {name} at {address}: this machine alone"),
        IpAddr::V4(v4) if v4.is_unspecified() => "meta nfproto ipv4 ".to_owned(),
        _ if ip.is_unspecified() => String::new(),
        _ => format!("{} daddr {ip} ", Family(ip)),
    };
    format!("{to}tcp dport {port} jump viewers # {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the first rule of Eyrie's own on.
    fn own(text: &str) -> String {
        let rules = rules(&config::parse(text, "f").unwrap());
        assert!(rules.starts_with(HEAD));
        rules[HEAD.len()..].replace('\t', "")
    }

    #[test]
    fn without_a_config_all_may_view() {
        let expected = "tcp dport 8554 jump viewers # RTSP\nudp dport 8000-8001 jump viewers # RTP and RTCP\n}\n\n\
                        # Who may connect: the lists of [server].\nchain viewers {\naccept\n}\n}\n";
        assert_eq!(own(""), expected);
    }

    #[test]
    fn rules_name_what_the_config_names() {
        let rules = own("
            [server]
            listen = ['0.0.0.0:554', '[fd00::1]:554', '127.0.0.1:555', '192.168.1.2:0']
            udp_ports = '9000-9001'
            transports = ['udp']
            allow = ['10.0.0.0/8', 'fd00::/8']
            deny = ['10.0.0.1']
            ");
        let expected = "meta nfproto ipv4 tcp dport 554 jump viewers # RTSP\n\
                        ip6 daddr fd00::1 tcp dport 554 jump viewers # RTSP\n\
                        # RTSP at 127.0.0.1:555: this machine alone\n\
                        # RTSP at any free port: no rule can name it\n\
                        udp dport 9000-9001 jump viewers # RTP and RTCP\n}\n\n\
                        # Who may connect: the lists of [server].\nchain viewers {\n\
                        ip saddr 10.0.0.1/32 drop\nip saddr 10.0.0.0/8 accept\nip6 saddr fd00::/8 accept\ndrop\n}\n}\n";
        assert_eq!(rules, expected);
        assert!(!own("[server]\ntransports = ['tcp']").contains("udp dport"));
    }
}
