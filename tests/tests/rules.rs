//! Least privilege: rules and rate limits of `config.toml`, which act at once, and of a project's
//! `authsome.toml`, which only narrows and stays as it was when the run started.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::{Duration, Instant};

use authsome_tests::raw::Answer;
use authsome_tests::user::is_root;
use authsome_tests::{Home, LiveRun, StandIn};

const US: &str = "api.intercom.io";
const EU: &str = "api.eu.intercom.io";

/// A home that is logged in to `intercom`, with `rules` in its configuration.
fn world(rules: &str) -> (StandIn, Home) {
    let stand_in = StandIn::start(&[US, EU]);
    let home = Home::builder().stand_in(&stand_in).config(rules).build();
    home.login("intercom");
    (stand_in, home)
}

fn ask(run: &LiveRun, method: &str, host: &str, path: &str) -> Answer {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    run.proxy().ask(host, &request).unwrap()
}

/// The code of the refusal, or nothing where the request went through with the key.
fn code(run: &LiveRun, method: &str, host: &str, path: &str) -> Option<String> {
    ask(run, method, host, path).code().map(str::to_owned)
}

/// Replaces what follows the mark in `config.toml`, and lets the daemon take it up.
fn configure(home: &Home, rules: &str) {
    const MARK: &str = "# rules\n";
    let path = home.path().join("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let base = text.split(MARK).next().unwrap().to_owned();
    std::fs::write(&path, format!("{base}{MARK}{rules}")).unwrap();
    home.authsome(["status"]).output().succeeded();
}

fn write(folder: &Path, text: &str) -> std::path::PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    let path = folder.join("authsome.toml");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    path
}

const RULES: &str = r#"
[connections.intercom]
allow = ["GET /contacts/**", "GET,DELETE /me", "POST,PUT api.eu.intercom.io/conversations/**"]
deny  = ["DELETE", "* /contacts/archive"]
"#;

/// (method, host, path, whether it goes through)
const CASES: &[(&str, &str, &str, bool)] = &[
    ("GET", US, "/contacts", true),
    ("GET", US, "/contacts/1?x=/admins", true),
    ("GET", EU, "/contacts", true),
    ("GET", US, "/contactsx", false),
    ("GET", US, "/", false),
    ("OPTIONS", US, "/contacts", false),
    ("get", US, "/contacts", false),
    ("POST", US, "/contacts", false),
    ("POST", EU, "/conversations/1", true),
    ("PUT", EU, "/conversations", true),
    ("POST", US, "/conversations/1", false),
    ("GET", US, "/me", true),
    ("DELETE", US, "/me", false),
    ("delete", US, "/me", false),
    ("GET", US, "/contacts/archive", false),
    ("GET", US, "/contacts/Archive", false),
    ("GET", US, "/contacts/%61rchive/1", false),
    ("GET", US, "/contacts/archive;x=1", false),
    ("GET", US, "/contacts/archived", true),
];

fn check_cases(stand_in: &StandIn, run: &LiveRun) {
    for (method, host, path, goes) in CASES {
        stand_in.forget();
        let code = code(run, method, host, path);
        if *goes {
            assert_eq!(code, None, "{method} {host}{path}");
            assert_eq!(stand_in.requests().len(), 1);
        } else {
            assert_eq!(
                code.as_deref(),
                Some("denied_by_rule"),
                "{method} {host}{path}"
            );
            assert_eq!(stand_in.requests().len(), 0, "{method} {path} was sent");
        }
    }
}

#[test]
fn rules_of_the_configuration_decide_by_method_host_and_path() {
    let (stand_in, home) = world(RULES);
    let run = LiveRun::start(&home, &[]);
    check_cases(&stand_in, &run);
    let answer = ask(&run, "DELETE", US, "/me");
    assert_eq!(answer.status, 403);
    assert!(
        answer.text.contains("authsome explain DELETE"),
        "{}",
        answer.text
    );
    let log = home
        .authsome(["log", "-n", "50", "--json"])
        .output()
        .succeeded();
    assert!(log.stdout.contains("denied_by_rule"), "{log}");
}

#[test]
fn rules_of_a_project_decide_alike() {
    let (stand_in, home) = world("");
    let path = write(&home.work(), RULES);
    let run = LiveRun::start(&home, &["--verbose"]);
    let said = run.process().stderr_so_far();
    assert!(
        said.contains(&format!("rules of `{}`", path.display())),
        "{said}"
    );
    check_cases(&stand_in, &run);
    // another folder is no part of the project
    let run = LiveRun::from(home.authsome(["run"]).current_dir(home.user_home()));
    assert_eq!(code(&run, "DELETE", US, "/me"), None);
}

