//! Files that only the server itself may read.

use crate::config;
use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

/// Writes `text` to `file` in `folder`, which is made if it is not there. Whole or not at all, so that a power cut leaves
/// no empty file.
///
/// # Errors
/// The folder cannot be made or written.
pub fn write(folder: &Path, file: &Path, text: &str) -> io::Result<()> {
    let new = file.with_extension("new");
    let result = fs::DirBuilder::new().recursive(true).mode(0o750).create(folder).and_then(|()| write_new(&new, text));
    if let Err(error) = result.and_then(|()| fs::rename(&new, file)) {
        let _ = fs::remove_file(&new);
        return Err(config::explained(error));
    }
    fs::File::open(folder)?.sync_all()
}

fn write_new(new: &Path, text: &str) -> io::Result<()> {
    let _ = fs::remove_file(new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
