//! Logging in on a terminal: hidden prompts, and what a person pastes from a browser elsewhere.

use authsome_tests::authority::{Endpoint, parameter};

use crate::typist::Typist;
use crate::world::{World, redirect_uri};

const AUTH: &str = "https://auth.example.com/auth?";

/// A person enters the client and gets to where the browser is waited for; its address.
fn enter_client(world: &World, typist: &Typist) -> String {
    let client = world.authority.confidential();
    typist
        .sees("must be exactly")
        .sees(&redirect_uri(&world.home, "example"))
        .sees("Client id for Example:")
        .types(&client.id)
        .sees("Client secret (hidden")
        .types(client.secret.as_ref().unwrap())
        .sees("is not shown");
    typist.address(AUTH)
}

#[test]
fn a_client_is_typed_and_the_address_that_the_browser_ended_at_is_pasted() {
    let mut world = World::new(&["pkce"]);
    let typist = Typist::log_in(&world.home);
    let url = enter_client(&world, &typist);
    let back = world.authority.approve(&url);
    let state = parameter(&url, "state").unwrap();
    let others = back.replace(&state, "0123456789abcdef");
    // each is refused with a reason, and the login waits on
    typist
        .types(&others)
        .sees("that address does not belong to this login")
        .sees("copy the whole address")
        .types("https://example.com/callback/example?code=x&state=y")
        .sees("that address does not belong to this login")
        .types("I clicked on allow")
        .sees("that address does not belong to this login")
        .types(&back)
        .sees("connected: example (default)");
    typist.ends().succeeded();
    assert_eq!(world.authority.requests_to(Endpoint::Token).len(), 1);
    world.watch();
    assert_eq!(world.call(), "200");
    assert_eq!(world.field("status"), "connected");
}

#[test]
fn a_bare_code_is_enough() {
    let mut world = World::new(&["pkce"]);
    let typist = Typist::log_in(&world.home);
    let url = enter_client(&world, &typist);
    let code = parameter(&world.authority.approve(&url), "code").unwrap();
    typist.types(&code).sees("connected: example (default)");
    typist.ends().succeeded();
    world.watch();
    assert_eq!(world.call(), "200");
}

#[test]
fn a_code_that_the_server_does_not_know_ends_the_login_with_a_reason() {
    let mut world = World::new(&["pkce"]);
    let typist = Typist::log_in(&world.home);
    enter_client(&world, &typist);
    typist.types("no-such-code").sees("invalid_grant");
    typist.ends().exited(1);
    world.watch();
    assert_eq!(world.field("status"), "");
}

#[test]
fn a_client_without_a_secret_is_entered_with_a_bare_enter() {
    let mut world = World::new(&["pkce"]);
    let typist = Typist::log_in(&world.home);
    typist
        .sees("Client id for Example:")
        .types(&world.authority.public().id)
        .sees("Enter if it has none")
        .types("")
        .sees("is not shown");
    let url = typist.address(AUTH);
    let page = world.authority.approve_and_return(&url);
    assert_eq!(page.status, 303, "{page:?}");
    typist.sees("connected: example (default)");
    typist.ends().succeeded();
    assert_eq!(world.authority.requests_to(Endpoint::Token)[0].auth, "none");
    world.watch();
    assert_eq!(world.call(), "200");
}

#[test]
fn an_address_is_handed_over_by_another_command() {
    let mut world = World::new(&["pkce"]);
    world.log_in().succeeded();
    let begun = world.begin(&["--connection", "second"]);
    let back = world.authority.approve(crate::world::text(&begun, "url"));
    let resume = |text: &str| {
        world
            .home
            .authsome(["login", "--stdin", "--resume"])
            .arg(crate::world::text(&begun, "session"))
            .stdin(text)
            .output()
    };
    resume("http://127.0.0.1:1/callback/example?code=x&state=y")
        .exited(1)
        .said(&["does not belong to this login"]);
    resume(&back).succeeded();
    world.watch();
    let list = world.home.authsome(["list"]).output().succeeded();
    assert!(list.stdout.contains("second"), "{list}");
}
