//! `eyrie setup`: what a person put on a card for its first boot, made true on the board. Run at every boot of the
//! image, before the network; without `rpi-preseed.toml` it does nothing.

mod machine;
mod preseed;

use super::fail;
use machine::Machine;
use preseed::Preseed;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

const FILE: &str = "rpi-preseed.toml";
const LOG: &str = "eyrie-setup.log";

#[derive(clap::Args)]
pub struct Setup {
    /// The folder with rpi-preseed.toml
    boot: PathBuf,
    /// Where the system's files are
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    root: PathBuf,
}

impl Setup {
    pub fn run(self) -> ExitCode {
        match apply(&self.boot, &self.root) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(format_args!("{}: {error}", self.boot.join(FILE).display())),
        }
    }
}

/// Applies the file in `boot`, if there is one, to the system in `root`, says in the log beside it what came of every
/// key, and takes the file away. One that is no TOML stays, to be mended.
fn apply(boot: &Path, root: &Path) -> io::Result<()> {
    let file = boot.join(FILE);
    let text = match fs::read(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read?,
    };
    let parsed = String::from_utf8(text)
        .map_err(|_| "it is not UTF-8; expected a text file".to_owned())
        .and_then(|text| text.trim_start_matches('\u{feff}').parse().map_err(|error| describe(&error, &text)));
    let table = match parsed {
        Ok(table) => table,
        Err(why) => return write_log(boot, &[format!("nothing was applied: {why}")]),
    };
    let mut preseed = Preseed::new(table);
    let settings = preseed.settings(root);
    let mut log = preseed.into_log();
    log.extend(Machine::new(root).apply(&settings));
    write_log(boot, &log)?;
    wipe(&file)
}

/// Where the mistake is and what, without the line itself, which may hold a password.
fn describe(error: &toml::de::Error, text: &str) -> String {
    let place = error.span().map_or(0, |span| span.start).min(text.len());
    let line = text.as_bytes()[..place].iter().filter(|&&byte| byte == b'\n').count() + 1;
    format!("line {line}: {}", error.message().lines().next().unwrap_or_default())
}

fn write_log(boot: &Path, lines: &[String]) -> io::Result<()> {
    let mut text = String::from("What Eyrie made of rpi-preseed.toml:\r\n\r\n");
    for line in lines {
        text.push_str(line);
        // Read on any machine.
        text.push_str("\r\n");
    }
    let mut file = File::create(boot.join(LOG))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Overwrites the file where it lies before it goes: FAT would leave its text on the card.
fn wipe(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let length = file.metadata()?.len();
    io::copy(&mut io::Read::take(io::repeat(b'\n'), length), &mut file)?;
    file.sync_all()?;
    fs::remove_file(path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests;
