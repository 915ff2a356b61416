//! H.264 in packetization mode 1 (RFC 6184 §6.3): single NAL unit packets, STAP-A and FU-A.

use super::{packetizer::Writer, timeline::Timeline};
use crate::media::AccessUnit;

/// FU indicator and FU header, which stand for the NAL unit's first octet (RFC 6184 §5.8).
pub(super) const FU_OVERHEAD: usize = 2;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const FU_START: u8 = 0x80;
const FU_END: u8 = 0x40;
const FORBIDDEN_ZERO: u8 = 0x80;
const NRI: u8 = 0x60;
const TYPE: u8 = 0x1f;

/// Writes the NAL units of `unit` into payloads of at most `room` octets; the last packet has the marker bit.
pub(super) fn packetize(unit: &AccessUnit, room: usize, timeline: &mut Timeline, writer: &mut Writer) {
    if unit.nals().all(<[u8]>::is_empty) {
        return;
    }
    writer.timestamp(timeline.picture(unit.stamp));
    let mut nals = unit.nals().filter(|nal| !nal.is_empty()).peekable();
    let mut group: Vec<&[u8]> = Vec::new();
    while let Some(nal) = nals.next() {
        if nal.len() > room {
            fragment(nal, room, writer);
            continue;
        }
        group.clear();
        group.push(nal);
        let mut size = 1 + 2 + nal.len();
        while let Some(next) = nals.next_if(|next| size + 2 + next.len() <= room) {
            size += 2 + next.len();
            group.push(next);
        }
        match group[..] {
            [single] => writer.packet([single]),
            _ => aggregate(&group, writer),
        }
    }
    writer.mark();
}

/// Several NAL units in one packet, each behind its length (RFC 6184 §5.7.1).
fn aggregate(nals: &[&[u8]], writer: &mut Writer) {
    let forbidden = nals.iter().fold(0, |bit, nal| bit | nal[0] & FORBIDDEN_ZERO);
    let importance = nals.iter().map(|nal| nal[0] & NRI).max().unwrap_or(0);
    let indicator = [forbidden | importance | STAP_A];
    let lengths: Vec<[u8; 2]> = nals.iter().map(|nal| (nal.len() as u16).to_be_bytes()).collect();
    let units = lengths.iter().zip(nals).flat_map(|(length, nal)| [&length[..], nal]);
    writer.packet(std::iter::once(&indicator[..]).chain(units));
}

/// One NAL unit in several packets of equal length, but for the last, which is a few octets shorter at most: so all
/// of them are one run (RFC 6184 §5.8).
fn fragment(nal: &[u8], room: usize, writer: &mut Writer) {
    let (first, payload) = (nal[0], &nal[1..]);
    let count = payload.len().div_ceil(room - FU_OVERHEAD);
    let pieces = payload.chunks(payload.len().div_ceil(count));
    let last = pieces.len() - 1;
    for (index, piece) in pieces.enumerate() {
        let start = if index == 0 { FU_START } else { 0 };
        let end = if index == last { FU_END } else { 0 };
        let headers = [first & !TYPE | FU_A, start | end | first & TYPE];
        writer.packet([&headers[..], piece]);
    }
}
