//! kill −9 of the daemon at any moment: nothing is lost, the next command has a daemon again, and
//! a child that was running goes on with the same port, token and CA.

use std::time::{Duration, Instant};

use authsome_tests::{Canary, Home, LiveRun, StandIn, wait_until};

const HOST: &str = "api.intercom.io";

/// How long the next command may take: the second that the issue names.
const RESTART_MAX: Duration = Duration::from_secs(1);

fn bearer(canary: &Canary) -> String {
    format!("Bearer {}", canary.secret())
}

#[test]
fn after_a_crash_the_next_command_has_a_daemon_within_a_second() {
    let home = Home::new();
    home.login("intercom");
    for _ in 0..5 {
        home.crash_daemon();
        let begun = Instant::now();
        let status = home
            .authsome(["get", "intercom", "--field", "status"])
            .output()
            .succeeded();
        assert_eq!(status.stdout, "connected\n");
        assert!(begun.elapsed() < RESTART_MAX, "{status}");
    }
}

#[test]
fn a_running_child_works_again_with_the_same_port_token_and_ca() {
    let stand_in = StandIn::start(&[HOST]);
    let home = Home::with(&stand_in);
    home.login("intercom");
    let mut run = LiveRun::start(&home, &[]);
    let curl = format!("curl -sS -o /dev/null -w '%{{http_code}}' https://{HOST}/me 2>&1");
    assert_eq!(run.shell(&curl), "200");
    let certificate = own_ca(&run);
    for _ in 0..3 {
        home.crash_daemon();
        let broken = run.shell(&curl);
        assert!(broken.ends_with("000"), "there is no daemon: {broken}");
        // any next command starts it
        home.authsome(["status"]).output().succeeded();
        stand_in.forget();
        let end = Instant::now() + Duration::from_secs(5);
        while run.shell(&curl) != "200" {
            assert!(Instant::now() < end, "the child does not work again");
        }
        assert_eq!(
            stand_in.last().header("authorization"),
            [bearer(&home.canary())]
        );
        assert_eq!(own_ca(&run), certificate);
    }
    let id = run.id().to_owned();
    assert_eq!(home.runs()[0]["run"], id.as_str());
    run.end();
    wait_until(
        "the resumed run to end with its process",
        Duration::from_secs(5),
        || home.runs().is_empty(),
    );
}

#[test]
fn a_run_that_ended_while_nobody_watched_stays_ended() {
    let stand_in = StandIn::start(&[HOST]);
    let home = Home::with(&stand_in);
    home.login("intercom");
    let run = LiveRun::start(&home, &[]);
    let proxy = run.proxy();
    home.crash_daemon();
    run.end();
    home.authsome(["status"]).output().succeeded();
    // a new run brings the port back, if it had gone with the old one
    let _next = LiveRun::start(&home, &[]);
    match proxy.connect_to(&format!("{HOST}:443")) {
        Ok(answer) => assert_eq!(answer.unwrap_err().status, 407),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused),
    }
    assert_eq!(stand_in.requests().len(), 0);
}

/// S1: killed at any moment of a login, either the old or the new state is there, whole.
#[test]
fn a_crash_during_a_login_leaves_the_old_or_the_new_key() {
    let stand_in = StandIn::start(&[HOST]);
    let mut home = Home::with(&stand_in);
    home.login("intercom");
    let mut before = home.canary();
    for round in 0..12_u64 {
        let after = home.watch(Canary::new());
        let login = home
            .authsome(["login", "intercom", "--force", "--stdin"])
            .stdin(format!("{}\n", after.secret()))
            .spawn();
        // later each round: from before the request to after the answer
        let begun = Instant::now();
        let wait = Duration::from_millis(round * 4);
        wait_until("the moment to come", Duration::from_secs(5), || {
            begun.elapsed() >= wait
        });
        home.crash_daemon();
        let login = login.wait();
        let listed = home
            .authsome(["get", "intercom", "--field", "status"])
            .output()
            .succeeded();
        assert_eq!(listed.stdout, "connected\n", "round {round}");
        home.run(["curl", "-sSf", &format!("https://{HOST}/me")])
            .output()
            .succeeded();
        let used = stand_in.last().header("authorization").join("|");
        let (old, new) = (used == bearer(&before), used == bearer(&after));
        assert!(old || new, "round {round}: neither the old nor the new key");
        assert!(
            new || login.code() != Some(0),
            "round {round}: reported as stored, and lost"
        );
        if new {
            before = after;
        }
    }
    home.authsome(["log", "--verify"]).output().succeeded();
}

#[test]
fn a_crash_during_logins_of_many_loses_no_connection_that_was_confirmed() {
    let home = Home::new();
    let mut confirmed = Vec::new();
    for round in 0..8 {
        let name = format!("c{round}");
        let login = home
            .authsome(["login", "intercom", "--connection", &name, "--stdin"])
            .stdin(home.canary().secret())
            .output();
        if login.code() == Some(0) {
            confirmed.push(name);
        }
        home.crash_daemon();
    }
    assert_eq!(confirmed.len(), 8);
    let list = home
        .authsome(["list", "--json"])
        .output()
        .succeeded()
        .json();
    let names: Vec<_> = list["connections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["connection"].as_str().unwrap().to_owned())
        .collect();
    for name in confirmed {
        assert!(names.contains(&name), "{name} is lost: {names:?}");
    }
}

/// The certificate of the run's own CA: the last of the bundle.
fn own_ca(run: &LiveRun) -> String {
    let bundle = std::fs::read_to_string(run.variable("SSL_CERT_FILE")).unwrap();
    bundle.rsplit_once("-----BEGIN").unwrap().1.to_owned()
}
