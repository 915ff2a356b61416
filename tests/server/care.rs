//! Looking after a server: its figures for Prometheus, what the doctor finds, streams and users by command.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;

use super::{
    client::{Client, patient},
    world::{await_stream, command, edit, open, status},
};
use crate::support::Server;

/// What HTTP answers, head and body; None if nobody listens.
fn get(address: &str, path: &str) -> Option<String> {
    let mut socket = TcpStream::connect(address).ok()?;
    patient(&socket);
    write!(socket, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    Some(answer)
}

/// The address that the server tells the `count`th time.
fn scraped_at(server: &Server, count: usize) -> String {
    let log = server.log();
    let told = log.split("metrics at http://").nth(count).unwrap_or_else(|| panic!("{log}"));
    told.split('/').next().unwrap().to_owned()
}

#[test]
fn prometheus_finds_the_figures_where_the_config_says() {
    let server = open("metrics = \"127.0.0.1:0\"\n");
    let address = scraped_at(&server, 1);
    let mut viewer = Client::watch(&server.url("main"), 2);
    viewer.frame();
    let answer = get(&address, "/metrics").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("application/openmetrics-text"), "{answer}");
    for line in ["eyrie_stream_viewers{stream=\"main\"} 1.0", "eyrie_camera_live{camera=\"cam\"} 1.0", "# EOF"] {
        assert!(answer.lines().any(|other| other == line), "no {line} in {answer}");
    }
    assert!(get(&address, "/").unwrap().starts_with("HTTP/1.1 404 "));
    // A reload moves it, and takes it away.
    edit(&server, "metrics = \"127.0.0.1:0\"", "metrics = \"127.0.0.2:0\"");
    assert!(command(&server, &["reload"]).status.success());
    let other = scraped_at(&server, 2);
    assert!(get(&other, "/metrics").unwrap().contains("eyrie_uptime_seconds "));
    edit(&server, "metrics = \"127.0.0.2:0\"", "");
    assert!(command(&server, &["reload"]).status.success());
    assert!(get(&address, "/metrics").is_none() && get(&other, "/metrics").is_none());
    server.stop();
}

/// The one that leaves it still listens as the other begins.
#[test]
fn the_port_of_metrics_moves_to_another_address() {
    let server = open("metrics = \"127.0.0.1:0\"\n");
    let address = scraped_at(&server, 1);
    let mut before = "127.0.0.1:0".to_owned();
    for to in ["0.0.0.0", "127.0.0.1", "127.0.0.2"] {
        let to = address.replace("127.0.0.1", to);
        edit(&server, &format!("metrics = \"{before}\""), &format!("metrics = \"{to}\""));
        let output = command(&server, &["reload"]);
        assert!(output.status.success(), "{output:?}");
        before = to;
    }
    assert!(get(&before, "/metrics").unwrap().starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(get(&address, "/metrics").is_none());
    server.stop();
}

/// Says nothing, or half a request, or leaves the connection open.
#[test]
fn who_does_not_scrape_is_closed() {
    let server = open("metrics = \"127.0.0.1:0\"\n");
    let address = scraped_at(&server, 1);
    let said = ["", "GET /metrics HTTP/1.1\r\nHost: x\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"];
    let sockets = said.map(|said| {
        let mut socket = TcpStream::connect(&address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        socket.write_all(said.as_bytes()).unwrap();
        socket
    });
    for (said, mut socket) in said.iter().zip(sockets) {
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap_or_else(|error| panic!("not closed after {said:?}: {error}"));
        assert_eq!(answer.starts_with("HTTP/1.1 404 "), said.starts_with("GET / "), "{answer}");
    }
    server.stop();
}

#[test]
fn many_who_do_not_scrape_keep_nobody_from_it() {
    let server = open("metrics = \"127.0.0.1:0\"\n");
    let address = scraped_at(&server, 1);
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    let before = descriptors();
    let idle: Vec<_> = (0..500).map(|_| TcpStream::connect(&address).unwrap()).collect();
    assert!(get(&address, "/metrics").unwrap().starts_with("HTTP/1.1 200 OK\r\n"));
    // The older ones go for the younger, long before they have had their time.
    let gone = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        descriptors() < before + 50
    });
    assert!(gone, "{} descriptors, {before} before", descriptors());
    drop(idle);
    server.stop();
}

