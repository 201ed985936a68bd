//! MCP servers, which are logged in to by their address.

use std::path::PathBuf;

use authsome_tests::authority::{Agent, Authority, Endpoint, Fault, Faults, Mcp, parameter};
use authsome_tests::{Home, Output};
use serde_json::{Value, json};

use crate::world::text;

const HOST: &str = "mcp.example.com";
const URL: &str = "https://mcp.example.com/mcp";

/// An MCP server and its authorization server.
struct World {
    authority: Authority,
    mcp: Mcp,
    home: Home,
}

impl World {
    fn new() -> Self {
        let authority = Authority::start();
        let mcp = Mcp::start(&authority);
        let home = Home::builder().reaches(&authority).reaches(&mcp).build();
        Self {
            authority,
            mcp,
            home,
        }
    }

    fn begin(&self, words: &[&str]) -> Value {
        let login = self.home.authsome(["login", URL, "--no-wait", "--json"]);
        login.args(words).output().succeeded().json()
    }

    fn resume(&self, begun: &Value) -> Output {
        let session = text(begun, "session");
        self.home.authsome(["login", "--resume", session]).output()
    }

    fn log_in(&mut self, words: &[&str]) {
        let begun = self.begin(words);
        self.authority
            .approve_and_return(text(&begun, "url"))
            .expect(303);
        self.resume(&begun).succeeded();
        self.watch();
    }

    fn watch(&mut self) {
        for canary in self.authority.issued() {
            self.home.watch(canary);
        }
    }

    fn definition(&self) -> PathBuf {
        definition(&self.home, HOST)
    }

    /// Calls a path of the server under a run; the status.
    fn call(&self, path: &str) -> String {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize" }).to_string();
        self.home
            .run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-d"])
            .arg(body)
            .arg(format!("https://{HOST}{path}"))
            .output()
            .succeeded()
            .stdout
    }
}

fn definition(home: &Home, host: &str) -> PathBuf {
    home.path().join("providers").join(format!("{host}.json"))
}

/// That a login by address failed, and left nothing.
fn refused(home: &Home, url: &str, words: &[&str]) {
    let host = url.split('/').nth(2).unwrap();
    let output = home.authsome(["login", url, "--no-wait"]).output();
    output.exited(1).said(words);
    assert!(!definition(home, host).exists(), "a definition was left");
    let list = home.authsome(["list"]).output().succeeded();
    assert!(!list.stdout.contains(host), "{list}");
}

#[test]
fn a_server_is_logged_in_to_by_its_address() {
    let mut world = World::new();
    let begun = world.begin(&[]);
    assert_eq!(begun["step"], "authorize", "{begun}");
    assert!(
        !world.definition().exists(),
        "before it works nothing is kept"
    );
    let asked = text(&begun, "url");
    assert_eq!(parameter(asked, "resource").as_deref(), Some(URL));
    world.authority.approve_and_return(asked).expect(303);
    world.resume(&begun).succeeded();
    world.watch();
    assert!(world.definition().exists());
    assert_eq!(world.authority.requests_to(Endpoint::Registration).len(), 1);

    assert_eq!(world.call("/mcp"), "200");
    let sent = world.mcp.requests().pop().unwrap().bearer.unwrap();
    assert_eq!(world.authority.token(&sent).audience, [URL]);
    // nothing but that path gets it
    let arrived = world.mcp.requests().len();
    for path in [
        "/",
        "/mcp2",
        "/other/mcp",
        "/.well-known/oauth-protected-resource/mcp",
    ] {
        assert_eq!(world.call(path), "403", "{path}");
    }
    assert_eq!(
        world.mcp.requests().len(),
        arrived,
        "a host with a route has no other way"
    );
    assert_eq!(world.call("/mcp/"), "404");
}

#[test]
fn the_second_login_uses_what_the_first_one_found() {
    let mut world = World::new();
    world.log_in(&[]);
    let looked = world.mcp.requests().len();
    // one account is there already
    let again = world.home.authsome(["login", URL, "--no-wait"]).output();
    again.exited(1).said(&["--force"]);
    world.log_in(&["--connection", "second"]);
    world.log_in(&["--force"]);
    assert_eq!(world.mcp.requests().len(), looked, "it is not asked again");
    assert_eq!(world.authority.requests_to(Endpoint::Registration).len(), 1);
    assert_eq!(world.call("/mcp"), "200");
    // by its name, too
    let begun = world
        .home
        .authsome([
            "login",
            HOST,
            "--no-wait",
            "--json",
            "--connection",
            "third",
        ])
        .output()
        .succeeded()
        .json();
    assert_eq!(begun["step"], "authorize", "{begun}");
}

