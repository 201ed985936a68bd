//! Logins of several steps: what a person is told, what the daemon is handed, and that giving up
//! reaches the daemon and leaves the terminal as it was.

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

#[test]
fn the_options_of_a_login_reach_the_daemon() {
    let home = waiting_desk(LoginStep::Wait);
    let seen = home.run(
        "login github --flow device_code --scopes repo,read:user --base-url \
         https://github.example.com --client-id one --connection team --force",
    );
    assert_eq!((seen.code, seen.out.as_str()), (Some(0), DONE));
    let login = login_of(&home);
    assert_eq!(login.flow, Some(OAuthFlow::DeviceCode));
    assert_eq!(login.scopes, ["repo", "read:user"]);
    assert_eq!(
        login.base_url.as_deref(),
        Some("https://github.example.com")
    );
    assert_eq!(login.client_id.as_deref(), Some("one"));
    assert!(login.force);
}

#[test]
fn options_that_mean_nothing_for_a_provider_are_refused() {
    let home = waiting_desk(LoginStep::Wait);
    for option in [
        "--flow device",
        "--scopes a",
        "--base-url https://x",
        "--client-id one",
        "--key-file x",
    ] {
        let seen = home.run(&format!("login intercom {option}"));
        assert_eq!(seen.code, Some(2), "{option}: {seen:?}");
        let named = option.split(' ').next().unwrap();
        assert!(seen.err.contains(named), "{option}: {}", seen.err);
    }
    let seen = home.run("login github --flow api_key");
    assert_eq!(seen.code, Some(2));
    assert!(seen.err.contains("no API key"), "{}", seen.err);
    assert!(
        !home
            .asked()
            .iter()
            .any(|request| matches!(request, Request::Login(_))),
        "{:?}",
        home.asked()
    );
}

#[test]
fn a_client_secret_on_the_command_line_is_refused_and_not_repeated() {
    let home = waiting_desk(LoginStep::Wait);
    for line in [
        "login github --client-id one --client-secret canary-0123456789",
        "login github --client-secret=canary-0123456789",
        "login github --client-secret",
    ] {
        let seen = home.run(line);
        assert_eq!(seen.code, Some(2), "{line}: {seen:?}");
        assert!(seen.err.contains("--stdin"), "{}", seen.err);
        assert!(!seen.err.contains("canary"), "{}", seen.err);
    }
    assert!(home.asked().is_empty());
}

#[test]
fn a_server_is_logged_in_to_by_its_address() {
    let home = waiting_desk(authorize());
    let seen = home.run("login https://mcp.example.com/mcp --scopes read --connection team");
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let asked = home.asked();
    let Some(Request::LoginServer(server)) = asked.first() else {
        panic!("{asked:?}")
    };
    assert_eq!(server.url, "https://mcp.example.com/mcp");
    assert_eq!(server.scopes, ["read"]);
    assert_eq!(server.connection.as_ref().unwrap().as_str(), "team");
    let seen = home.run("login https://mcp.example.com/mcp --flow device");
    assert_eq!(seen.code, Some(2), "{seen:?}");
}

#[test]
fn a_server_without_encryption_is_refused_with_the_reason() {
    let home = waiting_desk(authorize());
    let seen = home.run("login http://mcp.example.com/mcp");
    assert_eq!(seen.code, Some(2));
    assert!(
        seen.err
            .contains("everybody on the way could read the token"),
        "{}",
        seen.err
    );
    assert!(home.asked().is_empty());
}

