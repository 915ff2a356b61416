//! Real players that join a live stream at a key frame and 0.9 s after it: how long each takes to show a picture, and how
//! far behind the camera it is twelve seconds later.
//!
//! Each plays into a virtual screen of its own; the pictures on it say when they were taken. A gate between player and
//! server holds the player's PLAY until the moment has come.
//!
//! usage: cargo bench --bench players -- [udp] [WORD …]
//!
//! Over UDP in place of TCP; only players whose command has one of the words.

mod playing;
mod rig;

use playing::{Case, Joined, Player};
use rig::{Figures, Outcome, Way};
use std::{collections::VecDeque, sync::Mutex, thread, time::Duration};

/// How a user starts each over TCP, and what is added so that it runs here. HOST is the server.
const PLAYERS: [(&str, &str); 9] = [
    ("ffplay -rtsp_transport tcp rtsp://HOST/main", FFPLAY),
    ("ffplay -rtsp_transport tcp -fflags nobuffer -flags low_delay rtsp://HOST/main", FFPLAY),
    ("mpv --rtsp-transport=tcp rtsp://HOST/main", MPV),
    ("mpv --rtsp-transport=tcp --profile=low-latency rtsp://HOST/main", MPV),
    ("gst-launch-1.0 playbin uri=rtspt://HOST/main", "video-sink=ximagesink"),
    ("gst-launch-1.0 rtspsrc location=rtspt://HOST/main latency=200", GSTREAMER),
    ("gst-launch-1.0 rtspsrc location=rtspt://HOST/main latency=0", GSTREAMER),
    ("vlc --rtsp-tcp rtsp://HOST/main", VLC),
    ("vlc --rtsp-tcp --network-caching=200 rtsp://HOST/main", VLC),
];
const FFPLAY: &str = "-loglevel quiet";
/// The screen has no graphics card.
const MPV: &str = "--no-config --really-quiet --vo=x11";
const GSTREAMER: &str = "! decodebin ! videoconvert ! ximagesink";
/// The tree that VLC comes from has no output for a screen: this one writes each picture when it is due.
const VLC: &str = "-I dummy --no-dbus --no-video-title-show --vout=yuv --yuv-chroma=I420";

const CASES: [Case; 4] = [
    case("at a key frame", "fast", 0, false),
    case("0.9 s after, one is made for it", "fast", 900, false),
    case("0.9 s after, none is made", "fast", 900, true),
    case("the same with `start = \"fresh\"`", "fresh", 900, true),
];

/// Joins at a time: each waits nearly all the while.
const LANES: usize = 4;
const ROUNDS: usize = 3;
/// A join that was not as it was to be is tried again so often.
const TRIES: usize = 4;

const fn case(title: &'static str, start: &'static str, after: u64, spent: bool) -> Case {
    Case { title, start, after: Duration::from_millis(after), spent }
}

fn player(command: &str, here: &'static str, way: Way) -> Player {
    let command = match way {
        Way::Tcp => command.to_owned(),
        Way::Udp => command.replace(" --rtsp-tcp", "").replace("rtspt:", "rtspu:").replace("tcp", "udp"),
    };
    Player { command, here }
}

/// By player and case.
type Table = Vec<[Vec<Joined>; CASES.len()]>;

fn main() -> Outcome<()> {
    if !playing::is_there("Xvfb") {
        println!("skipped: Xvfb is not installed");
        return Ok(());
    }
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let (ways, words): (Vec<_>, Vec<_>) = words.into_iter().partition(|word| word == "udp");
    let way = if ways.is_empty() { Way::Tcp } else { Way::Udp };
    let wanted = |player: &Player| words.is_empty() || words.iter().any(|word| player.command.contains(word));
    let players = PLAYERS.iter().map(|(command, here)| player(command, here, way)).filter(wanted);
    let (players, absent): (Vec<_>, Vec<_>) = players.partition(Player::is_there);
    absent.iter().for_each(|player| println!("skipped: {}, which is not installed", player.command));
    if players.is_empty() {
        return Ok(());
    }

    let what = "PLAY to the first picture, and behind the camera 12 s later; milliseconds";
    rig::heading(&format!("Players that join over {way:?}: {what}"));
    let (players, cases, long) = match rig::smoke() {
        true => (&players[..players.len().min(1)], 1, Duration::from_secs(1)),
        false => (&players[..], CASES.len(), Duration::from_secs(12)),
    };
    let rounds = rig::rounds(ROUNDS);
    let joins =
        (0..rounds).flat_map(|_| (0..cases).flat_map(|case| (0..players.len()).map(move |player| (player, case))));
    let joins = Mutex::new(joins.collect::<VecDeque<_>>());
    let table: Mutex<Table> = Mutex::new(players.iter().map(|_| Default::default()).collect());
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some((player, case)) = next(&joins) {
                    if let Some(joined) = join(&players[player], CASES[case], long) {
                        table.lock().unwrap()[player][case].push(joined);
                    }
                }
            });
        }
    });
    let table = table.into_inner()?;
    print(players, cases, &table);
    println!("load {}", rig::load());
    let missing = table.iter().flat_map(|row| &row[..cases]).filter(|joins| joins.len() < rounds).count();
    if missing > 0 { Err(format!("joins are missing in {missing} cells").into()) } else { Ok(()) }
}

fn next<T>(queue: &Mutex<VecDeque<T>>) -> Option<T> {
    queue.lock().unwrap().pop_front()
}

fn join(player: &Player, case: Case, long: Duration) -> Option<Joined> {
    for _ in 0..TRIES {
        match playing::join(player, case, long) {
            Ok(joined) => {
                println!("  {:4.0} {:4.0}  {}: {}", joined.first, joined.behind, case.title, player.command);
                return Some(joined);
            }
            Err(error) => println!("  {error}  {}: {}", case.title, player.command),
        }
    }
    None
}

/// As Markdown: medians, with the least and greatest.
fn print(players: &[Player], cases: usize, table: &Table) {
    for (title, of) in
        [("first picture", (|joined| joined.first) as fn(&Joined) -> f64), ("behind", |joined| joined.behind)]
    {
        let titles: Vec<_> = CASES[..cases].iter().map(|case| case.title).collect();
        println!("\n| {title} | {} |\n|---{}|", titles.join(" | "), "|---".repeat(cases));
        for (player, row) in players.iter().zip(table) {
            let cells = row[..cases].iter().map(|joins| cell(&joins.iter().map(of).collect()));
            println!("| `{}` | {} |", player.command, cells.collect::<Vec<_>>().join(" | "));
        }
    }
}

fn cell(figures: &Figures) -> String {
    format!("{:.0} ({:.0} to {:.0})", figures.median(), figures.percentile(0), figures.percentile(100))
}
