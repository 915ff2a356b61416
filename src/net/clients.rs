//! TCP connections: accepting, reading, writing, closing.

use super::{
    access::Visitor,
    census::Place,
    link::Link,
    pipe::Pipe,
    requests::Bucket,
    state::{Peer, State},
    tls::Identity,
    tunnels::{self, Greeting, Tunnel, TunnelKey},
    udp,
    worker::Settings,
};
use crate::{
    guard::AuditEvent,
    rtsp::{
        self, Connection, ConnectionId, ConnectionSettings, HTTP_NOT_FOUND, Input, Output,
        tunnel::{OVER_CAP, Opening, TUNNEL_OPEN, TUNNEL_TAKEN, UNKNOWN_CODING},
    },
    time::MonoTime,
};
use bytes::Bytes;
use std::{
    cell::RefCell,
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::spawn_local,
};

/// What the kernel may hold unsent for a viewer: more only makes it later.
const UNSENT: u32 = 128 * 1024;
/// How long a TLS handshake may take.
const OPENING: Duration = Duration::from_secs(10);
/// How long telling a connection over a cap may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// A connection that takes nothing for so long while something waits for it is closed.
const STUCK: Duration = Duration::from_secs(10);
/// Connections over a cap that are told so at one time; further ones are closed at once.
const TURNED_AWAY: usize = 32;
/// Without file descriptors, accepting is tried again after this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until its task is aborted.
pub async fn accept(state: Rc<RefCell<State>>, listener: TcpListener, secure: bool) {
    let turned_away = Rc::new(());
    loop {
        match listener.accept().await {
            Ok((socket, address)) => {
                let address = udp::canonical(address);
                let (place, identity) = {
                    let mut state = state.borrow_mut();
                    // Not a byte for those whom the lists keep out.
                    if !state.access.admits(address.ip()) {
                        continue;
                    }
                    (state.place_for(address.ip(), MonoTime::now()), state.settings.identity.clone().filter(|_| secure))
                };
                // It has nothing to show any more: this door is about to be shut.
                if secure && identity.is_none() {
                    continue;
                }
                if let Some(place) = place {
                    spawn_local(serve(state.clone(), socket, address, identity, place));
                } else if Rc::strong_count(&turned_away) <= TURNED_AWAY {
                    spawn_local(turn_away(socket, identity, turned_away.clone()));
                }
            }
            Err(error) => {
                tracing::warn!("cannot accept connections: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// 503 to the first request, in its own protocol, then the end (RFC 2326 §11.5).
async fn turn_away(socket: TcpStream, identity: Option<Identity>, _counted: Rc<()>) {
    let words = async {
        let mut pipe = Pipe::open(socket, identity.as_ref()).await?;
        let mut request = [0; 2048];
        let length = pipe.read(&mut request).await?;
        let text = String::from_utf8_lossy(&request[..length]);
        if text.lines().next().is_some_and(|line| line.contains(" HTTP/1.")) {
            return pipe.write_all(OVER_CAP).await;
        }
        let cseq = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            if name.eq_ignore_ascii_case("cseq") { value.trim().parse::<u32>().ok() } else { None }
        });
        let cseq = cseq.map_or(String::new(), |cseq| format!("CSeq: {cseq}\r\n"));
        let answer = format!("RTSP/1.0 503 Service Unavailable\r\n{cseq}Connection: close\r\n\r\n");
        if length > 0 { pipe.write_all(answer.as_bytes()).await } else { Ok(()) }
    };
    let _ = tokio::time::timeout(FAREWELL, words).await;
}

/// Serves one connection until it ends.
async fn serve(
    state: Rc<RefCell<State>>,
    socket: TcpStream,
    address: SocketAddr,
    identity: Option<Identity>,
    place: Place,
) {
    {
        let access = &state.borrow().access;
        access.tell(access.record(AuditEvent::Connect).from(address));
    }
    let opened = async {
        socket.set_nodelay(true)?;
        socket2::SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT)?;
        let local = udp::canonical(socket.local_addr()?);
        Ok((local, Pipe::open(socket, identity.as_ref()).await?))
    };
    let opened: io::Result<_> = match tokio::time::timeout(OPENING, opened).await {
        Ok(opened) => opened,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    match opened {
        Ok((local, pipe)) => {
            let pipe = live(&state, pipe, address, local).await;
            drop(place);
            if let Some(pipe) = pipe {
                pipe.linger().await;
            }
        }
        Err(error) => tracing::debug!(peer = %address, "connection lost at once: {error}"),
    }
}

/// Finds out what a connection is, and serves it until it ends. None: it ended by itself.
async fn live(state: &Rc<RefCell<State>>, mut pipe: Pipe, address: SocketAddr, local: SocketAddr) -> Option<Pipe> {
    let Greeting { opening, bytes, begun } = tunnels::greet(&mut pipe).await.ok()?;
    let Settings { http, websocket, .. } = state.borrow().settings;
    let key = |cookie| TunnelKey { cookie, address: address.ip(), secure: pipe.is_secure() };
    let (tunnel, key, answer, head) = match opening {
        Opening::Rtsp | Opening::Unfinished => (None, None, Bytes::new(), 0),
        Opening::Get { head, cookie } if http => {
            let key = key(cookie);
            if state.borrow().junctions.contains_key(&key) {
                return Some(tunnels::refuse(pipe, TUNNEL_TAKEN).await);
            }
            (Some(Tunnel::Http), Some(key), Bytes::from_static(TUNNEL_OPEN), head)
        }
        Opening::Post { head, cookie, body } if http => {
            let key = key(cookie);
            return Some(match body {
                Some(body) => tunnels::relay(state, pipe, key, body, &bytes[head..]).await,
                None => tunnels::refuse(pipe, UNKNOWN_CODING).await,
            });
        }
        Opening::WebSocket { head, answer } if websocket => {
            (Some(Tunnel::WebSocket(Box::default())), None, answer, head)
        }
        Opening::Refused(answer) if websocket => return Some(tunnels::refuse(pipe, answer).await),
        // A tunnel that is not on offer.
        _ => return Some(tunnels::refuse(pipe, HTTP_NOT_FOUND).await),
    };
    let id = {
        let mut state = state.borrow_mut();
        let id = state.add_peer(pipe, tunnel, answer, address, local, begun);
        if let Some(key) = key {
            state.open_tunnel(key, id, begun);
        }
        state.receive(id, &bytes[head..], begun);
        state.flush(id, MonoTime::now());
        id
    };
    drop(bytes);
    converse(state, id).await;
    state.borrow_mut().remove_peer(id, MonoTime::now())
}

/// Feeds one connection until it ends.
async fn converse(state: &Rc<RefCell<State>>, id: ConnectionId) {
    let Some((socket, wake)) =
        state.borrow().peers.get(&id).map(|peer| (peer.pipe.socket().clone(), peer.wake.clone()))
    else {
        return;
    };
    let mut buffer = vec![0; 4096];
    loop {
        let (waits, closing, unread) = {
            let mut state = state.borrow_mut();
            let Some(peer) = state.peers.get_mut(&id) else { return };
            (peer.waits(), peer.closing, peer.pipe.has_unread())
        };
        if closing && !waits {
            if state.borrow_mut().say_goodbye(id, MonoTime::now()) {
                continue;
            }
            return;
        }
        let readable = async {
            if !unread {
                return socket.readable().await;
            }
            tokio::task::yield_now().await;
            Ok(())
        };
        tokio::select! {
            ready = readable, if !closing => {
                if ready.is_err() || state.borrow_mut().read(id, &mut buffer, MonoTime::now()).is_err() {
                    return;
                }
            }
            ready = socket.writable(), if waits => {
                if ready.is_err() {
                    return;
                }
                state.borrow_mut().flush(id, MonoTime::now());
            }
            () = wake.notified() => {}
        }
    }
}

impl State {
    /// None over a cap.
    fn place_for(&mut self, address: IpAddr, now: MonoTime) -> Option<Place> {
        let Settings { max_connections, max_connections_per_address, requests, .. } = self.settings;
        let place = self.census.admit(address, max_connections, max_connections_per_address)?;
        self.requests.admit(address, requests, now).then_some(place)
    }

    /// `answer`: what the client is told before anything else.
    fn add_peer(
        &mut self,
        pipe: Pipe,
        tunnel: Option<Tunnel>,
        answer: Bytes,
        address: SocketAddr,
        local: SocketAddr,
        now: MonoTime,
    ) -> ConnectionId {
        let secure = pipe.is_secure();
        let mut link = Link::new(matches!(tunnel, Some(Tunnel::WebSocket(_))));
        if !answer.is_empty() {
            // The first is never too many.
            let _ = link.push_raw(answer);
        }
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        let settings = ConnectionSettings {
            id,
            peer: address,
            local,
            session_timeout: self.settings.session_timeout,
            transports: rtsp::Transports {
                udp: self.settings.ports.is_some(),
                tcp: self.settings.tcp || tunnel.is_some(),
                multicast: self.settings.multicast,
            },
            secure,
            server: concat!("Eyrie/", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let peer = Peer {
            address,
            local,
            machine: Connection::new(settings, now),
            pipe,
            visitor: Visitor::default(),
            asked: Bucket::default(),
            keys: Vec::new(),
            link,
            tunnel,
            viewers: Vec::new(),
            wake: Rc::new(Notify::new()),
            closing: false,
            broken: false,
            stuck_since: None,
            touched: MonoTime::ZERO,
            dscp: 0,
        };
        tracing::debug!(connection = id.0, peer = %address, "connected");
        self.peers.insert(id, peer);
        id
    }

    /// Reads once what the peer sent.
    ///
    /// # Errors
    /// Nothing more will come.
    fn read(&mut self, id: ConnectionId, buffer: &mut [u8], now: MonoTime) -> io::Result<()> {
        let Some(peer) = self.peers.get_mut(&id) else { return Ok(()) };
        match peer.pipe.try_read(buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => {
                self.receive(id, &buffer[..length], now);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Hands an event to a connection's machine and does what it wants done.
    pub fn feed(&mut self, id: ConnectionId, input: Input<'_>, now: MonoTime) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if let Input::Bytes(_) = input {
            let too_much = self.requests.are_too_many(&peer.asked, peer.address.ip(), now);
            peer.machine.handle_input(Input::TooMuch(too_much), &mut self.sessions, now);
        }
        peer.machine.handle_input(input, &mut self.sessions, now);
        let mut starting = Vec::new();
        while let Some(output) = self.peers.get_mut(&id).and_then(|peer| peer.machine.poll_output()) {
            match output {
                Output::Send(message) => {
                    let Some(peer) = self.peers.get_mut(&id) else { return };
                    peer.closing |= !peer.link.push_control(message);
                }
                Output::Ask(ask_id, ask) => {
                    let Some(answer) = self.answer(id, ask_id, ask, &mut starting, now) else { continue };
                    let Some(peer) = self.peers.get_mut(&id) else { return };
                    peer.machine.handle_input(Input::Answer(ask_id, answer), &mut self.sessions, now);
                }
                Output::Interleaved { session, track, payload, .. } => {
                    self.receive_interleaved(session, track, &payload, now);
                }
                Output::SessionEnded(session) => self.end_viewer(session.id, now),
                Output::Close { reason } => {
                    tracing::debug!(connection = id.0, "closing: {reason}");
                    self.close(id);
                }
            }
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            let (asked, address) = (peer.machine.take_asked(), peer.address.ip());
            if asked > 0 {
                self.requests.count(&mut peer.asked, address, asked, self.settings.requests, now);
            }
        }
        // The answer to PLAY leaves first, then media.
        self.flush(id, now);
        for (session, cursor) in starting {
            self.start(session, cursor, now);
        }
    }

    /// The connection is at its end; its last words may still be on their way.
    fn remove_peer(&mut self, id: ConnectionId, now: MonoTime) -> Option<Pipe> {
        self.close_tunnel(id);
        self.feed(id, Input::PeerClosed, now);
        let mut peer = self.peers.remove(&id)?;
        peer.pipe.end();
        self.waiting.retain(|waiting| waiting.connection != id);
        for viewer in peer.viewers {
            self.end_viewer(viewer, now);
        }
        tracing::debug!(connection = id.0, peer = %peer.address, "disconnected");
        Some(peer.pipe)
    }

    /// Tells connections that their time has come, and closes those that take nothing any more.
    pub fn watch_peers(&mut self, now: MonoTime) {
        self.watch_tunnels(now);
        let due: Vec<ConnectionId> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.machine.poll_timeout().is_some_and(|deadline| deadline <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.feed(id, Input::Timeout, now);
        }
        for (id, peer) in &mut self.peers {
            if peer.stuck_since.is_some_and(|since| now.since(since) >= STUCK) {
                tracing::info!(connection = id.0, peer = %peer.address, "closed: has read nothing for 10 s");
                self.stalled += u64::from(!peer.viewers.is_empty());
                peer.give_up();
                peer.wake.notify_one();
            }
        }
    }
}
