//! `authsome.toml`: what a project's folder says about the runs that are started in it.
//!
//! It is committed to a repository, so it is text of others: it can only narrow. It takes
//! providers away (`only`), denies hosts without a route, ends runs earlier (`for`), and adds
//! rules and rate limits. The client finds it and sends it when a run starts; it is read then and
//! never again, so that a program in the run cannot loosen it.
//!
//! A run inside a run has the projects of the run around it and its own.

use std::collections::BTreeSet;
use std::time::Duration;

use authsome_proto::ProviderName;
use authsome_proto::places::PROJECT_LEN_MAX;
use authsome_proto::request::{ProjectFile, RunLife};
use serde::Deserialize;
use toml::Spanned;

use super::file::{self, RawTables, Tables};
use super::limiter::Limits;
use super::rate::parse_duration;
use crate::toml_file::{self, Known, TomlError, line_at};

/// What a project says, with the limits that its runs share.
#[derive(Debug)]
pub struct Project {
    /// The file as it was when the run started.
    pub file: ProjectFile,
    /// The only providers that its runs are granted; all if absent.
    pub only: Option<BTreeSet<ProviderName>>,
    /// Whether its runs reach only hosts with a route.
    pub denies_unmatched: bool,
    /// How long its runs live at most.
    pub at_most: Option<Duration>,
    /// What it says about connections.
    pub tables: Tables,
    /// The limits of its rates, shared by the run and the runs inside it.
    pub limits: Limits,
}

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProjectError {
    /// Something in it is wrong.
    #[error("`{path}`, {problem}")]
    Content {
        /// The file.
        path: String,
        /// What, and where.
        problem: TomlError,
    },
    /// It is too large.
    #[error("`{path}` is larger than {} KiB", PROJECT_LEN_MAX / 1024)]
    TooLarge {
        /// The file.
        path: String,
    },
}

impl ProjectError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Content { problem, .. } => problem.hint.as_deref(),
            Self::TooLarge { .. } => None,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    run: RunTable,
    connections: RawTables,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RunTable {
    only: Option<Vec<Spanned<String>>>,
    unmatched: Option<Spanned<String>>,
    r#for: Option<Spanned<String>>,
}

const KNOWN: &Known = &[
    ("run", &["only", "unmatched", "for"]),
    ("connections", &[]),
    ("connections.PROVIDER", file::KEYS),
];

impl Project {
    /// Reads a file that the client found.
    pub fn parse(file: ProjectFile) -> Result<Self, ProjectError> {
        let path = || {
            let shown = file.path.chars();
            shown
                .map(|c| {
                    if c.is_control() {
                        char::REPLACEMENT_CHARACTER
                    } else {
                        c
                    }
                })
                .collect::<String>()
        };
        if file.text.len() > PROJECT_LEN_MAX {
            return Err(ProjectError::TooLarge { path: path() });
        }
        let read = read(&file.text, &path()).map_err(|problem| ProjectError::Content {
            path: path(),
            problem,
        })?;
        Ok(Self {
            file,
            limits: Limits::default(),
            only: read.only,
            denies_unmatched: read.denies_unmatched,
            at_most: read.at_most,
            tables: read.tables,
        })
    }

    /// Whether it leaves `provider` to its runs.
    pub fn allows(&self, provider: &ProviderName) -> bool {
        self.only
            .as_ref()
            .is_none_or(|only| only.contains(provider))
    }

    /// How long a run lives that was asked to live for `asked`: the shorter counts.
    pub fn shorten(&self, asked: RunLife) -> RunLife {
        let Some(at_most) = self.at_most.map(|it| it.as_secs()) else {
            return asked;
        };
        match asked {
            RunLife::Process => RunLife::ProcessAtMost(at_most),
            RunLife::ProcessAtMost(asked) => RunLife::ProcessAtMost(asked.min(at_most)),
            RunLife::TreeAtMost(asked) => RunLife::TreeAtMost(asked.min(at_most)),
        }
    }
}

struct Read {
    only: Option<BTreeSet<ProviderName>>,
    denies_unmatched: bool,
    at_most: Option<Duration>,
    tables: Tables,
}

