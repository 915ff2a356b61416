use super::{Outcome, Viewer};
use std::ops::Range;

/// The most segments, and octets, of one message with UDP_SEGMENT.
const MOST_SEGMENTS: usize = 64;
const MOST_BYTES: usize = 65_000;

/// Kinds of NAL units (RFC 6184 §5.2).
const SPS: u8 = 7;
const STAP_A: u8 = 24;
/// Access units between two IDR pictures of a stream that nobody joins.
const LEAST: usize = 30;

/// From one IDR picture to the next, as a server sent it.
pub struct Recording {
    pub units: Vec<Unit>,
}

/// The packets of one access unit.
#[derive(Clone, Default)]
pub struct Unit {
    /// Back to back.
    pub bytes: Vec<u8>,
    /// Where each ends.
    pub ends: Vec<usize>,
}

impl Recording {
    /// Records what comes to a viewer over UDP that plays.
    ///
    /// # Errors
    /// Nothing comes.
    pub fn make(viewer: &mut Viewer) -> Outcome<Self> {
        let (mut units, mut packet, mut timestamp, mut begun) = (Vec::<Unit>::new(), Vec::new(), None, false);
        loop {
            if !viewer.packet(&mut packet)? || packet.len() < 14 {
                continue;
            }
            let this = [packet[4], packet[5], packet[6], packet[7]];
            if timestamp.replace(this) != Some(this) {
                // The parameter sets come first of an access unit with an IDR picture.
                let key = match packet[12] & 31 {
                    STAP_A => packet.get(15).is_some_and(|nal| nal & 31 == SPS),
                    kind => kind == SPS,
                };
                if key && units.len() > LEAST {
                    return Ok(Self { units });
                }
                // Of a stream that has just been joined, the first may be followed by another at once.
                if key {
                    units.clear();
                }
                begun |= key;
                units.push(Unit::default());
            }
            if begun && let Some(unit) = units.last_mut() {
                unit.push(&packet);
            } else {
                units.clear();
            }
        }
    }

    /// In the mean, with all packets' headers, of RTP alone.
    pub fn bytes_per_unit(&self) -> f64 {
        self.units.iter().map(|unit| unit.bytes.len()).sum::<usize>() as f64 / self.units.len().max(1) as f64
    }
}

impl Unit {
    fn push(&mut self, packet: &[u8]) {
        self.bytes.extend_from_slice(packet);
        self.ends.push(self.bytes.len());
    }

    fn packets(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).map(|index| {
            let start = if index == 0 { 0 } else { self.ends[index - 1] };
            &self.bytes[start..self.ends[index]]
        })
    }

    /// Cut into pieces of whole packets, the first of up to `first` bytes, the others of about `other`.
    pub fn pieces(&self, first: usize, other: usize) -> Vec<Unit> {
        let mut pieces = vec![Unit::default()];
        for packet in self.packets() {
            let full = if pieces.len() == 1 { first } else { other };
            let last = pieces.last_mut().expect("one at least");
            if last.bytes.len() + packet.len() <= full || last.bytes.is_empty() {
                last.push(packet);
            } else {
                let mut next = Unit::default();
                next.push(packet);
                pieces.push(next);
            }
        }
        pieces
    }

    /// Runs of equal segments, and the length of those.
    pub fn runs(&self) -> Vec<(Range<usize>, usize)> {
        let mut runs: Vec<(Range<usize>, usize)> = Vec::new();
        for packet in self.packets() {
            let start = runs.last().map_or(0, |(range, _)| range.end);
            let length = packet.len();
            match runs.last_mut() {
                Some((range, segment))
                    if length <= *segment
                        && range.len().is_multiple_of(*segment)
                        && range.len() / *segment < MOST_SEGMENTS
                        && range.len() + length <= MOST_BYTES =>
                {
                    range.end += length;
                }
                _ => runs.push((start..start + length, length)),
            }
        }
        runs
    }

    /// In `$` framing on channel 0 (RFC 2326 §10.12).
    pub fn framed(&self) -> Vec<u8> {
        let mut framed = Vec::with_capacity(self.bytes.len() + self.ends.len() * 4);
        for packet in self.packets() {
            framed.extend_from_slice(&[b'$', 0]);
            framed.extend_from_slice(&(packet.len() as u16).to_be_bytes());
            framed.extend_from_slice(packet);
        }
        framed
    }
}
