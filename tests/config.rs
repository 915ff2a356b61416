//! The README, the example config and the code say the same.

use eyrie::config;

const README: &str = include_str!("../README.md");

/// The text of the README below a heading, up to the next of its kind.
fn section(heading: &str) -> &'static str {
    let (_, section) = README.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    section.split("\n## ").next().unwrap()
}

#[test]
fn the_readme_holds_the_example() {
    let (_, block) = section("Configuration").split_once("```toml\n").expect("a block of TOML");
    let (block, _) = block.split_once("```\n").expect("its end");
    // Line by line, for a message that can be read.
    for (readme, example) in block.lines().zip(config::EXAMPLE.lines()) {
        assert_eq!(readme, example, "README.md differs from src/config/example.toml");
    }
    assert_eq!(block, config::EXAMPLE);
}

#[test]
fn the_readme_has_every_command() {
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_eyrie")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands: Vec<_> = commands.lines().take_while(|line| !line.is_empty()).collect();
    let names = commands.iter().filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    for name in names.clone() {
        assert!(section("Command line").contains(&format!("\n| `eyrie {name}")), "the README lacks `eyrie {name}`");
    }
    assert!(names.count() >= 7);
}

/// Texts from which the table of messages is made, each with a config that provokes it.
#[test]
fn the_readme_explains_the_messages() {
    let provoked = [
        ("a = ", "syntax: …"),
        ("a = 1", "unknown key; expected …"),
        ("server = 1", "… does not fit here; expected …"),
        ("[server]\npacket_size = 1", "… is out of range"),
        ("[camera.a]\ndevice = 'test'\nsize = '641x480'", "… is odd"),
        ("[server]\ndigest = 'md6'", "… is unknown, did you mean …?"),
        ("[camera.a]", "is missing"),
        ("[tls]\ncert = '/c'", "stands alone"),
        ("[server]\nallow = ['10.0.0.1', '10.0.0.1']", "is there twice"),
        ("[stream.a]\nvideo = { from = 'b' }", "no camera is named …"),
        ("[stream.a]", "has neither video nor audio"),
        ("[stream.'/']", "cannot be the path of a URL"),
        ("[camera.a]\ndevice = 'b'\nscene = 'busy'", "a real device has none"),
        ("[[user]]\nname = 'a'", "has no password"),
    ];
    for (text, message) in provoked {
        let errors = config::parse(text, "f").unwrap_err().to_string();
        let mut rest = errors.as_str();
        for part in message.split('…').filter(|part| !part.is_empty()) {
            let at = rest.find(part).unwrap_or_else(|| panic!("{errors}\ndoes not say {message}"));
            rest = &rest[at + part.len()..];
        }
        assert!(section("What each message means").contains(&format!("`{message}`")), "the README lacks `{message}`");
    }
}
