//! What a program in a run may not do with a login (threat L3): plant a client of its own as the
//! user's, use the user's client without the user, replace what the user connected.

use authsome_tests::{Output, binaries};
use serde_json::json;

use crate::world::{PROVIDER, World, text};

/// `authsome` with these words, from inside a run.
fn inside(world: &World, words: &[&str], stdin: &str) -> Output {
    world
        .home
        .run([binaries::path("authsome")])
        .args(words)
        .stdin(stdin)
        .output()
}

fn is_refused(output: Output) -> Output {
    output.exited(1).said(&["inside a run"])
}

#[test]
fn a_program_in_a_run_plants_no_client_l3() {
    let world = World::new(&["pkce"]);
    let own = [
        "login",
        PROVIDER,
        "--no-wait",
        "--json",
        "--client-id",
        "mine",
        "--stdin",
    ];
    is_refused(inside(&world, &own, "a-secret"));
    // not by the page either: there is no client yet, and it would ask for one
    is_refused(inside(&world, &["login", PROVIDER, "--no-wait"], ""));
    assert_eq!(world.authority.requests().len(), 0);
}

#[test]
fn a_program_in_a_run_mints_no_token_with_the_users_client_l3() {
    let mut world = World::with(&["pkce", "client_credentials"], &json!({}));
    world.log_in().succeeded();
    let before = world.authority.requests().len();
    let machine = [
        "login",
        PROVIDER,
        "--connection",
        "mine",
        "--flow",
        "client_credentials",
    ];
    is_refused(inside(&world, &machine, ""));
    assert_eq!(world.authority.requests().len(), before);
}

#[test]
fn a_program_in_a_run_begins_a_login_only_beside_what_is_there_l3() {
    let mut world = World::new(&["pkce"]);
    world.log_in().succeeded();
    let replace = ["login", PROVIDER, "--no-wait", "--force"];
    is_refused(inside(&world, &replace, ""));
    // another connection, which a person approves
    let beside = [
        "login",
        PROVIDER,
        "--no-wait",
        "--json",
        "--connection",
        "b",
    ];
    let output = inside(&world, &beside, "").succeeded();
    let begun: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let page = world.authority.approve_and_return(text(&begun, "url"));
    assert_eq!(page.status, 303, "{page:?}");
    world.resume(&begun).succeeded();
    world.watch();
    assert_eq!(world.call(), "200");
}
