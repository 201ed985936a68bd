//! Taking up the runs that lived when an earlier daemon ended.
//!
//! Their processes were told a port, a token and a CA; all three come back: the port is bound
//! again, token and CA key are derived again. What cannot come back (the port is taken, the vault
//! stays shut) is said, not guessed: in the log, and in `runs` for as long as a process misses it
//! (`absent`). Until the vault opens, the port is held, so that nobody else gets it.
//!
//! A run is taken up if its time is not up and its first process lives; of a run that keeps, if any
//! of its processes lives, or a run inside of it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use authsome_proto::{RunEnding, RunId};

use super::Broker;
use crate::proxy::RunCa;
use crate::routing::HostPattern;
use crate::runs::port;
use crate::runs::record::{self, RunRecord};
use crate::runs::tree::{self, Stored};
use crate::runs::watch::Watched;

/// How long to wait between two tries while the vault is shut. Shorter would only ask a locked
/// keyring more often; longer would keep a running child waiting after the unlock.
const RETRY: Duration = Duration::from_secs(2);

/// How long to look for the processes that runs left. One that makes us wait for its memory must
/// not hold up the start.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// The pause before a second look for a run that nobody was found of: a process may have been in
/// the middle of `execve`. Longer would hold up the start.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A run that still lives.
struct Survivor {
    record: RunRecord,
    /// Its first process, if that still lives.
    first: Option<Watched>,
    /// Its own port.
    direct: Option<TcpListener>,
    /// It is told of as one that waits.
    waited: bool,
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
        let mut found = Vec::new();
        for record in records {
            if record.life.is_over(SystemTime::now()) {
                tracing::info!(run = %record.id, "the run's time is up");
                remove(&record.dir(&dir));
                continue;
            }
            match record
                .process
                .open()
                .and_then(|fd| fd.map(Watched::new).transpose())
            {
                Ok(first) => found.push(Survivor {
                    record,
                    first,
                    direct: None,
                    waited: false,
                }),
                Err(error) => {
                    warnings.push(format!("run `{}` is over: {error}", record.id));
                    remove(&record.dir(&dir));
                }
            }
        }
        let mut survivors = living(found, &dir).await;
        let Some(proxy_port) = survivors.last().map(|survivor| survivor.record.proxy_port) else {
            return warnings;
        };
        let listener = match port::bind(proxy_port) {
            Ok(listener) => listener,
            Err(error) => {
                for Survivor { record, .. } in survivors {
                    let problem = format!("its proxy port {proxy_port} is taken ({error})");
                    warnings.push(format!("run `{}` is over: {problem}", record.id));
                    self.lose(&record, &problem);
                }
                return warnings;
            }
        };
        for survivor in &mut survivors {
            let port = survivor.record.direct_port;
            survivor.direct = port.and_then(|port| port::bind(port).ok());
        }
        if let Err(back) = self.take_up(listener, survivors).await {
            let broker = Arc::clone(self);
            tokio::spawn(async move { broker.take_up_later(back).await });
        }
        warnings
    }

    /// Gives a run up that cannot be served any more.
    fn lose(&self, record: &RunRecord, problem: &str) {
        tracing::warn!(run = %record.id, problem, "the run is over");
        remove(&record.dir(&self.runs_dir()));
        self.absent.put(record, format!("over: {problem}"));
    }

    async fn take_up_later(self: Arc<Self>, mut waiting: Waiting) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = self.shutdown.cancelled() => return,
            }
            let Waiting {
                listener,
                mut survivors,
            } = waiting;
            // some may have been stopped
            survivors.retain(|it| self.absent.contains(&it.record.id));
            if survivors.is_empty() {
                return;
            }
            match self.take_up(listener, survivors).await {
                Ok(()) => return,
                Err(back) => waiting = back,
            }
        }
    }

    /// `survivors` wait because of `error`.
    fn wait_for(
        &self,
        listener: TcpListener,
        mut survivors: Vec<Survivor>,
        error: &str,
    ) -> Result<(), Waiting> {
        tracing::warn!(error, "living runs wait");
        // one that was stopped while it was tried is not told of again
        survivors.retain(|it| !it.waited || self.absent.contains(&it.record.id));
        for survivor in &mut survivors {
            survivor.waited = true;
            let problem = format!("waits until it can be served again: {error}");
            self.absent.put(&survivor.record, problem);
        }
        Err(Waiting {
            listener,
            survivors,
        })
    }

    async fn take_up(
        self: &Arc<Self>,
        listener: TcpListener,
        survivors: Vec<Survivor>,
    ) -> Result<(), Waiting> {
        let secret = match self.vault.install_secret().await {
            Ok(secret) => secret,
            Err(error) => return self.wait_for(listener, survivors, &error.to_string()),
        };
        let _changing = self.changing.lock().await;
        let upstream = match self.audit().await {
            Ok(_) => self.upstream().await,
            Err(error) => Err(error),
        };
        let upstream = match upstream {
            Ok(upstream) => upstream,
            // a full disk, a slip in the configuration: what a person mends while the runs wait
            Err(error) => return self.wait_for(listener, survivors, &error.message),
        };
        let port = match self.serve_proxy(listener) {
            Ok(port) => port,
            Err(error) => {
                for survivor in &survivors {
                    self.lose(&survivor.record, &error.message);
                }
                return Ok(());
            }
        };
        // nothing else starts the proxy while the port is held for these runs
        drop(self.proxy_port.set(port));
        let dir = self.runs_dir();
        for survivor in survivors {
            let Survivor {
                record,
                first,
                direct,
                waited,
            } = survivor;
            let run_dir = record.dir(&dir);
            // it may have waited for long
            if record.life.is_over(SystemTime::now()) {
                self.absent.take(&record.id);
                remove(&run_dir);
                self.say_ended(&record, RunEnding::Expired);
                continue;
            }
            // outer ones come first: this one could not be taken up, or ended meanwhile
            if let Some(outer) = &record.outer
                && self.runs.find(outer).is_none()
            {
                self.lose(&record, "the run around it is over");
                continue;
            }
            let resumed = fs::read_to_string(run_dir.join("authority.pem"))
                .map_err(|error| error.to_string())
                .and_then(|pem| {
                    RunCa::resume((*secret).as_ref(), &record.id, &pem)
                        .map_err(|error| error.to_string())
                });
            let ca = match resumed {
                Ok(ca) if record.proxy_port == port => ca,
                Ok(_) => {
                    self.lose(&record, "its proxy port is another one");
                    continue;
                }
                Err(error) => {
                    self.lose(
                        &record,
                        &format!("its certificate cannot be used ({error})"),
                    );
                    continue;
                }
            };
            let projects = match self.projects_of(&record) {
                Ok(projects) => projects,
                // written by a daemon that knew more: without its rules the run would be wider
                Err(error) => {
                    self.lose(
                        &record,
                        &format!("its project file cannot be used ({error})"),
                    );
                    continue;
                }
            };
            let names = record
                .names
                .iter()
                .filter_map(|name| HostPattern::parse(name).ok())
                .collect();
            tracing::info!(run = %record.id, pid = record.process.pid, "run taken up again");
            let run = self.new_run(record, names, ca, &secret, projects, upstream);
            self.refresh_run(&run).await;
            self.enter_run(&run, first, direct);
            // told of until now, so that it never seems to be gone; somebody may have stopped it
            // meanwhile
            if self.absent.take(&run.view.id).is_none() && waited {
                self.end_run(&run, RunEnding::Stopped);
            }
        }
        Ok(())
    }
}

