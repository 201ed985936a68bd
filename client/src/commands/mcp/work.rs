//! Does what a tool was called for.
//!
//! Each call has a connection to the daemon of its own, so that one which waits holds up nobody, and
//! a daemon that was restarted is found again. Nobody is ever asked on the terminal: it belongs to
//! whoever started us.

use std::sync::Arc;
use std::time::{Duration, Instant};

use authsome_proto::request::{self, LogQuery, LoginVia};
use authsome_proto::{LoginId, ProviderName, Request, Response, RunId, ServerFrame};
use serde_json::{Value, json};

use super::answers::{self, Outcome};
use super::flight::{Flight, Wanted};
use super::logins::{Logins, Waiting};
use super::message::Id;
use super::refusals;
use super::session::{Called, Consent, Elicits};
use super::standing::Standing;
use super::tools::{Call, Login};
use crate::connect::{Daemon, Start, connect, unexpected};
use crate::error::Failure;
use crate::project;
use crate::ui::Ui;

/// How often a call that waits for the daemon looks whether it is still wanted.
const TICK: Duration = Duration::from_millis(100);

/// How long the daemon may take. The longest honest answer waits for a person to unlock a keyring.
const DEADLINE: Duration = Duration::from_secs(150);

/// Lines of the audit log that are searched for refusals.
const LINES: u32 = 1000;

/// Why a call came to nothing.
enum Stopped {
    /// Nobody wants it any more.
    Unwanted,
    Failed(Failure),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What a call works with.
pub(super) struct Work<'a> {
    pub(super) flight: &'a Flight,
    pub(super) logins: &'a Logins,
    pub(super) id: &'a Id,
    pub(super) wanted: &'a Arc<Wanted>,
    pub(super) ui: Ui,
}

