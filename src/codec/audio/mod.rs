//! Sound for RTP: G.711 µ-law and A-law, linear PCM and Opus, in packets of 20 ms.

mod g711;
mod resample;

use super::CodecError;
use crate::{
    media::{AccessUnit, AudioCodec, AudioFormat, SampleBlock, mix_channels},
    time::MonoTime,
};
use resample::Resampler;
use std::time::Duration;

/// Packets per second.
const PACKETS: u32 = 50;
/// A difference between a block's stamp and the end of the block before that is no longer the clocks' jitter.
const GAP: Duration = Duration::from_millis(20);
const OPUS_CLOCK: u32 = 48_000;
/// Rates that Opus encodes without resampling (RFC 6716 §2).
const OPUS_RATES: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];
/// Of Opus, in bit/s per channel: transparent for speech, good for anything else.
const OPUS_BITRATE: i32 = 64_000;
/// Of 10; a Raspberry Pi then spends about 1 % of a core on it.
const OPUS_COMPLEXITY: i32 = 5;
/// The longest Opus frame (RFC 6716 §3.2.1).
const OPUS_LONGEST: usize = 1275;

/// Encodes what one microphone gives for one track.
pub struct AudioEncoder {
    /// Rate and channels of the blocks.
    input: (u32, u16),
    codec: Codec,
    channels: u16,
    /// Frames per packet, at the rate that the codec is fed with.
    frames: usize,
    /// None where the codec takes the microphone's rate.
    resampler: Option<Resampler>,
    /// Samples that wait, at the microphone's rate, in the codec's channels.
    waiting: Vec<i16>,
    /// The samples of the packet being coded.
    packet: Vec<i16>,
    timeline: Timeline,
    unit: AccessUnit,
}

enum Codec {
    MuLaw,
    ALaw,
    Linear,
    Opus(opus::Encoder),
}

impl AudioEncoder {
    /// What a track of `codec` is, fed from a microphone of `rate` and `channels`.
    pub fn format_for(codec: AudioCodec, rate: u32, channels: u16) -> AudioFormat {
        let (rate, channels) = match codec {
            AudioCodec::Pcmu | AudioCodec::Pcma => (8_000, 1),
            AudioCodec::L16 => (rate, channels),
            AudioCodec::Opus => (OPUS_CLOCK, channels.clamp(1, 2)),
        };
        AudioFormat { codec, rate, channels }
    }

    /// For blocks of `input` frames per second and channels.
    ///
    /// # Errors
    /// A rate under 50 Hz, no channel, more than two for Opus, or a ratio that cannot be resampled.
    pub fn new(format: AudioFormat, input: (u32, u16)) -> Result<Self, CodecError> {
        let AudioFormat { codec, rate, channels } = format;
        if input.0 < PACKETS || rate < PACKETS || input.1 == 0 || channels == 0 {
            let (from, of) = input;
            return Err(CodecError(format!("no sound: {from} Hz, {of} channels to {rate} Hz, {channels} channels")));
        }
        let rate = match codec {
            AudioCodec::Opus if OPUS_RATES.contains(&input.0) => input.0,
            AudioCodec::Opus => OPUS_CLOCK,
            _ => rate,
        };
        let mut codec = match codec {
            AudioCodec::Pcmu => Codec::MuLaw,
            AudioCodec::Pcma => Codec::ALaw,
            AudioCodec::L16 => Codec::Linear,
            AudioCodec::Opus => Codec::Opus(opus_encoder(rate, channels)?),
        };
        let frames = (rate / PACKETS) as usize;
        let resampler = (rate != input.0).then(|| Resampler::new(input.0, rate, channels, frames)).transpose()?;
        let late = resampler.as_ref().map_or(0, |resampler| (resampler.delay() * 1e9) as i128);
        let timeline = Timeline::new(input.0, rate, late + codec.delay(rate)?);
        let (waiting, packet) = (Vec::new(), Vec::with_capacity(frames * usize::from(channels)));
        Ok(Self { input, codec, channels, frames, resampler, waiting, packet, timeline, unit: AccessUnit::default() })
    }

    /// Takes the next block and hands out each packet that is whole. Where the blocks leave a gap of more than 20 ms,
    /// the packet before it is filled up with silence and the next one begins with the block after it.
    ///
    /// # Errors
    /// A block of another rate or number of channels than announced; what the codec reports.
    pub fn encode(&mut self, block: &SampleBlock, emit: &mut dyn FnMut(&AccessUnit)) -> Result<(), CodecError> {
        if (block.rate, block.channels) != self.input {
            let (rate, channels) = self.input;
            return Err(CodecError(format!(
                "a block of {} Hz and {} channels where {rate} Hz and {channels} channels were expected",
                block.rate, block.channels
            )));
        }
        if let Some(off) = self.timeline.gap_before(block) {
            self.bridge(off > 0, emit)?;
        }
        self.timeline.advance(block);
        mix_channels(&block.samples, block.channels, self.channels, &mut self.waiting);
        while self.waiting.len() >= self.needed() {
            self.code(emit)?;
        }
        Ok(())
    }

    /// How many waiting samples, all channels together, the next packet takes.
    fn needed(&self) -> usize {
        self.resampler.as_ref().map_or(self.frames, Resampler::needed) * usize::from(self.channels)
    }

