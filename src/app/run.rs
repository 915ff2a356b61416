//! `eyrie run`: from the start to the end of the server.

use super::{
    access::{self, MADE_USER},
    audit::{Audit, AuditFile},
    certificate, controls,
    listen::{self, Listener},
    moving,
    plan::Plan,
    scraped::Scraped,
    serving::Serving,
    status,
    sys::bound_heap,
    urls,
    watch::Watch,
};
use crate::{
    config::{self, Config, Environment, Paths, Transport},
    device,
    guard::AuditEvent,
    health::{
        board,
        control::{self, Command, Handler, Response},
        systemd,
    },
    net::{Access, Identity, PortPair, RequestLimits, Settings, Worker},
    time::{MonoTime, WallClock},
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot},
};

/// How long `ready` waits for the pictures of all streams.
const FIRST_PICTURES: Duration = Duration::from_secs(5);
/// How often the wall clock is compared with the monotonic one, and each camera's thread looked after.
const CLOCK_CHECK: Duration = Duration::from_secs(1);

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Options {
    /// None: the installed config, or the built-in defaults.
    pub config: Option<PathBuf>,
    /// Anybody may view, whatever the config says.
    pub anonymous: bool,
}

/// Serves until SIGTERM or SIGINT. Errors of the start are printed to stderr.
pub fn run(options: Options) -> ExitCode {
    let started = MonoTime::now();
    bound_heap();
    let outcome =
        config::load_or_default(options.config.as_deref()).map_err(|errors| errors.to_string()).and_then(|config| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let serve = async { Server::start(options, config, started).await?.serve().await };
            runtime.and_then(|runtime| runtime.block_on(serve)).map_err(|error| format!("eyrie: {error}"))
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.trim_end());
            ExitCode::FAILURE
        }
    }
}

/// A server that runs.
struct Server {
    options: Options,
    config: Config,
    started: MonoTime,
    /// Of the board, this one counted.
    boots: Option<u64>,
    /// Of the built-in user, where there is one.
    password: Option<String>,
    paths: Paths,
    listeners: Vec<Listener>,
    access: Arc<Access>,
    audit: Audit,
    settings: Settings,
    serving: Serving,
    wall: Arc<Mutex<WallClock>>,
    requests: mpsc::Receiver<Request>,
    door: Arc<Door>,
    /// None: nobody may scrape.
    scraped: Option<Scraped>,
}

type Request = (Command, oneshot::Sender<Response>);

/// The side of the control socket and of Prometheus: hands commands to the main loop.
struct Door(mpsc::Sender<Request>);

impl Handler for Door {
    async fn handle(&self, command: Command) -> Response {
        let (answer, answered) = oneshot::channel();
        let gone = || Response::Failed("the server is closing".to_owned());
        if self.0.send((command, answer)).await.is_err() {
            return gone();
        }
        answered.await.unwrap_or_else(|_| gone())
    }
}

impl Server {
    async fn start(options: Options, config: Config, started: MonoTime) -> io::Result<Self> {
        raise_file_limit();
        let paths = Paths::new(&config.server, &Environment::of_process());
        let control = control::bind(&paths.control_socket)?;
        let listeners = listen::bind(&config.server, &[])?;
        let udp = config.server.transports.contains(&Transport::Udp);
        let pair = udp.then(|| PortPair::bind(listen::udp_address(&listeners), config.server.udp_ports)).transpose()?;
        let password =
            needs_made_user(&config, &options).then(|| access::made_password(&paths.state_dir)).transpose()?;
        let boots = board::count_boot(&paths.state_dir, Path::new("/"));
        let rules = access::rules(&config, options.anonymous, password.as_deref());
        let audit = Audit::start(config.server.audit_file.as_deref().map(AuditFile::open).transpose()?)?;
        let access = Access::new(rules, audit.trail.clone());
        let settings = settings(&config, pair.as_ref().map(|pair| pair.port), identity(&config, &paths)?);
        let wall = Arc::new(Mutex::new(WallClock::start()));
        let worker = Worker::start(0, settings.clone(), access.clone(), wall.clone(), pair)?;
        let (door, requests) = mpsc::channel(16);
        let door = Arc::new(Door(door));
        tokio::spawn(control::serve(control, door.clone()));
        let scraped = config.server.metrics.map(|address| Scraped::start(address, None, door.clone())).transpose()?;
        let mut serving = Serving::new(worker);
        let plan = Plan::new(&with_streams(config.clone()));
        let staged = serving.stage(plan)?;
        serving.commit(staged, access.clone(), settings.clone());
        serving.worker.listen(listen::doors(&listeners)?);
        Ok(Self {
            options,
            config,
            started,
            boots,
            password,
            paths,
            listeners,
            access,
            audit,
            settings,
            serving,
            wall,
            requests,
            door,
            scraped,
        })
    }

