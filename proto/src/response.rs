//! What the daemon answers. One variant an answer, append only; released payloads never change.
//!
//! Times are RFC 3339 in UTC.

use serde::{Deserialize, Serialize};

use crate::ids::{ConnectionName, LoginId, ProviderName, RunId, WebhookName};
use crate::request::{OAuthFlow, Unmatched};
use crate::secret::Secret;

/// An answer. The order of the variants is the wire's numbering (bincode): append only.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// It is done; there is nothing to tell.
    Done,
    /// See [`Status`].
    Status(Status),
    /// All connections, by provider, then name.
    Connections(Vec<Connection>),
    /// All definitions, by name.
    Providers(Providers),
    /// One connection.
    Connection(Connection),
    /// One secret.
    Revealed(Revealed),
    /// One definition as JSON text.
    Definition {
        /// The text, ready to be saved as an override.
        json: String,
    },
    /// A login waits.
    LoginStarted(LoginStarted),
    /// A login is done.
    LoggedIn(LoggedIn),
    /// What `logout`, `revoke` or `remove` did.
    Forgotten(Forgotten),
    /// A definition was saved.
    Registered(Registered),
    /// Variables with real values.
    Exported(Vec<Exported>),
    /// A run began.
    RunStarted(RunStarted),
    /// Living runs, oldest first.
    Runs(Vec<Run>),
    /// Audit lines, oldest first.
    Log {
        /// The lines as they stand in the log.
        lines: Vec<String>,
    },
    /// What checking the audit log's chain found.
    LogVerified(LogVerified),
    /// The daemon's checks.
    Doctor(Vec<Check>),
    /// Who is asking.
    WhoAmI(WhoAmI),
    /// What would become of a request.
    Explained(Explained),
    /// All endpoints for webhooks, by name.
    Webhooks(Vec<Webhook>),
    /// An endpoint was added, or its secret replaced.
    WebhookStored(WebhookStored),
    /// What a body and its headers are worth.
    WebhookVerified(WebhookVerified),
    /// A signed body's headers.
    WebhookSigned {
        /// Names and values, in the order of the scheme.
        headers: Vec<(String, String)>,
    },
}

/// State of a connection. Append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// Usable.
    Connected,
    /// Usable, not for long.
    Expiring,
    /// No longer usable, can be renewed.
    Expired,
    /// Not usable until a person logs in.
    NeedsLogin,
    /// Withdrawn at the server.
    Revoked,
}

impl ConnectionState {
    /// The word that people and programs see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
            Self::NeedsLogin => "needs_login",
            Self::Revoked => "revoked",
        }
    }
}

/// Where a definition comes from. Append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Shipped with the daemon.
    Bundled,
    /// A file of the user's.
    Custom,
}

/// The daemon at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Status {
    /// The daemon's build.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// When it started.
    pub started_at: String,
    /// Its home.
    pub home: String,
    /// Its control socket.
    pub socket: String,
    /// The proxy's port, once a run was asked for.
    pub proxy_port: Option<u16>,
    /// The vault.
    pub vault: Vault,
    /// How many connections there are.
    pub connections: u32,
    /// How many runs live.
    pub runs: u32,
    /// Things a person should look at, each a sentence.
    pub warnings: Vec<String>,
    /// Who started the daemon and starts it again: `systemd` or `launchd`; absent if a client did.
    pub manager: Option<String>,
}

/// The vault as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Vault {
    /// `keyring` or `file`.
    pub store: String,
    /// Whether that choice is recorded (it is made when the first secret is stored).
    pub chosen: bool,
    /// What is in the way, if it cannot be used now.
    pub problem: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A connection's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Connection {
    /// Its provider.
    pub provider: ProviderName,
    /// The provider's name for people.
    pub display_name: String,
    /// Its own name.
    pub connection: ConnectionName,
    /// Whether it is its provider's default.
    pub is_default: bool,
    /// How it authenticates: `api_key`, `oauth2` or `browser`.
    pub auth: String,
    /// Its state.
    pub state: ConnectionState,
    /// Where its definition comes from; absent when there is none any more.
    pub source: Option<Source>,
    /// When the credential was first stored.
    pub created_at: String,
    /// When it was last replaced.
    pub rotated_at: Option<String>,
    /// When it was last put on the wire, to the minute.
    pub last_used: Option<String>,
    /// When it ends to be valid, if that is known.
    pub expires_at: Option<String>,
    /// Hosts that get it.
    pub hosts: Vec<String>,
    /// Hosts that the definition gained after the credential was stored: they get nothing until a
    /// person confirms them.
    pub unconfirmed_hosts: Vec<String>,
    /// Variables that programs read.
    pub variables: Vec<String>,
    /// Where it goes on the wire, in words, for instance `Authorization: Bearer`.
    pub slot: String,
    /// The region that it was limited to at login.
    pub region: Option<String>,
    /// Whether it is renewed by itself.
    pub renews: bool,
    /// Scopes that were granted, where there are some.
    pub scopes: Vec<String>,
    /// The OAuth flow that it came from.
    pub flow: Option<OAuthFlow>,
    /// The provider's own server that it is for.
    pub base_url: Option<String>,
}

