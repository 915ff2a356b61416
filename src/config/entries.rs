//! Streams and users added to a config file and removed from it, its comments and order kept.

use super::edit::{EditError, changed};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, value};

/// A stream to be added.
#[derive(Clone, Debug, Default)]
pub struct NewStream {
    pub name: String,
    /// The camera it shows; none: sound alone.
    pub camera: Option<String>,
    /// Where the camera is, if the config does not say so yet.
    pub device: Option<String>,
    /// Keys of `video` as in the file, such as `size`, `bitrate`, `codec`.
    pub video: Vec<(&'static str, String)>,
    pub microphone: Option<String>,
}

/// A user to be added.
#[derive(Clone, Debug)]
pub struct NewUser {
    pub name: String,
    /// The digests of name and password.
    pub md5: [u8; 16],
    pub sha256: [u8; 32],
    pub role: String,
    pub streams: Vec<String>,
}

/// `text` with a stream more. `origin` stands for the file in errors.
///
/// # Errors
/// There is one of that name, or the config was wrong before or would be so afterwards.
pub fn add_stream(text: &str, origin: &str, stream: &NewStream) -> Result<String, EditError> {
    changed(text, origin, |document| {
        let streams = tables(document, "stream")?;
        if streams.contains_key(&stream.name) {
            return Err(format!("there is a stream {0} already; `eyrie stream remove {0}` removes it", stream.name));
        }
        let mut entry = Table::new();
        if let Some(camera) = &stream.camera {
            let mut video = InlineTable::new();
            video.insert("from", camera.into());
            stream.video.iter().for_each(|(key, text)| drop(video.insert(*key, text.into())));
            entry.insert("video", value(video));
        }
        if let Some(microphone) = &stream.microphone {
            let mut audio = InlineTable::new();
            audio.insert("from", microphone.into());
            entry.insert("audio", value(audio));
        }
        streams.insert(&stream.name, Item::Table(entry));
        if let (Some(camera), Some(device)) = (&stream.camera, &stream.device) {
            let cameras = tables(document, "camera")?;
            if cameras.contains_key(camera) {
                return Err(format!("there is a camera {camera} already; leave out the device"));
            }
            let mut entry = Table::new();
            entry.insert("device", value(device));
            cameras.insert(camera, Item::Table(entry));
        }
        Ok(())
    })
}

/// `text` without a stream. Its camera stays.
///
/// # Errors
/// As [`add_stream`]; or there is none of that name.
pub fn remove_stream(text: &str, origin: &str, name: &str) -> Result<String, EditError> {
    changed(text, origin, |document| {
        let streams = tables(document, "stream")?;
        let there: Vec<String> = streams.iter().map(|(name, _)| name.to_owned()).collect();
        if there == [name] {
            return Err(format!(
                "{name} is the only stream; without one all cameras are served by themselves, as /main and /sub"
            ));
        }
        streams.remove(name).map(drop).ok_or_else(|| absent("stream", name, &there))
    })
}

/// `text` with a user more.
///
/// # Errors
/// As [`add_stream`].
pub fn add_user(text: &str, origin: &str, user: &NewUser) -> Result<String, EditError> {
    changed(text, origin, |document| {
        let users = users(document)?;
        if users.iter().any(|other| is_named(other, &user.name)) {
            return Err(format!("there is a user {0:?} already; `eyrie user remove {0}` removes it", user.name));
        }
        let mut entry = Table::new();
        entry.insert("name", value(&user.name));
        entry.insert("md5", value(hex::encode(user.md5)));
        entry.insert("sha256", value(hex::encode(user.sha256)));
        entry.insert("role", value(&user.role));
        entry.insert("streams", value(user.streams.iter().collect::<Array>()));
        users.push(entry);
        Ok(())
    })
}

/// `text` without a user.
///
/// # Errors
/// As [`remove_stream`].
pub fn remove_user(text: &str, origin: &str, name: &str) -> Result<String, EditError> {
    changed(text, origin, |document| {
        let users = users(document)?;
        let name_of = |user: &Table| user.get("name").and_then(Item::as_str).unwrap_or_default().to_owned();
        let there: Vec<String> = users.iter().map(name_of).collect();
        let index = there.iter().position(|other| other == name).ok_or_else(|| absent("user", name, &there))?;
        users.remove(index);
        Ok(())
    })
}

/// The tables under `key`, such as all of `[stream.…]`.
fn tables<'d>(document: &'d mut DocumentMut, key: &str) -> Result<&'d mut Table, String> {
    let entry = document.entry(key).or_insert_with(|| {
        let mut parent = Table::new();
        parent.set_implicit(true);
        Item::Table(parent)
    });
    entry.as_table_mut().ok_or_else(|| format!("`{key}` is written in one line; write it as [{key}.NAME] tables first"))
}

fn users(document: &mut DocumentMut) -> Result<&mut ArrayOfTables, String> {
    let entry = document.entry("user").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    entry
        .as_array_of_tables_mut()
        .ok_or_else(|| "`user` is written in one line; write it as [[user]] tables first".to_owned())
}

fn is_named(user: &Table, name: &str) -> bool {
    user.get("name").and_then(Item::as_str) == Some(name)
}

