use super::sync::lock;
use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

/// How long a thread that is told to end may take for it.
const FAREWELL: Duration = Duration::from_secs(2);

/// Work that may never return: a thread that opens a device and hands over what it gives, while whoever sent it listens
/// and is never stuck in the driver itself. One that does not answer is left, and counted until it does.
pub struct Errand<T> {
    items: Receiver<T>,
    stop: Arc<AtomicBool>,
    fate: Arc<Mutex<Fate>>,
    stuck: Arc<AtomicU64>,
}

/// The side of the thread.
pub struct Outbox<T> {
    items: SyncSender<T>,
    stop: Arc<AtomicBool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Running,
    Left,
    Ended,
}

impl<T: Send + 'static> Errand<T> {
    /// Starts a thread of that name which does `work`. At most `waiting` items wait to be taken. `stuck` counts those
    /// errands of one sender that were left.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        name: String,
        waiting: usize,
        stuck: &Arc<AtomicU64>,
        work: impl FnOnce(&Outbox<T>) + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, items) = sync_channel(waiting);
        let errand =
            Self { items, stop: Arc::default(), fate: Arc::new(Mutex::new(Fate::Running)), stuck: stuck.clone() };
        let end = End { fate: errand.fate.clone(), stuck: stuck.clone() };
        let outbox = Outbox { items: sender, stop: errand.stop.clone() };
        thread::Builder::new().name(name).spawn(move || {
            // Dropped last, and if the work panics too.
            let _end = end;
            work(&outbox);
        })?;
        Ok(errand)
    }

    /// The next item.
    ///
    /// # Errors
    /// None came within `patience`, or none will come any more.
    pub fn next(&self, patience: Duration) -> Result<T, RecvTimeoutError> {
        self.items.recv_timeout(patience)
    }

    /// Tells the thread to end and waits for it, but not for long: whether it did. Else it is left.
    pub fn end(self) -> bool {
        self.stop.store(true, Ordering::Release);
        loop {
            match self.items.recv_timeout(FAREWELL) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => {
                    self.leave();
                    return false;
                }
            }
        }
    }

    /// Leaves the thread to its driver. Should it return, it ends.
    pub fn leave(self) {
        self.stop.store(true, Ordering::Release);
        let mut fate = lock(&self.fate);
        if *fate == Fate::Running {
            *fate = Fate::Left;
            self.stuck.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<T> Outbox<T> {
    /// Hands an item over, as soon as there is room for it. Whether more are wanted.
    pub fn send(&self, item: T) -> bool {
        self.wanted() && self.items.send(item).is_ok() && self.wanted()
    }

    fn wanted(&self) -> bool {
        !self.stop.load(Ordering::Acquire)
    }
}

struct End {
    fate: Arc<Mutex<Fate>>,
    stuck: Arc<AtomicU64>,
}

impl Drop for End {
    fn drop(&mut self) {
        if std::mem::replace(&mut *lock(&self.fate), Fate::Ended) == Fate::Left {
            self.stuck.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn items_come_in_order_and_the_end_is_waited_for() {
        let stuck = Arc::default();
        let work = |outbox: &Outbox<u32>| {
            let mut n = 0;
            while outbox.send(n) {
                n += 1;
            }
        };
        let errand = Errand::start("test".into(), 2, &stuck, work).unwrap();
        for n in 0..100 {
            assert_eq!(errand.next(LONG), Ok(n));
        }
        assert!(errand.end());
        let errand = Errand::start("test".into(), 2, &stuck, |outbox| assert!(outbox.send(7))).unwrap();
        assert_eq!(errand.next(LONG), Ok(7));
        assert_eq!(errand.next(LONG), Err(RecvTimeoutError::Disconnected));
        assert_eq!(stuck.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_that_does_not_answer_is_left_and_counted_until_it_returns() {
        let stuck = Arc::new(AtomicU64::new(0));
        let (release, driver) = channel::<()>();
        let (ended, end) = channel::<bool>();
        let work = move |outbox: &Outbox<u32>| {
            let _ = driver.recv();
            let _ = ended.send(outbox.send(1));
        };
        let errand = Errand::start("test".into(), 1, &stuck, work).unwrap();
        assert_eq!(errand.next(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
        errand.leave();
        assert_eq!(stuck.load(Ordering::Relaxed), 1);
        release.send(()).unwrap();
        assert_eq!(end.recv_timeout(LONG), Ok(false), "nobody wants what it brings");
        while stuck.load(Ordering::Relaxed) > 0 {
            thread::yield_now();
        }
    }
}