fn read(text: &str, path: &str) -> Result<Read, TomlError> {
    let file: File = toml_file::read(text, KNOWN)?;
    let wrong = |value: &Spanned<String>, message: String, hint: Option<&str>| TomlError {
        line: line_at(text, value.span().start),
        message,
        hint: hint.map(str::to_owned),
    };
    let only = |names: Vec<Spanned<String>>| {
        let parse = |name: Spanned<String>| {
            let parsed = name.get_ref().parse();
            parsed.map_err(|error| wrong(&name, format!("`only` in `[run]`: {error}"), None))
        };
        names.into_iter().map(parse).collect()
    };
    let denies_unmatched = match &file.run.unmatched {
        None => false,
        Some(value) if value.get_ref() == "deny" => true,
        Some(value) => {
            let why = match value.get_ref().as_str() {
                "tunnel" => "`unmatched` in `[run]`: a project file can only narrow",
                _ => "unknown value for `unmatched` in `[run]`",
            };
            let hint =
                "`deny` is the only value it can have here; leave it out for what is set elsewhere";
            return Err(wrong(value, why.to_owned(), Some(hint)));
        }
    };
    let at_most = match &file.run.r#for {
        None => None,
        Some(value) => match parse_duration(value.get_ref()) {
            Ok(time) if time.as_secs() > 0 => Some(time),
            Ok(_) => {
                let why = "`for` in `[run]`: a run lives a second at least".to_owned();
                return Err(wrong(value, why, None));
            }
            Err(error) => return Err(wrong(value, format!("`for` in `[run]`: {error}"), None)),
        },
    };
    Ok(Read {
        only: file.run.only.map(only).transpose()?,
        denies_unmatched,
        at_most,
        tables: Tables::check(file.connections, text, path)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Project, ProjectError> {
        Project::parse(ProjectFile {
            path: "/p/authsome.toml".into(),
            text: text.into(),
        })
    }

    #[test]
    fn every_key_is_read_and_an_empty_file_says_nothing() {
        let project = parse(
            "[run]\nonly = [\"intercom\"]\nunmatched = \"deny\"\nfor = \"2h\"\n[connections.intercom]\nallow = [\"GET\"]\n",
        )
        .unwrap();
        assert!(project.allows(&"intercom".parse().unwrap()));
        assert!(!project.allows(&"openai".parse().unwrap()));
        assert!(project.denies_unmatched);
        assert_eq!(project.at_most, Some(Duration::from_secs(7200)));
        let set = project
            .tables
            .rules(&"intercom".parse().unwrap(), &"x".parse().unwrap())
            .next()
            .unwrap();
        assert_eq!(&*set.source, "/p/authsome.toml");

        let empty = parse("").unwrap();
        assert!(empty.allows(&"openai".parse().unwrap()));
        assert!(!empty.denies_unmatched);
        assert_eq!(empty.at_most, None);
        assert_eq!(empty.tables, Tables::default());
        let none = parse("[run]\nonly = []").unwrap();
        assert!(!none.allows(&"intercom".parse().unwrap()));
    }

    #[test]
    fn an_error_names_the_file_the_line_and_the_key() {
        for (text, expected, hint) in [
            (
                "\n[run]\nunmatched = \"tunnel\"",
                "line 3: `unmatched` in `[run]`: a project file can only narrow",
                Some(
                    "`deny` is the only value it can have here; leave it out for what is set elsewhere",
                ),
            ),
            (
                "[run]\nunmatched = \"dney\"",
                "line 2: unknown value for `unmatched` in `[run]`",
                Some(
                    "`deny` is the only value it can have here; leave it out for what is set elsewhere",
                ),
            ),
            (
                "[run]\nonyl = []",
                "line 2: unknown key `onyl` in `[run]`",
                Some("did you mean `only`?"),
            ),
            (
                "[rnu]\nonly = []",
                "line 1: unknown key `rnu` in `[rnu]`",
                Some("did you mean `run`?"),
            ),
            (
                "allow = []",
                "line 1: unknown key `allow`",
                Some("it belongs to `[connections.PROVIDER]`"),
            ),
            (
                "[connection.intercom]\nallow = []",
                "line 1: unknown key `connection` in `[connection.intercom]`",
                Some("did you mean `connections`?"),
            ),
            (
                "[connections.intercom]\n\nallwo = []",
                "line 3: unknown key `allwo` in `[connections.intercom]`",
                Some("did you mean `allow`?"),
            ),
            (
                "[run]\nfor = \"2 hours\"",
                "line 2: `for` in `[run]`: a duration is a whole number with its unit, `ms`, `s`, `min` or `h`, as in `5s`",
                None,
            ),
            (
                "[run]\nfor = \"10ms\"",
                "line 2: `for` in `[run]`: a run lives a second at least",
                None,
            ),
            (
                "[run]\nonly = [\n\"a\",\n\"A\"]",
                "line 4: `only` in `[run]`: a provider name cannot contain 'A' here; use letters, digits, `-`, `_` and `.`, beginning with a letter or digit",
                None,
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.to_string(), format!("`/p/authsome.toml`, {expected}"));
            assert_eq!(error.hint(), hint, "{text}");
        }
        let large = "#".repeat(PROJECT_LEN_MAX + 1);
        assert!(matches!(parse(&large), Err(ProjectError::TooLarge { .. })));
        assert!(parse(&large[1..]).is_ok());
    }

    #[test]
    fn the_shorter_life_counts_and_nothing_makes_it_longer() {
        let project = parse("[run]\nfor = \"1h\"").unwrap();
        for (asked, lives) in [
            (RunLife::Process, RunLife::ProcessAtMost(3600)),
            (RunLife::ProcessAtMost(60), RunLife::ProcessAtMost(60)),
            (RunLife::ProcessAtMost(9999), RunLife::ProcessAtMost(3600)),
            (RunLife::TreeAtMost(60), RunLife::TreeAtMost(60)),
            (RunLife::TreeAtMost(9999), RunLife::TreeAtMost(3600)),
        ] {
            assert_eq!(project.shorten(asked), lives);
        }
        let silent = parse("").unwrap();
        assert_eq!(silent.shorten(RunLife::Process), RunLife::Process);
        assert_eq!(
            silent.shorten(RunLife::TreeAtMost(5)),
            RunLife::TreeAtMost(5)
        );
    }
}
