//! What can stand at the cursor of a command line. Pure.
//!
//! The shells' scripts (`client/completions`) hand over the words up to the cursor; the table of
//! arguments says what belongs there, so that a new command is completed without a line here. What
//! an argument is, is told by its type: a [`ProviderName`] is a provider, and so on.
//!
//! Invariants:
//! - A value that is offered is made of letters, digits and few signs that no shell reads anything
//!   into; others are left out. A description is one line without control characters.
//! - A word that is offered begins with what was typed.
//!
//! Not here: asking the daemon and printing, which is `commands/complete.rs`.

pub(crate) mod bundled;

use std::any::TypeId;
use std::path::PathBuf;

use authsome_proto::{ConnectionName, ProviderName, RunId, VariableName, WebhookName};
use clap::{Arg, ArgAction, Command};

use crate::cli::Whom;
use crate::ui::printable;

/// Longest description, in characters: one line of a terminal beside the value.
const ABOUT_MAX: usize = 80;

/// Commands whose provider has a connection already.
const OF_CONNECTED: [&str; 5] = ["export", "get", "logout", "revoke", "set-default"];

/// Bundled schemes of `webhook add`, as its help lists them.
const SCHEMES: [&str; 6] = [
    "github",
    "intercom",
    "intercom-fin",
    "slack",
    "standard-webhooks",
    "stripe",
];

/// What can stand at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Another command line, from the word with this number on, the program being 0.
    Command(usize),
    /// Files and folders.
    Files,
    /// What the daemon knows; each offer is put behind `lead` and must begin with `typed`.
    Known {
        /// What to ask for.
        kind: Kind,
        /// What of the word stays as it was typed.
        lead: String,
        /// The part of the word to complete.
        typed: String,
        /// Offers that were typed already.
        without: Vec<String>,
    },
    /// Nothing that is known here.
    Nothing,
    /// These words.
    Words(Vec<Offer>),
}

/// What the daemon is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `PROVIDER=NAME`.
    Choices,
    /// Names of connections: those of a provider, if one was named.
    Connections(Option<String>),
    /// Providers that have a connection.
    Connected,
    /// `PROVIDER` and `PROVIDER/NAME`.
    Paths,
    /// All providers.
    Providers,
    /// Living runs.
    Runs,
    /// Endpoints for webhooks.
    Webhooks,
}

/// A word that can stand at the cursor, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Offer {
    value: String,
    about: String,
}

impl Offer {
    /// `about` may come from anywhere. `None` if a shell could read something into the value.
    pub(crate) fn new(value: impl Into<String>, about: &str) -> Option<Self> {
        let value = value.into();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.,=/+@%".contains(c);
        let about = printable(about.lines().next().unwrap_or_default());
        (!value.is_empty() && value.chars().all(is_plain)).then(|| Self {
            value,
            about: about.chars().take(ABOUT_MAX).collect(),
        })
    }

    /// The line that the shells' scripts read.
    pub(crate) fn line(&self) -> String {
        format!("{}\t{}", self.value, self.about)
    }

    /// This one behind `lead`, if it begins with `typed`.
    pub(crate) fn behind(self, lead: &str, typed: &str) -> Option<Self> {
        self.value.starts_with(typed).then(|| Self {
            value: format!("{lead}{}", self.value),
            about: self.about,
        })
    }

    /// Whether it is `word`.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.value == word
    }
}

/// What can stand at the end of `words`, of which the first is the program and the last is the one
/// at the cursor, perhaps empty. `root` is built ([`Command::build`]).
pub(crate) fn wanted(root: &Command, words: &[String]) -> Wanted {
    let Some((current, before)) = words.split_last().filter(|(_, before)| !before.is_empty())
    else {
        return Wanted::Nothing;
    };
    let mut at = Cursor {
        command: root,
        positionals: 0,
        behind_dashes: false,
        expects: None,
        typed: Vec::new(),
        provider: None,
    };
    for (number, word) in before.iter().enumerate().skip(1) {
        if at.begins_command(word) {
            return Wanted::Command(number);
        }
        at.pass(word);
    }
    if at.begins_command(current) {
        return Wanted::Command(before.len());
    }
    at.offers(current)
}

