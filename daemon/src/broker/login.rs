//! Logging in with an API key, and giving a webhook its secret.
//!
//! 1. `begin_login` checks the provider, that nothing is overwritten unasked, and opens a session;
//!    with a form it is offered on the loopback page. An endpoint for webhooks has checks of its own
//!    (`webhooks.rs`) and the same session.
//! 2. A secret arrives from the page or from the client; one that does not pass is told why, and
//!    the session waits on.
//! 3. `store` checks it once more, audits, writes vault and record, and publishes living runs'
//!    routes before anybody is told that it is done.
//!
//! A session ends when it is done, cancelled, or [`LOGIN_MAX`] old.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use authsome_proto::request::{Login, LoginAnswer, LoginServer, LoginVia};
use authsome_proto::response::{LoggedIn, LoginStarted, LoginStep};
use authsome_proto::secret::SECRET_MAX;
use authsome_proto::{
    ConnectionName, ErrorCode, Event, LoginId, LoginStage, ProviderName, Response, Secret,
    WireError,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::webhooks::Plan;
use super::{Broker, now, random_id};
use crate::audit::{self, Record};
use crate::connections::{ConnectionRecord, ConnectionState};
use crate::errors::{Explain, storage};
use crate::login::{Asked, LoginForm, OfferError, Port, Shown, Submission, Submitted};
use crate::providers::Definition;
use crate::routing::placeholder::LITERAL;
use crate::vault::{ItemKey, StoredItem};

/// How long a login waits for a person. Shorter would cut off somebody who must first ask a
/// colleague for the key; longer would leave a page open that everybody has forgotten.
const LOGIN_MAX: Duration = Duration::from_secs(10 * 60);

/// How many logins may wait at once: more are a program gone wrong.
const LOGINS_MAX: usize = 32;

/// Where a login stands.
#[derive(Debug, Clone)]
pub enum LoginState {
    /// It waits for a secret.
    Waiting,
    /// A secret was refused; it still waits.
    Rejected(String),
    /// A secret is being stored.
    Storing,
    /// It is over.
    Ended(Box<Result<Response, WireError>>),
}

/// The waiting logins, and those that ended while nobody was listening.
#[derive(Debug, Default)]
pub(super) struct Logins(Mutex<BTreeMap<LoginId, Arc<Session>>>);

#[derive(Debug)]
struct Session {
    target: Target,
    /// The process that began it: if that stops waiting, the login is given up.
    begun_by: u32,
    deadline: Instant,
    state: watch::Sender<LoginState>,
    cancelled: CancellationToken,
}

/// What a secret is for.
#[derive(Debug)]
pub(super) enum Target {
    /// A connection.
    Connection {
        definition: Arc<Definition>,
        connection: ConnectionName,
        /// The only region that the key is for.
        region: Option<String>,
        /// Whether one that is there may be replaced.
        force: bool,
    },
    /// An endpoint for webhooks.
    Webhook(Box<Plan>),
}

impl Logins {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<LoginId, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, id: &LoginId) -> Result<Arc<Session>, WireError> {
        self.lock().get(id).cloned().ok_or_else(|| {
            WireError::new(
                ErrorCode::LoginExpired,
                format!("no login `{id}` is waiting"),
            )
            .hint("it is done, was cancelled, or ran out of time; start it again")
        })
    }
}

impl Broker {
    /// Opens a login for the process `pid`.
    pub async fn begin_login(
        self: &Arc<Self>,
        request: Login,
        pid: u32,
    ) -> Result<LoginStarted, WireError> {
        let entry = self.definition(&request.provider)?;
        let definition = Arc::clone(&entry.definition);
        let provider = &definition.name;
        if let Some(reason) = definition.not_yet() {
            return Err(WireError::new(
                ErrorCode::NotAvailableYet,
                format!("`{provider}` cannot be logged in to yet: {reason}"),
            )
            .hint("`authsome list --all` marks the providers that work"));
        }
        let connection = match request.connection {
            Some(name) => name,
            None if request.force => self
                .connections
                .default_of(provider)
                .unwrap_or_else(ConnectionName::default_name),
            None => ConnectionName::default_name(),
        };
        self.refuse_overwrite(&definition, &connection, request.force)?;
        let region = match request.region {
            Some(region) => check_region(&definition, region)?,
            // another key of the same account lives where the old one did
            None => self
                .connections
                .find(provider, &connection)
                .and_then(|record| record.region),
        };
        let target = Target::Connection {
            definition,
            connection,
            region,
            force: request.force,
        };
        self.open_session(target, request.via, pid).await
    }

