use super::{Crowd, Outcome, Server, Viewer, Way, thread_times};
use std::{thread, time::Duration};

/// What comes first after PLAY is a backlog.
const SETTLING: Duration = Duration::from_millis(2500);
/// So near to each other, the number that went well and the one that did not say enough: an eighth.
const NEAR: usize = 8;
/// So many any server has to serve.
const FEW: usize = 2;
/// A thread that works for so much of the time has no more to give.
pub const BUSY: f64 = 0.95;

/// What a number of viewers got, and what that took.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub viewers: usize,
    /// Packets.
    pub lost: u64,
    /// Viewers that got nothing.
    pub silent: usize,
    /// Access units a second that they got, in the mean.
    pub fps: f64,
    /// Of a core, of the server's sending thread and of the thread that reads for the viewers.
    pub sender: f64,
    pub receiver: f64,
}

impl Load {
    /// Whether all came to all.
    fn is_well(&self, fps: f64) -> bool {
        self.lost == 0 && self.silent == 0 && self.fps > fps * 0.95 && self.sender < BUSY
    }
}

/// The most viewers that were tried and got everything, and the fewest that did not; the latter is None if `most` did.
pub struct Limit {
    pub best: Option<Load>,
    pub beyond: Option<Beyond>,
}

/// A number of viewers that is too large.
pub struct Beyond {
    pub viewers: usize,
    /// What they got; or why they could not even be set up.
    pub load: Result<Load, String>,
}

/// Finds out how many viewers of the server's `/main`, of `fps` pictures a second, get all of it. Each try takes `long`;
/// `tell` hears of each.
///
/// # Errors
/// The server refuses, or the system gives no more sockets.
pub fn limit(
    server: &Server,
    way: Way,
    fps: f64,
    most: usize,
    long: Duration,
    mut tell: impl FnMut(&Load),
) -> Outcome<Limit> {
    let mut limit = Limit { best: None, beyond: None };
    let mut count = 50.min(most);
    loop {
        let load = load_of(server, way, count, long).map_err(|error| error.to_string());
        if let Ok(load) = &load {
            tell(load);
        }
        match load {
            Ok(load) if load.is_well(fps) => limit.best = Some(load),
            // Not even a few: that is no question of how many.
            Err(error) if count <= FEW => return Err(error.into()),
            load => limit.beyond = Some(Beyond { viewers: count, load }),
        }
        let best = limit.best.map_or(0, |load| load.viewers);
        count = match limit.beyond.as_ref().map(|beyond| beyond.viewers) {
            None if best == most => return Ok(limit),
            None => (best * 2).min(most),
            Some(beyond) if beyond - best <= (beyond / NEAR).max(1) => return Ok(limit),
            Some(beyond) => best.midpoint(beyond),
        };
    }
}

/// What so many viewers get.
///
/// # Errors
/// As [`limit`].
pub fn load_of(server: &Server, way: Way, viewers: usize, long: Duration) -> Outcome<Load> {
    let mut crowd = Crowd::new()?;
    for _ in 0..viewers {
        crowd.add(Viewer::set_up(server.connect()?, way)?)?;
    }
    crowd.play_all()?;
    thread::sleep(SETTLING);
    crowd.begin();
    let before = (sending_time(server.pid())?, Crowd::reading_time()?);
    thread::sleep(long);
    let after = (sending_time(server.pid())?, Crowd::reading_time()?);
    let tally = crowd.take();
    let share = |time: Duration| time.as_secs_f64() / long.as_secs_f64();
    Ok(Load {
        viewers,
        lost: tally.lost,
        silent: tally.silent(),
        fps: tally.marked as f64 / viewers as f64 / long.as_secs_f64(),
        sender: share(after.0 - before.0),
        receiver: share(after.1.saturating_sub(before.1)),
    })
}

/// Processor time of the threads that send.
///
/// # Errors
/// There is no such process.
pub fn sending_time(pid: u32) -> Outcome<Duration> {
    Ok(thread_times(pid)?.iter().filter(|(name, _)| name.starts_with("net-")).map(|(_, time)| *time).sum())
}
