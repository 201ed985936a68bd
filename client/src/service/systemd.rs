//! Units of a systemd user manager: what they say, where they are, and `systemctl --user`.
//!
//! A package puts `authsome.socket` and `authsome.service` where systemd looks for the units of all
//! users; where these start the daemon beside this client, an installation is only a drop-in with the
//! proxy's port. Otherwise, and always for a home other than `~/.authsome`, it is both units and the
//! drop-in under `~/.config/systemd/user`, which win over a package's.
//!
//! Not here: what units say (`units`), what `systemctl` prints (`said`).

mod said;
mod units;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use authsome_proto::Places;

use super::program::{self, Said};
use super::written::{Comment, Planned, marked};
use super::{State, Told};
use crate::error::Failure;
use said::{told_of, variable};
use units::{drop_in_text, executable_in, port_in, service_text, socket_text};

/// Where units for all users are, the administrator's first (`systemd.unit(5)`).
const SYSTEM: [&str; 4] = [
    "/etc/systemd/user",
    "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user",
    "/lib/systemd/user",
];

/// How long a question may take. The manager answers from memory.
const ASK_LIMIT: Duration = Duration::from_secs(10);

/// How long opening the sockets may take. A command waits for it.
const START_LIMIT: Duration = Duration::from_secs(10);

/// How long a job that ends or starts a daemon may take: the two limits in the unit, and some.
const JOB_LIMIT: Duration = Duration::from_secs(60);

/// The units of one home.
#[derive(Debug, Clone)]
pub(crate) struct Systemd {
    name: String,
    /// The user's units.
    folder: PathBuf,
    /// Everybody's units.
    system: Vec<PathBuf>,
    /// `AUTHSOME_HOME`, for a home other than the ordinary one.
    home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, by which `systemctl` finds the manager; `None` if there is none.
    runtime: Option<PathBuf>,
}

