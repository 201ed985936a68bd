//! A real authorization server, `oidc-provider` from npm, with a test's hands on it; and what stands
//! around it.
//!
//! * [`Authority`] wants PKCE with S256, gives refresh tokens and rotates them, revokes the whole grant
//!   when a used one comes again (that is oidc-provider's own behaviour), knows the device flow, dynamic
//!   registration, revocation, introspection, client credentials, resource indicators and Google's JWT
//!   bearer. Every request of a program is on record ([`Authority::requests`]).
//! * [`Api`] is a resource server: 200 for a token that is worth something, else 401.
//! * [`Mcp`] is an MCP server with RFC 9728 metadata.
//! * [`Faults`] answers with anything at all, as raw as a test wants it; [`MockServer`] is
//!   `oauth2-mock-server`.
//! * [`Browser`] is a headless Chromium; [`Agent`] is enough where a page needs no script.
//!
//! All of them are [`Site`]s: [`crate::HomeBuilder::reaches`] makes a home that finds and trusts them.

mod agent;
mod api;
mod browser;
mod builder;
mod faults;
mod login;
mod mcp;
mod mock;
mod pkce;
mod program;
mod record;
mod serve;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use url::Url;

pub use agent::{Agent, Reply};
pub use api::{Api, ApiRequest};
pub use browser::{Browser, Page};
pub use builder::Builder;
use builder::metadata_of;
pub use faults::{Fault, FaultRequest, Faults};
pub use login::Tokens;
pub use mcp::Mcp;
pub use mock::{MockRequest, MockServer};
pub use pkce::Pkce;
use program::Program;
pub use record::{Endpoint, Outcome, Request, Token};

use crate::canary::Canary;
use crate::stand_in::{self, Options, certificates};
use crate::wait::wait_until;

/// Where the clients that are there from the start are sent back to, unless a test says otherwise.
pub const REDIRECT_URI: &str = "http://127.0.0.1:7998/callback/test";

/// Scopes that are known, unless a test says otherwise.
pub const SCOPES: [&str; 6] = [
    "openid",
    "offline_access",
    "email",
    "profile",
    "read",
    "write",
];

/// How long something may take to arrive.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(20);

/// A server of the tests with TLS: its names lead to its address on port 443.
pub trait Site {
    /// Where it listens.
    fn address(&self) -> SocketAddr;
    /// The names it has a certificate for.
    fn names(&self) -> &[String];
    /// Its CA certificate, a PEM file that every user may read.
    fn ca_path(&self) -> &Path;
}

impl Site for stand_in::StandIn {
    fn address(&self) -> SocketAddr {
        self.address()
    }

    fn names(&self) -> &[String] {
        self.names()
    }

    fn ca_path(&self) -> &Path {
        self.ca_path()
    }
}

/// A client that the server knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// `client_secret`; a public client has none.
    pub secret: Option<String>,
    /// `token_endpoint_auth_method`.
    pub auth: &'static str,
}

/// At which point a request is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Before anything is done: the server has not seen it yet.
    Request,
    /// When all is done: only the answer is missing.
    Answer,
}

impl Hold {
    fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Request => "request",
        }
    }
}

/// The server. It ends when it is dropped, and with it every [`Api`] and [`Mcp`] that asks it.
#[derive(Debug)]
pub struct Authority {
    address: SocketAddr,
    names: Vec<String>,
    issuer: String,
    routes: Value,
    clients: [Client; 3],
    redirect_uris: Vec<String>,
    scope: String,
    ca_path: PathBuf,
    program: Arc<Program>,
    _folder: TempDir,
}

impl Site for Authority {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn ca_path(&self) -> &Path {
        &self.ca_path
    }
}

impl Authority {
    /// `https://auth.example.com`, with everything as described at [`Builder`].
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// Its issuer, such as `https://auth.example.com`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The address of one of its endpoints.
    #[track_caller]
    pub fn url(&self, endpoint: Endpoint) -> String {
        let path = match endpoint {
            Endpoint::Authorization => "/auth",
            Endpoint::DeviceAuthorization => "/device/auth",
            Endpoint::EndSession => "/session/end",
            Endpoint::Introspection => "/token/introspection",
            Endpoint::Jwks => "/jwks",
            Endpoint::Metadata => "/.well-known/oauth-authorization-server",
            Endpoint::Registration => "/reg",
            Endpoint::Revocation => "/token/revocation",
            Endpoint::Token => "/token",
            Endpoint::Userinfo => "/me",
        };
        let path = self.routes[endpoint.name()].as_str().unwrap_or(path);
        format!("{}{path}", self.issuer)
    }

    /// The client that sends its secret as a form field (`client_secret_post`).
    pub fn confidential(&self) -> &Client {
        &self.clients[0]
    }

