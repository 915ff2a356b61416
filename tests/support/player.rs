//! Real players as processes, and FFmpeg as the reader of what they wrote.
//!
//! A player either is `ffmpeg` itself, or hands what it decoded, with its own time stamps, to an `ffmpeg` that only
//! unpacks it. FFmpeg tells the time of each picture and sound through its `showinfo` filters.

use std::{
    env,
    fs::{self, File},
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{sys::signal, unistd::Pid};

use super::{
    judge::{Picture, Recording, Sound},
    marks::Luma,
    server::wait,
};

/// What FFmpeg says when a picture is damaged; some of it only at its level "info".
const DAMAGE: &[&str] = &[
    "concealing",
    "missed",
    "corrupt",
    "Invalid data",
    "max delay reached",
    "error while decoding",
    "non-existing PPS",
    "no frame!",
    "[error]",
    "[fatal]",
];

/// The rate that sound is handed over in.
const SOUND_RATE: u32 = 8000;

/// Whether one of these programs is not installed, said aloud: the test has nothing to do then. In CI it fails.
pub fn missing(programs: &[&str]) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = |program: &&&str| env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let absent: Vec<_> = programs.iter().filter(|program| !found(program)).collect();
    if !absent.is_empty() {
        skip(&format!("not installed: {absent:?}; `scripts/test clients` installs them"));
    }
    !absent.is_empty()
}

/// Says that a test does nothing, and why; in CI it fails.
pub fn skip(why: &str) {
    assert!(env::var_os("CI").is_none(), "{why}");
    eprintln!("SKIPPED: {why}");
}

/// What the time stamps that FFmpeg reads are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// They follow from the stream's RTP and RTCP times alone.
    Stream,
    /// They are by the player's clock.
    Player,
    /// There are none.
    None,
}

/// One recording to be made.
pub struct Player {
    pub width: usize,
    pub height: usize,
    /// When this many pictures have come, the player is told to end.
    pub pictures: usize,
    pub sound: bool,
    pub times: Times,
}

impl Player {
    /// Lets `ffmpeg` play `input`, with `options` in front of it.
    pub fn ffmpeg(&self, options: &[&str], input: &str) -> Recording {
        let mut recording = self.read(options, input, Stdio::null(), &mut None);
        // FFmpeg's parser forgets the time of the first picture of what has no byte positions, and makes one up.
        if let Some(first) = recording.pictures.first_mut() {
            first.time = None;
        }
        recording
    }

    /// Lets GStreamer play `pipeline`, which is to end in a container written to stdout.
    pub fn gstreamer(&self, pipeline: &str) -> Recording {
        let mut command = Command::new("gst-launch-1.0");
        command.args(["-q", "-e"]).args(pipeline.split_whitespace());
        // libav's words about hidden damage are at the level "info".
        command.env("GST_DEBUG", "2,libav:4").env("GST_DEBUG_NO_COLOR", "1");
        self.pipe(&mut command, |line| line.contains(" ERROR ") || tells_damage(line))
    }

