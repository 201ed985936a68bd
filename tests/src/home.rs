//! One user's world for one test: folders, a configuration, a clean environment, a daemon.
//!
//! Layout of the temporary folder, whose path stays short because socket addresses end near 100
//! bytes: `a` is the home of authsome, `r` the runtime folder, `h` the user's home folder, `w` a
//! folder for the test's own files (the only one that is not searched for canaries).
//!
//! When a [`Home`] is dropped it searches the living processes, stops the daemon (`daemon stop`,
//! then by the pid in `daemon.lock`), and searches files and captured outputs. A canary found
//! fails the test, unless it is failing already: then the hits are only told.

use std::ffi::OsStr;
use std::fmt::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use authsome_proto::LockNote;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::authority::Site;
use crate::binaries;
use crate::canary::{Canary, Hit};
use crate::keyring::Keyring;
use crate::process::{Captures, Invocation, Output};
use crate::stand_in::StandIn;
use crate::user::PlainUser;
use crate::wait::wait_until;

/// How long the daemon may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the vault of a [`Home`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// What `authsome` chooses by itself.
    Auto,
    /// Encrypted files.
    File,
    /// A gnome-keyring of the home's own, unlocked.
    Keyring,
}

/// A [`Home`] in the making.
#[derive(Debug)]
pub struct HomeBuilder {
    store: Store,
    user: Option<PlainUser>,
    runtime: bool,
    trust: Vec<PathBuf>,
    resolve: Vec<(String, String)>,
    proxy: String,
    extra: String,
}

impl HomeBuilder {
    /// Which vault; encrypted files unless said.
    #[must_use]
    pub fn store(mut self, store: Store) -> Self {
        self.store = store;
        self
    }

    /// Everything runs as `user`; as the caller unless said.
    #[must_use]
    pub fn user(mut self, user: &PlainUser) -> Self {
        self.user = Some(user.clone());
        self
    }

    /// No `XDG_RUNTIME_DIR`, as under cron.
    #[must_use]
    pub fn without_runtime_dir(mut self) -> Self {
        self.runtime = false;
        self
    }

    /// Every name of `stand_in` leads there on port 443, and its CA is trusted.
    #[must_use]
    pub fn stand_in(mut self, stand_in: &StandIn) -> Self {
        self.trust.push(stand_in.ca_path().to_owned());
        for name in stand_in.names() {
            self.resolve
                .push((format!("{name}:443"), stand_in.address().to_string()));
        }
        self
    }

    /// Every name of `site` leads there on port 443, and its CA is trusted.
    #[must_use]
    pub fn reaches(mut self, site: &impl Site) -> Self {
        self.trust.push(site.ca_path().to_owned());
        for name in site.names() {
            self.resolve
                .push((format!("{name}:443"), site.address().to_string()));
        }
        self
    }

    /// One entry of `[upstream.resolve]`.
    #[must_use]
    pub fn resolve(mut self, authority: &str, address: &str) -> Self {
        self.resolve
            .push((authority.to_owned(), address.to_owned()));
        self
    }

    /// Hosts without a route are refused.
    #[must_use]
    pub fn deny_unmatched(mut self) -> Self {
        self.proxy.push_str("unmatched = \"deny\"\n");
        self
    }

    /// Lines put at the end of `config.toml`, in sections of their own.
    #[must_use]
    pub fn config(mut self, lines: &str) -> Self {
        self.extra.push_str(lines);
        self
    }

    /// Makes the folders and the configuration. The daemon is started by the first command.
    pub fn build(self) -> Home {
        let programs = binaries::folder();
        let folder = tempfile::Builder::new()
            .prefix("as-")
            .rand_bytes(6)
            .tempdir_in("/tmp")
            .expect("/tmp can be written");
        let root = folder.path().to_owned();
        let user = self.user;
        for name in ["", "a", "r", "h", "w"] {
            make_private(&root.join(name), user.as_ref());
        }
        let programs = match &user {
            Some(user) if !binaries::open_to_others(&programs) => {
                copy_programs(&programs, &root, user)
            }
            _ => programs,
        };
        let login_port = free_port();
        let mut configuration = String::new();
        let store = match self.store {
            Store::Auto => "auto",
            Store::File => "file",
            Store::Keyring => "keyring",
        };
        let _infallible = write!(
            configuration,
            "[vault]\nstore = \"{store}\"\n\n[login]\nport = {login_port}\n\n[proxy]\n{}\n\
             [upstream]\nextra_ca = {:?}\n\n[upstream.resolve]\n",
            self.proxy, self.trust
        );
        for (authority, address) in &self.resolve {
            let _infallible = writeln!(configuration, "{authority:?} = {address:?}");
        }
        configuration.push_str(&self.extra);
        let path = root.join("a/config.toml");
        std::fs::write(&path, configuration).expect("the home can be written");
        if let Some(user) = &user {
            user.own(&path);
        }
        let keyring = (self.store == Store::Keyring).then(|| {
            let folder = root.join("k");
            make_private(&folder, user.as_ref());
            Keyring::start(&folder, &user.clone().unwrap_or_else(PlainUser::any))
        });
        Home {
            keyring,
            root,
            programs,
            user,
            runtime: self.runtime,
            login_port,
            captures: Arc::new(Mutex::new(Vec::new())),
            canaries: vec![Canary::new()],
            exempt: Vec::new(),
            _folder: folder,
        }
    }
}

