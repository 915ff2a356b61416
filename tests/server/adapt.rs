//! A bitrate that follows what the viewers lose.

use std::{thread, time::Duration};

use super::{
    client::{Client, PATIENCE},
    packets::losses,
    world::{CAMERA, Pair, await_stream, stream},
};
use crate::support::Server;

/// From report to report.
const PAUSE: Duration = Duration::from_millis(100);

fn server() -> Server {
    let main = "[stream.main]\nvideo = { from = \"cam\", bitrate = \"1M\", bitrate_min = \"300k\", bitrate_max = \"1200k\", adapt = true }\n";
    Server::start("anonymous = true", &format!("{CAMERA}{main}"))
}

/// A viewer over UDP that says of its packets what it likes.
struct Viewer {
    _client: Client,
    pair: Pair,
    media: u32,
    port: u16,
    highest: u32,
    lost: u32,
}

impl Viewer {
    fn watch(server: &Server) -> Self {
        let (mut client, pair) = (Client::connect(&server.url("main")), Pair::new());
        let response = client.set_up(0, &pair.transport());
        let (media, port) = (response.ssrc(), response.server_port() + 1);
        client.ok("PLAY", "");
        Viewer { _client: client, pair, media, port, highest: 1000, lost: 0 }
    }

    /// Of a hundred packets more `lost` did not come.
    fn report(&mut self, lost: u32) {
        (self.highest, self.lost) = (self.highest + 100, self.lost + lost);
        let report = losses(self.media, self.lost, self.highest);
        self.pair.rtcp.send_to(&report, ("127.0.0.1", self.port)).unwrap();
    }
}

fn asked(server: &Server) -> u64 {
    stream(server, "main")["bitrate_asked"].as_u64().unwrap()
}

/// Has the viewers report, each its own losses of a hundred packets, until the bitrate is so.
fn until(server: &Server, viewers: &mut [(&mut Viewer, u32)], is_so: impl Fn(u64) -> bool) {
    let mut tries = 3 * PATIENCE.as_millis() / PAUSE.as_millis();
    while !is_so(asked(server)) {
        assert!(tries > 0, "{} bit/s", asked(server));
        tries -= 1;
        viewers.iter_mut().for_each(|(viewer, lost)| viewer.report(*lost));
        thread::sleep(PAUSE);
    }
}

#[test]
fn it_falls_when_the_only_viewer_loses_and_recovers() {
    let server = server();
    assert_eq!(asked(&server), 1_000_000);
    let mut viewer = Viewer::watch(&server);
    until(&server, &mut [(&mut viewer, 60)], |bitrate| bitrate == 300_000);
    await_stream(&server, "main", |stream| stream["bitrate"].as_u64().is_some_and(|bitrate| bitrate < 450_000));
    until(&server, &mut [(&mut viewer, 0)], |bitrate| bitrate > 330_000);
    server.stop();
}

#[test]
fn one_bad_viewer_changes_nothing_for_the_rest() {
    let server = server();
    let [mut bad, mut good, mut other] = [0; 3].map(|_| Viewer::watch(&server));
    let (bad, good, other) = (&mut bad, &mut good, &mut other);
    // Who has not reported yet is not counted: the two good ones are first.
    until(&server, &mut [(good, 0), (other, 0)], |bitrate| bitrate > 1_000_000);
    until(&server, &mut [(bad, 60), (good, 0), (other, 0)], |bitrate| bitrate == 1_200_000);
    // With a second one they are more than half.
    until(&server, &mut [(bad, 60), (good, 60), (other, 0)], |bitrate| bitrate < 1_000_000);
    server.stop();
}
