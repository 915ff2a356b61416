//! The plan of the house: which rooms there are, on which layer, and who may import whom.
//!
//! A room imports from lower layers only, never from its own. Tokens are read rather than lines, so that nested
//! `use` groups, macros and paths inside function bodies count as well, and comments and strings do not.

use std::{fs, path::Path};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Every room of `src/` with its layer.
const ROOMS: &[(&str, u8)] = &[
    ("cli", 5),
    ("app", 4),
    ("net", 3),
    ("record", 3),
    ("onvif", 3),
    ("web", 3),
    ("health", 3),
    ("bench", 3),
    ("stream", 2),
    ("device", 1),
    ("codec", 1),
    ("rtp", 1),
    ("rtsp", 1),
    ("guard", 1),
    ("config", 1),
    ("media", 0),
    ("time", 0),
    ("v4l2", 0),
];

/// The one import inside a layer: what flows through the house carries its time.
const SAME_LAYER: &[(&str, &str)] = &[("media", "time")];

/// What may lie at the top beside dot files and `LICENSE*`; `target` is cargo's and not kept.
const TOP_LEVEL: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "README.md",
    "benches",
    "board",
    "cross.toml",
    "fuzz",
    "scripts",
    "src",
    "systemd",
    "target",
    "tests",
];

/// A file longer than this has a second room inside.
const MAX_LINES: usize = 500;

#[test]
fn sources_keep_to_the_layers() {
    let mut broken = Vec::new();
    for file in rust_files("src") {
        let source = read(&file);
        broken.extend(violations(&file, &source));
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_folder_of_src_is_a_room() {
    let strangers: Vec<_> = entries("src")
        .into_iter()
        .filter(|name| layer(name).is_none() && !matches!(name.as_str(), "lib.rs" | "main.rs"))
        .collect();
    assert!(strangers.is_empty(), "not in the table of rooms: {strangers:?}");
}

#[test]
fn files_can_be_read_in_one_go() {
    let long: Vec<_> = ["src", "tests", "benches", "fuzz/fuzz_targets"]
        .iter()
        .flat_map(|folder| rust_files(folder))
        .map(|file| (read(&file).lines().count(), file))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .collect();
    assert!(long.is_empty(), "over {MAX_LINES} lines: {long:?}");
}

#[test]
fn the_top_level_holds_what_was_agreed() {
    let strangers: Vec<_> = entries(".")
        .into_iter()
        .filter(|name| !TOP_LEVEL.contains(&name.as_str()) && !name.starts_with('.') && !name.starts_with("LICENSE"))
        .collect();
    assert!(strangers.is_empty(), "not agreed at the top level: {strangers:?}");
}

/// Every rule that `source`, the text of `file` (its path from the top level, below `src/`), breaks.
fn violations(file: &str, source: &str) -> Vec<String> {
    let Ok(tokens) = source.parse::<TokenStream>() else { return vec![format!("{file}: not Rust")] };
    let mut check = Check { file, module: module_path(file), broken: Vec::new() };
    check.walk(tokens);
    check.broken
}

/// The names of the modules down to the one that a file is: `src/rtp/h264/mod.rs` is `rtp`, `h264`.
fn module_path(file: &str) -> Vec<String> {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    if matches!(path, "lib" | "main") { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

fn layer(room: &str) -> Option<u8> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, layer)| *layer)
}

struct Check<'a> {
    file: &'a str,
    /// The path of the module that is being read, inline modules included.
    module: Vec<String>,
    broken: Vec<String>,
}

