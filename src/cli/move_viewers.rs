use super::{fail, print, server::Server};
use crate::health::control::{Command, Moved, Response};
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct MoveViewers {
    /// As the config names it; its `relay` says where to
    stream: String,
    #[command(flatten)]
    server: Server,
}

impl MoveViewers {
    pub fn run(self) -> ExitCode {
        match self.server.ask(Command::Move { stream: self.stream }) {
            Ok(Response::Moved(moved)) => print(&readable(&moved)),
            Ok(Response::Failed(why)) => fail(why),
            Ok(_) => fail("the server did not tell what became of it"),
            Err(error) => fail(error),
        }
    }
}

fn readable(Moved { relay, told, out_of_reach }: &Moved) -> String {
    let viewers = |count: &u64| if *count == 1 { "1 viewer".to_owned() } else { format!("{count} viewers") };
    let mut text = format!("{} told to go on at {relay}\n", viewers(told));
    if *out_of_reach > 0 {
        text += &format!("{} over UDP without an open connection: not told\n", viewers(out_of_reach));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_told_and_who_could_not_be() {
        let moved = |told, out_of_reach| readable(&Moved { relay: "rtsp://relay/main".into(), told, out_of_reach });
        assert_eq!(moved(2, 0), "2 viewers told to go on at rtsp://relay/main\n");
        let both =
            "1 viewer told to go on at rtsp://relay/main\n1 viewer over UDP without an open connection: not told\n";
        assert_eq!(moved(1, 1), both);
    }
}
