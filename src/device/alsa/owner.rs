//! Who has a sound card, by what its driver tells in `/proc/asound`, which anybody may read.

use std::{fs, path::Path};

/// The program that captures from `device`, as `name (pid N)`; None where the name says no card, or nobody does.
pub fn owner(device: &str) -> Option<String> {
    owner_below(Path::new("/proc"), device)
}

fn owner_below(proc: &Path, device: &str) -> Option<String> {
    let (card, number) = place(device)?;
    let substreams = fs::read_dir(proc.join(format!("asound/{card}/pcm{number}c"))).ok()?.flatten();
    let pid = substreams.filter_map(|sub| fs::read_to_string(sub.path().join("status")).ok()).find_map(|status| {
        status
            .lines()
            .find_map(|line| line.strip_prefix("owner_pid")?.trim_start_matches([' ', ':']).parse::<u32>().ok())
    })?;
    // The driver tells the thread; its program has the name that people know.
    let status = fs::read_to_string(proc.join(format!("{pid}/status"))).unwrap_or_default();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let program = field("Tgid:").and_then(|tgid| tgid.parse().ok()).unwrap_or(pid);
    let name = fs::read_to_string(proc.join(format!("{program}/comm"))).unwrap_or_default();
    if program == std::process::id() {
        return Some("another microphone of this config".to_owned());
    }
    Some(format!("{} (pid {program})", name.trim()))
}

/// The card's folder and the device's number in an ALSA name such as `hw:CARD=Device,DEV=1` or `plughw:1,0`.
fn place(device: &str) -> Option<(String, u32)> {
    let (_, arguments) = device.split_once(':')?;
    let mut arguments = arguments.split(',');
    let card = arguments.next()?.trim_start_matches("CARD=");
    let number = arguments.next().map_or(Ok(0), |number| number.trim_start_matches("DEV=").parse()).ok()?;
    let plain =
        !card.is_empty() && card.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    let folder = if card.bytes().all(|byte| byte.is_ascii_digit()) { format!("card{card}") } else { card.to_owned() };
    plain.then_some((folder, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_that_captures_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("asound/Device/pcm0c/sub0/status", "state: RUNNING\nowner_pid   : 4711\ntrigger_time: 12.5\n");
        write("asound/Device/pcm1c/sub0/status", "closed\n");
        write("4711/status", "Name:\tcapture-1\nTgid:\t4700\n");
        write("4700/comm", "arecord\n");
        let named = |device| owner_below(folder.path(), device);
        assert_eq!(named("hw:CARD=Device").as_deref(), Some("arecord (pid 4700)"));
        assert_eq!(named("plughw:Device,0").as_deref(), Some("arecord (pid 4700)"));
        for nobody in ["hw:CARD=Device,DEV=1", "hw:CARD=Other", "hw:CARD=../Device", "default", "hw:", "hw:Device,x"] {
            assert_eq!(named(nobody), None, "{nobody}");
        }
        assert_eq!(place("hw:1,3"), Some(("card1".into(), 3)));
    }
}
