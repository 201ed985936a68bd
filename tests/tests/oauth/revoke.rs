//! Giving tokens back (threat O9), forgetting them, forgetting the client.

use authsome_tests::Output;
use authsome_tests::authority::{Endpoint, Hold};
use serde_json::json;

use crate::world::{PROVIDER, World};

/// A world that is connected, with the tokens that are alive: access and refresh.
fn connected() -> (World, [String; 2]) {
    let mut world = World::new(&["pkce"]);
    world.log_in().succeeded();
    assert_eq!(world.call(), "200");
    let access = world.api.bearers().pop().flatten().unwrap();
    let refresh = world
        .authority
        .issued()
        .iter()
        .map(|canary| canary.secret().to_owned())
        .find(|secret| world.authority.token(secret).kind == "RefreshToken")
        .unwrap();
    assert!(world.authority.is_active(&access) && world.authority.is_active(&refresh));
    (world, [access, refresh])
}

fn forget(world: &World, command: &str) -> Output {
    world.home.authsome([command, PROVIDER]).output()
}

/// Whatever the server did, nothing of it is here any more.
fn gone_here(world: &World) {
    assert_eq!(world.field("status"), "");
    let run = world
        .home
        .authsome(["run", "--connection", PROVIDER, "--", "true"]);
    assert_ne!(run.output().code(), Some(0));
    // the client stays: it is used at the next login
    let begun = world.begin(&[]);
    assert_eq!(begun["step"], "authorize", "{begun}");
}

#[test]
fn tokens_are_revoked_the_refresh_token_first_o9() {
    let (mut world, [access, refresh]) = connected();
    let output = forget(&world, "revoke").succeeded();
    assert!(output.stdout.contains("at the server: revoked"), "{output}");
    let requests = world.authority.requests_to(Endpoint::Revocation);
    let sent: Vec<_> = requests
        .iter()
        .map(|request| {
            (
                request.params["token"].as_str(),
                request.params["token_type_hint"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        sent,
        [
            (refresh.as_str(), "refresh_token"),
            (access.as_str(), "access_token")
        ]
    );
    assert!(
        requests
            .iter()
            .all(|request| request.auth == "client_secret_post")
    );
    assert!(!world.authority.is_active(&access) && !world.authority.is_active(&refresh));
    gone_here(&world);
    world.watch();
}

#[test]
fn a_logout_leaves_the_tokens_alone_at_the_server_o9() {
    let (mut world, tokens) = connected();
    forget(&world, "logout").succeeded();
    assert!(world.authority.requests_to(Endpoint::Revocation).is_empty());
    assert!(tokens.iter().all(|token| world.authority.is_active(token)));
    gone_here(&world);
    world.watch();
}

#[test]
fn a_server_that_does_not_revoke_is_told_of_and_the_tokens_are_gone_here_o9() {
    let (mut world, tokens) = connected();
    let refused = json!({ "error": "unsupported_token_type", "error_description": "not here" });
    let cases: [(&str, u16, &serde_json::Value); 2] = [
        ("status 503", 503, &json!({})),
        ("unsupported_token_type (not here)", 400, &refused),
    ];
    for (words, status, body) in cases {
        world
            .authority
            .fail_next_at(Endpoint::Revocation, 2, status, &[], body);
        let output = forget(&world, "revoke").exited(1);
        let output = output.said(&["is deleted here, but NOT revoked at the server", words]);
        assert!(output.stdout.contains("removed: example"), "{output}");
        assert!(tokens.iter().all(|token| world.authority.is_active(token)));
        gone_here(&world);
        world.log_in().succeeded();
    }
    world.authority.set_reachable(false);
    forget(&world, "revoke")
        .exited(1)
        .said(&["NOT revoked at the server", "auth.example.com"]);
    world.authority.set_reachable(true);
    gone_here(&world);
    world.watch();
}

#[test]
fn a_server_that_never_answers_is_not_waited_for_long_o9() {
    let (mut world, _) = connected();
    world.authority.hold(Endpoint::Revocation, Hold::Request);
    let revoke = world.home.authsome(["revoke", PROVIDER]).spawn();
    world
        .authority
        .wait_for_held(Endpoint::Revocation, Hold::Request, 1);
    // gone before the server has said anything
    assert_eq!(world.field("status"), "");
    let output = revoke.wait().exited(1);
    let output = output.said(&["NOT revoked at the server", "no answer within 10 seconds"]);
    drop(output);
    world.authority.release(Endpoint::Revocation, Hold::Request);
    gone_here(&world);
    world.watch();
}

#[test]
fn a_program_reads_what_became_of_a_revocation_o9() {
    let (mut world, _) = connected();
    world
        .authority
        .fail_next_at(Endpoint::Revocation, 2, 503, &[], &json!({}));
    let output = world.home.authsome(["revoke", PROVIDER, "--json"]).output();
    let outcome = output.exited(1).json();
    let revocation = &outcome["revocations"][0];
    assert_eq!(revocation["outcome"], "failed", "{outcome}");
    assert!(revocation["reason"].as_str().unwrap().contains("503"));
    world.watch();
}

#[test]
fn a_provider_that_is_removed_forgets_its_client_too() {
    let (mut world, tokens) = connected();
    forget(&world, "remove").succeeded();
    assert!(!tokens.iter().any(|token| world.authority.is_active(token)));
    // its definition was custom, and went as well
    crate::world::define(
        &world.home,
        PROVIDER,
        "api.example.com",
        &["pkce"],
        &json!({}),
    );
    authsome_tests::wait_until("the definition", std::time::Duration::from_secs(10), || {
        world.home.authsome(["inspect", PROVIDER]).output().code() == Some(0)
    });
    let begun = world.begin(&[]);
    assert_eq!(
        (&begun["step"], &begun["asks"]),
        (&json!("form"), &json!("client"))
    );
    world.watch();
}
