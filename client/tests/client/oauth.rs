//! Logins of several steps: what a person is told, what the daemon is handed, and that giving up
//! reaches the daemon and leaves the terminal as it was.

mod given;
mod given_up;
mod options;
mod shown;
mod typed;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use authsome_proto::request::{LoginAnswer, LoginVia, OAuthFlow};
use authsome_proto::response::{
    LoggedIn, LoginAsks, LoginStarted, LoginStep, Provider, Providers, Source,
};
use authsome_proto::{ErrorCode, Event, LoginStage, Request, Response, ServerFrame, WireError};

use crate::fake::{Frames, Home, Seen};
use crate::terminal::Terminal;

const AUTHORIZE: &str = "https://github.com/login/oauth/authorize?state=x";
const REDIRECT: &str = "http://127.0.0.1:7998/callback/github";
const CANARY: &str = "canary-0123456789";

fn started(step: LoginStep) -> Response {
    Response::LoginStarted(LoginStarted {
        login: "session1".parse().unwrap(),
        display_name: "GitHub".into(),
        connection: "default".parse().unwrap(),
        step,
        hint: None,
        key_urls: vec!["https://github.com/settings/developers".into()],
        seconds_left: 600,
    })
}

fn done() -> Response {
    Response::LoggedIn(LoggedIn {
        provider: "github".parse().unwrap(),
        display_name: "GitHub".into(),
        connection: "default".parse().unwrap(),
        is_default: true,
        replaced: false,
        variables: vec!["GITHUB_TOKEN".into()],
        store: "keyring".into(),
        runs: 0,
        expires_at: None,
        renews: true,
        scopes: vec!["repo".into()],
    })
}

const DONE: &str = "connected: github (default); stored in the keyring; scopes repo; renews itself; programs see \
     GITHUB_TOKEN\n";

fn client(id: Option<&str>, secret_needed: bool) -> LoginAsks {
    LoginAsks::Client {
        redirect_uri: Some(REDIRECT.into()),
        id: id.map(str::to_owned),
        secret_needed,
    }
}

fn authorize() -> LoginStep {
    LoginStep::Authorize {
        url: AUTHORIZE.into(),
        redirect_uri: REDIRECT.into(),
        listens: true,
    }
}

fn device() -> LoginStep {
    LoginStep::Device {
        url: "https://github.com/login/device".into(),
        url_with_code: Some("https://github.com/login/device?code=ABCD-EFGH".into()),
        code: "ABCD-EFGH".into(),
    }
}

fn answer(id: u32, response: Response) -> ServerFrame {
    ServerFrame::Answer {
        id,
        result: Ok(response),
    }
}

fn refusal(id: u32, code: ErrorCode, message: &str) -> ServerFrame {
    ServerFrame::Answer {
        id,
        result: Err(WireError::new(code, message)),
    }
}

fn event(id: u32, stage: LoginStage) -> ServerFrame {
    ServerFrame::Event {
        id,
        event: Event::LoginProgress {
            login: "session1".parse().unwrap(),
            stage,
        },
    }
}

fn provider() -> Provider {
    Provider {
        provider: "github".parse().unwrap(),
        display_name: "GitHub".into(),
        auth: "oauth2".into(),
        source: Source::Bundled,
        not_yet: None,
        hosts: Vec::new(),
        variables: vec!["GITHUB_TOKEN".into()],
        key_pattern: None,
        key_hint: None,
        key_urls: Vec::new(),
        connections: 0,
        regions: Vec::new(),
        flows: vec![OAuthFlow::Pkce, OAuthFlow::DeviceCode],
        redirect_uri: Some(REDIRECT.into()),
    }
}

/// A daemon whose login begins with `first`; each answer leads to the next of `then`, and behind the
/// last one it is done. A step that is waited for ends only by an answer.
fn desk(first: LoginStep, then: Vec<LoginStep>) -> Home {
    let then = Mutex::new(then.into_iter());
    Home::conversing(move |id, request| match request {
        Request::Login(_) | Request::LoginServer(_) => vec![answer(id, started(first.clone()))],
        Request::LoginAnswer { .. } | Request::LoginSubmit { .. } => {
            let next = then.lock().unwrap().next();
            vec![answer(id, next.map_or_else(done, started))]
        }
        Request::LoginWait { .. } => vec![event(id, LoginStage::Waiting { seconds_left: 599 })],
        other => others(id, other),
    })
}

/// A daemon whose login stands at `step` and is done after one more event.
fn waiting_desk(step: LoginStep) -> Home {
    Home::conversing(move |id, request| match request {
        Request::Login(_) | Request::LoginServer(_) => vec![answer(id, started(step.clone()))],
        Request::LoginWait { .. } => vec![
            event(id, LoginStage::Step(step.clone())),
            event(id, LoginStage::Waiting { seconds_left: 599 }),
            event(id, LoginStage::Exchanging),
            event(id, LoginStage::Storing),
            answer(id, done()),
        ],
        other => others(id, other),
    })
}

fn others(id: u32, request: &Request) -> Frames {
    match request {
        Request::Providers => vec![answer(
            id,
            Response::Providers(Providers {
                providers: vec![
                    provider(),
                    Provider {
                        provider: "intercom".parse().unwrap(),
                        auth: "api_key".into(),
                        flows: Vec::new(),
                        ..provider()
                    },
                ],
                problems: Vec::new(),
            }),
        )],
        Request::LoginCancel { .. } => vec![answer(id, Response::Done)],
        _ => vec![refusal(id, ErrorCode::BadRequest, "not in this test")],
    }
}

fn piped(mut command: Command, text: &str) -> Seen {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    Seen::of(child.wait_with_output().unwrap())
}

/// What was handed over, in words.
fn handed_over(home: &Home) -> Vec<String> {
    home.asked()
        .iter()
        .filter_map(|request| match request {
            Request::LoginAnswer { answer, .. } => Some(match answer {
                LoginAnswer::Client { id, secret } => {
                    let secret = secret.as_ref().map(authsome_proto::Secret::expose);
                    format!("client {id} {secret:?}")
                }
                LoginAnswer::Redirect(address) => format!("redirect {}", address.expose()),
                LoginAnswer::Cookies(cookies) => cookies
                    .iter()
                    .fold("cookies".to_owned(), |text, (name, value)| {
                        format!("{text} {name}={}", value.expose())
                    }),
                LoginAnswer::Secret(secret) => format!("secret {}", secret.expose()),
            }),
            Request::LoginSubmit { secret, .. } => Some(format!("submit {}", secret.expose())),
            Request::LoginCancel { .. } => Some("cancel".into()),
            _ => None,
        })
        .collect()
}

fn login_of(home: &Home) -> authsome_proto::request::Login {
    home.asked()
        .into_iter()
        .find_map(|request| match request {
            Request::Login(login) => Some(login),
            _ => None,
        })
        .unwrap()
}
