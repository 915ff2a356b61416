//! Changing one key of a config file, its comments and order kept.

use super::{
    ConfigErrors, decode,
    forms::{Shape, nearest},
    parse,
};
use std::{
    fmt, fs,
    io::{self, Write as _},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::Path,
};
use toml_edit::{Array, Decor, DocumentMut, InlineTable, Item, Key, Table, TableLike, Value};

/// Why a key was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditError {
    /// There is no such key to set; why, in words for a person.
    Key(String),
    /// The file was wrong before.
    Before(ConfigErrors),
    /// It would be wrong afterwards.
    After(ConfigErrors),
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(why) => f.write_str(why),
            Self::Before(errors) | Self::After(errors) => errors.fmt(f),
        }
    }
}

impl std::error::Error for EditError {}

/// `text` with `key` (such as `stream.main.video.bitrate`; users are `user.NAME.…`) set to `value`, which is written
/// as in the file, or bare where the key wants a text or a list of texts (`4M`; `udp,tcp`). `origin` stands for the
/// file in errors.
///
/// # Errors
/// As [`EditError`] says; the result always parses.
pub fn edit(text: &str, origin: &str, key: &str, value: &str) -> Result<String, EditError> {
    changed(text, origin, |document| {
        let path = Key::parse(key).map_err(|_| format!("`{key}` is no key; expected one such as `server.listen`"))?;
        let path: Vec<_> = path.iter().map(Key::get).collect();
        let value = toml_value(value, shape_of(&path)?);
        set(document.as_table_mut(), &path, value).map_err(|why| format!("{key}: {why}"))
    })
}

/// `text` after `edit`, the comments at its head and its line ends kept: the editor of TOML takes the former for a part of
/// the first table, or for what follows the last, and writes none of the latter that it read.
///
/// # Errors
/// As [`EditError`] says; the result always parses.
pub(super) fn changed(
    text: &str,
    origin: &str,
    edit: impl FnOnce(&mut DocumentMut) -> Result<(), String>,
) -> Result<String, EditError> {
    parse(text, origin).map_err(EditError::Before)?;
    let (head, body) = split_head(text);
    let mut document: DocumentMut = body.parse().expect("what `parse` accepts is TOML");
    edit(&mut document).map_err(EditError::Key)?;
    // What is first now had an empty line before it.
    let mut edited = head + document.to_string().trim_start_matches(['\r', '\n']);
    if text.contains("\r\n") {
        edited = edited.replace("\r\n", "\n").replace('\n', "\r\n");
    }
    parse(&edited, origin).map_err(EditError::After)?;
    Ok(edited)
}

/// The comments that an empty line parts from what follows, that line among them, and the rest. Where there is nothing
/// else, all of them.
fn split_head(text: &str) -> (String, &str) {
    let (mut head, mut read) = (0, 0);
    for line in text.split_inclusive('\n') {
        match line.trim_start().chars().next() {
            Some('#') => read += line.len(),
            None => {
                read += line.len();
                head = read;
            }
            Some(_) => return (text[..head].to_owned(), &text[head..]),
        }
    }
    let comments = text.trim_end();
    (if comments.is_empty() { String::new() } else { format!("{comments}\n\n") }, "")
}

/// What a key takes, by the schema.
fn shape_of(path: &[&str]) -> Result<Shape, String> {
    // A control's name is the user's, as are those of cameras, streams and users.
    if let ["camera", _, "controls", _] = path {
        return Ok(Shape::TextOrNumber);
    }
    let general = match path {
        [kind @ ("camera" | "microphone" | "stream" | "user"), _, rest @ ..] => {
            [&[*kind, "NAME"], rest].concat().join(".")
        }
        _ => path.join("."),
    };
    let keys = decode::keys();
    let found = keys.iter().find(|(key, _)| *key == general);
    match found {
        Some((_, Shape::Table)) => Err(format!("`{}` is a table; name a key in it", path.join("."))),
        Some((_, shape)) => Ok(*shape),
        None => {
            let meant = nearest(&general, keys.iter().map(|(key, _)| key.as_str()));
            let meant = meant.map_or(String::new(), |key| format!(", did you mean `{key}`?"));
            Err(format!("`{}` is an unknown key{meant}", path.join(".")))
        }
    }
}