/// One user's world. See the module.
#[derive(Debug)]
pub struct Home {
    /// The home's keyring, if it has one. Declared first: it ends before the folder is removed.
    pub keyring: Option<Keyring>,
    root: PathBuf,
    programs: PathBuf,
    user: Option<PlainUser>,
    runtime: bool,
    login_port: u16,
    captures: Captures,
    canaries: Vec<Canary>,
    exempt: Vec<PathBuf>,
    _folder: TempDir,
}

impl Home {
    /// A home with a file vault, run as the caller.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A home that is connected to `stand_in`.
    pub fn with(stand_in: &StandIn) -> Self {
        Self::builder().stand_in(stand_in).build()
    }

    /// A home to be described.
    pub fn builder() -> HomeBuilder {
        HomeBuilder {
            store: Store::File,
            user: None,
            runtime: true,
            trust: Vec::new(),
            resolve: Vec::new(),
            proxy: String::new(),
            extra: String::new(),
        }
    }

    /// `$AUTHSOME_HOME`.
    pub fn path(&self) -> PathBuf {
        self.root.join("a")
    }

    /// `$XDG_RUNTIME_DIR`.
    pub fn runtime(&self) -> PathBuf {
        self.root.join("r")
    }

    /// `$HOME`.
    pub fn user_home(&self) -> PathBuf {
        self.root.join("h")
    }

    /// A folder for the test's own files, not searched for canaries.
    pub fn work(&self) -> PathBuf {
        self.root.join("w")
    }

    /// The port that `config.toml` gives to the login page.
    pub fn login_port(&self) -> u16 {
        self.login_port
    }

    /// The user that everything runs as, where that is not the caller.
    pub fn user(&self) -> Option<&PlainUser> {
        self.user.as_ref()
    }

    /// The secret of this home.
    pub fn canary(&self) -> Canary {
        self.canaries[0].clone()
    }

    /// Another secret, which will be searched for too.
    pub fn watch(&mut self, canary: Canary) -> Canary {
        self.canaries.push(canary.clone());
        canary
    }

    /// A file or folder that may hold secrets.
    pub fn exempt(&mut self, path: &Path) {
        self.exempt.push(path.to_owned());
    }

    /// `authsome` with the words of a command.
    pub fn authsome(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Invocation {
        self.command(self.programs.join("authsome")).args(words)
    }

    /// `authsome run -- command`.
    pub fn run(&self, command: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Invocation {
        self.authsome(["run", "--"]).args(command)
    }

    /// `authsome run -- sh -c script`.
    pub fn run_shell(&self, script: &str) -> Invocation {
        self.run(["sh", "-c", script])
    }

    /// Any program in this home's environment and as its user.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Invocation {
        let mut path = vec![self.programs.clone()];
        path.extend(std::env::split_paths(
            &std::env::var_os("PATH").unwrap_or_default(),
        ));
        let mut command = Invocation::new(program)
            .current_dir(self.work())
            .env(
                "PATH",
                std::env::join_paths(path).expect("folders of PATH have no colon"),
            )
            .env("HOME", self.user_home())
            .env("LANG", "C.UTF-8")
            .env("AUTHSOME_HOME", self.path())
            .captured_by(&self.captures);
        if let Some(user) = &self.user {
            command = command.prefixed(&user.prefix());
        }
        if self.runtime {
            command = command.env("XDG_RUNTIME_DIR", self.runtime());
        }
        if let Some(keyring) = &self.keyring {
            command = command.env("DBUS_SESSION_BUS_ADDRESS", keyring.address());
        }
        command
    }

    /// Logs in to `provider` with `canary`; panics unless that works.
    #[track_caller]
    pub fn login_with(&self, provider: &str, canary: &Canary, options: &[&str]) -> Output {
        self.authsome(["login", provider, "--stdin"])
            .args(options)
            .stdin(format!("{}\n", canary.secret()))
            .output()
            .succeeded()
    }

    /// Logs in to `provider` with the home's canary; panics unless that works.
    #[track_caller]
    pub fn login(&self, provider: &str) -> Output {
        self.login_with(provider, &self.canary(), &[])
    }

    /// The living runs, as `authsome runs` tells them.
    #[track_caller]
    pub fn runs(&self) -> Vec<Value> {
        let listed = self.authsome(["runs", "--json"]).output().succeeded();
        let listed = listed.json();
        listed["runs"].as_array().expect("a list").clone()
    }

    /// Writes a file below [`Home::work`] and gives it to the home's user.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.work().join(name);
        std::fs::write(&path, text).expect("the work folder can be written");
        if let Some(user) = &self.user {
            user.own(&path);
        }
        path
    }

