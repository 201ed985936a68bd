//! The user service of a home: whether there is one, and how its manager is asked.
//!
//! Under a service manager (systemd; launchd on macOS) the manager holds the control socket and the
//! proxy's port, and the first connection starts the daemon. Whether that is so is told by files
//! alone, so that a command that finds nobody listening loses no time; the manager is asked only by
//! commands about the service, and to start its sockets.
//!
//! A service is *on* when its sockets are opened at every login, *off* when it is installed but a
//! person switched it off: then no command starts a daemon, neither with nor without the service.
//!
//! Not here: what `service install` does in which order (`commands/service.rs`).

pub(crate) mod launchd;
pub(crate) mod port;
pub(crate) mod program;
pub(crate) mod skew;
pub(crate) mod systemd;
pub(crate) mod written;

use std::path::{Path, PathBuf};

use authsome_proto::Places;

use crate::error::Failure;
use launchd::Launchd;
use systemd::Systemd;
use written::Planned;

/// Whether a home has a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// There is none.
    Absent,
    /// It is installed and switched off.
    Off,
    /// Its sockets are opened at every login.
    On,
}

/// What the manager says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// Whether its sockets are open.
    pub(crate) listens: bool,
    /// State of the sockets, in the manager's words.
    pub(crate) sockets: String,
    /// State of the daemon, in the manager's words.
    pub(crate) daemon: String,
    /// The daemon's process.
    pub(crate) pid: Option<i32>,
    /// Whether the manager read its files before they were changed.
    pub(crate) stale: bool,
    /// The file that the manager took the sockets from.
    pub(crate) file: Option<PathBuf>,
}

/// The service of one home, installed or not.
#[derive(Debug)]
pub(crate) enum Service {
    /// A property list in `~/Library/LaunchAgents`. Untested: nobody could run it so far.
    Launchd(Launchd),
    /// Two units.
    Systemd(Systemd),
}

impl Service {
    /// The service of `places`; `None` where it cannot be told where its files would be.
    pub(crate) fn of(places: &Places) -> Option<Self> {
        if cfg!(target_os = "macos") {
            Launchd::of(places).map(Self::Launchd)
        } else {
            Systemd::of(places).map(Self::Systemd)
        }
    }

    /// The service of `places` if it is installed.
    pub(crate) fn installed(places: &Places) -> Option<(Self, State)> {
        let service = Self::of(places)?;
        match service.state() {
            State::Absent => None,
            state => Some((service, state)),
        }
    }

