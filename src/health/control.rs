//! The control socket: a unix stream on which a client sends one line of JSON, such as `{"command":"status"}`, gets one
//! back, such as `{"ok":true,"status":{…}}` or `{"ok":false,"error":"…"}`, and is closed.

use super::status::Status;
use crate::device::list::ControlInfo;
use serde::{Deserialize, Serialize};
use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    fs,
    future::Future,
    io::{self, Read, Write},
    net::IpAddr,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
            net::{UnixListener, UnixStream},
        },
    },
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::{sleep, timeout},
};

/// Bytes of a request.
const LONGEST_REQUEST: u64 = 64 * 1024;
/// Bytes of a response: a thousand viewers take some 300 kB.
const LONGEST_RESPONSE: u64 = 64 * 1024 * 1024;
const CLIENT_PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub enum Command {
    /// A camera's controls: all, the named one, or the named one set to a value (a number or a menu entry's text).
    Control {
        camera: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<String>,
    },
    /// Ask the viewers of a stream to go on at its relay.
    Move {
        stream: String,
    },
    Status,
    /// End the lock-outs of one address, or all.
    Unban {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<IpAddr>,
    },
    /// Read the config anew; answered when it is applied, or refused whole.
    Reload,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Wire", from = "Wire")]
pub enum Response {
    Done,
    Controls(Vec<ControlInfo>),
    Moved(Moved),
    Status(Box<Status>),
    /// How many lock-outs were ended.
    Unbanned(usize),
    /// Why not, for a person.
    Failed(String),
}

/// What became of [`Command::Move`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The URL that they were given.
    pub relay: String,
    /// Viewers that were told.
    pub told: u64,
    /// Viewers over UDP that have no connection open on which to tell them.
    pub out_of_reach: u64,
}

/// A [`Response`] as it is written.
#[derive(Default, Serialize, Deserialize)]
struct Wire {
    ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    controls: Option<Vec<ControlInfo>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    moved: Option<Moved>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<Box<Status>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unbanned: Option<usize>,
}

impl From<Response> for Wire {
    fn from(response: Response) -> Self {
        match response {
            Response::Done => Self { ok: true, ..Self::default() },
            Response::Controls(controls) => Self { ok: true, controls: Some(controls), ..Self::default() },
            Response::Moved(moved) => Self { ok: true, moved: Some(moved), ..Self::default() },
            Response::Status(status) => Self { ok: true, status: Some(status), ..Self::default() },
            Response::Unbanned(count) => Self { ok: true, unbanned: Some(count), ..Self::default() },
            Response::Failed(error) => Self { error: Some(error), ..Self::default() },
        }
    }
}

impl From<Wire> for Response {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire { ok: false, error, .. } => Self::Failed(error.unwrap_or_else(|| "failed".into())),
            Wire { status: Some(status), .. } => Self::Status(status),
            Wire { controls: Some(controls), .. } => Self::Controls(controls),
            Wire { moved: Some(moved), .. } => Self::Moved(moved),
            Wire { unbanned: Some(count), .. } => Self::Unbanned(count),
            _ => Self::Done,
        }
    }
}

/// Who carries out the commands.
pub trait Handler: Send + Sync + 'static {
    fn handle(&self, command: Command) -> impl Future<Output = Response> + Send;
}

/// A listener at `path` for its owner and group (0660), in a folder that is made (0700) where there is none. What a
/// dead server left there is replaced.
///
/// # Errors
/// `AddrInUse` if a server answers there; else of the file system. All name the path.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    bind_at(path).map_err(|error| io::Error::new(error.kind(), format!("control socket {}: {error}", path.display())))
}

fn bind_at(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    if is_answered(path)? {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another server answers there"));
    }
    // Made beside and moved: whoever finds it there finds it with its mode, and a stale one is gone at the same instant.
    let new_path = path.with_file_name(format!(".{}", std::process::id()));
    let _ = fs::remove_file(&new_path);
    let listener = UnixListener::bind(&new_path)?;
    listener.set_nonblocking(true)?;
    fs::set_permissions(&new_path, fs::Permissions::from_mode(0o660))?;
    fs::rename(&new_path, path)?;
    Ok(listener)
}

/// Whoever owns the folder could put a socket of his own there.
fn make_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let owner = fs::symlink_metadata(folder)?.uid();
    let user = nix::unistd::geteuid().as_raw();
    if user != 0 && owner != 0 && owner != user {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "its folder belongs to another user"));
    }
    Ok(())
}

/// Whether a living process listens at `path`.
fn is_answered(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "what is there is no socket"));
        }
        other => other?,
    };
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            // Its queue is full: busy, but alive.
            io::ErrorKind::WouldBlock => Ok(true),
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Ok(false),
            _ => Err(error),
        },
    }
}

/// What one client may take.
#[derive(Clone, Copy)]
struct Limits {
    /// At a time; further ones wait.
    clients: usize,
    /// For the request to arrive, and for the response to be taken.
    patience: Duration,
}

const LIMITS: Limits = Limits { clients: 32, patience: Duration::from_secs(5) };

/// Serves clients until it is dropped.
///
/// # Errors
/// If `listener`, of [`bind`], cannot be watched.
pub async fn serve(listener: UnixListener, handler: Arc<impl Handler>) -> io::Result<()> {
    serve_within(LIMITS, listener, handler).await
}

async fn serve_within(limits: Limits, listener: UnixListener, handler: Arc<impl Handler>) -> io::Result<()> {
    let listener = tokio::net::UnixListener::from_std(listener)?;
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if clients.len() < limits.clients => match accepted {
                Ok((stream, _)) => {
                    clients.spawn(serve_client(limits, stream, Arc::clone(&handler)));
                }
                Err(error) => {
                    tracing::warn!("control socket: {error}");
                    sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = clients.join_next() => {}
        }
    }
}

