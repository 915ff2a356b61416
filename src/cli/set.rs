use super::{change::change, server::Server};
use crate::config;
use std::process::ExitCode;

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
        change(&self.server, |text, origin| config::edit(text, origin, &self.key, &self.value))
    }
}
