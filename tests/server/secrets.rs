//! Nothing that opens a door is ever in a log.

use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    client::{Client, Login},
    world::{CAMERA, MAIN, Pair, command, edit},
};
use crate::support::Server;

const PASSWORD: &str = "s3cret pass";
const NVR: &str = "
    [[user]]
    name = \"nvr\"
    md5 = \"981f15ce7b213f8d217bb136ef992afd\"
    ";

#[test]
fn no_log_of_a_whole_run_holds_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    let server = Server::start_in(
        &format!("audit_file = {file:?}\nlockout = {{ failures = 5, within = \"1m\", for = \"1h\" }}"),
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
    let basic = STANDARD.encode(format!("nvr:{PASSWORD}"));
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
    let mut guesser = Client::connect(&url);
    guesser.log_in("nvr", "my other pass");
    for _ in 0..5 {
        let response = guesser.describe();
        guesser.login = Some(Login::new(response.header("WWW-Authenticate").unwrap(), "nvr", "my other pass"));
    }
    assert_eq!(guesser.describe().status, 403);
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
        for secret in [PASSWORD, "s3cret%20pass", "my other pass", &made, &basic] {
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
