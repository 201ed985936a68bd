//! `login P`: a form in the browser, a hidden prompt, or a value from standard input or a
//! variable; never an argument.
//!
//! 1. The daemon is told first: it knows whether the provider exists, whether it may be logged in
//!    to, and whether a credential would be overwritten. Only then is anybody asked for a key.
//! 2. With a form we open the browser and wait, with a spinner on a terminal. Ctrl-C gives the
//!    login up at the daemon, so that the page stops working; the second one ends us at once.
//! 3. `--no-wait` and `--resume` split the two for callers that cannot block.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use authsome_proto::request::{self, LoginVia};
use authsome_proto::response::{LoggedIn, LoginStarted, LoginStep};
use authsome_proto::{
    ErrorCode, Event, LoginId, LoginStage, ProviderName, Request, Response, Secret, ServerFrame,
};
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde_json::json;

use crate::cli::Login;
use crate::connect::{Daemon, Start, connect, unexpected};
use crate::error::{Done, Failure};
use crate::interrupt::{INTERRUPTED, Interrupt};
use crate::prompt;
use crate::secrets;
use crate::ui::Ui;

/// How often the spinner turns, and Ctrl-C is looked for where a signal does not wake us.
const TICK: Duration = Duration::from_millis(100);

/// How long the daemon may take to give a login up.
const CANCEL_DEADLINE: Duration = Duration::from_secs(2);

pub(super) fn login(arguments: &Login, ui: Ui) -> Done {
    if let Some(login) = &arguments.resume {
        let mut daemon = connect(Start::IfNeeded, ui)?;
        let answer = wait(&mut daemon, login, None, Waiting::ForAnother, ui)?;
        return stored(answer, ui);
    }
    let Some(provider) = &arguments.provider else {
        return Err(Failure::usage("no provider to log in to"));
    };
    let how = match How::choose(arguments, provider) {
        Ok(how) => how,
        Err(failure) => return Err(explain(arguments, provider, ui).err().unwrap_or(failure)),
    };
    // read before anything is begun: an empty pipe must not leave a login behind
    let at_hand = match how.at_hand() {
        Ok(at_hand) => at_hand,
        Err(failure) => return Err(explain(arguments, provider, ui).err().unwrap_or(failure)),
    };
    let mut daemon = connect(Start::IfNeeded, ui)?;
    refuse_oauth_options(arguments, provider, &mut daemon, ui)?;
    let begun = begin(&mut daemon, request(arguments, provider, how.via()), ui)?;
    if how == How::Link {
        return link(&begun, ui);
    }
    let connection = begun.connection.clone();
    // whether a refused key ended its login is the daemon's business: begin another
    let again = |daemon: &mut Daemon, login| {
        drop(daemon.call(Request::LoginCancel { login }, ui));
        let again = request::Login {
            connection: Some(connection.clone()),
            ..request(arguments, provider, LoginVia::Submit)
        };
        begin(daemon, again, ui).map(|begun| begun.login)
    };
    let answer = enter(&mut daemon, &how, at_hand, begun, Noun::Key, &again, ui)?;
    stored(answer, ui)
}

/// What a person is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noun {
    Key,
    SigningSecret,
}

impl Noun {
    fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::SigningSecret => "signing secret",
        }
    }

    fn prompt(self) -> &'static str {
        match self {
            Self::Key => "Key",
            Self::SigningSecret => "Signing secret",
        }
    }
}

/// Gets the secret of a login that was begun, and waits until it is stored; `again` tells which
/// login takes the next try after one of the wrong shape.
pub(super) fn enter(
    daemon: &mut Daemon,
    how: &How,
    at_hand: Option<Secret>,
    begun: LoginStarted,
    noun: Noun,
    again: &dyn Fn(&mut Daemon, LoginId) -> Result<LoginId, Failure>,
    ui: Ui,
) -> Result<Response, Failure> {
    match (how, at_hand) {
        (How::Form | How::Link, _) => form(daemon, &begun, noun, ui),
        (_, Some(secret)) => hand_over(daemon, begun.login, secret, ui),
        (_, None) => ask(daemon, begun, noun, again, ui),
    }
}

