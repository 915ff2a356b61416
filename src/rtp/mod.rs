//! RTP and RTCP as bytes (RFC 3550): packetizers, the batches they make, and control packets. No socket, no clock.

mod audio;
mod batch;
mod forms;
mod framing;
mod h264;
mod header;
mod jpeg;
pub mod mikey;
mod packetizer;
mod pool;
pub mod rtcp;
pub mod srtp;
mod timeline;

pub use batch::{MAX_RUN_BYTES, MAX_RUN_SEGMENTS, PacketBatch, Run};
pub use framing::{Framed, Framing, websocket_message};
pub use header::{Header, is_well_formed_rtp};
pub use packetizer::Packetizer;
pub use rtcp::is_rtcp;
pub use srtp::SRTP_TRAILER;
