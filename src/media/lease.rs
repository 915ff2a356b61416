//! Memory for pictures, lent to one after the other: lending takes nothing of the heap.

use std::{
    ops::{Deref, DerefMut},
    os::fd::BorrowedFd,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Of the buffers of a [`Pool`], those beyond this many are freed when they come back: enough for every encoder's mailbox
/// and the picture it works on.
const KEPT: usize = 8;

/// The memory behind a picture: a buffer of a V4L2 queue, one of a pool, or some bytes.
pub trait FrameBuffer: Send + Sync {
    /// One piece of it; empty where there is none of that number.
    fn memory(&self, number: usize) -> &[u8];

    /// The same piece as a DMA-BUF for another driver, where the owner can give one. The picture lies in it as it does
    /// in [`FrameBuffer::memory`], and only as long as the buffer is lent.
    fn dma(&self, number: usize) -> Option<BorrowedFd<'_>> {
        let _ = number;
        None
    }

    /// Nobody reads its picture any more: the owner may have the next one put there. Called on any thread.
    fn give_back(&self) {}
}

impl FrameBuffer for Vec<u8> {
    fn memory(&self, number: usize) -> &[u8] {
        if number == 0 { self } else { &[] }
    }
}

/// A buffer that its owner keeps, and that is lent to one picture at a time.
pub struct Lendable<B: ?Sized> {
    /// How many leases there are of it.
    leases: AtomicUsize,
    buffer: B,
}

impl<B: FrameBuffer + 'static> Lendable<B> {
    pub fn new(buffer: B) -> Arc<Self> {
        Arc::new(Self { leases: AtomicUsize::new(0), buffer })
    }

    /// The first lease of it; None while there is one.
    pub fn lend(self: &Arc<Self>) -> Option<Lease> {
        let free = self.leases.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok();
        free.then(|| Lease(self.clone()))
    }
}

impl<B> Deref for Lendable<B> {
    type Target = B;
    fn deref(&self) -> &B {
        &self.buffer
    }
}

/// A picture's hold on its memory. Each clone holds it as well; with the last one the buffer goes back to its owner.
pub struct Lease(Arc<Lendable<dyn FrameBuffer>>);

impl Lease {
    /// Of a buffer that has no owner and is freed afterwards.
    pub fn new(buffer: impl FrameBuffer + 'static) -> Self {
        Self(Arc::new(Lendable { leases: AtomicUsize::new(1), buffer }))
    }
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        self.0.leases.fetch_add(1, Ordering::Relaxed);
        Self(self.0.clone())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // What others read is read before the owner writes.
        if self.0.leases.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.buffer.give_back();
        }
    }
}

impl Deref for Lease {
    type Target = dyn FrameBuffer;
    fn deref(&self) -> &Self::Target {
        &self.0.buffer
    }
}

/// Buffers in which pictures are made, with what was in them before: only what changes has to be written again.
pub struct Pool<B> {
    buffers: Vec<Arc<Lendable<B>>>,
}

impl<B> Default for Pool<B> {
    fn default() -> Self {
        Self { buffers: Vec::new() }
    }
}

impl<B: FrameBuffer + 'static> Pool<B> {
    /// A buffer that came back, or a new one while all are out.
    pub fn take(&mut self, make: impl FnOnce() -> B) -> Unlent<'_, B> {
        // Another thread's last lease may have ended and still be about to let go: then this one is not free yet.
        let free = self.buffers.iter_mut().position(|buffer| Arc::get_mut(buffer).is_some());
        let number = free.unwrap_or_else(|| {
            self.buffers.truncate(KEPT - 1);
            self.buffers.push(Lendable::new(make()));
            self.buffers.len() - 1
        });
        Unlent(&mut self.buffers[number])
    }
}

/// A buffer of a pool, to be written to.
pub struct Unlent<'a, B>(&'a mut Arc<Lendable<B>>);

impl<B: FrameBuffer + 'static> Unlent<'_, B> {
    pub fn lend(self) -> Lease {
        self.0.lend().expect("a pool gives what is not lent")
    }
}

impl<B> Deref for Unlent<'_, B> {
    type Target = B;
    fn deref(&self) -> &B {
        self.0
    }
}

impl<B> DerefMut for Unlent<'_, B> {
    fn deref_mut(&mut self) -> &mut B {
        &mut Arc::get_mut(self.0).expect("a pool gives what is not lent").buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(lease: &Lease) -> usize {
        lease.memory(0).as_ptr() as usize
    }

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl FrameBuffer for Counted {
        fn memory(&self, _: usize) -> &[u8] {
            &[]
        }

        fn give_back(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_buffer_goes_back_with_its_last_lease_and_can_be_lent_again() {
        let buffer = Lendable::new(Counted::default());
        let returned = || buffer.0.load(Ordering::Relaxed);
        for times in 0..3 {
            let lease = buffer.lend().unwrap();
            let others = [lease.clone(), lease.clone()];
            assert!(buffer.lend().is_none(), "one picture at a time");
            drop(lease);
            assert!(buffer.lend().is_none() && returned() == times);
            drop(others);
            assert_eq!(returned(), times + 1);
        }
    }

    #[test]
    fn of_many_readers_that_end_together_one_gives_it_back() {
        let buffer = Lendable::new(Counted::default());
        for times in 1..=200 {
            let lease = buffer.lend().unwrap();
            std::thread::scope(|scope| {
                (0..4).map(|_| lease.clone()).for_each(|lease| drop(scope.spawn(|| drop(lease))))
            });
            drop(lease);
            assert_eq!(buffer.0.load(Ordering::Relaxed), times);
        }
    }

    #[test]
    fn a_pools_buffer_returns_from_another_thread_and_is_used_again() {
        let mut pool = Pool::default();
        let mut lend = |byte| {
            let mut bytes = pool.take(|| vec![0; 16]);
            bytes.fill(byte);
            bytes.lend()
        };
        let (held, other) = (lend(1), lend(2));
        let place = address(&other);
        std::thread::spawn(move || drop(other)).join().unwrap();
        assert_eq!(address(&lend(3)), place);
        drop(pool);
        assert_eq!(held.memory(0), [1; 16], "leases outlive their pool");
    }

    #[test]
    fn a_pool_keeps_few() {
        let mut pool = Pool::default();
        let mut made = 0;
        for _ in 0..3 {
            let mut make = || {
                made += 1;
                vec![0; 16]
            };
            let leases: Vec<_> = (0..20).map(|_| pool.take(&mut make).lend()).collect();
            drop(leases);
            assert_eq!(pool.buffers.len(), KEPT);
        }
        assert_eq!(made, 20 + 12 + 12);
    }
}
