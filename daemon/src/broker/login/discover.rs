//! Logging in to a server that is known by its address alone, such as one of the Model Context
//! Protocol: the server says who guards it (RFC 9728), that one says where its endpoints are (RFC
//! 8414), and a definition is made of it.
//!
//! The definition is written to `providers/` when tokens came, not before. It is named after the
//! host and covers the address's path, nothing else of the host.
//!
//! Invariant: no credential goes anywhere but to the address that the person named; whoever that
//! server names as its guard sees only what a guard sees (threats O4, O5). A host that another
//! definition has is that definition's.

use std::path::Path;
use std::sync::{Arc, Mutex};

use authsome_proto::request::LoginServer;
use authsome_proto::response::LoginStarted;
use authsome_proto::{ErrorCode, ProviderName, WireError};
use http::StatusCode;
use serde_json::{Value, json};
use url::Url;
use zeroize::Zeroizing;

use super::Broker;
use super::oauth::SignIn;
use crate::audit::{self, Record};
use crate::errors::storage;
use crate::files;
use crate::oauth::http::{HttpError, Servers};
use crate::oauth::metadata::{self, Metadata, MetadataError};
use crate::oauth::resource::{self, Challenge, Resource};
use crate::oauth::{Incoming, Outgoing};
use crate::providers::{Auth, Definition, Flow, parse_definition};
use crate::proxy::Reach;

/// What a server of the Model Context Protocol is asked first. Without a token it answers 401.
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"authsome","version":"1"}}}"#;

/// Asked for where the server knows it: without it many give no refresh token.
const OFFLINE: &str = "offline_access";

/// The address of a server, as a person gave it.
struct Address {
    url: Url,
    host: String,
    name: ProviderName,
}

impl Broker {
    /// Begins a login to a server that is known by its address alone.
    pub async fn begin_server_login(
        self: &Arc<Self>,
        request: LoginServer,
        pid: u32,
    ) -> Result<LoginStarted, WireError> {
        let address = Address::parse(&request.url)?;
        if let Some(login) = self.known_server(&address, &request)? {
            return self.begin_login(login, pid, false).await;
        }
        self.refuse_known_host(&address)?;
        let servers = self.servers().await?;
        let Found {
            metadata,
            resource,
            scopes,
            name,
        } = find(&servers, &address).await?;
        let text = definition_text(&address, &metadata, &resource, &scopes, name.as_deref());
        let definition = read_back(&address, &text)?;
        let Auth::OAuth2(facts) = definition.auth.clone() else {
            return Err(unusable(&address, "it makes no OAuth definition"));
        };
        let definition = Arc::new(definition);
        let named = self.name(&definition, request.connection, request.force)?;
        let flow = match (&request.client_id, facts.flows.first()) {
            (None, Some(flow)) => *flow,
            (Some(_), _) | (None, None) => Flow::Pkce,
        };
        let login = SignIn {
            server: super::oauth::server_of(&facts.token_url, None),
            redirect_uri: self.redirect_uri(&address.name),
            named,
            unsaved: Some(text),
            base_url: None,
            flow,
            scopes: if request.scopes.is_empty() {
                facts.scopes.clone()
            } else {
                request.scopes
            },
            reach: reach_of(&facts.token_url, &address),
            facts,
            progress: Mutex::default(),
        };
        // rights: never from inside a run
        self.begin_sign_in(login, request.client_id, request.via, pid, false)
            .await
    }

    /// The login to a server that was logged in to before: its definition is there.
    fn known_server(
        &self,
        address: &Address,
        request: &LoginServer,
    ) -> Result<Option<authsome_proto::request::Login>, WireError> {
        let catalogue = self.catalogue.load();
        let Some(entry) = catalogue.find(address.name.as_str()) else {
            return Ok(None);
        };
        let resource = match &entry.definition.auth {
            Auth::OAuth2(facts) => facts.resource.clone(),
            Auth::ApiKey | Auth::Browser(_) => None,
        };
        let is_same = resource.is_some_and(|known| address.is_at(&known));
        if !is_same {
            return Err(WireError::new(
                ErrorCode::BadDefinition,
                format!(
                    "there is a provider `{}` already, for another address",
                    address.name
                ),
            )
            .hint(format!(
                "log in to that one with `authsome login {0}`, or forget it with `authsome remove {0}`",
                address.name
            )));
        }
        Ok(Some(authsome_proto::request::Login {
            provider: address.name.clone(),
            connection: request.connection.clone(),
            force: request.force,
            via: request.via,
            region: None,
            flow: None,
            scopes: request.scopes.clone(),
            base_url: None,
            client_id: request.client_id.clone(),
        }))
    }

