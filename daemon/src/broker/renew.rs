//! Access tokens that renew themselves.
//!
//! 1. Somebody needs another token: a request whose token is over or was refused asks over a channel
//!    (`proxy/renewal.rs`), `reveal` and `export` ask the same way, and [`Broker::renew_in_time`]
//!    looks ahead for the connections that living runs are granted.
//! 2. `board` decides with what is known of the connection ([`line`]): look again, since there is a
//!    newer token; not now, since it failed a moment ago; wait with those who wait already; or begin.
//! 3. A flight ([`flight`]) is one renewal of one connection, in a task of its own, so that it goes on
//!    when whoever asked has left. It exchanges the token, stores what came, publishes it.
//! 4. It lands: `land` writes down how it went and tells all who wait.
//!
//! Invariants:
//! - RN1 One flight per connection, whoever asks and however many (threat O6). Whoever comes late
//!   finds a newer version of the token and looks again.
//! - RN2 A refresh token is sent only after the vault holds a note of that, and what comes for it is
//!   used only after the vault holds it (threat O7).
//! - RN3 A late result for a connection that was replaced or removed in the meantime is dropped.
//! - RN4 Nothing is deleted because a server refuses: the connection is marked, and the token that
//!   is there is used until it is over.
//! - RN5 A server that fails is asked less and less often, and so is one whose tokens an API refuses.
//!
//! On failure: requests get `renewal_failed` with `Retry-After` once the old token is over, and
//! `login_needed` where only a person can help.
//! Not here: how long a token lives (`oauth/life.rs`), what is sent (`oauth/token.rs`).

mod flight;
mod line;
mod state;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use authsome_proto::{ConnectionName, ErrorCode, ProviderName, WireError};
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::task::TaskTracker;

use super::Broker;
use super::credentials::{Key, Loaded, Token};
use crate::audit::{self, Record};
use crate::connections::{ConnectionRecord, ConnectionState, GrantRecord};
use crate::errors::Explain;
use crate::oauth::life::Chance;
use crate::proxy::{Ask, Engine, NotRenewed, Why};
use crate::sys::clock::Clock;
use crate::vault::{Renewal, StoredGrant};

use flight::{Flight, Landing};
use line::Line;

/// Questions that may wait for an answer. A request that finds no room waits for some.
const ASKS_MAX: usize = 1024;

/// Longest sleep before it is looked again what is due: timers stand still while the machine sleeps.
/// Longer delays renewals after that; shorter wakes the machine more often.
const STEP: Duration = Duration::from_secs(60);

/// Shortest time between two looks at what is due.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Where a flight is.
#[derive(Debug, Clone)]
enum Stage {
    Flying,
    /// The new token is there and cannot be stored; it is tried again.
    Stuck(NotRenewed),
    /// `Ok`: look again.
    Landed(Result<(), NotRenewed>),
}

/// What becomes of somebody who needs another token.
enum Boarding {
    /// There is another one, or none at all.
    Look,
    Refused(NotRenewed),
    Aboard(watch::Receiver<Stage>),
}

/// What the engine knows.
#[derive(Debug)]
pub(super) struct Renewals {
    engine: Engine,
    /// Until the engine runs.
    asks: Mutex<Option<mpsc::Receiver<Ask>>>,
    /// Guards what is known of connections; never held across an await.
    lines: Mutex<HashMap<Key, Line>>,
    /// Told when something may be due at another time than before.
    changed: Notify,
    flights: TaskTracker,
}

impl Renewals {
    /// An engine that stands still, counting lifetimes by `clock`.
    pub(super) fn new(clock: Clock) -> Self {
        let (asks, heard) = mpsc::channel(ASKS_MAX);
        Self {
            engine: Engine::new(asks, clock),
            asks: Mutex::new(Some(heard)),
            lines: Mutex::default(),
            changed: Notify::new(),
            flights: TaskTracker::new(),
        }
    }

    /// How it is asked.
    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Has it look again at what is due.
    pub(super) fn look(&self) {
        self.changed.notify_one();
    }

    /// Whether one has begun that is not over.
    pub(super) fn any(&self) -> bool {
        !self.flights.is_empty()
    }

    /// Returns when what has begun is over.
    pub(super) async fn drain(&self) {
        self.flights.close();
        self.flights.wait().await;
    }

