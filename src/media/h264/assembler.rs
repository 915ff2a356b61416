use super::{
    nal_type,
    sets::{SequenceSet, Sets},
    slice::{PictureSet, SliceStart},
    splitter::{Begun, Splitter},
};
use crate::{
    media::{AccessUnit, FrameRate, ParameterSets, Size},
    time::MonoTime,
};

/// Several times what the highest level allows a picture of a camera's rates.
const LARGEST_UNIT: usize = 16 << 20;

/// Cuts a camera's H.264 into access units (ITU-T H.264 §7.4.1.2.3 and §7.4.1.2.4), by what the NAL units say and not by
/// how buffers are cut.
///
/// Key pictures carry their parameter sets before them, whether the camera repeats them or not; delimiters, filler and
/// what RFC 6184 has no place for are left out.
#[derive(Debug)]
pub struct Assembler {
    splitter: Splitter,
    units: Units,
    delivery: Delivery,
}

/// One access unit, and what it is.
pub struct Picture<'a> {
    pub unit: &'a AccessUnit,
    pub sets: ParameterSets,
    pub size: Size,
    pub interlaced: bool,
    /// Its level is too low, told and needed, and was raised.
    pub low_level: Option<(u8, u8)>,
    /// It is predicted from two others, one of which may be shown later, though it came before.
    pub bidirectional: bool,
}

/// What an [`Assembler`] finds.
pub enum Found<'a> {
    Picture(Picture<'a>),
    /// A picture lacks a part: what follows builds on it, up to the next key picture.
    Damaged,
    /// A parameter set cannot be read, and so no picture; why.
    Unreadable(String),
}

/// How a driver cuts its buffers. V4L2 asks for one access unit in each (its `V4L2_PIX_FMT_H264`); not all do so.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Delivery {
    /// Not seen yet: an access unit waits for what begins the next buffer.
    Unproven,
    /// Access units end with their buffers and go out at once.
    Whole,
    /// Somewhere an access unit went on in the next buffer: each one waits for the next.
    Pieces,
}

/// The access unit in the making.
#[derive(Debug)]
struct Units {
    fps: FrameRate,
    sets: Sets,
    unit: AccessUnit,
    /// NAL units that belong before the next picture's first slice.
    ahead: Vec<Box<[u8]>>,
    /// The first slice of the unit.
    begun: Option<SliceStart>,
    picture_set: u32,
    bidirectional: bool,
    /// Its first slice, or more, is missing.
    damaged: bool,
    /// What the first NAL unit of the newest buffer said of the one before: whether that one ended an access unit.
    ended_with_buffer: Option<bool>,
    /// The first slice of the unit that went out last, if it did so because its buffer ended.
    sent_early: Option<SliceStart>,
}

impl Assembler {
    /// For a camera of so many pictures a second.
    pub fn new(fps: FrameRate) -> Self {
        let units = Units {
            fps,
            sets: Sets::default(),
            unit: AccessUnit::default(),
            ahead: Vec::new(),
            begun: None,
            picture_set: 0,
            bidirectional: false,
            damaged: false,
            ended_with_buffer: None,
            sent_early: None,
        };
        Self { splitter: Splitter::default(), units, delivery: Delivery::Unproven }
    }

    pub fn set_fps(&mut self, fps: FrameRate) {
        self.units.fps = fps;
    }

