//! What a client may ask. One variant a request, append only; what must change becomes a new one.

use serde::{Deserialize, Serialize};

use crate::ids::{ConnectionName, LoginId, ProviderName, RunId, VariableName, WebhookName};
use crate::secret::Secret;

/// A request. The order of the variants is the wire's numbering (bincode): append only.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// Hands over the one secret of a login begun with `LoginVia::Submit`. Answer: `LoggedIn`, of a
    /// webhook's `WebhookStored`.
    LoginSubmit {
        /// The login.
        login: LoginId,
        /// The credential.
        secret: Secret,
    },
    /// Waits for a login to end, with progress events. Answer: `LoggedIn`, of a webhook's
    /// `WebhookStored`.
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
    /// What would become of a request. Answer: `Explained`.
    Explain(Explain),
    /// Begins to add an endpoint for signed webhooks; its secret arrives as that of a login. Refused
    /// inside a run. Answer: `LoginStarted`.
    WebhookAdd(WebhookAdd),
    /// Begins to replace an endpoint's secret. Refused inside a run. Answer: `LoginStarted`.
    WebhookRotate {
        /// Which.
        webhook: WebhookName,
        /// How long the secrets before it stay good, in seconds; not at all if 0.
        keep_old: u64,
        /// How the secret arrives.
        via: LoginVia,
    },
    /// All endpoints. Answer: `Webhooks`.
    Webhooks,
    /// Removes an endpoint and its secrets. Refused inside a run. Answer: `Done`.
    WebhookRemove {
        /// Which.
        webhook: WebhookName,
    },
    /// Judges a body as the endpoint would. Answer: `WebhookVerified`.
    WebhookVerify(WebhookVerify),
    /// Signs a body as the endpoint's sender would. Audited; refused inside a run. Answer:
    /// `WebhookSigned`.
    WebhookSign(WebhookSign),
    /// Begins a login to a server that is known by its address alone, such as one of the Model
    /// Context Protocol: what it says of itself becomes a custom definition. Refused inside a run.
    /// Answer: `LoginStarted`.
    LoginServer(LoginServer),
    /// Hands over what a login's step asks for. Answer: `LoginStarted` with the next step, or
    /// `LoggedIn`.
    LoginAnswer {
        /// The login.
        login: LoginId,
        /// What was asked for.
        answer: LoginAnswer,
    },
}

/// How a login gets its secret. Append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LoginVia {
    /// A form on the loopback page.
    Form,
    /// The client hands it over with `LoginSubmit`.
    Submit,
}

/// Payload of `Request::Login`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Login {
    /// The provider.
    pub provider: ProviderName,
    /// The connection's name; `default` if absent, or with `force` the provider's default.
    pub connection: Option<ConnectionName>,
    /// Replace an existing credential.
    pub force: bool,
    /// How the secret arrives.
    pub via: LoginVia,
    /// The region that the account lives in, where the definition has regions: only that region's
    /// hosts get the credential.
    pub region: Option<String>,
    /// The OAuth flow; the definition's first if absent.
    pub flow: Option<OAuthFlow>,
    /// The scopes to ask for; the definition's if empty.
    pub scopes: Vec<String>,
    /// The provider's own server, where a person runs it: `https://github.example.com`.
    pub base_url: Option<String>,
    /// The OAuth client to be; the one that was given at the last login if absent.
    pub client_id: Option<String>,
}

/// Payload of `Request::LoginServer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoginServer {
    /// The server's address: `https://mcp.example.com/mcp`.
    pub url: String,
    /// As in [`Login`].
    pub connection: Option<ConnectionName>,
    /// As in [`Login`].
    pub force: bool,
    /// As in [`Login`].
    pub via: LoginVia,
    /// As in [`Login`].
    pub scopes: Vec<String>,
    /// As in [`Login`]; where the server registers clients by itself, none is needed.
    pub client_id: Option<String>,
}

/// An OAuth flow. Append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OAuthFlow {
    /// An authorization code with PKCE, over the browser.
    Pkce,
    /// The same as a client that registers itself (RFC 7591).
    DcrPkce,
    /// A code that is typed on another device (RFC 8628).
    DeviceCode,
    /// The client for itself, without a person (RFC 6749 section 4.4).
    ClientCredentials,
    /// A service account's key (RFC 7523).
    JwtBearer,
}

impl OAuthFlow {
    /// The name on the wire in JSON, in definitions, and for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pkce => "pkce",
            Self::DcrPkce => "dcr_pkce",
            Self::DeviceCode => "device_code",
            Self::ClientCredentials => "client_credentials",
            Self::JwtBearer => "jwt_bearer",
        }
    }
}

