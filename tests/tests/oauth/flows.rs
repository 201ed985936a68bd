//! Each way to log in, and what is on the wire after it.

use std::process::Command;
use std::time::Duration;

use authsome_tests::authority::{Endpoint, parameter};
use serde_json::{Value, json};

use crate::world::{PROVIDER, World, text};

#[test]
fn a_login_by_code_puts_the_access_token_on_the_wire() {
    let mut world = World::new(&["pkce"]);
    let output = world.log_in().succeeded();
    assert!(output.stdout.contains("connected: example"), "{output}");
    assert_eq!(world.field("status"), "connected");
    assert_eq!(world.call(), "200");
    let bearers = world.api.bearers();
    assert_eq!(bearers.len(), 1);
    assert!(world.authority.is_active(bearers[0].as_ref().unwrap()));
    // the client is known now: nobody is asked again
    let begun = world.begin(&["--connection", "second"]);
    let page = world.authority.approve_and_return(text(&begun, "url"));
    assert_eq!(page.status, 303, "{page:?}");
    world.resume(&begun).succeeded();
    world.watch();
    let list = world.home.authsome(["list"]).output().succeeded();
    assert!(list.stdout.contains("second"), "{list}");
}

#[test]
fn a_client_proves_itself_as_the_definition_says() {
    for (client_auth, auth) in [
        ("body", "client_secret_post"),
        ("basic", "client_secret_basic"),
    ] {
        let mut world = World::with(&["pkce"], &json!({ "client_auth": client_auth }));
        let client = match client_auth {
            "basic" => world.authority.basic(),
            _ => world.authority.confidential(),
        }
        .clone();
        world
            .log_in_as(&client.id, client.secret.as_ref().unwrap(), &[])
            .succeeded();
        let request = world.authority.requests_to(Endpoint::Token).pop().unwrap();
        assert_eq!((request.auth.as_str(), request.status), (auth, Some(200)));
        let has_secret = request.params.contains_key("client_secret");
        assert_eq!(has_secret, client_auth == "body", "{request:?}");
        let asked = world
            .authority
            .requests_to(Endpoint::Authorization)
            .remove(0);
        assert_eq!(asked.params["code_challenge_method"], "S256");
        assert_eq!(world.call(), "200");
    }
}

#[test]
fn a_client_registers_itself_once() {
    let mut world = World::new(&["dcr_pkce"]);
    for connection in ["default", "second"] {
        let begun = world.begin(&["--connection", connection]);
        assert_eq!(begun["step"], "authorize", "{begun}");
        let page = world.authority.approve_and_return(text(&begun, "url"));
        assert_eq!(page.status, 303, "{page:?}");
        world.resume(&begun).succeeded();
        world.watch();
    }
    let registrations = world.authority.requests_to(Endpoint::Registration);
    assert_eq!(registrations.len(), 1, "{registrations:?}");
    let clients: Vec<_> = world
        .authority
        .requests_to(Endpoint::Token)
        .into_iter()
        .map(|request| request.client_id.unwrap())
        .collect();
    assert_eq!(clients.len(), 2);
    assert_eq!(clients[0], clients[1]);
    let registered = world.authority.client(&clients[0]).unwrap();
    let redirect_uri = crate::world::redirect_uri(&world.home, PROVIDER);
    assert_eq!(registered["redirect_uris"], json!([redirect_uri]));
    assert_eq!(world.call(), "200");
}

/// Logs in once, so that the client is known.
fn know_client(world: &mut World) {
    world.log_in_as_pkce();
}

impl World {
    fn log_in_as_pkce(&mut self) {
        let client = self.authority.confidential().clone();
        let secret = client.secret.unwrap();
        self.log_in_as(&client.id, &secret, &["--flow", "pkce"])
            .succeeded();
    }

    /// Begins a login by a device's code, for the client that is known.
    fn begin_device(&self) -> Value {
        let begun = self.begin(&["--flow", "device", "--connection", "device"]);
        assert_eq!(begun["step"], "device", "{begun}");
        begun
    }
}

#[test]
fn a_code_is_entered_on_another_device() {
    let mut world = World::new(&["pkce", "device_code"]);
    know_client(&mut world);
    world.authority.forget();
    let begun = world.begin_device();
    assert_eq!(text(&begun, "url"), "https://auth.example.com/device");
    let code = text(&begun, "user_code");
    let with_code = text(&begun, "url_with_code");
    assert_eq!(parameter(with_code, "user_code").as_deref(), Some(code));
    world.authority.approve_device(code);
    world.resume(&begun).succeeded();
    world.watch();
    // the server asked for one second; five are waited at least, so one question was enough (O5)
    assert_eq!(world.authority.requests_to(Endpoint::Token).len(), 1);
    let run = world
        .home
        .authsome(["run", "--connection", "example=device", "--"]);
    run.args(["curl", "-sSf", "https://api.example.com/things"])
        .output()
        .succeeded();
    let sent = world.api.bearers().pop().flatten().unwrap();
    assert!(world.authority.is_active(&sent));
}

