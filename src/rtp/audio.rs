//! Sound: G.711 and L16 (RFC 3551 §4.5), Opus (RFC 7587), AAC (RFC 3640).

use super::{packetizer::Writer, timeline::Timeline};
use crate::media::{AccessUnit, AudioCodec, AudioFormat};
use std::time::Duration;

/// Writes `unit` into payloads of at most `room` octets. The first packet after a gap has the marker bit
/// (RFC 3551 §4.1).
pub(super) fn packetize(
    unit: &AccessUnit,
    format: &AudioFormat,
    room: usize,
    timeline: &mut Timeline,
    writer: &mut Writer,
) {
    let frame = match format.codec {
        AudioCodec::Opus => return whole(unit, room, timeline, writer),
        AudioCodec::Aac => return aac(unit, room, timeline, writer),
        AudioCodec::Pcmu | AudioCodec::Pcma => usize::from(format.channels.max(1)),
        AudioCodec::L16 => 2 * usize::from(format.channels.max(1)),
    };
    // Cut between frames (RFC 3551 §4.5.11), into equal parts.
    let frames = unit.data.len() / frame;
    let packets = frames.div_ceil((room / frame).max(1)).max(1);
    let mut before = 0u64;
    for part in unit.data.chunks((frames.div_ceil(packets) * frame).max(1)) {
        let stamp = unit.stamp + Duration::from_nanos(before * 1_000_000_000 / u64::from(format.rate.max(1)));
        let samples = (part.len() / frame) as u32;
        let (timestamp, gap) = timeline.sound(stamp, samples);
        writer.timestamp(timestamp);
        writer.packet([part]);
        if gap {
            writer.mark();
        }
        before += u64::from(samples);
    }
}

/// A block that cannot be cut.
fn whole(unit: &AccessUnit, room: usize, timeline: &mut Timeline, writer: &mut Writer) {
    if unit.data.is_empty() || unit.data.len() > room {
        return;
    }
    let (timestamp, gap) = timeline.sound(unit.stamp, unit.samples);
    writer.timestamp(timestamp);
    writer.packet([&unit.data[..]]);
    if gap {
        writer.mark();
    }
}

/// Octets before an access unit: how many bits of headers follow, and one header of 13 bits of size and 3 of index
/// (RFC 3640 §3.2.1, §3.3.6).
const AU_HEADERS: usize = 4;

/// One access unit in the mode AAC-hbr, in as many packets as it takes (RFC 3640 §3.2.3.1). The marker tells its end.
fn aac(unit: &AccessUnit, room: usize, timeline: &mut Timeline, writer: &mut Writer) {
    let Some(size) = u16::try_from(unit.data.len()).ok().filter(|size| (1..1 << 13).contains(size)) else { return };
    // In fragments too it is the size of the whole.
    let [high, low] = (size << 3).to_be_bytes();
    let (timestamp, _) = timeline.sound(unit.stamp, unit.samples);
    writer.timestamp(timestamp);
    for fragment in unit.data.chunks(room.saturating_sub(AU_HEADERS).max(1)) {
        writer.packet([&[0, 16, high, low][..], fragment]);
    }
    writer.mark();
}