fn absent(kind: &str, name: &str, there: &[String]) -> String {
    match there {
        [] => format!("there is no {kind} {name}; there is none at all"),
        _ => format!("there is no {kind} {name}; there are: {}", there.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{edit::tests::TEXT, parse};

    fn stream(name: &str, camera: &str) -> NewStream {
        NewStream { name: name.into(), camera: Some(camera.into()), ..NewStream::default() }
    }

    fn user(name: &str) -> NewUser {
        NewUser { name: name.into(), md5: [1; 16], sha256: [2; 32], role: "view".into(), streams: vec!["main".into()] }
    }

    fn refused(result: Result<String, EditError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn a_stream_comes_and_goes_and_the_rest_stays() {
        let video = vec![("size", "640x360".to_owned()), ("bitrate", "500k".to_owned())];
        let added = add_stream(TEXT, "f", &NewStream { video, ..stream("sub", "front") }).unwrap();
        let line = "[stream.sub]\nvideo = { from = \"front\", size = \"640x360\", bitrate = \"500k\" }\n";
        assert!(added.contains(line) && added.contains("# by the gate") && added.contains("# main"), "{added}");
        assert_eq!(remove_stream(&added, "f", "sub").unwrap(), TEXT);
    }

    #[test]
    fn a_camera_may_come_with_its_stream() {
        let new = NewStream { device: Some("test".into()), ..stream("yard", "back") };
        let added = add_stream(TEXT, "f", &new).unwrap();
        assert!(added.contains("[camera.back]\ndevice = \"test\"\n"), "{added}");
        let from_nothing = add_stream("", "f", &new).unwrap();
        assert_eq!(parse(&from_nothing, "f").unwrap().streams[0].name, "yard");
        assert!(
            refused(add_stream(&added, "f", &NewStream { name: "x".into(), ..new })).contains("camera back already")
        );
        assert!(refused(add_stream(TEXT, "f", &stream("yard", "back"))).contains("back"), "unknown");
    }

    #[test]
    fn users_come_and_go() {
        let added = add_user(TEXT, "f", &user("guest")).unwrap();
        let config = parse(&added, "f").unwrap();
        assert_eq!(config.users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["nvr", "guest"]);
        assert_eq!((config.users[1].md5, config.users[1].sha256), (Some([1; 16]), Some([2; 32])));
        assert!(added.contains("# the recorder"));
        assert_eq!(remove_user(&added, "f", "guest").unwrap(), TEXT);
        assert!(parse(&add_user("", "f", &user("guest")).unwrap(), "f").is_ok());
        let none = remove_user(TEXT, "f", "nvr").unwrap();
        assert!(parse(&none, "f").unwrap().users.is_empty() && !none.contains("[[user]]"), "{none}");
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        assert!(refused(add_stream(TEXT, "f", &stream("main", "front"))).contains("`eyrie stream remove main`"));
        assert!(refused(remove_stream(TEXT, "f", "mian")).contains("there are: main"));
        assert!(refused(remove_stream(TEXT, "f", "main")).contains("is the only stream"));
        assert!(refused(add_user(TEXT, "f", &user("nvr"))).contains("already"));
        assert!(refused(remove_user(TEXT, "f", "gest")).contains("there are: nvr"));
        let other = NewUser { role: "king".into(), ..user("guest") };
        assert!(matches!(add_user(TEXT, "f", &other), Err(EditError::After(_))));
        assert!(matches!(remove_user("a = 1", "f", "nvr"), Err(EditError::Before(_))));
        let inline = "stream = { main = { video = { from = 'c' } } }\n[camera.c]\ndevice = 'test'\n";
        assert!(refused(remove_stream(inline, "f", "main")).contains("in one line"));
    }

    /// Of the first table only what stands right before it is about it.
    #[test]
    fn comments_at_the_head_stay_when_the_first_table_goes() {
        let head = "# Eyrie at the gate.\n#\n# Ask Ada before changing it.\n\n";
        let main = "# The picture.\n[stream.main]\nvideo = { from = \"front\" }\n";
        let rest = "[stream.sub]\nvideo = { from = \"front\" }\n\n[camera.front]\ndevice = \"test\"\n";
        let text = format!("{head}{main}\n{rest}");
        assert_eq!(remove_stream(&text, "f", "main").unwrap(), format!("{head}{rest}"));
        let windows = |text: &str| text.replace('\n', "\r\n");
        assert_eq!(remove_stream(&windows(&text), "f", "main").unwrap(), windows(&format!("{head}{rest}")));
        assert_eq!(remove_stream(&format!("{main}\n{rest}"), "f", "main").unwrap(), rest);

        let guest = "# He comes on Sundays.\n[[user]]\nname = \"guest\"\nmd5 = \"00000000000000000000000000000000\"\n";
        let text = format!("{head}{guest}\n{rest}");
        assert_eq!(remove_user(&text, "f", "guest").unwrap(), format!("{head}{rest}"));
        assert_eq!(remove_user(&format!("{head}{guest}"), "f", "guest").unwrap(), head);
    }

    #[test]
    fn line_ends_stay_as_they_were() {
        let windows = TEXT.replace('\n', "\r\n");
        let added = add_user(&windows, "f", &user("guest")).unwrap();
        assert!(!added.replace("\r\n", "").contains('\n'), "{added:?}");
    }
}