#[test]
fn a_person_says_no_on_another_device() {
    let mut world = World::new(&["pkce", "device_code"]);
    know_client(&mut world);
    let begun = world.begin_device();
    world.authority.deny_device(text(&begun, "user_code"));
    world
        .resume(&begun)
        .exited(1)
        .said(&["refused at Example: access_denied"]);
    world.watch();
    let list = world.home.authsome(["list"]).output().succeeded();
    assert!(!list.stdout.contains("device"), "{list}");
}

#[test]
fn nobody_enters_the_code_in_time() {
    let mut world = World::new(&["pkce", "device_code"]);
    know_client(&mut world);
    world.authority.set_device_ttl(Duration::from_secs(2));
    let begun = world.begin_device();
    world.resume(&begun).exited(1).said(&[
        "the code for `example` was not entered in time",
        "start again with `authsome login example",
    ]);
    world.watch();
}

#[test]
fn a_program_logs_in_as_itself() {
    let mut world = World::with(&["pkce"], &json!({ "scopes": ["read"] }));
    let client = world.authority.confidential().clone();
    let log_in = |secret: &str, more: &[&str]| {
        let words = ["login", PROVIDER, "--flow", "client-credentials", "--stdin"];
        world
            .home
            .authsome(words)
            .args(more)
            .args(["--client-id", &client.id])
            .stdin(secret)
            .output()
    };
    log_in("wrong", &[])
        .exited(1)
        .said(&["invalid_client", "--client-id"]);
    assert_eq!(world.field("status"), "", "nothing is stored");
    log_in(client.secret.as_ref().unwrap(), &[]).succeeded();
    world.watch();
    let request = world.authority.requests_to(Endpoint::Token).pop().unwrap();
    assert_eq!(request.grant_type.as_deref(), Some("client_credentials"));
    assert_eq!(world.call(), "200");
    // nobody is asked the second time
    let again = ["login", PROVIDER, "--flow", "client-credentials", "--force"];
    world.home.authsome(again).output().succeeded();
    world.watch();
    assert_eq!(world.call(), "200");
}

/// An RSA key and its public half, PEM.
fn rsa_key() -> (String, String) {
    let openssl = |arguments: &[&str], stdin: &str| {
        use std::io::Write;
        let mut child = Command::new("openssl")
            .args(arguments)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut to = child.stdin.take().unwrap();
        to.write_all(stdin.as_bytes()).unwrap();
        drop(to);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let key = openssl(&["genpkey", "-algorithm", "RSA", "-outform", "PEM"], "");
    let public = openssl(&["pkey", "-pubout"], &key);
    (key, public)
}

#[test]
fn a_service_account_logs_in_with_its_key_file() {
    const EMAIL: &str = "robot@project.iam.example.com";
    let mut world = World::with(&["jwt_bearer"], &json!({ "scopes": ["read"] }));
    let (key, public) = rsa_key();
    let (_, others) = rsa_key();
    let file = |token_uri: &str| {
        json!({
            "type": "service_account",
            "client_email": EMAIL,
            "private_key_id": "1",
            "private_key": key,
            "token_uri": token_uri,
        })
        .to_string()
    };
    let good = file("https://auth.example.com/token");
    world.home.watch(authsome_tests::Canary::of(&key));
    let path = world.home.write("key.json", &good);
    let log_in = |more: &[&str], stdin: &str| {
        let login = world.home.authsome(["login", PROVIDER]).args(more);
        login.stdin(stdin).output()
    };
    // one that is for somebody else, one that is none, one that the server does not know
    log_in(&["--stdin"], &file("https://other.example.com/token"))
        .exited(1)
        .said(&["is not for `example`", "https://auth.example.com/token"]);
    log_in(&["--stdin"], "{}").exited(1).said(&["key file"]);
    world.authority.add_service_account(EMAIL, &others);
    log_in(&["--stdin"], &good)
        .exited(1)
        .said(&["invalid_grant"]);
    world.authority.add_service_account(EMAIL, &public);
    let path = path.to_str().unwrap();
    log_in(&["--key-file", path], "")
        .succeeded()
        .said(&["not needed any more"]);
    std::fs::remove_file(path).unwrap();
    log_in(&["--stdin", "--connection", "second"], &good).succeeded();
    assert_eq!(world.call(), "200");
    world.watch();
    let request = world.authority.requests_to(Endpoint::Token).pop().unwrap();
    assert!(request.grant_type.unwrap().ends_with("jwt-bearer"));
}

#[test]
fn other_scopes_are_asked_for_and_shown() {
    let mut world = World::new(&["pkce"]);
    let client = world.authority.confidential().clone();
    let secret = client.secret.unwrap();
    let scopes = ["--scopes", "openid,write", "--scopes", "offline_access"];
    let output = world.log_in_as(&client.id, &secret, &scopes).succeeded();
    let asked = world
        .authority
        .requests_to(Endpoint::Authorization)
        .remove(0);
    assert_eq!(asked.params["scope"], "openid write offline_access");
    assert!(output.stdout.contains("write"), "{output}");
    assert!(!output.stdout.contains("read"), "{output}");
    assert_eq!(world.call(), "200");
    let sent = world.api.bearers().pop().flatten().unwrap();
    let scope = world.authority.token(&sent).scope;
    assert!(
        scope.contains("write") && !scope.contains("read"),
        "{scope}"
    );
}
