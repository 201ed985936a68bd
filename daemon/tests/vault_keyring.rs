//! The vault over a real Secret Service: `gnome-keyring-daemon` on a session bus of its own.
//!
//! Each test starts this test binary again under `dbus-run-session`, in a home of its own, with one
//! of the `inside_` functions; nothing of the caller's session is seen or touched (threat S3).

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use authsome_proto::Secret;
use authsomed::vault::{
    ItemKey, PassphraseWish, StoreChoice, StoreKind, StoredItem, Vault, VaultError,
};

const INSIDE: &str = "AUTHSOME_TEST_KEYRING_HOME";

/// Longer than any vault call may take, with room for a busy machine to be scheduled.
const CALL_MAX: Duration = Duration::from_millis(5_500);

/// How long the keyring may take to get ready.
const READY_MAX: Duration = Duration::from_secs(20);

enum Session {
    Bus,
    NoBus,
}

/// Runs the function `inside` of this file in a session of its own.
fn in_session(session: &Session, inside: &str) {
    let home = tempfile::tempdir().unwrap();
    let runtime = home.path().join("run");
    authsomed::files::create_private_dir(&runtime).unwrap();
    let own = std::env::current_exe().unwrap();
    let mut command = match session {
        Session::Bus => {
            let mut command = Command::new("dbus-run-session");
            command.arg("--").arg(own);
            command
        }
        Session::NoBus => Command::new(own),
    };
    let output = command
        .args(["--exact", inside, "--ignored", "--nocapture"])
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("GNOME_KEYRING_CONTROL")
        .env("HOME", home.path())
        .env("XDG_DATA_HOME", home.path().join("data"))
        .env("XDG_RUNTIME_DIR", &runtime)
        .env(INSIDE, home.path())
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("`dbus-run-session` ({error}): `apt-get install dbus`"));
    let shown = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.status.success() && shown.contains("1 passed"),
        "{shown}"
    );
}

fn tool(program: &str, package: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("`{program}` ({error}): `apt-get install {package}`"));
    // `secret-tool` writes attributes to stderr
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn secret_tool(arguments: &[&str]) -> String {
    tool("secret-tool", "libsecret-tools", arguments)
}

fn ask_bus(arguments: &[&str]) -> String {
    let mut all = vec!["--session", "--print-reply"];
    all.extend(arguments);
    tool("dbus-send", "dbus", &all)
}

/// A keyring daemon with an unlocked login collection; killed when dropped.
struct Keyring(Child);

impl Keyring {
    fn start() -> Self {
        let mut child = keyring_daemon(&["--foreground", "--unlock", "--components=secrets"]);
        give_password(&mut child);
        let keyring = Self(child);
        let start = Instant::now();
        while is_locked() != Some(false) {
            assert!(
                start.elapsed() < READY_MAX,
                "the keyring does not get ready"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        keyring
    }

    fn signal(&self, signal: &str) {
        let sent = tool("kill", "procps", &[signal, &self.0.id().to_string()]);
        assert_eq!(sent, "");
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn keyring_daemon(arguments: &[&str]) -> Child {
    Command::new("gnome-keyring-daemon")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("`gnome-keyring-daemon` ({error}): `apt-get install gnome-keyring`")
        })
}

fn give_password(child: &mut Child) {
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"login password")
        .unwrap();
}

const LOGIN: &str = "/org/freedesktop/secrets/collection/login";

/// Whether the login collection is locked; `None` if nobody says.
fn is_locked() -> Option<bool> {
    // a name without an owner is not asked for: that would start another daemon
    let owned = ask_bus(&[
        "--dest=org.freedesktop.DBus",
        "/",
        "org.freedesktop.DBus.NameHasOwner",
        "string:org.freedesktop.secrets",
    ]);
    if !owned.contains("boolean true") {
        return None;
    }
    let told = ask_bus(&[
        "--dest=org.freedesktop.secrets",
        LOGIN,
        "org.freedesktop.DBus.Properties.Get",
        "string:org.freedesktop.Secret.Collection",
        "string:Locked",
    ]);
    match (
        told.contains("boolean true"),
        told.contains("boolean false"),
    ) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    }
}