/// All definitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Providers {
    /// By name.
    pub providers: Vec<Provider>,
    /// What is wrong with definition files, one line each.
    pub problems: Vec<String>,
}

/// A definition at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Provider {
    /// Its name.
    pub provider: ProviderName,
    /// Its name for people.
    pub display_name: String,
    /// `api_key`, `oauth2` or `browser`.
    pub auth: String,
    /// Where it comes from.
    pub source: Source,
    /// Why `login` does not work yet; absent when it does.
    pub not_yet: Option<String>,
    /// Hosts.
    pub hosts: Vec<String>,
    /// Variables that programs read.
    pub variables: Vec<String>,
    /// What a key looks like: a regular expression for the whole key.
    pub key_pattern: Option<String>,
    /// A hint for the person who enters one.
    pub key_hint: Option<String>,
    /// Where to get one.
    pub key_urls: Vec<String>,
    /// How many connections there are.
    pub connections: u32,
    /// Regions that a login can be limited to.
    pub regions: Vec<String>,
    /// OAuth flows, the one that is used by default first.
    pub flows: Vec<OAuthFlow>,
    /// What to enter at the provider as redirect URI of an OAuth client.
    pub redirect_uri: Option<String>,
}

/// A secret with what it belongs to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Revealed {
    /// The provider.
    pub provider: ProviderName,
    /// The connection.
    pub connection: ConnectionName,
    /// The secret.
    pub secret: Secret,
}

/// An endpoint for signed webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Webhook {
    /// Its name.
    pub webhook: WebhookName,
    /// Its scheme.
    pub scheme: WebhookName,
    /// Where it listens: what a tunnel or reverse proxy is to be pointed at.
    pub url: String,
    /// The local program's address.
    pub forward: String,
    /// Longest body in bytes.
    pub max_body: u64,
    /// How long a sender is kept waiting for the program, in seconds.
    pub wait: u32,
    /// When it was added.
    pub created_at: String,
    /// When its secret was last replaced.
    pub rotated_at: Option<String>,
    /// How many secrets are good now; absent while the vault is shut.
    pub secrets: Option<u32>,
    /// Good requests since the daemon started, without repeated ones.
    pub accepted: u64,
    /// Refused requests since the daemon started.
    pub refused: u64,
    /// Good requests that the program did not take, since the daemon started.
    pub failed: u64,
    /// Why it does not work, if it does not.
    pub problem: Option<String>,
}

/// An endpoint whose secret was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WebhookStored {
    /// The endpoint.
    pub webhook: Webhook,
    /// Whether it was there before.
    pub rotated: bool,
    /// The store that holds the secret, for people.
    pub store: String,
}

/// What a body and its headers are worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WebhookVerified {
    /// Whether the signature is good.
    pub good: bool,
    /// The stable code of what is wrong, if something is.
    pub code: Option<String>,
    /// The same in words.
    pub reason: Option<String>,
}

/// A login that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoginStarted {
    /// Its id, for `LoginWait`, `LoginSubmit` and `LoginCancel`.
    pub login: LoginId,
    /// The provider's name for people.
    pub display_name: String,
    /// The connection that it will make or replace; the name of a webhook's endpoint.
    pub connection: ConnectionName,
    /// What a person does now.
    pub step: LoginStep,
    /// A hint on what is asked for.
    pub hint: Option<String>,
    /// Where to get a key.
    pub key_urls: Vec<String>,
    /// Seconds until it is given up.
    pub seconds_left: u64,
}

