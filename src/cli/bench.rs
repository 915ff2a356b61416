use super::{fail, print, table::table};
use crate::{
    bench::{BUSY, Limit, Load, Outcome, Server, Way, code, limit, load},
    media::{EncoderChoice, Size},
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::{
    env,
    io::{self, Write},
    process::ExitCode,
    thread,
    time::Duration,
};

/// Sizes with the bitrate (bit/s) that suits them.
const SIZES: [(Size, u32); 4] = [
    (Size::new(640, 360), 500_000),
    (Size::new(1280, 720), 2_000_000),
    (Size::new(1920, 1080), 4_000_000),
    (Size::new(2560, 1440), 8_000_000),
];
const FPS: f64 = 30.0;
/// An encoder that is so much faster than its pictures come leaves room for all else.
const ROOM: f64 = 1.5;
/// Descriptors that a viewer takes on either side, at most.
const DESCRIPTORS: u64 = 4;

/// Finds out what this board can do: how fast its encoders code each size, and how many viewers it serves
///
/// Nothing else should run on the board meanwhile. It takes three minutes, and serves on the loopback interface alone: a
/// network card has a limit of its own.
#[derive(clap::Args)]
pub struct Bench {
    /// The most viewers that are tried
    #[arg(long, value_name = "NUMBER", default_value_t = 4000, value_parser = clap::value_parser!(u32).range(1..))]
    most: u32,
    /// How long each encoder and each number of viewers is tried
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Only how fast encoders code
    #[arg(long, conflicts_with = "viewers")]
    encoders: bool,
    /// Only how many viewers are served
    #[arg(long)]
    viewers: bool,
}

impl Bench {
    pub fn run(self) -> ExitCode {
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
        print(&format!("eyrie {}, {}, {cores} cores, load {}\n", env!("CARGO_PKG_VERSION"), env::consts::ARCH, load()));
        match self.all() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(error),
        }
    }

    fn all(&self) -> Outcome<()> {
        let long = Duration::from_secs(self.seconds);
        if !self.viewers {
            encoders(long)?;
        }
        if !self.encoders {
            viewers(self.most as usize, long)?;
        }
        Ok(())
    }
}

/// What is going on, for those who wait.
fn tell(what: &str) {
    let _ = writeln!(io::stderr().lock(), "{what}");
}

fn encoders(long: Duration) -> Outcome<()> {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    let mut rows = Vec::new();
    let mut served: Option<(Size, String)> = None;
    for (size, bitrate) in SIZES {
        tell(&format!("coding {size} …"));
        let slices = [1, 2, 4].into_iter().filter(|slices| *slices == 1 || *slices as usize <= cores);
        let library = slices.map(|slices| (Some(slices), EncoderChoice::OpenH264));
        for (slices, choice) in library.chain([(None, EncoderChoice::M2m)]) {
            let coding = match code(size, bitrate, slices, choice, long) {
                Ok(coding) => coding,
                // Most boards have none.
                Err(_) if choice == EncoderChoice::M2m => continue,
                Err(error) => return Err(error),
            };
            let slices = coding.slices.map_or_else(|| "-".to_owned(), |slices| slices.to_string());
            if coding.per_second >= FPS * ROOM {
                served = Some((size, format!("{} in {slices} slices", coding.encoder)));
            }
            rows.push([size.to_string(), coding.encoder, slices, format!("{:.0}", coding.per_second)]);
        }
    }
    print(&format!("\n{}", table(["SIZE", "ENCODER", "SLICES", "PICTURES A SECOND"], &rows)));
    print(&match served {
        Some((size, by)) => format!("this board serves {size} at {FPS} pictures a second, by {by}\n"),
        None => format!("this board codes none of these sizes {FPS} times a second with room for all else\n"),
    });
    Ok(())
}

fn viewers(most: usize, long: Duration) -> Outcome<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let room = usize::try_from(hard / DESCRIPTORS).unwrap_or(usize::MAX).saturating_sub(50);
    let server = Server::start(
        &env::current_exe()?,
        "[camera.front]\ndevice = \"test\"\nscene = \"busy\"\nsize = \"1280x720\"\nfps = 30\n\
         [stream.main.video]\nfrom = \"front\"\nbitrate = \"2M\"\n",
    )?;
    let mut rows = Vec::new();
    for (way, name) in [(Way::Udp, "UDP"), (Way::Tcp, "TCP")] {
        let found = limit(&server, way, FPS, most.min(room), long, |load| tell(&said(name, load)))?;
        rows.push(row(name, &found));
    }
    let headings = ["OVER", "VIEWERS", "SENDING THREAD", "BEYOND", "WHY"];
    print(&format!("\n1280x720 at {FPS}, 2 Mbit/s, over loopback; one thread sends\n{}", table(headings, &rows)));
    Ok(())
}

fn said(name: &str, load: &Load) -> String {
    format!(
        "{} viewers over {name}: {:.1} pictures a second each, {} packets lost, {} got nothing; sending took {:.0} % of a \
         core, receiving {:.0} %",
        load.viewers,
        load.fps,
        load.lost,
        load.silent,
        load.sender * 100.0,
        load.receiver * 100.0
    )
}

fn row(name: &str, limit: &Limit) -> [String; 5] {
    let percent = |share: f64| format!("{:.0} % of a core", share * 100.0);
    let why = match limit.beyond.as_ref().map(|beyond| &beyond.load) {
        None => "no more were tried".to_owned(),
        Some(Err(error)) => error.clone(),
        Some(Ok(load)) if load.receiver > BUSY => "the viewers of this bench read no faster".to_owned(),
        Some(Ok(load)) if load.sender > BUSY => "the sending thread has no more to give".to_owned(),
        Some(Ok(load)) if load.lost > 0 => format!("{} packets were lost", load.lost),
        Some(Ok(load)) => format!("{:.1} pictures a second came", load.fps),
    };
    [
        name.to_owned(),
        limit.best.map_or(0, |load| load.viewers).to_string(),
        limit.best.map_or_else(|| "-".to_owned(), |load| percent(load.sender)),
        limit.beyond.as_ref().map_or_else(|| "-".to_owned(), |beyond| beyond.viewers.to_string()),
        why,
    ]
}
