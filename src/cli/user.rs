use super::{change::change, fail, passwd, server::Server};
use crate::config::{self, NewUser};
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct User {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Let a user in; asks for the password
    Add(Add),
    /// Let a user in no longer
    Remove(Remove),
}

#[derive(clap::Args)]
struct Add {
    /// The user's name
    name: String,
    /// Read the password from the first line of stdin instead of asking for it
    #[arg(long)]
    stdin: bool,
    /// view, talk or admin
    #[arg(long, default_value = "view")]
    role: String,
    /// Which streams, such as main,sub
    #[arg(long, value_delimiter = ',', default_value = "*")]
    streams: Vec<String>,
    #[command(flatten)]
    server: Server,
}

#[derive(clap::Args)]
struct Remove {
    /// The user's name
    name: String,
    #[command(flatten)]
    server: Server,
}

impl User {
    pub fn run(self) -> ExitCode {
        match self.action {
            Action::Add(add) => add.run(),
            Action::Remove(Remove { name, server }) => {
                change(&server, |text, origin| config::remove_user(text, origin, &name))
            }
        }
    }
}

impl Add {
    fn run(self) -> ExitCode {
        let password = match passwd::password_of(&self.name, self.stdin) {
            Ok(password) => password,
            Err(error) => return fail(error),
        };
        let (md5, sha256) = config::digests(&self.name, &password);
        let user = NewUser { name: self.name, md5, sha256, role: self.role, streams: self.streams };
        change(&self.server, |text, origin| config::add_user(text, origin, &user))
    }
}
