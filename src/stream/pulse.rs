use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// How often a thread came round its loop: one that stands still, in a call or dead, is told from one that works by looking
/// twice.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
