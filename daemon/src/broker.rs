//! The daemon's state, and everything that changes it.
//!
//! One [`Broker`] per daemon. Requests from the control socket (`ipc/handlers`) call its methods;
//! the proxy reads only the snapshots that [`Broker::refresh_runs`] publishes, and asks over a channel
//! for tokens that are over (`renew`).
//!
//! Order of locks: `changing` (held over a whole change of connections or runs, across awaits)
//! before any of the short mutexes inside `connections`, `credentials`, `renewals`, `runs` and
//! `logins`, of which never two at a time.
//!
//! Invariants: B1, a change is audited durably before it happens; B2, the vault is changed before
//! `connections.json`, so a crash in between never leaves a secret that no record names, except a
//! new one that the next login overwrites; B3, after a change every living run's routes are
//! published anew before the caller is told that it is done.
//!
//! Not here: what a run may use (`runs/spec.rs`), where a request goes (`routing`).

mod absent;
mod bound;
mod credentials;
mod explain;
mod forget;
mod inside;
mod life;
mod login;
mod lookup;
mod policies;
mod reload;
mod renew;
mod resume;
mod revoke;
mod routes;
mod run;
mod spare;
mod start;
mod upstream;
mod variables;
mod webhooks;

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use authsome_proto::{ErrorCode, Event, Places, ProviderName, WireError};
use tokio::sync::{OnceCell, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::{self, Audit, AuditKey, Record};
use crate::config::Config;
use crate::connections::Connections;
use crate::errors::Explain;
use crate::login::Pages;
use crate::policy::Limits;
use crate::providers::{Catalogue, Entry};
use crate::proxy::{OwnPorts, ProxyState};
use crate::service::Supervisor;
use crate::sys::clock::Clock;
use crate::vault::Vault;

pub use absent::AbsentRun;
pub use inside::Inside;
pub use login::LoginState;
pub use run::Run;
pub use start::Asker;

/// How many events a slow listener may lag behind before it misses some.
const EVENTS_MAX: usize = 1024;

/// The daemon's state.
#[derive(Debug)]
pub struct Broker {
    /// Where this home's things are.
    pub places: Places,
    /// When the daemon started.
    pub started_at: jiff::Timestamp,
    /// The configuration in force.
    pub config: ArcSwap<Config>,
    /// The definitions in force.
    pub catalogue: ArcSwap<Catalogue>,
    /// What is connected; no secrets.
    pub connections: Connections,
    /// Where the secrets rest.
    pub vault: Vault,
    /// Asks the daemon to stop.
    pub shutdown: CancellationToken,
    /// What happens, for subscribers.
    pub events: broadcast::Sender<Event>,
    /// Things about the start that a person should know.
    pub start_warnings: Vec<String>,
    /// Who started us, and keeps the ports of runs for the next daemon.
    pub supervisor: Supervisor,

    audit: OnceCell<Audit>,
    proxy: Arc<ProxyState>,
    upstream: OnceCell<upstream::Settings>,
    proxy_port: OnceCell<u16>,
    own_ports: OwnPorts,
    proxy_tasks: TaskTracker,
    credentials: credentials::Credentials,
    renewals: renew::Renewals,
    runs: run::Runs,
    absent: absent::AbsentRuns,
    /// The limits of `config.toml`, shared by all runs.
    limits: Limits,
    logins: login::Logins,
    webhooks: webhooks::Webhooks,
    spare: Mutex<Option<spare::Spare>>,
    pages: ArcSwap<Pages>,
    watched: Mutex<reload::Watched>,
    changing: tokio::sync::Mutex<()>,
    /// Told when a run's routes lack what the vault could not give.
    incomplete: tokio::sync::Notify,
}

impl Broker {
    /// A daemon's state on what was loaded.
    pub fn new(
        places: Places,
        config: Config,
        connections: Connections,
        start_warnings: Vec<String>,
        supervisor: Supervisor,
        shutdown: CancellationToken,
    ) -> Arc<Self> {
        let clock = Clock::system();
        let broker = Self::by_clock(places, config, connections, start_warnings, shutdown, clock);
        Arc::new(Self {
            supervisor,
            ..broker
        })
    }

    /// The same with lifetimes counted by `clock`.
    fn by_clock(
        places: Places,
        config: Config,
        connections: Connections,
        start_warnings: Vec<String>,
        shutdown: CancellationToken,
        clock: Clock,
    ) -> Self {
        let renewals = renew::Renewals::new(clock);
        let vault = Vault::open(&places.home, &places.id(), config.store, config.passphrase);
        let catalogue = Catalogue::load(Some(&places.home.join("providers")));
        let pages = Pages::new(config.login_port);
        let watched = Mutex::new(reload::Watched::now(&places.home));
        let webhooks = webhooks::Webhooks::open(&places.home);
        let proxy = Arc::<ProxyState>::default();
        proxy.set_placeholder_in_body(config.placeholder_in_body);
        Self {
            places,
            started_at: jiff::Timestamp::now(),
            config: ArcSwap::from_pointee(config),
            catalogue: ArcSwap::from_pointee(catalogue),
            connections,
            vault,
            shutdown,
            events: broadcast::Sender::new(EVENTS_MAX),
            start_warnings,
            supervisor: Supervisor::default(),
            audit: OnceCell::new(),
            proxy,
            upstream: OnceCell::new(),
            proxy_port: OnceCell::new(),
            own_ports: OwnPorts::default(),
            proxy_tasks: TaskTracker::new(),
            credentials: credentials::Credentials::new(renewals.engine().clone()),
            renewals,
            runs: run::Runs::default(),
            absent: absent::AbsentRuns::default(),
            limits: Limits::default(),
            logins: login::Logins::default(),
            webhooks,
            spare: Mutex::new(None),
            pages: ArcSwap::from_pointee(pages),
            watched,
            changing: tokio::sync::Mutex::new(()),
            incomplete: tokio::sync::Notify::new(),
        }
    }

    /// Whether somebody relies on this daemon though no client is connected: a run, a login that
    /// waits, a webhook, a token that is being renewed.
    pub fn is_needed(&self) -> bool {
        self.runs.len() > 0
            || !self.absent_runs().is_empty()
            || self.logins.any()
            || self.webhook_count() > 0
            || self.renewals.any()
    }

    /// The audit log. Its key comes from the vault, so it opens when the vault does.
    pub async fn audit(&self) -> Result<&Audit, WireError> {
        self.audit
            .get_or_try_init(|| async {
                let secret = self
                    .vault
                    .install_secret()
                    .await
                    .map_err(|e| e.explain("open the vault"))?;
                let dir = self.places.home.join("audit");
                let audit =
                    Audit::open(&dir, &AuditKey::derive((*secret).as_ref())).map_err(|error| {
                        WireError::new(ErrorCode::AuditFailed, "cannot open the audit log")
                            .because(&error)
                            .hint(format!(
                                "check that `{}` is a folder of yours and not full",
                                dir.display()
                            ))
                    })?;
                if let Err(error) = audit.try_record(Record::new(audit::Event::Start)) {
                    tracing::warn!(?error, "not in the audit log");
                }
                // set once: this is the only place that opens it
                drop(self.proxy.audit.set(audit.clone()));
                Ok(audit)
            })
            .await
    }

    /// The definition called `provider`, or an error that names what was probably meant.
    pub fn definition(&self, provider: &ProviderName) -> Result<Entry, WireError> {
        let catalogue = self.catalogue.load();
        if let Some(entry) = catalogue.find(provider.as_str()) {
            return Ok(entry.clone());
        }
        let error = WireError::new(
            ErrorCode::UnknownProvider,
            format!("no provider named `{provider}`"),
        );
        let all = "`authsome list --all` lists them all";
        Err(match catalogue.suggest(provider.as_str()) {
            Some(meant) => error.hint(format!("did you mean `{meant}`? {all}")),
            None => error.hint(all),
        })
    }

    /// Notes when credentials were last used: for `list`, and for the disk once a minute.
    pub fn note_uses(&self) {
        for ((provider, connection), at) in self.credentials.take_uses() {
            if let Ok(at) = jiff::Timestamp::from_second(at) {
                self.connections.touch(&provider, &connection, at);
            }
        }
    }

    /// Writes times of last use, at most once a minute.
    pub fn flush_uses(&self) {
        self.note_uses();
        let flushed =
            tokio::task::block_in_place(|| self.connections.flush_if_due(jiff::Timestamp::now()));
        if let Err(error) = flushed {
            tracing::warn!(%error, "last uses were not written");
        }
    }

    /// Writes what is still in memory: last uses, audit lines.
    pub async fn flush(&self) {
        self.note_uses();
        if let Err(error) = self.connections.flush() {
            tracing::warn!(%error, "last uses were not written");
        }
        self.note(Record::new(audit::Event::Stop));
        if let Some(audit) = self.audit.get()
            && let Err(error) = audit.flush().await
        {
            tracing::warn!(%error, "audit lines were not written");
        }
    }

    /// Waits for what is under way in the proxy, which ends by itself once the daemon is to stop, and
    /// for renewals whose answer may still come: one that is lost may cost a login (threat O7).
    pub async fn drain_proxy(&self) {
        self.renewals.drain().await;
        self.proxy_tasks.close();
        self.proxy_tasks.wait().await;
    }

    fn tell(&self, event: Event) {
        // nobody listening is fine
        drop(self.events.send(event));
    }
}

/// The time as it is stored and sent: RFC 3339 in UTC, whole seconds.
pub fn now() -> String {
    jiff::Timestamp::now()
        .round(jiff::Unit::Second)
        .map_or_else(|_| String::new(), |t| t.to_string())
}

/// A point in time as it is stored and sent.
pub fn time(at: std::time::SystemTime) -> String {
    jiff::Timestamp::try_from(at).map_or_else(|_| String::new(), |t| t.to_string())
}

/// 96 random bits as letters and digits: it is the user part of a URL and a folder's name.
fn random_id<T: std::str::FromStr>() -> T
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
