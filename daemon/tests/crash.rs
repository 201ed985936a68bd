//! Power cuts in miniature: a writer is killed, or its disk fails, at each of its system calls in
//! turn (threats S1, S2), and what it leaves must be the state before or the state after.
//!
//! `strace` starts this test binary again with one of the `writer_` functions and kills it at the
//! N-th call of a kind, for N = 1, 2, … until the writer gets through.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::path::Path;
use std::process::{Command, Stdio};

use authsome_proto::Secret;
use authsomed::connections::{ConnectionRecord, ConnectionState, Connections};
use authsomed::vault::{ItemKey, PassphraseWish, StoreChoice, StoredItem, Vault};

const HOME: &str = "AUTHSOME_TEST_CRASH_HOME";

/// Every call by which a write reaches the disk, and those that prepare it.
const CALLS: [&str; 9] = [
    "openat", "write", "fsync", "rename", "renameat", "unlinkat", "mkdirat", "linkat", "link",
];

#[derive(PartialEq)]
enum Ended {
    Killed,
    Failed,
    Through,
}

/// Runs `writer` on `home` with `fault` at the `at`-th `call` of each of its threads.
fn run(writer: &str, home: &Path, call: &str, fault: &str, at: usize) -> Ended {
    use std::os::unix::process::ExitStatusExt as _;

    let status = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        // `?`: not every machine has every call
        .arg(format!("trace=?{call}"))
        .arg("-e")
        .arg(format!("inject=?{call}:{fault}:when={at}"))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", writer, "--ignored", "--nocapture"])
        .env(HOME, home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap_or_else(|error| panic!("`strace` ({error}): `apt-get install strace`"));
    // `strace` ends as its child did
    match (status.signal(), status.code()) {
        (Some(9), _) | (_, Some(137)) => Ended::Killed,
        (_, Some(0)) => Ended::Through,
        _ => Ended::Failed,
    }
}

/// Injects `fault` at every call in turn; `check` sees each home after its writer ended.
fn at_every_call(
    writer: &str,
    fault: &str,
    prepare: impl Fn(&Path),
    check: impl Fn(&Path, bool, &str),
) -> usize {
    let mut faults = 0;
    for call in CALLS {
        for at in 1.. {
            assert!(at < 300, "`{writer}` never gets through `{call}`");
            let home = tempfile::tempdir().unwrap();
            prepare(home.path());
            let ended = run(writer, home.path(), call, fault, at);
            check(
                home.path(),
                ended == Ended::Through,
                &format!("{call} {at}"),
            );
            if ended == Ended::Through {
                break;
            }
            faults += 1;
        }
    }
    faults
}

fn record(connection: &str) -> ConnectionRecord {
    ConnectionRecord {
        provider: "intercom".parse().unwrap(),
        connection: connection.parse().unwrap(),
        state: ConnectionState::Connected,
        created_at: "2026-01-01T00:00:00Z".to_owned(),
        rotated_at: None,
        last_used: None,
        hosts: Vec::new(),
        account: None,
        region: None,
        base_url: None,
        grant: None,
    }
}

fn key() -> ItemKey {
    ItemKey::Connection {
        provider: "intercom".parse().unwrap(),
        connection: "default".parse().unwrap(),
    }
}

fn item(secret: &str) -> StoredItem {
    StoredItem {
        secret: Secret::new(secret.to_owned()),
        hosts: Vec::new(),
        stored_at: "2026-01-01T00:00:00Z".to_owned(),
        grant: None,
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(work)
}

fn vault(home: &Path) -> Vault {
    Vault::open(home, "home-1", StoreChoice::File, PassphraseWish::None)
}

fn stored(home: &Path) -> Option<String> {
    let item = block_on(vault(home).get(&key())).unwrap();
    item.map(|item| item.secret.expose().to_owned())
}

fn no_leftovers(folder: &Path, at: &str) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert!(
            path.extension() != Some("tmp".as_ref()),
            "{at}: `{}` is left",
            path.display()
        );
    }
}

#[test]
#[ignore = "started under strace by the tests below"]
fn writer_of_connections() {
    let Some(home) = std::env::var_os(HOME) else {
        return;
    };
    let (connections, _) = Connections::open(Path::new(&home)).unwrap();
    connections.insert(record("b")).unwrap();
}

#[test]
#[ignore = "started under strace by the tests below"]
fn writer_of_secrets() {
    let Some(home) = std::env::var_os(HOME) else {
        return;
    };
    block_on(vault(Path::new(&home)).put(&key(), item("tok_2"))).unwrap();
}

fn two_generations(home: &Path) {
    let (connections, _) = Connections::open(home).unwrap();
    connections.insert(record("zero")).unwrap();
    connections.insert(record("a")).unwrap();
}

fn connections_before_or_after(home: &Path, through: bool, at: &str) {
    let (connections, fallback) = Connections::open(home).unwrap();
    assert_eq!(fallback, None, "{at}");
    let names: Vec<_> = connections
        .list()
        .iter()
        .map(|record| record.connection.to_string())
        .collect();
    let before = names == ["a", "zero"];
    let after = names == ["a", "b", "zero"];
    assert!(after || before && !through, "{at}: {names:?}");
    // the next write works and cleans up
    connections.insert(record("next")).unwrap();
    no_leftovers(home, at);
}

/// S1: kill −9 at any write loses no connection.
#[test]
fn connections_survive_a_kill_at_every_system_call() {
    let killed = at_every_call(
        "writer_of_connections",
        "signal=KILL",
        two_generations,
        connections_before_or_after,
    );
    assert!(
        killed > 10,
        "only {killed} kills: the injection does not work"
    );
}

/// S2: a full disk at any write loses no connection either.
#[test]
fn connections_survive_a_full_disk_at_every_write() {
    for call in ["write", "fsync", "renameat"] {
        for at in 1..=4 {
            let home = tempfile::tempdir().unwrap();
            two_generations(home.path());
            let ended = run(
                "writer_of_connections",
                home.path(),
                call,
                "error=ENOSPC",
                at,
            );
            connections_before_or_after(
                home.path(),
                ended == Ended::Through,
                &format!("{call} {at}"),
            );
        }
    }
}

/// S1: a secret that replaces another is the old one or the new one.
#[test]
fn a_replaced_secret_survives_a_kill_at_every_system_call() {
    let killed = at_every_call(
        "writer_of_secrets",
        "signal=KILL",
        |home| block_on(vault(home).put(&key(), item("tok_1"))).unwrap(),
        |home, through, at| {
            let found = stored(home);
            let expected = if through {
                vec!["tok_2"]
            } else {
                vec!["tok_1", "tok_2"]
            };
            assert!(
                found
                    .as_deref()
                    .is_some_and(|found| expected.contains(&found)),
                "{at}: {found:?}"
            );
        },
    );
    assert!(
        killed > 5,
        "only {killed} kills: the injection does not work"
    );
}

/// S1: the first secret of all, with the identity and the record of the choice, is there whole or
/// not at all, and storing it again works.
#[test]
fn the_first_secret_survives_a_kill_at_every_system_call() {
    let killed = at_every_call(
        "writer_of_secrets",
        "signal=KILL",
        |_| {},
        |home, through, at| {
            let found = stored(home);
            assert!(
                found.as_deref() == Some("tok_2") || found.is_none() && !through,
                "{at}"
            );
            block_on(vault(home).put(&key(), item("tok_3"))).unwrap();
            assert_eq!(stored(home).as_deref(), Some("tok_3"), "{at}");
            no_leftovers(&home.join("vault"), at);
        },
    );
    assert!(
        killed > 10,
        "only {killed} kills: the injection does not work"
    );
}