/// `text` as TOML where it is such a value, quoted where it is not.
fn toml_value(text: &str, shape: Shape) -> Value {
    let literal = || text.trim().parse::<Value>().ok();
    match shape {
        Shape::Text => literal().filter(Value::is_str).unwrap_or_else(|| text.into()),
        Shape::List => literal().filter(Value::is_array).unwrap_or_else(|| {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect::<Array>().into()
        }),
        Shape::TextOrNumber | Shape::Number | Shape::Boolean | Shape::Table => literal().unwrap_or_else(|| text.into()),
    }
}

fn set(table: &mut dyn TableLike, path: &[&str], value: Value) -> Result<(), String> {
    match path {
        [] => Err("names nothing".into()),
        [key] => {
            let old = table.get_mut(key).and_then(Item::as_value_mut);
            match old {
                // What stands around the old one, such as a comment behind it, stays.
                Some(old) => {
                    let decor = old.decor().clone();
                    *old = value;
                    *old.decor_mut() = decor;
                }
                None => {
                    table.insert(key, Item::Value(value));
                }
            }
            Ok(())
        }
        ["user", name, rest @ ..] => {
            let users = table.get_mut("user").and_then(Item::as_array_of_tables_mut);
            let is_named = |user: &&mut Table| user.get("name").and_then(Item::as_str) == Some(name);
            match users.and_then(|users| users.iter_mut().find(is_named)) {
                Some(user) => set(user, rest, value),
                None => Err(format!("there is no [[user]] named {name:?}; `eyrie passwd` makes one")),
            }
        }
        [key, rest @ ..] => {
            let inner = table.entry(key).or_insert_with(|| {
                let mut table = Table::new();
                // Without a header of its own as long as it only holds tables.
                table.set_implicit(rest.len() > 1);
                Item::Table(table)
            });
            if let (Some(inline), [key]) = (inner.as_inline_table_mut(), rest)
                && !inline.contains_key(key)
            {
                append(inline, key, value);
                return Ok(());
            }
            let inner = inner.as_table_like_mut().ok_or_else(|| format!("`{key}` is no table"))?;
            set(inner, rest, value)
        }
    }
}

/// A new last key; the space before the closing brace stays there.
fn append(table: &mut InlineTable, key: &str, mut value: Value) {
    if let Some((_, last)) = table.iter_mut().last() {
        let before_brace = last.decor().suffix().cloned();
        last.decor_mut().set_suffix("");
        *value.decor_mut() = Decor::new(" ", before_brace.unwrap_or_default());
    }
    table.insert(key, value);
}

/// Puts `text` into the file at `path` at one instant, its mode and owner kept; a link stays a link. A new file gets
/// mode 0640.
///
/// # Errors
/// Of the file system; the file then is as it was.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let path = match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        other => other?,
    };
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new_path = path.with_file_name(name);
    let result = write_new(&new_path, &path, text).and_then(|()| fs::rename(&new_path, &path));
    if let Err(error) = result {
        let _ = fs::remove_file(&new_path);
        return Err(explained(error));
    }
    // The new name must outlive a power cut too.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder)?.sync_all()
}

/// Why a file cannot be written, as a person is told: of a full disk with the mend.
pub fn explained(error: io::Error) -> io::Error {
    const FULL: &str = "the disk is full; make room: `sudo du -xh / | sort -h | tail` shows what takes it";
    if is_full(&error) { io::Error::new(error.kind(), FULL) } else { error }
}

/// The disk is full, or what this user may have of it.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn write_new(new_path: &Path, old_path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(new_path)?;
    let mode = match fs::metadata(old_path) {
        Ok(old) => {
            let new = file.metadata()?;
            if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
                fchown(&file, Some(old.uid()), Some(old.gid()))?;
            }
            old.mode() & 0o7777
        }
        Err(_) => 0o640,
    };
    file.write_all(text.as_bytes())?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::config) const TEXT: &str = "\
# The door.
[camera.front]   # by the gate
device = \"test\"

