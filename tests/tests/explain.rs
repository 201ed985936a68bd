//! `authsome explain`: what it says is what happens. And regions, which it has to explain.

use authsome_tests::{Home, LiveRun, StandIn};
use serde_json::Value;

const US: &str = "api.intercom.io";
const EU: &str = "api.eu.intercom.io";

fn world() -> (StandIn, Home) {
    let stand_in = StandIn::start(&[US, EU]);
    let home = Home::with(&stand_in);
    home.login("intercom");
    (stand_in, home)
}

fn explain(home: &Home, words: &[&str]) -> Value {
    let mut all = vec!["explain", "--json"];
    all.extend(words);
    home.authsome(all).output().succeeded().json()
}

/// The request as a program in the run sends it, and what came of it in the words of `explain`.
fn happens(run: &LiveRun, stand_in: &StandIn, method: &str, host: &str, path: &str) -> String {
    stand_in.forget();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
    let answer = run.proxy().ask(host, &request).unwrap();
    let arrived = stand_in.requests();
    if let Some(code) = answer.code() {
        assert!(arrived.is_empty(), "{method} {host}{path}: it arrived");
        return code.to_owned();
    }
    let [request] = arrived.as_slice() else {
        panic!("{method} {host}{path}: {} requests", arrived.len());
    };
    let bare = request.header("authorization").is_empty();
    if bare { "pass" } else { "inject" }.to_owned()
}

/// D5, D6: the command and the proxy ask the same function.
#[test]
fn what_is_explained_is_what_happens() {
    let (stand_in, home) = world();
    let run = LiveRun::start(&home, &[]);
    let mut seen = std::collections::BTreeSet::new();
    for (method, host, path) in [
        ("GET", US, "/contacts"),
        ("DELETE", EU, "/contacts/1"),
        ("POST", US, "/fin/start"),
        ("GET", US, "/fin/start"),
        ("POST", US, "/fin"),
        ("POST", US, "/fin_voice/register"),
        ("POST", US, "/finx"),
        ("POST", US, "/FIN/start"),
        ("POST", US, "/fin%2fstart"),
        ("POST", US, "/fin/%2e%2e/contacts"),
        ("POST", US, "/fin/../contacts"),
        ("POST", US, "//fin/start"),
        ("POST", US, "/contacts//1"),
        ("POST", US, "/contacts;/fin"),
        ("TRACE", US, "/contacts"),
    ] {
        let url = format!("https://{host}{path}");
        for with_run in [&[][..], &["--run", run.id()]] {
            let mut words = with_run.to_vec();
            words.extend([method, url.as_str()]);
            let said = explain(&home, &words);
            let word = said["code"].as_str().or(said["outcome"].as_str()).unwrap();
            let happened = happens(&run, &stand_in, method, host, path);
            assert_eq!(word, happened, "{words:?}: {said}");
            seen.insert(happened);
        }
    }
    let expected = ["bad_path", "inject", "login_needed", "method_not_allowed"];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn every_route_of_the_host_is_shown_with_its_verdict() {
    let (_stand_in, home) = world();
    let said = explain(&home, &["POST", "https://api.intercom.io/fin/start"]);
    let verdicts: Vec<_> = said["routes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|route| {
            (
                route["provider"].as_str().unwrap(),
                route["verdict"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        verdicts,
        [("intercom", "other_path"), ("intercom-fin", "chosen")]
    );
    assert_eq!(said["fix"], "authsome login intercom-fin");
    let shown = home
        .authsome(["explain", "https://api.intercom.io/contacts?email=a@b.c"])
        .output()
        .succeeded();
    assert!(shown.stdout.contains("/** except /fin/**"), "{shown}");
    assert!(!shown.stdout.contains("a@b.c"), "{shown}");
}

#[test]
fn hosts_without_a_connection_say_which_login_would_give_one() {
    let (_stand_in, home) = world();
    let said = explain(&home, &["https://api.openai.com/v1/models"]);
    assert_eq!(said["outcome"], "tunnel");
    assert!(
        said["notes"][0]
            .as_str()
            .unwrap()
            .contains("authsome login openai"),
        "{said}"
    );
    let said = explain(&home, &["http://api.intercom.io/contacts"]);
    assert_eq!(said["code"], "cleartext_refused");
    for words in [
        &["ftp://x.com/"][..],
        &["https://u@x.com/"],
        &["--run", "nosuchrun", "https://x.com"],
    ] {
        let mut all = vec!["explain"];
        all.extend(words);
        home.authsome(all).output().exited(1);
    }
}

#[test]
fn a_program_in_a_run_learns_about_its_own_run_only() {
    let (_stand_in, home) = world();
    let mut run = LiveRun::start(&home, &["--only", "intercom"]);
    let other = LiveRun::start(&home, &[]);
    let own = run.shell("authsome explain --json https://api.intercom.io/me");
    let said: Value = serde_json::from_str(own.trim()).unwrap();
    assert_eq!(said["run"], run.id());
    let refused = run.shell(&format!(
        "authsome explain --run {} https://api.intercom.io/me 2>&1; echo \"exit $?\"",
        other.id()
    ));
    assert!(refused.contains("its own run only"), "{refused}");
    assert!(refused.contains("exit 1"), "{refused}");
}

/// A key that is limited to a region goes to no other region's host, in a living run, too.
#[test]
fn a_region_keeps_the_key_from_the_others() {
    let (stand_in, home) = world();
    let run = LiveRun::start(&home, &[]);
    let went = |host| happens(&run, &stand_in, "GET", host, "/contacts");
    assert_eq!((went(US), went(EU)), ("inject".into(), "inject".into()));
    let canary = home.canary();
    home.login_with("intercom", &canary, &["--region", "eu", "--force"]);
    assert_eq!(
        (went(US), went(EU)),
        ("other_region".into(), "inject".into())
    );
    let shown = home
        .authsome(["get", "intercom", "--json"])
        .output()
        .succeeded()
        .json();
    assert_eq!(shown["region"], "eu");
    assert_eq!(shown["hosts"], serde_json::json!([EU]));
    // another key of the same account stays where it was; `all` takes the limit away
    home.login_with("intercom", &canary, &["--force"]);
    assert_eq!(
        (went(US), went(EU)),
        ("other_region".into(), "inject".into())
    );
    home.login_with("intercom", &canary, &["--force", "--region", "all"]);
    assert_eq!((went(US), went(EU)), ("inject".into(), "inject".into()));

    for (words, said) in [
        (
            ["intercom", "--region", "mars"],
            "it has `us`, `eu`, `au`, or `all`",
        ),
        (["openai", "--region", "eu"], "has no regions"),
    ] {
        let mut all = vec!["login", "--force", "--stdin"];
        all.extend(words);
        let output = home.authsome(all).stdin("sk-whatever").output().exited(1);
        assert!(output.stderr.contains(said), "{output}");
    }
}
