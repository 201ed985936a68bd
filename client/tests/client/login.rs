//! Logging in: the key arrives exactly and shows nowhere; giving up reaches the daemon.

use std::io::Write as _;
use std::process::Stdio;

use authsome_proto::request::LoginVia;
use authsome_proto::response::{LoggedIn, LoginAsks, LoginStarted, LoginStep};
use authsome_proto::{ErrorCode, Request, Response};

use crate::fake::{Answer, Home, Seen, fail};

const CANARY: &str = "canary-0123456789 with blanks ";

fn desk(request: &Request) -> Answer {
    match request {
        Request::Login(login) => Some(Ok(Response::LoginStarted(LoginStarted {
            login: "session1".parse().unwrap(),
            display_name: "Intercom".into(),
            connection: "default".parse().unwrap(),
            step: if login.via == LoginVia::Form {
                LoginStep::Form {
                    url: "http://127.0.0.1:7998/x".into(),
                    moved_from: None,
                    asks: LoginAsks::ApiKey,
                }
            } else {
                LoginStep::Enter {
                    asks: LoginAsks::ApiKey,
                }
            },
            hint: None,
            key_urls: Vec::new(),
            seconds_left: 600,
        }))),
        Request::LoginSubmit { .. } => Some(Ok(Response::LoggedIn(LoggedIn {
            provider: "intercom".parse().unwrap(),
            display_name: "Intercom".into(),
            connection: "default".parse().unwrap(),
            is_default: true,
            replaced: false,
            variables: vec!["INTERCOM_API_KEY".into()],
            store: "keyring".into(),
            runs: 0,
            expires_at: None,
            renews: false,
            scopes: Vec::new(),
        }))),
        Request::LoginWait { .. } => None,
        Request::LoginCancel { .. } => Some(Ok(Response::Done)),
        _ => fail(ErrorCode::BadRequest, "not in this test"),
    }
}

fn submitted(home: &Home) -> Vec<String> {
    home.asked()
        .iter()
        .filter_map(|request| match request {
            Request::LoginSubmit { secret, .. } => Some(secret.expose().to_owned()),
            _ => None,
        })
        .collect()
}

#[test]
fn a_key_from_standard_input_arrives_exactly_and_is_shown_nowhere() {
    let home = Home::with(desk);
    let mut child = home
        .command("login intercom --stdin -v")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{CANARY}").unwrap();
    let seen = Seen::of(child.wait_with_output().unwrap());
    assert_eq!(submitted(&home), [CANARY]);
    assert_eq!(
        seen.out,
        "connected: intercom (default); stored in the keyring; programs see INTERCOM_API_KEY\n"
    );
    assert!(!seen.err.contains("canary"), "{}", seen.err);
}

#[test]
fn a_key_from_a_variable_arrives_exactly() {
    let home = Home::with(desk);
    let mut command = home.command("login intercom --from-env THE_KEY");
    let seen = Seen::of(command.env("THE_KEY", CANARY).output().unwrap());
    assert_eq!(
        (seen.code, submitted(&home)),
        (Some(0), vec![CANARY.to_owned()])
    );
}

#[test]
fn an_empty_pipe_leaves_no_login_behind() {
    let home = Home::with(desk);
    let seen = home.run("login intercom --stdin");
    assert_eq!(seen.code, Some(1));
    assert!(seen.err.contains("standard input is empty"), "{}", seen.err);
    // the daemon is asked whether it has something worse to say
    let asked = home.asked();
    assert!(
        matches!(
            asked.as_slice(),
            [Request::Login(_), Request::LoginCancel { .. }]
        ),
        "{asked:?}"
    );
}

#[test]
fn without_browser_and_terminal_the_ways_out_are_named() {
    let home = Home::with(desk);
    let seen = home.run("login intercom");
    assert_eq!(seen.code, Some(1));
    assert!(seen.err.contains("--no-wait"), "{}", seen.err);
    // the daemon was asked first, so that a misspelt provider is named first; no login is left
    let asked = home.asked();
    assert!(
        matches!(asked.last(), Some(Request::LoginCancel { .. })),
        "{asked:?}"
    );
}

#[test]
fn a_login_that_is_not_waited_for_prints_session_and_link() {
    let seen = Home::with(desk).run("login intercom --no-wait");
    assert_eq!(
        seen.out,
        "session: session1\nurl: http://127.0.0.1:7998/x\n"
    );
    assert_eq!(seen.code, Some(0));
}

#[test]
fn ctrl_c_gives_the_login_up_at_the_daemon() {
    let home = Home::with(desk);
    let mut command = home.command("login intercom");
    // `setsid` without a fork execs in place, so the process is the client
    let child = command
        .env("BROWSER", "true")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    home.wait_for(|request| matches!(request, Request::LoginWait { .. }));
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let seen = Seen::of(child.wait_with_output().unwrap());
    assert_eq!(seen.code, Some(130), "{seen:?}");
    assert!(seen.err.contains("login cancelled"), "{}", seen.err);
    assert!(
        home.asked()
            .iter()
            .any(|request| matches!(request, Request::LoginCancel { .. }))
    );
}

#[test]
fn a_key_that_was_refused_ends_its_login() {
    let home = Home::with(|request| match request {
        Request::LoginSubmit { .. } => fail(ErrorCode::InvalidSecret, "the key has a line break"),
        other => desk(other),
    });
    let mut command = home.command("login intercom --from-env THE_KEY");
    let seen = Seen::of(command.env("THE_KEY", CANARY).output().unwrap());
    assert_eq!(seen.code, Some(1));
    assert!(
        home.asked()
            .iter()
            .any(|request| matches!(request, Request::LoginCancel { .. }))
    );
}
