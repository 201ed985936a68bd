//! Reading a definition: which format it is in, and whose it is.
//!
//! [`parse_definition`] is the one entrance for bundled definitions, overrides and `register`.
//!
//! Invariant: no input panics, and what is accepted can be written and read again as the same
//! definition (property tests, threat L12).

use std::path::Path;

use authsome_proto::ProviderName;

use super::definition::Definition;
use super::document::{Report, Table, parse_value};
use super::fields::checked;
use super::problem::{Problem, quoted};
use super::{dialect, native};

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
    let definition = read(&mut report, fallback_name.map(Naming::Fallback));
    (definition, report.finish())
}

/// As [`parse_definition`], for a file whose name decides: the text may leave its name out, but not
/// give another.
pub(super) fn parse_override(
    text: &str,
    file: &Path,
    stem: &str,
) -> (Option<Definition>, Vec<Problem>) {
    let mut report = Report::new(text, file);
    let definition = read(&mut report, Some(Naming::File(stem)));
    (definition, report.finish())
}

/// What is known of the name before the text is read.
#[derive(Clone, Copy)]
enum Naming<'n> {
    /// The text has to give this name, if any.
    File(&'n str),
    /// The name, where the text gives none.
    Fallback(&'n str),
}

fn read(report: &mut Report<'_>, naming: Option<Naming<'_>>) -> Option<Definition> {
    if let Some(Naming::File(name) | Naming::Fallback(name)) = naming {
        report.concerns(name);
    }
    let value = parse_value(report)?;
    let root = Table::root(report, &value)?;
    let name = read_name(report, &root, naming);
    let is_dialect = root.item("v").is_none()
        && ["schema_version", "auth_type", "api_url", "host_url"]
            .iter()
            .any(|field| root.item(field).is_some());
    if is_dialect {
        dialect::read(report, &root, name)
    } else {
        native::read(report, &root, name)
    }
}

fn read_name(
    report: &mut Report<'_>,
    table: &Table<'_, '_>,
    naming: Option<Naming<'_>>,
) -> Option<ProviderName> {
    let known = naming.map(|(Naming::File(name) | Naming::Fallback(name))| name);
    let Some(item) = table.item("name") else {
        if let Some(name) = known.and_then(|name| name.parse().ok()) {
            return Some(name);
        }
        report.error(table.path(), table.at(), "`name` is missing");
        return None;
    };
    let text = item.text(report)?;
    if let Some(Naming::File(stem)) = naming
        && stem != text
    {
        let message = format!(
            "the file is named {} but defines {}; rename one of them",
            quoted(&format!("{stem}.json")),
            quoted(&text)
        );
        report.error(&item.path, item.at(), message);
        return None;
    }
    let name = checked(
        report,
        &item,
        text.parse::<ProviderName>().map_err(|e| e.to_string()),
    )?;
    report.concerns(name.as_str());
    Some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::providers::bundled;
    use crate::providers::document::PROBLEMS_MAX;

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
                "/api/**",
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
                "flows",
                "issuer",
                "names_itself",
                "resource",
                "self_hosted",
                "paths",
                "cookie",
                "cookie_domains",
                "extra_headers",
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
