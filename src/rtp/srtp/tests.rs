use super::*;
use crate::{
    media::{AccessUnit, AudioCodec, AudioFormat, TrackFormat},
    rtp::{Packetizer, rtcp},
};
use proptest::prelude::*;

/// RFC 3711 §B.3: the same master key stands in libsrtp's own test, whose packets these are.
fn master() -> MasterKey {
    let bytes = hex::decode("e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6").unwrap();
    MasterKey(bytes.try_into().unwrap())
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    hex::decode(hexadecimal.replace(' ', "")).unwrap()
}

#[test]
fn rtp_is_protected_as_libsrtp_does_it() {
    let mut packet = bytes("800f1234decafbadcafebabe abababababababababababababababab");
    Context::new(&master()).protect_rtp(&mut packet, 0, 12, 0x1234);
    let expected = "800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb";
    assert_eq!(packet, bytes(expected));
}

#[test]
fn rtcp_is_protected_as_libsrtp_does_it() {
    let clear = bytes("81c8000bcafebabe abababababababababababababababab");
    let mut packet = clear.clone();
    Context::new(&master()).protect_rtcp(&mut packet, 1);
    let expected = "81c8000bcafebabe 7128035be487b9bdbef89041f977a5a8 80000001 993e08cd54d6c1230798";
    assert_eq!(packet, bytes(expected));
    let mut receiver = Receiver::new(&master(), 0);
    assert!(receiver.is_authentic(&packet));
    assert_eq!(receiver.open(&packet), Some(clear));
    assert_eq!(receiver.open(&packet), None, "once");
}

/// RFC 3711 §B.3, by way of a packet of zeroes: its payload is the key stream of index 0 (RFC 3711 §4.1.1).
#[test]
fn the_rollover_counter_is_in_the_key_stream_and_in_the_tag() {
    let context = Context::new(&master());
    let protect = |index| {
        let mut packet = bytes("800f1234decafbadcafebabe 00000000");
        context.protect_rtp(&mut packet, 0, 12, index);
        packet
    };
    assert_ne!(protect(0x1234)[12..16], protect(0x1_1234)[12..16]);
    assert_ne!(protect(0x1234)[16..], protect(0x1_1234)[16..]);
}

fn sound() -> (Packetizer, AccessUnit) {
    let format = TrackFormat::Audio(AudioFormat { codec: AudioCodec::L16, rate: 48_000, channels: 2 });
    let mut unit = AccessUnit { samples: 960, ..AccessUnit::default() };
    unit.push_nal(&[7; 3840]);
    (Packetizer::new(&format, 1360, 1, 9, 0), unit)
}

#[test]
fn a_batch_is_protected_once_for_each_key() {
    let (mut packetizer, unit) = sound();
    let batch = packetizer.packetize(&unit);
    let [one, other] = [0, 1].map(|_| Protection::random().unwrap());
    let form = batch.protected(&one);
    assert!(Arc::ptr_eq(form, batch.protected(&one)));
    assert_ne!(form.bytes(), batch.protected(&other).bytes());
    assert_eq!((form.len(), form.runs().len(), form.octets_before()), (batch.len(), 1, batch.octets_before()));
    assert_eq!(form.packet(0).len(), batch.packet(0).len() + SRTP_TRAILER);
    assert_eq!((form.timestamp(), form.ssrc()), (batch.timestamp(), batch.ssrc()));
}

#[test]
fn packets_are_numbered_from_where_the_key_is_first_used() {
    let (mut packetizer, unit) = sound();
    let mut batch = packetizer.packetize(&unit);
    while batch.extended() < 100_000 {
        batch = packetizer.packetize(&unit);
    }
    let protection = Protection::random().unwrap();
    assert_eq!((protection.rollover(batch.extended()), protection.is_fresh(batch.extended())), (0, true));
    let numbers: Vec<u16> =
        batch.protected(&protection).packets().map(|packet| Header::parse(packet).unwrap().0.sequence).collect();
    assert_eq!(numbers, [4096, 4097, 4098]);
    // Those of before, which another viewer may begin with, and those after the counter has wrapped.
    assert_eq!(protection.index(batch.extended() - 4096), 0);
    let later = batch.extended() + 65_536;
    assert_eq!((protection.index(later), protection.rollover(later)), (65_536 + 4096, 1));
    assert!(!protection.is_fresh(later) && protection.is_fresh(later - 40_000));
}

