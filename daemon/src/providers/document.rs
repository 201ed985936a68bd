//! A definition's text as objects and values that know their field path and line.
//!
//! [`Table`] and [`Item`] report wrong types by themselves, so that readers of a format only name
//! what they want. [`Report`] collects what is found.
//!
//! Invariant: work and memory are linear in the text, whose size the caller limits.

use std::path::Path;

use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::problem::{Problem, Severity, is_direction_mark, quoted};
use super::suggest;

/// Longest text in a definition, in bytes. Hints and notes are sentences; more would flood a
/// terminal or the login page.
const TEXT_LEN_MAX: usize = 2048;

/// Most problems that are told of one file; the rest is noise to whoever mends the first.
pub(super) const PROBLEMS_MAX: usize = 50;

/// The value that `text` holds, with all positions. The error is one for the whole file.
pub(super) fn parse_value<'t>(report: &mut Report<'t>) -> Option<Value<'t>> {
    match parse_to_ast(report.text, &CollectOptions::default(), &strict()) {
        Ok(parsed) => {
            if parsed.value.is_none() {
                report.push(Severity::Error, None, None, "the file is empty".into());
            }
            parsed.value
        }
        Err(error) => {
            let reason = error.kind().to_string().to_lowercase();
            report.push(Severity::Error, None, Some(error.line_display()), reason);
            None
        }
    }
}

/// JSON with comments and trailing commas, and nothing of JSON5: two spellings of one thing are
/// one too many in a file that people compare.
fn strict() -> ParseOptions {
    ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

/// Collects the problems of one file.
pub(super) struct Report<'t> {
    text: &'t str,
    file: &'t Path,
    provider: Option<String>,
    problems: Vec<Problem>,
    fatal: bool,
}

impl<'t> Report<'t> {
    pub(super) fn new(text: &'t str, file: &'t Path) -> Self {
        Self {
            text: text.strip_prefix('\u{feff}').unwrap_or(text),
            file,
            provider: None,
            problems: Vec::new(),
            fatal: false,
        }
    }

    /// The definition cannot be used because of this.
    pub(super) fn error(&mut self, field: &str, at: usize, message: impl Into<String>) {
        self.fatal = true;
        self.push(
            Severity::Error,
            Some(field),
            Some(self.line(at)),
            message.into(),
        );
    }

    /// This one thing is not used; the rest of the definition is, and is narrower for it.
    pub(super) fn left_out(&mut self, field: &str, at: usize, message: impl Into<String>) {
        self.push(
            Severity::Error,
            Some(field),
            Some(self.line(at)),
            message.into(),
        );
    }

    /// It is used, but probably not as its author thinks.
    pub(super) fn warning(&mut self, field: &str, at: usize, message: impl Into<String>) {
        self.push(
            Severity::Warning,
            Some(field),
            Some(self.line(at)),
            message.into(),
        );
    }

    /// Whether something was found that makes the definition useless.
    pub(super) fn is_fatal(&self) -> bool {
        self.fatal
    }

    fn push(&mut self, severity: Severity, field: Option<&str>, line: Option<usize>, text: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem {
                file: self.file.to_owned(),
                provider: None,
                field: field.filter(|field| !field.is_empty()).map(str::to_owned),
                line,
                severity,
                message: text,
            });
        }
    }

    fn line(&self, at: usize) -> usize {
        1 + self
            .text
            .get(..at)
            .unwrap_or_default()
            .matches('\n')
            .count()
    }

    /// From now on, and in hindsight, the problems concern this provider.
    pub(super) fn concerns(&mut self, provider: &str) {
        self.provider = Some(provider.to_owned());
    }

    /// Everything that was found.
    pub(super) fn finish(self) -> Vec<Problem> {
        let mut problems = self.problems;
        for problem in &mut problems {
            problem.provider.clone_from(&self.provider);
        }
        problems
    }
}

/// An object of the document and the path that leads to it.
pub(super) struct Table<'a, 't> {
    object: &'a Object<'t>,
    path: String,
}

impl<'a, 't> Table<'a, 't> {
    /// The whole document. A field that is given twice is an error.
    pub(super) fn root(report: &mut Report<'_>, value: &'a Value<'t>) -> Option<Self> {
        let Value::Object(object) = value else {
            let message = format!("a definition is an object, this is {}", kind_of(value));
            report.error("", value.start(), message);
            return None;
        };
        let root = Self {
            object,
            path: String::new(),
        };
        root.reject_duplicates(report);
        Some(root)
    }

    /// The field `name`, if it is there.
    pub(super) fn item(&self, name: &str) -> Option<Item<'a, 't>> {
        let prop = self
            .object
            .properties
            .iter()
            .find(|prop| prop.name.as_str() == name)?;
        Some(Item {
            value: &prop.value,
            path: join(&self.path, name),
        })
    }

    /// The field `name`, if it is there and not `null`.
    pub(super) fn present(&self, name: &str) -> Option<Item<'a, 't>> {
        self.item(name).filter(|item| !item.is_null())
    }

    /// The field `name`; its absence is an error.
    pub(super) fn required(&self, report: &mut Report<'_>, name: &str) -> Option<Item<'a, 't>> {
        let item = self.item(name);
        if item.is_none() {
            report.error(&self.path, self.at(), format!("`{name}` is missing"));
        }
        item
    }

    /// All fields in order.
    pub(super) fn items(&self) -> impl Iterator<Item = (&'a str, Item<'a, 't>)> {
        self.object.properties.iter().map(|prop| {
            let name = prop.name.as_str();
            (
                name,
                Item {
                    value: &prop.value,
                    path: join(&self.path, name),
                },
            )
        })
    }

