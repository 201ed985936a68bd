//! Tests of the connections: default rules, generations, damage.

use std::path::PathBuf;

use super::*;

fn provider(name: &str) -> ProviderName {
    name.parse().unwrap()
}

fn name(name: &str) -> ConnectionName {
    name.parse().unwrap()
}

fn record(of: &str, connection: &str) -> ConnectionRecord {
    ConnectionRecord {
        provider: provider(of),
        connection: name(connection),
        state: ConnectionState::Connected,
        created_at: "2026-01-01T00:00:00Z".to_owned(),
        rotated_at: None,
        last_used: None,
        hosts: vec!["api.intercom.io".to_owned()],
        account: None,
        region: None,
        base_url: None,
        grant: None,
    }
}

fn open(home: &Path) -> Connections {
    let (connections, fallback) = Connections::open(home).unwrap();
    assert_eq!(fallback, None);
    connections
}

fn file(home: &Path) -> PathBuf {
    home.join("connections.json")
}

fn aside(home: &Path) -> Vec<Vec<u8>> {
    std::fs::read_dir(home)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_str().unwrap().contains(".corrupt-"))
        .map(|entry| std::fs::read(entry.path()).unwrap())
        .collect()
}

#[test]
fn changes_are_there_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let connections = open(home.path());
    let inserted = connections.insert(record("intercom", "default")).unwrap();
    assert_eq!(
        inserted,
        Inserted {
            became_default: true,
            replaced: None
        }
    );
    connections
        .update(&provider("intercom"), &name("default"), |record| {
            record.state = ConnectionState::NeedsLogin;
        })
        .unwrap();
    let listed = open(home.path()).list();
    assert_eq!(listed, connections.list());
    assert_eq!(listed[0].state, ConnectionState::NeedsLogin);
}

#[test]
fn the_first_connection_is_the_default_and_removing_it_moves_or_clears_the_pointer() {
    let home = tempfile::tempdir().unwrap();
    let connections = open(home.path());
    let intercom = provider("intercom");
    for (connection, first) in [("a", true), ("b", false), ("c", false)] {
        let inserted = connections.insert(record("intercom", connection)).unwrap();
        assert_eq!(inserted.became_default, first);
    }
    // several are left: nobody but a person knows which
    let removed = connections.remove(&intercom, &name("a")).unwrap();
    assert_eq!(
        removed,
        Removed {
            was_default: true,
            new_default: None
        }
    );
    assert_eq!(connections.default_of(&intercom), None);
    connections.set_default(&intercom, &name("c")).unwrap();
    // one is left: it is meant
    let removed = connections.remove(&intercom, &name("c")).unwrap();
    assert_eq!(
        removed,
        Removed {
            was_default: true,
            new_default: Some(name("b"))
        }
    );
    assert_eq!(open(home.path()).default_of(&intercom), Some(name("b")));
    let removed = connections.remove(&intercom, &name("b")).unwrap();
    assert_eq!(
        removed,
        Removed {
            was_default: true,
            new_default: None
        }
    );
    // the first again
    assert!(
        connections
            .insert(record("intercom", "d"))
            .unwrap()
            .became_default
    );
}

#[test]
fn another_connection_leaves_the_default_alone() {
    let home = tempfile::tempdir().unwrap();
    let connections = open(home.path());
    connections.insert(record("intercom", "a")).unwrap();
    connections.insert(record("intercom", "b")).unwrap();
    let removed = connections
        .remove(&provider("intercom"), &name("b"))
        .unwrap();
    assert_eq!(
        removed,
        Removed {
            was_default: false,
            new_default: Some(name("a"))
        }
    );
}

#[test]
fn an_unknown_connection_is_named_with_the_known_ones() {
    let home = tempfile::tempdir().unwrap();
    let connections = open(home.path());
    connections.insert(record("intercom", "team")).unwrap();
    let error = connections
        .set_default(&provider("intercom"), &name("tame"))
        .unwrap_err();
    assert_eq!(error.to_string(), "no connection `tame` of `intercom`");
    assert_eq!(error.hint().unwrap(), "there is `team`");
    assert!(connections.remove(&provider("github"), &name("x")).is_err());
    assert_eq!(
        connections.default_of(&provider("intercom")),
        Some(name("team"))
    );
}

#[test]
fn last_use_is_seen_at_once_and_written_once_a_minute() {
    let home = tempfile::tempdir().unwrap();
    let connections = open(home.path());
    let (intercom, default) = (provider("intercom"), name("default"));
    connections.insert(record("intercom", "default")).unwrap();
    let start: Timestamp = "2026-01-01T10:00:00Z".parse().unwrap();
    let later = |seconds| start + Duration::from_secs(seconds);
    let stored = || {
        open(home.path())
            .find(&intercom, &default)
            .unwrap()
            .last_used
    };

    connections.touch(&intercom, &default, start);
    assert_eq!(
        connections.list()[0].last_used.as_deref(),
        Some("2026-01-01T10:00:00Z")
    );
    assert_eq!(stored(), None);
    assert!(connections.flush_if_due(start).unwrap());
    assert_eq!(stored().as_deref(), Some("2026-01-01T10:00:00Z"));

    connections.touch(&intercom, &default, later(59));
    assert!(!connections.flush_if_due(later(59)).unwrap());
    assert!(connections.flush_if_due(later(60)).unwrap());
    assert_eq!(stored().as_deref(), Some("2026-01-01T10:00:59Z"));
    // nothing new, nothing written
    assert!(!connections.flush_if_due(later(600)).unwrap());
    // a clock that was set back does not stop the writing
    connections.touch(&intercom, &default, later(10));
    assert!(connections.flush_if_due(later(10)).unwrap());
}

