use super::fail;
use crate::config;
use std::{path::PathBuf, process::ExitCode};

#[derive(clap::Args)]
pub struct Check {
    /// The config; left out, /etc/eyrie/eyrie.toml
    file: Option<PathBuf>,
}

impl Check {
    pub fn run(self) -> ExitCode {
        match config::load_or_default(self.file.as_deref()) {
            Ok(_) => ExitCode::SUCCESS,
            Err(errors) => fail(errors),
        }
    }
}
