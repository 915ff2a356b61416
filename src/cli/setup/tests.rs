use super::{machine::Machine, preseed::Settings, *};
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEvs9WgQmqYCLMRvJIBPLPyeyR9pLoaqHT7F3OrMRoaS me@desk";

/// A card's boot partition with `text` and a system that has two users and a time zone.
struct Card {
    boot: TempDir,
    root: TempDir,
}

impl Card {
    fn new(text: &str) -> Card {
        let card = Card { boot: tempfile::tempdir().unwrap(), root: tempfile::tempdir().unwrap() };
        card.put("etc/passwd", "root:x:0:0::/root:/bin/sh\neyrie:x:998:998::/:/bin/false\n");
        card.put("usr/share/zoneinfo/Europe/Berlin", "TZif");
        card.put("usr/share/eyrie/iwd.conf", "[DriverQuirks]\nPowerSaveDisable=*\n");
        card.again(text);
        card
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Boots with `text` in the file, and gives the log.
    fn again(&self, text: &str) -> String {
        fs::write(self.boot.path().join(FILE), text).unwrap();
        apply(self.boot.path(), self.root.path()).unwrap();
        self.log()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.boot.path().join(LOG)).unwrap()
    }

    fn file(&self, path: &str) -> String {
        fs::read_to_string(self.root.path().join(path)).unwrap_or_default()
    }

    fn has(&self, path: &str) -> bool {
        self.root.path().join(path).exists()
    }

    fn is_kept(&self) -> bool {
        self.boot.path().join(FILE).exists()
    }
}

#[test]
fn all_keys_become_the_systems_files() {
    let card = Card::new(&format!(
        r#"
config_version = "1.0"
[system]
hostname = "porch"
[user]
name = "anna"
[ssh]
enabled = true
authorized_keys = ["{KEY}"]
[wlan]
ssid = "Böhmes Netz"
password = "bad\\slash secret"
country = "DE"
hidden = true
[ethernet]
address = "192.168.7.20/24"
gateway = "192.168.7.1"
dns = ["192.168.7.1", "9.9.9.9"]
[locale]
timezone = "Europe/Berlin"
[time]
ntp = ["ntp.example", "192.168.7.1"]
"#
    ));
    assert_eq!(card.file("etc/hostname"), "porch\n");
    assert_eq!(card.file("etc/ssh/authorized_keys/anna"), format!("{KEY}\n"));
    assert!(card.file("etc/sysusers.d/eyrie-login.conf").starts_with("u anna - "));
    assert!(card.file("etc/sysusers.d/eyrie-login.conf").contains("\nm anna sudo\n"));
    assert!(card.file("etc/tmpfiles.d/eyrie-login.conf").contains("/home/anna 0700 anna anna"));
    assert_eq!(card.file("etc/iwd/main.conf"), "[General]\nCountry=DE\n\n[DriverQuirks]\nPowerSaveDisable=*\n");
    let network = format!("var/lib/iwd/={}.psk", hex::encode("Böhmes Netz"));
    assert_eq!(
        card.file(&network),
        "[Security]\nPassphrase=bad\\\\slash secret\n\n[Settings]\nAutoConnect=true\nHidden=true\n"
    );
    let mode = |path: &str| fs::metadata(card.root.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&network), mode("var/lib/iwd")), (0o600, 0o700));
    let wired = card.file("etc/systemd/network/10-eyrie-ethernet.network");
    assert!(wired.contains("Address=192.168.7.20/24\n") && wired.contains("Gateway=192.168.7.1\n"), "{wired}");
    assert!(wired.contains("DNS=192.168.7.1\nDNS=9.9.9.9\n"), "{wired}");
    assert_eq!(
        fs::read_link(card.root.path().join("etc/localtime")).unwrap(),
        Path::new("/usr/share/zoneinfo/Europe/Berlin")
    );
    assert_eq!(card.file("etc/systemd/timesyncd.conf.d/eyrie.conf"), "[Time]\nNTP=ntp.example 192.168.7.1\n");
    assert!(!card.is_kept(), "its secrets are wiped");
    assert!(!card.log().contains("secret"), "{}", card.log());
}

#[test]
fn what_is_not_named_stays_as_it_was() {
    let card = Card::new("[system]\nhostname = \"porch\"\n[wlan]\nssid = \"old\"\n");
    card.again("[wlan]\nssid = \"new\"\npassword = \"12345678\"\n");
    assert_eq!(card.file("etc/hostname"), "porch\n");
    assert!(!card.has("var/lib/iwd/old.open") && card.has("var/lib/iwd/new.psk"), "one network at a time");
    card.again("[ethernet]\naddress = \"10.0.0.2/8\"");
    card.again("[system]\nhostname = \"hall\"\n");
    assert!(card.has("etc/systemd/network/10-eyrie-ethernet.network"));
    card.again("[ethernet]\nmethod = \"dhcp\"");
    assert!(!card.has("etc/systemd/network/10-eyrie-ethernet.network"));
}

