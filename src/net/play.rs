//! PLAY: where a viewer begins (a key frame at most 250 ms old; else a new one, within the encoder's budget; else, as
//! where the camera itself encodes and takes no requests, the newest in the ring), and the wait until that is known.

use super::{
    cursor::Cursor,
    media::Sent,
    state::{Peer, State, Stream},
    viewer::{Left, Outlet, Viewer},
};
use crate::{
    guard::AuditEvent,
    rtsp::{Answer, AskId, ConnectionId, Input, PlayStart, Refusal, SessionId},
    stream::{KeyframeAnswer, Stage},
    time::{MonoTime, WallClock},
};
use std::time::Duration;

/// A key frame of this age is taken as it is.
const YOUNG: Duration = Duration::from_millis(250);
/// How long PLAY waits for a key frame that was asked for, before it takes what the ring has.
const ASKED_WAIT: Duration = Duration::from_secs(2);
/// How long PLAY waits if there is none at all, or the stream's `start` is `fresh`; then 503.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long PLAY waits, once it has its picture, for a track that does not flow yet: without it RTP-Info cannot tell
/// where that track begins.
const TRACK_WAIT: Duration = Duration::from_millis(500);
/// A track flows if something came this lately: what comes next goes on from there.
const FLOWING: Duration = Duration::from_millis(500);

