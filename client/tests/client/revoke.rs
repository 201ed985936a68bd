//! `revoke` and what became of it at the server.

use authsome_proto::response::{Forgotten, Provider, Providers, Revocation, Source};
use authsome_proto::{ErrorCode, Request, Response};

use crate::fake::{Answer, Home, connection, fail};

fn office(request: &Request, outcome: &dyn Fn(&str) -> Revocation) -> Answer {
    match request {
        Request::Revoke {
            provider,
            connection,
        } => {
            let name = connection
                .clone()
                .unwrap_or_else(|| "default".parse().unwrap());
            Some(Ok(Response::Forgotten(Forgotten {
                provider: provider.clone(),
                connections: vec![name.clone()],
                new_default: None,
                left: Vec::new(),
                default_changed: true,
                definition_removed: None,
                revocations: vec![(name.clone(), outcome(name.as_str()))],
            })))
        }
        Request::Connections => Some(Ok(Response::Connections(
            ["default", "team"]
                .map(|name| {
                    let mut one = connection("github");
                    one.connection = name.parse().unwrap();
                    one
                })
                .into(),
        ))),
        Request::Providers => Some(Ok(Response::Providers(Providers {
            providers: vec![Provider {
                provider: "github".parse().unwrap(),
                display_name: "GitHub".into(),
                auth: "oauth2".into(),
                source: Source::Bundled,
                not_yet: None,
                hosts: Vec::new(),
                variables: Vec::new(),
                key_pattern: None,
                key_hint: None,
                key_urls: vec!["https://github.com/settings/applications".into()],
                connections: 1,
                regions: Vec::new(),
                flows: Vec::new(),
                redirect_uri: None,
            }],
            problems: Vec::new(),
        }))),
        _ => fail(ErrorCode::BadRequest, "not in this test"),
    }
}

fn failed() -> Revocation {
    Revocation::Failed {
        reason: "github.com did not answer".into(),
    }
}

#[test]
fn a_revocation_that_worked_is_said() {
    let home = Home::with(|request| office(request, &|_| Revocation::Revoked));
    let seen = home.run("revoke github");
    assert_eq!(
        (seen.code, seen.out.as_str(), seen.err.as_str()),
        (
            Some(0),
            "removed: github (default)\nat the server: revoked (default)\n",
            ""
        )
    );
}

#[test]
fn a_provider_without_revocation_is_no_failure_and_the_place_is_named() {
    let home = Home::with(|request| office(request, &|_| Revocation::NotOffered));
    let seen = home.run("revoke github");
    assert_eq!(seen.code, Some(0));
    insta::assert_snapshot!(seen.out, @r"
    removed: github (default)
    at the server: the provider offers no way to revoke it from here; delete it at https://github.com/settings/applications
    ");
}

#[test]
fn a_server_that_did_not_revoke_is_a_failure_that_says_both() {
    let home = Home::with(|request| office(request, &|_| failed()));
    let seen = home.run("revoke github");
    assert_eq!(seen.code, Some(1));
    assert_eq!(seen.out, "removed: github (default)\n");
    insta::assert_snapshot!(seen.err, @r"
    error: github (default) is deleted here, but NOT revoked at the server
      caused by: github.com did not answer
    hint: it stays good there until it expires; revoke it at https://github.com/settings/applications
    ");
    let seen = home.run("--quiet revoke github");
    assert_eq!((seen.code, seen.out.as_str()), (Some(1), ""));
    assert!(seen.err.contains("NOT revoked"), "{}", seen.err);
    let seen = home.run("revoke github --json");
    assert_eq!(seen.code, Some(1));
    let object: serde_json::Value = serde_json::from_str(&seen.out).unwrap();
    assert_eq!(object["revocations"][0]["outcome"], "failed");
    assert_eq!(
        object["revocations"][0]["reason"],
        "github.com did not answer"
    );
    assert_eq!(
        object["revoke_at"],
        "https://github.com/settings/applications"
    );
    let error: serde_json::Value = serde_json::from_str(&seen.err).unwrap();
    assert!(error["error"]["message"].is_string());
}

#[test]
fn one_of_several_that_was_not_revoked_is_named() {
    let home = Home::with(|request| {
        office(request, &|name| {
            if name == "team" {
                Revocation::Revoked
            } else {
                failed()
            }
        })
    });
    let seen = home.run("revoke github --all");
    assert_eq!(seen.code, Some(1));
    assert_eq!(
        seen.out,
        "removed: github (default, team)\nat the server: revoked (team)\n"
    );
    assert!(
        seen.err
            .contains("github (default) is deleted here, but NOT revoked"),
        "{}",
        seen.err
    );
}
