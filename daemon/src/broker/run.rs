//! Runs while they live, and their end.
//!
//! When a run ends by itself, or `runs stop` is said, its token dies at once with everything that
//! is still open under it, and so do the runs inside it.
//!
//! Not here: how a run starts (`start`), when it ends by itself (`life`), how it is taken up after
//! a restart (`resume`).

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use authsome_proto::{ConnectionName, ErrorCode, Event, ProviderName, RunEnding, RunId, WireError};
use tokio_util::sync::CancellationToken;

use super::Broker;
use super::upstream::Settings;
use crate::audit::{self, Record};
use crate::errors::storage;
use crate::keys;
use crate::policy::Project;
use crate::providers::Definition;
use crate::proxy::{self, Reach, RouteCredential, RunCa, RunView};
use crate::routing::{Choice, HostPattern, Placeholder, RouteTable, Template};
use crate::runs::port;
use crate::runs::record::{self, RunRecord};
use crate::runs::watch::Watched;
use crate::sys::locked::LockedBytes;

/// A living run.
pub struct Run {
    /// What the proxy sees of it.
    pub view: Arc<RunView>,
    names: Vec<HostPattern>,
    /// What its placeholders are derived from.
    secret: Arc<LockedBytes>,
    record: Mutex<RunRecord>,
    /// Definitions that had a connection in this run, as they were; once for each own server of a
    /// provider that one was for.
    had: Mutex<Remembered>,
    /// Its first process is gone, and it goes on without.
    outlives_its_first: AtomicBool,
    /// Its own port could not be had again.
    lacks_its_port: AtomicBool,
    /// Project files in force in it, outermost first; the runs inside it share them.
    pub(super) projects: Vec<Arc<Project>>,
}

