//! The URLs by which a stream is known.

use super::{
    client::Client,
    world::{CAMERA, MAIN},
};
use crate::support::Server;

const SUB: &str = "[stream.sub]\nvideo = { from = \"cam\", size = \"160x120\", fps = 10, bitrate = \"100k\" }\n";

/// The lines that the README gives to `main` and `sub`, in the style of other makers.
fn ready_made() -> [&'static str; 2] {
    let mut lines = include_str!("../../README.md").lines().filter(|line| line.starts_with("aliases = ["));
    [lines.next().unwrap(), lines.next().unwrap()]
}

/// What DESCRIBE of a URL is answered with: the status, and which stream it leads to.
fn led_to(client: &mut Client, base: &str, path: &str) -> (u16, Option<String>) {
    let answer = client.request("DESCRIBE", &format!("{base}{path}"), "");
    let name = answer.body.lines().find_map(|line| line.strip_prefix("s=")).map(str::to_owned);
    (answer.status, name)
}

fn server(users: &str) -> (Server, String) {
    let [main, sub] = ready_made();
    let access = if users.is_empty() { "anonymous = true" } else { "" };
    let server = Server::start(access, &format!("{CAMERA}{MAIN}{main}\n{SUB}{sub}\n{users}"));
    let base = server.url("main").strip_suffix("/main").unwrap().to_owned();
    (server, base)
}

#[test]
fn the_readmes_aliases_are_what_recorders_ask_for() {
    let (server, base) = server("");
    let mut client = Client::connect(&server.url("main"));
    for (path, stream) in [
        ("/Streaming/Channels/101", Some("main")),
        ("/Streaming/Channels/101?transportmode=unicast&profile=Profile_1", Some("main")),
        ("/streaming/channels/102/", Some("sub")),
        ("/cam/realmonitor?channel=1&subtype=0", Some("main")),
        ("/cam/realmonitor?channel=1&subtype=0&unicast=true&proto=Onvif", Some("main")),
        ("/cam/realmonitor?channel=1&subtype=1&unicast=true&proto=Onvif", Some("sub")),
        ("/axis-media/media.amp?videocodec=h264&resolution=640x480", Some("main")),
        ("/AXIS-media/media.amp", Some("main")),
        ("/MAIN", Some("main")),
        ("//main//", Some("main")),
        ("/main?whatever=1&audio=1", Some("main")),
        ("/cam/realmonitor?channel=2&subtype=0", None),
        ("/cam/realmonitor", None),
        ("/Streaming/Channels/201", None),
        ("/main/more", None),
        ("/", None),
    ] {
        let expected = (if stream.is_some() { 200 } else { 404 }, stream.map(str::to_owned));
        assert_eq!(led_to(&mut client, &base, path), expected, "{path}");
    }
    server.stop();
}

#[test]
fn every_form_of_a_tracks_url_is_played() {
    let (server, base) = server("");
    for (track, aggregate) in [
        ("/main/trackID=0", "/main/"),
        ("/main/trackID=0/", "/main"),
        ("/cam/realmonitor?channel=1&subtype=0/trackID=0", "/cam/realmonitor?channel=1&subtype=0/"),
        ("/cam/realmonitor/trackID=0?channel=1&subtype=0", "/cam/realmonitor?channel=1&subtype=0"),
        ("/main?audio=0", "/main?audio=0"),
        ("/Streaming/Channels/102", "/Streaming/Channels/102/"),
    ] {
        for origin in [base.as_str(), ""] {
            let mut client = Client::connect(&server.url("main"));
            let answer = client.request("SETUP", &format!("{origin}{track}"), "Transport: RTP/AVP/TCP;unicast\r\n");
            assert_eq!(answer.status, 200, "{origin}{track}");
            client.session = answer.header("Session").map(|session| session.split(';').next().unwrap().to_owned());
            let answer = client.request("PLAY", &format!("{origin}{aggregate}"), "");
            assert_eq!(answer.status, 200, "{origin}{aggregate}");
            assert!(answer.header("RTP-Info").unwrap().starts_with(&format!("url={base}/")), "{answer:?}");
            client.frame();
            assert_eq!(client.request("GET_PARAMETER", "*", "").status, 200);
        }
    }
    server.stop();
}

#[test]
fn a_bitrate_leads_to_a_stream_of_the_same_camera() {
    let (server, base) = server("");
    let mut client = Client::connect(&server.url("main"));
    for (path, stream) in [
        ("/main?bitrate=2M", "main"),
        ("/sub?bitrate=300k", "main"),
        ("/main?bitrate=299999", "sub"),
        ("/main?Bitrate=1", "sub"),
        ("/Streaming/Channels/101?bitrate=100k", "sub"),
        ("/main?bitrate=nonsense", "main"),
    ] {
        assert_eq!(led_to(&mut client, &base, path), (200, Some(stream.to_owned())), "{path}");
    }
    server.stop();
}

/// By whatever name, the right is that to the stream.
#[test]
fn no_alias_and_no_bitrate_leads_past_a_right() {
    let user = "[[user]]\nname = \"nvr\"\nmd5 = \"981f15ce7b213f8d217bb136ef992afd\"\nstreams = [\"sub\"]\n";
    let (server, base) = server(user);
    let mut client = Client::connect(&server.url("sub"));
    for path in ["/Streaming/Channels/101", "/sub?bitrate=9M", "/nothing"] {
        assert_eq!(led_to(&mut client, &base, path), (401, None), "{path}, not logged in");
    }
    client.log_in("nvr", "s3cret pass");
    for (path, expected) in [
        ("/Streaming/Channels/101", 403),
        ("/cam/realmonitor?channel=1&subtype=0", 403),
        ("/sub?bitrate=9M", 403),
        ("/MAIN", 403),
        ("/nothing", 404),
        ("/main?bitrate=1k", 200),
        ("/Streaming/Channels/102", 200),
    ] {
        assert_eq!(led_to(&mut client, &base, path).0, expected, "{path}");
    }
    let setup = "Transport: RTP/AVP/TCP;unicast\r\n";
    let track = format!("{base}/cam/realmonitor?channel=1&subtype=0/trackID=0");
    assert_eq!(client.request("SETUP", &track, setup).status, 403);
    server.stop();
}
