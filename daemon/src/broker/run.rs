//! Starting and ending runs.
//!
//! 1. The peer's process is taken hold of by pidfd before anything else.
//! 2. If it descends from a living run, the new run is narrowed to that one.
//! 3. Credentials are looked up, CA and token derived, ports bound, record and files written.
//! 4. The run is entered for the proxy, its process is watched, and the client gets the
//!    environment to exec with.
//!
//! When the process ends, or `runs stop` is said, the run's token dies at once with everything
//! that is still open under it, and so do the runs inside it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use authsome_proto::request::RunStart;
use authsome_proto::response;
use authsome_proto::{ConnectionName, ErrorCode, Event, ProviderName, RunId, WireError};
use tokio_util::sync::CancellationToken;

use super::upstream::Settings;
use super::{Broker, now};
use crate::audit::{self, Record};
use crate::errors::{Explain, storage};
use crate::files;
use crate::keys;
use crate::providers::Definition;
use crate::proxy::{self, RunCa, RunView, Unmatched};
use crate::routing::{HostPattern, RouteTable};
use crate::runs::environment::{self, Inputs};
use crate::runs::record::RunRecord;
use crate::runs::spec::{Asked, RunSpec};
use crate::runs::watch::Watched;
use crate::runs::{port, record};
use crate::sys::locked::LockedBytes;
use crate::sys::pidfd::{self, Identity};

/// A living run.
pub struct Run {
    /// What the proxy sees of it.
    pub view: Arc<RunView>,
    names: Vec<HostPattern>,
    record: Mutex<RunRecord>,
    /// Definitions that had a connection in this run, as they were.
    had: Mutex<BTreeMap<ProviderName, Arc<Definition>>>,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run")
            .field("id", &self.view.id)
            .finish_non_exhaustive()
    }
}

/// The living runs.
#[derive(Debug, Default)]
pub(super) struct Runs(Mutex<BTreeMap<RunId, Arc<Run>>>);

impl Runs {
    pub(super) fn all(&self) -> Vec<Arc<Run>> {
        self.lock().values().cloned().collect()
    }

    pub(super) fn find(&self, id: &RunId) -> Option<Arc<Run>> {
        self.lock().get(id).cloned()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RunId, Arc<Run>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    /// What of it survives a restart.
    pub fn record(&self) -> MutexGuard<'_, RunRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of `hosts` that the run's CA may sign for.
    pub(super) fn covered<'a>(
        &'a self,
        hosts: &'a [HostPattern],
    ) -> impl Iterator<Item = HostPattern> + 'a {
        hosts
            .iter()
            .filter(|host| self.names.contains(host))
            .cloned()
    }

    pub(super) fn had(&self, provider: &ProviderName) -> bool {
        self.record().had.contains(provider)
    }

    pub(super) fn remember(&self, definition: &Arc<Definition>) {
        self.record().had.insert(definition.name.clone());
        self.remembered_map()
            .insert(definition.name.clone(), Arc::clone(definition));
    }

    pub(super) fn remembered(&self) -> Vec<Arc<Definition>> {
        self.remembered_map().values().cloned().collect()
    }

    fn remembered_map(&self) -> MutexGuard<'_, BTreeMap<ProviderName, Arc<Definition>>> {
        self.had.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the files of a run may take. They are small; a file system that hangs must not hold up
/// every other change.
const PREPARE_MAX: Duration = Duration::from_secs(10);

/// The variable that every process of a run begins with.
const MARK: &str = "AUTHSOME_RUN";

/// The run of the process `pid`. Of several (a run whose command is `authsome run` again, in the same
/// process) the one that no other is inside of: each was asked for from inside the one before.
fn innermost(runs: &[Arc<Run>], pid: u32) -> Option<Arc<Run>> {
    let own = || runs.iter().filter(|run| run.view.pid == pid);
    let is_outer = |run: &Run| own().any(|it| it.record().outer.as_ref() == Some(&run.view.id));
    own().find(|run| !is_outer(run)).cloned()
}

/// Whether a process belongs to a run.
#[derive(Debug)]
pub enum Inside {
    /// To this one.
    Living(Arc<Run>),
    /// To none.
    No,
    /// To one that is over.
    Over,
}

/// What the control socket knows of the process that asks.
#[derive(Debug)]
pub struct Asker {
    /// Its pid.
    pub pid: u32,
    /// A handle on it.
    pub process: OwnedFd,
}

