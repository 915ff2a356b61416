//! The Transport header (RFC 2326 §12.39).

use std::{fmt::Write, net::IpAddr};

/// Which transports a connection offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transports {
    /// Over UDP, unicast: RTP/AVP, or inside TLS RTP/SAVP, else media would leave in clear.
    pub udp: bool,
    /// RTP/AVP/TCP: interleaved; inside TLS RTP/SAVP/TCP too.
    pub tcp: bool,
    /// RTP/AVP over UDP to the group of a stream that has one. Not inside TLS.
    pub multicast: bool,
}

impl Transports {
    /// Whether an alternative is on offer. Keys are told inside TLS alone.
    pub(crate) fn offer(self, alternative: &Alternative, secure: bool) -> bool {
        match alternative.lower {
            Lower::Udp { .. } => self.udp && alternative.srtp == secure,
            Lower::Tcp { .. } => self.tcp && (secure || !alternative.srtp),
            Lower::Multicast { .. } => self.multicast && !secure,
        }
    }
}

/// One alternative of a SETUP that can be served, its channels or ports settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportOffer {
    Udp { client_rtp: u16, client_rtcp: u16, srtp: bool },
    Interleaved { rtp: u8, rtcp: u8, srtp: bool },
    Multicast,
}

impl TransportOffer {
    /// Whether packets are to be protected: RTP/SAVP (RFC 3711 §12).
    pub fn is_srtp(self) -> bool {
        matches!(self, Self::Udp { srtp: true, .. } | Self::Interleaved { srtp: true, .. })
    }
}

/// Where the packets of a track go by multicast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    pub address: IpAddr,
    /// Of RTP; RTCP has the next.
    pub port: u16,
    /// How many routers may pass them on.
    pub ttl: u8,
}

/// One alternative as the client wrote it, `destination=` and all else that is not obeyed left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alternative {
    pub lower: Lower,
    /// The profile is SAVP, not AVP.
    pub srtp: bool,
    /// `mode` was given, so that the answer states it too.
    pub mode: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lower {
    Udp {
        rtp: u16,
        rtcp: u16,
        /// Written `…/UDP`: answered in the same way.
        spelt_out: bool,
    },
    /// None: any free pair of channels.
    Tcp { channels: Option<(u8, u8)> },
    /// The group and its ports are the server's to say.
    Multicast { spelt_out: bool },
}

/// The alternatives that may be had somewhere in this server, in the client's order. Other profiles,
/// recording and what cannot be read are passed over. Never panics.
pub(crate) fn parse(value: &str) -> Vec<Alternative> {
    split(value, ',').filter_map(alternative).collect()
}

fn alternative(text: &str) -> Option<Alternative> {
    let mut parts = split(text, ';').map(str::trim);
    let (srtp, tcp, spelt_out) = match parts.next()?.to_ascii_uppercase().as_str() {
        "RTP/AVP" => (false, false, false),
        "RTP/AVP/UDP" => (false, false, true),
        "RTP/AVP/TCP" => (false, true, true),
        "RTP/SAVP" => (true, false, false),
        "RTP/SAVP/UDP" => (true, false, true),
        "RTP/SAVP/TCP" => (true, true, true),
        _ => return None,
    };
    let (mut client_port, mut interleaved, mut multicast, mut mode) = (None, None, false, false);
    for part in parts {
        let (name, value) = part.split_once('=').map_or((part, ""), |(name, value)| (name.trim(), value.trim()));
        match name.to_ascii_lowercase().as_str() {
            "multicast" => multicast = true,
            "client_port" => client_port = pair::<u16>(value),
            "interleaved" => interleaved = pair::<u8>(value),
            "mode" => {
                mode = true;
                let wish = value.trim_matches(['"', '\'', ' ']);
                if !wish.is_empty() && !wish.to_ascii_uppercase().contains("PLAY") {
                    return None;
                }
            }
            _ => {}
        }
    }
    let lower = if multicast {
        if tcp || srtp {
            return None;
        }
        Lower::Multicast { spelt_out }
    } else if tcp {
        Lower::Tcp { channels: interleaved.filter(|(rtp, rtcp)| rtp != rtcp) }
    } else {
        let (rtp, rtcp) = client_port.filter(|(rtp, rtcp)| *rtp != 0 && *rtcp != 0 && rtp != rtcp)?;
        Lower::Udp { rtp, rtcp, spelt_out }
    };
    Some(Alternative { lower, srtp, mode })
}

