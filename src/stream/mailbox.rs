use super::sync::lock;
use crate::time::MonoTime;
use std::{
    sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// One slot between two threads: the newest item wins, and what it replaced is counted as lost.
pub struct Mailbox<T> {
    slot: Mutex<Slot<T>>,
    changed: Condvar,
    lost: AtomicU64,
}

struct Slot<T> {
    item: Option<T>,
    poked: bool,
    closed: bool,
}

/// What [`Mailbox::take`] came back with.
#[derive(Debug, PartialEq)]
pub enum Taken<T> {
    Item(T),
    /// The time is up, or somebody wants the taker to look around.
    Nothing,
    /// Nothing will come any more.
    Closed,
}

impl<T> Mailbox<T> {
    pub fn new() -> Self {
        Self {
            slot: Mutex::new(Slot { item: None, poked: false, closed: false }),
            changed: Condvar::new(),
            lost: AtomicU64::new(0),
        }
    }

    pub fn put(&self, item: T) {
        let replaced = self.lock().item.replace(item);
        self.changed.notify_one();
        if replaced.is_some() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits for an item until `deadline`, or without end.
    pub fn take(&self, deadline: Option<MonoTime>) -> Taken<T> {
        let mut slot = self.lock();
        loop {
            if slot.closed {
                return Taken::Closed;
            }
            if let Some(item) = slot.item.take() {
                return Taken::Item(item);
            }
            if std::mem::take(&mut slot.poked) {
                return Taken::Nothing;
            }
            slot = match deadline.map(|at| at.since(MonoTime::now())) {
                None => self.changed.wait(slot).unwrap_or_else(|poisoned| poisoned.into_inner()),
                Some(Duration::ZERO) => return Taken::Nothing,
                Some(left) => self.changed.wait_timeout(slot, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0,
            };
        }
    }

    /// Makes the taker look around: its `take` returns [`Taken::Nothing`].
    pub fn poke(&self) {
        self.lock().poked = true;
        self.changed.notify_one();
    }

    pub fn close(&self) {
        let mut slot = self.lock();
        slot.closed = true;
        slot.item = None;
        self.changed.notify_one();
    }

    /// Items that were replaced before anybody took them.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Slot<T>> {
        lock(&self.slot)
    }
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_newest_wins_and_losses_are_counted() {
        let mailbox = Mailbox::new();
        mailbox.put(1);
        mailbox.put(2);
        assert_eq!(mailbox.take(None), Taken::Item(2));
        assert_eq!(mailbox.lost(), 1);
        assert_eq!(mailbox.take(Some(MonoTime::now())), Taken::Nothing);
    }

    #[test]
    fn a_waiting_taker_is_woken_by_items_pokes_and_the_end() {
        let mailbox = Arc::new(Mailbox::new());
        let taker = std::thread::spawn({
            let mailbox = mailbox.clone();
            move || [mailbox.take(None), mailbox.take(None), mailbox.take(None)]
        });
        let step = |act: &dyn Fn()| {
            act();
            let waits = || {
                let slot = mailbox.lock();
                slot.item.is_some() || slot.poked
            };
            while waits() {
                std::thread::yield_now();
            }
        };
        step(&|| mailbox.put(7));
        step(&|| mailbox.poke());
        mailbox.close();
        assert_eq!(taker.join().unwrap(), [Taken::Item(7), Taken::Nothing, Taken::Closed]);
    }
}
