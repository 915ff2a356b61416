//! What viewers tell by RTCP: that they are there, what they lose, that they need a key frame, that they leave.

use super::state::State;
use crate::{
    rtp::rtcp::{self, Event},
    rtsp::SessionId,
    stream::KeyframeAnswer,
    time::MonoTime,
};

impl State {
    /// RTCP inside the RTSP connection; `track` is the number in `trackID=`.
    pub fn receive_interleaved(&mut self, session: SessionId, track: u8, packet: &[u8], now: MonoTime) {
        let stream = self.viewers.get(&session).and_then(|viewer| self.streams.get(&viewer.hub));
        let index = stream.and_then(|stream| stream.entry.hub.tracks().iter().position(|other| other.id == track));
        if let Some(index) = index {
            self.receive_report(session, index, packet, now);
        }
    }

    /// RTCP from a viewer, on the way back of one of its tracks.
    pub fn receive_report(&mut self, session: SessionId, track: usize, packet: &[u8], now: MonoTime) {
        let arrival = self.wall.wall(now).ntp();
        let keys = self.viewers.get_mut(&session).and_then(|viewer| viewer.tracks[track].as_mut()?.keys.as_mut());
        let events = match keys {
            // What was not made under its key, or comes again, says nothing.
            Some(keys) => keys.theirs.open(packet).map_or_else(Vec::new, |opened| rtcp::parse(&opened)),
            None => rtcp::parse(packet),
        };
        for event in events {
            let Some(viewer) = self.viewers.get_mut(&session) else { return };
            match event {
                Event::Report { from } => {
                    self.sessions.touch(session, now);
                    if let Some(track) = &mut viewer.tracks[track] {
                        track.feedback.from = Some(from);
                    }
                }
                Event::Block(block) => {
                    let track =
                        (0..2).find(|track| viewer.tracks[*track].as_ref().is_some_and(|it| it.ssrc == block.ssrc));
                    let unsent = track.map_or(0, |track| viewer.unsent(track));
                    if let Some(track) = track.and_then(|track| viewer.tracks[track].as_mut()) {
                        track.feedback.report(&block, track.clock_rate, unsent, (now, arrival));
                    }
                }
                Event::PictureLoss { ssrc } => self.key_frame_wanted(session, ssrc, now),
                Event::FullIntra { ssrc, sequence } => {
                    let track = viewer.tracks.iter_mut().flatten().find(|track| track.ssrc == ssrc);
                    let before = track.and_then(|track| track.feedback.intra_request.replace(sequence));
                    if before != Some(sequence) {
                        self.key_frame_wanted(session, ssrc, now);
                    }
                }
                Event::Bye { ssrc } => self.receiver_left(session, track, ssrc, now),
            }
        }
    }

    /// A decoder cannot go on: a key frame, as far as the viewer's own share and what all share allow.
    fn key_frame_wanted(&mut self, session: SessionId, ssrc: u32, now: MonoTime) {
        let Some(viewer) = self.viewers.get_mut(&session) else { return };
        let Some(stream) = self.streams.get(&viewer.hub) else { return };
        let hub = &stream.entry.hub;
        let is_video = hub.tracks().iter().any(|track| track.video && track.ssrc == ssrc);
        if is_video && viewer.allowance.is_left(now) && hub.ask_keyframe(now) == KeyframeAnswer::Asked {
            viewer.allowance.take(now);
        }
    }

    /// RTCP BYE (RFC 3550 §6.6): nothing more goes out on that track, and with the last one the viewer is gone. Its session
    /// stays until TEARDOWN or its time-out, for TEARDOWN often follows; PLAY and PAUSE are told that it is over.
    fn receiver_left(&mut self, session: SessionId, track: usize, ssrc: u32, now: MonoTime) {
        let Some(viewer) = self.viewers.get_mut(&session) else { return };
        let Some(left) = &mut viewer.tracks[track] else { return };
        // Of another source: it never was the receiver here.
        if left.feedback.from.is_some_and(|from| from != ssrc) {
            return;
        }
        left.gone = true;
        if viewer.tracks.iter().flatten().all(|track| track.gone) {
            self.end_viewer(session, now);
        } else if let Some(cursor) = &mut viewer.cursor {
            cursor.leave_out(track);
        }
    }
}