fn lock() {
    ask_bus(&[
        "--dest=org.freedesktop.secrets",
        "/org/freedesktop/secrets",
        "org.freedesktop.Secret.Service.Lock",
        &format!("array:objpath:{LOGIN}"),
    ]);
    assert_eq!(is_locked(), Some(true));
}

/// Unlocks as a person's password would, without the window to type it in. The call belongs to
/// gnome-keyring alone; its session must be of the same connection.
fn unlock() {
    let bus = zbus::blocking::Connection::session().unwrap();
    let proxy = |interface| {
        let path = "/org/freedesktop/secrets";
        zbus::blocking::Proxy::new(&bus, "org.freedesktop.secrets", path, interface).unwrap()
    };
    let (_, session): (zbus::zvariant::OwnedValue, zbus::zvariant::OwnedObjectPath) =
        proxy("org.freedesktop.Secret.Service")
            .call("OpenSession", &("plain", zbus::zvariant::Value::from("")))
            .unwrap();
    let login = zbus::zvariant::ObjectPath::try_from(LOGIN).unwrap();
    let password = (
        session,
        Vec::<u8>::new(),
        b"login password".to_vec(),
        "text/plain",
    );
    let () = proxy("org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface")
        .call("UnlockWithMasterPassword", &(login, password))
        .unwrap();
    assert_eq!(is_locked(), Some(false));
}

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

/// A vault of the session's home, told from other homes by `home_id`, with a runtime to ask it.
struct Asked {
    runtime: tokio::runtime::Runtime,
    vault: Vault,
}

impl Asked {
    fn open(home: &Path, home_id: &str, choice: StoreChoice) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_time()
            .build()
            .unwrap();
        Self {
            runtime,
            vault: Vault::open(home, home_id, choice, PassphraseWish::None),
        }
    }

    fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let answer = self.runtime.block_on(work);
        let took = start.elapsed();
        assert!(took < CALL_MAX, "a call took {took:?}");
        answer
    }

    fn put(&self, connection: &str, secret: &str) -> Result<(), VaultError> {
        self.run(self.vault.put(&key(connection), item(secret)))
    }

    fn get(&self, connection: &str) -> Result<Option<String>, VaultError> {
        self.run(self.vault.get(&key(connection)))
            .map(|item| item.map(|item| item.secret.expose().to_owned()))
    }

    fn delete(&self, connection: &str) -> Result<bool, VaultError> {
        self.run(self.vault.delete(&key(connection)))
    }
}

/// The home on this message bus; `None` if a person runs an `inside_` function by hand.
fn session_home() -> Option<PathBuf> {
    std::env::var_os(INSIDE).map(PathBuf::from)
}

fn recorded(home: &Path) -> Option<String> {
    std::fs::read_to_string(home.join("vault/store")).ok()
}

#[test]
fn an_item_is_stored_read_deleted_and_shown_by_secret_tool() {
    in_session(&Session::Bus, "inside_items");
}