#[test]
fn a_providers_rules_a_connections_rules_and_a_projects_rules_hold_together() {
    let (_stand_in, home) = world(
        "[connections.intercom]\ndeny = [\"DELETE\"]\n[connections.\"intercom/team\"]\ndeny = [\"PUT\"]\n",
    );
    let canary = home.canary();
    home.login_with("intercom", &canary, &["--connection", "team"]);
    write(
        &home.work(),
        "[connections.intercom]\nallow = [\"* /me\"]\n",
    );
    let refused = |options: &[&str]| {
        let run = LiveRun::start(&home, options);
        [
            ("DELETE", "/me"),
            ("PUT", "/me"),
            ("GET", "/x"),
            ("GET", "/me"),
        ]
        .map(|(method, path)| code(&run, method, US, path).is_some())
    };
    assert_eq!(refused(&[]), [true, false, true, false]);
    assert_eq!(
        refused(&["--connection", "intercom=team"]),
        [true, true, true, false]
    );
}

#[test]
fn a_change_of_the_configuration_acts_on_the_next_request_of_a_living_run() {
    let (stand_in, home) = world("");
    let run = LiveRun::start(&home, &[]);
    assert_eq!(code(&run, "DELETE", US, "/me"), None);
    // one connection of the run's, kept open over the changes
    let mut tunnel = run.proxy().tls(&format!("{US}:443"), US).unwrap();
    let mut on_tunnel = || {
        use std::io::Write;
        let request = format!("DELETE /me HTTP/1.1\r\nHost: {US}\r\nContent-Length: 0\r\n\r\n");
        tunnel.write_all(request.as_bytes()).unwrap();
        tunnel.flush().unwrap();
        let answer = authsome_tests::raw::read_answer(&mut tunnel).unwrap();
        answer.code().map(str::to_owned)
    };
    assert_eq!(on_tunnel(), None);
    configure(&home, "[connections.intercom]\ndeny = [\"DELETE\"]\n");
    assert_eq!(on_tunnel().as_deref(), Some("denied_by_rule"));
    assert_eq!(
        code(&run, "DELETE", US, "/me").as_deref(),
        Some("denied_by_rule")
    );
    configure(&home, "");
    assert_eq!(on_tunnel(), None);
    // a file that cannot be read changes nothing: the rules in force stay
    configure(&home, "[connections.intercom]\ndeny = [\"DELETE\"]\n");
    configure(&home, "[connections.intercom]\ndney = []\n");
    assert_eq!(on_tunnel().as_deref(), Some("denied_by_rule"));
    assert_eq!(stand_in.requests().len(), 3);
}

#[test]
fn editing_the_project_changes_nothing_in_the_run_even_over_a_restart() {
    let (_stand_in, home) = world("");
    write(
        &home.work(),
        "[connections.intercom]\ndeny = [\"DELETE\"]\n",
    );
    let mut run = LiveRun::start(&home, &[]);
    let denied = Some("denied_by_rule".to_owned());
    assert_eq!(code(&run, "DELETE", US, "/me"), denied);
    run.shell(
        "rm authsome.toml && printf '[connections.intercom]\\nallow = [\"*\"]\\n' > authsome.toml",
    );
    assert_eq!(code(&run, "DELETE", US, "/me"), denied);
    // routes are built anew
    configure(&home, "[connections.intercom]\ndeny = [\"PUT\"]\n");
    assert_eq!(code(&run, "DELETE", US, "/me"), denied);
    home.crash_daemon();
    home.authsome(["status"]).output().succeeded();
    assert_eq!(code(&run, "DELETE", US, "/me"), denied);
    assert_eq!(code(&run, "PUT", US, "/me"), denied);
    assert_eq!(code(&run, "GET", US, "/me"), None);
}

/// Runs curl in a run inside of `run`, from `folder`, and tells the code of the refusal, if any.
fn inside(run: &mut LiveRun, folder: &Path, method: &str) -> String {
    let said = run.shell(&format!(
        "cd {} && authsome run -- curl -s -o /dev/null -w '%{{http_code}} %header{{authsome-error}}' \
         -X {method} https://{US}/me; cd -; echo",
        folder.display()
    ));
    let line = said.lines().next().unwrap_or_default().trim().to_owned();
    line.split_once('/')
        .map_or(line.clone(), |(code, _)| code.trim().to_owned())
}

