//! `authsome run`: the command runs as if it were alone, holds no secret, and its run ends with it.

use std::time::Duration;

use authsome_tests::user::is_root;
use authsome_tests::{Canary, Home, LiveRun, StandIn, wait_until};
use nix::sys::signal::Signal;

const HOST: &str = "api.intercom.io";

fn world() -> (StandIn, Home) {
    let stand_in = StandIn::start(&[HOST]);
    let home = Home::with(&stand_in);
    home.login("intercom");
    (stand_in, home)
}

fn bearer(canary: &Canary) -> String {
    format!("Bearer {}", canary.secret())
}

#[test]
fn the_exit_code_is_the_commands_own() {
    let home = Home::new();
    for code in [0, 1, 3, 4, 70, 125, 255] {
        home.run_shell(&format!("exit {code}"))
            .output()
            .exited(code);
    }
}

#[test]
fn what_cannot_be_run_exits_as_in_a_shell() {
    let home = Home::new();
    home.run(["no-such-command-anywhere"]).output().exited(127);
    let plain = home.write("plain-file", "just text\n");
    home.run([plain.as_os_str()]).output().exited(126);
    home.run([home.work().as_os_str()]).output().exited(126);
    home.run(["/nonexistent/command"]).output().exited(127);
}

#[test]
fn a_failure_before_the_command_started_exits_125() {
    let home = Home::new();
    let marker = home.work().join("ran");
    let touch = ["--", "touch", marker.to_str().unwrap()];
    for options in [
        &["--connection", "intercom=missing"][..],
        &["--only", "no-such-provider"],
        &["--unmatched", "perhaps"],
        &["--connection", "not a choice"],
    ] {
        let output = home
            .authsome(["run"])
            .args(options)
            .args(touch)
            .output()
            .exited(125);
        assert!(output.stderr.contains("error:"), "{output}");
    }
    home.authsome(["run"]).output().exited(125);
    assert!(!marker.exists(), "the command was started");

    let broken = Home::builder().config("\n[vault]\n").build();
    broken.run(["true"]).output().exited(125);
}

#[test]
fn a_signal_that_ends_the_command_ends_us_alike() {
    let home = Home::new();
    for (name, number) in [("TERM", 15), ("KILL", 9), ("INT", 2)] {
        let output = home
            .run_shell(&format!("kill -{name} $$; sleep 30"))
            .output();
        assert_eq!(output.signal(), Some(number), "{output}");
    }
}

#[test]
fn signals_reach_the_command_itself() {
    let home = Home::new();
    for (signal, name) in [
        (Signal::SIGTERM, "TERM"),
        (Signal::SIGINT, "INT"),
        (Signal::SIGHUP, "HUP"),
    ] {
        let script =
            format!("trap 'echo caught; exit 7' {name}; echo ready; while :; do sleep 0.05; done");
        let command = home.run_shell(&script).spawn();
        command.wait_for_stdout("ready");
        command.signal(signal);
        let output = command.wait().exited(7);
        assert!(output.stdout.ends_with("caught\n"), "{output}");
    }
}

#[test]
fn the_command_takes_our_place() {
    let home = Home::new();
    let command = home.run_shell("echo $$; readlink /proc/$$/exe").spawn();
    let pid = command.pid().to_string();
    let output = command.wait().succeeded();
    assert_eq!(output.stdout.lines().next(), Some(pid.as_str()), "{output}");
    assert!(!output.stdout.contains("authsome"), "{output}");
}

