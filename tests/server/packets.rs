//! RTP and RTCP as they are on the wire.

use std::io::{Read, Write};

use super::client::{Client, Frame};

/// One RTP packet.
#[derive(Clone, Debug)]
pub struct Rtp {
    pub marker: bool,
    pub payload_type: u8,
    pub seq: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub payload: Vec<u8>,
}

impl Rtp {
    pub fn parse(bytes: &[u8]) -> Self {
        assert!(bytes.len() > 12 && bytes[0] == 0x80, "no plain RTP: {:02x?}", &bytes[..bytes.len().min(16)]);
        Rtp {
            marker: bytes[1] & 0x80 != 0,
            payload_type: bytes[1] & 0x7F,
            seq: u16::from_be_bytes(bytes[2..4].try_into().unwrap()),
            timestamp: u32::from_be_bytes(bytes[4..8].try_into().unwrap()),
            ssrc: u32::from_be_bytes(bytes[8..12].try_into().unwrap()),
            payload: bytes[12..].to_vec(),
        }
    }

    /// The types of the NAL units that begin in an H.264 packet (RFC 6184 §5.2).
    pub fn nal_types(&self) -> Vec<u8> {
        let payload = &self.payload;
        match payload[0] & 0x1F {
            24 => {
                let (mut types, mut at) = (Vec::new(), 1);
                while at + 2 < payload.len() {
                    types.push(payload[at + 2] & 0x1F);
                    at += 2 + usize::from(u16::from_be_bytes([payload[at], payload[at + 1]]));
                }
                types
            }
            28 if payload[1] & 0x80 != 0 => vec![payload[1] & 0x1F],
            28 => vec![],
            single => vec![single],
        }
    }
}

/// An access unit's NAL units.
#[derive(Debug)]
pub struct Picture {
    pub timestamp: u32,
    pub nal_types: Vec<u8>,
    pub bytes: usize,
}

impl Picture {
    /// SPS, PPS, IDR slice: what a decoder can begin with.
    pub fn is_a_beginning(&self) -> bool {
        let of = |nal_type: u8| self.nal_types.iter().position(|other| *other == nal_type);
        matches!((of(7), of(8), of(5)), (Some(sps), Some(pps), Some(idr)) if sps < pps && pps < idr)
    }
}

/// The pictures of packets that begin with a picture's first and lack none.
pub fn pictures(packets: &[Rtp]) -> Vec<Picture> {
    let mut pictures = Vec::new();
    let mut nal_types = Vec::new();
    let mut bytes = 0;
    for packet in packets {
        nal_types.extend(packet.nal_types());
        bytes += packet.payload.len();
        if packet.marker {
            pictures.push(Picture { timestamp: packet.timestamp, nal_types: std::mem::take(&mut nal_types), bytes });
            bytes = 0;
        }
    }
    pictures
}

/// Fails unless sequence numbers follow each other and time rises from picture to picture, or block to block.
pub fn assert_unbroken(packets: &[Rtp]) {
    for pair in packets.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        assert_eq!(after.seq, before.seq.wrapping_add(1), "a gap");
        assert_eq!((after.ssrc, after.payload_type), (before.ssrc, before.payload_type));
        let rise = after.timestamp.wrapping_sub(before.timestamp) as i32;
        let same_picture = [96, 26].contains(&after.payload_type) && !before.marker;
        assert!(if same_picture { rise == 0 } else { rise > 0 }, "time rose by {rise} at seq {}", after.seq);
    }
}