/// A PLAY that waits for its key frame, or for its other track.
pub struct WaitingPlay {
    pub connection: ConnectionId,
    pub ask: AskId,
    pub session: SessionId,
    hub: u64,
    /// Where it begins, once that is known.
    position: Option<u64>,
    /// From then on the key frame in the ring will do, and the tracks that flow.
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
        let Some(viewer) = self.viewers.get(&session) else { return Some(Answer::Refused(Refusal::SessionOver)) };
        let Some(stream) = self.streams.get(&viewer.hub) else { return Some(Answer::Refused(Refusal::Internal)) };
        if let Some(position) = self.sender_of(session).and_then(|sender| self.viewers.get(&sender)?.cursor.as_ref()) {
            // The group is under way, and so is what a new member sees first.
            let position = position.position();
            stream.entry.hub.ask_keyframe(now);
            let answer = self.playing(viewer, stream, position, now);
            starting.push((session, Cursor::new(position, [false; 2])));
            return Some(answer);
        }
        if let Some(cursor) = &viewer.cursor {
            return Some(self.playing(viewer, stream, cursor.position(), now));
        }
        if self.has_lost_count(session) {
            self.end_viewer(session, now);
            return Some(Answer::Refused(Refusal::SessionOver));
        }
        let (position, settle_at) = match beginning(viewer, stream, now) {
            Beginning::At(position) if all_flow(viewer, stream, position, now) => {
                return Some(self.begin(session, position, starting, now));
            }
            Beginning::At(position) => (Some(position), now + TRACK_WAIT),
            Beginning::AtNextKey { settle_at } => (None, settle_at),
        };
        let (hub, give_up_at) = (viewer.hub, now + LONGEST_WAIT);
        self.waiting.push(WaitingPlay { connection, ask, session, hub, position, settle_at, give_up_at });
        None
    }

    /// Something of `hub` came in, a key frame if `key` says where: whoever waited for it begins.
    pub fn arrived(&mut self, hub: u64, key: Option<u64>, now: MonoTime) {
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.hub == hub && waiting.position.is_none()) {
            waiting.position = key;
            waiting.settle_at = if key.is_some() { now + TRACK_WAIT } else { waiting.settle_at };
        }
        let ripe = |state: &State, waiting: &WaitingPlay| {
            let (Some(viewer), Some(stream)) = (state.viewers.get(&waiting.session), state.streams.get(&hub)) else {
                return false;
            };
            waiting.position.is_some_and(|position| all_flow(viewer, stream, position, now))
        };
        while let Some(index) = self.waiting.iter().position(|waiting| waiting.hub == hub && ripe(self, waiting)) {
            let waiting = self.waiting.swap_remove(index);
            let position = waiting.position;
            self.end_wait(waiting, position, now);
        }
    }

    /// Ends waits whose time is over.
    pub fn watch_waits(&mut self, now: MonoTime) {
        let mut index = 0;
        while let Some(waiting) = self.waiting.get(index) {
            let key = self.streams.get(&waiting.hub).and_then(|stream| newest_key(stream, now));
            let known = waiting.position.or(key.map(|(position, _)| position));
            let settled = known.filter(|_| now >= waiting.settle_at);
            if settled.is_some() || now >= waiting.give_up_at {
                let waiting = self.waiting.swap_remove(index);
                self.end_wait(waiting, settled, now);
            } else {
                index += 1;
            }
        }
    }

    /// Refuses a PLAY that waits: unanswered, its connection would wait for ever.
    pub fn refuse_waits(&mut self, session: SessionId, refusal: Refusal, now: MonoTime) {
        let waits: Vec<_> = self.waiting.extract_if(.., |waiting| waiting.session == session).collect();
        for waiting in waits {
            self.feed(waiting.connection, Input::Answer(waiting.ask, Answer::Refused(refusal)), now);
        }
    }

    fn end_wait(&mut self, waiting: WaitingPlay, position: Option<u64>, now: MonoTime) {
        let mut starting = Vec::new();
        let answer = match position {
            Some(position)
                if self.viewers.contains_key(&waiting.session) && self.streams.contains_key(&waiting.hub) =>
            {
                self.begin(waiting.session, position, &mut starting, now)
            }
            _ => Answer::Refused(Refusal::NotReady),
        };
        self.feed(waiting.connection, Input::Answer(waiting.ask, answer), now);
        for (session, cursor) in starting {
            self.start(session, cursor, now);
        }
    }

    fn begin(
        &mut self,
        session: SessionId,
        position: u64,
        starting: &mut Vec<(SessionId, Cursor)>,
        now: MonoTime,
    ) -> Answer {
        let (viewer, stream) = (&self.viewers[&session], &self.streams[&self.viewers[&session].hub]);
        let wants = [viewer.tracks[0].is_some(), viewer.tracks[1].is_some()];
        starting.push((session, Cursor::new(position, wants)));
        self.playing(viewer, stream, position, now)
    }

    fn playing(&self, viewer: &Viewer, stream: &Stream, position: u64, now: MonoTime) -> Answer {
        let first = stream.ring.entry(position).map_or(now, |entry| entry.batch.stamp());
        let at = WallClock::synchronised().then(|| self.wall.wall(first));
        Answer::Playing { starts: play_starts(viewer, stream, position), at }
    }

    /// Lets media flow to a viewer whose PLAY is answered.
    pub fn start(&mut self, session: SessionId, cursor: Cursor, now: MonoTime) {
        let Some(viewer) = self.viewers.get_mut(&session) else { return };
        let first = viewer.since.is_none();
        viewer.since.get_or_insert(now);
        if first {
            let play = self.audit(AuditEvent::Play, &self.viewers[&session]);
            self.access.tell(play);
        }
        let Some(viewer) = self.viewers.get_mut(&session) else { return };
        if let Outlet::Member(_) = viewer.outlet {
            self.join(session, &cursor, now);
            return;
        }
        viewer.cursor = Some(cursor);
        if let Some(stream) = self.streams.get_mut(&viewer.hub)
            && !stream.viewers.contains(&session)
        {
            stream.viewers.push(session);
        }
        // What SETUP could not know of a stream that was not running then.
        if let Some(stream) = self.streams.get(&viewer.hub) {
            for (track, hub_track) in viewer.tracks.iter_mut().zip(stream.entry.hub.tracks()) {
                if let (Some(track), Some(format)) = (track, hub_track.format()) {
                    track.clock_rate = format.clock_rate();
                }
            }
        }
        if let Outlet::Interleaved(outlet) = &viewer.outlet {
            let connection = ConnectionId(outlet.connection);
            self.mark_connection(connection);
        }
        self.send_first(session, now);
    }

    /// Sends to who has just come; what is paced of it goes on by itself.
    pub fn send_first(&mut self, session: SessionId, now: MonoTime) {
        let pacing = !self.paced.is_empty();
        self.send_to(session, now);
        if !pacing && !self.paced.is_empty() {
            self.pacing_begun.notify_one();
        }
    }

    /// Sends what is due to one viewer.
    pub fn send_to(&mut self, session: SessionId, now: MonoTime) -> Sent {
        // One that is paced has had what may leave now.
        let Some(viewer) = self.viewers.get_mut(&session).filter(|viewer| !viewer.paced) else { return Sent::Nothing };
        if let Outlet::Interleaved(outlet) = &viewer.outlet {
            let connection = ConnectionId(outlet.connection);
            let waits = self.peers.get(&connection).is_some_and(Peer::waits);
            // While something waits its task is woken by the socket itself.
            if waits {
                return Sent::Part;
            }
            return self.flush(connection, now);
        }
        let before = viewer.bytes;
        let Some(stream) = self.streams.get(&viewer.hub) else { return Sent::Nothing };
        let context = super::reports::ReportContext { now, wall: &self.wall, cname: &self.settings.cname };
        let left = viewer.send(&stream.ring, &context);
        if let Outlet::Udp(udp) = &mut viewer.outlet
            && let Some(paced) = udp.paced.take()
        {
            stream.entry.hub.latency().note(Stage::Paced, paced);
        }
        if left == Left::More {
            viewer.paced = true;
            self.paced.push(session);
            return Sent::Part;
        }
        if viewer.bytes == before { Sent::Nothing } else { Sent::All }
    }
}

