//! What is typed and pasted at a terminal.

use super::*;

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
