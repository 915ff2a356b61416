use super::{fail, print, server::Server};
use crate::health::control::{Command, Response};
use std::{net::IpAddr, process::ExitCode};

#[derive(clap::Args)]
pub struct Unban {
    /// Such as 192.168.1.7; left out, all are let in again
    address: Option<IpAddr>,
    #[command(flatten)]
    server: Server,
}

impl Unban {
    pub fn run(self) -> ExitCode {
        match self.server.ask(Command::Unban { address: self.address }) {
            Ok(Response::Unbanned(1)) => print("1 lock-out is ended.\n"),
            Ok(Response::Unbanned(count)) => print(&format!("{count} lock-outs are ended.\n")),
            Ok(Response::Failed(why)) => fail(why),
            Ok(_) => fail("the server ended no lock-outs"),
            Err(error) => fail(error),
        }
    }
}
