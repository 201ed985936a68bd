//! Somebody else answers: forged callbacks, servers that mix themselves up with others, hostile
//! answers of every endpoint.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use authsome_tests::authority::{Agent, Endpoint, Fault, Faults, MockServer, parameter};
use authsome_tests::{Canary, Home, Output, wait_until};
use serde_json::{Value, json};

use crate::world::{PROVIDER, World, define, redirect_uri, text};

/// Begins a login by code of `provider`, as a client that is given.
fn begin(home: &Home, provider: &str, words: &[&str]) -> Value {
    let output = home
        .authsome(["login", provider, "--no-wait", "--json", "--stdin"])
        .args(["--client-id", "confidential"])
        .args(words)
        .stdin("a-client-secret")
        .output();
    output.succeeded().json()
}

fn resume(home: &Home, begun: &Value) -> Output {
    let session = text(begun, "session");
    home.authsome(["login", "--resume", session]).output()
}

/// Sends a request to the login's port as it stands; the answer's status.
fn raw(home: &Home, request: &str) -> u16 {
    let mut stream = TcpStream::connect(("127.0.0.1", home.login_port())).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // a server that hangs up early has said what there is to say
    let _read = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer
        .get(9..12)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

fn is_open(home: &Home) -> bool {
    TcpListener::bind(("127.0.0.1", home.login_port())).is_err()
}

/// That nothing is stored, and no definition was added.
fn nothing_is_stored(home: &Home, providers: &[&str]) {
    for provider in providers {
        let status = home
            .authsome(["get", provider, "--field", "status"])
            .output();
        assert_eq!(status.stdout, "", "{provider}");
    }
    let folder = home.path().join("providers");
    let files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    let known = |file: &PathBuf| {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        providers.contains(&name.as_str())
    };
    assert!(files.iter().all(known), "{files:?}");
}

#[test]
fn a_thousand_forged_callbacks_do_not_stop_a_login_o3() {
    let mut world = World::new(&["pkce"]);
    let client = world.authority.confidential().clone();
    let output = world
        .home
        .authsome(["login", PROVIDER, "--no-wait", "--json", "--stdin"])
        .args(["--client-id", &client.id])
        .stdin(client.secret.unwrap())
        .output();
    let begun = output.succeeded().json();
    let url = text(&begun, "url").to_owned();
    let state = parameter(&url, "state").unwrap();
    // another last character than it has, and one that 32 bytes in base64url can end with
    let last = if state.ends_with('A') { 'E' } else { 'A' };
    let near = format!("{}{last}", &state[..state.len() - 1]);
    let host = format!("127.0.0.1:{}", world.home.login_port());
    let forged = [
        format!("/callback/{PROVIDER}"),
        format!("/callback/{PROVIDER}?code=forged"),
        format!("/callback/{PROVIDER}?code=forged&state="),
        format!("/callback/{PROVIDER}?code=forged&state={near}"),
        format!("/callback/{PROVIDER}?code=forged&state={state}&state={near}"),
        format!("/callback/{PROVIDER}?error=access_denied"),
        format!("/callback/{PROVIDER}?error=access_denied&state={near}"),
        format!("/callback/{PROVIDER}/?code=forged&state={state}"),
        format!("/callback/other?code=forged&state={state}"),
        format!("/callback/{PROVIDER}?code=forged;state={state}"),
    ];
    for n in 0..1000 {
        let path = &forged[n % forged.len()];
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let status = raw(&world.home, &request);
        assert!((400..500).contains(&status), "{status} to {path}");
    }
    // the right state, but no browser that goes there
    let right = format!("/callback/{PROVIDER}?code=forged&state={state}");
    for request in [
        format!(
            "POST {right} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ),
        format!("GET {right} HTTP/1.1\r\nHost: evil.example.com\r\nConnection: close\r\n\r\n"),
        format!(
            "GET {right} HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Mode: no-cors\r\nConnection: close\r\n\r\n"
        ),
        format!(
            "GET {right} HTTP/1.1\r\nHost: {host}\r\nSec-Purpose: prefetch\r\nConnection: close\r\n\r\n"
        ),
    ] {
        let status = raw(&world.home, &request);
        assert!((400..500).contains(&status), "{status} to {request}");
    }
    assert!(world.authority.requests_to(Endpoint::Token).is_empty());
    world.authority.approve_and_return(&url).expect(303);
    world.resume(&begun).succeeded();
    world.watch();
    assert_eq!(world.call(), "200");
}

#[test]
fn the_real_callback_counts_once_o3() {
    let mut world = World::new(&["pkce"]);
    let client = world.authority.confidential().clone();
    world.log_in().succeeded();
    let begun = world.begin(&["--connection", "second"]);
    let back = world.authority.approve(text(&begun, "url"));
    let agent = world.authority.agent();
    let first = agent.get(&back).expect(303);
    for _ in 0..3 {
        agent.get(&back).expect(400);
    }
    let result = first.redirect().unwrap();
    assert!(agent.get(result.as_str()).body.contains("is connected"));
    // and its result is shown once
    assert!(!agent.get(result.as_str()).body.contains("is connected"));
    world.resume(&begun).succeeded();
    world.watch();
    assert_eq!(world.authority.requests_to(Endpoint::Token).len(), 2);
    assert_eq!(world.authority.codes_reused(), 0);
    assert_eq!(client.id, "confidential");
    assert_eq!(world.call(), "200");
}

/// An honest server, and a hostile one that a person was talked into.
fn two_servers(fields: &Value) -> (World, Faults, Home) {
    let mut world = World::new(&["pkce"]);
    let evil = Faults::start(&["evil.example.com"]);
    let home = Home::builder()
        .reaches(&world.authority)
        .reaches(&world.api)
        .reaches(&evil)
        .build();
    define(&home, PROVIDER, "api.example.com", &["pkce"], fields);
    let mut evils = json!({
        "authorization_url": "https://evil.example.com/auth",
        "token_url": "https://evil.example.com/token",
        "registration_endpoint": "https://evil.example.com/reg",
        "device_authorization_url": "https://evil.example.com/device/auth",
        "revocation_url": "https://evil.example.com/token/revocation",
        "issuer": "https://evil.example.com",
    });
    for (name, value) in fields.as_object().unwrap() {
        evils[name] = value.clone();
    }
    define(&home, "evil", "api.evil.example.com", &["pkce"], &evils);
    let uris = [redirect_uri(&home, PROVIDER), redirect_uri(&home, "evil")];
    // the worst case: the person registered both addresses for the same client
    world.authority.redirects_to(&[&uris[0], &uris[1]]);
    (world, evil, home)
}

#[test]
fn the_answer_of_one_server_is_never_given_to_another_o4() {
    let (world, evil, mut home) = two_servers(&json!({ "names_itself": true }));
    let at_evil = begin(&home, "evil", &[]);
    let honest = begin(&home, PROVIDER, &[]);
    let state = |begun: &Value| parameter(text(begun, "url"), "state").unwrap();

    // the hostile server sends the browser on to the honest one, with its own login's state
    let mut url = url::Url::parse(text(&honest, "url")).unwrap();
    let pairs: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| {
            let value = match &*name {
                "state" => state(&at_evil),
                "redirect_uri" => redirect_uri(&home, "evil"),
                _ => value.into_owned(),
            };
            (name.into_owned(), value)
        })
        .collect();
    url.query_pairs_mut().clear().extend_pairs(pairs);
    let back = world.authority.approve(url.as_str());
    assert!(back.contains("/callback/evil?"), "{back}");
    assert_eq!(
        parameter(&back, "iss").as_deref(),
        Some("https://auth.example.com")
    );
    let code = parameter(&back, "code").unwrap();
    home.watch(Canary::of(&code));
    // at the honest login's address that state means nothing
    let agent = world.authority.agent();
    agent
        .get(&back.replace("/callback/evil", "/callback/example"))
        .expect(400);
    agent.get(&back).expect(303);
    resume(&home, &at_evil)
        .exited(1)
        .said(&["cannot be trusted: another server answered"]);
    assert!(evil.requests().is_empty(), "{:?}", evil.requests());
    assert!(world.authority.requests_to(Endpoint::Token).is_empty());

    // the honest login waits on; an answer of the hostile server ends it, and the code goes nowhere
    let forged = format!(
        "{}?code=evils&state={}&iss=https%3A%2F%2Fevil.example.com",
        redirect_uri(&home, PROVIDER),
        state(&honest)
    );
    agent.get(&forged).expect(303);
    resume(&home, &honest)
        .exited(1)
        .said(&["cannot be trusted: another server answered"]);
    assert!(world.authority.requests_to(Endpoint::Token).is_empty());

    // a server that said that it names itself, and does not
    let silent = begin(&home, PROVIDER, &[]);
    let unnamed = format!(
        "{}?code=x&state={}",
        redirect_uri(&home, PROVIDER),
        state(&silent)
    );
    agent.get(&unnamed).expect(303);
    resume(&home, &silent)
        .exited(1)
        .said(&["did not name itself"]);
    assert!(world.authority.requests_to(Endpoint::Token).is_empty());
    nothing_is_stored(&home, &["evil", PROVIDER]);
}

#[test]
fn a_servers_name_is_compared_wherever_it_comes_o4() {
    let (world, evil, home) = two_servers(&json!({}));
    for iss in [
        "https://evil.example.com",
        "https://auth.example.com/",
        "HTTPS://AUTH.EXAMPLE.COM",
    ] {
        let begun = begin(&home, PROVIDER, &[]);
        let state = parameter(text(&begun, "url"), "state").unwrap();
        let iss: String = url::form_urlencoded::byte_serialize(iss.as_bytes()).collect();
        let uri = redirect_uri(&home, PROVIDER);
        let back = format!("{uri}?code=x&state={state}&iss={iss}");
        world.authority.agent().get(&back).expect(303);
        resume(&home, &begun)
            .exited(1)
            .said(&["cannot be trusted: another server answered"]);
    }
    assert!(world.authority.requests_to(Endpoint::Token).is_empty());
    assert!(evil.requests().is_empty());
    nothing_is_stored(&home, &["evil", PROVIDER]);
}

/// A hostile MCP server that is its own authorization server.
fn hostile() -> (Faults, Home) {
    let evil = Faults::start(&["evil.example.com"]);
    evil.always("/mcp", Fault::error(401, "invalid_token"));
    let client = json!({ "client_id": "mine", "token_endpoint_auth_method": "none" });
    evil.always("/reg", Fault::json(201, &client));
    let home = Home::builder().reaches(&evil).build();
    (evil, home)
}

/// A login by address that must not get anywhere; what it said.
fn fails(home: &Home) -> Output {
    let output = home
        .authsome(["login", "https://evil.example.com/mcp", "--no-wait"])
        .output()
        .exited(1);
    assert!(output.stderr.starts_with("error: "), "{output}");
    assert!(!output.stderr.contains(['\u{1b}', '\u{202e}']), "{output}");
    nothing_is_stored(home, &[]);
    assert!(
        !is_open(home),
        "no port is open for a login that did not begin"
    );
    output
}

#[test]
fn metadata_of_a_hostile_server_leads_nowhere_o5() {
    let (evil, home) = hostile();
    let long = "x".repeat(3000);
    for (patch, words) in [
        (
            json!({ "authorization_endpoint": "javascript:alert(1)" }),
            "authorization_endpoint",
        ),
        (
            json!({ "authorization_endpoint": "file:///etc/passwd" }),
            "authorization_endpoint",
        ),
        (
            json!({ "authorization_endpoint": "http://evil.example.com/auth" }),
            "authorization_endpoint",
        ),
        (
            json!({ "authorization_endpoint": "https://a@evil.example.com/auth" }),
            "authorization_endpoint",
        ),
        (
            json!({ "authorization_endpoint": format!("https://evil.example.com/{long}") }),
            "authorization_endpoint",
        ),
        (
            json!({ "token_endpoint": "http://evil.example.com/token" }),
            "token_endpoint",
        ),
        (json!({ "token_endpoint": 7 }), "token_endpoint"),
        (json!({ "token_endpoint": null }), "token_endpoint"),
        (
            json!({ "registration_endpoint": "http://127.0.0.1/reg" }),
            "registration_endpoint",
        ),
        (
            json!({ "issuer": "https://auth.example.com" }),
            "calls itself",
        ),
        (
            json!({ "issuer": "https://evil.example.com\u{1b}[2J\u{202e}" }),
            "calls itself",
        ),
        (
            json!({ "code_challenge_methods_supported": ["plain"] }),
            "PKCE",
        ),
        (json!({ "code_challenge_methods_supported": [] }), "PKCE"),
    ] {
        evil.metadata("evil.example.com", &patch);
        let output = fails(&home);
        assert!(output.stderr.contains(words), "{patch}: {output}");
    }
    assert!(
        evil.requests_for("/reg").is_empty(),
        "nobody registered there"
    );
    // answers that are none
    let place = "/.well-known/oauth-authorization-server";
    evil.metadata("evil.example.com", &json!({}));
    for fault in [
        Fault::raw(200, "application/json", "[".repeat(100_000)),
        Fault::raw(200, "application/json", " ").endless(),
        Fault::raw(200, "application/json", "{\"issuer\":").cut_after(3),
        Fault::closed(),
    ] {
        evil.always("/.well-known/openid-configuration", fault.clone());
        evil.always(place, fault);
        fails(&home);
    }
    // one that would lead elsewhere is not followed
    evil.always("/.well-known/openid-configuration", Fault::error(404, "no"));
    evil.always(
        place,
        Fault::redirect(302, "https://evil.example.com/elsewhere"),
    );
    fails(&home);
    assert!(evil.requests_for("/elsewhere").is_empty());
}

#[test]
fn servers_that_a_resource_names_must_be_good_addresses_o5() {
    let (evil, home) = hostile();
    let place = "/.well-known/oauth-protected-resource/mcp";
    for servers in [
        json!([]),
        json!(["javascript:alert(1)"]),
        json!(["http://auth.example.com"]),
        json!("https://auth.example.com"),
        json!([1, null]),
        // a hostile server would have us look behind the firewall
        json!(["https://127.0.0.1:1"]),
        json!(["https://localhost:1"]),
        json!(["https://169.254.169.254"]),
    ] {
        let metadata =
            json!({ "resource": "https://evil.example.com/mcp", "authorization_servers": servers });
        evil.always(place, Fault::json(200, &metadata));
        fails(&home);
    }
    // nor does its challenge lead anywhere else
    for address in [
        "http://evil.example.com/m",
        "https://127.0.0.1:1/m",
        "javascript:1",
    ] {
        let challenge = format!("Bearer resource_metadata=\"{address}\"");
        let refusal = Fault::error(401, "x").header("www-authenticate", &challenge);
        evil.always("/mcp", refusal);
        evil.always(place, Fault::error(404, "no"));
        fails(&home);
    }
}

#[test]
fn a_registration_that_makes_no_sense_is_refused_o5() {
    let (evil, home) = hostile();
    evil.metadata("evil.example.com", &json!({}));
    for (fault, words) in [
        (Fault::json(201, &json!({})), "client id"),
        (Fault::json(201, &json!({ "client_id": "" })), "client id"),
        (
            Fault::json(201, &json!({ "client_id": "a b\n" })),
            "client id",
        ),
        (
            Fault::json(201, &json!({ "client_id": "x".repeat(5000) })),
            "client id",
        ),
        (
            Fault::json(
                201,
                &json!({ "client_id": "a", "client_secret": "s", "token_endpoint_auth_method": "private_key_jwt" }),
            ),
            "not supported",
        ),
        (
            Fault::json(400, &json!({ "error": "invalid_redirect_uri" })),
            "invalid_redirect_uri",
        ),
        (Fault::raw(403, "text/html", "<h1>no</h1>"), "403"),
        (
            Fault::raw(201, "application/json", "x").endless(),
            "evil.example.com",
        ),
        (
            Fault::redirect(307, "https://evil.example.com/more"),
            "registering",
        ),
    ] {
        evil.always("/reg", fault);
        let output = fails(&home);
        assert!(output.stderr.contains("registering a client"), "{output}");
        assert!(output.stderr.contains(words), "{words}: {output}");
    }
}

#[test]
fn names_of_a_hostile_server_are_plain_text_o5() {
    let (evil, home) = hostile();
    evil.metadata("evil.example.com", &json!({}));
    let metadata = json!({
        "resource": "https://evil.example.com/mcp",
        "authorization_servers": ["https://evil.example.com"],
        "resource_name": "<script>alert(1)</script>\u{1b}[2J\u{202e}",
        "scopes_supported": ["<b>", "a b", "x\u{1b}[2J", "fine"],
    });
    evil.always(
        "/.well-known/oauth-protected-resource/mcp",
        Fault::json(200, &metadata),
    );
    let output = home
        .authsome(["login", "https://evil.example.com/mcp", "--no-wait"])
        .output()
        .succeeded();
    let said = format!("{}{}", output.stdout, output.stderr);
    assert!(!said.contains(['\u{1b}', '\u{202e}']), "{said:?}");
    let url = output
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("url: "))
        .unwrap();
    let scopes = parameter(url, "scope").unwrap();
    assert!(!scopes.contains('\u{1b}'), "{scopes:?}");
    nothing_is_stored(&home, &[]);
}

