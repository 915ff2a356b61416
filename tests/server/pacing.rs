//! Pacing: a key frame that no receive buffer holds at once reaches a viewer who reads only now and then.

use std::{net::UdpSocket, thread, time::Duration};

use eyrie::time::MonoTime;
use socket2::SockRef;

use super::{
    client::{Client, PATIENCE},
    packets::Rtp,
    world::Pair,
};
use crate::support::{Server, camera_program};

/// What the kernel gives a socket that asks for nothing (net.core.rmem_default): room for 92 packets of full size.
const BUFFER: usize = 212_992;
/// So many key frames prove it.
const ENOUGH: usize = 8;

/// A viewer who takes all that is there, and then nothing for a while.
struct Reader<'a> {
    socket: &'a UdpSocket,
    every: Duration,
    read_at: MonoTime,
}

impl Reader<'_> {
    /// What came since it read last, and whether it was there in time.
    fn read(&mut self) -> (Vec<Rtp>, bool) {
        thread::sleep((self.read_at + self.every).since(MonoTime::now()));
        let before = std::mem::replace(&mut self.read_at, MonoTime::now());
        let mut bytes = [0; 2048];
        let packet = || self.socket.recv(&mut bytes).ok().map(|length| Rtp::parse(&bytes[..length]));
        let packets = std::iter::from_fn(packet).collect();
        // Looked at afterwards: it may be held up before the first packet as well.
        (packets, MonoTime::now() - before < self.every + Duration::from_millis(2))
    }
}

/// Whoever is late, on a busy machine, may lose what came meanwhile: such a key frame proves nothing, and does not count.
fn reaches_whole(key_size: usize, every: Duration) {
    let program = camera_program(&format!("h264 --key-size {key_size}"));
    let camera = format!("[camera.cam]\ndevice = {program:?}\nsize = \"640x480\"\nfps = 30\n");
    let stream = "[stream.main.video]\nfrom = \"cam\"\ncodec = \"copy\"\ngop = \"500ms\"\n";
    let server = Server::start("anonymous = true", &format!("{camera}{stream}"));
    let pair = Pair::new();
    // The kernel doubles it.
    SockRef::from(&pair.rtp).set_recv_buffer_size(BUFFER / 2).unwrap();
    assert_eq!(SockRef::from(&pair.rtp).recv_buffer_size().unwrap(), BUFFER);
    let mut client = Client::connect(&server.url("main"));
    client.set_up(0, &pair.transport());
    client.ok("PLAY", "");
    pair.rtp.set_nonblocking(true).unwrap();

    let begun = MonoTime::now();
    let mut reader = Reader { socket: &pair.rtp, every, read_at: begun };
    let (mut last, mut in_time_before): (Option<u16>, bool) = (None, true);
    // Of the picture under way, and of the key frames that came whole.
    let (mut bytes, mut whole, mut sizes) = (0, true, vec![]);
    while sizes.len() < ENOUGH {
        assert!(MonoTime::now() - begun < PATIENCE * 4, "only {} key frames came whole", sizes.len());
        let (packets, in_time) = reader.read();
        for packet in packets {
            let follows = last.is_none_or(|last| packet.seq == last.wrapping_add(1));
            assert!(follows || !(in_time && in_time_before), "packets before {} are lost", packet.seq);
            last = Some(packet.seq);
            whole &= follows;
            bytes += packet.payload.len();
            if packet.marker {
                sizes.extend((whole && bytes > key_size / 2).then_some(bytes));
                (bytes, whole) = (0, true);
            }
        }
        in_time_before = in_time;
    }
    let about = key_size * 95 / 100..key_size * 105 / 100;
    assert!(sizes.iter().all(|size| about.contains(size)), "{sizes:?}");
    eprintln!("{ENOUGH} key frames of {} kB, read every {every:?}, in {:?}", sizes[0] / 1000, MonoTime::now() - begun);
    server.stop();
}

#[test]
fn a_key_frame_of_140_kb_reaches_who_reads_every_20_ms() {
    reaches_whole(140_000, Duration::from_millis(20));
}

#[test]
fn a_key_frame_of_250_kb_reaches_who_reads_every_5_ms() {
    reaches_whole(250_000, Duration::from_millis(5));
}
