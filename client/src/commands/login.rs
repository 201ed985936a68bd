//! `login`: to a provider, or to a server by its address; a secret is never an argument.
//!
//! 1. The daemon is told first: it knows whether the provider exists, whether it may be logged in
//!    to, and whether a credential would be overwritten. Only then is anybody asked for anything.
//! 2. It answers with the first step: a form to open, something to be entered, a page of an
//!    authorization server, a code for another device ([`walk`] takes it from there).
//! 3. Ctrl-C gives the login up at the daemon, so that its pages stop working; the second one ends us
//!    at once.
//! 4. `--no-wait` and `--resume` split the two for callers that cannot block.

use std::io;

use authsome_proto::request::{self, LoginAnswer, LoginVia};
use authsome_proto::response::{LoggedIn, LoginStarted, LoginStep};
use authsome_proto::{ConnectionName, LoginId, ProviderName, Request, Response, Secret};
use jiff::Timestamp;
use serde_json::Value;

use crate::cli::{FlowChoice, Login, Whom};
use crate::connect::{Daemon, Start, connect, unexpected};
use crate::error::{Done, Failure};
use crate::secrets;
use crate::ui::{Ui, printable};

mod answers;
mod means;
mod spinner;
mod texts;
mod walk;

pub(super) use means::Means;
use means::Source;
use walk::{Came, Walk, Whose};

pub(super) fn login(arguments: &Login, ui: Ui) -> Done {
    if arguments.client_secret.is_some() {
        return Err(Failure::usage(
            "a client secret is not taken from the command line, where other programs can read it",
        )
        .hint(
            "leave it out and it is asked for, or use `--stdin` or `--from-env VAR`; a shell may \
             have kept the one you typed",
        ));
    }
    if let Some(login) = &arguments.resume {
        return resume(login, arguments.stdin, ui);
    }
    let Some(whom) = &arguments.provider else {
        return Err(Failure::usage("no provider to log in to"));
    };
    check_key_file(arguments)?;
    let means = Means::of_login(arguments);
    // read before anything is begun, so that a pipe is not waited for while a login's time runs out;
    // what is wrong with it is said after what the daemon has against the login
    let at_hand = means.read();
    let mut daemon = connect(Start::IfNeeded, ui)?;
    let request = match whom {
        Whom::Provider(provider) => {
            refuse_foreign_options(arguments, provider, &mut daemon, ui)?;
            Request::Login(request_to(arguments, provider, means.via()))
        }
        Whom::Server(url) => Request::LoginServer(request_to_server(arguments, url, means.via())?),
    };
    let begun = begun(daemon.call(request, ui)?)?;
    let at_hand = match at_hand {
        Ok(at_hand) => at_hand,
        Err(failure) => {
            drop(daemon.call(Request::LoginCancel { login: begun.login }, ui));
            return Err(failure);
        }
    };
    match Walk::new(&mut daemon, &means, at_hand, Whose::Ours, ui)?.go(begun)? {
        Came::Done(answer) => stored(*answer, ui)?,
        Came::Left(begun) => return link(&begun, ui),
    }
    if let Some(Source::File(path)) = &means.source {
        ui.note(&format!(
            "the key is kept in the vault; `{}` is not needed any more and can be deleted",
            path.display()
        ));
    }
    Ok(())
}

/// Waits for a login that another command began, after handing over the address that its browser
/// ended at if there is one.
fn resume(login: &LoginId, with_address: bool, ui: Ui) -> Done {
    let address = with_address
        .then(|| secrets::read(&mut io::stdin().lock(), "standard input"))
        .transpose()?;
    let mut daemon = connect(Start::IfNeeded, ui)?;
    let means = Means::of_resumed();
    let mut begun = LoginStarted {
        login: login.clone(),
        display_name: "the login".into(),
        connection: ConnectionName::default_name(),
        step: LoginStep::Wait,
        hint: None,
        key_urls: Vec::new(),
        seconds_left: 0,
    };
    if let Some(address) = address {
        let request = Request::LoginAnswer {
            login: login.clone(),
            answer: LoginAnswer::Redirect(answers::redirect(&address)),
        };
        match daemon.call(request, ui)? {
            Response::LoginStarted(next) => begun = next,
            answer => return stored(answer, ui),
        }
    }
    match Walk::new(&mut daemon, &means, None, Whose::Another, ui)?.go(begun)? {
        Came::Done(answer) => stored(*answer, ui),
        Came::Left(begun) => link(&begun, ui),
    }
}