#[test]
fn device_answers_of_a_hostile_server_o5() {
    let (_world, evil, home) = two_servers(&json!({ "flows": ["device_code"] }));
    let good = json!({
        "device_code": "dc-hostile",
        "user_code": "ABCD-EFGH",
        "verification_uri": "https://evil.example.com/device",
        "verification_uri_complete": "https://evil.example.com/device?c=ABCD-EFGH",
        "expires_in": 60,
        "interval": 0,
    });
    let log_in = |patch: Value| {
        let mut answer = good.clone();
        for (name, value) in patch.as_object().unwrap() {
            answer[name] = value.clone();
        }
        evil.always("/device/auth", Fault::json(200, &answer));
        home.authsome([
            "login",
            "evil",
            "--no-wait",
            "--json",
            "--stdin",
            "--client-id",
            "c",
        ])
        .stdin("a-client-secret")
        .output()
    };
    for patch in [
        json!({ "verification_uri": "javascript:alert(1)" }),
        json!({ "verification_uri": "http://evil.example.com/device" }),
        json!({ "verification_uri": null }),
        json!({ "user_code": "" }),
        json!({ "user_code": "AB\u{1b}[2J" }),
        json!({ "user_code": "А".repeat(8) }),
        json!({ "user_code": "A".repeat(100) }),
        json!({ "device_code": "" }),
        json!({ "device_code": 3 }),
    ] {
        let output = log_in(patch.clone()).exited(1);
        assert!(output.stderr.contains("device code"), "{patch}: {output}");
    }
    // another host's page is left out; with no wait at all five seconds are waited
    let begun = log_in(json!({ "verification_uri_complete": "https://other.example.com/?c=1" }));
    let begun = begun.succeeded().json();
    assert_eq!(begun["url_with_code"], Value::Null, "{begun}");
    let since = Instant::now();
    evil.always("/token", Fault::error(400, "access_denied"));
    resume(&home, &begun).exited(1).said(&["access_denied"]);
    assert!(since.elapsed() > Duration::from_secs(4));
    assert_eq!(evil.requests_for("/token").len(), 1);
    nothing_is_stored(&home, &["evil", PROVIDER]);
}

