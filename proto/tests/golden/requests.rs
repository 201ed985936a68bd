//! A sample of every request.

use authsome_proto::Secret;
use authsome_proto::request::{
    Explain, LogQuery, Login, LoginAnswer, LoginServer, LoginVia, OAuthFlow, ProjectFile, Request,
    RunLife, RunStart, Unmatched, WebhookAdd, WebhookSign, WebhookVerify,
};

use super::{name, s};

pub(super) fn requests() -> Vec<Request> {
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

pub(super) fn secret() -> Secret {
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

pub(super) fn request_name(request: &Request) -> (usize, &'static str) {
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
