use super::Canvas;
use crate::{
    media::{FrameBuffer, PixelFormat, RawFrame},
    time::MonoTime,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Sheets beyond this many that lie idle are freed: enough for every encoder's mailbox and the picture it works on.
const KEPT: usize = 8;

/// A canvas together with what its maker knows to be drawn on it.
pub trait Sheet: Send + Sync + 'static {
    fn canvas(&self) -> &Canvas;
}

/// Sheets that come back when the frame made of them is dropped, on whichever thread, with what was drawn still on
/// them: only what changes has to be drawn again.
pub struct Pool<S> {
    free: Arc<Mutex<Vec<S>>>,
}

impl<S: Sheet> Pool<S> {
    pub fn new() -> Self {
        Self { free: Arc::default() }
    }

    /// A used sheet, or a new one while all are out.
    pub fn take(&self, make: impl FnOnce() -> S) -> S {
        lock(&self.free).pop().unwrap_or_else(make)
    }

    pub fn frame(&self, sheet: S, stamp: MonoTime, sequence: u64) -> RawFrame {
        let (size, planes) = (sheet.canvas().size(), sheet.canvas().planes());
        let buffer = Box::new(Lent { sheet: Some(sheet), home: Arc::clone(&self.free) });
        RawFrame { format: PixelFormat::I420, size, shown: size, planes, stamp, sequence, buffer }
    }
}

struct Lent<S> {
    /// None only while it is being dropped.
    sheet: Option<S>,
    home: Arc<Mutex<Vec<S>>>,
}

impl<S: Sheet> FrameBuffer for Lent<S> {
    fn memory(&self, number: usize) -> &[u8] {
        self.sheet.as_ref().filter(|_| number == 0).map_or(&[], |sheet| sheet.canvas().bytes())
    }
}

impl<S> Drop for Lent<S> {
    fn drop(&mut self) {
        let mut free = lock(&self.home);
        if free.len() < KEPT {
            free.extend(self.sheet.take());
        }
    }
}

/// A sheet is whole at any time, so a panic elsewhere does not spoil the list.
fn lock<S>(free: &Mutex<Vec<S>>) -> MutexGuard<'_, Vec<S>> {
    free.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Size;

    struct Plain(Canvas);

    impl Sheet for Plain {
        fn canvas(&self) -> &Canvas {
            &self.0
        }
    }

    #[test]
    fn a_sheet_returns_from_another_thread_and_is_used_again() {
        let pool = Pool::new();
        let make = || Plain(Canvas::new(Size::new(16, 16), 16));
        let held = pool.frame(pool.take(make), MonoTime::ZERO, 0);
        let other = pool.frame(pool.take(make), MonoTime::ZERO, 1);
        let address = other.bytes().as_ptr() as usize;
        std::thread::spawn(move || drop(other)).join().unwrap();
        let again = pool.take(|| panic!("one is free"));
        assert_eq!(again.canvas().bytes().as_ptr() as usize, address);
        drop(pool);
        assert_eq!(held.bytes().len(), 16 * 16 * 3 / 2);
    }

    #[test]
    fn a_pool_keeps_few() {
        let pool = Pool::new();
        let frames: Vec<_> = (0..20)
            .map(|n| pool.frame(pool.take(|| Plain(Canvas::new(Size::new(2, 2), 16))), MonoTime::ZERO, n))
            .collect();
        drop(frames);
        assert_eq!(lock(&pool.free).len(), KEPT);
    }
}