/// Shows what a login stored: one that is resumed may be a webhook's.
fn stored(answer: Response, ui: Ui) -> Done {
    match answer {
        Response::LoggedIn(logged_in) => show(&logged_in, ui),
        Response::WebhookStored(stored) => super::webhook::show_stored(&stored, ui),
        _ => Err(unexpected()),
    }
}

/// What the daemon has against this login, before the lack of a way to ask for a key: a misspelt
/// provider is better news than a missing terminal.
fn explain(arguments: &Login, provider: &ProviderName, ui: Ui) -> Done {
    let mut daemon = connect(Start::IfNeeded, ui)?;
    let begun = begin(
        &mut daemon,
        request(arguments, provider, LoginVia::Submit),
        ui,
    )?;
    daemon
        .call(Request::LoginCancel { login: begun.login }, ui)
        .map(drop)
}

fn request(arguments: &Login, provider: &ProviderName, via: LoginVia) -> request::Login {
    request::Login {
        provider: provider.clone(),
        connection: arguments.connection.clone(),
        force: arguments.force,
        via,
        region: arguments.region.clone(),
        flow: None,
        scopes: Vec::new(),
        base_url: None,
        client_id: None,
    }
}

/// How the key arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum How {
    /// A form in the browser; we wait.
    Form,
    /// A form that somebody else opens; we do not wait.
    Link,
    /// A hidden prompt.
    Prompt,
    /// Standard input.
    Stdin,
    /// A variable.
    Variable(String),
}

