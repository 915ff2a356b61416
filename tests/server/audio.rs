//! Sound alone, in every codec: described right, and flowing.

use super::{
    client::Client,
    packets::{Received, assert_unbroken},
};
use crate::support::Server;

#[test]
fn every_codec_is_described_and_flows() {
    let stream = |codec| format!("[stream.{codec}]\naudio = {{ from = \"mic\", codec = \"{codec}\" }}\n");
    let streams: String = ["pcmu", "pcma", "l16", "opus", "aac"].map(stream).concat();
    let microphone = "[microphone.mic]\ndevice = \"test\"\ntone = \"continuous\"\n";
    let server = Server::start("anonymous = true", &format!("{microphone}{streams}"));
    // By name: a fixed payload type, its map, and the samples that a packet of so many bytes has.
    type Samples = fn(usize) -> u32;
    let table: [(&str, Option<u8>, &str, Samples); 5] = [
        ("pcmu", Some(0), "PCMU/8000", |bytes| bytes as u32),
        ("pcma", Some(8), "PCMA/8000", |bytes| bytes as u32),
        ("l16", None, "L16/48000/1", |bytes| bytes as u32 / 2),
        ("opus", None, "opus/48000/2", |_| 960),
        ("aac", None, "MPEG4-GENERIC/48000/1", |_| 1024),
    ];
    for (name, fixed, map, samples) in table {
        let mut client = Client::connect(&server.url(name));
        let description = client.describe().body;
        let media = description.split("m=audio 0 RTP/AVP ").nth(1).unwrap_or_else(|| panic!("{description}"));
        let payload_type: u8 = media.lines().next().unwrap().parse().unwrap();
        assert!(fixed.map_or(payload_type >= 96, |fixed| payload_type == fixed), "{description}");
        assert!(media.contains(&format!("a=rtpmap:{payload_type} {map}\r\n")), "{description}");
        assert!(media.contains("a=control:trackID=0\r\n"), "{description}");
        client.set_up_tcp(1);
        let answer = client.ok("PLAY", "");
        let packets = Received::until(&mut client, |it| it.rtp[0].len() >= 25).rtp[0].clone();
        assert_eq!((packets[0].seq, packets[0].timestamp), answer.start_of(0), "{name}");
        assert_eq!(packets[0].payload_type, payload_type, "{name}");
        assert_unbroken(&packets);
        for pair in packets.windows(2) {
            let rise = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
            assert_eq!(rise, samples(pair[0].payload.len()), "{name}");
        }
    }
    server.stop();
}
