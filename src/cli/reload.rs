use super::{fail, server::Server};
use crate::health::control::{Command, Response};
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Reload {
    #[command(flatten)]
    server: Server,
}

impl Reload {
    pub fn run(self) -> ExitCode {
        match self.server.ask(Command::Reload) {
            Ok(Response::Failed(why)) => fail(why),
            Ok(_) => ExitCode::SUCCESS,
            Err(error) => fail(error),
        }
    }
}
