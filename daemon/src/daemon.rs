//! A daemon's life: prepare, listen, serve, drain.
//!
//! 1. Before any thread: folders, lock, configuration, connections. Whatever is wrong here ends
//!    the start with an error that the starter sees.
//! 2. Socket bound, living runs taken up, webhooks served, lock announced; only then is the daemon ready.
//! 3. It serves until asked to stop (SIGTERM, SIGINT, `daemon stop`), or until nobody needed it for
//!    as long as `[daemon] idle_exit` says.
//! 4. No new clients; what is under way may finish within [`DRAIN_MAX`]; audit and last uses are
//!    flushed; the socket is removed if we bound it. One of a service manager stays, and callers wait
//!    there for the next daemon.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use authsome_proto::places::PlacesError;
use authsome_proto::{LockNote, Places};
use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::Broker;
use crate::config::{Config, LoadConfigError};
use crate::connections::{Connections, LoadConnectionsError};
use crate::files::{self, DirError};
use crate::ipc::listen;
use crate::lock::{HomeLock, LockError};
use crate::service::{Manager, Passed, PassedError, Supervisor};

/// How long requests under way may take once the daemon is to stop (threat S5). Longer would make
/// a logout or shutdown of the machine wait; shorter would cut ordinary API calls.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// How long a daemon that a service manager started waits for the one before it to end: one that was
/// started by hand, and told to stop a moment ago, drains first.
const HANDOVER_MAX: Duration = Duration::from_secs(10);

/// Longest time between two looks whether somebody needs the daemon.
const IDLE_LOOK: Duration = Duration::from_secs(30);

/// How often last uses reach the disk.
const FLUSH: Duration = Duration::from_secs(60);

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `config.toml` is not right.
    #[error("the configuration cannot be used")]
    Config(#[source] LoadConfigError),
    /// `connections.json` is not right.
    #[error("the list of connections cannot be used")]
    Connections(#[source] LoadConnectionsError),
    /// A folder is missing, foreign or open to others.
    #[error("the folder `{}` cannot be used", .path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: DirError,
    },
    /// The lock is held or unusable.
    #[error("cannot become this home's daemon")]
    Lock(#[source] LockError),
    /// A service manager passed sockets that are not right.
    #[error("the service manager did not start this daemon as it should")]
    Passed(#[source] PassedError),
    /// No home.
    #[error("cannot tell where this home is")]
    Places(#[source] PlacesError),
    /// The runtime, a signal handler or the socket failed.
    #[error("cannot {doing}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl StartError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.hint(),
            Self::Connections(error) => error.hint(),
            Self::Folder { source, .. } => source.hint(),
            Self::Lock(LockError::Held(_)) => Some("`authsome daemon status` shows it".into()),
            Self::Passed(_) => {
                Some("`authsome service install` writes units that are right".into())
            }
            Self::Places(_) => Some("set `AUTHSOME_HOME` to an absolute path".into()),
            Self::Lock(LockError::File { .. }) | Self::System { .. } => None,
        }
    }

    /// Whether another daemon serves this home already.
    pub fn is_already_running(&self) -> bool {
        matches!(self, Self::Lock(LockError::Held(_)))
    }
}

/// What is ready before the first thread starts.
#[derive(Debug)]
pub struct Prepared {
    places: Places,
    lock: HomeLock,
    config: Config,
    connections: Connections,
    warnings: Vec<String>,
    passed: Passed,
    supervisor: Supervisor,
}

/// Makes the folders of a home.
pub fn make_folders(places: &Places) -> Result<(), StartError> {
    let home = &places.home;
    let folders = [
        home.clone(),
        home.join("providers"),
        home.join("audit"),
        home.join("log"),
        places.runtime.clone(),
    ];
    for path in folders {
        files::create_private_dir(&path).map_err(|source| StartError::Folder { path, source })?;
    }
    Ok(())
}

/// Takes the home: lock, configuration, connections. `passed` are the sockets of `manager`, if one
/// started us.
pub fn prepare(
    places: Places,
    passed: Passed,
    manager: Option<Manager>,
) -> Result<Prepared, StartError> {
    let patience = manager.map_or(Duration::ZERO, |_| HANDOVER_MAX);
    let lock = HomeLock::take_within(&places.lock(), patience).map_err(StartError::Lock)?;
    let config = Config::load(&places.home.join("config.toml")).map_err(StartError::Config)?;
    let (connections, fallback) =
        Connections::open(&places.home).map_err(StartError::Connections)?;
    let warnings = fallback.iter().map(ToString::to_string).collect();
    Ok(Prepared {
        places,
        lock,
        config,
        connections,
        warnings,
        passed,
        supervisor: Supervisor::of(manager),
    })
}

/// Serves the home until told to stop; calls `ready` once clients can connect.
pub fn serve(prepared: Prepared, ready: impl FnOnce()) -> Result<(), StartError> {
    let workers = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(1, 4));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("authsomed")
        .enable_all()
        .build()
        .map_err(|source| StartError::System {
            doing: "start the runtime",
            source,
        })?;
    let result = runtime.block_on(live(prepared, ready));
    // a hung keyring call must not keep us (its thread is not the runtime's), nor a slow look-up
    runtime.shutdown_timeout(Duration::from_millis(500));
    result
}