/// L5: standard streams and what the parent passed on arrive; nothing of ours does.
#[test]
fn descriptors_pass_as_if_the_command_ran_alone() {
    let home = Home::new();
    let output = home
        .run(["cat"])
        .stdin("through and through\n")
        .output()
        .succeeded();
    assert_eq!(output.stdout, "through and through\n");
    let list =
        "ls -l /proc/self/fd | sed -n 's/.* \\([0-9]*\\) -> .*/\\1/p' | sort -n | tr '\\n' ' '";
    let alone = home
        .command("sh")
        .args(["-c", list])
        .output()
        .succeeded()
        .stdout;
    let in_run = home.run_shell(list).output().succeeded().stdout;
    assert_eq!(
        in_run, alone,
        "the run holds other descriptors than a plain command"
    );
    let inherited = home
        .command("sh")
        .args([
            "-c",
            "authsome run -- sh -c 'echo hello >&7' 7>seven; cat seven",
        ])
        .output()
        .succeeded();
    assert_eq!(inherited.stdout, "hello\n");
}

/// P2, L5.
#[test]
fn the_environment_holds_placeholders_proxies_and_trust_but_no_secret() {
    let (_stand_in, home) = world();
    let real = home.canary();
    let run = LiveRun::from(
        home.authsome(["run"])
            .env("INTERCOM_API_KEY", "a value of the user's own")
            .env("ALL_PROXY", "socks5://127.0.0.1:1")
            .env("all_proxy", "socks5://127.0.0.1:1")
            .env("MY_OWN", "kept"),
    );
    assert_eq!(run.variable("INTERCOM_API_KEY"), "authsome-proxy-managed");
    assert_eq!(run.variable("MY_OWN"), "kept");
    assert!(!run.environment().contains_key("ALL_PROXY"));
    assert!(!run.environment().contains_key("all_proxy"));
    let proxy = run.variable("HTTPS_PROXY").to_owned();
    for name in ["HTTP_PROXY", "https_proxy", "http_proxy"] {
        assert_eq!(run.variable(name), proxy);
    }
    let credentials = run.proxy().credentials.unwrap();
    let (id, token) = credentials.split_once(':').unwrap();
    assert_eq!(id, run.id());
    assert!(token.len() >= 32 && token.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    for name in [
        "SSL_CERT_FILE",
        "CURL_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
        "AWS_CA_BUNDLE",
        "GIT_SSL_CAINFO",
        "PIP_CERT",
        "CARGO_HTTP_CAINFO",
        "npm_config_cafile",
        "NODE_EXTRA_CA_CERTS",
        "DENO_CERT",
        "WGETRC",
    ] {
        assert!(
            std::path::Path::new(run.variable(name)).is_file(),
            "{name} names no file"
        );
    }
    assert_eq!(run.variable("NODE_USE_ENV_PROXY"), "1");
    assert!(
        run.variable("JAVA_TOOL_OPTIONS")
            .contains("-Dhttps.proxyPort=")
    );
    assert!(
        !run.variable("JAVA_TOOL_OPTIONS").contains(token),
        "Java prints these options"
    );
    for name in ["NO_PROXY", "no_proxy"] {
        let list: Vec<_> = run.variable(name).split(',').collect();
        for host in ["localhost", "127.0.0.1", "::1"] {
            assert!(list.contains(&host), "{host} is not in {list:?}");
        }
    }
    let all: String = run
        .environment()
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect();
    assert_eq!(
        real.search("the environment of the run", all.as_bytes()),
        []
    );
}

#[test]
fn a_provider_without_a_connection_leaves_the_users_own_key_alone() {
    let home = Home::new();
    let run = LiveRun::from(home.authsome(["run"]).env("INTERCOM_API_KEY", "own"));
    assert_eq!(run.variable("INTERCOM_API_KEY"), "own");
}

#[test]
fn no_proxy_is_merged_and_loses_what_would_bypass_a_granted_host() {
    let (_stand_in, home) = world();
    let run = LiveRun::from(
        home.authsome(["run"])
            .env("NO_PROXY", "intranet.example,.intercom.io,10.0.0.0/8"),
    );
    let list: Vec<_> = run.variable("NO_PROXY").split(',').collect();
    assert!(
        list.contains(&"intranet.example") && list.contains(&"10.0.0.0/8"),
        "{list:?}"
    );
    assert!(
        !list.iter().any(|entry| entry.contains("intercom.io")),
        "{list:?}"
    );
    assert!(
        run.process().stderr_so_far().contains("intercom.io"),
        "and it is said"
    );
}

#[test]
fn trust_of_the_parent_is_merged_not_lost() {
    let (stand_in, home) = world();
    let run = LiveRun::from(
        home.authsome(["run"])
            .env("SSL_CERT_FILE", stand_in.ca_path()),
    );
    let bundle = std::fs::read_to_string(run.variable("SSL_CERT_FILE")).unwrap();
    let own = std::fs::read_to_string(stand_in.ca_path()).unwrap();
    let body: String = own.lines().filter(|line| !line.starts_with('-')).collect();
    let flat: String = bundle
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    assert!(
        flat.contains(&body),
        "the parent's CA is not in the run's bundle"
    );
}

#[test]
fn a_newer_key_reaches_a_living_run_at_its_next_request() {
    let (stand_in, mut home) = world();
    let mut run = LiveRun::start(&home, &[]);
    let curl = format!("curl -sS -o /dev/null -w '%{{http_code}}' https://{HOST}/me");
    assert_eq!(run.shell(&curl), "200");
    let newer = home.watch(Canary::new());
    home.login_with("intercom", &newer, &["--force"]);
    assert_eq!(run.shell(&curl), "200");
    assert_eq!(stand_in.last().header("authorization"), [bearer(&newer)]);
}

#[test]
fn a_newer_key_is_used_on_a_connection_that_is_already_open() {
    let (stand_in, mut home) = world();
    let run = LiveRun::start(&home, &[]);
    let mut tunnel = run.proxy().tls(&format!("{HOST}:443"), HOST).unwrap();
    let mut ask = || {
        use std::io::Write;
        write!(tunnel, "GET /me HTTP/1.1\r\nHost: {HOST}\r\n\r\n").unwrap();
        authsome_tests::raw::read_answer(&mut tunnel)
            .unwrap()
            .status
    };
    assert_eq!(ask(), 200);
    let newer = home.watch(Canary::new());
    home.login_with("intercom", &newer, &["--force"]);
    assert_eq!(ask(), 200);
    assert_eq!(stand_in.last().header("authorization"), [bearer(&newer)]);
    home.authsome(["logout", "intercom"]).output().succeeded();
    let seen = stand_in.requests().len();
    assert_eq!(ask(), 403);
    assert_eq!(stand_in.requests().len(), seen);
}

#[test]
fn after_logout_a_living_run_is_refused_never_tunnelled() {
    let (stand_in, home) = world();
    let mut run = LiveRun::start(&home, &[]);
    let curl = format!("curl -sS -w '%{{http_code}}' https://{HOST}/me");
    assert!(run.shell(&curl).ends_with("200"));
    home.authsome(["logout", "intercom"]).output().succeeded();
    stand_in.forget();
    let connections = stand_in.connections();
    let answer = run.shell(&curl);
    assert!(
        answer.ends_with("403") && answer.contains("authsome login intercom"),
        "{answer}"
    );
    assert_eq!(
        (stand_in.requests().len(), stand_in.connections()),
        (0, connections)
    );
}

#[test]
fn a_connection_made_later_works_in_a_living_run() {
    let stand_in = StandIn::start(&[HOST]);
    let home = Home::with(&stand_in);
    let mut run = LiveRun::start(&home, &[]);
    home.login("intercom");
    let code = run.shell(&format!(
        "curl -sS -o /dev/null -w '%{{http_code}}' https://{HOST}/me"
    ));
    assert_eq!(code, "200");
    assert_eq!(
        stand_in.last().header("authorization"),
        [bearer(&home.canary())]
    );
}

#[test]
fn the_run_ends_with_its_process_also_for_what_it_left_behind() {
    let (stand_in, home) = world();
    let script = format!(
        "(while [ ! -e go ]; do sleep 0.02; done; \
          curl -sS -w '%{{http_code}}' https://{HOST}/me; echo; touch done) >left 2>&1 <&- & \
         echo started"
    );
    let output = home.run_shell(&script).output().succeeded();
    assert_eq!(output.stdout, "started\n");
    wait_until("the run to be over", Duration::from_secs(5), || {
        home.runs().is_empty()
    });
    stand_in.forget();
    home.write("go", "");
    wait_until(
        "the process left behind to end",
        Duration::from_secs(20),
        || home.work().join("done").exists(),
    );
    let left = std::fs::read_to_string(home.work().join("left")).unwrap();
    assert!(left.contains("407"), "{left}");
    assert_eq!(stand_in.requests().len(), 0);
}

#[test]
fn a_stopped_run_is_refused_at_once() {
    let (stand_in, home) = world();
    let mut run = LiveRun::start(&home, &[]);
    let curl = format!("curl -sS -w '%{{http_code}}' https://{HOST}/me 2>&1");
    assert!(run.shell(&curl).ends_with("200"));
    home.authsome(["runs", "stop", run.id()])
        .output()
        .succeeded();
    stand_in.forget();
    let answer = run.shell(&curl);
    assert!(
        answer.contains("407") || answer.ends_with("000"),
        "{answer}"
    );
    assert_eq!(stand_in.requests().len(), 0);
    home.authsome(["runs", "stop", "r-000000000000"])
        .output()
        .exited(1);
}

/// A process that took over the pid of a dead run gets nothing: the daemon knows the start time.
#[test]
fn a_process_that_took_over_a_dead_runs_pid_gets_nothing() {
    let (stand_in, home) = world();
    let run = LiveRun::start(&home, &[]);
    let (proxy, pid) = (run.proxy(), run.pid());
    // while nobody watches, the run dies and somebody else gets its number
    home.crash_daemon();
    run.process().signal(Signal::SIGKILL);
    drop(run);
    let squatter = take_pid(&home, pid);
    home.authsome(["status"]).output().succeeded();
    stand_in.forget();
    let answer = proxy.connect_to(&format!("{HOST}:443"));
    match answer {
        Ok(Ok(_)) => panic!("a tunnel was made for a dead run"),
        Ok(Err(answer)) => assert_eq!(answer.status, 407, "{}", answer.text),
        // the port went with the last run
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused),
    }
    assert!(home.runs().is_empty());
    assert_eq!(stand_in.requests().len(), 0);
    drop(squatter);
}

