//! A real `systemd --user` for a user made for one test, on a machine that systemd need not have booted.
//!
//! As root: a user, a control group of its own, a mount namespace in which `/run/systemd/system`
//! exists (that is how programs tell that systemd runs) and `/sys/fs/cgroup` is the group; in it the
//! user manager. Programs of the test's user enter the namespace and the group, so that one write to
//! `cgroup.kill` ends everything at the end, whatever started it.
//!
//! What is missing (root, control groups of version 2, the right to make namespaces) fails the test
//! with its name: without it nothing here would be tested.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use authsome_proto::LockNote;
use tempfile::TempDir;

use crate::binaries;
use crate::canary::Canary;
use crate::home::{free_port, is_gone};
use crate::process::{Captures, Invocation, Output, Running};
use crate::stand_in::StandIn;
use crate::user::{PlainUser, is_root};
use crate::wait::{wait_for, wait_until};

/// How long the manager may take to start or to end, with all units that a system's packages have
/// for users.
const MANAGER_TIMEOUT: Duration = Duration::from_secs(60);

/// What users of these tests are called, followed by the test's process and a number.
const USER: &str = "authsome-sd-";

/// Becomes the manager. `$1` user id, `$2` group id, `$3` home, `$4` control group.
const START: &str = r#"
set -eu
echo $$ >"$4/init/cgroup.procs"
export U="$1" G="$2" H="$3"
exec unshare --mount --cgroup --propagation private sh -euc '
    mount --bind /run /run # else a unit with `ProtectKernelTunables=` hides /run/user
    mount -t tmpfs none /run/systemd
    mkdir /run/systemd/system
    mount -t cgroup2 none /sys/fs/cgroup
    exec setpriv --reuid "$U" --regid "$G" --clear-groups --inh-caps=-all --pdeathsig TERM \
        env -i HOME="$H" PATH=/usr/bin:/bin XDG_RUNTIME_DIR="/run/user/$U" /lib/systemd/systemd --user'
"#;

/// Enters the group and the namespace. `$0` group, `$1` the manager's process, then the command.
const ENTER: &str = r#"echo $$ >"$0/session/cgroup.procs" || exit 121
manager=$1; shift; exec nsenter --mount="/proc/$manager/ns/mnt" -- "$@""#;

/// A user with a user manager and a home of authsome. Dropping it ends all that ran there and
/// removes the user.
#[derive(Debug)]
pub struct UserManager {
    name: String,
    user: PlainUser,
    group: PathBuf,
    manager: Option<Running>,
    captures: Captures,
    canary: Canary,
    root: PathBuf,
    _folder: TempDir,
}

impl UserManager {
    /// Starts one whose authsome reaches `stand_in`.
    #[track_caller]
    pub fn start(canary: Canary, stand_in: &StandIn) -> Self {
        assert!(
            is_root(),
            "a user manager for a test needs root, to make a user and a control group"
        );
        assert!(
            Path::new("/lib/systemd/systemd").exists(),
            "`/lib/systemd/systemd` is missing: install the package `systemd`"
        );
        remove_stale();
        let folder = tempfile::Builder::new()
            .prefix("as-sd-")
            .rand_bytes(6)
            .tempdir_in("/tmp")
            .expect("/tmp can be written");
        let root = folder.path().to_owned();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let name = unused_name();
        let user = add_user(&name, &root.join("h"));
        for path in ["h", "w", "bin", "h/.authsome"] {
            fs::create_dir(root.join(path)).expect("the folder can be made");
            let mode = fs::Permissions::from_mode(0o700);
            fs::set_permissions(root.join(path), mode).expect("it is ours");
            user.own(&root.join(path));
        }
        let mut manager = Self {
            group: make_group(&name, &user),
            name,
            user,
            manager: None,
            captures: Arc::new(Mutex::new(Vec::new())),
            canary,
            root,
            _folder: folder,
        };
        for program in ["authsome", "authsomed"] {
            manager.put_program(&binaries::path(program), program);
        }
        manager.configure(stand_in, "");
        manager.start_manager();
        manager
    }