    /// Opens a session that waits for a secret.
    pub(super) async fn open_session(
        self: &Arc<Self>,
        target: Target,
        via: LoginVia,
        pid: u32,
    ) -> Result<LoginStarted, WireError> {
        // a vault that is shut is said before a person types a key
        self.vault
            .install_secret()
            .await
            .map_err(|error| error.explain("open the vault"))?;

        let id: LoginId = random_id();
        let session = Arc::new(Session {
            target,
            begun_by: pid,
            deadline: Instant::now() + LOGIN_MAX,
            state: watch::Sender::new(LoginState::Waiting),
            cancelled: CancellationToken::new(),
        });
        {
            let mut logins = self.logins.lock();
            // those that are over stay a moment for `--resume`, and must not keep others out
            let waiting = logins.values().filter(|session| !session.is_over());
            if waiting.count() >= LOGINS_MAX {
                return Err(WireError::new(
                    ErrorCode::TooManyRequests,
                    format!("{LOGINS_MAX} logins are waiting already"),
                )
                .hint("finish or cancel one of them first"));
            }
            logins.insert(id.clone(), Arc::clone(&session));
        }
        let (send, submissions) = mpsc::channel(1);
        let offered = match via {
            LoginVia::Submit => None,
            LoginVia::Form => match self
                .pages
                .load()
                .offer(id.clone(), session.target.form(), Port::Any, send)
                .await
            {
                Ok(offered) => Some(offered),
                Err(error) => {
                    self.logins.lock().remove(&id);
                    return Err(port_taken(&error));
                }
            },
        };
        let broker = Arc::clone(self);
        let form = session.target.form();
        let (watched, watched_id) = (Arc::clone(&session), id.clone());
        tokio::spawn(async move { broker.attend(&watched_id, &watched, submissions).await });
        let asks = form.asked.as_wire();
        let step = match offered {
            Some(offered) => LoginStep::Form {
                url: offered.url,
                moved_from: offered.moved_from,
                asks,
            },
            None => LoginStep::Enter { asks },
        };
        Ok(LoginStarted {
            login: id,
            display_name: form.display_name,
            connection: form.connection,
            step,
            hint: form.hint,
            key_urls: form.key_urls,
            seconds_left: LOGIN_MAX.as_secs(),
        })
    }

    /// Takes a secret for a login.
    pub async fn submit_login(
        self: &Arc<Self>,
        id: &LoginId,
        secret: Secret,
    ) -> Result<Response, WireError> {
        let session = self.logins.find(id)?;
        let result = self.store(&session, secret).await;
        match &result {
            Ok(_) => session.end(result.clone()),
            Err(error) if !session.is_over() => {
                session
                    .state
                    .send_replace(LoginState::Rejected(error.message.clone()));
            }
            Err(_) => {}
        }
        result
    }

    /// Takes what a login's step asks for.
    pub async fn answer_login(
        self: &Arc<Self>,
        id: &LoginId,
        answer: LoginAnswer,
    ) -> Result<Response, WireError> {
        match answer {
            LoginAnswer::Secret(secret) => self.submit_login(id, secret).await,
            LoginAnswer::Client { .. } | LoginAnswer::Redirect(_) | LoginAnswer::Cookies(_) => {
                todo!()
            }
        }
    }

    /// Begins a login to a server that is known by its address alone.
    pub async fn begin_server_login(
        self: &Arc<Self>,
        _server: LoginServer,
        _pid: u32,
    ) -> Result<LoginStarted, WireError> {
        todo!()
    }

    /// Where the authorization server of `provider` sends the browser back to.
    pub fn redirect_uri(&self, provider: &ProviderName) -> String {
        self.pages.load().redirect_uri(provider)
    }

    /// Follows a login: its states, the time it has left, and how to give it up.
    pub fn watch_login(
        &self,
        id: &LoginId,
    ) -> Result<(watch::Receiver<LoginState>, Instant), WireError> {
        let session = self.logins.find(id)?;
        Ok((session.state.subscribe(), session.deadline))
    }

