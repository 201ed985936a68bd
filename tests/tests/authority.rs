//! The harness' own authorization servers and their surroundings do what their documentation says,
//! without the product. What is not seen here cannot be relied on by the tests of OAuth.

#[path = "authority/around.rs"]
mod around;
#[path = "authority/browser.rs"]
mod browser;
#[path = "authority/faults.rs"]
mod faults;

use std::time::{Duration, Instant};

use authsome_tests::authority::{
    Authority, Endpoint, Hold, Outcome, Pkce, REDIRECT_URI, Site, Tokens, parameter,
};
use authsome_tests::home::is_gone;
use authsome_tests::{Browser, Home, Invocation, MockServer, wait_until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

#[test]
fn a_code_is_given_for_pkce_and_bought_once() {
    let authority = Authority::start();
    let client = authority.confidential();
    let pkce = Pkce::new();
    let url = authority.authorization_url(client, &pkce, &[("scope", "read write")]);
    let back = authority.approve(&url);
    assert!(back.starts_with(REDIRECT_URI), "{back}");
    assert_eq!(parameter(&back, "state").as_deref(), Some("a-state"));
    assert_eq!(
        parameter(&back, "iss").as_deref(),
        Some(authority.issuer()),
        "RFC 9207"
    );
    let code = parameter(&back, "code").expect("a code");
    let buy = |verifier: &str| {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", REDIRECT_URI),
            ("code_verifier", verifier),
        ];
        authority.post_as(client, Endpoint::Token, &fields)
    };
    assert_eq!(
        buy(&Pkce::new().verifier).expect(400).json()["error"],
        "invalid_grant"
    );
    let tokens = Tokens::of(buy(&pkce.verifier).expect(200).json());
    assert_eq!(tokens.answer["expires_in"], 3_600);
    assert_eq!(tokens.answer["token_type"], "Bearer");
    assert_eq!(tokens.answer["scope"], "read write");
    assert!(authority.is_active(&tokens.access));
    assert!(authority.is_active(&tokens.refresh));

    buy(&pkce.verifier).expect(400);
    assert_eq!(authority.codes_reused(), 1);
    assert_eq!(authority.families_revoked(), 0);
    assert!(!authority.is_active(&tokens.access));

    let asked = authority.requests_to(Endpoint::Authorization);
    assert_eq!(asked[0].params["code_challenge"], pkce.challenge);
    assert_eq!(asked[0].params["scope"], "read write");
    let bought = authority.requests_to(Endpoint::Token);
    let seen: Vec<_> = bought
        .iter()
        .map(|each| (each.status, &*each.auth))
        .collect();
    assert_eq!(
        seen,
        [400, 200, 400].map(|status| (Some(status), "client_secret_post"))
    );
    assert_eq!(bought[1].client_id.as_deref(), Some("confidential"));
    let issued = authority.issued();
    let client_secret = client.secret.clone().expect("it has one");
    for secret in [&code, &tokens.access, &tokens.refresh, &client_secret] {
        assert!(issued.iter().any(|canary| canary.secret() == secret));
    }
    assert_eq!(authority.complaints(), "");
}

#[test]
fn without_a_challenge_or_with_a_plain_one_or_another_address_there_is_no_code() {
    let authority = Authority::start();
    let good = authority.authorization_url(authority.public(), &Pkce::new(), &[]);
    let plain = good.replace("S256", "plain");
    let back = authority.approve(&plain);
    assert_eq!(
        parameter(&back, "error").as_deref(),
        Some("invalid_request")
    );
    let without: String = good
        .split("&code_challenge")
        .next()
        .expect("a beginning")
        .into();
    let back = authority.approve(&without);
    assert_eq!(
        parameter(&back, "error").as_deref(),
        Some("invalid_request")
    );
    let elsewhere = good.replace("callback%2Ftest", "callback%2Felse");
    assert_ne!(elsewhere, good);
    let page = authority.agent().get(&elsewhere).expect(400);
    assert!(page.body.contains("redirect_uri"), "{page:?}");
    let denied = authority.deny(&good);
    assert_eq!(
        parameter(&denied, "error").as_deref(),
        Some("access_denied")
    );
    assert_eq!(parameter(&denied, "code"), None);
    let allowed = authority.approve(&good);
    assert!(parameter(&allowed, "code").is_some(), "{allowed}");
}