async fn live(prepared: Prepared, ready: impl FnOnce()) -> Result<(), StartError> {
    let system = |doing| move |source| StartError::System { doing, source };
    let Prepared {
        places,
        mut lock,
        config,
        connections,
        mut warnings,
        mut passed,
        supervisor,
    } = prepared;
    let mut signals = signal_hook_tokio::Signals::new([SIGTERM, SIGINT, SIGHUP])
        .map_err(system("handle signals"))?;
    let path = places.socket();
    let (socket, bound) = if let Some(socket) = passed.control.take() {
        (socket, None)
    } else {
        let socket = listen::bind(&path).map_err(system("bind the control socket"))?;
        (socket, Bound::at(&path))
    };
    let shutdown = CancellationToken::new();
    for warning in &warnings {
        tracing::warn!("{warning}");
    }

    let broker = Broker::new(
        places,
        config,
        connections,
        std::mem::take(&mut warnings),
        supervisor.clone(),
        shutdown.clone(),
    );
    for warning in broker.resume_runs(passed).await {
        tracing::warn!("{warning}");
    }
    broker.start_webhooks();
    broker.watch_files();
    let refreshing = Arc::clone(&broker);
    tokio::spawn(async move { refreshing.keep_refreshing().await });
    let renewing = Arc::clone(&broker);
    tokio::spawn(async move { renewing.keep_renewing().await });
    let sessions = TaskTracker::new();
    let accepting = tokio::spawn(listen::accept(
        socket,
        Arc::clone(&broker),
        sessions.clone(),
    ));
    lock.announce(&LockNote {
        pid: std::process::id(),
        socket: path.clone(),
    })
    .map_err(system("write the lock file"))?;
    tracing::info!(socket = %path.display(), version = env!("CARGO_PKG_VERSION"), "listening");
    ready();
    supervisor.ready();
    supervisor.status(format!("serves {}", broker.places.home.display()));

    let mut flush = tokio::time::interval(FLUSH);
    flush.tick().await;
    let mut heartbeat = tokio::time::interval(supervisor.heartbeat().unwrap_or(FLUSH));
    let mut idle = Idle::new(broker.config.load().idle_exit);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = heartbeat.tick() => supervisor.alive(),
            _ = flush.tick() => broker.flush_uses(),
            () = tokio::time::sleep_until(idle.look) => {
                let limit = broker.config.load().idle_exit;
                if idle.is_over(limit, broker.is_needed() || !sessions.is_empty()) {
                    tracing::info!("nobody needs this daemon for now");
                    break;
                }
            }
            signal = signals.next() => match signal {
                Some(SIGHUP) => broker.reload_changed().await,
                Some(signal) => {
                    tracing::info!(signal, "asked to stop");
                    break;
                }
                None => break,
            },
        }
    }
    supervisor.stopping();
    let graceful = stop(&broker, &sessions, &mut lock, bound).await;
    accepting.abort();
    tracing::info!(graceful, "stopped");
    Ok(())
}

async fn stop(
    broker: &Broker,
    sessions: &TaskTracker,
    lock: &mut HomeLock,
    bound: Option<Bound>,
) -> bool {
    broker.shutdown.cancel();
    sessions.close();
    let graceful = tokio::time::timeout(DRAIN_MAX, async {
        sessions.wait().await;
        broker.drain_proxy().await;
    })
    .await
    .is_ok();
    broker.flush().await;
    if let Some(bound) = bound {
        bound.remove();
    }
    if let Err(error) = lock.retract() {
        tracing::debug!(%error, "the lock file keeps its text");
    }
    graceful
}

/// The control socket as we bound it. What stands there at our end may be another one: that of a
/// service that was installed meanwhile.
#[derive(Debug)]
struct Bound {
    path: PathBuf,
    file: (u64, u64),
}

impl Bound {
    fn at(path: &Path) -> Option<Self> {
        let meta = std::fs::symlink_metadata(path).ok()?;
        Some(Self {
            path: path.into(),
            file: (meta.dev(), meta.ino()),
        })
    }

    fn remove(self) {
        let still = Self::at(&self.path).is_some_and(|now| now.file == self.file);
        if still && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "the socket was gone already");
        }
    }
}

/// Since when nobody needed the daemon, and when to look next.
#[derive(Debug)]
struct Idle {
    since: Option<Instant>,
    look: Instant,
}

impl Idle {
    fn new(limit: Option<Duration>) -> Self {
        Self {
            since: None,
            look: Instant::now() + Self::pause(limit),
        }
    }

    /// A quarter more than was asked for, at worst. Without a limit, because the configuration may
    /// change.
    fn pause(limit: Option<Duration>) -> Duration {
        limit.map_or(IDLE_LOOK, |limit| (limit / 4).min(IDLE_LOOK))
    }

    /// Whether nobody has needed the daemon for as long as `limit` says.
    fn is_over(&mut self, limit: Option<Duration>, is_needed: bool) -> bool {
        let now = Instant::now();
        self.look = now + Self::pause(limit);
        let Some(limit) = limit.filter(|_| !is_needed) else {
            self.since = None;
            return false;
        };
        now.duration_since(*self.since.get_or_insert(now)) >= limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_daemon_is_idle_only_when_nobody_needed_it_all_the_time() {
        let limit = Some(Duration::from_secs(60));
        let mut idle = Idle::new(limit);
        assert_eq!(idle.look, Instant::now() + Duration::from_secs(15));
        assert!(!idle.is_over(limit, false), "since now");
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!idle.is_over(limit, false));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!idle.is_over(None, false), "switched off meanwhile");
        assert!(!idle.is_over(limit, false), "counted anew");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!idle.is_over(limit, true), "somebody is there");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!idle.is_over(limit, false), "counted from when they left");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(idle.is_over(limit, false));
    }

    #[test]
    fn only_the_socket_that_we_bound_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let bound = Bound::at(&path).unwrap();
        // somebody else's in its place; the first one is kept, so that its number is not used again
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        bound.remove();
        assert!(path.exists());
        Bound::at(&path).unwrap().remove();
        assert!(!path.exists());
    }
}