[stream.main]
# not too much
video = { from = \"front\", bitrate = \"2M\" }   # main

[[user]]
name = \"nvr\" # the recorder
md5 = \"00000000000000000000000000000000\"
";

    fn edited(key: &str, value: &str) -> String {
        edit(TEXT, "f", key, value).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn comments_and_order_stay() {
        let expected = TEXT.replace("\"2M\"", "\"4M\"");
        assert_eq!(edited("stream.main.video.bitrate", "4M"), expected);
        assert_eq!(edited("stream.main.video.bitrate", "\"4M\""), expected);
        assert_eq!(edited("stream.main.video.bitrate", "4000000"), TEXT.replace("\"2M\"", "4000000"));
        assert_eq!(edited("camera.front.device", "test"), TEXT);
        let windows = TEXT.replace('\n', "\r\n");
        let expected = expected.replace('\n', "\r\n");
        assert_eq!(edit(&windows, "f", "stream.main.video.bitrate", "4M"), Ok(expected));
    }

    #[test]
    fn new_keys_and_tables() {
        assert!(edited("camera.front.fps", "15").contains("device = \"test\"\nfps = 15\n"));
        assert!(
            edited("stream.main.video.size", "640x360").contains("bitrate = \"2M\", size = \"640x360\" }   # main")
        );
        let text = edit("[camera.b]\ndevice = 'usb-1'", "f", "camera.b.controls.brightness", "7").unwrap();
        assert_eq!(text, "[camera.b]\ndevice = 'usb-1'\n\n[camera.b.controls]\nbrightness = 7\n");
        let text = edited("server.allow", "10.0.0.0/8,192.168.1.1");
        assert!(text.ends_with("\n[server]\nallow = [\"10.0.0.0/8\", \"192.168.1.1\"]\n"), "{text}");
        assert!(edited("server.lockout.for", "5m").contains("for = \"5m\""));
        assert!(edited("user.nvr.role", "admin").contains("role = \"admin\""));
        assert_eq!(edit("", "f", "server.anonymous", "true").unwrap(), "[server]\nanonymous = true\n");
    }

    #[test]
    fn what_is_added_to_comments_stands_behind_them() {
        let text = edit(crate::config::EXAMPLE, "f", "server.anonymous", "true").unwrap();
        assert_eq!(text.trim_end(), format!("{}\n[server]\nanonymous = true", crate::config::EXAMPLE).trim_end());
    }

    #[test]
    fn wrong_keys_and_values_are_refused() {
        let refused = |key, value| edit(TEXT, "f", key, value).unwrap_err();
        assert!(matches!(refused("stream.main.video.bitrate", "lots"), EditError::After(_)));
        assert!(matches!(refused("camera.front.fps", "0"), EditError::After(_)));
        assert!(matches!(refused("stream.other.start", "fast"), EditError::After(_)));
        for (key, why) in [
            ("stream.main.video.bitrat", "did you mean `stream.NAME.video.bitrate`?"),
            ("stream.main.video", "is a table"),
            ("server", "is a table"),
            ("user.other.role", "no [[user]] named \"other\""),
            ("", "no key"),
            ("a..b", "no key"),
        ] {
            let error = refused(key, "view");
            assert!(matches!(&error, EditError::Key(text) if text.contains(why)), "{key}: {error}");
        }
        assert!(matches!(edit("a = 1", "f", "server.anonymous", "true").unwrap_err(), EditError::Before(_)));
    }

    #[test]
    fn writing_keeps_mode_and_links() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("a.toml"), folder.path().join("b.toml"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o604)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write(&link, "new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o604);
        write(&folder.path().join("c.toml"), "first").unwrap();
        assert_eq!(fs::metadata(folder.path().join("c.toml")).unwrap().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        assert!(write(&folder.path().join("none/c.toml"), "").is_err());
    }
}
