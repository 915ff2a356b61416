//! JPEG (RFC 2435): the headers of a picture are taken off, a receiver makes them again.

use super::{packetizer::Writer, timeline::Timeline};
use crate::media::{
    AccessUnit,
    jpeg::{Jpeg, LARGEST_SIDE, Subsampling},
};

/// Main header, restart header, and, before the first piece, the header of the tables with both of them (RFC 2435 §3.1).
pub(super) const OVERHEAD: usize = 8 + 4;
pub(super) const TABLES: usize = 4 + 128;
/// The tables come with each picture (§4.2).
const TABLES_IN_BAND: u8 = 255;
/// Added to the type of a picture with restart markers (§3.1.7).
const WITH_RESTARTS: u8 = 64;
/// First and last piece, and no number of a restart interval: packets are not cut at them, so a receiver decodes the
/// picture as a whole.
const WHOLE: [u8; 2] = [0xff, 0xff];
/// What 24 bits can tell.
const LARGEST_OFFSET: usize = (1 << 24) - 1;

/// Writes the picture in `unit` into payloads of at most `room` octets; the last packet has the marker bit. One that
/// RFC 2435 cannot carry gives no packet.
pub(super) fn packetize(unit: &AccessUnit, room: usize, timeline: &mut Timeline, writer: &mut Writer) {
    let Ok(jpeg) = Jpeg::parse(&unit.data) else { return };
    let too_large = jpeg.size.width.max(jpeg.size.height) > LARGEST_SIDE || jpeg.scan.len() > LARGEST_OFFSET;
    if too_large || room <= OVERHEAD + TABLES {
        return;
    }
    writer.timestamp(timeline.picture(unit.stamp));
    // A size that is no multiple of 8 is told as the next one: it has the same blocks, the last of which were padded.
    let [width, height] = [jpeg.size.width, jpeg.size.height].map(|side| side.div_ceil(8) as u8);
    let restarts = jpeg.restart_interval != 0;
    let kind = match jpeg.subsampling {
        Subsampling::Columns => 0,
        Subsampling::Both => 1,
    } | if restarts { WITH_RESTARTS } else { 0 };
    let [high, low] = jpeg.restart_interval.to_be_bytes();
    let restart_header = [high, low, WHOLE[0], WHOLE[1]];
    let restart_header = if restarts { &restart_header[..] } else { &[] };
    let mut offset = 0;
    loop {
        let [_, a, b, c] = (offset as u32).to_be_bytes();
        let main = [0, a, b, c, kind, TABLES_IN_BAND, width, height];
        let tables = (offset == 0).then_some([&[0, 0, 0, 128][..], jpeg.tables[0], jpeg.tables[1]]);
        let taken = main.len() + restart_header.len() + if offset == 0 { TABLES } else { 0 };
        let piece = &jpeg.scan[offset..jpeg.scan.len().min(offset + room - taken)];
        let before = [&main[..], restart_header].into_iter().chain(tables.into_iter().flatten());
        writer.packet(before.chain([piece]));
        offset += piece.len();
        if offset == jpeg.scan.len() {
            break;
        }
    }
    writer.mark();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        media::{FrameRate, JpegFormat, Size, TrackFormat},
        rtp::{Header, PacketBatch, Packetizer, SRTP_TRAILER},
        time::MonoTime,
    };
    use proptest::prelude::*;
    use std::sync::Arc;

    const SEEDS: [(&str, &[u8]); 4] = [
        ("4:2:0", include_bytes!("../../fuzz/seeds/mjpeg/noise-420.jpg")),
        ("4:2:2", include_bytes!("../../fuzz/seeds/mjpeg/usual-422.jpg")),
        ("no Huffman tables", include_bytes!("../../fuzz/seeds/mjpeg/webcam-422.jpg")),
        ("restart markers", include_bytes!("../../fuzz/seeds/mjpeg/restart.jpg")),
    ];

    fn packetize(jpeg: &[u8], packet_size: usize) -> Arc<PacketBatch> {
        let format = TrackFormat::Jpeg(JpegFormat { size: Size::new(64, 48), fps: FrameRate::new(30, 1) });
        let mut unit = AccessUnit { key: true, stamp: MonoTime::from_timespec(10, 0), ..AccessUnit::default() };
        unit.push_nal(jpeg);
        Packetizer::new(&format, packet_size, 7, 65_534, 0).packetize(&unit)
    }

    /// A receiver as RFC 2435 appendix B describes it, written apart from the sender: a JPEG with all its headers.
    fn depacketize(batch: &PacketBatch) -> Vec<u8> {
        let (mut jpeg, mut scan) = (vec![0xff, 0xd8], Vec::new());
        let last = batch.len() - 1;
        for (index, packet) in batch.packets().enumerate() {
            let (header, payload) = Header::parse(packet).unwrap();
            assert_eq!((header.payload_type, header.marker, header.timestamp), (26, index == last, 900_000));
            let (main, mut rest) = payload.split_at(8);
            assert_eq!((main[0], main[5]), (0, 255), "no interlacing, tables in band");
            assert_eq!(usize::from(main[1]) << 16 | usize::from(main[2]) << 8 | usize::from(main[3]), scan.len());
            let (kind, width, height) = (main[4], u16::from(main[6]) * 8, u16::from(main[7]) * 8);
            let mut restart = None;
            if kind >= 64 {
                assert_eq!(rest[2..4], [0xff, 0xff]);
                restart = Some([rest[0], rest[1]]);
                rest = &rest[4..];
            }
            if scan.is_empty() {
                assert_eq!(rest[..4], [0, 0, 0, 128]);
                for table in [0, 1] {
                    jpeg.extend([0xff, 0xdb, 0, 67, table as u8]);
                    jpeg.extend_from_slice(&rest[4 + table * 64..][..64]);
                }
                rest = &rest[132..];
                if let Some([high, low]) = restart {
                    jpeg.extend([0xff, 0xdd, 0, 4, high, low]);
                }
                let sampling = [0x21, 0x22][usize::from(kind % 64)];
                jpeg.extend([0xff, 0xc0, 0, 17, 8]);
                jpeg.extend(height.to_be_bytes().into_iter().chain(width.to_be_bytes()));
                jpeg.extend([3, 0, sampling, 0, 1, 0x11, 1, 2, 0x11, 1]);
                // The decoder below knows the usual Huffman tables.
                jpeg.extend([0xff, 0xda, 0, 12, 3, 0, 0x00, 1, 0x11, 2, 0x11, 0, 63, 0]);
            }
            scan.extend_from_slice(rest);
        }
        [jpeg, scan, vec![0xff, 0xd9]].concat()
    }

    #[test]
    fn a_receiver_gets_the_same_picture() {
        for (name, seed) in SEEDS {
            for packet_size in [256, 400, 1360] {
                let batch = packetize(seed, packet_size);
                assert!(batch.packets().all(|packet| packet.len() <= packet_size - SRTP_TRAILER), "{name}");
                let received = turbojpeg::decompress(&depacketize(&batch), turbojpeg::PixelFormat::RGB).unwrap();
                let sent = turbojpeg::decompress(seed, turbojpeg::PixelFormat::RGB).unwrap();
                assert_eq!((received.width, received.height), (sent.width, sent.height));
                assert!(received.pixels == sent.pixels, "{name} at {packet_size}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_damaged_picture_is_carried_or_left_out(
            seed in 0..SEEDS.len(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
            end: prop::sample::Index,
        ) {
            let mut jpeg = SEEDS[seed].1.to_vec();
            for (at, byte) in changes {
                // Most of the headers lie at the beginning.
                let at = at.index(jpeg.len());
                jpeg[at * at / SEEDS[seed].1.len()] = byte;
            }
            jpeg.truncate(jpeg.len() - end.index(jpeg.len()) / 8);
            let batch = packetize(&jpeg, 400);
            prop_assert!(batch.packets().all(|packet| packet.len() <= 400 - SRTP_TRAILER));
            prop_assert_eq!(batch.is_empty(), Jpeg::parse(&jpeg).is_err() || packetize(&jpeg, 1360).is_empty());
        }
    }

    #[test]
    fn all_packets_but_the_last_are_one_run() {
        let batch = packetize(SEEDS[0].1, 256);
        assert!(batch.len() > 3);
        let runs: Vec<_> = batch.runs().iter().map(|run| run.segment).collect();
        assert_eq!(runs, [256 - SRTP_TRAILER]);
        assert_eq!((batch.first_sequence(), batch.key()), (65_534, true));
    }

    #[test]
    fn what_rtp_has_no_words_for_gives_no_packet() {
        for wrong in [
            &include_bytes!("../../fuzz/seeds/mjpeg/444.jpg")[..],
            include_bytes!("../../fuzz/seeds/mjpeg/gray.jpg"),
            b"\xff\xd8",
            b"",
        ] {
            assert!(packetize(wrong, 1360).is_empty());
        }
        assert!(packetize(SEEDS[0].1, 128).is_empty(), "no room for the tables");
        // 2048 columns of blocks do not fit into an octet.
        let mut wide = SEEDS[0].1.to_vec();
        let frame = wide.windows(2).position(|window| window == [0xff, 0xc0]).unwrap();
        wide[frame + 7..frame + 9].copy_from_slice(&2048u16.to_be_bytes());
        assert!(packetize(&wide, 1360).is_empty());
    }
}
