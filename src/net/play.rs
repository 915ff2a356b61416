//! PLAY: where a viewer begins (a key frame at most 250 ms old; else a new one, within the encoder's budget; else the
//! newest in the ring), and the wait until that is known.

use super::{
    cursor::Cursor,
    state::{State, Stream},
    viewer::{Left, Outlet, Viewer},
};
use crate::{
    rtsp::{Answer, AskId, ConnectionId, Input, PlayStart, Refusal, SessionId},
    stream::KeyframeAnswer,
    time::MonoTime,
};
use std::time::Duration;

/// A key frame of this age is taken as it is.
const YOUNG: Duration = Duration::from_millis(250);
/// How long PLAY waits for a key frame that was asked for, before it takes what the ring has.
const ASKED_WAIT: Duration = Duration::from_secs(2);
/// How long PLAY waits if there is none at all, or the stream's `start` is `fresh`; then 503.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A PLAY that waits for its key frame.
pub struct WaitingPlay {
    pub connection: ConnectionId,
    pub ask: AskId,
    pub session: SessionId,
    hub: u64,
    /// The key frame in the ring will do from then on.
    settle_at: MonoTime,
    give_up_at: MonoTime,
}

/// Where to begin.
enum Beginning {
    At(u64),
    /// At the next key frame; from the given time on at one that is there already.
    AtNextKey {
        settle_at: MonoTime,
    },
}

impl State {
    /// Answers PLAY, or lets it wait. A viewer that plays already goes on.
    pub fn play(
        &mut self,
        connection: ConnectionId,
        ask: AskId,
        session: SessionId,
        starting: &mut Vec<(SessionId, Cursor)>,
        now: MonoTime,
    ) -> Option<Answer> {
        let refused = Some(Answer::Refused(Refusal::Internal));
        let Some(viewer) = self.viewers.get(&session) else { return refused };
        let Some(stream) = self.streams.get(&viewer.hub) else { return refused };
        if let Some(cursor) = &viewer.cursor {
            return Some(Answer::Playing(play_starts(viewer, stream, cursor.position())));
        }
        match beginning(viewer, stream, now) {
            Beginning::At(position) => Some(self.begin(session, position, starting)),
            Beginning::AtNextKey { settle_at } => {
                let (hub, give_up_at) = (viewer.hub, now + LONGEST_WAIT);
                self.waiting.push(WaitingPlay { connection, ask, session, hub, settle_at, give_up_at });
                None
            }
        }
    }

    /// A key frame of `hub` came in at `position`: whoever waits for one begins there.
    pub fn key_arrived(&mut self, hub: u64, position: u64, now: MonoTime) {
        while let Some(index) = self.waiting.iter().position(|waiting| waiting.hub == hub) {
            let waiting = self.waiting.swap_remove(index);
            self.end_wait(waiting, Some(position), now);
        }
    }

    /// Ends waits whose time is over.
    pub fn watch_waits(&mut self, now: MonoTime) {
        let mut index = 0;
        while let Some(waiting) = self.waiting.get(index) {
            let key = self.streams.get(&waiting.hub).and_then(|stream| stream.ring.last_key());
            let settled = key.filter(|_| now >= waiting.settle_at).map(|(position, _)| position);
            if settled.is_some() || now >= waiting.give_up_at {
                let waiting = self.waiting.swap_remove(index);
                self.end_wait(waiting, settled, now);
            } else {
                index += 1;
            }
        }
    }

    fn end_wait(&mut self, waiting: WaitingPlay, position: Option<u64>, now: MonoTime) {
        let mut starting = Vec::new();
        let answer = match position {
            Some(position) if self.viewers.contains_key(&waiting.session) => {
                self.begin(waiting.session, position, &mut starting)
            }
            _ => Answer::Refused(Refusal::NotReady),
        };
        self.feed(waiting.connection, Input::Answer(waiting.ask, answer), now);
        for (session, cursor) in starting {
            self.start(session, cursor, now);
        }
    }

    fn begin(&mut self, session: SessionId, position: u64, starting: &mut Vec<(SessionId, Cursor)>) -> Answer {
        let (viewer, stream) = (&self.viewers[&session], &self.streams[&self.viewers[&session].hub]);
        let wants = [viewer.tracks[0].is_some(), viewer.tracks[1].is_some()];
        starting.push((session, Cursor::new(position, wants)));
        Answer::Playing(play_starts(viewer, stream, position))
    }

    /// Lets media flow to a viewer whose PLAY is answered.
    pub fn start(&mut self, session: SessionId, cursor: Cursor, now: MonoTime) {
        let Some(viewer) = self.viewers.get_mut(&session) else { return };
        viewer.cursor = Some(cursor);
        viewer.since.get_or_insert(now);
        if let Some(stream) = self.streams.get_mut(&viewer.hub)
            && !stream.viewers.contains(&session)
        {
            stream.viewers.push(session);
        }
        self.send_to(session, now);
    }

    /// Sends what is due to one viewer.
    pub fn send_to(&mut self, session: SessionId, now: MonoTime) {
        let wall = self.wall();
        let Some(viewer) = self.viewers.get_mut(&session) else { return };
        if let Outlet::Interleaved(outlet) = &viewer.outlet {
            let connection = ConnectionId(outlet.connection);
            let waits = self.peers.get(&connection).is_some_and(|peer| !peer.link.is_empty());
            // While something waits its task is woken by the socket itself.
            if !waits {
                self.flush(connection, now);
            }
            return;
        }
        let Some(stream) = self.streams.get(&viewer.hub) else { return };
        let context = super::reports::ReportContext { now, wall: &wall, cname: &self.settings.cname };
        let left = viewer.send(&stream.ring, &context);
        if left == Left::More && !self.paced.contains(&session) {
            self.paced.push(session);
        }
    }
}

fn beginning(viewer: &Viewer, stream: &Stream, now: MonoTime) -> Beginning {
    let video = stream.entry.hub.video().filter(|track| viewer.tracks[*track].is_some());
    if video.is_none() {
        return Beginning::At(stream.ring.end());
    }
    let key = stream.ring.last_key();
    if let Some((position, arrived)) = key
        && now.since(arrived) <= YOUNG
    {
        return Beginning::At(position);
    }
    let never = now + LONGEST_WAIT * 2;
    match (stream.entry.hub.ask_keyframe(now), key) {
        (KeyframeAnswer::Spent, Some((position, _))) if !stream.entry.fresh => Beginning::At(position),
        _ if stream.entry.fresh => Beginning::AtNextKey { settle_at: never },
        _ => Beginning::AtNextKey { settle_at: now + ASKED_WAIT },
    }
}

/// The first packet of each track from `position` on. Sound that is still to come goes on from what came last; a track
/// that has not begun is left out.
fn play_starts(viewer: &Viewer, stream: &Stream, position: u64) -> Vec<PlayStart> {
    let tracks = stream.entry.hub.tracks().iter().enumerate();
    let begins = tracks.filter(|(index, _)| viewer.tracks[*index].is_some()).filter_map(|(index, track)| {
        let (seq, rtptime) = match stream.ring.next_of(index, position) {
            Some(next) => (next.batch.first_sequence(), next.batch.timestamp()),
            None => {
                let last = &stream.ring.newest_of(index)?.batch;
                (last.first_sequence().wrapping_add(last.len() as u16), last.next_timestamp())
            }
        };
        Some(PlayStart { track: track.id, seq, rtptime })
    });
    begins.collect()
}
