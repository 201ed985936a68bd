//! Which connections exist, in which state, and which is each provider's default: no secrets.
//!
//! All of it is in memory and, after each change, in `connections.json`: a header (version,
//! generation, checksum) and the records. The content before the last change stays in
//! `connections.json.bak`. Both are written atomically, the older first, so that a crash at any
//! instant leaves a complete file of this generation or of the one before (threat S1).
//!
//! Loading (threats S1, S7): a damaged file is never overwritten. If the generation before is
//! whole, the damaged one is kept aside as `connections.json.corrupt-N`, the older one is used and
//! [`Fallback`] says so; if it is not, loading fails and nothing is touched. A file of a newer
//! version is refused.
//!
//! Invariants:
//! - CN1: memory and disk agree after each call that returned `Ok`; a failed write changes neither.
//! - CN2: a provider with connections has at most one default, and it names one of them.
//! - CN3: [`Connections::touch`] neither blocks on the disk nor allocates for a known connection.
//!
//! The calls that change something wait for the disk (some milliseconds).

mod store;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use authsome_proto::{ConnectionName, ProviderName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use store::{Contents, Store};
pub use store::{Fallback, LoadConnectionsError};

use crate::files::WriteError;
use crate::providers::Flow;

/// How often times of last use go to the disk at most: often enough for people, and a busy proxy
/// does not wear out the disk.
const FLUSH_EVERY: Duration = Duration::from_secs(60);

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// It can be used.
    Connected,
    /// It can be used, and not for long.
    Expiring,
    /// Its time is over.
    Expired,
    /// Only a new login helps.
    NeedsLogin,
    /// It was withdrawn.
    Revoked,
}

/// What is remembered about one connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionRecord {
    /// Its provider.
    pub provider: ProviderName,
    /// Its name.
    pub connection: ConnectionName,
    /// Its state.
    pub state: ConnectionState,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// When its credential was last replaced, RFC 3339.
    pub rotated_at: Option<String>,
    /// When it was last used, RFC 3339; at most a minute older than the truth after a crash.
    pub last_used: Option<String>,
    /// The hosts of the definition at login.
    pub hosts: Vec<String>,
    /// Whose account it is, where the provider tells.
    pub account: Option<String>,
    /// The region that it was limited to at login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The provider's own server that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// What is known of an OAuth grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantRecord>,
}

/// What is remembered about an OAuth grant, or about a session that ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantRecord {
    /// The flow that it came from; none of a browser's session.
    pub flow: Option<Flow>,
    /// Scopes that were granted.
    pub scopes: Vec<String>,
    /// When what is on the wire ends to be valid, RFC 3339, if that is known.
    pub expires_at: Option<String>,
    /// Whether it is renewed without a person.
    pub renews: bool,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such connection.
    #[error("no connection `{connection}` of `{provider}`")]
    Unknown {
        /// The provider.
        provider: ProviderName,
        /// The name that was asked for.
        connection: ConnectionName,
        /// The names that exist.
        known: Vec<ConnectionName>,
    },
    /// The disk refused it.
    #[error("cannot remember the change")]
    Write(#[source] WriteError),
}

impl ChangeError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown {
                provider, known, ..
            } if known.is_empty() => Some(format!("log in first: `authsome login {provider}`")),
            Self::Unknown { known, .. } => {
                let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
                Some(format!("there is {}", known.join(", ")))
            }
            Self::Write(_) => None,
        }
    }
}

/// What [`Connections::insert`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inserted {
    /// Whether the connection is the provider's default because it is its first.
    pub became_default: bool,
    /// The record that it replaced.
    pub replaced: Option<ConnectionRecord>,
}

/// What [`Connections::remove`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Whether it was the provider's default.
    pub was_default: bool,
    /// The default after that; moved only if exactly one connection is left.
    pub new_default: Option<ConnectionName>,
}

/// All connections of one home.
#[derive(Debug)]
pub struct Connections {
    /// Guards contents and file together. Taken before `touched` where both are.
    state: Mutex<State>,
    /// Last uses that are not in the file yet. A lock of its own: the hot path takes it, and the
    /// other is held while the disk is written.
    touched: Mutex<Touched>,
}

#[derive(Debug)]
struct State {
    contents: Contents,
    store: Store,
}

