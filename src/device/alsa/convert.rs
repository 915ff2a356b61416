//! A card's samples as signed 16 bits.

use alsa::pcm::Format;

/// How a card's samples lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    S16,
    /// 24 bits in three bytes.
    S24Packed,
    /// 24 bits in the lower three of four bytes.
    S24,
    S32,
    Float,
}

impl Encoding {
    /// From what costs least to what costs most.
    pub const ALL: [Self; 5] = [Self::S16, Self::S32, Self::S24, Self::S24Packed, Self::Float];

    pub fn format(self) -> Format {
        match self {
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
            Self::S16 => 2,
            Self::S24Packed => 3,
            Self::S24 | Self::S32 | Self::Float => 4,
        }
    }

    /// Appends the samples in `bytes` to `out`; half a sample at the end is left out.
    pub fn decode(self, bytes: &[u8], out: &mut Vec<i16>) {
        let (words, _) = bytes.as_chunks::<4>();
        match self {
            Self::S16 => out.extend(bytes.as_chunks::<2>().0.iter().map(|word| i16::from_ne_bytes(*word))),
            Self::S24Packed => {
                out.extend(bytes.as_chunks::<3>().0.iter().map(|[_, low, high]| i16::from_le_bytes([*low, *high])));
            }
            // What the top byte holds is not defined.
            Self::S24 => out.extend(words.iter().map(|word| (i32::from_ne_bytes(*word) >> 8) as i16)),
            Self::S32 => out.extend(words.iter().map(|word| (i32::from_ne_bytes(*word) >> 16) as i16)),
            // `as` saturates, and takes what is no number for silence.
            Self::Float => out.extend(words.iter().map(|word| (f32::from_ne_bytes(*word) * 32_768.0).round() as i16)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_gives_the_same_sound() {
        let samples = [0i16, 1, -1, 12_345, -12_345, i16::MAX, i16::MIN];
        for encoding in Encoding::ALL {
            let bytes: Vec<u8> = samples
                .iter()
                .flat_map(|sample| {
                    let wide = i32::from(*sample) << 16;
                    match encoding {
                        Encoding::S16 => sample.to_ne_bytes().to_vec(),
                        Encoding::S24Packed => (wide >> 8).to_le_bytes()[..3].to_vec(),
                        // With rubbish in the top byte.
                        Encoding::S24 => ((wide >> 8) & 0x00ff_ffff | 0x5a00_0000).to_ne_bytes().to_vec(),
                        Encoding::S32 => wide.to_ne_bytes().to_vec(),
                        Encoding::Float => (f32::from(*sample) / 32_768.0).to_ne_bytes().to_vec(),
                    }
                })
                .chain([0xff])
                .collect();
            let mut out = Vec::new();
            encoding.decode(&bytes, &mut out);
            assert_eq!(out, samples, "{encoding:?}");
            assert_eq!(bytes.len() / samples.len(), encoding.width());
        }
    }

    #[test]
    fn floats_beyond_full_scale_saturate() {
        let bytes: Vec<u8> = [2.0f32, -2.0, f32::NAN, f32::INFINITY].iter().flat_map(|f| f.to_ne_bytes()).collect();
        let mut out = Vec::new();
        Encoding::Float.decode(&bytes, &mut out);
        assert_eq!(out, [i16::MAX, i16::MIN, 0, i16::MAX]);
    }
}
