//! `scan`: finds keys in `.env` files and the environment, and imports them on request.
//!
//! A variable counts when a definition names it, or when its value has the unmistakable beginning
//! that a definition's pattern demands (`sk-ant-`, `ghp_`). What is shown of a value is its last
//! four characters, where it is long enough that they give nothing away.
//!
//! `--import` logs in with each value after asking. An existing connection is never replaced, and
//! a value that fits several providers is not guessed at: `--provider` says which.
//!
//! The files themselves are left alone.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use authsome_proto::request::{self, LoginVia};
use authsome_proto::response::Provider;
use authsome_proto::{ErrorCode, Request, Secret};
use regex_lite::Regex;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{list, login, view};
use crate::cli::Scan;
use crate::connect::{Daemon, Start, connect};
use crate::dotenv;
use crate::error::{Done, Failure};
use crate::prompt;
use crate::secrets;
use crate::ui::{Field, Mood, Ui};

/// Largest file that is looked at; an honest `.env` file is a few kilobytes.
const FILE_MAX: u64 = 1024 * 1024;

/// What a run puts into a variable instead of a key.
const PLACEHOLDER: &str = "authsome-proxy-managed";

/// Shortest beginning of a pattern that tells a key by itself.
const PREFIX_MIN: usize = 3;

/// Shortest value of which the end is shown.
const TAIL_FROM: usize = 16;

/// How much of the end is shown.
const TAIL_LEN: usize = 4;

/// Ends of names of files that hold examples, not keys.
const EXAMPLES: [&str; 4] = [".dist", ".example", ".sample", ".template"];

pub(super) fn scan(arguments: &Scan, ui: Ui) -> Done {
    secrets::conceal();
    let mut daemon = connect(Start::IfNeeded, ui)?;
    let mut providers = list::providers(&mut daemon, ui)?.providers;
    providers.retain(|provider| provider.auth == "api_key" && provider.not_yet.is_none());
    if let Some(wanted) = &arguments.provider {
        providers.retain(|provider| provider.provider == *wanted);
        if providers.is_empty() {
            return Err(
                Failure::failed(format!("no API-key provider named `{wanted}`"))
                    .hint("`authsome list --all` lists them all"),
            );
        }
    }
    let shapes: Vec<Shape<'_>> = providers.iter().map(Shape::of).collect();
    let files = match arguments.paths.as_slice() {
        [] => files_here()?,
        paths => files_of(paths)?,
    };
    let mut found = Vec::new();
    for file in &files {
        scan_file(file, &shapes, &mut found, ui);
    }
    if arguments.paths.is_empty() {
        scan_environment(&shapes, &mut found);
    }
    let outcomes = if arguments.import {
        import(arguments, &found, &mut daemon, ui)?
    } else {
        Vec::new()
    };
    show(&found, &outcomes, files.len(), ui)
}

/// A key that was found.
struct Finding {
    variable: String,
    /// File and line; `None` for the environment.
    place: Option<(PathBuf, usize)>,
    /// Providers that it may belong to.
    providers: Vec<String>,
    /// Whether it has the shape that the provider's keys have.
    fits: bool,
    value: Zeroizing<String>,
}

impl Finding {
    fn place(&self) -> String {
        match &self.place {
            Some((file, line)) => format!("{}:{line}", file.display()),
            None => "environment".into(),
        }
    }
}

/// What became of a finding.
struct Outcome {
    done: bool,
    text: String,
}

/// What a provider's keys look like.
struct Shape<'a> {
    provider: &'a Provider,
    pattern: Option<Regex>,
    prefix: Option<String>,
}

impl<'a> Shape<'a> {
    fn of(provider: &'a Provider) -> Self {
        let text = provider.key_pattern.as_deref();
        // a pattern that this client cannot read tells nothing; the daemon checks again
        let pattern = text.and_then(|text| Regex::new(&format!("^(?:{text})$")).ok());
        Self {
            provider,
            pattern,
            prefix: text.and_then(fixed_prefix),
        }
    }

    fn fits(&self, value: &str) -> bool {
        self.pattern
            .as_ref()
            .is_none_or(|pattern| pattern.is_match(value))
    }

    fn tells(&self, value: &str) -> bool {
        self.prefix
            .as_ref()
            .is_some_and(|prefix| value.starts_with(prefix))
            && self.fits(value)
    }
}

