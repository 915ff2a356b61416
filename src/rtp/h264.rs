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
    loop {
        let from_here = nals.clone();
        let Some(nal) = nals.next() else { break };
        if nal.len() > room {
            fragment(nal, room, writer);
            continue;
        }
        let (mut count, mut size) = (1, 1 + 2 + nal.len());
        while let Some(next) = nals.next_if(|next| size + 2 + next.len() <= room) {
            size += 2 + next.len();
            count += 1;
        }
        match count {
            1 => writer.packet([nal]),
            _ => aggregate(from_here.take(count), writer),
        }
    }
    writer.mark();
}

/// Several NAL units in one packet, each behind its length (RFC 6184 §5.7.1).
fn aggregate<'a>(nals: impl Iterator<Item = &'a [u8]> + Clone, writer: &mut Writer) {
    let forbidden = nals.clone().fold(0, |bit, nal| bit | nal[0] & FORBIDDEN_ZERO);
    let importance = nals.clone().map(|nal| nal[0] & NRI).max().unwrap_or(0);
    writer.packet_of(|payload| {
        payload.push(forbidden | importance | STAP_A);
        for nal in nals {
            payload.extend_from_slice(&(nal.len() as u16).to_be_bytes());
            payload.extend_from_slice(nal);
        }
    });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        media::{FrameRate, H264Format, ParameterSets, Size, TrackFormat},
        rtp::{Header, PacketBatch, Packetizer, SRTP_TRAILER},
        time::MonoTime,
    };
    use proptest::prelude::*;

    fn packetizer(packet_size: usize, first_sequence: u16) -> Packetizer {
        let format = TrackFormat::H264(H264Format {
            size: Size::new(1280, 720),
            fps: FrameRate::new(30, 1),
            bitrate: 2_000_000,
            parameter_sets: ParameterSets { sps: [0x67, 0x42, 0xe0, 0x1f][..].into(), pps: [0x68][..].into() },
        });
        Packetizer::new(&format, packet_size, 0xcafe_f00d, first_sequence, 1000)
    }

    fn unit(nals: &[Vec<u8>]) -> AccessUnit {
        let mut unit = AccessUnit { stamp: MonoTime::from_timespec(10, 0), ..AccessUnit::default() };
        nals.iter().for_each(|nal| unit.push_nal(nal));
        unit
    }

    fn nal(header: u8, length: usize) -> Vec<u8> {
        (0..length).map(|index| if index == 0 { header } else { index as u8 }).collect()
    }

    fn payloads(batch: &PacketBatch) -> Vec<&[u8]> {
        batch.packets().map(|packet| &packet[Header::SIZE..]).collect()
    }

    /// A receiver as RFC 6184 §7 describes it, written apart from the sender.
    fn depacketize(batch: &PacketBatch) -> Vec<Vec<u8>> {
        let mut nals: Vec<Vec<u8>> = Vec::new();
        let mut open = false;
        for payload in payloads(batch) {
            match payload[0] % 32 {
                28 => {
                    let (start, end) = (payload[1] & 128 != 0, payload[1] & 64 != 0);
                    assert_eq!(payload[1] & 32, 0, "reserved bit");
                    assert!(!(start && end), "a fragment must not be the whole unit");
                    assert_eq!(start, !open);
                    if start {
                        nals.push(vec![payload[0] / 32 * 32 + payload[1] % 32]);
                    }
                    nals.last_mut().unwrap().extend_from_slice(&payload[2..]);
                    open = !end;
                }
                24 => {
                    assert!(!open);
                    let mut rest = &payload[1..];
                    while !rest.is_empty() {
                        let length = usize::from(rest[0]) * 256 + usize::from(rest[1]);
                        nals.push(rest[2..2 + length].to_vec());
                        rest = &rest[2 + length..];
                    }
                }
                _ => {
                    assert!(!open);
                    nals.push(payload.to_vec());
                }
            }
        }
        assert!(!open);
        nals
    }

    #[test]
    fn a_key_picture_is_one_stap_and_one_run_of_fragments() {
        let (sps, pps, slice) = (nal(0x67, 20), nal(0x68, 4), nal(0x65, 60_000));
        let batch = packetizer(1360, 0).packetize(&unit(&[sps, pps, slice]));
        assert_eq!(payloads(&batch)[0][..4], [0x78, 0, 20, 0x67]);
        assert_eq!(payloads(&batch)[1][..2], [0x7c, 0x85]);
        assert_eq!(payloads(&batch).last().unwrap()[..2], [0x7c, 0x45]);
        assert_eq!(batch.runs().len(), 2);
        assert_eq!(batch.runs()[1].segments(), 45);
        let shortest = batch.packets().skip(1).map(<[u8]>::len).min().unwrap();
        assert!(batch.runs()[1].segment - shortest < 45, "no short tail");
    }

    #[test]
    fn a_single_small_nal_goes_as_it_is() {
        let small = nal(0x41, 1338);
        let batch = packetizer(1360, 9).packetize(&unit(std::slice::from_ref(&small)));
        assert_eq!(payloads(&batch), [&small[..]]);
        assert_eq!(batch.packet(0).len(), 1360 - SRTP_TRAILER);
        assert_eq!(batch.packet(0)[..12], [0x80, 0xe0, 0, 9, 0, 0x0d, 0xbf, 0x88, 0xca, 0xfe, 0xf0, 0x0d]);
        assert_eq!(batch.timestamp(), 901_000);
    }

    #[test]
    fn the_aggregate_carries_the_highest_importance() {
        let batch = packetizer(1360, 0).packetize(&unit(&[nal(0x06, 5), nal(0x21, 9), nal(0x41, 9)]));
        assert_eq!(payloads(&batch)[0][0], 0x40 | 24);
    }

    #[test]
    fn a_unit_of_empty_nals_gives_no_packet_and_takes_no_number() {
        let mut packetizer = packetizer(1360, 5);
        assert!(packetizer.packetize(&unit(&[])).is_empty());
        assert!(packetizer.packetize(&unit(&[Vec::new()])).is_empty());
        let batch = packetizer.packetize(&unit(&[Vec::new(), nal(0x41, 3)]));
        assert_eq!((batch.len(), batch.first_sequence(), batch.timestamp()), (1, 5, 901_000));
    }

    proptest! {
        #[test]
        fn a_receiver_gets_every_nal_back(
            sizes in prop::collection::vec(prop_oneof![4 => 1usize..60, 2 => 1usize..3000, 1 => 1usize..200_000], 1..8),
            headers in prop::collection::vec((0u8..4, 1u8..24), 8),
            packet_size in 128usize..2000,
            first_sequence: u16,
        ) {
            let nals: Vec<Vec<u8>> =
                sizes.iter().zip(&headers).map(|(size, (nri, kind))| nal(nri << 5 | kind, *size)).collect();
            let mut packetizer = packetizer(packet_size, first_sequence);
            let batch = packetizer.packetize(&unit(&nals));
            prop_assert_eq!(depacketize(&batch), nals);
            let last = batch.len() - 1;
            for (index, packet) in batch.packets().enumerate() {
                prop_assert!(packet.len() <= packet_size - SRTP_TRAILER);
                let expected = Header {
                    payload_type: 96,
                    marker: index == last,
                    sequence: first_sequence.wrapping_add(index as u16),
                    timestamp: 901_000,
                    ssrc: 0xcafe_f00d,
                };
                prop_assert_eq!(Header::parse(packet).unwrap().0, expected);
            }
            // Each fragmented NAL adds a run per 64 segments or 65,000 octets, everything between two of them at most
            // one per packet.
            let whole = payloads(&batch).iter().filter(|payload| payload[0] & 0x1f != 28).count();
            let cut: usize = sizes.iter().map(|size| 1 + size.div_ceil(60 * 100)).sum();
            prop_assert!(batch.runs().len() <= whole + cut);
        }
    }
}