/// Runs that wait for the vault, with the ports that are held for them.
struct Waiting {
    listener: TcpListener,
    survivors: Vec<Survivor>,
}

/// Those of `found` that live; the folders of the others go.
async fn living(found: Vec<Survivor>, dir: &Path) -> Vec<Survivor> {
    let marks = marks_for(&found).await;
    let stored: Vec<Stored<'_>> = found
        .iter()
        .map(|it| Stored {
            id: &it.record.id,
            outer: it.record.outer.as_ref(),
            keeps: it.record.life.keeps,
            first_lives: it.first.is_some(),
            // taken up in doubt: then it is looked again, and its time ends it in any case
            is_marked: marks
                .as_ref()
                .is_none_or(|marks| marks.contains(&it.record.id)),
        })
        .collect();
    let living = tree::living(&stored);
    let (living, over): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|it| living.contains(&it.record.id));
    for run in over {
        remove(&run.record.dir(dir));
    }
    living
}

/// The marks of living processes, if it depends on them which of `runs` live; `None` if they cannot
/// be looked at.
async fn marks_for(runs: &[Survivor]) -> Option<BTreeSet<RunId>> {
    let mut marks = BTreeSet::new();
    for pause in [Duration::ZERO, LOOK_AGAIN] {
        let is_settled = |it: &Survivor| {
            it.first.is_some() || !it.record.life.keeps || marks.contains(&it.record.id)
        };
        if runs.iter().all(is_settled) {
            break;
        }
        tokio::time::sleep(pause).await;
        let found = tokio::time::timeout(LOOK_MAX, tree::marks()).await;
        match found.map_err(io::Error::from).flatten() {
            Ok(found) => marks.extend(found),
            Err(error) => {
                tracing::warn!(%error, "the processes of living runs cannot be looked for");
                return None;
            }
        }
    }
    Some(marks)
}

pub(super) fn remove(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path) {
        tracing::warn!(path = %path.display(), %error, "a dead run's folder stays behind");
    }
}
