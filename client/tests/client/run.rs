//! `run`: the command takes our place, and nothing of us stays.

use std::process::Stdio;

use authsome_proto::response::RunStarted;
use authsome_proto::{ErrorCode, Request, Response};

use crate::fake::{Answer, Home, Seen, fail};

fn runner(request: &Request) -> Answer {
    match request {
        Request::RunStart(_) => Some(Ok(Response::RunStarted(RunStarted {
            run: "r1".parse().unwrap(),
            set: vec![("KEY".into(), "authsome-proxy-managed".into())],
            remove: vec!["ALL_PROXY".into()],
            warnings: vec!["`NO_PROXY` covered `api.intercom.io`".into()],
            granted: Vec::new(),
        }))),
        _ => fail(ErrorCode::BadRequest, "not in this test"),
    }
}

#[test]
fn the_command_gets_the_environment_of_the_run() {
    let home = Home::with(runner);
    let mut command = home.command("run -- printenv KEY ALL_PROXY KEPT");
    command
        .env("KEY", "real")
        .env("ALL_PROXY", "x")
        .env("NO_PROXY", "x")
        .env("KEPT", "kept");
    let seen = Seen::of(command.output().unwrap());
    assert_eq!(seen.out, "authsome-proxy-managed\nkept\n");
    assert_eq!(seen.err, "warning: `NO_PROXY` covered `api.intercom.io`\n");
    let asked = home.asked();
    let [Request::RunStart(start)] = asked.as_slice() else {
        panic!("{asked:?}")
    };
    assert_eq!(start.program, "printenv");
    assert!(start.environment.contains(&("NO_PROXY".into(), "x".into())));
    assert!(
        !start
            .environment
            .iter()
            .any(|(name, _)| name == "KEY" || name == "KEPT")
    );
}

#[test]
fn the_command_is_the_same_process() {
    let home = Home::with(runner);
    let mut command = std::process::Command::new("sh");
    // the outer shell execs the client, so its process id must be what the command prints
    let script = format!(
        "echo $$; exec {} --quiet run -- sh -c 'echo $$'",
        env!("CARGO_BIN_EXE_authsome")
    );
    command
        .args(["-c", &script])
        .env("AUTHSOME_HOME", home.path())
        .env("HOME", home.path());
    let seen = Seen::of(command.output().unwrap());
    let pids: Vec<&str> = seen.out.lines().collect();
    assert_eq!(pids.len(), 2, "{seen:?}");
    assert_eq!(pids[0], pids[1]);
}

#[test]
fn nothing_of_ours_is_inherited_and_signals_are_as_they_should_be() {
    let home = Home::with(runner);
    // compared with the same command alone: what the tests' own surroundings leave open or ignored
    // is inherited either way
    for line in [
        "grep -E ^Sig(Blk|Ign) /proc/self/status",
        "ls /proc/self/fd",
    ] {
        let mut alone = home.command_of(std::path::Path::new("/bin/env"), line);
        let alone = Seen::of(alone.output().unwrap()).out;
        assert!(alone.lines().count() >= 2, "{alone}");
        assert_eq!(home.run(&format!("--quiet run -- {line}")).out, alone);
    }
}

#[test]
fn exit_codes_are_the_commands_own_or_those_of_a_shell() {
    let home = Home::with(runner);
    let code = |line: &str| home.run(line).code;
    assert_eq!(code("run -- false"), Some(1));
    assert_eq!(code("run -- no-such-command"), Some(127));
    assert_eq!(code("run -- /etc/passwd"), Some(126));
    assert_eq!(code("run -- /"), Some(126));
    assert_eq!(code("run --nonsense true"), Some(125));
    assert_eq!(
        Home::with(|_| fail(ErrorCode::VaultLocked, "x"))
            .run("run true")
            .code,
        Some(125)
    );
}

#[test]
fn a_command_that_is_not_there_starts_no_run() {
    let home = Home::with(runner);
    let seen = home.run("run -- no-such-command");
    assert_eq!(seen.err, "error: `no-such-command`: command not found\n");
    assert!(home.asked().is_empty());
}

#[test]
fn a_signal_that_ends_the_command_is_seen_as_if_it_ran_alone() {
    use std::os::unix::process::ExitStatusExt as _;
    let home = Home::with(runner);
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_authsome"))
        .args(["--quiet", "run", "--", "sh", "-c", "kill -TERM $$"])
        .env("AUTHSOME_HOME", home.path())
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(15));
}
