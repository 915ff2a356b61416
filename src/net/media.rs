//! From the inbox to the viewers.

use super::{pacer::TICK, ring::Entry, state::State};
use crate::{
    codec::give_back_pages,
    rtsp::{Input, SessionId},
    stream::{Delivery, Inbox, Stage},
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
    let mut round = Round::default();
    let begun = state.borrow().pacing_begun.clone();
    loop {
        let pacing = !state.borrow().paced.is_empty();
        tokio::select! {
            () = inbox.arrived() => {}
            () = tokio::time::sleep(TICK), if pacing => {}
            // Somebody is paced now who came between two rounds.
            () = begun.notified(), if !pacing => continue,
        }
        inbox.drain(&mut round.deliveries);
        state.borrow_mut().take_in(&mut round, MonoTime::now());
        let mut next = 0;
        while next < round.viewers.len() {
            {
                let mut state = state.borrow_mut();
                let begun = MonoTime::now();
                let mut now = begun;
                while next < round.viewers.len() && now.since(begun) < SLICE {
                    let Due { viewer, fed } = round.viewers[next];
                    let sent = state.send_to(viewer, now);
                    next += 1;
                    now = MonoTime::now();
                    if sent == Sent::All
                        && let Some(fed) = fed.and_then(|fed| round.fed.get_mut(fed))
                    {
                        fed.first.get_or_insert(now);
                        fed.last = now;
                    }
                }
            }
            if next < round.viewers.len() {
                tokio::task::yield_now().await;
            }
        }
        state.borrow().note_latency(&round);
    }
}

/// What is done each time the worker is woken; lends its memory to the next.
#[derive(Default)]
struct Round {
    deliveries: Vec<Delivery>,
    fed: Vec<Fed>,
    viewers: Vec<Due>,
}

/// A stream that something came of.
struct Fed {
    hub: u64,
    /// The last picture among it: when it was handed to the worker, and how long it had been handled by then.
    picture: Option<(MonoTime, Option<Duration>)>,
    /// When the first of its viewers had all that was to be sent, and the last.
    first: Option<MonoTime>,
    last: MonoTime,
}

/// Somebody who has something to send.
struct Due {
    viewer: SessionId,
    /// Index into [`Round::fed`]; None: what is left of before.
    fed: Option<usize>,
}

/// What [`State::send_to`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// There was nothing.
    Nothing,
    /// It has all there is.
    All,
    /// More is to follow.
    Part,
}

/// Time-outs of sessions, connections and waits.
pub async fn keep_house(state: Rc<RefCell<State>>) {
    let mut ticks = tokio::time::interval(HOUSEKEEPING);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = MonoTime::now();
        let mut state = state.borrow_mut();
        state.read_wall();
        let wall = state.wall.clone();
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
    /// Puts what came into the rings, and finds out who has something to send now.
    fn take_in(&mut self, round: &mut Round, now: MonoTime) {
        self.read_wall();
        round.fed.clear();
        round.viewers.clear();
        for viewer in self.paced.drain(..) {
            self.viewers.entry(viewer).and_modify(|viewer| viewer.paced = false);
            round.viewers.push(Due { viewer, fed: None });
        }
        for Delivery { hub, track, batch, published, handled } in round.deliveries.drain(..) {
            let Some(stream) = self.streams.get_mut(&hub) else { continue };
            let video = stream.entry.hub.tracks()[track].video;
            let key = video && batch.key();
            let position = stream.ring.end();
            stream.ring.push(Entry { track, video, batch, arrived: now });
            if !self.waiting.is_empty() {
                self.arrived(hub, key.then_some(position), now);
            }
            let known = round.fed.iter().position(|fed| fed.hub == hub);
            let index = known.unwrap_or(round.fed.len());
            if known.is_none() {
                round.fed.push(Fed { hub, picture: None, first: None, last: now });
            }
            if video {
                round.fed[index].picture = Some((published, handled));
            }
        }
        // A paced one may stand there twice; the second time it has nothing to send.
        for (index, fed) in round.fed.iter().enumerate() {
            let Some(stream) = self.streams.get(&fed.hub) else { continue };
            round.viewers.extend(stream.viewers.iter().map(|viewer| Due { viewer: *viewer, fed: Some(index) }));
        }
    }

    /// Notes how long the pictures of a round took to their first viewer, and on to their last.
    fn note_latency(&self, round: &Round) {
        for Fed { hub, picture, first, last } in &round.fed {
            let (Some(stream), Some((published, handled)), Some(first)) = (self.streams.get(hub), picture, first)
            else {
                continue;
            };
            let (latency, to_first) = (stream.entry.hub.latency(), first.since(*published));
            latency.note(Stage::First, to_first);
            latency.note(Stage::Last, last.since(*first));
            if let Some(handled) = handled {
                latency.note(Stage::Handling, *handled + to_first);
            }
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
