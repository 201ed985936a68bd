//! What is handed over without a terminal: standard input, files, variables.

use super::*;

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
