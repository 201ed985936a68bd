//! Starting a run.
//!
//! 1. The peer's process is taken hold of by pidfd before anything else; where the run is about a
//!    process above it, that one too (`bound`), and if it has such a run already, this is it.
//! 2. If it belongs to a living run, the new run is narrowed to that one, and ends with it; then to
//!    the project file that came with the request.
//! 3. Credentials are looked up, CA and token derived, ports bound, record and files written.
//! 4. The run is entered for the proxy, its process is watched, and the client gets the
//!    environment to exec with.
//!
//! Not here: what a run is while it lives, and its end (`run`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use authsome_proto::request::{RunLife, RunStart};
use authsome_proto::{ErrorCode, RunEnding, WireError, response};

use super::run::Run;
use super::{Broker, Inside, bound, now, policies};
use crate::audit::{self, Record};
use crate::errors::{Explain, storage};
use crate::files;
use crate::routing::HostPattern;
use crate::runs::environment::{self, Inputs};
use crate::runs::record::RunRecord;
use crate::runs::spec::{Asked, RunSpec};
use crate::runs::watch::Watched;
use crate::runs::{Life, life, port, record, tree};
use crate::sys::pidfd::Identity;

/// How long the files of a run may take. They are small; a file system that hangs must not hold up
/// every other change.
const PREPARE_MAX: Duration = Duration::from_secs(10);

/// Most runs inside of each other: scripts that call each other are a handful deep. Each holds the
/// project files of all around it, and they end one inside of the other, so a program that nests
/// without end would take the daemon's memory and its stack.
const DEPTH_MAX: usize = 16;

/// What the control socket knows of the process that asks.
#[derive(Debug)]
pub struct Asker {
    /// Its pid.
    pub pid: u32,
    /// A handle on it.
    pub process: OwnedFd,
}

impl Broker {
    /// Starts a run for the process that asks.
    pub async fn start_run(
        self: &Arc<Self>,
        asker: Asker,
        mut request: RunStart,
    ) -> Result<response::RunStarted, WireError> {
        let _changing = self.changing.lock().await;
        let machinery = request
            .process
            .and_then(|pid| bound::machinery(asker.pid, pid));
        let outer = match self.inside_by(asker.pid, machinery) {
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
        let target = request
            .process
            .map(|pid| self.target(&asker, pid, outer.as_ref(), request.life))
            .transpose()?;
        let mut spec = self.spec_of(&request, outer.as_deref())?;
        let mut projects = outer
            .as_ref()
            .map_or_else(Vec::new, |run| run.projects.clone());
        let mut warnings = Vec::new();
        if let Some(project) = policies::project_of(request.project.as_ref())? {
            warnings = self.check_project(&project, &request)?;
            request.life = project.shorten(request.life);
            spec = spec.confine(&project);
            // the run around this one may have brought it already
            if spec.projects.len() > projects.len() {
                projects.push(project);
            }
        }
        if let Some(target) = &target {
            if let Some(run) = self.bound_run(target, outer.as_ref(), &spec, request.life) {
                return self.again(&run, &request, warnings).await;
            }
            self.check_room(target)?;
        }
        if outer.as_ref().is_some_and(|it| self.depth(it) >= DEPTH_MAX) {
            return Err(WireError::new(
                ErrorCode::RefusedInsideRun,
                format!("{DEPTH_MAX} runs are inside of each other already"),
            )
            .hint("start the command from outside of the innermost run"));
        }
        let given = life_of(request.life, outer.as_deref())?;
        warnings.extend(given.warnings);
        let bound = target.as_ref().map(|_| request.life);
        let (process, handle) = match target {
            Some(target) => (target.identity, target.process),
            None => (
                Identity::of(asker.pid)
                    .map_err(|error| storage("tell which process asks for the run", &error))?,
                asker.process,
            ),
        };
        let pid = process.pid;
        let watched = Watched::new(handle)
            .map_err(|error| storage("watch the process that the run is about", &error))?;
        let secret = self
            .vault
            .install_secret()
            .await
            .map_err(|error| error.explain("open the vault"))?;
        self.check_credentials(&spec).await?;
        let port = self.proxy().await?;

        let names = self.names_for(&spec);
        let (id, ca) = self
            .next_identity(&secret, &names)
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
            bound,
            started_at: now(),
            life: given.life,
            spec,
            names: names.iter().map(ToString::to_string).collect(),
            had: BTreeSet::new(),
            had_servers: BTreeSet::new(),
            proxy_port: port,
            direct_port,
        };
        let run = self.new_run(
            record,
            names.clone(),
            ca,
            &secret,
            projects,
            self.upstream().await?,
        );
        self.refresh_run(&run).await;
        let mut started = Record::new(audit::Event::RunStart);
        started.run = Some(id.clone());
        started.pid = Some(pid);
        started.program = Some(run.view.program.clone());
        started.detail = detail_of(given.life);
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

        self.enter_run(&run, Some(watched), Some(direct));
        self.make_spare(secret, names);
        // the end of the outer run may have passed by before this one could be found
        if outer.is_some_and(|outer| outer.view.ended.is_cancelled()) {
            self.end_run(&run, RunEnding::OuterEnded);
            return Err(WireError::new(
                ErrorCode::RefusedInsideRun,
                "the run around this one ended",
            ));
        }
        let granted = self.granted(&run);
        warnings.extend(environment.warnings);
        Ok(response::RunStarted {
            run: id,
            set: environment.set,
            remove: environment.remove,
            warnings,
            granted,
        })
    }