    /// Writes `config.toml`, with `lines` at its end.
    pub fn configure(&self, stand_in: &StandIn, lines: &str) {
        let mut text = format!(
            "[vault]\nstore = \"file\"\n\n[login]\nport = {}\n\n[upstream]\nextra_ca = [\"{}\"]\n\n\
             [upstream.resolve]\n",
            free_port(),
            stand_in.ca_path().display()
        );
        for name in stand_in.names() {
            let _infallible = writeln!(text, "\"{name}:443\" = \"{}\"", stand_in.address());
        }
        text.push_str(lines);
        self.write("h/.authsome/config.toml", &text);
    }

    /// Writes a file of the user's; `path` is below [`Self::root`].
    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.root.join(path);
        let above: Vec<&Path> = path
            .ancestors()
            .skip(1)
            .take_while(|folder| !folder.exists())
            .collect();
        for folder in above.into_iter().rev() {
            fs::create_dir(folder).expect("the folder can be made");
            self.user.own(folder);
        }
        fs::write(&path, text).expect("the file can be written");
        self.user.own(&path);
        path
    }

    /// Puts a program in the place where the user has authsome installed, as an upgrade does: the
    /// name refers to another file from then on.
    pub fn put_program(&self, from: &Path, name: &str) {
        let bytes = fs::read(from).expect("the program can be read");
        self.put_program_bytes(&bytes, name);
    }

    /// The same from memory.
    pub fn put_program_bytes(&self, bytes: &[u8], name: &str) {
        let (new, path) = (self.root.join("bin/new"), self.root.join("bin").join(name));
        fs::write(&new, bytes).expect("the program can be copied");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("it is ours");
        self.user.own(&new);
        fs::rename(&new, path).expect("the program can be replaced");
    }

    /// The folder of everything of this user: `h` is the home folder, `bin` has the programs.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The user's home folder.
    pub fn home(&self) -> PathBuf {
        self.root.join("h")
    }

    /// Where units of the user are.
    pub fn units(&self) -> PathBuf {
        self.home().join(".config/systemd/user")
    }

    /// The runtime folder of authsome.
    pub fn runtime(&self) -> PathBuf {
        PathBuf::from(format!("/run/user/{}/authsome", self.user.uid()))
    }

    /// The user.
    pub fn user(&self) -> &PlainUser {
        &self.user
    }

    /// Any program as the user.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Invocation {
        let manager = self.manager.as_ref().expect("the manager runs");
        let mut enter = vec![
            "sh".to_owned(),
            "-c".to_owned(),
            ENTER.to_owned(),
            self.group.display().to_string(),
            manager.pid().to_string(),
        ];
        enter.extend(self.user.prefix());
        Invocation::new(program)
            .prefixed(&enter)
            .env("PATH", self.path_variable())
            .env("HOME", self.home())
            .env("LANG", "C.UTF-8")
            .env("XDG_RUNTIME_DIR", format!("/run/user/{}", self.user.uid()))
            .captured_by(&self.captures)
    }

    fn path_variable(&self) -> String {
        format!(
            "{}:/usr/bin:/bin:/usr/sbin:/sbin",
            self.root.join("bin").display()
        )
    }

    /// `authsome` as the user.
    pub fn authsome(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Invocation {
        self.command(self.root.join("bin/authsome")).args(words)
    }

    /// `systemctl --user` as the user.
    pub fn systemctl(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Invocation {
        self.command("systemctl").arg("--user").args(words)
    }

    /// A property of a unit.
    #[track_caller]
    pub fn property(&self, unit: &str, name: &str) -> String {
        let shown = self
            .systemctl(["show", "--value", &format!("--property={name}"), unit])
            .output()
            .succeeded();
        shown.line().to_owned()
    }

    /// The process of the service's daemon, if it runs.
    #[track_caller]
    pub fn service_pid(&self) -> Option<u32> {
        let pid = self.property("authsome.service", "MainPID");
        pid.parse().ok().filter(|pid| *pid > 0)
    }

    /// The daemon that serves the home, by its lock.
    pub fn daemon_pid(&self) -> Option<u32> {
        let text = fs::read_to_string(self.home().join(".authsome/daemon.lock")).ok()?;
        Some(LockNote::parse(&text)?.pid).filter(|pid| !is_gone(*pid))
    }

    /// Waits until the service has another daemon than `before` and is ready.
    #[track_caller]
    pub fn wait_for_another(&self, before: u32) -> u32 {
        wait_for("another daemon of the service", MANAGER_TIMEOUT, || {
            let active = self.property("authsome.service", "ActiveState") == "active";
            self.service_pid()
                .filter(|pid| active && *pid != before && self.daemon_pid() == Some(*pid))
        })
    }

    /// Settings of the service for this test.
    #[track_caller]
    pub fn drop_in(&self, lines: &str) {
        self.write(
            "h/.config/systemd/user/authsome.service.d/test.conf",
            &format!("[Service]\n{lines}"),
        );
        self.systemctl(["daemon-reload"]).output().succeeded();
    }

    /// Logs in to `provider` with the canary.
    #[track_caller]
    pub fn login(&self, provider: &str) -> Output {
        self.authsome(["login", provider, "--stdin"])
            .stdin(format!("{}\n", self.canary.secret()))
            .output()
            .succeeded()
    }

    /// Puts the repository's units, and a daemon, where a package would: in the namespace only.
    #[track_caller]
    pub fn install_package(&self, units: &[(&str, String)]) {
        let folder = self.root.join("package");
        let manager = self.manager.as_ref().expect("the manager runs");
        let run = |script: &str| {
            let done = Command::new("nsenter")
                .arg(format!("--mount=/proc/{}/ns/mnt", manager.pid()))
                .args(["--", "sh", "-euc", script, "sh"])
                .arg(&folder)
                .output()
                .expect("nsenter runs");
            assert!(done.status.success(), "{done:?}");
        };
        run("cp -a /usr/lib/systemd/user \"$1\"");
        for (name, text) in units {
            fs::write(folder.join(name), text).expect("the folder can be written");
        }
        run("mount --bind \"$1\" /usr/lib/systemd/user");
    }

    /// Whether a file of the manager's folders of this user is left that has `authsome` in its name.
    pub fn left_over(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.units(), self.runtime()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.to_string_lossy().contains("authsome") {
                    found.push(path.clone());
                }
                if path.is_dir() {
                    folders.push(path);
                }
            }
        }
        found
    }

    #[track_caller]
    fn start_manager(&mut self) {
        let runtime = PathBuf::from(format!("/run/user/{}", self.user.uid()));
        fs::create_dir_all("/run/user").expect("/run can be written");
        drop(fs::remove_dir_all(&runtime));
        fs::create_dir(&runtime).expect("/run/user can be written");
        fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700)).expect("it is ours");
        self.user.own(&runtime);
        let uid = self.user.uid().to_string();
        let manager = Invocation::new("sh")
            .args(["-c", START, "sh", &uid, &uid])
            .arg(self.home())
            .arg(&self.group)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .spawn();
        self.manager = Some(manager);
        wait_until("the user manager to answer", MANAGER_TIMEOUT, || {
            if let Some(manager) = &mut self.manager
                && manager.ended()
            {
                panic!(
                    "no user manager could be started: {}{}",
                    manager.stdout_so_far(),
                    manager.stderr_so_far()
                );
            }
            self.systemctl(["is-active", "basic.target"])
                .output()
                .code()
                == Some(0)
        });
    }

    fn end(&mut self) {
        if let Some(manager) = self.manager.take() {
            manager.signal(nix::sys::signal::Signal::SIGTERM);
            let mut manager = manager;
            let end = std::time::Instant::now() + Duration::from_secs(10);
            while !manager.ended() && std::time::Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        remove_group(&self.group);
        remove_user(&self.name);
        drop(fs::remove_dir_all(format!("/run/user/{}", self.user.uid())));
    }
}

