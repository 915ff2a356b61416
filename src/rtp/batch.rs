use super::{
    forms::Forms,
    framing::{Framed, Framing},
    header::Header,
    pool::wastes,
    srtp::Protection,
};
use crate::time::MonoTime;
use std::{ops::Range, sync::Arc};

/// The most segments that Linux cuts one UDP_SEGMENT send into (UDP_MAX_SEGMENTS before Linux 6.9).
pub const MAX_RUN_SEGMENTS: usize = 64;
/// The most octets of one UDP_SEGMENT send: an IP packet's 65,535 less the headers, rounded down.
pub const MAX_RUN_BYTES: usize = 65_000;

/// One access unit as packets, made once for all viewers: same SSRC, sequence numbers and timestamps for each.
///
/// Shared as `Arc<PacketBatch>`. Empty only if the access unit held nothing to send.
#[derive(Debug, Default)]
pub struct PacketBatch {
    /// All packets back to back.
    bytes: Vec<u8>,
    /// Where each packet ends in `bytes`.
    ends: Vec<u32>,
    runs: Vec<Run>,
    framed: Forms<Framing, Framed>,
    /// By [`Protection::id`].
    protected: Forms<u64, Arc<PacketBatch>>,
    about: About,
}

/// What all packets of a batch have in common.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct About {
    pub ssrc: u32,
    /// Of the first packet.
    pub extended: u64,
    /// Of the first packet.
    pub timestamp: u32,
    pub next_timestamp: u32,
    pub stamp: MonoTime,
    pub key: bool,
    pub packets_before: u32,
    pub octets_before: u32,
}

/// Packets that one `sendmsg` with UDP_SEGMENT can carry: at most [`MAX_RUN_SEGMENTS`] of them, at most
/// [`MAX_RUN_BYTES`] octets, all but the last of equal length and the last no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Into [`PacketBatch::bytes`].
    pub range: Range<usize>,
    /// The length of each packet but the last, in octets: what UDP_SEGMENT is set to.
    pub segment: usize,
}

impl PacketBatch {
    /// Makes it anew, in the memory that it has: `write` gets it empty, all packets back to back and where each ends.
    pub(super) fn refill(&mut self, write: impl FnOnce(&mut Vec<u8>, &mut Vec<u32>) -> About) {
        self.framed.begin_anew();
        self.protected.begin_anew();
        self.bytes.clear();
        self.ends.clear();
        self.about = write(&mut self.bytes, &mut self.ends);
        self.find_runs();
    }

    /// How many octets of packets fit into the memory that it has.
    pub(super) fn room(&self) -> usize {
        self.bytes.capacity()
    }

    /// How many packets.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// One whole RTP packet. Panics if there are not more than `index`.
    pub fn packet(&self, index: usize) -> &[u8] {
        &self.bytes[self.offset(index)..self.ends[index] as usize]
    }

    pub fn packets(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.packet(index))
    }

    /// All packets back to back.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All packets as runs of equal segments, in order and without gap.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// All packets framed for a connection. Made when first asked for; after that, asking neither locks nor allocates.
    pub fn framed(&self, framing: Framing) -> &Framed {
        self.framed.form(framing, |framed| framed.refill(framing, self))
    }

    /// The same packets as they go to those who share a key. Made once, as [`PacketBatch::framed`].
    pub fn protected(&self, protection: &Protection) -> &Arc<PacketBatch> {
        self.protected.form(protection.id(), |protected| {
            if Arc::get_mut(protected).is_none_or(|batch| wastes(batch.room(), self.bytes.len())) {
                *protected = Arc::default();
            }
            let about = About { extended: protection.index(self.about.extended), ..self.about };
            Arc::get_mut(protected).expect("nobody else has it").refill(|bytes, ends| {
                protection.protect(self, bytes, ends);
                about
            });
        })
    }

    pub fn ssrc(&self) -> u32 {
        self.about.ssrc
    }

    pub fn first_sequence(&self) -> u16 {
        self.about.extended as u16
    }

    /// The number of the first packet, which does not wrap: its lowest 16 bits are the sequence number, those above count
    /// how often that began anew.
    pub fn extended(&self) -> u64 {
        self.about.extended
    }

    /// The RTP timestamp of the first packet. Those of a picture are all equal, sound counts on from it.
    pub fn timestamp(&self) -> u32 {
        self.about.timestamp
    }

    /// Sound: the RTP timestamp that the next batch will have if no gap comes between.
    pub fn next_timestamp(&self) -> u32 {
        self.about.next_timestamp
    }

    /// When the picture, or the first sample, was taken.
    pub fn stamp(&self) -> MonoTime {
        self.about.stamp
    }

    /// Whether decoding may begin here.
    pub fn key(&self) -> bool {
        self.about.key
    }

    /// Packets of the track before this batch, modulo 2^32: what a sender report counts (RFC 3550 §6.4.1).
    pub fn packets_before(&self) -> u32 {
        self.about.packets_before
    }

    /// Payload octets of the track before this batch, without RTP headers, modulo 2^32 (RFC 3550 §6.4.1).
    pub fn octets_before(&self) -> u32 {
        self.about.octets_before
    }

    /// Payload octets of this batch, without RTP headers.
    pub fn octets(&self) -> u32 {
        (self.bytes.len() - self.len() * Header::SIZE) as u32
    }

    fn offset(&self, index: usize) -> usize {
        if index == 0 { 0 } else { self.ends[index - 1] as usize }
    }

    fn find_runs(&mut self) {
        self.runs.clear();
        let mut start = 0;
        for end in self.ends.iter().map(|end| *end as usize) {
            match self.runs.last_mut() {
                Some(run) if run.takes(end - start) => run.range.end = end,
                _ => self.runs.push(Run { range: start..end, segment: end - start }),
            }
            start = end;
        }
    }
}