#[test]
fn no_two_reports_have_the_same_index() {
    let protection = Protection::new(master());
    let mut receiver = Receiver::new(&master(), 0);
    for _ in 0..100 {
        let mut report = rtcp::bye(7, "name");
        let clear = report.clone();
        assert!(protection.protect_report(&mut report));
        assert_eq!(receiver.open(&report).as_ref(), Some(&clear));
        assert_eq!(receiver.open(&report), None);
    }
    protection.reports.store(2 * REPORTS - 1, Ordering::Relaxed);
    assert!(!protection.is_fresh(0));
    assert!(protection.protect_report(&mut rtcp::bye(7, "name")));
    assert!(!protection.protect_report(&mut rtcp::bye(7, "name")), "none is left");
}

#[test]
fn reports_may_overtake_each_other_but_not_come_again() {
    let context = Context::new(&master());
    let made = |index| {
        let mut packet = rtcp::bye(7, "name");
        context.protect_rtcp(&mut packet, index);
        packet
    };
    let mut receiver = Receiver::new(&master(), 0);
    let taken = |index| receiver.open(&made(index)).is_some();
    let expected = [(100, true), (99, true), (100, false), (102, true), (101, true), (99, false), (37, false)];
    let further = [(200, true), (137, true), (136, false), (137, false), (0x7fff_ffff, true), (201, false)];
    let (indexes, expected): (Vec<u32>, Vec<bool>) = expected.into_iter().chain(further).unzip();
    assert_eq!(indexes.into_iter().map(taken).collect::<Vec<_>>(), expected);
}

/// RFC 3711 §3.2.3: a client that changes its SSRC counts from the start again.
#[test]
fn each_source_of_reports_counts_for_itself() {
    let context = Context::new(&master());
    let made = |ssrc, index| {
        let mut packet = rtcp::bye(ssrc, "name");
        context.protect_rtcp(&mut packet, index);
        packet
    };
    let mut receiver = Receiver::new(&master(), 0);
    let mut taken = |ssrc, index| receiver.open(&made(ssrc, index)).is_some();
    assert!(taken(7, 1000) && taken(8, 1), "as no packet of another");
    assert!(taken(7, 1001) && taken(8, 2) && taken(7, 999));
    assert!(!taken(8, 1) && !taken(7, 1000) && !taken(7, 999));
    // Many more than a client has are not kept, and none of those that are kept is forgotten for them.
    assert_eq!((100..200).filter(|ssrc| taken(*ssrc, 1)).count(), SOURCES - 2);
    assert!(!taken(8, 2) && taken(8, 3) && !taken(100, 1) && taken(100, 2));
}

#[test]
fn a_named_key_stands_before_the_tag() {
    let context = Context::new(&master());
    let mut packet = rtcp::bye(7, "name");
    let clear = packet.clone();
    context.protect_rtcp(&mut packet, 5);
    let tag = packet.len() - SRTP_TRAILER;
    packet.splice(tag..tag, [0, 0, 0, 47]);
    assert_eq!(Receiver::new(&master(), 4).open(&packet), Some(clear));
    assert_eq!(Receiver::new(&master(), 0).open(&packet), None);
}

proptest! {
    #[test]
    fn whatever_comes_is_opened_or_left(packet in prop::collection::vec(any::<u8>(), 0..80), mki in 0usize..300) {
        prop_assert_eq!(Receiver::new(&master(), mki).open(&packet), None);
    }

    #[test]
    fn one_changed_bit_and_it_is_left(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut packet = rtcp::bye(7, "name");
        Context::new(&master()).protect_rtcp(&mut packet, 5);
        let at = at.index(packet.len());
        packet[at] ^= 1 << bit;
        prop_assert_eq!(Receiver::new(&master(), 0).open(&packet), None);
    }
}
