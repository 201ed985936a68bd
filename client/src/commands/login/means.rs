//! How a login gets what it asks for: from a person in the browser or on the terminal, or from
//! somewhere that needs nobody.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use authsome_proto::Secret;
use authsome_proto::request::LoginVia;

use crate::cli::{Login, SecretSource};
use crate::error::Failure;
use crate::secrets;

/// The means that options and surroundings leave a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commands) struct Means {
    /// Where the value comes from that is asked for first.
    pub(super) source: Option<Source>,
    /// Whether a browser of ours would be seen.
    pub(super) browser: bool,
    /// Whether there is a terminal to ask on.
    pub(super) terminal: bool,
    /// Whether we stay until it is done.
    pub(super) waits: bool,
    /// The OAuth client that a secret without a name belongs to.
    pub(super) client_id: Option<String>,
}

/// Where a value is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    File(PathBuf),
    Stdin,
    Variable(String),
}

/// A value that was read.
#[derive(Debug)]
pub(super) struct AtHand {
    pub(super) secret: Secret,
    pub(super) source: Source,
}

impl Means {
    /// Those of `login`.
    pub(super) fn of_login(arguments: &Login) -> Self {
        let source = match &arguments.key_file {
            Some(path) => Some(Source::File(path.clone())),
            None => Source::of(arguments.stdin, arguments.from_env.as_deref()),
        };
        Self {
            client_id: arguments.client_id.clone(),
            waits: !arguments.no_wait,
            ..Self::new(source, arguments.no_browser || arguments.no_wait)
        }
    }

    /// Those of a login that somebody else began.
    pub(super) fn of_resumed() -> Self {
        Self::new(None, true)
    }

    /// Those of a webhook's secret.
    pub(in crate::commands) fn of_secret(arguments: &SecretSource) -> Self {
        let source = Source::of(arguments.stdin, arguments.from_env.as_deref());
        Self::new(source, arguments.no_browser)
    }

    fn new(source: Option<Source>, no_browser: bool) -> Self {
        Self {
            source,
            browser: !no_browser
                && has_display(|name| {
                    std::env::var_os(name).is_some_and(|value| !value.is_empty())
                }),
            terminal: std::fs::File::open("/dev/tty").is_ok(),
            waits: true,
            client_id: None,
        }
    }

    /// Whether nothing can be asked for, and nothing was given.
    pub(in crate::commands) fn are_none(&self) -> bool {
        self.source.is_none() && !self.browser && !self.terminal
    }

    /// How the daemon gets what it asks for.
    pub(in crate::commands) fn via(&self) -> LoginVia {
        if self.source.is_none() && (self.browser || !self.waits) {
            LoginVia::Form
        } else {
            LoginVia::Submit
        }
    }

    /// Reads the value that needs nobody to be asked.
    pub(super) fn read(&self) -> Result<Option<AtHand>, Failure> {
        let Some(source) = self.source.clone() else {
            return Ok(None);
        };
        let secret = match &source {
            Source::File(path) => secrets::from_file(path)?,
            Source::Stdin => secrets::read(&mut io::stdin().lock(), "standard input")?,
            Source::Variable(name) => secrets::from_variable(name)?,
        };
        Ok(Some(AtHand { secret, source }))
    }

    /// Whether a person may type while we wait: what is typed is meant for us if it would be read
    /// from standard input, or if that was used up on purpose.
    pub(super) fn may_type(&self) -> bool {
        self.terminal && (self.source == Some(Source::Stdin) || io::stdin().is_terminal())
    }
}

impl Source {
    fn of(stdin: bool, from_env: Option<&str>) -> Option<Self> {
        match from_env {
            _ if stdin => Some(Self::Stdin),
            Some(name) => Some(Self::Variable(name.to_owned())),
            None => None,
        }
    }

    /// As people call it.
    pub(super) fn what(&self) -> String {
        match self {
            Self::File(path) => format!("`{}`", path.display()),
            Self::Stdin => "standard input".into(),
            Self::Variable(name) => format!("`{name}`"),
        }
    }
}

/// Whether a browser that we open would be seen by the person who asked. Over SSH it would open
/// on the wrong machine, unless somebody named one on purpose.
fn has_display(set: impl Fn(&str) -> bool) -> bool {
    if set("BROWSER") {
        return true;
    }
    if set("SSH_CONNECTION") || set("SSH_TTY") {
        return false;
    }
    cfg!(target_os = "macos") || set("DISPLAY") || set("WAYLAND_DISPLAY")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_opened_only_where_it_would_be_seen() {
        let display = |variables: &[&str]| has_display(|name| variables.contains(&name));
        assert!(display(&["WAYLAND_DISPLAY"]));
        assert!(display(&["DISPLAY"]));
        assert!(!display(&["DISPLAY", "SSH_CONNECTION"]));
        assert!(display(&["BROWSER", "SSH_CONNECTION"]));
        assert_eq!(display(&[]), cfg!(target_os = "macos"));
    }

    #[test]
    fn the_form_is_for_those_who_give_nothing_and_see_a_browser_or_pass_a_link_on() {
        let means = Means {
            source: None,
            browser: false,
            terminal: false,
            waits: true,
            client_id: None,
        };
        assert!(means.are_none());
        assert_eq!(means.via(), LoginVia::Submit);
        let link = Means {
            waits: false,
            ..means.clone()
        };
        assert_eq!(link.via(), LoginVia::Form);
        let seen = Means {
            browser: true,
            ..means
        };
        assert_eq!(seen.via(), LoginVia::Form);
        let given = Means {
            source: Some(Source::Stdin),
            ..seen
        };
        assert_eq!(given.via(), LoginVia::Submit);
    }
}