impl Run {
    /// How many packets.
    pub fn segments(&self) -> usize {
        self.range.len().div_ceil(self.segment)
    }

    /// Whether a further packet of `length` octets may follow: none may after a shorter one.
    fn takes(&self, length: usize) -> bool {
        length <= self.segment
            && self.range.len().is_multiple_of(self.segment)
            && self.segments() < MAX_RUN_SEGMENTS
            && self.range.len() + length <= MAX_RUN_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::websocket_message;
    use proptest::prelude::*;

    fn batch(lengths: &[usize]) -> PacketBatch {
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for (index, length) in lengths.iter().enumerate() {
            bytes.resize(bytes.len() + length, index as u8);
            ends.push(bytes.len() as u32);
        }
        let about = About {
            next_timestamp: 0,
            ssrc: 1,
            extended: 2,
            timestamp: 3,
            stamp: MonoTime::ZERO,
            key: false,
            packets_before: 4,
            octets_before: 5,
        };
        let mut batch = PacketBatch::default();
        batch.refill(|to, ends_to| {
            to.extend(bytes);
            ends_to.extend(ends);
            about
        });
        batch
    }

    fn segments(lengths: &[usize]) -> Vec<(usize, usize)> {
        batch(lengths).runs().iter().map(|run| (run.segment, run.segments())).collect()
    }

    #[test]
    fn a_run_ends_with_a_shorter_packet_or_before_a_longer_one() {
        assert_eq!(segments(&[]), []);
        assert_eq!(segments(&[50, 1350, 1350, 1349, 1200, 1200]), [(50, 1), (1350, 3), (1200, 2)]);
    }

    #[test]
    fn a_run_ends_at_64_segments_or_65_000_octets() {
        assert_eq!(segments(&[100; 150]), [(100, 64), (100, 64), (100, 22)]);
        assert_eq!(segments(&[1350; 50]), [(1350, 48), (1350, 2)]);
    }

    const fn tcp(channel: u8) -> Framing {
        Framing { channel, websocket: false }
    }

    #[test]
    fn each_channel_is_framed_once() {
        let batch = batch(&[20, 12]);
        let first = batch.framed(tcp(2)).bytes().as_ptr();
        let expected: Vec<u8> = [vec![b'$', 0, 0, 20], vec![0; 20], vec![b'$', 0, 0, 12], vec![1; 12]].concat();
        assert_eq!(batch.framed(tcp(0)).bytes(), &expected);
        assert_eq!(batch.framed(tcp(2)).bytes()[24..28], [b'$', 2, 0, 12]);
        assert_eq!(batch.framed(tcp(2)).bytes().as_ptr(), first);
        assert_eq!([0, 1, 24, 25, 40].map(|at| batch.framed(tcp(0)).boundary(at)), [0, 24, 24, 40, 40]);
    }

    #[test]
    fn in_a_websocket_each_packet_is_a_message() {
        let batch = batch(&[20, 200]);
        let framing = Framing { channel: 2, websocket: true };
        let framed = batch.framed(framing);
        let expected =
            [vec![0x82, 24, b'$', 2, 0, 20], vec![0; 20], vec![0x82, 126, 0, 204, b'$', 2, 0, 200], vec![1; 200]];
        assert_eq!(framed.bytes(), &expected.concat());
        assert_eq!([0, 1, 26, 27].map(|at| framed.boundary(at)), [0, 26, 26, 234]);
        assert_eq!(batch.framed(framing).bytes().as_ptr(), framed.bytes().as_ptr(), "once for all");
        assert_ne!(batch.framed(tcp(2)).bytes().len(), framed.bytes().len());
        assert_eq!(websocket_message(&[7; 3]), [0x82, 3, 7, 7, 7].as_slice());
    }

    #[test]
    fn channels_asked_for_at_once_do_not_mix() {
        let batch = batch(&[100; 20]);
        std::thread::scope(|scope| {
            for channel in (0..40).map(|index| index % 10) {
                let batch = &batch;
                scope.spawn(move || assert_eq!(batch.framed(tcp(channel)).bytes()[..2], [b'$', channel]));
            }
        });
    }

    proptest! {
        #[test]
        fn runs_hold_every_packet_and_keep_the_rules(lengths in prop::collection::vec(13usize..1350, 0..300)) {
            let batch = batch(&lengths);
            let mut cut = Vec::new();
            for run in batch.runs() {
                prop_assert!(run.range.len() <= MAX_RUN_BYTES && run.segments() <= MAX_RUN_SEGMENTS);
                cut.extend(batch.bytes()[run.range.clone()].chunks(run.segment));
            }
            prop_assert!(cut.iter().copied().eq(batch.packets()));
            prop_assert_eq!(batch.packets().collect::<Vec<_>>().concat(), batch.bytes().to_vec());
        }
    }
}