    /// Gives a login up if the process `pid` began it.
    pub fn cancel_own_login(&self, id: &LoginId, pid: u32) {
        if let Ok(session) = self.logins.find(id)
            && session.begun_by == pid
        {
            session.cancelled.cancel();
        }
    }

    /// Gives a login up.
    pub fn cancel_login(&self, id: &LoginId) -> Result<(), WireError> {
        self.logins.find(id)?.cancelled.cancel();
        Ok(())
    }

    /// Stays with a session until it is over.
    async fn attend(
        self: &Arc<Self>,
        id: &LoginId,
        session: &Session,
        mut submissions: mpsc::Receiver<Submitted>,
    ) {
        let mut state = session.state.subscribe();
        let give_up = |code, what: &str| {
            let mut record = Record::new(audit::Event::LoginFailed);
            session.target.name_in(&mut record);
            record.pid = Some(session.begun_by);
            self.note(record);
            let target = &session.target;
            session.end(Err(WireError::new(
                code,
                format!("the login for {} {what}", target.what()),
            )
            .hint(format!("start again with `{}`", target.command()))));
        };
        loop {
            tokio::select! {
                biased;
                () = ended(&mut state) => break,
                () = session.cancelled.cancelled() => give_up(ErrorCode::LoginCancelled, "was cancelled"),
                () = self.shutdown.cancelled() => {
                    give_up(ErrorCode::ShuttingDown, "ended with the daemon");
                }
                () = tokio::time::sleep_until(session.deadline.into()) => give_up(
                    ErrorCode::LoginExpired,
                    &format!("was not finished within {} minutes", LOGIN_MAX.as_secs() / 60),
                ),
                Some(Submitted { submission, answer }) = submissions.recv() => {
                    let Submission::Secret(secret) = submission else { continue };
                    let result = self.store(session, secret).await;
                    // the page may be gone by now; the login is done all the same
                    drop(answer.send(match &result {
                        Ok(_) => Ok(Shown::Done),
                        Err(error) => Err(error.message.clone()),
                    }));
                    match result {
                        Ok(done) => session.end(Ok(done)),
                        Err(error) => {
                            session.state.send_replace(LoginState::Rejected(error.message));
                        }
                    }
                }
            }
        }
        // the page shows that it is done for a moment longer; then the login is forgotten, so that
        // `--resume` can still be told how it ended
        if let Target::Webhook(plan) = &session.target {
            plan.release();
        }
        self.pages.load().withdraw(id);
        // ends the form also on pages that a change of the port has put aside
        drop(submissions);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(60)) => {}
            () = self.shutdown.cancelled() => {}
        }
        self.logins.lock().remove(id);
    }

    fn refuse_overwrite(
        &self,
        definition: &Definition,
        connection: &ConnectionName,
        force: bool,
    ) -> Result<(), WireError> {
        let provider = &definition.name;
        if force || self.connections.find(provider, connection).is_none() {
            return Ok(());
        }
        Err(WireError::new(
            ErrorCode::AlreadyConnected,
            format!("`{provider}` is connected already as `{connection}`"),
        )
        .hint("replace its key with `--force`, or keep both with `--connection NAME`"))
    }

    /// Checks and stores a secret.
    async fn store(
        self: &Arc<Self>,
        session: &Session,
        secret: Secret,
    ) -> Result<Response, WireError> {
        let target = &session.target;
        match target {
            Target::Connection { definition, .. } => check(definition, &secret)?,
            Target::Webhook(plan) => plan.check(&secret)?,
        }
        let _changing = self.changing.lock().await;
        if session.is_over() {
            return Err(WireError::new(
                ErrorCode::LoginExpired,
                format!("the login for {} is over already", target.what()),
            )
            .hint(format!("start again with `{}`", target.command())));
        }
        let by = session.begun_by;
        match target {
            Target::Connection {
                definition,
                connection,
                region,
                force,
            } => {
                self.refuse_overwrite(definition, connection, *force)?;
                session.state.send_replace(LoginState::Storing);
                self.store_connection(definition, connection, region.clone(), secret, by)
                    .await
                    .map(Response::LoggedIn)
            }
            Target::Webhook(plan) => {
                session.state.send_replace(LoginState::Storing);
                self.store_webhook(plan, secret, by)
                    .await
                    .map(Response::WebhookStored)
            }
        }
    }

    async fn store_connection(
        &self,
        definition: &Definition,
        connection: &ConnectionName,
        region: Option<String>,
        secret: Secret,
        by: u32,
    ) -> Result<LoggedIn, WireError> {
        let provider = &definition.name;
        let existing = self.connections.find(provider, connection);
        let mut record = Record::new(match existing {
            Some(_) => audit::Event::Rotate,
            None => audit::Event::Login,
        });
        record.provider = Some(provider.clone());
        record.connection = Some(connection.clone());
        self.audit_first(record, by).await?;

        let key = ItemKey::Connection {
            provider: provider.clone(),
            connection: connection.clone(),
        };
        let item = StoredItem {
            secret,
            hosts: definition.hosts(),
            stored_at: now(),
            grant: None,
        };
        // first: the outcome of a call that takes too long is not known
        self.credentials.forget(provider, connection);
        if let Err(error) = self.vault.put(&key, item).await {
            self.refresh_runs().await;
            return Err(error.explain(&format!("store the key of `{provider}`")));
        }
        let record = ConnectionRecord {
            provider: provider.clone(),
            connection: connection.clone(),
            state: ConnectionState::Connected,
            created_at: existing
                .as_ref()
                .map_or_else(now, |old| old.created_at.clone()),
            rotated_at: existing.as_ref().map(|_| now()),
            last_used: existing.as_ref().and_then(|old| old.last_used.clone()),
            hosts: definition.hosts(),
            account: None,
            region,
            base_url: None,
            grant: None,
        };
        let inserted = self.connections.insert(record);
        // also after a failure: the replaced key must not live on in a run (B3)
        self.refresh_runs().await;
        inserted
            .map_err(|error| storage(&format!("record the connection of `{provider}`"), &error))?;
        self.tell(Event::ConnectionChanged {
            provider: provider.clone(),
            connection: connection.clone(),
        });
        tracing::info!(%provider, %connection, "logged in");
        Ok(LoggedIn {
            provider: provider.clone(),
            display_name: definition.display_name.clone(),
            connection: connection.clone(),
            is_default: self.connections.default_of(provider).as_ref() == Some(connection),
            replaced: existing.is_some(),
            variables: definition.variables(),
            store: self.vault.status().await.store_name(),
            runs: self.run_count(),
            expires_at: None,
            renews: false,
            scopes: Vec::new(),
        })
    }
}

