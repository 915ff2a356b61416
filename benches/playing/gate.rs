//! A gate between a player and the server: it lets everything through at once but the player's PLAY, which it holds until
//! the moment has come. However long a player takes to start, it so joins where it is to.

use crate::rig::Outcome;
use eyrie::time::MonoTime;
use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

/// How long a player may take until it asks to play, and that may have to wait.
const PATIENCE: Duration = Duration::from_secs(40);

pub struct Gate {
    /// What the player takes for the server.
    pub address: SocketAddr,
    played: Receiver<Outcome<MonoTime>>,
}

impl Gate {
    /// For one connection, whose PLAY goes on when `wait` returns.
    pub fn new(server: SocketAddr, wait: impl FnOnce() -> Outcome<()> + Send + 'static) -> Outcome<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (tell, played) = channel();
        thread::spawn(move || {
            let playing = || tell.send(wait().map(|()| MonoTime::now()));
            if let Err(error) = carry(&listener, server, playing) {
                let _ = tell.send(Err(error));
            }
        });
        Ok(Self { address, played })
    }

    /// When PLAY was let through.
    pub fn played(&self) -> Outcome<MonoTime> {
        match self.played.recv_timeout(PATIENCE) {
            Ok(played) => played,
            Err(RecvTimeoutError::Timeout) => Err("it does not ask to play".into()),
            Err(RecvTimeoutError::Disconnected) => Err("it left without asking to play".into()),
        }
    }
}

fn carry<R>(listener: &TcpListener, server: SocketAddr, playing: impl FnOnce() -> R) -> Outcome<()> {
    let (mut player, _) = listener.accept()?;
    let mut server = TcpStream::connect(server)?;
    player.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from, mut to) = (server.try_clone()?, player.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let (mut playing, mut bytes) = (Some(playing), [0; 4096]);
    loop {
        let length = player.read(&mut bytes)?;
        // A player sends a request at once, and the next when it has the answer.
        if bytes[..length].starts_with(b"PLAY ")
            && let Some(playing) = playing.take()
        {
            playing();
        }
        if length == 0 {
            return Ok(server.shutdown(Shutdown::Both)?);
        }
        server.write_all(&bytes[..length])?;
    }
}
