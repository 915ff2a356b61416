use super::{
    audio,
    batch::{About, PacketBatch},
    h264,
    header::Header,
    jpeg,
    pool::Pool,
    srtp::SRTP_TRAILER,
    timeline::Timeline,
};
use crate::{
    media::{AccessUnit, AudioFormat, TrackFormat},
    time::RtpClock,
};
use std::sync::Arc;

/// Turns the access units of one track into RTP packets, each once for all viewers.
#[derive(Debug)]
pub struct Packetizer {
    payload: Payload,
    payload_type: u8,
    /// The most octets of a packet's payload.
    room: usize,
    timeline: Timeline,
    ssrc: u32,
    /// The extended number of the next packet.
    next: u64,
    packets: u32,
    octets: u32,
    pool: Pool,
}

#[derive(Debug)]
enum Payload {
    H264,
    Jpeg,
    Audio(AudioFormat),
}

impl Packetizer {
    /// `packet_size` is the most octets of a whole RTP packet with its SRTP trailer; taken for the nearest of 128 and
    /// 65,000 outside them. The sequence number and timestamp to begin with should be random (RFC 3550 §5.1).
    pub fn new(
        format: &TrackFormat,
        packet_size: usize,
        ssrc: u32,
        first_sequence: u16,
        timestamp_offset: u32,
    ) -> Self {
        let payload = match format {
            TrackFormat::H264(_) => Payload::H264,
            TrackFormat::Jpeg(_) => Payload::Jpeg,
            TrackFormat::Audio(audio) => Payload::Audio(audio.clone()),
        };
        Self {
            payload,
            payload_type: format.payload_type(),
            room: packet_size.clamp(128, 65_000) - SRTP_TRAILER - Header::SIZE,
            timeline: Timeline::new(format.clock_rate(), timestamp_offset),
            ssrc,
            next: first_sequence.into(),
            packets: 0,
            octets: 0,
            pool: Pool::default(),
        }
    }

    /// One access unit as packets. Copies the coded bytes once. A unit without content gives an empty batch, and so
    /// does an Opus packet that is larger than a packet may be, for it cannot be cut (RFC 7587 §4.2), and a JPEG that
    /// RFC 2435 has no words for.
    pub fn packetize(&mut self, unit: &AccessUnit) -> Arc<PacketBatch> {
        let (estimate, pieces) = (self.estimate(unit), self.pieces(unit));
        let mut pool = std::mem::take(&mut self.pool);
        let batch = pool.make(unit.key, estimate, |batch| {
            batch.refill(|bytes, ends| {
                bytes.reserve_exact(estimate);
                ends.reserve(pieces);
                self.write(unit, bytes, ends)
            });
        });
        self.pool = pool;
        self.next += batch.len() as u64;
        self.packets = self.packets.wrapping_add(batch.len() as u32);
        self.octets = self.octets.wrapping_add(batch.octets());
        batch
    }

    /// Lets go of the memory of batches that are in use no more.
    pub fn rest(&mut self) {
        self.pool.clear();
    }

    fn write(&mut self, unit: &AccessUnit, bytes: &mut Vec<u8>, ends: &mut Vec<u32>) -> About {
        let mut writer = Writer {
            bytes,
            ends,
            header: Header {
                payload_type: self.payload_type,
                marker: false,
                sequence: self.next as u16,
                timestamp: 0,
                ssrc: self.ssrc,
            },
            first_timestamp: None,
        };
        match &self.payload {
            Payload::H264 => h264::packetize(unit, self.room, &mut self.timeline, &mut writer),
            Payload::Jpeg => jpeg::packetize(unit, self.room, &mut self.timeline, &mut writer),
            Payload::Audio(format) => audio::packetize(unit, format, self.room, &mut self.timeline, &mut writer),
        }
        About {
            ssrc: self.ssrc,
            extended: self.next,
            timestamp: writer.first_timestamp.unwrap_or_else(|| self.timeline.clock().timestamp(unit.stamp)),
            next_timestamp: self.timeline.next(),
            stamp: unit.stamp,
            key: unit.key,
            packets_before: self.packets,
            octets_before: self.octets,
        }
    }