#[test]
fn passwords_to_log_in_are_refused_and_the_rest_is_applied() {
    let card = Card::new(&format!(
        "[user]\nname = \"anna\"\npassword = \"$5$hash\"\npassword_encrypted = true\n[ssh]\npassword_authentication = true\nauthorized_keys = \"{KEY}\"\n"
    ));
    let log = card.log();
    assert!(log.contains("user.password: refused") && log.contains("ssh.password_authentication: refused"), "{log}");
    assert!(card.has("etc/ssh/authorized_keys/anna"));
    assert!(!log.contains("$5$"), "{log}");
}

#[test]
fn ssh_is_closed_without_a_key() {
    let card = Card::new(&format!("[ssh]\nauthorized_keys = [\"{KEY}\"]"));
    assert!(card.has("etc/ssh/authorized_keys/admin"));
    card.again("[system]\nhostname = \"porch\"");
    assert!(card.has("etc/ssh/authorized_keys/admin"), "nothing was said of SSH");
    let log = card
        .again("[ssh]\nauthorized_keys = [\"-----BEGIN OPENSSH PRIVATE KEY-----\", \"ssh-ed25519 AAAA\", \"hello\"]");
    assert!(!card.has("etc/ssh/authorized_keys"));
    assert!(log.contains("must stay with you") && log.contains("SSH is closed"), "{log}");
    card.again(&format!("[ssh]\nauthorized_keys = [\"{KEY}\"]"));
    card.again("[ssh]\nenabled = false");
    assert!(!card.has("etc/ssh/authorized_keys"));
}

#[test]
fn every_mistake_has_its_line_and_changes_nothing() {
    for (text, line) in [
        ("[system]\nhostname = \"my porch\"", "system.hostname: \"my porch\": expected 1 to 63 letters"),
        ("[system]\nhostname = 7", "system.hostname: expected text in quotes"),
        ("[user]\nname = \"eyrie\"\n[ssh]\nauthorized_keys = []", "user.name: \"eyrie\": a user of the system"),
        ("[user]\nname = \"Anna\"", "user.name: \"Anna\": expected up to 31 small letters"),
        ("[wlan]\npassword = \"12345678\"", "wlan.password: without wlan.ssid"),
        ("[wlan]\nssid = \"net\"\npassword = \"short\"", "wlan.password: expected 8 to 63"),
        ("[wlan]\ncountry = \"Germany\"", "wlan.country: \"Germany\": expected two capital letters"),
        ("[wlan]\nhidden = \"yes\"", "wlan.hidden: expected true or false"),
        ("[ethernet]\naddress = \"192.168.1.2\"", "ethernet.address: expected an address with its prefix"),
        ("[ethernet]\ngateway = \"192.168.1.1\"", "ethernet.gateway: only with ethernet.address"),
        ("[locale]\ntimezone = \"Mars/Base\"", "locale.timezone: \"Mars/Base\": no such time zone"),
        ("[locale]\ntimezone = \"../../etc/passwd\"", "no such time zone"),
        ("[time]\nntp = [\"a b\"]", "time.ntp: \"a b\": expected a host's name"),
        ("[locale]\nkeymap = \"de\"", "locale.keymap: not for Eyrie"),
        ("[system\nhostname = \"porch\"", "nothing was applied: line 1: "),
    ] {
        let card = Card::new(text);
        assert!(card.log().contains(line), "{text}\n{}", card.log());
        let etc: Vec<_> =
            fs::read_dir(card.root.path().join("etc")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(etc, ["passwd"], "{text}");
    }
}

#[test]
fn a_gateway_elsewhere_is_left_out_and_the_address_applied() {
    let card = Card::new("[ethernet]\naddress = \"192.168.1.2/24\"\ngateway = \"192.168.2.1\"\n");
    assert!(card.log().contains("ethernet.gateway: expected another address in 192.168.1.0/24"), "{}", card.log());
    let wired = card.file("etc/systemd/network/10-eyrie-ethernet.network");
    assert!(wired.contains("Address=192.168.1.2/24") && !wired.contains("Gateway"), "{wired}");
}

#[test]
fn a_file_that_is_no_toml_stays_to_be_mended_and_its_lines_are_not_told() {
    let card = Card::new("[wlan]\nssid = \"net\"\npassword = \"my secret\n");
    assert!(card.is_kept());
    assert!(card.log().contains("line 3: ") && !card.log().contains("my secret"), "{}", card.log());
}

#[test]
fn the_same_user_may_be_named_again() {
    let card = Card::new("[user]\nname = \"anna\"\n[ssh]\nenabled = false");
    card.put("etc/passwd", "root:x:0:0::/root:/bin/sh\nanna:x:997:997::/home/anna:/bin/bash\n");
    let log = card.again(&format!("[user]\nname = \"anna\"\n[ssh]\nauthorized_keys = [\"{KEY}\"]"));
    assert!(log.contains("user.name: anna applied"), "{log}");
    assert!(card.has("etc/ssh/authorized_keys/anna"));
}

#[test]
fn without_a_file_nothing_is_written() {
    let card = Card::new("");
    fs::remove_file(card.boot.path().join(LOG)).unwrap();
    apply(card.boot.path(), card.root.path()).unwrap();
    assert_eq!(fs::read_dir(card.boot.path()).unwrap().count(), 0);
    assert_eq!(Machine::new(card.root.path()).apply(&Settings::default()), [""; 0]);
}
