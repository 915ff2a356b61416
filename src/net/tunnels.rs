//! Connections that carry RTSP inside HTTP or WebSocket: how they begin, and how the two halves of an HTTP tunnel meet.

use super::{pipe::Pipe, state::State};
use crate::{
    rtsp::{
        ConnectionId, HTTP_NOT_FOUND, Input,
        tunnel::{Event, Opening, PostBody, WebSocket},
    },
    time::MonoTime,
};
use bytes::Bytes;
use std::{
    cell::{Cell, RefCell},
    io,
    net::IpAddr,
    rc::Rc,
    time::Duration,
};
use tokio::sync::{Mutex, Notify};

/// A connection that says nothing is closed after this long.
const SILENT: Duration = Duration::from_secs(60);
/// From its first byte on it must be known after this long what it is.
const GREETING: Duration = Duration::from_secs(10);
/// How long each half of an HTTP tunnel waits for the other.
const JOIN: Duration = Duration::from_secs(10);
/// How long an answer may take that is the last.
const FAREWELL: Duration = Duration::from_secs(2);
const BUFFER: usize = 4096;

/// What a peer's connection carries RTSP in.
pub enum Tunnel {
    /// The GET's half: the client speaks by POSTs, on connections of their own.
    Http,
    WebSocket(Box<WebSocket>),
}

/// What both halves of an HTTP tunnel have in common. A stranger who saw the cookie cannot speak for the client.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TunnelKey {
    pub cookie: Bytes,
    pub address: IpAddr,
    pub secure: bool,
}

/// Where the POSTs of an HTTP tunnel meet its GET.
pub struct Junction {
    /// The GET's.
    connection: ConnectionId,
    since: MonoTime,
    /// How many POSTs have come: the last one speaks.
    posts: Cell<u64>,
    ended: Cell<bool>,
    /// Something of the above has changed.
    news: Notify,
    /// Held by the POST that speaks: one that comes after it waits until it has read all that was sent before.
    turn: Mutex<()>,
}

/// How a connection begins.
pub struct Greeting {
    pub opening: Opening,
    /// All that was read.
    pub bytes: Vec<u8>,
    /// When the first byte came.
    pub begun: MonoTime,
}