    /// The client that sends its secret as Basic credentials (`client_secret_basic`).
    pub fn basic(&self) -> &Client {
        &self.clients[1]
    }

    /// The client without a secret.
    pub fn public(&self) -> &Client {
        &self.clients[2]
    }

    /// Lets the three clients be sent back to these addresses and no others.
    pub fn redirects_to(&mut self, uris: &[&str]) {
        self.redirect_uris = owned(uris);
        for client in &self.clients {
            self.add_client(&metadata_of(client, &self.redirect_uris));
        }
    }

    /// Adds or replaces a client, described as in RFC 7591 with its `client_id`.
    pub fn add_client(&self, metadata: &Value) {
        self.program.ask("client", json!({ "client": metadata }));
    }

    /// What is on record of a client, also of one that registered itself; `None` if there is none.
    pub fn client(&self, id: &str) -> Option<Value> {
        let client = self.program.ask("client_of", json!({ "id": id }));
        (!client.is_null()).then_some(client)
    }

    /// Takes Google-like assertions (RFC 7523, RS256) of `email` that `public_key`, PEM, verifies.
    pub fn add_service_account(&self, email: &str, public_key: &str) {
        let account = json!({ "email": email, "pem": public_key });
        self.program.ask("service_account", account);
    }

    /// Process id of its program.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// What its program complained about; empty unless something in it broke.
    pub fn complaints(&self) -> String {
        self.program.complaints()
    }

    // what it has seen

    /// Every request to an endpoint of [`Endpoint`], in order.
    pub fn requests(&self) -> Vec<Request> {
        read(self.program.ask("requests", json!({})))
    }