#[test]
fn a_run_inside_a_run_has_the_rules_of_both_projects() {
    let (_stand_in, home) = world("");
    write(
        &home.work(),
        "[connections.intercom]\ndeny = [\"DELETE\"]\n",
    );
    let below = home.work().join("below");
    write(
        &below,
        "[connections.intercom]\nallow = [\"*\"]\ndeny = [\"PUT\"]\n",
    );
    let mut run = LiveRun::start(&home, &[]);
    assert_eq!(inside(&mut run, &below, "DELETE"), "403 denied_by_rule");
    assert_eq!(inside(&mut run, &below, "PUT"), "403 denied_by_rule");
    assert_eq!(inside(&mut run, &below, "GET"), "200");
    // where there is no project, that of the run around it still holds
    let elsewhere = home.user_home();
    assert_eq!(inside(&mut run, &elsewhere, "DELETE"), "403 denied_by_rule");
    assert_eq!(inside(&mut run, &elsewhere, "PUT"), "200");
    // the outer run itself has only its own
    assert_eq!(code(&run, "PUT", US, "/me"), None);
}

#[test]
fn a_rate_limit_lets_so_many_through_and_refuses_the_rest_with_the_time_left() {
    let (stand_in, home) = world("[connections.intercom]\nrate = \"3/h\"\nwait = \"0s\"\n");
    let run = LiveRun::start(&home, &[]);
    // what is refused for another reason takes no turn
    assert_eq!(
        code(&run, "TRACE", US, "/me").as_deref(),
        Some("method_not_allowed")
    );
    for _ in 0..2 {
        assert_eq!(code(&run, "GET", US, "/me"), None);
    }
    // all runs of the connection count together
    let other = LiveRun::start(&home, &[]);
    assert_eq!(code(&other, "GET", EU, "/me"), None);
    for run in [&run, &other] {
        let answer = ask(run, "GET", US, "/me");
        assert_eq!(answer.status, 429, "{}", answer.text);
        assert_eq!(answer.code(), Some("rate_limited"));
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=3600).contains(&seconds), "{seconds}");
        assert!(
            seconds > 3600 - 600,
            "the first turn was a moment ago: {seconds}"
        );
    }
    assert_eq!(stand_in.requests().len(), 3);
    // another rule beside it does not start the count anew; another rate does
    configure(&home, "");
    let path = home.path().join("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let more = text.replace("wait = \"0s\"", "wait = \"0s\"\ndeny = [\"PUT\"]");
    std::fs::write(&path, &more).unwrap();
    home.authsome(["status"]).output().succeeded();
    assert_eq!(
        code(&run, "PUT", US, "/me").as_deref(),
        Some("denied_by_rule")
    );
    assert_eq!(
        code(&run, "GET", US, "/me").as_deref(),
        Some("rate_limited")
    );
    std::fs::write(&path, more.replace("3/h", "1/h")).unwrap();
    home.authsome(["status"]).output().succeeded();
    assert_eq!(code(&run, "GET", US, "/me"), None);
    assert_eq!(
        code(&run, "GET", US, "/me").as_deref(),
        Some("rate_limited")
    );
    let log = home
        .authsome(["log", "-n", "50", "--json"])
        .output()
        .succeeded();
    assert!(log.stdout.contains("rate_limited"), "{log}");
}

#[test]
fn a_request_waits_for_its_turn() {
    let (stand_in, home) = world("[connections.intercom]\nrate = \"1/s\"\nwait = \"1min\"\n");
    let run = LiveRun::start(&home, &[]);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert_eq!(code(&run, "GET", US, "/me"), None));
        }
    });
    // a lower bound: a slow machine only makes it longer
    assert!(begun.elapsed() >= Duration::from_secs(2));
    assert_eq!(stand_in.requests().len(), 3);
}

#[test]
fn a_projects_rate_counts_the_run_with_the_runs_inside_it_and_no_other() {
    let (_stand_in, home) = world("");
    write(
        &home.work(),
        "[connections.intercom]\nrate = \"2/h\"\nwait = \"0s\"\n",
    );
    let mut run = LiveRun::start(&home, &[]);
    assert_eq!(code(&run, "GET", US, "/me"), None);
    let elsewhere = home.user_home();
    assert_eq!(inside(&mut run, &elsewhere, "GET"), "200");
    assert_eq!(inside(&mut run, &elsewhere, "GET"), "429 rate_limited");
    // the same file again is the same limit
    let here = home.work();
    assert_eq!(inside(&mut run, &here, "GET"), "429 rate_limited");
    assert_eq!(
        code(&run, "GET", US, "/me").as_deref(),
        Some("rate_limited")
    );
    let other = LiveRun::start(&home, &[]);
    assert_eq!(code(&other, "GET", US, "/me"), None);
}

