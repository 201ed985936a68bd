//! The definition of a provider, as the rest of the daemon sees it: parsed, checked, immutable.

use authsome_proto::ProviderName;
use authsome_proto::request::OAuthFlow;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::routing::{
    Authority, Endpoint, EndpointPath, Host, HostPattern, Methods, PathScope, Slot, Template,
};

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

    /// Whether one of its routes is for `host`.
    pub fn has_host(&self, host: &Host) -> bool {
        let mut patterns = self.routes.iter().flat_map(|rule| &rule.hosts);
        patterns.any(|pattern| pattern.matches(host))
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

    /// The endpoints of its authorization server, where no credential goes (threat D14).
    ///
    /// A rule that has an endpoint's host may have further names of the same server, as
    /// `api.twitter.com` is `api.x.com`: the endpoint is looked for at each of these. What a wildcard
    /// stands for are other servers.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let Auth::OAuth2(oauth) = &self.auth else {
            return Vec::new();
        };
        let mut endpoints = Vec::new();
        for url in oauth.endpoint_urls() {
            let Some((authority, path)) = parse_endpoint(&oauth.resolve(url, None)) else {
                continue;
            };
            let same_server = self.routes.iter().filter(|rule| {
                let mut hosts = rule.hosts.iter();
                rule.port == authority.port && hosts.any(|host| host.matches(&authority.host))
            });
            let names = same_server.flat_map(|rule| &rule.hosts);
            let exact = names.filter_map(|host| match host {
                HostPattern::Exact(host) => Some(host.clone()),
                HostPattern::Subdomains(_) => None,
            });
            for host in exact.chain([authority.host.clone()]) {
                let authority = Authority {
                    host,
                    port: authority.port,
                };
                let path = path.clone();
                endpoints.push(Endpoint { authority, path });
            }
        }
        endpoints
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

/// Where an endpoint is. Its URL was checked when the definition was read; one that cannot be a
/// destination cannot be reached either.
fn parse_endpoint(url: &str) -> Option<(Authority, EndpointPath)> {
    let url = Url::parse(url).ok()?;
    let authority = Authority {
        host: Host::parse(url.host_str()?).ok()?,
        port: url.port_or_known_default()?,
    };
    let path = percent_decode_str(url.path()).decode_utf8_lossy();
    Some((authority, EndpointPath::of(&path)))
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
    /// The place on the wire that is filled. Of a browser's session it is always
    /// [`Slot::Session`].
    pub slot: Slot,
}

impl RouteRule {
    /// One of the rule's hosts as [`Definition::hosts`] writes it.
    pub fn place(&self, pattern: &HostPattern) -> String {
        let mut place = pattern.to_string();
        if self.port != HTTPS_PORT {
            if place.contains(':') {
                place = format!("[{place}]");
            }
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
    /// Which paths of a person's own server get the token, where it differs from the routes'; below
    /// the base URL, never empty.
    pub self_hosted: Option<Vec<PathScope>>,
}

/// What an endpoint begins with that is on the server of the base URL.
pub(super) const BASE_URL: &str = "{base_url}";

impl OAuth2 {
    /// `url` with its `{base_url}` filled in: from `base` if given, else from the definition.
    pub fn resolve(&self, url: &str, base: Option<&str>) -> String {
        let base = base.or(self.base_url.as_deref());
        match (url.strip_prefix(BASE_URL), base) {
            (Some(rest), Some(base)) => format!("{}{rest}", base.trim_end_matches('/')),
            _ => url.to_owned(),
        }
    }

    /// Where tokens are given out, renewed and taken back, and where clients are registered. The page
    /// where a person consents is none of them.
    pub fn endpoint_urls(&self) -> impl Iterator<Item = &str> {
        let others = [
            &self.revocation_url,
            &self.device_authorization_url,
            &self.registration_endpoint,
        ];
        let others = others.into_iter().flatten();
        std::iter::once(&self.token_url)
            .chain(others)
            .map(String::as_str)
    }

    /// Whether every address follows the base URL.
    pub(super) fn is_templated(&self) -> bool {
        let mut urls = self
            .endpoint_urls()
            .chain(self.authorization_url.as_deref());
        urls.all(|url| url.starts_with(BASE_URL))
    }

    /// The address that `flow` needs and the definition does not have.
    pub(super) fn lacks(&self, flow: Flow) -> Option<&'static str> {
        let needed = match flow {
            Flow::ClientCredentials | Flow::JwtBearer => [None, None],
            Flow::DcrPkce => [
                Some(("authorization_url", &self.authorization_url)),
                Some(("registration_endpoint", &self.registration_endpoint)),
            ],
            Flow::DeviceCode => [
                Some(("device_authorization_url", &self.device_authorization_url)),
                None,
            ],
            Flow::Pkce => [Some(("authorization_url", &self.authorization_url)), None],
        };
        let mut needed = needed.into_iter().flatten();
        needed
            .find(|(_, url)| url.is_none())
            .map(|(field, _)| field)
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
    /// Cookies that are asked for only because a variable stands for them.
    pub also_asked: Vec<String>,
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
