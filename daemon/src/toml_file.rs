//! TOML files that people write: text → tables, with errors that name the line, the key and what
//! was probably meant.
//!
//! Shared by `config.toml` and `authsome.toml`. No error repeats a value, which may hold a
//! password; keys and words are repeated without control characters.

use serde::de::DeserializeOwned;

use crate::errors::printable;

/// Tables with their keys, for suggestions; the table `""` has the values that are words.
pub type Known = [(&'static str, &'static [&'static str])];

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct TomlError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Reads `text` as a `T` whose keys are `known`.
pub fn read<T: DeserializeOwned>(text: &str, known: &Known) -> Result<T, TomlError> {
    toml::from_str(text).map_err(|error| explain(&error, text, known))
}

/// The line of the byte at `offset`, from 1.
pub fn line_at(text: &str, offset: usize) -> usize {
    1 + text.get(..offset).unwrap_or(text).matches('\n').count()
}

fn explain(error: &toml::de::Error, text: &str, known: &Known) -> TomlError {
    let line = error.span().map_or(1, |span| line_at(text, span.start));
    let message = error.message();
    let named = message
        .split('`')
        .nth(1)
        .filter(|_| message.starts_with("unknown"));
    let (message, hint) = match named {
        Some(name) => {
            let section = section_at(text, line);
            let is_value = message.starts_with("unknown variant");
            let what = if is_value { "value" } else { "key" };
            let message = format!("unknown {what} `{}`{section}", printable(name));
            (message, Some(suggest(name, is_value, known)))
        }
        None => (printable(&message.trim().replace('\n', ", ")), None),
    };
    TomlError {
        line,
        message,
        hint,
    }
}

/// What `name` was probably meant to be, or where it belongs.
fn suggest(name: &str, is_value: bool, known: &Known) -> String {
    let belongs = |(table, keys): &&(&str, &[&str])| !table.is_empty() && keys.contains(&name);
    if let Some((table, _)) = known.iter().find(belongs).filter(|_| !is_value) {
        return format!("it belongs to `[{table}]`");
    }
    known
        .iter()
        .flat_map(|(table, keys)| std::iter::once(table).chain(*keys))
        .map(|known| (strsim::damerau_levenshtein(known, name), known))
        .min()
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .map_or_else(
            || "the README lists every key".to_owned(),
            |(_, known)| format!("did you mean `{known}`?"),
        )
}

/// ` in [table]` for the table that a line belongs to.
fn section_at(text: &str, line: usize) -> String {
    text.lines()
        .take(line)
        .filter(|text| text.trim_start().starts_with('['))
        .last()
        .map(|header| format!(" in `{}`", printable(header.trim())))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(rename = "run")]
        _run: Option<Table>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Table {
        #[serde(rename = "only")]
        _only: Option<Word>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        Deny,
    }

    const KNOWN: &Known = &[("run", &["only"]), ("other", &["deny"]), ("", &["deny"])];

    #[test]
    fn an_unknown_word_has_its_line_its_table_and_what_was_meant() {
        for (text, line, message, hint) in [
            (
                "[run]\n\nonyl = 1",
                3,
                "unknown key `onyl` in `[run]`",
                "did you mean `only`?",
            ),
            (
                "[run]\nonly = \"dney\"",
                2,
                "unknown value `dney` in `[run]`",
                "did you mean `deny`?",
            ),
            ("only = 1", 1, "unknown key `only`", "it belongs to `[run]`"),
            (
                "[run]\ndeny = 1",
                2,
                "unknown key `deny` in `[run]`",
                "it belongs to `[other]`",
            ),
            (
                "[zzzzzzzz]",
                1,
                "unknown key `zzzzzzzz` in `[zzzzzzzz]`",
                "the README lists every key",
            ),
            (
                "\"a\\u001b[2J\" = 1",
                1,
                "unknown key `a\u{fffd}[2J`",
                "the README lists every key",
            ),
        ] {
            let error = read::<File>(text, KNOWN).unwrap_err();
            assert_eq!(error.message, message);
            assert_eq!(error.line, line, "{text}");
            assert_eq!(error.hint.as_deref(), Some(hint), "{text}");
        }
        assert!(read::<File>("[run]\nonly = \"deny\"", KNOWN).is_ok());
        assert_eq!(read::<File>("\n[run", KNOWN).unwrap_err().line, 2);
    }
}
