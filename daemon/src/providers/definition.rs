//! The definition of a provider, as the rest of the daemon sees it: parsed, checked, immutable.

use authsome_proto::ProviderName;
use authsome_proto::request::OAuthFlow;
use serde::{Deserialize, Serialize};

use crate::routing::{HostPattern, Methods, PathScope, Slot, Template};

use super::key_pattern::KeyPattern;

/// Port of a route that names none.
pub(super) const HTTPS_PORT: u16 = 443;

/// Everything known about one provider. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its name on the command line and in file names.
    pub name: ProviderName,
    /// Its name for people.
    pub display_name: String,
    /// A label for grouping, nothing more.
    pub kind: Kind,
    /// How a credential is obtained.
    pub auth: Auth,
    /// Whether `login` works for it.
    pub availability: Availability,
    /// Where the credential goes on the wire; never empty.
    pub routes: Vec<RouteRule>,
    /// The variables programs read, in the order of the file.
    pub env: Vec<EnvVariable>,
    /// The shape of a key, where the provider has one.
    pub key_pattern: Option<KeyPattern>,
    /// What a key looks like, in words; shown when the pattern does not match.
    pub key_hint: Option<String>,
    /// What stands for a key in a variable, where the provider's programs check its shape.
    pub key_placeholder: Option<Template>,
    /// Pages where a person makes a key or registers an app.
    pub key_urls: Vec<String>,
    /// The provider's documentation.
    pub docs_url: Option<String>,
    /// What a user of this definition should know.
    pub notes: Vec<String>,
    /// Hosts that serve one region each, by the region's name; empty where there are no regions. An
    /// account lives in one of them.
    pub regions: Vec<(String, Vec<HostPattern>)>,
}

impl Definition {
    /// The host patterns of all routes in order, each once; with `:port` where it is not 443 and
    /// with the path where it is not every path (`api.intercom.io/fin/**`), since another port or
    /// another path of the same host is another destination.
    pub fn hosts(&self) -> Vec<String> {
        let mut hosts = Vec::new();
        for rule in &self.routes {
            for pattern in &rule.hosts {
                let shown = rule.place(pattern);
                if !hosts.contains(&shown) {
                    hosts.push(shown);
                }
            }
        }
        hosts
    }

    /// The same of one region, with those that belong to none; of all if `region` is absent.
    pub fn hosts_in(&self, region: Option<&str>) -> Vec<String> {
        let other: Vec<String> = self
            .routes
            .iter()
            .flat_map(|rule| {
                let hosts = rule.hosts.iter();
                hosts
                    .filter(|host| self.is_elsewhere(region, host))
                    .map(|host| rule.place(host))
            })
            .collect();
        let mut hosts = self.hosts();
        hosts.retain(|host| !other.contains(host));
        hosts
    }

    /// Whether `host` belongs to another region than `region`. A region that the definition does
    /// not know any more is no host's.
    pub fn is_elsewhere(&self, region: Option<&str>, host: &HostPattern) -> bool {
        region.is_some_and(|region| {
            let mut homes = self
                .regions
                .iter()
                .filter(|(_, hosts)| hosts.contains(host));
            homes.next().is_some_and(|(name, _)| name != region)
        })
    }

    /// Whether a person can log in to it today.
    pub fn is_ready(&self) -> bool {
        self.availability == Availability::Ready
    }

    /// Why a person cannot log in to it yet.
    pub fn not_yet(&self) -> Option<&str> {
        match &self.availability {
            Availability::NotYet { reason } => Some(reason),
            Availability::Ready => None,
        }
    }

    /// The variables that programs read the secret from.
    pub fn variables(&self) -> Vec<String> {
        let secret = self
            .env
            .iter()
            .filter(|variable| variable.value.is_secret());
        secret.map(|variable| variable.name.clone()).collect()
    }