impl Broker {
    /// Folder of run records.
    pub(super) fn runs_dir(&self) -> PathBuf {
        self.places.runtime.join("runs")
    }

    /// Whether the process `pid` belongs to a run (threat L3).
    ///
    /// Its chain of parents says so while the chain holds, and the mark that every run sets in its
    /// environment can only say more: that it is in a run inside of that one. A process whose
    /// parents are gone is known by its mark alone, as the kernel shows it; a process that got rid
    /// of both is beyond what an unconfined run promises (it could ask the keyring itself).
    pub fn inside(&self, pid: u32) -> Inside {
        let runs = self.runs.all();
        let mut marks = Vec::new();
        let mut by_parents = None;
        for ancestor in pidfd::lineage(pid) {
            by_parents = innermost(&runs, ancestor);
            if by_parents.is_some() {
                break;
            }
            marks.extend(pidfd::variable(ancestor, MARK));
        }
        let mut over = false;
        for mark in marks {
            let marked = mark.parse().ok().and_then(|id| self.runs.find(&id));
            match (&by_parents, marked) {
                // a mark is the child's to write: it must not lead out of the run around it
                (Some(around), Some(run)) if self.is_within(&run, &around.view.id) => {
                    return Inside::Living(run);
                }
                (Some(_), Some(_)) => {}
                (None, Some(run)) => return Inside::Living(run),
                (_, None) => over = true,
            }
        }
        match by_parents {
            _ if over => Inside::Over,
            Some(run) => Inside::Living(run),
            None => Inside::No,
        }
    }

    /// Whether `run` is the run `outer` or lies inside of it.
    fn is_within(&self, run: &Arc<Run>, outer: &RunId) -> bool {
        let mut at = Some(Arc::clone(run));
        // an outer run is always older, so this ends
        while let Some(run) = at {
            if run.view.id == *outer {
                return true;
            }
            let next = run.record().outer.clone();
            at = next.and_then(|id| self.runs.find(&id));
        }
        false
    }

    /// The living run that `pid` belongs to.
    pub fn run_of(&self, pid: u32) -> Option<Arc<Run>> {
        match self.inside(pid) {
            Inside::Living(run) => Some(run),
            Inside::No | Inside::Over => None,
        }
    }

    /// Starts a run for the process that asks.
    pub async fn start_run(
        self: &Arc<Self>,
        asker: Asker,
        request: RunStart,
    ) -> Result<response::RunStarted, WireError> {
        let _changing = self.changing.lock().await;
        let outer = match self.inside(asker.pid) {
            Inside::No => None,
            Inside::Living(run) => Some(run),
            Inside::Over => {
                return Err(WireError::new(
                    ErrorCode::RefusedInsideRun,
                    "this process was left behind by a run that is over",
                )
                .hint("start the command from outside of that run"));
            }
        };
        let spec = self.spec_of(&request, outer.as_deref())?;
        let process = Identity::of(asker.pid)
            .map_err(|error| storage("tell which process asks for the run", &error))?;
        let watched = Watched::new(asker.process)
            .map_err(|error| storage("watch the process that asks for the run", &error))?;
        let secret = self
            .vault
            .install_secret()
            .await
            .map_err(|error| error.explain("open the vault"))?;
        self.check_credentials(&spec).await?;
        let port = self.proxy().await?;

        let id = random_id();
        let names = self.names_for(&spec);
        let ca = RunCa::derive((*secret).as_ref(), &id, &names, SystemTime::now())
            .map_err(|error| storage("make the run's certificate authority", &error))?;
        let direct =
            port::bind_free().map_err(|error| storage("find a free port for the run", &error))?;
        let direct_port = direct.local_addr().map(|address| address.port()).ok();
        let record = RunRecord {
            v: RunRecord::VERSION,
            id: id.clone(),
            outer: outer.as_ref().map(|run| run.view.id.clone()),
            process,
            program: request.program.clone(),
            started_at: now(),
            spec,
            names: names.iter().map(ToString::to_string).collect(),
            had: BTreeSet::new(),
            proxy_port: port,
            direct_port,
        };
        let run = self.new_run(
            record,
            names,
            ca,
            keys::run_token(&secret, &id),
            self.upstream().await?,
        );
        self.refresh_run(&run).await;
        let mut started = Record::new(audit::Event::RunStart);
        started.run = Some(id.clone());
        started.pid = Some(asker.pid);
        started.program = Some(run.view.program.clone());
        let prepared = match self.write_run(&run, &request).await {
            Ok(environment) => self.record(started).await.map(|()| environment),
            Err(error) => Err(error),
        };
        let environment = match prepared {
            Ok(environment) => environment,
            Err(error) => {
                self.leave_view(&run);
                // it may not be there yet
                drop(fs::remove_dir_all(record::dir(&self.runs_dir(), &id)));
                return Err(error);
            }
        };

        self.enter_run(&run, watched, Some(direct));
        // the end of the outer run may have passed by before this one could be found
        if outer.is_some_and(|outer| outer.view.ended.is_cancelled()) {
            self.end_run(&run);
            return Err(WireError::new(
                ErrorCode::RefusedInsideRun,
                "the run around this one ended",
            ));
        }
        let granted = self.granted(&run);
        Ok(response::RunStarted {
            run: id,
            set: environment.set,
            remove: environment.remove,
            warnings: environment.warnings,
            granted,
        })
    }

