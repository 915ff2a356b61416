use super::PacketBatch;
use std::{collections::VecDeque, sync::Arc};

/// Memory of so many times what an access unit needs, and that much more, is let go of: one large picture is no reason to
/// hold it for good.
const WASTE: usize = 4;
const SMALL: usize = 64 * 1024;

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
            Some(free) if !free.wastes(bytes) => {}
            Some(_) => batch = Arc::default(),
            // Somebody still needs it: the next time another one is looked at.
            None => {
                made.push_back(batch);
                batch = Arc::default();
            }
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

impl PacketBatch {
    fn wastes(&self, bytes: usize) -> bool {
        self.room() > bytes * WASTE + SMALL
    }
}