#[test]
#[ignore = "started in a session of its own"]
fn inside_items() {
    let Some(home) = session_home() else { return };
    let _keyring = Keyring::start();
    let asked = Asked::open(&home, "home-1", StoreChoice::Auto);
    assert_eq!(asked.get("default").unwrap(), None);
    asked.put("default", "tok_1").unwrap();
    asked.put("default", "tok_2").unwrap();
    asked.put("team", "tok_3").unwrap();
    assert_eq!(recorded(&home).as_deref(), Some("keyring\n"));
    assert_eq!(asked.get("default").unwrap().as_deref(), Some("tok_2"));

    let found = secret_tool(&[
        "search",
        "--all",
        "service",
        "authsome",
        "connection",
        "default",
    ]);
    for line in [
        "label = authsome: intercom (default)",
        "attribute.provider = intercom",
        "attribute.connection = default",
        "attribute.home = home-1",
        "attribute.username = home-1/intercom/default",
    ] {
        assert!(found.contains(line), "{line}: {found}");
    }
    assert_eq!(
        found.matches("label = ").count(),
        1,
        "one item per credential: {found}"
    );

    // another home shares the keyring and not the items
    let other = Asked::open(&home, "home-2", StoreChoice::Keyring);
    assert_eq!(other.get("default").unwrap(), None);
    assert!(!other.delete("default").unwrap());
    let secrets: Vec<_> = [&asked, &other, &asked]
        .map(|it| it.run(it.vault.install_secret()).unwrap())
        .to_vec();
    assert_eq!(secrets[0].as_ref().as_ref(), secrets[2].as_ref().as_ref());
    assert_ne!(secrets[0].as_ref().as_ref(), secrets[1].as_ref().as_ref());

    assert!(asked.delete("default").unwrap());
    assert!(!asked.delete("default").unwrap());
    assert_eq!(asked.get("default").unwrap(), None);
    assert_eq!(asked.get("team").unwrap().as_deref(), Some("tok_3"));

    // a restart of the daemon finds all of it
    let again = Asked::open(&home, "home-1", StoreChoice::Auto);
    assert_eq!(again.get("team").unwrap().as_deref(), Some("tok_3"));
    assert_eq!(
        again.run(again.vault.status()).in_use,
        Some(StoreKind::Keyring)
    );
    let secret = again.run(again.vault.install_secret()).unwrap();
    assert_eq!(secret.as_ref().as_ref(), secrets[0].as_ref().as_ref());

    // the largest secret fits, and one that is damaged by another program is not quoted
    let large = "\"".repeat(64 * 1024);
    asked.put("team", &large).unwrap();
    assert_eq!(asked.get("team").unwrap(), Some(large));
}

#[test]
fn a_restarted_keyring_is_found_again() {
    in_session(&Session::Bus, "inside_restart");
}

#[test]
#[ignore = "started in a session of its own"]
fn inside_restart() {
    let Some(home) = session_home() else { return };
    let keyring = Keyring::start();
    let asked = Asked::open(&home, "home-1", StoreChoice::Auto);
    asked.put("default", "tok_1").unwrap();
    drop(keyring);
    let keyring = Keyring::start();
    assert_eq!(asked.get("default").unwrap().as_deref(), Some("tok_1"));
    drop(keyring);
    let _keyring = Keyring::start();
    asked.put("default", "tok_2").unwrap();
    assert_eq!(asked.get("default").unwrap().as_deref(), Some("tok_2"));
}

#[test]
fn a_locked_keyring_is_an_error_until_it_is_unlocked() {
    in_session(&Session::Bus, "inside_locked");
}

#[test]
#[ignore = "started in a session of its own"]
fn inside_locked() {
    let Some(home) = session_home() else { return };
    let _keyring = Keyring::start();
    lock();
    let asked = Asked::open(&home, "home-1", StoreChoice::Auto);
    // no choice was made, and a locked keyring is no reason to use files
    let error = asked.put("default", "tok_1").unwrap_err();
    assert!(matches!(error, VaultError::Locked), "{error}");
    assert_eq!(recorded(&home), None);
    assert!(!home.join("vault/identity").exists());
    assert!(asked.run(asked.vault.status()).is_locked());
    unlock();
    asked.put("default", "tok_1").unwrap();
    lock();
    for error in [
        asked.get("default").unwrap_err(),
        asked.put("default", "tok_2").unwrap_err(),
        asked.delete("default").unwrap_err(),
    ] {
        assert!(matches!(error, VaultError::Locked), "{error}");
    }
    assert!(asked.run(asked.vault.status()).is_locked());
    unlock();
    assert_eq!(asked.get("default").unwrap().as_deref(), Some("tok_1"));
}

/// A desktop is there by name, and its question cannot be shown or is not answered.
#[test]
fn a_question_that_nobody_answers_ends_with_the_callers_deadline() {
    in_session(&Session::Bus, "inside_unanswered");
}

