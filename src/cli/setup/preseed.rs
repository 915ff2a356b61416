//! The keys of `rpi-preseed.toml` as Raspberry Pi Imager writes them, and Eyrie's own where it has none: read, checked,
//! and a line for the log about each.

use base64::{Engine, prelude::BASE64_STANDARD};
use ipnet::IpNet;
use std::{fs, net::IpAddr, path::Path};
use toml::{Table, Value};

/// Where the person who may log in is declared (sysusers.d(5)), and with that which name is theirs already.
pub const LOGIN: &str = "etc/sysusers.d/eyrie-login.conf";

/// What is to be true; what the file does not name is None and stays as it was.
#[derive(Debug, Default, PartialEq)]
pub struct Settings {
    pub hostname: Option<String>,
    pub login: Option<Login>,
    pub country: Option<String>,
    pub wlan: Option<Wlan>,
    pub ethernet: Option<Ethernet>,
    pub timezone: Option<String>,
    pub ntp: Option<Vec<String>>,
}

#[derive(Debug, PartialEq)]
pub struct Login {
    pub name: String,
    /// Public keys, one a line; none closes SSH.
    pub keys: Vec<String>,
}

#[derive(Debug, PartialEq)]
pub struct Wlan {
    pub ssid: String,
    /// None in an open network.
    pub password: Option<String>,
    pub hidden: bool,
}

#[derive(Debug, PartialEq)]
pub enum Ethernet {
    Dhcp,
    Static { address: IpNet, gateway: Option<IpAddr>, dns: Vec<IpAddr> },
}

pub struct Preseed {
    /// What has not been looked at yet.
    table: Table,
    log: Vec<String>,
}

impl Preseed {
    pub fn new(table: Table) -> Preseed {
        Preseed { table, log: Vec::new() }
    }

    /// Reads every key; `root` tells which users and time zones there are.
    pub fn settings(&mut self, root: &Path) -> Settings {
        self.take("config_version");
        let settings = Settings {
            hostname: self.text("system.hostname").and_then(|name| self.checked("system.hostname", name, host_label)),
            login: self.login(root),
            country: self.text("wlan.country").and_then(|code| self.checked("wlan.country", code, country)),
            wlan: self.wlan(),
            ethernet: self.ethernet(),
            timezone: self
                .text("locale.timezone")
                .and_then(|zone| self.checked("locale.timezone", zone, |zone| time_zone(zone, root))),
            ntp: self.list("time.ntp").and_then(|servers| self.checked_all("time.ntp", servers, time_server)),
        };
        for (section, rest) in std::mem::take(&mut self.table) {
            match rest {
                Value::Table(keys) => {
                    keys.keys().for_each(|key| self.say(&format!("{section}.{key}"), "not for Eyrie, left alone"))
                }
                _ => self.say(&section, "not for Eyrie, left alone"),
            }
        }
        settings
    }

    pub fn into_log(self) -> Vec<String> {
        self.log
    }

    fn login(&mut self, root: &Path) -> Option<Login> {
        self.take("user.password_encrypted");
        if self.take("user.password").is_some() {
            self.say(
                "user.password",
                "refused: nobody logs in with a password here; put a key into ssh.authorized_keys",
            );
        }
        if self.flag("ssh.password_authentication") == Some(true) {
            self.say("ssh.password_authentication", "refused: SSH is by key only; put one into ssh.authorized_keys");
        }
        let enabled = self.flag("ssh.enabled");
        let name = match self.text("user.name") {
            Some(name) => self.checked("user.name", name, |name| user_name(name, root))?,
            None => "admin".into(),
        };
        let listed = self.list("ssh.authorized_keys");
        if enabled == Some(false) {
            self.say("ssh.enabled", "false: SSH is closed");
            return Some(Login { name, keys: Vec::new() });
        }
        let mut keys = Vec::new();
        for key in listed?.iter().flat_map(|text| text.lines()).map(str::trim).filter(|line| !line.is_empty()) {
            match public_key(key) {
                Ok(()) => keys.push(key.to_owned()),
                Err(why) => self.say("ssh.authorized_keys", why),
            }
        }
        match keys.len() {
            0 => self.say("ssh.authorized_keys", "no key that can be used, so SSH is closed"),
            count => self.say("ssh.authorized_keys", format!("{count} applied; log in as {name}")),
        }
        Some(Login { name, keys })
    }

    fn wlan(&mut self) -> Option<Wlan> {
        self.take("wlan.password_encrypted");
        let hidden = self.flag("wlan.hidden").unwrap_or(false);
        let password = self.text("wlan.password");
        let Some(ssid) = self.text("wlan.ssid") else {
            if password.is_some() {
                self.say("wlan.password", "without wlan.ssid: which network?");
            }
            return None;
        };
        if ssid.is_empty() || ssid.len() > 32 || ssid.contains('\0') {
            self.say("wlan.ssid", "expected a name of 1 to 32 bytes");
            return None;
        }
        if let Some(password) = &password
            && !(is_wifi_key(password) || matches!(password.len(), 8..=63) && !password.contains(char::is_control))
        {
            self.say("wlan.password", "expected 8 to 63 characters, or 64 hex digits");
            return None;
        }
        self.say("wlan.ssid", if password.is_some() { "applied" } else { "applied, an open network" });
        Some(Wlan { ssid, password, hidden })
    }

