use std::{fmt, ops::Range};

/// Everything that is wrong with a config file, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

/// `F:LINE:COL: key: what is wrong; expected …`, the line, and a caret under the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, as it was named.
    pub origin: String,
    /// None where the file could not even be read.
    pub place: Option<Place>,
    /// Dotted, such as `stream.main.video.bitrate`.
    pub key: String,
    /// What is wrong; and after `; expected ` the mend.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The whole line, without its end.
    pub text: String,
}

impl Place {
    /// Where byte `offset` of `text` lies.
    pub(super) fn of(text: &str, offset: usize) -> Self {
        let offset = (0..=offset.min(text.len())).rev().find(|offset| text.is_char_boundary(*offset)).unwrap_or(0);
        let start = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let line = text[start..].split('\n').next().unwrap_or_default().trim_end_matches('\r');
        Self {
            line: text[..start].matches('\n').count() + 1,
            column: text[start..offset].chars().count() + 1,
            text: line.to_owned(),
        }
    }
}

/// An error before its place is known in lines and columns.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub span: Range<usize>,
    pub key: String,
    pub message: String,
}

impl ConfigErrors {
    pub(super) fn new(origin: &str, text: &str, mut found: Vec<Found>) -> Self {
        found.sort_by_key(|error| error.span.start);
        let locate = |Found { span, key, message }| ConfigError {
            origin: origin.to_owned(),
            place: Some(Place::of(text, span.start)),
            key,
            message,
        };
        Self(found.into_iter().map(locate).collect())
    }

    /// What the TOML parser says; of the errors in one line the first, as the others follow from it.
    pub(super) fn syntax(origin: &str, text: &str, errors: Vec<toml::de::Error>) -> Self {
        let found = errors.into_iter().map(|error| {
            let message = error.message().replace('\n', ", ");
            let message = match message.rsplit_once(", expected ") {
                Some((wrong, expected)) => format!("{wrong}; expected {expected}"),
                None if message.contains("duplicate") => format!("{message}; expected each key and table once"),
                None => format!("{message}; expected TOML"),
            };
            Found { span: error.span().unwrap_or(0..0), key: "syntax".into(), message }
        });
        let mut errors = Self::new(origin, text, found.collect());
        errors.0.dedup_by_key(|error| error.place.as_ref().map(|place| place.line));
        errors
    }

    /// One that concerns the file as a whole.
    pub(super) fn of_file(origin: &str, message: String) -> Self {
        Self(vec![ConfigError { origin: origin.to_owned(), place: None, key: String::new(), message }])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, place, key, message } = self;
        let Some(Place { line, column, text }) = place else { return write!(f, "{origin}: {message}") };
        writeln!(f, "{origin}:{line}:{column}: {key}: {message}")?;
        writeln!(f, "{}", text.replace(|c: char| c.is_control() && c != '\t', "\u{fffd}"))?;
        // Tabs stay tabs, so that the caret stands right at any tab width.
        let indent = text.chars().chain(std::iter::repeat(' ')).take(column - 1);
        write!(f, "{}^", indent.map(|c| if c == '\t' { '\t' } else { ' ' }).collect::<String>())
    }
}

impl std::error::Error for ConfigErrors {}
impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_place() {
        let text = "a = 1\r\n\tß = 22\n";
        let errors = ConfigErrors::new(
            "f.toml",
            text,
            vec![Found { span: text.find("22").unwrap()..text.len(), key: "ß".into(), message: "bad".into() }],
        );
        assert_eq!(errors.to_string(), "f.toml:2:6: ß: bad\n\tß = 22\n\t    ^");
        assert_eq!(Place::of("", 7), Place { line: 1, column: 1, text: String::new() });
    }
}