#[test]
fn nothing_is_kept_of_a_login_that_fails() {
    let mut world = World::new();
    let begun = world.begin(&[]);
    let back = world.authority.deny(text(&begun, "url"));
    world.authority.agent().get(&back).expect(303);
    world
        .resume(&begun)
        .exited(1)
        .said(&["access_denied", &format!("authsome login {URL}")]);
    assert!(!world.definition().exists());
    // and it can be tried again, as the same client
    world.log_in(&[]);
    assert_eq!(world.authority.requests_to(Endpoint::Registration).len(), 1);
    assert_eq!(world.call("/mcp"), "200");
}

#[test]
fn the_well_known_place_is_looked_at_without_a_challenge() {
    let mut world = World::new();
    world.mcp.set_challenge(None);
    world.log_in(&[]);
    assert_eq!(world.call("/mcp"), "200");
}

#[test]
fn a_server_that_says_nothing_of_itself_is_told_of() {
    let world = World::new();
    world.mcp.set_challenge(None);
    world.mcp.set_metadata(None);
    refused(&world.home, URL, &["has no metadata", "status 404"]);
    // it said where, and there is none
    world.mcp.set_challenge(Some(
        "Bearer resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\"",
    ));
    refused(&world.home, URL, &["what it says of itself"]);
}

#[test]
fn metadata_about_another_resource_is_refused() {
    let world = World::new();
    for other in [
        "https://other.example.com/mcp",
        "https://mcp.example.com/mc",
        "https://mcp.example.com/mcp/inner",
        "http://mcp.example.com/mcp",
    ] {
        let metadata = json!({
            "resource": other,
            "authorization_servers": [world.authority.issuer()],
        });
        world.mcp.set_metadata(Some(metadata));
        refused(&world.home, URL, &["it is about", "not about"]);
    }
    assert!(
        world
            .authority
            .requests_to(Endpoint::Registration)
            .is_empty()
    );
}

#[test]
fn a_host_that_belongs_to_a_provider_and_an_address_without_https_are_refused() {
    let home = Home::new();
    refused(
        &home,
        "https://api.github.com/mcp",
        &[
            "belongs to the provider `github`",
            "`authsome login github`",
        ],
    );
    let output = home
        .authsome(["login", "http://mcp.example.com/mcp"])
        .output();
    output.exited(2).said(&["only https:// is taken"]);
}

#[test]
fn a_connection_is_not_replaced_from_inside_a_run() {
    let mut world = World::new();
    world.log_in(&[]);
    let script = format!("authsome login {URL} --force --no-wait");
    let output = world.home.run_shell(&script).output();
    output.exited(1).said(&["inside a run"]);
    let script = "authsome login mcp.example.com --force --no-wait";
    let output = world.home.run_shell(script).output();
    output.exited(1).said(&["inside a run"]);
    assert_eq!(world.call("/mcp"), "200");
}

#[test]
fn a_server_from_before_the_standard_guards_itself() {
    let old = Faults::start(&["old.example.com"]);
    let challenge = Fault::error(401, "invalid_token").header("www-authenticate", "Bearer");
    old.always("/", challenge);
    old.metadata(
        "old.example.com",
        &json!({ "authorization_response_iss_parameter_supported": null }),
    );
    let client = json!({ "client_id": "made-for-you", "token_endpoint_auth_method": "none" });
    old.always("/reg", Fault::json(201, &client));
    let token = authsome_tests::Canary::alphanumeric("at-");
    let refresh = authsome_tests::Canary::alphanumeric("rt-");
    old.always(
        "/token",
        Fault::token(token.secret(), refresh.secret(), 3600),
    );
    let mut home = Home::builder().reaches(&old).build();
    home.watch(token.clone());
    home.watch(refresh);
    let begun = home
        .authsome(["login", "https://old.example.com/", "--no-wait", "--json"])
        .output()
        .succeeded()
        .json();
    let url = text(&begun, "url");
    assert!(url.starts_with("https://old.example.com/auth?"), "{url}");
    let state = parameter(url, "state").unwrap();
    let back = format!("{}?code=one&state={state}", text(&begun, "redirect_uri"));
    Agent::of(&old).get(&back).expect(303);
    home.authsome(["login", "--resume", text(&begun, "session")])
        .output()
        .succeeded();
    let asked = old.requests_for("/token").pop().unwrap();
    assert_eq!(asked.field("client_id").as_deref(), Some("made-for-you"));
    assert_eq!(asked.field("code").as_deref(), Some("one"));
    old.always("/", Fault::json(200, &json!({})));
    home.run(["curl", "-sS", "https://old.example.com/"])
        .output()
        .succeeded();
    let sent = old.requests_for("/").pop().unwrap();
    let bearer = format!("Bearer {}", token.secret());
    assert_eq!(sent.header("authorization"), Some(bearer.as_str()));
}
