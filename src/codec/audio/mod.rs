//! Sound for RTP: G.711 µ-law and A-law, linear PCM and Opus in packets of 20 ms, AAC-LC in packets of 1024 samples.

mod aac;
mod g711;
mod resample;

pub use resample::{MOST_DRIFT, Resampler};

use super::CodecError;
use crate::{
    media::{AccessUnit, AudioCodec, AudioFormat, SampleBlock, mix_channels},
    time::MonoTime,
};
use aac::Aac;
use std::time::Duration;

/// Packets per second, but for AAC.
const PACKETS: u32 = 50;
/// Blocks whose stamps leave a gap of this do not follow each other; less is rounding.
const GAP: Duration = Duration::from_millis(1);
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
    waiting: Vec<f32>,
    /// The samples of the packet being coded.
    packet: Vec<f32>,
    timeline: Timeline,
    unit: AccessUnit,
}

enum Codec {
    MuLaw,
    ALaw,
    Linear,
    Opus(opus::Encoder),
    Aac(Box<Aac>),
}

impl AudioEncoder {
    /// What a track of `codec` is, fed from a microphone of `rate` and `channels`.
    pub fn format_for(codec: AudioCodec, rate: u32, channels: u16) -> AudioFormat {
        let (rate, channels) = match codec {
            AudioCodec::Pcmu | AudioCodec::Pcma => (8_000, 1),
            AudioCodec::L16 => (rate, channels),
            AudioCodec::Opus => (OPUS_CLOCK, channels.clamp(1, 2)),
            AudioCodec::Aac => (aac::nearest_rate(rate), channels.clamp(1, 2)),
        };
        AudioFormat { codec, rate, channels }
    }

    /// For blocks of `input` frames per second and channels.
    ///
    /// # Errors
    /// A rate under 50 Hz, no channel, more than two for Opus and AAC, a rate that AAC has not, or a ratio that cannot be
    /// resampled.
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
            AudioCodec::Aac => Codec::Aac(Box::new(Aac::new(rate, channels)?)),
        };
        let frames = match codec {
            Codec::Aac(_) => aac::FRAME,
            _ => (rate / PACKETS) as usize,
        };
        let resampler = (rate != input.0).then(|| Resampler::new(input.0, rate, channels, frames)).transpose()?;
        let late = resampler.as_ref().map_or(0, |resampler| (resampler.delay() * 1e9) as i128);
        let timeline = Timeline::new(input.0, rate, late + codec.delay(rate)?);
        let (waiting, packet) = (Vec::new(), Vec::with_capacity(frames * usize::from(channels)));
        Ok(Self { input, codec, channels, frames, resampler, waiting, packet, timeline, unit: AccessUnit::default() })
    }

    /// Takes the next block and hands out each packet that is whole. Blocks follow each other exactly; where one does not,
    /// because nobody listened meanwhile, the sound begins anew with it.
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
        if !self.timeline.goes_on_with(block) {
            self.begin_anew()?;
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

    /// What waits belongs to another time.
    fn begin_anew(&mut self) -> Result<(), CodecError> {
        self.waiting.clear();
        self.timeline.reset();
        self.resampler.iter_mut().for_each(Resampler::reset);
        self.codec.reset()
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
        let coded = self.codec.code(&self.packet, &mut self.unit.data);
        let stamp = self.timeline.next_packet(self.frames);
        coded?;
        self.unit.nals.push(0..self.unit.data.len());
        self.unit.key = true;
        self.unit.stamp = stamp;
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
            Self::Aac(_) => Ok(nanos(aac::DELAY, rate)),
            _ => Ok(0),
        }
    }

    /// Forgets what it heard.
    fn reset(&mut self) -> Result<(), CodecError> {
        match self {
            Self::Opus(encoder) => encoder.reset_state().map_err(opus_failed),
            Self::Aac(encoder) => encoder.reset(),
            _ => Ok(()),
        }
    }

    fn code(&mut self, packet: &[f32], data: &mut Vec<u8>) -> Result<(), CodecError> {
        match self {
            Self::MuLaw => data.extend(packet.iter().map(|sample| g711::mu_law(of_16_bits(*sample)))),
            Self::ALaw => data.extend(packet.iter().map(|sample| g711::a_law(of_16_bits(*sample)))),
            Self::Linear => data.extend(packet.iter().flat_map(|sample| of_16_bits(*sample).to_be_bytes())),
            Self::Opus(encoder) => {
                data.resize(OPUS_LONGEST, 0);
                let length = encoder.encode_float(packet, data).map_err(opus_failed)?;
                data.truncate(length);
            }
            Self::Aac(encoder) => encoder.encode(packet, data)?,
        }
        Ok(())
    }
}

/// `as` saturates, which is what a sample that overshoots needs.
fn of_16_bits(sample: f32) -> i16 {
    (sample * 32_768.0).round() as i16
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

/// When each packet's first sample was taken: by counting, since the blocks follow each other exactly.
struct Timeline {
    rate_in: u32,
    rate_out: u32,
    /// How much later a sound comes out of resampler and decoder than it goes in.
    delay: i128,
    /// The first block's stamp.
    start: Option<MonoTime>,
    /// Frames taken since then, and given to the codec.
    taken: u64,
    coded: u64,
}

impl Timeline {
    fn new(rate_in: u32, rate_out: u32, delay: i128) -> Self {
        Self { rate_in, rate_out, delay, start: None, taken: 0, coded: 0 }
    }

    fn reset(&mut self) {
        *self = Self::new(self.rate_in, self.rate_out, self.delay);
    }

    fn goes_on_with(&self, block: &SampleBlock) -> bool {
        let end = |start: MonoTime| start + Duration::from_nanos(nanos(self.taken, self.rate_in) as u64);
        self.start
            .is_none_or(|start| block.stamp.signed_nanos_since(end(start)).unsigned_abs() <= GAP.as_nanos() as u64)
    }

    fn advance(&mut self, block: &SampleBlock) {
        self.start.get_or_insert(block.stamp);
        self.taken += block.frames() as u64;
    }

    /// The stamp of the next `frames` that the codec gets.
    fn next_packet(&mut self, frames: usize) -> MonoTime {
        let start = self.start.map_or(0, |start| i128::from(start.as_nanos()));
        let at = start + nanos(self.coded, self.rate_out) - self.delay;
        self.coded += frames as u64;
        MonoTime::from_nanos(u64::try_from(at.max(0)).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests;