    /// The manager's name, as the daemon tells it too.
    pub(crate) fn manager(&self) -> &'static str {
        match self {
            Self::Launchd(_) => "launchd",
            Self::Systemd(_) => "systemd",
        }
    }

    /// What the manager calls the daemon.
    pub(crate) fn daemon_name(&self) -> String {
        match self {
            Self::Launchd(agent) => agent.label(),
            Self::Systemd(units) => units.service(),
        }
    }

    /// What the manager calls the sockets.
    pub(crate) fn sockets_name(&self) -> String {
        match self {
            Self::Launchd(agent) => agent.label(),
            Self::Systemd(units) => units.socket(),
        }
    }

    /// Whether it is installed, by its files.
    pub(crate) fn state(&self) -> State {
        match self {
            Self::Launchd(agent) => agent.state(),
            Self::Systemd(units) => units.state(),
        }
    }

    /// The daemon that it starts.
    pub(crate) fn executable(&self) -> Option<PathBuf> {
        match self {
            Self::Launchd(agent) => agent.executable(),
            Self::Systemd(units) => units.executable(),
        }
    }

    /// The proxy's port in its files.
    pub(crate) fn port(&self) -> Option<u16> {
        match self {
            Self::Launchd(agent) => agent.port(),
            Self::Systemd(units) => units.port(),
        }
    }

    /// Whether the manager answers, and takes this home for the same as we do.
    pub(crate) fn reachable(&self) -> Result<(), Failure> {
        match self {
            Self::Launchd(agent) => agent.reachable(),
            Self::Systemd(units) => units.reachable(),
        }
    }

    /// The files that an installation consists of, for `daemon` and the proxy's `port`.
    pub(crate) fn plan(&self, daemon: &Path, port: u16) -> Result<Vec<Planned>, Failure> {
        match self {
            Self::Launchd(agent) => agent.plan(daemon, port),
            Self::Systemd(units) => units.plan(daemon, port),
        }
    }

    /// Every file that an installation may have left.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Launchd(agent) => vec![agent.file()],
            Self::Systemd(units) => units.files(),
        }
    }

    /// Asks the manager.
    pub(crate) fn told(&self) -> Result<Told, Failure> {
        match self {
            Self::Launchd(agent) => agent.told(),
            Self::Systemd(units) => units.told(),
        }
    }

    /// Has the manager open the sockets.
    pub(crate) fn start(&self) -> Result<(), Failure> {
        match self {
            Self::Launchd(agent) => agent.start(),
            Self::Systemd(units) => units.start(),
        }
    }

    /// Has the manager close the sockets until the next login, and end the daemon.
    pub(crate) fn close(&self) -> Result<(), Failure> {
        match self {
            Self::Launchd(agent) => agent.reload(),
            Self::Systemd(units) => units.close(),
        }
    }

    /// Has the manager end the daemon; the sockets stay.
    pub(crate) fn stop(&self) -> Result<(), Failure> {
        match self {
            Self::Launchd(agent) => agent.stop(),
            Self::Systemd(units) => units.stop(),
        }
    }

    /// Has the manager put a new daemon in the place of the one that runs.
    pub(crate) fn restart(&self) -> Result<(), Failure> {
        match self {
            Self::Launchd(agent) => agent.restart(),
            Self::Systemd(units) => units.restart(),
        }
    }

    /// Makes the manager read files that were written or removed.
    pub(crate) fn reload(&self) -> Result<(), Failure> {
        match self {
            Self::Launchd(agent) => agent.reload(),
            Self::Systemd(units) => units.reload(),
        }
    }

    /// Switches the service on, now and at every login; `changed` are the files that differ from
    /// what the manager uses.
    pub(crate) fn switch_on(&self, changed: &[PathBuf]) -> Result<(), Failure> {
        match self {
            Self::Launchd(agent) => agent.start(),
            Self::Systemd(units) => units.switch_on(changed),
        }
    }

    /// Switches it off, now and at every login.
    pub(crate) fn switch_off(&self) -> Result<(), Failure> {
        match self {
            Self::Launchd(agent) => agent.reload(),
            Self::Systemd(units) => units.switch_off(),
        }
    }

    /// Removes what is left once the files are gone and no manager could be asked.
    pub(crate) fn forget(&self) {
        match self {
            Self::Launchd(_) => {}
            Self::Systemd(units) => units.forget(),
        }
    }

    /// The command that keeps it off, for a person.
    pub(crate) fn off_command(&self) -> String {
        match self {
            Self::Launchd(agent) => format!("launchctl bootout {}", agent.target()),
            Self::Systemd(units) => format!("systemctl --user disable --now {}", units.socket()),
        }
    }

    /// The command that switches it on, for a person.
    pub(crate) fn on_command(&self) -> String {
        match self {
            Self::Launchd(_) => "authsome service install".into(),
            Self::Systemd(units) => format!("systemctl --user enable --now {}", units.socket()),
        }
    }

    /// The command that shows what its daemon said, for a person.
    pub(crate) fn log_command(&self) -> String {
        match self {
            Self::Launchd(_) => "authsome daemon logs".into(),
            Self::Systemd(units) => format!("journalctl --user --unit {}", units.service()),
        }
    }

    /// The command that shows what the manager knows, for a person.
    pub(crate) fn status_command(&self) -> String {
        match self {
            Self::Launchd(agent) => format!("launchctl print {}", agent.target()),
            Self::Systemd(units) => format!(
                "systemctl --user status {} {}",
                units.socket(),
                units.service()
            ),
        }
    }
}

/// What to do about a daemon of another build.
pub(crate) fn way_out(places: &Places, daemon: skew::Daemon<'_>) -> String {
    let ours = crate::start::find().ok();
    let theirs = Service::installed(places).and_then(|(service, _)| service.executable());
    let real = |path: &PathBuf| std::fs::canonicalize(path).ok();
    let next = match &theirs {
        Some(theirs) if ours.as_ref().and_then(real) != real(theirs) => {
            skew::Next::Theirs(theirs, ours.as_deref())
        }
        _ => skew::Next::Ours,
    };
    skew::way_out(daemon, next)
}

/// Why no daemon is started while the service is off.
pub(crate) fn is_off(service: &Service) -> Failure {
    Failure::unreachable(format!(
        "the service `{}` is switched off, and no daemon runs",
        service.sockets_name()
    ))
    .hint(format!(
        "`{}` switches it on; `authsome daemon start` starts it this once",
        service.on_command()
    ))
}
