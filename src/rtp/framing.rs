//! Packets that travel inside an RTSP connection, alone or in a WebSocket.

use super::{PacketBatch, pool::wastes};
use bytes::{BufMut, Bytes};
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Data, OpCode},
};

/// How packets are told apart on a connection: `$`, channel and length before each (RFC 2326 §10.12), and with that, in a
/// WebSocket, a message of its own (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    pub channel: u8,
    pub websocket: bool,
}

/// All packets of a batch, framed.
#[derive(Debug, Default)]
pub struct Framed {
    bytes: Vec<u8>,
    /// Where each packet ends.
    ends: Vec<u32>,
}

impl Framed {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The end of the packet that byte `at` is in, or `at` itself between two.
    pub fn boundary(&self, at: usize) -> usize {
        match self.ends.partition_point(|end| (*end as usize) < at) {
            _ if at == 0 => 0,
            packet => self.ends.get(packet).map_or(self.bytes.len(), |end| *end as usize),
        }
    }

    /// Makes it anew, in the memory that it has.
    pub(super) fn refill(&mut self, framing: Framing, batch: &PacketBatch) {
        let most =
            if framing.websocket { INTERLEAVED + FrameHeader::default().len(u64::from(u16::MAX)) } else { INTERLEAVED };
        let Self { bytes, ends } = self;
        let needed = batch.bytes().len() + most * batch.len();
        bytes.clear();
        ends.clear();
        if wastes(bytes.capacity(), needed) {
            *bytes = Vec::new();
        }
        bytes.reserve_exact(needed);
        for packet in batch.packets() {
            if framing.websocket {
                put_websocket_header(INTERLEAVED + packet.len(), bytes);
            }
            bytes.put_slice(&[b'$', framing.channel]);
            bytes.put_u16(packet.len() as u16);
            bytes.put_slice(packet);
            ends.push(bytes.len() as u32);
        }
    }
}

/// Octets of `$`, channel and length.
const INTERLEAVED: usize = 4;

/// A whole binary message from a server, which masks nothing.
pub fn websocket_message(message: &[u8]) -> Bytes {
    let mut framed = Vec::with_capacity(message.len() + 10);
    put_websocket_header(message.len(), &mut framed);
    framed.put_slice(message);
    framed.into()
}

fn put_websocket_header(length: usize, bytes: &mut Vec<u8>) {
    let header = FrameHeader { opcode: OpCode::Data(Data::Binary), ..FrameHeader::default() };
    header.format(length as u64, bytes).expect("memory takes everything");
}
