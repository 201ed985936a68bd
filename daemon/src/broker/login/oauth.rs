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

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use authsome_proto::request::{Login, LoginVia, OAuthFlow};
use authsome_proto::response::{LoginStarted, LoginStep};
use authsome_proto::{ErrorCode, Response, Secret, WireError};

use super::keep::NewCredential;
use super::key::{check, not_asked};
use super::target::Named;
use super::{Advance, Broker, LoginState, Session, Setback, Target, no_page};
use crate::connections::GrantRecord;
use crate::login::{Asked, Awaited, LoginForm, Submission};
use crate::oauth::authorize::Authorization;
use crate::oauth::callback::{self, Callback, Expected, Refusal};
use crate::oauth::http::HttpError;
use crate::oauth::jwt::ServiceAccount;
use crate::oauth::pkce::{Pkce, State};
use crate::oauth::{Client, Grant, TokenError, Tokens, device, register, token};
use crate::providers::{Auth, ClientAuth, DeviceTokenRequest, Entry, Flow, OAuth2, Source};
use crate::proxy::Reach;
use crate::vault::{Renewal, StoredGrant};

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
        request: Login,
        pid: u32,
    ) -> Result<LoginStarted, WireError> {
        let Auth::OAuth2(facts) = &entry.definition.auth else {
            return Err(nothing_to_paste());
        };
        let provider = &entry.definition.name;
        if let Some(region) = &request.region {
            return Err(WireError::new(
                ErrorCode::BadRequest,
                format!("`{provider}` has no region `{region}`"),
            )
            .hint("leave `--region` out"));
        }
        let named = self.name(&entry.definition, request.connection, request.force)?;
        let base_url = request.base_url.as_deref();
        let base_url = base_url
            .map(|text| self.base_url(entry, text))
            .transpose()?;
        let flow = choose_flow(provider.as_str(), facts, request.flow)?;
        let reach = match (&entry.source, &base_url) {
            (Source::Bundled, None) => Reach::Public,
            _ => Reach::Anywhere,
        };
        let scopes = if request.scopes.is_empty() {
            facts.scopes.clone()
        } else {
            request.scopes
        };
        let facts = resolve(facts, base_url.as_deref());
        let login = SignIn {
            server: server_of(&facts.token_url),
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
        self.begin_sign_in(login, request.client_id, request.via, pid)
            .await
    }

    /// Opens the session of a login whose servers are known.
    pub(super) async fn begin_sign_in(
        self: &Arc<Self>,
        login: SignIn,
        client_id: Option<String>,
        via: LoginVia,
        pid: u32,
    ) -> Result<LoginStarted, WireError> {
        // a program could put its own account in the place of the user's: it sees the state
        if login.named.force && self.is_inside_run(pid) {
            return Err(WireError::new(
                ErrorCode::RefusedInsideRun,
                "a connection is not replaced from inside a run",
            )
            .hint("log in from a shell of your own"));
        }
        let client = self.client_at_hand(&login, client_id).await?;
        let target = Target::OAuth(Box::new(login));
        let (session, submissions) = self.new_session(target, via, pid).await?;
        let Target::OAuth(login) = &session.target else {
            return Err(nothing_to_paste());
        };
        let step = match (login.flow, client) {
            (Flow::JwtBearer, _) => {
                login.set(Progress::ServiceAccount);
                self.ask(&session).await
            }
            (_, AtHand::Ask(id)) => {
                login.set(Progress::Client(id));
                self.ask(&session).await
            }
            (_, AtHand::Register) => match self.register_client(login).await {
                Ok(client) => self.go(&session, login, client).await,
                Err(error) => Err(error),
            },
            (_, AtHand::Known(client)) => self.go(&session, login, client).await,
        };
        self.start_session(Arc::clone(&session), submissions, step)
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
        if let Some(id) = client_id {
            check_client_id(&id)?;
            return Ok(AtHand::Ask(Some(id)));
        }
        let provider = &login.named.definition.name;
        let known = self.known_client(provider, &login.server).await?;
        Ok(match known {
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

    /// Registers us at the server, and remembers it.
    async fn register_client(&self, login: &SignIn) -> Result<Client, WireError> {
        let what = "registering a client";
        let Some(endpoint) = &login.facts.registration_endpoint else {
            return Err(login.failed(what, &Missing("registration")));
        };
        let public = login.facts.client_auth != ClientAuth::Basic;
        let request = register::request(&login.redirect_uri, &login.scopes, public);
        let answer = self
            .servers()
            .await?
            .send(endpoint, login.reach, request)
            .await
            .map_err(|error| login.failed(what, &error))?;
        let client = register::read(&answer).map_err(|error| login.failed(what, &error))?;
        let registered_for = Some(login.redirect_uri.clone());
        let provider = &login.named.definition.name;
        self.remember_client(provider, &login.server, &client, registered_for)
            .await?;
        Ok(client)
    }

    /// The next step, now that there is a client.
    async fn go(
        self: &Arc<Self>,
        session: &Arc<Session>,
        login: &SignIn,
        client: Client,
    ) -> Result<LoginStep, WireError> {
        match login.flow {
            Flow::Pkce | Flow::DcrPkce => self.send_to_server(session, login, client).await,
            Flow::DeviceCode => self.show_device_code(session, login, client).await,
            Flow::ClientCredentials | Flow::JwtBearer => {
                login.set(Progress::Busy);
                let (broker, session) = (Arc::clone(self), Arc::clone(session));
                tokio::spawn(async move {
                    let Target::OAuth(login) = &session.target else {
                        return;
                    };
                    let _turn = session.turn.lock().await;
                    let done = broker.ask_for_itself(&session, login, client).await;
                    broker.finish(&session, done);
                });
                Ok(LoginStep::Wait)
            }
        }
    }

    async fn send_to_server(
        &self,
        session: &Session,
        login: &SignIn,
        client: Client,
    ) -> Result<LoginStep, WireError> {
        let (state, pkce) = (State::random(), Pkce::random());
        let what = "sending the browser to the server";
        let Some(endpoint) = &login.facts.authorization_url else {
            return Err(login.failed(what, &Missing("authorization")));
        };
        let url = Authorization {
            endpoint,
            client_id: &client.id,
            redirect_uri: &login.redirect_uri,
            scopes: &login.scopes,
            state: &state,
            pkce: &pkce,
            resource: login.facts.resource.as_deref(),
            params: &login.facts.authorization_params,
        }
        .url();
        let Some(url) = url else {
            return Err(login.failed(what, &HttpError::Url(endpoint.clone())));
        };
        let awaited = Awaited {
            provider: login.named.definition.name.clone(),
            state: state.clone(),
            issuer: login.facts.issuer.clone(),
            issuer_is_named: login.facts.names_itself,
        };
        let listening = self
            .pages
            .load()
            .await_callback(
                session.id.clone(),
                login.form(),
                awaited,
                session.inbox.clone(),
            )
            .await;
        let listens = match (listening, session.via) {
            (Ok(()), _) => true,
            (Err(error), LoginVia::Form) => return Err(no_page(&error)),
            // the address can still be pasted
            (Err(error), LoginVia::Submit) => {
                tracing::info!(%error, "no callback is listened for");
                false
            }
        };
        login.set(Progress::Code {
            client,
            state,
            pkce,
        });
        Ok(LoginStep::Authorize {
            url,
            redirect_uri: login.redirect_uri.clone(),
            listens,
        })
    }

    async fn show_device_code(
        self: &Arc<Self>,
        session: &Arc<Session>,
        login: &SignIn,
        client: Client,
    ) -> Result<LoginStep, WireError> {
        let what = "getting a device code";
        let Some(endpoint) = &login.facts.device_authorization_url else {
            return Err(login.failed(what, &Missing("device authorization")));
        };
        let how = login.how_devices_ask();
        let request = device::request(&client, &login.scopes, how);
        let answer = self
            .servers()
            .await?
            .send(endpoint, login.reach, request)
            .await
            .map_err(|error| login.failed(what, &error))?;
        let code = device::read(&answer, how).map_err(|error| match &error {
            TokenError::Refused { code, .. } if is_about_client(code) => login.token_failed(&error),
            _ => login.failed(what, &error),
        })?;
        let step = LoginStep::Device {
            url: code.verification_uri.clone(),
            url_with_code: code.verification_uri_complete.clone(),
            code: code.user_code.clone(),
        };
        login.set(Progress::Busy);
        let (broker, session) = (Arc::clone(self), Arc::clone(session));
        tokio::spawn(async move { broker.poll_device(&session, code, client).await });
        Ok(step)
    }

    /// Asks until the code is typed, refused or too old, or the login is over.
    async fn poll_device(&self, session: &Session, code: device::DeviceCode, client: Client) {
        let Target::OAuth(login) = &session.target else {
            return;
        };
        let how = login.how_devices_ask();
        let mut poll = device::Poll::new(&code);
        let mut pause = poll.interval();
        let too_old = tokio::time::Instant::now() + code.expires_in;
        let mut state = session.state.subscribe();
        let tokens = loop {
            tokio::select! {
                () = super::ended(&mut state) => return,
                () = tokio::time::sleep_until(too_old) => {
                    let error = TokenError::Refused { code: "expired_token".into(), description: None };
                    break Err(login.token_failed(&error));
                }
                () = tokio::time::sleep(pause) => {}
            }
            let request = device::token_request(&code, &client, how);
            let servers = match self.servers().await {
                Ok(servers) => servers,
                Err(error) => break Err(error),
            };
            let answer = servers.send(&login.facts.token_url, login.reach, request);
            pause = match answer.await {
                Ok(answer) => match poll.answered(&answer, how) {
                    device::Next::Wait(pause) => pause,
                    device::Next::Done(tokens) => break Ok(tokens),
                    device::Next::Failed(error) => break Err(login.token_failed(&error)),
                },
                Err(error) => {
                    tracing::debug!(%error, "the device code's server does not answer");
                    poll.unanswered()
                }
            };
        };
        let _turn = session.turn.lock().await;
        let done = match tokens {
            Ok(tokens) => {
                self.keep_tokens(session, login, tokens, Some(client), None)
                    .await
            }
            Err(error) => Err(error),
        };
        self.finish(session, done);
    }

    fn finish(&self, session: &Session, done: Result<Response, WireError>) {
        if session.is_over() {
            return;
        }
        if done.is_err() {
            self.note_failure(session);
        }
        session.end(done);
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
                    return done.map(Advance::Done).map_err(again);
                }
                let step = self.go(session, login, client).await.map_err(again)?;
                Ok(Advance::Next(step))
            }
            (Progress::ServiceAccount, Submission::Secret(file)) => {
                let done = self.ask_with_key(session, login, file).await;
                done.map(Advance::Done).map_err(|error| {
                    login.set(Progress::ServiceAccount);
                    Setback::Again(error)
                })
            }
            (Progress::Code { client, pkce, .. }, Submission::Callback(callback)) => {
                let done = self.exchange(session, login, client, &pkce, callback).await;
                done.map(Advance::Done).map_err(Setback::Over)
            }
            (progress, _) => {
                login.set(progress);
                Err(not_asked(session).into())
            }
        }
    }

    /// A code for tokens. Whatever comes of it, the login is over: a code is good once.
    async fn exchange(
        &self,
        session: &Session,
        login: &SignIn,
        client: Client,
        pkce: &Pkce,
        callback: Callback,
    ) -> Result<Response, WireError> {
        let code = match callback {
            Callback::Code(code) => code,
            Callback::Refused(refusal) => return Err(refused(login, refusal)),
            Callback::Wrong(reason) => {
                return Err(WireError::new(
                    ErrorCode::AuthorizationServer,
                    format!(
                        "the answer for `{}` cannot be trusted: {reason}",
                        login.named.definition.name
                    ),
                )
                .hint(format!("start again with `{}`", login.command())));
            }
            Callback::Foreign => return Err(not_asked(session)),
        };
        session.enter(LoginState::Exchanging);
        let grant = Grant::Code {
            code: &code,
            redirect_uri: &login.redirect_uri,
            verifier: pkce.verifier(),
        };
        let tokens = self.tokens_for(login, &grant, Some(&client)).await?;
        self.keep_tokens(session, login, tokens, Some(client), None)
            .await
    }

    /// Client credentials for a token.
    async fn ask_for_itself(
        &self,
        session: &Session,
        login: &SignIn,
        client: Client,
    ) -> Result<Response, WireError> {
        session.enter(LoginState::Exchanging);
        let grant = Grant::ClientCredentials {
            scopes: &login.scopes,
        };
        let tokens = self.tokens_for(login, &grant, Some(&client)).await?;
        self.keep_tokens(session, login, tokens, Some(client), None)
            .await
    }

    /// A service account's key for a token.
    async fn ask_with_key(
        &self,
        session: &Session,
        login: &SignIn,
        file: Secret,
    ) -> Result<Response, WireError> {
        let bad = |error: &dyn std::error::Error| {
            WireError::new(ErrorCode::InvalidSecret, "the key file cannot be used")
                .because(error)
                .hint("use the JSON file that the provider's console made for a service account")
        };
        let account = ServiceAccount::read(file).map_err(|error| bad(&error))?;
        if account.token_uri != login.facts.token_url {
            let name = &login.named.definition.name;
            return Err(WireError::new(
                ErrorCode::InvalidSecret,
                format!("the key file is not for `{name}`"),
            )
            .hint(format!(
                "its `token_uri` must be `{}`",
                login.facts.token_url
            )));
        }
        session.enter(LoginState::Exchanging);
        let assertion = account
            .assertion(&login.scopes, unix_now())
            .map_err(|error| bad(&error))?;
        let grant = Grant::Assertion {
            assertion: &assertion,
        };
        let tokens = self.tokens_for(login, &grant, None).await?;
        self.keep_tokens(session, login, tokens, None, Some(&account))
            .await
    }

    async fn tokens_for(
        &self,
        login: &SignIn,
        grant: &Grant<'_>,
        client: Option<&Client>,
    ) -> Result<Tokens, WireError> {
        let request = token::request(grant, client, login.facts.resource.as_deref());
        let answer = self
            .servers()
            .await?
            .send(&login.facts.token_url, login.reach, request)
            .await
            .map_err(|error| {
                login
                    .failed("getting tokens", &error)
                    .hint(format!("start again with `{}`", login.command()))
            })?;
        token::read(&answer).map_err(|error| login.token_failed(&error))
    }

    async fn keep_tokens(
        &self,
        session: &Session,
        login: &SignIn,
        tokens: Tokens,
        client: Option<Client>,
        account: Option<&ServiceAccount>,
    ) -> Result<Response, WireError> {
        check(&login.named.definition, &tokens.access)?;
        let renewal = match (login.flow, account, tokens.refresh) {
            (_, Some(account), _) => Renewal::ServiceAccount(account.file().clone()),
            (Flow::ClientCredentials, ..) => Renewal::ClientCredentials,
            (_, _, Some(refresh)) => Renewal::RefreshToken(refresh),
            (_, _, None) => Renewal::None,
        };
        let scopes = tokens.scopes.unwrap_or_else(|| login.scopes.clone());
        let grant = GrantRecord {
            flow: Some(login.flow),
            scopes: scopes.clone(),
            expires_at: tokens.expires_in.and_then(after),
            renews: !matches!(renewal, Renewal::None),
        };
        let stored_grant = StoredGrant {
            flow: login.flow,
            renewal,
            issued_at: i64::try_from(unix_now()).unwrap_or(0),
            lifetime: tokens.expires_in.map(|lifetime| lifetime.as_secs()),
            scopes,
            client: client.clone().map(Into::into),
            token_url: login.facts.token_url.clone(),
            revocation_url: login.facts.revocation_url.clone(),
            resource: login.facts.resource.clone(),
            rotates: None,
            renewing_since: None,
        };
        let _changing = self.changing.lock().await;
        session.refuse_if_over()?;
        self.refuse_overwrite(&login.named)?;
        session.enter(LoginState::Storing);
        if let Some(text) = &login.unsaved {
            self.save_definition(&login.named.definition, text, session.begun_by)
                .await?;
        }
        let provider = &login.named.definition.name;
        if let Some(client) = &client
            && login.flow != Flow::DcrPkce
        {
            self.remember_client(provider, &login.server, client, None)
                .await?;
        }
        let credential = NewCredential {
            base_url: login.base_url.clone(),
            stored_grant: Some(stored_grant),
            grant: Some(grant),
            account: account.map(|account| account.email.clone()),
            ..NewCredential::of(&login.named, tokens.access)
        };
        let logged_in = self.keep(credential, session.begun_by).await?;
        Ok(Response::LoggedIn(logged_in))
    }
}

