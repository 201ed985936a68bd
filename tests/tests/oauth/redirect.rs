//! The redirect URI that is shown is the one that is served.

use authsome_tests::authority::parameter;

use crate::typist::Typist;
use crate::world::{PROVIDER, World, redirect_uri, text};

#[test]
fn the_redirect_uri_is_the_same_wherever_it_is_shown_and_it_is_served() {
    let mut world = World::new(&["pkce"]);
    let begun = world.begin(&[]);
    assert_eq!(begun["step"], "form", "{begun}");
    let shown = text(&begun, "redirect_uri").to_owned();
    assert_eq!(shown, redirect_uri(&world.home, PROVIDER));

    // the form
    let agent = world.authority.agent();
    let form = agent.get(text(&begun, "url")).expect(200);
    assert!(form.body.contains(&shown), "{form:?}");

    // lists, for people and for programs
    let list = world.home.authsome(["list", "--all", "--json"]).output();
    let list = list.succeeded().json().to_string();
    assert!(list.contains(&format!("\"redirect_uri\":\"{shown}\"")));

    // the terminal
    let typist = Typist::start(&world.home, "example --connection other");
    typist
        .sees("must be exactly")
        .sees(&shown)
        .sees("Client id");
    drop(typist);

    // what the server is told
    let output = world
        .home
        .authsome(["login", PROVIDER, "--no-wait", "--json", "--stdin"])
        .args(["--connection", "third", "--client-id", "confidential"])
        .stdin(world.authority.confidential().secret.clone().unwrap())
        .output()
        .succeeded()
        .json();
    assert_eq!(text(&output, "redirect_uri"), shown);
    let told = parameter(text(&output, "url"), "redirect_uri");
    assert_eq!(told.as_deref(), Some(shown.as_str()));

    // and it answers: to a stranger with a refusal, to the right one with the login
    agent.get(&shown).expect(400);
    world
        .authority
        .approve_and_return(text(&output, "url"))
        .expect(303);
    world.resume(&output).succeeded();
    world.watch();
}
