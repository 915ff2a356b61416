use super::{
    fail, note,
    server::{NoAnswer, Server},
};
use crate::{
    config,
    health::control::{Command, Response},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

#[derive(clap::Args)]
pub struct Set {
    /// Such as stream.main.video.bitrate; a user's keys are user.NAME.role and so on
    key: String,
    /// As in the config, or bare: 4M, true, udp,tcp
    #[arg(allow_hyphen_values = true)]
    value: String,
    #[command(flatten)]
    server: Server,
}

impl Set {
    pub fn run(self) -> ExitCode {
        let path = self.server.config.clone().unwrap_or_else(|| PathBuf::from(config::DEFAULT_FILE));
        let old = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return fail(format_args!("{}: cannot be read: {error}", path.display())),
            Ok(text) => Some(text),
        };
        if old.is_some()
            && let Err(errors) = config::load(&path)
        {
            return fail(errors);
        }
        let origin = path.display().to_string();
        let new = match config::edit(old.as_deref().unwrap_or_default(), &origin, &self.key, &self.value) {
            Ok(new) => new,
            Err(error) => return fail(error),
        };
        if let Err(error) = config::write(&path, &new) {
            return fail(format_args!("{origin}: cannot be written: {error}"));
        }
        // What depends on the file itself, such as a password that others could read.
        if let Err(errors) = config::load(&path) {
            restore(&path, old.as_deref());
            return fail(errors);
        }
        match self.server.ask(Command::Reload) {
            Ok(Response::Failed(why)) => {
                restore(&path, old.as_deref());
                fail(why)
            }
            Ok(_) => ExitCode::SUCCESS,
            Err(error @ NoAnswer::NoServer(_)) if self.server.socket.is_none() => {
                note(format_args!("{origin} is changed; {error}"));
                ExitCode::SUCCESS
            }
            Err(error) => fail(format_args!("{origin} is changed, but not reloaded: {error}")),
        }
    }
}

/// The config that the server goes on with is also the one that it starts with next time.
fn restore(path: &Path, old: Option<&str>) {
    let result = match old {
        Some(text) => config::write(path, text),
        None => fs::remove_file(path),
    };
    if let Err(error) = result {
        note(format_args!("{}: the old text cannot be put back: {error}", path.display()));
    }
}
