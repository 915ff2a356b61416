//! Whether the server still does what it is for: decides over the pulses of its parts, and looks at nothing itself.

use crate::time::MonoTime;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::Duration,
};

/// Who looks at pulses now and then and tells which parts stand still.
#[derive(Debug)]
pub struct Watchdog {
    /// How long a part may take to come round.
    patience: Duration,
    /// The pulse of each part, and since when it is that.
    parts: BTreeMap<String, (u64, MonoTime)>,
}

impl Watchdog {
    pub fn new(patience: Duration) -> Self {
        Self { patience, parts: BTreeMap::new() }
    }

    /// The parts whose pulse has not changed for longer than the patience. One without a pulse rests; one that began, or
    /// awoke, since the last look has its whole time from now on.
    pub fn standing_still(
        &mut self,
        now: MonoTime,
        pulses: impl IntoIterator<Item = (String, Option<u64>)>,
    ) -> Vec<String> {
        let mut before = std::mem::take(&mut self.parts);
        let mut still = Vec::new();
        for (name, pulse) in pulses {
            let Some(pulse) = pulse else { continue };
            let since = match before.entry(name.clone()) {
                Entry::Occupied(known) if known.get().0 == pulse => known.get().1,
                _ => now,
            };
            if now.since(since) > self.patience {
                still.push(name.clone());
            }
            self.parts.insert(name, (pulse, since));
        }
        still
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(watchdog: &mut Watchdog, seconds: u64, pulses: &[(&str, Option<u64>)]) -> Vec<String> {
        let pulses = pulses.iter().map(|(name, pulse)| ((*name).to_owned(), *pulse));
        watchdog.standing_still(MonoTime::from_timespec(1000 + seconds, 0), pulses)
    }

    #[test]
    fn who_goes_on_is_well_and_who_stands_is_named() {
        let mut watchdog = Watchdog::new(Duration::from_secs(10));
        for second in 0..100 {
            let pulses = [("picture", Some(second)), ("sound", Some(7))];
            let expected: &[&str] = if second > 10 { &["sound"] } else { &[] };
            assert_eq!(look(&mut watchdog, second, &pulses), expected, "after {second} s");
        }
        assert!(look(&mut watchdog, 100, &[("picture", Some(100)), ("sound", Some(8))]).is_empty(), "it goes on");
    }

    #[test]
    fn who_rests_is_well_and_has_its_time_when_it_wakes() {
        let mut watchdog = Watchdog::new(Duration::from_secs(10));
        assert!(look(&mut watchdog, 0, &[("sub", Some(3))]).is_empty());
        assert!(look(&mut watchdog, 5, &[("sub", None)]).is_empty());
        assert!(look(&mut watchdog, 1000, &[("sub", Some(3))]).is_empty());
        assert!(look(&mut watchdog, 1010, &[("sub", Some(3))]).is_empty());
        assert_eq!(look(&mut watchdog, 1011, &[("sub", Some(3))]), ["sub"]);
    }

    #[test]
    fn who_is_gone_is_missed_by_nobody() {
        let mut watchdog = Watchdog::new(Duration::from_secs(10));
        assert!(look(&mut watchdog, 0, &[("main", Some(3)), ("old", Some(9))]).is_empty());
        assert!(look(&mut watchdog, 20, &[("main", Some(4))]).is_empty());
        // One of the same name that begins anew.
        assert!(look(&mut watchdog, 40, &[("main", Some(5)), ("old", Some(9))]).is_empty());
    }
}
