//! A sample of every event, and of every step of a login.

use authsome_proto::response::{LoginAsks, LoginStep};
use authsome_proto::{Event, LoginStage, RunEnding};

use super::{name, s};

/// Each step, and with them all that a login asks for.
pub(super) fn steps() -> Vec<LoginStep> {
    vec![
        LoginStep::Form {
            url: s("http://127.0.0.1:7998/login/x"),
            moved_from: Some(7998),
            asks: LoginAsks::ApiKey,
        },
        enter(LoginAsks::SigningSecret),
        LoginStep::Authorize {
            url: s("https://example.org/authorize?state=x"),
            redirect_uri: s("http://127.0.0.1:7998/callback/intercom"),
            listens: true,
        },
        LoginStep::Device {
            url: s("https://example.org/device"),
            url_with_code: Some(s("https://example.org/device?code=ABCD-EFGH")),
            code: s("ABCD-EFGH"),
        },
        LoginStep::Wait,
        enter(LoginAsks::Client {
            redirect_uri: Some(s("http://127.0.0.1:7998/callback/intercom")),
            id: Some(s("client-1")),
            secret_needed: true,
        }),
        enter(LoginAsks::ServiceAccount),
        enter(LoginAsks::ApiKey),
        enter(LoginAsks::Cookies {
            entry_url: s("https://example.org/"),
            names: vec![s("auth_token"), s("ct0")],
            needed: 1,
        }),
    ]
}

fn enter(asks: LoginAsks) -> LoginStep {
    LoginStep::Enter { asks }
}

/// A step's number, and its name with what it asks for.
fn step_name(step: &LoginStep) -> (usize, &'static str) {
    match step {
        LoginStep::Form { .. } => (0, "form"),
        LoginStep::Enter { asks } => match asks {
            LoginAsks::ApiKey => (8, "enter_api_key"),
            LoginAsks::SigningSecret => (1, "enter_signing_secret"),
            LoginAsks::Client { .. } => (5, "enter_client"),
            LoginAsks::ServiceAccount => (6, "enter_service_account"),
            LoginAsks::Cookies { .. } => (7, "enter_cookies"),
        },
        LoginStep::Authorize { .. } => (2, "authorize"),
        LoginStep::Device { .. } => (3, "device"),
        LoginStep::Wait => (4, "wait"),
    }
}

pub(super) fn events() -> Vec<Event> {
    let stage = |stage| Event::LoginProgress {
        login: name("abc"),
        stage,
    };
    let mut events = vec![
        Event::Audit { line: s("{}") },
        Event::ConnectionChanged {
            provider: name("intercom"),
            connection: name("team"),
        },
        stage(LoginStage::Waiting { seconds_left: 599 }),
        stage(LoginStage::Rejected { reason: s("no") }),
        stage(LoginStage::Storing),
        Event::RunStarted { run: name("run1") },
        Event::RunEnded {
            run: name("run1"),
            why: RunEnding::Expired,
        },
        Event::Missed { count: 4 },
        stage(LoginStage::Exchanging),
    ];
    events.extend(steps().into_iter().map(LoginStage::Step).map(stage));
    events
}

pub(super) fn event_name(event: &Event) -> (usize, String) {
    let (number, name) = match event {
        Event::Audit { .. } => (0, "audit"),
        Event::ConnectionChanged { .. } => (1, "connection_changed"),
        Event::LoginProgress { stage, .. } => match stage {
            LoginStage::Waiting { .. } => (2, "login_waiting"),
            LoginStage::Rejected { .. } => (3, "login_rejected"),
            LoginStage::Storing => (4, "login_storing"),
            LoginStage::Exchanging => (8, "login_exchanging"),
            LoginStage::Step(step) => {
                let (number, name) = step_name(step);
                return (9 + number, format!("login_step_{name}"));
            }
        },
        Event::RunStarted { .. } => (5, "run_started"),
        Event::RunEnded { .. } => (6, "run_ended"),
        Event::Missed { .. } => (7, "missed"),
    };
    (number, name.into())
}
