//! The service manager, where one started us: the sockets it passes, and what it wants to hear.
//!
//! 1. [`take`] adopts the sockets, before anything else is opened. While we are away the manager
//!    holds them: callers wait instead of being refused, and the next daemon has the same ports.
//! 2. [`Supervisor::ready`] says that clients are served (`Type=notify`), [`Supervisor::stopping`]
//!    that they are not any more.
//! 3. [`Supervisor::alive`] is said by the daemon's main loop. If that hangs, the manager puts
//!    another daemon in its place (`WatchdogSec=`).
//! 4. The own port of a run is no unit's. [`Supervisor::keep`] leaves it in the manager's store,
//!    which gives it to the next daemon, until [`Supervisor::forget`].
//!
//! Nothing of this fails: what the manager does not hear costs at most what it was for. A thread of
//! its own does the talking, because a manager that does not listen would block us.
//!
//! Not here: unit files, and installing them, which are the client's.

mod passed;

use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use authsome_proto::{Places, RunId};
use sd_notify::NotifyState;

use crate::sys;
pub use passed::{Passed, PassedError, sort};

/// Words that wait for the manager to listen. More, and the later ones are lost.
const WAITING_MAX: usize = 256;

/// Who started this daemon and starts it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// launchd (macOS).
    Launchd,
    /// systemd, as a user service.
    Systemd,
}

impl Manager {
    /// Its name, as `status` tells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Launchd => "launchd",
            Self::Systemd => "systemd",
        }
    }
}

/// Takes over what the service manager passed to this process, and tells who it is. To be called
/// once, before anything else is opened.
pub fn take(places: &Places) -> Result<(Passed, Option<Manager>), PassedError> {
    let socket = places.socket();
    let from_systemd = sys::passed::systemd().map_err(PassedError::Take)?;
    if !from_systemd.is_empty() {
        return Ok((sort(from_systemd, &socket)?, Some(Manager::Systemd)));
    }
    #[cfg(any(target_os = "macos", check_macos))]
    {
        let mut from_launchd = Vec::new();
        for name in [c"control", c"proxy"] {
            from_launchd.extend(sys::passed::launchd(name).map_err(PassedError::Take)?);
        }
        if !from_launchd.is_empty() {
            return Ok((sort(from_launchd, &socket)?, Some(Manager::Launchd)));
        }
    }
    let manager = std::env::var_os("NOTIFY_SOCKET").map(|_| Manager::Systemd);
    Ok((Passed::default(), manager))
}

/// A way to talk to the service manager. Without one, nobody hears it.
#[derive(Debug, Clone, Default)]
pub struct Supervisor {
    manager: Option<Manager>,
    words: Option<SyncSender<Word>>,
}

enum Word {
    Alive,
    Forget(String),
    Keep(String, OwnedFd),
    Ready,
    Status(String),
    Stopping,
}

impl Supervisor {
    /// Of the manager that started us, if any.
    pub fn of(manager: Option<Manager>) -> Self {
        let words = match manager {
            Some(Manager::Systemd) => listener(),
            // it wants to hear nothing
            Some(Manager::Launchd) | None => None,
        };
        Self { manager, words }
    }

    /// Who started us.
    pub fn manager(&self) -> Option<Manager> {
        self.manager
    }

    /// How often [`Self::alive`] must be said, with room to spare; never without a watchdog.
    pub fn heartbeat(&self) -> Option<Duration> {
        // sd_watchdog_enabled(3): half the interval is the custom
        sd_notify::watchdog_enabled().map(|interval| (interval / 2).max(Duration::from_millis(1)))
    }

    /// Clients are served.
    pub fn ready(&self) {
        self.say(Word::Ready);
    }

    /// What the daemon is at, in a few words for a person.
    pub fn status(&self, text: impl Into<String>) {
        self.say(Word::Status(text.into()));
    }

    /// The main loop turns.
    pub fn alive(&self) {
        self.say(Word::Alive);
    }

    /// No new clients are served.
    pub fn stopping(&self) {
        self.say(Word::Stopping);
    }

    /// Leaves the own port of `run` with the manager, for the next daemon.
    pub fn keep(&self, run: &RunId, port: &TcpListener) {
        if self.words.is_none() {
            return;
        }
        match port.as_fd().try_clone_to_owned() {
            Ok(fd) => self.say(Word::Keep(passed::name_of(run), fd)),
            Err(error) => tracing::debug!(%run, %error, "its port is not stored"),
        }
    }

    /// The run is over: its port is nobody's.
    pub fn forget(&self, run: &RunId) {
        self.say(Word::Forget(passed::name_of(run)));
    }

    fn say(&self, word: Word) {
        let Some(words) = &self.words else {
            return;
        };
        if let Err(TrySendError::Full(_)) = words.try_send(word) {
            tracing::debug!("the service manager does not listen");
        }
    }
}

/// The thread that talks to systemd; `None` if there can be none.
fn listener() -> Option<SyncSender<Word>> {
    let (sender, words) = sync_channel::<Word>(WAITING_MAX);
    let thread = std::thread::Builder::new().name("notify".into());
    let spawned = thread.spawn(move || {
        for word in words {
            if let Err(error) = tell(&word) {
                tracing::debug!(%error, "the service manager did not hear");
            }
        }
    });
    spawned.ok().map(|_thread| sender)
}

fn tell(word: &Word) -> std::io::Result<()> {
    match word {
        Word::Alive => sd_notify::notify(&[NotifyState::Watchdog]),
        Word::Forget(name) => {
            sd_notify::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(name)])
        }
        Word::Keep(name, fd) => sd_notify::notify_with_fds(
            &[NotifyState::FdStore, NotifyState::FdName(name)],
            &[fd.as_fd()],
        ),
        Word::Ready => sd_notify::notify(&[NotifyState::Ready]),
        Word::Status(text) => sd_notify::notify(&[NotifyState::Status(text)]),
        Word::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
    }
}
