//! H.264 by the board's own encoder, a stateful memory-to-memory device of V4L2 (Raspberry Pi 3, 4 and Zero 2 W:
//! `bcm2835-codec`).

mod coder;
mod controls;
mod input;
mod node;
mod plan;

pub use coder::{Coded, Coder, Counts, Failure};
pub use node::{Node, encoders};

use super::{H264Settings, MakePicture};
use crate::{
    codec::CodecError,
    media::{
        AccessUnit, ParameterSets, RawFrame,
        h264::{Splitter, low_delay_sps, nal_type},
    },
    time::MonoTime,
};

/// An encoder that is asked for a key frame and gives none is asked again after so many pictures.
const KEY_PATIENCE: u32 = 3;
/// So many pictures in a row that it could not code are its end.
const MOST_DAMAGED: u32 = 5;

/// The board's encoder, set up as a camera needs it.
pub struct BoardEncoder {
    coder: Coder,
    settings: H264Settings,
    splitter: Splitter,
    sets: Sets,
    /// Pictures since the last key frame came out; None before the first.
    since_key: Option<u32>,
    /// Pictures that went in since a key frame was asked for; None when none is owed.
    since_forced: Option<u32>,
    damaged: u32,
    /// Until when the last picture is waited for: then the next one is due.
    deadline: MonoTime,
}

/// The parameter sets that came last, as they came and as they are passed on.
#[derive(Default)]
struct Sets {
    sps: Vec<u8>,
    pps: Vec<u8>,
    passed: Option<ParameterSets>,
}

impl BoardEncoder {
    /// The first encoder of this board that takes `settings`; None where the board has none at all. With `trusted`, one
    /// that is known to be too slow is taken as well.
    ///
    /// # Errors
    /// Why none takes them.
    pub fn find(settings: &H264Settings, trusted: bool) -> Option<Result<Self, CodecError>> {
        let mut refusal = None;
        for node in encoders(u32::from_le_bytes(*b"H264")) {
            let name = node.name.clone();
            match Self::new(node, settings, trusted) {
                Ok(encoder) => return Some(Ok(encoder)),
                Err(error) => refusal = Some(Err(CodecError(format!("{name}: {error}")))),
            }
        }
        refusal
    }

    fn new(node: Node, settings: &H264Settings, trusted: bool) -> Result<Self, CodecError> {
        settings.check()?;
        if let Some(slow) = controls::too_slow(&node.driver, settings).filter(|_| !trusted) {
            return Err(CodecError(slow));
        }
        let coder = Coder::new(node, settings.size, settings.fps);
        coder.can_take()?;
        controls::set(coder.device(), settings)?;
        Ok(Self {
            coder,
            settings: settings.clone(),
            splitter: Splitter::default(),
            sets: Sets::default(),
            since_key: None,
            since_forced: None,
            damaged: 0,
            deadline: MonoTime::ZERO,
        })
    }

    /// The card's name.
    pub fn name(&self) -> &str {
        self.coder.name()
    }

    /// None before the first key frame came out.
    pub fn parameter_sets(&self) -> Option<&ParameterSets> {
        self.sets.passed.as_ref()
    }

    pub fn counts(&self) -> Counts {
        self.coder.counts()
    }

    /// Gives it a picture; what comes out is fetched by [`BoardEncoder::next`]. With `force_idr` the next key frame does
    /// not wait for the end of the gop.
    ///
    /// # Errors
    /// A damaged picture, or the encoder's end.
    pub fn submit(&mut self, frame: &RawFrame, maker: &mut dyn MakePicture, force_idr: bool) -> Result<(), Failure> {
        // The rest of the interval is for what comes after it.
        self.deadline = MonoTime::now() + self.settings.fps.interval() * 7 / 8;
        // A driver may count its period otherwise than from the last key frame, or know none.
        let gop_over = self.since_key.is_some_and(|pictures| pictures + 1 >= self.settings.gop_frames());
        let due = match self.since_forced {
            None => force_idr || gop_over,
            Some(pictures) => pictures >= KEY_PATIENCE,
        };
        if due {
            self.coder.force_key()?;
        }
        self.coder.submit(frame, maker)?;
        if due {
            self.since_forced = Some(0);
        }
        self.since_forced = self.since_forced.map(|pictures| pictures + 1);
        Ok(())
    }