/// Returns once the login is over.
async fn ended(state: &mut watch::Receiver<LoginState>) {
    // the sender lives in the session, which its attendant holds: an error is the end too
    while !matches!(*state.borrow_and_update(), LoginState::Ended(_)) {
        if state.changed().await.is_err() {
            return;
        }
    }
}

impl Session {
    fn is_over(&self) -> bool {
        matches!(*self.state.borrow(), LoginState::Ended(_))
    }

    fn end(&self, result: Result<Response, WireError>) {
        self.state.send_replace(LoginState::Ended(Box::new(result)));
    }
}

impl LoginState {
    /// What subscribers hear of it; nothing once it is over.
    pub fn stage(&self, deadline: Instant) -> Option<LoginStage> {
        match self {
            Self::Waiting => Some(LoginStage::Waiting {
                seconds_left: deadline.saturating_duration_since(Instant::now()).as_secs(),
            }),
            Self::Rejected(reason) => Some(LoginStage::Rejected {
                reason: reason.clone(),
            }),
            Self::Storing => Some(LoginStage::Storing),
            Self::Ended(_) => None,
        }
    }
}

/// The region that a login names; `all` takes a limit away.
fn check_region(definition: &Definition, region: String) -> Result<Option<String>, WireError> {
    let provider = &definition.name;
    if region == "all" {
        return Ok(None);
    }
    if definition.regions.iter().any(|(name, _)| *name == region) {
        return Ok(Some(region));
    }
    let names: Vec<String> = definition
        .regions
        .iter()
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    Err(if names.is_empty() {
        WireError::new(
            ErrorCode::BadRequest,
            format!("`{provider}` has no regions"),
        )
        .hint("leave `--region` out")
    } else {
        WireError::new(
            ErrorCode::BadRequest,
            format!("`{provider}` has no region `{region}`"),
        )
        .hint(format!("it has {}, or `all`", names.join(", ")))
    })
}