#[test]
#[ignore = "started in a session of its own"]
fn inside_unanswered() {
    let Some(home) = session_home() else { return };
    if std::env::var_os("DISPLAY").is_none() {
        // the variables of a process are fixed here: the same again, with a display
        let own = std::env::current_exe().unwrap();
        let status = Command::new(own)
            .args(["--exact", "inside_unanswered", "--ignored", "--nocapture"])
            .env("DISPLAY", ":4711")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let _keyring = Keyring::start();
    let asked = Asked::open(&home, "home-1", StoreChoice::Auto);
    asked.put("default", "tok_1").unwrap();
    lock();
    for _ in 0..2 {
        let error = asked.get("default").unwrap_err();
        assert!(
            matches!(error, VaultError::Locked | VaultError::Denied),
            "{error}"
        );
    }
    // a window that stays open: whoever has the prompter's name and never answers
    let prompter = zbus::blocking::connection::Builder::session()
        .and_then(|builder| builder.name("org.gnome.keyring.SystemPrompter"))
        .and_then(zbus::blocking::connection::Builder::build)
        .unwrap();
    for _ in 0..2 {
        let error = asked.get("default").unwrap_err();
        assert!(matches!(error, VaultError::Locked), "{error}");
    }
    unlock();
    assert_eq!(asked.get("default").unwrap().as_deref(), Some("tok_1"));
    prompter.close().unwrap();
}

#[test]
fn a_hung_keyring_is_a_timeout_and_not_a_hang() {
    in_session(&Session::Bus, "inside_hung");
}

#[test]
#[ignore = "started in a session of its own"]
fn inside_hung() {
    let Some(home) = session_home() else { return };
    let keyring = Keyring::start();
    let asked = Asked::open(&home, "home-1", StoreChoice::Auto);
    asked.put("default", "tok_1").unwrap();
    keyring.signal("-STOP");
    for _ in 0..2 {
        let error = asked.get("default").unwrap_err();
        assert!(matches!(error, VaultError::TimedOut), "{error}");
    }
    keyring.signal("-CONT");
    assert_eq!(asked.get("default").unwrap().as_deref(), Some("tok_1"));
}

/// The bus can start a keyring, and that has no collection and nobody to ask for one.
#[test]
fn a_keyring_without_a_collection_is_named_as_such() {
    in_session(&Session::Bus, "inside_no_collection");
}

#[test]
#[ignore = "started in a session of its own"]
fn inside_no_collection() {
    let Some(home) = session_home() else { return };
    let asked = Asked::open(&home, "home-1", StoreChoice::Auto);
    let error = asked.put("default", "tok_1").unwrap_err();
    assert!(matches!(error, VaultError::NoCollection), "{error:?}");
    assert!(error.hint().unwrap().contains("store = \"file\""));
    assert_eq!(recorded(&home), None);
}

#[test]
fn without_a_bus_files_are_used_unless_the_keyring_was_chosen_or_is_forced() {
    in_session(&Session::NoBus, "inside_no_bus");
}

#[test]
#[ignore = "started without a session bus"]
fn inside_no_bus() {
    let Some(home) = session_home() else { return };
    let forced = Asked::open(&home, "home-1", StoreChoice::Keyring);
    let error = forced.put("default", "tok_1").unwrap_err();
    assert!(matches!(error, VaultError::Absent(_)), "{error:?}");
    assert_eq!(recorded(&home), None);

    let asked = Asked::open(&home, "home-1", StoreChoice::Auto);
    assert_eq!(
        asked.run(asked.vault.status()).in_use,
        Some(StoreKind::File)
    );
    asked.put("default", "tok_1").unwrap();
    assert_eq!(recorded(&home).as_deref(), Some("file\n"));
    assert_eq!(asked.get("default").unwrap().as_deref(), Some("tok_1"));

    // chosen before and gone now: an error with a remedy, and no other store
    authsomed::files::write_atomic(&home.join("vault/store"), b"keyring\n").unwrap();
    let asked = Asked::open(&home, "home-1", StoreChoice::Auto);
    for error in [
        asked.get("default").unwrap_err(),
        asked.put("default", "x").unwrap_err(),
    ] {
        assert!(matches!(error, VaultError::Absent(_)), "{error:?}");
        assert!(error.hint().is_some());
    }
}
