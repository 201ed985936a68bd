//! Logging in: sessions that wait for a person, and giving a webhook its secret.
//!
//! 1. `begin_login` checks the provider and that nothing is overwritten unasked, and opens a session
//!    ([`target`] says what for). An endpoint for webhooks has checks of its own (`webhooks.rs`).
//! 2. What a step asks for arrives from the page or from the client; what does not pass is told why,
//!    and the session waits on. A key is the last step; an OAuth login has several ([`oauth`]).
//! 3. [`keep`] audits, writes vault and record, and publishes living runs' routes before anybody is
//!    told that it is done.
//!
//! A session ends when it is done, refused, cancelled, or [`LOGIN_MAX`] old. One thing at a time
//! happens in it, whoever brings it: the page, the client, or a server that was asked.

mod clients;
mod cookies;
mod discover;
mod keep;
mod key;
mod oauth;
mod target;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use authsome_proto::request::{Login, LoginAnswer, LoginVia};
use authsome_proto::response::{LoginAsks, LoginStarted, LoginStep};
use authsome_proto::{ErrorCode, LoginId, LoginStage, ProviderName, Response, Secret, WireError};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub(super) use target::Target;

use super::{Broker, random_id};
use crate::audit::{self, Record};
use crate::errors::Explain;
use crate::login::{OfferError, Port, Shown, Submission, Submitted};
use crate::providers::Auth;

/// How long a login waits for a person. Shorter would cut off somebody who must first ask a
/// colleague for the key; longer would leave a page open that everybody has forgotten.
const LOGIN_MAX: Duration = Duration::from_secs(10 * 60);

/// How many logins may wait at once: more are a program gone wrong.
const LOGINS_MAX: usize = 32;

/// Where a login stands.
#[derive(Debug, Clone)]
pub enum LoginState {
    /// It waits for a person to do this.
    Waiting(Arc<LoginStep>),
    /// What came in was refused; it still waits for the same.
    Rejected(String),
    /// The authorization server is asked for tokens.
    Exchanging,
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
    id: LoginId,
    target: Target,
    via: LoginVia,
    /// The process that began it: if that stops waiting, the login is given up.
    begun_by: u32,
    deadline: Instant,
    state: watch::Sender<LoginState>,
    cancelled: CancellationToken,
    /// Where the pages put what comes in.
    inbox: mpsc::Sender<Submitted>,
    /// Held while something that came in is looked at, so that nothing else is.
    turn: tokio::sync::Mutex<()>,
}

/// A session that nobody attends yet. It is taken back when it gets no first step, also because the
/// client went away while a server was asked for it.
#[derive(Debug)]
struct Begun {
    broker: Arc<Broker>,
    session: Arc<Session>,
    submissions: Option<mpsc::Receiver<Submitted>>,
}

impl Drop for Begun {
    fn drop(&mut self) {
        if self.submissions.is_some() {
            self.broker.logins.lock().remove(&self.session.id);
            self.broker.pages.load().withdraw(&self.session.id);
        }
    }
}

/// What came of something that was handed over.
#[derive(Debug)]
enum Advance {
    /// There is more for a person to do.
    Next(LoginStep),
    /// The login is done.
    Done(Box<Response>),
}

impl Advance {
    fn done(response: Response) -> Self {
        Self::Done(Box::new(response))
    }
}

/// Why something that was handed over did not do.
#[derive(Debug)]
enum Setback {
    /// Another try may do.
    Again(WireError),
    /// The login is over.
    Over(WireError),
}

impl From<WireError> for Setback {
    fn from(error: WireError) -> Self {
        Self::Again(error)
    }
}

