//! The routes of a run, as the proxy reads them.
//!
//! Rebuilt as a whole and swapped at once whenever connections, definitions or settings change;
//! requests under way finish on the table they began with.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use authsome_proto::{ConnectionName, ProviderName};

use super::Broker;
use super::credentials::Lookup;
use super::run::Run;
use super::upstream::Settings;
use crate::providers::{Definition, RouteRule, hosts_gained};
use crate::proxy::RouteCredential;
use crate::routing::{Choice, HostPattern, Route, RouteTable};
use crate::vault::VaultError;

/// How long to wait before credentials that the vault did not give are looked for again. Shorter
/// would only ask a locked keyring more often; longer would keep a living run waiting after it was
/// unlocked.
const RETRY: Duration = Duration::from_secs(2);

/// Looked-up credentials of one rebuild.
type Found = HashMap<(ProviderName, ConnectionName), Lookup>;

impl Broker {
    /// Publishes every living run's routes anew (B3).
    pub(super) async fn refresh_runs(&self) {
        for run in self.runs.all() {
            self.refresh_run(&run).await;
        }
    }

    /// Looks again, for as long as the daemon lives, for credentials that the vault could not give
    /// when routes were published.
    pub async fn keep_refreshing(&self) {
        loop {
            tokio::select! {
                () = self.incomplete.notified() => {}
                () = self.shutdown.cancelled() => return,
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = self.shutdown.cancelled() => return,
            }
            let _changing = self.changing.lock().await;
            self.refresh_runs().await;
        }
    }

    /// Publishes one run's routes anew. What the vault could not give is looked for again later.
    pub(super) async fn refresh_run(&self, run: &Run) {
        let found = self.look_up(run).await;
        if found
            .values()
            .any(|found| matches!(found, Lookup::Unavailable))
        {
            self.incomplete.notify_one();
        }
        match self.upstream().await {
            Ok(upstream) => {
                let table = RouteTable::build(self.routes_of(run, &found, upstream));
                run.view.table.store(Arc::new(table));
            }
            Err(error) => {
                // the settings were right when the run began; its routes stay as they are
                tracing::warn!(run = %run.view.id, error = %error.message, "routes not renewed");
                self.incomplete.notify_one();
            }
        }
    }

    async fn look_up(&self, run: &Run) -> Found {
        let mut found = Found::new();
        // a keyring that hangs is asked once, not once for every connection, while changes wait
        let mut hangs = false;
        let catalogue = self.catalogue.load_full();
        for entry in catalogue
            .entries()
            .filter(|entry| entry.definition.is_ready())
        {
            let provider = &entry.definition.name;
            let Some(connection) = self.granted_connection(run, provider) else {
                continue;
            };
            let vault = (!hangs).then_some(&self.vault);
            let lookup = match self.credentials.load(vault, provider, &connection).await {
                Ok(Some(loaded)) => Lookup::Found(loaded),
                Ok(None) => Lookup::Missing,
                Err(error) => {
                    hangs |= matches!(error, VaultError::TimedOut);
                    tracing::warn!(%provider, %connection, %error, "credential not available");
                    Lookup::Unavailable
                }
            };
            found.insert((provider.clone(), connection), lookup);
        }
        found
    }

    /// The connection of `provider` that `run` uses and that exists.
    pub(super) fn granted_connection(
        &self,
        run: &Run,
        provider: &ProviderName,
    ) -> Option<ConnectionName> {
        let default = self.connections.default_of(provider);
        let connection = run.record().spec.connection(provider, default.as_ref())?;
        self.connections
            .find(provider, &connection)
            .map(|record| record.connection)
    }

    fn routes_of(
        &self,
        run: &Run,
        found: &Found,
        upstream: &Settings,
    ) -> Vec<Route<RouteCredential>> {
        let catalogue = self.catalogue.load();
        let mut routes = Vec::new();
        for entry in catalogue
            .entries()
            .filter(|entry| entry.definition.is_ready())
        {
            let definition = &entry.definition;
            match self.granted_connection(run, &definition.name) {
                Some(connection) => {
                    run.remember(definition);
                    let key = (definition.name.clone(), connection);
                    let lookup = found.get(&key).unwrap_or(&Lookup::Unavailable);
                    for rule in &definition.routes {
                        add(&mut routes, run, &key, definition, rule, lookup, upstream);
                    }
                }
                // what was granted once and is gone now is refused, never passed
                None if run.had(&definition.name) => lost(&mut routes, run, definition),
                None => {}
            }
        }
        for definition in run.remembered() {
            if catalogue.find(definition.name.as_str()).is_none() {
                lost(&mut routes, run, &definition);
            }
        }
        routes
    }
}

/// Adds the routes of one rule: those whose hosts were known when the credential was stored, and
/// apart from them those that the definition gained since (threat L12).
fn add(
    routes: &mut Vec<Route<RouteCredential>>,
    run: &Run,
    key: &(ProviderName, ConnectionName),
    definition: &Definition,
    rule: &RouteRule,
    lookup: &Lookup,
    upstream: &Settings,
) {
    let (known, gained): (Vec<HostPattern>, Vec<HostPattern>) = match lookup {
        Lookup::Found(loaded) => {
            let gained = hosts_gained(definition, &loaded.hosts);
            run.covered(&rule.hosts)
                .partition(|host| !gained.contains(&rule.place(host)))
        }
        Lookup::Missing | Lookup::Unavailable => (run.covered(&rule.hosts).collect(), Vec::new()),
    };
    let credential = match lookup {
        Lookup::Found(loaded) => loaded
            .fill(key, &rule.slot, || upstream.pool())
            .map_or(RouteCredential::LoginNeeded, RouteCredential::Ready),
        Lookup::Missing => RouteCredential::LoginNeeded,
        Lookup::Unavailable => RouteCredential::VaultLocked,
    };
    let mut push = |hosts: Vec<HostPattern>, credential| {
        if !hosts.is_empty() {
            routes.push(Route {
                provider: key.0.clone(),
                connection: key.1.clone(),
                hosts,
                port: rule.port,
                path: rule.path.clone(),
                except: rule.except.clone(),
                methods: rule.methods.clone(),
                slot: rule.slot.clone(),
                credential,
                choice: Choice {
                    by_default: true,
                    placeholder: None,
                },
                rules: Arc::default(),
            });
        }
    };
    push(known, credential);
    push(gained, RouteCredential::HostUnconfirmed);
}

fn lost(routes: &mut Vec<Route<RouteCredential>>, run: &Run, definition: &Definition) {
    for rule in &definition.routes {
        routes.push(Route {
            provider: definition.name.clone(),
            connection: ConnectionName::default_name(),
            hosts: run.covered(&rule.hosts).collect(),
            port: rule.port,
            path: rule.path.clone(),
            except: rule.except.clone(),
            methods: rule.methods.clone(),
            slot: rule.slot.clone(),
            credential: RouteCredential::LoginNeeded,
            choice: Choice {
                by_default: true,
                placeholder: None,
            },
            rules: Arc::default(),
        });
    }
}