/// What a login's step asks for. Append only.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LoginAnswer {
    /// An OAuth client.
    Client {
        /// Its public id.
        id: String,
        /// Its secret, if it has one.
        secret: Option<Secret>,
    },
    /// The address that the browser was sent to at the end, or the code in it.
    Redirect(Secret),
    /// Cookies by name.
    Cookies(Vec<(String, Secret)>),
    /// An API key, a signing secret or a service account's key file: the same as `LoginSubmit`.
    Secret(Secret),
}

/// Payload of `Request::WebhookAdd`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WebhookAdd {
    /// The endpoint's name.
    pub webhook: WebhookName,
    /// The scheme: a bundled one, or a file `webhooks/NAME.json` in the home; with `definition` the
    /// name that this gives itself, or absent.
    pub scheme: Option<WebhookName>,
    /// The text of a scheme's description, and the file it came from.
    pub definition: Option<(String, String)>,
    /// The local program's address.
    pub forward: String,
    /// The loopback port to listen on; a free one if absent.
    pub port: Option<u16>,
    /// Longest body in bytes, if not the usual.
    pub max_body: Option<u64>,
    /// How long a sender is kept waiting for the program in seconds, if not the usual.
    pub wait: Option<u32>,
    /// How the secret arrives.
    pub via: LoginVia,
}

/// Payload of `Request::WebhookVerify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WebhookVerify {
    /// Which endpoint's scheme and secrets.
    pub webhook: WebhookName,
    /// Headers of the request: names and values.
    pub headers: Vec<(String, String)>,
    /// Value of the header that the scheme has for the signature.
    pub signature: Option<String>,
    /// Value of the header that the scheme has for the timestamp.
    pub timestamp: Option<String>,
    /// Value of the header that the scheme has for the id.
    pub id: Option<String>,
    /// The raw body.
    pub body: Vec<u8>,
}

/// Payload of `Request::WebhookSign`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WebhookSign {
    /// Which endpoint's scheme and newest secret.
    pub webhook: WebhookName,
    /// The timestamp in Unix seconds; now if absent.
    pub timestamp: Option<i64>,
    /// The id; a random one if absent.
    pub id: Option<String>,
    /// The raw body.
    pub body: Vec<u8>,
}

/// What happens to hosts without a route. Append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Unmatched {
    /// Passed on untouched, never decrypted.
    Tunnel,
    /// Refused.
    Deny,
}

/// How long a run lives; `runs stop` ends it at any time. Append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunLife {
    /// As long as the process that asks.
    Process,
    /// The same, and so many seconds at most.
    ProcessAtMost(u64),
    /// Until the last process that was started in it is gone, and so many seconds at most: for
    /// commands that return at once and leave others behind.
    TreeAtMost(u64),
}

/// An `authsome.toml`: rules that belong to a project's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProjectFile {
    /// Where it was found, for messages.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// Payload of `Request::Explain`: what would become of a request. Nothing is sent anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Explain {
    /// The method.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// A living run. If absent: the run that asks, else one that would be started now.
    pub run: Option<RunId>,
    /// As in [`RunStart`], for a run that would be started now.
    pub connections: Vec<(ProviderName, ConnectionName)>,
    /// As in [`RunStart`], for a run that would be started now.
    pub project: Option<ProjectFile>,
}

/// Payload of `Request::RunStart`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunStart {
    /// Connections that replace their provider's default.
    pub connections: Vec<(ProviderName, ConnectionName)>,
    /// Only these providers; all if empty.
    pub only: Vec<ProviderName>,
    /// Overrides the configuration.
    pub unmatched: Option<Unmatched>,
    /// Variables that get a placeholder of their own; a request that carries it gets exactly this
    /// connection (the provider's default if absent), which is granted by this, too.
    pub variables: Vec<(VariableName, ProviderName, Option<ConnectionName>)>,
    /// How long it lives.
    pub life: RunLife,
    /// The project's rules; they can only narrow.
    pub project: Option<ProjectFile>,
    /// The asking process' values of [`crate::environment::PARENT_VARIABLES`].
    pub environment: Vec<(String, String)>,
    /// The command's file name, for `runs` and the audit log. Never its arguments.
    pub program: String,
    /// The process that the run is about, one that the asking process descends from: the run ends
    /// with it. The asking process itself if absent, which the run then also belongs to.
    pub process: Option<u32>,
}

/// Payload of `Request::Log` and `Request::LogFollow`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogQuery {
    /// How many of the last matching lines.
    pub lines: u32,
    /// Only this provider.
    pub provider: Option<ProviderName>,
    /// Only this run.
    pub run: Option<RunId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_has_the_same_name_everywhere() {
        for flow in [
            OAuthFlow::Pkce,
            OAuthFlow::DcrPkce,
            OAuthFlow::DeviceCode,
            OAuthFlow::ClientCredentials,
            OAuthFlow::JwtBearer,
        ] {
            assert_eq!(serde_json::to_value(flow).unwrap(), flow.as_str());
        }
    }
}