/// S7: one flipped bit anywhere in the file: what loads is this generation or the one before with a
/// report and the damaged file kept, or a refusal that leaves the file alone. Never a panic.
#[test]
fn every_flipped_bit_is_survived_or_refused_and_never_overwritten() {
    let home = tempfile::tempdir().unwrap();
    let connections = open(home.path());
    connections.insert(record("intercom", "a")).unwrap();
    let before = connections.list();
    connections.insert(record("intercom", "b")).unwrap();
    let after = connections.list();
    let whole = std::fs::read(file(home.path())).unwrap();
    let backup = std::fs::read(home.path().join("connections.json.bak")).unwrap();
    let (mut fell_back, mut refused) = (0, 0);
    for at in 0..whole.len() {
        // every bit of the header, one of each byte after it: each case flushes a disk
        for bit in (0..8).filter(|bit| at < 64 || at % 8 == *bit) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            // one flush per case would take minutes: the files are prepared the plain way
            let home = tempfile::tempdir_in(home.path()).unwrap();
            plain_write(&file(home.path()), &damaged);
            plain_write(&home.path().join("connections.json.bak"), &backup);
            match Store::open(home.path()) {
                Ok((_, contents, None)) => {
                    assert_eq!(contents.connections, after, "byte {at} bit {bit}");
                }
                Ok((_, contents, Some(fallback))) => {
                    assert_eq!(contents.connections, before, "byte {at} bit {bit}");
                    assert_eq!(aside(home.path()), [damaged], "{fallback}");
                    fell_back += 1;
                }
                Err(LoadConnectionsError::NewerVersion { .. }) => {
                    assert_eq!(std::fs::read(file(home.path())).unwrap(), damaged);
                    refused += 1;
                }
                Err(error) => panic!("byte {at} bit {bit}: {error}"),
            }
        }
    }
    assert!(fell_back > 500 && refused > 0, "{fell_back} {refused}");
}

/// S7: with no whole generation left, nothing is invented and nothing is overwritten.
#[test]
fn two_damaged_generations_are_refused_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let connections = open(home.path());
    connections.insert(record("intercom", "a")).unwrap();
    plain_write(&file(home.path()), b"{\"v\":1");
    let error = Connections::open(home.path()).unwrap_err();
    assert!(
        matches!(error, LoadConnectionsError::Damaged { .. }),
        "{error}"
    );
    assert!(error.hint().is_some());
    plain_write(&home.path().join("connections.json.bak"), b"");
    assert!(Connections::open(home.path()).is_err());
    assert_eq!(std::fs::read(file(home.path())).unwrap(), b"{\"v\":1");
    assert!(aside(home.path()).is_empty());
}

#[test]
fn a_second_damaged_file_does_not_replace_the_first_one_kept() {
    let home = tempfile::tempdir().unwrap();
    let connections = open(home.path());
    connections.insert(record("intercom", "a")).unwrap();
    connections.insert(record("intercom", "b")).unwrap();
    for damage in ["first", "second"] {
        plain_write(&file(home.path()), damage.as_bytes());
        let (connections, fallback) = Connections::open(home.path()).unwrap();
        assert!(fallback.unwrap().to_string().contains("is kept as"));
        assert_eq!(connections.list().len(), 1);
    }
    let mut kept = aside(home.path());
    kept.sort();
    assert_eq!(kept, [b"first".to_vec(), b"second".to_vec()]);
}

#[test]
fn a_newer_file_is_refused_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    plain_write(&file(home.path()), b"{\"v\":2,\"else\":true}");
    let error = Connections::open(home.path()).unwrap_err();
    assert!(
        matches!(error, LoadConnectionsError::NewerVersion { found: 2, .. }),
        "{error}"
    );
    assert_eq!(
        std::fs::read(file(home.path())).unwrap(),
        b"{\"v\":2,\"else\":true}"
    );
}

/// S2: a failed write changes nothing in memory either.
#[test]
fn a_change_that_cannot_be_written_did_not_happen() {
    let home = tempfile::tempdir().unwrap();
    let connections = open(home.path());
    connections.insert(record("intercom", "a")).unwrap();
    let at = Timestamp::UNIX_EPOCH;
    connections.touch(&provider("intercom"), &name("a"), at);
    let away = home.path().with_extension("away");
    std::fs::rename(home.path(), &away).unwrap();
    assert!(connections.insert(record("intercom", "b")).is_err());
    assert_eq!(connections.list().len(), 1);
    std::fs::rename(&away, home.path()).unwrap();
    connections.flush().unwrap();
    let stored = open(home.path()).list();
    assert_eq!(stored.len(), 1);
    assert_eq!(
        stored[0].last_used,
        Some(at.to_string()),
        "the last use was lost"
    );
}

#[expect(clippy::disallowed_methods, reason = "prepares damaged files")]
fn plain_write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(path, private).unwrap();
}
