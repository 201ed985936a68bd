//! Picking up changed definitions and configuration without a restart.
//!
//! Files are watched while the daemon runs, and looked at once more before a request that reads
//! them is answered, so that `inspect > file` followed by `list` shows the change however slow
//! the watcher is. A broken file never replaces what is in force: it is reported.

use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use authsome_proto::WireError;
use notify::Watcher;

use super::Broker;
use crate::config::Config;
use crate::login::Pages;
use crate::providers::{self, Catalogue};

/// How long after the first notice of a change the files are read: editors write in several steps.
const SETTLE: Duration = Duration::from_millis(100);

/// What the files looked like when they were last read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Watched {
    definitions: providers::Signature,
    config: Option<(SystemTime, u64)>,
    problem: Option<String>,
}

impl Watched {
    pub(super) fn now(home: &Path) -> Self {
        Self {
            definitions: providers::signature(&home.join("providers")),
            config: stamp(&home.join("config.toml")),
            problem: None,
        }
    }
}

impl Broker {
    /// Reads what has changed on disk. Cheap when nothing has.
    pub async fn reload_changed(&self) {
        let now = Watched::now(&self.places.home);
        let (definitions, config) = {
            let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
            (
                watched.definitions != now.definitions,
                watched.config != now.config,
            )
        };
        if !definitions && !config {
            return;
        }
        let _changing = self.changing.lock().await;
        if definitions {
            self.reload_definitions();
        }
        if config {
            self.reload_config(now.config);
        }
        self.refresh_runs().await;
    }

    /// What is wrong with the configuration on disk, if it is not the one in force.
    pub fn config_problem(&self) -> Option<String> {
        self.watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .problem
            .clone()
    }

    pub(super) fn reload_definitions(&self) {
        let dir = self.places.home.join("providers");
        let signature = providers::signature(&dir);
        let catalogue = Catalogue::load(Some(&dir));
        for problem in catalogue.problems() {
            tracing::warn!(%problem, "definition");
        }
        self.catalogue.store(Arc::new(catalogue));
        self.watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .definitions = signature;
    }

    fn reload_config(&self, stamp: Option<(SystemTime, u64)>) {
        let result = Config::load(&self.places.home.join("config.toml"));
        let problem = match result {
            Ok(config) => self.apply(config).err().map(|error| error.message),
            Err(error) => Some(error.to_string()),
        };
        if let Some(problem) = &problem {
            tracing::warn!(problem, "the configuration was not taken over");
        }
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.config = stamp;
        watched.problem = problem;
    }

    /// Takes a configuration over. What cannot change under a running daemon (the vault's store)
    /// is said by `status` and `doctor`.
    fn apply(&self, config: Config) -> Result<(), WireError> {
        self.replace_upstream(&config)?;
        if config.login_port != self.config.load().login_port {
            // pages that wait stay where they are
            self.pages.store(Arc::new(Pages::new(config.login_port)));
        }
        self.proxy
            .set_placeholder_in_body(config.placeholder_in_body);
        self.config.store(Arc::new(config));
        Ok(())
    }

    /// Watches definitions and configuration until the daemon stops.
    pub fn watch_files(self: &Arc<Self>) {
        let (send, mut changes) = tokio::sync::mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                // one pending notice is enough
                send.try_send(()).ok();
            }
        });
        let home = self.places.home.clone();
        let watching = watcher.and_then(|mut watcher| {
            let mode = notify::RecursiveMode::NonRecursive;
            watcher.watch(&home.join("providers"), mode)?;
            watcher.watch(&home, mode)?;
            Ok(watcher)
        });
        let watcher = match watching {
            Ok(watcher) => watcher,
            Err(error) => {
                tracing::warn!(%error, "changed files are only noticed at the next command");
                return;
            }
        };
        let broker = Arc::clone(self);
        tokio::spawn(async move {
            let _watcher = watcher;
            loop {
                tokio::select! {
                    change = changes.recv() => if change.is_none() { return },
                    () = broker.shutdown.cancelled() => return,
                }
                tokio::time::sleep(SETTLE).await;
                changes.try_recv().ok();
                broker.reload_changed().await;
            }
        });
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}