#[derive(Debug, Default)]
struct Touched {
    at: HashMap<ProviderName, HashMap<ConnectionName, Timestamp>>,
    flushed: Option<Timestamp>,
}

impl Connections {
    /// Loads the connections of the home folder `home`, and tells if an older generation had to be
    /// used. No file is no connections.
    pub fn open(home: &Path) -> Result<(Self, Option<Fallback>), LoadConnectionsError> {
        let (store, contents, fallback) = Store::open(home)?;
        let state = Mutex::new(State { contents, store });
        Ok((
            Self {
                state,
                touched: Mutex::default(),
            },
            fallback,
        ))
    }

    /// All connections, ordered by provider and name.
    pub fn list(&self) -> Vec<ConnectionRecord> {
        let state = self.state();
        let mut records = state.contents.connections.clone();
        self.apply_touched(&mut records);
        records
    }

    /// One connection.
    pub fn find(
        &self,
        provider: &ProviderName,
        connection: &ConnectionName,
    ) -> Option<ConnectionRecord> {
        let record = self.state().contents.find(provider, connection).cloned();
        record.map(|mut record| {
            self.apply_touched(std::slice::from_mut(&mut record));
            record
        })
    }

    /// The connection that is used where none is named.
    pub fn default_of(&self, provider: &ProviderName) -> Option<ConnectionName> {
        self.state().contents.defaults.get(provider).cloned()
    }

    /// Adds `record`, or replaces the one of that name. A provider's first connection becomes its
    /// default.
    pub fn insert(&self, record: ConnectionRecord) -> Result<Inserted, ChangeError> {
        self.change(|contents| {
            let first = contents.of(&record.provider).next().is_none();
            if first {
                contents
                    .defaults
                    .insert(record.provider.clone(), record.connection.clone());
            }
            let replaced = contents.take(&record.provider, &record.connection);
            contents.connections.push(record);
            contents
                .connections
                .sort_by(|a, b| (&a.provider, &a.connection).cmp(&(&b.provider, &b.connection)));
            Ok(Inserted {
                became_default: first,
                replaced,
            })
        })
    }

    /// Changes one record by `change`; its names stay what they are.
    pub fn update(
        &self,
        provider: &ProviderName,
        connection: &ConnectionName,
        change: impl FnOnce(&mut ConnectionRecord),
    ) -> Result<(), ChangeError> {
        self.change(|contents| {
            let known = contents.names_of(provider);
            let record = contents
                .connections
                .iter_mut()
                .find(|record| record.is(provider, connection))
                .ok_or_else(|| unknown(known, provider, connection))?;
            change(record);
            record.provider = provider.clone();
            record.connection = connection.clone();
            Ok(())
        })
    }

    /// Makes `connection` the default of `provider`.
    pub fn set_default(
        &self,
        provider: &ProviderName,
        connection: &ConnectionName,
    ) -> Result<(), ChangeError> {
        self.change(|contents| {
            if contents.find(provider, connection).is_none() {
                return Err(unknown(contents.names_of(provider), provider, connection));
            }
            contents
                .defaults
                .insert(provider.clone(), connection.clone());
            Ok(())
        })
    }

    /// Forgets a connection. If it was the default, the only one that is left takes its place; with
    /// several left there is no default until a person says which.
    pub fn remove(
        &self,
        provider: &ProviderName,
        connection: &ConnectionName,
    ) -> Result<Removed, ChangeError> {
        let removed = self.change(|contents| {
            if contents.take(provider, connection).is_none() {
                return Err(unknown(contents.names_of(provider), provider, connection));
            }
            let was_default = contents.defaults.get(provider) == Some(connection);
            if was_default {
                match contents.names_of(provider).as_slice() {
                    [only] => contents.defaults.insert(provider.clone(), only.clone()),
                    _ => contents.defaults.remove(provider),
                };
            }
            let new_default = contents.defaults.get(provider).cloned();
            Ok(Removed {
                was_default,
                new_default,
            })
        })?;
        // a later connection of that name was not used yet
        if let Some(of_provider) = self.touched().at.get_mut(provider) {
            of_provider.remove(connection);
        }
        Ok(removed)
    }

    /// Notes that a connection was used at `now`. For the request path: no disk.
    pub fn touch(&self, provider: &ProviderName, connection: &ConnectionName, now: Timestamp) {
        let mut touched = self.touched();
        if let Some(at) = touched
            .at
            .get_mut(provider)
            .and_then(|of_provider| of_provider.get_mut(connection))
        {
            *at = now;
            return;
        }
        touched
            .at
            .entry(provider.clone())
            .or_default()
            .insert(connection.clone(), now);
    }

