//! What a person, or a program, is shown while a login goes on.

use super::*;

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