    /// The clock that its timestamps come from, for sender reports.
    pub fn clock(&self) -> RtpClock {
        self.timeline.clock()
    }

    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The sequence number of the next packet.
    pub fn next_sequence(&self) -> u16 {
        self.next as u16
    }

    /// No fewer packets than `unit` takes.
    fn pieces(&self, unit: &AccessUnit) -> usize {
        match self.payload {
            Payload::Jpeg => unit.data.len() / (self.room - jpeg::OVERHEAD) + 2,
            _ => unit.data.len() / (self.room - h264::FU_OVERHEAD) + 1 + unit.nals.len(),
        }
    }

    /// No fewer octets than the packets of `unit` take, and few more: every packet costs a header, and every NAL unit
    /// or piece of one at most three; a JPEG's tables are in its own header already.
    fn estimate(&self, unit: &AccessUnit) -> usize {
        let overhead = if matches!(self.payload, Payload::Jpeg) { jpeg::OVERHEAD } else { 3 };
        unit.data.len() + self.pieces(unit) * (Header::SIZE + overhead)
    }
}

/// Writes the packets of one batch.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    bytes: &'a mut Vec<u8>,
    ends: &'a mut Vec<u32>,
    /// Of the next packet.
    header: Header,
    first_timestamp: Option<u32>,
}

