//! Telling what there is: status, connections, definitions, runs, the caller itself.

use std::sync::Arc;

use authsome_proto::request::OAuthFlow;
use authsome_proto::response::{
    Connection, ConnectionState, Provider, Providers, Run, Source, Status, Vault, WhoAmI,
};

use crate::broker::Broker;
use crate::connections::ConnectionRecord;
use crate::ipc::peer::Peer;
use crate::providers::{self, hosts_gained};
use crate::runs::RunRecord;
use crate::runs::life::LIFE_MAX;
use crate::vault::VaultStatus;

pub(super) async fn status(broker: &Broker) -> Status {
    let mut warnings = broker.start_warnings.clone();
    warnings.extend(broker.config_problem());
    warnings.extend(broker.policy_warnings());
    warnings.extend(broker.webhook_problems());
    let problems = broker.catalogue.load().problems().len();
    if problems > 0 {
        warnings.push(format!(
            "definition files with problems: {problems}; `authsome doctor` shows them"
        ));
    }
    Status {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        started_at: broker.started_at.to_string(),
        home: broker.places.home.display().to_string(),
        socket: broker.places.socket().display().to_string(),
        proxy_port: broker.proxy_port(),
        vault: vault(&broker.vault.status().await),
        connections: u32::try_from(broker.connections.list().len()).unwrap_or(u32::MAX),
        runs: broker.run_count(),
        warnings,
        manager: broker.supervisor.manager().map(|it| it.as_str().into()),
    }
}

fn vault(status: &VaultStatus) -> Vault {
    Vault {
        store: status.store_name(),
        chosen: status.recorded.is_some(),
        problem: status.problem.as_ref().map(ToString::to_string),
        hint: status
            .problem
            .as_ref()
            .and_then(crate::vault::VaultError::hint),
    }
}

pub(super) fn connections(broker: &Broker) -> Vec<Connection> {
    broker.note_uses();
    broker
        .connections
        .list()
        .iter()
        .map(|record| connection(broker, record))
        .collect()
}

pub(super) fn connection(broker: &Broker, record: &ConnectionRecord) -> Connection {
    let catalogue = broker.catalogue.load();
    let entry = catalogue.find(record.provider.as_str());
    let definition = entry.map(|entry| Arc::clone(&entry.definition));
    let applied = definition
        .as_ref()
        .and_then(|it| it.applied(record.base_url.as_deref()));
    let is_default =
        broker.connections.default_of(&record.provider).as_ref() == Some(&record.connection);
    let grant = record.grant.as_ref();
    Connection {
        provider: record.provider.clone(),
        display_name: definition
            .as_ref()
            .map_or_else(|| record.provider.to_string(), |it| it.display_name.clone()),
        connection: record.connection.clone(),
        is_default,
        auth: definition
            .as_ref()
            .map_or("api_key", |it| it.auth_name())
            .to_owned(),
        state: state(broker.connection_state(record)),
        source: entry.map(|entry| source(&entry.source)),
        created_at: record.created_at.clone(),
        rotated_at: record.rotated_at.clone(),
        last_used: record.last_used.clone(),
        expires_at: grant.and_then(|grant| grant.expires_at.clone()),
        hosts: applied.as_ref().map_or_else(
            || record.hosts.clone(),
            |it| it.hosts_in(record.region.as_deref()),
        ),
        unconfirmed_hosts: applied
            .as_ref()
            .map_or_else(Vec::new, |it| hosts_gained(it, &record.hosts)),
        variables: definition
            .as_ref()
            .map_or_else(Vec::new, |it| it.variables()),
        slot: definition
            .as_ref()
            .and_then(|it| it.routes.first().map(|rule| rule.slot.to_string()))
            .unwrap_or_default(),
        region: record.region.clone(),
        renews: grant.is_some_and(|grant| grant.renews),
        scopes: grant.map_or_else(Vec::new, |grant| grant.scopes.clone()),
        flow: grant.and_then(|grant| grant.flow).map(OAuthFlow::from),
        base_url: record.base_url.clone(),
    }
}

