//! What a client may ask. One variant a request, append only; what must change becomes a new one.

use serde::{Deserialize, Serialize};

use crate::ids::{ConnectionName, LoginId, ProviderName, RunId};
use crate::secret::Secret;

/// A request. The order of the variants is the wire's numbering (bincode): append only.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Daemon, vault, runs at a glance. Answer: `Status`.
    Status,
    /// All connections. Answer: `Connections`.
    Connections,
    /// All definitions. Answer: `Providers`.
    Providers,
    /// One connection's metadata. Answer: `Connection`.
    Connection {
        /// Its provider.
        provider: ProviderName,
        /// Its name; the provider's default if absent.
        connection: Option<ConnectionName>,
    },
    /// One connection's secret. Audited; refused inside a run. Answer: `Revealed`.
    Reveal {
        /// Its provider.
        provider: ProviderName,
        /// Its name; the provider's default if absent.
        connection: Option<ConnectionName>,
    },
    /// One definition as text. Answer: `Definition`.
    Inspect {
        /// Which.
        provider: ProviderName,
    },
    /// Begins a login. Answer: `LoginStarted`.
    Login(Login),
    /// Hands over the secret of a login begun with `LoginVia::Submit`. Answer: `LoggedIn`.
    LoginSubmit {
        /// The login.
        login: LoginId,
        /// The credential.
        secret: Secret,
    },
    /// Waits for a login to end, with progress events. Answer: `LoggedIn`.
    LoginWait {
        /// The login.
        login: LoginId,
    },
    /// Gives a login up. Answer: `Done`.
    LoginCancel {
        /// The login.
        login: LoginId,
    },
    /// Deletes local credentials. Answer: `Forgotten`.
    Logout {
        /// The provider.
        provider: ProviderName,
        /// Which connection; the default if absent.
        connection: Option<ConnectionName>,
    },
    /// Deletes local credentials and revokes them at the server where it offers that.
    /// Answer: `Forgotten`.
    Revoke {
        /// The provider.
        provider: ProviderName,
        /// Which connection; the default if absent.
        connection: Option<ConnectionName>,
    },
    /// Forgets all local state of a provider: every connection, and its override. Answer:
    /// `Forgotten`.
    Remove {
        /// The provider.
        provider: ProviderName,
    },
    /// Makes a connection its provider's default. Answer: `Done`.
    SetDefault {
        /// The provider.
        provider: ProviderName,
        /// The connection.
        connection: ConnectionName,
    },
    /// Registers a definition, or confirms hosts that one has gained. Refused inside a run.
    /// Answer: `Registered`.
    Register {
        /// The definition's text, in any accepted form.
        text: String,
        /// The file it came from, for messages.
        file: String,
        /// Replace a custom definition of the same name.
        force: bool,
    },
    /// Real values. Audited; refused inside a run. Answer: `Exported`.
    Export {
        /// Only this provider; all if absent.
        provider: Option<ProviderName>,
        /// Only this connection; defaults if absent.
        connection: Option<ConnectionName>,
    },
    /// Begins a run for the asking process. Answer: `RunStarted`.
    RunStart(RunStart),
    /// Living runs. Answer: `Runs`.
    Runs,
    /// Ends a run. Answer: `Done`.
    RunStop {
        /// Which.
        run: RunId,
    },
    /// The audit log's last lines. Answer: `Log`.
    Log(LogQuery),
    /// As `Log`, then every new line as an event until cancelled. Answer: `Done`.
    LogFollow(LogQuery),
    /// Checks the audit log's chain. Answer: `LogVerified`.
    LogVerify,
    /// All events until cancelled. Answer: `Done`.
    Subscribe,
    /// The daemon's own checks. Answer: `Doctor`.
    Doctor,
    /// Opens the file store, or sets its passphrase when one is wanted. Answer: `Done`.
    Unlock {
        /// The passphrase.
        passphrase: Secret,
    },
    /// Stops the daemon gracefully. Answer: `Done`.
    Shutdown,
    /// Who is asking, as the daemon sees it. Answer: `WhoAmI`.
    WhoAmI,
}

/// How a login gets its secret. Append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginVia {
    /// A form on the loopback page.
    Form,
    /// The client hands it over with `LoginSubmit`.
    Submit,
}

/// Payload of `Request::Login`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The provider.
    pub provider: ProviderName,
    /// The connection's name; `default` if absent, or with `force` the provider's default.
    pub connection: Option<ConnectionName>,
    /// Replace an existing credential.
    pub force: bool,
    /// How the secret arrives.
    pub via: LoginVia,
}

/// What happens to hosts without a route. Append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unmatched {
    /// Passed on untouched, never decrypted.
    Tunnel,
    /// Refused.
    Deny,
}

/// Payload of `Request::RunStart`. The run belongs to the process that asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStart {
    /// Connections that replace their provider's default.
    pub connections: Vec<(ProviderName, ConnectionName)>,
    /// Only these providers; all if empty.
    pub only: Vec<ProviderName>,
    /// Overrides the configuration.
    pub unmatched: Option<Unmatched>,
    /// The asking process' values of [`crate::environment::PARENT_VARIABLES`].
    pub environment: Vec<(String, String)>,
    /// The command's file name, for `runs` and the audit log. Never its arguments.
    pub program: String,
}

/// Payload of `Request::Log` and `Request::LogFollow`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogQuery {
    /// How many of the last matching lines.
    pub lines: u32,
    /// Only this provider.
    pub provider: Option<ProviderName>,
    /// Only this run.
    pub run: Option<RunId>,
}
