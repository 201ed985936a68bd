//! The `[connections]` tables of `config.toml` and `authsome.toml`: text → [`Tables`].
//!
//! `[connections.intercom]` holds for every connection of the provider, `[connections."intercom/team"]`
//! for one; both together where both are there. A table for a provider or connection that does not
//! exist is no error, because a file may be older or younger than what it names:
//! [`Tables::without_effect`] lists those, for a person to look at.

use std::collections::BTreeMap;
use std::sync::Arc;

use authsome_proto::{ConnectionName, ProviderName};
use serde::Deserialize;
use toml::Spanned;

use super::rate::Rate;
use crate::routing::{HostPattern, RuleLine, RuleSet};
use crate::toml_file::{TomlError, line_at};

/// Keys of a table, for suggestions.
pub const KEYS: &[&str] = &["allow", "deny", "rate", "wait"];

/// The tables as they stand in a file.
pub type RawTables = BTreeMap<Spanned<String>, RawTable>;

/// One table as it stands in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawTable {
    allow: Option<Vec<Spanned<String>>>,
    deny: Vec<Spanned<String>>,
    rate: Option<Spanned<String>>,
    wait: Option<Spanned<String>>,
}

/// What one table says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The provider that it is for.
    pub provider: ProviderName,
    /// The one connection that it is for; every one if absent.
    pub connection: Option<ConnectionName>,
    /// What it allows and denies.
    pub rules: RuleSet,
    /// How often.
    pub rate: Option<Rate>,
}

/// What a file says about connections. Tables for one connection come before those for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables(Vec<Table>);

impl Tables {
    /// Checks what was read from `text`; `source` names the file.
    pub fn check(raw: RawTables, text: &str, source: &str) -> Result<Self, TomlError> {
        let source: Arc<str> = source.into();
        let mut tables = Vec::with_capacity(raw.len());
        for (name, table) in raw {
            tables.push(check_table(&name, table, text, &source)?);
        }
        tables.sort_by_key(|table| table.connection.is_none());
        Ok(Self(tables))
    }

    /// The tables that hold for a connection.
    pub fn applying(
        &self,
        provider: &ProviderName,
        connection: &ConnectionName,
    ) -> impl Iterator<Item = &Table> {
        self.0.iter().filter(move |table| {
            let named = table.connection.as_ref();
            table.provider == *provider && named.is_none_or(|name| name == connection)
        })
    }

    /// The rule sets that hold for a connection; a table with nothing but a rate has none.
    pub fn rules(
        &self,
        provider: &ProviderName,
        connection: &ConnectionName,
    ) -> impl Iterator<Item = RuleSet> {
        self.applying(provider, connection)
            .map(|table| &table.rules)
            .filter(|rules| rules.allow.is_some() || !rules.deny.is_empty())
            .cloned()
    }

    /// What has no effect, one sentence each. `hosts` tells a provider's hosts, if there is such a
    /// provider; `exists` whether it has the connection.
    pub fn without_effect(
        &self,
        hosts: impl Fn(&ProviderName) -> Option<Vec<HostPattern>>,
        exists: impl Fn(&ProviderName, &ConnectionName) -> bool,
    ) -> Vec<String> {
        let mut found = Vec::new();
        for table in &self.0 {
            let source = &table.rules.source;
            let provider = &table.provider;
            let Some(hosts) = hosts(provider) else {
                found.push(format!(
                    "`{source}` has rules for `{provider}`, which is no provider"
                ));
                continue;
            };
            if let Some(connection) = &table.connection
                && !exists(provider, connection)
            {
                found.push(format!(
                    "`{source}` has rules for `{provider}/{connection}`, which is not connected"
                ));
            }
            let lines = table.rules.allow.iter().flat_map(|lines| lines.iter());
            for line in lines.chain(table.rules.deny.iter()) {
                if let Some(host) = line.host()
                    && !hosts.iter().any(|known| overlap(known, host))
                {
                    found.push(format!(
                        "the rule `{line}` in `{source}` names a host that `{provider}` does not have"
                    ));
                }
            }
        }
        found
    }