#[test]
fn each_client_proves_itself_in_its_own_way() {
    let mut authority = Authority::start();
    authority.redirects_to(&["http://127.0.0.1:12345/callback/other"]);
    for client in [
        authority.confidential(),
        authority.basic(),
        authority.public(),
    ] {
        let tokens = authority.log_in(client);
        let again = authority.refresh(client, &tokens.refresh).expect(200);
        assert_ne!(again.json()["refresh_token"], tokens.refresh);
        let last = authority.requests().pop().expect("a request");
        assert_eq!(
            (&*last.auth, last.client_id.as_ref()),
            (client.auth, Some(&client.id))
        );
    }
    let mut wrong = authority.confidential().clone();
    wrong.secret = Some("wrong".to_owned());
    assert_eq!(
        authority.refresh(&wrong, "x").expect(401).json()["error"],
        "invalid_client"
    );
    let own = [("grant_type", "client_credentials"), ("scope", "read")];
    let own = authority
        .post_as(authority.basic(), Endpoint::Token, &own)
        .expect(200);
    let token = own.json()["access_token"].as_str().expect("one").to_owned();
    assert_eq!(authority.token(&token).kind, "ClientCredentials");
    assert!(authority.is_active(&token));
}

#[test]
fn a_refresh_rotates_and_a_used_token_ends_the_family() {
    let authority = Authority::start();
    let client = authority.public();
    let first = authority.log_in(client);
    let second = Tokens::of(authority.refresh(client, &first.refresh).expect(200).json());
    assert_ne!(first.refresh, second.refresh);
    assert!(!authority.is_active(&first.refresh));
    assert!(authority.is_active(&second.refresh));
    assert_eq!((authority.refreshes(), authority.refreshed()), (1, 1));
    assert_eq!(authority.families_revoked(), 0);

    let again = authority.refresh(client, &first.refresh).expect(400);
    assert_eq!(again.json()["error"], "invalid_grant");
    assert_eq!(authority.families_revoked(), 1);
    assert_eq!(authority.refreshes_with_used_tokens(), 1);
    assert!(!authority.is_active(&second.refresh));
    assert!(!authority.is_active(&second.access));
    authority.refresh(client, &second.refresh).expect(400);
    let seen: Vec<_> = authority
        .requests_to(Endpoint::Token)
        .iter()
        .map(|each| (each.consumed, each.status))
        .collect();
    assert_eq!(
        seen,
        [
            (None, Some(200)),
            (Some(false), Some(200)),
            (Some(true), Some(400)),
            (Some(false), Some(400)),
        ]
    );
    assert_eq!((authority.refreshes(), authority.refreshed()), (3, 1));
    assert_eq!(authority.families_revoked(), 1);

    authority.set_rotation(false);
    let other = authority.log_in(client);
    for _ in 0..2 {
        let same = authority.refresh(client, &other.refresh).expect(200);
        assert_eq!(same.json()["refresh_token"], other.refresh);
    }
    authority.withdraw();
    assert!(!authority.is_active(&other.access));
    authority.refresh(client, &other.refresh).expect(400);
    assert_eq!(authority.families_revoked(), 1);
}

#[test]
fn a_dropped_answer_was_processed_and_a_lost_request_was_not() {
    let authority = Authority::start();
    let client = authority.confidential().clone();
    let first = authority.log_in(&client);
    let refresh = |token: &str| {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
        let secret = client.secret.as_deref().expect("it has one");
        let body: Vec<_> = fields
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let body = format!(
            "{}&client_id={}&client_secret={secret}",
            body.join("&"),
            client.id
        );
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        let url = authority.url(Endpoint::Token).parse().expect("an address");
        authority.agent().try_send("POST", &url, &kind, &body)
    };
    authority.lose_next_requests(Endpoint::Token, 1);
    assert!(refresh(&first.refresh).is_err());
    assert!(authority.is_active(&first.refresh));
    assert_eq!(outcomes(&authority), [Outcome::Answered, Outcome::Lost]);

    authority.drop_next_token_answers(1);
    assert!(refresh(&first.refresh).is_err());
    assert!(!authority.is_active(&first.refresh));
    assert_eq!(outcomes(&authority)[2], Outcome::Dropped);
    assert_eq!((authority.refreshes(), authority.refreshed()), (2, 1));
    assert_eq!(authority.families_revoked(), 0);

    refresh(&first.refresh).expect("an answer").expect(400);
    assert_eq!(authority.families_revoked(), 1);

    authority.set_reachable(false);
    assert!(refresh(&first.refresh).is_err());
    authority.set_reachable(true);
    assert_eq!(authority.refreshes(), 3);
}

