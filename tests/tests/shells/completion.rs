//! What TAB does.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use authsome_tests::{Home, LiveRun, wait_until};

use super::{PROMPT, SOON, Shell, Terminal};

/// A home with connections, and a program `zzz-tool` that completes its arguments by itself.
fn home() -> Home {
    let home = Home::new();
    home.login("intercom");
    home.login_with("intercom", &home.canary(), &["--connection", "team"]);
    home
}

fn complete(home: &Home, words: &[&str]) -> Vec<String> {
    let output = home
        .authsome(["complete", "--", "authsome"])
        .args(words)
        .output()
        .succeeded();
    assert_eq!(output.stderr, "");
    output.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn each_shell_completes_commands_options_and_what_the_daemon_knows() {
    let home = home();
    let run = LiveRun::start(&home, &[]);
    let id = run.id().to_owned();
    for shell in Shell::ALL {
        let mut terminal = Terminal::open(&home, shell);
        terminal.run(shell.completion());
        for (typed, words) in [
            ("authsome logi\t", "authsome login"),
            ("authsome run --unm\tde\t", "authsome run --unmatched deny"),
            (
                "authsome run --unmatched=de\t",
                "authsome run --unmatched=deny",
            ),
            ("authsome get int\t", "authsome get intercom"),
            ("authsome login brave\t", "authsome login brave-search-mcp"),
            (
                "authsome get intercom --connection te\t",
                "authsome get intercom --connection team",
            ),
            (
                "authsome run --connection intercom=te\t",
                "authsome run --connection intercom=team",
            ),
            (
                "authsome run --connection=intercom=te\t",
                "authsome run --connection=intercom=team",
            ),
            (
                "authsome run --env KEY=intercom/te\t",
                "authsome run --env KEY=intercom/team",
            ),
            (
                "authsome run --only intercom,brave\t",
                "authsome run --only intercom,brave-search-mcp",
            ),
            (
                "authsome connections set-d\tinterc\tte\t",
                "authsome connections set-default intercom team",
            ),
        ] {
            terminal.completes(typed, words);
        }
        let typed = format!("authsome runs stop {}\t", &id[..6]);
        terminal.completes(&typed, &format!("authsome runs stop {id}"));
        terminal.exit();
    }
    run.end();
}

#[test]
fn each_shell_completes_files_and_the_command_behind_run() {
    let home = home();
    home.write("definition-of-acme.json", "{}");
    let tool = home.write("zzz-tool", "#!/bin/sh\n");
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    for shell in Shell::ALL {
        let mut terminal = Terminal::open(&home, shell);
        terminal.run(shell.completion());
        terminal.run(match shell {
            Shell::Bash | Shell::BashCompletion => {
                "PATH=$PATH:$PWD; complete -W 'alphabet --beta' zzz-tool"
            }
            Shell::Fish => "set -x PATH $PATH $PWD; complete -c zzz-tool -f -a alphabet; complete -c zzz-tool -l beta",
            Shell::Zsh => {
                "path+=$PWD; rehash; _zzz() { compadd -- alphabet --beta }; compdef _zzz zzz-tool"
            }
        });
        let mut completed = |typed: &str| terminal.completed(typed).join(" ");
        assert_eq!(
            completed("authsome register definition\t"),
            "authsome register definition-of-acme.json",
            "{shell:?}"
        );
        let command = completed("authsome run --only intercom -- zzz-to\t");
        assert_eq!(
            command, "authsome run --only intercom -- zzz-tool",
            "{shell:?}"
        );
        assert_eq!(
            completed("authsome run zzz-tool definition-of\t").ends_with("definition-of-acme.json"),
            shell == Shell::Bash,
            "{shell:?}: files where the shell knows nothing better"
        );
        if shell != Shell::Bash {
            let line = "authsome run --connection intercom=team -- zzz-tool alph\t--be\t";
            let whole = "authsome run --connection intercom=team -- zzz-tool alphabet --beta";
            assert_eq!(completed(line), whole, "{shell:?}");
        }
        terminal.exit();
    }
}

/// A description comes from a file that may be anybody's.
#[test]
fn a_hostile_description_is_shown_and_does_nothing() {
    let home = home();
    let hostile =
        "Acme $(touch pwned) `touch pwned` '; touch pwned; ' %F{red}%(1j.x.y) \\\" : $PATH";
    let definition = serde_json::json!({
        "v": 1, "name": "acme-hostile", "display_name": hostile, "auth": "api_key",
        "routes": [{ "hosts": ["api.acme.example"], "header": { "name": "X-Key" } }],
    });
    let other = serde_json::json!({
        "v": 1, "name": "acme-plain", "display_name": "Plain", "auth": "api_key",
        "routes": [{ "hosts": ["api.plain.example"], "header": { "name": "X-Key" } }],
    });
    for definition in [definition, other] {
        let file = home.write("acme.json", definition.to_string());
        home.authsome(["register"]).arg(&file).output().succeeded();
    }
    wait_until("both to be offered", SOON, || {
        complete(&home, &["login", "acme-"]).len() == 3
    });
    for shell in Shell::ALL {
        let mut terminal = Terminal::open(&home, shell);
        terminal.run(shell.completion());
        let before = terminal.screen_len();
        terminal.keys("authsome login acme-");
        // bash lists at the second TAB, and one that comes while the shell is busy may be lost; fish
        // shows what was typed and what is offered in two colors
        terminal.shows_pressing(before, "plain", "\t");
        // what is typed before the shell has taken Ctrl-C is lost
        let before = terminal.screen_len();
        terminal.keys("\u{3}");
        terminal.shows(before, PROMPT);
        terminal.completes("authsome login acme-ho\t", "authsome login acme-hostile");
        terminal.exit();
        assert!(!home.work().join("pwned").exists(), "{shell:?}");
    }
}

#[test]
fn without_a_daemon_names_of_bundled_providers_are_all_there_is() {
    let home = Home::new();
    let offered = complete(&home, &["login", ""]);
    assert_eq!(offered[0], "words");
    for words in [
        &["get", ""][..],
        &["runs", "stop", ""],
        &["run", "--connection", ""],
        &["webhook", "rotate", ""],
    ] {
        assert!(complete(&home, words).is_empty(), "{words:?}");
    }
    assert_eq!(home.daemon_pid(), None, "no daemon was started");
    let all = home
        .authsome(["list", "--all", "--json"])
        .output()
        .succeeded();
    let all = all.json();
    let names: Vec<&str> = all["providers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["provider"].as_str().unwrap())
        .collect();
    let offered: Vec<&str> = offered[1..].iter().map(|it| it.trim()).collect();
    assert_eq!(offered, names);
}

/// A service manager that holds the socket would start a daemon for whoever connects.
#[test]
fn a_socket_without_a_daemon_is_not_connected_to() {
    let home = Home::new();
    home.authsome(["status"]).output().succeeded();
    let socket = home.control_socket();
    home.authsome(["daemon", "stop"]).output().succeeded();
    let listener = UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    complete(&home, &["login", "int"]);
    let accepted = listener.accept();
    assert!(accepted.is_err(), "{accepted:?}");
    std::fs::remove_file(&socket).unwrap();
}

/// A daemon that hangs must not hang the shell.
#[test]
fn a_daemon_that_does_not_answer_is_not_waited_for() {
    let home = Home::new();
    home.authsome(["status"]).output().succeeded();
    let pid = i32::try_from(home.daemon_pid().unwrap()).unwrap();
    let pid = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let begun = Instant::now();
    let offered = complete(&home, &["login", "intercom"]);
    let runs = complete(&home, &["runs", "stop", ""]);
    let took = begun.elapsed();
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
    assert_eq!(offered[..2], ["words", "intercom\t"]);
    assert!(runs.is_empty());
    // other commands give a daemon that hangs 10 s each
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn every_shell_has_a_script() {
    let home = Home::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = home.authsome(["completions", shell]).output().succeeded();
        assert!(script.stdout.contains("authsome"), "{shell}");
    }
    for (shell, flag) in [("bash", "-n"), ("zsh", "-n"), ("fish", "-n")] {
        let script = home.authsome(["completions", shell]).output().succeeded();
        let file = home.write("script", script.stdout);
        home.command(shell)
            .arg(flag)
            .arg(&file)
            .output()
            .succeeded();
    }
}
