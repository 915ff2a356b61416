use super::ring::{Entry, KEPT, Ring};

/// A viewer's place in a [`Ring`].
///
/// It starts at a key frame and goes on entry by entry. Once it is more than two seconds behind, it drops what lies
/// between and gets nothing until the next key frame, and asks for none.
#[derive(Debug)]
pub struct Cursor {
    position: u64,
    /// By index into the hub's tracks.
    wants: [bool; 2],
    needs_key: bool,
    dropped: u64,
    /// The packets of those, by track; of access units that the ring let go of nobody knows them.
    unsent: [u64; 2],
}

impl Cursor {
    /// Starts at `position`, which is a key frame's unless no video is wanted.
    pub fn new(position: u64, wants: [bool; 2]) -> Self {
        Self { position, wants, needs_key: false, dropped: 0, unsent: [0; 2] }
    }

    /// The entry to send next; stays until [`Cursor::advance`].
    pub fn entry<'r>(&mut self, ring: &'r Ring) -> Option<&'r Entry> {
        self.keep_up(ring);
        loop {
            let entry = ring.entry(self.position)?;
            let key = entry.video && entry.batch.key();
            if self.wants[entry.track] && (!self.needs_key || key) {
                self.needs_key = false;
                return Some(entry);
            }
            self.leave(entry);
            self.position += 1;
        }
    }

    /// Nothing more of `track` is wanted.
    pub fn leave_out(&mut self, track: usize) {
        self.wants[track] = false;
    }

    /// The entry is sent.
    pub fn advance(&mut self) {
        self.position += 1;
    }

    /// Where it is in the ring.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Access units dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Packets of a track that were dropped with them.
    pub fn unsent(&self, track: usize) -> u64 {
        self.unsent[track]
    }

    /// Drops an entry, if it is of a track that is wanted.
    fn leave(&mut self, entry: &Entry) {
        if self.wants[entry.track] {
            self.dropped += 1;
            self.unsent[entry.track] += entry.batch.len() as u64;
        }
    }

    fn keep_up(&mut self, ring: &Ring) {
        let oldest_allowed = ring.newest().saturating_sub(KEPT);
        let late = match ring.entry(self.position) {
            Some(entry) => entry.arrived < oldest_allowed,
            None => self.position < ring.first(),
        };
        if !late {
            return;
        }
        let wants_video =
            (0..2).any(|track| self.wants[track] && ring.newest_of(track).is_some_and(|entry| entry.video));
        let to = match ring.last_key(ring.newest()) {
            Some((key, arrived)) if wants_video && key > self.position && arrived >= oldest_allowed => key,
            _ => ring.end(),
        };
        let skipped = (self.position.max(ring.first())..to).filter_map(|position| ring.entry(position));
        // What the ring has let go of cannot be looked at any more and counts as a whole.
        self.dropped += ring.first().saturating_sub(self.position);
        skipped.for_each(|entry| self.leave(entry));
        self.needs_key = wants_video;
        self.position = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        media::{AccessUnit, AudioCodec, AudioFormat, FrameRate, H264Format, ParameterSets, Size, TrackFormat},
        rtp::Packetizer,
        time::MonoTime,
    };
    use std::sync::Arc;

    /// A stream at 25 fps with sound, made access unit by access unit.
    struct Stream {
        ring: Ring,
        packetizers: [Packetizer; 2],
        now: MonoTime,
    }

    impl Stream {
        fn new() -> Self {
            let parameter_sets = ParameterSets { sps: Arc::new([0x67, 66, 0xc0, 30]), pps: Arc::new([0x68]) };
            let (size, fps) = (Size::new(640, 360), FrameRate::new(25, 1));
            let video = TrackFormat::H264(H264Format { size, fps, bitrate: 1_000_000, parameter_sets });
            let audio = TrackFormat::Audio(AudioFormat { codec: AudioCodec::Pcmu, rate: 8000, channels: 1 });
            let packetizers = [Packetizer::new(&video, 1360, 1, 0, 0), Packetizer::new(&audio, 1360, 2, 0, 0)];
            Self { ring: Ring::default(), packetizers, now: MonoTime::from_nanos(1_000_000_000) }
        }

        fn push(&mut self, track: usize, key: bool) {
            let mut unit = AccessUnit { stamp: self.now, key, samples: 320, ..AccessUnit::default() };
            unit.push_nal(&[0x65; 320]);
            let batch = self.packetizers[track].packetize(&unit);
            self.ring.push(Entry { track, video: track == 0, batch, arrived: self.now });
        }

        /// Frames of 40 ms, the first a key frame, each followed by its sound.
        fn frames(&mut self, count: usize, key: bool) {
            for frame in 0..count {
                self.push(0, key && frame == 0);
                self.push(1, true);
                self.now += std::time::Duration::from_millis(40);
            }
        }
    }

    fn read(cursor: &mut Cursor, ring: &Ring, most: usize) -> Vec<(usize, bool)> {
        let mut seen = Vec::new();
        while seen.len() < most
            && let Some(entry) = cursor.entry(ring)
        {
            seen.push((entry.track, entry.batch.key() && entry.video));
            cursor.advance();
        }
        seen
    }

    #[test]
    fn the_ring_keeps_two_seconds_and_back_to_the_last_key_frame() {
        let mut stream = Stream::new();
        stream.frames(25, true);
        stream.frames(200, true);
        let (key, stamp) = stream.ring.last_key(stream.now).unwrap();
        assert_eq!((key, stamp), (50, MonoTime::from_nanos(2_000_000_000)));
        assert_eq!(stream.ring.first(), 50, "9 s since the last key frame are kept, and nothing before it");
        stream.frames(1, true);
        assert!(stream.ring.first() > 300 && stream.ring.first() < 410, "{}", stream.ring.first());
    }

    #[test]
    fn without_a_second_key_frame_the_ring_does_not_grow_for_ever() {
        let mut stream = Stream::new();
        stream.frames(25 * 3600, true);
        assert!(stream.ring.end() - stream.ring.first() < 2 * 25 * 62);
        assert!(stream.ring.last_key(stream.now).is_none());
    }

    #[test]
    fn a_ring_at_rest_offers_no_key_frame() {
        let mut stream = Stream::new();
        stream.frames(25, true);
        assert!(stream.ring.last_key(stream.now + KEPT / 2).is_some());
        assert!(stream.ring.last_key(stream.now + KEPT).is_none());
    }

    #[test]
    fn a_viewer_sees_everything_in_order_and_only_its_tracks() {
        let mut stream = Stream::new();
        stream.frames(10, true);
        assert_eq!(read(&mut Cursor::new(0, [true, true]), &stream.ring, 100).len(), 20);
        let mut silent = Cursor::new(0, [true, false]);
        assert_eq!(read(&mut silent, &stream.ring, 100).len(), 10);
        assert_eq!(silent.dropped(), 0);
    }

    #[test]
    fn two_seconds_behind_means_on_to_the_next_key_frame_and_nothing_before() {
        let mut stream = Stream::new();
        stream.frames(25, true);
        let mut cursor = Cursor::new(0, [true, true]);
        assert_eq!(read(&mut cursor, &stream.ring, 4).len(), 4);
        // Two seconds later there has been no key frame since.
        stream.frames(60, false);
        assert_eq!(read(&mut cursor, &stream.ring, 100), []);
        stream.frames(5, false);
        assert_eq!(read(&mut cursor, &stream.ring, 100), [], "not before the next key frame");
        stream.frames(5, true);
        let seen = read(&mut cursor, &stream.ring, 100);
        assert_eq!((seen[0], seen.len()), ((0, true), 10));
        assert_eq!(cursor.dropped(), 2 * (25 + 60 + 5) - 4);
    }

    #[test]
    fn a_late_viewer_jumps_to_a_key_frame_that_is_in_the_ring() {
        let mut stream = Stream::new();
        stream.frames(25, true);
        let mut cursor = Cursor::new(0, [true, true]);
        assert_eq!(read(&mut cursor, &stream.ring, 2).len(), 2);
        stream.frames(40, true);
        let seen = read(&mut cursor, &stream.ring, 100);
        assert_eq!((seen[0], seen.len()), ((0, true), 80));
        assert_eq!(cursor.dropped(), 48);
    }

    #[test]
    fn sound_alone_needs_no_key_frame() {
        let mut stream = Stream::new();
        stream.frames(25, true);
        let mut cursor = Cursor::new(stream.ring.end(), [false, true]);
        stream.frames(100, false);
        assert_eq!(read(&mut cursor, &stream.ring, 100), [], "late: on to the live edge");
        stream.frames(3, false);
        assert_eq!(read(&mut cursor, &stream.ring, 100).len(), 3);
    }
}
