//! From the inbox to the viewers.

use super::{pacer::TICK, ring::Entry, state::State};
use crate::{
    codec::give_back_pages,
    rtsp::{Input, SessionId},
    stream::{Delivery, Inbox},
    time::MonoTime,
};
use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

/// After sending for so long, others get their turn.
const SLICE: Duration = Duration::from_millis(1);
/// How often time-outs are looked at; none of them is shorter than a second.
const HOUSEKEEPING: Duration = Duration::from_millis(250);

/// When so many connections more were there than are, their memory is given back.
const CROWD: usize = 50;

/// Fetches batches and sends them on, without end.
pub async fn deliver(state: Rc<RefCell<State>>, inbox: Arc<Inbox>) {
    let (mut deliveries, mut viewers) = (Vec::<Delivery>::new(), Vec::<SessionId>::new());
    loop {
        let pacing = !state.borrow().paced.is_empty();
        tokio::select! {
            () = inbox.arrived() => {}
            () = tokio::time::sleep(TICK), if pacing => {}
        }
        inbox.drain(&mut deliveries);
        viewers.clear();
        state.borrow_mut().take_in(&mut deliveries, &mut viewers, MonoTime::now());
        let mut next = 0;
        while next < viewers.len() {
            {
                let mut state = state.borrow_mut();
                let begun = MonoTime::now();
                let mut now = begun;
                while next < viewers.len() && now.since(begun) < SLICE {
                    state.send_to(viewers[next], now);
                    next += 1;
                    now = MonoTime::now();
                }
            }
            if next < viewers.len() {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Time-outs of sessions, connections and waits.
pub async fn keep_house(state: Rc<RefCell<State>>) {
    let mut ticks = tokio::time::interval(HOUSEKEEPING);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = MonoTime::now();
        let mut state = state.borrow_mut();
        let wall = state.wall();
        state.sessions.set_clock(wall);
        state.watch_waits(now);
        state.watch_peers(now);
        state.forget_crowd();
        state.tell_losses(now);
        state.requests.forget(now);
        for session in state.sessions.expired(now) {
            tracing::info!(peer = %session.peer, stream = %session.stream, "session timed out");
            state.end_viewer(session.id, now);
        }
    }
}

impl State {
    /// Puts what came into the rings; into `viewers`, who has something to send now.
    fn take_in(&mut self, deliveries: &mut Vec<Delivery>, viewers: &mut Vec<SessionId>, now: MonoTime) {
        viewers.append(&mut self.paced);
        let mut fed = Vec::new();
        for Delivery { hub, track, batch } in deliveries.drain(..) {
            let Some(stream) = self.streams.get_mut(&hub) else { continue };
            let video = stream.entry.hub.tracks()[track].video;
            let key = video && batch.key();
            let position = stream.ring.end();
            stream.ring.push(Entry { track, video, batch, arrived: now });
            if !self.waiting.is_empty() {
                self.arrived(hub, key.then_some(position), now);
            }
            if !fed.contains(&hub) {
                fed.push(hub);
            }
        }
        let paced = viewers.clone();
        for stream in fed.iter().filter_map(|hub| self.streams.get(hub)) {
            viewers.extend(stream.viewers.iter().filter(|viewer| !paced.contains(viewer)));
        }
    }

    /// Once a crowd of connections has gone, its memory goes too: tables keep the places of their fullest hour, and the heap
    /// what lay between the pieces of others.
    fn forget_crowd(&mut self) {
        let count = self.census.count();
        if count + CROWD <= self.crowd {
            self.peers.shrink_to_fit();
            self.viewers.shrink_to_fit();
            give_back_pages();
            self.crowd = count;
        }
        self.crowd = self.crowd.max(count);
    }

    /// Ends everything, with BYE to all.
    pub fn shut_down(&mut self, now: MonoTime) {
        let sessions: Vec<SessionId> = self.sessions.iter().map(|session| session.id).collect();
        for session in sessions {
            self.end_session(session, now);
        }
        let connections: Vec<_> = self.peers.keys().copied().collect();
        for id in connections {
            self.feed(id, Input::PeerClosed, now);
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.closing = true;
                peer.wake.notify_one();
            }
        }
    }
}