    async fn serve(mut self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut clock = tokio::time::interval(CLOCK_CHECK);
        let mut watch = Watch::new();
        systemd::ready();
        let ready = self.first_pictures();
        tokio::pin!(ready);
        let mut announced = false;
        loop {
            tokio::select! {
                () = &mut ready, if !announced => {
                    announced = true;
                    // Such as a file on a full disk, or a reader who has gone: viewers come all the same.
                    if let Err(error) = self.announce() {
                        tracing::error!("the URLs cannot be written to stdout: {error}");
                    }
                }
                Some((command, answer)) = self.requests.recv() => self.obey(command, answer).await,
                _ = hang_up.recv() => {
                    if let Err(error) = self.reload() {
                        tracing::error!("the changed config is not applied, the old one goes on:\n{error}");
                    }
                }
                _ = clock.tick() => {
                    let (mono, wall) = WallClock::read();
                    self.wall.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).update(mono, wall);
                    self.serving.cameras.values().for_each(|camera| camera.watch_over(mono));
                }
                Some(watch) = looked(&mut watch) => watch.look(&self.serving).await,
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
        }
        tracing::info!("closing");
        systemd::stopping();
        self.serving.worker.shut_down().await;
        let _ = std::fs::remove_file(&self.paths.control_socket);
        self.audit.end();
        Ok(())
    }

    /// Waits until every stream that does not wait for viewers has a picture, but not for long.
    fn first_pictures(&self) -> impl Future<Output = ()> + use<> {
        let hubs: Vec<_> = self
            .serving
            .streams
            .iter()
            .filter(|stream| !stream.plan.on_demand)
            .map(|stream| stream.hub.clone())
            .collect();
        async move {
            let all = async {
                for hub in &hubs {
                    for track in hub.tracks() {
                        let _ = track.format_changes().wait_for(Option::is_some).await;
                    }
                }
            };
            let _ = tokio::time::timeout(FIRST_PICTURES, all).await;
        }
    }

    /// The URLs, then `ready`.
    fn announce(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let shown = self.password.as_deref().filter(|_| io::stdout().is_terminal());
        for listener in &self.listeners {
            let names = self.serving.streams.iter().map(|stream| stream.plan.name.clone());
            let login = shown.map(|password| (MADE_USER, password));
            for url in urls::urls(listener.secure, listener.socket.local_addr()?, login, names) {
                writeln!(out, "{url}")?;
            }
        }
        writeln!(out, "ready")?;
        out.flush()
    }

    async fn obey(&mut self, command: Command, answer: oneshot::Sender<Response>) {
        let response = match command {
            Command::Control { camera, name, value } => {
                return controls::obey(&self.serving.cameras, &camera, name, value, answer);
            }
            Command::Move { stream } => moving::obey(&self.serving, &stream).await,
            Command::Status => Response::Status(Box::new(
                status::status(&self.serving, &self.settings, self.boots, self.started).await,
            )),
            Command::Unban { address } => Response::Unbanned(self.access.unban(address, MonoTime::now())),
            Command::Reload => self.reload().map_or_else(Response::Failed, |()| Response::Done),
        };
        let _ = answer.send(response);
    }

    /// Reads the config anew and applies it whole, or not at all.
    fn reload(&mut self) -> Result<(), String> {
        systemd::reloading();
        let outcome = self.apply_anew();
        systemd::ready();
        outcome
    }

