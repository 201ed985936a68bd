//! Servers that are broken on purpose.

use std::time::{Duration, Instant};

use authsome_tests::authority::{Agent, Fault, Site};
use authsome_tests::{Faults, MockServer};
use serde_json::json;
use url::Url;

const TOKEN: &str = "https://broken.example.com/token";

#[test]
fn answers_come_as_they_were_made() {
    let faults = Faults::start(&["broken.example.com"]);
    let agent = Agent::of(&faults);
    faults.next(
        "/token",
        [
            Fault::token("access", "refresh", 60),
            Fault::error(400, "invalid_grant").header("retry-after", "5"),
            Fault::raw(200, "text/html", "<p>not JSON"),
            Fault::redirect(307, "https://evil.example.com/token"),
        ],
    );
    faults.always("/token", Fault::json(200, &json!({ "expires_in": -1e99 })));
    let ask = || agent.post(TOKEN, &[("refresh_token", "a b&c")]);
    assert_eq!(ask().expect(200).json()["refresh_token"], "refresh");
    let error = ask().expect(400);
    assert_eq!(error.json()["error"], "invalid_grant");
    assert_eq!(error.header("retry-after"), Some("5"));
    let page = ask().expect(200);
    assert_eq!(page.header("content-type"), Some("text/html"));
    let away = ask().expect(307).redirect();
    assert_eq!(
        away.as_ref().map(Url::as_str),
        Some("https://evil.example.com/token")
    );
    for _ in 0..2 {
        assert_eq!(ask().expect(200).json()["expires_in"], -1e99);
    }
    agent
        .get("https://broken.example.com/other?x=1")
        .expect(404);
    let asked = faults.requests_for("/token");
    assert_eq!(asked.len(), 6);
    assert_eq!(asked[0].method, "POST");
    assert_eq!(asked[0].host, "broken.example.com");
    assert_eq!(asked[0].field("refresh_token").as_deref(), Some("a b&c"));
    assert_eq!(faults.wait_for_request("/other").path, "/other?x=1");
}

#[test]
fn answers_break_off_drip_and_never_come() {
    let faults = Faults::start(&["broken.example.com"]);
    let agent = Agent::of(&faults);
    let url: Url = TOKEN.parse().expect("an address");
    let ask = || agent.try_send("POST", &url, &[], "");
    let good = Fault::json(200, &json!({ "access_token": "0123456789" }));
    faults.next("/token", [good.clone().cut_after(5)]);
    assert!(ask().is_err());
    faults.next("/token", [Fault::closed()]);
    assert!(ask().is_err());
    faults.next("/token", [good.clone().dripping(Duration::from_millis(5))]);
    let begun = Instant::now();
    assert_eq!(
        ask().expect("an answer").json()["access_token"],
        "0123456789"
    );
    assert!(begun.elapsed() >= Duration::from_millis(100));
    faults.next("/token", [good.after(Duration::from_millis(150))]);
    let begun = Instant::now();
    ask().expect("an answer").expect(200);
    assert!(begun.elapsed() >= Duration::from_millis(150));

    // curl, because our own agent would wait or read for ever
    let shell = |after: &str| {
        let script = format!(
            "curl -sSk -m 30 --connect-to broken.example.com:443:{} {TOKEN} {after}",
            faults.address()
        );
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script]).output().expect("it is started")
    };
    faults.next("/token", [Fault::silent()]);
    let waited = shell("-m 1");
    assert_eq!(waited.status.code(), Some(28), "{waited:?}");
    faults.next("/token", [Fault::raw(200, "text/plain", "x").endless()]);
    let much = shell("2>&1 | head -c 20000000 | wc -c");
    assert_eq!(much.stdout, b"20000000\n", "{much:?}");
}

#[test]
fn metadata_is_good_but_for_what_is_changed() {
    let faults = Faults::start(&["broken.example.com", "evil.example.com"]);
    let agent = Agent::of(&faults);
    let read = || {
        agent
            .get("https://broken.example.com/.well-known/oauth-authorization-server")
            .expect(200)
            .json()
    };
    faults.metadata("broken.example.com", &json!({}));
    assert_eq!(read()["token_endpoint"], TOKEN);
    let patch = json!({
        "issuer": "https://other.example.com",
        "registration_endpoint": null,
    });
    faults.metadata("broken.example.com", &patch);
    assert_eq!(read()["issuer"], "https://other.example.com");
    assert_eq!(read().get("registration_endpoint"), None);
    assert_eq!(read()["token_endpoint"], TOKEN);
}

#[test]
fn the_mock_server_answers_as_it_is_told() {
    let mock = MockServer::start();
    let agent = Agent::of(&mock);
    let about = agent
        .get("https://mock.example.com/.well-known/openid-configuration")
        .expect(200)
        .json();
    assert_eq!(about["issuer"], "https://mock.example.com");
    let token = about["token_endpoint"].as_str().expect("one").to_owned();
    let ask = || {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", "any")];
        agent.post(&token, &fields)
    };
    let good = ask().expect(200).json();
    assert!(good["access_token"].is_string(), "{good}");
    mock.change_next("token", 200, &json!({ "expires_in": "soon" }));
    mock.answer_next("token", 500, &json!({ "oops": true }));
    let silly = ask().expect(200).json();
    assert_eq!(silly["expires_in"], "soon");
    assert!(silly["access_token"].is_string());
    assert_eq!(ask().expect(500).json(), json!({ "oops": true }));
    assert_eq!(ask().expect(200).json()["expires_in"], good["expires_in"]);

    let authorize = format!(
        "{}?response_type=code&client_id=a&redirect_uri=http%3A%2F%2F127.0.0.1%3A7998%2Fc&state=s\
         &scope=read",
        about["authorization_endpoint"].as_str().expect("one")
    );
    let back = |url: &str| agent.get(url).expect(302).redirect().expect("an address");
    assert!(back(&authorize).as_str().contains("state=s"));
    mock.redirect_next(&json!({ "state": "forged", "code": null, "iss": "https://evil.example" }));
    let forged = back(&authorize);
    let forged: Vec<_> = forged.query_pairs().into_owned().collect();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        forged,
        [pair("state", "forged"), pair("iss", "https://evil.example")]
    );
    let revoke = about["revocation_endpoint"].as_str().expect("one");
    mock.answer_next("revoke", 503, &json!(""));
    agent.post(revoke, &[("token", "any")]).expect(503);
    agent.post(revoke, &[("token", "any")]).expect(200);
    let seen: Vec<_> = mock
        .requests()
        .into_iter()
        .map(|request| request.endpoint)
        .collect();
    assert_eq!(
        seen,
        [
            "token",
            "token",
            "token",
            "token",
            "authorize",
            "authorize",
            "revoke",
            "revoke"
        ]
    );
    assert_eq!(mock.requests()[0].params["refresh_token"], "any");
}
