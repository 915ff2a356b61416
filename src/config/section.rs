//! The walk over a parsed document: a [`Section`] is asked for its keys one by one, collects what is wrong with them,
//! and at its end refuses every key that nobody asked for. What was asked for is the schema.

use super::{
    errors::Found,
    forms::{Form, Shape, describe, nearest, one_of},
};
use std::{cell::RefCell, ops::Range};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// What a walk has found so far.
#[derive(Default)]
pub(super) struct Findings {
    errors: RefCell<Vec<Found>>,
    /// Each key asked for, dotted.
    keys: RefCell<Vec<(String, Shape)>>,
}

impl Findings {
    pub fn refuse(&self, span: Range<usize>, key: &str, wrong: impl AsRef<str>, expected: impl AsRef<str>) {
        let message = format!("{}; expected {}", wrong.as_ref(), expected.as_ref());
        self.errors.borrow_mut().push(Found { span, key: key.to_owned(), message });
    }

    pub fn into_parts(self) -> (Vec<Found>, Vec<(String, Shape)>) {
        (self.errors.into_inner(), self.keys.into_inner())
    }
}

/// One table of the file, or one that is not there.
pub(super) struct Section<'f, 'i> {
    findings: &'f Findings,
    path: String,
    /// None: left out, every key is at its default.
    table: Option<&'f DeTable<'i>>,
    /// Its header, where what is missing in it is shown.
    span: Range<usize>,
    asked: Vec<&'static str>,
}

impl<'f, 'i> Section<'f, 'i> {
    pub fn root(findings: &'f Findings, document: &'f DeTable<'i>) -> Self {
        Self { findings, path: String::new(), table: Some(document), span: 0..0, asked: vec![] }
    }

    pub fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Whether `key` is given, right or wrong.
    pub fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Refuses the section as such, or what is missing in it.
    pub fn refuse(&self, wrong: &str, expected: &str) {
        self.findings.refuse(self.span.clone(), &self.path, wrong, expected);
    }

    /// Refuses the value of `key`, or, where it is left out, its absence.
    pub fn refuse_key(&self, key: &str, wrong: impl AsRef<str>, expected: impl AsRef<str>) {
        let span = self.table.and_then(|table| table.get(key)).map_or(self.span.clone(), Spanned::span);
        self.findings.refuse(span, &self.path_of(key), wrong, expected);
    }