#[test]
fn without_terminal_and_browser_the_address_is_printed_and_waited_for() {
    let home = waiting_desk(authorize());
    let seen = home.run("login github");
    assert_eq!((seen.code, seen.out.as_str()), (Some(0), DONE));
    assert_eq!(login_of(&home).via, LoginVia::Submit);
    insta::assert_snapshot!(seen.err, @r"
    open this address in any browser and log in to GitHub there:
    https://github.com/login/oauth/authorize?state=x
    a browser on another machine ends at an address that begins with http://127.0.0.1:7998/callback/github and shows nothing; `authsome login --resume session1 --stdin` takes that address
    ");
    // what must be known to go on is said all the same
    let seen = home.run("--quiet login github");
    assert!(seen.err.contains(AUTHORIZE), "{}", seen.err);
}

#[test]
fn the_browser_is_opened_at_the_page_that_has_the_code_in_it() {
    let home = waiting_desk(device());
    let browser = home.write(
        "browser",
        "#!/bin/sh\necho \"$1\" > \"$HOME/opened.new\"\nmv \"$HOME/opened.new\" \"$HOME/opened\"\n",
    );
    std::fs::set_permissions(
        &browser,
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    let mut command = home.command("login github --flow device");
    let seen = Seen::of(command.env("BROWSER", &browser).output().unwrap());
    assert_eq!((seen.code, seen.out.as_str()), (Some(0), DONE));
    insta::assert_snapshot!(seen.err, @r"
    enter ABCD-EFGH at https://github.com/login/device
    the page that opens must show the same code
    ");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let opened = loop {
        if let Ok(opened) = std::fs::read_to_string(home.path().join("opened")) {
            break opened;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "no browser was opened"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    assert_eq!(opened, "https://github.com/login/device?code=ABCD-EFGH\n");
}

#[test]
fn an_address_that_is_not_of_the_web_is_not_opened() {
    let home = waiting_desk(LoginStep::Authorize {
        url: "file:///etc/passwd".into(),
        redirect_uri: REDIRECT.into(),
        listens: true,
    });
    let mut command = home.command("login github");
    // a browser that would leave a mark
    let browser = format!("touch {}/opened", home.path().display());
    let seen = Seen::of(command.env("BROWSER", browser).output().unwrap());
    assert!(seen.err.contains("not one of the web"), "{}", seen.err);
    assert!(!home.path().join("opened").exists());
}

#[test]
fn a_client_secret_is_read_from_standard_input() {
    let home = desk(
        LoginStep::Enter {
            asks: client(Some("one"), true),
        },
        vec![],
    );
    let seen = piped(
        home.command("login github --client-id one --stdin"),
        &format!("{CANARY}\n"),
    );
    assert_eq!((seen.code, seen.out.as_str()), (Some(0), DONE));
    assert_eq!(
        handed_over(&home),
        [format!("client one Some(\"{CANARY}\")")]
    );
    assert!(!seen.err.contains(CANARY), "{}", seen.err);
}

#[test]
fn a_client_without_a_secret_needs_nobody_to_be_asked() {
    let home = desk(
        LoginStep::Enter {
            asks: client(Some("one"), false),
        },
        vec![],
    );
    let seen = home.run("login github --client-id one");
    assert_eq!((seen.code, seen.out.as_str()), (Some(0), DONE));
    assert_eq!(handed_over(&home), ["client one None"]);
}

#[test]
fn a_client_that_nobody_can_be_asked_for_ends_the_login_with_the_ways_out() {
    let home = desk(
        LoginStep::Enter {
            asks: client(None, true),
        },
        vec![],
    );
    let seen = home.run("login github");
    assert_eq!(seen.code, Some(1));
    assert!(seen.err.contains("--client-id ID"), "{}", seen.err);
    assert_eq!(handed_over(&home), ["cancel"]);
    // a secret without the client that it belongs to
    let seen = piped(home.command("login github --stdin"), CANARY);
    assert_eq!(seen.code, Some(2));
    assert!(seen.err.contains("--client-id ID"), "{}", seen.err);
    assert_eq!(handed_over(&home), ["cancel", "cancel"]);
}

#[test]
fn a_value_that_nothing_asks_for_is_not_dropped_silently() {
    let home = waiting_desk(authorize());
    let seen = piped(home.command("login github --stdin"), CANARY);
    assert_eq!(seen.code, Some(2));
    assert!(seen.err.contains("asks for nothing"), "{}", seen.err);
    assert_eq!(handed_over(&home), ["cancel"]);
}

#[test]
fn a_service_accounts_key_is_read_from_its_file_which_may_be_deleted_then() {
    let home = desk(
        LoginStep::Enter {
            asks: LoginAsks::ServiceAccount,
        },
        vec![],
    );
    let file = home.write("key.json", "{\n  \"private_key\": \"canary\"\n}\n");
    let seen = home.run(&format!("login github --key-file {}", file.display()));
    assert_eq!((seen.code, seen.out.as_str()), (Some(0), DONE));
    assert_eq!(login_of(&home).flow, Some(OAuthFlow::JwtBearer));
    assert_eq!(
        handed_over(&home),
        ["secret {\n  \"private_key\": \"canary\"\n}"]
    );
    assert!(seen.err.contains("can be deleted"), "{}", seen.err);
    let seen = home.run(&format!(
        "login github --flow device --key-file {}",
        file.display()
    ));
    assert_eq!(seen.code, Some(2), "{seen:?}");
    let seen = home.run("login github --key-file missing.json");
    assert_eq!(seen.code, Some(1));
    assert!(seen.err.contains("missing.json"), "{}", seen.err);
}

#[test]
fn cookies_are_read_as_a_browser_sends_them() {
    let home = desk(
        LoginStep::Enter {
            asks: LoginAsks::Cookies {
                entry_url: "https://x.com/".into(),
                names: vec!["auth_token".into(), "ct0".into()],
                needed: 2,
            },
        },
        vec![],
    );
    let seen = piped(
        home.command("login github --stdin"),
        "lang=en; auth_token=a; ct0=b",
    );
    assert_eq!(seen.code, Some(0), "{seen:?}");
    assert_eq!(handed_over(&home), ["cookies auth_token=a ct0=b"]);
    let seen = piped(home.command("login github --stdin"), "ct0=canary");
    assert_eq!(seen.code, Some(1));
    assert!(seen.err.contains("`auth_token`"), "{}", seen.err);
    assert!(!seen.err.contains("canary"), "{}", seen.err);
}

#[test]
fn a_login_that_is_not_waited_for_prints_what_is_to_be_done() {
    for (step, text) in [
        (
            authorize(),
            format!("session: session1\nurl: {AUTHORIZE}\nredirect: {REDIRECT}\n"),
        ),
        (
            device(),
            "session: session1\nurl: https://github.com/login/device\ncode: ABCD-EFGH\n".into(),
        ),
        (
            LoginStep::Form {
                url: "http://127.0.0.1:7998/login/x".into(),
                moved_from: None,
                asks: client(None, true),
            },
            format!(
                "session: session1\nurl: http://127.0.0.1:7998/login/x\nredirect: {REDIRECT}\n"
            ),
        ),
    ] {
        let home = waiting_desk(step);
        let seen = home.run("login github --no-wait");
        assert_eq!((seen.code, seen.out), (Some(0), text));
        assert_eq!(login_of(&home).via, LoginVia::Form);
        assert!(handed_over(&home).is_empty(), "it goes on without us");
    }
}

#[test]
fn a_step_is_an_object_for_programs() {
    let home = waiting_desk(device());
    let object = |line: &str| -> serde_json::Value { serde_json::from_str(line).unwrap() };
    let seen = object(&home.run("login github --no-wait --json").out);
    assert_eq!(
        seen,
        serde_json::json!({
            "v": 1, "status": "waiting", "session": "session1", "display_name": "GitHub",
            "connection": "default", "seconds_left": 600, "step": "device",
            "url": "https://github.com/login/device",
            "url_with_code": "https://github.com/login/device?code=ABCD-EFGH",
            "user_code": "ABCD-EFGH",
        })
    );
    // one a line: each step, then the end
    let seen = home.run("login github --json");
    let lines: Vec<_> = seen.out.lines().map(object).collect();
    assert_eq!(lines.len(), 2, "{}", seen.out);
    assert_eq!(lines[0]["step"], "device");
    assert_eq!(lines[1]["status"], "connected");
    assert_eq!(lines[1]["renews"], true);
    assert_eq!(lines[1]["scopes"], serde_json::json!(["repo"]));
}

#[test]
fn a_secret_and_a_link_go_together() {
    let home = desk(
        LoginStep::Enter {
            asks: client(Some("one"), true),
        },
        vec![authorize()],
    );
    let seen = piped(
        home.command("login github --client-id one --stdin --no-wait --json"),
        CANARY,
    );
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let object: serde_json::Value = serde_json::from_str(&seen.out).unwrap();
    assert_eq!(object["url"], AUTHORIZE);
    assert_eq!(
        handed_over(&home),
        [format!("client one Some(\"{CANARY}\")")]
    );
}

#[test]
fn another_command_takes_the_address_that_a_browser_ended_at() {
    let home = desk(authorize(), vec![]);
    let seen = piped(
        home.command("login --resume session1 --stdin"),
        &format!(" <{REDIRECT}?code=c&state=x> \n"),
    );
    assert_eq!((seen.code, seen.out.as_str()), (Some(0), DONE));
    assert_eq!(
        handed_over(&home),
        [format!("redirect {REDIRECT}?code=c&state=x")]
    );
}

#[test]
fn an_address_that_is_refused_leaves_the_login_waiting() {
    let home = Home::conversing(|id, _| {
        vec![refusal(
            id,
            ErrorCode::InvalidSecret,
            "the address is of another login",
        )]
    });
    let seen = piped(home.command("login --resume session1 --stdin"), "http://x/");
    assert_eq!(seen.code, Some(1));
    assert!(seen.err.contains("of another login"), "{}", seen.err);
    assert_eq!(handed_over(&home), ["redirect http://x/"]);
}

#[test]
fn steps_that_come_while_we_wait_are_shown_once() {
    let home = Home::conversing(|id, request| match request {
        Request::Login(_) => vec![answer(
            id,
            started(LoginStep::Form {
                url: "http://127.0.0.1:7998/login/x".into(),
                moved_from: None,
                asks: client(None, true),
            }),
        )],
        Request::LoginWait { .. } => {
            let rejected = || {
                event(
                    id,
                    LoginStage::Rejected {
                        reason: "the client id is empty".into(),
                    },
                )
            };
            vec![
                rejected(),
                rejected(),
                event(id, LoginStage::Step(authorize())),
                event(id, LoginStage::Step(authorize())),
                event(id, LoginStage::Exchanging),
                answer(id, done()),
            ]
        }
        other => others(id, other),
    });
    let mut command = home.command("login github");
    let seen = Seen::of(command.env("BROWSER", "true").output().unwrap());
    assert_eq!((seen.code, seen.out.as_str()), (Some(0), DONE));
    insta::assert_snapshot!(seen.err, @r"
    enter the OAuth client for GitHub at http://127.0.0.1:7998/login/x
    warning: the client id is empty
    the page leads on to GitHub, at this address:
    https://github.com/login/oauth/authorize?state=x
    ");
}

#[test]
fn a_login_that_the_daemon_ends_is_a_failure_with_its_reason() {
    let home = Home::conversing(|id, request| match request {
        Request::Login(_) => vec![answer(id, started(device()))],
        Request::LoginWait { .. } => vec![refusal(
            id,
            ErrorCode::LoginExpired,
            "the code was not entered in time",
        )],
        other => others(id, other),
    });
    let seen = home.run("login github");
    assert_eq!(seen.code, Some(1));
    assert!(seen.err.contains("not entered in time"), "{}", seen.err);
}

#[test]
fn ctrl_c_while_a_server_is_asked_gives_the_login_up() {
    let home = Home::conversing(|id, request| match request {
        Request::Login(_) => vec![answer(
            id,
            started(LoginStep::Enter {
                asks: client(Some("one"), false),
            }),
        )],
        // the server takes its time
        Request::LoginAnswer { .. } => vec![],
        other => others(id, other),
    });
    let child = home
        .command("login github --client-id one")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    home.wait_for(|request| matches!(request, Request::LoginAnswer { .. }));
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let seen = Seen::of(child.wait_with_output().unwrap());
    assert_eq!(seen.code, Some(130), "{seen:?}");
    assert!(seen.err.contains("login cancelled"), "{}", seen.err);
    assert_eq!(handed_over(&home), ["client one None", "cancel"]);
}

#[test]
fn a_client_is_asked_for_on_the_terminal_after_its_redirect_uri_was_shown() {
    let home = desk(
        LoginStep::Enter {
            asks: client(None, true),
        },
        vec![LoginStep::Enter {
            asks: client(Some("two"), false),
        }],
    );
    let mut terminal = Terminal::run(&home.command("login github --no-browser"));
    terminal.sees("make an OAuth client at https://github.com/settings/developers\r\n");
    terminal.sees(&format!("must be exactly:\r\n{REDIRECT}\r\n"));
    terminal.sees("Client id for GitHub: ");
    terminal.types("onx\u{7f}e\r");
    terminal.sees("Client secret (hidden): ");
    // an empty one is no secret
    terminal.types("\r");
    terminal.sees("Client secret (hidden): ");
    terminal.types(&format!("{CANARY}\r"));
    terminal.sees("Client secret (hidden; Enter if it has none): ");
    terminal.types("\r");
    terminal.sees("connected: github");
    assert_eq!(terminal.ends(), Some(0), "{}", terminal.screen);
    assert!(!terminal.screen.contains(CANARY), "{}", terminal.screen);
    assert!(terminal.is_as_before());
    assert_eq!(
        handed_over(&home),
        [
            format!("client one Some(\"{CANARY}\")"),
            "client two None".into()
        ]
    );
}

#[test]
fn what_is_refused_is_asked_for_again_for_the_same_login() {
    let tries = Mutex::new(0);
    let home = Home::conversing(move |id, request| match request {
        Request::Login(_) => vec![answer(
            id,
            started(LoginStep::Enter {
                asks: LoginAsks::Cookies {
                    entry_url: "https://x.com/".into(),
                    names: vec!["auth_token".into(), "lang".into()],
                    needed: 1,
                },
            }),
        )],
        Request::LoginAnswer { .. } => {
            let mut tries = tries.lock().unwrap();
            *tries += 1;
            if *tries == 1 {
                vec![refusal(
                    id,
                    ErrorCode::InvalidSecret,
                    "a cookie has a blank",
                )]
            } else {
                vec![answer(id, done())]
            }
        }
        other => others(id, other),
    });
    let mut terminal = Terminal::run(&home.command("login github --no-browser"));
    terminal.sees("log in at https://x.com/");
    terminal.sees("developer tools");
    terminal.sees("auth_token (hidden): ");
    terminal.types("a b\r");
    terminal.sees("lang (hidden; Enter if there is none): ");
    terminal.types("\r");
    terminal.sees("a cookie has a blank");
    terminal.sees("auth_token (hidden): ");
    terminal.types("ab\r");
    terminal.sees("lang (hidden; Enter if there is none): ");
    terminal.types("en\r");
    assert_eq!(terminal.ends(), Some(0), "{}", terminal.screen);
    assert_eq!(
        handed_over(&home),
        ["cookies auth_token=a b", "cookies auth_token=ab lang=en"]
    );
}

#[test]
fn a_key_file_is_asked_for_by_its_path() {
    let home = desk(
        LoginStep::Enter {
            asks: LoginAsks::ServiceAccount,
        },
        vec![],
    );
    home.write("key.json", "{}");
    let mut terminal = Terminal::run(&home.command("login github --no-browser --flow jwt-bearer"));
    terminal.sees("Path of the JSON key file: ");
    terminal.types("/nowhere/key.json\r");
    terminal.sees("cannot read `/nowhere/key.json`");
    terminal.sees("Path of the JSON key file: ");
    terminal.types("~/key.json\r");
    assert_eq!(terminal.ends(), Some(0), "{}", terminal.screen);
    assert_eq!(handed_over(&home), ["secret {}"]);
}

/// A daemon whose login waits for a browser and takes the address `good`; the answer to whoever
/// waits comes with it.
fn callback_desk(good: &'static str) -> Home {
    let waiter = Mutex::new(0);
    Home::conversing(move |id, request| match request {
        Request::Login(_) => vec![answer(id, started(authorize()))],
        Request::LoginWait { .. } => {
            *waiter.lock().unwrap() = id;
            vec![
                event(id, LoginStage::Step(authorize())),
                event(id, LoginStage::Waiting { seconds_left: 599 }),
            ]
        }
        Request::LoginAnswer {
            answer: LoginAnswer::Redirect(address),
            ..
        } => {
            let waiter = *waiter.lock().unwrap();
            if address.expose() == good {
                vec![answer(id, done()), answer(waiter, done())]
            } else {
                let reason = "the address has no `code` in it";
                vec![
                    event(
                        waiter,
                        LoginStage::Rejected {
                            reason: reason.into(),
                        },
                    ),
                    refusal(id, ErrorCode::InvalidSecret, reason),
                    event(
                        waiter,
                        LoginStage::Rejected {
                            reason: reason.into(),
                        },
                    ),
                ]
            }
        }
        other => others(id, other),
    })
}

#[test]
fn the_address_that_a_browser_elsewhere_ended_at_is_pasted() {
    const GOOD: &str = "http://127.0.0.1:7998/callback/github?code=c&state=x";
    let home = callback_desk(GOOD);
    let mut terminal = Terminal::run(&home.command("login github --no-browser"));
    terminal.sees(AUTHORIZE);
    terminal.sees("paste the address that it ends at here");
    terminal.sees("waiting for the browser");
    terminal.types("\rnonsense\r");
    terminal.sees("the address has no `code` in it");
    terminal.sees("paste the whole address");
    terminal.types(&format!("{GOOD}\n"));
    terminal.sees("connected: github");
    assert_eq!(terminal.ends(), Some(0), "{}", terminal.screen);
    assert_eq!(
        handed_over(&home),
        ["redirect nonsense".to_owned(), format!("redirect {GOOD}")]
    );
    assert!(!terminal.screen.contains("code=c"), "{}", terminal.screen);
    assert_eq!(
        terminal.screen.matches("has no `code`").count(),
        1,
        "{}",
        terminal.screen
    );
    assert!(terminal.is_as_before());
}

/// A terminal hands lines of at most 4096 bytes to those who let it collect them.
#[test]
fn a_long_address_is_pasted_whole() {
    let long: &'static str = format!(
        "http://127.0.0.1:7998/callback/github?code={}",
        "c".repeat(20_000)
    )
    .leak();
    let home = callback_desk(long);
    let mut terminal = Terminal::run(&home.command("login github --no-browser"));
    terminal.sees("waiting for the browser");
    // as fast as it is read
    for piece in long.as_bytes().chunks(1000) {
        terminal.types(std::str::from_utf8(piece).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(120));
    }
    terminal.types("\r");
    assert_eq!(terminal.ends(), Some(0), "{}", terminal.screen);
    assert_eq!(handed_over(&home), [format!("redirect {long}")]);
}

#[test]
fn ctrl_c_gives_the_login_up_at_each_step_and_leaves_the_terminal_as_it_was() {
    let enter = |asks| LoginStep::Enter { asks };
    for (step, seen) in [
        (authorize(), "waiting for the browser"),
        (device(), "waiting for the code"),
        (LoginStep::Wait, "waiting for the server"),
        (enter(client(None, true)), "Client id for GitHub: "),
        (enter(client(Some("one"), true)), "Client secret (hidden): "),
        (enter(LoginAsks::ApiKey), "Key for GitHub (hidden): "),
        (enter(LoginAsks::ServiceAccount), "Path of the JSON key"),
    ] {
        let home = desk(step, vec![]);
        let mut terminal = Terminal::run(&home.command("login github --no-browser"));
        terminal.sees(seen);
        terminal.types("\u{3}");
        terminal.sees("login cancelled");
        assert_eq!(terminal.ends(), Some(130), "{}", terminal.screen);
        assert!(terminal.is_as_before(), "{seen}");
        assert_eq!(handed_over(&home), ["cancel"], "{seen}");
    }
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    let home = desk(authorize(), vec![]);
    let mut terminal = Terminal::run(&home.command("login github --no-browser"));
    terminal.sees("waiting for the browser");
    assert!(!terminal.is_as_before(), "nothing would be put back");
    terminal.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(terminal.ends(), Some(130), "{}", terminal.screen);
    assert!(terminal.is_as_before());
    assert_eq!(handed_over(&home), ["cancel"]);
}
