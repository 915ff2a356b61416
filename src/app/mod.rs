//! The composition: makes a plan from a config, builds every part from it, applies a changed one, shuts down.

use crate::config;
use std::{path::PathBuf, process::ExitCode};

/// What the command line says.
pub struct Options {
    /// None: the default file, or without it the built-in defaults.
    pub config: Option<PathBuf>,
    /// Anybody may view, whatever the config says.
    pub anonymous: bool,
}

/// Serves until it is told to stop.
pub fn run(options: Options) -> ExitCode {
    match config::load_or_default(options.config.as_deref()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(errors) => {
            eprintln!("{errors}");
            ExitCode::FAILURE
        }
    }
}
