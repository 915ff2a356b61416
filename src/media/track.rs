use super::{FrameRate, Size};
use std::sync::Arc;

/// What a session description, a packetizer and a recorder need to know of a track.
#[derive(Clone, Debug, PartialEq)]
pub enum TrackFormat {
    H264(H264Format),
    Jpeg(JpegFormat),
    Audio(AudioFormat),
}

/// H.264 video, packetized by RFC 6184.
#[derive(Clone, Debug, PartialEq)]
pub struct H264Format {
    pub size: Size,
    pub fps: FrameRate,
    /// The configured rate in bit/s, without RTP overhead; the ceiling where there is one.
    pub bitrate: u32,
    pub parameter_sets: ParameterSets,
}

/// Pictures that are each a JPEG of its own, packetized by RFC 2435.
#[derive(Clone, Debug, PartialEq)]
pub struct JpegFormat {
    pub size: Size,
    pub fps: FrameRate,
}

/// One sequence and one picture parameter set as NAL units without start code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSets {
    pub sps: Arc<[u8]>,
    pub pps: Arc<[u8]>,
}

impl ParameterSets {
    /// profile_idc, constraint flags and level_idc, as `profile-level-id` shows them (RFC 6184 §8.1).
    pub fn profile_level_id(&self) -> [u8; 3] {
        match *self.sps {
            [_, profile, constraints, level, ..] => [profile, constraints, level],
            _ => [0x42, 0xe0, 0x1f],
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioFormat {
    pub codec: AudioCodec,
    /// Of the sound; Opus is always announced at 48 kHz (RFC 7587 §4.1).
    pub rate: u32,
    pub channels: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// Linear PCM, 16 bits, big endian (RFC 3551 §4.5.11).
    L16,
    /// RFC 7587.
    Opus,
    /// AAC-LC, RFC 3640 in its mode AAC-hbr.
    Aac,
}

impl TrackFormat {
    pub fn is_video(&self) -> bool {
        self.picture().is_some()
    }

    /// Size and rate of a video track.
    pub fn picture(&self) -> Option<(Size, FrameRate)> {
        match self {
            Self::H264(format) => Some((format.size, format.fps)),
            Self::Jpeg(format) => Some((format.size, format.fps)),
            Self::Audio(_) => None,
        }
    }

    /// The static payload type where the format has one at its own rate (RFC 3551 §6), else a dynamic one.
    pub fn payload_type(&self) -> u8 {
        match self {
            Self::H264(_) => 96,
            Self::Jpeg(_) => 26,
            Self::Audio(audio) => match (audio.codec, audio.rate, audio.channels) {
                (AudioCodec::Pcmu, 8000, 1) => 0,
                (AudioCodec::Pcma, 8000, 1) => 8,
                (AudioCodec::L16, 44_100, 2) => 10,
                (AudioCodec::L16, 44_100, 1) => 11,
                _ => 97,
            },
        }
    }

    /// Ticks of the RTP timestamp per second.
    pub fn clock_rate(&self) -> u32 {
        match self {
            Self::H264(_) | Self::Jpeg(_) => 90_000,
            Self::Audio(audio) => match audio.codec {
                AudioCodec::Opus => 48_000,
                _ => audio.rate,
            },
        }
    }
}
