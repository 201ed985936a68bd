//! Rules and rate limits of a run's routes: those of `config.toml`, which act at once, and those
//! of the project files that the run was started with, which stay as they were.

use std::sync::Arc;

use authsome_proto::request::{ProjectFile, RunStart, Unmatched};
use authsome_proto::{ConnectionName, ErrorCode, ProviderName, WireError};

use super::Broker;
use super::run::Run;
use crate::policy::{Limiter, Project, ProjectError, Tables};
use crate::proxy::RouteCredential;
use crate::routing::{HostPattern, Route, RuleSet};
use crate::runs::RunRecord;

/// What holds for one connection in one run.
#[derive(Debug, Default)]
pub(super) struct Policies {
    /// All of them must agree.
    pub(super) rules: Vec<RuleSet>,
    /// In the order in which turns are taken: the run's own first, shared ones last.
    pub(super) limits: Vec<Arc<Limiter>>,
}

/// Reads the project file that came with a request.
pub(super) fn project_of(file: Option<&ProjectFile>) -> Result<Option<Arc<Project>>, WireError> {
    let Some(file) = file else { return Ok(None) };
    match Project::parse(file.clone()) {
        Ok(project) => Ok(Some(Arc::new(project))),
        Err(error) => {
            let wire = WireError::new(ErrorCode::BadConfig, error.to_string());
            Err(match error.hint() {
                Some(hint) => wire.hint(hint),
                None => wire,
            })
        }
    }
}

impl Broker {
    /// What holds for a connection in a run with these projects, outermost first.
    pub(super) fn policies(
        &self,
        projects: &[Arc<Project>],
        provider: &ProviderName,
        connection: &ConnectionName,
    ) -> Policies {
        let config = self.config.load();
        let mut policies = Policies {
            rules: config.connections.rules(provider, connection).collect(),
            limits: Vec::new(),
        };
        for project in projects {
            policies
                .rules
                .extend(project.tables.rules(provider, connection));
        }
        for project in projects.iter().rev() {
            let limits = project.limits.of(&project.tables, provider, connection);
            policies.limits.extend(limits);
        }
        let shared = self.limits.of(&config.connections, provider, connection);
        policies.limits.extend(shared);
        policies
    }

    /// Puts on every route what holds for its connection.
    pub(super) fn put_policies(&self, run: &Run, routes: &mut [Route<RouteCredential>]) {
        for route in routes {
            let policies = self.policies(&run.projects, &route.provider, &route.connection);
            route.rules = policies.rules.into();
            if let RouteCredential::Ready(_, limits) = &mut route.credential {
                *limits = policies.limits.into();
            }
        }
    }

    /// What of a request the project stands against: an error where a connection was asked for by
    /// name, else what a person should know, one sentence each.
    pub(super) fn check_project(
        &self,
        project: &Project,
        request: &RunStart,
    ) -> Result<Vec<String>, WireError> {
        let path = &project.file.path;
        let connections = request.connections.iter().map(|(provider, _)| provider);
        let variables = request.variables.iter().map(|(_, provider, _)| provider);
        if let Some(provider) = connections
            .chain(variables)
            .find(|provider| !project.allows(provider))
        {
            return Err(WireError::new(
                ErrorCode::BadRequest,
                format!("`{provider}` was asked for, and `only` in `{path}` leaves it out"),
            )
            .hint("change the file, or start the run in another folder"));
        }
        let left_out = request.only.iter().filter(|it| !project.allows(it));
        let mut warnings: Vec<String> = left_out
            .map(|provider| format!("`only` in `{path}` leaves `{provider}` out"))
            .collect();
        if project.denies_unmatched && request.unmatched == Some(Unmatched::Tunnel) {
            warnings.push(format!(
                "hosts without a route are denied: `unmatched` in `{path}` says so"
            ));
        }
        let unknown = project.only.iter().flatten().filter(|provider| {
            let catalogue = self.catalogue.load();
            catalogue.find(provider.as_str()).is_none()
        });
        warnings.extend(unknown.map(|provider| {
            format!("`only` in `{path}` names `{provider}`, which is no provider")
        }));
        warnings.extend(self.without_effect(&project.tables));
        Ok(warnings)
    }

    /// The projects of a stored run. Those that it has from the run around it are the same as
    /// there, so that both count together.
    pub(super) fn projects_of(
        &self,
        record: &RunRecord,
    ) -> Result<Vec<Arc<Project>>, ProjectError> {
        let outer = record.outer.as_ref().and_then(|id| self.runs.find(id));
        let inherited = outer.as_ref().map_or(&[][..], |run| &run.projects);
        let files = record.spec.projects.iter();
        files
            .map(|file| match inherited.iter().find(|it| it.file == *file) {
                Some(project) => Ok(Arc::clone(project)),
                None => Project::parse(file.clone()).map(Arc::new),
            })
            .collect()
    }

    /// Rules of `config.toml` that have no effect, one sentence each.
    pub fn policy_warnings(&self) -> Vec<String> {
        self.without_effect(&self.config.load().connections)
    }

    fn without_effect(&self, tables: &Tables) -> Vec<String> {
        let catalogue = self.catalogue.load();
        let hosts = |provider: &ProviderName| -> Option<Vec<HostPattern>> {
            let routes = &catalogue.find(provider.as_str())?.definition.routes;
            Some(routes.iter().flat_map(|it| it.hosts.clone()).collect())
        };
        tables.without_effect(hosts, |provider, connection| {
            self.connections.find(provider, connection).is_some()
        })
    }
}
