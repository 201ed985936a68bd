//! `authsome env`: a run that lasts as long as a shell.

use authsome_tests::{Home, LiveRun, wait_until};

use super::{HOST, SOON, Shell, Terminal, wait_until_no_run, world};

#[test]
fn in_each_shell_requests_get_the_key_until_the_shell_ends() {
    for shell in Shell::PROGRAMS {
        let (stand_in, home) = world();
        let mut terminal = Terminal::open(&home, shell);
        let take = shell.take("");
        assert_eq!(terminal.run(&take), "", "{shell:?}");
        let run = terminal.run("printenv AUTHSOME_RUN");
        assert_eq!(
            terminal.run("printenv INTERCOM_API_KEY"),
            "authsome-proxy-managed",
            "{shell:?}"
        );
        let answer = terminal.run(&format!("curl -sS https://{HOST}/me"));
        assert!(!answer.contains("curl:"), "{shell:?}: {answer}");
        let bearer = format!("Bearer {}", home.canary().secret());
        assert_eq!(
            stand_in.last().header("authorization"),
            [bearer],
            "{shell:?}"
        );

        // asked again, in whatever way, it is the same run
        for again in [take.clone(), format!("{take}; true")] {
            terminal.run(&again);
            assert_eq!(terminal.run("printenv AUTHSOME_RUN"), run, "{shell:?}");
        }
        if shell != Shell::Fish {
            terminal.run("eval \"$(authsome env | cat)\"");
            assert_eq!(terminal.run("printenv AUTHSOME_RUN"), run, "{shell:?}");
            let inner = terminal.run("(eval \"$(authsome env)\"; printenv AUTHSOME_RUN)");
            assert_eq!(inner, run, "{shell:?}");
        }
        assert_eq!(home.runs().len(), 1, "{shell:?}");

        let proxy = terminal.proxy();
        assert_eq!(proxy.get(HOST, "/me").unwrap().status, 200);
        terminal.exit();
        wait_until_no_run(&home);
        stand_in.forget();
        match proxy.connect_to(&format!("{HOST}:443")) {
            Ok(Ok(_)) => panic!("{shell:?}: a tunnel was made for a run that is over"),
            Ok(Err(answer)) => assert_eq!(answer.status, 407, "{}", answer.text),
            Err(error) => panic!("{shell:?}: {error}"),
        }
        assert_eq!(stand_in.requests().len(), 0);
    }
}

/// The shells that read a script, also those without a terminal of their own.
#[test]
fn scripts_of_every_shell_have_a_run_of_their_own_life() {
    let (stand_in, home) = world();
    let posix = format!("eval \"$(authsome env)\" && curl -sS -o /dev/null https://{HOST}/me");
    let fish = format!("authsome env | source; curl -sS -o /dev/null https://{HOST}/me");
    for (shell, script) in [
        ("bash", posix.clone()),
        ("dash", posix.clone()),
        ("sh", posix.clone()),
        ("zsh", posix.clone()),
        ("fish", fish),
        // unquoted, as people do it
        ("bash", posix.replace('"', "")),
    ] {
        stand_in.forget();
        home.command(shell)
            .args(["-c", &script])
            .output()
            .succeeded();
        let bearer = format!("Bearer {}", home.canary().secret());
        assert_eq!(stand_in.last().header("authorization"), [bearer], "{shell}");
    }
    // a script is known by its interpreter, whatever it is called
    let path = home.write(
        "job.of.mine",
        format!(
            "#!/usr/bin/env fish\nauthsome env | source\ncurl -sS -o /dev/null https://{HOST}/me\n"
        ),
    );
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    stand_in.forget();
    home.command(&path)
        .env("SHELL", "/bin/bash")
        .output()
        .succeeded();
    assert_eq!(stand_in.requests().len(), 1);
    wait_until_no_run(&home);
}

#[test]
fn the_same_variables_come_back_and_other_wishes_make_a_narrower_run() {
    let (_stand_in, home) = world();
    let script = "
        authsome env >first
        authsome env >second
        eval \"$(cat first)\"
        authsome env >third
        outer=$AUTHSOME_RUN
        authsome env --unmatched deny >narrow
        eval \"$(cat narrow)\"
        test \"$AUTHSOME_RUN\" != \"$outer\" || exit 9
        authsome env --unmatched deny >narrow2
        authsome env >narrow3
        authsome runs --json
        authsome env --unmatched tunnel
    ";
    let output = home.command("bash").args(["-c", script]).output().exited(1);
    let output = output.said(&["a run inside a run can only narrow"]);
    let read = |name: &str| std::fs::read_to_string(home.work().join(name)).unwrap();
    assert!(read("first").contains("export AUTHSOME_RUN='"));
    assert_eq!(read("first"), read("second"));
    assert_eq!(read("first"), read("third"), "with the variables in place");
    assert_eq!(read("narrow"), read("narrow2"));
    assert_eq!(read("narrow"), read("narrow3"), "nothing more than it has");
    assert_ne!(read("first"), read("narrow"));
    assert_eq!(output.json()["runs"].as_array().unwrap().len(), 2);
    wait_until_no_run(&home);
}