impl Drop for UserManager {
    fn drop(&mut self) {
        self.end();
        let vault = self.home().join(".authsome/vault");
        // programs are large, and were there before the secret
        let is_program = |path: &Path| {
            path.is_file()
                && path
                    .file_name()
                    .is_some_and(|name| name == "authsome" || name == "authsomed")
        };
        let mut hits = self
            .canary
            .search_folder(&self.root, &|path| path == vault || is_program(path));
        if let Ok(captures) = self.captures.lock() {
            for (place, text) in captures.iter() {
                hits.extend(self.canary.search(place, text));
            }
        }
        let list: Vec<_> = hits.iter().map(|hit| format!("  {hit}\n")).collect();
        let list = list.concat();
        assert!(
            list.is_empty() || std::thread::panicking(),
            "a canary was found where no secret may be:\n{list}"
        );
    }
}

fn unused_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{USER}{}-{number}", std::process::id())
}

/// `useradd` and `userdel` fail while another one writes.
fn one_at_a_time() -> fs::File {
    let lock = fs::File::create("/tmp/authsome-sd.lock").expect("/tmp can be written");
    lock.lock().expect("the file can be locked");
    lock
}

#[track_caller]
fn add_user(name: &str, home: &Path) -> PlainUser {
    let _turn = one_at_a_time();
    let done = Command::new("/usr/sbin/useradd")
        .args([
            "--no-create-home",
            "--user-group",
            "--shell",
            "/bin/sh",
            "--home-dir",
        ])
        .arg(home)
        .arg(name)
        .output()
        .expect("`useradd` is there");
    assert!(done.status.success(), "useradd {name}: {done:?}");
    PlainUser::named(name).expect("the user is there")
}