    /// The OAuth flows that can work, the default first.
    pub fn flows(&self) -> Vec<OAuthFlow> {
        match &self.auth {
            Auth::OAuth2(facts) => facts.flows.iter().map(|flow| (*flow).into()).collect(),
            Auth::ApiKey | Auth::Browser(_) => Vec::new(),
        }
    }

    /// Whether one of its flows ends with the browser at a redirect address of ours.
    pub fn has_redirect(&self) -> bool {
        let redirects = [OAuthFlow::Pkce, OAuthFlow::DcrPkce];
        self.flows().iter().any(|flow| redirects.contains(flow))
    }

    /// How it authenticates, as it is shown and sent.
    pub fn auth_name(&self) -> &'static str {
        match self.auth {
            Auth::ApiKey => "api_key",
            Auth::Browser(_) => "browser",
            Auth::OAuth2(_) => "oauth2",
        }
    }
}

/// A label for grouping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A web application with an API.
    App,
    /// A session of a website, taken from a browser.
    Browser,
    /// A language model.
    Llm,
    /// A server of the Model Context Protocol.
    Mcp,
}

/// How a credential is obtained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// The user pastes a long-lived key.
    ApiKey,
    /// A session of a website, taken from a browser.
    Browser(Browser),
    /// The user grants access at an authorization server.
    OAuth2(OAuth2),
}

impl Auth {
    /// Why `login` cannot work yet for this way of logging in. It lives here and not in the files:
    /// an override saved today must not say "not yet" when it has come.
    pub fn not_yet(&self) -> Option<&'static str> {
        match self {
            Self::ApiKey | Self::Browser(_) | Self::OAuth2(_) => None,
        }
    }
}

/// Whether `login` works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// It does not.
    NotYet {
        /// Why, in one sentence: lower case, no final period.
        reason: String,
    },
    /// It does.
    Ready,
}

/// One rule: requests to these hosts, on this port, below this path, with these methods, get the
/// credential in this slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRule {
    /// Never empty.
    pub hosts: Vec<HostPattern>,
    /// TCP port, 443 unless the definition says otherwise.
    pub port: u16,
    /// The part of the host's paths that is meant.
    pub path: PathScope,
    /// Paths inside of it that are not meant: another definition's.
    pub except: Vec<PathScope>,
    /// The methods that are meant.
    pub methods: Methods,
    /// The one place on the wire that is filled.
    pub slot: Slot,
}

impl RouteRule {
    /// One of the rule's hosts as [`Definition::hosts`] writes it.
    pub fn place(&self, pattern: &HostPattern) -> String {
        let mut place = pattern.to_string();
        if self.port != HTTPS_PORT {
            place = format!("{place}:{}", self.port);
        }
        if !self.path.is_everything() {
            place = format!("{place}{}", self.path);
        }
        place
    }
}

/// A variable that programs read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvVariable {
    /// Name of the variable.
    pub name: String,
    /// What it stands for.
    pub value: EnvValue,
}

/// What a variable stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvValue {
    /// An OAuth access token.
    AccessToken,
    /// The API key.
    ApiKey,
    /// The address of the API.
    ApiUrl,
    /// The address of the provider's own server.
    BaseUrl,
    /// A cookie of a browser session, by name.
    Cookie(String),
    /// An OAuth refresh token.
    RefreshToken,
}

impl EnvValue {
    /// Whether programs find a secret in it, so that a run puts a placeholder there.
    pub fn is_secret(&self) -> bool {
        !matches!(self, Self::ApiUrl | Self::BaseUrl)
    }
}

