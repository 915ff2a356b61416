//! What listeners hear of a microphone that is turned up, silenced, or stuck in its driver.

use super::{
    client::Client,
    packets::{Received, Rtp, assert_unbroken},
    world::{command, status},
};
use crate::support::Server;
use nix::{sys::stat::Mode, unistd::mkfifo};
use std::{fs, os::unix::fs::OpenOptionsExt, time::Duration};

/// Root mean square of L16's samples, in dBFS.
fn level(packets: &[Rtp]) -> f64 {
    let samples = packets.iter().flat_map(|packet| packet.payload.as_chunks::<2>().0);
    let squares: Vec<f64> = samples.map(|bytes| (f64::from(i16::from_be_bytes(*bytes)) / 32_768.0).powi(2)).collect();
    10.0 * (squares.iter().sum::<f64>() / squares.len() as f64).log10()
}

/// Plays until the last quarter of a second is as loud as `wanted` says.
fn until_level(client: &mut Client, received: &mut Received, wanted: impl Fn(f64) -> bool) {
    loop {
        received.add(&client.frame());
        let packets = &received.rtp[0];
        assert!(packets.len() < 1500, "still {:.1} dBFS", level(&packets[packets.len() - 25..]));
        if packets.len() >= 25 && wanted(level(&packets[packets.len() - 25..])) {
            return;
        }
    }
}

#[test]
fn gain_and_mute_change_under_a_listener() {
    let rest = "[microphone.mic]\ndevice = \"test\"\ntone = \"continuous\"\nrate = 16000\n[stream.main]\naudio = { from = \"mic\", codec = \"l16\" }\n";
    let server = Server::start("anonymous = true", rest);
    let mut client = Client::watch(&server.url("main"), 1);
    let mut received = Received::default();
    let near = |wanted: f64| move |level: f64| (level - wanted).abs() < 0.3;
    // A sine of -6 dBFS has 3 dB less in the mean.
    until_level(&mut client, &mut received, near(-9.0));
    let config = server.config().display().to_string();
    let set = |key: &str, value: &str| {
        let output = command(&server, &["set", "--config", &config, key, value]);
        assert!(output.status.success(), "{output:?}");
    };
    set("microphone.mic.gain", "-12dB");
    until_level(&mut client, &mut received, near(-21.0));
    // Far too loud: a square of almost full scale, and nothing wraps.
    set("microphone.mic.gain", "40dB");
    until_level(&mut client, &mut received, |level| (-1.0..=0.0).contains(&level));
    set("microphone.mic.gain", "-6dB");
    set("microphone.mic.mute", "true");
    until_level(&mut client, &mut received, |level| level < -100.0);
    // It is still measured.
    let heard = || {
        let microphone = &status(&server)["microphones"][0];
        assert_eq!((&microphone["muted"], &microphone["gain_db"]), (&true.into(), &(-6.0).into()));
        microphone["peak_dbfs"].as_f64().is_some_and(|peak| (peak + 12.0).abs() < 0.3)
    };
    while !heard() {
        received.add(&client.frame());
    }
    assert_unbroken(&received.rtp[0]);
    server.stop();
}

/// A fifo that nobody writes holds whoever opens it, as a driver does that hangs.
#[test]
fn a_driver_that_never_answers_is_left_counted_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let (config, fifo) = (folder.path().join("asound.conf"), folder.path().join("fifo"));
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let pcm = format!(
        "pcm.null {{ type null }}\n\
         pcm.default {{ type file slave.pcm null file /dev/null infile {fifo:?} format raw }}\n"
    );
    fs::write(&config, pcm).unwrap();
    let rest = "[microphone.mic]\ndevice = \"default\"\n[stream.main]\naudio = { from = \"mic\", codec = \"pcmu\" }\n";
    let server = Server::start_in("anonymous = true", rest, &[("ALSA_CONFIG_PATH", &config)]);
    let mut client = Client::watch(&server.url("main"), 1);
    let mut received = Received::default();
    let stuck = || status(&server)["microphones"][0]["stuck_threads"].as_u64().unwrap();
    while stuck() == 0 {
        received.add(&client.frame());
        assert!(received.rtp[0].len() < 1000, "{}", status(&server));
    }
    let microphone = &status(&server)["microphones"][0];
    let reason = microphone["reason"].as_str().unwrap();
    assert!(reason.contains("has not answered for 3 s; thread alsa-mic is left"), "{reason}");
    // Silence all the while.
    assert_unbroken(&received.rtp[0]);
    let ticks: Vec<u32> = received.rtp[0].windows(2).map(|p| p[1].timestamp.wrapping_sub(p[0].timestamp)).collect();
    assert!(ticks.len() > 50 && ticks.iter().all(|ticks| *ticks == 160), "{ticks:?}");
    assert!(received.rtp[0].iter().all(|packet| packet.payload.iter().all(|code| *code == 0xff)));
    // Whoever opens the fifo lets all of them go on.
    let released = || {
        let _ = fs::OpenOptions::new().write(true).custom_flags(nix::libc::O_NONBLOCK).open(&fifo);
        std::thread::sleep(Duration::from_millis(20));
        stuck() == 0
    };
    let mut tries = 0;
    while !released() {
        tries += 1;
        assert!(tries < 500, "{}", status(&server));
    }
    server.stop();
}
