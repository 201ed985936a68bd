//! Taking up the runs that lived when an earlier daemon ended.
//!
//! Their processes were told a port, a token and a CA; all three come back: the port is bound
//! again, token and CA key are derived again. What cannot come back (the process is gone, the
//! port is taken, the vault stays shut) is said, not guessed. Until the vault opens, the port is
//! held, so that nobody else gets it.

use std::fs;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use super::Broker;
use crate::proxy::RunCa;
use crate::routing::HostPattern;
use crate::runs::port;
use crate::runs::record::{self, RunRecord};
use crate::runs::watch::Watched;

/// How long to wait between two tries while the vault is shut. Shorter would only ask a locked
/// keyring more often; longer would keep a running child waiting after the unlock.
const RETRY: Duration = Duration::from_secs(2);

/// A run whose process still lives.
struct Survivor {
    record: RunRecord,
    process: Watched,
}

impl Broker {
    /// Takes up what an earlier daemon left. The ports are bound when this returns; the rest
    /// follows as soon as the vault opens.
    pub async fn resume_runs(self: &Arc<Self>) -> Vec<String> {
        let mut warnings = Vec::new();
        let dir = self.runs_dir();
        let (records, useless) = match record::load_all(&dir) {
            Ok(found) => found,
            Err(error) => {
                return vec![format!("cannot read `{}`: {error}", dir.display())];
            }
        };
        for path in useless {
            tracing::info!(path = %path.display(), "removed a folder that holds no run");
            remove(&path);
        }
        let mut survivors = Vec::new();
        for record in records {
            match record
                .process
                .open()
                .and_then(|fd| fd.map(Watched::new).transpose())
            {
                Ok(Some(process)) => survivors.push(Survivor { record, process }),
                Ok(None) => remove(&record.dir(&dir)),
                Err(error) => {
                    warnings.push(format!("run `{}` is over: {error}", record.id));
                    remove(&record.dir(&dir));
                }
            }
        }
        // a run inside of one that is over is over, too
        loop {
            let ids: Vec<_> = survivors.iter().map(|it| it.record.id.clone()).collect();
            let is_orphan =
                |it: &Survivor| it.record.outer.as_ref().is_some_and(|o| !ids.contains(o));
            let orphans: Vec<_> = survivors.extract_if(.., |it| is_orphan(it)).collect();
            for orphan in &orphans {
                remove(&orphan.record.dir(&dir));
            }
            if orphans.is_empty() {
                break;
            }
        }
        let Some(proxy_port) = survivors.last().map(|survivor| survivor.record.proxy_port) else {
            return warnings;
        };
        let listener = match port::bind(proxy_port) {
            Ok(listener) => listener,
            Err(error) => {
                for survivor in survivors {
                    warnings.push(format!(
                        "run `{}` is over: its proxy port {proxy_port} is taken ({error})",
                        survivor.record.id
                    ));
                    remove(&survivor.record.dir(&dir));
                }
                return warnings;
            }
        };
        let directs: Vec<Option<TcpListener>> = survivors
            .iter()
            .map(|survivor| {
                survivor
                    .record
                    .direct_port
                    .and_then(|port| port::bind(port).ok())
            })
            .collect();
        if let Err(back) = self.take_up(listener, survivors, directs).await {
            let broker = Arc::clone(self);
            tokio::spawn(async move { broker.take_up_later(back).await });
        }
        warnings
    }

    async fn take_up_later(self: Arc<Self>, mut waiting: Waiting) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = self.shutdown.cancelled() => return,
            }
            let Waiting {
                listener,
                survivors,
                directs,
            } = waiting;
            match self.take_up(listener, survivors, directs).await {
                Ok(()) => return,
                Err(back) => waiting = back,
            }
        }
    }

    async fn take_up(
        self: &Arc<Self>,
        listener: TcpListener,
        survivors: Vec<Survivor>,
        directs: Vec<Option<TcpListener>>,
    ) -> Result<(), Waiting> {
        let secret = match self.vault.install_secret().await {
            Ok(secret) => secret,
            Err(error) => {
                tracing::warn!(%error, "living runs wait for the vault");
                return Err(Waiting {
                    listener,
                    survivors,
                    directs,
                });
            }
        };
        let _changing = self.changing.lock().await;
        let upstream = match self.audit().await {
            Ok(_) => self.upstream().await,
            Err(error) => Err(error),
        };
        let upstream = match upstream {
            Ok(upstream) => upstream,
            // a full disk, a slip in the configuration: what a person mends while the runs wait
            Err(error) => {
                tracing::warn!(%error, "living runs wait");
                return Err(Waiting {
                    listener,
                    survivors,
                    directs,
                });
            }
        };
        let port = match self.serve_proxy(listener) {
            Ok(port) => port,
            Err(error) => {
                tracing::error!(%error, "living runs cannot be served");
                return Ok(());
            }
        };
        // nothing else starts the proxy while the port is held for these runs
        drop(self.proxy_port.set(port));
        let dir = self.runs_dir();
        for (Survivor { record, process }, direct) in survivors.into_iter().zip(directs) {
            let run_dir = record.dir(&dir);
            let resumed = fs::read_to_string(run_dir.join("authority.pem"))
                .map_err(|error| error.to_string())
                .and_then(|pem| {
                    RunCa::resume((*secret).as_ref(), &record.id, &pem)
                        .map_err(|error| error.to_string())
                });
            let ca = match resumed {
                Ok(ca) if record.proxy_port == port => ca,
                Ok(_) => {
                    tracing::warn!(run = %record.id, "the run is over: its proxy port is another one");
                    remove(&run_dir);
                    continue;
                }
                Err(error) => {
                    tracing::warn!(run = %record.id, error, "the run is over: no certificate");
                    remove(&run_dir);
                    continue;
                }
            };
            let names = record
                .names
                .iter()
                .filter_map(|name| HostPattern::parse(name).ok())
                .collect();
            tracing::info!(run = %record.id, pid = record.process.pid, "run taken up again");
            let run = self.new_run(record, names, ca, &secret, upstream);
            self.refresh_run(&run).await;
            self.enter_run(&run, process, direct);
        }
        Ok(())
    }
}

/// Runs that wait for the vault, with the ports that are held for them.
struct Waiting {
    listener: TcpListener,
    survivors: Vec<Survivor>,
    directs: Vec<Option<TcpListener>>,
}

fn remove(path: &std::path::Path) {
    if let Err(error) = fs::remove_dir_all(path) {
        tracing::warn!(path = %path.display(), %error, "a dead run's folder stays behind");
    }
}
