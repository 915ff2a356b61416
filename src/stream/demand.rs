use super::sync::lock;
use crate::time::MonoTime;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// How long a source goes on after the last watcher left: a player that opens a stream twice (to probe it, then to play
/// it) or changes its transport finds it running.
const LINGER: Duration = Duration::from_secs(5);

/// Whether anybody wants what a stream makes. Cameras, microphones and encoders work while it is wanted.
pub struct Demand {
    state: Mutex<State>,
}

struct State {
    watchers: usize,
    wanted_until: MonoTime,
    /// When demand last rose from nothing.
    since: MonoTime,
    /// Called when the first watcher comes: whoever sleeps for want of demand wakes up.
    on_raise: Vec<Box<dyn Fn() + Send>>,
}

impl Demand {
    pub fn new() -> Arc<Self> {
        let (wanted_until, since) = (MonoTime::ZERO, MonoTime::ZERO);
        Arc::new(Self { state: Mutex::new(State { watchers: 0, wanted_until, since, on_raise: Vec::new() }) })
    }

    /// Has `wake` called whenever demand rises from nothing.
    pub fn on_raise(&self, wake: impl Fn() + Send + 'static) {
        lock(&self.state).on_raise.push(Box::new(wake));
    }

    /// Raises demand for as long as the returned watch lives, and a few seconds longer.
    pub fn watch(self: &Arc<Self>) -> Watch {
        let mut state = lock(&self.state);
        state.watchers += 1;
        if state.watchers == 1 {
            let now = MonoTime::now();
            if now >= state.wanted_until {
                state.since = now;
            }
            state.on_raise.iter().for_each(|wake| wake());
        }
        drop(state);
        Watch { demand: self.clone() }
    }

    pub fn wanted(&self, now: MonoTime) -> bool {
        let state = lock(&self.state);
        state.watchers > 0 || now < state.wanted_until
    }

    /// Since when it is wanted without a break: what is older was made before the sources rested.
    pub fn since(&self) -> MonoTime {
        lock(&self.state).since
    }
}

/// Somebody watches; dropped when they leave.
pub struct Watch {
    demand: Arc<Demand>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = lock(&self.demand.state);
        state.watchers -= 1;
        if state.watchers == 0 {
            state.wanted_until = MonoTime::now() + LINGER;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn lingers_after_the_last_watcher_and_wakes_for_the_first() {
        let (demand, woken) = (Demand::new(), Arc::new(AtomicU32::new(0)));
        let counter = woken.clone();
        demand.on_raise(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        assert!(!demand.wanted(MonoTime::now()));
        let (first, second) = (demand.watch(), demand.watch());
        let since = demand.since();
        assert!(since > MonoTime::ZERO);
        drop(first);
        assert!(demand.wanted(MonoTime::now() + LINGER * 2));
        drop(second);
        assert!(demand.wanted(MonoTime::now()));
        assert!(!demand.wanted(MonoTime::now() + LINGER * 2));
        let _again = demand.watch();
        assert_eq!(demand.since(), since, "it came back before it rested");
        assert_eq!(woken.load(Ordering::Relaxed), 2);
    }
}