fn state(state: crate::connections::ConnectionState) -> ConnectionState {
    use crate::connections::ConnectionState as Stored;
    match state {
        Stored::Connected => ConnectionState::Connected,
        Stored::Expiring => ConnectionState::Expiring,
        Stored::Expired => ConnectionState::Expired,
        Stored::NeedsLogin => ConnectionState::NeedsLogin,
        Stored::Revoked => ConnectionState::Revoked,
    }
}

fn source(source: &providers::Source) -> Source {
    match source {
        providers::Source::Bundled => Source::Bundled,
        providers::Source::Custom { .. } => Source::Custom,
    }
}

pub(super) fn providers(broker: &Broker) -> Providers {
    let catalogue = broker.catalogue.load();
    let connections = broker.connections.list();
    let providers = catalogue
        .entries()
        .map(|entry| {
            let definition = &entry.definition;
            let count = connections
                .iter()
                .filter(|it| it.provider == definition.name)
                .count();
            Provider {
                provider: definition.name.clone(),
                display_name: definition.display_name.clone(),
                auth: definition.auth_name().to_owned(),
                source: source(&entry.source),
                not_yet: definition.not_yet().map(str::to_owned),
                hosts: definition.hosts(),
                variables: definition.variables(),
                key_pattern: definition
                    .key_pattern
                    .as_ref()
                    .map(|it| it.source().to_owned()),
                key_hint: definition.key_hint.clone(),
                key_urls: definition.key_urls.clone(),
                connections: u32::try_from(count).unwrap_or(u32::MAX),
                regions: definition
                    .regions
                    .iter()
                    .map(|(name, _)| name.clone())
                    .collect(),
                flows: definition.flows(),
                redirect_uri: definition
                    .has_redirect()
                    .then(|| broker.redirect_uri(&definition.name)),
            }
        })
        .collect();
    Providers {
        providers,
        problems: catalogue
            .problems()
            .iter()
            .map(ToString::to_string)
            .collect(),
    }
}

pub(super) fn runs(broker: &Broker) -> Vec<Run> {
    // asked before the living ones: who is taken up in between is in both, and never in none
    let absent = broker.absent_runs();
    let mut runs: Vec<Run> = broker
        .living_runs()
        .iter()
        .map(|run| Run {
            valid_until: crate::broker::time(run.view.ca.not_after()),
            granted: broker.granted(run),
            injected: run.view.injected.load(std::sync::atomic::Ordering::Relaxed),
            refused: run.view.refused.load(std::sync::atomic::Ordering::Relaxed),
            problem: run.problem(),
            ..stored(run.record().clone())
        })
        .collect();
    for run in absent {
        if runs.iter().all(|living| living.run != run.record.id) {
            runs.push(Run {
                problem: Some(run.problem),
                ..stored(run.record)
            });
        }
    }
    runs.sort_by(|a, b| a.started_at.cmp(&b.started_at));
    runs
}

/// When the certificates of a run that began at `started_at` end to be valid.
fn a_life_after(started_at: &str) -> String {
    let life = std::time::Duration::from_secs(LIFE_MAX);
    started_at
        .parse::<jiff::Timestamp>()
        .ok()
        .and_then(|began| began.checked_add(life).ok())
        .map_or_else(String::new, |end| end.to_string())
}

/// A run as far as its record tells.
fn stored(record: RunRecord) -> Run {
    Run {
        run: record.id,
        pid: record.process.pid,
        program: record.program,
        valid_until: a_life_after(&record.started_at),
        started_at: record.started_at,
        granted: Vec::new(),
        unmatched: record.spec.unmatched,
        injected: 0,
        refused: 0,
        problem: None,
        expires_at: record.life.deadline().map(crate::broker::time),
        keeps: record.life.keeps,
    }
}

pub(super) async fn who_am_i(broker: &Broker, peer: &Peer) -> WhoAmI {
    let run = broker.run_of(peer.pid);
    WhoAmI {
        uid: peer.uid,
        pid: peer.pid,
        home: broker.places.home.display().to_string(),
        store: broker.vault.status().await.store_name(),
        granted: run
            .as_ref()
            .map_or_else(Vec::new, |run| broker.granted(run)),
        run: run.map(|run| run.view.id.clone()),
    }
}
