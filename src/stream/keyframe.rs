use crate::time::MonoTime;
use std::time::Duration;

/// Key frames that may be asked of an encoder: one per second, four saved up. More than about one a second and the rate
/// control exceeds its target.
const REFILL: Duration = Duration::from_secs(1);
const SAVED: u32 = 4;

/// Decides whether a new viewer, or one that lost packets (PLI, FIR), gets a key frame made.
#[derive(Debug)]
pub struct KeyframeBudget {
    saved: u32,
    /// When the budget was last counted up.
    counted: MonoTime,
    /// A key frame was asked for and has not come yet; all who ask meanwhile share it.
    pending: bool,
}

/// What came of asking for a key frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyframeAnswer {
    /// The encoder is to make one: paid for now.
    Asked,
    /// One is on its way already.
    Pending,
    /// The budget is spent.
    Spent,
    /// The camera makes its key frames when it likes.
    Unable,
}

impl KeyframeBudget {
    /// A full budget.
    pub fn new(now: MonoTime) -> Self {
        Self { saved: SAVED, counted: now, pending: false }
    }

    pub fn ask(&mut self, now: MonoTime) -> KeyframeAnswer {
        if self.pending {
            return KeyframeAnswer::Pending;
        }
        while self.saved < SAVED && now.since(self.counted) >= REFILL {
            self.saved += 1;
            self.counted += REFILL;
        }
        if self.saved == SAVED {
            self.counted = now;
        }
        if self.saved == 0 {
            return KeyframeAnswer::Spent;
        }
        self.saved -= 1;
        self.pending = true;
        KeyframeAnswer::Asked
    }

    /// A key frame came, asked for or not.
    pub fn arrived(&mut self) {
        self.pending = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> MonoTime {
        MonoTime::from_nanos(1_000_000_000_000 + millis * 1_000_000)
    }

    #[test]
    fn four_at_once_then_one_per_second() {
        let mut budget = KeyframeBudget::new(at(0));
        for _ in 0..4 {
            assert_eq!(budget.ask(at(0)), KeyframeAnswer::Asked);
            assert_eq!(budget.ask(at(0)), KeyframeAnswer::Pending);
            budget.arrived();
        }
        assert_eq!(budget.ask(at(999)), KeyframeAnswer::Spent);
        assert_eq!(budget.ask(at(1000)), KeyframeAnswer::Asked);
        budget.arrived();
        assert_eq!(budget.ask(at(1001)), KeyframeAnswer::Spent);
    }

    #[test]
    fn a_storm_of_asking_gets_one_per_second_plus_four() {
        let mut budget = KeyframeBudget::new(at(0));
        let asked = (0..60_000)
            .filter(|millis| {
                let answer = budget.ask(at(*millis));
                budget.arrived();
                answer == KeyframeAnswer::Asked
            })
            .count();
        assert!((60..=64).contains(&asked), "{asked}");
    }

    #[test]
    fn idle_time_saves_up_no_more_than_four() {
        let mut budget = KeyframeBudget::new(at(0));
        let later = at(3_600_000);
        let asked = (0..10)
            .filter(|_| {
                let answer = budget.ask(later);
                budget.arrived();
                answer == KeyframeAnswer::Asked
            })
            .count();
        assert_eq!(asked, 4);
    }
}
