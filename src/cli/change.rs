//! Changing the config file, its comments kept, and having the running server take it up; or leaving it as it was.

use super::{
    fail, note,
    server::{NoAnswer, Server},
};
use crate::{
    config::{self, EditError},
    health::control::{Command, Response},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Applies `edit`, which is given the file's text and name.
pub fn change(server: &Server, edit: impl FnOnce(&str, &str) -> Result<String, EditError>) -> ExitCode {
    let path = server.config.clone().unwrap_or_else(|| PathBuf::from(config::DEFAULT_FILE));
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
    let new = match edit(old.as_deref().unwrap_or_default(), &origin) {
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
    match server.ask(Command::Reload) {
        Ok(Response::Failed(why)) => {
            restore(&path, old.as_deref());
            fail(why)
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(error @ NoAnswer::NoServer(_)) if server.socket.is_none() => {
            note(format_args!("{origin} is changed; {error}"));
            ExitCode::SUCCESS
        }
        Err(error) => fail(format_args!("{origin} is changed, but not reloaded: {error}")),
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