/// What is known of a command line at one of its words.
struct Cursor<'a> {
    command: &'a Command,
    /// How many positional arguments of `command` there were.
    positionals: usize,
    /// `--` was seen.
    behind_dashes: bool,
    /// The option whose value comes next.
    expects: Option<&'a Arg>,
    /// The options that there were.
    typed: Vec<&'a Arg>,
    /// The first provider that was named.
    provider: Option<&'a str>,
}

impl<'a> Cursor<'a> {
    /// Whether `word` is the first one of another command line.
    fn begins_command(&self, word: &str) -> bool {
        self.expects.is_none()
            && (self.behind_dashes || !word.starts_with('-'))
            && self.positional().is_some_and(Arg::is_trailing_var_arg_set)
    }

    fn positional(&self) -> Option<&'a Arg> {
        let mut all = self.command.get_positionals();
        all.nth(self.positionals).or_else(|| {
            let last = self.command.get_positionals().last();
            last.filter(|arg| arg.get_num_args().is_some_and(|num| num.max_values() > 1))
        })
    }

    /// The option whose value `word` is.
    fn expected(&self, word: &str) -> Option<&'a Arg> {
        let may_lack = |option: &Arg| {
            let values = option.get_num_args();
            values.is_some_and(|values| values.min_values() == 0)
        };
        self.expects
            .filter(|option| !(may_lack(option) && word.starts_with('-')))
    }

    /// Takes note of a word before the cursor.
    fn pass(&mut self, word: &'a str) {
        if let Some(option) = self.expected(word) {
            self.expects = None;
            self.note(option, word);
            return;
        }
        self.expects = None;
        if self.behind_dashes || !word.starts_with('-') || word == "-" {
            self.pass_positional(word);
        } else if word == "--" {
            self.behind_dashes = true;
        } else if let Some((option, value)) = self.option(word) {
            self.typed.push(option);
            match value {
                Some(value) => self.note(option, value),
                None if option.get_action().takes_values() => self.expects = Some(option),
                None => {}
            }
        }
    }

    fn pass_positional(&mut self, word: &'a str) {
        let inner = self
            .command
            .find_subcommand(word)
            .filter(|_| self.positionals == 0 && !self.behind_dashes);
        if let Some(inner) = inner {
            self.command = inner;
            return;
        }
        if let Some(arg) = self.positional() {
            self.note(arg, word);
        }
        self.positionals += 1;
    }

    fn note(&mut self, arg: &Arg, word: &'a str) {
        if is::<ProviderName>(arg) || is::<Whom>(arg) {
            self.provider.get_or_insert(word);
        }
    }

    /// The option that `word` is, and the value that is written into the same word.
    fn option(&self, word: &'a str) -> Option<(&'a Arg, Option<&'a str>)> {
        let mut all = self.command.get_arguments();
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            let found = all.find(|arg| arg.get_long() == Some(name))?;
            return Some((found, value));
        }
        let mut letters = word.strip_prefix('-')?.chars();
        loop {
            let letter = letters.next()?;
            let found = self
                .command
                .get_arguments()
                .find(|arg| arg.get_short() == Some(letter))?;
            let rest = letters.as_str();
            if found.get_action().takes_values() || rest.is_empty() {
                return Some((found, Some(rest).filter(|rest| !rest.is_empty())));
            }
        }
    }

    /// What can stand here, where `current` was typed.
    fn offers(&self, current: &'a str) -> Wanted {
        if let Some(option) = self.expected(current) {
            return self.values(option, "", current);
        }
        if current.starts_with('-') && !self.behind_dashes {
            return match self.option(current) {
                Some((option, Some(value))) if current.starts_with("--") => {
                    let lead = current.strip_suffix(value).unwrap_or_default();
                    self.values(option, lead, value)
                }
                _ => self.options(current),
            };
        }
        if self.positionals == 0 && self.command.has_subcommands() {
            let visible = self
                .command
                .get_subcommands()
                .filter(|it| !it.is_hide_set());
            let offers = visible.filter_map(|command| {
                let about = command.get_about().map(ToString::to_string);
                Offer::new(command.get_name(), &about.unwrap_or_default())
            });
            return words(offers, "", current);
        }
        match self.positional() {
            Some(arg) => self.values(arg, "", current),
            None => Wanted::Nothing,
        }
    }

    fn options(&self, current: &str) -> Wanted {
        let again = |arg: &Arg| matches!(arg.get_action(), ArgAction::Append | ArgAction::Count);
        let is_there = |arg: &Arg| self.typed.iter().any(|it| it.get_id() == arg.get_id());
        let offers = self
            .command
            .get_arguments()
            .filter(|arg| !arg.is_hide_set() && (again(arg) || !is_there(arg)))
            .filter_map(|arg| {
                let name = match (arg.get_long(), arg.get_short()) {
                    (Some(long), _) => format!("--{long}"),
                    (None, Some(short)) => format!("-{short}"),
                    (None, None) => return None,
                };
                let about = arg.get_help().map(ToString::to_string);
                Offer::new(name, &about.unwrap_or_default())
            });
        words(offers, "", current)
    }

    /// Values of `arg`, where `current` was typed of one, behind `lead`.
    fn values(&self, arg: &Arg, lead: &str, current: &str) -> Wanted {
        let possible = arg.get_possible_values();
        if !possible.is_empty() {
            let visible = possible.iter().filter(|value| !value.is_hide_set());
            let offers = visible.filter_map(|value| {
                let about = value.get_help().map(ToString::to_string);
                Offer::new(value.get_name(), &about.unwrap_or_default())
            });
            return words(offers, lead, current);
        }
        if is::<WebhookName>(arg) && self.command.get_name() == "add" {
            // the name is a new one
            return match arg.get_id().as_str() {
                "scheme" => words(
                    SCHEMES.iter().filter_map(|it| Offer::new(*it, "")),
                    lead,
                    current,
                ),
                _ => Wanted::Nothing,
            };
        }
        if is::<PathBuf>(arg) {
            return if lead.is_empty() {
                Wanted::Files
            } else {
                Wanted::Nothing
            };
        }
        // a list in one word, or a variable before what it stands for
        let cut = if arg.get_value_delimiter() == Some(',') {
            current.rfind(',').map_or(0, |comma| comma + 1)
        } else if is::<Variable>(arg) {
            match current.find('=') {
                Some(sign) => sign + 1,
                None => return Wanted::Nothing,
            }
        } else {
            0
        };
        let Some(kind) = self.kind(arg) else {
            return Wanted::Nothing;
        };
        let (done, typed) = current.split_at(cut);
        Wanted::Known {
            kind,
            lead: format!("{lead}{done}"),
            typed: typed.to_owned(),
            without: done.split_terminator(',').map(str::to_owned).collect(),
        }
    }

    fn kind(&self, arg: &Arg) -> Option<Kind> {
        let known = [
            (TypeId::of::<Choice>(), Kind::Choices),
            (
                TypeId::of::<ConnectionName>(),
                Kind::Connections(self.provider.map(str::to_owned)),
            ),
            (TypeId::of::<ProviderName>(), self.providers()),
            (TypeId::of::<RunId>(), Kind::Runs),
            (TypeId::of::<Variable>(), Kind::Paths),
            (TypeId::of::<WebhookName>(), Kind::Webhooks),
            (TypeId::of::<Whom>(), Kind::Providers),
        ];
        let of = arg.get_value_parser().type_id();
        let mut fitting = known.into_iter().filter(|(id, _)| of == *id);
        fitting.next().map(|(_, kind)| kind)
    }

    fn providers(&self) -> Kind {
        if OF_CONNECTED.contains(&self.command.get_name()) {
            Kind::Connected
        } else {
            Kind::Providers
        }
    }
}

/// A value of `run --connection`.
type Choice = (ProviderName, ConnectionName);

/// A value of `run --env`.
type Variable = (VariableName, ProviderName, Option<ConnectionName>);

/// Whether the values of `arg` are of this type.
fn is<T: 'static>(arg: &Arg) -> bool {
    arg.get_value_parser().type_id() == TypeId::of::<T>()
}

fn words(offers: impl Iterator<Item = Offer>, lead: &str, typed: &str) -> Wanted {
    Wanted::Words(
        offers
            .filter_map(|offer| offer.behind(lead, typed))
            .collect(),
    )
}

#[cfg(test)]
mod tests;
