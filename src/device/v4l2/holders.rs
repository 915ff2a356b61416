//! Who has a camera open, by `/proc`.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// The programs that have `node` open, each as `name (pid N)`, as far as one may look; None where none is found.
pub fn holders(node: &Path) -> Option<String> {
    holders_below(Path::new("/proc"), fs::metadata(node).ok()?.rdev())
}

fn holders_below(proc: &Path, device: u64) -> Option<String> {
    let processes = fs::read_dir(proc).ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut found: Vec<u32> = pids.filter(|pid| has_open(&proc.join(format!("{pid}/fd")), device)).collect();
    found.sort_unstable();
    let named = |pid: u32| {
        if pid == std::process::id() {
            return "another camera of this config".to_owned();
        }
        let name = fs::read(proc.join(format!("{pid}/comm"))).unwrap_or_default();
        format!("{} (pid {pid})", String::from_utf8_lossy(&name).trim())
    };
    let names: Vec<_> = found.into_iter().map(named).collect();
    (!names.is_empty()).then(|| names.join(" and "))
}

/// By device number: the node may have another name where that process lives.
fn has_open(descriptors: &Path, device: u64) -> bool {
    let descriptors = fs::read_dir(descriptors).into_iter().flatten().flatten();
    descriptors.filter_map(|entry| fs::metadata(entry.path()).ok()).any(|file| file.rdev() == device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_device_open_is_named() {
        let null = fs::metadata("/dev/null").unwrap().rdev();
        let mut sleep =
            std::process::Command::new("sleep").arg("60").stdin(fs::File::open("/dev/null").unwrap()).spawn();
        let sleep = sleep.as_mut().unwrap();
        let named = holders_below(Path::new("/proc"), null).unwrap();
        let _ = sleep.kill();
        let _ = sleep.wait();
        assert!(named.contains(&format!("sleep (pid {})", sleep.id())), "{named}");
        assert_eq!(holders(Path::new("/nowhere/video9")), None);
    }
}
