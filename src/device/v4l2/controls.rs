//! A camera's controls (exposure, gain, power line frequency …) by name.

use crate::v4l2::{self as sys, Descriptor};
use nix::errno::Errno;
use std::collections::BTreeMap;

/// Drivers list well under a hundred; one whose list has no end is cut here.
const MOST_CONTROLS: usize = 1000;
const MOST_MENU_ENTRIES: i64 = 256;

/// A control that takes one number.
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    id: u32,
    /// As [`normalised`], which is how `v4l2-ctl` shows it.
    pub name: String,
    pub min: i64,
    pub max: i64,
    step: i64,
    pub default: i64,
    /// The texts of a menu by their values.
    pub menu: Option<BTreeMap<i64, String>>,
    flags: u32,
}

impl Control {
    /// The value it has now; None where it cannot be read.
    pub fn value(&self, device: &Descriptor) -> Option<i64> {
        let readable = self.flags & sys::V4L2_CTRL_FLAG_WRITE_ONLY == 0;
        readable.then(|| device.control(self.id).ok().map(i64::from)).flatten()
    }

    pub fn is(&self, id: u32) -> bool {
        self.id == id
    }

    /// The possible value that is nearest.
    pub fn nearest(&self, value: i64) -> i64 {
        if let Some(menu) = &self.menu {
            return menu.keys().copied().min_by_key(|entry| entry.abs_diff(value)).unwrap_or(self.default);
        }
        let (most, step) = (self.max.max(self.min), self.step.max(1));
        let inside = value.clamp(self.min, most);
        inside - (inside - self.min) % step
    }

    /// What is wrong with a value, and the nearest right one, in words.
    fn objection(&self, value: i64) -> Option<String> {
        if self.flags & sys::V4L2_CTRL_FLAG_READ_ONLY != 0 {
            return Some("it can only be read".to_owned());
        }
        let nearest = self.nearest(value);
        if nearest == value {
            return None;
        }
        Some(match self.menu.as_ref().map(|menu| menu.get(&nearest)) {
            Some(text) => {
                let text = text.map(String::as_str).unwrap_or_default();
                format!("it has no entry {value}; the nearest is {nearest} ({text})")
            }
            None => format!(
                "{value} is not possible; it takes {} to {} in steps of {}, the nearest is {nearest}",
                self.min, self.max, self.step
            ),
        })
    }

    #[cfg(test)]
    pub fn for_test(
        id: u32,
        (min, max, step): (i64, i64, i64),
        default: i64,
        menu: Option<BTreeMap<i64, String>>,
    ) -> Self {
        Self { id, name: "x".into(), min, max, step, default, menu, flags: 0 }
    }
}

/// All controls that take one number, in the driver's order. Controls of other kinds (text, arrays, 64-bit numbers and
/// whatever newer kernels have) are left out.
pub fn controls(device: &Descriptor) -> Vec<Control> {
    let mut found = Vec::new();
    let mut id = 0;
    for _ in 0..MOST_CONTROLS {
        let Ok(query) = device.control_after(id) else { break };
        if query.id <= id {
            break; // a driver that goes in circles
        }
        id = query.id;
        let name = normalised(&sys::text(&query.name));
        let is_menu = query.type_ == sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_MENU;
        let is_integer_menu = query.type_ == sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER_MENU;
        let takes_a_number = match query.type_ {
            sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER
            | sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BOOLEAN
            | sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BUTTON
            | sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BITMASK => true,
            _ => is_menu || is_integer_menu,
        };
        if !takes_a_number || query.flags & sys::V4L2_CTRL_FLAG_DISABLED != 0 || name.is_empty() {
            continue;
        }
        // A bit mask's limits are unsigned.
        let is_bitmask = query.type_ == sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BITMASK;
        let number = |value: i32| if is_bitmask { i64::from(value as u32) } else { i64::from(value) };
        let (min, max) = (number(query.minimum), number(query.maximum));
        let menu = (is_menu || is_integer_menu).then(|| {
            (min.max(0)..=max.min(min.saturating_add(MOST_MENU_ENTRIES)))
                .filter_map(|index| Some((index, device.menu_entry(query.id, index as u32, is_integer_menu)?)))
                .collect()
        });
        let (default, step) = (number(query.default_value), i64::from(query.step).max(1));
        found.push(Control { id: query.id, name, min, max, step, default, menu, flags: query.flags });
    }
    found
}

