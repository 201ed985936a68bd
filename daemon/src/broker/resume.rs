//! Taking up the runs that lived when an earlier daemon ended.
//!
//! Their processes were told a port, a token and a CA; all three come back: the port is bound
//! again, or was kept by the service manager, token and CA key are derived again. What cannot come
//! back (the port is taken, the vault stays shut) is said, not guessed: in the log, and in `runs` for
//! as long as a process misses it (`absent`). Until the vault opens, the port is held, so that nobody
//! else gets it.
//!
//! A run is taken up if its time is not up and its first process lives; of a run that keeps, if any
//! of its processes lives, or a run inside of it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use authsome_proto::{RunEnding, RunId};

use super::Broker;
use crate::policy::Project;
use crate::proxy::RunCa;
use crate::routing::HostPattern;
use crate::runs::port;
use crate::runs::record::{self, RunRecord};
use crate::runs::tree::{self, Stored};
use crate::runs::watch::Watched;
use crate::service::Passed;

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
    /// follows as soon as the vault opens. Of what was `passed`, ports that no run needs are given
    /// back, and the proxy's is served.
    pub async fn resume_runs(self: &Arc<Self>, mut passed: Passed) -> Vec<String> {
        let mut warnings = Vec::new();
        let survivors = self.survivors(&mut warnings).await;
        for run in passed.runs.keys() {
            if !survivors.iter().any(|it| it.record.id == *run) {
                self.supervisor.forget(run);
            }
        }
        let (doors, survivors) = self.doors(&mut passed, survivors, &mut warnings);
        if let Some(listener) = passed.proxy {
            self.adopt_proxy(listener);
        }
        if survivors.is_empty() {
            return warnings;
        }
        if let Err(back) = self.take_up(doors, survivors).await {
            let broker = Arc::clone(self);
            tokio::spawn(async move { broker.take_up_later(back).await });
        }
        warnings
    }

    /// The runs that live.
    async fn survivors(&self, warnings: &mut Vec<String>) -> Vec<Survivor> {
        let dir = self.runs_dir();
        let (records, useless) = match record::load_all(&dir) {
            Ok(found) => found,
            Err(error) => {
                warnings.push(format!("cannot read `{}`: {error}", dir.display()));
                return Vec::new();
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
        living(found, &dir).await
    }

    /// The ports that `survivors` were told: passed, else bound again. Usually one; runs from before
    /// a service was installed have another one than those that began since. A run whose port cannot
    /// be had is over.
    fn doors(
        &self,
        passed: &mut Passed,
        survivors: Vec<Survivor>,
        warnings: &mut Vec<String>,
    ) -> (Doors, Vec<Survivor>) {
        let mut doors = Doors::new();
        let mut kept = Vec::new();
        for mut survivor in survivors {
            let record = &survivor.record;
            let proxy_port = record.proxy_port;
            if let Entry::Vacant(door) = doors.entry(proxy_port) {
                let given = passed.proxy.take_if(|it| port_of(it) == Some(proxy_port));
                match given.map_or_else(|| port::bind(proxy_port), Ok) {
                    Ok(listener) => drop(door.insert(listener)),
                    Err(error) => {
                        let problem = format!("its proxy port {proxy_port} is taken ({error})");
                        warnings.push(format!("run `{}` is over: {problem}", record.id));
                        self.lose(record, &problem);
                        continue;
                    }
                }
            }
            let stored = passed.runs.remove(&record.id);
            survivor.direct = record.direct_port.and_then(|port| {
                stored
                    .filter(|it| port_of(it) == Some(port))
                    .or_else(|| port::bind(port).ok())
            });
            kept.push(survivor);
        }
        (doors, kept)
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
                doors,
                mut survivors,
            } = waiting;
            // some may have been stopped
            survivors.retain(|it| self.absent.contains(&it.record.id));
            if survivors.is_empty() {
                return;
            }
            match self.take_up(doors, survivors).await {
                Ok(()) => return,
                Err(back) => waiting = back,
            }
        }
    }

    /// `survivors` wait because of `error`.
    fn wait_for(
        &self,
        doors: Doors,
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
        Err(Waiting { doors, survivors })
    }

    async fn take_up(
        self: &Arc<Self>,
        doors: Doors,
        survivors: Vec<Survivor>,
    ) -> Result<(), Waiting> {
        let secret = match self.vault.install_secret().await {
            Ok(secret) => secret,
            Err(error) => return self.wait_for(doors, survivors, &error.to_string()),
        };
        let _changing = self.changing.lock().await;
        let upstream = match self.audit().await {
            Ok(_) => self.upstream().await,
            Err(error) => Err(error),
        };
        let upstream = match upstream {
            Ok(upstream) => upstream,
            // a full disk, a slip in the configuration: what a person mends while the runs wait
            Err(error) => return self.wait_for(doors, survivors, &error.message),
        };
        let mut served = BTreeMap::new();
        let mut open = Vec::new();
        for (port, listener) in doors {
            let result = self.open_proxy(listener).map(|listener| {
                // where new runs go, too, unless a service manager gave a port for them
                drop(self.proxy_port.set(port));
                open.push(listener);
            });
            served.insert(port, result);
        }
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
            let refused = served.get(&record.proxy_port);
            let parts = match refused.and_then(|result| result.as_ref().err()) {
                Some(error) => Err(error.message.clone()),
                None => self.parts(&record, (*secret).as_ref()),
            };
            let (names, ca, projects) = match parts {
                Ok(parts) => parts,
                Err(problem) => {
                    self.lose(&record, &problem);
                    continue;
                }
            };
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
        // only now: a program that came with its run's token before would have been turned away as
        // one that has none (threat L11)
        for listener in open {
            self.accept_at(listener);
        }
        Ok(())
    }

    /// What a run is made of beside its record; why it cannot be served any more.
    fn parts(&self, record: &RunRecord, secret: &[u8]) -> Result<Parts, String> {
        // outer ones come first: this one could not be taken up, or ended meanwhile
        if let Some(outer) = &record.outer
            && self.runs.find(outer).is_none()
        {
            return Err("the run around it is over".into());
        }
        let authority = record.dir(&self.runs_dir()).join("authority.pem");
        let ca = fs::read_to_string(authority)
            .map_err(|error| error.to_string())
            .and_then(|pem| {
                RunCa::resume(secret, &record.id, &pem).map_err(|error| error.to_string())
            })
            .map_err(|error| format!("its certificate cannot be used ({error})"))?;
        // written by a daemon that knew more: without its rules the run would be wider
        let projects = self
            .projects_of(record)
            .map_err(|error| format!("its project file cannot be used ({error})"))?;
        let names = record.names.iter();
        let names = names.filter_map(|name| HostPattern::parse(name).ok());
        Ok((names.collect(), ca, projects))
    }
}

/// Names, authority and project files of a run.
type Parts = (Vec<HostPattern>, RunCa, Vec<Arc<Project>>);

/// The proxy's ports that living runs were told.
type Doors = BTreeMap<u16, TcpListener>;

/// Runs that wait for the vault, with the ports that are held for them.
struct Waiting {
    doors: Doors,
    survivors: Vec<Survivor>,
}

fn port_of(listener: &TcpListener) -> Option<u16> {
    listener.local_addr().ok().map(|address| address.port())
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
