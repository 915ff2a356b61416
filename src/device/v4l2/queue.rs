//! The buffers of a streaming camera: taken from the driver, handed out as frames, and given back when these are
//! dropped, on whatever thread and however late.

use crate::{
    media::{FrameBuffer, Lease, Lendable},
    v4l2::{BufferType, Dequeued, Descriptor, Filled, MOST_PLANES, Mapping, Memory, MemoryPlane, Ready, Used},
};
use nix::{errno::Errno, poll::PollFlags};
use std::{
    iter::repeat,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Two encoders may hold one each while another waits for either; the driver needs two to go on filling.
const BUFFERS: u32 = 6;

/// A started stream of buffers. Dropping it stops the camera; frames still held stay readable.
pub struct Queue {
    buffers: Vec<Arc<Lendable<Buffer>>>,
    stream: Arc<Stream>,
}

/// What all its buffers need to go back to the driver.
struct Stream {
    of: BufferType,
    device: Descriptor,
    stopped: AtomicBool,
}

/// One buffer: the driver's while it is not lent. Its memory goes before the descriptor, whose close is to be the last use of
/// the device.
struct Buffer {
    pieces: Vec<Piece>,
    index: u32,
    stream: Arc<Stream>,
    /// What of its memory is a coded picture, and all there is to see of it. None of raw ones: their planes tell where they
    /// are.
    coded: Option<Mutex<Used>>,
}

/// One piece of memory of a buffer.
struct Piece {
    mapping: Mapping,
    /// The same as a DMA-BUF, made when first asked for; None where the driver makes none.
    exported: OnceLock<Option<OwnedFd>>,
}

impl Queue {
    /// Asks for buffers, maps and queues them, and starts the camera. Of `coded` pictures a buffer's memory holds the bytes
    /// and no others.
    pub fn start(device: Descriptor, of: BufferType, coded: bool) -> Result<Self, Errno> {
        let count = device.request_buffers(of, Memory::Mapped, BUFFERS)?;
        let mapped = (0..count).map(|index| device.map(of, index, false)).collect::<Result<Vec<_>, _>>()?;
        if mapped.len() < 2 {
            return Err(Errno::ENOMEM);
        }
        let stream = Arc::new(Stream { of, device, stopped: AtomicBool::new(false) });
        let buffer = |(index, mappings)| Lendable::new(Buffer::new(index, mappings, &stream, coded));
        let queue = Self { buffers: (0..).zip(mapped).map(buffer).collect(), stream };
        queue.buffers.iter().try_for_each(|buffer| buffer.queue())?;
        queue.device().stream(of, true)?;
        Ok(queue)
    }

    pub fn device(&self) -> &Descriptor {
        &self.stream.device
    }

    /// Waits for a filled buffer or an event.
    pub fn wait(&self, timeout: Duration) -> Result<Ready, Errno> {
        self.device().wait_for(PollFlags::POLLIN | PollFlags::POLLPRI, timeout)
    }

    /// The oldest filled buffer, None while there is none. What the driver says of it lies within its memory.
    pub fn dequeue(&self) -> Result<Option<(Dequeued, Lease)>, Errno> {
        let Some(mut done) = self.device().dequeue(self.stream.of, Memory::Mapped)? else { return Ok(None) };
        let buffer = self.buffers.get(done.index as usize).ok_or(Errno::EPROTO)?;
        let lease = buffer.lend().ok_or(Errno::EPROTO)?;
        buffer.filled(&mut done.planes);
        Ok(Some((done, lease)))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.stream.stopped.store(true, Ordering::Release);
        // Held frames keep their mappings, and these the open file. Giving the buffers back lets the camera be opened
        // again before the last frame is dropped. A device that went away answers both with an error.
        let _ = self.device().stream(self.stream.of, false);
        let _ = self.device().request_buffers(self.stream.of, Memory::Mapped, 0);
    }
}

impl Buffer {
    fn new(index: u32, mappings: Vec<Mapping>, stream: &Arc<Stream>, coded: bool) -> Self {
        let pieces = mappings.into_iter().map(|mapping| Piece { mapping, exported: OnceLock::new() }).collect();
        Self { pieces, index, stream: stream.clone(), coded: coded.then(Mutex::default) }
    }

    /// Gives it to the driver, to be filled.
    fn queue(&self) -> Result<(), Errno> {
        const EMPTY: MemoryPlane = MemoryPlane { used: 0, length: 0, offset: 0, fd: -1 };
        let planes = &[EMPTY; MOST_PLANES][..self.pieces.len().min(MOST_PLANES)];
        let Stream { of, device, .. } = &*self.stream;
        device.queue(*of, &Filled { index: self.index, memory: Memory::Mapped, planes, stamp: (0, 0) })
    }

    /// Takes note of what a driver used of it, as far as there is so much.
    fn filled(&self, used: &mut [Used; MOST_PLANES]) {
        keep_within(used, self.pieces.iter().map(|piece| piece.mapping.len()));
        if let Some(coded) = &self.coded {
            *coded.lock().unwrap_or_else(PoisonError::into_inner) = used[0];
        }
    }
}

/// Of what a driver says that it used, what can be: its pieces of memory are so long, and there are no others.
fn keep_within(used: &mut [Used], lengths: impl Iterator<Item = usize>) {
    for (used, length) in used.iter_mut().zip(lengths.chain(repeat(0))) {
        used.end = used.end.min(length);
        used.offset = used.offset.min(used.end);
    }
}

impl FrameBuffer for Buffer {
    fn memory(&self, number: usize) -> &[u8] {
        let Some(piece) = self.pieces.get(number) else { return &[] };
        match &self.coded {
            None => piece.mapping.bytes(),
            Some(coded) => {
                let Used { offset, end } = *coded.lock().unwrap_or_else(PoisonError::into_inner);
                piece.mapping.bytes().get(offset..end).unwrap_or_default()
            }
        }
    }

    fn dma(&self, number: usize) -> Option<BorrowedFd<'_>> {
        let Stream { of, device, stopped } = &*self.stream;
        if self.coded.is_some() || stopped.load(Ordering::Acquire) {
            return None;
        }
        let exported = self.pieces.get(number)?.exported.get_or_init(|| {
            let made = device.export(*of, self.index, number as u32);
            made.inspect_err(|error| tracing::debug!("its buffers are not shared with other drivers: {error}")).ok()
        });
        exported.as_ref().map(AsFd::as_fd)
    }

    fn give_back(&self) {
        // A driver that refuses a buffer once takes it the second time; one that refuses it then as well has failed,
        // which the next dequeue tells.
        if !self.stream.stopped.load(Ordering::Acquire) && self.queue().is_err() && self.queue().is_err() {
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
    fn a_driver_that_says_more_than_there_is_is_not_believed() {
        let mut used = [(10, 200), (150, 200), (0, 50)].map(|(offset, end)| Used { offset, end });
        keep_within(&mut used, [100, 100].into_iter());
        assert_eq!(used, [(10, 100), (100, 100), (0, 0)].map(|(offset, end)| Used { offset, end }));
    }

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
