//! Reading a definition's text: JSON with comments, with the field path and the line of everything.
//!
//! [`parse_definition`] is the one entrance. It decides which format a file is in and collects
//! problems; `native` and `dialect` walk the document through [`Table`] and [`Item`], which report
//! wrong types by themselves.
//!
//! Invariants: no input panics (property test, threat L12); work and memory are linear in the text,
//! whose size the caller limits.

use std::path::Path;

use authsome_proto::ProviderName;
use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::definition::Definition;
use super::problem::{Problem, Severity, is_direction_mark, quoted};
use super::suggest;
use super::{dialect, native};

/// Longest text in a definition, in bytes. Hints and notes are sentences; more would flood a
/// terminal or the login page.
const TEXT_LEN_MAX: usize = 2048;

/// Most problems that are told of one file; the rest is noise to whoever mends the first.
const PROBLEMS_MAX: usize = 50;

/// Reads a definition in our format or in one of the Python product's.
///
/// `fallback_name` is the name to use where the text gives none. A definition comes back whenever
/// it can be used; problems may come with it (a warning, or a host that was left out).
pub fn parse_definition(
    text: &str,
    file: &Path,
    fallback_name: Option<&str>,
) -> (Option<Definition>, Vec<Problem>) {
    let mut report = Report::new(text, file);
    let definition = read(&mut report, fallback_name);
    (definition, report.finish())
}

fn read(report: &mut Report<'_>, fallback_name: Option<&str>) -> Option<Definition> {
    if let Some(name) = fallback_name {
        report.provider = Some(name.to_owned());
    }
    let text = report.text.strip_prefix('\u{feff}').unwrap_or(report.text);
    report.text = text;
    let root = match parse_to_ast(text, &CollectOptions::default(), &strict()) {
        Ok(parsed) => parsed.value,
        Err(error) => {
            let reason = error.kind().to_string().to_lowercase();
            report.push(Severity::Error, None, Some(error.line_display()), reason);
            return None;
        }
    };
    let Some(root) = root else {
        report.push(Severity::Error, None, None, "the file is empty".into());
        return None;
    };
    let Value::Object(object) = &root else {
        let message = format!("a definition is an object, this is {}", kind_of(&root));
        report.push(
            Severity::Error,
            None,
            Some(report.line(root.start())),
            message,
        );
        return None;
    };
    let table = Table {
        object,
        path: String::new(),
    };
    table.reject_duplicates(report);
    let name = read_name(report, &table, fallback_name);
    let is_dialect = table.item("v").is_none()
        && ["schema_version", "auth_type", "api_url", "host_url"]
            .iter()
            .any(|field| table.item(field).is_some());
    if is_dialect {
        dialect::read(report, &table, name)
    } else {
        native::read(report, &table, name)
    }
}

