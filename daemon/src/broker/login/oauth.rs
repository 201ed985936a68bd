//! Logging in with OAuth: which flow, as which client, and what comes of each step.
//!
//! ```text
//! begin ──▶ client known? ──no──▶ a person enters one ─┐
//!              │ yes                                   │
//!              ▼                                       ▼
//!   code flow:   a page of the server ──▶ callback or pasted address ──▶ tokens
//!   device flow: a code for another device ──▶ asking until it is typed ──▶ tokens
//!   client credentials, service account: ───────────────────────────────▶ tokens ──▶ keep
//! ```
//!
//! Invariants: a code is taken once, and only with the state of this login (threat O3); tokens come
//! from the endpoint that was chosen before the person was sent anywhere (O4); a client is
//! remembered only once tokens came for it, or once it registered itself.

mod steps;
mod tokens;

use std::sync::{Arc, Mutex, PoisonError};

use authsome_proto::request::{Login, LoginVia, OAuthFlow};
use authsome_proto::response::LoginStarted;
use authsome_proto::{ErrorCode, Secret, WireError};

use super::key::not_asked;
use super::target::Named;
use super::{Advance, Broker, Session, Setback, Target};
use crate::broker::upstream::reach_of;
use crate::login::{Asked, LoginForm, Submission};
use crate::oauth::callback::{self, Callback, Expected};
use crate::oauth::pkce::{Pkce, State};
use crate::oauth::{Client, TokenError};
use crate::providers::{
    Auth, BaseUrl, Definition, DeviceTokenRequest, Entry, Flow, OAuth2, ParseBaseUrlError,
};
use crate::proxy::Reach;

/// Longest client id. Real ones have a hundred characters at most.
const CLIENT_ID_MAX: usize = 512;

/// A login by OAuth.
#[derive(Debug)]
pub(in crate::broker) struct SignIn {
    pub(super) named: Named,
    /// The definition's file, where the login itself brings the definition.
    pub(super) unsaved: Option<String>,
    /// Endpoints and all else, with the base URL filled in.
    pub(super) facts: OAuth2,
    pub(super) base_url: Option<String>,
    pub(super) flow: Flow,
    pub(super) scopes: Vec<String>,
    pub(super) redirect_uri: String,
    /// How far the server's name may lead.
    pub(super) reach: Reach,
    /// Host and port of the token endpoint: a client is registered there.
    pub(super) server: String,
    pub(super) progress: Mutex<Progress>,
}

/// How far a login is.
#[derive(Debug, Default)]
pub(super) enum Progress {
    /// It waits for a client; its id may be known.
    Client(Option<String>),
    /// It waits for a service account's file.
    ServiceAccount,
    /// The browser is at the server.
    Code {
        client: Client,
        state: State,
        pkce: Pkce,
    },
    /// Servers talk; there is nothing that a person could hand over.
    #[default]
    Busy,
}

impl SignIn {
    /// The command that begins it again.
    pub(super) fn command(&self) -> String {
        match &self.facts.resource {
            Some(resource) if self.unsaved.is_some() => format!("authsome login {resource}"),
            _ => format!("authsome login {}", self.named.definition.name),
        }
    }

    /// The form that asks for what is missing.
    pub(super) fn form(&self) -> LoginForm {
        let asked = match &*self.progress() {
            Progress::ServiceAccount => Asked::ServiceAccount,
            Progress::Client(id) => self.asked(id.clone()),
            Progress::Code { client, .. } => self.asked(Some(client.id.clone())),
            Progress::Busy => self.asked(None),
        };
        LoginForm {
            hint: None,
            hosts: self.named.definition.hosts(),
            ..self.named.form(asked)
        }
    }

    fn asked(&self, id: Option<String>) -> Asked {
        Asked::Client {
            redirect_uri: self.redirects().then(|| self.redirect_uri.clone()),
            id,
            secret_needed: self.flow == Flow::ClientCredentials,
        }
    }

    fn redirects(&self) -> bool {
        matches!(self.flow, Flow::Pkce | Flow::DcrPkce)
    }

    fn progress(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, progress: Progress) {
        *self.progress() = progress;
    }

    fn how_devices_ask(&self) -> DeviceTokenRequest {
        self.facts
            .device_token_request
            .unwrap_or(DeviceTokenRequest::OAuth2Form)
    }

    fn expected<'a>(&'a self, state: &'a State) -> Expected<'a> {
        Expected {
            state,
            issuer: self.facts.issuer.as_deref(),
            issuer_is_named: self.facts.names_itself,
        }
    }