    /// The connections that a run uses now.
    pub fn granted(&self, run: &Run) -> Vec<(ProviderName, ConnectionName)> {
        self.catalogue
            .load()
            .entries()
            .filter(|entry| entry.definition.is_ready())
            .filter_map(|entry| {
                let provider = &entry.definition.name;
                Some((provider.clone(), self.granted_connection(run, provider)?))
            })
            .collect()
    }

    /// Ends a run by request.
    pub fn stop_run(&self, id: &RunId) -> Result<(), WireError> {
        match self.runs.find(id) {
            Some(run) => {
                self.end_run(&run);
                Ok(())
            }
            None => Err(
                WireError::new(ErrorCode::UnknownRun, format!("no living run `{id}`"))
                    .hint("`authsome runs` lists them"),
            ),
        }
    }

    /// Living runs, oldest first.
    pub fn living_runs(&self) -> Vec<Arc<Run>> {
        let mut runs = self.runs.all();
        runs.sort_by(|a, b| a.record().started_at.cmp(&b.record().started_at));
        runs
    }

    /// How many runs live.
    pub fn run_count(&self) -> u32 {
        u32::try_from(self.runs.len()).unwrap_or(u32::MAX)
    }

    /// The proxy's port; the proxy starts when the first run needs it.
    pub(super) async fn proxy(&self) -> Result<u16, WireError> {
        let port = self.proxy_port.get_or_try_init(|| async {
            let listener = port::bind_free()
                .map_err(|error| storage("find a free port for the proxy", &error))?;
            self.serve_proxy(listener)
        });
        port.await.copied()
    }

    /// The proxy's port, if it runs.
    pub fn proxy_port(&self) -> Option<u16> {
        self.proxy_port.get().copied()
    }

    /// Serves the proxy on `listener` and tells its port.
    pub(super) fn serve_proxy(&self, listener: std::net::TcpListener) -> Result<u16, WireError> {
        let failed = |error: std::io::Error| storage("serve the proxy", &error);
        let port = listener.local_addr().map_err(failed)?.port();
        let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
        self.own_ports.insert(port);
        let state = Arc::clone(&self.proxy);
        self.proxy_tasks
            .spawn(proxy::serve(listener, state, self.shutdown.clone()));
        Ok(port)
    }

    fn enter_view(&self, view: &Arc<RunView>) {
        self.proxy.runs.rcu(|runs| {
            let mut runs = HashMap::clone(runs);
            runs.insert(view.id.clone(), Arc::clone(view));
            runs
        });
    }

    fn leave_view(&self, run: &Run) {
        self.proxy.runs.rcu(|runs| {
            let mut runs = HashMap::clone(runs);
            runs.remove(&run.view.id);
            runs
        });
        if let Some(port) = run.record().direct_port {
            self.own_ports.remove(port);
        }
    }

    /// A run that nobody knows of yet.
    pub(super) fn new_run(
        &self,
        record: RunRecord,
        names: Vec<HostPattern>,
        ca: RunCa,
        token: LockedBytes,
        upstream: &Settings,
    ) -> Arc<Run> {
        if let Some(port) = record.direct_port {
            self.own_ports.insert(port);
        }
        let view = RunView {
            id: record.id.clone(),
            token,
            table: ArcSwap::from_pointee(RouteTable::build(Vec::new())),
            ca,
            unmatched: match record.spec.unmatched {
                authsome_proto::request::Unmatched::Tunnel => Unmatched::Tunnel,
                authsome_proto::request::Unmatched::Deny => Unmatched::Deny,
            },
            pid: record.process.pid,
            program: record.program.as_str().into(),
            ended: CancellationToken::new(),
            plain: upstream.pool(),
            clock: SystemTime::now,
            injected: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        };
        Arc::new(Run {
            view: Arc::new(view),
            names,
            record: Mutex::new(record),
            had: Mutex::default(),
        })
    }