#[test]
fn a_taken_address_for_metrics_is_told() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let server = open("");
    let address = taken.local_addr().unwrap();
    edit(&server, "anonymous = true", &format!("anonymous = true\nmetrics = \"{address}\""));
    let output = command(&server, &["reload"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains(&format!("cannot listen on {address}: ")), "{said}");
    assert!(said.contains("choose another under [server] metrics"), "{said}");
    assert!(status(&server)["streams"][0].is_object(), "the old one goes on");
    server.stop();
}

/// A command about the server's own config.
fn about(server: &Server, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eyrie"));
    command.args(arguments).arg("--config").arg(server.config()).stdin(Stdio::null()).output().unwrap()
}

fn findings(server: &Server) -> (Vec<(String, String)>, Value) {
    let output = about(server, &["doctor", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let found = told["findings"].as_array().unwrap().clone();
    assert_eq!(output.status.code(), Some(i32::from(!found.is_empty())));
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    (found.iter().map(|finding| (text(finding, "about"), text(finding, "problem"))).collect(), told["urls"].clone())
}

#[test]
fn the_doctor_names_what_is_wrong() {
    let camera = "[camera.cam]\ndevice = \"no such camera\"\n[stream.main]\nvideo = { from = \"cam\" }\n";
    let server = Server::start("", camera);
    let (found, _) = findings(&server);
    let of = |about: &str| found.iter().find(|(other, _)| other == about).map(|(_, problem)| problem.clone());
    assert!(of("camera cam").unwrap().contains("no such camera"), "{found:?}");
    assert_eq!(of("server"), None);
    assert_eq!(of("config"), None);
    fs::write(server.config(), "[server]\npacket_size = 1\n").unwrap();
    let (found, urls) = findings(&server);
    assert!(found[0].0 == "config" && found[0].1.contains(":2:15: server.packet_size: "), "{found:?}");
    assert_eq!(urls.as_array().unwrap().len(), 0);
    server.stop();
}

#[test]
fn the_doctor_without_a_server_knows_who_has_its_port_and_the_urls() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (config, state) = (folder.path().join("e.toml"), folder.path().join("state"));
    fs::create_dir(&state).unwrap();
    fs::write(state.join("viewer.password"), "open-sesame\n").unwrap();
    let server = format!("[server]\nlisten = [\"{address}\"]\nstate_dir = {state:?}\n");
    fs::write(&config, format!("{server}control_socket = {:?}\n", folder.path().join("control.sock"))).unwrap();
    let doctor = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eyrie"));
        let output = command.args(["doctor", "--config"]).arg(&config).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stdout).unwrap()
    };
    let told = doctor();
    assert!(told.contains("server: no server answers at ") && told.contains("systemctl start eyrie"), "{told}");
    assert!(told.contains(&format!("server: RTSP at {address}")) || told.contains(&address.to_string()), "{told}");
    assert!(told.contains("ss -tulnp"), "{told}");
    assert!(told.contains(&format!("rtsp://viewer:open-sesame@{address}/main\n")), "{told}");
}

