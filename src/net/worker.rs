//! A worker's thread and its door.

use super::{
    Table,
    access::Access,
    clients, media,
    ports::{self, Kind},
    requests::RequestLimits,
    state::{State, Told},
    status::WorkerStatus,
    tls::Identity,
    udp::PortPair,
};
use crate::{
    stream::Inbox,
    time::{MonoTime, WallClock},
};
use std::{
    cell::RefCell,
    io,
    net::TcpListener,
    rc::Rc,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    sync::{mpsc, oneshot},
    task::{AbortHandle, LocalSet, spawn_local},
};

/// How long the last words of a closing server may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// What all of a worker's connections have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// As advertised, in whole seconds.
    pub session_timeout: Duration,
    /// Whether RTP may go inside the RTSP connection.
    pub tcp: bool,
    /// Which tunnels are on offer; inside them RTP may go, whatever `tcp` says.
    pub http: bool,
    pub websocket: bool,
    /// Whether a stream's group may be joined.
    pub multicast: bool,
    /// The even port of the server's pair; None without UDP.
    pub ports: Option<u16>,
    pub max_connections: usize,
    pub max_connections_per_address: usize,
    pub requests: RequestLimits,
    /// What is shown at the doors with TLS.
    pub identity: Option<Identity>,
    /// The canonical name of all tracks (RFC 3550 §6.5.1).
    pub cname: String,
}

/// A socket that accepts connections.
#[derive(Debug)]
pub struct Door {
    pub socket: TcpListener,
    /// They begin with a TLS handshake.
    pub secure: bool,
}

/// A running worker thread `net-K`. What it is told is done in order.
pub struct Worker {
    inbox: Arc<Inbox>,
    commands: mpsc::UnboundedSender<Command>,
}

enum Command {
    Listen(Vec<Door>),
    Apply(Table, Arc<Access>, Settings),
    Redirect { hub: u64, location: Arc<str>, answer: oneshot::Sender<Told> },
    Status(oneshot::Sender<WorkerStatus>),
    ShutDown(oneshot::Sender<()>),
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread or event queue.
    pub fn start(
        number: usize,
        settings: Settings,
        access: Arc<Access>,
        wall: Arc<Mutex<WallClock>>,
        pair: Option<PortPair>,
    ) -> io::Result<Self> {
        let inbox = Arc::new(Inbox::default());
        let (commands, received) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let worker_inbox = inbox.clone();
        thread::Builder::new().name(format!("net-{number}")).spawn(move || {
            let run = async move {
                let state = State::new(settings, access, wall);
                spawn_local(media::deliver(state.clone(), worker_inbox));
                spawn_local(media::keep_house(state.clone()));
                if let Err(error) = hear_ports(&state, pair) {
                    tracing::error!("the UDP ports cannot be read: {error}");
                }
                obey(state, received).await;
            };
            LocalSet::new().block_on(&runtime, run);
        })?;
        Ok(Self { inbox, commands })
    }

    /// Where hubs put their batches.
    pub fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// Accepts connections on these sockets, and no longer on those it had.
    pub fn listen(&self, doors: Vec<Door>) {
        self.tell(Command::Listen(doors));
    }

    /// Serves this table under these rules from now on.
    pub fn apply(&self, table: Table, access: Arc<Access>, settings: Settings) {
        self.tell(Command::Apply(table, access, settings));
    }

    /// Asks the viewers of this stream ([`crate::stream::Hub::id`]) to go on at `location`.
    pub async fn redirect(&self, hub: u64, location: Arc<str>) -> Told {
        let (answer, answered) = oneshot::channel();
        self.tell(Command::Redirect { hub, location, answer });
        answered.await.unwrap_or_default()
    }

    /// Its viewers and counters.
    pub async fn status(&self) -> WorkerStatus {
        self.answer().await.unwrap_or_default()
    }

    /// The same; None if the thread has ended, and no answer while it is stuck.
    pub async fn answer(&self) -> Option<WorkerStatus> {
        let (answer, answered) = oneshot::channel();
        self.tell(Command::Status(answer));
        answered.await.ok()
    }

    /// BYE to all viewers, and the end.
    pub async fn shut_down(&self) {
        let (answer, answered) = oneshot::channel();
        self.tell(Command::ShutDown(answer));
        let _ = answered.await;
    }

    fn tell(&self, command: Command) {
        // Only a worker that has ended does not listen.
        let _ = self.commands.send(command);
    }
}

fn hear_ports(state: &Rc<RefCell<State>>, pair: Option<PortPair>) -> io::Result<()> {
    let Some(pair) = pair else { return Ok(()) };
    for (socket, kind) in [(pair.rtp, Kind::Rtp), (pair.rtcp, Kind::Rtcp)] {
        spawn_local(ports::hear_strangers(state.clone(), UdpSocket::from_std(socket)?, kind));
    }
    Ok(())
}

async fn obey(state: Rc<RefCell<State>>, mut commands: mpsc::UnboundedReceiver<Command>) {
    let mut accepting: Vec<AbortHandle> = Vec::new();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Listen(doors) => {
                accepting.drain(..).for_each(|task| task.abort());
                for Door { socket, secure } in doors {
                    match tokio::net::TcpListener::from_std(socket) {
                        Ok(listener) => {
                            let accept = clients::accept(state.clone(), listener, secure);
                            accepting.push(spawn_local(accept).abort_handle());
                        }
                        Err(error) => tracing::error!("a listening socket cannot be used: {error}"),
                    }
                }
            }
            Command::Apply(table, access, settings) => {
                let mut state = state.borrow_mut();
                state.settings = settings;
                state.apply(table, access, MonoTime::now());
            }
            Command::Redirect { hub, location, answer } => {
                let _ = answer.send(state.borrow_mut().redirect(hub, &location, MonoTime::now()));
            }
            Command::Status(answer) => {
                let _ = answer.send(state.borrow().status(MonoTime::now()));
            }
            Command::ShutDown(answer) => {
                accepting.drain(..).for_each(|task| task.abort());
                state.borrow_mut().shut_down(MonoTime::now());
                let _ = tokio::time::timeout(FAREWELL, all_gone(&state)).await;
                let _ = answer.send(());
                return;
            }
        }
    }
}

/// Waits until every connection is closed.
async fn all_gone(state: &Rc<RefCell<State>>) {
    while !state.borrow().peers.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
