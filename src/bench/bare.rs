use super::{Crowd, Figures, Outcome, Recording, Unit, Way, sys::Volley};
use crate::time::MonoTime;
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    time::{ClockId, clock_gettime},
};
use std::{
    io::{self, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd,
    thread,
    time::Duration,
};

/// How the server paces: so many bytes at once, the rest of an access unit in steps of so long, within nine tenths of its
/// interval.
const BURST: usize = 64 * 1024;
const TICK: Duration = Duration::from_millis(2);
/// What the kernel may hold unsent of a connection, as the server sets it.
const UNSENT: u32 = 128 * 1024;

/// A loop that sends a recording again and again, each access unit to all receivers before the next, and does nothing else.
pub enum Bare {
    Udp(Vec<UdpSocket>),
    Tcp(Vec<TcpStream>),
}

/// What a bare loop did.
#[derive(Clone, Debug, Default)]
pub struct BareRound {
    /// Processor time of its thread.
    pub time: Duration,
    /// From the first receiver having all of an access unit to the last having it, in milliseconds; of those that went out
    /// at once.
    pub spread: Figures,
}

impl Bare {
    /// Sends to all of a crowd, who are not to be sent anything else meanwhile.
    ///
    /// # Errors
    /// The system gives no further sockets.
    pub fn to(crowd: &mut Crowd, way: Way) -> Outcome<Self> {
        if way == Way::Udp {
            return Self::udp(&crowd.addresses()?);
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let mut connections = Vec::new();
        for member in 0..crowd.len() {
            let near = TcpStream::connect(listener.local_addr()?)?;
            near.set_nonblocking(true)?;
            connections.push(listener.accept()?.0);
            crowd.also_reads(member, near)?;
        }
        Self::tcp(connections)
    }

    /// Sends datagrams to these.
    fn udp(receivers: &[SocketAddr]) -> Outcome<Self> {
        let socket = |receiver: &SocketAddr| {
            let socket = match receiver {
                SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
                SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?,
            };
            socket.connect(receiver)?;
            Ok(socket)
        };
        Ok(Self::Udp(receivers.iter().map(socket).collect::<io::Result<_>>()?))
    }

    /// Sends over these connections, set up as the server does it.
    fn tcp(connections: Vec<TcpStream>) -> Outcome<Self> {
        for connection in &connections {
            connection.set_nodelay(true)?;
            connection.set_nonblocking(true)?;
            socket2::SockRef::from(connection).set_tcp_notsent_lowat(UNSENT)?;
        }
        Ok(Self::Tcp(connections))
    }

    /// Sends for so long, an access unit every `interval`.
    ///
    /// # Errors
    /// A receiver is gone.
    pub fn run(&mut self, recording: &Recording, interval: Duration, long: Duration) -> Outcome<BareRound> {
        thread::scope(|scope| {
            let builder = thread::Builder::new().name("bare".into());
            let running = builder.spawn_scoped(scope, || match self {
                Self::Udp(sockets) => udp(sockets, recording, interval, long),
                Self::Tcp(sockets) => tcp(sockets, recording, interval, long),
            })?;
            running.join().map_err(|_| "the bare loop panicked")?
        })
    }
}

fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

fn wait_until(instant: MonoTime) {
    let wait = instant.since(MonoTime::now());
    if !wait.is_zero() {
        thread::sleep(wait);
    }
}

fn volley(unit: &Unit) -> Volley {
    Volley::new(unit.bytes.clone(), unit.runs())
}

/// One piece of an access unit, and where its packets begin.
struct Piece {
    volley: Volley,
    starts: Vec<usize>,
}

fn pieces(unit: &Unit, interval: Duration) -> Vec<Piece> {
    let ticks = (interval.as_secs_f64() * 0.9 / TICK.as_secs_f64()).floor().max(1.0) as usize;
    let rest = unit.bytes.len().saturating_sub(BURST);
    let piece = |unit: &Unit| {
        let starts = std::iter::once(0).chain(unit.ends.iter().copied()).take(unit.ends.len()).collect();
        Piece { volley: volley(unit), starts }
    };
    unit.pieces(BURST, rest.div_ceil(ticks).max(1)).iter().map(piece).collect()
}

fn udp(sockets: &[UdpSocket], recording: &Recording, interval: Duration, long: Duration) -> Outcome<BareRound> {
    let mut units: Vec<Vec<Piece>> = recording.units.iter().map(|unit| pieces(unit, interval)).collect();
    let (mut round, mut sequence) = (BareRound::default(), 0u16);
    let (mut due, begun) = (MonoTime::now(), thread_time());
    let (end, mut spreads) = (due + long, Vec::new());
    for number in 0u32.. {
        wait_until(due);
        let index = number as usize % units.len();
        for (tick, piece) in units[index].iter_mut().enumerate() {
            renumber(piece.volley.bytes_mut(), &piece.starts, number, &mut sequence);
            piece.volley.aim();
            if tick > 0 {
                wait_until(due + TICK * tick as u32);
            }
            let mut first = None;
            for socket in sockets {
                // Who has no room loses it, as with the server.
                let _ = piece.volley.send(socket.as_fd());
                first.get_or_insert_with(MonoTime::now);
            }
            if let Some(first) = first
                && tick == 0
            {
                spreads.push((MonoTime::now() - first).as_secs_f64() * 1e3);
            }
        }
        due += interval;
        if due >= end {
            break;
        }
    }
    round.time = thread_time() - begun;
    round.spread = spreads.into_iter().collect();
    Ok(round)
}

fn tcp(sockets: &mut [TcpStream], recording: &Recording, interval: Duration, long: Duration) -> Outcome<BareRound> {
    let mut units: Vec<(Vec<u8>, Vec<usize>)> = recording.units.iter().map(framed).collect();
    let mut round = BareRound::default();
    let (mut due, begun) = (MonoTime::now(), thread_time());
    let (end, mut sequence, mut waiting) = (due + long, 0u16, Vec::<(usize, usize)>::new());
    let mut spreads = Vec::new();
    for number in 0u32.. {
        wait_until(due);
        let index = number as usize % units.len();
        let (bytes, starts) = &mut units[index];
        renumber(bytes, starts, number, &mut sequence);
        waiting.clear();
        let mut first = None;
        for (index, socket) in sockets.iter_mut().enumerate() {
            let sent = write(socket, bytes)?;
            first.get_or_insert_with(MonoTime::now);
            if sent < bytes.len() {
                waiting.push((index, sent));
            }
        }
        if let Some(first) = first
            && waiting.is_empty()
        {
            spreads.push((MonoTime::now() - first).as_secs_f64() * 1e3);
        }
        due += interval;
        while !waiting.is_empty() {
            let mut polled: Vec<PollFd> =
                waiting.iter().map(|(index, _)| PollFd::new(sockets[*index].as_fd(), PollFlags::POLLOUT)).collect();
            poll(&mut polled, PollTimeout::from(50u8))?;
            let ready: Vec<bool> = polled.iter().map(|fd| fd.any().unwrap_or(false)).collect();
            let mut ready = ready.into_iter();
            for (index, sent) in &mut waiting {
                if ready.next() == Some(true) {
                    *sent += write(&mut sockets[*index], &bytes[*sent..])?;
                }
            }
            waiting.retain(|(_, sent)| *sent < bytes.len());
            if MonoTime::now() > end + Duration::from_secs(5) {
                return Err("a receiver of the bare loop takes nothing".into());
            }
        }
        if due >= end {
            break;
        }
    }
    round.time = thread_time() - begun;
    round.spread = spreads.into_iter().collect();
    Ok(round)
}

/// Makes its packets, which begin there, the next of one stream, so that receivers can tell what is lost.
fn renumber(bytes: &mut [u8], starts: &[usize], number: u32, sequence: &mut u16) {
    let timestamp = number.wrapping_mul(3000).to_be_bytes();
    for start in starts {
        let packet = &mut bytes[*start..];
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&timestamp);
        *sequence = sequence.wrapping_add(1);
    }
}

/// An access unit in `$` framing, and where its packets begin.
fn framed(unit: &Unit) -> (Vec<u8>, Vec<usize>) {
    let ends = unit.ends.iter().enumerate();
    let starts = std::iter::once(4).chain(ends.map(|(index, end)| end + (index + 2) * 4)).take(unit.ends.len());
    (unit.framed(), starts.collect())
}

fn write(socket: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match socket.write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}
