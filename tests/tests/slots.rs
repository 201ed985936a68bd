//! Where credentials go that are no plain keys: a website's session, tokens beside the endpoints that
//! gave them out (D14), tokens of a person's own server.
//!
//! The connections are put where a login leaves them, before the daemon starts: what is shown here
//! does not depend on how people log in.

use authsome_proto::Secret;
use authsome_tests::authority::{Authority, Endpoint};
use authsome_tests::{Canary, Home, LiveRun, StandIn};
use authsomed::connections::{ConnectionRecord, ConnectionState, Connections};
use authsomed::vault::{ItemKey, PassphraseWish, StoreChoice, StoredItem, Vault};
use serde_json::{Value, json};

/// Stores a connection as its login does.
fn store(home: &Home, provider: &str, secret: &str, hosts: &[&str], base_url: Option<&str>) {
    let provider: authsome_proto::ProviderName = provider.parse().unwrap();
    let connection = authsome_proto::ConnectionName::default_name();
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let key = ItemKey::Connection {
        provider: provider.clone(),
        connection: connection.clone(),
    };
    let item = StoredItem {
        secret: Secret::new(secret.to_owned()),
        hosts: hosts.clone(),
        stored_at: "2026-01-01T00:00:00Z".into(),
        grant: None,
    };
    let vault = Vault::open(
        &home.path(),
        "test",
        StoreChoice::File,
        PassphraseWish::None,
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(vault.put(&key, item)).unwrap();
    let (connections, _) = Connections::open(&home.path()).unwrap();
    connections
        .insert(ConnectionRecord {
            provider,
            connection,
            state: ConnectionState::Connected,
            created_at: "2026-01-01T00:00:00Z".into(),
            rotated_at: None,
            last_used: None,
            hosts,
            account: None,
            region: None,
            base_url: base_url.map(str::to_owned),
            grant: None,
        })
        .unwrap();
}

fn explain(home: &Home, words: &[&str]) -> Value {
    let mut all = vec!["explain", "--json"];
    all.extend(words);
    home.authsome(all).output().succeeded().json()
}

fn outcome(said: &Value) -> String {
    let word = said["code"].as_str().or(said["outcome"].as_str());
    word.unwrap().to_owned()
}

const X: [&str; 4] = ["x.com", "api.x.com", "twitter.com", "api.twitter.com"];

/// D8, D9: a program sends its own idea of every place of a session; the site gets ours, once
#[test]
fn a_websites_session_fills_all_its_places_once() {
    let stand_in = StandIn::start(&X);
    let home = Home::with(&stand_in);
    let token = home.canary();
    let secret = format!("auth_token={}; ct0=c5rf", token.secret());
    store(&home, "x-browser", &secret, &X, None);
    let run = LiveRun::start(&home, &[]);
    for variable in ["X_AUTH_TOKEN", "X_CT0"] {
        assert_eq!(run.variable(variable), "authsome-proxy-managed");
    }
    for host in X {
        stand_in.forget();
        let request = format!(
            "POST /i/api/1.1/x HTTP/1.1\r\nHost: {host}\r\nX_Csrf_Token: evil\r\n\
             Cookie: auth_token=authsome-proxy-managed; ct0=evil\r\nX-Csrf-Token: evil\r\n\
             Cookie: auth_multi=evil\r\nConnection: cookie, x-csrf-token\r\n\
             x-twitter-active-user: no\r\nX-CSRF-Token: evil2\r\nx-mine: kept\r\n\
             Content-Length: 0\r\n\r\n"
        );
        let answer = run.proxy().ask(host, &request).unwrap();
        assert_eq!(answer.code(), None, "{}", answer.text);
        let seen = stand_in.last();
        for (name, values) in [
            ("cookie", vec![secret.as_str()]),
            ("x-csrf-token", vec!["c5rf"]),
            ("x_csrf_token", vec![]),
            ("x-twitter-active-user", vec!["yes"]),
            ("x-twitter-client-language", vec!["en"]),
            ("x-mine", vec!["kept"]),
        ] {
            assert_eq!(seen.header(name), values, "{name} at {host}");
        }
        assert!(
            !seen.holds("evil") && !seen.holds("authsome-proxy"),
            "{seen:?}"
        );
    }
    let slot = "cookies `auth_token`, `ct0`; headers `x-csrf-token`, `x-twitter-active-user`, `x-twitter-client-language`";
    let said = explain(&home, &["GET", "https://x.com/home"]);
    assert_eq!(said["slot"], slot);
    let got = home
        .authsome(["get", "x-browser", "--json"])
        .output()
        .succeeded();
    assert_eq!(got.json()["slot"], slot);
    drop(run);
    assert_eq!(home.search(), []);
}

/// What people paste is what goes on the wire, and a session that is none is refused unrepeated.
#[test]
fn a_session_that_is_pasted_is_checked_and_used() {
    let hosts = ["www.linkedin.com", "linkedin.com"];
    let stand_in = StandIn::start(&hosts);
    let home = Home::with(&stand_in);
    let token = home.canary();
    let login = |text: String| {
        let words = ["login", "linkedin-browser", "--stdin"];
        home.authsome(words).stdin(text).output()
    };
    for bad in [
        format!("li_at={}", token.secret()),
        format!("li_at={}; JSESSIONID=a\\b", token.secret()),
    ] {
        let refused = login(bad).exited(1);
        assert!(refused.stderr.contains("JSESSIONID"), "{}", refused.stderr);
        assert!(!refused.stderr.contains(token.secret()));
    }
    login(format!(
        "li_at={}\nJSESSIONID=\"ajax:12\"\n",
        token.secret()
    ))
    .succeeded();
    let run = LiveRun::start(&home, &[]);
    for variable in ["LINKEDIN_LI_AT", "LINKEDIN_JSESSIONID"] {
        assert_eq!(run.variable(variable), "authsome-proxy-managed");
    }
    let answer = run
        .proxy()
        .get("www.linkedin.com", "/voyager/api/me")
        .unwrap();
    assert_eq!(answer.code(), None, "{}", answer.text);
    let seen = stand_in.last();
    let cookies = format!("li_at={}; JSESSIONID=\"ajax:12\"", token.secret());
    assert_eq!(seen.header("cookie"), [cookies.as_str()]);
    assert_eq!(seen.header("csrf-token"), ["ajax:12"]);
    let got = home
        .authsome(["get", "linkedin-browser", "--json"])
        .output();
    let expires = got.succeeded().json()["expires_at"].clone();
    assert!(
        expires.as_str().is_some_and(|at| at.starts_with("20")),
        "{expires}"
    );
    drop(run);
    assert_eq!(home.search(), []);
}

/// A session whose definition wants more than was stored is no credential.
#[test]
fn a_session_that_lacks_a_cookie_needs_a_login() {
    let stand_in = StandIn::start(&X);
    let home = Home::with(&stand_in);
    store(&home, "x-browser", "auth_token=t", &X, None);
    let run = LiveRun::start(&home, &[]);
    let answer = run.proxy().get("x.com", "/home").unwrap();
    assert_eq!(answer.code(), Some("login_needed"), "{}", answer.text);
    assert!(stand_in.requests().is_empty());
}

/// D14
#[test]
fn a_program_never_reaches_a_token_endpoint_with_a_credential() {
    let hosts = ["slack.com", "a.klaviyo.com", "api.notion.com"];
    let stand_in = StandIn::start(&hosts);
    let mut home = Home::with(&stand_in);
    let token = home.canary();
    store(&home, "slack", token.secret(), &["slack.com"], None);
    // its host is that of another definition's endpoint, which is not connected
    let key = home.watch(Canary::new());
    store(&home, "klaviyo", key.secret(), &["a.klaviyo.com"], None);
    let run = LiveRun::start(&home, &[]);
    for (host, method, path) in [
        ("slack.com", "POST", "/api/oauth.v2.access"),
        ("slack.com", "GET", "/api/oauth.v2.access"),
        ("slack.com", "POST", "/api/oauth.v2.access?client_id=1"),
        ("slack.com", "POST", "/API/OAuth.v2.Access"),
        ("slack.com", "POST", "/api%2foauth.v2.access"),
        ("slack.com", "POST", "/api/oauth%252ev2.access"),
        ("slack.com", "POST", "//api/oauth.v2.access"),
        ("slack.com", "POST", "/api/oauth.v2.access/"),
        ("slack.com", "POST", "/api/oauth.v2.access;x=1"),
        ("slack.com", "POST", "/api/oauth.v2.access.json"),
        ("slack.com", "POST", "/api/auth.revoke"),
        ("a.klaviyo.com", "POST", "/oauth/token"),
        ("a.klaviyo.com", "POST", "/oauth/revoke"),
    ] {
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
        let answer = run.proxy().ask(host, &request).unwrap();
        assert_eq!(answer.status, 403, "{method} {host}{path}: {}", answer.text);
        assert_eq!(
            answer.code(),
            Some("oauth_endpoint"),
            "{method} {host}{path}"
        );
        let url = format!("https://{host}{path}");
        for words in [&["--run", run.id(), method, &url][..], &[method, &url]] {
            assert_eq!(
                outcome(&explain(&home, words)),
                "oauth_endpoint",
                "{words:?}"
            );
        }
    }
    assert!(stand_in.requests().is_empty());
    for (host, path) in [
        ("slack.com", "/api/chat.postMessage"),
        ("slack.com", "/oauth/v2/authorize"),
        ("a.klaviyo.com", "/api/oauth/token"),
    ] {
        let answer = run.proxy().get(host, path).unwrap();
        assert_eq!(answer.code(), None, "{host}{path}: {}", answer.text);
        assert_eq!(
            stand_in.last().header("authorization").len(),
            1,
            "{host}{path}"
        );
    }
    let log = home.authsome(["log", "--json"]).output().succeeded();
    let text = log.stdout.clone();
    assert!(text.contains("\"code\":\"oauth_endpoint\""), "{text}");
}

const OWN: &str = "github.corp.example";
const PUBLIC: &str = "api.github.com";

/// What a login with `--base-url` stores is what its routes need, and nothing is asked elsewhere.
#[test]
fn a_login_at_an_own_server_is_for_that_server() {
    let authority = Authority::builder()
        .names(&[OWN])
        .routes(json!({ "token": "/login/oauth/access_token" }))
        .start();
    let home = Home::builder().reaches(&authority).build();
    let client = authority.confidential();
    let words = [
        "login",
        "github",
        "--base-url",
        "https://GitHub.Corp.Example/",
        "--flow",
        "client_credentials",
        "--scopes",
        "read",
        "--client-id",
        &client.id,
        "--stdin",
    ];
    let secret = client.secret.clone().unwrap();
    home.authsome(words).stdin(secret).output().succeeded();
    assert_eq!(authority.requests_to(Endpoint::Token).len(), 1);
    let listed = home.authsome(["list", "--json"]).output().succeeded();
    let connection = listed.json()["connections"][0].clone();
    assert_eq!(connection["base_url"], "https://github.corp.example");
    assert_eq!(connection["hosts"], json!(["github.corp.example/api/**"]));
    assert_eq!(connection["unconfirmed_hosts"], json!([]));
    for (url, expected) in [
        ("https://github.corp.example/api/v3/user", "inject"),
        (
            "https://github.corp.example/login/oauth/access_token",
            "oauth_endpoint",
        ),
        ("https://api.github.com/user", "tunnel"),
    ] {
        assert_eq!(outcome(&explain(&home, &["GET", url])), expected, "{url}");
    }
}

fn own_server() -> (StandIn, Home) {
    let stand_in = StandIn::start(&[OWN, PUBLIC]);
    let home = Home::with(&stand_in);
    let token = home.canary();
    store(
        &home,
        "github",
        token.secret(),
        &["github.corp.example/api/**"],
        Some("https://github.corp.example"),
    );
    (stand_in, home)
}

fn asked(run: &LiveRun, path: &str) -> String {
    let answer = run.proxy().get(OWN, path).unwrap();
    match answer.code() {
        Some(code) => code.to_owned(),
        None => "arrived".to_owned(),
    }
}

#[test]
fn an_address_that_is_no_server_of_the_provider_is_refused_at_the_login() {
    let home = Home::new();
    for (provider, address, said) in [
        ("slack", "https://slack.corp.example", "at one place only"),
        ("reddit", "https://reddit.corp.example", "at one place only"),
        ("github", "http://github.corp.example", "https://"),
        ("github", "github.corp.example", "https://"),
        (
            "github",
            "https://user:hunter2@github.corp.example",
            "its host",
        ),
        ("gitlab", "https://git.corp.example/a/../b", "its path"),
        (
            "gitlab",
            "https://git.corp.example/?x=1",
            "neither `?` nor `#`",
        ),
    ] {
        let words = ["login", provider, "--no-browser", "--base-url", address];
        let refused = home.authsome(words).output();
        assert_ne!(refused.code(), Some(0), "{provider} {address}");
        assert!(
            refused.stderr.contains(said),
            "{provider} {address}: {}",
            refused.stderr
        );
        assert!(!refused.stderr.contains("hunter2"), "{}", refused.stderr);
    }
}

#[test]
fn a_token_of_an_own_server_goes_to_that_server_and_nowhere_else() {
    let (stand_in, home) = own_server();
    let token = home.canary();
    let listed = home
        .authsome(["list", "--json"])
        .output()
        .succeeded()
        .json();
    assert_eq!(
        listed["connections"][0]["hosts"][0],
        "github.corp.example/api/**"
    );
    assert_eq!(listed["connections"][0]["unconfirmed_hosts"], json!([]));
    let run = LiveRun::start(&home, &[]);
    for path in ["/api/v3/user", "/api/graphql"] {
        assert_eq!(asked(&run, path), "arrived", "{path}");
        let bearer = format!("Bearer {}", token.secret());
        assert_eq!(stand_in.last().header("authorization"), [bearer.as_str()]);
    }
    stand_in.forget();
    for (path, code) in [
        ("/", "path_not_allowed"),
        ("/user/repo", "path_not_allowed"),
        ("/login/oauth/authorize", "path_not_allowed"),
        ("/login/oauth/access_token", "oauth_endpoint"),
        ("/login/device/code", "oauth_endpoint"),
        ("/api/../user", "bad_path"),
    ] {
        assert_eq!(asked(&run, path), code, "{path}");
    }
    assert!(stand_in.requests().is_empty());
    // the definition's own hosts have no route at all
    for host in [PUBLIC, "uploads.github.com", "raw.githubusercontent.com"] {
        let url = format!("https://{host}/user");
        assert_eq!(
            outcome(&explain(&home, &["--run", run.id(), "GET", &url])),
            "tunnel"
        );
    }
}

#[test]
fn an_own_server_that_lost_its_connection_is_refused_also_after_a_crash() {
    for crash in [false, true] {
        let (stand_in, home) = own_server();
        let run = LiveRun::start(&home, &[]);
        assert_eq!(asked(&run, "/api/v3/user"), "arrived");
        if crash {
            home.crash_daemon();
        }
        home.authsome(["logout", "github"]).output().succeeded();
        stand_in.forget();
        assert_eq!(
            asked(&run, "/api/v3/user"),
            "login_needed",
            "crash: {crash}"
        );
        assert!(stand_in.requests().is_empty());
        let url = format!("https://{PUBLIC}/user");
        let said = explain(&home, &["--run", run.id(), "GET", &url]);
        assert_eq!(outcome(&said), "tunnel", "{said}");
    }
}

/// L12
#[test]
fn an_own_server_that_nobody_confirmed_gets_nothing() {
    let stand_in = StandIn::start(&[OWN, PUBLIC]);
    let home = Home::with(&stand_in);
    let token = home.canary();
    // somebody wrote another server into the record than the token was stored for
    store(
        &home,
        "github",
        token.secret(),
        &[
            "api.github.com",
            "uploads.github.com",
            "*.githubusercontent.com",
        ],
        Some("https://github.corp.example"),
    );
    let run = LiveRun::start(&home, &[]);
    assert_eq!(asked(&run, "/api/v3/user"), "host_unconfirmed");
    assert!(stand_in.requests().is_empty());
    let listed = home
        .authsome(["list", "--json"])
        .output()
        .succeeded()
        .json();
    assert_eq!(
        listed["connections"][0]["unconfirmed_hosts"][0],
        "github.corp.example/api/**"
    );
}