    fn ethernet(&mut self) -> Option<Ethernet> {
        let method = self.text("ethernet.method");
        let address = self.text("ethernet.address");
        let gateway = self.text("ethernet.gateway");
        let dns = self.list("ethernet.dns");
        let Some(address) = address else {
            for (key, given) in [("ethernet.gateway", gateway.is_some()), ("ethernet.dns", dns.is_some())] {
                if given {
                    self.say(key, "only with ethernet.address; left alone");
                }
            }
            return match method.as_deref() {
                Some("dhcp") => Some(Ethernet::Dhcp),
                Some(_) => {
                    self.say("ethernet.method", "expected \"dhcp\", or an ethernet.address");
                    None
                }
                None => None,
            };
        };
        let address: IpNet = match address.parse() {
            Ok(address) => address,
            Err(_) => {
                self.say(
                    "ethernet.address",
                    "expected an address with its prefix, as in 192.168.1.20/24; DHCP goes on",
                );
                return None;
            }
        };
        let gateway = gateway.and_then(|text| match text.parse::<IpAddr>() {
            Ok(gateway) if address.contains(&gateway) && gateway != address.addr() => Some(gateway),
            Ok(_) => {
                self.say("ethernet.gateway", format!("expected another address in {}", address.trunc()));
                None
            }
            Err(_) => {
                self.say("ethernet.gateway", "expected an address, as in 192.168.1.1");
                None
            }
        });
        let mut servers = Vec::new();
        for text in dns.unwrap_or_default() {
            match text.parse() {
                Ok(server) => servers.push(server),
                Err(_) => self.say("ethernet.dns", format!("{text:?} is no address")),
            }
        }
        self.say("ethernet.address", format!("{address} applied"));
        Some(Ethernet::Static { address, gateway, dns: servers })
    }

    /// Takes `section.key` out of the table.
    fn take(&mut self, name: &str) -> Option<Value> {
        match name.split_once('.') {
            Some((section, key)) => self.table.get_mut(section)?.as_table_mut()?.remove(key),
            None => self.table.remove(name),
        }
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            // Imager leaves what was not filled in empty.
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text),
            _ => {
                self.say(name, "expected text in quotes");
                None
            }
        }
    }

    fn flag(&mut self, name: &str) -> Option<bool> {
        let value = self.take(name)?;
        if value.as_bool().is_none() {
            self.say(name, "expected true or false");
        }
        value.as_bool()
    }

    /// One text counts as a list of one.
    fn list(&mut self, name: &str) -> Option<Vec<String>> {
        let texts = match self.take(name)? {
            Value::String(text) => Some(vec![text]),
            Value::Array(values) => values.into_iter().map(|value| value.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        if texts.is_none() {
            self.say(name, "expected a list of texts in quotes");
        }
        texts
    }

    fn checked(&mut self, name: &str, text: String, check: impl Fn(&str) -> Result<(), String>) -> Option<String> {
        match check(&text) {
            Ok(()) => {
                self.say(name, format!("{text} applied"));
                Some(text)
            }
            Err(why) => {
                self.say(name, format!("{text:?}: {why}"));
                None
            }
        }
    }

    fn checked_all(
        &mut self,
        name: &str,
        texts: Vec<String>,
        check: fn(&str) -> Result<(), String>,
    ) -> Option<Vec<String>> {
        let good: Vec<_> = texts.into_iter().filter_map(|text| self.checked(name, text, check)).collect();
        (!good.is_empty()).then_some(good)
    }

    fn say(&mut self, name: &str, what: impl AsRef<str>) {
        self.log.push(format!("{name}: {}", what.as_ref()));
    }
}

/// Whether it is a network's key itself, and not the words that it is made of.
pub fn is_wifi_key(password: &str) -> bool {
    password.len() == 64 && password.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// RFC 1123 §2.1, one label: its name in the network is this with `.local`.
fn host_label(name: &str) -> Result<(), String> {
    let good = (1..=63).contains(&name.len())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    require(good, "expected 1 to 63 letters, digits and hyphens")
}

fn user_name(name: &str, root: &Path) -> Result<(), String> {
    let good = (1..=31).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte));
    require(good, "expected up to 31 small letters, digits, hyphens and underscores")?;
    let begins = |file: &str, words: &str| {
        fs::read_to_string(root.join(file)).is_ok_and(|text| text.lines().any(|line| line.starts_with(words)))
    };
    let taken = begins("etc/passwd", &format!("{name}:")) && !begins(LOGIN, &format!("u {name} "));
    require(!taken, "a user of the system itself; expected another name")
}

fn country(code: &str) -> Result<(), String> {
    require(
        code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase()),
        "expected two capital letters, as in DE",
    )
}

fn time_zone(zone: &str, root: &Path) -> Result<(), String> {
    let known = !zone.split('/').any(|part| part.is_empty() || part.starts_with('.'))
        && root.join("usr/share/zoneinfo").join(zone).is_file();
    require(known, "no such time zone; expected one as in Europe/Berlin")
}

fn time_server(name: &str) -> Result<(), String> {
    let good = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte));
    require(good, "expected a host's name or address")
}

/// A line of a `.pub` file: kind, the key itself (RFC 4253 §6.6: it begins with its kind), and whose it is.
fn public_key(line: &str) -> Result<(), String> {
    if line.contains("PRIVATE KEY") {
        return Err("a private key, which must stay with you; expected the line of the .pub file".into());
    }
    let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
    let known = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|start| kind.starts_with(start));
    let key = rest.split_whitespace().next().and_then(|key| BASE64_STANDARD.decode(key).ok()).unwrap_or_default();
    let named = key.get(4..4 + kind.len()) == Some(kind.as_bytes()) && key.len() > 4 + kind.len();
    require(known && named, &format!("{:.24}…: no public key; expected the line of a .pub file", line))
}

fn require(good: bool, why: &str) -> Result<(), String> {
    if good { Ok(()) } else { Err(why.into()) }
}
