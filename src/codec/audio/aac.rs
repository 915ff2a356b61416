//! AAC-LC (ISO/IEC 14496-3), as RFC 3640 carries it: one `raw_data_block` per packet.

use crate::codec::CodecError;
use syom::{EncodeOptions, Encoder};

/// Samples per channel of an access unit.
pub const FRAME: usize = 1024;
/// Of a sound, in samples: the first access unit only begins the overlap of the windows.
pub const DELAY: u64 = 1024;
/// Those of ISO/IEC 14496-3 table 1.18 that profile level 2 allows (table 1.13).
const RATES: [u32; 9] = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];
/// Bits per sample and channel, and the most bit/s per channel: 64 kbit/s from 32 kHz on.
const BITS: u32 = 2;
const MOST_BITS: u32 = 64_000;

/// The rate that a track has, fed from a microphone of `rate`: its own where AAC has it, else the next above.
pub fn nearest_rate(rate: u32) -> u32 {
    RATES.into_iter().find(|known| *known >= rate).unwrap_or(48_000)
}

pub struct Aac {
    encoder: Encoder,
    /// The samples of a packet, channel by channel, as the encoder wants them.
    planes: Vec<Vec<f32>>,
}

impl Aac {
    /// # Errors
    /// A rate or number of channels that a track has not.
    pub fn new(rate: u32, channels: u16) -> Result<Self, CodecError> {
        if !RATES.contains(&rate) || !(1..=2).contains(&channels) {
            return Err(CodecError(format!("AAC has no {rate} Hz with {channels} channels here")));
        }
        let options = EncodeOptions::raw().with_bitrate_bps((rate * BITS).min(MOST_BITS) * u32::from(channels));
        let encoder = Encoder::new(rate, usize::from(channels), &options).map_err(failed)?;
        Ok(Self { encoder, planes: vec![Vec::with_capacity(FRAME); usize::from(channels)] })
    }

    pub fn reset(&mut self) -> Result<(), CodecError> {
        self.encoder.reset().map_err(failed)
    }

    /// Appends the access unit of one packet of [`FRAME`] samples per channel, interleaved, to `data`.
    ///
    /// # Errors
    /// What the encoder reports; it begins anew with the next packet.
    pub fn encode(&mut self, packet: &[f32], data: &mut Vec<u8>) -> Result<(), CodecError> {
        let channels = self.planes.len();
        for (channel, plane) in self.planes.iter_mut().enumerate() {
            plane.clear();
            // The encoder refuses what is beyond full scale.
            plane.extend(packet.iter().skip(channel).step_by(channels).map(|sample| sample.clamp(-1.0, 1.0)));
        }
        let planes: Vec<&[f32]> = self.planes.iter().map(Vec::as_slice).collect();
        let fed = self.encoder.feed(&planes, |frame| {
            data.extend_from_slice(frame.payload);
            Ok(())
        });
        fed.map(|_| ()).map_err(|error| {
            let told = failed(error);
            self.reset().err().unwrap_or(told)
        })
    }
}

fn failed(error: syom::AacError) -> CodecError {
    CodecError(format!("AAC: {error}"))
}
