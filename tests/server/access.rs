//! Who may look, over the socket.

use std::{os::unix::fs::PermissionsExt, thread, time::Duration};

use super::{
    client::{Client, Login},
    world::{CAMERA, MAIN, Pair, command, datagram, edit},
};
use crate::support::Server;

/// MD5 and SHA-256 of `nvr:Eyrie:s3cret pass`.
const NVR: &str = "
    [[user]]
    name = \"nvr\"
    md5 = \"981f15ce7b213f8d217bb136ef992afd\"
    sha256 = \"156b82d3dfeadfac5fb1937ab568e5c9101ec6ad1ad7fc7c5d5cd308e4bb02c1\"
    ";

fn start(server: &str, users: &str) -> Server {
    Server::start(server, &format!("{CAMERA}{MAIN}{users}"))
}

#[test]
fn one_challenge_of_the_form_that_all_clients_read() {
    for (digest, end) in [("md5", "qop=\"auth\""), ("sha256", "qop=\"auth\", algorithm=SHA-256")] {
        let server = start(&format!("digest = {digest:?}"), NVR);
        let mut client = Client::connect(&server.url("main"));
        let response = client.describe();
        let challenge = response.header("WWW-Authenticate").unwrap();
        let rest = challenge.strip_prefix("Digest realm=\"Eyrie\", nonce=\"").expect(challenge);
        let (nonce, rest) = rest.split_once('"').unwrap();
        assert!(nonce.len() >= 16, "{challenge}");
        assert!(
            [", stale=FALSE, ", ", stale=false, "].map(|stale| format!("{stale}{end}")).contains(&rest.to_owned()),
            "{challenge}"
        );
        client.log_in("nvr", "s3cret pass");
        assert_eq!(client.describe().status, 200, "{digest}");
        client.set_up_tcp(2);
        client.ok("PLAY", "");
        client.frame();
        server.stop();
    }
}

#[test]
fn made_password_lets_in() {
    let server = start("", "");
    let file = server.state_dir().join("viewer.password");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let mut client = Client::connect(&server.url("main"));
    client.log_in("viewer", &server.viewer_password());
    assert_eq!(client.describe().status, 200);
    let elsewhere = server.url("main").replace("/main", "/other");
    assert_eq!(client.request("DESCRIBE", &elsewhere, "").status, 404);
    server.stop();
}

#[test]
fn stale_nonce_gets_another_and_ends_no_session() {
    let server = start("", NVR);
    let mut client = Client::connect(&server.url("main"));
    client.log_in("nvr", "s3cret pass");
    client.set_up_tcp(1);
    client.ok("PLAY", "");
    let login = client.login.as_mut().unwrap();
    login.nonce = "00".repeat(login.nonce.len() / 2);
    let url = client.url.clone();
    let response = client.request("GET_PARAMETER", &url, "");
    assert_eq!(response.status, 401);
    let challenge = response.header("WWW-Authenticate").unwrap();
    assert!(challenge.to_lowercase().contains("stale=true"), "{challenge}");
    client.login = Some(Login::new(challenge, "nvr", "s3cret pass"));
    client.ok("GET_PARAMETER", "");
    client.frame();
    server.stop();
}