/// Gets the secret of a login that was begun for something else, and waits until it is stored.
pub(super) fn see_through(
    daemon: &mut Daemon,
    means: &Means,
    request: Request,
    ui: Ui,
) -> Result<Response, Failure> {
    // read before anything is begun: an empty pipe must not leave a login behind
    let at_hand = means.read()?;
    let begun = begun(daemon.call(request, ui)?)?;
    match Walk::new(daemon, means, at_hand, Whose::Ours, ui)?.go(begun)? {
        Came::Done(answer) => Ok(*answer),
        Came::Left(_) => Err(unexpected()),
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

fn request_to(arguments: &Login, provider: &ProviderName, via: LoginVia) -> request::Login {
    let flow = match (arguments.flow, &arguments.key_file) {
        (None, Some(_)) => Some(FlowChoice::JwtBearer),
        (flow, _) => flow,
    };
    request::Login {
        provider: provider.clone(),
        connection: arguments.connection.clone(),
        force: arguments.force,
        via,
        region: arguments.region.clone(),
        flow: flow.and_then(FlowChoice::oauth),
        scopes: arguments.scopes(),
        base_url: arguments.base_url.clone(),
        client_id: arguments.client_id.clone(),
    }
}

fn request_to_server(
    arguments: &Login,
    url: &str,
    via: LoginVia,
) -> Result<request::LoginServer, Failure> {
    let option = match arguments {
        Login { flow: Some(_), .. } => Some("--flow"),
        Login {
            base_url: Some(_), ..
        } => Some("--base-url"),
        Login {
            region: Some(_), ..
        } => Some("--region"),
        Login {
            key_file: Some(_), ..
        } => Some("--key-file"),
        _ => None,
    };
    if let Some(option) = option {
        return Err(Failure::usage(format!(
            "`{option}` does not apply to a server that is named by its address: it says itself how \
             to log in"
        )));
    }
    Ok(request::LoginServer {
        url: url.to_owned(),
        connection: arguments.connection.clone(),
        force: arguments.force,
        via,
        scopes: arguments.scopes(),
        client_id: arguments.client_id.clone(),
    })
}

/// A key file is one flow's.
fn check_key_file(arguments: &Login) -> Done {
    match (arguments.flow, &arguments.key_file) {
        (None | Some(FlowChoice::JwtBearer), _) | (_, None) => Ok(()),
        (Some(_), Some(_)) => Err(Failure::usage(
            "`--key-file` gives the key of a service account, which only `--flow jwt-bearer` takes",
        )),
    }
}

/// Options that mean nothing for a provider; ignoring them would hide a mistake.
fn refuse_foreign_options(
    arguments: &Login,
    provider: &ProviderName,
    daemon: &mut Daemon,
    ui: Ui,
) -> Done {
    let key = arguments.flow == Some(FlowChoice::ApiKey);
    let option = match arguments {
        Login { flow: Some(_), .. } if !key => "--flow",
        Login {
            base_url: Some(_), ..
        } => "--base-url",
        Login {
            client_id: Some(_), ..
        } => "--client-id",
        Login {
            key_file: Some(_), ..
        } => "--key-file",
        arguments if !arguments.scopes().is_empty() => "--scopes",
        _ if key => "--flow",
        _ => return Ok(()),
    };
    let providers = super::list::providers(daemon, ui)?.providers;
    // the daemon says whether it exists, and what else is wrong
    let Some(one) = providers.iter().find(|one| one.provider == *provider) else {
        return Ok(());
    };
    if one.auth == "api_key" && !(key && option == "--flow") {
        return Err(Failure::usage(format!(
            "`{option}` does not apply to `{provider}`: API-key providers have no flow, scopes, base \
             URL or client"
        ))
        .hint(format!("run `authsome login {provider}` without it")));
    }
    if one.auth != "api_key" && key {
        return Err(
            Failure::usage(format!("`{provider}` has no API key to log in with"))
                .hint(format!("run `authsome login {provider}`")),
        );
    }
    Ok(())
}

fn begun(answer: Response) -> Result<LoginStarted, Failure> {
    match answer {
        Response::LoginStarted(begun) => Ok(begun),
        _ => Err(unexpected()),
    }
}

/// Begins a login at the daemon.
pub(super) fn begin(
    daemon: &mut Daemon,
    request: request::Login,
    ui: Ui,
) -> Result<LoginStarted, Failure> {
    begun(daemon.call(Request::Login(request), ui)?)
}

/// Hands a key over; gives the login up where that fails.
pub(super) fn submit(
    daemon: &mut Daemon,
    login: LoginId,
    secret: Secret,
    ui: Ui,
) -> Result<LoggedIn, Failure> {
    let request = Request::LoginSubmit {
        login: login.clone(),
        secret,
    };
    match daemon.call(request, ui) {
        Ok(Response::LoggedIn(logged_in)) => Ok(logged_in),
        Ok(_) => Err(unexpected()),
        Err(failure) => {
            // it may be over already; what matters is that it does not wait for nobody
            drop(daemon.call(Request::LoginCancel { login }, ui));
            Err(failure)
        }
    }
}

/// Prints session and link.
fn link(begun: &LoginStarted, ui: Ui) -> Done {
    walk::say_moved(&begun.step, ui);
    let object = texts::object(begun);
    if ui.json {
        return ui.object(object);
    }
    for (name, field) in [
        ("session", "session"),
        ("url", "url"),
        ("code", "user_code"),
        ("redirect", "redirect_uri"),
    ] {
        if let Some(text) = object.get(field).and_then(Value::as_str) {
            ui.line(&format!("{name}: {}", printable(text)))?;
        }
    }
    let login = &begun.login;
    ui.note(&format!("`authsome login --resume {login}` waits for it"));
    if let LoginStep::Authorize { .. } = begun.step {
        ui.note("with `--stdin` it takes the address that a browser on another machine ended at");
    }
    Ok(())
}

/// Says who is connected.
pub(super) fn show(logged_in: &LoggedIn, ui: Ui) -> Done {
    if ui.json {
        return ui.object(texts::done_object(logged_in));
    }
    ui.done(&texts::done(logged_in, Timestamp::now()))
}