    /// Process id of the daemon, as `daemon.lock` tells it, if that process is alive.
    pub fn daemon_pid(&self) -> Option<u32> {
        let pid = self.recorded_pid()?;
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        // a pid may have been given to somebody else: only a daemon is ours
        crate::canary::find(&command, b"authsomed").map(|_| pid)
    }

    /// Resident memory of the daemon in bytes.
    #[track_caller]
    pub fn daemon_rss(&self) -> u64 {
        let pid = self.daemon_pid().expect("the daemon runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it is alive");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .expect("it has memory");
        let kib: u64 = line
            .split_whitespace()
            .nth(1)
            .and_then(|kib| kib.parse().ok())
            .expect("a number");
        kib * 1024
    }

    /// Kills the daemon as a crash would (SIGKILL), and waits until it is gone.
    #[track_caller]
    pub fn crash_daemon(&self) {
        let pid = self.daemon_pid().expect("the daemon runs");
        send(pid, Signal::SIGKILL);
        wait_until("the daemon to be gone", STOP_TIMEOUT, || is_gone(pid));
    }

    /// The daemon's control socket, as `daemon.lock` tells it.
    #[track_caller]
    pub fn control_socket(&self) -> PathBuf {
        self.lock_note().expect("the daemon runs").socket
    }

    /// Searches everything for every canary; see the module.
    pub fn search(&self) -> Vec<Hit> {
        let mut hits = self.search_living();
        hits.extend(self.search_remains());
        hits
    }

    fn search_living(&self) -> Vec<Hit> {
        self.canaries
            .iter()
            .flat_map(|canary| canary.search_processes(&self.root))
            .collect()
    }

    fn search_remains(&self) -> Vec<Hit> {
        let mut exempt = vec![
            self.work(),
            self.path().join("vault"),
            self.root.join("k"),
            self.root.join("bin"),
            self.user_home().join(".local/share/keyrings"),
        ];
        exempt.extend(self.exempt.iter().cloned());
        let mut hits = Vec::new();
        for canary in &self.canaries {
            hits.extend(canary.search_folder(&self.root, &|path| {
                exempt.iter().any(|exempt| exempt == path)
            }));
            if let Ok(captures) = self.captures.lock() {
                for (place, text) in captures.iter() {
                    hits.extend(canary.search(place, text));
                }
            }
        }
        hits
    }

    fn recorded_pid(&self) -> Option<u32> {
        self.lock_note().map(|note| note.pid)
    }

    fn lock_note(&self) -> Option<LockNote> {
        LockNote::parse(&std::fs::read_to_string(self.path().join("daemon.lock")).ok()?)
    }

    fn stop_daemon(&self) {
        let Some(pid) = self.daemon_pid() else { return };
        // the polite way may fail in a test that broke something on purpose: the pid remains
        let stop = self
            .authsome(["daemon", "stop"])
            .reveals()
            .timeout(STOP_TIMEOUT);
        let _stopped = std::panic::catch_unwind(move || drop(stop.output()));
        if !is_gone(pid) && self.daemon_pid() == Some(pid) {
            send(pid, Signal::SIGKILL);
        }
    }
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let mut hits = self.search_living();
        self.stop_daemon();
        hits.extend(self.search_remains());
        if hits.is_empty() {
            return;
        }
        let list: Vec<_> = hits.iter().map(|hit| format!("  {hit}")).collect();
        let message = format!(
            "a canary was found where no secret may be:\n{}",
            list.join("\n")
        );
        if std::thread::panicking() {
            eprintln!("{message}");
        } else {
            panic!("{message}");
        }
    }
}

/// A port that nobody listens on now. Below the range that outgoing connections take theirs from,
/// so that none of the many that a test opens can sit on it by chance.
pub fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // processes that run at the same time begin at different places
    let own = u16::try_from(std::process::id() % 900).expect("below 900") * 20;
    (0..20_000)
        .map(|_| 12_000 + (own + NEXT.fetch_add(1, Ordering::Relaxed)) % 18_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("some port is free")
}

fn make_private(folder: &Path, user: Option<&PlainUser>) {
    use std::os::unix::fs::PermissionsExt;
    if !folder.is_dir() {
        std::fs::create_dir(folder).expect("the folder can be made");
    }
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).expect("it is ours");
    if let Some(user) = user {
        user.own(folder);
    }
}

fn copy_programs(from: &Path, root: &Path, user: &PlainUser) -> PathBuf {
    let folder = root.join("bin");
    make_private(&folder, Some(user));
    for name in ["authsome", "authsomed"] {
        std::fs::copy(from.join(name), folder.join(name)).expect("programs can be copied");
        user.own(&folder.join(name));
    }
    folder
}

fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).expect("process ids are small");
    // gone already is what was wanted
    let _sent = kill(Pid::from_raw(pid), signal);
}

/// Whether a process is gone: not there, or only its exit status is left.
pub fn is_gone(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return true;
    };
    stat.rsplit_once(") ")
        .is_none_or(|(_, fields)| fields.starts_with(['Z', 'X']))
}