    /// The error of a server that gave nothing.
    fn failed(&self, what: &str, error: &dyn std::error::Error) -> WireError {
        let name = &self.named.definition.name;
        WireError::new(
            ErrorCode::AuthorizationServer,
            format!("{what} for `{name}` failed"),
        )
        .because(error)
    }

    fn token_failed(&self, error: &TokenError) -> WireError {
        let wire = self.failed("getting tokens", error);
        let name = &self.named.definition.name;
        match error {
            TokenError::Refused { code, .. } if is_about_client(code) => wire.hint(format!(
                "check the client's id and secret, and the redirect URI that is registered for \
                 it; `authsome login {name} --client-id ID` asks for them anew"
            )),
            TokenError::Refused { code, .. } if code == "invalid_scope" => {
                wire.hint("ask for other scopes with `--scopes`")
            }
            _ => wire.hint(format!("start again with `{}`", self.command())),
        }
    }
}

fn is_about_client(code: &str) -> bool {
    matches!(
        code,
        "invalid_client" | "unauthorized_client" | "incorrect_client_credentials"
    ) || code.contains("redirect_uri")
}

/// What a pasted address or code is worth to the login.
pub(super) fn pasted(target: &Target, text: &Secret) -> Result<Callback, WireError> {
    let Target::OAuth(login) = target else {
        return Err(nothing_to_paste());
    };
    let Progress::Code { state, .. } = &*login.progress() else {
        return Err(nothing_to_paste());
    };
    match callback::judge_pasted(text.expose(), &login.redirect_uri, login.expected(state)) {
        Callback::Foreign => Err(WireError::new(
            ErrorCode::BadRequest,
            "that address does not belong to this login",
        )
        .hint(format!(
            "copy the whole address that the browser ends at; it begins with `{}`",
            login.redirect_uri
        ))),
        judged => Ok(judged),
    }
}

fn nothing_to_paste() -> WireError {
    WireError::new(
        ErrorCode::BadRequest,
        "this login does not wait for an address",
    )
    .hint("its last step says what it waits for")
}

impl Broker {
    pub(super) async fn begin_oauth_login(
        self: &Arc<Self>,
        entry: &Entry,
        mut request: Login,
        pid: u32,
        inside_run: bool,
    ) -> Result<LoginStarted, WireError> {
        self.inherit(entry, &mut request);
        let (base_url, definition) = match &request.base_url {
            Some(text) => {
                let (server, definition) = at_own_server(&entry.definition, text)?;
                (Some(server.to_string()), Arc::new(definition))
            }
            None => (None, Arc::clone(&entry.definition)),
        };
        let Auth::OAuth2(facts) = &definition.auth else {
            return Err(nothing_to_paste());
        };
        let provider = &definition.name;
        if let Some(region) = &request.region {
            return Err(WireError::new(
                ErrorCode::BadRequest,
                format!("`{provider}` has no region `{region}`"),
            )
            .hint("leave `--region` out"));
        }
        let named = self.name(&definition, request.connection, request.force)?;
        let flow = choose_flow(provider.as_str(), facts, request.flow)?;
        let scopes = if request.scopes.is_empty() {
            facts.scopes.clone()
        } else {
            request.scopes
        };
        let facts = resolve(facts);
        let reach = reach_of(Some(entry), base_url.as_deref(), &facts.token_url);
        let login = SignIn {
            server: server_of(&facts.token_url, base_url.as_deref()),
            redirect_uri: self.redirect_uri(provider),
            named,
            unsaved: None,
            facts,
            base_url,
            flow,
            scopes,
            reach,
            progress: Mutex::default(),
        };
        self.begin_sign_in(login, request.client_id, request.via, pid, inside_run)
            .await
    }

    /// A connection that is replaced stays at its server and with its flow, unless the person says
    /// otherwise.
    fn inherit(&self, entry: &Entry, request: &mut Login) {
        let provider = &entry.definition.name;
        let replaced = request
            .force
            .then(|| match &request.connection {
                Some(name) => Some(name.clone()),
                None => self.connections.default_of(provider),
            })
            .flatten()
            .and_then(|name| self.connections.find(provider, &name));
        let Some(record) = replaced else {
            return;
        };
        request.base_url = request.base_url.take().or(record.base_url);
        let flow = record.grant.and_then(|grant| grant.flow);
        request.flow = request.flow.or(flow.map(OAuthFlow::from));
    }