#[test]
fn stream_without_the_right_is_403() {
    let users = "
        [[user]]
        name = \"nvr\"
        md5 = \"981f15ce7b213f8d217bb136ef992afd\"
        streams = [\"sub\"]";
    let sub = "\n[stream.sub]\nvideo = { from = \"cam\", fps = 10, bitrate = \"100k\" }";
    let server = start("", &format!("{sub}{users}"));
    let mut client = Client::connect(&server.url("main"));
    client.log_in("nvr", "s3cret pass");
    assert_eq!(client.describe().status, 403);
    client.url = server.url("sub");
    assert_eq!(client.describe().status, 200);
    server.stop();
}

/// Ten wrong answers of `nvr`.
fn guess_until_locked_out(client: &mut Client) {
    client.log_in("nvr", "wrong");
    for guess in 1..=10 {
        let response = client.describe();
        assert_eq!(response.status, 401, "guess {guess}");
        client.login = Some(Login::new(response.header("WWW-Authenticate").unwrap(), "nvr", "wrong"));
    }
}

#[test]
fn a_lock_out_leaves_open_sessions_and_other_addresses_alone_and_is_ended_by_hand() {
    let server = start("lockout = { failures = 10, within = \"1m\", for = \"1h\" }", NVR);
    let url = server.url("main");
    let mut viewer = Client::connect(&url);
    viewer.log_in("nvr", "s3cret pass");
    viewer.set_up_tcp(1);
    viewer.ok("PLAY", "");
    let (mut by_udp, pair) = (Client::connect(&url), Pair::new());
    by_udp.log_in("nvr", "s3cret pass");
    assert_eq!(by_udp.set_up(0, &pair.transport()).status, 200);
    let mut guesser = Client::connect(&url);
    guess_until_locked_out(&mut guesser);
    let mut late = Client::connect(&url);
    late.log_in("nvr", "s3cret pass");
    assert_eq!(late.describe().status, 403);

    viewer.ok("GET_PARAMETER", "");
    viewer.ok("PAUSE", "");
    viewer.ok("PLAY", "");
    viewer.frame();
    by_udp.ok("PLAY", "");
    datagram(&pair.rtp);
    let mut elsewhere = Client::connect_from("127.0.0.2", &url);
    elsewhere.log_in("nvr", "s3cret pass");
    assert_eq!(elsewhere.describe().status, 200);

    let unban = |arguments: &[&str]| command(&server, arguments).stdout;
    assert_eq!(unban(&["unban", "127.0.0.2"]), b"0 lock-outs are ended.\n");
    assert_eq!(late.describe().status, 403);
    assert_eq!(unban(&["unban", "127.0.0.1"]), b"1 lock-out is ended.\n");
    assert_eq!(late.describe().status, 200);
    guess_until_locked_out(&mut guesser);
    assert_eq!(unban(&["unban"]), b"1 lock-out is ended.\n");
    assert_eq!(late.describe().status, 200);
    server.stop();
}

#[test]
fn a_nonce_is_good_on_any_connection_of_its_address_but_a_count_once_on_each() {
    let server = start("", NVR);
    let url = server.url("main");
    let mut client = Client::connect(&url);
    client.log_in("nvr", "s3cret pass");
    let login = client.login.clone();
    assert_eq!(client.describe().status, 200);
    client.login = login.clone();
    let response = client.describe();
    assert_eq!(response.status, 401, "the same count again");
    assert!(response.header("WWW-Authenticate").unwrap().contains("stale=true"), "{response:?}");
    let mut second = Client::connect(&url);
    second.login = login.clone();
    assert_eq!(second.describe().status, 200, "without a challenge of its own");
    let mut elsewhere = Client::connect_from("127.0.0.2", &url);
    elsewhere.login = login;
    let response = elsewhere.describe();
    assert_eq!(response.status, 401);
    assert!(response.header("WWW-Authenticate").unwrap().contains("stale=true"), "{response:?}");
    server.stop();
}

/// VLC signs all with the base URL, others with a relative one; another stream's name opens nothing.
#[test]
fn an_answer_is_for_the_uri_that_the_client_signs_if_it_names_the_stream() {
    let server = start("", NVR);
    let url = server.url("main");
    let mut client = Client::connect(&url);
    for (uri, status) in [
        (url.as_str(), 200),
        (&format!("{url}/"), 200),
        ("/main", 200),
        ("main/", 200),
        ("rtsp://camera.example/main", 200),
        (&url.replace("/main", "/other"), 401),
        ("*", 401),
    ] {
        client.log_in("nvr", "s3cret pass");
        client.login.as_mut().unwrap().uri = Some(uri.into());
        assert_eq!(client.describe().status, status, "{uri}");
    }
    server.stop();
}

/// Byte for byte but for the nonce, whatever of stream, user and password is wrong.
#[test]
fn what_is_unknown_looks_like_what_is_wrong() {
    let server = start("", NVR);
    let mut answers = ["nvr", "nobody"].map(|user| {
        ["main", "other"].map(|stream| {
            let mut client = Client::connect(&server.url("main").replace("/main", &format!("/{stream}")));
            client.log_in(user, "wrong");
            let answer = format!("{:?}", client.describe());
            let (before, nonce) = answer.split_once("nonce=\\\"").unwrap();
            let before = before.split("Date").map(|part| part.split_once("GMT").map_or(part, |(_, after)| after));
            before.collect::<String>() + nonce.split_once('\\').unwrap().1
        })
    });
    let answers = answers.as_flattened_mut();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    server.stop();
}

#[test]
fn a_stream_has_lists_of_its_own() {
    let sub = "\n[stream.sub]\nvideo = { from = \"cam\", fps = 10, bitrate = \"100k\" }\ndeny = [\"127.0.0.2\"]\n\
               [stream.own]\nvideo = { from = \"cam\", fps = 10, bitrate = \"100k\" }\nallow = [\"127.0.0.2\"]\n\
               aliases = [\"/alias\"]";
    let server = start("", &format!("{sub}{NVR}"));
    let status = |address: &str, stream: &str| {
        let mut client = Client::connect_from(address, &server.url("main").replace("/main", &format!("/{stream}")));
        client.log_in("nvr", "s3cret pass");
        client.describe().status
    };
    for stream in ["main", "sub"] {
        assert_eq!(status("127.0.0.1", stream), 200, "{stream}");
    }
    for stream in ["main", "own", "alias"] {
        assert_eq!(status("127.0.0.2", stream), 200, "{stream}");
    }
    assert_eq!(status("127.0.0.2", "sub"), 403);
    assert_eq!(status("127.0.0.1", "own"), 403);
    assert_eq!(status("127.0.0.1", "alias"), 403, "by another name");
    assert_eq!(status("127.0.0.1", "none"), 404);

    // Who loses the right by a reload is told so, and nobody else.
    let mut main = Client::connect(&server.url("main"));
    let mut viewer = Client::connect(&server.url("sub"));
    for client in [&mut main, &mut viewer] {
        client.log_in("nvr", "s3cret pass");
        client.set_up_tcp(1);
        client.ok("PLAY", "");
    }
    edit(&server, "deny = [\"127.0.0.2\"]", "deny = [\"127.0.0.0/8\"]");
    assert!(command(&server, &["reload"]).status.success());
    viewer.frames_to_the_end();
    main.ok("GET_PARAMETER", "");
    main.frame();
    edit(&server, "[server]", "[server]\nallow = [\"127.0.0.2\"]");
    assert!(command(&server, &["reload"]).status.success());
    main.frames_to_the_end();
    server.stop();
}

#[test]
fn guesser_is_locked_out_for_a_while() {
    let server = start("lockout = { failures = 10, within = \"1m\", for = \"1s\" }", NVR);
    let mut client = Client::connect(&server.url("main"));
    guess_until_locked_out(&mut client);
    client.login.as_mut().unwrap().password = "s3cret pass".into();
    assert_eq!(client.describe().status, 403, "even with the right password");
    client.login.as_mut().unwrap().user = "other".into();
    assert_eq!(client.describe().status, 401, "another user is not locked out");
    client.login.as_mut().unwrap().user = "nvr".into();
    // Nothing tells that a lock-out is over but asking again.
    for _ in 0..100 {
        thread::sleep(Duration::from_millis(100));
        match client.describe().status {
            403 => {}
            200 => return server.stop(),
            status => panic!("{status}"),
        }
    }
    panic!("still locked out");
}