#[test]
fn what_the_shell_had_is_merged() {
    let (_stand_in, home) = world();
    let output = home
        .command("sh")
        .args([
            "-c",
            "eval \"$(authsome env)\"; eval \"$(authsome env)\"; echo \"$NO_PROXY|$ALL_PROXY|$NODE_OPTIONS\"",
        ])
        .env("NO_PROXY", "internal.example")
        .env("ALL_PROXY", "socks5://127.0.0.1:1")
        .env("NODE_OPTIONS", "--no-warnings")
        .output()
        .succeeded();
    let [no_proxy, all_proxy, node] = output.line().split('|').collect::<Vec<_>>()[..] else {
        panic!("{output}")
    };
    assert!(
        no_proxy.split(',').any(|it| it == "internal.example"),
        "{output}"
    );
    assert_eq!(all_proxy, "");
    assert!(node.starts_with("--no-warnings "), "{output}");
    assert_eq!(node.matches("--require").count(), 1, "{output}");
}

#[test]
fn inside_the_shell_nothing_that_changes_or_shows_keys_is_allowed() {
    let (_stand_in, home) = world();
    let output = home
        .command("bash")
        .args([
            "-c",
            "eval \"$(authsome env)\"
             authsome export --yes; authsome get intercom --show-secret --yes
             authsome logout intercom; env -u AUTHSOME_RUN sh -c 'authsome whoami'
             bash -c 'env -u AUTHSOME_RUN authsome export --yes; exit $?'",
        ])
        .output()
        .exited(1);
    // the last one hides its own mark and is known by the one of the program around it
    assert_eq!(
        output
            .stderr
            .matches("a program inside a run may not do this")
            .count(),
        4,
        "{output}"
    );
    assert!(output.stdout.contains("outside of every run"), "{output}");
}

#[test]
fn for_a_terminal_nothing_is_started() {
    let home = Home::new();
    for (shell, how) in [
        (Shell::Bash, "run `eval \"$(authsome env)\"`"),
        (Shell::Fish, "run `authsome env | source`"),
    ] {
        let mut terminal = Terminal::open(&home, shell);
        let said = terminal.run("authsome env");
        assert!(said.contains(how), "{said}");
        terminal.exit();
    }
    assert_eq!(home.daemon_pid(), None);
}

#[test]
fn programs_ask_for_an_object() {
    let (_stand_in, home) = world();
    let script = "import json, os, subprocess
it = json.loads(subprocess.run(['authsome', 'env', '--json'], capture_output=True, check=True).stdout)
assert it['process'] == os.getpid(), it
assert it['set']['AUTHSOME_RUN'] == it['run']
assert it['granted'] == ['intercom'] and it['v'] == 1
assert 'ALL_PROXY' in it['remove']
";
    home.command("python3")
        .args(["-c", script])
        .output()
        .succeeded();
    wait_until_no_run(&home);
}

/// The daemon may be killed: the run is bound to the shell, not to the daemon.
#[test]
fn a_shell_s_run_outlives_the_daemon_and_ends_with_the_shell() {
    let (stand_in, home) = world();
    let mut terminal = Terminal::open(&home, Shell::Bash);
    terminal.run("eval \"$(authsome env)\"");
    let run = terminal.run("printenv AUTHSOME_RUN");
    home.crash_daemon();
    terminal.run("eval \"$(authsome env)\"");
    assert_eq!(terminal.run("printenv AUTHSOME_RUN"), run);
    stand_in.forget();
    terminal.run(&format!("curl -sS https://{HOST}/me"));
    let bearer = format!("Bearer {}", home.canary().secret());
    assert_eq!(stand_in.last().header("authorization"), [bearer]);
    terminal.exit();
    wait_until_no_run(&home);
}

#[test]
fn a_run_that_was_stopped_leaves_the_shell_and_says_how_to_go_on() {
    let (_stand_in, home) = world();
    let mut terminal = Terminal::open(&home, Shell::Zsh);
    terminal.run("eval \"$(authsome env)\"");
    let run = terminal.run("printenv AUTHSOME_RUN");
    home.authsome(["runs", "stop", &run]).output().succeeded();
    let said = terminal.run("authsome env | cat");
    assert!(said.contains("left behind by a run that is over"), "{said}");
    terminal.exit();
}

/// L3: a program in a run cannot bring the person's shell into a run of its making.
#[test]
fn l3_a_program_in_a_run_cannot_bind_a_run_to_the_shell_above() {
    let (_stand_in, home) = world();
    let script = "echo $$; authsome run --only intercom -- sh -c \"authsome env --pid $$; echo rc \\$?\"; true";
    let output = home
        .command("bash")
        .args(["-c", script])
        .output()
        .succeeded();
    let output = output.said(&["is not in the run that asks"]);
    assert!(output.stdout.ends_with("rc 1\n"), "{output}");

    // its own processes it can
    let mut run = LiveRun::start(&home, &[]);
    let outer = run.id().to_owned();
    let inner =
        run.shell("bash -c 'eval \"$(authsome env --unmatched deny)\"; echo $AUTHSOME_RUN; true'");
    assert!(!inner.trim().is_empty() && inner.trim() != outer, "{inner}");
    // and asking for nothing special gives what it has
    assert_eq!(
        run.shell("eval \"$(authsome env)\"; echo $AUTHSOME_RUN")
            .trim(),
        outer
    );
    run.end();
    wait_until_no_run(&home);
}

#[test]
fn a_shell_that_ends_takes_the_runs_inside_with_it() {
    let (_stand_in, home) = world();
    let script = "eval \"$(authsome env)\"; authsome run -- sh -c 'sleep 300 >/dev/null 2>&1 & echo $! >left'; true";
    home.command("bash")
        .args(["-c", script])
        .output()
        .succeeded();
    wait_until("no run", SOON, || home.runs().is_empty());
    let pid = std::fs::read_to_string(home.work().join("left")).unwrap();
    let pid = nix::unistd::Pid::from_raw(pid.trim().parse().unwrap());
    let _gone = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
}
