use super::pipe::Pipe;
use crate::rtp::{Framed, Framing, PacketBatch, websocket_message};
use bytes::Bytes;
use std::{collections::VecDeque, io, sync::Arc};

/// What waits to go out over one TCP connection: replies and reports whole, media batch by batch. Replies and reports go
/// at the next packet boundary, before further media.
#[derive(Default)]
pub struct Link {
    /// All of it goes in WebSocket messages.
    websocket: bool,
    /// The front one may be out in part: so many bytes.
    control: VecDeque<Bytes>,
    control_sent: usize,
    media: Option<UnderWay>,
}

struct UnderWay {
    batch: Arc<PacketBatch>,
    framing: Framing,
    sent: usize,
    /// Where it ends: with the batch, or with the packet at which it was cut off.
    end: usize,
}

/// Replies that wait for a peer which does not read: more, and it is closed.
const CONTROL_LIMIT: usize = 512;

impl Link {
    pub fn new(websocket: bool) -> Self {
        Self { websocket, ..Self::default() }
    }

    /// Queues a reply or report. False if too many wait already: the peer reads none.
    #[must_use]
    pub fn push_control(&mut self, message: Bytes) -> bool {
        self.push_raw(if self.websocket { websocket_message(&message) } else { message })
    }

    /// As [`Link::push_control`], for what is framed already.
    #[must_use]
    pub fn push_raw(&mut self, bytes: Bytes) -> bool {
        self.control.push_back(bytes);
        self.control.len() <= CONTROL_LIMIT
    }

    /// Begins a batch; the one before must be out.
    pub fn begin(&mut self, batch: Arc<PacketBatch>, channel: u8) {
        debug_assert!(self.media.is_none());
        let framing = Framing { channel, websocket: self.websocket };
        let end = batch.framed(framing).bytes().len();
        self.media = Some(UnderWay { batch, framing, sent: 0, end });
    }

    /// Ends what is under way on `channel` with the packet that it is in.
    pub fn cut(&mut self, channel: u8) {
        if let Some(media) = self.media.as_mut().filter(|media| media.framing.channel == channel) {
            media.end = media.boundary();
            if media.sent == media.end {
                self.media = None;
            }
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.control.is_empty() && self.media.is_none()
    }

    /// Writes as much as the pipe takes, and what waits inside it. How many bytes; `WouldBlock` is told by
    /// [`Link::is_empty`] being false.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn write(&mut self, pipe: &mut Pipe) -> io::Result<usize> {
        let mut written = pipe.flush()?;
        loop {
            let piece = match &self.media {
                // In the midst of a packet: to its end first, or on through the batch if nobody waits.
                Some(media) if media.is_inside_packet() || self.control.is_empty() => {
                    media.piece(self.control.is_empty())
                }
                _ => match self.control.front() {
                    Some(message) => &message[self.control_sent..],
                    None => return Ok(written),
                },
            };
            let length = piece.len();
            match pipe.try_write(piece) {
                Ok(count) => {
                    written += count;
                    self.written(count);
                    if count < length {
                        return Ok(written);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(written),
                Err(error) => return Err(error),
            }
        }
    }

    /// Accounts for `count` bytes of what [`Link::write`] chose.
    fn written(&mut self, count: usize) {
        let on_media = self.media.as_ref().is_some_and(|media| media.is_inside_packet() || self.control.is_empty());
        if on_media {
            let media = self.media.as_mut().expect("just seen");
            media.sent += count;
            if media.sent >= media.end {
                self.media = None;
            }
        } else if let Some(message) = self.control.front() {
            self.control_sent += count;
            if self.control_sent >= message.len() {
                self.control_sent = 0;
                self.control.pop_front();
            }
        }
    }
}

impl UnderWay {
    fn framed(&self) -> &Framed {
        self.batch.framed(self.framing)
    }

    /// The end of the packet that byte `sent` is in, or `sent` itself at a boundary.
    fn boundary(&self) -> usize {
        self.framed().boundary(self.sent)
    }

    fn is_inside_packet(&self) -> bool {
        self.boundary() != self.sent
    }

    fn piece(&self, to_the_end: bool) -> &[u8] {
        let end = if to_the_end { self.end } else { self.boundary() };
        &self.framed().bytes()[self.sent..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        media::{AccessUnit, AudioCodec, AudioFormat, TrackFormat},
        rtp::Packetizer,
    };
    use tokio::{
        io::AsyncReadExt,
        net::{TcpListener, TcpStream},
    };

    fn batch(bytes: usize) -> Arc<PacketBatch> {
        let format = TrackFormat::Audio(AudioFormat { codec: AudioCodec::L16, rate: 48_000, channels: 1 });
        let mut unit = AccessUnit { samples: bytes as u32 / 2, ..AccessUnit::default() };
        unit.push_nal(&vec![7; bytes]);
        Packetizer::new(&format, 1360, 1, 0, 0).packetize(&unit)
    }

    /// Reads `$` frames until the reply; how many there were.
    async fn frames_before_reply(peer: &mut TcpStream, reply: &[u8]) -> usize {
        for frames in 0.. {
            let mut head = [0; 4];
            peer.read_exact(&mut head).await.unwrap();
            if head[0] != b'$' {
                assert_eq!(head, reply[..4], "neither a frame nor the reply after {frames} frames");
                return frames;
            }
            let mut packet = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
            peer.read_exact(&mut packet).await.unwrap();
        }
        unreachable!()
    }

    #[test]
    fn what_is_cut_off_ends_with_its_packet_and_the_reply_follows() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let mut pipe = Pipe::open(listener.accept().await.unwrap().0, None).await.unwrap();
            let socket = pipe.socket().clone();
            let (mut link, batch) = (Link::default(), batch(16_000_000));
            link.begin(batch.clone(), 0);
            // The peer reads nothing, so the kernel takes a part.
            while link.write(&mut pipe).unwrap() > 0 {}
            assert!(!link.is_empty());
            link.cut(2);
            assert!(link.media.as_ref().is_some_and(|media| media.end > media.sent + 2000), "another channel's");
            link.cut(0);
            assert!(link.push_control(Bytes::from_static(b"RTSP")));
            let (frames, ()) = tokio::join!(frames_before_reply(&mut peer, b"RTSP"), async {
                while !link.is_empty() {
                    socket.writable().await.unwrap();
                    link.write(&mut pipe).unwrap();
                }
            });
            assert!(frames > 0 && frames < batch.len(), "{frames} of {}", batch.len());
        });
    }
}
