//! The files of the system that settings become, each written whole or not at all, and what must know of them now.

use super::preseed::{Ethernet, LOGIN, Login, Settings, Wlan, is_wifi_key};
use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

const KEYS: &str = "etc/ssh/authorized_keys";
const HOME: &str = "etc/tmpfiles.d/eyrie-login.conf";
const ETHERNET: &str = "etc/systemd/network/10-eyrie-ethernet.network";
const NETWORKS: &str = "var/lib/iwd";

pub struct Machine<'a> {
    root: &'a Path,
}

impl<'a> Machine<'a> {
    pub fn new(root: &'a Path) -> Machine<'a> {
        Machine { root }
    }

    /// Makes `settings` true; what could not be done is told, a line each.
    pub fn apply(&self, settings: &Settings) -> Vec<String> {
        let done = [
            ("system.hostname", settings.hostname.as_ref().map(|name| self.hostname(name))),
            ("ssh.authorized_keys", settings.login.as_ref().map(|login| self.login(login))),
            ("wlan.country", settings.country.as_ref().map(|country| self.country(country))),
            ("wlan.ssid", settings.wlan.as_ref().map(|wlan| self.wlan(wlan))),
            ("ethernet.address", settings.ethernet.as_ref().map(|ethernet| self.ethernet(ethernet))),
            ("locale.timezone", settings.timezone.as_ref().map(|zone| self.timezone(zone))),
            ("time.ntp", settings.ntp.as_ref().map(|servers| self.ntp(servers))),
        ];
        done.into_iter()
            .filter_map(|(key, result)| result?.err().map(|error| format!("{key}: not applied: {error}")))
            .collect()
    }

    fn hostname(&self, name: &str) -> io::Result<()> {
        self.write("etc/hostname", 0o644, &format!("{name}\n"))?;
        // It has been read for this boot already.
        if self.is_running() { nix::unistd::sethostname(name).map_err(io::Error::from) } else { Ok(()) }
    }

    fn login(&self, login: &Login) -> io::Result<()> {
        let name = &login.name;
        let old = self.root.join(KEYS);
        if old.is_dir() {
            fs::remove_dir_all(old)?;
        }
        let groups: String = ["sudo", "video", "audio", "eyrie"]
            .iter()
            .fold(String::new(), |text, group| text + &format!("m {name} {group}\n"));
        self.write(
            LOGIN,
            0o644,
            &format!("u {name} - \"Who looks after this camera\" /home/{name} /bin/bash\n{groups}"),
        )?;
        self.write(HOME, 0o644, &format!("d /home/{name} 0700 {name} {name} -\n"))?;
        if self.is_running() {
            run("systemd-sysusers", &[])?;
            run("systemd-tmpfiles", &["--create", &format!("/{HOME}")])?;
        }
        if login.keys.is_empty() {
            return Ok(());
        }
        self.write(&format!("{KEYS}/{name}"), 0o644, &(login.keys.join("\n") + "\n"))
    }

    fn country(&self, code: &str) -> io::Result<()> {
        let shipped = fs::read_to_string(self.root.join("usr/share/eyrie/iwd.conf")).unwrap_or_default();
        self.write("etc/iwd/main.conf", 0o644, &format!("[General]\nCountry={code}\n\n{shipped}"))
    }

    /// In place of the network known before (iwd.network(5)).
    fn wlan(&self, wlan: &Wlan) -> io::Result<()> {
        if let Ok(known) = fs::read_dir(self.root.join(NETWORKS)) {
            for entry in known {
                let path = entry?.path();
                if path.extension().is_some_and(|kind| kind == "psk" || kind == "open") {
                    fs::remove_file(path)?;
                }
            }
        }
        let plain = wlan.ssid.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" _-".contains(&byte));
        let name = if plain { wlan.ssid.clone() } else { format!("={}", hex::encode(&wlan.ssid)) };
        let mut text = String::new();
        if let Some(password) = &wlan.password {
            let (key, value) = match is_wifi_key(password) {
                true => ("PreSharedKey", password.to_lowercase()),
                false => ("Passphrase", escaped(password)),
            };
            let _ = write!(text, "[Security]\n{key}={value}\n\n");
        }
        let _ = write!(text, "[Settings]\nAutoConnect=true\nHidden={}\n", wlan.hidden);
        let kind = if wlan.password.is_some() { "psk" } else { "open" };
        self.write(&format!("{NETWORKS}/{name}.{kind}"), 0o600, &text)
    }

    fn ethernet(&self, ethernet: &Ethernet) -> io::Result<()> {
        let Ethernet::Static { address, gateway, dns } = ethernet else {
            return match fs::remove_file(self.root.join(ETHERNET)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        };
        let mut text = format!("[Match]\nType=ether\nKind=!*\n\n[Network]\nAddress={address}\nMulticastDNS=yes\n");
        for (key, address) in
            gateway.iter().map(|gateway| ("Gateway", gateway)).chain(dns.iter().map(|server| ("DNS", server)))
        {
            let _ = writeln!(text, "{key}={address}");
        }
        self.write(ETHERNET, 0o644, &text)
    }

    fn timezone(&self, zone: &str) -> io::Result<()> {
        let (path, new) = (self.root.join("etc/localtime"), self.root.join("etc/.localtime.new"));
        let _ = fs::remove_file(&new);
        symlink(format!("/usr/share/zoneinfo/{zone}"), &new)?;
        fs::rename(new, path)
    }

    fn ntp(&self, servers: &[String]) -> io::Result<()> {
        self.write("etc/systemd/timesyncd.conf.d/eyrie.conf", 0o644, &format!("[Time]\nNTP={}\n", servers.join(" ")))
    }

    /// On the card before it is in place: the power may go at any time.
    fn write(&self, path: &str, mode: u32, text: &str) -> io::Result<()> {
        let path = self.root.join(path);
        let folder = path.parent().unwrap_or(self.root);
        // Others may not look into a folder of secrets.
        fs::DirBuilder::new().recursive(true).mode(if mode & 0o077 == 0 { 0o700 } else { 0o755 }).create(folder)?;
        let mut new = PathBuf::from(&path).into_os_string();
        new.push(".new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)
    }

    /// Whether it is this system, and not one in a folder.
    fn is_running(&self) -> bool {
        self.root == Path::new("/")
    }
}

/// A space at the start would be skipped, a backslash read as such a mark.
fn escaped(password: &str) -> String {
    let text = password.replace('\\', "\\\\");
    match text.strip_prefix(' ') {
        Some(rest) => format!("\\s{rest}"),
        None => text,
    }
}

fn run(program: &str, arguments: &[&str]) -> io::Result<()> {
    let status = Command::new(program).args(arguments).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{program}: {status}"))) }
}