#[test]
fn answers_fail_wait_and_change_as_told() {
    let authority = Authority::start();
    let client = authority.public();
    let tokens = authority.log_in(client);
    authority.fail_next(2, 503, &json!({ "error": "temporarily_unavailable" }));
    let retry = [("retry-after", "7")];
    authority.fail_next_at(Endpoint::Token, 1, 429, &retry, &json!({}));
    authority.refresh(client, &tokens.refresh).expect(503);
    authority.refresh(client, &tokens.refresh).expect(503);
    let limited = authority.refresh(client, &tokens.refresh).expect(429);
    assert_eq!(limited.header("retry-after"), Some("7"));
    assert!(authority.is_active(&tokens.refresh));
    assert_eq!((authority.refreshes(), authority.refreshed()), (3, 0));

    let patch = json!({ "expires_in": "3600", "refresh_token": null });
    authority.patch_answers(Endpoint::Token, &patch);
    let patched = authority
        .refresh(client, &tokens.refresh)
        .expect(200)
        .json();
    assert_eq!(patched["expires_in"], "3600");
    assert_eq!(patched.get("refresh_token"), None);
    authority.patch_answers(Endpoint::Token, &json!({}));

    let tokens = authority.log_in(client);
    authority.set_access_ttl(Duration::from_secs(1));
    authority.delay_token_endpoint(Duration::from_millis(300));
    let begun = Instant::now();
    let short = Tokens::of(
        authority
            .refresh(client, &tokens.refresh)
            .expect(200)
            .json(),
    );
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(short.answer["expires_in"], 1);
    wait_until("the token to expire", Duration::from_secs(5), || {
        !authority.is_active(&short.access)
    });
    assert!(authority.is_active(&short.refresh));
    assert!(authority.is_active(&tokens.access));
    authority.expire_access_tokens();
    assert!(!authority.is_active(&tokens.access));

    authority.set_refresh_tokens(false);
    assert_eq!(authority.log_in(client).refresh, "");
}

#[test]
fn a_request_is_held_before_or_after_it_is_processed() {
    let authority = Authority::start();
    let client = authority.public();
    let tokens = [authority.log_in(client), authority.log_in(client)];
    for (tokens, (when, used)) in tokens
        .iter()
        .zip([(Hold::Request, false), (Hold::Answer, true)])
    {
        authority.hold(Endpoint::Token, when);
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| authority.refresh(client, &tokens.refresh).expect(200));
            authority.wait_for_held(Endpoint::Token, when, 1);
            assert_eq!(authority.is_active(&tokens.refresh), !used);
            assert!(!asking.is_finished());
            assert_eq!(authority.release(Endpoint::Token, when), 1);
            let _reply = asking.join().expect("an answer");
        });
        assert!(!authority.is_active(&tokens.refresh));
    }
    assert_eq!(authority.held(Endpoint::Token, Hold::Answer), 0);
}

#[test]
fn a_device_is_approved_and_denied() {
    let authority = Authority::start();
    let client = authority.public();
    let begin = || {
        let fields = [("scope", "read")];
        authority
            .post_as(client, Endpoint::DeviceAuthorization, &fields)
            .expect(200)
            .json()
    };
    let poll = |device: &Value| {
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", device["device_code"].as_str().expect("one")),
        ];
        authority.post_as(client, Endpoint::Token, &fields)
    };
    let device = begin();
    assert_eq!(device["interval"], 1);
    assert_eq!(
        device["verification_uri"],
        "https://auth.example.com/device"
    );
    assert_eq!(
        poll(&device).expect(400).json()["error"],
        "authorization_pending"
    );
    authority.approve_device(device["user_code"].as_str().expect("one"));
    let tokens = Tokens::of(poll(&device).expect(200).json());
    assert!(authority.is_active(&tokens.access));
    assert!(authority.is_active(&tokens.refresh));

    let device = begin();
    authority.deny_device(device["user_code"].as_str().expect("one"));
    assert_eq!(poll(&device).expect(400).json()["error"], "access_denied");

    authority.set_device_ttl(Duration::from_secs(1));
    let device = begin();
    wait_until("the code to expire", Duration::from_secs(5), || {
        poll(&device).json()["error"] == "expired_token"
    });
    authority.set_auto_approve(true);
    authority.set_device_ttl(Duration::from_secs(60));
    let device = begin();
    authority.approve_device(device["user_code"].as_str().expect("one"));
    poll(&device).expect(200);
}