/// What a person does next in a login. Append only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LoginStep {
    /// Open a page of ours, which asks for it.
    Form {
        /// The page.
        url: String,
        /// The configured port was taken and the page moved away from it.
        moved_from: Option<u16>,
        /// What it asks for.
        asks: LoginAsks,
    },
    /// Hand it over with `LoginAnswer`.
    Enter {
        /// What is asked for.
        asks: LoginAsks,
    },
    /// Open a page of the authorization server and agree there. The code comes back by itself where
    /// the browser runs on this machine; else the address that the browser ends at is handed over
    /// with `LoginAnswer`.
    Authorize {
        /// The page.
        url: String,
        /// Where the browser is sent at the end.
        redirect_uri: String,
        /// Whether we listen there.
        listens: bool,
    },
    /// Open a page on any device and type a code there.
    Device {
        /// The page.
        url: String,
        /// The same with the code in it.
        url_with_code: Option<String>,
        /// The code.
        code: String,
    },
    /// Nothing: the servers talk.
    Wait,
}

impl LoginStep {
    /// The page to open, if there is one.
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Form { url, .. } | Self::Authorize { url, .. } | Self::Device { url, .. } => {
                Some(url)
            }
            Self::Enter { .. } | Self::Wait => None,
        }
    }
}

/// What a login asks a person for. Append only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LoginAsks {
    /// An API key.
    ApiKey,
    /// The secret that webhooks are signed with.
    SigningSecret,
    /// An OAuth client, which a person makes at the provider.
    Client {
        /// What to enter there as redirect URI, if the flow has one.
        redirect_uri: Option<String>,
        /// The id, if it is known and only the secret is asked for.
        id: Option<String>,
        /// Whether it must have a secret.
        secret_needed: bool,
    },
    /// The JSON key file of a service account.
    ServiceAccount,
    /// Cookies of a website where a person is logged in.
    Cookies {
        /// Where to log in.
        entry_url: String,
        /// Their names; those without which it does not work come first.
        names: Vec<String>,
        /// How many of them are needed.
        needed: u32,
    },
}

/// A login that is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoggedIn {
    /// The provider.
    pub provider: ProviderName,
    /// The provider's name for people.
    pub display_name: String,
    /// The connection.
    pub connection: ConnectionName,
    /// Whether it is its provider's default.
    pub is_default: bool,
    /// Whether it replaced an older credential.
    pub replaced: bool,
    /// Variables that programs will see.
    pub variables: Vec<String>,
    /// The store that holds it, for people.
    pub store: String,
    /// Living runs in which it works at once.
    pub runs: u32,
    /// When it ends to be valid, if that is known.
    pub expires_at: Option<String>,
    /// Whether it is renewed by itself.
    pub renews: bool,
    /// Scopes that were granted, where there are some.
    pub scopes: Vec<String>,
}

/// What was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Forgotten {
    /// The provider.
    pub provider: ProviderName,
    /// The connections that are gone.
    pub connections: Vec<ConnectionName>,
    /// The default after this, if connections are left and one is the default.
    pub new_default: Option<ConnectionName>,
    /// Connections that are left.
    pub left: Vec<ConnectionName>,
    /// Whether the default pointer was affected.
    pub default_changed: bool,
    /// The override file that was deleted.
    pub definition_removed: Option<String>,
    /// What became of each connection's tokens at the server, where that was asked for.
    pub revocations: Vec<(ConnectionName, Revocation)>,
}

/// What became of tokens at the server. Append only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Revocation {
    /// They are no good any more.
    Revoked,
    /// The provider offers no way that a program could use.
    NotOffered,
    /// It did not work; they stay good until they expire or a person revokes them.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A definition that was saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Registered {
    /// The provider.
    pub provider: ProviderName,
    /// The file.
    pub file: String,
    /// Whether it replaced a custom definition.
    pub replaced: bool,
    /// Connections whose new hosts are confirmed by this.
    pub confirmed: Vec<ConnectionName>,
    /// Problems that do not stop it.
    pub warnings: Vec<String>,
}

/// A variable with its real value.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Exported {
    /// The provider.
    pub provider: ProviderName,
    /// The connection.
    pub connection: ConnectionName,
    /// The variable.
    pub variable: String,
    /// Its value.
    pub value: Secret,
}

