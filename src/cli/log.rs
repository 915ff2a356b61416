use super::note;
use std::io::{self, IsTerminal, Write};
use tracing::{Level, Metadata};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// Logs to stderr what `$EYRIE_LOG` asks for, such as `debug` or `warn,eyrie::net=trace`; else from `info` on.
pub fn start() {
    let filter = match std::env::var("EYRIE_LOG").as_deref().map(str::parse::<Targets>) {
        Ok(Ok(filter)) => filter,
        Ok(Err(error)) => {
            note(format_args!("EYRIE_LOG: {error}; expected such as `debug` or `warn,eyrie::net=trace`"));
            Targets::new().with_default(Level::INFO)
        }
        Err(_) => Targets::new().with_default(Level::INFO),
    };
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = fmt::layer().with_ansi(colours);
    // The journal stamps each line itself.
    let lines = if is_journal() {
        lines.without_time().with_writer(Journal).boxed()
    } else {
        lines.with_writer(io::stderr).boxed()
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}

/// Whether stderr goes to the journal; the variable alone may come from whoever started this program (systemd.exec(5)).
fn is_journal() -> bool {
    let Some(named) = std::env::var("JOURNAL_STREAM").ok() else { return false };
    nix::sys::stat::fstat(io::stderr()).is_ok_and(|stderr| named == format!("{}:{}", stderr.st_dev, stderr.st_ino))
}

/// Stderr, with how grave a line is before it, as the journal reads it (sd-daemon(3)).
struct Journal;

impl<'a> MakeWriter<'a> for Journal {
    type Writer = Graded;

    fn make_writer(&'a self) -> Graded {
        Graded(6)
    }

    fn make_writer_for(&'a self, of: &Metadata<'_>) -> Graded {
        Graded(match *of.level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        })
    }
}

struct Graded(u8);

impl Write for Graded {
    /// What is written is whole lines.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let mut graded = Vec::with_capacity(lines.len() + 3);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            write!(graded, "<{}>", self.0)?;
            graded.extend_from_slice(line);
        }
        // In one piece, so that no line of another thread comes between.
        io::stderr().lock().write_all(&graded)?;
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
