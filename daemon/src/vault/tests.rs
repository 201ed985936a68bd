//! Tests of the vault as its callers see it, over the file store. The keyring's are in
//! `tests/vault_keyring.rs`, crashes in `tests/crash.rs`.

use super::*;

fn key(connection: &str) -> ItemKey {
    ItemKey::Connection {
        provider: "intercom".parse().unwrap(),
        connection: connection.parse().unwrap(),
    }
}

fn item(secret: &str) -> StoredItem {
    StoredItem {
        secret: Secret::new(secret.to_owned()),
        hosts: vec!["api.intercom.io".to_owned()],
        stored_at: "2026-01-01T00:00:00Z".to_owned(),
        grant: None,
    }
}

fn open(home: &Path, choice: StoreChoice, wish: PassphraseWish) -> Vault {
    Vault::open(home, "home-1", choice, wish)
}

async fn secret_of(vault: &Vault, key: &ItemKey) -> Option<String> {
    vault
        .get(key)
        .await
        .unwrap()
        .map(|item| item.secret.expose().to_owned())
}

#[tokio::test]
async fn the_first_secret_makes_the_choice_and_a_restart_keeps_both() {
    let home = tempfile::tempdir().unwrap();
    let vault = open(home.path(), StoreChoice::File, PassphraseWish::None);
    assert!(vault.get(&key("default")).await.unwrap().is_none());
    assert!(!vault.delete(&key("default")).await.unwrap());
    assert!(!home.path().join("vault").exists(), "reading made a choice");
    vault.put(&key("default"), item("tok_1")).await.unwrap();
    vault.put(&key("team"), item("tok_2")).await.unwrap();
    vault.put(&key("default"), item("tok_3")).await.unwrap();

    let vault = open(home.path(), StoreChoice::Auto, PassphraseWish::None);
    assert_eq!(
        secret_of(&vault, &key("default")).await.as_deref(),
        Some("tok_3")
    );
    let status = vault.status().await;
    assert_eq!(
        (status.recorded, status.in_use),
        (Some(StoreKind::File), Some(StoreKind::File))
    );
    assert!(status.problem.is_none() && !status.is_locked());
    assert!(vault.delete(&key("default")).await.unwrap());
    assert_eq!(secret_of(&vault, &key("default")).await, None);
    assert_eq!(
        secret_of(&vault, &key("team")).await.as_deref(),
        Some("tok_2")
    );

    // V1: never another store by a change of the configuration
    let vault = open(home.path(), StoreChoice::Keyring, PassphraseWish::None);
    for error in [
        vault.get(&key("team")).await.unwrap_err(),
        vault.put(&key("team"), item("x")).await.unwrap_err(),
        vault.status().await.problem.unwrap(),
    ] {
        assert!(
            matches!(error, VaultError::ChoiceConflict { .. }),
            "{error}"
        );
    }
}

/// V3: asked for by many at once, there is one, and it stays.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_one_install_secret() {
    let home = tempfile::tempdir().unwrap();
    let vault = open(home.path(), StoreChoice::File, PassphraseWish::None);
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let vault = vault.clone();
        asked.spawn(async move {
            vault
                .install_secret()
                .await
                .unwrap()
                .as_ref()
                .as_ref()
                .to_vec()
        });
    }
    let secrets = asked.join_all().await;
    assert!(
        secrets
            .iter()
            .all(|secret| secret.len() == 32 && *secret == secrets[0])
    );
    assert_ne!(secrets[0], [0; 32]);
    let again = open(home.path(), StoreChoice::Auto, PassphraseWish::None);
    assert_eq!(
        again.install_secret().await.unwrap().as_ref().as_ref(),
        secrets[0]
    );
}

#[tokio::test]
async fn a_passphrase_is_asked_for_once_per_start() {
    let home = tempfile::tempdir().unwrap();
    let vault = open(home.path(), StoreChoice::File, PassphraseWish::Wanted);
    let unlock = |text: &str| Secret::new(text.to_owned());
    let error = vault.put(&key("default"), item("tok_1")).await.unwrap_err();
    assert!(
        matches!(error, VaultError::PassphraseNeeded { new: true }),
        "{error}"
    );
    let error = vault.unlock(unlock("")).await.unwrap_err();
    assert!(matches!(error, VaultError::EmptyPassphrase), "{error}");
    vault.unlock(unlock("correct horse")).await.unwrap();
    vault.put(&key("default"), item("tok_1")).await.unwrap();

    // the file says that it is locked, whatever the configuration says
    let vault = open(home.path(), StoreChoice::Auto, PassphraseWish::None);
    assert!(vault.status().await.is_locked());
    let error = vault.get(&key("default")).await.unwrap_err();
    assert!(
        matches!(error, VaultError::PassphraseNeeded { new: false }),
        "{error}"
    );
    let error = vault.unlock(unlock("wrong horse")).await.unwrap_err();
    assert!(matches!(error, VaultError::WrongPassphrase), "{error}");
    vault.unlock(unlock("correct horse")).await.unwrap();
    assert_eq!(
        secret_of(&vault, &key("default")).await.as_deref(),
        Some("tok_1")
    );
    assert!(!vault.status().await.is_locked());
}

