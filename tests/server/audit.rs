//! The audit trail: who came, was let in, watched what and how much.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{
    client::{Client, PATIENCE},
    world::{CAMERA, MAIN, command, open, tell},
};
use crate::support::Server;

const NVR: &str = "
    [[user]]
    name = \"nvr\"
    md5 = \"981f15ce7b213f8d217bb136ef992afd\"
    ";

/// The records in a text; lines of another kind are the log's.
fn records(text: &str) -> Vec<Value> {
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Waits for the records that a file holds once there are so many.
pub fn await_records(file: &Path, count: usize) -> Vec<Value> {
    for _ in 0..PATIENCE.as_millis() / 20 {
        let records = records(&fs::read_to_string(file).unwrap_or_default());
        if records.len() >= count {
            return records;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("no {count} records in {:?}", fs::read_to_string(file));
}

pub fn events(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["event"].as_str().unwrap()).collect()
}

#[test]
fn who_came_and_what_they_watched_is_in_journal_and_file() {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("audit.jsonl");
    let lockout = "lockout = { failures = 1, within = \"1m\", for = \"1h\" }";
    let server = Server::start(&format!("audit_file = {file:?}\n{lockout}"), &format!("{CAMERA}{MAIN}{NVR}"));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);

    let mut viewer = Client::connect(&server.url("main"));
    let port = viewer.socket.local_addr().unwrap().port();
    viewer.log_in("nvr", "s3cret pass");
    viewer.set_up_tcp(2);
    viewer.ok("PLAY", "");
    (0..60).for_each(|_| drop(viewer.frame()));
    viewer.ok("PAUSE", "");
    viewer.ok("PLAY", "");
    viewer.ok("TEARDOWN", "");
    let mut guesser = Client::connect(&server.url("main"));
    guesser.log_in("nvr", "wrong");
    assert_eq!(guesser.describe().status, 401);
    assert!(command(&server, &["unban", "127.0.0.1"]).status.success());

    let seen = await_records(&file, 8);
    assert_eq!(
        events(&seen),
        ["connect", "login", "play", "end", "connect", "login-failed", "lockout", "unban"],
        "{seen:#?}"
    );
    for record in &seen {
        let mut fields: Vec<_> = record.as_object().unwrap().keys().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(
            fields,
            ["address", "bytes", "event", "port", "seconds", "stream", "time", "transport", "user"],
            "{record}"
        );
        assert_eq!(record["address"], "127.0.0.1");
        let time = record["time"].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z') && &time[10..11] == "T", "{time}");
    }
    let end = &seen[3];
    assert_eq!(
        (&end["user"], &end["stream"], &end["transport"], &end["port"]),
        (&"nvr".into(), &"main".into(), &"tcp".into(), &port.into())
    );
    assert!(end["bytes"].as_u64().unwrap() > 1000 && end["seconds"].as_f64().unwrap() > 0.0, "{end}");
    assert_eq!((&seen[0]["user"], &seen[2]["seconds"]), (&Value::Null, &Value::Null));
    assert_eq!(seen[6]["user"], "nvr");

    // As logrotate does it.
    fs::rename(&file, folder.path().join("audit.jsonl.1")).unwrap();
    assert!(command(&server, &["reload"]).status.success());
    assert_eq!(events(&await_records(&file, 1)), ["reload"]);
    let log = server.log();
    let end = guesser.describe().status;
    assert_eq!(end, 401);
    server.stop();
    let old = records(&fs::read_to_string(folder.path().join("audit.jsonl.1")).unwrap());
    assert_eq!(old, seen, "nothing more came into the old file");
    let journal = records(&log);
    assert_eq!(&journal[..8], &seen[..], "the journal has the same");
    assert_eq!(events(&journal[8..]), ["reload"]);
}

#[test]
fn a_viewer_that_the_servers_end_cuts_off_has_its_end_in_the_trail() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    let server = open(&format!("audit_file = {file:?}"));
    let mut viewer = Client::watch(&server.url("main"), 1);
    viewer.frame();
    tell(&server, Signal::SIGTERM);
    viewer.frames_to_the_end();
    server.stop();
    let seen = await_records(&file, 3);
    assert_eq!(events(&seen), ["connect", "play", "end"]);
    assert_eq!(seen[2]["user"], Value::Null);
}

#[test]
fn an_audit_file_that_cannot_be_written_is_refused() {
    let server = open("");
    super::world::edit(&server, "[server]", "[server]\naudit_file = \"/nonexistent/audit.jsonl\"");
    let output = command(&server, &["reload"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("server.audit_file /nonexistent/audit.jsonl: "), "{stderr}");
    Client::watch(&server.url("main"), 1).frame();
    server.stop();
}
