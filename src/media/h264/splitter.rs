use crate::time::MonoTime;

/// No camera sends a larger NAL unit; a stream without start codes must not fill the memory.
const LARGEST_NAL: usize = 8 << 20;

/// Cuts a byte stream (ITU-T H.264 Annex B) into NAL units, wherever its buffers are cut.
#[derive(Debug, Default)]
pub struct Splitter {
    /// What came of the NAL unit that is not ended yet. Before the first start code: the zeros at the end.
    open: Vec<u8>,
    /// Where the open one began; None before the first start code.
    begun: Option<Begun>,
}

/// Of the buffer in which a NAL unit begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Begun {
    /// The stamp of that buffer.
    pub stamp: MonoTime,
    /// It is the first thing in that buffer.
    pub first: bool,
}

impl Splitter {
    /// Takes one buffer. `each` gets the NAL units that a start code ends, without start code and zeros behind.
    pub fn push(&mut self, bytes: &[u8], stamp: MonoTime, each: &mut dyn FnMut(&[u8], Begun)) {
        let mut rest = bytes;
        // A start code may lie across the edge: its zeros in what is open.
        let zeros = self.open.iter().rev().take_while(|byte| **byte == 0).count();
        let mut code = match bytes {
            [1, ..] if zeros >= 2 => Some((0, 1)),
            [0, 1, ..] if zeros >= 1 => Some((0, 2)),
            _ => find_start_code(bytes),
        };
        while let Some((end, next)) = code {
            self.open.extend_from_slice(&rest[..end]);
            self.end(each);
            let first = rest.len() == bytes.len() && rest[..end].iter().all(|byte| *byte == 0);
            self.begun = Some(Begun { stamp, first });
            rest = &rest[next..];
            code = find_start_code(rest);
        }
        self.open.extend_from_slice(rest);
        if self.begun.is_none() {
            let zeros = self.open.iter().rev().take_while(|byte| **byte == 0).count().min(2);
            self.open.drain(..self.open.len() - zeros);
        } else if self.open.len() > LARGEST_NAL {
            self.reset();
        }
    }

    /// What is there of the NAL unit that is not ended yet.
    pub fn open(&self) -> Option<(&[u8], Begun)> {
        Some((&self.open, self.begun?))
    }

    /// The open NAL unit is known to be whole.
    pub fn end(&mut self, each: &mut dyn FnMut(&[u8], Begun)) {
        let length = self.open.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if let Some(begun) = self.begun.take()
            && length > 0
        {
            each(&self.open[..length], begun);
        }
        self.open.clear();
    }

    /// What follows does not go on from what came.
    pub fn reset(&mut self) {
        self.open.clear();
        self.begun = None;
    }

    /// Whether a buffer begins with a start code, as one does that goes on from nothing.
    pub fn begins(bytes: &[u8]) -> bool {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        zeros >= 2 && bytes.get(zeros) == Some(&1)
    }
}

/// Where the next start code, `00 00 01`, begins and ends.
fn find_start_code(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut at = 0;
    while let Some(window) = bytes.get(at..at + 3) {
        match window {
            [0, 0, 1] => return Some((at, at + 3)),
            // Neither of its zeros can be here.
            [_, _, 2..=255] => at += 3,
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pushes pieces that end at `cuts`, and ends.
    fn split(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
        let (mut splitter, mut nals) = (Splitter::default(), Vec::new());
        let mut each = |nal: &[u8], _: Begun| nals.push(nal.to_vec());
        let mut from = 0;
        for cut in cuts.iter().copied().chain([bytes.len()]) {
            splitter.push(&bytes[from..cut], MonoTime::ZERO, &mut each);
            from = cut;
        }
        splitter.end(&mut each);
        nals
    }

    #[test]
    fn start_codes_of_three_and_four_bytes_and_zeros_behind() {
        let bytes = [9, 9, 0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 0, 0, 0, 1, 0x65, 3, 0, 0, 3, 0];
        assert_eq!(split(&bytes, &[]), [vec![0x67, 1], vec![0x68, 2], vec![0x65, 3, 0, 0, 3]]);
    }

    #[test]
    fn a_nal_unit_knows_where_it_began() {
        let (mut splitter, mut seen) = (Splitter::default(), Vec::new());
        let at = MonoTime::from_nanos;
        splitter.push(&[0, 0, 0, 1, 0x67, 5, 0, 0, 1, 0x68, 5], at(1), &mut |nal, begun| seen.push((nal[0], begun)));
        splitter.push(&[6, 6], at(2), &mut |nal, begun| seen.push((nal[0], begun)));
        splitter.push(&[0, 0, 0, 1, 0x65, 5], at(3), &mut |nal, begun| seen.push((nal[0], begun)));
        splitter.end(&mut |nal, begun| seen.push((nal[0], begun)));
        let begun = |stamp, first| Begun { stamp: at(stamp), first };
        assert_eq!(seen, [(0x67, begun(1, true)), (0x68, begun(1, false)), (0x65, begun(3, true))]);
        assert!(Splitter::begins(&[0, 0, 1, 9]) && Splitter::begins(&[0, 0, 0, 1]));
        assert!(!Splitter::begins(&[0, 1, 9]) && !Splitter::begins(&[9, 0, 0, 1]) && !Splitter::begins(&[0, 0]));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_buffers_are_cut(
            // Many zeros and ones, so that start codes come up and are cut.
            bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(0), Just(1), any::<u8>()], 0..200),
            mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut cuts: Vec<_> = cuts.drain(..).map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let whole = split(&bytes, &[]);
            prop_assert!(whole.iter().all(|nal| !nal.is_empty() && nal.last() != Some(&0)));
            prop_assert_eq!(split(&bytes, &cuts), whole);
        }
    }
}