/// The text that every match of `pattern` begins with, where it is long enough to tell.
fn fixed_prefix(pattern: &str) -> Option<String> {
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    if pattern.contains('|') {
        return None;
    }
    let mut prefix: String = pattern
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c))
        .collect();
    let next = pattern
        .get(prefix.len()..)
        .and_then(|rest| rest.chars().next());
    if matches!(next, Some('*' | '+' | '?' | '{')) {
        prefix.pop();
    }
    (prefix.len() >= PREFIX_MIN && !prefix.chars().all(char::is_alphanumeric)).then_some(prefix)
}

/// What a variable with this value is, if it is a key.
fn judge(shapes: &[Shape<'_>], variable: &str, value: &str) -> Option<(Vec<String>, bool)> {
    let value = value.trim();
    // references to another store or variable are no keys
    if value.is_empty() || value == PLACEHOLDER || value.starts_with('$') || value.contains("://") {
        return None;
    }
    let list = |shapes: &[&Shape<'_>]| {
        shapes
            .iter()
            .map(|shape| shape.provider.provider.to_string())
            .collect::<Vec<_>>()
    };
    let named: Vec<&Shape<'_>> = shapes
        .iter()
        .filter(|shape| shape.provider.variables.iter().any(|name| name == variable))
        .collect();
    let fitting: Vec<&Shape<'_>> = named
        .iter()
        .copied()
        .filter(|shape| shape.fits(value))
        .collect();
    if !fitting.is_empty() {
        return Some((list(&fitting), true));
    }
    let told: Vec<&Shape<'_>> = shapes.iter().filter(|shape| shape.tells(value)).collect();
    if !told.is_empty() {
        return Some((list(&told), true));
    }
    (!named.is_empty()).then(|| (list(&named), false))
}

fn scan_file(file: &Path, shapes: &[Shape<'_>], found: &mut Vec<Finding>, ui: Ui) {
    let text = match read(file) {
        Ok(text) => text,
        Err(error) => return ui.warning(&format!("cannot read `{}`: {error}", file.display())),
    };
    ui.detail(&format!("looking at `{}`", file.display()));
    for assignment in dotenv::parse(&text) {
        if let Some((providers, fits)) = judge(shapes, &assignment.name, &assignment.value) {
            found.push(Finding {
                variable: assignment.name,
                place: Some((file.to_owned(), assignment.line)),
                providers,
                fits,
                value: assignment.value,
            });
        }
    }
}

fn scan_environment(shapes: &[Shape<'_>], found: &mut Vec<Finding>) {
    for (name, value) in std::env::vars_os() {
        let (Ok(variable), Ok(value)) = (name.into_string(), value.into_string()) else {
            continue;
        };
        let value = Zeroizing::new(value);
        if let Some((providers, fits)) = judge(shapes, &variable, &value) {
            found.push(Finding {
                variable,
                place: None,
                providers,
                fits,
                value,
            });
        }
    }
}

fn read(file: &Path) -> std::io::Result<Zeroizing<String>> {
    let file = File::open(file)?;
    let len = file.metadata()?.len();
    if len > FILE_MAX {
        return Err(std::io::Error::other(format!(
            "it is larger than {FILE_MAX} bytes"
        )));
    }
    let room = usize::try_from(len).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(FILE_MAX).read_to_end(&mut bytes)?;
    str::from_utf8(&bytes)
        .map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|_| std::io::Error::other("it is not UTF-8 text"))
}

/// The `.env` files of this folder and its parents up to the repository's root; of this folder
/// alone outside of a repository.
fn files_here() -> Result<Vec<PathBuf>, Failure> {
    let here = std::env::current_dir()
        .map_err(|error| Failure::failed("cannot tell which folder this is").because(&error))?;
    let root = here
        .ancestors()
        .find(|folder| folder.join(".git").exists())
        .unwrap_or(&here);
    let folders = here
        .ancestors()
        .take_while(|folder| folder.starts_with(root));
    let mut files: Vec<PathBuf> = folders.flat_map(env_files).collect();
    for file in &mut files {
        // short where that is exact
        if let Ok(short) = file.strip_prefix(&here) {
            *file = short.to_owned();
        }
    }
    Ok(files)
}

fn files_of(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        let meta = std::fs::metadata(path).map_err(|error| {
            Failure::failed(format!("cannot read `{}`", path.display())).because(&error)
        })?;
        if meta.is_dir() {
            files.extend(env_files(path));
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

/// `.env` and `.env.*` of a folder, examples left out, by name.
fn env_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .filter(|entry| {
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return false;
            };
            let named = name == ".env" || name == ".envrc" || name.starts_with(".env.");
            named && !EXAMPLES.iter().any(|end| name.ends_with(end))
        })
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

fn import(
    arguments: &Scan,
    found: &[Finding],
    daemon: &mut Daemon,
    ui: Ui,
) -> Result<Vec<Outcome>, Failure> {
    let mut imported: Vec<(&str, &str)> = Vec::new();
    let mut outcomes = Vec::new();
    for finding in found {
        let outcome = import_one(arguments, finding, &imported, daemon, ui)?;
        if let ([provider], true) = (finding.providers.as_slice(), outcome.done) {
            imported.push((provider, &finding.value));
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

fn import_one(
    arguments: &Scan,
    finding: &Finding,
    imported: &[(&str, &str)],
    daemon: &mut Daemon,
    ui: Ui,
) -> Result<Outcome, Failure> {
    let skipped = |text: &str| {
        Ok(Outcome {
            done: false,
            text: format!("skipped: {text}"),
        })
    };
    let [name] = finding.providers.as_slice() else {
        return skipped("fits several providers; `--provider` says which");
    };
    if !finding.fits {
        return skipped("not the shape of its keys");
    }
    if let Some((_, value)) = imported.iter().find(|(provider, _)| provider == name) {
        let same = *value == finding.value.as_str();
        return skipped(if same {
            "the same key again"
        } else {
            "another key was imported"
        });
    }
    let provider = name
        .parse()
        .map_err(|error| Failure::bug("a provider's name is not one").because(&error))?;
    let connection = arguments.connection.clone();
    let request = request::Login {
        provider,
        connection,
        force: false,
        via: LoginVia::Submit,
        region: None,
        flow: None,
        scopes: Vec::new(),
        base_url: None,
        client_id: None,
    };
    let begun = match login::begin(daemon, request, ui) {
        Ok(begun) => begun,
        Err(failure) if failure.is(ErrorCode::AlreadyConnected) => {
            return skipped("already connected");
        }
        Err(failure) => return Err(failure),
    };
    // asked after the daemon has said that nothing would be overwritten
    let question = format!(
        "import {} of {} as {name}?",
        finding.variable,
        finding.place()
    );
    let wanted = if arguments.yes {
        Ok(true)
    } else {
        prompt::confirm(&question, "add `--yes` to import without being asked")
    };
    if !matches!(wanted, Ok(true)) {
        drop(daemon.call(Request::LoginCancel { login: begun.login }, ui));
        wanted?;
        return skipped("not wanted");
    }
    let secret = Secret::new(finding.value.trim().to_owned());
    match login::submit(daemon, begun.login, secret, ui) {
        Ok(logged_in) => Ok(Outcome {
            done: true,
            text: format!(
                "imported as {} ({})",
                logged_in.provider, logged_in.connection
            ),
        }),
        Err(failure) if failure.is(ErrorCode::InvalidSecret) => skipped(&failure.message),
        Err(failure) if failure.is(ErrorCode::AlreadyConnected) => skipped("already connected"),
        Err(failure) => Err(failure),
    }
}

fn show(found: &[Finding], outcomes: &[Outcome], files: usize, ui: Ui) -> Done {
    if ui.json {
        let keys: Value = found
            .iter()
            .enumerate()
            .map(|(at, finding)| {
                let (file, line) = finding.place.clone().unzip();
                json!({
                    "variable": finding.variable,
                    "file": file,
                    "line": line,
                    "providers": finding.providers,
                    "fits": finding.fits,
                    "value": redacted(&finding.value),
                    "imported": outcomes.get(at).map(|outcome| outcome.done),
                    "outcome": outcomes.get(at).map(|outcome| &outcome.text),
                })
            })
            .collect();
        return ui.object(json!({ "files": files, "keys": keys }));
    }
    if found.is_empty() {
        ui.note(&format!(
            "no keys in {}",
            view::count(files, "file", "files")
        ));
        return Ok(());
    }
    let rows = found.iter().enumerate().map(|(at, finding)| {
        let note = match outcomes.get(at) {
            Some(outcome) if outcome.done => Field::new(outcome.text.as_str(), Mood::Good),
            Some(outcome) => Field::new(outcome.text.as_str(), Mood::Careful),
            None if !finding.fits => Field::new("not the shape of its keys", Mood::Careful),
            None => "".into(),
        };
        vec![
            finding.variable.as_str().into(),
            finding.place().into(),
            finding.providers.join(" or ").into(),
            redacted(&finding.value).into(),
            note,
        ]
    });
    ui.table(
        &["VARIABLE", "WHERE", "PROVIDER", "VALUE", "NOTE"],
        rows.collect(),
    )?;
    if outcomes.is_empty() {
        ui.note("`authsome scan --import` stores them; delete them from their files afterwards");
    }
    Ok(())
}

/// The end of a value, where that gives nothing away.
fn redacted(value: &str) -> String {
    let len = value.chars().count();
    if len < TAIL_FROM || !value.is_ascii() {
        return "…".into();
    }
    format!("…{}", value.get(len - TAIL_LEN..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use authsome_proto::response::Source;

    use super::*;

    fn provider(name: &str, variable: &str, pattern: Option<&str>) -> Provider {
        Provider {
            provider: name.parse().unwrap(),
            display_name: name.into(),
            auth: "api_key".into(),
            source: Source::Bundled,
            not_yet: None,
            hosts: Vec::new(),
            variables: vec![variable.into()],
            key_pattern: pattern.map(Into::into),
            key_hint: None,
            key_urls: Vec::new(),
            connections: 0,
            regions: Vec::new(),
            flows: Vec::new(),
            redirect_uri: None,
        }
    }

    fn judged(variable: &str, value: &str) -> Option<(String, bool)> {
        let providers = [
            provider(
                "anthropic",
                "ANTHROPIC_API_KEY",
                Some("^sk-ant-[A-Za-z0-9]{8,}$"),
            ),
            provider("intercom", "INTERCOM_API_KEY", None),
            provider("tavily", "SHARED_KEY", Some("tvly-.+")),
            provider("other", "SHARED_KEY", Some("[a-f0-9]{32}")),
        ];
        let shapes: Vec<Shape<'_>> = providers.iter().map(Shape::of).collect();
        judge(&shapes, variable, value).map(|(names, fits)| (names.join(" "), fits))
    }

    #[test]
    fn keys_are_told_by_variable_and_by_unmistakable_beginning() {
        let found = |names: &str, fits| Some((names.to_owned(), fits));
        assert_eq!(
            judged("INTERCOM_API_KEY", "dG9rOmFi"),
            found("intercom", true)
        );
        assert_eq!(
            judged("MY_KEY", "sk-ant-abcdefgh1"),
            found("anthropic", true)
        );
        assert_eq!(
            judged("ANTHROPIC_API_KEY", "nonsense"),
            found("anthropic", false)
        );
        assert_eq!(judged("SHARED_KEY", "tvly-x"), found("tavily", true));
        assert_eq!(judged("SHARED_KEY", "what"), found("tavily other", false));
        assert_eq!(judged("MY_KEY", "0123456789abcdef0123456789abcdef"), None);
    }

    #[test]
    fn placeholders_and_references_are_no_keys() {
        for value in [
            "",
            "authsome-proxy-managed",
            "$OTHER",
            "${OTHER}",
            "op://vault/item/key",
        ] {
            assert_eq!(judged("INTERCOM_API_KEY", value), None, "{value}");
        }
    }

    #[test]
    fn only_text_that_every_key_begins_with_counts_as_beginning() {
        for (pattern, prefix) in [
            ("^sk-ant-[a-z]+$", Some("sk-ant-")),
            ("gsk_[A-Z]", Some("gsk_")),
            ("sk-a?", Some("sk-")),
            ("abc[0-9]", None),
            ("sk-(a|b)", None),
            ("[a-z]+", None),
        ] {
            assert_eq!(fixed_prefix(pattern).as_deref(), prefix, "{pattern}");
        }
    }

    #[test]
    fn never_more_than_the_end_of_a_value_is_shown() {
        assert_eq!(redacted("sk-ant-0123456789abcdef"), "…cdef");
        assert_eq!(redacted("short"), "…");
        assert_eq!(redacted("ééééééééééééééééééé"), "…");
    }

    #[test]
    fn examples_are_not_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            ".env",
            ".env.local",
            ".env.example",
            ".envrc",
            "env",
            ".environment",
        ] {
            File::create(folder.path().join(name)).unwrap();
        }
        let names: Vec<_> = env_files(folder.path())
            .iter()
            .map(|f| f.file_name().unwrap().to_owned())
            .collect();
        assert_eq!(names, [".env", ".env.local", ".envrc"]);
    }
}
