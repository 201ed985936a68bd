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
use crate::connections::{ConnectionRecord, ConnectionState};
use crate::providers::{Definition, Entry, RouteRule, Source, hosts_gained};
use crate::proxy::{Reach, RouteCredential};
use crate::routing::{Choice, Endpoint, HostPattern, PathScope, Route, RouteTable};
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
                let table = table.guarding(self.endpoints(run));
                run.view.table.store(Arc::new(table));
            }
            Err(error) => {
                // the settings were right when the run began; its routes stay as they are
                tracing::warn!(run = %run.view.id, error = %error.message, "routes not renewed");
                self.incomplete.notify_one();
            }
        }
        self.renewals.look();
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
        self.granted_record(run, provider)
            .map(|record| record.connection)
    }

    fn granted_record(&self, run: &Run, provider: &ProviderName) -> Option<ConnectionRecord> {
        let default = self.connections.default_of(provider);
        let connection = run.record().spec.connection(provider, default.as_ref())?;
        self.connections.find(provider, &connection)
    }

    fn routes_of(
        &self,
        run: &Run,
        found: &Found,
        upstream: &Settings,
    ) -> Vec<Route<RouteCredential>> {
        let catalogue = self.catalogue.load();
        let mut routes = Vec::new();
        let mut without = Vec::new();
        for entry in catalogue
            .entries()
            .filter(|entry| entry.definition.is_ready())
        {
            let definition = &entry.definition;
            let mut grant = |record: ConnectionRecord, choice| {
                let base_url = record.base_url.as_deref();
                let Some(definition) = &definition.applied(base_url) else {
                    return;
                };
                run.remember(definition, base_url);
                let reach = match (&entry.source, base_url) {
                    (Source::Bundled, None) => Reach::Public,
                    // somebody named the server, wherever that is
                    (Source::Custom { .. }, _) | (_, Some(_)) => Reach::Anywhere,
                };
                let key = (definition.name.clone(), record.connection);
                let granted = Granted {
                    lookup: found.get(&key).unwrap_or(&Lookup::Unavailable),
                    key: &key,
                    definition,
                    region: record.region.as_deref(),
                    needs_login: record.state == ConnectionState::NeedsLogin,
                    reach,
                    choice,
                };
                for rule in &definition.routes {
                    granted.add(&mut routes, run, rule, upstream);
                }
            };
            let default = self.granted_record(run, &definition.name);
            let is_gone = default.is_none();
            let server = default.as_ref().and_then(|record| record.base_url.clone());
            if let Some(record) = default {
                grant(record, run.choice(definition, None));
            }
            let mut gone = Vec::new();
            for connection in run.added(&definition.name) {
                match self.connections.find(&definition.name, &connection) {
                    Some(record) => grant(record, run.choice(definition, Some(&connection))),
                    None => gone.push(connection),
                }
            }
            // what was granted once and is gone now is refused, never passed
            for connection in gone {
                lost(&mut routes, run, definition, Some(&connection));
            }
            for had in run.had_servers(&definition.name) {
                let applied = definition.applied(Some(&had));
                let is_granted = server.as_ref() == Some(&had) && applied.is_some();
                let known = applied.or_else(|| run.remembered_at(&definition.name, &had));
                if let (false, Some(definition)) = (is_granted, known) {
                    lost(&mut routes, run, &definition, None);
                }
            }
            if (is_gone || server.is_some()) && run.had(&definition.name) {
                lost(&mut routes, run, definition, None);
            } else if is_gone && run.allows(&definition.name) {
                without.push(definition);
            }
        }
        for definition in without {
            if is_left_to(definition, &routes) {
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
        self.put_policies(run, &mut routes);
        routes
    }

    /// Where no request of a run gets a credential (threat D14): the endpoints of every definition,
    /// connected or not, of every own server, and of definitions that are gone. One that is not
    /// compiled in guards its own hosts only: a server that describes itself must not switch off
    /// another provider by naming its addresses.
    fn endpoints(&self, run: &Run) -> Vec<Endpoint> {
        let catalogue = self.catalogue.load();
        let connections = self.connections.list();
        let servers = connections.iter().filter_map(|record| {
            let entry = catalogue.find(record.provider.as_str())?;
            entry.definition.applied(Some(record.base_url.as_deref()?))
        });
        let others = servers.chain(run.remembered()).flat_map(|definition| {
            let entry = catalogue.find(definition.name.as_str());
            guarded(&definition, entry, definition.endpoints())
        });
        catalogue
            .entries()
            .flat_map(|entry| {
                let endpoints = entry.endpoints().iter().cloned();
                guarded(&entry.definition, Some(entry), endpoints)
            })
            .chain(others)
            .collect()
    }
}

/// Those of a definition's endpoints that are guarded; `entry` is what the catalogue has of its name.
fn guarded(
    definition: &Definition,
    entry: Option<&Entry>,
    endpoints: impl IntoIterator<Item = Endpoint>,
) -> Vec<Endpoint> {
    let is_bundled = entry.is_some_and(|entry| entry.source == Source::Bundled);
    let endpoints = endpoints.into_iter();
    endpoints
        .filter(|endpoint| is_bundled || definition.has_host(&endpoint.authority.host))
        .collect()
}

/// A connection that a run is granted, while its routes are made.
struct Granted<'a> {
    key: &'a (ProviderName, ConnectionName),
    definition: &'a Definition,
    lookup: &'a Lookup,
    region: Option<&'a str>,
    /// Whether nothing but a login gives it another token.
    needs_login: bool,
    reach: Reach,
    choice: Choice,
}