#[test]
fn token_answers_that_make_no_sense_are_refused_and_nothing_is_stored() {
    let mock = MockServer::start();
    let mut home = Home::builder().reaches(&mock).build();
    let fields = json!({
        "authorization_url": "https://mock.example.com/authorize",
        "token_url": "https://mock.example.com/token",
        "revocation_url": "https://mock.example.com/revoke",
        "issuer": "https://mock.example.com",
    });
    define(&home, "mock", "api.example.com", &["pkce"], &fields);
    let agent = Agent::of(&mock);
    let log_in = |home: &Home, words: &[&str]| {
        let begun = begin(home, "mock", words);
        let (_, away) = agent.follow(text(&begun, "url"));
        agent.get(away.unwrap().as_str()).expect(303);
        resume(home, &begun)
    };
    let canary = home.watch(Canary::alphanumeric("at-hostile-"));
    let token = canary.secret();
    for (status, body, words) in [
        (200, json!({}), "makes no sense"),
        (
            200,
            json!({ "access_token": "", "token_type": "Bearer" }),
            "makes no sense",
        ),
        (
            200,
            json!({ "access_token": 7, "token_type": "Bearer" }),
            "makes no sense",
        ),
        (
            200,
            json!({ "access_token": format!("{token}\r\nx: y"), "token_type": "Bearer" }),
            "",
        ),
        (
            200,
            json!({ "access_token": token, "token_type": "mac" }),
            "makes no sense",
        ),
        (
            200,
            json!({ "error": "invalid_grant", "access_token": token }),
            "invalid_grant",
        ),
        (200, json!("access_token"), "makes no sense"),
        (
            400,
            json!({ "error": "invalid_grant", "error_description": format!("bad {token}") }),
            "[hidden]",
        ),
        (500, json!({ "error": "server_error" }), "status 500"),
        (302, json!({}), "makes no sense"),
    ] {
        mock.answer_next("token", status, &body);
        let output = log_in(&home, &[]).exited(1);
        assert!(output.stderr.starts_with("error: "), "{output}");
        assert!(output.stderr.contains(words), "{body}: {output}");
        nothing_is_stored(&home, &["mock"]);
    }
    // what is silly, but does no harm, is taken
    for (at, fields) in [
        json!({ "expires_in": -1 }),
        json!({ "expires_in": "3600" }),
        json!({ "expires_in": 1e300 }),
        json!({ "expires_in": [] }),
        json!({ "scope": 7 }),
        json!({ "token_type": "bearer" }),
    ]
    .iter()
    .enumerate()
    {
        mock.change_next("token", 200, fields);
        let output = log_in(&home, &["--connection", &format!("c{at}")]);
        assert_eq!(output.code(), Some(0), "{fields}: {output}");
    }
    let tokens: Vec<String> = mock
        .requests()
        .iter()
        .filter_map(|request| request.params.get("code").and_then(Value::as_str))
        .map(str::to_owned)
        .collect();
    assert!(tokens.len() >= 16, "{tokens:?}");
    for code in tokens {
        home.watch(Canary::of(&code));
    }
}