impl Logins {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<LoginId, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there are any, also such that ended a moment ago.
    pub(super) fn any(&self) -> bool {
        !self.lock().is_empty()
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
    /// Opens a login for the process `pid`, which may be inside a run.
    pub async fn begin_login(
        self: &Arc<Self>,
        request: Login,
        pid: u32,
        inside_run: bool,
    ) -> Result<LoginStarted, WireError> {
        let entry = self.definition(&request.provider)?;
        if let Some(reason) = entry.definition.not_yet() {
            return Err(WireError::new(
                ErrorCode::NotAvailableYet,
                format!(
                    "`{}` cannot be logged in to yet: {reason}",
                    request.provider
                ),
            )
            .hint("`authsome list --all` marks the providers that work"));
        }
        match &entry.definition.auth {
            Auth::ApiKey => self.begin_key_login(&entry, request, pid).await,
            Auth::Browser(_) => self.begin_cookie_login(&entry, request, pid).await,
            Auth::OAuth2(_) => {
                self.begin_oauth_login(&entry, request, pid, inside_run)
                    .await
            }
        }
    }

    /// Opens a session whose first step asks for what [`Target::form`] shows.
    pub(super) async fn open_session(
        self: &Arc<Self>,
        target: Target,
        via: LoginVia,
        pid: u32,
    ) -> Result<LoginStarted, WireError> {
        let begun = self.new_session(target, via, pid).await?;
        let step = self.ask(&begun.session).await?;
        self.start_session(begun, step)
    }

    /// A session that nobody attends yet. A vault that is shut is said before a person is asked
    /// for anything.
    async fn new_session(
        self: &Arc<Self>,
        target: Target,
        via: LoginVia,
        pid: u32,
    ) -> Result<Begun, WireError> {
        self.vault
            .install_secret()
            .await
            .map_err(|error| error.explain("open the vault"))?;
        let (inbox, submissions) = mpsc::channel(1);
        let session = Arc::new(Session {
            id: random_id(),
            target,
            via,
            begun_by: pid,
            deadline: Instant::now() + LOGIN_MAX,
            state: watch::Sender::new(LoginState::Waiting(Arc::new(LoginStep::Wait))),
            cancelled: CancellationToken::new(),
            inbox,
            turn: tokio::sync::Mutex::default(),
        });
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
        logins.insert(session.id.clone(), Arc::clone(&session));
        drop(logins);
        Ok(Begun {
            broker: Arc::clone(self),
            session,
            submissions: Some(submissions),
        })
    }

    /// Asks for what the target's form shows: on a page, or from the client.
    async fn ask(&self, session: &Session) -> Result<LoginStep, WireError> {
        let form = session.target.form();
        let asks = form.asked.as_wire();
        match session.via {
            LoginVia::Submit => Ok(LoginStep::Enter { asks }),
            LoginVia::Form => {
                let port = match asks {
                    // what is registered at the provider has this port in it
                    LoginAsks::Client {
                        redirect_uri: Some(_),
                        ..
                    } => Port::Configured,
                    _ => Port::Any,
                };
                let pages = self.pages.load();
                let offered = pages.offer(session.id.clone(), form, port, session.inbox.clone());
                let offered = offered.await.map_err(|error| no_page(&error))?;
                Ok(LoginStep::Form {
                    url: offered.url,
                    moved_from: offered.moved_from,
                    asks,
                })
            }
        }
    }

    /// Sets a session going with its first step.
    fn start_session(
        self: &Arc<Self>,
        mut begun: Begun,
        step: LoginStep,
    ) -> Result<LoginStarted, WireError> {
        let session = Arc::clone(&begun.session);
        let Some(submissions) = begun.submissions.take() else {
            return Err(session.was_cancelled());
        };
        session.wait_for(step.clone());
        let started = session.started(step);
        let broker = Arc::clone(self);
        tokio::spawn(async move { broker.attend(&session, submissions).await });
        Ok(started)
    }

    /// Takes the secret of a login.
    pub async fn submit_login(
        self: &Arc<Self>,
        id: &LoginId,
        secret: Secret,
    ) -> Result<Response, WireError> {
        self.answer_login(id, LoginAnswer::Secret(secret)).await
    }

    /// Takes what a login's step asks for.
    pub async fn answer_login(
        self: &Arc<Self>,
        id: &LoginId,
        answer: LoginAnswer,
    ) -> Result<Response, WireError> {
        let session = self.logins.find(id)?;
        let submission = match answer {
            LoginAnswer::Client { id, secret } => Submission::Client { id, secret },
            LoginAnswer::Cookies(cookies) => Submission::Cookies(cookies),
            LoginAnswer::Redirect(pasted) => {
                Submission::Callback(oauth::pasted(&session.target, &pasted)?)
            }
            LoginAnswer::Secret(secret) => Submission::Secret(secret),
        };
        match self.advance(&session, submission).await? {
            Advance::Next(step) => Ok(Response::LoginStarted(session.started(step))),
            Advance::Done(response) => Ok(*response),
        }
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

    /// Where the authorization server of `provider` sends the browser back to.
    pub fn redirect_uri(&self, provider: &ProviderName) -> String {
        self.pages.load().redirect_uri(provider)
    }

    /// Looks at something that was handed over, and moves the session on.
    async fn advance(
        self: &Arc<Self>,
        session: &Arc<Session>,
        submission: Submission,
    ) -> Result<Advance, WireError> {
        let _turn = session.turn.lock().await;
        session.refuse_if_over()?;
        let advanced = match &session.target {
            Target::Key(login) => self.take_key(session, login, submission).await,
            Target::Webhook(plan) => self.take_signing_secret(session, plan, submission).await,
            Target::Cookies(login) => self.take_cookies(session, login, submission).await,
            Target::OAuth(login) => self.take_oauth(session, login, submission).await,
        };
        match advanced {
            Ok(Advance::Next(step)) => {
                session.wait_for(step.clone());
                Ok(Advance::Next(step))
            }
            Ok(Advance::Done(response)) => {
                session.end(Ok((*response).clone()));
                Ok(Advance::Done(response))
            }
            Err(Setback::Again(error)) => {
                session.enter(LoginState::Rejected(error.message.clone()));
                Err(error)
            }
            Err(Setback::Over(error)) => {
                self.note_failure(session);
                session.end(Err(error.clone()));
                Err(error)
            }
        }
    }

    fn note_failure(&self, session: &Session) {
        let mut record = Record::new(audit::Event::LoginFailed);
        session.target.name_in(&mut record);
        record.pid = Some(session.begun_by);
        self.note(record);
    }

    /// Stays with a session until it is over.
    async fn attend(
        self: &Arc<Self>,
        session: &Arc<Session>,
        mut submissions: mpsc::Receiver<Submitted>,
    ) {
        let mut state = session.state.subscribe();
        let give_up = |code, what: &str| {
            self.note_failure(session);
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
                () = session.cancelled.cancelled() => {
                    self.note_failure(session);
                    session.end(Err(session.was_cancelled()));
                }
                () = self.shutdown.cancelled() => {
                    give_up(ErrorCode::ShuttingDown, "ended with the daemon");
                }
                () = tokio::time::sleep_until(session.deadline.into()) => give_up(
                    ErrorCode::LoginExpired,
                    &format!("was not finished within {} minutes", LOGIN_MAX.as_secs() / 60),
                ),
                Some(Submitted { submission, answer }) = submissions.recv() => {
                    let shown = match self.advance(session, submission).await {
                        Ok(Advance::Done(_)) => Ok(Shown::Done),
                        Ok(Advance::Next(step)) => match step.url() {
                            Some(url) => Ok(Shown::GoOn { url: url.to_owned() }),
                            None => Ok(Shown::Done),
                        },
                        Err(error) => Err(sentence(&error)),
                    };
                    // the page may be gone by now; the login is done all the same
                    drop(answer.send(shown));
                }
            }
        }
        // the page shows that it is done for a moment longer; then the login is forgotten, so that
        // `--resume` can still be told how it ended
        if let Target::Webhook(plan) = &session.target {
            plan.release();
        }
        self.pages.load().withdraw(&session.id);
        // ends the form also on pages that a change of the port has put aside
        drop(submissions);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(60)) => {}
            () = self.shutdown.cancelled() => {}
        }
        self.logins.lock().remove(&session.id);
    }
}

