use super::log;
use crate::app;
use std::{path::PathBuf, process::ExitCode};

#[derive(clap::Args)]
pub struct Run {
    /// The config; left out, /etc/eyrie/eyrie.toml, and without that the built-in defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Let anybody view, without a password
    #[arg(long)]
    anonymous: bool,
}

impl Run {
    pub fn run(self) -> ExitCode {
        log::start();
        app::run(app::Options { config: self.config, anonymous: self.anonymous })
    }
}