fn read_name(
    report: &mut Report<'_>,
    table: &Table<'_, '_>,
    fallback: Option<&str>,
) -> Option<ProviderName> {
    let Some(item) = table.item("name") else {
        if let Some(name) = fallback.and_then(|name| name.parse().ok()) {
            return Some(name);
        }
        report.error(&table.path, table.object.start(), "`name` is missing");
        return None;
    };
    let name = item.text(report)?;
    match name.parse::<ProviderName>() {
        Ok(name) => {
            report.provider = Some(name.as_str().to_owned());
            Some(name)
        }
        Err(error) => {
            report.error(&item.path, item.at(), error.to_string());
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
    fn new(text: &'t str, file: &'t Path) -> Self {
        Self {
            text,
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
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }

    fn finish(self) -> Vec<Problem> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::providers::bundled;

    /// Whatever comes in: no panic, and what is accepted can be written and read again.
    fn holds(text: &str) -> Result<(), TestCaseError> {
        let (definition, problems) = parse_definition(text, Path::new("x.json"), Some("x"));
        prop_assert!(definition.is_some() || !problems.is_empty());
        prop_assert!(problems.len() <= PROBLEMS_MAX);
        if let Some(definition) = definition {
            let json = definition.to_json();
            let (again, problems) = parse_definition(&json, Path::new("x.json"), None);
            prop_assert_eq!(problems, vec![], "{}", json);
            prop_assert_eq!(again, Some(definition));
        }
        for problem in &problems {
            let shown = problem.to_string();
            prop_assert!(!shown.chars().any(char::is_control), "{:?}", shown);
        }
        Ok(())
    }

    #[test]
    fn empty_and_foreign_documents_say_what_they_are() {
        for (text, wanted) in [
            ("", "the file is empty"),
            (" \n // nothing\n", "the file is empty"),
            ("\u{feff}", "the file is empty"),
            ("[]", "a definition is an object, this is a list"),
            ("{\"v\": 1", "unterminated object"),
            ("{} {}", "text cannot contain more than one json value"),
            ("{'v': 1}", "single-quoted strings are not allowed"),
        ] {
            let (definition, problems) = parse_definition(text, Path::new("x.json"), Some("x"));
            assert!(definition.is_none());
            assert_eq!(problems.len(), 1, "{text:?}");
            assert_eq!(problems[0].message, wanted, "{text:?}");
            assert_eq!(problems[0].provider.as_deref(), Some("x"));
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let text = format!("{{\"v\": {}", "[".repeat(200_000));
        let (definition, problems) = parse_definition(&text, Path::new("x.json"), None);
        assert!(definition.is_none());
        assert_eq!(problems.len(), 1);
    }

    /// A value with the fields that definitions have, in all the wrong places.
    fn value() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            (0_u32..70_000).prop_map(|n| n.to_string()),
            r#""[ -!#-\[\]-~]{0,12}""#,
            r#""(regex:)?\^?(\.\*)?[a-z]{1,3}\.(com|[a-z.]{2,5})\$?(/[a-z]{0,3})?""#,
            prop::sample::select(vec![
                "api_key",
                "oauth2",
                "browser",
                "pkce",
                "API_TOKEN",
                "{secret}",
                "Bearer",
                "https://x.com",
                "{base_url}/a",
                "GET",
                "X_KEY",
                "cookie:a",
                "llm",
                "*.x.com",
            ])
            .prop_map(|text| format!("\"{text}\"")),
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            let field = prop::sample::select(vec![
                "v",
                "name",
                "display_name",
                "kind",
                "auth",
                "routes",
                "env",
                "key",
                "oauth",
                "browser",
                "hosts",
                "port",
                "path",
                "methods",
                "header",
                "basic",
                "query",
                "prefix",
                "pattern",
                "urls",
                "schema_version",
                "auth_type",
                "flow",
                "api_url",
                "host_url",
                "api_key",
                "export",
                "header_name",
                "header_prefix",
                "token_url",
                "authorization_url",
                "base_url",
                "scopes",
                "domains",
                "auth_cookies",
                "entry_url",
                "extract",
                "key_pattern",
                "env_var",
                "registration",
                "availability",
                "not_yet",
            ]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|list| format!("[{}]", list.join(","))),
                prop::collection::vec((field, inner), 0..8).prop_map(|fields| {
                    let fields: Vec<_> = fields
                        .iter()
                        .map(|(name, value)| format!("\"{name}\":{value}"))
                        .collect();
                    format!("{{{}}}", fields.join(","))
                }),
            ]
        })
    }

    proptest! {
        /// Threat L12, target `provider_json`.
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            holds(&text)?;
        }

        /// Threat L12, target `provider_json`.
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            holds(&String::from_utf8_lossy(&bytes))?;
        }

        /// Threat L12, target `provider_json`.
        #[test]
        fn no_structure_panics(value in value()) {
            holds(&value)?;
        }

        /// Threat L12, target `provider_json`: the smallest definitions with one wild field.
        #[test]
        fn no_field_panics(value in value(), field in prop::sample::select(vec![
            "routes", "oauth", "browser", "env", "key", "export", "api_key", "api_url", "registration",
        ])) {
            for kind in ["api_key", "oauth2", "browser"] {
                holds(&format!(
                    r#"{{"v": 1, "name": "x", "display_name": "X", "auth": "{kind}",
                        "routes": [{{"hosts": ["x.com"], "query": {{"name": "k"}}}}], "{field}": {value}}}"#
                ))?;
                holds(&format!(
                    r#"{{"{field}": {value}, "auth_type": "{kind}", "api_url": "api.x.com",
                        "oauth": {{"token_url": "https://x.com/t", "authorization_url": "https://x.com/a"}}}}"#
                ))?;
            }
        }

        /// Threat L12, target `provider_json`: bundled definitions, cut and pasted.
        #[test]
        fn no_damage_panics(
            which in 0..bundled::DEFINITIONS.len(),
            at in 0_usize..1500,
            cut in 0_usize..60,
            paste in prop_oneof![Just(String::new()), ".{0,20}", r#"[\[\]{}",:]{1,3}"#],
        ) {
            let text: Vec<char> = bundled::DEFINITIONS[which].1.chars().collect();
            let at = at.min(text.len());
            let end = (at + cut).min(text.len());
            let damaged: String =
                text[..at].iter().copied().chain(paste.chars()).chain(text[end..].iter().copied()).collect();
            holds(&damaged)?;
        }
    }
}