/// Reads until it is known what the connection is, or until it has taken too long for a tunnel.
///
/// # Errors
/// It is at its end already, or silent.
pub async fn greet(pipe: &mut Pipe) -> io::Result<Greeting> {
    let mut buffer = vec![0; BUFFER];
    let mut length = tokio::time::timeout(SILENT, pipe.read(&mut buffer)).await??;
    let mut greeting = Greeting { opening: Opening::Unfinished, bytes: Vec::new(), begun: MonoTime::now() };
    let finish = async {
        while length > 0 {
            greeting.bytes.extend_from_slice(&buffer[..length]);
            greeting.opening = Opening::of(&greeting.bytes);
            if greeting.opening != Opening::Unfinished {
                return Ok(());
            }
            length = pipe.read(&mut buffer).await?;
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    };
    match tokio::time::timeout(GREETING, finish).await {
        Ok(Err(error)) => Err(error),
        Ok(Ok(())) | Err(_) => Ok(greeting),
    }
}

/// Answers a request that leads nowhere.
pub async fn refuse(mut pipe: Pipe, answer: &[u8]) -> Pipe {
    let _ = tokio::time::timeout(FAREWELL, pipe.write_all(answer)).await;
    pipe.end();
    pipe
}

/// Hands on what a POST says, to the peer that the GET of the same tunnel became, until either ends or another POST comes.
/// `first`: what came of its body with its head.
pub async fn relay(
    state: &Rc<RefCell<State>>,
    mut pipe: Pipe,
    key: TunnelKey,
    mut body: PostBody,
    first: &[u8],
) -> Pipe {
    let Ok(junction) = tokio::time::timeout(JOIN, meet(state, &key)).await else {
        return refuse(pipe, HTTP_NOT_FOUND).await;
    };
    let number = junction.posts.get() + 1;
    junction.posts.set(number);
    junction.news.notify_waiters();
    let turn = junction.turn.lock().await;
    let (mut decoded, mut buffer) = (Vec::new(), vec![0; BUFFER]);
    let mut sound = body.push(first, &mut decoded);
    loop {
        state.borrow_mut().feed(junction.connection, Input::Bytes(&decoded), MonoTime::now());
        decoded.clear();
        if let Err(error) = sound {
            tracing::debug!(connection = junction.connection.0, "closing: {error} in the POST");
            state.borrow_mut().close(junction.connection);
            break;
        }
        if body.is_over() {
            break;
        }
        match junction.next(&mut pipe, &mut buffer, number).await {
            Ok(0) | Err(_) => break,
            Ok(length) => sound = body.push(&buffer[..length], &mut decoded),
        }
    }
    drop(turn);
    pipe.end();
    pipe
}

/// The junction of these halves, as soon as there is one.
async fn meet(state: &Rc<RefCell<State>>, key: &TunnelKey) -> Rc<Junction> {
    loop {
        let opened = state.borrow().tunnel_opened.clone();
        let opened = opened.notified();
        if let Some(junction) = state.borrow().junctions.get(key) {
            return junction.clone();
        }
        opened.await;
    }
}

impl Junction {
    /// Reads what POST `number` says next; 0 when it ends, or has nothing more to say and another one has.
    async fn next(&self, pipe: &mut Pipe, buffer: &mut [u8], number: u64) -> io::Result<usize> {
        // Others get their turn, however much comes.
        tokio::task::yield_now().await;
        while !self.ended.get() {
            match pipe.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
            if self.posts.get() != number {
                break;
            }
            tokio::select! {
                ready = pipe.socket().readable() => ready?,
                () = self.news.notified() => {}
            }
        }
        Ok(0)
    }
}

impl State {
    /// Opens an HTTP tunnel by its GET, which has become peer `connection`.
    pub fn open_tunnel(&mut self, key: TunnelKey, connection: ConnectionId, now: MonoTime) {
        let junction = Junction {
            connection,
            since: now,
            posts: Cell::new(0),
            ended: Cell::new(false),
            news: Notify::new(),
            turn: Mutex::new(()),
        };
        self.junctions.insert(key, Rc::new(junction));
        self.tunnel_opened.notify_waiters();
    }

    /// Ends the tunnel that a peer belongs to, with its POST.
    pub fn close_tunnel(&mut self, connection: ConnectionId) {
        self.junctions.retain(|_, junction| {
            let ended = junction.connection == connection;
            if ended {
                junction.ended.set(true);
                junction.news.notify_waiters();
            }
            !ended
        });
    }

    /// Closes tunnels whose GET was joined by no POST.
    pub fn watch_tunnels(&mut self, now: MonoTime) {
        let lonely = |junction: &&Rc<Junction>| junction.posts.get() == 0 && now.since(junction.since) >= JOIN;
        let lonely: Vec<_> = self.junctions.values().filter(lonely).map(|junction| junction.connection).collect();
        lonely.into_iter().for_each(|connection| self.close(connection));
    }

    /// Closes a connection once what waits is out.
    pub fn close(&mut self, id: ConnectionId) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.closing = true;
            peer.wake.notify_one();
        }
    }

    /// What came on a peer's own connection.
    pub fn receive(&mut self, id: ConnectionId, bytes: &[u8], now: MonoTime) {
        match self.peers.get_mut(&id).map(|peer| &mut peer.tunnel) {
            Some(None) => self.feed(id, Input::Bytes(bytes), now),
            Some(Some(Tunnel::WebSocket(socket))) => {
                socket.push(bytes);
                self.receive_messages(id, now);
            }
            // What a client says behind its GET means nothing.
            Some(Some(Tunnel::Http)) | None => {}
        }
    }

    fn receive_messages(&mut self, id: ConnectionId, now: MonoTime) {
        loop {
            let Some(peer) = self.peers.get_mut(&id) else { return };
            let Some(Tunnel::WebSocket(socket)) = &mut peer.tunnel else { return };
            let event = socket.poll();
            if let Some(replies) = socket.take_replies() {
                peer.closing |= !peer.link.push_raw(replies);
            }
            match event {
                Some(Event::Data(data)) => self.feed(id, Input::Bytes(&data), now),
                Some(Event::End) => self.close(id),
                None => break,
            }
        }
        self.flush(id, now);
    }

    /// Closes a WebSocket in its own way before its connection is closed. Whether there is something to send for that.
    pub fn say_goodbye(&mut self, id: ConnectionId, now: MonoTime) -> bool {
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| !peer.broken) else { return false };
        let Some(Tunnel::WebSocket(socket)) = &mut peer.tunnel else { return false };
        socket.close();
        let Some(goodbye) = socket.take_replies() else { return false };
        let queued = peer.link.push_raw(goodbye);
        self.flush(id, now);
        queued
    }
}
