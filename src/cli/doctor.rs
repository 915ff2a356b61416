use super::{
    print, redrawn,
    server::{NoAnswer, Server},
};
use crate::{
    app,
    health::{
        control::{Command, Response},
        doctor::{Finding, findings},
    },
};
use nix::unistd::gethostname;
use serde_json::json;
use std::{process::ExitCode, thread, time::Duration};

#[derive(clap::Args)]
pub struct Doctor {
    /// For programs
    #[arg(long)]
    json: bool,
    /// Look again every five seconds
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    #[command(flatten)]
    server: Server,
}

/// How often `--watch` looks.
const AGAIN: Duration = Duration::from_secs(5);

impl Doctor {
    pub fn run(self) -> ExitCode {
        if self.watch {
            return self.stay();
        }
        let (found, urls) = self.examine();
        let text = match self.json {
            true => format!("{:#}\n", json!({ "findings": found, "urls": urls })),
            false => readable(&found, &urls),
        };
        let printed = print(&text);
        if found.is_empty() { printed } else { ExitCode::FAILURE }
    }

    /// On a screen, until there is none any more.
    fn stay(&self) -> ExitCode {
        loop {
            let (found, urls) = self.examine();
            let printed = print(&redrawn(&(heading() + &readable(&found, &urls))));
            if printed != ExitCode::SUCCESS {
                return printed;
            }
            thread::sleep(AGAIN);
        }
    }

    /// What is wrong, and the URLs.
    fn examine(&self) -> (Vec<Finding>, Vec<String>) {
        // Of a config that is wrong the server that runs by it has an older one: it is asked where servers listen.
        let ask = || match self.server.ask(Command::Status) {
            Err(NoAnswer::Config(_)) => Server { config: None, socket: None }.ask(Command::Status),
            answer => answer,
        };
        let server = match ask() {
            Ok(Response::Status(status)) => app::Server::Runs(status),
            Ok(_) => app::Server::Hidden("the server told no status".to_owned()),
            Err(error @ NoAnswer::NoServer(_)) => app::Server::Absent(error.to_string()),
            Err(error) => app::Server::Hidden(error.to_string()),
        };
        let examined = app::examine(self.server.config.as_deref(), server);
        (findings(&examined.facts), examined.urls)
    }
}

/// Above what stays on a screen: which of several cameras this is.
fn heading() -> String {
    let name = gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    format!("Eyrie {} on {name}\n\n", env!("CARGO_PKG_VERSION"))
}

/// For people.
fn readable(found: &[Finding], urls: &[String]) -> String {
    let mut text = String::new();
    for Finding { about, problem, mend } in found {
        text += &format!("{about}: {problem}\n    {mend}\n");
    }
    if found.is_empty() {
        text += "Nothing is wrong.\n";
    }
    if !urls.is_empty() {
        text += "\nTo watch, with any player or NVR:\n";
        urls.iter().for_each(|url| text += &format!("    {url}\n"));
        text += "An NVR that asks for the parts takes RTSP, the port after the last colon, and the path behind it.\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_people() {
        let found =
            [Finding { about: "clock".into(), problem: "it is not synchronised".into(), mend: "do this".into() }];
        let urls = ["rtsp://192.168.1.7:8554/main".to_owned()];
        assert_eq!(
            readable(&found, &urls),
            "clock: it is not synchronised\n    do this\n\nTo watch, with any player or NVR:\n    \
             rtsp://192.168.1.7:8554/main\nAn NVR that asks for the parts takes RTSP, the port after the last colon, and \
             the path behind it.\n"
        );
        assert_eq!(readable(&[], &[]), "Nothing is wrong.\n");
    }
}