    /// Opens the session of a login whose servers are known.
    pub(super) async fn begin_sign_in(
        self: &Arc<Self>,
        login: SignIn,
        client_id: Option<String>,
        via: LoginVia,
        pid: u32,
        inside_run: bool,
    ) -> Result<LoginStarted, WireError> {
        let client = self.client_at_hand(&login, client_id).await?;
        if inside_run && !login.may_begin_in_run(&client) {
            return Err(WireError::new(
                ErrorCode::RefusedInsideRun,
                format!(
                    "this login to `{}` does not begin inside a run",
                    login.named.definition.name
                ),
            )
            .hint("log in from a shell of your own"));
        }
        let target = Target::OAuth(Box::new(login));
        let begun = self.new_session(target, via, pid).await?;
        let session = &begun.session;
        let Target::OAuth(login) = &session.target else {
            return Err(nothing_to_paste());
        };
        let step = match (login.flow, client) {
            (Flow::JwtBearer, _) => {
                login.set(Progress::ServiceAccount);
                self.ask(session).await
            }
            (_, AtHand::Ask(id)) => {
                login.set(Progress::Client(id));
                self.ask(session).await
            }
            (_, AtHand::Register) => match self.register_client(login).await {
                Ok(client) => self.go(session, login, client).await,
                Err(error) => Err(error),
            },
            (_, AtHand::Known(client)) => self.go(session, login, client).await,
        };
        self.start_session(begun, step?)
    }

    /// Whether a client is there, can be had, or must be asked for.
    async fn client_at_hand(
        &self,
        login: &SignIn,
        client_id: Option<String>,
    ) -> Result<AtHand, WireError> {
        if login.flow == Flow::JwtBearer {
            return Ok(AtHand::Ask(None));
        }
        // Postiz's dialect knows no clients
        if login.flow == Flow::DeviceCode && login.how_devices_ask() == DeviceTokenRequest::Json {
            return Ok(AtHand::Known(Client {
                id: client_id.unwrap_or_default(),
                secret: None,
                auth: login.facts.client_auth,
            }));
        }
        if let Some(id) = client_id {
            check_client_id(&id)?;
            return Ok(AtHand::Ask(Some(id)));
        }
        let provider = &login.named.definition.name;
        let known = self.known_client(provider, &login.server).await?;
        Ok(match known {
            // the server may have forgotten the client that it made
            Some(_) if login.flow == Flow::DcrPkce && login.named.force => AtHand::Register,
            Some(known)
                if known
                    .registered_for
                    .as_ref()
                    .is_none_or(|uri| *uri == login.redirect_uri) =>
            {
                AtHand::Known(known.client.into())
            }
            _ if login.flow == Flow::DcrPkce => AtHand::Register,
            _ => AtHand::Ask(None),
        })
    }

    pub(super) async fn take_oauth(
        self: &Arc<Self>,
        session: &Arc<Session>,
        login: &SignIn,
        submission: Submission,
    ) -> Result<Advance, Setback> {
        let progress = std::mem::take(&mut *login.progress());
        let id_wanted = match &progress {
            Progress::Client(id) => id.clone(),
            _ => None,
        };
        match (progress, submission) {
            (Progress::Client(_), Submission::Client { id, secret }) => {
                let again = |error: WireError| {
                    login.set(Progress::Client(id_wanted.clone()));
                    Setback::Again(error)
                };
                let client = login.client(id, secret).map_err(again)?;
                if login.flow == Flow::ClientCredentials {
                    let done = self.ask_for_itself(session, login, client).await;
                    return done.map(Advance::done).map_err(again);
                }
                let step = self.go(session, login, client).await.map_err(again)?;
                Ok(Advance::Next(step))
            }
            (Progress::ServiceAccount, Submission::Secret(file)) => {
                let done = self.ask_with_key(session, login, file).await;
                done.map(Advance::done).map_err(|error| {
                    login.set(Progress::ServiceAccount);
                    Setback::Again(error)
                })
            }
            (Progress::Code { client, pkce, .. }, Submission::Callback(callback)) => {
                let done = self.exchange(session, login, client, &pkce, callback).await;
                done.map(Advance::done).map_err(Setback::Over)
            }
            (progress, _) => {
                login.set(progress);
                Err(not_asked(session).into())
            }
        }
    }
}