/// `a-b`, or `a` alone for `a` and the next.
fn pair<T: std::str::FromStr + Copy + Into<u32> + TryFrom<u32>>(value: &str) -> Option<(T, T)> {
    let number = super::super::message::number::<T>;
    match value.split_once('-') {
        Some((first, second)) => Some((number(first.trim())?, number(second.trim())?)),
        None => {
            let first = number(value)?;
            Some((first, T::try_from(first.into() + 1).ok()?))
        }
    }
}

/// Splits outside of quotes; a quote that never closes reaches to the end.
pub(super) fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c: char| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

/// The Transport header of the response.
pub(crate) fn answer(
    asked: Alternative,
    offer: TransportOffer,
    ports: Option<(u16, u16)>,
    group: Option<Group>,
    ssrc: u32,
) -> String {
    let profile = if asked.srtp { "SAVP" } else { "AVP" };
    let udp = match asked.lower {
        Lower::Udp { spelt_out: true, .. } | Lower::Multicast { spelt_out: true } => "/UDP",
        _ => "",
    };
    let mut text = match offer {
        TransportOffer::Udp { client_rtp, client_rtcp, .. } => {
            format!("RTP/{profile}{udp};unicast;client_port={client_rtp}-{client_rtcp}")
        }
        TransportOffer::Interleaved { rtp, rtcp, .. } => {
            format!("RTP/{profile}/TCP;unicast;interleaved={rtp}-{rtcp}")
        }
        TransportOffer::Multicast => format!("RTP/{profile}{udp};multicast"),
    };
    if let Some(Group { address, port, ttl }) = group {
        let _ = write!(text, ";destination={address};port={port}-{};ttl={ttl}", port + 1);
    }
    if let Some((rtp, rtcp)) = ports {
        let _ = write!(text, ";server_port={rtp}-{rtcp}");
    }
    let _ = write!(text, ";ssrc={ssrc:08X}");
    if asked.mode {
        text.push_str(";mode=\"PLAY\"");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn udp(rtp: u16, rtcp: u16) -> Lower {
        Lower::Udp { rtp, rtcp, spelt_out: false }
    }

    fn lowers(value: &str) -> Vec<Lower> {
        parse(value).into_iter().map(|alternative| alternative.lower).collect()
    }

    #[test]
    fn what_clients_write() {
        for (value, expected) in [
            ("RTP/AVP;unicast;client_port=5000-5001", vec![udp(5000, 5001)]),
            ("RTP/AVP/UDP;unicast;client_port=5000-5001", vec![Lower::Udp { rtp: 5000, rtcp: 5001, spelt_out: true }]),
            ("rtp/avp;UNICAST;Client_Port=5000", vec![udp(5000, 5001)]),
            ("RTP/AVP/TCP;unicast;interleaved=2-3", vec![Lower::Tcp { channels: Some((2, 3)) }]),
            ("RTP/AVP/TCP;interleaved=0-1", vec![Lower::Tcp { channels: Some((0, 1)) }]),
            ("RTP/AVP/TCP;unicast", vec![Lower::Tcp { channels: None }]),
            ("RTP/AVP/TCP;interleaved=255", vec![Lower::Tcp { channels: None }]),
            ("RTP/AVP/TCP;interleaved=4-4", vec![Lower::Tcp { channels: None }]),
            ("RTP/AVP/TCP;interleaved=256-257", vec![Lower::Tcp { channels: None }]),
            (
                "RTP/AVPF;unicast;client_port=1-2, RTP/AVP;multicast,RTP/AVP/TCP;unicast,RTP/AVP;client_port=8-9",
                vec![Lower::Multicast { spelt_out: false }, Lower::Tcp { channels: None }, udp(8, 9)],
            ),
            ("RTP/AVP/UDP;multicast;port=1-2;destination=239.9.9.9", vec![Lower::Multicast { spelt_out: true }]),
            ("RTP/AVP;unicast;destination=10.0.0.1;client_port=8-9", vec![udp(8, 9)]),
            ("RTP/AVP;unicast;client_port=8-9;mode=\"PLAY,RECORD\"", vec![udp(8, 9)]),
        ] {
            assert_eq!(lowers(value), expected, "{value}");
        }
        for none in [
            "",
            ",;=\"",
            "RTP/AVP",
            "RTP/AVP;client_port=0-1",
            "RTP/AVP;client_port=65535",
            "RTP/AVP;client_port=70000-70001",
            "RTP/AVP;client_port=-1",
            "RTP/AVP;client_port=+1-2",
            "RTP/AVP;client_port=5000-5000",
            "RTP/AVP;client_port=8-9;mode=record",
            "RTP/AVP/DCCP;client_port=8-9",
            "RTP/AVP/TCP;multicast",
            "RTP/SAVP;multicast",
            "RTP/SAVPF;client_port=8-9",
            "x-real-rdt/tcp;interleaved=0-1",
        ] {
            assert_eq!(parse(none), [], "{none}");
        }
    }

    #[test]
    fn the_secure_profile_is_told_from_the_other() {
        let all = "RTP/SAVP;client_port=8-9,RTP/SAVP/UDP;client_port=8-9,rtp/savp/tcp;unicast;interleaved=0-1";
        let asked = parse(all);
        assert!(asked.len() == 3 && asked.iter().all(|alternative| alternative.srtp));
        assert_eq!(asked[1].lower, Lower::Udp { rtp: 8, rtcp: 9, spelt_out: true });
        let offer = TransportOffer::Interleaved { rtp: 0, rtcp: 1, srtp: true };
        assert_eq!(answer(asked[2], offer, None, None, 1), "RTP/SAVP/TCP;unicast;interleaved=0-1;ssrc=00000001");
        let transports = Transports { udp: true, tcp: true, multicast: true };
        let offered = |value, secure| parse(value).iter().map(|it| transports.offer(it, secure)).collect::<Vec<_>>();
        assert_eq!((offered(all, true), offered(all, false)), (vec![true; 3], vec![false; 3]));
        let plain = "RTP/AVP;client_port=8-9,RTP/AVP/TCP,RTP/AVP;multicast";
        assert_eq!((offered(plain, true), offered(plain, false)), (vec![false, true, false], vec![true; 3]));
    }

    #[test]
    fn broken_quotes_around_the_mode_do_no_harm() {
        for mode in
            ["mode=", "mode=\"", "mode=\"PLAY", "mode=PLAY\"", "mode=play", "MODE=\"play\"", "mode", "mode='PLAY'"]
        {
            let parsed = parse(&format!("RTP/AVP;client_port=8-9;{mode}"));
            assert_eq!(parsed, [Alternative { lower: udp(8, 9), srtp: false, mode: true }], "{mode}");
        }
    }

    #[test]
    fn the_answer_is_canonical() {
        let one = |value| parse(value)[0];
        let offer = TransportOffer::Udp { client_rtp: 8, client_rtcp: 9, srtp: false };
        assert_eq!(
            answer(one("rtp/avp/udp;client_port=8-9;mode=play"), offer, Some((8000, 8001)), None, 0xab),
            "RTP/AVP/UDP;unicast;client_port=8-9;server_port=8000-8001;ssrc=000000AB;mode=\"PLAY\""
        );
        let offer = TransportOffer::Interleaved { rtp: 0, rtcp: 1, srtp: false };
        assert_eq!(
            answer(one("RTP/AVP/TCP"), offer, None, None, 1),
            "RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=00000001"
        );
        let group = Group { address: "239.255.12.1".parse().unwrap(), port: 5004, ttl: 3 };
        assert_eq!(
            answer(one("RTP/AVP/UDP;multicast"), TransportOffer::Multicast, None, Some(group), 1),
            "RTP/AVP/UDP;multicast;destination=239.255.12.1;port=5004-5005;ttl=3;ssrc=00000001"
        );
    }

    proptest! {
        #[test]
        fn never_panics(value in ".{0,200}") {
            parse(&value);
        }

        #[test]
        fn what_is_answered_reads_back(rtp in 1u16..65535, spelt_out: bool, srtp: bool, mode: bool) {
            let asked = Alternative { lower: Lower::Udp { rtp, rtcp: rtp + 1, spelt_out }, srtp, mode };
            let offer = TransportOffer::Udp { client_rtp: rtp, client_rtcp: rtp + 1, srtp };
            prop_assert_eq!(parse(&answer(asked, offer, Some((8000, 8001)), None, 7)), vec![asked]);
        }
    }
}
