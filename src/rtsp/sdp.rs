//! Session descriptions (RFC 4566) from track formats.

use super::{DescribedTrack, Description};
use crate::media::{AudioCodec, AudioFormat, FrameRate, H264Format, JpegFormat, TrackFormat};
use base64::prelude::{BASE64_STANDARD, Engine};
use sdp_types::{
    Attribute, Bandwidth, BandwidthType, Connection, Media, MediaType, Origin, Session, Time, TransportProto,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IP, UDP and RTP headers of one packet.
const PACKET_OVERHEAD: u64 = 20 + 8 + 12;
/// What SRTP adds to each (RFC 4568 §6.2).
const SRTP_OVERHEAD: u64 = 10;
/// Blocks of sound per second at 20 ms each.
const AUDIO_PACKETS_PER_SECOND: u64 = 50;

/// The description as DESCRIBE sends it. `local` is the server's address on the client's connection; its family is
/// that of `c=`.
pub(super) fn write(description: &Description, local: IpAddr) -> Vec<u8> {
    // Empty is not allowed (RFC 4566 §5.3), and what follows the name must not seem to be another line.
    let name = description.name.trim();
    let unspecified: IpAddr = match local {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let origin = Origin::with_ip_addr(description.session_id, description.version, local);
    let mut session = Session::new(origin, if name.is_empty() { "Eyrie" } else { name });
    // VLC and live555 follow a group that stands here.
    let group = description.tracks.iter().find_map(|track| track.group);
    let connection = group
        .map(|group| Connection::from_ip_addr_ttl(group.address, Some(group.ttl).filter(|_| group.address.is_ipv4())));
    session.connection = Some(connection.unwrap_or_else(|| Connection::from_ip_addr(unspecified)));
    session.times = vec![Time::new(0, 0)];
    session.attributes = vec![value("control", "*"), value("range", "npt=now-")];
    session.medias = description.tracks.iter().map(media).collect();
    let mut text = Vec::with_capacity(1024);
    session.write(&mut text).expect("a Vec takes all that is written");
    text
}

fn media(track: &DescribedTrack) -> Media {
    let payload_type = track.format.payload_type();
    let (protocol, overhead) = match track.key_message {
        Some(_) => (TransportProto::RtpSavp, PACKET_OVERHEAD + SRTP_OVERHEAD),
        None => (TransportProto::RtpAvp, PACKET_OVERHEAD),
    };
    let (kind, bandwidth, mut attributes) = match &track.format {
        TrackFormat::H264(format) => {
            (MediaType::Video, Some(h264_bandwidth(format, overhead)), h264(format, payload_type))
        }
        TrackFormat::Jpeg(format) => (MediaType::Video, None, jpeg(format, payload_type)),
        TrackFormat::Audio(format) => {
            (MediaType::Audio, audio_bandwidth(format, overhead), audio(format, payload_type))
        }
    };
    // RFC 4567 §3.1.
    let keys = track.key_message.as_ref().map(|message| format!("mikey {}", BASE64_STANDARD.encode(message)));
    attributes.extend(keys.map(|keys| value("key-mgmt", keys)));
    attributes.push(value("control", format!("trackID={}", track.id)));
    // Port 0: the client chooses by SETUP (RFC 2326 §C.1.2).
    let port = track.group.map_or(0, |group| group.port);
    let mut media = Media::new(kind, port, protocol, payload_type.to_string());
    media.bandwidths = bandwidth.map(|kbit| Bandwidth::new(BandwidthType::As, kbit)).into_iter().collect();
    media.attributes = attributes;
    media
}

/// RFC 6184 §8.2.
fn h264(format: &H264Format, payload_type: u8) -> Vec<Attribute> {
    let sets = &format.parameter_sets;
    let fmtp = format!(
        "{payload_type} packetization-mode=1;profile-level-id={};sprop-parameter-sets={},{}",
        hex::encode_upper(sets.profile_level_id()),
        BASE64_STANDARD.encode(&sets.sps),
        BASE64_STANDARD.encode(&sets.pps),
    );
    vec![value("rtpmap", format!("{payload_type} H264/90000")), value("fmtp", fmtp), framerate(format.fps)]
}

/// RFC 2435 has no parameters; `x-dimensions` is GStreamer's, for pictures that are no multiple of 8.
fn jpeg(format: &JpegFormat, payload_type: u8) -> Vec<Attribute> {
    vec![
        value("rtpmap", format!("{payload_type} JPEG/90000")),
        framerate(format.fps),
        value("x-dimensions", format!("{},{}", format.size.width, format.size.height)),
    ]
}

fn framerate(fps: FrameRate) -> Attribute {
    value("framerate", ((fps.as_f64() * 1000.0).round() / 1000.0).to_string())
}

/// In kbit/s with all headers (RFC 4566 §5.8, RFC 3550 §6.2): the configured rate may be exceeded by a tenth.
fn h264_bandwidth(format: &H264Format, overhead: u64) -> u64 {
    let coded = u64::from(format.bitrate) * 110 / 100;
    // Small pictures fill no packets: at least two of them for each picture.
    let packets = (coded / (1200 * 8)).max(2 * format.fps.as_f64().ceil() as u64);
    (coded + packets * overhead * 8).div_ceil(1000)
}

fn audio(format: &AudioFormat, payload_type: u8) -> Vec<Attribute> {
    let AudioFormat { codec, rate, channels } = *format;
    let map = match codec {
        AudioCodec::Pcmu => encoding("PCMU", rate, channels),
        AudioCodec::Pcma => encoding("PCMA", rate, channels),
        // Channels are always written: some players take none for two.
        AudioCodec::L16 => format!("L16/{rate}/{channels}"),
        // Always so, whatever is inside (RFC 7587 §7).
        AudioCodec::Opus => "opus/48000/2".to_owned(),
        AudioCodec::Aac => format!("MPEG4-GENERIC/{rate}/{channels}"),
    };
    let mut attributes = vec![value("rtpmap", format!("{payload_type} {map}"))];
    if codec == AudioCodec::Opus {
        attributes.push(value("fmtp", format!("{payload_type} sprop-stereo={}", u8::from(channels == 2))));
    }
    if codec == AudioCodec::Aac {
        // RFC 3640 §3.3.6 and §4.1. Level 2 of the AAC profile (ISO/IEC 14496-3 table 1.14): two channels, up to 48 kHz.
        let fmtp = format!(
            "{payload_type} streamtype=5;profile-level-id=41;mode=AAC-hbr;config={};sizelength=13;indexlength=3;\
             indexdeltalength=3",
            hex::encode_upper(audio_specific_config(rate, channels))
        );
        attributes.push(value("fmtp", fmtp));
    }
    attributes
}

/// AAC-LC with access units of 1024 samples (ISO/IEC 14496-3 §1.6.2.1): 5 bits of object type, 4 of rate, 4 of channels.
fn audio_specific_config(rate: u32, channels: u16) -> [u8; 2] {
    const AAC_LC: u16 = 2;
    const RATES: [u32; 13] =
        [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
    let index = RATES.iter().position(|known| *known == rate).unwrap_or(3) as u16;
    (AAC_LC << 11 | index << 7 | (channels & 0xf) << 3).to_be_bytes()
}

fn encoding(name: &str, rate: u32, channels: u16) -> String {
    if channels == 1 { format!("{name}/{rate}") } else { format!("{name}/{rate}/{channels}") }
}

/// In kbit/s with all headers; none for Opus and AAC, whose rate their format does not tell.
fn audio_bandwidth(format: &AudioFormat, overhead: u64) -> Option<u64> {
    let bits = match format.codec {
        AudioCodec::Pcmu | AudioCodec::Pcma => 8,
        AudioCodec::L16 => 16,
        AudioCodec::Opus | AudioCodec::Aac => return None,
    };
    let coded = u64::from(format.rate) * u64::from(format.channels) * bits;
    // Large blocks are cut into packets.
    let packets = AUDIO_PACKETS_PER_SECOND + coded / (1200 * 8);
    Some((coded + packets * overhead * 8).div_ceil(1000))
}

fn value(name: &str, value: impl ToString) -> Attribute {
    Attribute::with_value(name, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        media::{ParameterSets, Size},
        rtsp::Group,
    };
    use proptest::prelude::*;

    fn video() -> DescribedTrack {
        let parameter_sets =
            ParameterSets { sps: vec![0x67, 0x42, 0xc0, 0x1f, 0x8c].into(), pps: vec![0x68, 0xce, 0x3c, 0x80].into() };
        let format = H264Format {
            size: Size::new(1280, 720),
            fps: FrameRate::new(30000, 1001),
            bitrate: 2_000_000,
            parameter_sets,
        };
        DescribedTrack { id: 0, format: TrackFormat::H264(format), group: None, key_message: None }
    }

    fn sound(codec: AudioCodec, rate: u32, channels: u16) -> DescribedTrack {
        DescribedTrack {
            id: 1,
            format: TrackFormat::Audio(AudioFormat { codec, rate, channels }),
            group: None,
            key_message: None,
        }
    }

    fn attribute(media: &Media, name: &str) -> String {
        media.get_first_attribute_value(name).unwrap().unwrap().to_owned()
    }

    fn describe(name: &str, tracks: Vec<DescribedTrack>, local: &str) -> String {
        let description = Description { name: name.into(), session_id: 77, version: 3, tracks };
        String::from_utf8(write(&description, local.parse().unwrap())).unwrap()
    }

    #[test]
    fn the_whole_description_line_by_line() {
        let text = describe("main", vec![video(), sound(AudioCodec::Pcmu, 8000, 1)], "192.0.2.1");
        let expected = [
            "v=0",
            "o=- 77 3 IN IP4 192.0.2.1",
            "s=main",
            "c=IN IP4 0.0.0.0",
            "t=0 0",
            "a=control:*",
            "a=range:npt=now-",
            "m=video 0 RTP/AVP 96",
            "b=AS:2274",
            "a=rtpmap:96 H264/90000",
            "a=fmtp:96 packetization-mode=1;profile-level-id=42C01F;sprop-parameter-sets=Z0LAH4w=,aM48gA==",
            "a=framerate:29.97",
            "a=control:trackID=0",
            "m=audio 0 RTP/AVP 0",
            "b=AS:82",
            "a=rtpmap:0 PCMU/8000",
            "a=control:trackID=1",
            "",
        ];
        assert_eq!(text, expected.join("\r\n"));
        sdp_types::Session::parse(text.as_bytes()).unwrap();
    }

    #[test]
    fn every_sound_has_its_map() {
        for (track, media, map) in [
            (sound(AudioCodec::Pcma, 8000, 1), "m=audio 0 RTP/AVP 8", "a=rtpmap:8 PCMA/8000\r\n"),
            (sound(AudioCodec::Pcma, 16_000, 2), "m=audio 0 RTP/AVP 97", "a=rtpmap:97 PCMA/16000/2\r\n"),
            (sound(AudioCodec::L16, 48_000, 1), "m=audio 0 RTP/AVP 97", "a=rtpmap:97 L16/48000/1\r\n"),
            (sound(AudioCodec::L16, 44_100, 2), "m=audio 0 RTP/AVP 10", "a=rtpmap:10 L16/44100/2\r\n"),
            (
                sound(AudioCodec::Opus, 48_000, 1),
                "m=audio 0 RTP/AVP 97",
                "a=rtpmap:97 opus/48000/2\r\na=fmtp:97 sprop-stereo=0\r\n",
            ),
            (
                sound(AudioCodec::Opus, 48_000, 2),
                "m=audio 0 RTP/AVP 97",
                "a=rtpmap:97 opus/48000/2\r\na=fmtp:97 sprop-stereo=1\r\n",
            ),
            (
                sound(AudioCodec::Aac, 48_000, 2),
                "m=audio 0 RTP/AVP 97",
                "a=rtpmap:97 MPEG4-GENERIC/48000/2\r\na=fmtp:97 streamtype=5;profile-level-id=41;mode=AAC-hbr;\
                 config=1190;sizelength=13;indexlength=3;indexdeltalength=3\r\n",
            ),
            (sound(AudioCodec::Aac, 8_000, 1), "m=audio 0 RTP/AVP 97", "mode=AAC-hbr;config=1588;sizelength"),
        ] {
            let text = describe("main", vec![track], "192.0.2.1");
            assert!(text.contains(&format!("{media}\r\n")) && text.contains(map), "{text}");
        }
    }

    #[test]
    fn jpeg_has_its_static_payload_type_and_its_size() {
        let format = JpegFormat { size: Size::new(1366, 768), fps: FrameRate::new(15, 1) };
        let text = describe(
            "main",
            vec![DescribedTrack { id: 0, format: TrackFormat::Jpeg(format), group: None, key_message: None }],
            "192.0.2.1",
        );
        let expected =
            "m=video 0 RTP/AVP 26\r\na=rtpmap:26 JPEG/90000\r\na=framerate:15\r\na=x-dimensions:1366,768\r\n";
        assert!(text.contains(expected), "{text}");
    }

    proptest! {
        #[test]
        fn whatever_the_stream_the_description_reads_back(
            name in "[ -~ßé\r\n\t]{0,40}",
            sets in (prop::collection::vec(any::<u8>(), 4..40), prop::collection::vec(any::<u8>(), 0..20)),
            (bitrate, rate, channels) in (any::<u32>(), 1u32..400_000, 1u16..3),
            codec in prop::sample::select(vec![AudioCodec::Pcmu, AudioCodec::L16, AudioCodec::Opus, AudioCodec::Aac]),
            (session_id, version) in any::<(u64, u64)>(),
            local in any::<IpAddr>(),
        ) {
            let parameter_sets = ParameterSets { sps: sets.0.clone().into(), pps: sets.1.into() };
            let (size, fps) = (Size::new(640, 360), FrameRate::new(30000, 1001));
            let video = TrackFormat::H264(H264Format { size, fps, bitrate, parameter_sets });
            let tracks = vec![DescribedTrack { id: 0, format: video, group: None, key_message: None }, sound(codec, rate, channels)];
            let described = Description { name: name.clone(), session_id, version, tracks };
            let text = write(&described, local);
            let read = sdp_types::Session::parse(&text).unwrap();
            prop_assert_eq!(read.origin.sess_id, session_id.to_string());
            prop_assert_eq!(read.origin.sess_version, version);
            prop_assert!(!read.session_name.is_empty());
            prop_assert!(read.connection.is_some_and(|connection| connection.is_ipv6() == local.is_ipv6()));
            let controls: Vec<_> = read.medias.iter().map(|media| attribute(media, "control")).collect();
            prop_assert_eq!(controls, ["trackID=0", "trackID=1"]);
            let fmtp = attribute(&read.medias[0], "fmtp");
            prop_assert!(fmtp.contains(&BASE64_STANDARD.encode(&sets.0)), "{}", fmtp);
        }
    }

    #[test]
    fn a_key_stands_with_its_track() {
        let track = DescribedTrack { key_message: Some(vec![1, 2, 3, 4]), ..sound(AudioCodec::Pcmu, 8000, 1) };
        let text = describe("main", vec![track], "192.0.2.1");
        let expected = "m=audio 0 RTP/SAVP 0\r\nb=AS:87\r\na=rtpmap:0 PCMU/8000\r\na=key-mgmt:mikey AQIDBA==\r\n\
                        a=control:trackID=1\r\n";
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn a_group_stands_where_players_look_for_it() {
        let in_group = |address: &str| {
            let group = |port| Some(Group { address: address.parse().unwrap(), port, ttl: 5 });
            let tracks = vec![
                DescribedTrack { group: group(5004), ..video() },
                DescribedTrack { group: group(5006), ..sound(AudioCodec::Pcmu, 8000, 1) },
            ];
            describe("main", tracks, "192.0.2.1")
        };
        let text = in_group("239.255.12.1");
        assert!(text.contains("s=main\r\nc=IN IP4 239.255.12.1/5\r\n"), "{text}");
        assert!(text.contains("m=video 5004 RTP/AVP 96\r\n") && text.contains("m=audio 5006 RTP/AVP 0\r\n"), "{text}");
        let text = in_group("ff15::12:1");
        assert!(text.contains("s=main\r\nc=IN IP6 ff15::12:1\r\n"), "{text}");
    }

    #[test]
    fn ipv6_and_a_name_that_is_none() {
        let text = describe(" \r\n", vec![video()], "2001:db8::1");
        assert!(text.contains("o=- 77 3 IN IP6 2001:db8::1\r\ns=Eyrie\r\nc=IN IP6 ::\r\n"), "{text}");
        let text = describe("main\r\na=control:evil", vec![], "::1");
        assert!(!text.contains("\na=control:evil"), "{text}");
    }
}