    /// The value of `key`, None where it is left out or wrong.
    pub fn optional<T: 'static>(&mut self, key: &'static str, form: Form<T>) -> Option<T> {
        let value = self.ask(key, form.shape)?;
        form.read(value.get_ref()).map_err(|wrong| self.refuse_key(key, wrong, &form.expected)).ok()
    }

    pub fn or<T: 'static>(&mut self, key: &'static str, form: Form<T>, default: T) -> T {
        self.optional(key, form).unwrap_or(default)
    }

    /// The value of a key that must be there.
    pub fn required<T: 'static>(&mut self, key: &'static str, form: Form<T>) -> Option<T> {
        if self.table.is_none_or(|table| !table.contains_key(key)) {
            self.refuse_key(key, "is missing", &form.expected);
        }
        self.optional(key, form)
    }

    /// The items of a list, each with its place; None where it is left out or one is wrong.
    pub fn list<T: 'static>(&mut self, key: &'static str, form: Form<T>) -> Option<Vec<Spanned<T>>> {
        let value = self.ask(key, Shape::List)?;
        let Some(items) = value.get_ref().as_array() else {
            self.refuse_key(key, describe(value.get_ref()), format!("a list, each item {}", form.expected));
            return None;
        };
        let path = self.path_of(key);
        let read = |item: &Spanned<DeValue<'_>>| match form.read(item.get_ref()) {
            Ok(value) => Some(Spanned::new(item.span(), value)),
            Err(wrong) => {
                self.findings.refuse(item.span(), &path, wrong, &form.expected);
                None
            }
        };
        // All are read before one that is wrong counts, so that each is told.
        items.iter().map(read).collect::<Vec<_>>().into_iter().collect()
    }

    /// As [`Section::list`], refusing what is there twice, and `default` where it is left out.
    pub fn set<T: PartialEq + 'static>(&mut self, key: &'static str, form: Form<T>, default: Vec<T>) -> Vec<T> {
        let Some(items) = self.list(key, form) else { return default };
        let mut set = Vec::with_capacity(items.len());
        for item in items {
            if set.contains(item.get_ref()) {
                self.findings.refuse(item.span(), &self.path_of(key), "is there twice", "each once");
            } else {
                set.push(item.into_inner());
            }
        }
        set
    }

    /// A table below this one.
    pub fn section(&mut self, key: &'static str) -> Section<'f, 'i> {
        let value = self.ask(key, Shape::Table);
        let table = value.and_then(|value| {
            let table = value.get_ref().as_table();
            if table.is_none() {
                self.refuse_key(key, describe(value.get_ref()), "a table");
            }
            table
        });
        let span = value.map_or(self.span.clone(), Spanned::span);
        Section { findings: self.findings, path: self.path_of(key), table, span, asked: vec![] }
    }

    /// The tables `[key.NAME]` in the order of the file, with the place of each name.
    pub fn named_sections(&mut self, key: &'static str) -> Vec<(Spanned<String>, Section<'f, 'i>)> {
        let names = self.section(key);
        let entries = names.table.into_iter().flat_map(|table| table.iter());
        let mut sections = vec![];
        for (name, value) in entries {
            let path = names.path_of(name.get_ref());
            let Some(table) = value.get_ref().as_table() else {
                let expected = format!("a table [{key}.NAME]");
                self.findings.refuse(value.span(), &path, describe(value.get_ref()), expected);
                continue;
            };
            let name = Spanned::new(name.span(), name.get_ref().to_string());
            let span = name.span();
            sections.push((name, Section { findings: self.findings, path, table: Some(table), span, asked: vec![] }));
        }
        sections.sort_by_key(|(name, _)| name.span().start);
        sections
    }

    /// The tables `[[key]]`, in the order of the file; each is known by what its `name` says.
    pub fn repeated_sections(&mut self, key: &'static str) -> Vec<Section<'f, 'i>> {
        let Some(value) = self.ask(key, Shape::Table) else { return vec![] };
        let Some(items) = value.get_ref().as_array() else {
            self.refuse_key(key, describe(value.get_ref()), format!("tables [[{key}]]"));
            return vec![];
        };
        let mut sections = vec![];
        for item in items.iter() {
            let Some(table) = item.get_ref().as_table() else {
                self.findings.refuse(item.span(), key, describe(item.get_ref()), format!("tables [[{key}]]"));
                continue;
            };
            let name = table.get("name").and_then(|name| name.get_ref().as_str());
            let path = name.map_or(key.to_owned(), |name| format!("{key}.{}", quoted(name)));
            let span = item.span();
            sections.push(Section { findings: self.findings, path, table: Some(table), span, asked: vec![] });
        }
        sections
    }

    /// Entries with free names, such as V4L2 controls, in the order of the file.
    pub fn entries<T: 'static>(&mut self, key: &'static str, form: Form<T>) -> Vec<(String, T)> {
        let section = self.section(key);
        let mut entries: Vec<_> = section.table.into_iter().flat_map(|table| table.iter()).collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        let read = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| match form.read(value.get_ref()) {
            Ok(value) => Some((name.to_string(), value)),
            Err(wrong) => {
                section.refuse_key(&name.to_string(), wrong, &form.expected);
                None
            }
        };
        entries.into_iter().filter_map(read).collect()
    }

    /// Refuses the keys that nobody asked for.
    pub fn finish(self) {
        for (key, _) in self.table.into_iter().flat_map(|table| table.iter()) {
            if self.asked.contains(&key.get_ref().as_ref()) {
                continue;
            }
            let path = self.path_of(key.get_ref());
            match nearest(key.get_ref(), self.asked.iter().copied()) {
                Some(meant) => self.findings.refuse(key.span(), &path, "unknown key", format!("`{meant}`")),
                None => {
                    let known = one_of(self.asked.iter().map(|key| format!("`{key}`")));
                    self.findings.refuse(key.span(), &path, "unknown key", known);
                }
            }
        }
    }

    fn ask(&mut self, key: &'static str, shape: Shape) -> Option<&'f Spanned<DeValue<'i>>> {
        self.asked.push(key);
        self.findings.keys.borrow_mut().push((self.path_of(key), shape));
        self.table?.get(key)
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { quoted(key) } else { format!("{}.{}", self.path, quoted(key)) }
    }
}

/// A key as TOML writes it within a dotted one.
fn quoted(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { key.to_owned() } else { format!("{key:?}") }
}
