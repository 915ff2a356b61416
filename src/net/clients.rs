//! TCP connections: accepting, reading, writing, closing.

use super::{
    link::Link,
    state::{Peer, State},
    udp,
};
use crate::{
    rtsp::{self, Connection, ConnectionId, ConnectionSettings, Input, Output},
    time::MonoTime,
};
use std::{cell::RefCell, io, net::SocketAddr, rc::Rc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::spawn_local,
};

/// What the kernel may hold unsent for a viewer: more only makes it later.
const UNSENT: u32 = 128 * 1024;
/// A connection that takes nothing for so long while something waits for it is closed.
const STUCK: Duration = Duration::from_secs(10);
/// Connections over a cap that are told so at one time; further ones are closed at once.
const TURNED_AWAY: usize = 32;
/// Without file descriptors, accepting is tried again after this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until its task is aborted.
pub async fn accept(state: Rc<RefCell<State>>, listener: TcpListener) {
    let turned_away = Rc::new(());
    loop {
        match listener.accept().await {
            Ok((socket, address)) => {
                let address = udp::canonical(address);
                let permitted = {
                    let state = state.borrow();
                    // Not a byte for those whom the lists keep out.
                    if !state.access.admits(address.ip()) {
                        continue;
                    }
                    state.has_room_for(address)
                };
                if permitted {
                    if let Err(error) = admit(&state, socket, address) {
                        tracing::debug!(peer = %address, "connection lost at once: {error}");
                    }
                } else if Rc::strong_count(&turned_away) <= TURNED_AWAY {
                    spawn_local(turn_away(socket, turned_away.clone()));
                }
            }
            Err(error) => {
                tracing::warn!("cannot accept connections: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// 503 to the first request, then the end (RFC 2326 §11.5).
async fn turn_away(mut socket: TcpStream, _counted: Rc<()>) {
    let mut request = [0; 2048];
    let read = tokio::time::timeout(Duration::from_secs(1), socket.read(&mut request)).await;
    let Ok(Ok(length @ 1..)) = read else { return };
    let text = String::from_utf8_lossy(&request[..length]);
    let cseq = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("cseq") { value.trim().parse::<u32>().ok() } else { None }
    });
    let cseq = cseq.map_or(String::new(), |cseq| format!("CSeq: {cseq}\r\n"));
    let answer = format!("RTSP/1.0 503 Service Unavailable\r\n{cseq}Connection: close\r\n\r\n");
    let _ = tokio::time::timeout(Duration::from_secs(1), socket.write_all(answer.as_bytes())).await;
}

fn admit(state: &Rc<RefCell<State>>, socket: TcpStream, address: SocketAddr) -> io::Result<()> {
    socket.set_nodelay(true)?;
    socket2::SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT)?;
    let local = udp::canonical(socket.local_addr()?);
    let now = MonoTime::now();
    let id = state.borrow_mut().add_peer(socket, address, local, false, now);
    spawn_local(serve(state.clone(), id));
    Ok(())
}

/// Feeds one connection until it ends.
async fn serve(state: Rc<RefCell<State>>, id: ConnectionId) {
    let Some((socket, wake)) = state.borrow().peers.get(&id).map(|peer| (peer.socket.clone(), peer.wake.clone()))
    else {
        return;
    };
    let mut buffer = vec![0; 4096];
    loop {
        let (waits, closing) = {
            let state = state.borrow();
            let Some(peer) = state.peers.get(&id) else { return };
            (!peer.link.is_empty(), peer.closing)
        };
        if closing && !waits {
            break;
        }
        tokio::select! {
            ready = socket.readable(), if !closing => {
                if ready.is_err() {
                    break;
                }
                match socket.try_read(&mut buffer) {
                    Ok(0) => break,
                    Ok(length) => state.borrow_mut().read(id, &buffer[..length], MonoTime::now()),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => break,
                }
            }
            ready = socket.writable(), if waits => {
                if ready.is_err() {
                    break;
                }
                state.borrow_mut().flush(id, MonoTime::now());
            }
            () = wake.notified() => {}
        }
    }
    state.borrow_mut().remove_peer(id, MonoTime::now());
    linger(socket).await;
}

/// Closes so that the peer gets what was written last: input that is still unread would make the kernel reset the
/// connection and with it throw away our last words.
async fn linger(socket: Rc<TcpStream>) {
    if socket2::SockRef::from(&*socket).shutdown(std::net::Shutdown::Write).is_err() {
        return;
    }
    let drain = async {
        let mut scrap = [0; 4096];
        while socket.readable().await.is_ok() {
            match socket.try_read(&mut scrap) {
                Ok(0) => return,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
                _ => {}
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), drain).await;
}

impl State {
    fn has_room_for(&self, address: SocketAddr) -> bool {
        let same = self.peers.values().filter(|peer| peer.address.ip() == address.ip()).count();
        self.peers.len() < self.settings.max_connections && same < self.settings.max_connections_per_address
    }

    fn add_peer(
        &mut self,
        socket: TcpStream,
        address: SocketAddr,
        local: SocketAddr,
        secure: bool,
        now: MonoTime,
    ) -> ConnectionId {
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        let settings = ConnectionSettings {
            id,
            peer: address,
            local: local.ip(),
            session_timeout: self.settings.session_timeout,
            transports: rtsp::Transports { udp: self.settings.ports.is_some() && !secure, tcp: self.settings.tcp },
            secure,
            server: concat!("Eyrie/", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let peer = Peer {
            address,
            local,
            secure,
            machine: Connection::new(settings, now),
            socket: Rc::new(socket),
            link: Link::default(),
            viewers: Vec::new(),
            wake: Rc::new(Notify::new()),
            closing: false,
            stuck_since: None,
        };
        tracing::debug!(connection = id.0, peer = %address, "connected");
        self.peers.insert(id, peer);
        id
    }

    /// The peer sent something.
    fn read(&mut self, id: ConnectionId, bytes: &[u8], now: MonoTime) {
        self.feed(id, Input::Bytes(bytes), now);
    }

    /// Hands an event to a connection's machine and does what it wants done.
    pub fn feed(&mut self, id: ConnectionId, input: Input<'_>, now: MonoTime) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
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
                Output::Interleaved { session, payload, .. } => self.receive_report(session, &payload, now),
                Output::SessionEnded(session) => self.end_viewer(session.id, now),
                Output::Close { reason } => {
                    tracing::debug!(connection = id.0, "closing: {reason}");
                    let Some(peer) = self.peers.get_mut(&id) else { return };
                    peer.closing = true;
                    peer.wake.notify_one();
                }
            }
        }
        // The answer to PLAY leaves first, then media.
        self.flush(id, now);
        for (session, cursor) in starting {
            self.start(session, cursor, now);
        }
    }

    /// The connection is gone.
    fn remove_peer(&mut self, id: ConnectionId, now: MonoTime) {
        self.feed(id, Input::PeerClosed, now);
        let Some(peer) = self.peers.remove(&id) else { return };
        self.waiting.retain(|waiting| waiting.connection != id);
        for viewer in peer.viewers {
            self.end_viewer(viewer, now);
        }
        tracing::debug!(connection = id.0, peer = %peer.address, "disconnected");
    }

    /// Tells connections that their time has come, and closes those that take nothing any more.
    pub fn watch_peers(&mut self, now: MonoTime) {
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
                peer.link = Link::default();
                peer.stuck_since = None;
                peer.closing = true;
                peer.wake.notify_one();
            }
        }
    }
}
