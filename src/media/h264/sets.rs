use super::{level, low_delay_sps, slice::PictureSet};
use crate::media::{FrameRate, ParameterSets, Size};
use h264_reader::{
    nal::sps::{FrameMbsFlags, SeqParameterSet},
    rbsp::{BitReader, decode_nal},
};
use std::{collections::BTreeMap, sync::Arc};

/// Real ones take some 20 bytes, with scaling lists some hundred.
const LARGEST_SET: usize = 4096;

/// The parameter sets found in a stream, by their ids: at most 32 and 256 (ITU-T H.264 §7.4.2).
#[derive(Debug, Default)]
pub struct Sets {
    sequences: BTreeMap<u32, SequenceSet>,
    pictures: BTreeMap<u32, (PictureSet, Arc<[u8]>)>,
}

/// A sequence parameter set and what it is passed on as.
#[derive(Debug)]
pub struct SequenceSet {
    raw: Box<[u8]>,
    pub parsed: SeqParameterSet,
    pub size: Size,
    pub interlaced: bool,
    /// It tells a level that is too low for its size and rate, as `level_idc`s: told, needed.
    pub low_level: Option<(u8, u8)>,
    /// Pictures are reordered: it says so itself, or one was seen.
    pub reordered: bool,
    fps: FrameRate,
    passed: Arc<[u8]>,
}

impl SequenceSet {
    /// # Errors
    /// Why `raw` cannot be read.
    fn read(raw: &[u8], fps: FrameRate) -> Result<(u32, Self), String> {
        let unreadable = |e: &dyn std::fmt::Debug| format!("its sequence parameter set cannot be read: {e:?}");
        if raw.len() > LARGEST_SET {
            return Err(unreadable(&"too large"));
        }
        let rbsp = decode_nal(raw).map_err(|e| unreadable(&e))?;
        let parsed = SeqParameterSet::from_bits(BitReader::new(rbsp.as_ref())).map_err(|e| unreadable(&e))?;
        let (width, height) = parsed.pixel_dimensions().map_err(|e| unreadable(&e))?;
        let restrictions = parsed.vui_parameters.as_ref().and_then(|vui| vui.bitstream_restrictions.as_ref());
        let reordered = restrictions.is_some_and(|restrictions| restrictions.max_num_reorder_frames > 0);
        let interlaced = matches!(parsed.frame_mbs_flags, FrameMbsFlags::Fields { .. });
        let rows = u64::from(parsed.pic_height_in_map_units()) * if interlaced { 2 } else { 1 };
        let needed = level::needed(u64::from(parsed.pic_width_in_mbs()) * rows, fps);
        let low_level = (parsed.level_idc < needed).then_some((parsed.level_idc, needed));
        let id = u32::from(parsed.seq_parameter_set_id.id());
        let (raw, size) = (Box::from(raw), Size::new(width, height));
        let mut set = Self { raw, parsed, size, interlaced, low_level, reordered, fps, passed: Arc::default() };
        set.rewrite();
        Ok((id, set))
    }

    /// As it came, but for a level that would keep a decoder from trying; and, where nothing is reordered and the set can
    /// tell it, saying so.
    fn rewrite(&mut self) {
        let mut set = self.raw.to_vec();
        if let (Some((_, needed)), Some(level)) = (self.low_level, set.get_mut(3)) {
            *level = needed;
        }
        if !self.reordered
            && let Ok(telling) = low_delay_sps(&set, self.fps)
        {
            set = telling;
        }
        self.passed = set.into();
    }
}

impl Sets {
    /// Keeps a sequence parameter set of a stream of `fps` pictures a second.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn sequence(&mut self, nal: &[u8], fps: FrameRate) -> Result<(), String> {
        if self.sequences.values().any(|set| *set.raw == *nal && set.fps == fps) {
            return Ok(());
        }
        let (id, set) = SequenceSet::read(nal, fps)?;
        self.sequences.insert(id, set);
        Ok(())
    }

    /// Keeps a picture parameter set; whether it was unknown.
    pub fn picture(&mut self, nal: &[u8]) -> bool {
        let Some(set) = PictureSet::read(nal).filter(|_| nal.len() <= LARGEST_SET) else { return false };
        match self.pictures.get(&set.id) {
            Some((_, known)) if **known == *nal => false,
            _ => {
                self.pictures.insert(set.id, (set, nal.into()));
                true
            }
        }
    }

    /// The sets that a slice is read by.
    pub fn of(&self, picture_set: u32) -> Option<(&PictureSet, &SequenceSet)> {
        let (picture, _) = self.pictures.get(&picture_set)?;
        Some((picture, self.sequences.get(&picture.sequence_set)?))
    }

    /// The sets that a slice refers to, as they are passed on.
    pub fn passed(&self, picture_set: u32) -> Option<ParameterSets> {
        let (picture, pps) = self.pictures.get(&picture_set)?;
        let sps = self.sequences.get(&picture.sequence_set)?.passed.clone();
        Some(ParameterSets { sps, pps: pps.clone() })
    }

    /// All picture parameter sets that belong to the same sequence parameter set, as they are passed on.
    pub fn siblings(&self, picture_set: u32) -> impl Iterator<Item = &[u8]> {
        let sequence = self.pictures.get(&picture_set).map(|(set, _)| set.sequence_set);
        self.pictures.values().filter(move |(set, _)| Some(set.sequence_set) == sequence).map(|(_, nal)| &**nal)
    }

    /// Pictures of that set were seen to be reordered: its sequence parameter set no longer says they are not.
    pub fn reordered(&mut self, picture_set: u32) {
        let Some(sequence) = self.pictures.get(&picture_set).map(|(set, _)| set.sequence_set) else { return };
        if let Some(set) = self.sequences.get_mut(&sequence)
            && !set.reordered
        {
            set.reordered = true;
            set.rewrite();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::h264::tests::BARE;
    use h264_reader::nal::{NalHeader, WritableNal};

    #[test]
    fn a_set_with_more_reference_frames_than_its_level_allows_passes_as_it_came() {
        let rbsp = decode_nal(&BARE).unwrap();
        let mut set = SeqParameterSet::from_bits(BitReader::new(rbsp.as_ref())).unwrap();
        for (frames, same) in [(4, false), (12, true)] {
            set.max_num_ref_frames = frames;
            let raw = set.to_vec_with_header(NalHeader::new(0x67).unwrap());
            let (_, read) = SequenceSet::read(&raw, FrameRate::new(30, 1)).unwrap();
            assert_eq!(*raw == *read.passed, same, "{frames}");
        }
    }
}
