//! A login from its first step to its end.
//!
//! 1. A step that asks for something is answered from what was read, else on the terminal; what is
//!    refused is asked for again, for the same login.
//! 2. A step that sends a person somewhere is shown, its page is opened where that can be seen, and we
//!    wait. The daemon tells when another step begins, and how it ends.
//! 3. While a browser is waited for, a person may paste the address that it ended at.
//!
//! Whatever ends us ends the login at the daemon, unless somebody else began it.

use std::time::{Duration, Instant};

use authsome_proto::request::LoginAnswer;
use authsome_proto::response::{LoginAsks, LoginStarted, LoginStep};
use authsome_proto::{
    ErrorCode, Event, LoginId, LoginStage, Request, Response, Secret, ServerFrame,
};

use super::answers;
use super::means::{AtHand, Means, Source};
use super::spinner::Spinner;
use super::texts::{self, Around, Page};
use crate::connect::{Daemon, unexpected};
use crate::error::{Failure, Kind};
use crate::interrupt::{INTERRUPTED, Interrupt};
use crate::keys::{Echo, Keys, Look, Typed};
use crate::ui::{Ui, printable};

/// How often the spinner turns, and Ctrl-C and the keyboard are looked at.
const TICK: Duration = Duration::from_millis(100);

/// How long the daemon may take to give a login up.
const CANCEL_DEADLINE: Duration = Duration::from_secs(2);

/// Whose login is waited for: giving up ends our own, and leaves another's alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Another,
    Ours,
}

/// Where a login came to.
pub(super) enum Came {
    /// To its end.
    Done(Box<Response>),
    /// To a step that somebody else takes.
    Left(Box<LoginStarted>),
}

