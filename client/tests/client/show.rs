//! Commands that ask and show.

use authsome_proto::response::{Forgotten, Providers};
use authsome_proto::{ErrorCode, Request, Response};

use crate::fake::{Answer, Home, Seen, connection, fail};

fn shelf(request: &Request) -> Answer {
    match request {
        Request::Connection { .. } => Some(Ok(Response::Connection(connection("intercom")))),
        Request::Connections => Some(Ok(Response::Connections(vec![connection("intercom")]))),
        Request::Providers => Some(Ok(Response::Providers(Providers {
            providers: Vec::new(),
            problems: Vec::new(),
        }))),
        Request::Inspect { .. } => Some(Ok(Response::Definition {
            json: "{\n  \"name\": \"intercom\"\n}".into(),
        })),
        Request::Remove { provider } => Some(Ok(Response::Forgotten(Forgotten {
            provider: provider.clone(),
            connections: vec!["default".parse().unwrap()],
            new_default: None,
            left: Vec::new(),
            default_changed: true,
            definition_removed: None,
            revocations: Vec::new(),
        }))),
        _ => fail(ErrorCode::BadRequest, "not in this test"),
    }
}

/// The seed's own check.
#[test]
fn the_status_field_of_a_connection_is_the_word_connected() {
    let seen = Home::with(shelf).run("get intercom --field status");
    assert_eq!(
        seen,
        Seen {
            code: Some(0),
            out: "connected\n".into(),
            err: String::new()
        }
    );
}

#[test]
fn a_list_is_a_table_for_people_and_an_object_for_programs() {
    let home = Home::with(shelf);
    insta::assert_snapshot!(home.run("list").out, @r"
    PROVIDER  CONNECTION  STATUS     SOURCE   LAST USED
    intercom  default *   connected  bundled  never
    ");
    let object: serde_json::Value = serde_json::from_str(&home.run("list --json").out).unwrap();
    assert_eq!(object["v"], 1);
    assert_eq!(object["connections"][0]["status"], "connected");
}

#[test]
fn a_definition_is_printed_and_nothing_else() {
    let seen = Home::with(shelf).run("inspect intercom");
    assert_eq!(seen.out, "{\n  \"name\": \"intercom\"\n}\n");
    assert_eq!(seen.err, "");
}

#[test]
fn removal_says_what_is_gone_and_quiet_says_nothing() {
    let home = Home::with(shelf);
    assert_eq!(
        home.run("remove intercom").out,
        "removed: intercom (default)\n"
    );
    assert_eq!(home.run("--quiet remove intercom").out, "");
}

#[test]
fn an_error_of_the_daemon_is_shown_whole_and_decides_the_exit_code() {
    let home = Home::with(|_| {
        Some(Err(authsome_proto::WireError::new(
            ErrorCode::UnknownProvider,
            "no provider named `git-hub`",
        )
        .hint(
            "did you mean `github`? `authsome list --all` lists them all",
        )))
    });
    let seen = home.run("get git-hub");
    assert_eq!(seen.code, Some(1));
    insta::assert_snapshot!(seen.err, @r"
    error: no provider named `git-hub`
    hint: did you mean `github`? `authsome list --all` lists them all
    ");
    let seen = home.run("get git-hub --json");
    let object: serde_json::Value = serde_json::from_str(&seen.err).unwrap();
    assert_eq!(object["error"]["code"], "unknown_provider");
    assert_eq!(seen.out, "");
}

#[test]
fn exit_codes_tell_usage_login_and_defect_apart() {
    assert_eq!(Home::new().run("get").code, Some(2));
    let code = |code| {
        Home::with(move |_| fail(code, "x"))
            .run("get intercom")
            .code
    };
    assert_eq!(code(ErrorCode::LoginNeeded), Some(4));
    assert_eq!(code(ErrorCode::UnknownConnection), Some(4));
    assert_eq!(code(ErrorCode::Internal), Some(70));
}

#[test]
fn secrets_are_not_printed_without_leave() {
    let home = Home::with(shelf);
    for line in ["get intercom --show-secret", "export intercom"] {
        let seen = home.run(line);
        assert_eq!((seen.code, seen.out.as_str()), (Some(1), ""), "{line}");
        assert!(seen.err.contains("--yes"), "{}", seen.err);
    }
    assert!(home.asked().is_empty());
}

#[test]
fn a_passphrase_that_nobody_can_be_asked_for_is_an_error_with_a_way_out() {
    let home = Home::with(|_| fail(ErrorCode::PassphraseNeeded, "the vault is locked"));
    let seen = home.run("get intercom");
    assert_eq!(seen.code, Some(1));
    assert!(seen.err.contains("authsome unlock --stdin"), "{}", seen.err);
}