impl Check<'_> {
    fn walk(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match word(&tokens, at).as_deref() {
                Some("mod") if matches!(tokens.get(at + 2), Some(TokenTree::Group(_))) => {
                    self.module.push(word(&tokens, at + 1).unwrap_or_default());
                    self.walk_group(&tokens[at + 2]);
                    self.module.pop();
                    at += 2;
                }
                Some("unsafe") if !self.module.iter().any(|name| name == "sys") => {
                    self.fail(&tokens[at], "`unsafe` outside a module named `sys`".into());
                }
                Some("crate") if is_path(&tokens, at) => {
                    for head in heads(&tokens, at + 3) {
                        self.import(&tokens[at], &head);
                    }
                }
                Some("crate") if word(&tokens, at + 1).as_deref() == Some("as") => {
                    self.fail(&tokens[at], "another name for the crate hides imports".into());
                }
                Some("eyrie") if is_path(&tokens, at) => {
                    let heads = heads(&tokens, at + 3);
                    if self.file != "src/main.rs" || heads != ["cli"] {
                        self.fail(
                            &tokens[at],
                            format!("imports eyrie::{}; only main.rs may, cli alone", heads.join(", ")),
                        );
                    }
                }
                Some("super") => at = self.climb(&tokens, at),
                Some("path") if is_punct(&tokens, at + 1, '=') && self.in_attribute(&tokens, at) => {
                    self.fail(&tokens[at], "a module lies where its name says".into());
                }
                _ => self.walk_group(&tokens[at]),
            }
            at += 1;
        }
    }

    fn walk_group(&mut self, token: &TokenTree) {
        if let TokenTree::Group(group) = token {
            self.walk(group.stream());
        }
    }

    /// `#[path = "…"]` is the whole of its brackets, so the word stands first and a literal third and last.
    fn in_attribute(&self, tokens: &[TokenTree], at: usize) -> bool {
        at == 0 && tokens.len() == 3 && matches!(tokens[2], TokenTree::Literal(_))
    }

    /// Follows `super::super::…` from `at`; returns the last token of it that was read.
    fn climb(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        let mut last = at;
        let mut steps = 1;
        while is_path(tokens, last) && word(tokens, last + 3).as_deref() == Some("super") {
            last += 3;
            steps += 1;
        }
        let grouped = is_path(tokens, last) && heads(tokens, last + 3).iter().any(|head| head == "super");
        if steps >= self.module.len() || grouped {
            self.fail(&tokens[at], "`super` leaves the room".into());
        }
        last
    }

    fn import(&mut self, token: &TokenTree, to: &str) {
        let from = self.module.first().cloned().unwrap_or_default();
        let Some(to_layer) = layer(to) else {
            return self.fail(token, format!("imports crate::{to}, which is no room"));
        };
        let lower = layer(&from).is_some_and(|from_layer| to_layer < from_layer);
        if !lower && from != to && !SAME_LAYER.contains(&(from.as_str(), to)) {
            self.fail(token, format!("{from} imports {to}, which is not on a lower layer"));
        }
    }

    fn fail(&mut self, token: &TokenTree, what: String) {
        self.broken.push(format!("{}:{}: {what}", self.file, token.span().start().line));
    }
}

fn word(tokens: &[TokenTree], at: usize) -> Option<String> {
    match tokens.get(at) {
        Some(TokenTree::Ident(ident)) => Some(ident.to_string()),
        _ => None,
    }
}

fn is_punct(tokens: &[TokenTree], at: usize, wanted: char) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

/// Whether the word at `at` is followed by `::`.
fn is_path(tokens: &[TokenTree], at: usize) -> bool {
    is_punct(tokens, at + 1, ':') && is_punct(tokens, at + 2, ':')
}