impl How {
    /// The way that the options name, else the one that is there; `None` if there is none.
    pub(super) fn of(stdin: bool, from_env: Option<&str>, no_browser: bool) -> Option<Self> {
        if stdin {
            return Some(Self::Stdin);
        }
        if let Some(name) = from_env {
            return Some(Self::Variable(name.to_owned()));
        }
        if !no_browser
            && has_display(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
        {
            return Some(Self::Form);
        }
        std::fs::File::open("/dev/tty")
            .is_ok()
            .then_some(Self::Prompt)
    }

    /// How the daemon gets it.
    pub(super) fn via(&self) -> LoginVia {
        match self {
            Self::Form | Self::Link => LoginVia::Form,
            Self::Prompt | Self::Stdin | Self::Variable(_) => LoginVia::Submit,
        }
    }

    /// The secret, where it needs nobody to be asked.
    pub(super) fn at_hand(&self) -> Result<Option<Secret>, Failure> {
        match self {
            Self::Stdin => secrets::read(&mut io::stdin().lock(), "standard input").map(Some),
            Self::Variable(name) => secrets::from_variable(name).map(Some),
            Self::Form | Self::Link | Self::Prompt => Ok(None),
        }
    }

    fn choose(arguments: &Login, provider: &ProviderName) -> Result<Self, Failure> {
        if arguments.no_wait {
            return Ok(Self::Link);
        }
        let from_env = arguments.from_env.as_deref();
        if let Some(how) = Self::of(arguments.stdin, from_env, arguments.no_browser) {
            return Ok(how);
        }
        Err(Failure::failed(format!("there is neither a browser nor a terminal to ask for the key of `{provider}`"))
            .hint(format!(
                "`authsome login {provider} --no-wait` prints a link; `--stdin` and `--from-env VAR` read the key"
            )))
    }
}

/// Whether a browser that we open would be seen by the person who asked. Over SSH it would open
/// on the wrong machine, unless somebody named one on purpose.
fn has_display(set: impl Fn(&str) -> bool) -> bool {
    if set("BROWSER") {
        return true;
    }
    if set("SSH_CONNECTION") || set("SSH_TTY") {
        return false;
    }
    cfg!(target_os = "macos") || set("DISPLAY") || set("WAYLAND_DISPLAY")
}

/// Options of OAuth logins mean nothing for a key; ignoring them would hide a mistake.
fn refuse_oauth_options(
    arguments: &Login,
    provider: &ProviderName,
    daemon: &mut Daemon,
    ui: Ui,
) -> Done {
    // the Python product's spelling of what happens anyway
    let flow = arguments.flow.as_deref().filter(|flow| *flow != "api_key");
    let option = match (flow, arguments.scopes.is_empty(), &arguments.base_url) {
        (Some(_), _, _) => "--flow",
        (None, false, _) => "--scopes",
        (None, true, Some(_)) => "--base-url",
        (None, true, None) => return Ok(()),
    };
    let providers = super::list::providers(daemon, ui)?.providers;
    match providers.iter().find(|one| one.provider == *provider) {
        Some(one) if one.auth == "api_key" => Err(Failure::usage(format!(
            "`{option}` does not apply to `{provider}`: API-key providers have no flow, scopes or base URL"
        ))
        .hint(format!("run `authsome login {provider}` without it"))),
        // the daemon says whether it exists and why it cannot be logged in to yet
        _ => Ok(()),
    }
}

/// Begins a login at the daemon.
pub(super) fn begin(
    daemon: &mut Daemon,
    request: request::Login,
    ui: Ui,
) -> Result<LoginStarted, Failure> {
    match daemon.call(Request::Login(request), ui)? {
        Response::LoginStarted(begun) => Ok(begun),
        _ => Err(unexpected()),
    }
}

/// Hands a key over; gives the login up where that fails.
pub(super) fn submit(
    daemon: &mut Daemon,
    login: LoginId,
    secret: Secret,
    ui: Ui,
) -> Result<LoggedIn, Failure> {
    match hand_over(daemon, login, secret, ui)? {
        Response::LoggedIn(logged_in) => Ok(logged_in),
        _ => Err(unexpected()),
    }
}

fn hand_over(
    daemon: &mut Daemon,
    login: LoginId,
    secret: Secret,
    ui: Ui,
) -> Result<Response, Failure> {
    match daemon.call(
        Request::LoginSubmit {
            login: login.clone(),
            secret,
        },
        ui,
    ) {
        Ok(answer) => Ok(answer),
        Err(failure) => {
            // it may be over already; what matters is that it does not wait for nobody
            drop(daemon.call(Request::LoginCancel { login }, ui));
            Err(failure)
        }
    }
}

/// Asks on the terminal; a key of the wrong shape is asked for again.
fn ask(
    daemon: &mut Daemon,
    begun: LoginStarted,
    noun: Noun,
    again: &dyn Fn(&mut Daemon, LoginId) -> Result<LoginId, Failure>,
    ui: Ui,
) -> Result<Response, Failure> {
    let interrupt = Interrupt::watch()?;
    guide(&begun, ui);
    let mut login = begun.login;
    loop {
        let secret = match prompt::hidden(&format!(
            "{} for {} (hidden): ",
            noun.prompt(),
            begun.display_name
        )) {
            Ok(secret) => secret,
            Err(failure) => {
                drop(daemon.call(Request::LoginCancel { login }, ui));
                if interrupt.came() {
                    ui.note("login cancelled");
                }
                return Err(failure);
            }
        };
        let request = Request::LoginSubmit {
            login: login.clone(),
            secret,
        };
        match daemon.call(request, ui) {
            Ok(answer) => return Ok(answer),
            Err(failure) if failure.is(ErrorCode::InvalidSecret) && io::stdin().is_terminal() => {
                ui.failure(&failure);
                login = again(daemon, login)?;
            }
            Err(failure) => {
                drop(daemon.call(Request::LoginCancel { login }, ui));
                return Err(failure);
            }
        }
    }
}

/// What is asked for and where to get it.
fn guide(begun: &LoginStarted, ui: Ui) {
    for url in &begun.key_urls {
        ui.note(&format!("get a key at {}", crate::ui::printable(url)));
    }
    if let Some(hint) = &begun.hint {
        ui.note(&crate::ui::printable(hint));
    }
}

/// Opens the page and waits.
fn form(
    daemon: &mut Daemon,
    begun: &LoginStarted,
    noun: Noun,
    ui: Ui,
) -> Result<Response, Failure> {
    let url = begun.step.url().ok_or_else(unexpected)?;
    let interrupt = Interrupt::watch()?;
    say_moved(begun, ui);
    ui.note(&format!(
        "enter the {} for {} at {url}",
        noun.as_str(),
        begun.display_name
    ));
    if let Err(error) = webbrowser::open(url) {
        ui.detail(&format!("no browser was opened: {error}"));
        ui.note("no browser could be opened; open that page yourself");
    }
    wait(
        daemon,
        &begun.login,
        Some(interrupt),
        Waiting::ForOurs(begun),
        ui,
    )
}

fn say_moved(begun: &LoginStarted, ui: Ui) {
    if let LoginStep::Form { moved_from: Some(port), .. } = begun.step {
        ui.warning(&format!(
            "port {port} is taken by another program; the page moved to a free one"
        ));
    }
}

/// Prints session and link.
fn link(begun: &LoginStarted, ui: Ui) -> Done {
    let url = begun.step.url().ok_or_else(unexpected)?;
    say_moved(begun, ui);
    if ui.json {
        return ui.object(json!({
            "session": begun.login,
            "url": url,
            "connection": begun.connection,
            "seconds_left": begun.seconds_left,
        }));
    }
    ui.line(&format!("session: {}", begun.login))?;
    ui.line(&format!("url: {url}"))?;
    ui.note(&format!(
        "`authsome login --resume {}` waits for it",
        begun.login
    ));
    Ok(())
}

/// Whose login is waited for: giving up ends our own, and leaves another's alone.
#[derive(Debug, Clone, Copy)]
enum Waiting<'a> {
    ForAnother,
    ForOurs(&'a LoginStarted),
}

/// Waits for a login to end.
fn wait(
    daemon: &mut Daemon,
    login: &LoginId,
    interrupt: Option<Interrupt>,
    whose: Waiting<'_>,
    ui: Ui,
) -> Result<Response, Failure> {
    let interrupt = match interrupt {
        Some(interrupt) => interrupt,
        None => Interrupt::watch()?,
    };
    let request = daemon.send(Request::LoginWait {
        login: login.clone(),
    })?;
    let mut spinner = Spinner::new(ui);
    if let Waiting::ForOurs(begun) = whose {
        spinner.left(begun.seconds_left);
    }
    loop {
        if interrupt.came() {
            spinner.clear();
            return Err(give_up(daemon, request, login, whose, ui));
        }
        spinner.turn();
        match daemon.next(TICK)? {
            Some(ServerFrame::Answer { id, result }) if id == request => {
                spinner.clear();
                return result.map_err(Failure::from);
            }
            Some(ServerFrame::Event {
                event: Event::LoginProgress { stage, .. },
                ..
            }) => match stage {
                LoginStage::Waiting { seconds_left } => spinner.left(seconds_left),
                LoginStage::Rejected { reason } => {
                    spinner.aside(|| ui.warning(&crate::ui::printable(&reason)));
                }
                LoginStage::Storing => spinner.say("storing it"),
                LoginStage::Step(_) | LoginStage::Exchanging => {}
            },
            Some(_) | None => {}
        }
    }
}

/// Ends the login at the daemon, or only our waiting for it.
fn give_up(
    daemon: &mut Daemon,
    request: u32,
    login: &LoginId,
    whose: Waiting<'_>,
    ui: Ui,
) -> Failure {
    if let Waiting::ForAnother = whose {
        drop(daemon.cancel(request));
        ui.note(&format!(
            "the login still waits; `authsome login --resume {login}` goes on"
        ));
        return Failure::said(INTERRUPTED);
    }
    let cancelled = daemon.send(Request::LoginCancel {
        login: login.clone(),
    });
    let deadline = Instant::now() + CANCEL_DEADLINE;
    if let Ok(sent) = cancelled {
        while Instant::now() < deadline {
            match daemon.next(TICK) {
                Ok(Some(ServerFrame::Answer { id, .. })) if id == sent => break,
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
    ui.note("login cancelled");
    Failure::said(INTERRUPTED)
}

/// The one spinner: on a terminal only, turned by the loop that waits, without a thread.
struct Spinner {
    bar: Option<ProgressBar>,
    until: Option<Instant>,
    text: &'static str,
}

impl Spinner {
    fn new(ui: Ui) -> Self {
        let bar = ui.may_animate().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar
        });
        Self {
            bar,
            until: None,
            text: "waiting for the form",
        }
    }

    fn left(&mut self, seconds: u64) {
        self.until = Instant::now().checked_add(Duration::from_secs(seconds));
    }

    fn say(&mut self, text: &'static str) {
        self.text = text;
        self.until = None;
    }

    fn turn(&self) {
        let Some(bar) = &self.bar else { return };
        let left = self
            .until
            .map(|until| until.saturating_duration_since(Instant::now()).as_secs());
        bar.set_message(match left {
            Some(left) => format!(
                "{}, {}:{:02} left (Ctrl-C cancels)",
                self.text,
                left / 60,
                left % 60
            ),
            None => self.text.into(),
        });
        bar.tick();
    }

    fn aside(&self, say: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Says who is connected.
pub(super) fn show(logged_in: &LoggedIn, ui: Ui) -> Done {
    if ui.json {
        return ui.object(json!({
            "status": "connected",
            "provider": logged_in.provider,
            "display_name": logged_in.display_name,
            "connection": logged_in.connection,
            "default": logged_in.is_default,
            "replaced": logged_in.replaced,
            "variables": logged_in.variables,
            "store": logged_in.store,
            "runs": logged_in.runs,
        }));
    }
    ui.done(&text(logged_in))
}

fn text(logged_in: &LoggedIn) -> String {
    let mut text = format!(
        "connected: {} ({})",
        logged_in.provider, logged_in.connection
    );
    text.push_str(if logged_in.replaced {
        "; replaced in "
    } else {
        "; stored in "
    });
    text.push_str(match logged_in.store.as_str() {
        "file" => "encrypted files",
        "keyring" => "the keyring",
        other => other,
    });
    if !logged_in.variables.is_empty() {
        text.push_str("; programs see ");
        text.push_str(&logged_in.variables.join(", "));
    }
    if logged_in.runs > 0 {
        text.push_str("; works at once in ");
        let runs = usize::try_from(logged_in.runs).unwrap_or(usize::MAX);
        text.push_str(&super::view::count(runs, "living run", "living runs"));
    }
    if !logged_in.is_default {
        text.push_str("; `authsome run --connection ");
        text.push_str(logged_in.provider.as_str());
        text.push('=');
        text.push_str(logged_in.connection.as_str());
        text.push_str("` uses it");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_opened_only_where_it_would_be_seen() {
        let display = |variables: &[&str]| has_display(|name| variables.contains(&name));
        assert!(display(&["WAYLAND_DISPLAY"]));
        assert!(display(&["DISPLAY"]));
        assert!(!display(&["DISPLAY", "SSH_CONNECTION"]));
        assert!(display(&["BROWSER", "SSH_CONNECTION"]));
        assert_eq!(display(&[]), cfg!(target_os = "macos"));
    }

    #[test]
    fn a_login_says_who_is_connected_and_what_programs_see() {
        let logged_in = LoggedIn {
            provider: "intercom".parse().unwrap(),
            display_name: "Intercom".into(),
            connection: authsome_proto::ConnectionName::default_name(),
            is_default: true,
            replaced: false,
            variables: vec!["INTERCOM_API_KEY".into()],
            store: "keyring".into(),
            runs: 0,
            expires_at: None,
            renews: false,
            scopes: Vec::new(),
        };
        assert_eq!(
            text(&logged_in),
            "connected: intercom (default); stored in the keyring; programs see INTERCOM_API_KEY"
        );
        let second = LoggedIn {
            connection: "team".parse().unwrap(),
            is_default: false,
            replaced: true,
            runs: 1,
            ..logged_in
        };
        assert_eq!(
            text(&second),
            "connected: intercom (team); replaced in the keyring; programs see INTERCOM_API_KEY; \
             works at once in 1 living run; `authsome run --connection intercom=team` uses it"
        );
    }
}
