//! `eyrie doctor`: finds out how the machine is, and the URLs that a person needs.

use super::{
    access::{self, MADE_USER},
    listen, urls,
};
use crate::{
    config::{self, Config, Environment, Paths, Transport},
    device::{self, list::CameraInfo},
    health::{
        doctor::{CameraFacts, Disk, Facts},
        status::Status,
    },
    net::PortPair,
    time::WallClock,
};
use nix::sys::statvfs::{FsFlags, statvfs};
use std::{
    fs,
    net::{Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

/// What is known of the running server.
pub enum Server {
    Runs(Box<Status>),
    /// It may run, but does not let us ask; why.
    Hidden(String),
    /// None answers; where.
    Absent(String),
}

/// What an examination found out.
pub struct Examined {
    pub facts: Facts,
    /// By which to watch; none if the config is wrong.
    pub urls: Vec<String>,
}

/// Looks at everything. `server`: the running one's status, or why it cannot be had; None: there is no telling.
pub fn examine(config_file: Option<&Path>, server: Server) -> Examined {
    let (config, config_errors) = match config::load_or_default(config_file) {
        Ok(config) => (Some(config), None),
        Err(errors) => (None, Some(errors.to_string())),
    };
    let mut examined = Facts::default();
    let mut absent = false;
    match server {
        Server::Runs(status) => examined.server = Some(*status),
        Server::Hidden(why) => examined.hidden = Some(why),
        Server::Absent(why) => (examined.silence, absent) = (Some(why), true),
    }
    let state_dir = config.as_ref().map(|config| Paths::new(&config.server, &Environment::of_process()).state_dir);
    let facts = Facts {
        config_errors,
        taken: if absent { config.as_ref().map(taken).unwrap_or_default() } else { Vec::new() },
        clock_synchronised: WallClock::synchronised(),
        cameras: device::list::cameras().into_iter().map(|info| camera_facts(info, config.as_ref())).collect(),
        disks: disks(config_file, config.as_ref(), state_dir.as_deref()),
        ..examined
    };
    let urls = match (config, state_dir) {
        (Some(config), Some(state_dir)) => all_urls(&config, &state_dir, facts.server.as_ref()),
        _ => Vec::new(),
    };
    Examined { facts, urls }
}

/// The addresses that somebody else listens at.
fn taken(config: &Config) -> Vec<String> {
    let one = |address: &SocketAddr, secure: bool| {
        let (listen, listen_tls) = if secure { (vec![], vec![*address]) } else { (vec![*address], vec![]) };
        let server = config::Server { listen, listen_tls, ..config.server.clone() };
        listen::bind(&server, &[]).err().map(|error| error.to_string())
    };
    let plain = config.server.listen.iter().filter_map(|address| one(address, false));
    let tls = config.server.listen_tls.iter().filter_map(|address| one(address, true));
    let udp = config.server.transports.contains(&Transport::Udp).then(|| {
        let address = config.server.listen.first().map_or(Ipv6Addr::UNSPECIFIED.into(), SocketAddr::ip);
        PortPair::bind(address, config.server.udp_ports).err().map(|error| error.to_string())
    });
    plain.chain(tls).chain(udp.flatten()).collect()
}

fn camera_facts(info: CameraInfo, config: Option<&Config>) -> CameraFacts {
    let is_it = |device: &str| {
        info.bus == device || info.node == device || info.name == device || info.serial.as_deref() == Some(device)
    };
    let configured = config.and_then(|config| config.cameras.iter().find(|camera| is_it(&camera.device)));
    let usb = Path::new(&info.node).file_name().and_then(|node| usb_device(&node.to_string_lossy()));
    let number = |file: &str| fs::read_to_string(usb.as_ref()?.join(file)).ok()?.trim().parse().ok();
    let by_program = config.is_some_and(|config| config.cameras.iter().any(|it| it.device.starts_with("child:")));
    CameraFacts {
        by_program,
        configured: configured.map(|camera| camera.name.clone()),
        usb_speed: number("speed"),
        info,
    }
}

/// The USB device of `videoN`: its interface's parent.
fn usb_device(node: &str) -> Option<PathBuf> {
    let interface = fs::canonicalize(format!("/sys/class/video4linux/{node}/device")).ok()?;
    interface.parent().filter(|device| device.join("speed").exists()).map(Path::to_owned)
}

/// Where something of Eyrie's is kept.
fn disks(config_file: Option<&Path>, config: Option<&Config>, state_dir: Option<&Path>) -> Vec<Disk> {
    let config_file = config_file.unwrap_or(Path::new(config::DEFAULT_FILE));
    let audit_file = config.and_then(|config| config.server.audit_file.as_deref());
    let folders = [config_file.parent(), state_dir, audit_file.and_then(Path::parent)];
    folders.into_iter().flatten().filter_map(disk).collect()
}

fn disk(folder: &Path) -> Option<Disk> {
    // One that is still to be made lies where its parent does.
    let there = folder.ancestors().find(|path| path.exists())?;
    let found = statvfs(there).ok()?;
    // What is only read is never full.
    if found.flags().contains(FsFlags::ST_RDONLY) {
        return None;
    }
    // 32 bits wide on 32-bit boards.
    #[allow(clippy::unnecessary_cast)]
    let [free, total] = [found.blocks_available(), found.blocks()].map(|it| it as u64 * found.fragment_size() as u64);
    // File systems that make room for files as they come have 0 of 0.
    let no_more_files = found.files() > 0 && found.files_available() == 0;
    Some(Disk { path: folder.display().to_string(), free, total, no_more_files })
}

/// With the made user's password where this user may read it; of configured users only they know theirs.
fn all_urls(config: &Config, state_dir: &Path, status: Option<&Status>) -> Vec<String> {
    let names = || -> Vec<String> {
        match status {
            Some(status) => status.streams.iter().map(|stream| stream.name.clone()).collect(),
            None if config.streams.is_empty() => vec!["main".to_owned(), "sub".to_owned()],
            None => config.streams.iter().map(|stream| stream.name.clone()).collect(),
        }
    };
    let made = access::kept_password(state_dir);
    let login = match (config.server.anonymous, config.users.first()) {
        (true, _) => None,
        (false, Some(user)) => Some((user.name.as_str(), "PASSWORD")),
        (false, None) => Some((MADE_USER, made.as_deref().unwrap_or("PASSWORD"))),
    };
    let plain = config.server.listen.iter().map(|address| (*address, false));
    let all = plain.chain(config.server.listen_tls.iter().map(|address| (*address, true)));
    // Which port a server took where any was right, it alone knows.
    let known = all.filter(|(address, _)| address.port() != 0);
    known.flat_map(|(address, secure)| urls::urls(secure, address, login, names())).collect()
}
