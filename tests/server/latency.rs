//! How long pictures take, stage by stage, as status tells it.

use serde_json::Value;

use super::{
    client::Client,
    world::{await_stream, open, status},
};
use crate::support::Server;

const STAGES: [&str; 8] = ["capture", "queue", "convert", "encode", "packetize", "first", "last", "handling"];

#[test]
fn each_stage_of_a_pictures_way_is_measured() {
    let server = open("");
    let stage = |name: &str| status(&server)["streams"][0]["latency"][name].clone();
    let mut viewers = [Client::watch(&server.url("main"), 1), Client::watch(&server.url("main"), 1)];
    for _ in 0..40 {
        viewers.iter_mut().for_each(|viewer| drop(viewer.frame()));
    }
    for name in STAGES {
        let stage = stage(name);
        let [median, p99, most] = ["median_ms", "p99_ms", "max_ms"].map(|key| stage[key].as_f64().unwrap());
        assert!(0.0 <= median && median <= p99 && p99 <= most, "{name}: {stage}");
        assert!(stage["count"].as_u64().unwrap() > 0, "{name}: {stage}");
    }
    // Coding takes most of the time, and is no part of what handling took.
    let [encode, packetize] = ["encode", "packetize"].map(|name| stage(name)["median_ms"].as_f64().unwrap());
    assert!(encode > packetize, "encoding {encode} ms, packetizing {packetize} ms");
    assert_eq!(stage("paced"), Value::Null, "over TCP nothing is paced");
    server.stop();
}

/// Nothing turns and codes pictures of this size as often as they come.
#[test]
fn pictures_that_the_encoder_is_too_slow_for_are_counted() {
    let server = Server::start(
        "",
        "
        [camera.large]
        device = \"test\"
        size = \"3840x2160\"
        fps = 60
        rotate = 90
        [stream.main.video]
        from = \"large\"
        slices = 1
        ",
    );
    await_stream(&server, "main", |stream| stream["encoder_drops"].as_u64().is_some_and(|drops| drops > 0));
    server.stop();
}