    /// Lets the proxy serve a run and watches its process.
    pub(super) fn enter_run(
        self: &Arc<Self>,
        run: &Arc<Run>,
        process: Watched,
        direct: Option<std::net::TcpListener>,
    ) {
        self.runs
            .lock()
            .insert(run.view.id.clone(), Arc::clone(run));
        self.enter_view(&run.view);
        if let Some(listener) = direct.and_then(|it| tokio::net::TcpListener::from_std(it).ok()) {
            let (view, state) = (Arc::clone(&run.view), Arc::clone(&self.proxy));
            self.proxy_tasks.spawn(proxy::serve_direct(
                listener,
                view,
                state,
                self.shutdown.clone(),
            ));
        }
        self.tell(Event::RunStarted {
            run: run.view.id.clone(),
        });
        let broker = Arc::clone(self);
        let run = Arc::clone(run);
        tokio::spawn(async move {
            let stop: CancellationToken = broker.shutdown.clone();
            tokio::select! {
                // a failing watch counts as the end: better a dead run than one nobody watches
                _ended = process.ended() => broker.end_run(&run),
                () = run.view.ended.cancelled() => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Ends a run and the runs inside it: tokens dead, connections closed, files gone.
    pub(super) fn end_run(&self, run: &Run) {
        let id = &run.view.id;
        if self.runs.lock().remove(id).is_none() {
            return;
        }
        self.leave_view(run);
        run.view.ended.cancel();
        if let Err(error) = fs::remove_dir_all(record::dir(&self.runs_dir(), id)) {
            tracing::warn!(run = %id, ?error, "the run's folder stays behind");
        }
        let mut ended = Record::new(audit::Event::RunEnd);
        ended.run = Some(id.clone());
        ended.pid = Some(run.view.pid);
        ended.program = Some(run.view.program.clone());
        self.note(ended);
        tracing::info!(run = %id, "run ended");
        self.tell(Event::RunEnded { run: id.clone() });
        for inner in self.runs.all() {
            let inside = inner.record().outer.as_ref() == Some(id);
            if inside {
                self.end_run(&inner);
            }
        }
    }

    fn spec_of(&self, request: &RunStart, outer: Option<&Run>) -> Result<RunSpec, WireError> {
        for provider in request
            .only
            .iter()
            .chain(request.connections.iter().map(|(p, _)| p))
        {
            self.definition(provider)?;
        }
        for (provider, connection) in &request.connections {
            if self.connections.find(provider, connection).is_none() {
                return Err(self.unknown_connection(provider, connection));
            }
        }
        let asked = Asked {
            replaced: request.connections.iter().cloned().collect(),
            only: (!request.only.is_empty()).then(|| request.only.iter().cloned().collect()),
            unmatched: request.unmatched,
        };
        if let Some(only) = &asked.only
            && let Some(provider) = asked.replaced.keys().find(|name| !only.contains(name))
        {
            return Err(WireError::new(
                ErrorCode::BadRequest,
                format!("`--connection {provider}=…` names a provider that `--only` leaves out"),
            ));
        }
        match outer {
            None => Ok(RunSpec {
                replaced: asked.replaced,
                only: asked.only,
                unmatched: asked.unmatched.unwrap_or(self.config.load().unmatched),
            }),
            Some(run) => {
                let outer_spec = run.record().spec.clone();
                outer_spec
                    .narrow(asked, |provider| self.connections.default_of(provider))
                    .map_err(|error| {
                        WireError::new(
                            ErrorCode::RefusedInsideRun,
                            "a run inside a run can only narrow",
                        )
                        .because(&error)
                        .hint("start it from outside of the run")
                    })
            }
        }
    }

    /// A run whose credentials cannot be had now must fail before its command starts.
    async fn check_credentials(&self, spec: &RunSpec) -> Result<(), WireError> {
        for record in self.connections.list() {
            let default = self.connections.default_of(&record.provider);
            if spec.connection(&record.provider, default.as_ref()).as_ref()
                == Some(&record.connection)
            {
                self.credentials
                    .load(&self.vault, &record.provider, &record.connection)
                    .await
                    .map_err(|e| {
                        e.explain(&format!("read `{}` from the vault", record.provider))
                    })?;
            }
        }
        Ok(())
    }

    /// All host patterns that a run may ever need: those of every definition there is.
    fn names_for(&self, spec: &RunSpec) -> Vec<HostPattern> {
        let catalogue = self.catalogue.load();
        let mut names: Vec<HostPattern> = catalogue
            .entries()
            .filter(|entry| entry.definition.is_ready() && spec.allows(&entry.definition.name))
            .flat_map(|entry| {
                entry
                    .definition
                    .routes
                    .iter()
                    .flat_map(|rule| rule.hosts.clone())
            })
            .collect();
        names.sort_by_cached_key(ToString::to_string);
        names.dedup();
        names
    }

    /// Writes the run's folder and says what its process must be started with.
    async fn write_run(
        self: &Arc<Self>,
        run: &Arc<Run>,
        request: &RunStart,
    ) -> Result<environment::Environment, WireError> {
        let dir = record::dir(&self.runs_dir(), &run.view.id);
        let shared = self.places.runtime.join("shared");
        for folder in [&self.runs_dir(), &shared, &dir] {
            files::create_private_dir(folder)
                .map_err(|error| storage("make the run's folder", &error))?;
        }
        run.record()
            .save(&self.runs_dir())
            .map_err(|error| storage("write the run's record", &error))?;
        let ca_file = dir.join("authority.pem");
        files::write_whole(&ca_file, run.view.ca.certificate_pem().as_bytes())
            .map_err(|error| storage("write the run's certificate", &error))?;
        let parent: BTreeMap<String, String> = request.environment.iter().cloned().collect();
        let token = String::from_utf8_lossy(run.view.token.as_ref()).into_owned();
        let granted_hosts: Vec<HostPattern> = run
            .view
            .table
            .load()
            .routes()
            .flat_map(|route| route.hosts.clone())
            .collect();
        let (proxy_port, direct_port) = {
            let record = run.record();
            (record.proxy_port, record.direct_port)
        };
        let placeholders = self.placeholders(run);
        self.upstream().await?;
        let (broker, run) = (Arc::clone(self), Arc::clone(run));
        // it reads files that the caller names: they may be on a file system that hangs
        let preparing = tokio::task::spawn_blocking(move || {
            let system_roots = &broker.upstream.get()?.system;
            Some(environment::prepare(&Inputs {
                parent: &parent,
                run: &run.view.id,
                token: &token,
                proxy_port,
                direct_port,
                ca_pem: run.view.ca.certificate_pem(),
                system_roots,
                run_dir: &dir,
                shared_dir: &shared,
                placeholders: &placeholders,
                granted_hosts: &granted_hosts,
            }))
        });
        match tokio::time::timeout(PREPARE_MAX, preparing).await {
            Ok(Ok(Some(prepared))) => {
                prepared.map_err(|error| storage("prepare the run's environment", &error))
            }
            Ok(_) => Err(WireError::new(
                ErrorCode::Internal,
                "cannot prepare the run's environment",
            )),
            Err(elapsed) => Err(storage(
                "read the trust files that your environment names",
                &elapsed,
            )),
        }
    }

    /// The variables of granted providers, with what programs see in them.
    fn placeholders(&self, run: &Run) -> Vec<(String, String)> {
        let catalogue = self.catalogue.load();
        catalogue
            .entries()
            .filter(|entry| entry.definition.is_ready())
            .filter(|entry| {
                self.granted_connection(run, &entry.definition.name)
                    .is_some()
            })
            .flat_map(|entry| entry.definition.placeholders())
            .collect()
    }
}

/// 96 random bits as letters and digits: it is the user part of a URL and a folder's name.
pub(super) fn random_id<T: std::str::FromStr>() -> T
where
    T::Err: std::fmt::Debug,
{
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 20];
    #[expect(
        clippy::expect_used,
        reason = "without random bytes nothing here is safe"
    )]
    getrandom::fill(&mut bytes).expect("the kernel gives random bytes");
    let text: String = bytes
        .iter()
        .filter_map(|byte| {
            ALPHABET
                .get(usize::from(byte % 32))
                .copied()
                .map(char::from)
        })
        .collect();
    #[expect(
        clippy::expect_used,
        reason = "the alphabet holds only characters that names allow"
    )]
    text.parse().expect("letters and digits are a name")
}