/// Starts a process with the number `pid`, if the kernel lets us say which comes next.
fn take_pid(home: &Home, pid: u32) -> Option<authsome_tests::Running> {
    if !is_root() {
        eprintln!("the pid is not taken over: that needs root");
        return None;
    }
    for _ in 0..200 {
        let _said = std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string());
        let squatter = home.command("sleep").arg("60").spawn();
        if squatter.pid() == pid {
            return Some(squatter);
        }
    }
    eprintln!("the pid is not taken over: others were faster");
    None
}

#[test]
fn a_run_within_a_run_can_only_narrow() {
    let (_stand_in, home) = world();
    let team = Canary::new();
    home.login_with("intercom", &team, &["--connection", "team"]);
    home.login_with("resend", &Canary::alphanumeric("re_"), &[]);
    let outer = |options: &[&str], inner: &str| {
        home.authsome(["run"])
            .args(options)
            .args(["--", "sh", "-c", inner])
            .output()
    };
    // the same, or less, is fine
    outer(&[], "authsome run -- true").succeeded();
    outer(&[], "authsome run --only intercom -- true").succeeded();
    outer(&[], "authsome run --unmatched deny -- true").succeeded();
    let inner = outer(
        &["--only", "intercom"],
        "authsome run -- sh -c 'echo $RESEND_API_KEY'",
    )
    .succeeded();
    assert_eq!(inner.stdout.trim(), "", "the outer run had no grant for it");
    // more is not
    outer(
        &["--only", "intercom"],
        "authsome run --only resend -- true",
    )
    .exited(125);
    outer(&[], "authsome run --connection intercom=team -- true").exited(125);
    outer(
        &["--unmatched", "deny"],
        "authsome run --unmatched tunnel -- true",
    )
    .exited(125);
    let nested =
        LiveRun::from(home.authsome(["run", "--unmatched", "deny", "--", "authsome", "run"]));
    let answer = nested.proxy().connect_to("elsewhere.example:443").unwrap();
    assert_eq!(answer.unwrap_err().status, 403, "`deny` cannot be undone");
}