    fn apply_anew(&mut self) -> Result<(), String> {
        let config = config::load_or_default(self.options.config.as_deref()).map_err(|errors| errors.to_string())?;
        let paths = Paths::new(&config.server, &Environment::of_process());
        let restart = [
            ("server.udp_ports", config.server.udp_ports != self.config.server.udp_ports),
            ("server.transports", udp(&config) != udp(&self.config)),
            ("server.control_socket", paths.control_socket != self.paths.control_socket),
            ("server.state_dir", paths.state_dir != self.paths.state_dir),
        ];
        if let Some((key, _)) = restart.iter().find(|(_, changed)| *changed) {
            return Err(format!("{key}: changes only when eyrie is restarted; all is as before"));
        }
        // What can fail.
        let failed = |error: io::Error| error.to_string();
        let listeners = listen::bind(&config.server, &self.listeners).map_err(failed)?;
        let doors = listen::doors(&listeners).map_err(failed)?;
        let identity = identity(&config, &paths).map_err(failed)?;
        let password = needs_made_user(&config, &self.options).then(|| access::made_password(&paths.state_dir));
        let password = password.transpose().map_err(failed)?;
        let rules = access::rules(&config, self.options.anonymous, password.as_deref());
        // Opened anew in any case: it may have been rotated away.
        let audit_file = config.server.audit_file.as_deref().map(AuditFile::open).transpose().map_err(failed)?;
        let staged = self.serving.stage(Plan::new(&with_streams(config.clone()))).map_err(failed)?;
        let wanted = config.server.metrics;
        let scraped = match wanted.filter(|wanted| self.scraped.as_ref().is_none_or(|here| here.wanted != *wanted)) {
            Some(address) => Some(Scraped::start(address, self.scraped.as_ref(), self.door.clone()).map_err(failed)?),
            None => self.scraped.take().filter(|_| wanted.is_some()),
        };
        // What cannot.
        self.scraped = scraped;
        self.audit.set_file(audit_file);
        self.access = self.access.changed(rules);
        self.access.tell(self.access.record(AuditEvent::Reload));
        self.settings = settings(&config, self.settings.ports, identity);
        self.serving.commit(staged, self.access.clone(), self.settings.clone());
        let wanted = |listeners: &[Listener]| listeners.iter().map(|one| (one.wanted, one.secure)).collect::<Vec<_>>();
        if wanted(&listeners) != wanted(&self.listeners) {
            self.serving.worker.listen(doors);
        }
        (self.listeners, self.password, self.config) = (listeners, password, config);
        tracing::info!("the config is applied");
        Ok(())
    }
}

/// Waits until it is time to look after the server; without a watchdog there is none to wait for.
async fn looked(watch: &mut Option<Watch>) -> Option<&mut Watch> {
    let watch = watch.as_mut()?;
    watch.tick().await;
    Some(watch)
}

fn udp(config: &Config) -> bool {
    config.server.transports.contains(&Transport::Udp)
}

fn needs_made_user(config: &Config, options: &Options) -> bool {
    config.users.is_empty() && !config.server.anonymous && !options.anonymous
}

/// Its own streams, or the built-in ones of what is plugged in.
fn with_streams(config: Config) -> Config {
    if !config.streams.is_empty() {
        return config;
    }
    let cameras = device::list::lasting_names();
    let microphone = device::alsa::sound_cards().into_iter().next().map(|card| card.device);
    config.or_built_in_streams(&cameras, microphone.as_deref())
}

/// What is shown over TLS, where there is TLS.
fn identity(config: &Config, paths: &Paths) -> io::Result<Option<Identity>> {
    let wanted = !config.server.listen_tls.is_empty();
    wanted.then(|| certificate::identity(&config.tls, &paths.state_dir)).transpose()
}

fn settings(config: &Config, ports: Option<u16>, identity: Option<Identity>) -> Settings {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    Settings {
        session_timeout: config.server.session_timeout,
        tcp: config.server.transports.contains(&Transport::Tcp),
        http: config.server.transports.contains(&Transport::Http),
        websocket: config.server.transports.contains(&Transport::WebSocket),
        multicast: config.server.transports.contains(&Transport::Multicast),
        ports,
        max_connections: config.server.max_connections,
        max_connections_per_address: config.server.max_connections_per_address,
        requests: RequestLimits {
            in_all: config.server.max_requests,
            per_address: config.server.max_requests_per_address,
        },
        identity,
        cname: format!("eyrie@{}", host.unwrap_or_else(|| "localhost".to_owned())),
    }
}

/// A hundred UDP viewers with sound hold more descriptors than the usual soft limit of 1024.
fn raise_file_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!("the limit of open files stays as it is: {error}");
    }
}