    /// Takes the next buffer of the camera; `each` gets what that completes.
    pub fn push(&mut self, bytes: &[u8], stamp: MonoTime, each: &mut dyn FnMut(Found<'_>)) {
        if bytes.is_empty() {
            return;
        }
        let goes_on = self.splitter.open().is_some() || self.delivery == Delivery::Whole;
        if goes_on && !Splitter::begins(bytes) {
            self.in_pieces(each);
        }
        let Self { splitter, units, .. } = self;
        splitter.push(bytes, stamp, &mut |nal, begun| units.nal(nal, begun, each));
        if let Some((nal, begun)) = splitter.open()
            && begins_unit(nal)
        {
            units.at_edge(begun, true);
            units.finish(false, each);
        }
        match units.ended_with_buffer.take() {
            Some(true) if self.delivery == Delivery::Unproven => self.delivery = Delivery::Whole,
            Some(false) => self.in_pieces(each),
            _ => {}
        }
        if self.delivery == Delivery::Whole {
            let Self { splitter, units, .. } = self;
            splitter.end(&mut |nal, begun| units.nal(nal, begun, each));
            units.finish(true, each);
        }
    }

    /// Buffers were lost: what is not whole never will be. How the driver cuts them stays known.
    pub fn reset(&mut self) {
        self.splitter.reset();
        self.units.clear();
    }

    fn in_pieces(&mut self, each: &mut dyn FnMut(Found<'_>)) {
        if self.delivery == Delivery::Whole {
            // The unit before went out too early.
            each(Found::Damaged);
        }
        self.delivery = Delivery::Pieces;
        self.units.sent_early = None;
    }
}

impl Units {
    fn nal(&mut self, nal: &[u8], begun: Begun, each: &mut dyn FnMut(Found<'_>)) {
        match nal_type::of(nal) {
            nal_type::SLICE | nal_type::PARTITION_A | nal_type::IDR_SLICE => self.slice(nal, begun, each),
            nal_type::PARTITION_B | nal_type::PARTITION_C if self.begun.is_some() => self.unit.push_nal(nal),
            kind @ (nal_type::SEI | nal_type::SPS | nal_type::PPS | nal_type::DELIMITER | 14..=18) => {
                // What stands before a picture's first slice ends the picture before.
                self.at_edge(begun, true);
                self.finish(false, each);
                match kind {
                    nal_type::SEI => self.ahead.push(nal.into()),
                    nal_type::SPS => {
                        if let Err(why) = self.sets.sequence(nal, self.fps) {
                            each(Found::Unreadable(why));
                        }
                    }
                    nal_type::PPS if self.sets.picture(nal) => self.ahead.push(nal.into()),
                    _ => {}
                }
                // No picture has so many; without a picture they must not fill the memory.
                self.ahead.truncate(64);
            }
            nal_type::END_OF_SEQUENCE | nal_type::END_OF_STREAM => self.finish(false, each),
            _ => {}
        }
    }

    fn slice(&mut self, nal: &[u8], begun: Begun, each: &mut dyn FnMut(Found<'_>)) {
        let Some(set) = PictureSet::of_slice(nal) else { return self.damaged = true };
        // Without its parameter sets nothing is known of a picture, and nobody could show it.
        let Some((picture_set, sequence)) = self.sets.of(set) else { return };
        let Some(start) = SliceStart::read(nal, picture_set, &sequence.parsed) else { return self.damaged = true };
        match self.begun.or(self.sent_early.take()) {
            Some(before) if start.begins_picture_after(&before) => {
                self.at_edge(begun, true);
                self.finish(false, each);
            }
            Some(_) => self.at_edge(begun, false),
            None => {}
        }
        if self.begun.is_none() {
            self.begun = Some(start);
            self.picture_set = set;
            self.damaged |= start.first_macroblock != 0;
            self.unit.stamp = begun.stamp;
            self.unit.key = nal_type::of(nal) == nal_type::IDR_SLICE;
            self.open(set);
        }
        if start.bidirectional {
            self.bidirectional = true;
            self.sets.reordered(set);
        }
        if self.unit.data.len() + nal.len() > LARGEST_UNIT {
            self.damaged = true;
        } else {
            self.unit.push_nal(nal);
        }
    }

    /// What stands before the first slice.
    fn open(&mut self, set: u32) {
        let ahead = std::mem::take(&mut self.ahead);
        let mut ahead = ahead.iter();
        if let (true, Some(sets)) = (self.unit.key, self.sets.passed(set)) {
            self.unit.push_nal(&sets.sps);
            self.sets.siblings(set).for_each(|pps| self.unit.push_nal(pps));
            ahead.by_ref().filter(|nal| nal_type::of(nal) == nal_type::SEI).for_each(|nal| self.unit.push_nal(nal));
        }
        ahead.for_each(|nal| self.unit.push_nal(nal));
    }

    /// Whether the NAL unit that opens a buffer begins an access unit.
    fn at_edge(&mut self, begun: Begun, begins: bool) {
        if begun.first && (self.begun.is_some() || !begins) {
            self.ended_with_buffer.get_or_insert(begins);
        }
    }

    fn finish(&mut self, early: bool, each: &mut dyn FnMut(Found<'_>)) {
        let Some(begun) = self.begun.take() else { return };
        self.sent_early = early.then_some(begun);
        let (damaged, bidirectional) = (std::mem::take(&mut self.damaged), std::mem::take(&mut self.bidirectional));
        let sets = self.sets.passed(self.picture_set);
        match (self.sets.of(self.picture_set), sets) {
            (Some((_, sequence)), Some(sets)) if !damaged => {
                let SequenceSet { size, interlaced, low_level, .. } = *sequence;
                each(Found::Picture(Picture { unit: &self.unit, sets, size, interlaced, low_level, bidirectional }));
            }
            _ => each(Found::Damaged),
        }
        self.unit.clear();
    }

    fn clear(&mut self) {
        self.unit.clear();
        self.ahead.clear();
        (self.begun, self.sent_early, self.ended_with_buffer) = (None, None, None);
        (self.damaged, self.bidirectional) = (false, false);
    }
}

/// Whether a NAL unit of which only the beginning is there is known to begin an access unit: it is of a kind that stands
/// before the first slice, or a slice whose `first_mb_in_slice` is 0, which is a single bit.
fn begins_unit(nal: &[u8]) -> bool {
    match nal_type::of(nal) {
        nal_type::SLICE | nal_type::PARTITION_A | nal_type::IDR_SLICE => {
            nal.get(1).is_some_and(|byte| byte & 0x80 != 0)
        }
        nal_type::SEI | nal_type::SPS | nal_type::PPS | nal_type::DELIMITER | 14..=18 => true,
        _ => false,
    }
}
