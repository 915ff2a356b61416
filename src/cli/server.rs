//! Finding the running server and asking it.

use crate::{
    config::{self, ConfigErrors, Environment, Paths},
    health::control::{self, Command, Response},
};
use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Which server.
#[derive(clap::Args)]
pub struct Server {
    /// The server with this config
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The server with this control socket
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

/// Why there is no answer.
pub enum NoAnswer {
    /// Nobody listens at any of these.
    NoServer(Vec<PathBuf>),
    Failed(PathBuf, io::Error),
    Config(ConfigErrors),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoServer(tried) => {
                let tried: Vec<_> = tried.iter().map(|path| path.display().to_string()).collect();
                write!(f, "no server answers at {}; expected a running `eyrie run`", tried.join(" or "))
            }
            Self::Failed(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Config(errors) => errors.fmt(f),
        }
    }
}

impl Server {
    pub fn ask(&self, command: Command) -> Result<Response, NoAnswer> {
        let sockets = self.sockets().map_err(NoAnswer::Config)?;
        for path in &sockets {
            match control::request(path, &command) {
                Ok(response) => return Ok(response),
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {}
                Err(error) => return Err(NoAnswer::Failed(path.clone(), error)),
            }
        }
        Err(NoAnswer::NoServer(sockets))
    }

    fn sockets(&self) -> Result<Vec<PathBuf>, ConfigErrors> {
        if let Some(socket) = &self.socket {
            return Ok(vec![socket.clone()]);
        }
        if let Some(config) = &self.config
            && let Some(socket) = config::load(config)?.server.control_socket
        {
            return Ok(vec![socket]);
        }
        let environment = Environment::of_process();
        let mut sockets = Paths::control_sockets(&environment);
        sockets.retain(|path| !path.starts_with("/tmp") || !belongs_to_another(path, environment.uid));
        Ok(sockets)
    }
}

/// Anybody can make a folder in /tmp and answer there.
fn belongs_to_another(socket: &Path, uid: u32) -> bool {
    socket.parent().and_then(|folder| fs::symlink_metadata(folder).ok()).is_some_and(|folder| folder.uid() != uid)
}
