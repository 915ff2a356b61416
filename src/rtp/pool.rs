use super::PacketBatch;
use std::{collections::VecDeque, sync::Arc};

/// Memory of so many times what an access unit needs, and that much more, is let go of: one large picture is no reason to
/// hold it for good.
const WASTE: usize = 2;
const SMALL: usize = 32 * 1024;
/// So many may be free for the next; further ones are let go of, one at a time.
const SPARE: usize = 8;

/// Whether so much memory is too much for so many bytes.
pub(super) const fn wastes(capacity: usize, bytes: usize) -> bool {
    capacity > bytes * WASTE + SMALL
}

/// The batches of one track, made in the same memory again and again: as many as are in use at one time, so that in the
/// steady state none is allocated. Those of key frames are apart, being many times as large.
#[derive(Debug, Default)]
pub(super) struct Pool {
    made: [VecDeque<Arc<PacketBatch>>; 2],
}

impl Pool {
    /// One that nobody uses, with room for `bytes`; made full by `fill`.
    pub fn make(&mut self, key: bool, bytes: usize, fill: impl FnOnce(&mut PacketBatch)) -> Arc<PacketBatch> {
        let made = &mut self.made[usize::from(key)];
        let mut batch = made.pop_front().unwrap_or_default();
        match Arc::get_mut(&mut batch) {
            Some(free) if !wastes(free.room(), bytes) => {}
            Some(_) => batch = Arc::default(),
            // Somebody still needs it: the next time another one is looked at.
            None => {
                made.push_back(batch);
                batch = Arc::default();
            }
        }
        // They become free in their order, the oldest first.
        if made.get(SPARE).is_some_and(|batch| Arc::strong_count(batch) == 1) {
            made.pop_front();
        }
        fill(Arc::get_mut(&mut batch).expect("nobody else has it"));
        made.push_back(batch.clone());
        batch
    }

    /// Lets go of all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(pool: &mut Pool, bytes: usize) -> Arc<PacketBatch> {
        pool.make(false, bytes, |batch| {
            batch.refill(|to, _| {
                to.reserve_exact(bytes);
                Default::default()
            });
        })
    }

    #[test]
    fn what_somebody_holds_is_left_alone_and_what_is_free_serves_again() {
        let mut pool = Pool::default();
        let held = make(&mut pool, 1000);
        let first = Arc::as_ptr(&make(&mut pool, 1000));
        // The one that is held comes up first, the free one after it.
        let others: Vec<_> = (0..3).map(|_| Arc::as_ptr(&make(&mut pool, 1000))).collect();
        assert!(others.contains(&first) && !others.contains(&Arc::as_ptr(&held)), "{others:?}");
    }

    #[test]
    fn after_a_crowd_only_a_few_stay_and_a_large_picture_leaves_no_large_memory() {
        let mut pool = Pool::default();
        let crowd: Vec<_> = (0..200).map(|_| make(&mut pool, 1000)).collect();
        assert_eq!(pool.made[0].len(), 200);
        drop(crowd);
        (0..200).for_each(|_| drop(make(&mut pool, 1000)));
        assert!(pool.made[0].len() <= SPARE + 2, "{}", pool.made[0].len());
        (0..20).for_each(|_| drop(make(&mut pool, 1_000_000)));
        (0..20).for_each(|_| drop(make(&mut pool, 1000)));
        let room: usize = pool.made[0].iter().map(|batch| batch.room()).sum();
        assert!(room < 100_000, "{room}");
    }
}
