//! What went wrong, as it travels: a stable code, this level's message, causes, and a way out.

use serde::{Deserialize, Serialize};

/// Kinds of failure. Programs branch on these, never on text. Append only: bincode numbers the
/// variants by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// A defect of ours.
    Internal,
    /// The request makes no sense.
    BadRequest,
    /// No definition of that name.
    UnknownProvider,
    /// No connection of that name.
    UnknownConnection,
    /// A connection of that name exists and may not be overwritten.
    AlreadyConnected,
    /// The provider is known, but this release cannot log in to it.
    NotAvailableYet,
    /// The secret does not have the shape it must have.
    InvalidSecret,
    /// There is no usable credential; a person must log in.
    LoginNeeded,
    /// No login of that session waits, or it ran out of time.
    LoginExpired,
    /// The login was given up.
    LoginCancelled,
    /// The keyring is locked.
    VaultLocked,
    /// The store that holds the credentials cannot be reached.
    VaultAbsent,
    /// The store did not answer in time.
    VaultTimedOut,
    /// The store failed otherwise.
    VaultFailed,
    /// The file store waits for its passphrase (`unlock`).
    PassphraseNeeded,
    /// The file store wants a new passphrase to be chosen (`unlock`).
    PassphraseWanted,
    /// The passphrase is wrong.
    WrongPassphrase,
    /// Not allowed to a process inside a run.
    RefusedInsideRun,
    /// No living run of that name.
    UnknownRun,
    /// The definition cannot be used.
    BadDefinition,
    /// The audit log cannot be written.
    AuditFailed,
    /// The configuration cannot be used.
    BadConfig,
    /// The login page's port is taken.
    PortTaken,
    /// Files of the home cannot be read or written.
    Storage,
    /// Too many requests of this client are under way.
    TooManyRequests,
    /// The daemon is stopping.
    ShuttingDown,
    /// The request was cancelled.
    Cancelled,
    /// No webhook of that name.
    UnknownWebhook,
    /// The person or the authorization server said no.
    LoginRefused,
    /// An authorization server could not be reached, or its answer is no good.
    AuthorizationServer,
    /// The access token is over and cannot be renewed now.
    RenewalFailed,
}

/// A failure as sent to the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WireError {
    /// What kind.
    pub code: ErrorCode,
    /// What could not be done, to what: lower case, no final period.
    pub message: String,
    /// Why, from near to far.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl WireError {
    /// An error with a message and nothing else.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the chain of causes of `error`, itself included.
    #[must_use]
    pub fn because(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = Some(error);
        while let Some(cause) = next {
            self.causes.push(cause.to_string());
            next = cause.source();
        }
        self
    }
}

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for WireError {}
