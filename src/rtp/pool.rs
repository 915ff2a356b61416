use super::PacketBatch;
use std::{collections::VecDeque, sync::Arc};

/// Memory of so many times what an access unit needs, and that much more, is let go of: one large picture is no reason to
/// hold it for good.
const WASTE: usize = 2;
const SMALL: usize = 32 * 1024;
/// So many may be free for the next. Further ones are let go of, one at a time, once they have been free for so many access
/// units: rings hold more from key frame to key frame, and then fewer at once.
const SPARE: usize = 8;
const PATIENCE: u32 = 600;

/// Whether so much memory is too much for so many bytes.
pub(super) const fn wastes(capacity: usize, bytes: usize) -> bool {
    capacity > bytes * WASTE + SMALL
}

/// The batches of one track, made in the same memory again and again: as many as are in use at one time, so that in the
/// steady state none is allocated. Those of key frames are apart, being many times as large.
#[derive(Debug, Default)]
pub(super) struct Pool {
    made: [Made; 2],
}

#[derive(Debug, Default)]
struct Made {
    batches: VecDeque<Arc<PacketBatch>>,
    /// For so many access units too many have been free.
    idle: u32,
}

impl Pool {
    /// One that nobody uses, with room for `bytes`; made full by `fill`.
    pub fn make(&mut self, key: bool, bytes: usize, fill: impl FnOnce(&mut PacketBatch)) -> Arc<PacketBatch> {
        let Made { batches: made, idle } = &mut self.made[usize::from(key)];
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
        *idle = if made.get(SPARE).is_some_and(|batch| Arc::strong_count(batch) == 1) { *idle + 1 } else { 0 };
        if *idle > PATIENCE {
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
    fn what_a_ring_holds_until_the_next_key_frame_serves_again_after_it() {
        let mut pool = Pool::default();
        let mut fresh = 0;
        for _ in 0..20 {
            let ring = (0..120).map(|_| {
                pool.make(false, 1000, |batch| {
                    fresh += u32::from(batch.room() == 0);
                    batch.refill(|to, _| {
                        to.reserve_exact(1000);
                        Default::default()
                    });
                })
            });
            drop(ring.collect::<Vec<_>>());
        }
        assert!(fresh <= 121, "{fresh}");
    }

    #[test]
    fn after_a_crowd_only_a_few_stay_and_a_large_picture_leaves_no_large_memory() {
        let mut pool = Pool::default();
        let crowd: Vec<_> = (0..200).map(|_| make(&mut pool, 1000)).collect();
        assert_eq!(pool.made[0].batches.len(), 200);
        drop(crowd);
        (0..PATIENCE + 200).for_each(|_| drop(make(&mut pool, 1000)));
        assert!(pool.made[0].batches.len() <= SPARE + 2, "{}", pool.made[0].batches.len());
        (0..20).for_each(|_| drop(make(&mut pool, 1_000_000)));
        (0..20).for_each(|_| drop(make(&mut pool, 1000)));
        let room: usize = pool.made[0].batches.iter().map(|batch| batch.room()).sum();
        assert!(room < 100_000, "{room}");
    }
}
