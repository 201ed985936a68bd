//! A program never speaks to the authorization server with a credential of ours (threat D14).

use authsome_tests::authority::{Api, Authority, Endpoint};
use authsome_tests::{Home, Output};
use serde_json::json;

use crate::world::{PROVIDER, World, define, redirect_uri};

/// A world whose API and token endpoint are one host.
fn one_host() -> World {
    let mut authority = Authority::start();
    let api = Api::start(&authority);
    let home = Home::builder().reaches(&authority).reaches(&api).build();
    authority.redirects_to(&[&redirect_uri(&home, PROVIDER)]);
    define(&home, PROVIDER, "auth.example.com", &["pkce"], &json!({}));
    let mut world = World {
        authority,
        api,
        home,
    };
    world.log_in().succeeded();
    world
}

fn curl(world: &World, words: &[&str]) -> Output {
    let run = world.home.run(["curl", "-sS", "-i"]).args(words).output();
    run.succeeded()
}

#[test]
fn a_program_cannot_reach_the_servers_endpoints_with_the_credential_d14() {
    let mut world = one_host();
    world.authority.forget();
    let body = "grant_type=refresh_token&refresh_token=authsome-proxy-managed";
    for path in [
        "/token",
        "/token/",
        "//token",
        "/./token",
        "/%74oken",
        "/x/../token",
        "/TOKEN",
        "/token?a=b",
        "/token/revocation",
        "/device/auth",
        "/reg",
        "/auth",
    ] {
        let url = format!("https://auth.example.com{path}");
        let answer = curl(&world, &["--path-as-is", "-d", body, &url]).stdout;
        assert!(answer.contains("HTTP/2 403"), "{path}: {answer}");
        assert!(
            answer.contains("oauth_endpoint") || answer.contains("bad_path"),
            "{path}: {answer}"
        );
    }
    let arrived = world.authority.requests();
    assert!(arrived.is_empty(), "{arrived:?}");

    // the rest of the host is the API
    let answer = curl(&world, &["https://auth.example.com/me"]).stdout;
    assert!(answer.contains(" 200"), "{answer}");
    let asked = world.authority.requests_to(Endpoint::Userinfo).remove(0);
    assert!(asked.headers["authorization"].starts_with("Bearer "));
    // and we ourselves go there: the login is given back
    world
        .home
        .authsome(["revoke", PROVIDER])
        .output()
        .succeeded();
    assert_eq!(world.authority.requests_to(Endpoint::Revocation).len(), 2);
    world.watch();
}
