//! A card's samples as floating point with full scale at 1.

use alsa::pcm::Format;

/// How a card's samples lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// 8 bits, silence at 128.
    U8,
    S16,
    /// 24 bits in three bytes.
    S24Packed,
    /// 24 bits in the lower three of four bytes.
    S24,
    S32,
    Float,
}

impl Encoding {
    /// In the order in which they are asked for: 16 bits are enough and cost the bus least, 8 are too few.
    pub const ALL: [Self; 6] = [Self::S16, Self::S32, Self::S24, Self::S24Packed, Self::Float, Self::U8];

    pub fn format(self) -> Format {
        match self {
            Self::U8 => Format::U8,
            Self::S16 => Format::s16(),
            Self::S24Packed => Format::S243LE,
            Self::S24 => Format::s24(),
            Self::S32 => Format::s32(),
            Self::Float => Format::float(),
        }
    }

    /// By ALSA's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "U8",
            Self::S16 => "S16",
            Self::S24Packed => "S24_3LE",
            Self::S24 => "S24",
            Self::S32 => "S32",
            Self::Float => "FLOAT",
        }
    }

    /// Bytes per sample.
    pub fn width(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::S16 => 2,
            Self::S24Packed => 3,
            Self::S24 | Self::S32 | Self::Float => 4,
        }
    }

    /// Appends the samples in `bytes` to `out`; half a sample at the end is left out.
    pub fn decode(self, bytes: &[u8], out: &mut Vec<f32>) {
        let (words, _) = bytes.as_chunks::<4>();
        match self {
            Self::U8 => out.extend(bytes.iter().map(|byte| (f32::from(*byte) - 128.0) / 128.0)),
            Self::S16 => {
                out.extend(bytes.as_chunks::<2>().0.iter().map(|word| f32::from(i16::from_ne_bytes(*word)) / 32_768.0));
            }
            Self::S24Packed => {
                let wide = |[low, middle, high]: [u8; 3]| i32::from_le_bytes([0, low, middle, high]);
                out.extend(bytes.as_chunks::<3>().0.iter().map(|word| of_32_bits(wide(*word))));
            }
            // What the top byte holds is not defined.
            Self::S24 => out.extend(words.iter().map(|word| of_32_bits(i32::from_ne_bytes(*word) << 8))),
            Self::S32 => out.extend(words.iter().map(|word| of_32_bits(i32::from_ne_bytes(*word)))),
            Self::Float => out.extend(words.iter().map(|word| sane(f32::from_ne_bytes(*word)))),
        }
    }
}

fn of_32_bits(sample: i32) -> f32 {
    sample as f32 / 2_147_483_648.0
}

/// Cards may overshoot full scale; what is no number at all would poison every filter after it.
fn sane(sample: f32) -> f32 {
    if sample.is_finite() { sample.clamp(-4.0, 4.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_gives_the_same_sound() {
        let samples = [0i16, 256, -256, 12_288, -12_288, 32_512, i16::MIN];
        for encoding in Encoding::ALL {
            let bytes: Vec<u8> = samples
                .iter()
                .flat_map(|sample| {
                    let wide = i32::from(*sample) << 16;
                    match encoding {
                        Encoding::U8 => vec![(*sample >> 8) as u8 ^ 0x80],
                        Encoding::S16 => sample.to_ne_bytes().to_vec(),
                        Encoding::S24Packed => (wide >> 8).to_le_bytes()[..3].to_vec(),
                        // With rubbish in the top byte.
                        Encoding::S24 => ((wide >> 8) & 0x00ff_ffff | 0x5a00_0000).to_ne_bytes().to_vec(),
                        Encoding::S32 => wide.to_ne_bytes().to_vec(),
                        Encoding::Float => (f32::from(*sample) / 32_768.0).to_ne_bytes().to_vec(),
                    }
                })
                .collect();
            // And half a sample more.
            let odd = vec![0xff; encoding.width() - 1];
            let mut out = Vec::new();
            encoding.decode(&[bytes.clone(), odd].concat(), &mut out);
            assert_eq!(out, samples.map(|sample| f32::from(sample) / 32_768.0), "{encoding:?}");
            assert_eq!(bytes.len() / samples.len(), encoding.width());
        }
    }

    #[test]
    fn the_lowest_bits_of_24_are_heard() {
        let mut out = Vec::new();
        Encoding::S24Packed.decode(&[1, 0, 0, 0xff, 0xff, 0xff], &mut out);
        Encoding::S24.decode(&1i32.to_ne_bytes(), &mut out);
        assert_eq!(out, [1.0, -1.0, 1.0].map(|step: f32| step / 8_388_608.0));
    }

    #[test]
    fn floats_that_are_no_sound_do_no_harm() {
        let bytes: Vec<u8> = [2.0f32, -200.0, f32::NAN, f32::INFINITY].iter().flat_map(|f| f.to_ne_bytes()).collect();
        let mut out = Vec::new();
        Encoding::Float.decode(&bytes, &mut out);
        assert_eq!(out, [2.0, -4.0, 0.0, 0.0]);
    }
}