    /// Two definitions of one host would make its requests ambiguous.
    fn refuse_known_host(&self, address: &Address) -> Result<(), WireError> {
        let catalogue = self.catalogue.load();
        let host = crate::routing::Host::parse(&address.host)
            .map_err(|_| bad_address(address.url.as_str(), "its host is not one"))?;
        let owner = catalogue.entries().find(|entry| {
            let mut rules = entry.definition.routes.iter();
            rules.any(|rule| {
                let mut hosts = rule.hosts.iter();
                rule.port == address.port() && hosts.any(|pattern| pattern.matches(&host))
            })
        });
        match owner {
            None => Ok(()),
            Some(owner) => {
                let name = &owner.definition.name;
                Err(WireError::new(
                    ErrorCode::BadDefinition,
                    format!("`{}` belongs to the provider `{name}`", address.host),
                )
                .hint(format!("log in with `authsome login {name}`")))
            }
        }
    }

    /// Saves the definition that a login brought, and says whether it was not there. Another one may
    /// have come since the login began. Call it with `changing` held.
    pub(super) async fn save_definition(
        &self,
        definition: &Definition,
        text: &str,
        by: u32,
    ) -> Result<bool, WireError> {
        let name = &definition.name;
        if let Some(entry) = self.catalogue.load().find(name.as_str()) {
            if *entry.definition == *definition {
                return Ok(false);
            }
            return Err(WireError::new(
                ErrorCode::BadDefinition,
                format!("there is another definition of `{name}` by now"),
            )
            .hint(format!("look at it with `authsome inspect {name}`")));
        }
        let mut record = Record::new(audit::Event::Register);
        record.provider = Some(name.clone());
        self.audit_first(record, by).await?;
        let target = self.override_file(name);
        files::write_atomic(&target, text.as_bytes())
            .map_err(|error| storage(&format!("write `{}`", target.display()), &error))?;
        self.reload_definitions();
        Ok(true)
    }

    /// Takes the definition of a login back that could not be stored.
    pub(super) fn drop_definition(&self, definition: &Definition) {
        let target = self.override_file(&definition.name);
        if let Err(error) = std::fs::remove_file(&target) {
            tracing::warn!(%error, file = %target.display(), "not taken back");
        }
        self.reload_definitions();
    }
}

