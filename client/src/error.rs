//! What went wrong, as a person and a calling program see it: kind, causes, way out.
//!
//! Kinds decide the exit code; what the daemon sent keeps its stable code for `--json`.

use std::error::Error;

use authsome_proto::{ErrorCode, WireError};

/// Exit code of `run` for whatever failed before the command started, as `env` and `docker` do.
pub(crate) const RUN_FAILED: u8 = 125;

/// The result of a command: done, or why not.
pub(crate) type Done = Result<(), Failure>;

/// Kinds of failure; each has an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A defect of ours.
    Bug,
    /// It failed, or was refused.
    Failed,
    /// A person must log in first.
    LoginNeeded,
    /// Everything was said already; only the exit code is left, also under `run`.
    Said(u8),
    /// The daemon cannot be reached.
    Unreachable,
    /// The arguments make no sense.
    Usage,
}

/// A failure: what could not be done, why, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Decides the exit code.
    pub(crate) kind: Kind,
    /// The daemon's code, where the daemon failed.
    pub(crate) code: Option<ErrorCode>,
    /// What could not be done, to what.
    pub(crate) message: String,
    /// Why, from near to far.
    pub(crate) causes: Vec<String>,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: None,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
        }
    }

    pub(crate) fn bug(message: impl Into<String>) -> Self {
        Self::new(Kind::Bug, message)
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    pub(crate) fn said(exit_code: u8) -> Self {
        Self::new(Kind::Said(exit_code), "")
    }

    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unreachable, message)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Adds the chain of causes of `error`, itself included.
    #[must_use]
    pub(crate) fn because(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(cause) = next {
            self.causes.push(cause.to_string());
            next = cause.source();
        }
        self
    }

    /// Adds one cause in words.
    #[must_use]
    pub(crate) fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The nearest cause, or what failed where none is known: for a line that tells of it in passing.
    pub(crate) fn reason(&self) -> &str {
        self.causes.first().unwrap_or(&self.message)
    }

    /// The exit code of every command but `run`.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Unreachable => 3,
            Kind::LoginNeeded => 4,
            Kind::Bug => 70,
            Kind::Said(code) => code,
        }
    }

    /// The exit code of `run`, which leaves the small numbers to the command it starts.
    pub(crate) fn exit_code_of_run(&self) -> u8 {
        match self.kind {
            Kind::Said(code) => code,
            Kind::Bug | Kind::Failed | Kind::LoginNeeded | Kind::Unreachable | Kind::Usage => {
                RUN_FAILED
            }
        }
    }

    /// Whether the daemon answered with this code.
    pub(crate) fn is(&self, code: ErrorCode) -> bool {
        self.code == Some(code)
    }

    /// Treats "there is no such connection" as "log in first", which is what it means to a
    /// command that only wants to use one.
    #[must_use]
    pub(crate) fn or_login_needed(mut self) -> Self {
        if self.is(ErrorCode::UnknownConnection) {
            self.kind = Kind::LoginNeeded;
        }
        self
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        let kind = match error.code {
            ErrorCode::Internal => Kind::Bug,
            ErrorCode::LoginNeeded => Kind::LoginNeeded,
            ErrorCode::ShuttingDown => Kind::Unreachable,
            _ => Kind::Failed,
        };
        Self {
            kind,
            code: Some(error.code),
            message: error.message,
            causes: error.causes,
            hint: error.hint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_documented_exit_code() {
        for (kind, code) in [
            (Kind::Failed, 1),
            (Kind::Usage, 2),
            (Kind::Unreachable, 3),
            (Kind::LoginNeeded, 4),
            (Kind::Bug, 70),
        ] {
            assert_eq!(Failure::new(kind, "x").exit_code(), code);
            assert_eq!(Failure::new(kind, "x").exit_code_of_run(), 125);
        }
        assert_eq!(Failure::said(127).exit_code_of_run(), 127);
    }

    #[test]
    fn the_daemons_code_decides_the_kind() {
        let kind = |code| Failure::from(WireError::new(code, "x")).kind;
        assert_eq!(kind(ErrorCode::LoginNeeded), Kind::LoginNeeded);
        assert_eq!(kind(ErrorCode::Internal), Kind::Bug);
        assert_eq!(kind(ErrorCode::VaultLocked), Kind::Failed);
        let missing = Failure::from(WireError::new(ErrorCode::UnknownConnection, "x"));
        assert_eq!(missing.clone().kind, Kind::Failed);
        assert_eq!(missing.or_login_needed().kind, Kind::LoginNeeded);
    }
}