impl SignIn {
    /// Whether a program may begin this. Not with a client of its own, which would become the user's;
    /// not without a person, with the user's client.
    fn may_begin_in_run(&self, client: &AtHand) -> bool {
        let with_a_person = match self.flow {
            Flow::Pkce | Flow::DcrPkce | Flow::DeviceCode => true,
            Flow::ClientCredentials | Flow::JwtBearer => false,
        };
        with_a_person && !self.named.force && !matches!(client, AtHand::Ask(_))
    }

    /// A client that a person entered.
    fn client(&self, id: String, secret: Option<Secret>) -> Result<Client, WireError> {
        check_client_id(&id)?;
        let secret = secret.filter(|secret| !secret.is_empty());
        if secret.is_none() && self.flow == Flow::ClientCredentials {
            return Err(WireError::new(
                ErrorCode::InvalidSecret,
                "a client that acts for itself needs a secret",
            )
            .hint("copy it from where the client was made"));
        }
        Ok(Client {
            id,
            secret,
            auth: self.facts.client_auth,
        })
    }
}

/// Whether a client is there.
enum AtHand {
    Known(Client),
    /// The server makes one.
    Register,
    /// A person must say; perhaps the id is known.
    Ask(Option<String>),
}

fn choose_flow(
    provider: &str,
    facts: &OAuth2,
    asked: Option<OAuthFlow>,
) -> Result<Flow, WireError> {
    let Some(asked) = asked else {
        return facts.flows.first().copied().ok_or_else(|| {
            WireError::new(
                ErrorCode::BadDefinition,
                format!("the definition of `{provider}` has no flow"),
            )
        });
    };
    let flow = Flow::from(asked);
    // any server may offer it to any client; there is nothing in a definition that would tell
    let is_possible = facts.flows.contains(&flow) || flow == Flow::ClientCredentials;
    if is_possible {
        return Ok(flow);
    }
    let known: Vec<String> = facts
        .flows
        .iter()
        .map(|flow| format!("`{}`", OAuthFlow::from(*flow).as_str()))
        .collect();
    Err(WireError::new(
        ErrorCode::BadRequest,
        format!("`{provider}` has no flow `{}`", asked.as_str()),
    )
    .hint(format!("it has {}", known.join(", "))))
}

/// The definition as it applies to a person's own server.
fn at_own_server(definition: &Definition, text: &str) -> Result<(BaseUrl, Definition), WireError> {
    let provider = &definition.name;
    let server: BaseUrl = text.parse().map_err(|error: ParseBaseUrlError| {
        WireError::new(ErrorCode::BadRequest, "that is no base URL")
            .because(&error)
            .hint("give the address of your own server: `--base-url https://git.example.com`")
    })?;
    match definition.at(&server) {
        Some(applied) => Ok((server, applied)),
        None => Err(WireError::new(
            ErrorCode::BadRequest,
            format!("`{provider}` is at one place only"),
        )
        .hint("leave `--base-url` out")),
    }
}

/// The facts with the base URL in every endpoint.
fn resolve(facts: &OAuth2) -> OAuth2 {
    let resolve = |url: &String| facts.resolve(url, None);
    OAuth2 {
        authorization_url: facts.authorization_url.as_ref().map(resolve),
        token_url: resolve(&facts.token_url),
        revocation_url: facts.revocation_url.as_ref().map(resolve),
        device_authorization_url: facts.device_authorization_url.as_ref().map(resolve),
        registration_endpoint: facts.registration_endpoint.as_ref().map(resolve),
        ..facts.clone()
    }
}

/// Where a client is registered: a person's own server with its path, since one host may have
/// several; else the token endpoint's host, and port where it is not 443.
pub(in crate::broker) fn server_of(url: &str, base_url: Option<&str>) -> String {
    if let Some(own) = base_url.and_then(|base| base.strip_prefix("https://")) {
        return own.to_owned();
    }
    url::Url::parse(url).map_or_else(
        |_| String::new(),
        |url| {
            let host = url.host_str().unwrap_or_default();
            url.port()
                .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
        },
    )
}

fn check_client_id(id: &str) -> Result<(), WireError> {
    // VSCHAR of RFC 6749 appendix A.1, less the space that only a slip would put there
    let is_good = !id.is_empty()
        && id.len() <= CLIENT_ID_MAX
        && id.bytes().all(|byte| byte.is_ascii_graphic());
    if is_good {
        return Ok(());
    }
    Err(WireError::new(
        ErrorCode::InvalidSecret,
        "that is not a client id: letters, digits and punctuation, no spaces",
    )
    .hint("copy it once more from where the client was made"))
}
