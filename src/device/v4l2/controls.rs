//! A camera's controls (exposure, gain, power line frequency …) by name.

use crate::{
    device::list::ControlInfo,
    media::ControlValue,
    v4l2::{self as sys, Descriptor},
};
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

    /// The number of a wished value.
    ///
    /// # Errors
    /// What is wrong with it, and the nearest right one, in words.
    fn number(&self, wished: &ControlValue) -> Result<i64, String> {
        if self.flags & sys::V4L2_CTRL_FLAG_READ_ONLY != 0 {
            return Err("it can only be read".to_owned());
        }
        let value = match (wished, &self.menu) {
            (ControlValue::Number(number), _) => *number,
            (ControlValue::Entry(text), Some(menu)) => return entry(menu, text),
            (ControlValue::Entry(_), None) => {
                return Err(format!("it takes a number, {} to {}, not {wished}", self.min, self.max));
            }
        };
        let nearest = self.nearest(value);
        if nearest == value {
            return Ok(value);
        }
        Err(match self.menu.as_ref().map(|menu| menu.get(&nearest)) {
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

    pub fn info(self, device: &Descriptor) -> ControlInfo {
        let value = self.value(device);
        let Self { name, min, max, default, menu, .. } = self;
        ControlInfo { name, min, max, default, value, menu }
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
pub fn apply(device: &Descriptor, wishes: &[(String, ControlValue)]) {
    if wishes.is_empty() {
        return;
    }
    let controls = controls(device);
    let mut settings = Vec::new();
    for (wished, value) in wishes {
        match setting(&controls, wished, value) {
            Ok(setting) => settings.push(setting),
            Err(objection) => tracing::warn!("{objection}"),
        }
    }
    // Some can only be set once another is (an exposure time, when the automatic one is off): what fails is tried again.
    settings.retain(|(control, value)| set(device, control, *value).is_err());
    for (control, value) in settings {
        if let Err(objection) = set(device, control, value) {
            tracing::warn!("{objection}");
        }
    }
}

/// One control.
///
/// # Errors
/// In words, with the nearest right name.
pub fn one(device: &Descriptor, name: &str) -> Result<ControlInfo, String> {
    named(&controls(device), name).map(|control| control.clone().info(device))
}

/// Sets one control; what it is then.
///
/// # Errors
/// In words, with the nearest right name or value.
pub fn set_one(device: &Descriptor, name: &str, value: &ControlValue) -> Result<ControlInfo, String> {
    let controls = controls(device);
    let (control, value) = setting(&controls, name, value)?;
    set(device, control, value)?;
    Ok(control.clone().info(device))
}

/// The control that is meant and the number it is to have.
fn setting<'a>(controls: &'a [Control], wished: &str, value: &ControlValue) -> Result<(&'a Control, i64), String> {
    let control = named(controls, wished)?;
    let number =
        control.number(value).map_err(|objection| format!("control {} was not set: {objection}", control.name))?;
    Ok((control, number))
}

/// The control of that name.
///
/// # Errors
/// The nearest name, or all, in words.
fn named<'a>(controls: &'a [Control], wished: &str) -> Result<&'a Control, String> {
    let name = normalised(wished);
    controls.iter().find(|control| control.name == name).ok_or_else(|| {
        let names: Vec<&str> = controls.iter().map(|control| control.name.as_str()).collect();
        format!("the camera has no control `{wished}`; {}", instead_of(&name, &names))
    })
}

fn set(device: &Descriptor, control: &Control, value: i64) -> Result<(), String> {
    device.set_control(control.id, value as i32).map_err(|error| {
        let why = match error {
            Errno::EACCES => "it is switched off by another control",
            Errno::EBUSY => "it cannot be changed while the camera is in use",
            other => other.desc(),
        };
        format!("control {} was not set to {value}: {why}", control.name)
    })
}

/// The number of a menu's entry by its text: case, spaces and signs do not matter.
fn entry(menu: &BTreeMap<i64, String>, text: &str) -> Result<i64, String> {
    if let Some((number, _)) = menu.iter().find(|(_, entry)| normalised(entry) == normalised(text)) {
        return Ok(*number);
    }
    let entries: Vec<&str> = menu.values().map(String::as_str).collect();
    Err(format!("it has no entry `{text}`; {}", instead_of(text, &entries)))
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
        let said = |control: &Control, value: i64| control.number(&value.into()).unwrap_err();
        assert_eq!(range.number(&95.into()), Ok(95));
        for (value, nearest) in [(97, 95), (1000, 100), (i64::MAX, 100), (i64::MIN, -10)] {
            assert!(said(&range, value).ends_with(&format!("the nearest is {nearest}")));
        }
        let menu = control(0, 3, 1, Some(&[(1, "Manual Mode"), (3, "Aperture Priority Mode")]));
        assert_eq!(menu.number(&3.into()), Ok(3));
        assert!(said(&menu, 0).ends_with("the nearest is 1 (Manual Mode)"));
    }

    #[test]
    fn a_menu_takes_the_text_of_an_entry() {
        let menu = control(0, 3, 1, Some(&[(1, "Manual Mode"), (3, "Aperture Priority Mode")]));
        assert_eq!(menu.number(&"manual mode".into()), Ok(1));
        assert_eq!(menu.number(&"aperture_priority_mode".into()), Ok(3));
        assert_eq!(menu.number(&"3".into()), Ok(3));
        let said = menu.number(&"Manul Mode".into()).unwrap_err();
        assert_eq!(said, "it has no entry `Manul Mode`; did you mean `Manual Mode`?");
        assert!(control(0, 9, 1, None).number(&"much".into()).unwrap_err().contains("a number, 0 to 9, not `much`"));
        assert_eq!(control(0, 1, 1, None).number(&"true".into()), Ok(1));
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