#[test]
fn a_client_registers_itself_and_its_tokens_are_revoked_and_looked_at() {
    let authority = Authority::builder().auto_approve().start();
    let agent = authority.agent();
    let metadata = agent.get(&authority.url(Endpoint::Metadata)).expect(200);
    let same = format!("{}/.well-known/openid-configuration", authority.issuer());
    assert_eq!(metadata.json(), agent.get(&same).expect(200).json());
    let metadata = metadata.json();
    assert_eq!(metadata["issuer"], authority.issuer());
    for endpoint in [
        Endpoint::Authorization,
        Endpoint::DeviceAuthorization,
        Endpoint::Introspection,
        Endpoint::Registration,
        Endpoint::Revocation,
        Endpoint::Token,
    ] {
        let field = match endpoint {
            Endpoint::DeviceAuthorization => "device_authorization_endpoint".to_owned(),
            other => format!("{other:?}_endpoint").to_lowercase(),
        };
        assert_eq!(metadata[&field], authority.url(endpoint), "{field}");
    }
    let about = json!({
        "client_name": "authsome",
        "redirect_uris": [REDIRECT_URI],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
    });
    let url = metadata["registration_endpoint"].as_str().expect("one");
    let registered = agent.post_json(url, &[], &about).expect(201).json();
    let id = registered["client_id"].as_str().expect("one").to_owned();
    let known = authority.client(&id).expect("it is on record");
    assert_eq!(known["client_name"], "authsome");
    assert_eq!(authority.client("nobody"), None);
    let entry = &authority.requests_to(Endpoint::Registration)[0];
    assert_eq!(entry.status, Some(201));
    assert!(entry.params["body"].contains("client_name"));

    let client = authority_client(id);
    let tokens = authority.log_in(&client);
    let look = |token: &str| {
        let fields = [("token", token)];
        let confidential = authority.confidential();
        let reply = authority.post_as(confidential, Endpoint::Introspection, &fields);
        reply.expect(200).json()["active"] == true
    };
    assert!(look(&tokens.access) && look(&tokens.refresh));
    let fields = [
        ("token", &*tokens.refresh),
        ("token_type_hint", "refresh_token"),
    ];
    authority
        .post_as(&client, Endpoint::Revocation, &fields)
        .expect(200);
    assert!(!look(&tokens.access) && !look(&tokens.refresh));
    assert_eq!(authority.families_revoked(), 0);
    let revoked = &authority.requests_to(Endpoint::Revocation)[0];
    assert_eq!(revoked.params["token"], tokens.refresh);
}

/// Google's endpoints, for example, lie on two hosts and under paths of their own.
#[test]
fn an_authority_has_the_names_paths_and_scopes_it_is_given() {
    let authority = Authority::builder()
        .names(&["accounts.example.com", "tokens.example.com"])
        .routes(json!({ "authorization": "/o/oauth2/v2/auth", "token": "/o/token" }))
        .scopes(&["calendar"])
        .redirect_uris(&["http://127.0.0.1:12345/callback/google"])
        .access_ttl(Duration::from_secs(77))
        .rotation(false)
        .start();
    assert_eq!(authority.names().len(), 2);
    assert_eq!(
        authority.url(Endpoint::Token),
        "https://accounts.example.com/o/token"
    );
    let client = authority.confidential();
    let url = authority.authorization_url(
        client,
        &Pkce::new(),
        &[("scope", "calendar other"), ("access_type", "offline")],
    );
    authority.approve(&url);
    let asked = &authority.requests_to(Endpoint::Authorization)[0];
    assert_eq!(asked.params["access_type"], "offline");
    let tokens = authority.log_in(client);
    assert_eq!(tokens.answer["expires_in"], 77);
    let secret = client.secret.as_deref().expect("it has one");
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &*tokens.refresh),
        ("client_id", &*client.id),
        ("client_secret", secret),
    ];
    authority
        .agent()
        .post("https://tokens.example.com/o/token", &fields)
        .expect(200);
}

