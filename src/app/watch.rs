//! Feeding systemd's watchdog, as long as every part of the server goes on.

use super::serving::Serving;
use crate::{
    health::{systemd, watchdog::Watchdog},
    time::MonoTime,
};
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

/// How long the network's thread may take to say how it fares before the others are looked at.
const ANSWER: Duration = Duration::from_secs(1);

/// Looks after the server while systemd wants to hear of it.
pub struct Watch {
    looks: Interval,
    watchdog: Watchdog,
    /// How often the network's thread has answered.
    answers: u64,
    /// The parts that stand still, as they were last told of.
    still: Vec<String>,
    /// What systemd shows.
    line: String,
}

impl Watch {
    /// None if systemd does not watch.
    pub fn new() -> Option<Self> {
        let limit = systemd::watchdog()?;
        let mut looks = interval(limit / 6);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A part that comes to life again within the other half costs no restart.
        let watchdog = Watchdog::new(limit / 2);
        Some(Self { looks, watchdog, answers: 0, still: Vec::new(), line: String::new() })
    }

    /// Waits for the next look.
    pub async fn tick(&mut self) {
        self.looks.tick().await;
    }

    /// Feeds the watchdog, unless a part stands still.
    pub async fn look(&mut self, serving: &Serving) {
        let network = timeout(ANSWER, serving.worker.answer()).await.ok().flatten();
        self.answers += u64::from(network.is_some());
        let pulses = serving.pulses().chain([("the network".to_owned(), Some(self.answers))]);
        let still = self.watchdog.standing_still(MonoTime::now(), pulses);
        let line = match network {
            _ if !still.is_empty() => format!("standing still: {}", still.join(", ")),
            Some(network) => format!("{} streams, {} viewers", serving.streams.len(), network.viewers.len()),
            None => self.line.clone(),
        };
        if line != self.line {
            systemd::status(&line);
            self.line = line;
        }
        if still.is_empty() {
            systemd::feed();
        } else if still != self.still {
            tracing::error!("standing still: {}; unless it goes on, systemd restarts the server", still.join(", "));
        }
        self.still = still;
    }
}