    /// The next coded picture into `out`, which is emptied first. Waits for it as long as the rate of pictures allows;
    /// false where it then is not there.
    ///
    /// # Errors
    /// The encoder's end.
    pub fn next(&mut self, out: &mut AccessUnit) -> Result<bool, CodecError> {
        while self.coder.busy() {
            out.clear();
            let Some(coded) = self.coder.next(self.deadline)? else { return Ok(false) };
            let stamp = coded.stamp;
            out.stamp = stamp;
            self.damaged = if coded.damaged { self.damaged + 1 } else { 0 };
            let mut slices = 0;
            if !coded.damaged {
                let sets = &mut self.sets;
                let mut each = |nal: &[u8], _| match nal_type::of(nal) {
                    nal_type::SPS => sets.sps = nal.to_vec(),
                    nal_type::PPS => sets.pps = nal.to_vec(),
                    slice @ (nal_type::SLICE | nal_type::IDR_SLICE) => {
                        slices += 1;
                        out.key |= slice == nal_type::IDR_SLICE;
                        out.push_nal(nal);
                    }
                    _ => {}
                };
                self.splitter.push(coded.bytes, stamp, &mut each);
                self.splitter.end(&mut each);
                if slices == 0 {
                    // Parameter sets in a buffer of their own: the picture follows.
                    continue;
                }
            }
            self.coder.finish(stamp);
            if coded_is_lost(self.damaged)? {
                // What follows refers to it.
                self.coder.force_key()?;
                self.since_forced = Some(0);
                continue;
            }
            if out.key {
                self.sets.renew(&self.settings)?;
                self.since_key = Some(0);
                self.since_forced = None;
                self.sets.prepend(out);
                return Ok(true);
            }
            let Some(pictures) = &mut self.since_key else { continue };
            *pictures += 1;
            return Ok(true);
        }
        Ok(false)
    }

    /// Changes the mean to hold, from the next picture on, in bit/s.
    ///
    /// # Errors
    /// A rate above the ceiling that the encoder was made with, and one that it does not take while it runs.
    pub fn set_bitrate(&mut self, bitrate: u32) -> Result<(), CodecError> {
        if bitrate > self.settings.ceiling() {
            return Err(CodecError(format!("a bitrate of {bitrate} bit/s is out of range")));
        }
        let done = controls::set_bitrate(self.coder.device(), bitrate);
        done.map_err(|error| CodecError(format!("the bitrate was not changed: {}", error.desc())))?;
        self.settings.bitrate = bitrate;
        Ok(())
    }
}

/// Whether the last picture could not be coded.
///
/// # Errors
/// Too many in a row.
fn coded_is_lost(damaged: u32) -> Result<bool, CodecError> {
    match damaged {
        0 => Ok(false),
        1..MOST_DAMAGED => Ok(true),
        _ => Err(CodecError(format!("{damaged} pictures in a row were not coded"))),
    }
}

impl Sets {
    /// Makes what came last what is passed on.
    ///
    /// # Errors
    /// None came, or the sequence parameter set cannot be read.
    fn renew(&mut self, settings: &H264Settings) -> Result<(), CodecError> {
        if self.sps.is_empty() || self.pps.is_empty() {
            return Err(CodecError("a key frame came without parameter sets".into()));
        }
        let sps = low_delay_sps(&self.sps, settings.fps).map_err(CodecError)?;
        let same = |sets: &ParameterSets| *sets.sps == *sps && *sets.pps == *self.pps;
        if !self.passed.as_ref().is_some_and(same) {
            self.passed = Some(ParameterSets { sps: sps.into(), pps: self.pps.as_slice().into() });
        }
        Ok(())
    }

    /// Puts them before the slices of a key frame.
    fn prepend(&self, unit: &mut AccessUnit) {
        let Some(sets) = &self.passed else { return };
        let slices = std::mem::take(unit);
        (unit.key, unit.stamp) = (slices.key, slices.stamp);
        unit.push_nal(&sets.sps);
        unit.push_nal(&sets.pps);
        slices.nals().for_each(|nal| unit.push_nal(nal));
    }
}
