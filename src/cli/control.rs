use super::{
    fail, print,
    server::Server,
    table::{or_dash, table},
};
use crate::{
    device::list::ControlInfo,
    health::control::{Command, Response},
};
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Control {
    /// As the config names it; without a config there is camera, camera2 …
    camera: String,
    /// As `eyrie devices` names it; left out, all are listed
    name: Option<String>,
    /// A number, true or false, or the text of a menu's entry
    #[arg(allow_hyphen_values = true)]
    value: Option<String>,
    /// For programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Control {
    pub fn run(self) -> ExitCode {
        let one = self.name.is_some();
        match self.server.ask(Command::Control { camera: self.camera, name: self.name, value: self.value }) {
            Ok(Response::Controls(controls)) if self.json => {
                print(&(serde_json::to_string_pretty(&controls).expect("these structs are JSON") + "\n"))
            }
            Ok(Response::Controls(controls)) if one => print(&controls.iter().map(value).collect::<String>()),
            Ok(Response::Controls(controls)) if controls.is_empty() => print("The camera has no controls.\n"),
            Ok(Response::Controls(controls)) => print(&control_table(&controls)),
            Ok(Response::Failed(why)) => fail(why),
            Ok(_) => fail("the server told no controls"),
            Err(error) => fail(error),
        }
    }
}

/// A line with the value of a control, and of a menu its meaning.
fn value(control: &ControlInfo) -> String {
    let meaning = control.menu.as_ref().zip(control.value).and_then(|(menu, value)| menu.get(&value));
    or_dash(control.value) + &meaning.map_or(String::new(), |meaning| format!(" {meaning}")) + "\n"
}

/// For people: each control with its value, default and range.
pub fn control_table(controls: &[ControlInfo]) -> String {
    let row = |control: &ControlInfo| {
        let range = match &control.menu {
            Some(menu) => {
                let entries = menu.iter().map(|(value, meaning)| format!("{value} {meaning}"));
                entries.collect::<Vec<_>>().join(", ")
            }
            None => format!("{} to {}", control.min, control.max),
        };
        [control.name.clone(), or_dash(control.value), control.default.to_string(), range]
    };
    table(["CONTROL", "VALUE", "DEFAULT", "RANGE"], &controls.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_value_is_shown_with_its_meaning() {
        let mut control = ControlInfo { name: "gain".into(), min: 0, max: 9, default: 3, value: Some(4), menu: None };
        assert_eq!(value(&control), "4\n");
        control.menu = Some(BTreeMap::from([(4, "High".into())]));
        assert_eq!(value(&control), "4 High\n");
        control.value = None;
        assert_eq!(value(&control), "-\n");
    }
}