/// Definitions by provider, and by the own server that they are for.
type Remembered = BTreeMap<(ProviderName, Option<String>), Arc<Definition>>;

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

    /// Whether its first process is gone and it goes on without: that process' pid may be
    /// anybody's by now.
    pub(super) fn outlives_its_first(&self) -> bool {
        self.outlives_its_first.load(Ordering::Acquire)
    }

    /// Whether it was started for a process that ran already: it ends with that process, which does
    /// not belong to it.
    pub(super) fn is_bound(&self) -> bool {
        self.record().bound.is_some()
    }

    pub(super) fn set_outlives_its_first(&self) {
        self.outlives_its_first.store(true, Ordering::Release);
    }

    /// What of it does not work now, if anything, in a few words.
    pub fn problem(&self) -> Option<String> {
        if (self.view.clock)() >= self.view.ca.not_after() {
            return Some("its certificates are no longer valid".into());
        }
        let table = self.view.table.load();
        let shut = table
            .routes()
            .find(|route| matches!(route.credential, RouteCredential::VaultLocked));
        if let Some(route) = shut {
            return Some(format!(
                "the vault does not give the credential of `{}`",
                route.provider
            ));
        }
        let port = self.record().direct_port?;
        self.lacks_its_port
            .load(Ordering::Relaxed)
            .then(|| format!("its port {port}, for clients that send no token, is taken"))
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

    pub(super) fn allows(&self, provider: &ProviderName) -> bool {
        self.record().spec.allows(provider)
    }

    /// The connections of `provider` that only requests with their placeholder get.
    pub(super) fn added(&self, provider: &ProviderName) -> Vec<ConnectionName> {
        let record = self.record();
        let added = record.spec.added.iter().filter(|(of, _)| of == provider);
        added
            .filter(|(of, _)| record.spec.allows(of))
            .map(|(_, connection)| connection.clone())
            .collect()
    }

    /// Which requests get `connection`, or the one that the run uses by default.
    pub(super) fn choice(
        &self,
        definition: &Definition,
        connection: Option<&ConnectionName>,
    ) -> Choice {
        Choice {
            by_default: connection.is_none(),
            placeholder: Some(self.placeholder(definition, connection)),
        }
    }

    /// The random placeholder of `connection`, or of the one that the run uses by default: what
    /// stands for it stays the same when another one becomes the default.
    pub(super) fn placeholder(
        &self,
        definition: &Definition,
        connection: Option<&ConnectionName>,
    ) -> Placeholder {
        let (run, provider) = (&self.view.id, &definition.name);
        let random = keys::placeholder(&self.secret, run, provider, connection);
        match &definition.key_placeholder {
            Some(template) => template.fill(&random),
            None => Template::plain().fill(&random),
        }
    }

    /// Whether `provider` had a connection in this run, other than for a server of its own.
    pub(super) fn had(&self, provider: &ProviderName) -> bool {
        self.record().had.contains(provider)
    }

    /// The own servers of `provider`, by base URL, that had a connection in this run.
    pub(super) fn had_servers(&self, provider: &ProviderName) -> Vec<String> {
        let record = self.record();
        let had = record.had_servers.iter().filter(|(of, _)| of == provider);
        had.map(|(_, server)| server.clone()).collect()
    }

    /// `definition` is the one that applies to a connection with this base URL.
    pub(super) fn remember(&self, definition: &Arc<Definition>, base_url: Option<&str>) {
        let name = &definition.name;
        match base_url {
            None => self.record().had.insert(name.clone()),
            Some(url) => {
                let had = (name.clone(), url.to_owned());
                self.record().had_servers.insert(had)
            }
        };
        let key = (name.clone(), base_url.map(str::to_owned));
        self.remembered_map().insert(key, Arc::clone(definition));
    }

    pub(super) fn remembered(&self) -> Vec<Arc<Definition>> {
        self.remembered_map().values().cloned().collect()
    }

    /// The definition of `provider` as it applied to an own server.
    pub(super) fn remembered_at(
        &self,
        provider: &ProviderName,
        base_url: &str,
    ) -> Option<Arc<Definition>> {
        let key = (provider.clone(), Some(base_url.to_owned()));
        self.remembered_map().get(&key).cloned()
    }

    fn remembered_map(&self) -> MutexGuard<'_, Remembered> {
        self.had.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Broker {
    /// Folder of run records.
    pub(super) fn runs_dir(&self) -> PathBuf {
        self.places.runtime.join("runs")
    }

    /// The connections that a run uses now, by default or for requests with their placeholder.
    pub fn granted(&self, run: &Run) -> Vec<(ProviderName, ConnectionName)> {
        self.catalogue
            .load()
            .entries()
            .filter(|entry| entry.definition.is_ready())
            .flat_map(|entry| {
                let provider = &entry.definition.name;
                let connections = self.granted_connections(run, provider).into_iter();
                connections.map(|connection| (provider.clone(), connection))
            })
            .collect()
    }

    /// Ends a run by request.
    pub fn stop_run(&self, id: &RunId) -> Result<(), WireError> {
        if let Some(run) = self.runs.find(id) {
            self.end_run(&run, RunEnding::Stopped);
            return Ok(());
        }
        if self.stop_absent(id) {
            return Ok(());
        }
        Err(unknown_run(id))
    }

    /// The living run `id`.
    pub fn living_run(&self, id: &RunId) -> Result<Arc<Run>, WireError> {
        self.runs.find(id).ok_or_else(|| unknown_run(id))
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

    /// Serves the proxy on the socket of a service manager, from now on and for all new runs.
    pub(super) fn adopt_proxy(&self, listener: std::net::TcpListener) {
        match self.serve_proxy(listener) {
            // nothing else has started it yet: this is done before clients are served
            Ok(port) => drop(self.proxy_port.set(port)),
            Err(error) => tracing::warn!(?error, "the socket for the proxy is not served"),
        }
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
        let listener = self.open_proxy(listener)?;
        self.accept_at(listener);
        Ok(port)
    }

    /// Gets a port of the proxy ready; whoever connects waits until [`Self::accept_at`].
    pub(super) fn open_proxy(
        &self,
        listener: std::net::TcpListener,
    ) -> Result<tokio::net::TcpListener, WireError> {
        let failed = |error: std::io::Error| storage("serve the proxy", &error);
        let port = listener.local_addr().map_err(failed)?.port();
        let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
        self.own_ports.insert(port);
        Ok(listener)
    }

    pub(super) fn accept_at(&self, listener: tokio::net::TcpListener) {
        let state = Arc::clone(&self.proxy);
        self.proxy_tasks
            .spawn(proxy::serve(listener, state, self.shutdown.clone()));
    }

    fn enter_view(&self, view: &Arc<RunView>) {
        self.proxy.runs.rcu(|runs| {
            let mut runs = HashMap::clone(runs);
            runs.insert(view.id.clone(), Arc::clone(view));
            runs
        });
    }

    pub(super) fn leave_view(&self, run: &Run) {
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
        secret: &Arc<LockedBytes>,
        projects: Vec<Arc<Project>>,
        upstream: &Settings,
    ) -> Arc<Run> {
        if let Some(port) = record.direct_port {
            self.own_ports.insert(port);
        }
        let view = RunView {
            token: keys::run_token(secret, &record.id),
            id: record.id.clone(),
            table: ArcSwap::from_pointee(RouteTable::build(Vec::new())),
            ca,
            unmatched: record.spec.unmatched,
            pid: record.process.pid,
            program: record.program.as_str().into(),
            ended: CancellationToken::new(),
            deadline: record.life.deadline(),
            plain: upstream.pool(Reach::Anywhere),
            clock: SystemTime::now,
            injected: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        };
        Arc::new(Run {
            view: Arc::new(view),
            names,
            secret: Arc::clone(secret),
            record: Mutex::new(record),
            had: Mutex::default(),
            outlives_its_first: AtomicBool::new(false),
            lacks_its_port: AtomicBool::new(false),
            projects,
        })
    }

    /// Lets the proxy serve a run and waits for its end. `first` is its first process, if that
    /// still lives.
    pub(super) fn enter_run(
        self: &Arc<Self>,
        run: &Arc<Run>,
        first: Option<Watched>,
        direct: Option<std::net::TcpListener>,
    ) {
        if first.is_none() {
            run.set_outlives_its_first();
        }
        self.runs
            .lock()
            .insert(run.view.id.clone(), Arc::clone(run));
        self.enter_view(&run.view);
        if let Some(listener) = &direct {
            self.supervisor.keep(&run.view.id, listener);
        }
        let direct = direct.and_then(|it| tokio::net::TcpListener::from_std(it).ok());
        run.lacks_its_port
            .store(direct.is_none(), Ordering::Relaxed);
        if let Some(listener) = direct {
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
                why = broker.until_over(&run, first) => broker.end_run(&run, why),
                () = run.view.ended.cancelled() => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Ends a run and the runs inside it: tokens dead, connections closed, files gone.
    pub(super) fn end_run(&self, run: &Run, why: RunEnding) {
        let id = &run.view.id;
        if self.runs.lock().remove(id).is_none() {
            return;
        }
        self.leave_view(run);
        self.supervisor.forget(id);
        run.view.ended.cancel();
        if let Err(error) = fs::remove_dir_all(record::dir(&self.runs_dir(), id)) {
            tracing::warn!(run = %id, ?error, "the run's folder stays behind");
        }
        self.say_ended(&run.record(), why);
        for inner in self.runs.all() {
            let inside = inner.record().outer.as_ref() == Some(id);
            if inside {
                self.end_run(&inner, RunEnding::OuterEnded);
            }
        }
    }

    /// Tells the audit log and whoever listens that a run is over, and why.
    pub(super) fn say_ended(&self, run: &RunRecord, why: RunEnding) {
        let mut ended = Record::new(audit::Event::RunEnd);
        ended.run = Some(run.id.clone());
        ended.pid = Some(run.process.pid);
        ended.program = Some(run.program.as_str().into());
        ended.code = match why {
            // what every run comes to
            RunEnding::ProcessEnded => None,
            RunEnding::Expired | RunEnding::Stopped | RunEnding::OuterEnded => Some(why.as_str()),
        };
        self.note(ended);
        tracing::info!(run = %run.id, reason = why.as_str(), "run ended");
        self.tell(Event::RunEnded {
            run: run.id.clone(),
            why,
        });
    }
}

fn unknown_run(id: &RunId) -> WireError {
    WireError::new(ErrorCode::UnknownRun, format!("no living run `{id}`"))
        .hint("`authsome runs` lists them")
}
