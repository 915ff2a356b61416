//! One join of a real player, from its PLAY to twelve seconds later.

mod eye;
mod gate;

use crate::rig::{self, Figures, Outcome, Server, Viewer, Way, millis};
use eye::{Eye, Pipe, Screen};
use eyrie::{
    media::Size,
    time::{MonoTime, WallTime},
};
use gate::Gate;
use std::{
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

const SIZE: Size = Size::new(640, 360);

/// The first picture must be there by then.
const FIRST: Duration = Duration::from_secs(8);
/// For so long it is looked how far behind the player is.
const SPAN: Duration = Duration::from_millis(500);
/// A key frame that is made for who asks has come by then.
const MADE: Duration = Duration::from_millis(200);
/// Packets of one key frame come closer together than this.
const APART: Duration = Duration::from_millis(20);

/// A player as it is started.
pub struct Player {
    /// Its name in the table, and how a user would start it; HOST is the server.
    pub command: String,
    /// What is added so that it runs here.
    pub here: &'static str,
}

/// Where a player joins.
#[derive(Clone, Copy)]
pub struct Case {
    pub title: &'static str,
    /// The stream's `start`.
    pub start: &'static str,
    /// So long after a key frame.
    pub after: Duration,
    /// Whether others have come just before, for whom the encoder has made all the key frames that it may.
    pub spent: bool,
}

/// What came of it, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Joined {
    /// From PLAY to the first picture on the screen.
    pub first: f64,
    /// From the capture of a picture until it is on the screen, twelve seconds later.
    pub behind: f64,
}

impl Player {
    fn program(&self) -> &str {
        self.command.split(' ').next().unwrap_or_default()
    }

    /// Whether it is installed. VLC comes from a tree of its own, for Debian's plays no RTSP.
    pub fn is_there(&self) -> bool {
        if self.program() == "vlc" {
            return vlc().arg("has").status().is_ok_and(|status| status.success());
        }
        is_there(self.program())
    }

    fn start(&self, server: SocketAddr) -> Outcome<(Process, Box<dyn Eye>)> {
        let filled = format!("{} {}", self.command, self.here).replace("HOST", &server.to_string());
        let words = filled.split_whitespace().skip(1);
        let (mut command, eye): (Command, Box<dyn Eye>) = if self.program() == "vlc" {
            let (mut command, pipe) = (vlc(), Pipe::new()?);
            command.args(["run", "vlc"]).args(words).arg(format!("--yuv-file={}", pipe.path.display()));
            (command, Box::new(pipe))
        } else {
            let (mut command, screen) = (Command::new(self.program()), Screen::new()?);
            command.args(words).env("DISPLAY", &screen.display).env("SDL_RENDER_DRIVER", "software");
            (command, Box::new(screen))
        };
        let player = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok((Process(player), eye))
    }
}

/// Ended when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a program is installed.
pub fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn vlc() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/lib/sid-clients"))
}

/// Lets `player` join as `case` says, and looks at it until it has played for `long`. An error also where the join was
/// not as it was to be.
pub fn join(player: &Player, case: Case, long: Duration) -> Outcome<Joined> {
    let server = Server::start(rig::program(), &stream(case.start))?;
    let keys = Keys::watch(server.connect()?)?;
    let (address, watched) = (server.address, keys.clone());
    let gate = Gate::new(address, move || watched.wait(case, address))?;
    // Dropped in this order: the player before its screen.
    let (mut eye, _player) = {
        let (player, eye) = player.start(gate.address)?;
        (eye, player)
    };
    let played = gate.played()?;
    let (mut first, mut behind, mut last) = (None, Figures::default(), None);
    while MonoTime::now() < played + long + SPAN {
        let Some(strip) = eye.look()?.filter(|strip| last != Some(strip.counter)) else {
            if first.is_none() && MonoTime::now() > played + FIRST {
                return Err("no picture".into());
            }
            continue;
        };
        last = Some(strip.counter);
        first.get_or_insert(MonoTime::now());
        if MonoTime::now() > played + long {
            behind.push(WallTime::now().as_nanos() as f64 / 1e6 - strip.millis as f64);
        }
    }
    let first = first.filter(|_| !behind.is_empty()).ok_or("the picture stands still")?;
    if case.after > MADE && keys.came_after(played) == case.spent {
        return Err("a key frame came that was not to, or none did".into());
    }
    Ok(Joined { first: millis(first - played), behind: behind.median() })
}

/// A key frame every two seconds, as by default.
fn stream(start: &str) -> String {
    format!(
        "[camera.front]\ndevice = \"test\"\nsize = \"{SIZE}\"\nfps = 30\n[stream.main]\nstart = \"{start}\"\n\
         video = {{ from = \"front\", bitrate = \"1M\", gop = \"2s\" }}\n"
    )
}

/// When key frames came, as one sees who watches all the while.
#[derive(Clone, Default)]
struct Keys(Arc<Mutex<Vec<MonoTime>>>);

impl Keys {
    /// Watches until the server ends.
    fn watch(server: TcpStream) -> Outcome<Self> {
        let keys = Self::default();
        let (noting, mut viewer) = (keys.clone(), Viewer::set_up(server, Way::Tcp)?);
        viewer.play()?;
        thread::spawn(move || {
            while let Ok((_, came)) = viewer.first_idr() {
                let mut keys = noting.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                if keys.last().is_none_or(|last| came - *last > APART) {
                    keys.push(came);
                }
            }
        });
        Ok(keys)
    }

    fn newest(&self) -> Option<MonoTime> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).last().copied()
    }

    /// Whether one was made for who played then.
    fn came_after(&self, played: MonoTime) -> bool {
        let keys = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        keys.iter().any(|key| *key > played && *key < played + MADE)
    }

    /// Returns when it is as long after a new key frame as `case` says.
    fn wait(&self, case: Case, server: SocketAddr) -> Outcome<()> {
        let before = self.newest();
        loop {
            let newest = self.newest();
            if newest != before && newest.is_some_and(|newest| MonoTime::now() - newest >= case.after) {
                return Ok(());
            }
            if case.spent {
                // A guest comes, asks for a key frame, and goes. While any are left none gets so old.
                Viewer::set_up(TcpStream::connect(server)?, Way::Tcp)?.play()?;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}