    /// The fields that are none of `known`, each with a hint for its message.
    pub(super) fn unknown(&self, known: &[&str]) -> Vec<(&'a str, usize, String)> {
        let unknown = self.object.properties.iter().filter(|prop| {
            let name = prop.name.as_str();
            !known.contains(&name)
        });
        unknown
            .map(|prop| {
                let name = prop.name.as_str();
                let hint = suggest::hint(name, known.iter().copied());
                (name, prop.start(), hint)
            })
            .collect()
    }

    /// Reports fields that are none of `known`, and fields that are there twice.
    pub(super) fn accept_only(&self, report: &mut Report<'_>, known: &[&str]) {
        for (name, at, hint) in self.unknown(known) {
            report.error(
                &self.path,
                at,
                format!("unknown field {}{hint}", quoted(name)),
            );
        }
        if !self.path.is_empty() {
            self.reject_duplicates(report);
        }
    }

    fn reject_duplicates(&self, report: &mut Report<'_>) {
        let mut seen = std::collections::HashSet::new();
        for prop in &self.object.properties {
            let name = prop.name.as_str();
            if !seen.insert(name) {
                let message = format!("{} is given twice", quoted(name));
                report.error(&self.path, prop.start(), message);
            }
        }
    }

    /// Where it begins.
    pub(super) fn at(&self) -> usize {
        self.object.start()
    }

    /// The path that leads to it; `""` for the whole document.
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

/// A value of the document and the path that leads to it.
pub(super) struct Item<'a, 't> {
    value: &'a Value<'t>,
    /// As in `routes[0].hosts[1]`.
    pub(super) path: String,
}

impl<'a, 't> Item<'a, 't> {
    /// Where it begins.
    pub(super) fn at(&self) -> usize {
        self.value.start()
    }

    /// Whether it is `null`.
    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, Value::NullKeyword(_))
    }

    /// Whether it is an object.
    pub(super) fn is_table(&self) -> bool {
        matches!(self.value, Value::Object(_))
    }

    /// Text that can be shown to people: bounded, without control characters.
    pub(super) fn text(&self, report: &mut Report<'_>) -> Option<String> {
        let Value::StringLit(text) = self.value else {
            self.wrong(report, "text");
            return None;
        };
        if text.value.len() > TEXT_LEN_MAX {
            let message = format!("this text is longer than {TEXT_LEN_MAX} bytes");
            report.error(&self.path, self.at(), message);
            return None;
        }
        if text
            .value
            .chars()
            .any(|c| c.is_control() || is_direction_mark(c))
        {
            report.error(
                &self.path,
                self.at(),
                "this text has control characters in it",
            );
            return None;
        }
        Some(text.value.clone().into_owned())
    }

    /// Text that is not blank.
    pub(super) fn words(&self, report: &mut Report<'_>) -> Option<String> {
        let text = self.text(report)?;
        if text.trim().is_empty() {
            report.error(&self.path, self.at(), "this text cannot be empty");
            return None;
        }
        Some(text)
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, report: &mut Report<'_>) -> Option<bool> {
        if let Value::BooleanLit(flag) = self.value {
            return Some(flag.value);
        }
        self.wrong(report, "true or false");
        None
    }

    /// A whole number.
    pub(super) fn number<N: std::str::FromStr>(&self, report: &mut Report<'_>) -> Option<N> {
        if let Value::NumberLit(number) = self.value
            && let Ok(number) = number.value.parse()
        {
            return Some(number);
        }
        self.wrong(report, "a whole number in range");
        None
    }

    /// An object.
    pub(super) fn table(&self, report: &mut Report<'_>) -> Option<Table<'a, 't>> {
        if let Value::Object(object) = self.value {
            return Some(Table {
                object,
                path: self.path.clone(),
            });
        }
        self.wrong(report, "an object");
        None
    }

    /// The elements of a list.
    pub(super) fn list(&self, report: &mut Report<'_>) -> Option<Vec<Self>> {
        let elements = self.elements();
        if elements.is_none() {
            self.wrong(report, "a list");
        }
        elements
    }

    /// The elements of a list, or the value itself where it is none.
    pub(super) fn list_or_one(self) -> Vec<Self> {
        self.elements().unwrap_or_else(|| vec![self])
    }

    /// A list of texts that are not blank. Elements that are wrong are reported and left out.
    pub(super) fn texts(&self, report: &mut Report<'_>) -> Option<Vec<String>> {
        let items = self.list(report)?;
        Some(items.iter().filter_map(|item| item.words(report)).collect())
    }

    fn elements(&self) -> Option<Vec<Self>> {
        let Value::Array(array) = self.value else {
            return None;
        };
        let items = array.elements.iter().enumerate();
        Some(
            items
                .map(|(n, value)| Self {
                    value,
                    path: format!("{}[{n}]", self.path),
                })
                .collect(),
        )
    }

    fn wrong(&self, report: &mut Report<'_>, wanted: &str) {
        let message = format!("this has to be {wanted}, not {}", kind_of(self.value));
        report.error(&self.path, self.at(), message);
    }
}

fn join(path: &str, name: &str) -> String {
    let name = super::problem::plain(name);
    if path.is_empty() {
        name
    } else {
        format!("{path}.{name}")
    }
}

fn kind_of(value: &Value<'_>) -> &'static str {
    match value {
        Value::Array(_) => "a list",
        Value::BooleanLit(_) => "true or false",
        Value::NullKeyword(_) => "null",
        Value::NumberLit(_) => "a number",
        Value::Object(_) => "an object",
        Value::StringLit(_) => "text",
    }
}
