use bytes::{Buf, Bytes, BytesMut};
use std::io::{self, Read, Write};
use tungstenite::{
    Error, Message,
    protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext, frame::coding::CloseCode},
};

/// As much as [`super::super::Connection`] takes at once.
const MAX_MESSAGE: usize = 32 * 1024;
/// Allocated for each connection.
const READ_BUFFER: usize = 4096;

/// The server's side of a WebSocket behind its handshake: what comes from the client. What goes there is framed by
/// [`crate::rtp::websocket_message`], once for all.
pub struct WebSocket {
    context: WebSocketContext,
    wire: Wire,
    ended: bool,
}

/// What a client's frames said.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A message: RTSP or interleaved frames, cut anywhere. At most 32 kB.
    Data(Bytes),
    /// The client said goodbye, or broke the rules. Nothing follows; send the replies, then close.
    End,
}

impl Default for WebSocket {
    fn default() -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        Self { context: WebSocketContext::new(Role::Server, Some(config)), wire: Wire::default(), ended: false }
    }
}

impl WebSocket {
    /// Takes bytes that were read, cut anywhere; what they say waits in [`WebSocket::poll`].
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.ended {
            self.wire.input.extend_from_slice(bytes);
        }
    }

    /// The next event.
    pub fn poll(&mut self) -> Option<Event> {
        while !self.ended {
            match self.context.read(&mut self.wire) {
                Ok(Message::Binary(data)) => return Some(Event::Data(data)),
                Ok(Message::Text(text)) => return Some(Event::Data(text.into())),
                // Answered by the library.
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) => return Some(self.end(close_code(&error))),
            }
        }
        None
    }

    /// Pongs and the closing handshake, framed.
    pub fn take_replies(&mut self) -> Option<Bytes> {
        (!self.wire.output.is_empty()).then(|| self.wire.output.split().freeze())
    }

    /// Says goodbye first.
    pub fn close(&mut self) {
        if !self.ended {
            self.end(Some(CloseCode::Normal));
        }
    }

    fn end(&mut self, code: Option<CloseCode>) -> Event {
        self.ended = true;
        self.wire.input.clear();
        let close = code.map(|code| CloseFrame { code, reason: "".into() });
        // It fails where goodbye was said before.
        let _ = self.context.close(&mut self.wire, close);
        Event::End
    }
}

/// RFC 6455 §7.4.1.
fn close_code(error: &Error) -> Option<CloseCode> {
    match error {
        Error::Capacity(_) => Some(CloseCode::Size),
        Error::Utf8(_) => Some(CloseCode::Invalid),
        Error::Protocol(_) => Some(CloseCode::Protocol),
        _ => None,
    }
}

/// Both directions as the library wants them: it reads what is there and writes into memory.
#[derive(Default)]
struct Wire {
    input: BytesMut,
    output: BytesMut,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.input.len().min(buffer.len());
        self.input.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tungstenite::protocol::frame::{
        Frame, FrameHeader,
        coding::{Control, Data, OpCode},
    };

    /// As a client sends it.
    fn frame(opcode: OpCode, payload: &[u8], is_final: bool) -> Vec<u8> {
        let header = FrameHeader { is_final, opcode, mask: Some([1, 2, 3, 4]), ..FrameHeader::default() };
        let mut bytes = Vec::new();
        Frame::from_payload(header, payload.to_vec().into()).format(&mut bytes).unwrap();
        bytes
    }

    fn binary(payload: &[u8]) -> Vec<u8> {
        frame(OpCode::Data(Data::Binary), payload, true)
    }

    /// All events, and the replies.
    fn said(bytes: &[u8]) -> (Vec<Event>, Vec<u8>) {
        let mut socket = WebSocket::default();
        socket.push(bytes);
        let events = std::iter::from_fn(|| socket.poll()).collect();
        (events, socket.take_replies().unwrap_or_default().to_vec())
    }

    fn data(bytes: &'static [u8]) -> Event {
        Event::Data(Bytes::from_static(bytes))
    }

    #[test]
    fn pieces_of_a_message_with_a_ping_among_them() {
        let ping = frame(OpCode::Control(Control::Ping), b"?", true);
        let parts = [
            frame(OpCode::Data(Data::Binary), b"OPT", false),
            ping,
            frame(OpCode::Data(Data::Continue), b"IONS", true),
            frame(OpCode::Data(Data::Text), b"x", true),
        ];
        let (events, replies) = said(&parts.concat());
        assert_eq!(events, [data(b"OPTIONS"), data(b"x")]);
        assert_eq!(replies, [0x8a, 1, b'?'], "a pong");
    }

    #[test]
    fn goodbye_is_answered_and_what_breaks_the_rules_ends_it() {
        let goodbye = frame(OpCode::Control(Control::Close), &1000u16.to_be_bytes(), true);
        assert_eq!(
            said(&[binary(b"a"), goodbye, binary(b"b")].concat()),
            (vec![data(b"a"), Event::End], vec![0x88, 2, 3, 232])
        );
        let close = |code: u16| [vec![0x88, 2], code.to_be_bytes().to_vec()].concat();
        for (what, bytes, code) in [
            ("unmasked", vec![0x82, 1, b'a'], 1002),
            ("a reserved bit", vec![0xc2, 0x81, 0, 0, 0, 0, b'a'], 1002),
            ("4 GB", [vec![0x82, 0xff, 0, 0, 0, 1], vec![0; 8]].concat(), 1009),
            ("no UTF-8", frame(OpCode::Data(Data::Text), b"\xff", true), 1007),
        ] {
            assert_eq!(said(&bytes), (vec![Event::End], close(code)), "{what}");
        }
        let mut socket = WebSocket::default();
        socket.close();
        assert_eq!((socket.poll(), socket.take_replies().as_deref()), (None, Some(close(1000).as_slice())));
    }

    proptest! {
        #[test]
        fn messages_come_out_however_they_are_cut(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..10),
            cut in 1usize..50,
        ) {
            let bytes = messages.iter().map(|message| binary(message)).collect::<Vec<_>>().concat();
            let (mut socket, mut found) = (WebSocket::default(), Vec::new());
            for piece in bytes.chunks(cut) {
                socket.push(piece);
                while let Some(event) = socket.poll() {
                    found.push(event);
                }
            }
            let expected: Vec<_> = messages.into_iter().map(|message| Event::Data(message.into())).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