impl Work<'_> {
    /// Does it, and says what came of it.
    pub(super) fn done(&self, called: &Called) -> Outcome {
        match self.try_to(called) {
            Ok(outcome) => outcome,
            // nobody reads this
            Err(Stopped::Unwanted) => Outcome::Complaint("the call was given up".into()),
            Err(Stopped::Failed(failure)) => Outcome::of(&failure),
        }
    }

    fn try_to(&self, called: &Called) -> Result<Outcome, Stopped> {
        let words = called.revision.has_progress_messages();
        match &called.call {
            Call::Status => {
                let mut daemon = self.daemon()?;
                let Response::Status(status) = self.ask(&mut daemon, Request::Status)? else {
                    return Err(unexpected().into());
                };
                let who = self.who(&mut daemon)?;
                Ok(answers::status(&status, &who))
            }
            Call::Connections(provider) => self.connections(provider.as_ref()),
            Call::Providers(search) => {
                let answer = self.ask(&mut self.daemon()?, Request::Providers)?;
                let Response::Providers(all) = answer else {
                    return Err(unexpected().into());
                };
                Ok(answers::providers(&all, search.as_deref()))
            }
            Call::Login(login) => self.login(login, called),
            Call::LoginStatus { login, wait } => {
                let waiting = self.find(login)?;
                Ok(self.look(&waiting, *wait, words).outcome())
            }
            Call::CancelLogin(login) => {
                self.cancel(login)?;
                Ok(Outcome::Told(json!({
                    "login": login,
                    "status": "cancelled",
                    "next": "nothing; its page does not work any more",
                })))
            }
            Call::Explain { method, url } => {
                let explained = self.explain(&mut self.daemon()?, method, url)?;
                Ok(answers::explanation(&explained))
            }
            Call::Refusals(limit) => self.refusals(*limit),
        }
    }

    fn connections(&self, provider: Option<&ProviderName>) -> Result<Outcome, Stopped> {
        let mut daemon = self.daemon()?;
        let answer = self.ask(&mut daemon, Request::Connections)?;
        let Response::Connections(mut connections) = answer else {
            return Err(unexpected().into());
        };
        if let Some(provider) = provider {
            connections.retain(|one| one.provider == *provider);
        }
        let who = self.who(&mut daemon)?;
        Ok(answers::connections(&connections, &who))
    }

    /// Begins a login and returns; a thread stays with it. Where the client can bring its person to
    /// the page, it does.
    fn login(&self, login: &Login, called: &Called) -> Result<Outcome, Stopped> {
        if let Some(retry) = &called.retry {
            let id: LoginId = retry.state.parse().map_err(|_| {
                Stopped::Failed(Failure::failed("`requestState` is not one of ours"))
            })?;
            return self.consented(&id, retry.consent);
        }
        let waiting = match self.logins.like(login) {
            Some(waiting) => waiting,
            None => self.begin(login)?,
        };
        let standing = waiting.standing();
        let Some((url, what)) = standing.page() else {
            return Ok(standing.outcome());
        };
        let id = standing.login().clone();
        let message = format!("authsome: open this page and {what}");
        match called.elicits {
            Elicits::No => Ok(standing.outcome()),
            Elicits::ByAnswer => Ok(Outcome::Ask {
                login: id,
                message,
                url,
            }),
            Elicits::ByRequest => {
                let params = json!({
                    "mode": "url",
                    "message": message,
                    "url": url,
                    "elicitationId": id,
                });
                let answer = self.flight.ask("elicitation/create", &params, self.wanted);
                if self.wanted.is_cancelled() {
                    return Err(Stopped::Unwanted);
                }
                self.consented(&id, Consent::of(answer.as_ref()))
            }
        }
    }

    /// Goes on with a login when its person was asked to open the page.
    fn consented(&self, login: &LoginId, consent: Consent) -> Result<Outcome, Stopped> {
        match consent {
            // whether they do it, `login_status` tells
            Consent::Agreed | Consent::Unsaid => Ok(self.find(login)?.standing().outcome()),
            Consent::Declined => {
                self.cancel(login)?;
                Ok(Outcome::Complaint(
                    "the person declined to open the login page, and the login was given up. Do not \
                     try again unless they ask for it"
                        .into(),
                ))
            }
        }
    }

    fn begin(&self, login: &Login) -> Result<Arc<Waiting>, Stopped> {
        let Login {
            provider,
            connection,
            flow,
            region,
            scopes,
        } = login.clone();
        let request = Request::Login(request::Login {
            provider: provider.clone(),
            connection,
            // replacing a credential is the person's
            force: false,
            via: LoginVia::Form,
            region,
            flow,
            scopes,
            base_url: None,
            client_id: None,
        });
        let mut daemon = self.daemon()?;
        // not given up halfway: the daemon would go on with a login that nobody knows of
        let Response::LoginStarted(begun) = ask(&mut daemon, request, &|| false)? else {
            return Err(unexpected().into());
        };
        let id = begun.login.clone();
        if self.wanted.is_cancelled() {
            self.cancel(&id)?;
            return Err(Stopped::Unwanted);
        }
        let standing = Standing::begun(provider, begun);
        Ok(self
            .logins
            .wait_for(daemon, Some(login.clone()), standing)?)
    }

    /// The login of that id: one of ours, or another process'.
    fn find(&self, login: &LoginId) -> Result<Arc<Waiting>, Stopped> {
        if let Some(waiting) = self.logins.find(login) {
            return Ok(waiting);
        }
        let standing = Standing::of_another(login.clone());
        let waiting = self.logins.wait_for(self.daemon()?, None, standing)?;
        // its first news is where it stands
        waiting.look(Duration::from_secs(2), self.wanted, |_, _| {});
        Ok(waiting)
    }

    fn look(&self, waiting: &Waiting, patience: Duration, words: bool) -> Standing {
        waiting.look(patience, self.wanted, |standing, so_far| {
            let line = words.then(|| standing.line());
            self.flight
                .progress(self.id, self.wanted, so_far, patience, line.as_deref());
        })
    }

    fn cancel(&self, login: &LoginId) -> Result<(), Stopped> {
        let request = Request::LoginCancel {
            login: login.clone(),
        };
        match ask(&mut self.daemon()?, request, &|| false)? {
            Response::Done => Ok(()),
            _ => Err(unexpected().into()),
        }
    }

    fn explain(
        &self,
        daemon: &mut Daemon,
        method: &str,
        url: &str,
    ) -> Result<authsome_proto::response::Explained, Stopped> {
        let question = Request::Explain(request::Explain {
            method: method.to_owned(),
            url: url.to_owned(),
            run: None,
            connections: Vec::new(),
            // inside a run the run has its own
            project: project::find(self.ui)?,
        });
        match self.ask(daemon, question)? {
            Response::Explained(explained) => Ok(explained),
            _ => Err(unexpected().into()),
        }
    }

    fn refusals(&self, limit: usize) -> Result<Outcome, Stopped> {
        let mut daemon = self.daemon()?;
        let run: Option<RunId> = self.who(&mut daemon)?.run;
        let query = Request::Log(LogQuery {
            lines: LINES,
            provider: None,
            run: run.clone(),
        });
        let Response::Log { lines } = self.ask(&mut daemon, query)? else {
            return Err(unexpected().into());
        };
        let mut told: Vec<Value> = Vec::new();
        for refusal in refusals::of_log(&lines, limit) {
            let now = match refusal.question() {
                Some((method, url)) => match self.explain(&mut daemon, &method, &url) {
                    Ok(now) => Some(now),
                    Err(Stopped::Unwanted) => return Err(Stopped::Unwanted),
                    // a request that is no request is not explained either
                    Err(Stopped::Failed(failure)) if failure.code.is_some() => None,
                    Err(stopped) => return Err(stopped),
                },
                None => None,
            };
            told.push(refusal.told(now.as_ref()));
        }
        Ok(refusals::told(run.as_ref(), &told))
    }

    fn who(&self, daemon: &mut Daemon) -> Result<authsome_proto::response::WhoAmI, Stopped> {
        match self.ask(daemon, Request::WhoAmI)? {
            Response::WhoAmI(who) => Ok(who),
            _ => Err(unexpected().into()),
        }
    }

    fn daemon(&self) -> Result<Daemon, Failure> {
        connect(Start::IfNeeded, self.ui)
    }

    fn ask(&self, daemon: &mut Daemon, request: Request) -> Result<Response, Stopped> {
        ask(daemon, request, &|| self.wanted.is_cancelled())
    }
}

/// Asks the daemon, as long as the answer is wanted. Unlike [`Daemon::call`] it asks nobody for a
/// passphrase: that failure goes to the model, which asks its person.
fn ask(
    daemon: &mut Daemon,
    request: Request,
    is_unwanted: &dyn Fn() -> bool,
) -> Result<Response, Stopped> {
    let sent = daemon.send(request)?;
    let deadline = Instant::now() + DEADLINE;
    while !is_unwanted() {
        if let Some(ServerFrame::Answer { id, result }) = daemon.next(TICK)?
            && id == sent
        {
            return Ok(result.map_err(Failure::from)?);
        }
        if Instant::now() >= deadline {
            return Err(Failure::unreachable("the daemon does not answer")
                .hint("`authsome daemon restart` replaces a daemon that hangs")
                .into());
        }
    }
    Err(Stopped::Unwanted)
}