impl Systemd {
    /// The units of `places`; `None` without `HOME`.
    pub(super) fn of(places: &Places) -> Option<Self> {
        let config = absolute("XDG_CONFIG_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
        let runtime = places
            .runtime
            .parent()
            .filter(|_| !places.runtime.starts_with(&places.home));
        Some(Self {
            name: places.service_name(),
            folder: config.join("systemd/user"),
            system: SYSTEM.iter().map(PathBuf::from).collect(),
            home: (!places.ordinary).then(|| places.home.clone()),
            runtime: runtime.map(Path::to_path_buf),
        })
    }

    pub(super) fn socket(&self) -> String {
        format!("{}.socket", self.name)
    }

    pub(super) fn service(&self) -> String {
        format!("{}.service", self.name)
    }

    fn own(&self, unit: &str) -> PathBuf {
        self.folder.join(unit)
    }

    fn drop_in(&self) -> PathBuf {
        self.folder.join(format!("{}.d/port.conf", self.socket()))
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        vec![
            self.own(&self.socket()),
            self.drop_in(),
            self.own(&self.service()),
        ]
    }

    /// The file of `unit` that counts: the user's, else everybody's.
    fn found(&self, unit: &str) -> Option<PathBuf> {
        std::iter::once(&self.folder)
            .chain(&self.system)
            .map(|folder| folder.join(unit))
            .find(|path| fs::symlink_metadata(path).is_ok())
    }

    pub(super) fn state(&self) -> State {
        let socket = self.socket();
        let Some(unit) = self.found(&socket) else {
            return State::Absent;
        };
        // masked: switched off by a person
        if fs::read_link(&unit).is_ok_and(|to| to == Path::new("/dev/null")) {
            return State::Off;
        }
        let is_wanted = std::iter::once(&self.folder)
            .chain(&self.system)
            .any(|folder| {
                fs::symlink_metadata(folder.join("sockets.target.wants").join(&socket)).is_ok()
            });
        match is_wanted {
            true => State::On,
            false if unit.starts_with(&self.folder) || self.drop_in().exists() => State::Off,
            // a package's, which this user does not use
            false => State::Absent,
        }
    }

    pub(super) fn executable(&self) -> Option<PathBuf> {
        executable_in(&fs::read_to_string(self.found(&self.service())?).ok()?)
    }

    pub(super) fn port(&self) -> Option<u16> {
        port_in(&fs::read_to_string(self.drop_in()).ok()?)
    }

    pub(super) fn plan(&self, daemon: &Path, port: u16) -> Result<Vec<Planned>, Failure> {
        let drop_in = Planned {
            path: self.drop_in(),
            text: marked(&drop_in_text(port), Comment::Hash),
        };
        let packaged = self.home.is_none() && self.package_starts(daemon);
        if packaged {
            return Ok(vec![drop_in]);
        }
        Ok(vec![
            Planned {
                path: self.own(&self.socket()),
                text: marked(&socket_text(&self.name), Comment::Hash),
            },
            drop_in,
            Planned {
                path: self.own(&self.service()),
                text: marked(
                    &service_text(&self.name, daemon, self.home.as_deref())?,
                    Comment::Hash,
                ),
            },
        ])
    }

    /// Whether the units of a package start this very daemon.
    fn package_starts(&self, daemon: &Path) -> bool {
        let service = self.system.iter().map(|folder| folder.join(self.service()));
        let Some(text) = service.map(fs::read_to_string).find_map(Result::ok) else {
            return false;
        };
        let has_socket = self
            .system
            .iter()
            .any(|folder| folder.join(self.socket()).is_file());
        let theirs = executable_in(&text).and_then(|path| fs::canonicalize(path).ok());
        has_socket && theirs.is_some() && theirs == fs::canonicalize(daemon).ok()
    }

    pub(super) fn reachable(&self) -> Result<(), Failure> {
        let said = self.systemctl(&["show-environment"], ASK_LIMIT)?;
        if !said.ok {
            return Err(self.unreachable(&said.complaint()));
        }
        let theirs = |name: &str| variable(&said.out, name);
        let config = |home: &str| Path::new(home).join(".config");
        let home = theirs("HOME").unwrap_or_default();
        same("HOME", absolute("HOME").as_deref(), Path::new(&home))?;
        let theirs_config = theirs("XDG_CONFIG_HOME").map_or_else(|| config(&home), PathBuf::from);
        let ours_config = absolute("XDG_CONFIG_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".config")));
        same("XDG_CONFIG_HOME", ours_config.as_deref(), &theirs_config)?;
        let runtime = theirs("XDG_RUNTIME_DIR").unwrap_or_default();
        same(
            "XDG_RUNTIME_DIR",
            self.runtime.as_deref(),
            Path::new(&runtime),
        )
    }

    fn unreachable(&self, why: &str) -> Failure {
        let failure = Failure::failed("cannot reach your systemd user manager").cause(why);
        if self.runtime.is_none() {
            return failure.cause("`XDG_RUNTIME_DIR` is not set").hint(
                "log in anew, or have one without a login session: `loginctl enable-linger`; \
                 until then commands start the daemon by themselves",
            );
        }
        failure.hint(
            "`loginctl enable-linger` starts one without a login session; \
             where there is none, commands start the daemon by themselves",
        )
    }

    pub(super) fn told(&self) -> Result<Told, Failure> {
        let (socket, service) = (self.socket(), self.service());
        let said = self.systemctl(
            &[
                "show",
                "--property=Id,LoadState,ActiveState,SubState,Result,FragmentPath,MainPID,NeedDaemonReload",
                &socket,
                &service,
            ],
            ASK_LIMIT,
        )?;
        if !said.ok {
            return Err(self.unreachable(&said.complaint()));
        }
        Ok(told_of(&said.out, &socket))
    }

    pub(super) fn start(&self) -> Result<(), Failure> {
        self.job(&["start", &self.socket()], START_LIMIT)
    }

    pub(super) fn close(&self) -> Result<(), Failure> {
        self.job(&["stop", &self.socket(), &self.service()], JOB_LIMIT)
    }

    pub(super) fn stop(&self) -> Result<(), Failure> {
        self.job(&["stop", &self.service()], JOB_LIMIT)
    }

    pub(super) fn restart(&self) -> Result<(), Failure> {
        if self.told()?.stale {
            self.reload()?;
        }
        // a person who asks for it is no crash loop
        self.reset();
        self.job(&["restart", &self.service()], JOB_LIMIT)
    }

    pub(super) fn reload(&self) -> Result<(), Failure> {
        self.job(&["daemon-reload"], JOB_LIMIT)
    }

    pub(super) fn switch_on(&self, changed: &[PathBuf]) -> Result<(), Failure> {
        self.reset();
        self.job(&["enable", &self.socket()], JOB_LIMIT)?;
        let sockets_changed = changed
            .iter()
            .any(|path| path != &self.own(&self.service()));
        let told = self.told()?;
        if told.listens && sockets_changed {
            // takes the daemon with it, which needs them
            return self.job(&["restart", &self.socket()], JOB_LIMIT);
        }
        self.job(&["start", &self.socket()], JOB_LIMIT)?;
        if changed.is_empty() || told.pid.is_none() {
            return Ok(());
        }
        self.job(&["try-restart", &self.service()], JOB_LIMIT)
    }

    pub(super) fn switch_off(&self) -> Result<(), Failure> {
        self.job(&["disable", "--now", &self.socket()], JOB_LIMIT)?;
        self.job(&["stop", &self.service()], JOB_LIMIT)?;
        self.reset();
        Ok(())
    }

    pub(super) fn forget(&self) {
        let wanted = self.folder.join("sockets.target.wants").join(self.socket());
        // there may be none; and what stays behind names a unit that is not there, which is harmless
        drop(fs::remove_file(wanted));
    }

    /// Forgets earlier failures, which would count against the next start.
    fn reset(&self) {
        // that there were none is said too
        drop(self.systemctl(
            &["reset-failed", &self.socket(), &self.service()],
            ASK_LIMIT,
        ));
    }

    fn job(&self, words: &[&str], limit: Duration) -> Result<(), Failure> {
        let said = self.systemctl(words, limit)?;
        if said.ok {
            return Ok(());
        }
        let failure = Failure::failed(format!("`systemctl --user {}` failed", words.join(" ")))
            .cause(said.complaint());
        Err(failure.hint(format!(
            "`systemctl --user status {} {}` and `journalctl --user --unit {}` say more",
            self.socket(),
            self.service(),
            self.name
        )))
    }

    fn systemctl(&self, words: &[&str], limit: Duration) -> Result<Said, Failure> {
        let mut command = Command::new("systemctl");
        command.arg("--user").arg("--no-pager").args(words);
        if let Some(runtime) = &self.runtime {
            command.env("XDG_RUNTIME_DIR", runtime);
        }
        program::run(&mut command, limit).map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                Failure::failed("there is no systemd here: `systemctl` is not in `PATH`")
                    .hint("nothing is needed: commands start the daemon by themselves")
            } else {
                Failure::failed(format!("cannot run `systemctl --user {}`", words.join(" ")))
                    .because(&error)
            }
        })
    }

    /// `journalctl` for the daemon's lines.
    pub(crate) fn journal(&self, lines: usize, follow: bool) -> Command {
        let mut command = Command::new("journalctl");
        command
            .args(["--user", "--no-pager", "--quiet", "--output=short-iso"])
            .arg(format!("--unit={}", self.service()))
            .arg(format!("--lines={lines}"));
        if follow {
            command.arg("--follow");
        }
        if let Some(runtime) = &self.runtime {
            command.env("XDG_RUNTIME_DIR", runtime);
        }
        command
    }
}