#[test]
fn a_service_account_signs_for_a_token() {
    let authority = Authority::start();
    let home = Home::new();
    let key = home.work().join("key.pem");
    let openssl = |words: &[&str], stdin: &str| {
        home.command("openssl")
            .args(words)
            .stdin(stdin)
            .output()
            .succeeded()
    };
    let key_path = key.to_str().expect("a short path");
    openssl(&["genrsa", "-out", key_path, "2048"], "");
    let public = openssl(&["rsa", "-in", key_path, "-pubout"], "").stdout;
    authority.add_service_account("robot@example.com", &public);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let sign = |audience: &str, email: &str| {
        let claims = json!({
            "iss": email, "scope": "read", "aud": audience, "iat": now, "exp": now + 3_600,
        });
        let signed = format!(
            "{}.{}",
            base64url(r#"{"alg":"RS256","typ":"JWT"}"#.as_bytes()),
            base64url(claims.to_string().as_bytes())
        );
        let path = home.write("signed", &signed);
        let signature = home.work().join("signature");
        home.command("openssl")
            .args(["dgst", "-sha256", "-sign", key_path, "-out"])
            .arg(&signature)
            .arg(&path)
            .output()
            .succeeded();
        let signature = std::fs::read(signature).expect("it was written");
        format!("{signed}.{}", base64url(&signature))
    };
    let ask = |assertion: &str| {
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", assertion),
        ];
        authority
            .agent()
            .post(&authority.url(Endpoint::Token), &fields)
    };
    let good = sign(&authority.url(Endpoint::Token), "robot@example.com");
    let token = Tokens::of(ask(&good).expect(200).json());
    assert!(authority.is_active(&token.access));
    ask(&sign("https://elsewhere.example", "robot@example.com")).expect(400);
    let nobody = sign(&authority.url(Endpoint::Token), "nobody@example.com");
    ask(&nobody).expect(400);
    let (claims, _) = good.rsplit_once('.').expect("three parts");
    let (_, other) = nobody.rsplit_once('.').expect("three parts");
    ask(&format!("{claims}.{other}")).expect(400);
    ask("nonsense").expect(400);
}

/// They end with their test even when that is killed, as the test runner does with one that hangs.
#[test]
fn servers_and_browsers_end_with_their_test() {
    /// Set where this test runs itself.
    const KILLED: &str = "THIS_TEST_IS_GOING_TO_BE_KILLED";
    if std::env::var_os(KILLED).is_some() {
        let authority = Authority::start();
        let mock = MockServer::start();
        let browser = Browser::start(&[&authority]);
        let pids = [authority.pid(), mock.pid(), browser.pid()];
        println!("{}", pids.map(|pid| format!("\npid {pid}")).concat());
        println!("started");
        std::thread::sleep(Duration::from_secs(600));
    }
    let authority = Authority::start();
    let pid = authority.pid();
    assert!(!is_gone(pid));
    drop(authority);
    assert!(is_gone(pid));

    let own = std::env::current_exe().expect("it has a path");
    let test = Invocation::new(own)
        .env("PATH", std::env::var_os("PATH").expect("it is set"))
        .env(KILLED, "1")
        .args(["--exact", "servers_and_browsers_end_with_their_test"])
        .arg("--nocapture")
        .spawn();
    let said = test.wait_for_stdout("started");
    let pids: Vec<u32> = said
        .lines()
        .filter_map(|line| line.strip_prefix("pid ")?.parse().ok())
        .collect();
    assert_eq!(pids.len(), 3, "{said}");
    assert!(pids.iter().all(|pid| !is_gone(*pid)), "{said}");
    test.signal(Signal::SIGKILL);
    for pid in pids {
        let what = format!("process {pid} to be gone");
        wait_until(&what, Duration::from_secs(10), || is_gone(pid));
    }
}

fn outcomes(authority: &Authority) -> Vec<Outcome> {
    let requests = authority.requests_to(Endpoint::Token);
    requests.iter().map(|request| request.outcome).collect()
}

fn authority_client(id: String) -> authsome_tests::authority::Client {
    authsome_tests::authority::Client {
        id,
        secret: None,
        auth: "none",
    }
}

fn base64url(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