#[test]
fn the_doctor_stays_and_looks_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("e.toml");
    // As an editor leaves it: never half of it is seen.
    let write = |stream: &str| {
        let server = "[server]\nlisten = [\"127.0.0.1:8554\"]\n";
        let camera = format!("[camera.cam]\ndevice = \"test\"\n[stream.{stream}]\nvideo = {{ from = \"cam\" }}\n");
        fs::write(folder.path().join("new"), format!("{server}{camera}")).unwrap();
        fs::rename(folder.path().join("new"), &config).unwrap();
    };
    write("porch");
    let mut command = Command::new(env!("CARGO_BIN_EXE_eyrie"));
    command.args(["doctor", "--watch", "--config"]).arg(&config).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut doctor = command.spawn().unwrap();
    let mut said = BufReader::new(doctor.stdout.take().unwrap()).lines().map_while(Result::ok);
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    let first = said.next().unwrap();
    assert!(first.starts_with("\x1b[H\x1b[2JEyrie ") && first.ends_with(&host), "{first:?}");
    assert!(said.by_ref().take_while(|line| !line.contains("\x1b[2J")).any(|line| line.ends_with("/porch")));
    write("hall");
    assert!(said.any(|line| line.ends_with("/hall")));
    doctor.kill().unwrap();
    doctor.wait().unwrap();
}

#[test]
fn streams_and_users_come_and_go_by_command() {
    let server = open("");
    let quiet = |arguments: &[&str]| {
        let output = about(&server, arguments);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    };
    let before = fs::read_to_string(server.config()).unwrap();
    quiet(&["stream", "add", "sub", "--camera", "cam", "--size", "160x120", "--bitrate", "100k"]);
    let sub = await_stream(&server, "sub", |stream| stream["state"] == "live");
    assert_eq!((&sub["width"], &sub["height"]), (&160.into(), &120.into()));
    quiet(&["stream", "remove", "sub"]);
    assert_eq!(status(&server)["streams"].as_array().unwrap().len(), 1);
    assert_eq!(fs::read_to_string(server.config()).unwrap().trim_end(), before.trim_end());

    let mut adding = Command::new(env!("CARGO_BIN_EXE_eyrie"))
        .args(["user", "add", "nvr", "--stdin", "--streams", "main", "--config"])
        .arg(server.config())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    adding.stdin.take().unwrap().write_all(b"secret\n").unwrap();
    assert!(adding.wait().unwrap().success());
    edit(&server, "anonymous = true", "anonymous = false");
    assert!(command(&server, &["reload"]).status.success());
    let mut client = Client::connect(&server.url("main"));
    client.log_in("nvr", "secret");
    assert_eq!(client.describe().status, 200);
    quiet(&["user", "remove", "nvr"]);
    let mut client = Client::connect(&server.url("main"));
    client.log_in("nvr", "secret");
    assert_eq!(client.describe().status, 401);

    for (arguments, why) in [
        (&["stream", "add", "main", "--camera", "cam"][..], "there is a stream main already"),
        (&["stream", "add", "x", "--camera", "front"], "no camera is named \"front\""),
        (&["stream", "remove", "x"], "there are: main"),
        (&["user", "remove", "x"], "there is no user x"),
    ] {
        let kept = fs::read_to_string(server.config()).unwrap();
        let output = about(&server, arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && said.contains(why), "{said}");
        assert_eq!(fs::read_to_string(server.config()).unwrap(), kept);
    }
    server.stop();
}

#[test]
fn the_board_and_what_was_asked_for_stand_in_the_status() {
    let server = open("");
    let stream = await_stream(&server, "main", |stream| stream["fps"].is_number());
    assert_eq!(stream["fps_asked"], 30.0);
    let status = status(&server);
    assert_eq!(status["board"]["boots"], 1, "the state folder is new: {status}");
    assert!(status["board"].as_object().unwrap().contains_key("under_voltage"));
    assert!(status["cameras"][0]["fps"].is_number(), "{status}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_eyrie"));
    command.args(["status", "--json", "--watch", "--socket"]).arg(server.control_socket());
    let mut watching = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(watching.stdout.take().unwrap()));
    let uptimes: Vec<u64> = lines
        .take(2)
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap()["uptime_s"].as_u64().unwrap())
        .collect();
    assert!(uptimes[1] > uptimes[0], "{uptimes:?}");
    server.stop();
    assert_eq!(watching.wait().unwrap().code(), Some(1), "there is nobody to ask any more");
}