#[test]
fn a_port_that_is_taken_is_told_with_its_holder() {
    let world = World::new(&["pkce"]);
    let holder = TcpListener::bind(("127.0.0.1", world.home.login_port())).unwrap();
    let login = world.home.authsome(["login", PROVIDER, "--no-wait"]);
    let output = login.output().exited(1);
    let port = world.home.login_port().to_string();
    let pid = std::process::id().to_string();
    let output = output.said(&["port", &port, &pid]);
    drop(holder);
    assert!(!output.stdout.contains("http://"), "{output}");
    // nothing of it is left in the way
    world
        .home
        .authsome(["login", PROVIDER, "--no-wait"])
        .output()
        .succeeded();
}

#[test]
fn a_login_that_is_interrupted_closes_its_port_and_is_forgotten() {
    let evil = Faults::start(&["evil.example.com"]);
    let home = Home::builder().reaches(&evil).build();
    let fields = json!({
        "authorization_url": "https://evil.example.com/auth",
        "token_url": "https://evil.example.com/token",
        "issuer": null,
    });
    define(
        &home,
        "evil",
        "api.evil.example.com",
        &["pkce"],
        &without_nulls(fields),
    );
    evil.always("/token", Fault::silent());
    for answered in [false, true] {
        let login = home
            .authsome([
                "login",
                "evil",
                "--no-browser",
                "--stdin",
                "--client-id",
                "c",
            ])
            .stdin("a-client-secret")
            .spawn();
        let screen = login.wait_for_stderr("--resume");
        let at = screen.find("https://evil.example.com/auth?").unwrap();
        let url = screen[at..].split_whitespace().next().unwrap().to_owned();
        let at = screen.find("--resume ").unwrap();
        let session = screen[at..].split_whitespace().nth(1).unwrap().to_owned();
        assert!(is_open(&home));
        let asking = answered.then(|| {
            let state = parameter(&url, "state").unwrap();
            let back = format!("{}?code=x&state={state}", redirect_uri(&home, "evil"));
            let agent = Agent::of(&evil);
            let asking = std::thread::spawn(move || agent.get(&back));
            evil.wait_for_request("/token");
            asking
        });
        login.signal(nix::sys::signal::Signal::SIGINT);
        let output = login.wait();
        assert_ne!(output.code(), Some(0), "{output}");
        wait_until("the port to be closed", Duration::from_secs(20), || {
            !is_open(&home)
        });
        let resumed = home.authsome(["login", "--resume", &session]).output();
        assert_eq!(resumed.code(), Some(1), "{resumed}");
        nothing_is_stored(&home, &["evil"]);
        if let Some(asking) = asking {
            let reply = asking.join();
            assert!(reply.is_ok_and(|reply| reply.status < 500));
        }
    }
}

#[test]
fn logins_that_are_interrupted_before_they_begin_are_not_counted() {
    let (evil, home) = hostile();
    evil.metadata("evil.example.com", &json!({}));
    let client = json!({ "client_id": "mine", "token_endpoint_auth_method": "none" });
    // more than may wait at once
    for at in 1..=33 {
        evil.next("/reg", [Fault::silent()]);
        let words = ["login", "https://evil.example.com/mcp", "--no-wait"];
        let login = home.authsome(words).spawn();
        wait_until("the registration", Duration::from_secs(20), || {
            evil.requests_for("/reg").len() == at
        });
        login.signal(nix::sys::signal::Signal::SIGINT);
        assert_ne!(login.wait().code(), Some(0));
    }
    evil.always("/reg", Fault::json(201, &client));
    let words = ["login", "https://evil.example.com/mcp", "--no-wait"];
    home.authsome(words).output().succeeded();
}

fn without_nulls(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    value
}
