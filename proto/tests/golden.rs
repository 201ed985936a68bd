//! L10: the bytes of every message, as first released, in both encodings.
//!
//! `golden/v1/NAME.bincode` and `.json` are never edited, only added to: a missing file is written
//! when `AUTHSOME_WRITE_GOLDEN` is set, an existing one never. A message without a sample does not
//! compile (the matches below have no wildcard) or fails the count.
//!
//! Every message has a second file, `NAME_other`: what is present in the first is absent there and the
//! other way round, and every yes is a no. That no word is missing is seen by `tests/conformance`,
//! which walks all files by the tables of `docs/protocol.md`.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "helpers of tests: what does not work here fails the test that called"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use authsome_proto::frame::{decode, encode};
use authsome_proto::hello::Encoding;
use authsome_proto::request::{
    Explain, LogQuery, Login, LoginAnswer, LoginServer, LoginVia, OAuthFlow, ProjectFile, Request,
    RunLife, RunStart, Unmatched, WebhookAdd, WebhookSign, WebhookVerify,
};
use authsome_proto::response::{
    Check, Connection, ConnectionState, Explained, ExplainedOutcome, ExplainedRoute, ExplainedRule,
    Exported, Forgotten, LogVerified, LoggedIn, LoginAsks, LoginStarted, LoginStep, Outcome,
    Provider, Providers, Registered, Response, Revealed, Revocation, Run, RunStarted, Source,
    Status, Vault, Webhook, WebhookStored, WebhookVerified, WhoAmI,
};
use authsome_proto::{
    ClientFrame, ErrorCode, Event, LoginStage, RunEnding, Secret, ServerFrame, WireError,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn name<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

fn s(text: &str) -> String {
    text.into()
}

const TIME: &str = "2026-11-21T18:00:00Z";

fn requests() -> Vec<Request> {
    let provider = || name("intercom");
    let connection = || Some(name("team"));
    vec![
        Request::Status,
        Request::Connections,
        Request::Providers,
        Request::Connection {
            provider: provider(),
            connection: connection(),
        },
        Request::Reveal {
            provider: provider(),
            connection: None,
        },
        Request::Inspect {
            provider: provider(),
        },
        Request::Login(Login {
            provider: provider(),
            connection: connection(),
            force: true,
            via: LoginVia::Form,
            region: Some(s("eu")),
            flow: Some(OAuthFlow::DeviceCode),
            scopes: vec![s("read"), s("write")],
            base_url: Some(s("https://github.example.com")),
            client_id: Some(s("client-1")),
        }),
        Request::LoginSubmit {
            login: name("abc"),
            secret: Secret::new(s("golden-secret")),
        },
        Request::LoginWait { login: name("abc") },
        Request::LoginCancel { login: name("abc") },
        Request::Logout {
            provider: provider(),
            connection: connection(),
        },
        Request::Revoke {
            provider: provider(),
            connection: None,
        },
        Request::Remove {
            provider: provider(),
        },
        Request::SetDefault {
            provider: provider(),
            connection: name("team"),
        },
        Request::Register {
            text: s("{}"),
            file: s("/x/acme.json"),
            force: false,
        },
        Request::Export {
            provider: Some(provider()),
            connection: None,
        },
        Request::RunStart(RunStart {
            connections: vec![(provider(), name("team"))],
            only: vec![provider()],
            unmatched: Some(Unmatched::Deny),
            variables: vec![(name("TEAM_KEY"), provider(), connection())],
            life: RunLife::TreeAtMost(28_800),
            project: Some(project()),
            environment: vec![(s("NO_PROXY"), s("example.org"))],
            program: s("curl"),
            process: Some(4242),
        }),
        Request::Runs,
        Request::RunStop { run: name("run1") },
        Request::Log(LogQuery {
            lines: 20,
            provider: Some(provider()),
            run: None,
        }),
        Request::LogFollow(LogQuery {
            lines: 0,
            provider: None,
            run: Some(name("run1")),
        }),
        Request::LogVerify,
        Request::Subscribe,
        Request::Doctor,
        Request::Unlock {
            passphrase: Secret::new(s("golden-passphrase")),
        },
        Request::Shutdown,
        Request::WhoAmI,
        Request::Explain(Explain {
            method: s("POST"),
            url: s("https://api.intercom.io/fin/start"),
            run: Some(name("run1")),
            connections: vec![(provider(), name("team"))],
            project: Some(project()),
        }),
        Request::WebhookAdd(WebhookAdd {
            webhook: name("fin"),
            scheme: Some(name("intercom-fin")),
            definition: Some((s("{}"), s("/x/acme.json"))),
            forward: s("http://127.0.0.1:3000/hooks"),
            port: Some(23_981),
            max_body: Some(65_536),
            wait: Some(10),
            via: LoginVia::Submit,
        }),
        Request::WebhookRotate {
            webhook: name("fin"),
            keep_old: 86_400,
            via: LoginVia::Form,
        },
        Request::Webhooks,
        Request::WebhookRemove {
            webhook: name("fin"),
        },
        Request::WebhookVerify(WebhookVerify {
            webhook: name("fin"),
            headers: vec![(s("X-Hub-Signature"), s("sha1=aa"))],
            signature: Some(s("sha256=aa")),
            timestamp: Some(s("1700000000")),
            id: Some(s("msg_1")),
            body: vec![0, 0xff],
        }),
        Request::WebhookSign(WebhookSign {
            webhook: name("fin"),
            timestamp: Some(1_700_000_000),
            id: None,
            body: vec![b'{', b'}'],
        }),
        Request::LoginServer(LoginServer {
            url: s("https://mcp.example.com/mcp"),
            connection: connection(),
            force: false,
            via: LoginVia::Submit,
            scopes: vec![s("read")],
            client_id: None,
        }),
        answer(LoginAnswer::Client {
            id: s("client-1"),
            secret: Some(secret()),
        }),
        answer(LoginAnswer::Redirect(secret())),
        answer(LoginAnswer::Cookies(vec![(s("auth_token"), secret())])),
        answer(LoginAnswer::Secret(secret())),
    ]
}

fn secret() -> Secret {
    Secret::new(s("golden-secret"))
}

fn answer(answer: LoginAnswer) -> Request {
    Request::LoginAnswer {
        login: name("abc"),
        answer,
    }
}

fn project() -> ProjectFile {
    ProjectFile {
        path: s("/p/authsome.toml"),
        text: s("[run]\nonly = [\"intercom\"]\n"),
    }
}

fn request_name(request: &Request) -> (usize, &'static str) {
    match request {
        Request::Status => (0, "status"),
        Request::Connections => (1, "connections"),
        Request::Providers => (2, "providers"),
        Request::Connection { .. } => (3, "connection"),
        Request::Reveal { .. } => (4, "reveal"),
        Request::Inspect { .. } => (5, "inspect"),
        Request::Login(_) => (6, "login"),
        Request::LoginSubmit { .. } => (7, "login_submit"),
        Request::LoginWait { .. } => (8, "login_wait"),
        Request::LoginCancel { .. } => (9, "login_cancel"),
        Request::Logout { .. } => (10, "logout"),
        Request::Revoke { .. } => (11, "revoke"),
        Request::Remove { .. } => (12, "remove"),
        Request::SetDefault { .. } => (13, "set_default"),
        Request::Register { .. } => (14, "register"),
        Request::Export { .. } => (15, "export"),
        Request::RunStart(_) => (16, "run_start"),
        Request::Runs => (17, "runs"),
        Request::RunStop { .. } => (18, "run_stop"),
        Request::Log(_) => (19, "log"),
        Request::LogFollow(_) => (20, "log_follow"),
        Request::LogVerify => (21, "log_verify"),
        Request::Subscribe => (22, "subscribe"),
        Request::Doctor => (23, "doctor"),
        Request::Unlock { .. } => (24, "unlock"),
        Request::Shutdown => (25, "shutdown"),
        Request::WhoAmI => (26, "who_am_i"),
        Request::Explain(_) => (27, "explain"),
        Request::WebhookAdd(_) => (28, "webhook_add"),
        Request::WebhookRotate { .. } => (29, "webhook_rotate"),
        Request::Webhooks => (30, "webhooks"),
        Request::WebhookRemove { .. } => (31, "webhook_remove"),
        Request::WebhookVerify(_) => (32, "webhook_verify"),
        Request::WebhookSign(_) => (33, "webhook_sign"),
        Request::LoginServer(_) => (34, "login_server"),
        Request::LoginAnswer { answer, .. } => match answer {
            LoginAnswer::Client { .. } => (35, "login_answer_client"),
            LoginAnswer::Redirect(_) => (36, "login_answer_redirect"),
            LoginAnswer::Cookies(_) => (37, "login_answer_cookies"),
            LoginAnswer::Secret(_) => (38, "login_answer_secret"),
        },
    }
}

fn connection() -> Connection {
    Connection {
        provider: name("intercom"),
        display_name: s("Intercom"),
        connection: name("team"),
        is_default: true,
        auth: s("api_key"),
        state: ConnectionState::Connected,
        source: Some(Source::Custom),
        created_at: s(TIME),
        rotated_at: Some(s(TIME)),
        last_used: None,
        expires_at: None,
        hosts: vec![s("api.intercom.io")],
        unconfirmed_hosts: vec![],
        variables: vec![s("INTERCOM_API_KEY")],
        slot: s("Authorization: Bearer"),
        region: Some(s("eu")),
        renews: true,
        scopes: vec![s("read")],
        flow: Some(OAuthFlow::Pkce),
        base_url: Some(s("https://github.example.com")),
    }
}

fn webhook() -> Webhook {
    Webhook {
        webhook: name("fin"),
        scheme: name("intercom-fin"),
        url: s("http://127.0.0.1:23981/"),
        forward: s("http://127.0.0.1:3000/hooks"),
        max_body: 1_048_576,
        wait: 5,
        created_at: s(TIME),
        rotated_at: Some(s(TIME)),
        secrets: Some(2),
        accepted: 3,
        refused: 2,
        failed: 1,
        problem: Some(s("look")),
    }
}

/// Each step, and with them all that a login asks for.
fn steps() -> Vec<LoginStep> {
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

fn responses() -> Vec<Response> {
    let granted = || vec![(name("intercom"), name("team"))];
    vec![
        Response::Done,
        Response::Status(Status {
            version: s("0.1.0"),
            pid: 7,
            started_at: s(TIME),
            home: s("/home/u/.authsome"),
            socket: s("/run/user/1/authsome/control.sock"),
            proxy_port: Some(23_839),
            vault: Vault {
                store: s("keyring"),
                chosen: true,
                problem: None,
                hint: None,
            },
            connections: 1,
            runs: 2,
            warnings: vec![s("look")],
            manager: Some(s("systemd")),
        }),
        Response::Connections(vec![connection()]),
        Response::Providers(Providers {
            providers: vec![Provider {
                provider: name("intercom"),
                display_name: s("Intercom"),
                auth: s("api_key"),
                source: Source::Bundled,
                not_yet: Some(s("because")),
                hosts: vec![s("api.intercom.io")],
                variables: vec![s("INTERCOM_API_KEY")],
                key_pattern: Some(s("^x$")),
                key_hint: None,
                key_urls: vec![s("https://example.org/")],
                connections: 1,
                regions: vec![s("us"), s("eu")],
                flows: vec![
                    OAuthFlow::Pkce,
                    OAuthFlow::DcrPkce,
                    OAuthFlow::DeviceCode,
                    OAuthFlow::ClientCredentials,
                    OAuthFlow::JwtBearer,
                ],
                redirect_uri: Some(s("http://127.0.0.1:7998/callback/intercom")),
            }],
            problems: vec![s("problem")],
        }),
        Response::Connection(connection()),
        Response::Revealed(Revealed {
            provider: name("intercom"),
            connection: name("team"),
            secret: Secret::new(s("golden-secret")),
        }),
        Response::Definition { json: s("{}") },
        Response::LoginStarted(LoginStarted {
            login: name("abc"),
            display_name: s("Intercom"),
            connection: name("team"),
            step: LoginStep::Form {
                url: s("http://127.0.0.1:7998/login/x"),
                moved_from: Some(7998),
                asks: LoginAsks::ApiKey,
            },
            hint: Some(s("hint")),
            key_urls: vec![s("https://example.org/")],
            seconds_left: 600,
        }),
        Response::LoggedIn(LoggedIn {
            provider: name("intercom"),
            display_name: s("Intercom"),
            connection: name("team"),
            is_default: true,
            replaced: false,
            variables: vec![s("INTERCOM_API_KEY")],
            store: s("keyring"),
            runs: 1,
            expires_at: Some(s(TIME)),
            renews: true,
            scopes: vec![s("read")],
        }),
        Response::Forgotten(Forgotten {
            provider: name("intercom"),
            connections: vec![name("team")],
            new_default: None,
            left: vec![name("personal")],
            default_changed: true,
            definition_removed: None,
            revocations: vec![
                (name("team"), Revocation::Revoked),
                (name("b"), Revocation::NotOffered),
                (name("c"), Revocation::Failed { reason: s("no") }),
            ],
        }),
        Response::Registered(Registered {
            provider: name("acme"),
            file: s("/x/acme.json"),
            replaced: true,
            confirmed: vec![name("team")],
            warnings: vec![],
        }),
        Response::Exported(vec![Exported {
            provider: name("intercom"),
            connection: name("team"),
            variable: s("INTERCOM_API_KEY"),
            value: Secret::new(s("golden-secret")),
        }]),
        Response::RunStarted(RunStarted {
            run: name("run1"),
            set: vec![(s("A"), s("b"))],
            remove: vec![s("ALL_PROXY")],
            warnings: vec![],
            granted: granted(),
        }),
        Response::Runs(vec![Run {
            run: name("run1"),
            pid: 7,
            program: s("curl"),
            started_at: s(TIME),
            valid_until: s(TIME),
            granted: granted(),
            unmatched: Unmatched::Tunnel,
            injected: 3,
            refused: 1,
            problem: None,
            expires_at: Some(s(TIME)),
            keeps: true,
        }]),
        Response::Log {
            lines: vec![s("{}")],
        },
        Response::LogVerified(LogVerified {
            files: 1,
            records: 2,
            broken: None,
            notes: vec![s("note")],
        }),
        Response::Doctor(vec![Check {
            name: s("vault"),
            outcome: Outcome::Warning,
            found: s("found"),
            remedy: Some(s("remedy")),
        }]),
        Response::WhoAmI(WhoAmI {
            uid: 1000,
            pid: 7,
            home: s("/home/u/.authsome"),
            store: s("file"),
            run: Some(name("run1")),
            granted: granted(),
        }),
        Response::Explained(Explained {
            request: s("POST https://api.intercom.io/contacts"),
            outcome: ExplainedOutcome::Refuse,
            code: Some(s("denied_by_rule")),
            message: s("a rule denies it"),
            fix: Some(s("change the rule")),
            provider: Some(name("intercom")),
            connection: Some(name("team")),
            slot: Some(s("Authorization: Bearer")),
            run: None,
            routes: vec![ExplainedRoute {
                provider: name("intercom"),
                connection: name("team"),
                hosts: vec![s("api.intercom.io")],
                path: s("/** except /fin/**"),
                methods: s("*"),
                slot: s("Authorization: Bearer"),
                verdict: s("chosen"),
                why: s("it fits"),
            }],
            rules: vec![ExplainedRule {
                source: s("/p/authsome.toml"),
                rule: s("deny POST /contacts/**"),
                refuses: true,
            }],
            notes: vec![s("note")],
        }),
        Response::Webhooks(vec![webhook()]),
        Response::WebhookStored(WebhookStored {
            webhook: webhook(),
            rotated: true,
            store: s("keyring"),
        }),
        Response::WebhookVerified(WebhookVerified {
            good: false,
            code: Some(s("signature_wrong")),
            reason: Some(s("it is of another secret")),
        }),
        Response::WebhookSigned {
            headers: vec![(s("webhook-id"), s("msg_1"))],
        },
    ]
}

fn response_name(response: &Response) -> (usize, &'static str) {
    match response {
        Response::Done => (0, "done"),
        Response::Status(_) => (1, "status"),
        Response::Connections(_) => (2, "connections"),
        Response::Providers(_) => (3, "providers"),
        Response::Connection(_) => (4, "connection"),
        Response::Revealed(_) => (5, "revealed"),
        Response::Definition { .. } => (6, "definition"),
        Response::LoginStarted(_) => (7, "login_started"),
        Response::LoggedIn(_) => (8, "logged_in"),
        Response::Forgotten(_) => (9, "forgotten"),
        Response::Registered(_) => (10, "registered"),
        Response::Exported(_) => (11, "exported"),
        Response::RunStarted(_) => (12, "run_started"),
        Response::Runs(_) => (13, "runs"),
        Response::Log { .. } => (14, "log"),
        Response::LogVerified(_) => (15, "log_verified"),
        Response::Doctor(_) => (16, "doctor"),
        Response::WhoAmI(_) => (17, "who_am_i"),
        Response::Explained(_) => (18, "explained"),
        Response::Webhooks(_) => (19, "webhooks"),
        Response::WebhookStored(_) => (20, "webhook_stored"),
        Response::WebhookVerified(_) => (21, "webhook_verified"),
        Response::WebhookSigned { .. } => (22, "webhook_signed"),
    }
}

fn events() -> Vec<Event> {
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

fn event_name(event: &Event) -> (usize, String) {
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

/// Checks one message against its files, and that decoding and encoding again gives the same.
fn check<T: Serialize + DeserializeOwned>(file: &str, message: &T) {
    for (encoding, ending) in [(Encoding::BINCODE, "bincode"), (Encoding::JSON, "json")] {
        let path =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("golden/v1/{file}.{ending}"));
        let bytes = encode(message, encoding).unwrap();
        if !path.exists() && std::env::var_os("AUTHSOME_WRITE_GOLDEN").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &*bytes).unwrap();
        }
        let golden = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(
            *bytes == golden,
            "`{file}` is encoded otherwise than in {}",
            path.display()
        );
        let again: T = decode(&golden, encoding).unwrap();
        assert!(
            *encode(&again, encoding).unwrap() == golden,
            "`{file}` does not round-trip"
        );
    }
}

/// Checks a message, and its counterpart if it has one.
fn check_both<T: Serialize + DeserializeOwned>(file: &str, message: &T) {
    check(file, message);
    let json = serde_json::to_value(message).unwrap();
    let mut other = json.clone();
    turn::<T>(&mut other, &mut Vec::new());
    if other != json {
        let other: T = serde_json::from_value(other).unwrap();
        check(&format!("{file}_other"), &other);
    }
}

/// Turns every field of `whole` round: `way` leads to the one that is looked at.
fn turn<T: DeserializeOwned>(whole: &mut Value, way: &mut Vec<String>) {
    let pointer = way.iter().fold(String::new(), |way, step| way + "/" + step);
    let here = whole.pointer(&pointer).unwrap().clone();
    let mut replace = |with: Value| *whole.pointer_mut(&pointer).unwrap() = with;
    match &here {
        Value::Null => replace(present(way.last().unwrap())),
        Value::Bool(yes) => replace(Value::Bool(!yes)),
        _ => {
            // what may be absent becomes so
            replace(Value::Null);
            if serde_json::from_value::<T>(whole.clone()).is_ok() {
                return;
            }
            *whole.pointer_mut(&pointer).unwrap() = here.clone();
            let steps: Vec<String> = match &here {
                Value::Object(fields) => fields.keys().cloned().collect(),
                Value::Array(items) => (0..items.len()).map(|index| index.to_string()).collect(),
                _ => Vec::new(),
            };
            for step in steps {
                way.push(step);
                turn::<T>(whole, way);
                way.pop();
            }
        }
    }
}

/// A value for a field that is absent in the first sample of its message.
fn present(field: &str) -> Value {
    match field {
        "last_used" | "expires_at" => TIME.into(),
        "connection" | "new_default" | "provider" | "run" => "other".into(),
        "broken" | "client_id" | "definition_removed" | "hint" | "id" | "key_hint" | "problem" => {
            "present".into()
        }
        _ => panic!("say what `{field}` is when it is present"),
    }
}

fn complete(seen: &BTreeSet<usize>) {
    assert!(
        seen.iter().copied().eq(0..seen.len()),
        "a sample is missing: {seen:?}"
    );
}

#[test]
fn golden_v1_requests() {
    let mut seen = BTreeSet::new();
    for request in requests() {
        let (number, file) = request_name(&request);
        seen.insert(number);
        check_both(
            &format!("request_{file}"),
            &ClientFrame::Request { id: 9, request },
        );
    }
    complete(&seen);
    assert_eq!(seen.len(), 39, "a new request needs a sample");
    check("cancel", &ClientFrame::Cancel { id: 9 });
}

#[test]
fn golden_v1_answers() {
    let mut seen = BTreeSet::new();
    for response in responses() {
        let (number, file) = response_name(&response);
        seen.insert(number);
        check_both(
            &format!("answer_{file}"),
            &ServerFrame::Answer {
                id: 9,
                result: Ok(response),
            },
        );
    }
    complete(&seen);
    assert_eq!(seen.len(), 23, "a new answer needs a sample");
}

#[test]
fn golden_v1_events() {
    let mut seen = BTreeSet::new();
    for event in events() {
        let (number, file) = event_name(&event);
        seen.insert(number);
        check_both(
            &format!("event_{file}"),
            &ServerFrame::Event { id: 9, event },
        );
    }
    complete(&seen);
    assert_eq!(seen.len(), 18, "a new event needs a sample");
}

#[test]
fn golden_v1_errors() {
    use ErrorCode as E;
    let codes = [
        E::Internal,
        E::BadRequest,
        E::UnknownProvider,
        E::UnknownConnection,
        E::AlreadyConnected,
        E::NotAvailableYet,
        E::InvalidSecret,
        E::LoginNeeded,
        E::LoginExpired,
        E::LoginCancelled,
        E::VaultLocked,
        E::VaultAbsent,
        E::VaultTimedOut,
        E::VaultFailed,
        E::PassphraseNeeded,
        E::PassphraseWanted,
        E::WrongPassphrase,
        E::RefusedInsideRun,
        E::UnknownRun,
        E::BadDefinition,
        E::AuditFailed,
        E::BadConfig,
        E::PortTaken,
        E::Storage,
        E::TooManyRequests,
        E::ShuttingDown,
        E::Cancelled,
        E::UnknownWebhook,
        E::LoginRefused,
        E::AuthorizationServer,
        E::RenewalFailed,
    ];
    for (number, code) in codes.into_iter().enumerate() {
        let error = WireError {
            code,
            message: s("message"),
            causes: vec![s("cause")],
            hint: Some(s("hint")),
        };
        check_both(
            &format!("error_{number:02}"),
            &ServerFrame::Answer {
                id: 9,
                result: Err(error),
            },
        );
    }
}

/// The words that no sample above has.
#[test]
fn golden_v1_words() {
    for (name, life) in [
        ("process", RunLife::Process),
        ("process_at_most", RunLife::ProcessAtMost(60)),
    ] {
        let mut start = requests()
            .into_iter()
            .find_map(|request| match request {
                Request::RunStart(start) => Some(start),
                _ => None,
            })
            .unwrap();
        start.life = life;
        let request = Request::RunStart(start);
        check(
            &format!("request_run_start_{name}"),
            &ClientFrame::Request { id: 9, request },
        );
    }
    let answer = |file: &str, response| {
        let result = Ok(response);
        check(
            &format!("answer_{file}"),
            &ServerFrame::Answer { id: 9, result },
        );
    };
    let states = [
        ConnectionState::Expiring,
        ConnectionState::Expired,
        ConnectionState::NeedsLogin,
        ConnectionState::Revoked,
    ];
    let in_state = |state| Connection {
        state,
        ..connection()
    };
    let all = states.map(in_state).into();
    answer("connections_states", Response::Connections(all));
    let outcomes = [Outcome::Ok, Outcome::Failed].map(|outcome| Check {
        name: s("vault"),
        outcome,
        found: s("found"),
        remedy: None,
    });
    answer("doctor_outcomes", Response::Doctor(outcomes.into()));
    for (name, outcome) in [
        ("inject", ExplainedOutcome::Inject),
        ("pass", ExplainedOutcome::Pass),
        ("tunnel", ExplainedOutcome::Tunnel),
    ] {
        answer(
            &format!("explained_{name}"),
            Response::Explained(Explained {
                request: s("GET https://example.org/"),
                outcome,
                code: None,
                message: s("message"),
                fix: None,
                provider: None,
                connection: None,
                slot: None,
                run: None,
                routes: vec![],
                rules: vec![],
                notes: vec![],
            }),
        );
    }
    for why in [
        RunEnding::ProcessEnded,
        RunEnding::Stopped,
        RunEnding::OuterEnded,
    ] {
        let event = Event::RunEnded {
            run: name("run1"),
            why,
        };
        check(
            &format!("event_run_ended_{}", why.as_str()),
            &ServerFrame::Event { id: 9, event },
        );
    }
}

/// Secrets cross the socket, but never a `Debug`.
#[test]
fn debug_of_messages_hides_their_secrets() {
    for request in requests() {
        assert!(
            !format!("{request:?}").contains("golden-"),
            "{}",
            request_name(&request).1
        );
    }
    for response in responses() {
        assert!(
            !format!("{response:?}").contains("golden-"),
            "{}",
            response_name(&response).1
        );
    }
}
