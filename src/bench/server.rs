//! The real binary as a process of its own, and what the kernel says of a process.

use super::Outcome;
use crate::time::MonoTime;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};
use tempfile::TempDir;

const START: Duration = Duration::from_secs(20);

/// A running `eyrie run`; told to end when dropped.
pub struct Server {
    child: Child,
    program: PathBuf,
    folder: TempDir,
    pub address: SocketAddr,
    /// Just before exec.
    pub started: MonoTime,
}

impl Server {
    /// Executes it and returns at once.
    ///
    /// # Errors
    /// `program`, an `eyrie`, cannot be executed.
    pub fn exec(program: &Path, rest: &str) -> Outcome<Self> {
        Self::exec_at(Ipv4Addr::LOCALHOST, program, rest)
    }

    fn exec_at(address: Ipv4Addr, program: &Path, rest: &str) -> Outcome<Self> {
        // Free a moment ago; a port that the server chose itself would be known only after its start.
        let address = TcpListener::bind((address, 0))?.local_addr()?;
        let folder = tempfile::Builder::new().prefix("eyrie-bench-").tempdir()?;
        let path = |name: &str| folder.path().join(name);
        let config = format!(
            "[server]\nlisten = [\"{address}\"]\nudp_ports = \"0\"\nanonymous = true\nstate_dir = {:?}\n\
             control_socket = {:?}\nsession_timeout = \"1h\"\nmax_connections = 20000\nmax_connections_per_address = 20000\n{rest}",
            path("state"),
            path("control.sock"),
        );
        fs::write(path("eyrie.toml"), config)?;
        let mut command = Command::new(program);
        command.args(["run", "--config"]).arg(path("eyrie.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(path("log"))?);
        let started = MonoTime::now();
        Ok(Self { child: command.spawn()?, program: program.to_owned(), folder, address, started })
    }

    /// Executes it and waits until it is ready.
    ///
    /// # Errors
    /// It does not become ready; the text holds its log.
    pub fn start(program: &Path, rest: &str) -> Outcome<Self> {
        Self::start_at(Ipv4Addr::LOCALHOST, program, rest)
    }

    /// The same at another address of the network that the calling thread is in.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_at(address: Ipv4Addr, program: &Path, rest: &str) -> Outcome<Self> {
        let mut server = Self::exec_at(address, program, rest)?;
        let out = server.child.stdout.take().ok_or("no stdout")?;
        if BufReader::new(out).lines().map_while(Result::ok).any(|line| line == "ready") {
            return Ok(server);
        }
        Err(format!("the server ended before it was ready:\n{}", server.log()).into())
    }

    /// A connection, as soon as one is accepted.
    pub fn connect(&self) -> Outcome<TcpStream> {
        loop {
            match TcpStream::connect(self.address) {
                Ok(socket) => return Ok(socket),
                Err(error) if MonoTime::now() - self.started > START => {
                    return Err(format!("no connection: {error}; its log:\n{}", self.log()).into());
                }
                Err(_) => thread::sleep(Duration::from_micros(200)),
            }
        }
    }

    /// What `eyrie status --json` says.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn status(&self) -> Outcome<serde_json::Value> {
        let socket = self.folder.path().join("control.sock");
        let output = Command::new(&self.program).args(["status", "--json", "--socket"]).arg(socket).output()?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// The certificate that it made for itself.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("state/tls-cert.pem")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Of the first stream, from the log.
    pub fn slices(&self) -> Option<u32> {
        let log = self.log();
        log.split(" slices").next()?.rsplit(' ').next()?.parse().ok()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// Processor time by name of thread, from the kernel's own sums.
pub fn thread_times(pid: u32) -> Outcome<BTreeMap<String, Duration>> {
    let mut times: BTreeMap<String, Duration> = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        // A thread may end while it is looked at.
        let (Ok(name), Ok(times_of_task)) =
            (fs::read_to_string(task.join("comm")), fs::read_to_string(task.join("schedstat")))
        else {
            continue;
        };
        let nanos = times_of_task.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0);
        *times.entry(name.trim().to_owned()).or_default() += Duration::from_nanos(nanos);
    }
    Ok(times)
}

/// What is resident, in MB: all of it, and what is not backed by files.
pub fn resident(pid: u32) -> Outcome<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let of = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok().map(|kilobytes| kilobytes * 1024.0 / 1e6)
    };
    Ok((of("VmRSS:").ok_or("no VmRSS")?, of("RssAnon:").ok_or("no RssAnon")?))
}
