//! The audit log: what is in it, what is not, and that a change to it is seen.

use std::time::Duration;

use authsome_tests::{Home, LiveRun, StandIn, wait_for, wait_until};
use serde_json::Value;

const HOST: &str = "api.intercom.io";

fn world() -> (StandIn, Home) {
    let stand_in = StandIn::start(&[HOST]);
    let home = Home::with(&stand_in);
    home.login("intercom");
    (stand_in, home)
}

fn records(home: &Home) -> Vec<Value> {
    let log = home
        .authsome(["log", "--json", "-n", "1000"])
        .output()
        .succeeded()
        .json();
    assert_eq!(log["v"], 1);
    log["records"].as_array().unwrap().clone()
}

fn with_event(home: &Home, event: &str) -> Vec<Value> {
    records(home)
        .into_iter()
        .filter(|record| record["event"] == event)
        .collect()
}

#[test]
fn each_request_leaves_its_record_without_the_query() {
    let (_stand_in, home) = world();
    let run = LiveRun::start(&home, &[]);
    assert_eq!(
        run.proxy()
            .get(HOST, "/me?email=private%40example.com")
            .unwrap()
            .status,
        200
    );
    let inject = wait_for("the record of the request", Duration::from_secs(5), || {
        with_event(&home, "inject").pop()
    });
    assert_eq!(inject["run"], run.id());
    assert_eq!(inject["provider"], "intercom");
    assert_eq!(inject["connection"], "default");
    assert_eq!(inject["method"], "GET");
    assert_eq!(inject["host"], HOST);
    assert_eq!(inject["path"], "/me");
    assert!(inject["time"].as_str().unwrap().contains('T'));
    assert!(!inject.to_string().contains("private"), "{inject}");
    let done = wait_for("the record of the answer", Duration::from_secs(5), || {
        with_event(&home, "done").pop()
    });
    assert_eq!(done["status"], 200);
}

#[test]
fn refusals_logins_and_logouts_are_recorded() {
    let (_stand_in, home) = world();
    let run = LiveRun::start(&home, &[]);
    let request = "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(run.proxy().ask(HOST, request).unwrap().status, 421);
    let refuse = wait_for("the record of the refusal", Duration::from_secs(5), || {
        with_event(&home, "refuse").pop()
    });
    assert_eq!(refuse["code"], "names_differ");
    home.login_with("intercom", &home.canary(), &["--force"]);
    home.authsome(["logout", "intercom"]).output().succeeded();
    for event in ["login", "rotate", "logout", "run_start"] {
        assert_eq!(with_event(&home, event).len(), 1, "{event}");
    }
}

#[test]
fn reveals_and_exports_are_recorded_and_an_unconfirmed_one_does_not_happen() {
    let (_stand_in, home) = world();
    let shown = home
        .authsome(["get", "intercom", "--show-secret", "--yes"])
        .reveals()
        .output()
        .succeeded();
    assert_eq!(shown.line(), home.canary().secret());
    let exported = home
        .authsome(["export", "--yes"])
        .reveals()
        .output()
        .succeeded();
    assert!(exported.stdout.contains(home.canary().secret()));
    assert_eq!(with_event(&home, "reveal").len(), 1);
    assert_eq!(with_event(&home, "export").len(), 1);
    // nobody is there to be asked
    home.authsome(["get", "intercom", "--show-secret"])
        .output()
        .exited(1);
    home.authsome(["export"]).output().exited(1);
    assert_eq!(
        with_event(&home, "reveal").len() + with_event(&home, "export").len(),
        2
    );
}

#[test]
fn the_log_can_be_followed() {
    let (_stand_in, home) = world();
    let mut follower = home.authsome(["log", "--follow", "--json"]).spawn();
    follower.wait_for_stdout("\"login\"");
    let run = LiveRun::start(&home, &[]);
    assert_eq!(run.proxy().get(HOST, "/me").unwrap().status, 200);
    let seen = follower.wait_for_stdout("\"inject\"");
    for line in seen.lines().filter(|line| !line.is_empty()) {
        let value: Value = serde_json::from_str(line).expect("each line is an object");
        assert_eq!(value["v"], 1);
    }
    assert!(!follower.ended());
}

#[test]
fn filters_show_only_what_was_asked_for() {
    let (_stand_in, home) = world();
    let run = LiveRun::start(&home, &[]);
    assert_eq!(run.proxy().get(HOST, "/me").unwrap().status, 200);
    let of = |words: &[&str]| {
        let log = home
            .authsome(["log", "--json"])
            .args(words)
            .output()
            .succeeded()
            .json();
        log["records"].as_array().unwrap().clone()
    };
    assert!(of(&["--provider", "github"]).is_empty());
    wait_until("the run's records", Duration::from_secs(5), || {
        of(&["--run", run.id()]).len() >= 2
    });
    assert!(
        of(&["--run", run.id()])
            .iter()
            .all(|record| record["run"] == run.id())
    );
    assert_eq!(of(&["-n", "1"]).len(), 1);
}

#[test]
fn a_changed_removed_or_added_line_is_seen() {
    let (_stand_in, home) = world();
    for _ in 0..3 {
        home.run(["curl", "-sS", &format!("https://{HOST}/me")])
            .output()
            .succeeded();
    }
    let verified = home
        .authsome(["log", "--verify", "--json"])
        .output()
        .succeeded()
        .json();
    assert!(verified["records"].as_u64().unwrap() >= 4, "{verified}");
    home.authsome(["daemon", "stop"]).output().succeeded();
    let file = audit_file(&home);
    let whole = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = whole.lines().collect();
    let middle = lines.len() / 2;
    let without: Vec<_> = lines
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != middle)
        .map(|(_, line)| *line)
        .collect();
    let mut swapped = lines.clone();
    swapped.swap(middle, middle - 1);
    let mut doubled = lines.clone();
    doubled.insert(middle, lines[middle]);
    for (what, text) in [
        ("changed", whole.replacen("intercom", "intercon", 1)),
        ("removed", without.join("\n") + "\n"),
        ("swapped", swapped.join("\n") + "\n"),
        ("doubled", doubled.join("\n") + "\n"),
    ] {
        std::fs::write(&file, text).unwrap();
        let output = home.authsome(["log", "--verify"]).output();
        assert_eq!(
            output.code(),
            Some(1),
            "a {what} line was not seen\n{output}"
        );
        assert!(
            output.stderr.contains("line"),
            "it does not say where\n{output}"
        );
        home.authsome(["daemon", "stop"]).output().succeeded();
    }
}

/// Design 3.6: with a log that cannot be written, nothing is injected.
#[test]
fn without_an_audit_log_nothing_is_injected() {
    let (stand_in, home) = world();
    home.authsome(["daemon", "stop"]).output().succeeded();
    // a folder where the file should be: not even root can write to that
    let file = audit_file(&home);
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    stand_in.forget();
    let output = home
        .run(["curl", "-sS", "-D", "-", &format!("https://{HOST}/me")])
        .output();
    assert!(
        output.code() == Some(125) || output.stdout.contains(" 503"),
        "{output}"
    );
    assert_eq!(stand_in.requests().len(), 0);
}

fn audit_file(home: &Home) -> std::path::PathBuf {
    let folder = home.path().join("audit");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("\"event\"")))
        .collect();
    files.sort();
    files
        .pop()
        .unwrap_or_else(|| panic!("no audit log in {}", folder.display()))
}