impl SignIn {
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

#[derive(Debug, thiserror::Error)]
#[error("the definition has no {0} endpoint")]
struct Missing(&'static str);

fn refused(login: &SignIn, refusal: Refusal) -> WireError {
    let name = &login.named.definition.display_name;
    let mut error = WireError::new(
        ErrorCode::LoginRefused,
        format!("the login was refused at {name}: {}", refusal.code),
    )
    .hint(format!("start again with `{}`", login.command()));
    error.causes.extend(refusal.description);
    error
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

/// The address of a person's own server, as it is stored.
fn own_server(provider: &str, facts: &OAuth2, text: &str) -> Result<String, WireError> {
    if facts.base_url.is_none() {
        return Err(WireError::new(
            ErrorCode::BadRequest,
            format!("`{provider}` is at one place only"),
        )
        .hint("leave `--base-url` out"));
    }
    Ok(text.to_owned())
}

/// The facts with the base URL in every endpoint.
fn resolve(facts: &OAuth2, base: Option<&str>) -> OAuth2 {
    let resolve = |url: &String| facts.resolve(url, base);
    OAuth2 {
        authorization_url: facts.authorization_url.as_ref().map(resolve),
        token_url: resolve(&facts.token_url),
        revocation_url: facts.revocation_url.as_ref().map(resolve),
        device_authorization_url: facts.device_authorization_url.as_ref().map(resolve),
        registration_endpoint: facts.registration_endpoint.as_ref().map(resolve),
        ..facts.clone()
    }
}

/// Host, and port where it is not 443.
pub(super) fn server_of(url: &str) -> String {
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

fn unix_now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0)
}

/// That long from now, as it is stored and shown.
fn after(lifetime: Duration) -> Option<String> {
    let at = jiff::Timestamp::now().checked_add(lifetime).ok()?;
    at.round(jiff::Unit::Second).ok().map(|at| at.to_string())
}