    /// The requests to one endpoint.
    pub fn requests_to(&self, endpoint: Endpoint) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| request.endpoint == endpoint);
        requests
    }

    /// Forgets the requests; the counts of reuse stay.
    pub fn forget(&self) {
        self.program.ask("forget", json!({}));
    }

    /// How often a refresh token was sent, whatever became of it.
    pub fn refreshes(&self) -> usize {
        self.count(Request::is_refresh)
    }

    /// How often a refresh token was sent and taken for good, whether the answer arrived or not.
    pub fn refreshed(&self) -> usize {
        self.count(|request| {
            let taken = matches!(
                request.outcome,
                Outcome::Answered | Outcome::Dropped | Outcome::Processed
            );
            request.is_refresh() && taken && request.status == Some(200)
        })
    }

    /// How often a refresh token was sent that had been used up before.
    pub fn refreshes_with_used_tokens(&self) -> usize {
        self.count(|request| request.is_refresh() && request.consumed == Some(true))
    }

    /// Grants that were revoked because a used refresh token came again.
    pub fn families_revoked(&self) -> usize {
        self.reused("grants")
    }

    /// Grants that were revoked because a used authorization code came again.
    pub fn codes_reused(&self) -> usize {
        self.reused("codes")
    }

    /// Every secret it knows: codes, tokens, device codes, secrets of clients. For
    /// [`crate::Home::watch`].
    pub fn issued(&self) -> Vec<Canary> {
        let issued: Vec<String> = read(self.program.ask("issued", json!({})));
        issued.iter().map(|secret| Canary::of(secret)).collect()
    }

    /// What a token is worth now.
    pub fn token(&self, token: &str) -> Token {
        read(self.program.ask("token", json!({ "token": token })))
    }

    /// Whether a token, access or refresh, is worth anything now.
    pub fn is_active(&self, token: &str) -> bool {
        self.token(token).active
    }

    /// Waits until so many requests have arrived at an endpoint.
    #[track_caller]
    pub fn wait_for_requests(&self, endpoint: Endpoint, count: usize) {
        wait_until(
            &format!("{count} requests to {endpoint:?}"),
            ARRIVAL_TIMEOUT,
            || self.requests_to(endpoint).len() >= count,
        );
    }

    // what it does

    /// Seconds that access tokens given from now on are good for.
    pub fn set_access_ttl(&self, ttl: Duration) {
        self.set("access_ttl", ttl.as_secs());
    }

    /// Seconds that device codes given from now on are good for.
    pub fn set_device_ttl(&self, ttl: Duration) {
        self.set("device_ttl", ttl.as_secs());
    }

    /// Whether each use of a refresh token gives a new one.
    pub fn set_rotation(&self, rotation: bool) {
        self.set("rotation", rotation);
    }

    /// Whether logins give refresh tokens at all.
    pub fn set_refresh_tokens(&self, given: bool) {
        self.set("refresh_tokens", given);
    }

    /// Whether the authorization page leads back at once, without a question.
    pub fn set_auto_approve(&self, approve: bool) {
        self.set("auto_approve", approve);
    }

    /// All access tokens are worth nothing from now on; the refresh tokens stay good.
    pub fn expire_access_tokens(&self) {
        self.program.ask("expire", json!({}));
    }

    /// Everybody withdraws everything: no token that was given is good any more.
    pub fn withdraw(&self) {
        self.program.ask("revoke", json!({}));
    }

    /// Whether it can be reached: if not, connections are closed as soon as they are made.
    pub fn set_reachable(&self, reachable: bool) {
        self.program.ask("reach", json!({ "possible": reachable }));
    }

    /// Every request to the token endpoint waits for so long.
    pub fn delay_token_endpoint(&self, delay: Duration) {
        self.control(Endpoint::Token, &json!({ "delay": millis(delay) }));
    }

    /// The next `count` requests to the token endpoint are processed, and the connection is closed
    /// without an answer.
    pub fn drop_next_token_answers(&self, count: usize) {
        self.drop_next_answers(Endpoint::Token, count);
    }

    /// The same for any endpoint.
    pub fn drop_next_answers(&self, endpoint: Endpoint, count: usize) {
        self.control(endpoint, &json!({ "drop": count }));
    }

    /// The next `count` requests end without an answer, and are not processed.
    pub fn lose_next_requests(&self, endpoint: Endpoint, count: usize) {
        self.control(endpoint, &json!({ "lose": count }));
    }

    /// The next `count` requests to the token endpoint get this answer (JSON) and are not processed.
    pub fn fail_next(&self, count: usize, status: u16, body: &Value) {
        self.fail_next_at(Endpoint::Token, count, status, &[], body);
    }

    /// The same for any endpoint, with more headers (such as `retry-after`).
    pub fn fail_next_at(
        &self,
        endpoint: Endpoint,
        count: usize,
        status: u16,
        headers: &[(&str, &str)],
        body: &Value,
    ) {
        let mut all = json!({ "content-type": "application/json" });
        for (name, value) in headers {
            all[*name] = (*value).into();
        }
        let answer = json!({ "status": status, "headers": all, "body": body.to_string() });
        self.control(endpoint, &json!({ "fail": vec![answer; count] }));
    }

    /// Changes every good JSON answer of an endpoint from now on: fields of `patch` replace the real
    /// ones, `null` removes them. `{}` ends it.
    pub fn patch_answers(&self, endpoint: Endpoint, patch: &Value) {
        self.control(endpoint, &json!({ "patch": patch }));
    }

    /// Requests to `endpoint` are held from now on, at that point, until [`Authority::release`].
    pub fn hold(&self, endpoint: Endpoint, when: Hold) {
        self.program.ask("hold", place(endpoint, when));
    }

    /// How many requests are held there.
    pub fn held(&self, endpoint: Endpoint, when: Hold) -> usize {
        read(self.program.ask("held", place(endpoint, when)))
    }

    /// Waits until so many requests are held there.
    #[track_caller]
    pub fn wait_for_held(&self, endpoint: Endpoint, when: Hold, count: usize) {
        wait_until(
            &format!("{count} requests to {endpoint:?} to be held"),
            ARRIVAL_TIMEOUT,
            || self.held(endpoint, when) >= count,
        );
    }

    /// Lets go of what is held there, and holds no more. Gives how many that were.
    pub fn release(&self, endpoint: Endpoint, when: Hold) -> usize {
        read(self.program.ask("release", place(endpoint, when)))
    }

    fn count(&self, which: impl Fn(&Request) -> bool) -> usize {
        self.requests().iter().filter(|each| which(each)).count()
    }

    fn reused(&self, what: &str) -> usize {
        read(self.program.ask("reused", json!({}))[what].take())
    }

    fn set(&self, name: &str, value: impl Into<Value>) {
        let mut settings = Map::new();
        settings.insert(name.to_owned(), value.into());
        self.program.ask("set", json!({ "settings": settings }));
    }

    fn control(&self, endpoint: Endpoint, set: &Value) {
        let control = json!({ "endpoint": endpoint.name(), "set": set });
        self.program.ask("control", control);
    }
}

/// A parameter of an address' query, decoded.
#[track_caller]
pub fn parameter(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
    url.query_pairs()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
}

/// Writes a new CA to `ca.pem`, and a certificate and its key, for the names of `options`.
fn write_certificate(options: &Options, folder: &Path) -> (PathBuf, PathBuf) {
    let (certificate, key) = certificates::issue(options, &folder.join("ca.pem"));
    let paths = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&paths.0, certificate.pem()).expect("the folder is ours");
    std::fs::write(&paths.1, key.serialize_pem()).expect("the folder is ours");
    paths
}

fn place(endpoint: Endpoint, when: Hold) -> Value {
    json!({ "endpoint": endpoint.name(), "when": when.name() })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("a test does not wait for ages")
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[track_caller]
fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the program keeps to the format")
}