/// The newest key frame, unless it is from before the stream rested: sound may be back before the picture.
fn newest_key(stream: &Stream, now: MonoTime) -> Option<(u64, MonoTime)> {
    let since = stream.entry.hub.demand().since();
    stream.ring.last_key(now).filter(|(_, arrived)| *arrived >= since)
}

fn beginning(viewer: &Viewer, stream: &Stream, now: MonoTime) -> Beginning {
    let video = stream.entry.hub.video().filter(|track| viewer.tracks[*track].is_some());
    if video.is_none() {
        return Beginning::At(stream.ring.end());
    }
    let key = newest_key(stream, now).filter(|(position, _)| can_read(viewer, stream, *position));
    if let Some((position, arrived)) = key
        && now.since(arrived) <= YOUNG
    {
        return Beginning::At(position);
    }
    let never = now + LONGEST_WAIT * 2;
    match (stream.entry.hub.ask_keyframe(now), key) {
        (KeyframeAnswer::Spent | KeyframeAnswer::Unable, Some((position, _))) if !stream.entry.fresh => {
            Beginning::At(position)
        }
        _ if stream.entry.fresh => Beginning::AtNextKey { settle_at: never },
        _ => Beginning::AtNextKey { settle_at: now + ASKED_WAIT },
    }
}

/// Whether a viewer with SRTP, told where the rollover counter is, can open what goes out from `position` on.
fn can_read(viewer: &Viewer, stream: &Stream, position: u64) -> bool {
    viewer.tracks.iter().enumerate().all(|(index, track)| {
        let keys = track.as_ref().and_then(|track| track.keys.as_ref());
        let next = keys.zip(stream.ring.next_of(index, position));
        next.is_none_or(|(keys, next)| keys.ours.rollover(next.batch.extended()) >= keys.rollover)
    })
}

/// Whether it is known of each track where it begins.
fn all_flow(viewer: &Viewer, stream: &Stream, position: u64, now: MonoTime) -> bool {
    let flows = |track| match stream.ring.next_of(track, position) {
        Some(_) => true,
        None => stream.ring.newest_of(track).is_some_and(|newest| {
            newest.arrived >= stream.entry.hub.demand().since() && now.since(newest.arrived) < FLOWING
        }),
    };
    (0..viewer.tracks.len()).filter(|track| viewer.tracks[*track].is_some()).all(flows)
}

/// The first packet of each track from `position` on. Sound that is still to come goes on from what came last; a track
/// that has not begun is left out.
fn play_starts(viewer: &Viewer, stream: &Stream, position: u64) -> Vec<PlayStart> {
    let tracks = stream.entry.hub.tracks().iter().enumerate();
    let begins = tracks.filter(|(index, _)| viewer.tracks[*index].is_some()).filter_map(|(index, track)| {
        let (extended, rtptime) = match stream.ring.next_of(index, position) {
            Some(next) => (next.batch.extended(), next.batch.timestamp()),
            None => {
                let last = &stream.ring.newest_of(index)?.batch;
                (last.extended() + last.len() as u64, last.next_timestamp())
            }
        };
        let seq = viewer.tracks[index].as_ref()?.sequence(extended);
        Some(PlayStart { track: track.id, seq, rtptime })
    });
    begins.collect()
}