/// What a compound RTCP packet says.
#[derive(Clone, Debug, Default)]
pub struct Rtcp {
    pub sender: Option<SenderReport>,
    pub cname: Option<String>,
    pub bye: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
pub struct SenderReport {
    pub ssrc: u32,
    /// NTP time in seconds since 1970.
    pub wall: f64,
    /// The middle of the NTP time: what receivers name the report by.
    pub middle: u32,
    pub rtp: u32,
    pub packets: u32,
}

impl Rtcp {
    pub fn parse(mut bytes: &[u8]) -> Self {
        let mut rtcp = Rtcp::default();
        while !bytes.is_empty() {
            assert_eq!(bytes[0] >> 6, 2, "no RTCP: {bytes:02x?}");
            let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
            let length = 4 + 4 * usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
            match bytes[1] {
                200 => {
                    let wall = f64::from(word(8)) - 2_208_988_800.0 + f64::from(word(12)) / 4_294_967_296.0;
                    let middle = word(8) << 16 | word(12) >> 16;
                    rtcp.sender = Some(SenderReport { ssrc: word(4), wall, middle, rtp: word(16), packets: word(20) });
                }
                202 if bytes[8] == 1 => {
                    rtcp.cname = Some(String::from_utf8_lossy(&bytes[10..][..usize::from(bytes[9])]).into_owned());
                }
                203 => rtcp.bye = Some(word(4)),
                _ => {}
            }
            bytes = &bytes[length..];
        }
        rtcp
    }
}

/// Empty, of nobody that sends: a sign of life.
pub fn receiver_report() -> Vec<u8> {
    let mut report = vec![0x80, 201, 0, 1];
    report.extend(0x1234_5678u32.to_be_bytes());
    report
}

/// A receiver report about `media`: 7 packets lost, a jitter of 900 ticks, and the middle of the NTP time of the sender
/// report received last, so many 65,536ths of a second ago (RFC 3550 §6.4.1).
pub fn report_about(media: u32, last_sender_report: u32, delay: u32) -> Vec<u8> {
    let words = [media, 7, 0, 900, last_sender_report, delay];
    let mut report = vec![0x81, 201, 0, 7];
    report.extend(0x1234_5678u32.to_be_bytes());
    report.extend(words.iter().flat_map(|word| word.to_be_bytes()));
    report
}

/// A receiver report about `media`: by then so many packets were lost of those up to the number `highest`.
pub fn losses(media: u32, lost: u32, highest: u32) -> Vec<u8> {
    let words = [media, lost & 0xff_ffff, highest, 0, 0, 0];
    let mut report = vec![0x81, 201, 0, 7];
    report.extend(0x1234_5678u32.to_be_bytes());
    report.extend(words.iter().flat_map(|word| word.to_be_bytes()));
    report
}

/// A full intra request for `media` (RFC 5104 §4.3.1), the same again with the same `sequence`.
pub fn full_intra(media: u32, sequence: u8) -> Vec<u8> {
    let mut packet = receiver_report();
    packet.extend([0x84, 206, 0, 4]);
    packet.extend([0x1234_5678, 0, media, u32::from(sequence) << 24].iter().flat_map(|word: &u32| word.to_be_bytes()));
    packet
}

/// The receiver that [`receiver_report`] is of leaves (RFC 3550 §6.6).
pub fn leaving() -> Vec<u8> {
    let mut packet = receiver_report();
    packet.extend([0x81, 203, 0, 1]);
    packet.extend(0x1234_5678u32.to_be_bytes());
    packet
}

/// A packet in `$` framing (RFC 2326 §10.12).
pub fn framed(channel: u8, packet: &[u8]) -> Vec<u8> {
    [&[b'$', channel, 0, packet.len() as u8], packet].concat()
}

/// A receiver report with a picture loss indication of `media` (RFC 4585 §6.3.1).
pub fn picture_loss(media: u32) -> Vec<u8> {
    let mut packet = receiver_report();
    packet.extend([0x81, 206, 0, 2]);
    packet.extend(0x1234_5678u32.to_be_bytes());
    packet.extend(media.to_be_bytes());
    packet
}

/// An empty RTP packet, as clients send to open a way through address translation.
pub fn empty_rtp() -> Vec<u8> {
    vec![0x80, 96, 0, 1, 0, 0, 0, 0, 0x12, 0x34, 0x56, 0x78]
}

/// What came of one interleaved viewer, by track: RTP on channels 0 and 2, RTCP on 1 and 3.
#[derive(Debug, Default)]
pub struct Received {
    pub rtp: [Vec<Rtp>; 2],
    pub rtcp: [Vec<Rtcp>; 2],
}

impl Received {
    /// Reads frames until `enough`.
    pub fn until<S: Read + Write>(client: &mut Client<S>, mut enough: impl FnMut(&Received) -> bool) -> Self {
        let mut received = Received::default();
        while !enough(&received) {
            received.add(&client.frame());
        }
        received
    }

    /// Reads until so many pictures are there, and something of each further track.
    pub fn pictures<S: Read + Write>(client: &mut Client<S>, count: usize) -> Self {
        Self::until(client, |received| received.rtp[0].iter().filter(|packet| packet.marker).count() >= count)
    }

    pub fn add(&mut self, frame: &Frame) {
        let track = usize::from(frame.channel / 2);
        if frame.channel.is_multiple_of(2) {
            self.rtp[track].push(Rtp::parse(&frame.payload));
        } else {
            self.rtcp[track].push(Rtcp::parse(&frame.payload));
        }
    }
}

/// The NAL units of one picture (RFC 6184 §5.6 to 5.8), with start codes.
pub fn annex_b(packets: &[Rtp]) -> Vec<u8> {
    const START: [u8; 4] = [0, 0, 0, 1];
    let mut unit = Vec::new();
    for Rtp { payload, .. } in packets {
        match payload[0] & 0x1F {
            24 => {
                let mut rest = &payload[1..];
                while let Some((length, nal)) = rest.split_first_chunk() {
                    let (nal, next) = nal.split_at(usize::from(u16::from_be_bytes(*length)));
                    unit.extend([&START, nal].concat());
                    rest = next;
                }
            }
            28 => {
                if payload[1] & 0x80 != 0 {
                    unit.extend(START);
                    unit.push(payload[0] & 0xE0 | payload[1] & 0x1F);
                }
                unit.extend(&payload[2..]);
            }
            _ => unit.extend([&START, &payload[..]].concat()),
        }
    }
    unit
}
