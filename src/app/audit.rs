//! The audit trail's writer: each record as a line of JSON on stderr, which is the journal's, and in the file.

use crate::net::{Trail, TrailEnd};
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

/// The thread `audit` and what it is told.
pub struct Audit {
    pub trail: Trail,
    /// The file to go on with, once there is another.
    next: Arc<Mutex<Option<Option<File>>>>,
    writer: JoinHandle<()>,
}

impl Audit {
    /// Starts the writer.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(file: Option<File>) -> io::Result<Self> {
        let (trail, end) = Trail::new();
        let next = Arc::new(Mutex::new(Some(file)));
        let slot = next.clone();
        let writer = thread::Builder::new().name("audit".into()).spawn(move || write(&end, &slot))?;
        Ok(Self { trail, next, writer })
    }

    /// Writes to `file` from the next record on.
    pub fn set_file(&self, file: Option<File>) {
        *self.next.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(file);
    }

    /// Waits until all is written.
    pub fn end(self) {
        self.trail.end();
        let _ = self.writer.join();
    }
}

/// The audit file for appending, made (0640) where there is none.
///
/// # Errors
/// It cannot be opened; the text names it.
pub fn open(path: Option<&Path>) -> io::Result<Option<File>> {
    let Some(path) = path else { return Ok(None) };
    let opened = OpenOptions::new().append(true).create(true).mode(0o640).open(path);
    opened
        .map(Some)
        .map_err(|error| io::Error::new(error.kind(), format!("server.audit_file {}: {error}", path.display())))
}

fn write(trail: &TrailEnd, next: &Mutex<Option<Option<File>>>) {
    let (mut file, mut failing) = (None, false);
    while let Some(record) = trail.next() {
        if let Some(other) = next.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take() {
            (file, failing) = (other, false);
        }
        let line = record.line() + "\n";
        // In one piece, so that no other line of the log comes between. Without a journal there is only the file.
        let _ = io::stderr().lock().write_all(line.as_bytes());
        if let Some(file) = &mut file {
            match file.write_all(line.as_bytes()) {
                Ok(()) => failing = false,
                // Each record would be told of, on a full disk that is.
                Err(_) if failing => {}
                Err(error) => {
                    failing = true;
                    tracing::error!("server.audit_file cannot be written, the journal goes on: {error}");
                }
            }
        }
    }
}
