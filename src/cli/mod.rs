//! The command line, one file per command.

mod bench;
mod change;
mod check;
mod control;
mod devices;
mod doctor;
mod log;
mod move_viewers;
mod nftables;
mod passwd;
mod reload;
mod run;
mod selftest;
mod server;
mod set;
mod setup;
mod status;
mod stream;
mod table;
mod unban;
mod user;

use clap::{CommandFactory, Parser, Subcommand};
use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

#[derive(Parser)]
#[command(name = "eyrie", version, about = "Turns a Linux board with a camera into a professional network camera")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve: prints the URLs and then `ready`, logs on stderr
    Run(run::Run),
    /// Say what is wrong with a config; exits with 1 if anything is
    Check(check::Check),
    /// List cameras and sound cards
    Devices(devices::Devices),
    /// Read or set a control of a camera of the running server
    Control(control::Control),
    /// Send the viewers of a stream to its relay
    Move(move_viewers::MoveViewers),
    /// Print rules for nftables that let in what a config serves
    Nftables(nftables::Nftables),
    /// Print a [[user]] block for the config
    Passwd(passwd::Passwd),
    /// Print digests of what the encoders make of the test pattern: the same on every machine
    #[command(hide = true)]
    SelfTest(selftest::SelfTest),
    /// Say how the running server fares and who watches
    Status(status::Status),
    /// Make the running server read its config anew; exits with 1 if it is refused
    Reload(reload::Reload),
    /// Let addresses in again that were locked out for wrong passwords
    Unban(unban::Unban),
    /// Change one key of the config, comments kept, and reload
    Set(set::Set),
    /// Add a stream to the config or remove one, and reload
    Stream(stream::Stream),
    /// Add a user to the config or remove one, and reload
    User(user::User),
    /// Say what is wrong with this installation and how to mend it, and by which URLs to watch; exits with 1 if anything is
    Doctor(doctor::Doctor),
    /// Find out how fast this board codes pictures and how many viewers it serves
    Bench(bench::Bench),
    /// Apply the file that a card was prepared with; the image does so at boot
    #[command(hide = true)]
    Setup(setup::Setup),
}

/// The definition of the command line, of which `src/cli/manual` is made: manual pages and completions for shells.
pub fn definition() -> clap::Command {
    Arguments::command().disable_help_subcommand(true)
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Devices(command) => command.run(),
        Command::Control(command) => command.run(),
        Command::Move(command) => command.run(),
        Command::Nftables(command) => command.run(),
        Command::Passwd(command) => command.run(),
        Command::SelfTest(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::Reload(command) => command.run(),
        Command::Unban(command) => command.run(),
        Command::Set(command) => command.run(),
        Command::Stream(command) => command.run(),
        Command::User(command) => command.run(),
        Command::Doctor(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Setup(command) => command.run(),
    }
}

/// Puts `text`, whole lines, on stdout. A reader that has gone away (`| head`) is no reason to panic, as `println!` does.
fn print(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()).and_then(|()| io::stdout().lock().flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// `text`, in place of what stands on the screen.
fn redrawn(text: &str) -> String {
    format!("\x1b[H\x1b[2J{text}")
}

/// Says `why` on stderr.
fn fail(why: impl Display) -> ExitCode {
    note(why);
    ExitCode::FAILURE
}

fn note(what: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{what}");
}