async fn serve_client(limits: Limits, mut stream: tokio::net::UnixStream, handler: Arc<impl Handler>) {
    let (input, mut output) = stream.split();
    let mut line = vec![];
    let mut input = tokio::io::BufReader::new(input).take(LONGEST_REQUEST);
    let Ok(Ok(_)) = timeout(limits.patience, input.read_until(b'\n', &mut line)).await else { return };
    let response = match serde_json::from_slice(&line) {
        Ok(command) => handler.handle(command).await,
        Err(error) => Response::Failed(format!("this command is not understood: {error}")),
    };
    let mut response = serde_json::to_vec(&response).expect("these structs are JSON");
    response.push(b'\n');
    // A client that does not take its answer needs none.
    let _ = timeout(limits.patience, output.write_all(&response)).await;
}

/// Asks the server at `path`, and waits at most 10 s for each step.
///
/// # Errors
/// If none answers there, or not in time, or not so that it is understood.
pub fn request(path: &Path, command: &Command) -> io::Result<Response> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // The time to send is also that to connect (unix(7)).
    socket.set_write_timeout(Some(CLIENT_PATIENCE))?;
    socket.set_read_timeout(Some(CLIENT_PATIENCE))?;
    socket.connect(&SockAddr::unix(path)?).map_err(in_time)?;
    let mut stream = UnixStream::from(OwnedFd::from(socket));
    let mut request = serde_json::to_vec(command).expect("an enum of texts is JSON");
    request.push(b'\n');
    stream.write_all(&request).map_err(in_time)?;
    let mut response = vec![];
    stream.take(LONGEST_RESPONSE).read_to_end(&mut response).map_err(in_time)?;
    serde_json::from_slice(&response).map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidData, format!("the server's answer is not understood: {error}"))
    })
}

/// The kernel says "try again" when the time is over.
fn in_time(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "the server does not answer"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    struct Answers;

    impl Handler for Answers {
        async fn handle(&self, command: Command) -> Response {
            match command {
                Command::Status => Response::Done,
                Command::Reload => Response::Failed("f:1:1: no".into()),
                Command::Control { .. } => Response::Controls(vec![]),
                Command::Move { stream } => Response::Moved(Moved { relay: stream, told: 2, out_of_reach: 1 }),
                Command::Unban { address } => Response::Unbanned(if address.is_some() { 1 } else { 2 }),
            }
        }
    }

    /// A server in a folder of its own, which vanishes with it.
    fn server(limits: Limits) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/control.sock");
        let listener = bind(&path).unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve_within(limits, listener, Arc::new(Answers)))
        });
        (folder, path)
    }

    #[test]
    fn commands_are_answered() {
        let (_folder, path) = server(LIMITS);
        assert_eq!(request(&path, &Command::Status).unwrap(), Response::Done);
        assert_eq!(request(&path, &Command::Reload).unwrap(), Response::Failed("f:1:1: no".into()));
        let moved = Moved { relay: "main".into(), told: 2, out_of_reach: 1 };
        assert_eq!(request(&path, &Command::Move { stream: "main".into() }).unwrap(), Response::Moved(moved));
        let address = Some("::1".parse().unwrap());
        assert_eq!(request(&path, &Command::Unban { address }).unwrap(), Response::Unbanned(1));
        assert_eq!(request(&path, &Command::Unban { address: None }).unwrap(), Response::Unbanned(2));
        let metadata = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((metadata(&path), metadata(path.parent().unwrap())), (0o660, 0o700));
    }

    #[test]
    fn the_wire_is_as_documented() {
        assert_eq!(serde_json::to_string(&Command::Reload).unwrap(), r#"{"command":"reload"}"#);
        let (camera, name, value) = ("front".to_owned(), Some("gain".to_owned()), None);
        let control = serde_json::to_string(&Command::Control { camera, name, value }).unwrap();
        assert_eq!(control, r#"{"command":"control","camera":"front","name":"gain"}"#);
        assert_eq!(serde_json::to_string(&Response::Done).unwrap(), r#"{"ok":true}"#);
        let failed = Response::Failed("why".into());
        assert_eq!(serde_json::to_string(&failed).unwrap(), r#"{"ok":false,"error":"why"}"#);
    }

    fn answer_to(path: &Path, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(path).unwrap();
        // The server may have answered and closed before it was all sent.
        let _ = stream.write_all(bytes);
        let mut answer = vec![];
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn hostile_clients_hang_nobody() {
        let (_folder, path) = server(Limits { clients: 2, patience: Duration::from_millis(50) });
        let silent: Vec<_> = (0..4).map(|_| UnixStream::connect(&path).unwrap()).collect();
        assert_eq!(request(&path, &Command::Status).unwrap(), Response::Done);
        drop(silent);
        for bytes in [&b"\n"[..], b"{\"command\":\"explode\"}\n", b"\xff\n", &[b'['; 1 << 17]] {
            let answer = answer_to(&path, bytes);
            assert!(answer.is_empty() || answer.contains("not understood"), "{answer}");
        }
        assert!(answer_to(&path, b"{}\n").contains(r#""ok":false"#));
        assert_eq!(request(&path, &Command::Status).unwrap(), Response::Done);
    }

    #[test]
    fn a_living_server_is_not_replaced_and_a_dead_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        let living = bind(&path).unwrap();
        let error = bind(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(error.to_string(), format!("control socket {}: another server answers there", path.display()));
        drop(living);
        assert!(request(&path, &Command::Status).is_err());
        drop(bind(&path).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        assert!(bind(&path).unwrap_err().to_string().ends_with("what is there is no socket"));
    }
}