    /// Writes the times of last use if there are new ones and the last writing is a minute ago;
    /// whether it did.
    pub fn flush_if_due(&self, now: Timestamp) -> Result<bool, ChangeError> {
        {
            let touched = self.touched();
            let early = touched.flushed.is_some_and(|flushed| {
                // a clock that was set back makes it due
                let since = now.duration_since(flushed);
                !since.is_negative() && since.unsigned_abs() < FLUSH_EVERY
            });
            if early || touched.at.is_empty() {
                return Ok(false);
            }
        }
        self.flush()?;
        self.touched().flushed = Some(now);
        Ok(true)
    }

    /// Writes the times of last use, if there are new ones: at the end of the daemon.
    pub fn flush(&self) -> Result<(), ChangeError> {
        if self.touched().at.is_empty() {
            return Ok(());
        }
        self.change(|_| Ok(()))
    }

    /// Applies `change` and the pending times of last use to a copy, brings the copy to the disk,
    /// and only then makes it the truth (CN1).
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Contents) -> Result<T, ChangeError>,
    ) -> Result<T, ChangeError> {
        let mut state = self.state();
        let mut contents = state.contents.clone();
        let done = change(&mut contents)?;
        let pending = std::mem::take(&mut self.touched().at);
        apply(&pending, &mut contents.connections);
        match state.store.save(&contents) {
            Ok(()) => {
                state.contents = contents;
                Ok(done)
            }
            Err(error) => {
                if error.is_in_place() {
                    // readers of the file see it already
                    state.contents = contents;
                } else {
                    self.touch_again(pending);
                }
                Err(ChangeError::Write(error))
            }
        }
    }

    /// Puts back what was to be written, under what was noted since.
    fn touch_again(&self, pending: HashMap<ProviderName, HashMap<ConnectionName, Timestamp>>) {
        let mut touched = self.touched();
        for (provider, connections) in pending {
            let of_provider = touched.at.entry(provider).or_default();
            for (connection, at) in connections {
                of_provider.entry(connection).or_insert(at);
            }
        }
    }

    fn apply_touched(&self, records: &mut [ConnectionRecord]) {
        apply(&self.touched().at, records);
    }

    // a panic elsewhere leaves both as they were: they are replaced, not edited in place
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touched(&self) -> MutexGuard<'_, Touched> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionRecord {
    fn is(&self, provider: &ProviderName, connection: &ConnectionName) -> bool {
        self.provider == *provider && self.connection == *connection
    }
}

impl Contents {
    fn of(&self, provider: &ProviderName) -> impl Iterator<Item = &ConnectionRecord> {
        self.connections
            .iter()
            .filter(move |record| record.provider == *provider)
    }

    fn names_of(&self, provider: &ProviderName) -> Vec<ConnectionName> {
        self.of(provider)
            .map(|record| record.connection.clone())
            .collect()
    }

    fn find(
        &self,
        provider: &ProviderName,
        connection: &ConnectionName,
    ) -> Option<&ConnectionRecord> {
        self.connections
            .iter()
            .find(|record| record.is(provider, connection))
    }

    fn take(
        &mut self,
        provider: &ProviderName,
        connection: &ConnectionName,
    ) -> Option<ConnectionRecord> {
        let at = self
            .connections
            .iter()
            .position(|record| record.is(provider, connection))?;
        Some(self.connections.remove(at))
    }
}

fn apply(
    touched: &HashMap<ProviderName, HashMap<ConnectionName, Timestamp>>,
    records: &mut [ConnectionRecord],
) {
    for record in records {
        if let Some(at) = touched
            .get(&record.provider)
            .and_then(|of| of.get(&record.connection))
        {
            record.last_used = Some(at.to_string());
        }
    }
}

fn unknown(
    known: Vec<ConnectionName>,
    provider: &ProviderName,
    connection: &ConnectionName,
) -> ChangeError {
    ChangeError::Unknown {
        provider: provider.clone(),
        connection: connection.clone(),
        known,
    }
}

/// The defaults by provider.
type Defaults = BTreeMap<ProviderName, ConnectionName>;

#[cfg(test)]
mod tests;