/// The first names of the path or `{…}` group that begins at `at`.
fn heads(tokens: &[TokenTree], at: usize) -> Vec<String> {
    match tokens.get(at) {
        Some(TokenTree::Ident(ident)) => vec![ident.to_string()],
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            inner.split(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',')).fold(
                Vec::new(),
                |mut all, part| {
                    all.extend(heads(part, 0));
                    all
                },
            )
        }
        Some(TokenTree::Punct(punct)) => vec![punct.to_string()],
        _ => Vec::new(),
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The names in a folder; empty if it does not exist yet.
fn entries(folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root().join(folder)) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// All Rust files below a folder, as paths from the top level.
fn rust_files(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    for name in entries(folder) {
        let path = format!("{folder}/{name}");
        if root().join(&path).is_dir() {
            files.extend(rust_files(&path));
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
    files
}

mod the_check_itself {
    use super::violations;

    fn caught(file: &str, source: &str) {
        assert_eq!(violations(file, source).len(), 1, "{file}: {source}: {:?}", violations(file, source));
    }

    fn allowed(file: &str, source: &str) {
        assert_eq!(violations(file, source), Vec::<String>::new(), "{file}: {source}");
    }

    #[test]
    fn catches_imports_upwards_and_sideways() {
        caught("src/rtsp/mod.rs", "use crate::net::Worker;");
        caught("src/rtsp/session.rs", "use crate::rtp::Packet;");
        caught("src/time/mod.rs", "use crate::media::RawFrame;");
        caught("src/stream/hub.rs", "use crate::{media::{self, RawFrame}, app};");
        caught("src/stream/hub.rs", "fn f() { let w = crate::net::Worker::new(); }");
        caught("src/stream/hub.rs", "fn f() { assert!(matches!(x, crate::health::State::Good)); }");
        caught("src/stream/mod.rs", "mod tests { use crate::app::Plan; }");
        caught("src/cli/run.rs", "use crate::Everything;");
        caught("src/cli/run.rs", "use crate::*;");
        caught("src/cli/run.rs", "use crate as house;");
        caught("src/lib.rs", "pub use crate::net::Worker;");
    }

    #[test]
    fn allows_imports_downwards_and_at_home() {
        allowed("src/net/worker.rs", "use crate::{media::RawFrame, net::Ring, rtsp, stream::Hub};");
        allowed("src/media/frame.rs", "use crate::time::MonoTime;");
        allowed(
            "src/rtsp/mod.rs",
            "//! Unlike [`crate::net`] it has no socket.\npub(crate) const DOOR: &str = \"crate::net::x\";",
        );
        allowed("src/lib.rs", "pub mod media; pub mod time;");
    }

    #[test]
    fn catches_a_climb_out_of_the_room() {
        caught("src/rtsp/mod.rs", "use super::net::Worker;");
        caught("src/rtsp/session.rs", "use super::super::net::Worker;");
        caught("src/rtsp/session.rs", "use super::{super::net, Connection};");
        caught("src/rtsp/session.rs", "mod tests { use super::super::super::net; }");
        allowed("src/rtsp/mod.rs", "mod tests { use super::*; }");
        allowed("src/rtsp/session.rs", "use super::Connection;");
        allowed("src/rtsp/session/deep.rs", "use super::super::Connection;");
    }

    #[test]
    fn catches_the_crate_by_its_name() {
        caught("src/rtsp/mod.rs", "use eyrie::net::Worker;");
        caught("src/main.rs", "fn main() { eyrie::app::run() }");
        allowed("src/main.rs", "fn main() { eyrie::cli::main() }");
    }

    #[test]
    fn catches_unsafe_outside_sys() {
        caught("src/device/v4l2/mod.rs", "fn f() { unsafe { g() } }");
        caught("src/codec/mod.rs", "unsafe impl Send for X {}");
        allowed("src/device/v4l2/sys.rs", "fn f() { unsafe { g() } }");
        allowed("src/device/sys/mmap.rs", "fn f() { unsafe { g() } }");
        allowed("src/codec/h264.rs", "mod sys { fn f() { unsafe { g() } } }");
        allowed("src/codec/h264.rs", "#![deny(unsafe_op_in_unsafe_fn)] // unsafe\n");
    }

    #[test]
    fn catches_a_module_from_elsewhere() {
        caught("src/codec/mod.rs", "#[path = \"../net/ring.rs\"] mod ring;");
    }
}
