use super::{change::change, server::Server};
use crate::config::{self, NewStream};
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Stream {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Serve another stream; what is left out has its default
    Add(Add),
    /// Serve it no longer; its camera stays in the config
    Remove(Remove),
}

#[derive(clap::Args)]
struct Add {
    /// Under which it is served: rtsp://HOST:8554/NAME
    name: String,
    /// The camera that it shows, as the config names it
    #[arg(long, required_unless_present = "microphone")]
    camera: Option<String>,
    /// Where a camera is that the config does not name yet, as `eyrie devices` lists it
    #[arg(long, requires = "camera")]
    device: Option<String>,
    /// Such as 640x360
    #[arg(long, requires = "camera")]
    size: Option<String>,
    /// Such as 500k
    #[arg(long, requires = "camera")]
    bitrate: Option<String>,
    /// h264, or copy for what the camera itself encodes
    #[arg(long, requires = "camera")]
    codec: Option<String>,
    /// The microphone that it lets hear, as the config names it
    #[arg(long)]
    microphone: Option<String>,
    #[command(flatten)]
    server: Server,
}

#[derive(clap::Args)]
struct Remove {
    /// Its name
    name: String,
    #[command(flatten)]
    server: Server,
}

impl Stream {
    pub fn run(self) -> ExitCode {
        match self.action {
            Action::Add(add) => add.run(),
            Action::Remove(Remove { name, server }) => {
                change(&server, |text, origin| config::remove_stream(text, origin, &name))
            }
        }
    }
}

impl Add {
    fn run(self) -> ExitCode {
        let video = [("codec", self.codec), ("size", self.size), ("bitrate", self.bitrate)];
        let stream = NewStream {
            name: self.name,
            camera: self.camera,
            device: self.device,
            video: video.into_iter().filter_map(|(key, text)| Some((key, text?))).collect(),
            microphone: self.microphone,
        };
        change(&self.server, |text, origin| config::add_stream(text, origin, &stream))
    }
}