    fn clock(&self) -> &Clock {
        self.engine.clock()
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<Key, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Broker {
    /// Renews access tokens for as long as the daemon lives.
    pub async fn keep_renewing(self: &Arc<Self>) {
        let asks = self
            .renewals
            .asks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(asks) = asks {
            tokio::join!(self.answer_asks(asks), self.renew_in_time());
        }
    }

    /// Makes sure that the access token of a connection is not over, if that can be had. Of a
    /// connection without one nothing is done.
    pub async fn fresh_token(
        &self,
        provider: &ProviderName,
        connection: &ConnectionName,
    ) -> Result<(), WireError> {
        let doing = || format!("read `{provider}` from the vault");
        let load = || async {
            self.credentials
                .load(Some(&self.vault), provider, connection)
                .await
                .map_err(|error| error.explain(&doing()))
        };
        let dead = |loaded: &Loaded| {
            let now = self.renewals.clock().boot();
            loaded.token.as_ref().is_some_and(|it| it.is_dead(now))
        };
        let Some(loaded) = load().await?.filter(|it| dead(it)) else {
            return Ok(());
        };
        let engine = self.renewals.engine();
        let asked = engine
            .ask((provider, connection), loaded.version, Why::Dead)
            .await;
        if let Err(not) = asked {
            let mut error = WireError::new(
                ErrorCode::RenewalFailed,
                format!(
                    "the access token of `{provider}` ({connection}) is over and cannot be renewed now"
                ),
            );
            error.causes = vec![not.reason.to_string()];
            let seconds = not.retry_after.as_secs().max(1);
            return Err(error.hint(format!("try again in {seconds} seconds")));
        }
        if load().await?.is_none_or(|it| !dead(&it)) {
            return Ok(());
        }
        let mut error = WireError::new(
            ErrorCode::LoginNeeded,
            format!("the access token of `{provider}` ({connection}) is over"),
        );
        error
            .causes
            .extend(self.renewal_problem(provider, connection));
        Err(error.hint(format!(
            "log in again with `authsome login {provider} --connection {connection} --force`"
        )))
    }

    /// What kept the last renewal of a connection from working, in words; nothing after one that did.
    pub fn renewal_problem(
        &self,
        provider: &ProviderName,
        connection: &ConnectionName,
    ) -> Option<String> {
        let key = (provider.clone(), connection.clone());
        let lines = self.renewals.lines();
        lines.get(&key)?.problem().map(str::to_owned)
    }

    /// The state of a connection at this moment, which the stored one does not say: tokens end while
    /// nobody writes.
    pub fn connection_state(&self, record: &ConnectionRecord) -> ConnectionState {
        let key = (record.provider.clone(), record.connection.clone());
        let is_failing = self
            .renewals
            .lines()
            .get(&key)
            .is_some_and(Line::is_failing);
        state::of(record, Timestamp::now(), is_failing)
    }

    /// Returns once no renewal of this connection is under way, or its new token is here and cannot be
    /// stored: before its tokens are given back, so that the ones that are on their way are, too. What
    /// cannot be stored is given back by its own flight, when it finds the connection gone.
    pub async fn renewal_landed(&self, provider: &ProviderName, connection: &ConnectionName) {
        let key = (provider.clone(), connection.clone());
        let flight = self.renewals.lines().get(&key).and_then(Line::in_flight);
        if let Some(flight) = flight {
            // how it ends does not matter here
            drop(landed(flight).await);
        }
    }

    async fn answer_asks(self: &Arc<Self>, mut asks: mpsc::Receiver<Ask>) {
        loop {
            let ask = tokio::select! {
                ask = asks.recv() => ask,
                () = self.shutdown.cancelled() => None,
            };
            let Some(ask) = ask else { return };
            let key = (ask.provider, ask.connection);
            // whoever asked may be gone; what it began goes on
            match self.board(&key, ask.version, ask.why) {
                Boarding::Look => {
                    let broker = Arc::clone(self);
                    tokio::spawn(async move {
                        // whoever has put another version in the place of this one holds this until
                        // the routes of living runs have it
                        drop(broker.changing.lock().await);
                        drop(ask.answer.send(Ok(())));
                    });
                }
                Boarding::Refused(not) => drop(ask.answer.send(Err(not))),
                Boarding::Aboard(flight) => {
                    tokio::spawn(async move { drop(ask.answer.send(landed(flight).await)) });
                }
            }
        }
    }

    /// Begins what is due, for connections that living runs are granted.
    async fn renew_in_time(self: &Arc<Self>) {
        loop {
            let wait = self.begin_due();
            tokio::select! {
                () = tokio::time::sleep(wait.clamp(LOOK_EVERY, STEP)) => {}
                () = self.renewals.changed.notified() => tokio::time::sleep(LOOK_EVERY).await,
                () = self.shutdown.cancelled() => return,
            }
        }
    }

    /// Begins what is due now; how long until something is.
    fn begin_due(self: &Arc<Self>) -> Duration {
        let tokens = self.credentials.tokens();
        if tokens.is_empty() {
            return STEP;
        }
        let runs = self.runs.all();
        let granted: BTreeSet<Key> = runs.iter().flat_map(|run| self.granted(run)).collect();
        let mut wait = STEP;
        for (key, loaded) in tokens {
            let Some(token) = loaded.token.as_ref().filter(|_| granted.contains(&key)) else {
                continue;
            };
            let needs_login = self
                .connections
                .find(&key.0, &key.1)
                .is_none_or(|record| record.state == ConnectionState::NeedsLogin);
            if needs_login {
                continue;
            }
            let now = self.renewals.clock().boot();
            let due = {
                let mut lines = self.renewals.lines();
                let line = lines.entry(key.clone()).or_default();
                line.due(loaded.version, token, now)
            };
            match due.map(|due| due.since(now)) {
                Some(Duration::ZERO) => drop(self.board(&key, loaded.version, Why::Due)),
                Some(later) => wait = wait.min(later),
                None => {}
            }
        }
        wait
    }

    /// What becomes of somebody to whom this `version` of the token will not do.
    fn board(self: &Arc<Self>, key: &Key, version: u64, why: Why) -> Boarding {
        let Some(loaded) = self.credentials.get(key) else {
            return Boarding::Look;
        };
        let Some(token) = loaded.token.as_ref().filter(|_| loaded.version == version) else {
            return Boarding::Look;
        };
        if self.shutdown.is_cancelled() {
            return Boarding::Refused(NotRenewed::because("the daemon is stopping"));
        }
        let now = self.renewals.clock().boot();
        let mut lines = self.renewals.lines();
        let line = lines.entry(key.clone()).or_default();
        if let Some(flight) = line.in_flight() {
            return Boarding::Aboard(flight);
        }
        if let Err(not) = line.may_begin(version, token, why, now) {
            return Boarding::Refused(not);
        }
        let (stage, flight) = watch::channel(Stage::Flying);
        line.begin(flight.clone());
        let (broker, key) = (Arc::clone(self), key.clone());
        let own = line.own();
        let loaded = Arc::clone(&loaded);
        self.renewals.flights.spawn(async move {
            if let Some(token) = &loaded.token {
                let flight = Flight {
                    broker: &broker,
                    key: &key,
                    loaded: &loaded,
                    token,
                    why,
                    own,
                    stage: &stage,
                };
                let landing = flight.fly().await;
                broker.land(&key, token, why, &landing, &stage);
            }
        });
        Boarding::Aboard(flight)
    }

    /// Writes down how a flight went, then tells all who wait for it.
    fn land(
        &self,
        key: &Key,
        token: &Token,
        why: Why,
        landing: &Landing,
        stage: &watch::Sender<Stage>,
    ) {
        let (provider, connection) = key;
        let now = self.renewals.clock().boot();
        let mut record = None;
        match landing {
            Landing::Renewed => {
                tracing::info!(%provider, %connection, "renewed");
                record = Some(Record::new(audit::Event::Renew));
            }
            Landing::Look => {
                tracing::info!(%provider, %connection, "replaced while it was renewed");
            }
            Landing::GaveUp(None) => {}
            Landing::GaveUp(Some(failure)) | Landing::Failed(failure) => {
                let reason = &failure.reason;
                tracing::warn!(%provider, %connection, code = failure.code, %reason, "not renewed");
            }
        }
        let told = {
            let mut lines = self.renewals.lines();
            let line = lines.entry(key.clone()).or_default();
            let news = line.land(landing, token, why, now, Chance::random());
            if let Some(failure) = landing.failure().filter(|_| news.is_news) {
                record = Some(Record {
                    code: Some(failure.code),
                    detail: Some(failure.reason.as_str().into()),
                    ..Record::new(audit::Event::RenewFailed)
                });
            }
            news.told
        };
        if let Some(mut record) = record {
            record.provider = Some(provider.clone());
            record.connection = Some(connection.clone());
            self.note(record);
        }
        stage.send_replace(Stage::Landed(told));
        self.renewals.look();
    }
}

/// Waits for the end of a flight, or until it is known that it takes long.
async fn landed(mut flight: watch::Receiver<Stage>) -> Result<(), NotRenewed> {
    loop {
        match &*flight.borrow_and_update() {
            Stage::Flying => {}
            Stage::Stuck(not) => return Err(not.clone()),
            Stage::Landed(told) => return told.clone(),
        }
        if flight.changed().await.is_err() {
            return Err(NotRenewed::because("the renewal broke off"));
        }
    }
}

/// What `connections.json` remembers of a grant.
pub(super) fn remembered(grant: &StoredGrant) -> GrantRecord {
    let ends = grant.lifetime.and_then(|lifetime| {
        let lifetime = i64::try_from(lifetime).ok()?;
        Timestamp::from_second(grant.issued_at.checked_add(lifetime)?).ok()
    });
    GrantRecord {
        flow: Some(grant.flow),
        scopes: grant.scopes.clone(),
        expires_at: ends.map(|ends| ends.to_string()),
        renews: !matches!(grant.renewal, Renewal::None),
    }
}

#[cfg(test)]
mod tests;