impl Writer<'_> {
    /// Sets the timestamp of the packets that follow.
    pub fn timestamp(&mut self, timestamp: u32) {
        self.header.timestamp = timestamp;
        self.first_timestamp.get_or_insert(timestamp);
    }

    /// Appends a packet whose payload is `parts` one after the other.
    pub fn packet<'a>(&mut self, parts: impl IntoIterator<Item = &'a [u8]>) {
        self.packet_of(|payload| parts.into_iter().for_each(|part| payload.extend_from_slice(part)));
    }

    /// Appends a packet whose payload `write` appends.
    pub fn packet_of(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.header.write(self.bytes);
        write(self.bytes);
        self.ends.push(self.bytes.len() as u32);
        self.header.sequence = self.header.sequence.wrapping_add(1);
    }

    /// Sets the marker bit of the packet appended last.
    pub fn mark(&mut self) {
        if let [before @ .., _] = &self.ends[..] {
            let start = before.last().map_or(0, |end| *end as usize);
            Header::mark(&mut self.bytes[start..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{media::AudioCodec, time::MonoTime};

    fn sound(codec: AudioCodec, rate: u32, channels: u16) -> Packetizer {
        Packetizer::new(&TrackFormat::Audio(AudioFormat { codec, rate, channels }), 1360, 1, 65_535, 0)
    }

    fn block(millis: u64, octets: usize, samples: u32) -> AccessUnit {
        let stamp = MonoTime::from_nanos(millis * 1_000_000);
        let mut unit = AccessUnit { key: true, stamp, samples, ..AccessUnit::default() };
        unit.push_nal(&(0..octets).map(|index| index as u8).collect::<Vec<_>>());
        unit
    }

    fn headers(batch: &PacketBatch) -> Vec<Header> {
        batch.packets().map(|packet| Header::parse(packet).unwrap().0).collect()
    }

    #[test]
    fn g711_is_one_packet_a_block_and_marked_after_a_gap() {
        let mut packetizer = sound(AudioCodec::Pcmu, 8000, 1);
        let seen: Vec<_> = [1000, 1020, 1040, 1100, 1120]
            .into_iter()
            .flat_map(|millis| headers(&packetizer.packetize(&block(millis, 160, 160))))
            .map(|header| (header.payload_type, header.marker, header.sequence, header.timestamp))
            .collect();
        let expected = [
            (0, true, 65_535, 8000),
            (0, false, 0, 8160),
            (0, false, 1, 8320),
            (0, true, 2, 8800),
            (0, false, 3, 8960),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn l16_is_cut_between_frames_into_equal_packets() {
        let mut packetizer = sound(AudioCodec::L16, 48_000, 2);
        let unit = block(1000, 3840, 960);
        let batch = packetizer.packetize(&unit);
        assert_eq!(batch.runs().iter().map(|run| run.segment).collect::<Vec<_>>(), [12 + 1280]);
        let timestamps: Vec<_> = headers(&batch).iter().map(|header| (header.marker, header.timestamp)).collect();
        assert_eq!(timestamps, [(true, 48_000), (false, 48_320), (false, 48_640)]);
        let payloads: Vec<u8> = batch.packets().flat_map(|packet| packet[12..].to_vec()).collect();
        assert_eq!(payloads, unit.data);
        let next = packetizer.packetize(&block(1020, 3840, 960));
        assert_eq!((next.timestamp(), headers(&next)[0].marker), (48_960, false));
    }

    #[test]
    fn opus_is_never_cut() {
        let mut packetizer = sound(AudioCodec::Opus, 48_000, 2);
        let batch = packetizer.packetize(&block(1000, 1275, 960));
        assert_eq!((batch.len(), batch.octets(), headers(&batch)[0].payload_type), (1, 1275, 97));
        assert!(packetizer.packetize(&block(1020, 1339, 960)).is_empty());
        assert_eq!(packetizer.packetize(&block(1020, 80, 960)).first_sequence(), 0);
    }

    #[test]
    fn aac_says_the_size_of_the_whole_in_every_fragment() {
        let mut packetizer = sound(AudioCodec::Aac, 48_000, 2);
        let batch = packetizer.packetize(&block(1000, 341, 1024));
        let whole: Vec<&[u8]> = batch.packets().map(|packet| &packet[12..]).collect();
        assert_eq!((whole.len(), whole[0].len(), &whole[0][..4]), (1, 345, &[0, 16, 0x0a, 0xa8][..]));
        let next = block(1000, 1500, 1024);
        let unit = AccessUnit { stamp: MonoTime::from_nanos(1_021_333_333), ..next };
        let batch = packetizer.packetize(&unit);
        let told: Vec<_> = headers(&batch).iter().map(|header| (header.marker, header.timestamp)).collect();
        assert_eq!(told, [(false, 49_024), (true, 49_024)]);
        let parts: Vec<&[u8]> = batch.packets().map(|packet| &packet[12..]).collect();
        assert!(parts.iter().all(|part| part[..4] == [0, 16, 0x2e, 0xe0]));
        assert_eq!(parts.iter().flat_map(|part| &part[4..]).copied().collect::<Vec<_>>(), unit.data);
        assert!(packetizer.packetize(&block(1042, 8192, 1024)).is_empty(), "its size has 13 bits");
    }

    #[test]
    fn totals_count_what_a_sender_report_counts() {
        let mut packetizer = sound(AudioCodec::Pcma, 8000, 1);
        packetizer.octets = u32::MAX - 99;
        let batch = packetizer.packetize(&block(1000, 160, 160));
        assert_eq!((batch.packets_before(), batch.octets_before(), batch.octets()), (0, u32::MAX - 99, 160));
        let batch = packetizer.packetize(&block(1020, 160, 160));
        assert_eq!((batch.packets_before(), batch.octets_before()), (1, 60));
        assert_eq!((batch.ssrc(), batch.stamp(), batch.key()), (1, MonoTime::from_nanos(1_020_000_000), true));
    }

    /// What is reserved is enough: the batch is one allocation.
    #[test]
    fn a_batch_is_allocated_once() {
        let mut packetizer = sound(AudioCodec::L16, 48_000, 1);
        for octets in (0..9000).step_by(2) {
            let unit = block(1000, octets, 0);
            assert!(packetizer.packetize(&unit).bytes().len() <= packetizer.estimate(&unit));
        }
    }
}
