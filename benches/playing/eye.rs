//! Sees what a player shows, without the player's help: the memory of a virtual screen, or what VLC, which has no screen
//! here, hands to its output when it is due.

#[allow(dead_code)] // Pictures alone are looked at here.
#[path = "../../tests/support/marks.rs"]
mod marks;

use super::SIZE;
use crate::rig::Outcome;
use marks::{Luma, Strip};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::stat::Mode,
    unistd::mkfifo,
};
use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{BufRead, BufReader, Read},
    os::{
        fd::AsFd,
        unix::fs::{FileExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// How often the screen is looked at.
const LOOK: Duration = Duration::from_millis(4);
const WIDTH: usize = SIZE.width as usize;
const HEIGHT: usize = SIZE.height as usize;
/// Rows of the picture that hold its strip.
const STRIP: usize = HEIGHT / 8;

pub trait Eye {
    /// What is shown, a moment later: None if it does not read.
    fn look(&mut self) -> Outcome<Option<Strip>>;
}

/// An X server as large as the picture, whose memory is a file (in the format of xwd).
pub struct Screen {
    server: Child,
    memory: File,
    /// Where its first pixel lies, and bytes from one row to the next.
    pixels: u64,
    stride: usize,
    rows: Vec<u8>,
    luma: Vec<u8>,
    /// What a player is told as DISPLAY.
    pub display: String,
    _folder: TempDir,
}

impl Screen {
    pub fn new() -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new("Xvfb");
        command.args([
            "-displayfd",
            "1",
            "-nolisten",
            "tcp",
            "-screen",
            "0",
            &format!("{WIDTH}x{HEIGHT}x24"),
            "-fbdir",
        ]);
        command.arg(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = command.spawn()?;
        let mut number = String::new();
        BufReader::new(server.stdout.take().ok_or("no stdout")?).read_line(&mut number)?;
        let memory = File::open(folder.path().join("Xvfb_screen0"))?;
        let mut header = [0; 80];
        memory.read_exact_at(&mut header, 0)?;
        let field = |number: usize| u32::from_be_bytes(std::array::from_fn(|byte| header[number * 4 + byte]));
        // The header, then twelve bytes for each colour that is named.
        let (pixels, stride) = (u64::from(field(0) + 12 * field(19)), field(12) as usize);
        if (field(4), field(11)) != (SIZE.width, 32) {
            return Err("the screen is not as it was asked for".into());
        }
        let (rows, luma, display) = (vec![0; stride * STRIP], vec![0; WIDTH * STRIP], format!(":{}", number.trim()));
        Ok(Self { server, memory, pixels, stride, rows, luma, display, _folder: folder })
    }
}

impl Eye for Screen {
    fn look(&mut self) -> Outcome<Option<Strip>> {
        thread::sleep(LOOK);
        self.memory.read_exact_at(&mut self.rows, self.pixels)?;
        for (luma, row) in self.luma.chunks_mut(WIDTH).zip(self.rows.chunks(self.stride)) {
            // The strip is grey: green says all.
            luma.iter_mut().zip(row.chunks(4)).for_each(|(luma, pixel)| *luma = pixel[1]);
        }
        Ok(read(&self.luma))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A named pipe that a player writes each picture to when it would be shown: a line, and I420.
pub struct Pipe {
    pipe: BufReader<File>,
    picture: Vec<u8>,
    pub path: PathBuf,
    _folder: TempDir,
}

impl Pipe {
    pub fn new() -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("pictures");
        mkfifo(&path, Mode::empty())?;
        // Root starts VLC as user nobody.
        let open_to_all = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
        open_to_all(folder.path(), 0o755)?;
        open_to_all(&path, 0o666)?;
        // Open both ways, so that it neither waits for the player nor ends with it.
        let pipe = OpenOptions::new().read(true).write(true).open(&path)?;
        Ok(Self { pipe: BufReader::new(pipe), picture: vec![0; WIDTH * HEIGHT * 3 / 2], path, _folder: folder })
    }
}

impl Eye for Pipe {
    fn look(&mut self) -> Outcome<Option<Strip>> {
        let mut ready = [PollFd::new(self.pipe.get_ref().as_fd(), PollFlags::POLLIN)];
        if self.pipe.buffer().is_empty() && poll(&mut ready, PollTimeout::from(20u8))? == 0 {
            return Ok(None);
        }
        // Each time that it opens its output it says first what follows.
        let mut line = Vec::new();
        self.pipe.read_until(b'\n', &mut line)?;
        if line != b"FRAME\n" {
            return Ok(None);
        }
        self.pipe.read_exact(&mut self.picture)?;
        Ok(read(&self.picture))
    }
}

fn read(data: &[u8]) -> Option<Strip> {
    Luma { data, width: WIDTH, height: HEIGHT, stride: WIDTH }.strip()
}
