//! The buffers of a streaming camera: taken from the driver, handed out as frames, and given back when these are
//! dropped, on whatever thread and however late.

use crate::{
    media::FrameBuffer,
    v4l2::{BufferType, Dequeued, Descriptor, Filled, Mapping, Memory, MemoryPlane, Ready},
};
use nix::errno::Errno;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Two encoders may hold one each while another waits for either; the driver needs two to go on filling.
const BUFFERS: u32 = 6;
const CAPTURE: BufferType = BufferType::Capture;

/// A buffer to be filled.
fn empty(index: u32) -> Filled<'static> {
    const ONE: &[MemoryPlane] = &[MemoryPlane { used: 0, length: 0, offset: 0, fd: -1 }];
    Filled { index, memory: Memory::Mapped, planes: ONE, stamp: (0, 0) }
}

/// A started stream of buffers. Dropping it stops the camera; frames still held stay readable.
pub struct Queue {
    shared: Arc<Shared>,
}

/// The mappings go before the descriptor, whose close is to be the last use of the device.
struct Shared {
    mappings: Vec<Mapping>,
    device: Descriptor,
    stopped: AtomicBool,
}

/// A filled buffer that is out of the driver's hands; back in them when dropped.
pub struct Held {
    shared: Arc<Shared>,
    index: u32,
    /// How many bytes of it are the picture.
    length: usize,
}

impl Queue {
    /// Asks for buffers, maps and queues them, and starts the camera.
    pub fn start(device: Descriptor) -> Result<Self, Errno> {
        let count = device.request_buffers(CAPTURE, Memory::Mapped, BUFFERS)?;
        let mappings = (0..count)
            .map(|index| device.map(CAPTURE, index, false))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .collect::<Vec<_>>();
        if mappings.len() < 2 {
            return Err(Errno::ENOMEM);
        }
        let queue = Self { shared: Arc::new(Shared { mappings, device, stopped: AtomicBool::new(false) }) };
        for index in 0..count {
            queue.shared.device.queue(CAPTURE, &empty(index))?;
        }
        queue.shared.device.stream(CAPTURE, true)?;
        Ok(queue)
    }

    pub fn wait(&self, timeout: Duration) -> Result<Ready, Errno> {
        self.shared.device.wait(timeout)
    }

    /// The oldest filled buffer, None while there is none.
    pub fn dequeue(&self) -> Result<Option<(Dequeued, Held)>, Errno> {
        let Some(done) = self.shared.device.dequeue(CAPTURE, Memory::Mapped)? else { return Ok(None) };
        let mapping = self.shared.mappings.get(done.index as usize).ok_or(Errno::EPROTO)?;
        let held = Held { shared: self.shared.clone(), index: done.index, length: done.used().min(mapping.len()) };
        Ok(Some((done, held)))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        // Held frames keep their mappings, and these the open file. Giving the buffers back lets the camera be opened
        // again before the last frame is dropped. A device that went away answers both with an error.
        let _ = self.shared.device.stream(CAPTURE, false);
        let _ = self.shared.device.request_buffers(CAPTURE, Memory::Mapped, 0);
    }
}

impl Held {
    pub fn len(&self) -> usize {
        self.length
    }
}

impl FrameBuffer for Held {
    fn memory(&self, number: usize) -> &[u8] {
        if number > 0 {
            return &[];
        }
        &self.shared.mappings[self.index as usize].bytes()[..self.length]
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Shared { device, stopped, .. } = &*self.shared;
        if stopped.load(Ordering::Acquire) {
            return;
        }
        // A driver that refuses a buffer once takes it the second time; one that refuses it then as well has failed,
        // which the next dequeue tells.
        if device.queue(CAPTURE, &empty(self.index)).is_err() && device.queue(CAPTURE, &empty(self.index)).is_err() {
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
