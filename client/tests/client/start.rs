//! Starting and stopping: by itself, in a race, and with the reason where it fails.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use authsome_proto::response::WhoAmI;
use authsome_proto::{Request, Response};

use crate::fake::{Answer, Home, Seen};

#[expect(clippy::unnecessary_wraps, reason = "the shape of a handler")]
fn who(_: &Request) -> Answer {
    Some(Ok(Response::WhoAmI(WhoAmI {
        uid: 7,
        pid: 1,
        home: "/h".into(),
        store: "file".into(),
        run: None,
        granted: Vec::new(),
    })))
}

/// Puts the client into a folder of its own beside an `authsomed` that is this script.
fn install(home: &Home, script: &str) -> PathBuf {
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let client = bin.join("authsome");
    std::fs::copy(env!("CARGO_BIN_EXE_authsome"), &client).unwrap();
    let daemon = bin.join("authsomed");
    let mut file = std::fs::File::create(&daemon).unwrap();
    writeln!(file, "#!/bin/sh\n{script}").unwrap();
    drop(file);
    std::fs::set_permissions(&daemon, std::fs::Permissions::from_mode(0o700)).unwrap();
    client
}

#[test]
fn the_daemons_reason_for_not_starting_reaches_the_person() {
    let home = Home::new();
    let client = install(
        &home,
        "echo 'error: `config.toml`, line 14: unknown key `unmached`'\necho 'hint: did you mean `unmatched`?'\nexit 1",
    );
    let seen = Seen::of(home.command_of(&client, "status").output().unwrap());
    assert_eq!(seen.code, Some(3));
    insta::assert_snapshot!(seen.err, @r"
    error: `config.toml`, line 14: unknown key `unmached`
    hint: did you mean `unmatched`?
    ");
    let seen = Seen::of(home.command_of(&client, "run -- true").output().unwrap());
    assert_eq!(seen.code, Some(125));
}

#[test]
fn a_daemon_that_cannot_even_be_executed_is_named() {
    let home = Home::new();
    let client = install(&home, "");
    let daemon = client.with_file_name("authsomed");
    std::fs::set_permissions(&daemon, std::fs::Permissions::from_mode(0o600)).unwrap();
    let seen = Seen::of(home.command_of(&client, "status").output().unwrap());
    assert_eq!(seen.code, Some(3));
    assert!(seen.err.contains("cannot start the daemon"), "{}", seen.err);
}

/// L8
#[test]
fn commands_that_start_together_are_all_served_by_the_winner() {
    let home = Arc::new(Home::new());
    // every starter loses; the winner listens a moment later
    let client = install(&home, "echo already-running");
    let commands: Vec<_> = (0..12)
        .map(|_| {
            let (home, client) = (Arc::clone(&home), client.clone());
            std::thread::spawn(move || {
                Seen::of(home.command_of(&client, "whoami").output().unwrap())
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(50));
    home.listen(who);
    for command in commands {
        let seen = command.join().unwrap();
        assert_eq!(seen.code, Some(0), "{seen:?}");
    }
}

#[test]
fn looking_at_the_daemon_does_not_start_it() {
    let home = Home::new();
    let client = install(&home, "touch \"$AUTHSOME_HOME/started\"; echo ready");
    let seen = |line| Seen::of(home.command_of(&client, line).output().unwrap());
    let status = seen("daemon status");
    assert_eq!(status.code, Some(3));
    assert!(
        status
            .err
            .contains("hint: `authsome daemon start` starts it"),
        "{}",
        status.err
    );
    let stop = seen("daemon stop");
    assert_eq!(
        (stop.code, stop.out.as_str()),
        (Some(0), "no daemon was running\n")
    );
    assert_eq!(seen("version").code, Some(0));
    assert!(!home.path().join("started").exists());
}

#[test]
fn a_new_start_leaves_no_open_descriptor_that_holds_the_callers_pipe() {
    let home = Home::new();
    // a daemon that detaches but keeps what it was given must not keep `$(authsome ...)` waiting
    let client = install(&home, "sleep 30 & echo already-running");
    home.listen(who);
    std::fs::remove_file(home.socket()).unwrap();
    let began = std::time::Instant::now();
    let child = home
        .command_of(&client, "daemon start")
        .stdout(std::process::Stdio::piped())
        .spawn();
    std::thread::sleep(Duration::from_millis(50));
    home.listen(who);
    let seen = Seen::of(child.unwrap().wait_with_output().unwrap());
    assert_eq!(seen.code, Some(0), "{seen:?}");
    assert!(began.elapsed() < Duration::from_secs(10));
}
