use super::{print, server::Server};
use crate::{
    app,
    health::{
        control::{Command, Response},
        doctor::{Finding, findings},
    },
};
use serde_json::json;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Doctor {
    /// For programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Doctor {
    pub fn run(self) -> ExitCode {
        let status = match self.server.ask(Command::Status) {
            Ok(Response::Status(status)) => Ok(*status),
            Ok(Response::Failed(why)) => Err(why),
            Ok(_) => Err("the server told no status".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let examined = app::examine(self.server.config.as_deref(), status);
        let found = findings(&examined.facts);
        let text = match self.json {
            true => format!("{:#}\n", json!({ "findings": found, "urls": examined.urls })),
            false => readable(&found, &examined.urls),
        };
        let printed = print(&text);
        if found.is_empty() { printed } else { ExitCode::FAILURE }
    }
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