/// A passphrase that is wanted later closes the identity and keeps the items.
#[tokio::test]
async fn a_passphrase_can_be_added_to_a_store_that_had_none() {
    let home = tempfile::tempdir().unwrap();
    let vault = open(home.path(), StoreChoice::File, PassphraseWish::None);
    vault.put(&key("default"), item("tok_1")).await.unwrap();
    let error = vault.unlock(Secret::new("x".to_owned())).await.unwrap_err();
    assert!(matches!(error, VaultError::NothingToUnlock), "{error}");

    let vault = open(home.path(), StoreChoice::File, PassphraseWish::Wanted);
    let error = vault.get(&key("default")).await.unwrap_err();
    assert!(
        matches!(error, VaultError::PassphraseNeeded { new: true }),
        "{error}"
    );
    vault
        .unlock(Secret::new("correct horse".to_owned()))
        .await
        .unwrap();
    assert_eq!(
        secret_of(&vault, &key("default")).await.as_deref(),
        Some("tok_1")
    );
    let identity = std::fs::read(home.path().join("vault/identity")).unwrap();
    assert!(identity.starts_with(b"age-encryption.org/v1\n-> scrypt "));
}

/// L7: a vault folder that others can write to is not used.
#[tokio::test]
async fn an_open_vault_folder_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;

    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("vault");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    let vault = open(home.path(), StoreChoice::File, PassphraseWish::None);
    let error = vault.put(&key("default"), item("tok_1")).await.unwrap_err();
    assert!(matches!(error, VaultError::Folder(_)), "{error}");
    assert!(error.hint().unwrap().contains("chmod 700"));
}

/// A thread that hangs in the keyring costs its callers their deadline and no more, also those
/// whom the full queue does not take.
#[tokio::test(start_paused = true)]
async fn a_vault_that_does_not_answer_hangs_nobody() {
    let (jobs, _queue) = mpsc::channel(1);
    let path: Arc<Path> = Path::new("/home/vault").into();
    let vault = Vault {
        jobs,
        configured: StoreChoice::Auto,
        path,
    };
    let start = tokio::time::Instant::now();
    let key = key("default");
    let (first, second, status) = tokio::join!(
        vault.get(&key),
        vault.put(&key, item("tok_1")),
        vault.status()
    );
    assert!(matches!(first, Err(VaultError::TimedOut)));
    assert!(matches!(second, Err(VaultError::TimedOut)));
    assert!(matches!(status.problem, Some(VaultError::TimedOut)));
    assert_eq!(start.elapsed(), DEADLINE);
}

/// A change that was reported as timed out does not happen later if it had not begun.
#[test]
fn a_request_whose_caller_left_is_not_begun() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("vault");
    let worker = worker::Worker::new(&folder, "home-1", StoreChoice::File, PassphraseWish::None);
    let (jobs, queue) = mpsc::channel(1);
    let (answer, answered) = oneshot::channel();
    drop(answered);
    let request = Request::Put {
        key: key("default"),
        item: Box::new(item("tok_1")),
        answer,
    };
    jobs.try_send(Job {
        deadline: Instant::now(),
        request,
    })
    .unwrap();
    drop(jobs);
    worker.run(queue);
    assert!(!folder.exists());
}

#[test]
fn every_error_that_a_person_meets_has_a_hint() {
    for error in [
        VaultError::Absent("x".into()),
        VaultError::Denied,
        VaultError::Locked,
        VaultError::NoCollection,
        VaultError::PassphraseNeeded { new: true },
        VaultError::Stopped,
        VaultError::TimedOut,
        VaultError::TooLarge { len: 2, max: 1 },
        VaultError::WrongPassphrase,
    ] {
        assert!(error.hint().is_some(), "{error}");
    }
}
