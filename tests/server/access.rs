//! Who may look, over the socket.

use std::{os::unix::fs::PermissionsExt, thread, time::Duration};

use super::{
    client::{Client, Login},
    world::{CAMERA, MAIN},
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

#[test]
fn guesser_is_locked_out_for_a_while() {
    let server = start("lockout = { failures = 10, within = \"1m\", for = \"1s\" }", NVR);
    let mut client = Client::connect(&server.url("main"));
    client.log_in("nvr", "wrong");
    for guess in 1..=10 {
        let response = client.describe();
        assert_eq!(response.status, 401, "guess {guess}");
        client.login = Some(Login::new(response.header("WWW-Authenticate").unwrap(), "nvr", "wrong"));
    }
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
