//! The TOML schema, its defaults, its errors.
//!
//! [`load`] and [`parse`] give a [`Config`] that holds together, or everything that is wrong with the file. Which keys
//! there are is said once, by the walk in `decode`; `example.toml` documents them, and tests hold it, the README and
//! the walk together.

mod built_in;
mod copies;
mod decode;
mod edit;
mod entries;
mod errors;
mod forms;
mod paths;
mod schema;
mod section;
mod users;

pub use built_in::{BUILT_IN_MAIN, BUILT_IN_SUB};
pub use edit::{EditError, edit, explained, is_full, write};
pub use entries::{NewStream, NewUser, add_stream, add_user, remove_stream, remove_user};
pub use errors::{ConfigError, ConfigErrors, Place};
pub use paths::{DEFAULT_FILE, Environment, Paths};
pub use schema::*;
pub use users::{digests, is_user_name};

use errors::Found;
use section::Findings;
use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
};
use toml::de::DeTable;
use users::Secrecy;

/// A documented config that says what the empty one means; installed as [`DEFAULT_FILE`].
pub const EXAMPLE: &str = include_str!("example.toml");

/// The realm of every digest, always: another would void them all.
pub const REALM: &str = "Eyrie";

/// No config is longer, in bytes.
const LONGEST_FILE: u64 = 1 << 20;

/// The config in the file at `path`, which is named in errors as it is given.
///
/// # Errors
/// All that is wrong with the file; or that it cannot be read.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let origin = path.display().to_string();
    let (text, mode) =
        read(path).map_err(|error| ConfigErrors::of_file(&origin, format!("cannot be read: {error}")))?;
    let secrecy = if mode & 0o007 == 0 { Secrecy::Private } else { Secrecy::Open };
    match String::from_utf8(text) {
        Ok(text) => parse_with(&text, &origin, secrecy),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let message = "is not UTF-8; expected a text file".to_owned();
            let text = String::from_utf8_lossy(error.as_bytes());
            Err(ConfigErrors::new(&origin, &text, vec![Found { span: at..at, key: "syntax".into(), message }]))
        }
    }
}

/// The config in `path`, or in [`DEFAULT_FILE`], or, where that does not exist, the built-in defaults.
///
/// # Errors
/// As [`load`].
pub fn load_or_default(path: Option<&Path>) -> Result<Config, ConfigErrors> {
    match path {
        Some(path) => load(path),
        None if Path::new(DEFAULT_FILE).exists() => load(Path::new(DEFAULT_FILE)),
        None => Ok(Config::default()),
    }
}

/// The config that `text` holds; `origin` stands for the file in errors.
///
/// # Errors
/// All that is wrong with it; where it is no TOML, only that.
pub fn parse(text: &str, origin: &str) -> Result<Config, ConfigErrors> {
    parse_with(text, origin, Secrecy::Private)
}

fn parse_with(text: &str, origin: &str, secrecy: Secrecy) -> Result<Config, ConfigErrors> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(ConfigErrors::syntax(origin, text, errors));
    }
    let findings = Findings::default();
    let config = decode::config(document.get_ref(), secrecy, &findings);
    let (errors, _) = findings.into_parts();
    if errors.is_empty() { Ok(config) } else { Err(ConfigErrors::new(origin, text, errors)) }
}

/// The bytes of a file and its mode.
fn read(path: &Path) -> io::Result<(Vec<u8>, u32)> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    let mut bytes = vec![];
    if file.take(LONGEST_FILE + 1).read_to_end(&mut bytes)? as u64 > LONGEST_FILE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than 1 MB"));
    }
    Ok((bytes, mode))
}

#[cfg(test)]
mod tests;
