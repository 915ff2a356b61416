use crate::time::MonoTime;
use std::ops::Range;

/// One coded picture, or one coded block of sound (RFC 6184 §1.2 and RFC 3640 §1 use the term for both).
///
/// An encoder fills one and the same unit again and again, so that its memory is allocated once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccessUnit {
    /// The coded bytes. H.264: the NAL units one after the other, without start codes and lengths.
    pub data: Vec<u8>,
    /// Where in `data` each NAL unit lies, in order. Everything but H.264: one range over all of `data`.
    pub nals: Vec<Range<usize>>,
    /// Decoding may begin here: an IDR picture with its parameter sets before it. True for all sound.
    pub key: bool,
    /// When the picture, or the first sample, was taken.
    pub stamp: MonoTime,
    /// Sound: how many samples per channel at the RTP clock's rate. Video: 0.
    pub samples: u32,
}

impl AccessUnit {
    /// Empties it and keeps the memory.
    pub fn clear(&mut self) {
        self.data.clear();
        self.nals.clear();
        self.key = false;
        self.samples = 0;
    }

    /// Appends one NAL unit (without start code), or the one payload of a block of sound.
    pub fn push_nal(&mut self, nal: &[u8]) {
        let start = self.data.len();
        self.data.extend_from_slice(nal);
        self.nals.push(start..self.data.len());
    }

    pub fn nals(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.nals.iter().map(|range| &self.data[range.clone()])
    }
}