impl Granted<'_> {
    /// Adds the routes of one rule: those whose hosts were known when the credential was stored;
    /// apart from them those that the definition gained since (threat L12), and those of regions
    /// that the connection is not for.
    fn add(
        &self,
        routes: &mut Vec<Route<RouteCredential>>,
        run: &Run,
        rule: &RouteRule,
        upstream: &Settings,
    ) {
        let (elsewhere, here): (Vec<HostPattern>, Vec<HostPattern>) = run
            .covered(&rule.hosts)
            .partition(|host| self.definition.is_elsewhere(self.region, host));
        let (known, gained) = match self.lookup {
            Lookup::Found(loaded) => {
                let gained = hosts_gained(self.definition, &loaded.hosts);
                here.into_iter()
                    .partition(|host| !gained.contains(&rule.place(host)))
            }
            Lookup::Missing | Lookup::Unavailable => (here, Vec::new()),
        };
        let credential = match self.lookup {
            // until then what is there is used
            Lookup::Found(loaded) if self.needs_login && loaded.is_over() => {
                RouteCredential::LoginNeeded
            }
            Lookup::Found(loaded) => loaded
                .fill(self.key, &rule.slot, self.reach, upstream)
                .map_or(RouteCredential::LoginNeeded, |credential| {
                    RouteCredential::Ready(credential, Arc::default())
                }),
            Lookup::Missing => RouteCredential::LoginNeeded,
            Lookup::Unavailable => RouteCredential::VaultLocked,
        };
        for (hosts, credential) in [
            (known, credential),
            (gained, RouteCredential::HostUnconfirmed),
            (elsewhere, RouteCredential::OtherRegion),
        ] {
            if !hosts.is_empty() {
                let key = self.key.clone();
                routes.push(route(rule, key, hosts, credential, &self.choice));
            }
        }
    }
}

fn route(
    rule: &RouteRule,
    (provider, connection): (ProviderName, ConnectionName),
    hosts: Vec<HostPattern>,
    credential: RouteCredential,
    choice: &Choice,
) -> Route<RouteCredential> {
    Route {
        provider,
        connection,
        hosts,
        port: rule.port,
        path: rule.path.clone(),
        except: rule.except.clone(),
        methods: rule.methods.clone(),
        slot: rule.slot.clone(),
        credential,
        choice: choice.clone(),
        rules: Arc::default(),
    }
}

/// Whether `definition` and one of `routes` divide the paths of a host among them, as two APIs with a
/// key each do: one leaves out what the other is for. Such a host is intercepted anyway, so the
/// refusal can name the login that is missing.
///
/// Not where some route is for the same paths already: a definition of the user's own has taken the
/// place, and beside it nothing is missing, nor may anything be ambiguous (threat D13).
fn is_left_to(definition: &Definition, routes: &[Route<RouteCredential>]) -> bool {
    let leaves = |except: &[PathScope], path| except.iter().any(|except| except.covers(path));
    let pairs = || {
        definition.routes.iter().flat_map(|rule| {
            let same_place = |route: &&Route<RouteCredential>| {
                route.port == rule.port && route.hosts.iter().any(|host| rule.hosts.contains(host))
            };
            routes
                .iter()
                .filter(same_place)
                .map(move |route| (rule, route))
        })
    };
    pairs().all(|(rule, route)| route.path != rule.path)
        && pairs().any(|(rule, route)| {
            leaves(&route.except, &rule.path) || leaves(&rule.except, &route.path)
        })
}

/// Routes that refuse: nothing may pass where the credential of this connection would go; of the
/// default one if none is named.
fn lost(
    routes: &mut Vec<Route<RouteCredential>>,
    run: &Run,
    definition: &Definition,
    connection: Option<&ConnectionName>,
) {
    let choice = run.choice(definition, connection);
    let name = connection
        .cloned()
        .unwrap_or_else(ConnectionName::default_name);
    for rule in &definition.routes {
        let key = (definition.name.clone(), name.clone());
        let hosts = run.covered(&rule.hosts).collect();
        routes.push(route(
            rule,
            key,
            hosts,
            RouteCredential::LoginNeeded,
            &choice,
        ));
    }
}