fn absolute(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

/// The manager must see this home where we see it: its daemon would serve another one.
fn same(name: &str, ours: Option<&Path>, theirs: &Path) -> Result<(), Failure> {
    if ours == Some(theirs) {
        return Ok(());
    }
    let ours = ours.map_or_else(
        || "is not set here".into(),
        |ours| format!("is `{}` here", ours.display()),
    );
    Err(Failure::failed(format!(
        "`{name}` {ours}, and `{}` for your user manager",
        theirs.display()
    ))
    .hint(format!(
        "run this with `{name}={}`; another home than `~/.authsome` is chosen by `AUTHSOME_HOME`",
        theirs.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::units::{SERVICE, SOCKET};
    use super::*;

    fn units(folder: &Path) -> Systemd {
        Systemd {
            name: "authsome".into(),
            folder: folder.join("user"),
            system: vec![folder.join("etc"), folder.join("lib")],
            home: None,
            runtime: None,
        }
    }

    fn put(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a file of the test's own folder")]
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_service_is_on_off_or_absent_by_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let units = units(dir.path());
        assert_eq!(units.state(), State::Absent);
        // a package alone is nobody's service, and with the administrator's link everybody's
        put(&dir.path().join("lib/authsome.socket"), SOCKET);
        assert_eq!(units.state(), State::Absent);
        let link = dir.path().join("etc/sockets.target.wants/authsome.socket");
        put(&link, "");
        assert_eq!(units.state(), State::On);
        fs::remove_file(&link).unwrap();
        // installed by the user, then disabled
        put(&units.drop_in(), &drop_in_text(12345));
        assert_eq!(units.state(), State::Off);
        assert_eq!(units.port(), Some(12345));
        put(
            &units.folder.join("sockets.target.wants/authsome.socket"),
            "",
        );
        assert_eq!(units.state(), State::On);
        units.forget();
        assert_eq!(units.state(), State::Off);
        // masked
        put(&link, "");
        std::os::unix::fs::symlink("/dev/null", units.own("authsome.socket")).unwrap();
        assert_eq!(units.state(), State::Off);
    }

    #[test]
    fn the_units_of_a_package_are_used_where_they_start_our_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let units = units(dir.path());
        let daemon = dir.path().join("authsomed");
        let other = dir.path().join("other");
        put(&daemon, "");
        put(&other, "");
        let paths = |daemon: &Path| {
            let plan = units.plan(daemon, 12345).unwrap();
            plan.into_iter().map(|it| it.path).collect::<Vec<_>>()
        };
        assert_eq!(paths(&daemon), units.files());
        put(&dir.path().join("lib/authsome.socket"), SOCKET);
        let service = SERVICE.replace("/usr/bin/authsomed", &daemon.display().to_string());
        put(&dir.path().join("lib/authsome.service"), &service);
        assert_eq!(paths(&daemon), [units.drop_in()]);
        assert_eq!(paths(&other), units.files());
        let elsewhere = Systemd {
            home: Some("/h".into()),
            ..units.clone()
        };
        assert_eq!(elsewhere.plan(&daemon, 1).unwrap().len(), 3);
    }
}