/// L3: a run is left neither by a mark that names another one nor by nesting in one process.
#[test]
fn no_trick_with_marks_widens_a_run() {
    let (_stand_in, home) = world();
    let wide = LiveRun::start(&home, &[]);
    let more = "authsome run --only intercom -- true";
    home.authsome(["run", "--only", "resend", "--", "sh", "-c"])
        .arg(format!("AUTHSOME_RUN={} {more}", wide.id()))
        .output()
        .exited(125);
    // run ids are random, and so would be the one that is taken: several times
    for _ in 0..6 {
        home.authsome(["run", "--", "authsome", "run", "--only", "resend", "--"])
            .args(more.split(' '))
            .output()
            .exited(125);
    }
}

/// L3.
#[test]
fn privileged_calls_from_inside_a_run_are_refused() {
    let (_stand_in, home) = world();
    let definition = home.write("evil.json", r#"{"name":"evil","hosts":["evil.example"]}"#);
    let calls = [
        "authsome export --yes".to_owned(),
        "authsome export intercom --yes --format json".to_owned(),
        "authsome get intercom --show-secret --yes".to_owned(),
        format!("authsome register {} --yes", definition.display()),
    ];
    for call in &calls {
        for way in [
            call.clone(),
            // the hint is only a hint: the kernel knows the ancestry
            format!("env -u AUTHSOME_RUN {call}"),
            format!("sh -c '({call}) & wait $!'"),
            format!("setsid --wait {call}"),
        ] {
            let output = home.run_shell(&way).output();
            assert_eq!(output.code(), Some(1), "{way}\n{output}");
            assert!(
                output.stderr.contains("run"),
                "it does not say why\n{output}"
            );
        }
    }
    // allowed there: looking, and logging in
    home.run_shell("authsome list && authsome whoami && authsome get intercom --field status")
        .output()
        .succeeded();
}

/// L3: a descendant whose parents are gone belongs to the run's tree no longer by ancestry.
#[test]
fn an_orphan_of_a_run_is_refused_too() {
    let (_stand_in, home) = world();
    let mut run = LiveRun::start(&home, &[]);
    run.shell(
        "(setsid sh -c 'sleep 0.3; authsome export --yes >orphan 2>&1; touch orphan-done' &) ",
    );
    wait_until("the orphan to be done", Duration::from_secs(20), || {
        home.work().join("orphan-done").exists()
    });
    let said = std::fs::read(home.work().join("orphan")).unwrap();
    assert_eq!(home.canary().search("what the orphan got", &said), []);
}

#[test]
fn runs_are_listed_while_they_live() {
    let (_stand_in, home) = world();
    let run = LiveRun::start(&home, &["--only", "intercom"]);
    let listed = home
        .authsome(["runs", "--json"])
        .output()
        .succeeded()
        .json();
    assert_eq!(listed["v"], 1);
    let one = &listed["runs"][0];
    assert_eq!(one["run"], run.id());
    assert_eq!(one["pid"], run.pid());
    assert_eq!(one["program"], "sh");
    assert_eq!(
        one["granted"],
        serde_json::json!([{"provider": "intercom", "connection": "default"}])
    );
    run.end();
    wait_until("the run to be gone", Duration::from_secs(5), || {
        home.runs().is_empty()
    });
}
