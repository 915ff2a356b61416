//! RTP/SAVP: where it is on offer, and what is said of keys.

use super::*;

const UDP: &str = "Transport: RTP/SAVP;unicast;client_port=6-7\r\n";
const TCP: &str = "Transport: RTP/SAVP/TCP;unicast;interleaved=0-1\r\n";
const KEY: &str = "KeyMgmt: prot=mikey;uri=\"rtsps://h/mute\";data=\"BQYH\"\r\n";

fn inside_tls() -> Server {
    let mut server = Server::new();
    server.secure = true;
    server.transports.multicast = true;
    server
}

/// The answer, and what the worker was told of the client's key.
fn set_up(server: &mut Server, headers: &str) -> (String, Option<Vec<u8>>) {
    let mut client = server.connect();
    let answer = server.request(&mut client, "SETUP", "rtsp://h/mute", headers);
    let key = client.asked.into_iter().find_map(|(_, ask)| match ask {
        Ask::Setup(ask) => ask.key_message,
        _ => None,
    });
    (answer, key)
}

#[test]
fn inside_tls_media_goes_encrypted_or_within() {
    for (transport, expected) in [
        (UDP, Some("RTP/SAVP;unicast;client_port=6-7;server_port=8000-8001;ssrc=E0000000")),
        (TCP, Some("RTP/SAVP/TCP;unicast;interleaved=0-1;ssrc=E0000000")),
        ("Transport: RTP/AVP/TCP;unicast\r\n", Some("RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=E0000000")),
        ("Transport: RTP/AVP;unicast;client_port=6-7\r\n", None),
        ("Transport: RTP/AVP;multicast\r\n", None),
        ("Transport: RTP/SAVP;multicast\r\n", None),
    ] {
        let (answer, _) = set_up(&mut inside_tls(), transport);
        assert_eq!(header(&answer, "Transport"), expected, "{answer}");
        assert_eq!(status(&answer), if expected.is_some() { 200 } else { 461 });
        let keys = "prot=mikey;uri=\"rtsps://h/mute\";data=\"AQIDBA==\"";
        let told = expected.is_some_and(|transport| transport.contains("SAVP"));
        assert_eq!(
            header(&answer, "KeyMgmt").map(|told| told.replace("rtsp://", "rtsps://")),
            told.then(|| keys.into())
        );
    }
}

#[test]
fn in_clear_no_key_is_told() {
    for transport in [UDP, TCP] {
        assert_eq!(status(&set_up(&mut Server::new(), &format!("{transport}{KEY}")).0), 461);
    }
    let both = "Transport: RTP/SAVP;unicast;client_port=6-7,RTP/AVP;unicast;client_port=8-9\r\n";
    let (answer, _) = set_up(&mut Server::new(), both);
    assert_eq!((status(&answer), header(&answer, "KeyMgmt")), (200, None));
    assert!(answer.contains("RTP/AVP;unicast;client_port=8-9"), "{answer}");
}

#[test]
fn the_clients_own_key_is_passed_on_where_it_may_be_used() {
    assert_eq!(set_up(&mut inside_tls(), &format!("{UDP}{KEY}")).1, Some(vec![5, 6, 7]));
    assert_eq!(set_up(&mut inside_tls(), UDP).1, None);
    let interleaved = format!("Transport: RTP/AVP/TCP;unicast\r\n{KEY}");
    assert_eq!(set_up(&mut inside_tls(), &interleaved).1, None);
}

#[test]
fn keys_that_cannot_be_read_are_refused_with_463() {
    for keys in ["KeyMgmt: prot=sdes;data=\"BQYH\"\r\n", "KeyMgmt: prot=mikey;data=\"?\"\r\n", "KeyMgmt: \r\n"] {
        assert_eq!(status(&set_up(&mut inside_tls(), &format!("{UDP}{keys}")).0), 463, "{keys}");
        let interleaved = format!("Transport: RTP/AVP/TCP;unicast\r\n{keys}");
        assert_eq!(status(&set_up(&mut inside_tls(), &interleaved).0), 200, "none is needed");
    }
}
