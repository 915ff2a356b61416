//! RTSP inside TLS.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{CertificateParams, KeyPair};
use rustls::version::{TLS12, TLS13};
use socket2::{Domain, Socket, Type};

use super::{
    client::{Client, PATIENCE, address, patient},
    packets::{Received, assert_unbroken},
    secure::{self, LISTEN_TLS},
    world::{CAMERA, MAIN, Pair, await_stream, command, edit, open, status},
};
use crate::support::Server;

const NVR: &str = "
    [[user]]
    name = \"nvr\"
    md5 = \"981f15ce7b213f8d217bb136ef992afd\"
    ";

fn reload(server: &Server) -> String {
    String::from_utf8(command(server, &["reload"]).stderr).unwrap()
}

#[test]
fn pictures_and_sound_come_over_tls_1_3_and_1_2() {
    let server = open(LISTEN_TLS);
    assert_eq!(server.urls.len(), 2, "{:?}", server.urls);
    for version in [&TLS13, &TLS12] {
        let url = secure::url(&server, "main");
        let socket = secure::connect(&url, &secure::made(&server), version).unwrap();
        let mut client = Client::through(socket, &url);
        let description = client.describe();
        assert_eq!(description.header("Content-Base"), Some(format!("{url}/").as_str()));
        client.set_up_tcp(2);
        client.ok("PLAY", "");
        let received = Received::pictures(&mut client, 30);
        received.rtp.iter().for_each(|packets| assert_unbroken(packets));
        let stream = await_stream(&server, "main", |stream| stream["viewers"][0].is_object());
        assert_eq!(stream["viewers"][0]["transport"], "tcp+tls");
        client.ok("TEARDOWN", "");
    }
    server.stop();
}

#[test]
fn the_end_of_the_server_is_said_inside_tls() {
    let server = open(LISTEN_TLS);
    let mut client = secure::client(&server, "main");
    client.hears_the_end_of(server);
}

#[test]
fn nothing_leaves_in_clear() {
    let server = open(LISTEN_TLS);
    let mut client = secure::client(&server, "main");
    let pair = Pair::new();
    assert_eq!(client.set_up(0, &pair.transport()).status, 461);
    // Of several the one that is possible.
    let both = format!("{},RTP/AVP/TCP;unicast;interleaved=0-1", pair.transport());
    let response = client.set_up(0, &both);
    assert_eq!((response.status, response.transport("interleaved")), (200, Some("0-1")));
    // In clear on the port for TLS: nothing but an alert.
    let mut plain = TcpStream::connect(address(&secure::url(&server, "main"))).unwrap();
    patient(&plain);
    plain.write_all(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n").unwrap();
    let answer = secure::rest(&mut plain);
    assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
    server.stop();
}

#[test]
fn made_certificate_is_kept_and_private_and_its_fingerprint_told() {
    let server = open(LISTEN_TLS);
    for file in ["tls-cert.pem", "tls-key.pem"] {
        assert_eq!(server.state_dir().join(file).metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
    let made = secure::made(&server);
    let told = secure::fingerprint(&made);
    assert_eq!(status(&server)["tls"]["fingerprint"], told);
    let shown = String::from_utf8(command(&server, &["status"]).stdout).unwrap();
    assert!(shown.contains(&told), "{shown}");
    // UTCTime of 2000-01-01 and GeneralizedTime of 2099-12-31 (RFC 5280 §4.1.2.5).
    let has = |time: &[u8]| made.windows(time.len()).any(|window| window == time);
    assert!(has(b"000101000000Z") && has(b"20991231000000Z"), "{}", hex::encode(&made));
    assert_eq!(reload(&server), "");
    assert_eq!(secure::made(&server), made);
    server.stop();
}

#[test]
fn the_users_certificate_is_shown_and_a_renewed_one_after_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    let renew = || {
        let pair = KeyPair::generate().unwrap();
        let made = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&pair).unwrap();
        fs::write(&cert, made.pem()).unwrap();
        fs::write(&key, pair.serialize_pem()).unwrap();
        made.der().clone()
    };
    let first = renew();
    let tls = format!("[tls]\ncert = {cert:?}\nkey = {key:?}\n");
    let server = Server::start(&format!("anonymous = true\n{LISTEN_TLS}"), &format!("{tls}{CAMERA}{MAIN}"));
    assert!(!server.state_dir().join("tls-cert.pem").exists());
    let url = secure::url(&server, "main");
    let mut old = Client::through(secure::connect(&url, &first, &TLS13).unwrap(), &url);
    old.set_up_tcp(1);
    old.ok("PLAY", "");
    let second = renew();
    assert!(secure::connect(&url, &second, &TLS13).is_err(), "not yet");
    assert_eq!(reload(&server), "");
    assert_eq!(status(&server)["tls"]["fingerprint"], secure::fingerprint(&second));
    secure::connect(&url, &second, &TLS13).unwrap();
    assert!(secure::connect(&url, &first, &TLS13).is_err(), "no longer");
    // Who watches goes on.
    assert_unbroken(&Received::pictures(&mut old, 10).rtp[0]);
    // A bad file changes nothing.
    fs::write(&cert, "no certificate").unwrap();
    let refused = reload(&server);
    assert!(refused.contains("cert.pem: holds none"), "{refused}");
    secure::connect(&url, &second, &TLS13).unwrap();
    server.stop();
}

#[test]
fn the_door_opens_and_shuts_with_a_reload() {
    let server = open(LISTEN_TLS);
    let url = secure::url(&server, "main");
    let mut client = secure::client(&server, "main");
    edit(&server, LISTEN_TLS, "");
    assert_eq!(reload(&server), "");
    assert!(status(&server)["tls"].is_null());
    let shut = (0..PATIENCE.as_millis() / 20).any(|_| {
        thread::sleep(Duration::from_millis(20));
        TcpStream::connect(address(&url)).is_err()
    });
    assert!(shut);
    assert_eq!(client.describe().status, 200, "who is inside stays");
    edit(&server, "anonymous = true", &format!("anonymous = true\nlisten_tls = [\"{}\"]", address(&url)));
    assert_eq!(reload(&server), "");
    assert_eq!(secure::client(&server, "main").describe().status, 200);
    server.stop();
}

#[test]
fn a_password_in_clear_opens_inside_tls_only_and_is_not_asked_for() {
    let server = Server::start(LISTEN_TLS, &format!("{CAMERA}{MAIN}{NVR}"));
    let basic = |password: &str| format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("nvr:{password}")));
    let mut secure = secure::client(&server, "main");
    let mut plain = Client::connect(&server.url("main"));
    let url = secure.url.clone();
    let challenged = secure.describe();
    assert_eq!(challenged.status, 401);
    assert!(challenged.header("WWW-Authenticate").unwrap().starts_with("Digest "));
    assert_eq!(secure.request("DESCRIBE", &url, &basic("s3cret pass")).status, 200);
    assert_eq!(secure.request("DESCRIBE", &url, &basic("guess")).status, 401);
    let url = plain.url.clone();
    let refused = plain.request("DESCRIBE", &url, &basic("s3cret pass"));
    assert_eq!(refused.status, 401);
    assert!(refused.header("WWW-Authenticate").unwrap().starts_with("Digest "));
    // Guesses count: 1 above, and 9 more.
    let url = secure.url.clone();
    (0..9).for_each(|_| assert_eq!(secure.request("DESCRIBE", &url, &basic("guess")).status, 401));
    assert_eq!(secure.request("DESCRIBE", &url, &basic("s3cret pass")).status, 403);
    assert!(!server.log().contains("s3cret") && !server.log().contains("guess"));
    server.stop();
}