    /// What a run may use that is asked for in this way.
    pub(super) fn spec_of(
        &self,
        request: &RunStart,
        outer: Option<&Run>,
    ) -> Result<RunSpec, WireError> {
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
        let only = (!request.only.is_empty()).then(|| request.only.iter().cloned().collect());
        let asked = Asked {
            replaced: request.connections.iter().cloned().collect(),
            variables: self.variables_asked(request, only.as_ref())?,
            only,
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
        let spec = match outer {
            None => RunSpec::outermost(asked, self.config.load().unmatched),
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
                    })?
            }
        };
        self.check_variables(request, &spec)?;
        Ok(spec)
    }

    /// A run whose credentials cannot be had now must fail before its command starts.
    async fn check_credentials(&self, spec: &RunSpec) -> Result<(), WireError> {
        for record in self.connections.list() {
            let default = self.connections.default_of(&record.provider);
            if spec.grants(&record.provider, &record.connection, default.as_ref()) {
                self.credentials
                    .load(Some(&self.vault), &record.provider, &record.connection)
                    .await
                    .map_err(|e| {
                        e.explain(&format!("read `{}` from the vault", record.provider))
                    })?;
            }
        }
        Ok(())
    }

    /// All host patterns that a run may ever need: those of every definition there is, and the own
    /// servers of the connections there are now.
    pub(super) fn names_for(&self, spec: &RunSpec) -> Vec<HostPattern> {
        let catalogue = self.catalogue.load();
        let allowed = catalogue
            .entries()
            .map(|entry| &entry.definition)
            .filter(|it| it.is_ready() && spec.allows(&it.name));
        let connections = self.connections.list();
        let servers = connections.iter().filter_map(|record| {
            let base_url = record.base_url.as_deref()?;
            let entry = catalogue.find(record.provider.as_str())?;
            let allowed = spec.allows(&record.provider);
            allowed.then(|| entry.definition.applied(Some(base_url)))?
        });
        let mut names: Vec<HostPattern> = allowed
            .map(Arc::clone)
            .chain(servers)
            .flat_map(|definition| {
                let rules = definition.routes.iter();
                rules
                    .flat_map(|rule| rule.hosts.clone())
                    .collect::<Vec<_>>()
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
        self.environment(run, request).await
    }

    /// Says what a process of the run must be started with, and writes the files for it.
    pub(super) async fn environment(
        self: &Arc<Self>,
        run: &Arc<Run>,
        request: &RunStart,
    ) -> Result<environment::Environment, WireError> {
        let dir = record::dir(&self.runs_dir(), &run.view.id);
        let shared = self.places.runtime.join("shared");
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
}

/// How long the run may live that is asked for inside of `outer`.
fn life_of(asked: RunLife, outer: Option<&Run>) -> Result<life::Given, WireError> {
    if !tree::SUPPORTED && matches!(asked, RunLife::TreeAtMost(_)) {
        return Err(WireError::new(
            ErrorCode::BadRequest,
            "a run cannot outlive its first process on this system",
        )
        .hint("leave out `--keep`, and start a command that stays until the work is done"));
    }
    let outer = outer.map(|run| run.record().life);
    Life::of(asked, SystemTime::now(), outer).map_err(|error| {
        WireError::new(ErrorCode::BadRequest, "this is no time that a run can have").because(&error)
    })
}

/// What the audit log says of a life that is not the usual one.
fn detail_of(life: Life) -> Option<Box<str>> {
    let until = life.deadline().map(super::time)?;
    let end = if life.keeps { "last" } else { "first" };
    Some(format!("until its {end} process ends, or {until}").into())
}