    /// Runs a player that writes a container to its stdout, unpacks that, and ends the player when it is enough.
    /// Lines of its log that match `complaint` count as damage.
    pub fn pipe(&self, player: &mut Command, complaint: impl Fn(&str) -> bool) -> Recording {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("player.log");
        let mut child = player
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("{player:?}: {error}"));
        let output = child.stdout.take().unwrap();
        let mut child = Some(child);
        let mut recording = self.read(&[], "pipe:0", output.into(), &mut child);
        end(child.as_mut().unwrap());
        let log = fs::read(&log).unwrap();
        let log = String::from_utf8_lossy(&log);
        if recording.pictures.is_empty() {
            eprintln!("{player:?} showed nothing and said:\n{log}");
        }
        recording.complaints.extend(log.lines().filter(|line| complaint(line)).map(str::to_owned));
        recording
    }

    /// Unpacks `input` with FFmpeg; ends `player` once all pictures have come.
    fn read(&self, options: &[&str], input: &str, stdin: Stdio, player: &mut Option<Child>) -> Recording {
        let folder = tempfile::tempdir().unwrap();
        let (log, pcm) = (folder.path().join("log"), folder.path().join("pcm"));
        let rate = SOUND_RATE.to_string();
        let pictures = self.pictures.to_string();
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+info"]);
        ffmpeg.args(options).args(["-i", input]);
        ffmpeg.args(["-map", "0:v:0", "-fps_mode", "passthrough", "-vf", "showinfo=checksum=0"]);
        ffmpeg.args(["-pix_fmt", "yuv420p", "-f", "rawvideo"]);
        if player.is_none() {
            ffmpeg.args(["-frames:v", &pictures]);
        }
        ffmpeg.arg("pipe:1");
        if self.sound {
            let seconds = "10.2";
            ffmpeg.args(["-map", "0:a:0", "-af", "ashowinfo", "-ac", "1", "-ar", &rate, "-f", "s16le"]);
            if player.is_none() {
                ffmpeg.args(["-t", seconds]);
            }
            ffmpeg.arg(&pcm);
        }
        let mut child = ffmpeg
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("ffmpeg: {error}"));
        drop(ffmpeg);

        let mut recording = Recording::default();
        let mut output = child.stdout.take().unwrap();
        let mut frame = vec![0; self.width * self.height * 3 / 2];
        while output.read_exact(&mut frame).is_ok() {
            let luma = Luma { data: &frame, width: self.width, height: self.height, stride: self.width };
            recording.pictures.push(Picture::read(luma, None));
            if recording.pictures.len() == self.pictures
                && let Some(player) = player
            {
                interrupt(player);
            }
        }
        let status = wait(&mut child, Duration::from_secs(10));
        let log = fs::read(&log).unwrap();
        let log = String::from_utf8_lossy(&log);
        if !status.is_some_and(|status| status.success()) {
            recording.complaints.push(format!("ffmpeg ended with {status:?}:\n{log}"));
        }
        // That is about the numbering of raw pictures on their way to us, which knows no uneven intervals.
        let damage = |line: &&str| tells_damage(line) && !line.contains("Application provided invalid");
        recording.complaints.extend(log.lines().filter(damage).map(|line| format!("ffmpeg: {line}")));
        recording.stream_time = self.times == Times::Stream;
        if self.times != Times::None {
            for (picture, line) in recording.pictures.iter_mut().zip(info(&log, "Parsed_showinfo")) {
                picture.time = number(line, "pts_time:");
            }
        }
        if self.sound {
            recording.sound = Some(self.sound(&pcm, &log));
        }
        recording
    }

    fn sound(&self, pcm: &Path, log: &str) -> Sound {
        let pcm = fs::read(pcm).unwrap_or_default();
        let samples = pcm.as_chunks().0.iter().map(|bytes| f32::from(i16::from_le_bytes(*bytes)) / 32768.0).collect();
        let mut first = 0.0;
        let mut pieces = Vec::new();
        for line in info(log, "Parsed_ashowinfo").filter(|_| self.times != Times::None) {
            let (Some(time), Some(count), Some(rate)) =
                (number(line, "pts_time:"), number(line, "nb_samples:"), number(line, "rate:"))
            else {
                continue;
            };
            pieces.push((first as usize, time));
            first += count * f64::from(SOUND_RATE) / rate;
        }
        Sound { rate: SOUND_RATE, samples, pieces }
    }
}

/// The lines that a `showinfo` filter wrote for each picture or sound.
fn info<'a>(log: &'a str, filter: &'a str) -> impl Iterator<Item = &'a str> {
    log.lines().filter(move |line| line.contains(filter) && line.contains(" pts_time:"))
}

/// The number after `key` in a line.
fn number(line: &str, key: &str) -> Option<f64> {
    let rest = line[line.find(key)? + key.len()..].trim_start();
    rest.split_whitespace().next()?.parse().ok()
}

fn interrupt(player: &Child) {
    // It may have ended by itself: then there is nobody to tell.
    let _ = signal::kill(Pid::from_raw(player.id() as i32), signal::SIGINT);
}

/// Lets a player that was interrupted say goodbye.
fn end(player: &mut Child) {
    if wait(player, Duration::from_secs(5)).is_none() {
        let _ = player.kill();
        let _ = player.wait();
    }
}

/// Whether a line of any player's log tells of damage.
pub fn tells_damage(line: &str) -> bool {
    DAMAGE.iter().any(|word| line.contains(word))
}