#[test]
fn a_project_takes_providers_and_other_hosts_away_and_gives_none() {
    let (_stand_in, home) = world("");
    home.login("intercom-fin");
    let granted = |options: &[&str]| {
        let run = home
            .authsome(["run", "--verbose"])
            .args(options)
            .args(["--", "true"])
            .output();
        let line = run.stderr.lines().find(|line| line.starts_with("run "));
        let names = line
            .and_then(|line| line.split_once(" with "))
            .map(|it| it.1);
        (names.unwrap_or_default().trim().to_owned(), run)
    };
    assert_eq!(granted(&[]).0, "intercom, intercom-fin");
    let path = write(
        &home.work(),
        "[run]\nonly = [\"intercom\", \"intercmo\"]\nunmatched = \"deny\"\n[connections.intercmo]\ndeny = [\"*\"]\n",
    );
    let shown = path.display();
    let (names, run) = granted(&[]);
    assert_eq!(names, "intercom");
    run.succeeded().said(&[
        &format!("`only` in `{shown}` names `intercmo`, which is no provider"),
        &format!("`{shown}` has rules for `intercmo`, which is no provider"),
    ]);
    let (names, run) = granted(&["--only", "intercom,intercom-fin"]);
    assert_eq!(names, "intercom", "what both name");
    run.succeeded()
        .said(&[&format!("`only` in `{shown}` leaves `intercom-fin` out")]);
    let (_, run) = granted(&["--connection", "intercom-fin=default"]);
    run.exited(125).said(&[&format!(
        "`intercom-fin` was asked for, and `only` in `{shown}` leaves it out"
    )]);
    // `--unmatched tunnel` does not open what the project shuts
    let run = LiveRun::start(&home, &["--unmatched", "tunnel"]);
    let refused = run.proxy().connect_to("elsewhere.example:443").unwrap();
    assert_eq!(refused.unwrap_err().code(), Some("not_allowed"));
    let said = run.process().stderr_so_far();
    assert!(said.contains("hosts without a route are denied"), "{said}");
}

#[test]
fn an_error_in_a_project_fails_the_run_with_file_line_and_key() {
    let (_stand_in, home) = world("");
    for (text, said) in [
        (
            "[connections.intercom]\n\nallwo = []\n",
            [
                "line 3: unknown key `allwo` in `[connections.intercom]`",
                "did you mean `allow`?",
            ],
        ),
        (
            "[run]\nunmatched = \"tunnel\"\n",
            [
                "line 2: `unmatched` in `[run]`: a project file can only narrow",
                "hint: `deny`",
            ],
        ),
        (
            "[connections.intercom]\nallow = [\n  \"GET /a\",\n  \"GET contacts\"]\n",
            [
                "line 4: `allow` in `[connections.intercom]`: `GET contacts` is no rule",
                "/contacts/**",
            ],
        ),
        (
            "[connections.intercom]\nrate = \"often\"\n",
            ["line 2: `rate` in `[connections.intercom]`", "100/min"],
        ),
        ("[run\n", ["line 1", "authsome.toml"]),
    ] {
        let path = write(&home.work(), text);
        let run = home.run(["touch", "started"]).output().exited(125);
        run.said(&said).said(&[&format!("`{}`", path.display())]);
        assert!(!home.work().join("started").exists());
    }
    let large = "#".repeat(64 * 1024 + 1);
    write(&home.work(), &large);
    let run = home.run(["touch", "started"]).output().exited(125);
    run.said(&["cannot read", "larger than 64 KiB"]);
}

#[test]
fn a_project_file_of_strangers_is_left_aside_with_a_warning() {
    let (_stand_in, home) = world("");
    let text = "[connections.intercom]\ndeny = [\"*\"]\n";
    let path = write(&home.work(), text);
    let goes_through = |warning: &str| {
        let run = LiveRun::start(&home, &[]);
        let said = run.process().stderr_so_far();
        assert!(said.contains(warning), "{warning:?} was not said: {said}");
        code(&run, "GET", US, "/me").is_none()
    };
    assert!(!goes_through(""));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o646)).unwrap();
    let aside = format!("warning: `{}` is left aside", path.display());
    assert!(goes_through(&format!(
        "{aside}: others may write to it (mode 0646)"
    )));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(!goes_through(""));
    if is_root() {
        chown(&path, Some(12_345), None).unwrap();
        assert!(goes_through(&format!(
            "{aside}: it belongs to the user 12345"
        )));
    }
}

#[test]
fn rules_that_have_no_effect_are_shown_and_stop_nothing() {
    let (_stand_in, home) = world(
        "[connections.intercmo]\ndeny = [\"*\"]\n[connections.\"intercom/taem\"]\nallow = [\"GET api.intercmo.io\"]\n",
    );
    let run = LiveRun::start(&home, &[]);
    assert_eq!(code(&run, "GET", US, "/me"), None);
    for command in ["status", "doctor"] {
        let output = home.authsome([command]).output();
        let all = format!("{}{}", output.stdout, output.stderr);
        for text in [
            "`intercmo`, which is no provider",
            "`intercom/taem`, which is not connected",
            "`GET api.intercmo.io`",
        ] {
            // tables are broken into lines by width
            let flat = all.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(flat.contains(text), "{text} is not in {command}: {output}");
        }
    }
}
