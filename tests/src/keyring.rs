//! A message bus and a real gnome-keyring, for one test.
//!
//! The bus knows no service files, so nothing but this keyring ever answers on it; without the
//! keyring daemon it is a bus without a Secret Service.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::{Invocation, Running};
use crate::user::PlainUser;
use crate::wait::wait_until;

/// The password that unlocks the login keyring.
const PASSWORD: &str = "correct horse";

/// Start of bus and keyring on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A session bus with a gnome-keyring on it. Dropping it ends both, by pid.
#[derive(Debug)]
pub struct Keyring {
    folder: PathBuf,
    user: PlainUser,
    daemon: Option<Running>,
    bus: Option<Running>,
}

impl Keyring {
    /// Starts both as `user`, with files below `folder` (which belongs to the user). The login
    /// keyring is made at the first start, and unlocked.
    pub fn start(folder: &Path, user: &PlainUser) -> Self {
        let mut keyring = Self {
            folder: folder.to_owned(),
            user: user.clone(),
            daemon: None,
            bus: None,
        };
        keyring.start_bus();
        keyring.start_daemon(PASSWORD);
        wait_until("the login keyring to be unlocked", START_TIMEOUT, || {
            keyring.locked() == Some(false)
        });
        keyring
    }

    /// Value for `DBUS_SESSION_BUS_ADDRESS`.
    pub fn address(&self) -> String {
        format!("unix:path={}", self.folder.join("bus").display())
    }

    /// Locks the login keyring, as a screen lock or a wrong password at login would have it.
    pub fn lock(&self) {
        self.bus_call(&[
            "--dest=org.freedesktop.secrets",
            "/org/freedesktop/secrets",
            "org.freedesktop.Secret.Service.Lock",
            "array:objpath:/org/freedesktop/secrets/collection/login",
        ]);
        wait_until("the login keyring to be locked", START_TIMEOUT, || {
            self.locked() == Some(true)
        });
    }

    /// Unlocks it: a new keyring daemon is started with the password, as after a new login.
    pub fn unlock(&mut self) {
        self.stop_daemon();
        self.start_daemon(PASSWORD);
        wait_until("the login keyring to be unlocked", START_TIMEOUT, || {
            self.locked() == Some(false)
        });
    }

    /// Ends the keyring daemon; the bus stays.
    pub fn stop_daemon(&mut self) {
        self.daemon = None;
        wait_until("the keyring to leave the bus", START_TIMEOUT, || {
            self.locked().is_none()
        });
    }

    /// Whether the login keyring is locked; `None` when no Secret Service answers.
    pub fn locked(&self) -> Option<bool> {
        let answer = self.bus_call(&[
            "--dest=org.freedesktop.secrets",
            "/org/freedesktop/secrets/collection/login",
            "org.freedesktop.DBus.Properties.Get",
            "string:org.freedesktop.Secret.Collection",
            "string:Locked",
        ]);
        answer.rsplit_once("boolean ")?.1.trim().parse().ok()
    }

    /// A program of the user on this bus.
    pub fn command(&self, program: &str) -> Invocation {
        Invocation::new(program)
            .prefixed(&self.user.prefix())
            .current_dir(&self.folder)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.folder)
            .env("XDG_RUNTIME_DIR", &self.folder)
            .env("DBUS_SESSION_BUS_ADDRESS", self.address())
    }

    fn bus_call(&self, words: &[&str]) -> String {
        self.command("dbus-send")
            .args(["--session", "--print-reply"])
            .args(words)
            .output()
            .stdout
    }

    fn start_bus(&mut self) {
        let socket = self.folder.join("bus");
        let configuration = self.folder.join("bus.conf");
        std::fs::write(
            &configuration,
            format!(
                "<busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
                 <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>\
                 <allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>",
                socket.display()
            ),
        )
        .expect("the folder can be written");
        self.user.own(&configuration);
        let bus = self
            .command("dbus-daemon")
            .arg("--nofork")
            .arg(format!("--config-file={}", configuration.display()))
            .spawn();
        wait_until("the bus to listen", START_TIMEOUT, || socket.exists());
        self.bus = Some(bus);
    }

    fn start_daemon(&mut self, password: &str) {
        self.daemon = Some(
            self.command("gnome-keyring-daemon")
                .args(["--unlock", "--foreground", "--components=secrets"])
                .stdin(password)
                .spawn(),
        );
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        self.daemon = None;
        self.bus = None;
    }
}
