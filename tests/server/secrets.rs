//! Nothing that opens a door is ever in a log.

use std::{
    cell::Cell,
    fs,
    io::{Read, Write},
    path::Path,
};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    client::{Client, Login},
    secure::{self, LISTEN_TLS},
    tunnels::{self, Socketed},
    world::{CAMERA, MAIN, Pair, command, edit},
};
use crate::support::Server;

const PASSWORD: &str = "s3cret pass";
const NVR: &str = "
    [[user]]
    name = \"nvr\"
    md5 = \"981f15ce7b213f8d217bb136ef992afd\"
    ";

/// What only the two halves of a tunnel know.
const COOKIE: &str = "c00k1e-0f-a-tunnel";

/// Comes in with the right password and with others, as each of them may be written; inside TLS also in clear.
fn visit<S: Read + Write>(server: &Server, secure: bool, connect: impl Fn() -> Client<S>) {
    let mut viewer = connect();
    viewer.log_in("nvr", PASSWORD);
    assert_eq!(viewer.describe().status, 200);
    viewer.set_up_tcp(2);
    viewer.ok("PLAY", "");
    viewer.frame();
    viewer.ok("TEARDOWN", "");
    let mut guesser = connect();
    guesser.log_in("nvr", "my other pass");
    assert_eq!(guesser.describe().status, 401);
    guesser.login = None;
    let url = guesser.url.clone();
    for (password, status) in [("my other pass", 401), (PASSWORD, if secure { 200 } else { 401 })] {
        let basic = STANDARD.encode(format!("nvr:{password}"));
        assert_eq!(guesser.request("DESCRIBE", &url, &format!("Authorization: Basic {basic}\r\n")).status, status);
    }
    // No message at all, by which the connection ends.
    guesser.send_raw(format!("\u{1}nvr {PASSWORD} my other pass\r\n\r\n").as_bytes());
    guesser.frames_to_the_end();
    assert!(command(server, &["unban"]).status.success());
}

/// HTTP itself asks for no password, but somebody may send one; and one half alone has said its cookie too.
fn knock(server: &Server, connect: fn(&Server) -> tunnels::AnyWire) {
    let basic = STANDARD.encode(format!("nvr:{PASSWORD}"));
    let websocket = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n\
                     Sec-WebSocket-Protocol: rtsp.onvif.org\r\nSec-WebSocket-Key: ";
    for (head, status) in [
        (tunnels::get(""), "404"),
        (tunnels::post("").replace("cookie: ", &format!("cookie: {COOKIE}\r\nTransfer-Encoding: ")), "501"),
        ("GET /?user=nvr&password=s3cret%20pass HTTP/1.1\r\n\r\n".to_owned(), "404"),
        (format!("GET /?password={basic} HTTP/1.1\r\n{websocket}{basic}\r\n\r\n"), "426"),
    ] {
        let mut wire = connect(server);
        tunnels::send(&mut wire, &head.replacen("\r\n", &format!("\r\nAuthorization: Basic {basic}\r\n"), 1));
        let answer = String::from_utf8(secure::rest(&mut wire)).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {answer}");
    }
}

#[test]
fn no_log_of_a_whole_run_holds_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    let server = Server::start_in(
        &format!("audit_file = {file:?}\n{LISTEN_TLS}lockout = {{ failures = 5, within = \"1m\", for = \"1h\" }}"),
        &format!("{CAMERA}{MAIN}"),
        &[("EYRIE_LOG", Path::new("trace"))],
    );
    let (url, made) = (server.url("main"), server.viewer_password());
    let mut viewer = Client::connect(&url);
    viewer.log_in("viewer", &made);
    viewer.set_up_tcp(2);
    viewer.ok("PLAY", "");
    viewer.frame();
    edit(&server, "[camera.cam]", &format!("{NVR}\n[camera.cam]"));
    assert!(command(&server, &["reload"]).status.success());
    viewer.frames_to_the_end();

    let (mut udp, pair) = (Client::connect(&url), Pair::new());
    udp.log_in("nvr", PASSWORD);
    assert_eq!(udp.set_up(0, &pair.transport()).status, 200);
    udp.ok("PLAY", "");
    // As people write it into the URL, and clients send it on.
    let mut inside = Client::connect(&url);
    inside.url = url.replace("://", "://nvr:s3cret%20pass@");
    inside.log_in("nvr", PASSWORD);
    assert_eq!(inside.describe().status, 200);
    // A password where none is asked for so, headers that are none, and messages that are none.
    let [basic, other_basic] = [PASSWORD, "my other pass"].map(|it| STANDARD.encode(format!("nvr:{it}")));
    for header in [
        format!("Authorization: Basic {basic}\r\n"),
        format!("Authorization: Digest username=\"nvr\", response={basic}\r\n"),
        format!("Authorization : nvr {PASSWORD}\r\n"),
        format!("authorization: {}\r\n", PASSWORD.repeat(2000)),
        format!("Authorization: Digest {basic}\u{1}\n {PASSWORD}\r\n"),
    ] {
        let mut client = Client::connect(&url);
        client.send("DESCRIBE", &url, &header);
        while client.next().is_some_and(|_| false) {}
    }
    Client::connect(&url).send_raw(format!("nvr {PASSWORD} Basic {basic}\r\n\r\n").as_bytes());
    visit(&server, false, || Client::connect(&url));
    visit(&server, true, || secure::client(&server, "main"));
    let tunnel = Cell::new(0);
    for (secure, connect) in [(false, tunnels::plain as fn(&Server) -> tunnels::AnyWire), (true, tunnels::inside_tls)] {
        visit(&server, secure, || {
            tunnel.set(tunnel.get() + 1);
            tunnels::tunnel(&server, &format!("{COOKIE}-{}", tunnel.get()), connect)
        });
        visit(&server, secure, || Socketed::open(&server, connect(&server)));
        knock(&server, connect);
    }
    let mut guesser = Client::connect(&url);
    guesser.log_in("nvr", "my other pass");
    loop {
        let response = guesser.describe();
        if response.status == 403 {
            break;
        }
        guesser.login = Some(Login::new(response.header("WWW-Authenticate").unwrap(), "nvr", "my other pass"));
    }
    assert!(command(&server, &["unban"]).status.success());
    assert!(command(&server, &["status", "--json"]).status.success());
    udp.ok("TEARDOWN", "");
    edit(&server, "981f15ce7b213f8d217bb136ef992afd", "981f15ce7b213f8d217bb136ef992aXX");
    let refused = command(&server, &["reload"]).stderr;
    let log = server.log();
    server.stop();

    let audit = fs::read_to_string(file).unwrap();
    assert!(log.contains("DEBUG") && audit.contains("login-failed") && audit.contains("lockout"), "{log}\n{audit}");
    for (name, text) in [("log", log), ("audit file", audit), ("reload", String::from_utf8(refused).unwrap())] {
        for secret in [PASSWORD, "s3cret%20pass", "my other pass", &made, &basic, &other_basic, COOKIE] {
            assert!(!text.contains(secret), "{secret} is in the {name}:\n{text}");
        }
        let lower = text.to_lowercase();
        for word in ["authorization:", "digest username", "response="] {
            assert!(!lower.contains(word), "{word} is in the {name}:\n{text}");
        }
        // Digests, responses, nonces and the ids of sessions.
        if name != "reload" {
            let long = lower.split(|c: char| !c.is_ascii_hexdigit()).find(|run| run.len() >= 32);
            assert_eq!(long, None, "in the {name}");
        }
    }
}
