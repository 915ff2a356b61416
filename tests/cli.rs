//! The commands, by running the binary.

use clap_complete::Shell;
use eyrie::{
    config,
    device::list::ControlInfo,
    health::{
        control::{self, Command, Handler, Response},
        status::{BoardStatus, Clock, NetworkStatus, Status},
    },
};
use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{self, Output, Stdio},
    sync::{Arc, Mutex},
};
use tempfile::TempDir;

/// A run of `eyrie` with no configuration and no server of this machine in reach.
fn eyrie(home: &TempDir, arguments: &[&str]) -> process::Command {
    let mut command = process::Command::new(env!("CARGO_BIN_EXE_eyrie"));
    command.args(arguments).current_dir(home.path()).stdin(Stdio::null()).env_clear();
    command.env("HOME", home.path()).env("XDG_RUNTIME_DIR", home.path());
    command
}

fn output(home: &TempDir, arguments: &[&str]) -> (Option<i32>, String, String) {
    seen(eyrie(home, arguments).output().unwrap())
}

fn seen(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn home_with(text: &str) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("e.toml"), text).unwrap();
    home
}

const GOOD: &str = "\
# The door.
[camera.front]
device = \"test\" # for now

[stream.main]
video = { from = \"front\", bitrate = \"2M\" }
";

#[test]
fn check_says_nothing_of_a_good_config() {
    let home = home_with(GOOD);
    assert_eq!(output(&home, &["check", "e.toml"]), (Some(0), String::new(), String::new()));
    fs::write(home.path().join("e.toml"), config::EXAMPLE).unwrap();
    assert_eq!(output(&home, &["check", "e.toml"]).0, Some(0));
    let absent = GOOD.replace("\"test\"", "\"no such camera\"");
    fs::write(home.path().join("e.toml"), absent).unwrap();
    assert_eq!(output(&home, &["check", "e.toml"]).0, Some(0));
}

#[test]
fn check_points_at_what_is_wrong() {
    let table = [
        ("[sever]\n", "e.toml:1:2: sever: unknown key; expected `server`\n[sever]\n ^\n"),
        (
            "[server]\n  udp_ports = \"8001-8002\"\n",
            "e.toml:2:15: server.udp_ports: \"8001-8002\" does not fit here; expected an even port and the next one, \
             such as \"8000-8001\", or \"0\" for any free pair\n  udp_ports = \"8001-8002\"\n              ^\n",
        ),
        (
            "[server]\npacket_size = 1\nanonymous = 1\n",
            "e.toml:2:15: server.packet_size: 1 is out of range; expected a whole number from 256 to 8952\npacket_size = 1\n              \
             ^\ne.toml:3:13: server.anonymous: the number 1 does not fit here; expected true or false\nanonymous = 1\n            \
             ^\n",
        ),
        (
            "[camera.a]\ndevice = \"test\"\n[stream.b]\nvideo = { from = \"A\" }\n",
            "e.toml:4:18: stream.b.video.from: no camera is named \"A\", did you mean \"a\"?; expected \"a\"\nvideo = { from = \
             \"A\" }\n                 ^\n",
        ),
        ("[server\n", "e.toml:1:8: syntax: unclosed table; expected `]`\n[server\n       ^\n"),
    ];
    for (text, expected) in table {
        let home = home_with(text);
        assert_eq!(output(&home, &["check", "e.toml"]), (Some(1), String::new(), expected.to_owned()), "{text}");
    }
}

#[test]
fn check_of_what_cannot_be_read() {
    let home = home_with("");
    let (code, stdout, stderr) = output(&home, &["check", "none.toml"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.starts_with("none.toml: cannot be read: No such file"), "{stderr}");
    fs::write(home.path().join("e.toml"), b"# ok\n# \xff\n").unwrap();
    let (code, _, stderr) = output(&home, &["check", "e.toml"]);
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("e.toml:2:3: syntax: is not UTF-8; expected"), "{stderr}");
}

#[test]
fn a_password_needs_a_file_of_ones_own() {
    let home = home_with("[[user]]\nname = \"nvr\"\npassword = \"secret\"\n");
    let path = home.path().join("e.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, _, stderr) = output(&home, &["check", "e.toml"]);
    assert_eq!(code, Some(1));
    assert!(
        stderr.starts_with("e.toml:3:12: user.nvr.password: stands in a file that everybody can read; "),
        "{stderr}"
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(output(&home, &["check", "e.toml"]).0, Some(0));
}

#[test]
fn run_refuses_what_check_refuses() {
    let home = home_with("[sever]\n");
    let (code, stdout, stderr) = output(&home, &["run", "--config", "e.toml"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("e.toml:1:2: sever: unknown key; expected `server`\n[sever]\n ^\n"), "{stderr}");
}

fn passwd(home: &TempDir, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut command = eyrie(home, arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    seen(child.wait_with_output().unwrap())
}

#[test]
fn passwd_prints_a_block_for_the_config() {
    let home = home_with("");
    let (code, block, stderr) = passwd(&home, &["passwd", "nvr", "--stdin"], "s3cret ß\nignored\n");
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(block.starts_with("[[user]]\n"), "{block}");
    let user = &config::parse(&block, "f").unwrap_or_else(|errors| panic!("{errors}")).users[0];
    let (md5, sha256) = config::digests("nvr", "s3cret ß");
    assert_eq!((user.md5, user.sha256), (Some(md5), Some(sha256)));
    assert_eq!((user.role, &user.streams[..]), (config::Role::View, &["*".to_owned()][..]));
}

#[test]
fn passwd_refuses_what_cannot_work() {
    let home = home_with("");
    for (arguments, input, why) in [
        (["passwd", "a:b", "--stdin"], "x\n", "cannot be a user's name"),
        (["passwd", "nvr", "--stdin"], "\n", "the password is empty"),
        (["passwd", "nvr", "--stdin"], "", "the password is empty"),
    ] {
        let (code, stdout, stderr) = passwd(&home, &arguments, input);
        assert_eq!((code, stdout.as_str()), (Some(1), ""));
        assert!(stderr.contains(why), "{stderr}");
    }
}

/// The manual pages and completions of the package, all made of the definition. After a change there, this test writes
/// them anew when it is run with EYRIE_WRITE_MANUAL=1.
#[test]
fn the_manual_is_that_of_the_command_line() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/manual");
    let made = tempfile::tempdir().unwrap();
    let (folder, mut definition) = (made.path(), eyrie::cli::definition());
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut definition, "eyrie", folder).unwrap();
    }
    clap_mangen::generate_to(definition, folder).unwrap();
    let names = |folder: &Path| -> BTreeSet<_> {
        fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().file_name()).collect()
    };
    if std::env::var_os("EYRIE_WRITE_MANUAL").is_some() {
        let _ = fs::remove_dir_all(&kept);
        fs::create_dir(&kept).unwrap();
        for name in names(folder) {
            fs::copy(folder.join(&name), kept.join(&name)).unwrap();
        }
    }
    assert_eq!(names(folder), names(&kept));
    for name in names(folder) {
        let [made, kept] = [folder, &kept].map(|folder| fs::read_to_string(folder.join(&name)).unwrap());
        assert!(made == kept, "{name:?} is not as the command line is; run this test with EYRIE_WRITE_MANUAL=1");
    }
}

/// `scripts/test package` compares it with that of the program for another machine.
#[test]
fn a_board_is_told_how_fast_it_codes_and_how_many_it_serves() {
    let home = home_with("");
    let (code, said, told) = output(&home, &["bench", "--most", "2", "--seconds", "1"]);
    assert_eq!(code, Some(0), "{told}");
    let row = |begins: &str| said.lines().find(|line| line.starts_with(begins)).unwrap_or_else(|| panic!("{said}"));
    for size in ["640x360", "1280x720", "1920x1080", "2560x1440"] {
        let cells: Vec<&str> = row(size).split_whitespace().collect();
        assert_eq!(cells[1..3], ["openh264", "1"], "{said}");
        assert!(cells[3].parse::<u32>().unwrap() > 0, "{said}");
    }
    for way in ["UDP", "TCP"] {
        let viewers: usize = row(way).split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(viewers <= 2 && told.contains(&format!("2 viewers over {way}: ")), "{said}{told}");
    }
    let (code, _, told) = output(&home, &["bench", "--most", "0"]);
    assert!(code == Some(2) && told.contains("0 is not in"), "{told}");
}

#[test]
fn the_self_test_comes_to_the_same_every_time() {
    let home = home_with("");
    let (code, first, stderr) = output(&home, &["self-test"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let digests: Vec<_> = first.lines().map(|line| line.split_once(' ').unwrap()).collect();
    assert_eq!([digests[0].0, digests[1].0], ["h264", "jpeg"]);
    assert!(digests.iter().all(|(_, digest)| digest.len() == 64), "{first}");
    assert_eq!(output(&home, &["self-test"]).1, first);
}

#[test]
fn unknown_commands_are_not_understood() {
    let home = home_with("");
    for arguments in [&["fly"][..], &[], &["check", "a", "b"], &["run", "--confg", "x"], &["set", "a"]] {
        let (code, stdout, stderr) = output(&home, arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(stderr.contains("Usage: eyrie"), "{stderr}");
    }
    let version = format!("eyrie {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(output(&home, &["--version"]), (Some(0), version, String::new()));
    for command in ["run", "check", "devices", "passwd", "status", "reload", "set"] {
        assert_eq!(output(&home, &[command, "--help"]).0, Some(0));
    }
}

#[test]
fn devices_prints_json() {
    let home = home_with("");
    let (code, stdout, _) = output(&home, &["devices", "--json"]);
    assert_eq!(code, Some(0));
    let found: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert!(found["cameras"].is_array() && found["sound_cards"].is_array(), "{stdout}");
    assert_eq!(output(&home, &["devices"]).0, Some(0));
}

#[test]
fn without_a_server_there_is_nothing_to_ask() {
    let home = home_with(GOOD);
    for arguments in [&["status"][..], &["reload"], &["status", "--json"], &["status", "--config", "e.toml"]] {
        let (code, stdout, stderr) = output(&home, &[arguments, &["--socket", "./none.sock"]].concat());
        assert_eq!((code, stdout.as_str()), (Some(1), ""));
        assert_eq!(stderr, "no server answers at ./none.sock; expected a running `eyrie run`\n");
    }
    let (code, _, stderr) = output(&home, &["status"]);
    assert_eq!(code, Some(1));
    let first = home.path().join("eyrie/control.sock");
    assert!(
        stderr.contains(&format!("no server answers at {} or /run/eyrie/control.sock", first.display())),
        "{stderr}"
    );
}

/// Answers `status`, and reloads what `refuses` does not hold against it.
struct Server {
    refuses: Option<String>,
    asked: Mutex<Vec<Command>>,
}

impl Handler for Server {
    async fn handle(&self, command: Command) -> Response {
        self.asked.lock().unwrap().push(command.clone());
        match (command, &self.refuses) {
            (Command::Status, _) => Response::Status(Box::new(Status {
                version: "9.9".into(),
                uptime_s: 5,
                clock: Clock::Synced,
                streams: vec![],
                cameras: vec![],
                microphones: vec![],
                tls: None,
                network: NetworkStatus::default(),
                board: BoardStatus::default(),
            })),
            (Command::Reload, None) => Response::Done,
            (Command::Move { stream }, _) => Response::Failed(format!("stream {stream} has no `relay`")),
            (Command::Control { camera, name, value }, _) => match camera.as_str() {
                "front" => Response::Controls(gain_and_exposure(name.as_deref(), value.as_deref())),
                _ => Response::Failed("no camera is named `x`; there are: front".to_owned()),
            },
            (Command::Reload, Some(why)) => Response::Failed(why.clone()),
            (Command::Unban { address }, _) => Response::Unbanned(if address.is_some() { 1 } else { 2 }),
        }
    }
}

fn serve(path: &Path, refuses: Option<&str>) -> Arc<Server> {
    let listener = control::bind(path).unwrap();
    let server = Arc::new(Server { refuses: refuses.map(str::to_owned), asked: Mutex::default() });
    let handler = Arc::clone(&server);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(control::serve(listener, handler))
    });
    server
}

#[test]
fn status_and_reload_find_the_server() {
    let home = home_with(GOOD);
    let socket = home.path().join("eyrie/control.sock");
    let server = serve(&socket, None);
    let named = home.path().join("named.toml");
    fs::write(&named, format!("[server]\ncontrol_socket = {:?}\n", socket.display().to_string())).unwrap();
    let ways: [&[&str]; 4] =
        [&[], &["--config", "e.toml"], &["--config", "named.toml"], &["--socket", socket.to_str().unwrap()]];
    for way in ways {
        let (code, stdout, stderr) = output(&home, &[&["status", "--json"], way].concat());
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{way:?}");
        let status: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!((&status["version"], &status["clock"]), (&"9.9".into(), &"synced".into()));
        assert_eq!(output(&home, &[&["reload"], way].concat()), (Some(0), String::new(), String::new()));
    }
    assert!(output(&home, &["status"]).1.starts_with("eyrie 9.9, up 5s, "));
    assert_eq!(server.asked.lock().unwrap().iter().filter(|command| **command == Command::Reload).count(), 4);
}

#[test]
fn reload_gives_the_checkers_text() {
    let home = home_with(GOOD);
    serve(&home.path().join("c.sock"), Some("e.toml:1:1: a: b; expected c\na\n^"));
    let expected = "e.toml:1:1: a: b; expected c\na\n^\n".to_owned();
    assert_eq!(output(&home, &["reload", "--socket", "./c.sock"]), (Some(1), String::new(), expected));
}

/// A camera's two controls, or the one of that name with that value.
fn gain_and_exposure(name: Option<&str>, value: Option<&str>) -> Vec<ControlInfo> {
    let gain = ControlInfo { name: "gain".into(), min: -9, max: 9, default: 3, value: Some(4), menu: None };
    let menu = Some([(1, "Manual Mode".to_owned()), (3, "Aperture Priority Mode".to_owned())].into());
    let exposure = ControlInfo { name: "auto_exposure".into(), min: 0, max: 3, value: Some(3), menu, ..gain.clone() };
    let mut controls = vec![gain, exposure];
    controls.retain(|control| name.is_none_or(|name| name == control.name));
    if let Some(value) = value {
        controls[0].value = value.parse().ok();
    }
    controls
}

#[test]
fn control_lists_reads_and_sets() {
    let home = home_with(GOOD);
    let server = serve(&home.path().join("eyrie/control.sock"), None);
    let said = |arguments: &[&str]| output(&home, &[&["control"], arguments].concat());
    let printed = |text: &str| (Some(0), text.to_owned(), String::new());
    let table = "\
CONTROL        VALUE  DEFAULT  RANGE
gain           4      3        -9 to 9
auto_exposure  3      3        1 Manual Mode, 3 Aperture Priority Mode
";
    assert_eq!(said(&["front"]), printed(table));
    assert_eq!(said(&["front", "auto_exposure"]), printed("3 Aperture Priority Mode\n"));
    assert_eq!(said(&["front", "gain", "-7"]), printed("-7\n"));
    let (_, json, _) = said(&["front", "gain", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["value"], 4);
    let unknown = "no camera is named `x`; there are: front\n".to_owned();
    assert_eq!(said(&["x", "gain"]), (Some(1), String::new(), unknown));
    let [camera, name, value] = ["front", "gain", "-7"].map(str::to_owned);
    let set = Command::Control { camera, name: Some(name), value: Some(value) };
    assert!(server.asked.lock().unwrap().contains(&set));
}

fn set(home: &TempDir, rest: &[&str]) -> (Option<i32>, String, String) {
    output(home, &[&["set", "--config", "e.toml"], rest].concat())
}

fn file(home: &TempDir) -> (PathBuf, String) {
    let path = home.path().join("e.toml");
    let text = fs::read_to_string(&path).unwrap();
    (path, text)
}

#[test]
fn set_changes_one_key_and_reloads() {
    let home = home_with(GOOD);
    let server = serve(&home.path().join("eyrie/control.sock"), None);
    fs::set_permissions(file(&home).0, fs::Permissions::from_mode(0o600)).unwrap();
    let quiet = (Some(0), String::new(), String::new());
    assert_eq!(set(&home, &["stream.main.video.bitrate", "4M"]), quiet);
    let (path, text) = file(&home);
    assert_eq!(text, GOOD.replace("2M", "4M"));
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(*server.asked.lock().unwrap(), [Command::Reload]);
}

#[test]
fn set_refuses_a_bad_value_and_leaves_the_file() {
    let home = home_with(GOOD);
    let server = serve(&home.path().join("eyrie/control.sock"), None);
    for (key, value, why) in [
        (
            "stream.main.video.bitrate",
            "lots",
            "e.toml:6:37: stream.main.video.bitrate: \"lots\" is no bitrate; expected ",
        ),
        ("stream.main.video.fps", "-1", "stream.main.video.fps: -1 is out of range"),
        ("stream.main.video.bitrat", "4M", "is an unknown key, did you mean"),
    ] {
        let (code, stdout, stderr) = set(&home, &[key, value]);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{key}");
        assert!(stderr.contains(why), "{stderr}");
        assert_eq!(file(&home).1, GOOD);
    }
    assert!(server.asked.lock().unwrap().is_empty());
}

#[test]
fn set_takes_back_what_the_server_refuses() {
    let home = home_with(GOOD);
    serve(&home.path().join("eyrie/control.sock"), Some("port 1 is taken"));
    let refused = (Some(1), String::new(), "port 1 is taken\n".to_owned());
    assert_eq!(set(&home, &["server.listen", "[::]:1"]), refused);
    assert_eq!(file(&home).1, GOOD);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2, "nothing is left beside it");
}

#[test]
fn set_without_a_server_changes_the_file() {
    let home = home_with(GOOD);
    let (code, _, stderr) = set(&home, &["server.anonymous", "true"]);
    assert_eq!(code, Some(0));
    assert!(stderr.starts_with("e.toml is changed; no server answers at "), "{stderr}");
    assert!(file(&home).1.ends_with("\n[server]\nanonymous = true\n"));
}