    /// Ends the sound before a gap. Where time went `forward` there is room for the rest of a packet; otherwise what
    /// waits belongs to a time that is told anew.
    fn bridge(&mut self, forward: bool, emit: &mut dyn FnMut(&AccessUnit)) -> Result<(), CodecError> {
        if forward && !self.waiting.is_empty() {
            self.waiting.resize(self.needed(), 0);
            self.code(emit)?;
        }
        self.waiting.clear();
        self.timeline.reset();
        self.resampler.iter_mut().for_each(Resampler::reset);
        if let Codec::Opus(encoder) = &mut self.codec {
            encoder.reset_state().map_err(opus_failed)?;
        }
        Ok(())
    }

    /// Codes one packet of what waits.
    fn code(&mut self, emit: &mut dyn FnMut(&AccessUnit)) -> Result<(), CodecError> {
        let needed = self.needed();
        self.packet.clear();
        match &mut self.resampler {
            Some(resampler) => resampler.resample(&self.waiting[..needed], &mut self.packet)?,
            None => self.packet.extend_from_slice(&self.waiting[..needed]),
        }
        self.waiting.drain(..needed);

        self.unit.clear();
        self.codec.code(&self.packet, &mut self.unit.data)?;
        self.unit.nals.push(0..self.unit.data.len());
        self.unit.key = true;
        self.unit.stamp = self.timeline.next_packet(self.frames);
        self.unit.samples = match self.codec {
            Codec::Opus(_) => OPUS_CLOCK / PACKETS,
            _ => self.frames as u32,
        };
        emit(&self.unit);
        Ok(())
    }
}

impl Codec {
    /// How much later, in nanoseconds, a sound comes out of the decoder than it went into the encoder.
    fn delay(&mut self, rate: u32) -> Result<i128, CodecError> {
        match self {
            Self::Opus(encoder) => Ok(nanos(encoder.get_lookahead().map_err(opus_failed)?.max(0) as u64, rate)),
            _ => Ok(0),
        }
    }

    fn code(&mut self, packet: &[i16], data: &mut Vec<u8>) -> Result<(), CodecError> {
        match self {
            Self::MuLaw => data.extend(packet.iter().map(|sample| g711::mu_law(*sample))),
            Self::ALaw => data.extend(packet.iter().map(|sample| g711::a_law(*sample))),
            Self::Linear => data.extend(packet.iter().flat_map(|sample| sample.to_be_bytes())),
            Self::Opus(encoder) => {
                data.resize(OPUS_LONGEST, 0);
                let length = encoder.encode(packet, data).map_err(opus_failed)?;
                data.truncate(length);
            }
        }
        Ok(())
    }
}

fn opus_encoder(rate: u32, channels: u16) -> Result<opus::Encoder, CodecError> {
    let layout = match channels {
        1 => opus::Channels::Mono,
        2 => opus::Channels::Stereo,
        _ => return Err(CodecError(format!("Opus has one or two channels here, not {channels}"))),
    };
    let mut encoder = opus::Encoder::new(rate, layout, opus::Application::Audio).map_err(opus_failed)?;
    encoder.set_bitrate(opus::Bitrate::Bits(OPUS_BITRATE * i32::from(channels))).map_err(opus_failed)?;
    encoder.set_complexity(OPUS_COMPLEXITY).map_err(opus_failed)?;
    Ok(encoder)
}

fn opus_failed(error: opus::Error) -> CodecError {
    CodecError(format!("Opus: {error}"))
}

fn nanos(frames: u64, rate: u32) -> i128 {
    i128::from(frames) * 1_000_000_000 / i128::from(rate)
}

/// When each packet's first sample was taken, told anew by the stamp of every block: what drift there is between the
/// microphone's clock and ours never adds up.
struct Timeline {
    rate_in: u32,
    rate_out: u32,
    /// How much later a sound comes out of resampler and decoder than it goes in.
    delay: i128,
    /// Frames that came before the latest block.
    before: u64,
    /// The latest block's frames and stamp.
    latest: Option<(u64, MonoTime)>,
    /// Frames given to the codec so far.
    coded: u64,
}

impl Timeline {
    fn new(rate_in: u32, rate_out: u32, delay: i128) -> Self {
        Self { rate_in, rate_out, delay, before: 0, latest: None, coded: 0 }
    }

    fn reset(&mut self) {
        *self = Self::new(self.rate_in, self.rate_out, self.delay);
    }

    /// How many nanoseconds `block` begins after (or, negative, before) the end of the one before it, if those are
    /// more than jitter.
    fn gap_before(&self, block: &SampleBlock) -> Option<i64> {
        let (frames, stamp) = self.latest?;
        let end = stamp + Duration::from_nanos(nanos(frames, self.rate_in) as u64);
        let off = block.stamp.signed_nanos_since(end);
        (off.unsigned_abs() > GAP.as_nanos() as u64).then_some(off)
    }

    fn advance(&mut self, block: &SampleBlock) {
        self.before += self.latest.map_or(0, |(frames, _)| frames);
        self.latest = Some((block.frames() as u64, block.stamp));
    }

    /// The stamp of the next `frames` that the codec gets.
    fn next_packet(&mut self, frames: usize) -> MonoTime {
        let stamp = self.latest.map_or(0, |(_, stamp)| i128::from(stamp.as_nanos()));
        let at = stamp + nanos(self.coded, self.rate_out) - nanos(self.before, self.rate_in) - self.delay;
        self.coded += frames as u64;
        MonoTime::from_nanos(u64::try_from(at.max(0)).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests;