/// A run that began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunStarted {
    /// The run.
    pub run: RunId,
    /// Variables to set before the command starts.
    pub set: Vec<(String, String)>,
    /// Variables to remove.
    pub remove: Vec<String>,
    /// What a person should know, one sentence each.
    pub warnings: Vec<String>,
    /// Connections granted.
    pub granted: Vec<(ProviderName, ConnectionName)>,
}

/// A living run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Run {
    /// Its id.
    pub run: RunId,
    /// Its first process.
    pub pid: u32,
    /// The command's file name.
    pub program: String,
    /// When it began.
    pub started_at: String,
    /// When its certificates end to be valid.
    pub valid_until: String,
    /// Connections granted.
    pub granted: Vec<(ProviderName, ConnectionName)>,
    /// What happens to hosts without a route.
    pub unmatched: Unmatched,
    /// Requests that got a credential.
    pub injected: u64,
    /// Requests refused.
    pub refused: u64,
    /// Why it no longer works, if it does not.
    pub problem: Option<String>,
    /// When it ends at the latest, if its start or that of the run around it said so.
    pub expires_at: Option<String>,
    /// Whether it outlives its first process.
    pub keeps: bool,
}

/// What checking the chain found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogVerified {
    /// Files looked at.
    pub files: u32,
    /// Records whose place in the chain is right.
    pub records: u64,
    /// The first break: file, line and what is wrong.
    pub broken: Option<String>,
    /// Things that are not breaks, one sentence each (a torn last line that was cut off).
    pub notes: Vec<String>,
}

/// Outcome of a check. Append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// Works, but look at it.
    Warning,
    /// Does not work.
    Failed,
}

/// One check of `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Check {
    /// What was looked at, one word.
    pub name: String,
    /// How it is.
    pub outcome: Outcome,
    /// What was found, a sentence.
    pub found: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// Who is asking, as the daemon sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WhoAmI {
    /// User id of the peer.
    pub uid: u32,
    /// Process id of the peer.
    pub pid: u32,
    /// The daemon's home.
    pub home: String,
    /// The vault's store.
    pub store: String,
    /// The living run that the peer descends from.
    pub run: Option<RunId>,
    /// Connections granted to that run.
    pub granted: Vec<(ProviderName, ConnectionName)>,
}

/// What would become of a request, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Explained {
    /// The method and the URL as they were understood, without query.
    pub request: String,
    /// What is done.
    pub outcome: ExplainedOutcome,
    /// The stable code, if it is refused.
    pub code: Option<String>,
    /// Why, one sentence.
    pub message: String,
    /// The command or change that would help, if it is refused.
    pub fix: Option<String>,
    /// Whose credential it gets.
    pub provider: Option<ProviderName>,
    /// Which connection.
    pub connection: Option<ConnectionName>,
    /// Where the credential goes, in words.
    pub slot: Option<String>,
    /// The run that was asked about; absent for one that would be started now.
    pub run: Option<RunId>,
    /// Every route of this host, and what became of it.
    pub routes: Vec<ExplainedRoute>,
    /// Every rule that spoke about the chosen route.
    pub rules: Vec<ExplainedRule>,
    /// What else a person should know, one sentence each.
    pub notes: Vec<String>,
}

/// What is done with a request. Append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ExplainedOutcome {
    /// It is sent with a credential.
    Inject,
    /// It is sent as it is, without a credential.
    Pass,
    /// Its connection is passed on unread.
    Tunnel,
    /// It is answered with an error.
    Refuse,
}

/// One route that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExplainedRoute {
    /// Whose definition it is from.
    pub provider: ProviderName,
    /// The connection that it would use.
    pub connection: ConnectionName,
    /// Its hosts, with `:port` where it is not 443.
    pub hosts: Vec<String>,
    /// Its path scope, and what it leaves out.
    pub path: String,
    /// Its methods, `*` for all.
    pub methods: String,
    /// Where the credential goes, in words.
    pub slot: String,
    /// What became of it: a stable word.
    pub verdict: String,
    /// The same as a sentence.
    pub why: String,
}

/// One rule that spoke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExplainedRule {
    /// The file that it stands in.
    pub source: String,
    /// The rule as it is written there, for instance `deny DELETE /**`.
    pub rule: String,
    /// Whether it is the reason for a refusal.
    pub refuses: bool,
}
