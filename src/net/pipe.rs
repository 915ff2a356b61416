use super::tls::Identity;
use rustls::ServerConnection;
use std::{
    io::{self, Read, Write},
    net::Shutdown,
    rc::Rc,
    time::Duration,
};
use tokio::net::TcpStream;

/// What TLS may hold of what was written: two records. More would only put replies further behind media.
const RECORDS: usize = 32 * 1024;
/// How long a closed connection's last words may take.
const LINGER: Duration = Duration::from_secs(1);

/// A TCP connection's bytes, in clear or inside TLS.
pub struct Pipe {
    socket: Rc<TcpStream>,
    /// None: in clear.
    tls: Option<Box<ServerConnection>>,
}

impl Pipe {
    /// Shakes hands, where there is an identity to show. The caller bounds the time.
    ///
    /// # Errors
    /// The connection is broken, or the client and TLS do not come together; it has been told so.
    pub async fn open(socket: TcpStream, identity: Option<&Identity>) -> io::Result<Self> {
        let socket = Rc::new(socket);
        let Some(identity) = identity else { return Ok(Self { socket, tls: None }) };
        let mut tls = ServerConnection::new(identity.config.clone()).map_err(io::Error::other)?;
        tls.set_buffer_limit(Some(RECORDS));
        let mut pipe = Self { socket: socket.clone(), tls: Some(Box::new(tls)) };
        while pipe.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
            socket.readable().await?;
            match pipe.decrypt() {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
            while pipe.has_unsent() {
                socket.writable().await?;
                pipe.flush()?;
            }
        }
        Ok(pipe)
    }

    /// To wait for.
    pub fn socket(&self) -> &Rc<TcpStream> {
        &self.socket
    }

    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Reads what has come; 0 at the end.
    ///
    /// # Errors
    /// `WouldBlock`: nothing is there. Else the connection is broken.
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(tls) = &mut self.tls else { return self.socket.try_read(buffer) };
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.decrypt()?,
                result => return result,
            };
        }
    }

    /// Whether bytes wait that the socket will not tell of.
    pub fn has_unread(&mut self) -> bool {
        let Some(tls) = &mut self.tls else { return false };
        tls.process_new_packets().is_ok_and(|state| state.plaintext_bytes_to_read() > 0)
    }

    /// Takes bytes over, as many as can leave soon: what TLS made of them may still wait, see [`Pipe::has_unsent`].
    ///
    /// # Errors
    /// `WouldBlock`: none was taken. Else the connection is broken.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.tls.is_none() {
            return self.socket.try_write(bytes);
        }
        let mut taken = 0;
        loop {
            self.flush()?;
            match &mut self.tls {
                Some(tls) if !tls.wants_write() && taken < bytes.len() => {
                    taken += tls.writer().write(&bytes[taken..])?;
                }
                _ if taken == 0 => return Err(io::ErrorKind::WouldBlock.into()),
                _ => return Ok(taken),
            }
        }
    }

    /// Whether TLS has something to send: records, an alert, a ticket.
    pub fn has_unsent(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Sends what TLS holds, as far as the socket takes it; how many bytes.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn flush(&mut self) -> io::Result<usize> {
        let mut sent = 0;
        while let Some(tls) = self.tls.as_mut().filter(|tls| tls.wants_write()) {
            match tls.write_tls(&mut Raw(&self.socket)) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// Reads, waiting for something to come; 0 at the end.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.socket.readable().await?,
                result => return result,
            }
        }
    }

    /// Sends all of it, waiting for the peer to take it.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() || self.has_unsent() {
            match self.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.socket.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says that nothing more will come.
    pub fn end(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        // Who does not hear it sees the end of the connection.
        let _ = self.flush();
        let _ = socket2::SockRef::from(&*self.socket).shutdown(Shutdown::Write);
    }

    /// Waits a little, after [`Pipe::end`], until the peer has closed too: input that is still unread would make the
    /// kernel reset the connection and with it throw away our last words.
    pub async fn linger(self) {
        let drain = async {
            let mut scrap = [0; 4096];
            while self.socket.readable().await.is_ok() {
                match self.socket.try_read(&mut scrap) {
                    Ok(0) => return,
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
                    _ => {}
                }
            }
        };
        let _ = tokio::time::timeout(LINGER, drain).await;
    }

    /// Takes in what the socket has; 0 at its end.
    fn decrypt(&mut self) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return Ok(0) };
        let count = tls.read_tls(&mut Raw(&self.socket))?;
        if let Err(error) = tls.process_new_packets() {
            // The alert that says why.
            let _ = self.flush();
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(count)
    }
}

/// The socket as rustls reads and writes it.
struct Raw<'a>(&'a TcpStream);

impl Read for Raw<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, bytes: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
