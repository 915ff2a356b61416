//! What viewers lose, told to the streams whose bitrate follows it.

use super::{state::State, viewer::Outlet};
use crate::time::MonoTime;
use std::time::Duration;

/// How often a stream is told.
const PACE: Duration = Duration::from_secs(2);
/// Who has not reported for so long is not counted any more.
const SILENT: Duration = Duration::from_secs(12);

impl State {
    /// Tells each stream what its unicast viewers have lost of late, if any of them has said something new.
    pub fn tell_losses(&mut self, now: MonoTime) {
        for stream in self.streams.values_mut() {
            let hub = &stream.entry.hub;
            let Some(video) = hub.video().filter(|_| hub.carried_bitrate().is_some()) else { continue };
            if now.since(stream.adapted) < PACE {
                continue;
            }
            let viewers = stream.viewers.iter().filter_map(|id| self.viewers.get(id));
            let unicast = viewers.filter(|viewer| matches!(viewer.outlet, Outlet::Udp(_) | Outlet::Interleaved(_)));
            let told = unicast.filter_map(|viewer| viewer.tracks[video].as_ref()?.feedback.loss);
            let told: Vec<_> = told.filter(|(_, at)| now.since(*at) < SILENT).collect();
            if stream.viewers.is_empty() {
                hub.forget_losses();
            } else if told.iter().any(|(_, at)| *at >= stream.adapted) {
                let mut losses: Vec<f64> = told.into_iter().map(|(loss, _)| loss).collect();
                hub.tell_losses(&mut losses);
            }
            stream.adapted = now;
        }
    }
}