/// Sets the wished controls. What cannot be set is logged with the nearest right name or value, and left.
pub fn apply(device: &Descriptor, wishes: &[(String, i64)]) {
    if wishes.is_empty() {
        return;
    }
    let controls = controls(device);
    let names: Vec<&str> = controls.iter().map(|control| control.name.as_str()).collect();
    let mut settings = Vec::new();
    for (wished, value) in wishes {
        let name = normalised(wished);
        match controls.iter().find(|control| control.name == name) {
            None => tracing::warn!("the camera has no control `{wished}`; {}", instead_of(&name, &names)),
            Some(control) => match control.objection(*value) {
                Some(objection) => tracing::warn!("control {name} was not set: {objection}"),
                None => settings.push((control, *value)),
            },
        }
    }
    // Some can only be set once another is (an exposure time, when the automatic one is off): what fails is tried again.
    let set = |(control, value): &(&Control, i64)| device.set_control(control.id, *value as i32);
    settings.retain(|setting| set(setting).is_err());
    for setting @ (control, value) in &settings {
        if let Err(error) = set(setting) {
            let why = match error {
                Errno::EACCES => "it is switched off by another control",
                Errno::EBUSY => "it cannot be changed while the camera is in use",
                other => other.desc(),
            };
            tracing::warn!("control {} was not set to {value}: {why}", control.name);
        }
    }
}

fn instead_of(name: &str, names: &[&str]) -> String {
    match nearest_name(name, names) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if names.is_empty() => "it has none".to_owned(),
        None => format!("it has {}", names.join(", ")),
    }
}

/// The name most like `name`, None if none is much like it.
fn nearest_name<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let likeness = |other: &str| strsim::jaro_winkler(name, other);
    let best = names.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) > 0.8).then_some(best)
}

/// Lower case, runs of all but letters and digits merged to one `_`, none at the ends: `White Balance, Automatic` is
/// `white_balance_automatic`, as `v4l2-ctl` shows it.
pub fn normalised(name: &str) -> String {
    name.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("_")
        .to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(min: i64, max: i64, step: i64, menu: Option<&[(i64, &str)]>) -> Control {
        let menu = menu.map(|menu| menu.iter().map(|(value, text)| (*value, (*text).to_owned())).collect());
        Control::for_test(1, (min, max, step), min, menu)
    }

    #[test]
    fn names_are_as_v4l2_ctl_shows_them() {
        for (name, shown) in [
            ("White Balance, Automatic", "white_balance_automatic"),
            ("Exposure, Dynamic Framerate", "exposure_dynamic_framerate"),
            ("exposure_time_absolute", "exposure_time_absolute"),
            ("  LED1 Mode (auto) ", "led1_mode_auto"),
            ("\u{fffd}", ""),
        ] {
            assert_eq!(normalised(name), shown);
        }
    }

    #[test]
    fn an_impossible_value_is_answered_with_the_nearest() {
        let range = control(-10, 100, 5, None);
        assert_eq!(range.objection(95), None);
        assert!(range.objection(97).unwrap().ends_with("the nearest is 95"));
        assert!(range.objection(1000).unwrap().ends_with("the nearest is 100"));
        assert!(range.objection(i64::MAX).unwrap().ends_with("the nearest is 100"));
        assert!(range.objection(i64::MIN).unwrap().ends_with("the nearest is -10"));
        let menu = control(0, 3, 1, Some(&[(1, "Manual Mode"), (3, "Aperture Priority Mode")]));
        assert_eq!(menu.objection(3), None);
        assert!(menu.objection(0).unwrap().ends_with("the nearest is 1 (Manual Mode)"));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_or_the_list() {
        let names = ["brightness", "exposure_time_absolute", "power_line_frequency"];
        assert_eq!(nearest_name("brighness", &names), Some("brightness"));
        assert_eq!(nearest_name("zoom", &names), None);
        assert!(instead_of("zoom", &names).contains("power_line_frequency"));
        assert_eq!(instead_of("zoom", &[]), "it has none");
    }
}