    #[cfg(test)]
    pub(super) fn read(text: &str, source: &str) -> Result<Self, TomlError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            #[serde(default)]
            connections: RawTables,
        }
        let file: File = crate::toml_file::read(text, &[("connections.PROVIDER", KEYS)])?;
        Self::check(file.connections, text, source)
    }
}

/// Whether some host fits both.
fn overlap(one: &HostPattern, other: &HostPattern) -> bool {
    match (one, other) {
        (_, HostPattern::Exact(host)) => one.matches(host),
        (HostPattern::Exact(host), _) => other.matches(host),
        (HostPattern::Subdomains(a), HostPattern::Subdomains(b)) => {
            a == b || one.matches(b) || other.matches(a)
        }
    }
}

fn check_table(
    name: &Spanned<String>,
    table: RawTable,
    text: &str,
    source: &Arc<str>,
) -> Result<Table, TomlError> {
    let wrong = |at: usize, message: String| TomlError {
        line: line_at(text, at),
        message: message
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect(),
        hint: None,
    };
    let at = name.span().start;
    let name = name.get_ref();
    let section = format!("[connections.{}]", quoted(name));
    let (provider, connection) = match name.split_once('/') {
        Some((provider, connection)) => (provider, Some(connection)),
        None => (name.as_str(), None),
    };
    let provider = provider
        .parse()
        .map_err(|error| wrong(at, format!("`{section}`: {error}")))?;
    let connection = connection
        .map(str::parse)
        .transpose()
        .map_err(|error| wrong(at, format!("`{section}`: {error}")))?;
    let lines = |key: &str, lines: Vec<Spanned<String>>| -> Result<Arc<[RuleLine]>, TomlError> {
        let read = |line: Spanned<String>| {
            RuleLine::parse(line.get_ref()).map_err(|error| {
                let line_text = line.get_ref();
                wrong(
                    line.span().start,
                    format!("`{key}` in `{section}`: `{line_text}` is no rule: {error}"),
                )
            })
        };
        lines.into_iter().map(read).collect()
    };
    let rules = RuleSet {
        source: Arc::clone(source),
        allow: table.allow.map(|allow| lines("allow", allow)).transpose()?,
        deny: lines("deny", table.deny)?,
    };
    let rate = match (&table.rate, &table.wait) {
        (Some(rate), wait) => {
            let wait = wait.as_ref().map(|wait| wait.get_ref().as_str());
            let parsed = Rate::parse(rate.get_ref(), wait).map_err(|error| {
                let (key, span) = match (&table.wait, Rate::parse(rate.get_ref(), None)) {
                    (Some(wait), Ok(_)) => ("wait", wait.span()),
                    _ => ("rate", rate.span()),
                };
                wrong(span.start, format!("`{key}` in `{section}`: {error}"))
            })?;
            Some(parsed)
        }
        (None, Some(wait)) => {
            let why = format!("`wait` in `{section}` says nothing without a `rate`");
            return Err(wrong(wait.span().start, why));
        }
        (None, None) => None,
    };
    Ok(Table {
        provider,
        connection,
        rules,
        rate,
    })
}

