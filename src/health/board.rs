//! What the kernel tells of the board. Paths are below `root`, which is `/` but in tests.

use super::status::BoardStatus;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// In the state folder: the boot that was counted last, and how many there were.
const BOOTS: &str = "boots";
/// "The board was reset by its watchdog" (WDIOF_CARDRESET of linux/watchdog.h).
const BY_WATCHDOG: u32 = 0x20;

/// The board now; `boots` is what [`count_boot`] found at the start.
pub fn status(root: &Path, boots: Option<u64>) -> BoardStatus {
    BoardStatus {
        temperature_c: temperature(root),
        under_voltage: under_voltage(root),
        boots,
        reset_cause: reset_cause(root).map(str::to_owned),
    }
}

/// The hottest of the processor's sensors.
fn temperature(root: &Path) -> Option<f64> {
    let zones = folders(&root.join("sys/class/thermal"), "thermal_zone");
    let millis = zones.iter().filter_map(|zone| text(&zone.join("temp"))?.parse::<i32>().ok());
    millis.max().map(|millis| f64::from(millis / 100) / 10.0)
}

/// The alarm of a Raspberry Pi's voltage sensor, which only its own kernel has.
fn under_voltage(root: &Path) -> Option<bool> {
    let sensors = folders(&root.join("sys/class/hwmon"), "hwmon");
    let sensor = sensors.iter().find(|sensor| text(&sensor.join("name")).as_deref() == Some("rpi_volt"))?;
    text(&sensor.join("in0_lcrit_alarm")).map(|alarm| alarm != "0")
}

fn reset_cause(root: &Path) -> Option<&'static str> {
    let status: u32 = text(&root.join("sys/class/watchdog/watchdog0/bootstatus"))?.parse().ok()?;
    Some(if status & BY_WATCHDOG != 0 { "watchdog" } else { "power" })
}

/// How often the board was started, this time counted, and no matter how often the server was since. None if that cannot
/// be kept.
pub fn count_boot(state_dir: &Path, root: &Path) -> Option<u64> {
    let boot = text(&root.join("proc/sys/kernel/random/boot_id"))?;
    let file = state_dir.join(BOOTS);
    let kept = text(&file).unwrap_or_default();
    let (last, count) = kept.split_once(' ').unwrap_or_default();
    let count = count.parse::<u64>().unwrap_or(0);
    if last == boot {
        return Some(count);
    }
    let count = count.saturating_add(1);
    fs::create_dir_all(state_dir).ok()?;
    // At one instant: a power cut leaves the old count.
    let new = state_dir.join(format!("{BOOTS}.new"));
    fs::write(&new, format!("{boot} {count}\n")).and_then(|()| fs::rename(&new, &file)).ok()?;
    Some(count)
}

fn folders(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let named = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(prefix);
    fs::read_dir(parent).into_iter().flatten().flatten().filter(named).map(|entry| entry.path()).collect()
}

/// A file's one line.
fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
        }
        root
    }

    #[test]
    fn a_pi_tells_its_temperature_and_its_voltage() {
        let root = board(&[
            ("sys/class/thermal/thermal_zone0/temp", "51540"),
            ("sys/class/thermal/thermal_zone1/temp", "48000"),
            ("sys/class/hwmon/hwmon0/name", "cpu_thermal"),
            ("sys/class/hwmon/hwmon1/name", "rpi_volt"),
            ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1"),
            ("sys/class/watchdog/watchdog0/bootstatus", "32"),
        ]);
        let expected = BoardStatus {
            temperature_c: Some(51.5),
            under_voltage: Some(true),
            boots: Some(3),
            reset_cause: Some("watchdog".into()),
        };
        assert_eq!(status(root.path(), Some(3)), expected);
    }

    #[test]
    fn what_the_kernel_cannot_tell_is_unknown() {
        assert_eq!(status(board(&[]).path(), None), BoardStatus::default());
        let root = board(&[("sys/class/watchdog/watchdog0/bootstatus", "0")]);
        assert_eq!(status(root.path(), None).reset_cause.as_deref(), Some("power"));
    }

    #[test]
    fn a_boot_is_counted_once() {
        let state = tempfile::tempdir().unwrap();
        let boot = |id: &str| board(&[("proc/sys/kernel/random/boot_id", id)]);
        let folder = state.path().join("eyrie");
        for (id, expected) in [("a", 1), ("a", 1), ("b", 2), ("b", 2), ("c", 3)] {
            assert_eq!(count_boot(&folder, boot(id).path()), Some(expected), "{id}");
        }
        fs::write(folder.join(BOOTS), "nonsense").unwrap();
        assert_eq!(count_boot(&folder, boot("d").path()), Some(1));
        assert_eq!(count_boot(Path::new("/proc/nowhere"), boot("d").path()), None);
    }
}