impl Address {
    fn parse(text: &str) -> Result<Self, WireError> {
        let url = Url::parse(text).map_err(|_| bad_address(text, "it is no URL"))?;
        if url.scheme() != "https" {
            return Err(bad_address(text, "only `https` keeps tokens from others"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad_address(text, "it has a user in it"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad_address(text, "it has a query or a fragment"));
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        let name = host
            .parse()
            .map_err(|_| bad_address(text, "its host cannot name a provider"))?;
        Ok(Self { url, host, name })
    }

    /// Whether `known`, a resource's name, is this address or lies above it: a server may name a part
    /// of its own address.
    fn is_at(&self, known: &str) -> bool {
        Url::parse(known).is_ok_and(|known| {
            let above = known.path().trim_end_matches('/');
            let rest = self.url.path().strip_prefix(above);
            known.origin() == self.url.origin()
                && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    fn port(&self) -> u16 {
        self.url.port().unwrap_or(443)
    }
}

fn bad_address(text: &str, reason: &str) -> WireError {
    WireError::new(
        ErrorCode::BadRequest,
        format!(
            "`{}` cannot be logged in to: {reason}",
            crate::errors::printable(text)
        ),
    )
    .hint("give the address as the server's documentation has it: `https://mcp.example.com/mcp`")
}

/// What was found out about a server.
struct Found {
    metadata: Metadata,
    /// What is sent as `resource`.
    resource: String,
    scopes: Vec<String>,
    name: Option<String>,
}

/// A name that a server gave leads to the internet, unless it is the server's own.
fn reach_of(url: &str, address: &Address) -> Reach {
    let is_own = Url::parse(url).is_ok_and(|url| url.host_str() == Some(address.host.as_str()));
    if is_own {
        Reach::Anywhere
    } else {
        Reach::Public
    }
}

async fn find(servers: &Servers, address: &Address) -> Result<Found, WireError> {
    let challenge = ask_without_token(servers, address).await?;
    let resource = find_resource(servers, address, &challenge).await?;
    let issuer = match &resource {
        Some(resource) => resource.authorization_servers.first().cloned(),
        // before RFC 9728 was asked of them, these servers were their own guards
        None => None,
    };
    let issuer = issuer.unwrap_or_else(|| address.url.origin().ascii_serialization());
    let metadata = find_metadata(servers, address, &issuer).await?;
    let mut scopes = challenge.scopes;
    if scopes.is_empty() {
        scopes = resource
            .as_ref()
            .map_or_else(Vec::new, |resource| resource.scopes_supported.clone());
    }
    let knows_offline = metadata.scopes_supported.iter().any(|it| it == OFFLINE);
    if knows_offline && !scopes.is_empty() && scopes.iter().all(|it| it != OFFLINE) {
        scopes.push(OFFLINE.to_owned());
    }
    Ok(Found {
        metadata,
        name: resource.as_ref().and_then(|resource| resource.name.clone()),
        resource: resource.map_or_else(|| address.url.to_string(), |it| it.resource),
        scopes,
    })
}

/// A request without a token, for the sake of its refusal.
async fn ask_without_token(servers: &Servers, address: &Address) -> Result<Challenge, WireError> {
    let body = Zeroizing::new(INITIALIZE.as_bytes().to_vec());
    let mut request = Outgoing {
        headers: http::HeaderMap::new(),
        body: Some(("application/json", body)),
    };
    request.headers.insert(
        http::header::ACCEPT,
        http::HeaderValue::from_static("application/json, text/event-stream"),
    );
    let answer = servers
        .send(address.url.as_str(), Reach::Anywhere, request)
        .await
        .map_err(|error| unreachable(address, &error))?;
    match answer.status {
        StatusCode::UNAUTHORIZED => Ok(resource::challenge(&answer.headers).unwrap_or_default()),
        status if status.is_success() => Err(WireError::new(
            ErrorCode::BadRequest,
            format!("`{}` wants no login", address.url),
        )
        .hint("programs can use it as it is")),
        status => {
            tracing::debug!(%status, "no challenge; looking at the well-known places");
            Ok(Challenge::default())
        }
    }
}

async fn find_resource(
    servers: &Servers,
    address: &Address,
    challenge: &Challenge,
) -> Result<Option<Resource>, WireError> {
    let url = address.url.as_str();
    let places = match &challenge.resource_metadata {
        Some(place) => vec![place.clone()],
        None => resource::addresses(url),
    };
    for place in places {
        let answer = get(servers, &place, address)
            .await
            .map_err(|error| unreachable(address, &error))?;
        match resource::read(&answer, url) {
            Ok(resource) => return Ok(Some(resource)),
            // one that the server pointed at must be there
            Err(MetadataError::Absent(_)) if challenge.resource_metadata.is_none() => {}
            Err(error) => {
                return Err(unusable(
                    address,
                    &format!("what it says of itself at `{place}`: {error}"),
                ));
            }
        }
    }
    Ok(None)
}

async fn find_metadata(
    servers: &Servers,
    address: &Address,
    issuer: &str,
) -> Result<Metadata, WireError> {
    let mut last = None;
    for place in metadata::addresses(issuer) {
        let answer = get(servers, &place, address)
            .await
            .map_err(|error| unreachable(address, &error))?;
        match metadata::read(&answer, issuer) {
            Ok(metadata) => return Ok(metadata),
            Err(MetadataError::Absent(status)) => last = Some(status),
            Err(error @ MetadataError::Unusable(_)) => {
                return Err(unusable(
                    address,
                    &format!("its authorization server says at `{place}`: {error}"),
                ));
            }
        }
    }
    let issuer = crate::errors::printable(issuer);
    Err(unusable(
        address,
        &match last {
            Some(status) => format!(
                "its authorization server `{issuer}` has no metadata (last answer: status {status})"
            ),
            None => format!("its authorization server `{issuer}` is no https address"),
        },
    ))
}

async fn get(servers: &Servers, url: &str, address: &Address) -> Result<Incoming, HttpError> {
    let request = Outgoing {
        headers: http::HeaderMap::new(),
        body: None,
    };
    servers.send(url, reach_of(url, address), request).await
}

fn unreachable(address: &Address, error: &HttpError) -> WireError {
    WireError::new(
        ErrorCode::AuthorizationServer,
        format!("cannot find out how to log in to `{}`", address.url),
    )
    .because(error)
    .hint("check the address and the network, then try again")
}

fn unusable(address: &Address, reason: &str) -> WireError {
    WireError::new(
        ErrorCode::AuthorizationServer,
        format!("cannot log in to `{}`: {reason}", address.url),
    )
    .hint("a definition can be written by hand: `authsome inspect notion-mcp` shows one")
}

/// The definition as a file.
fn definition_text(
    address: &Address,
    metadata: &Metadata,
    resource: &str,
    scopes: &[String],
    name: Option<&str>,
) -> String {
    let mut route = json!({
        "hosts": [address.host],
        "header": { "name": "Authorization", "prefix": "Bearer" },
    });
    let path = address.url.path().trim_end_matches('/');
    if !path.is_empty() {
        put(&mut route, "path", json!(path));
    }
    if let Some(port) = address.url.port() {
        put(&mut route, "port", json!(port));
    }
    let mut flows = Vec::new();
    if metadata.authorization_endpoint.is_some() {
        if metadata.registration_endpoint.is_some() {
            flows.push("dcr_pkce");
        }
        flows.push("pkce");
    }
    if metadata.device_authorization_endpoint.is_some() {
        flows.push("device_code");
    }
    let client_auth = if metadata.takes_public_clients || metadata.takes_secret_in_body {
        "body"
    } else {
        "basic"
    };
    let mut oauth = json!({
        "token_url": metadata.token_endpoint,
        "flows": flows,
        "scopes": scopes,
        "client_auth": client_auth,
        "issuer": metadata.issuer,
        "names_itself": metadata.names_itself,
        "resource": resource,
    });
    for (field, url) in [
        ("authorization_url", &metadata.authorization_endpoint),
        ("revocation_url", &metadata.revocation_endpoint),
        (
            "device_authorization_url",
            &metadata.device_authorization_endpoint,
        ),
        ("registration_endpoint", &metadata.registration_endpoint),
    ] {
        if let Some(url) = url {
            put(&mut oauth, field, json!(url));
        }
    }
    let definition = json!({
        "v": 1,
        "name": address.name,
        "display_name": name.unwrap_or(&address.host),
        "kind": "mcp",
        "auth": "oauth2",
        "routes": [route],
        "oauth": oauth,
    });
    format!("{definition:#}\n")
}

fn put(object: &mut Value, field: &str, value: Value) {
    if let Value::Object(fields) = object {
        fields.insert(field.to_owned(), value);
    }
}

/// What a server says becomes a definition only if it passes as one of a person's would.
fn read_back(address: &Address, text: &str) -> Result<Definition, WireError> {
    let file = format!("{}.json", address.name);
    let (definition, problems) = parse_definition(text, Path::new(&file), None);
    let broken = problems.iter().map(ToString::to_string).next();
    match (definition, broken) {
        (Some(definition), None) => Ok(definition),
        (_, broken) => Err(unusable(address, &broken.unwrap_or_default())),
    }
}