/// A key as TOML wants it written.
fn quoted(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !name.is_empty() && name.bytes().all(bare) {
        name.to_owned()
    } else {
        format!("\"{name}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Tables, TomlError> {
        Tables::read(text, "config.toml")
    }

    fn sets(tables: &Tables, connection: &str) -> usize {
        let connection = connection.parse().unwrap();
        tables
            .rules(&"intercom".parse().unwrap(), &connection)
            .count()
    }

    #[test]
    fn a_providers_table_and_a_connections_table_hold_together() {
        let tables = read(
            r#"
            [connections.intercom]
            allow = ["GET /contacts/**", "POST,PUT api.eu.intercom.io/conversations/**"]
            deny = ["DELETE"]
            rate = "100/min"
            wait = "5s"
            [connections."intercom/team"]
            deny = ["* /admins/**"]
            [connections."intercom/quick"]
            rate = "1/s"
            [connections.openai]
            allow = []
            "#,
        )
        .unwrap();
        assert_eq!(sets(&tables, "default"), 1);
        assert_eq!(sets(&tables, "team"), 2);
        assert_eq!(sets(&tables, "quick"), 1, "a rate alone is no rule set");
        let (intercom, openai) = ("intercom".parse().unwrap(), "openai".parse().unwrap());
        let default = ConnectionName::default_name();
        let table = tables.applying(&intercom, &default).next().unwrap();
        assert_eq!(table.rules.allow.as_ref().unwrap().len(), 2);
        assert_eq!(table.rate.unwrap().wait.as_secs(), 5);
        let none = tables.rules(&openai, &default).next().unwrap();
        assert_eq!(none.allow.as_deref(), Some(&[][..]));
    }

    #[test]
    fn an_error_names_its_line_its_table_and_what_is_wrong() {
        for (text, expected) in [
            (
                "[connections.intercom]\nallwo = []",
                "line 2: unknown key `allwo` in `[connections.intercom]`",
            ),
            (
                "[connections.intercom.team]\nallow = []",
                "line 1: unknown key `team` in `[connections.intercom.team]`",
            ),
            (
                "[connections.Intercom]\nallow = []",
                "line 1: `[connections.Intercom]`: a provider name cannot contain 'I' here; use letters, digits, `-`, `_` and `.`, beginning with a letter or digit",
            ),
            (
                "\n[connections.\"intercom/\"]\nallow = []",
                "line 2: `[connections.\"intercom/\"]`: a connection name cannot be empty",
            ),
            (
                "[connections.intercom]\nallow = [\n  \"GET /a\",\n  \"get /b\",\n]",
                "line 4: `allow` in `[connections.intercom]`: `get /b` is no rule: methods are case-sensitive; write `GET`",
            ),
            (
                "[connections.intercom]\ndeny = [\"DELETE contacts\"]",
                "line 2: `deny` in `[connections.intercom]`: `DELETE contacts` is no rule: `contacts` is no full host name; a path begins with `/`, as in `GET /contacts/**`",
            ),
            (
                "[connections.intercom]\n\nrate = \"100/m\"",
                "line 3: `rate` in `[connections.intercom]`: a rate is a whole number for each `s`, `min` or `h`, as in `100/min`",
            ),
            (
                "[connections.intercom]\nrate = \"100/min\"\nwait = \"5\"",
                "line 3: `wait` in `[connections.intercom]`: a duration is a whole number with its unit, `ms`, `s`, `min` or `h`, as in `5s`",
            ),
            (
                "[connections.intercom]\nwait = \"5s\"",
                "line 2: `wait` in `[connections.intercom]` says nothing without a `rate`",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        assert!(read("[connections.intercom]\nallow = \"GET /\"").is_err());
        assert!(read("[connections]\nintercom = 1").is_err());
    }

    #[test]
    fn what_has_no_effect_is_told() {
        let tables = read(
            "[connections.intercom]\nallow = [\"GET api.eu.intercom.io\", \"GET *.intercom.io\", \"GET api.intercmo.io/x\"]\n[connections.\"intercom/taem\"]\ndeny = [\"*\"]\n[connections.intercmo]\ndeny = [\"*\"]",
        )
        .unwrap();
        let hosts = |name: &ProviderName| {
            (name.as_str() == "intercom").then(|| {
                ["api.intercom.io", "api.eu.intercom.io"]
                    .iter()
                    .map(|host| HostPattern::parse(host).unwrap())
                    .collect()
            })
        };
        let told = tables.without_effect(hosts, |_, name| name.as_str() == "team");
        assert_eq!(
            told,
            [
                "`config.toml` has rules for `intercom/taem`, which is not connected",
                "`config.toml` has rules for `intercmo`, which is no provider",
                "the rule `GET api.intercmo.io/x` in `config.toml` names a host that `intercom` does not have",
            ]
        );
    }
}
