//! The routes of a run, as the proxy reads them.
//!
//! Rebuilt as a whole and swapped at once whenever connections, definitions or settings change;
//! requests under way finish on the table they began with.

use std::collections::{BTreeSet, HashMap};
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
            for connection in self.granted_connections(run, provider) {
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
        }
        found
    }

    /// All connections of `provider` that `run` uses and that exist: by default, and for requests
    /// with their placeholder.
    pub(super) fn granted_connections(
        &self,
        run: &Run,
        provider: &ProviderName,
    ) -> BTreeSet<ConnectionName> {
        let added = run.added(provider).into_iter();
        let added = added.filter(|name| self.connections.find(provider, name).is_some());
        added
            .chain(self.granted_connection(run, provider))
            .collect()
    }

    /// The connection of `provider` that `run` uses by default and that exists.
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
            let mut grant = |connection, choice| {
                run.remember(definition);
                let key = (definition.name.clone(), connection);
                let lookup = found.get(&key).unwrap_or(&Lookup::Unavailable);
                for rule in &definition.routes {
                    add(
                        &mut routes,
                        run,
                        &key,
                        definition,
                        rule,
                        &choice,
                        lookup,
                        upstream,
                    );
                }
            };
            let default = self.granted_connection(run, &definition.name);
            let is_gone = default.is_none();
            if let Some(connection) = default {
                grant(connection, run.choice(definition, None));
            }
            let (there, gone): (Vec<_>, Vec<_>) = run
                .added(&definition.name)
                .into_iter()
                .partition(|name| self.connections.find(&definition.name, name).is_some());
            for connection in there {
                let choice = run.choice(definition, Some(&connection));
                grant(connection, choice);
            }
            // what was granted once and is gone now is refused, never passed
            for connection in gone {
                lost(&mut routes, run, definition, Some(&connection));
            }
            if is_gone && run.had(&definition.name) {
                lost(&mut routes, run, definition, None);
            }
        }
        for definition in run.remembered() {
            if catalogue.find(definition.name.as_str()).is_none() {
                lost(&mut routes, run, &definition, None);
                for connection in run.added(&definition.name) {
                    lost(&mut routes, run, &definition, Some(&connection));
                }
            }
        }
        routes
    }
}

/// Adds the routes of one rule: those whose hosts were known when the credential was stored, and
/// apart from them those that the definition gained since (threat L12).
#[expect(
    clippy::too_many_arguments,
    reason = "all that a route is made of; a struct for one caller would only name them again"
)]
fn add(
    routes: &mut Vec<Route<RouteCredential>>,
    run: &Run,
    key: &(ProviderName, ConnectionName),
    definition: &Definition,
    rule: &RouteRule,
    choice: &Choice,
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
                choice: choice.clone(),
                rules: Arc::default(),
            });
        }
    };
    push(known, credential);
    push(gained, RouteCredential::HostUnconfirmed);
}

/// Adds the routes of a connection that is gone: the default one, or one by name.
fn lost(
    routes: &mut Vec<Route<RouteCredential>>,
    run: &Run,
    definition: &Definition,
    connection: Option<&ConnectionName>,
) {
    let choice = run.choice(definition, connection);
    for rule in &definition.routes {
        routes.push(Route {
            provider: definition.name.clone(),
            connection: connection
                .cloned()
                .unwrap_or_else(ConnectionName::default_name),
            hosts: run.covered(&rule.hosts).collect(),
            port: rule.port,
            path: rule.path.clone(),
            except: rule.except.clone(),
            methods: rule.methods.clone(),
            slot: rule.slot.clone(),
            credential: RouteCredential::LoginNeeded,
            choice: choice.clone(),
            rules: Arc::default(),
        });
    }
}
