//! The audit trail's near end: records are put into a short queue, which its writer empties at its own pace.

use crate::guard::AuditRecord;
use std::{
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
};

/// Records that wait for the writer: a burst of logins. More are lost, and counted.
const QUEUE: usize = 1024;

/// Where workers put what happened. Never waits.
#[derive(Clone)]
pub struct Trail {
    queue: SyncSender<Option<AuditRecord>>,
    lost: Arc<AtomicU64>,
}

/// Where it is taken out.
pub struct TrailEnd {
    queue: Receiver<Option<AuditRecord>>,
    lost: Arc<AtomicU64>,
}

impl Trail {
    /// A trail and its far end.
    pub fn new() -> (Self, TrailEnd) {
        let (queue, end) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        (Self { queue, lost: lost.clone() }, TrailEnd { queue: end, lost })
    }

    pub fn tell(&self, record: AuditRecord) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Some(record)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Nothing comes any more; waits until there is room to say so.
    pub fn end(&self) {
        let _ = self.queue.send(None);
    }
}

impl TrailEnd {
    /// The next record, with how many were lost before it. None at the end.
    pub fn next(&self) -> Option<AuditRecord> {
        let record = self.queue.recv().ok()??;
        Some(AuditRecord { lost: NonZeroU64::new(self.lost.swap(0, Ordering::Relaxed)), ..record })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{guard::AuditEvent, time::WallTime};

    #[test]
    fn what_finds_no_room_is_counted_and_nobody_waits() {
        let (trail, end) = Trail::new();
        let record = || AuditRecord::new(WallTime::default(), AuditEvent::Connect);
        (0..QUEUE + 7).for_each(|_| trail.tell(record()));
        let first = end.next().unwrap();
        assert_eq!(first.lost, NonZeroU64::new(7));
        assert!(first.line().ends_with(r#""lost":7}"#), "{}", first.line());
        assert_eq!(end.next(), Some(record()));
        std::thread::spawn(move || trail.end());
        assert_eq!(std::iter::from_fn(|| end.next()).count(), QUEUE - 2);
    }
}