fn remove_user(name: &str) {
    let _turn = one_at_a_time();
    let done = Command::new("/usr/sbin/userdel").arg(name).output();
    if !done.as_ref().is_ok_and(|done| done.status.success()) {
        eprintln!("userdel {name}: {done:?}");
    }
}

/// Removes what tests left that were killed: users and groups whose process is gone.
fn remove_stale() {
    let users = fs::read_to_string("/etc/passwd").expect("it can be read");
    for name in users.lines().filter_map(|line| line.split(':').next()) {
        let Some(rest) = name.strip_prefix(USER) else {
            continue;
        };
        let pid = rest.split('-').next().and_then(|pid| pid.parse().ok());
        if pid.is_some_and(is_gone) {
            remove_group(&group_of(name));
            remove_user(name);
        }
    }
}

fn group_of(name: &str) -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("it can be read");
    let line = mounts
        .lines()
        .find(|line| line.contains(" - cgroup2 "))
        .expect("no cgroup2 is mounted here: control groups of version 2 are needed");
    let target = line.split(' ').nth(4).expect("a mount has a target");
    Path::new(target).join(name)
}

/// A control group that belongs to the user, as `Delegate=yes` gives one to `user@.service`.
#[track_caller]
fn make_group(name: &str, user: &PlainUser) -> PathBuf {
    let group = group_of(name);
    for folder in [group.clone(), group.join("init"), group.join("session")] {
        fs::create_dir(&folder).unwrap_or_else(|error| {
            panic!(
                "cannot make the control group {}: {error}",
                folder.display()
            )
        });
    }
    for folder in [group.clone(), group.join("init")] {
        user.own(&folder);
        for file in ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
            chown(folder.join(file), Some(user.uid()), None).expect("the group is ours");
        }
    }
    group
}

/// Kills what is in the group, and removes it.
fn remove_group(group: &Path) {
    drop(fs::write(group.join("cgroup.kill"), "1"));
    let end = std::time::Instant::now() + Duration::from_secs(10);
    let is_populated = || {
        fs::read_to_string(group.join("cgroup.events"))
            .is_ok_and(|text| text.contains("populated 1"))
    };
    while is_populated() && std::time::Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    remove_groups(group);
}

fn remove_groups(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|it| it.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    if let Err(error) = fs::remove_dir(group) {
        eprintln!("{}: {error}", group.display());
    }
}
