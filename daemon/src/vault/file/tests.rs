//! Tests of the file store: what the stock `age` tool makes of it, and damage.

use std::process::{Command, Output, Stdio};

use super::*;

const TEXT: &[u8] = br#"{"v":1,"name":"install","secret":"tok_1"}"#;

fn item_files(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension() == Some("age".as_ref()))
        .collect()
}

fn run(program: &str, package: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("`{program}` ({error}): `apt-get install {package}`"))
}

#[test]
fn the_stock_tool_opens_an_item() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("vault");
    FileStore::new(&folder, PassphraseWish::None)
        .put(&ItemKey::Install, TEXT)
        .unwrap();
    let [file] = &item_files(&folder)[..] else {
        panic!("one item, one file")
    };
    assert!(
        !file.to_str().unwrap().contains("install"),
        "the name tells what it is"
    );
    let identity = folder.join("identity");
    let arguments = [
        "-d",
        "-i",
        identity.to_str().unwrap(),
        file.to_str().unwrap(),
    ];
    let output = run("age", "age", &arguments);
    assert_eq!(
        output.stdout,
        TEXT,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_stock_tool_opens_an_item_after_asking_for_the_passphrase() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("vault");
    let mut store = FileStore::new(&folder, PassphraseWish::Wanted);
    store
        .unlock(&Secret::new("correct horse".to_owned()))
        .unwrap();
    store.put(&ItemKey::Install, TEXT).unwrap();
    let [file] = &item_files(&folder)[..] else {
        panic!("one item, one file")
    };
    let script = format!(
        "set timeout 60\nspawn -noecho age -d -i {} {}\nexpect \"assphrase\"\n\
         send \"correct horse\\r\"\nexpect eof\n",
        folder.join("identity").display(),
        file.display()
    );
    // `expect` gives `age` the terminal without which it asks nothing
    drop(run("age", "age", &["--version"]));
    let output = run("expect", "expect", &["-c", &script]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(
        shown.contains(std::str::from_utf8(TEXT).unwrap()),
        "{shown}"
    );
}

/// VF1: without its identity a vault is damaged, not empty.
#[test]
fn a_lost_identity_is_an_error_and_not_a_new_vault() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("vault");
    FileStore::new(&folder, PassphraseWish::None)
        .put(&ItemKey::Install, TEXT)
        .unwrap();
    std::fs::remove_file(folder.join("identity")).unwrap();
    let mut store = FileStore::new(&folder, PassphraseWish::None);
    for error in [
        store.get(&ItemKey::Install).map(drop).unwrap_err(),
        store.put(&ItemKey::Install, TEXT).unwrap_err(),
    ] {
        assert!(matches!(error, VaultError::Corrupt { .. }), "{error}");
    }
    assert!(!folder.join("identity").exists());
}

/// S7: every flipped bit of an item is found, and the file stays as it is.
#[test]
fn every_flipped_byte_of_an_item_is_found() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("vault");
    let mut store = FileStore::new(&folder, PassphraseWish::None);
    store.put(&ItemKey::Install, TEXT).unwrap();
    let [file] = &item_files(&folder)[..] else {
        panic!("one item, one file")
    };
    let whole = std::fs::read(file).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        write_atomic(file, &damaged).unwrap();
        let error = store.get(&ItemKey::Install).map(drop).unwrap_err();
        assert!(
            matches!(error, VaultError::Corrupt { .. }),
            "byte {at}: {error}"
        );
        assert_eq!(std::fs::read(file).unwrap(), damaged);
    }
}

/// S7: the same for the identity; no error shows a part of the key.
#[test]
fn a_damaged_identity_is_refused_and_not_quoted() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("vault");
    FileStore::new(&folder, PassphraseWish::None)
        .put(&ItemKey::Install, TEXT)
        .unwrap();
    let whole = std::fs::read(folder.join("identity")).unwrap();
    let start = whole
        .windows(15)
        .position(|part| part == b"AGE-SECRET-KEY-")
        .unwrap();
    let quoted = String::from_utf8(whole[start + 17..start + 40].to_vec()).unwrap();
    for at in start..whole.len() - 1 {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        write_atomic(&folder.join("identity"), &damaged).unwrap();
        let mut store = FileStore::new(&folder, PassphraseWish::None);
        let error = store.get(&ItemKey::Install).map(drop).unwrap_err();
        assert!(
            matches!(error, VaultError::Corrupt { .. }),
            "byte {at}: {error}"
        );
        assert!(!format!("{error:?}").contains(&quoted[..8]), "{error:?}");
    }
}
