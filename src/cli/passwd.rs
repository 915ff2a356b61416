use super::{fail, print};
use crate::config;
use std::{
    io::{self, BufRead},
    process::ExitCode,
};

/// Bytes of a line with a password.
const LONGEST: u64 = 4096;

#[derive(clap::Args)]
pub struct Passwd {
    /// The user's name
    name: String,
    /// Read the password from the first line of stdin instead of asking for it
    #[arg(long)]
    stdin: bool,
}

impl Passwd {
    pub fn run(self) -> ExitCode {
        match password_of(&self.name, self.stdin) {
            Ok(password) => print(&user_block(&self.name, &password)),
            Err(error) => fail(error),
        }
    }
}

/// The password for a user of that name, from the terminal or the first line of stdin; or what is wrong with either.
pub fn password_of(name: &str, stdin: bool) -> Result<String, String> {
    if !config::is_user_name(name) {
        return Err(format!(
            "{name:?} cannot be a user's name; expected 1 to 64 characters without `:`, `\"` and `\\`"
        ));
    }
    let password = match stdin {
        true => first_line(io::stdin().lock()).map_err(|error| format!("stdin: {error}")),
        false => asked_twice(),
    };
    match password? {
        empty if empty.is_empty() => Err("the password is empty; expected at least one character".to_owned()),
        password => Ok(password),
    }
}

fn user_block(name: &str, password: &str) -> String {
    let (md5, sha256) = config::digests(name, password);
    format!(
        "[[user]]\nname = {}\nmd5 = \"{}\"\nsha256 = \"{}\"\nrole = \"view\"\nstreams = [\"*\"]\n",
        toml_edit::Value::from(name),
        hex::encode(md5),
        hex::encode(sha256)
    )
}

fn first_line(input: impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if input.take(LONGEST).read_line(&mut line)? as u64 == LONGEST {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("the first line is longer than {LONGEST} bytes"),
        ));
    }
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

/// On the terminal, where nothing of it is shown; stdout is for the block alone.
fn asked_twice() -> Result<String, String> {
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt)
            .map_err(|error| format!("no terminal to ask for the password: {error}; expected one, or --stdin"))
    };
    let password = ask("Password: ")?;
    if ask("Again: ")? != password {
        return Err("the two passwords differ; expected the same twice".into());
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_without_its_end() {
        let read = |text: &str| first_line(text.as_bytes()).unwrap();
        assert_eq!(read("secret\nmore\n"), "secret");
        assert_eq!(read("secret\r\n"), "secret");
        assert_eq!(read(" a b "), " a b ");
        assert_eq!(read(""), "");
        assert!(first_line(&b"\xff\n"[..]).is_err());
        assert!(first_line(&[b'x'; 5000][..]).is_err(), "half a password is none");
    }

    #[test]
    fn the_block_is_a_config() {
        for name in ["nvr", "it's", "Ünal"] {
            let config = config::parse(&user_block(name, "secret"), "f").unwrap_or_else(|errors| panic!("{errors}"));
            let (md5, sha256) = config::digests(name, "secret");
            assert_eq!(config.users[0].name, name);
            assert_eq!((config.users[0].md5, config.users[0].sha256), (Some(md5), Some(sha256)));
        }
    }
}