#[test]
fn who_never_shakes_hands_is_cut_off_and_nobody_waits_for_him() {
    let server = open(LISTEN_TLS);
    let url = secure::url(&server, "main");
    let mut silent: Vec<_> = (0..20).map(|_| TcpStream::connect(address(&url)).unwrap()).collect();
    // The beginning of a record that never ends.
    silent[0].write_all(&[22, 3, 1, 2, 0, 1, 0]).unwrap();
    assert_eq!(secure::client(&server, "main").describe().status, 200);
    for socket in &mut silent {
        patient(socket);
        assert!(matches!(socket.read(&mut [0; 64]), Ok(0)), "still there after {PATIENCE:?}");
    }
    server.stop();
}

#[test]
fn one_inside_tls_that_stops_reading_loses_and_nobody_else() {
    let camera = CAMERA.replace("fps = 30", "fps = 30\nscene = \"busy\"");
    let main = "[stream.main]\nvideo = { from = \"cam\", bitrate = \"2M\", gop = \"1s\" }";
    let server = Server::start(&format!("anonymous = true\n{LISTEN_TLS}"), &format!("{camera}{main}"));
    let url = secure::url(&server, "main");
    let mut good = secure::client(&server, "main");
    let narrow = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    narrow.set_recv_buffer_size(4096).unwrap();
    narrow.connect(&address(&url).into()).unwrap();
    let narrow = secure::over(narrow.into(), &secure::made(&server), &TLS13).unwrap();
    let mut slow = Client::through(narrow, &url);
    for client in [&mut good, &mut slow] {
        client.set_up_tcp(1);
        client.ok("PLAY", "");
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| Received::until(&mut good, |_| over.load(Ordering::Relaxed)));
        thread::sleep(Duration::from_secs(5));
        // After what its buffers held comes a gap between pictures, and it can still ask.
        let received = Received::until(&mut slow, |it| {
            let gap = it.rtp[0].windows(2).position(|pair| pair[1].seq != pair[0].seq.wrapping_add(1));
            gap.is_some_and(|gap| it.rtp[0][gap + 1..].iter().filter(|packet| packet.marker).count() > 3)
        });
        let packets = &received.rtp[0];
        let gap = packets.windows(2).position(|pair| pair[1].seq != pair[0].seq.wrapping_add(1)).unwrap();
        assert!(packets[gap].marker, "the gap is inside a picture");
        assert_unbroken(&packets[gap + 1..]);
        slow.ok("GET_PARAMETER", "");
        over.store(true, Ordering::Relaxed);
        let received = reader.join().unwrap();
        assert_unbroken(&received.rtp[0]);
        assert!(received.rtp[0].len() > 300);
    });
    server.stop();
}
