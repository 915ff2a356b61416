//! The real binary on a config, a port and a state folder of its own.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use nix::{sys::signal, unistd::Pid};
use tempfile::TempDir;

/// From exec to `ready`: five seconds that a stream may take for its first picture, and a loaded machine.
const READY: Duration = Duration::from_secs(20);

/// A running `eyrie run`, killed when dropped.
pub struct Server {
    child: Child,
    /// The URL lines that it printed, in their order.
    pub urls: Vec<String>,
    folder: TempDir,
}

impl Server {
    /// Starts the server and waits for its `ready`.
    ///
    /// `server` is what stands in the config's `[server]` table, without the keys that give it a place of its own (but
    /// perhaps with another `listen`), `rest` everything after that table.
    pub fn start(server: &str, rest: &str) -> Self {
        Self::start_in(server, rest, &[])
    }

    /// As [`Server::start`], in an environment with further variables.
    pub fn start_in(server: &str, rest: &str, environment: &[(&str, &Path)]) -> Self {
        let folder = tempfile::Builder::new().prefix("eyrie-test-").tempdir().unwrap();
        let state = folder.path().join("state");
        let socket = folder.path().join("control.sock");
        // A world of its own may have the usual ports.
        let listen = if server.contains("listen =") { "" } else { "listen = [\"127.0.0.1:0\"]" };
        let ports = if server.contains("udp_ports =") { "" } else { "udp_ports = \"0\"" };
        let config = format!(
            "[server]
{listen}
{ports}
state_dir = {state:?}
control_socket = {socket:?}
\
             {server}\n{rest}\n"
        );
        fs::write(folder.path().join("eyrie.toml"), config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_eyrie"))
            .args(["run", "--config"])
            .arg(folder.path().join("eyrie.toml"))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let urls = await_ready(child.stdout.take().unwrap());
        let mut server = Server { child, urls: Vec::new(), folder };
        match urls {
            Ok(urls) => server.urls = urls,
            Err(why) => panic!("{why}; its log:\n{}", server.log()),
        }
        server
    }

    /// Everything that the server has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("eyrie.toml")
    }

    pub fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub fn control_socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    /// The URL of a stream, without a user.
    pub fn url(&self, stream: &str) -> String {
        let ending = format!("/{stream}");
        let url = self.urls.iter().find(|url| url.ends_with(&ending));
        url.unwrap_or_else(|| panic!("no URL of {stream} in {:?}", self.urls)).clone()
    }

    /// The URL of a stream with a user's name and password inside.
    pub fn url_as(&self, stream: &str, user: &str, password: &str) -> String {
        self.url(stream).replace("://", &format!("://{user}:{password}@"))
    }

    /// The password that the server made for `viewer` at its first start.
    pub fn viewer_password(&self) -> String {
        fs::read_to_string(self.state_dir().join("viewer.password")).unwrap().trim_end().to_owned()
    }

    /// Sends one request without a body on a connection of its own; returns the head of the response.
    pub fn request(&self, method: &str, url: &str, headers: &str) -> String {
        let host = url.trim_start_matches("rtsp://").split('/').next().unwrap();
        let mut socket = TcpStream::connect(host).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(socket, "{method} {url} RTSP/1.0\r\nCSeq: 1\r\n{headers}\r\n").unwrap();
        let mut head = String::new();
        let mut lines = BufReader::new(socket);
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(lines.read_line(&mut head).unwrap(), 0, "closed after {head:?}");
        }
        head
    }

    /// Asks the server to end, as systemd does, and expects that it ends well.
    pub fn stop(mut self) {
        signal::kill(Pid::from_raw(self.child.id() as i32), signal::SIGTERM).unwrap();
        let status = wait(&mut self.child, Duration::from_secs(10))
            .unwrap_or_else(|| panic!("did not end within 10 s of SIGTERM; its log:\n{}", self.log()));
        assert!(status.success(), "ended with {status}; its log:\n{}", self.log());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
    }
}

/// Waits for a process to end; `None` if it still runs after `patience`.
pub fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    const STEP: Duration = Duration::from_millis(10);
    for _ in 0..patience.as_millis() / STEP.as_millis() {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        thread::sleep(STEP);
    }
    None
}

/// Reads the URL lines until `ready`; goes on reading to the end, so that the server never writes to a closed pipe.
fn await_ready(stdout: ChildStdout) -> Result<Vec<String>, String> {
    let (ready, is_ready) = mpsc::channel();
    thread::spawn(move || {
        let mut urls = Vec::new();
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if line == "ready" {
                let _ = ready.send(Ok(std::mem::take(&mut urls)));
            } else if line.starts_with("rtsp://") || line.starts_with("rtsps://") {
                urls.push(line);
            } else {
                let _ = ready.send(Err(format!("a line that is no URL on stdout: {line:?}")));
            }
        }
        let _ = ready.send(Err("the server ended before it was ready".into()));
    });
    is_ready.recv_timeout(READY).unwrap_or_else(|_| Err(format!("not ready after {} s", READY.as_secs())))
}
