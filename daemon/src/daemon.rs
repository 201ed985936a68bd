//! A daemon's life: prepare, listen, serve, drain.
//!
//! 1. Before any thread: folders, lock, configuration, connections. Whatever is wrong here ends
//!    the start with an error that the starter sees.
//! 2. Socket bound, living runs taken up, webhooks served, lock announced; only then is the daemon ready.
//! 3. It serves until asked to stop (SIGTERM, SIGINT, `daemon stop`).
//! 4. No new clients; what is under way may finish within [`DRAIN_MAX`]; audit and last uses are
//!    flushed; the socket is removed, since we bound it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use authsome_proto::places::PlacesError;
use authsome_proto::{LockNote, Places};
use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::Broker;
use crate::config::{Config, LoadConfigError};
use crate::connections::{Connections, LoadConnectionsError};
use crate::files::{self, DirError};
use crate::ipc::listen;
use crate::lock::{HomeLock, LockError};

/// How long requests under way may take once the daemon is to stop (threat S5). Longer would make
/// a logout or shutdown of the machine wait; shorter would cut ordinary API calls.
const DRAIN_MAX: Duration = Duration::from_secs(5);

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

/// Takes the home: lock, configuration, connections.
pub fn prepare(places: Places) -> Result<Prepared, StartError> {
    let lock = HomeLock::take(&places.lock()).map_err(StartError::Lock)?;
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
    } = prepared;
    let mut signals = signal_hook_tokio::Signals::new([SIGTERM, SIGINT, SIGHUP])
        .map_err(system("handle signals"))?;
    let path = places.socket();
    let socket = listen::bind(&path).map_err(system("bind the control socket"))?;
    let shutdown = CancellationToken::new();
    for warning in &warnings {
        tracing::warn!("{warning}");
    }

    let broker = Broker::new(
        places,
        config,
        connections,
        std::mem::take(&mut warnings),
        shutdown.clone(),
    );
    for warning in broker.resume_runs().await {
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

    let mut flush = tokio::time::interval(FLUSH);
    flush.tick().await;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = flush.tick() => broker.flush_uses(),
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
    let graceful = stop(&broker, &sessions, &mut lock).await;
    accepting.abort();
    tracing::info!(graceful, "stopped");
    Ok(())
}

async fn stop(broker: &Broker, sessions: &TaskTracker, lock: &mut HomeLock) -> bool {
    broker.shutdown.cancel();
    sessions.close();
    let graceful = tokio::time::timeout(DRAIN_MAX, async {
        sessions.wait().await;
        broker.drain_proxy().await;
    })
    .await
    .is_ok();
    broker.flush().await;
    if let Err(error) = std::fs::remove_file(broker.places.socket()) {
        tracing::debug!(%error, "the socket was gone already");
    }
    if let Err(error) = lock.retract() {
        tracing::debug!(%error, "the lock file keeps its text");
    }
    graceful
}
