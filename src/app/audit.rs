//! The audit trail's writer: each record as a line of JSON on stderr, which is the journal's, and in the file.

use crate::{
    config,
    net::{Trail, TrailEnd},
};
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

/// The thread `audit` and what it is told.
pub struct Audit {
    pub trail: Trail,
    /// The file to go on with, once there is another.
    next: Arc<Mutex<Option<Option<AuditFile>>>>,
    writer: JoinHandle<()>,
}

impl Audit {
    /// Starts the writer.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(file: Option<AuditFile>) -> io::Result<Self> {
        let (trail, end) = Trail::new();
        let next = Arc::new(Mutex::new(Some(file)));
        let slot = next.clone();
        let writer = thread::Builder::new().name("audit".into()).spawn(move || write(&end, &slot))?;
        Ok(Self { trail, next, writer })
    }

    /// Writes to `file` from the next record on.
    pub fn set_file(&self, file: Option<AuditFile>) {
        *self.next.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(file);
    }

    /// Waits until all is written.
    pub fn end(self) {
        self.trail.end();
        let _ = self.writer.join();
    }
}

/// Where the trail is kept, besides the journal.
pub struct AuditFile {
    path: PathBuf,
    /// None: there was no room to make it.
    file: Option<File>,
}

impl AuditFile {
    /// Opened for appending, made (0640) where there is none. While the disk is full that is tried again with each record.
    ///
    /// # Errors
    /// It cannot be opened; the text names it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = match open(path) {
            Err(error) if config::is_full(&error) => None,
            Err(error) => {
                return Err(io::Error::new(error.kind(), format!("server.audit_file {}: {error}", path.display())));
            }
            Ok(file) => Some(file),
        };
        Ok(Self { path: path.to_owned(), file })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(open(&self.path)?),
        };
        let before = file.metadata()?.len();
        file.write_all(line).inspect_err(|_| {
            // Half a line would spoil the next one too.
            let _ = file.set_len(before);
        })
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

fn write(trail: &TrailEnd, next: &Mutex<Option<Option<AuditFile>>>) {
    let (mut file, mut failing) = (None, false);
    while let Some(record) = trail.next() {
        if let Some(other) = next.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take() {
            (file, failing) = (other, false);
        }
        let line = record.line() + "\n";
        // In one piece, so that no other line of the log comes between. Without a journal there is only the file.
        let _ = io::stderr().lock().write_all(line.as_bytes());
        if let Some(file) = &mut file {
            match file.write(line.as_bytes()) {
                Ok(()) if failing => {
                    failing = false;
                    tracing::info!("server.audit_file is written again; what is missing in it stands in the journal");
                }
                Ok(()) => {}
                // Each record would be told of, on a full disk that is.
                Err(_) if failing => {}
                Err(error) => {
                    failing = true;
                    let error = config::explained(error);
                    tracing::error!("server.audit_file cannot be written, the journal goes on: {error}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// One of the two is a device that is always full.
    #[test]
    fn a_file_for_which_there_is_no_room_is_made_once_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let mut later = AuditFile { path: path.clone(), file: None };
        later.write(b"first\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first\n");
        let mut full = AuditFile::open(Path::new("/dev/full")).unwrap();
        assert!(config::is_full(&full.write(b"x\n").unwrap_err()));
        assert!(AuditFile::open(&folder.path().join("none/audit.jsonl")).is_err());
    }
}
