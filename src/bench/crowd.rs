use super::{
    Outcome, Tally, Viewer,
    sys::{HEAD, Heads},
    thread_times,
    viewer::{Control, UdpPair},
};
use crate::time::MonoTime;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::{
    io::{self, Read},
    net::{SocketAddr, TcpStream, UdpSocket},
    os::fd::AsFd,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// How long responses may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Sockets looked at before others may look at the tally.
const EVENTS: usize = 64;
/// What the reading threads are called.
const READER: &str = "crowd";

/// Viewers that read what they get, count it, and throw it away.
pub struct Crowd {
    members: Vec<Member>,
    seats: Arc<Seats>,
    reader: Option<thread::JoinHandle<()>>,
}

struct Member {
    /// None: it is asked by somebody else.
    control: Option<Control>,
    /// Where RTP comes over UDP.
    address: Option<SocketAddr>,
}

/// What the reading thread shares.
struct Seats {
    epoll: Epoll,
    inside: Mutex<Inside>,
    over: AtomicBool,
}

#[derive(Default)]
struct Inside {
    sources: Vec<Source>,
    tally: Tally,
}

struct Source {
    member: usize,
    kind: Kind,
}

enum Kind {
    Datagrams(UdpPair),
    Stream(TcpStream, Box<Stream>),
}

impl Crowd {
    /// Nobody yet, and a thread to read for them.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn new() -> Outcome<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let seats = Arc::new(Seats { epoll, inside: Mutex::default(), over: AtomicBool::new(false) });
        let reading = seats.clone();
        let reader = thread::Builder::new().name(READER.into()).spawn(move || reading.read())?;
        Ok(Self { members: Vec::new(), seats, reader: Some(reader) })
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Takes in a viewer that is set up; its number.
    ///
    /// # Errors
    /// The system gives no further descriptors.
    pub fn add(&mut self, viewer: Viewer) -> Outcome<usize> {
        let member = self.members.len();
        let (control, answers, udp) = viewer.split()?;
        let port = udp.as_ref().map(|udp| udp.rtp.local_addr()).transpose()?.map(|address| address.port());
        let address = port
            .map(|port| Ok::<_, Box<dyn std::error::Error + Send + Sync>>(SocketAddr::new(control.address()?, port)));
        let address = address.transpose()?;
        self.seats.lock().tally.add();
        self.seats.sit(Source { member, kind: Kind::Stream(answers, Box::default()) })?;
        if let Some(udp) = udp {
            self.seats.sit(Source { member, kind: Kind::Datagrams(udp) })?;
        }
        self.members.push(Member { control: Some(control), address });
        Ok(member)
    }

    /// Takes in who gets RTP at `address`, through that socket, and is asked to play by somebody else.
    ///
    /// # Errors
    /// The system gives no further descriptors.
    pub fn add_socket(&mut self, rtp: UdpSocket, address: SocketAddr) -> Outcome<()> {
        let member = self.members.len();
        rtp.set_nonblocking(true)?;
        self.seats.lock().tally.add();
        self.seats.sit(Source { member, kind: Kind::Datagrams(UdpPair::of(rtp)) })?;
        self.members.push(Member { control: None, address: Some(address) });
        Ok(())
    }

    /// Another connection that a member reads from.
    ///
    /// # Errors
    /// The system gives no further descriptors.
    pub fn also_reads(&mut self, member: usize, socket: TcpStream) -> Outcome<()> {
        Ok(self.seats.sit(Source { member, kind: Kind::Stream(socket, Box::default()) })?)
    }

    /// Where members get RTP over UDP.
    ///
    /// # Errors
    /// One gets it over TCP.
    pub fn addresses(&self) -> Outcome<Vec<SocketAddr>> {
        self.members.iter().map(|member| member.address.ok_or("no UDP there".into())).collect()
    }

    /// PLAY by one; when it was sent.
    ///
    /// # Errors
    /// The connection is broken, or it is not for us to ask.
    pub fn play(&mut self, member: usize) -> Outcome<MonoTime> {
        self.members[member].control.as_mut().ok_or("somebody else asks")?.play()
    }

    /// All play; once each has been answered.
    ///
    /// # Errors
    /// One is refused or not answered.
    pub fn play_all(&mut self) -> Outcome<()> {
        self.ask_all(|control| control.play().map(drop))
    }

    /// All pause; once each has been answered.
    ///
    /// # Errors
    /// As [`Crowd::play_all`].
    pub fn pause_all(&mut self) -> Outcome<()> {
        self.ask_all(Control::pause)
    }

    fn ask_all(&mut self, ask: impl Fn(&mut Control) -> Outcome<()>) -> Outcome<()> {
        self.seats.lock().tally.begin();
        let mut asked = 0;
        for control in self.members.iter_mut().filter_map(|member| member.control.as_mut()) {
            ask(control)?;
            asked += 1;
        }
        let begun = MonoTime::now();
        loop {
            {
                let tally = &self.seats.lock().tally;
                if let Some(refusal) = tally.refusals.first() {
                    return Err(format!("the server refused: {refusal}").into());
                }
                if tally.answers >= asked {
                    return Ok(());
                }
                if MonoTime::now() - begun > PATIENCE {
                    return Err(format!("{} of {asked} answers", tally.answers).into());
                }
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Processor time of the threads that read for crowds.
    ///
    /// # Errors
    /// There is no `/proc`.
    pub fn reading_time() -> Outcome<Duration> {
        Ok(thread_times(std::process::id())?.get(READER).copied().unwrap_or_default())
    }

    /// Counts from now on.
    pub fn begin(&self) {
        self.seats.lock().tally.begin();
    }

    /// What was counted since; counting begins anew.
    pub fn take(&self) -> Tally {
        let mut inside = self.seats.lock();
        let mut empty = Tally::default();
        self.members.iter().for_each(|_| empty.add());
        std::mem::replace(&mut inside.tally, empty)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.seats.over.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Seats {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn sit(&self, source: Source) -> io::Result<()> {
        let mut inside = self.lock();
        let event = EpollEvent::new(EpollFlags::EPOLLIN, inside.sources.len() as u64);
        match &source.kind {
            Kind::Datagrams(udp) => self.epoll.add(&udp.rtp, event)?,
            Kind::Stream(socket, _) => self.epoll.add(socket, event)?,
        }
        inside.sources.push(source);
        Ok(())
    }

    /// Reads until it is over.
    fn read(&self) {
        let mut events = [EpollEvent::empty(); EVENTS];
        let (mut heads, mut buffer) = (Heads::new(), vec![0; 256 * 1024]);
        while !self.over.load(Ordering::Relaxed) {
            let count = self.epoll.wait(&mut events, EpollTimeout::from(50u8)).unwrap_or(0);
            let mut inside = self.lock();
            let Inside { sources, tally } = &mut *inside;
            for event in &events[..count] {
                let Some(Source { member, kind }) = sources.get_mut(event.data() as usize) else { continue };
                match kind {
                    Kind::Datagrams(udp) => {
                        let Ok(received) = heads.receive(udp.rtp.as_fd()) else { continue };
                        let now = MonoTime::now();
                        received.for_each(|(head, length)| tally.packet(*member, head, length, now));
                    }
                    Kind::Stream(socket, stream) => match socket.read(&mut buffer) {
                        Ok(length) if length > 0 => stream.take(&buffer[..length], *member, tally, MonoTime::now()),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        _ => {
                            let _ = self.epoll.delete(&*socket);
                        }
                    },
                }
            }
        }
    }
}

/// What has been read in part of a connection's interleaved frames (RFC 2326 §10.12) and responses.
#[derive(Default)]
struct Stream {
    /// The beginning of a frame, with what of its packet is looked at.
    head: Vec<u8>,
    /// Bytes of a packet that still come.
    skip: usize,
    /// A response; it has no body.
    response: Vec<u8>,
}

impl Stream {
    fn take(&mut self, mut bytes: &[u8], member: usize, tally: &mut Tally, now: MonoTime) {
        while let Some(&first) = bytes.first() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
            } else if !self.response.is_empty() || (self.head.is_empty() && first != b'$') {
                self.response.push(first);
                bytes = &bytes[1..];
                if self.response.ends_with(b"\r\n\r\n") {
                    tally.response(&String::from_utf8_lossy(&std::mem::take(&mut self.response)));
                }
            } else {
                let wanted = self.wanted();
                let taken = (wanted - self.head.len()).min(bytes.len());
                self.head.extend_from_slice(&bytes[..taken]);
                bytes = &bytes[taken..];
                if self.head.len() >= 4 && self.head.len() == self.wanted() {
                    let length = usize::from(u16::from_be_bytes([self.head[2], self.head[3]]));
                    if self.head[1] == 0 {
                        tally.packet(member, &self.head[4..], length, now);
                    }
                    self.skip = length - (self.head.len() - 4);
                    self.head.clear();
                }
            }
        }
    }

    /// How many bytes of the frame are to be looked at, as far as is known.
    fn wanted(&self) -> usize {
        match self.head.get(2..4) {
            Some(length) => 4 + HEAD.min(usize::from(u16::from_be_bytes([length[0], length[1]]))),
            None => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_responses_are_told_apart_wherever_they_are_cut() {
        let mut bytes = Vec::new();
        for sequence in 0..3u8 {
            bytes.extend_from_slice(&[b'$', 0, 0, 40, 0x80, 96, 0, sequence, 0, 0, 0, 1]);
            bytes.extend_from_slice(&[7; 32]);
            bytes.extend_from_slice(b"$\x01\x00\x08abcdefgh");
            bytes.extend_from_slice(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n");
        }
        for cut in 1..bytes.len() {
            let (mut stream, mut tally) = (Stream::default(), Tally::default());
            tally.add();
            for part in bytes.chunks(cut) {
                stream.take(part, 0, &mut tally, MonoTime::ZERO);
            }
            assert_eq!((tally.packets, tally.bytes, tally.lost, tally.answers), (3, 120, 0, 3), "cut at {cut}");
        }
    }
}
