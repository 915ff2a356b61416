//! The program: its start, what it says on its standard error, and its end.

use super::{buffers::Link, sys};
use crate::time::MonoTime;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{Signal, killpg},
        socket::{Shutdown, shutdown},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};
use std::{
    io::{self, Read},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Child, ChildStderr, Command, Stdio},
    sync::Arc,
    time::Duration,
};

/// How long a program may take to end by itself once its socket is closed.
const GRACE: Duration = Duration::from_millis(500);
/// From the end of its socket to that of a program that is on its way out.
const LAST_STEPS: Duration = Duration::from_millis(500);
/// Of a line in the log, in bytes.
const LONGEST_LINE: usize = 300;
/// Lines of a program that are logged within [`WINDOW`].
const MOST_LINES: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);

/// A running camera program, the leader of a process group that ends with it.
pub struct Process {
    child: Child,
    link: Arc<Link>,
    errors: Option<ChildStderr>,
    log: Log,
}

impl Process {
    /// Starts `words`, the program and its arguments, with the other end of the link as its standard input.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(camera: &str, words: &[&str], link: Arc<Link>, other_end: OwnedFd) -> io::Result<Self> {
        let (program, arguments) = words.split_first().ok_or(Errno::ENOENT)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(other_end).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child = sys::spawn(&mut command)?;
        let errors = child.stderr.take();
        if let Some(errors) = &errors {
            fcntl(errors, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        Ok(Self { child, link, errors, log: Log::new(camera) })
    }

    /// Waits until the program sent something, or is gone. What it says on its standard error is logged meanwhile.
    pub fn wait(&mut self, timeout: Duration) {
        let deadline = MonoTime::now() + timeout;
        loop {
            let mut fds = vec![PollFd::new(self.link.as_fd(), PollFlags::POLLIN)];
            fds.extend(self.errors.as_ref().map(|errors| PollFd::new(errors.as_fd(), PollFlags::POLLIN)));
            let left = deadline - MonoTime::now();
            // An error comes to light when the message is read.
            let ready = poll(&mut fds, in_millis(left)).unwrap_or(0) > 0;
            let sent = fds[0].revents().is_none_or(|seen| !seen.is_empty());
            if ready && !sent {
                self.read_errors();
            } else {
                return;
            }
        }
    }

    fn read_errors(&mut self) {
        let Some(errors) = &mut self.errors else { return };
        let mut bytes = [0; 4096];
        match errors.read(&mut bytes) {
            Ok(0) => self.errors = None,
            Ok(length) => self.log.take(&bytes[..length], MonoTime::now()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.errors = None,
        }
    }

    /// Why a program that closed its socket did so, in words.
    pub fn epitaph(&mut self) -> String {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let deadline = MonoTime::now() + LAST_STEPS;
        let ended = loop {
            // Left to be waited for: until then its number, which is its group's too, is nobody else's.
            match waitid(Id::Pid(self.pid()), flags) {
                Ok(WaitStatus::StillAlive) if MonoTime::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok(WaitStatus::Exited(_, code)) => break format!("its program ended with exit code {code}"),
                Ok(WaitStatus::Signaled(_, signal, _)) => break format!("its program was killed by {signal}"),
                _ => break "its program closed the connection".to_owned(),
            }
        };
        for _ in 0..16 {
            self.read_errors();
        }
        match self.log.last.as_str() {
            "" => ended,
            last => format!("{ended}, and said: {last}"),
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }
}

/// Tells it to end by closing the socket, kills what is left of its group, and leaves no zombie.
impl Drop for Process {
    fn drop(&mut self) {
        let _ = shutdown(self.link.as_fd().as_raw_fd(), Shutdown::Write);
        let deadline = MonoTime::now() + GRACE;
        loop {
            let mut fds = [PollFd::new(self.link.as_fd(), PollFlags::empty())];
            let left = deadline - MonoTime::now();
            match poll(&mut fds, in_millis(left)) {
                Err(Errno::EINTR) if !left.is_zero() => {}
                _ => break,
            }
        }
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Rounded up, so that who waits does not spin through the last millisecond.
fn in_millis(timeout: Duration) -> PollTimeout {
    PollTimeout::try_from(timeout + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
}

/// A program's lines on their way to the log: cut where they are long, and left out where they are many.
struct Log {
    camera: String,
    line: Vec<u8>,
    /// The last whole one.
    last: String,
    window: MonoTime,
    lines: u32,
}

impl Log {
    fn new(camera: &str) -> Self {
        Self { camera: camera.to_owned(), line: vec![], last: String::new(), window: MonoTime::ZERO, lines: 0 }
    }

    fn take(&mut self, bytes: &[u8], now: MonoTime) {
        for byte in bytes {
            match byte {
                b'\n' => self.end_line(now),
                _ if self.line.len() < LONGEST_LINE => self.line.push(*byte),
                _ => {}
            }
        }
    }

    fn end_line(&mut self, now: MonoTime) {
        let text = String::from_utf8_lossy(&self.line);
        let line = text.trim().replace(char::is_control, " ");
        self.line.clear();
        if line.is_empty() {
            return;
        }
        if now - self.window >= WINDOW {
            if self.lines > MOST_LINES {
                tracing::info!(camera = self.camera, "{} further lines are left out", self.lines - MOST_LINES);
            }
            (self.window, self.lines) = (now, 0);
        }
        self.lines += 1;
        if self.lines <= MOST_LINES {
            tracing::info!(camera = self.camera, "its program says: {line}");
        }
        self.last = line;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(words: &[&str]) -> io::Result<Process> {
        let (link, other_end) = Link::pair()?;
        Process::start("front", words, link, other_end)
    }

    #[test]
    fn lines_are_bounded_and_the_last_one_is_kept() {
        let mut log = Log::new("front");
        log.take(b"no sen", MonoTime::ZERO);
        assert_eq!(log.last, "");
        log.take(b"sor\xff\x1b[1m\n\n  \nmore", MonoTime::ZERO);
        assert_eq!(log.last, "no sensor\u{fffd} [1m");
        log.take(&[b'x'; 100_000], MonoTime::ZERO);
        assert_eq!(log.line.len(), LONGEST_LINE);
        for _ in 0..1000 {
            log.take(b"\nagain\n", MonoTime::ZERO);
        }
        assert_eq!((log.lines, log.last.as_str()), (1002, "again"));
        log.take(b"later\n", MonoTime::ZERO + WINDOW);
        assert_eq!(log.lines, 1);
    }

    #[test]
    fn a_program_that_ignores_its_end_is_killed_with_all_it_started() {
        let process = start(&["/bin/sh", "-c", "sleep 1000 & sleep 1000"]).unwrap();
        let group = process.pid();
        let begun = MonoTime::now();
        drop(process);
        assert!(MonoTime::now() - begun < GRACE * 20);
        // Its members are killed at once, and gone as soon as they have been waited for by who inherits them.
        let gone = || killpg(group, None) == Err(Errno::ESRCH);
        assert!((0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            gone()
        }));
    }

    #[test]
    fn the_end_of_a_program_is_told_with_its_last_words() {
        let epitaph = |script: &str| {
            let mut process = start(&["/bin/sh", "-c", script]).unwrap();
            process.wait(Duration::from_secs(10));
            process.epitaph()
        };
        assert_eq!(epitaph("echo no sensor >&2; exit 3"), "its program ended with exit code 3, and said: no sensor");
        assert_eq!(epitaph("kill -9 $$"), "its program was killed by SIGKILL");
        assert_eq!(epitaph("exec <&-; sleep 5"), "its program closed the connection");
    }

    #[test]
    fn what_cannot_be_started_says_so() {
        assert!(start(&["/nowhere/camera"]).is_err());
    }
}