/// A login on its way.
pub(super) struct Walk<'a> {
    daemon: &'a mut Daemon,
    means: &'a Means,
    /// What was read and not yet asked for.
    at_hand: Option<AtHand>,
    whose: Whose,
    /// What a person was told already; told once.
    guided: bool,
    /// A page of ours is open in a browser: what comes next opens there by itself.
    page_is_open: bool,
    interrupt: Interrupt,
    ui: Ui,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        daemon: &'a mut Daemon,
        means: &'a Means,
        at_hand: Option<AtHand>,
        whose: Whose,
        ui: Ui,
    ) -> Result<Self, Failure> {
        Ok(Self {
            daemon,
            means,
            at_hand,
            whose,
            guided: false,
            page_is_open: false,
            interrupt: Interrupt::watch()?,
            ui,
        })
    }

    /// Goes on from `begun` to the end.
    pub(super) fn go(mut self, begun: LoginStarted) -> Result<Came, Failure> {
        let login = begun.login.clone();
        self.steps(begun).inspect_err(|failure| {
            let interrupted = failure.kind == Kind::Said(INTERRUPTED);
            match self.whose {
                Whose::Another if interrupted => self.ui.note(&format!(
                    "the login still waits; `authsome login --resume {login}` goes on"
                )),
                Whose::Another => {}
                Whose::Ours => {
                    // it may be over already; what matters is that it does not wait for nobody
                    self.cancel(&login);
                    if interrupted {
                        self.ui.note("login cancelled");
                    }
                }
            }
        })
    }

    fn steps(&mut self, mut begun: LoginStarted) -> Result<Came, Failure> {
        loop {
            let next = if let LoginStep::Enter { asks } = &begun.step {
                self.enter(asks, &begun)?
            } else {
                self.refuse_what_nobody_asks_for()?;
                if !self.means.waits {
                    return Ok(Came::Left(Box::new(begun)));
                }
                self.wait(&begun)?
            };
            match next {
                Next::Done(answer) => return Ok(Came::Done(answer)),
                Next::Begun(next) => begun = *next,
                Next::Step(step) => begun.step = step,
            }
        }
    }

    /// A value that was given and is never used would hide a mistake.
    fn refuse_what_nobody_asks_for(&mut self) -> Result<(), Failure> {
        let Some(AtHand { source, .. }) = self.at_hand.take() else {
            return Ok(());
        };
        let failure = Failure::usage(format!(
            "this login asks for nothing that {} could answer",
            source.what()
        ));
        Err(match source {
            Source::File(_) => failure.hint("`--flow jwt-bearer` logs a service account in"),
            Source::Stdin | Source::Variable(_) => failure.hint(
                "its OAuth client is known already; `--client-id ID` takes another one and its \
                 secret",
            ),
        })
    }

    /// Answers what is asked for.
    fn enter(&mut self, asks: &LoginAsks, begun: &LoginStarted) -> Result<Next, Failure> {
        let mut asked = false;
        loop {
            let answer = match self.at_hand.take() {
                Some(at_hand) => {
                    answers::from_value(asks, at_hand, self.means.client_id.as_deref())?
                }
                None if self.means.terminal && self.means.waits => {
                    if !self.guided {
                        for line in texts::guide(asks, &begun.key_urls, begun.hint.as_deref()) {
                            self.ui.instruct(&line);
                        }
                        self.guided = true;
                    }
                    asked = true;
                    answers::ask(asks, &begun.display_name, &self.interrupt, self.ui)?
                }
                None => answers::without_a_person(asks).ok_or_else(|| nobody(asks, begun))?,
            };
            let request = match (answer, asks) {
                (LoginAnswer::Secret(secret), LoginAsks::ApiKey | LoginAsks::SigningSecret) => {
                    Request::LoginSubmit {
                        login: begun.login.clone(),
                        secret,
                    }
                }
                (answer, _) => Request::LoginAnswer {
                    login: begun.login.clone(),
                    answer,
                },
            };
            match self.call(request) {
                Ok(Response::LoginStarted(next)) => return Ok(Next::Begun(Box::new(next))),
                Ok(answer @ (Response::LoggedIn(_) | Response::WebhookStored(_))) => {
                    return Ok(Next::Done(Box::new(answer)));
                }
                Ok(_) => return Err(unexpected()),
                Err(failure) if failure.is(ErrorCode::InvalidSecret) && asked => {
                    self.ui.failure(&failure);
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Asks the daemon, which may have to ask a server; Ctrl-C ends it.
    fn call(&mut self, request: Request) -> Result<Response, Failure> {
        let spinner = Spinner::new("a moment", self.ui);
        let interrupt = self.interrupt.clone();
        let answer = self.daemon.call_unless(request, self.ui, TICK, &mut || {
            spinner.turn();
            interrupt.came()
        });
        spinner.clear();
        answer?.ok_or_else(|| Failure::said(INTERRUPTED))
    }

    /// Shows a step, and waits for the next one or the end.
    fn wait(&mut self, begun: &LoginStarted) -> Result<Next, Failure> {
        let mut begun = begun.clone();
        let request = self.daemon.send(Request::LoginWait {
            login: begun.login.clone(),
        })?;
        let mut spinner = Spinner::new(texts::waiting(&begun.step), self.ui);
        if begun.seconds_left > 0 {
            spinner.left(begun.seconds_left);
        }
        let mut paste = self.show(&begun)?;
        let mut said: Option<String> = None;
        loop {
            if self.interrupt.came() {
                drop(paste);
                spinner.clear();
                drop(self.daemon.cancel(request));
                return Err(Failure::said(INTERRUPTED));
            }
            spinner.turn();
            if let Some(address) = paste.look() {
                let answer = LoginAnswer::Redirect(answers::redirect(&address));
                paste.in_flight = Some(self.daemon.send(Request::LoginAnswer {
                    login: begun.login.clone(),
                    answer,
                })?);
                spinner.does("checking it");
            }
            match self.daemon.next(TICK)? {
                Some(ServerFrame::Answer { id, result }) if id == request => {
                    spinner.clear();
                    let answer = result.map_err(Failure::from)?;
                    return Ok(Next::Done(Box::new(answer)));
                }
                Some(ServerFrame::Answer { id, result }) if Some(id) == paste.in_flight => {
                    paste.in_flight = None;
                    match result {
                        Ok(Response::LoginStarted(next)) => {
                            spinner.clear();
                            return Ok(Next::Begun(Box::new(next)));
                        }
                        Ok(answer) => {
                            spinner.clear();
                            return Ok(Next::Done(Box::new(answer)));
                        }
                        // whether this was the end is told to whoever waits
                        Err(error) => {
                            let mut failure = Failure::from(error);
                            said = Some(failure.message.clone());
                            failure.hint.get_or_insert_with(|| {
                                "paste the whole address that the browser ended at".into()
                            });
                            spinner.waits_for(texts::waiting(&begun.step));
                            spinner.aside(|| self.ui.failure(&failure));
                        }
                    }
                }
                Some(ServerFrame::Event {
                    id,
                    event: Event::LoginProgress { stage, .. },
                }) if id == request => match stage {
                    LoginStage::Waiting { seconds_left } => {
                        begun.seconds_left = seconds_left;
                        spinner.left(seconds_left);
                        if paste.in_flight.is_none() {
                            spinner.waits_for(texts::waiting(&begun.step));
                        }
                    }
                    LoginStage::Rejected { reason } => {
                        // said once, and not at all while whoever pasted gets the same as an answer
                        if paste.in_flight.is_none() && said.as_ref() != Some(&reason) {
                            spinner.aside(|| self.ui.warning(&printable(&reason)));
                        }
                        said = Some(reason);
                    }
                    LoginStage::Storing => spinner.does("storing it"),
                    LoginStage::Exchanging => spinner.does("asking the server for tokens"),
                    LoginStage::Step(step) if step == begun.step => {}
                    LoginStage::Step(LoginStep::Enter { .. }) if self.whose == Whose::Another => {}
                    LoginStage::Step(step @ LoginStep::Enter { .. }) => {
                        spinner.clear();
                        return Ok(Next::Step(step));
                    }
                    LoginStage::Step(step) => {
                        said = None;
                        begun.step = step;
                        spinner.waits_for(texts::waiting(&begun.step));
                        // first the old one: it puts the terminal back as it was
                        drop(paste);
                        paste = spinner.aside(|| self.show(&begun))?;
                    }
                },
                Some(_) | None => {}
            }
        }
    }

    /// Shows a step, opens its page where that is ours to do, and takes the keyboard if something may
    /// be pasted.
    fn show(&mut self, begun: &LoginStarted) -> Result<Paste, Failure> {
        let step = &begun.step;
        if self.ui.json && !matches!(step, LoginStep::Wait) {
            self.ui.object(texts::object(begun))?;
        }
        say_moved(step, self.ui);
        let page = match page_of(step) {
            Some(_) if self.page_is_open => Page::LedTo,
            Some(page) if self.means.browser && open(page, self.ui) => Page::Opened,
            _ => Page::Closed,
        };
        self.page_is_open |= page == Page::Opened && matches!(step, LoginStep::Form { .. });
        let paste = match step {
            LoginStep::Authorize { .. } if self.means.may_type() => Paste::begin(self.ui),
            _ => Paste::default(),
        };
        let around = Around {
            name: &begun.display_name,
            login: &begun.login,
            page,
            may_type: paste.keys.is_some(),
        };
        for line in texts::step(step, around) {
            match page {
                Page::Closed => self.ui.instruct(&line),
                Page::LedTo | Page::Opened => self.ui.note(&line),
            }
        }
        if self.means.browser && page == Page::Closed && matches!(step, LoginStep::Form { .. }) {
            self.ui
                .note("no browser could be opened; open that page yourself");
        }
        Ok(paste)
    }

    /// Ends the login at the daemon.
    fn cancel(&mut self, login: &LoginId) {
        let Ok(sent) = self.daemon.send(Request::LoginCancel {
            login: login.clone(),
        }) else {
            return;
        };
        let deadline = Instant::now() + CANCEL_DEADLINE;
        while Instant::now() < deadline {
            match self.daemon.next(TICK) {
                Ok(Some(ServerFrame::Answer { id, .. })) if id == sent => return,
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}

/// What comes after a step.
enum Next {
    Begun(Box<LoginStarted>),
    Done(Box<Response>),
    Step(LoginStep),
}

/// The keyboard while a browser is waited for.
#[derive(Default)]
struct Paste {
    keys: Option<Keys>,
    in_flight: Option<u32>,
}

impl Paste {
    fn begin(ui: Ui) -> Self {
        let keys = Keys::begin(Echo::Hidden, Look::Glance)
            .inspect_err(|error| ui.detail(&format!("nothing can be pasted: {error}")))
            .ok();
        Self {
            keys,
            in_flight: None,
        }
    }

    /// What was pasted since the last look, one at a time.
    fn look(&mut self) -> Option<Secret> {
        if self.in_flight.is_some() {
            return None;
        }
        match self.keys.as_mut()?.look() {
            Ok(Typed::Line(line)) if !line.is_empty() => Some(line),
            Ok(_) => None,
            // a terminal that is gone; whoever waits on goes on waiting
            Err(_) => {
                self.keys = None;
                None
            }
        }
    }
}

/// The page that a step opens: the one that has the code in it already, where there is one.
fn page_of(step: &LoginStep) -> Option<&str> {
    match step {
        LoginStep::Device {
            url_with_code: Some(url),
            ..
        } => Some(url),
        step => step.url(),
    }
}

/// Opens a page in the browser; whether that worked. Addresses come from servers: what is not of
/// the web is not handed to a program that may do anything with it.
fn open(page: &str, ui: Ui) -> bool {
    if !page.starts_with("https://") && !page.starts_with("http://") {
        ui.warning("that address is not one of the web; no browser was opened");
        return false;
    }
    match webbrowser::open(page) {
        Ok(()) => true,
        Err(error) => {
            ui.detail(&format!("no browser was opened: {error}"));
            false
        }
    }
}

/// Says that a page is not where it was expected.
pub(super) fn say_moved(step: &LoginStep, ui: Ui) {
    if let LoginStep::Form {
        moved_from: Some(port),
        ..
    } = step
    {
        ui.warning(&format!(
            "port {port} is taken by another program; the page moved to a free one"
        ));
    }
}

fn nobody(asks: &LoginAsks, begun: &LoginStarted) -> Failure {
    let what = texts::noun(asks);
    let failure = Failure::failed(format!(
        "there is neither a browser nor a terminal to ask for {what} of {}",
        printable(&begun.display_name)
    ));
    match asks {
        LoginAsks::Client { .. } => failure.hint(
            "`--no-wait` prints a link to a form; `--client-id ID` with `--stdin` or \
             `--from-env VAR` gives client and secret",
        ),
        LoginAsks::ServiceAccount => failure.hint("`--key-file FILE` and `--stdin` read it"),
        LoginAsks::SigningSecret => failure.hint("`--stdin` and `--from-env VAR` read it"),
        LoginAsks::ApiKey | LoginAsks::Cookies { .. } => failure.hint(format!(
            "`--no-wait` prints a link; `--stdin` and `--from-env VAR` read {what}"
        )),
    }
}