/// What a page says of an error: its message, and what the server said, as a sentence.
fn sentence(error: &WireError) -> String {
    let text = match error.causes.last() {
        Some(cause) => format!("{}: {cause}", error.message),
        None => error.message.clone(),
    };
    let mut rest = text.chars();
    let first = rest.next().into_iter().flat_map(char::to_uppercase);
    let end = if text.ends_with(['.', '!', '?', '…']) {
        ""
    } else {
        "."
    };
    first.chain(rest.as_str().chars()).collect::<String>() + end
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

    /// The error of a login that was given up.
    fn was_cancelled(&self) -> WireError {
        let target = &self.target;
        WireError::new(
            ErrorCode::LoginCancelled,
            format!("the login for {} was cancelled", target.what()),
        )
        .hint(format!("start again with `{}`", target.command()))
    }

    fn refuse_if_over(&self) -> Result<(), WireError> {
        if self.cancelled.is_cancelled() {
            return Err(self.was_cancelled());
        }
        if !self.is_over() {
            return Ok(());
        }
        Err(WireError::new(
            ErrorCode::LoginExpired,
            format!("the login for {} is over already", self.target.what()),
        )
        .hint(format!("start again with `{}`", self.target.command())))
    }

    /// Moves on, unless the login is over: the first end counts.
    fn enter(&self, next: LoginState) {
        self.state.send_if_modified(|state| {
            let goes_on = !matches!(state, LoginState::Ended(_));
            if goes_on {
                *state = next;
            }
            goes_on
        });
    }

    fn wait_for(&self, step: LoginStep) {
        self.enter(LoginState::Waiting(Arc::new(step)));
    }

    fn end(&self, result: Result<Response, WireError>) {
        self.enter(LoginState::Ended(Box::new(result)));
    }

    /// What the client is told of `step`.
    fn started(&self, step: LoginStep) -> LoginStarted {
        let form = self.target.form();
        LoginStarted {
            login: self.id.clone(),
            display_name: form.display_name,
            connection: form.connection,
            step,
            hint: form.hint,
            key_urls: form.key_urls,
            seconds_left: self
                .deadline
                .saturating_duration_since(Instant::now())
                .as_secs(),
        }
    }
}

impl LoginState {
    /// What subscribers hear of it; nothing once it is over.
    pub fn stage(&self) -> Option<LoginStage> {
        match self {
            Self::Waiting(step) => Some(LoginStage::Step((**step).clone())),
            Self::Rejected(reason) => Some(LoginStage::Rejected {
                reason: reason.clone(),
            }),
            Self::Exchanging => Some(LoginStage::Exchanging),
            Self::Storing => Some(LoginStage::Storing),
            Self::Ended(_) => None,
        }
    }
}

fn no_page(error: &OfferError) -> WireError {
    let hint = match error {
        OfferError::Taken { .. } => {
            "end that program, or choose another port with `[login] port` in `config.toml` and \
             register the address with it at the provider; `--no-browser` needs no port"
        }
        OfferError::Listen { .. } | OfferError::Random(_) => {
            "use `--no-browser` to enter it on the terminal"
        }
    };
    WireError::new(ErrorCode::PortTaken, "cannot show the login page")
        .because(error)
        .hint(hint)
}
