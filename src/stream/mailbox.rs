use super::sync::lock;
use crate::time::MonoTime;
use std::{
    collections::VecDeque,
    sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How long an item may wait in a [`Mailbox::ordered`].
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// Between two threads: one slot, in which the newest item wins, or all items in their order, for a bounded time. What is
/// lost is counted.
pub struct Mailbox<T> {
    ordered: bool,
    slot: Mutex<Slot<T>>,
    changed: Condvar,
    lost: AtomicU64,
}

struct Slot<T> {
    /// Each with the time at which it came.
    items: VecDeque<(T, MonoTime)>,
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
    /// For items of which the newest makes the others needless.
    pub fn new() -> Self {
        Self {
            ordered: false,
            slot: Mutex::new(Slot { items: VecDeque::new(), poked: false, closed: false }),
            changed: Condvar::new(),
            lost: AtomicU64::new(0),
        }
    }

    /// For items that build on each other: none overtakes another. If the taker falls behind by more than half a second,
    /// all that wait are lost at once, for what came after one of them is of no use without it.
    pub fn ordered() -> Self {
        Self { ordered: true, ..Self::new() }
    }

    pub fn put(&self, item: T) {
        let now = MonoTime::now();
        let mut slot = self.lock();
        let late = |(_, came): &(T, MonoTime)| !self.ordered || now.since(*came) > LONGEST_WAIT;
        let lost = if slot.items.front().is_some_and(late) { std::mem::take(&mut slot.items) } else { VecDeque::new() };
        slot.items.push_back((item, now));
        drop(slot);
        self.changed.notify_one();
        self.lost.fetch_add(lost.len() as u64, Ordering::Relaxed);
    }

    /// Waits for an item until `deadline`, or without end.
    pub fn take(&self, deadline: Option<MonoTime>) -> Taken<T> {
        let mut slot = self.lock();
        loop {
            if slot.closed {
                return Taken::Closed;
            }
            if let Some((item, _)) = slot.items.pop_front() {
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
        slot.items.clear();
        self.changed.notify_one();
    }

    /// Items that nobody took.
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
    fn what_builds_on_each_other_is_taken_in_order_or_lost_together() {
        let mailbox = Mailbox::ordered();
        (1..=3).for_each(|item| mailbox.put(item));
        assert_eq!(mailbox.take(None), Taken::Item(1));
        assert_eq!(mailbox.lost(), 0);
        // The taker falls behind.
        mailbox.lock().items.iter_mut().for_each(|(_, came)| *came = came.saturating_sub(LONGEST_WAIT * 2));
        mailbox.put(4);
        mailbox.put(5);
        assert_eq!(mailbox.lost(), 2);
        assert_eq!([mailbox.take(None), mailbox.take(None)], [Taken::Item(4), Taken::Item(5)]);
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
                !slot.items.is_empty() || slot.poked
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
