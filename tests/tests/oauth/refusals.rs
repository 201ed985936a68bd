//! Logins that do not work: the exit code, the words, and that nothing is left of them.

use authsome_tests::authority::Endpoint;
use serde_json::json;

use crate::world::{PROVIDER, World, text};

/// That there is no connection.
fn nothing_is_stored(world: &World) {
    assert_eq!(world.field("status"), "", "there is no connection");
}

/// That there is neither a connection nor a waiting login's port.
fn nothing_is_left(world: &World) {
    nothing_is_stored(world);
    authsome_tests::wait_until(
        "the port to be closed",
        std::time::Duration::from_secs(15),
        || std::net::TcpListener::bind(("127.0.0.1", world.home.login_port())).is_ok(),
    );
}

/// Begins a login as the client with a secret.
fn begin(world: &World, secret: &str) -> serde_json::Value {
    let output = world
        .home
        .authsome(["login", PROVIDER, "--no-wait", "--json", "--stdin"])
        .args(["--client-id", &world.authority.confidential().id])
        .stdin(secret)
        .output()
        .succeeded();
    output.json()
}

#[test]
fn a_person_says_no() {
    let mut world = World::new(&["pkce"]);
    let begun = begin(
        &world,
        world.authority.confidential().secret.as_ref().unwrap(),
    );
    let back = world.authority.deny(text(&begun, "url"));
    let agent = world.authority.agent();
    let page = agent.get(&back).expect(303);
    let result = agent.get(page.redirect().unwrap().as_str());
    assert!(
        result.body.contains("The login to Example failed"),
        "{result:?}"
    );
    assert!(result.body.contains("access_denied"), "{result:?}");
    world.resume(&begun).exited(1).said(&[
        "refused at Example: access_denied",
        "start again with `authsome login example`",
    ]);
    assert!(world.authority.requests_to(Endpoint::Token).is_empty());
    nothing_is_left(&world);
    // the client was never used: it is asked for again
    let again = world.begin(&[]);
    assert_eq!(again["step"], "form", "{again}");
    world.watch();
}

#[test]
fn a_wrong_secret_is_told_with_the_way_to_enter_another() {
    let mut world = World::new(&["pkce"]);
    let output = world.log_in_as("confidential", "not-the-secret", &[]);
    output.exited(1).said(&[
        "getting tokens for `example` failed",
        "invalid_client",
        "`authsome login example --client-id ID`",
    ]);
    nothing_is_stored(&world);
    // it is not remembered, and the right one works
    world.log_in().succeeded();
    assert_eq!(world.call(), "200");
}

#[test]
fn a_redirect_uri_that_is_not_registered_is_told_by_the_server_and_the_login_can_be_cancelled() {
    let mut world = World::new(&["pkce"]);
    world
        .authority
        .redirects_to(&["http://127.0.0.1:1/callback/example"]);
    let secret = world.authority.confidential().secret.clone().unwrap();
    let login = world
        .home
        .authsome([
            "login",
            PROVIDER,
            "--no-browser",
            "--stdin",
            "--client-id",
            "confidential",
        ])
        .stdin(secret.as_str())
        .spawn();
    let screen = login.wait_for_stderr("code_challenge");
    let at = screen.find("https://auth.example.com/auth?").unwrap();
    let url = screen[at..].split_whitespace().next().unwrap();
    let (page, away) = world.authority.agent().follow(url);
    assert!(
        away.is_none(),
        "nobody is sent to an address that is not registered"
    );
    assert!(page.body.contains("redirect_uri"), "{page:?}");
    login.signal(nix::sys::signal::Signal::SIGINT);
    let output = login.wait();
    assert_ne!(output.code(), Some(0), "{output}");
    nothing_is_left(&world);
    world.watch();
}

#[test]
fn a_server_that_answers_with_an_unusual_error_is_quoted() {
    let mut world = World::new(&["pkce"]);
    let description = "the tenant \u{1b}[2J is\nlocked <b>now</b>";
    let body = json!({ "error": "temporarily_locked", "error_description": description });
    world.authority.fail_next(1, 400, &body);
    let output = world.log_in().exited(1);
    assert!(output.stderr.contains("temporarily_locked"), "{output}");
    assert!(output.stderr.contains("is locked <b>now</b>"), "{output}");
    assert!(!output.stderr.contains('\u{1b}'), "{output}");
    nothing_is_stored(&world);
}

#[test]
fn a_connection_is_not_replaced_unasked() {
    let mut world = World::new(&["pkce"]);
    world.log_in().succeeded();
    let output = world
        .home
        .authsome(["login", PROVIDER, "--no-wait"])
        .output();
    output.exited(1).said(&["--force"]);
    let begun = world.begin(&["--force"]);
    let page = world.authority.approve_and_return(text(&begun, "url"));
    assert_eq!(page.status, 303);
    let output = world.resume(&begun).succeeded();
    assert!(output.stdout.contains("replaced"), "{output}");
    world.watch();
    assert_eq!(world.call(), "200");
}
