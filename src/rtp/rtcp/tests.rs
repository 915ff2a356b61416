use super::*;
use crate::time::NtpTime;
use proptest::prelude::*;

/// rtspsrc 1.22 over UDP, after two of its packets were kept back: a receiver report and SDES with CNAME and TOOL.
const GSTREAMER: &str = "81c90007bcd9d7ebcafef00d060000020001002a0000000444cd2e4e00008a17\
     81ca000cbcd9d7eb011b7573657237323838373832303240686f73742d666164383239383406094753747265616d657200000000";
/// ffmpeg 5.1 over UDP, to open its NAT: a receiver report about nothing.
const FFMPEG: &str = "80c9000100000000";
/// rtspsrc 1.22 opens its NAT with 200 random octets, this time beginning like RTP with nine contributing sources.
const GSTREAMER_NOISE: &str = "992b38fe75c487ba8a8952b23a33108a298bf0619c9702607f94a36d055256ee3846a87775c8d17b9b010b35\
     df53658ecfc8083dd52c113747b4d64f893db23a276fbc34ed752fddc6555e2ff4aab6f280b04538ad1067e486";

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

#[test]
fn gstreamer_reports_what_it_lost() {
    let report = ReportBlock {
        ssrc: 0xcafe_f00d,
        fraction_lost: 6,
        lost: 2,
        highest_sequence: 0x1_002a,
        jitter: 4,
        last_sender_report: 0x44cd_2e4e,
        delay: 0x8a17,
    };
    assert_eq!(parse(&bytes(GSTREAMER)), [Event::Report { from: 0xbcd9_d7eb }, Event::Block(report)]);
    assert!(is_well_formed(&bytes(GSTREAMER)));
}

#[test]
fn ffmpeg_is_alive_without_a_block() {
    assert_eq!(parse(&bytes(FFMPEG)), [Event::Report { from: 0 }]);
    assert!(is_well_formed(&bytes(FFMPEG)));
}

#[test]
fn noise_is_neither_rtp_nor_rtcp() {
    let noise = bytes(GSTREAMER_NOISE);
    assert!(!is_rtcp(&noise) && !is_well_formed(&noise) && parse(&noise).is_empty());
    assert!(!crate::rtp::is_well_formed_rtp(&noise));
    assert!(!is_well_formed(&[]));
}

#[test]
fn feedback_asks_for_a_key_frame() {
    let picture_loss = bytes("80c900010000000781ce000200000007cafef00d");
    let asked = [Event::Report { from: 7 }, Event::PictureLoss { ssrc: 0xcafe_f00d }];
    assert_eq!(parse(&picture_loss), asked);
    // Without the report before it, as RFC 5506 allows.
    assert_eq!(parse(&picture_loss[8..]), asked[1..]);
    let intra = bytes("84ce00040000000700000000cafef00d2a000000");
    assert_eq!(parse(&intra), [Event::FullIntra { ssrc: 0xcafe_f00d, sequence: 42 }]);
    // Application layer feedback (goog-remb) is none of these.
    let other = bytes("8fce0004000000070000000052454d4201000000");
    assert!(parse(&other).is_empty() && is_well_formed(&other));
}

#[test]
fn leaving_is_seen_behind_what_is_unknown() {
    let extended_report = "80cf000300000007 0400000101020304";
    let bye = "81cb0002 00000007 03627965";
    let packet = bytes(&[extended_report, bye].concat().replace(' ', ""));
    assert_eq!(parse(&packet), [Event::Bye { ssrc: 7 }]);
    // Cut off, it says nothing and is not well formed.
    assert!(parse(&packet[..packet.len() - 1]).is_empty());
    assert!(is_well_formed(&packet) && !is_well_formed(&packet[..packet.len() - 1]));
}

#[test]
fn more_came_than_expected() {
    let mut packet = bytes(GSTREAMER);
    packet[13..16].copy_from_slice(&[0xff, 0xff, 0xfe]);
    assert!(matches!(parse(&packet)[1], Event::Block(ReportBlock { lost: -2, fraction_lost: 6, .. })));
}

#[test]
fn a_sender_report_comes_with_its_cname() {
    let info = SenderInfo {
        ssrc: 0xcafe_f00d,
        ntp: NtpTime(0x0102_0304_0506_0708),
        rtp_timestamp: 0x1112_1314,
        packets: 0x2122_2324,
        octets: 0x3132_3334,
        cname: "eyrie",
    };
    let expected = "80c80006cafef00d0102030405060708111213142122232431323334\
                    81ca0003cafef00d0105657972696500";
    assert_eq!(hex::encode(sender_report(&info)), expected);
    assert!(is_rtcp(&sender_report(&info)) && is_well_formed(&sender_report(&info)));
    let mut packet = sender_report(&SenderInfo { ntp: NtpTime(7), rtp_timestamp: 8, packets: 9, octets: 10, ..info });
    renew_sender_report(&mut packet, &info);
    assert_eq!(hex::encode(packet), expected);
}

#[test]
fn bye_is_a_compound_packet() {
    let packet = bye(0xcafe_f00d, "eyrie");
    assert_eq!(hex::encode(&packet), "80c90001cafef00d81ca0003cafef00d010565797269650081cb0001cafef00d");
    assert_eq!(parse(&packet), [Event::Report { from: 0xcafe_f00d }, Event::Bye { ssrc: 0xcafe_f00d }]);
}

#[test]
fn a_long_cname_is_cut_between_letters() {
    let cname = "é".repeat(200);
    let packet = bye(1, &cname);
    assert!(is_well_formed(&packet));
    assert_eq!(packet[17], 254);
}

#[test]
fn a_flood_of_blocks_is_bounded() {
    let mut report = vec![0x9f, 201, 0, 1 + 31 * 6];
    report.resize(8 + 31 * 24, 1);
    assert_eq!(parse(&report).len(), 32);
    assert_eq!(parse(&report.repeat(50)).len(), MAX_EVENTS);
}

proptest! {
    #[test]
    fn never_panics(packet in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = (parse(&packet), is_well_formed(&packet));
    }

    /// As `never_panics`, but past the first look at the header.
    #[test]
    fn never_panics_behind_a_right_header(
        parts in prop::collection::vec((0u8..64, 199u8..208, prop::collection::vec(any::<u8>(), 0..60)), 1..5),
    ) {
        let mut packet = Vec::new();
        for (count, kind, mut body) in parts {
            body.resize(body.len() / 4 * 4, 0);
            packet.extend([0x80 | count, kind, 0, (body.len() / 4) as u8]);
            packet.extend(body);
        }
        let _ = (parse(&packet), is_well_formed(&packet));
    }
}