/// Refuses a secret that cannot be right, without repeating any of it (threat D10).
fn check(definition: &Definition, secret: &Secret) -> Result<(), WireError> {
    let provider = &definition.name;
    let hint = || {
        definition
            .key_hint
            .clone()
            .unwrap_or_else(|| "copy it once more from where it is shown".into())
    };
    let bad = |what: String| WireError::new(ErrorCode::InvalidSecret, what).hint(hint());
    if secret.is_empty() {
        return Err(bad(format!("the key for `{provider}` is empty")));
    }
    if secret.len() > SECRET_MAX {
        return Err(bad(format!(
            "the key for `{provider}` is longer than {SECRET_MAX} bytes"
        )));
    }
    // what a program finds in its variable inside a run, read from there for a key
    if secret.expose() == LITERAL {
        return Err(bad(format!(
            "that is the placeholder that programs see, not the key for `{provider}`"
        )));
    }
    if definition
        .key_pattern
        .as_ref()
        .is_some_and(|pattern| !pattern.matches(secret.expose()))
    {
        return Err(bad(format!(
            "that does not look like a key for {}",
            definition.display_name
        )));
    }
    for rule in &definition.routes {
        if let Err(error) = rule.slot.fill(secret) {
            return Err(bad(format!("the key for `{provider}` cannot be sent")).because(&error));
        }
    }
    Ok(())
}

impl Target {
    /// What people call it.
    fn what(&self) -> String {
        match self {
            Self::Connection { definition, .. } => format!("`{}`", definition.name),
            Self::Webhook(plan) => format!("webhook `{}`", plan.name()),
        }
    }

    /// The command that begins it.
    fn command(&self) -> String {
        match self {
            Self::Connection { definition, .. } => format!("authsome login {}", definition.name),
            Self::Webhook(plan) if plan.is_rotation() => {
                format!("authsome webhook rotate {}", plan.name())
            }
            Self::Webhook(plan) => format!("authsome webhook add {}", plan.name()),
        }
    }

    fn name_in(&self, record: &mut Record) {
        match self {
            Self::Connection {
                definition,
                connection,
                ..
            } => {
                record.provider = Some(definition.name.clone());
                record.connection = Some(connection.clone());
            }
            Self::Webhook(plan) => record.webhook = Some(plan.name().clone()),
        }
    }

    fn form(&self) -> LoginForm {
        match self {
            Self::Connection {
                definition,
                connection,
                region,
                force,
            } => LoginForm {
                // a person sees where the key will go
                hosts: definition.hosts_in(region.as_deref()),
                ..connection_form(definition, connection, *force)
            },
            Self::Webhook(plan) => webhook_form(plan),
        }
    }
}

fn connection_form(definition: &Definition, connection: &ConnectionName, force: bool) -> LoginForm {
    LoginForm {
        asked: Asked::ApiKey,
        display_name: definition.display_name.clone(),
        connection: connection.clone(),
        variable: definition.variables().into_iter().next(),
        hosts: definition.hosts(),
        key_urls: definition.key_urls.clone(),
        hint: definition.key_hint.clone(),
        pattern: definition.key_pattern.clone().map(
            |pattern| -> Arc<dyn Fn(&str) -> bool + Send + Sync> {
                Arc::new(move |text| pattern.matches(text))
            },
        ),
        rotate: force,
    }
}

fn webhook_form(plan: &Plan) -> LoginForm {
    let scheme = plan.scheme().clone();
    LoginForm {
        asked: Asked::SigningSecret {
            forward: plan.forward().to_owned(),
        },
        display_name: scheme.title.clone(),
        // its characters are allowed there too
        connection: plan
            .name()
            .as_str()
            .parse()
            .unwrap_or_else(|_| ConnectionName::default_name()),
        variable: None,
        hosts: Vec::new(),
        key_urls: Vec::new(),
        hint: scheme.hint.clone(),
        pattern: Some(Arc::new(move |text| {
            scheme.key(&Secret::new(text.to_owned())).is_ok()
        })),
        rotate: plan.is_rotation(),
    }
}

fn port_taken(error: &OfferError) -> WireError {
    WireError::new(ErrorCode::PortTaken, "cannot show the login page")
        .because(error)
        .hint("use `--no-browser` to enter the key on the terminal")
}
