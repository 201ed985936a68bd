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
    ] {
        let url = format!("https://auth.example.com{path}");
        let answer = curl(&world, &["--path-as-is", "-d", body, &url]).stdout;
        // tricks with the path are refused as such, before anybody asks what it leads to
        let refused = ["HTTP/2 403", "HTTP/2 400"]
            .iter()
            .any(|it| answer.contains(it));
        let why = ["oauth_endpoint", "bad_path"]
            .iter()
            .any(|it| answer.contains(it));
        assert!(refused && why, "{path}: {answer}");
    }
    let arrived = world.authority.requests();
    assert!(arrived.is_empty(), "{arrived:?}");

    // the rest of the host is the API
    let answer = curl(&world, &["https://auth.example.com/me"]).stdout;
    assert!(answer.contains("HTTP/2 200"), "{answer}");
    assert!(answer.contains("\"sub\""), "it took the token: {answer}");
    // and we ourselves go there: the login is given back
    world
        .home
        .authsome(["revoke", PROVIDER])
        .output()
        .succeeded();
    assert_eq!(world.authority.requests_to(Endpoint::Revocation).len(), 2);
    world.watch();
}

/// A client that sends its body while the answer is on its way must see the answer.
#[test]
fn a_refusal_arrives_whole_by_http_2_though_the_request_has_a_body() {
    let mut world = one_host();
    // a refusal that needs no thinking comes before the body does, now and then
    let script = "for n in $(seq 60); do \
                  curl -sS -o /dev/null -w '%{http_code} ' -d a=b --path-as-is \
                  https://auth.example.com/./token || exit; done";
    let output = world.home.run_shell(script).output().succeeded();
    assert_eq!(output.stdout, "400 ".repeat(60));
    world.watch();
}
