//! The buffers of a streaming camera: taken from the driver, handed out as frames, and given back when these are
//! dropped, on whatever thread and however late.

use crate::{
    media::FrameBuffer,
    v4l2::{BufferType, Dequeued, Descriptor, Filled, MOST_PLANES, Mapping, Memory, MemoryPlane, Ready, Used},
};
use nix::{errno::Errno, poll::PollFlags};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Two encoders may hold one each while another waits for either; the driver needs two to go on filling.
const BUFFERS: u32 = 6;

/// A started stream of buffers. Dropping it stops the camera; frames still held stay readable.
pub struct Queue {
    shared: Arc<Shared>,
}

/// The buffers go before the descriptor, whose close is to be the last use of the device.
struct Shared {
    buffers: Vec<Vec<Piece>>,
    of: BufferType,
    device: Descriptor,
    stopped: AtomicBool,
}

/// One piece of memory of a buffer.
struct Piece {
    mapping: Mapping,
    /// The same as a DMA-BUF, made when first asked for; None where the driver makes none.
    exported: OnceLock<Option<OwnedFd>>,
}

/// A filled buffer that is out of the driver's hands; back in them when dropped.
pub struct Held {
    shared: Arc<Shared>,
    index: u32,
    used: [Used; MOST_PLANES],
    /// Its memory begins where the picture does, else where the buffer does.
    exact: bool,
}

impl Shared {
    /// Gives a buffer to the driver, to be filled.
    fn queue(&self, index: u32) -> Result<(), Errno> {
        const EMPTY: MemoryPlane = MemoryPlane { used: 0, length: 0, offset: 0, fd: -1 };
        let planes = &[EMPTY; MOST_PLANES][..self.buffers[index as usize].len().min(MOST_PLANES)];
        self.device.queue(self.of, &Filled { index, memory: Memory::Mapped, planes, stamp: (0, 0) })
    }
}

impl Queue {
    /// Asks for buffers, maps and queues them, and starts the camera.
    pub fn start(device: Descriptor, of: BufferType) -> Result<Self, Errno> {
        let count = device.request_buffers(of, Memory::Mapped, BUFFERS)?;
        let pieces = |mappings: Vec<Mapping>| {
            mappings.into_iter().map(|mapping| Piece { mapping, exported: OnceLock::new() }).collect()
        };
        let buffers =
            (0..count).map(|index| device.map(of, index, false).map(pieces)).collect::<Result<Vec<_>, _>>()?;
        if buffers.len() < 2 {
            return Err(Errno::ENOMEM);
        }
        let queue = Self { shared: Arc::new(Shared { buffers, of, device, stopped: AtomicBool::new(false) }) };
        for index in 0..count {
            queue.shared.queue(index)?;
        }
        queue.shared.device.stream(of, true)?;
        Ok(queue)
    }

    pub fn device(&self) -> &Descriptor {
        &self.shared.device
    }

    /// Waits for a filled buffer or an event.
    pub fn wait(&self, timeout: Duration) -> Result<Ready, Errno> {
        self.shared.device.wait_for(PollFlags::POLLIN | PollFlags::POLLPRI, timeout)
    }

    /// The oldest filled buffer, None while there is none. Where it is `exact`, its memory holds the picture's bytes and
    /// no others.
    pub fn dequeue(&self, exact: bool) -> Result<Option<(Dequeued, Held)>, Errno> {
        let Some(done) = self.shared.device.dequeue(self.shared.of, Memory::Mapped)? else { return Ok(None) };
        if done.index as usize >= self.shared.buffers.len() {
            return Err(Errno::EPROTO);
        }
        let held = Held { shared: self.shared.clone(), index: done.index, used: done.planes, exact };
        Ok(Some((done, held)))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        // Held frames keep their mappings, and these the open file. Giving the buffers back lets the camera be opened
        // again before the last frame is dropped. A device that went away answers both with an error.
        let _ = self.shared.device.stream(self.shared.of, false);
        let _ = self.shared.device.request_buffers(self.shared.of, Memory::Mapped, 0);
    }
}

impl Held {
    /// How long each piece of its memory is.
    pub fn lengths(&self) -> impl Iterator<Item = usize> {
        self.pieces().iter().map(|piece| piece.mapping.len())
    }

    fn pieces(&self) -> &[Piece] {
        &self.shared.buffers[self.index as usize]
    }
}

impl FrameBuffer for Held {
    fn memory(&self, number: usize) -> &[u8] {
        let (Some(piece), Some(used)) = (self.pieces().get(number), self.used.get(number)) else { return &[] };
        let bytes = piece.mapping.bytes();
        let start = if self.exact { used.offset } else { 0 };
        bytes.get(start..used.end.min(bytes.len())).unwrap_or_default()
    }

    fn dma(&self, number: usize) -> Option<BorrowedFd<'_>> {
        if self.exact || self.shared.stopped.load(Ordering::Acquire) {
            return None;
        }
        let exported = self.pieces().get(number)?.exported.get_or_init(|| {
            let made = self.shared.device.export(self.shared.of, self.index, number as u32);
            made.inspect_err(|error| tracing::debug!("its buffers are not shared with other drivers: {error}")).ok()
        });
        exported.as_ref().map(AsFd::as_fd)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.shared.stopped.load(Ordering::Acquire) {
            return;
        }
        // A driver that refuses a buffer once takes it the second time; one that refuses it then as well has failed,
        // which the next dequeue tells.
        if self.shared.queue(self.index).is_err() && self.shared.queue(self.index).is_err() {
            tracing::debug!("buffer {} was not taken back", self.index);
        }
    }
}

/// Counts the pictures that a driver numbered and this side never saw. Its numbers have 32 bits and wrap.
#[derive(Debug, Default)]
pub struct Sequence {
    last: Option<u32>,
    extended: u64,
}

impl Sequence {
    /// Takes the number of the next picture; its number counted from the start, and how many are missing before it.
    pub fn advance(&mut self, number: u32) -> (u64, u64) {
        let missing = match self.last.replace(number) {
            None => return (0, 0),
            // The same again: a driver that does not count. Backwards: one that began anew.
            Some(last) => match number.wrapping_sub(last) {
                0 | 0x8000_0000.. => 0,
                step => u64::from(step - 1),
            },
        };
        self.extended += 1 + missing;
        (self.extended, missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_counted_across_the_wrap() {
        let mut sequence = Sequence::default();
        assert_eq!(sequence.advance(u32::MAX - 2), (0, 0));
        assert_eq!(sequence.advance(u32::MAX - 1), (1, 0));
        assert_eq!(sequence.advance(1), (4, 2));
        assert_eq!(sequence.advance(2), (5, 0));
    }

    #[test]
    fn a_driver_that_does_not_count_or_begins_anew_lost_nothing() {
        let mut sequence = Sequence::default();
        assert_eq!([0, 0, 0].map(|n| sequence.advance(n)), [(0, 0), (1, 0), (2, 0)]);
        sequence.advance(1000);
        let (before, _) = sequence.advance(1001);
        assert_eq!(sequence.advance(0), (before + 1, 0));
    }
}
