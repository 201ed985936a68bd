//! Arguments of `run`, `env` and `explain`, which choose among connections in the same way.

use std::ffi::OsString;
use std::time::Duration;

use authsome_proto::request::Unmatched;
use authsome_proto::{ConnectionName, ProviderName, RunId, VariableName};
use clap::{Args, ValueEnum};

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  authsome run -- python my_agent.py
  authsome run --connection intercom=team -- ./sync.sh
  authsome run --only intercom,github -- npm start
  authsome run --env TEAM_KEY=intercom/team -- python sync_two_workspaces.py
  authsome run --unmatched deny -- curl https://api.intercom.io/me
  authsome run --for 2h -- python my_agent.py
  authsome run --keep 8h -- tmux

Exit codes: the command's own; 127 not found, 126 not executable, 125 failed before it started")]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) wishes: Wishes,
    /// Go on until the last process of the command is gone, and after this time at the latest: for
    /// commands that return at once, such as `code .`
    #[arg(
        long,
        value_name = "TIME",
        conflicts_with = "at_most",
        value_parser = crate::times::parse_duration
    )]
    pub(crate) keep: Option<Duration>,
    /// Command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// What a run is to be like: arguments of `run` and `env`.
#[derive(Debug, Args)]
pub(crate) struct Wishes {
    /// Use this connection instead of the provider's default; may be repeated
    #[arg(long = "connection", value_name = "PROVIDER=NAME", value_parser = parse_choice)]
    pub(crate) connections: Vec<(ProviderName, ConnectionName)>,
    /// Grant only these providers
    #[arg(long, value_name = "PROVIDERS", value_delimiter = ',')]
    pub(crate) only: Vec<ProviderName>,
    /// Grant this connection too, to requests that carry what VAR holds; may be repeated
    #[arg(long = "env", value_name = "VAR=PROVIDER[/NAME]", value_parser = parse_variable)]
    pub(crate) variables: Vec<(VariableName, ProviderName, Option<ConnectionName>)>,
    /// Choose what happens to other hosts
    #[arg(long, value_name = "HOW")]
    pub(crate) unmatched: Option<UnmatchedChoice>,
    /// End the run after this time at the latest, as in `90s`, `30m`, `1h30m` or `2d`
    #[arg(long = "for", value_name = "TIME", value_parser = crate::times::parse_duration)]
    pub(crate) at_most: Option<Duration>,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(
    override_usage = "authsome explain [OPTIONS] [METHOD] <URL>",
    after_help = "Examples:
  authsome explain https://api.intercom.io/contacts
  authsome explain POST https://api.intercom.io/fin/start
  authsome explain --run ID DELETE https://api.intercom.io/contacts/1"
)]
pub(crate) struct Explain {
    /// Method (GET if left out) and URL
    #[arg(required = true, num_args = 1..=2, value_name = "METHOD URL")]
    words: Vec<String>,
    /// As in `run`: use this connection instead of the provider's default
    #[arg(long = "connection", value_name = "PROVIDER=NAME", value_parser = parse_choice, conflicts_with = "run")]
    pub(crate) connections: Vec<(ProviderName, ConnectionName)>,
    /// Ask about a living run instead of one that would be started here and now
    #[arg(long, value_name = "ID")]
    pub(crate) run: Option<RunId>,
}

impl Explain {
    /// The method and the URL.
    pub(crate) fn request(&self) -> (String, String) {
        match self.words.as_slice() {
            [url] => ("GET".to_owned(), url.clone()),
            [method, url, ..] => (method.to_ascii_uppercase(), url.clone()),
            [] => (String::new(), String::new()),
        }
    }
}

/// What happens to hosts without a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum UnmatchedChoice {
    /// Pass them on untouched
    Tunnel,
    /// Refuse them
    Deny,
}

impl From<UnmatchedChoice> for Unmatched {
    fn from(choice: UnmatchedChoice) -> Self {
        match choice {
            UnmatchedChoice::Deny => Self::Deny,
            UnmatchedChoice::Tunnel => Self::Tunnel,
        }
    }
}

fn parse_choice(text: &str) -> Result<(ProviderName, ConnectionName), String> {
    let (provider, connection) = text
        .split_once('=')
        .ok_or("write it as PROVIDER=NAME, for instance intercom=team")?;
    Ok((
        provider
            .parse::<ProviderName>()
            .map_err(|error| error.to_string())?,
        connection
            .parse::<ConnectionName>()
            .map_err(|error| error.to_string())?,
    ))
}

fn parse_variable(
    text: &str,
) -> Result<(VariableName, ProviderName, Option<ConnectionName>), String> {
    let (variable, chosen) = text
        .split_once('=')
        .ok_or("write it as VAR=PROVIDER or VAR=PROVIDER/NAME, for instance KEY=intercom/team")?;
    let (provider, connection) = match chosen.split_once('/') {
        Some((provider, connection)) => (provider, Some(connection)),
        None => (chosen, None),
    };
    Ok((
        variable
            .parse::<VariableName>()
            .map_err(|error| error.to_string())?,
        provider
            .parse::<ProviderName>()
            .map_err(|error| error.to_string())?,
        connection
            .map(str::parse::<ConnectionName>)
            .transpose()
            .map_err(|error| error.to_string())?,
    ))
}