/// Facts about an authorization server. URLs may begin with `{base_url}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth2 {
    /// What `{base_url}` stands for unless the user names another server.
    pub base_url: Option<String>,
    /// Where the browser is sent.
    pub authorization_url: Option<String>,
    /// Where codes and refresh tokens are exchanged.
    pub token_url: String,
    /// Where tokens are given back.
    pub revocation_url: Option<String>,
    /// Where a device code is asked for (RFC 8628).
    pub device_authorization_url: Option<String>,
    /// Where a client registers itself (RFC 7591).
    pub registration_endpoint: Option<String>,
    /// Flows that can work, default first; never empty.
    pub flows: Vec<Flow>,
    /// Scopes asked for by default.
    pub scopes: Vec<String>,
    /// Whether the provider documents PKCE (RFC 7636).
    pub pkce: bool,
    /// How the client secret reaches the token endpoint.
    pub client_auth: ClientAuth,
    /// The server's own name, where it is known: what `iss` in its answers must be (RFC 9207).
    pub issuer: Option<String>,
    /// Whether it said that it names itself in every answer.
    pub names_itself: bool,
    /// The resource that tokens are for (RFC 8707).
    pub resource: Option<String>,
    /// Further query parameters of the authorization URL.
    pub authorization_params: Vec<(String, String)>,
    /// Encoding of the device-token poll, for providers with a device flow.
    pub device_token_request: Option<DeviceTokenRequest>,
}

impl OAuth2 {
    /// `url` with its `{base_url}` filled in: from `base` if given, else from the definition.
    pub fn resolve(&self, url: &str, base: Option<&str>) -> String {
        match base.or(self.base_url.as_deref()) {
            Some(base) => url.replace("{base_url}", base.trim_end_matches('/')),
            None => url.to_owned(),
        }
    }
}

/// An OAuth flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// The client for itself, without a person.
    ClientCredentials,
    /// Dynamic client registration, then the code flow.
    DcrPkce,
    /// A code typed on another device.
    DeviceCode,
    /// A service account's key.
    JwtBearer,
    /// The authorization code flow with PKCE.
    Pkce,
}

impl From<OAuthFlow> for Flow {
    fn from(flow: OAuthFlow) -> Self {
        match flow {
            OAuthFlow::ClientCredentials => Self::ClientCredentials,
            OAuthFlow::DcrPkce => Self::DcrPkce,
            OAuthFlow::DeviceCode => Self::DeviceCode,
            OAuthFlow::JwtBearer => Self::JwtBearer,
            OAuthFlow::Pkce => Self::Pkce,
        }
    }
}

impl From<Flow> for OAuthFlow {
    fn from(flow: Flow) -> Self {
        match flow {
            Flow::ClientCredentials => Self::ClientCredentials,
            Flow::DcrPkce => Self::DcrPkce,
            Flow::DeviceCode => Self::DeviceCode,
            Flow::JwtBearer => Self::JwtBearer,
            Flow::Pkce => Self::Pkce,
        }
    }
}

/// How the client secret reaches the token endpoint (RFC 6749 section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// In an `Authorization: Basic` header.
    Basic,
    /// In the form.
    Body,
}

/// Encoding of the device-token poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceTokenRequest {
    /// A JSON object with the device code.
    Json,
    /// The form of RFC 8628.
    OAuth2Form,
}

/// Facts about a session of a website.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Browser {
    /// The login page.
    pub entry_url: String,
    /// Domains whose cookies are read.
    pub cookie_domains: Vec<String>,
    /// Cookies that prove a login; never empty.
    pub auth_cookies: Vec<String>,
    /// Lifetime of a session in hours, where no cookie tells it.
    pub ttl_hours: Option<u32>,
    /// The cookie whose expiry is the session's.
    pub ttl_from_cookie: Option<String>,
    /// Fixed headers.
    pub extra_headers: Vec<(String, String)>,
    /// Cookies copied into headers.
    pub extract: Vec<ExtractedCookie>,
    /// Whether all collected cookies are also sent as `Cookie`.
    pub cookie_header: bool,
}

/// A cookie copied into a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtractedCookie {
    /// Name of the cookie.
    pub cookie: String,
    /// Name of the header.
    pub header: String,
    /// Put before the value; `""` for nothing.
    pub prefix: String,
}
