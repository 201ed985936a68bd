//! What is wrong with a definition: which file, which provider, which field, which line.
//!
//! Problems are collected, never thrown: one broken file must not keep the others from loading.
//! Text from the file is shown only through [`quoted`], so that a hostile file cannot write escape
//! sequences to somebody's terminal.

use std::fmt;
use std::path::PathBuf;

/// Longest piece of a file that a message repeats, in characters; more would hide the message.
const QUOTED_MAX: usize = 80;

/// One thing to tell the person who wrote a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file it is in.
    pub file: PathBuf,
    /// The provider it concerns, as far as the file says.
    pub provider: Option<String>,
    /// The field, as in `routes[0].hosts[1]`.
    pub field: Option<String>,
    /// The line, counted from 1.
    pub line: Option<usize>,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong and, where we know it, the way out; lower case, no final period.
    pub message: String,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The thing named is not used: the whole definition or, where the message says so, one host.
    Error,
    /// It is used, but probably not as its author thinks.
    Warning,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.file.to_string_lossy().escape_debug())?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(field) = &self.field {
            write!(f, ", `{field}`")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// `text` in backticks, without anything a terminal would obey, cut where it gets long.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", plain(text))
}

/// As [`quoted`], without the backticks.
pub(super) fn plain(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(QUOTED_MAX)
        .flat_map(|c| {
            let risky = c.is_control() || is_direction_mark(c);
            let escaped = risky.then(|| c.escape_unicode());
            let same = (!risky).then_some(c);
            escaped.into_iter().flatten().chain(same)
        })
        .collect();
    if text.chars().nth(QUOTED_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// Characters that turn the reading direction: `evil.com` could be shown as something else.
pub(super) fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_file_line_and_field() {
        let problem = Problem {
            file: "providers/x.json".into(),
            provider: Some("x".into()),
            field: Some("routes[0].hosts".into()),
            line: Some(7),
            severity: Severity::Error,
            message: "this list cannot be empty".into(),
        };
        assert_eq!(
            problem.to_string(),
            "`providers/x.json`, line 7, `routes[0].hosts`: this list cannot be empty"
        );
    }

    #[test]
    fn quoted_text_cannot_drive_a_terminal() {
        assert_eq!(quoted("a\x1b[2Jb\u{202e}"), "`a\\u{1b}[2Jb\\u{202e}`");
        assert!(quoted(&"x".repeat(200)).chars().count() < 90);
    }
}
