//! Credentials in memory: read from the vault once, ready for the wire, shared by all runs.
//!
//! The request path never asks the vault. A credential is loaded when the first run needs it and
//! kept in locked memory until it is replaced or deleted. Every stored version has its own pool
//! of upstream connections (threat H10), so a replaced key takes its connections with it; each
//! renewed access token is a new version.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use authsome_proto::{ConnectionName, ProviderName, Secret};
use subtle::ConstantTimeEq;

use super::upstream::Settings;
use crate::oauth::life::{self, Chance, Life};
use crate::proxy::{Credential, Engine, Reach, Renewal as Renewed};
use crate::routing::Slot;
use crate::sys::clock::{Boot, Clock};
use crate::vault::{ItemKey, Renewal, StoredGrant, StoredItem, Vault, VaultError};

pub(super) type Key = (ProviderName, ConnectionName);

/// The cache.
#[derive(Debug)]
pub(super) struct Credentials {
    /// Guards the map only; never held across a call of the vault.
    loaded: Mutex<HashMap<Key, Arc<Loaded>>>,
    /// The last version that was given out.
    version: AtomicU64,
    /// Who renews what ends.
    engine: Engine,
}

/// One stored credential.
pub(super) struct Loaded {
    secret: Secret,
    /// The definition's hosts when it was stored (threat L12).
    pub(super) hosts: Vec<String>,
    /// Told apart from what was loaded under the same name before and after.
    pub(super) version: u64,
    /// What there is to know of an access token.
    pub(super) token: Option<Token>,
    engine: Engine,
    /// By slot, since one provider's routes may differ in it, and by how far its hosts may lead.
    filled: Mutex<Vec<(Slot, Reach, Arc<Credential>)>>,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded")
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

/// An access token, as far as the engine needs it in memory. Its refresh token stays in the vault.
#[derive(Debug)]
pub(super) struct Token {
    /// Its life, if that is known.
    pub(super) life: Option<Life>,
    /// Since when it is there.
    pub(super) came: Boot,
    /// Spreads renewals over time.
    pub(super) chance: Chance,
    /// Whether it is renewed without a person.
    pub(super) renews: bool,
    /// A renewal with a refresh token was about to be sent when it was loaded, and whether the
    /// server replaces those.
    pub(super) sent: Option<(i64, Option<bool>)>,
    /// Refused by the API, and there will be no other.
    condemned: AtomicBool,
}

impl Token {
    /// One that is taken from the vault.
    fn taken_up(grant: &StoredGrant, clock: &Clock) -> Self {
        let (now, wall) = (clock.boot(), clock.wall());
        let came = now.minus(life::age(grant.issued_at, wall));
        let life = grant
            .lifetime
            .map(Duration::from_secs)
            .map(|lifetime| Life::taken_up(lifetime, grant.issued_at, wall, now));
        Self::of(grant, life, came)
    }

    /// One that was asked for at `asked`.
    fn new(grant: &StoredGrant, asked: Boot) -> Self {
        let lifetime = grant.lifetime.map(Duration::from_secs);
        let life = lifetime.map(|lifetime| Life::begun(lifetime, asked));
        Self::of(grant, life, asked)
    }

    fn of(grant: &StoredGrant, life: Option<Life>, came: Boot) -> Self {
        let spends = matches!(grant.renewal, Renewal::RefreshToken(_));
        let since = grant.renewing_since.filter(|_| spends);
        Self {
            life,
            came,
            chance: Chance::random(),
            renews: !matches!(grant.renewal, Renewal::None),
            sent: since.map(|since| (since, grant.rotates)),
            condemned: AtomicBool::new(false),
        }
    }

    /// The API has refused it, and there will be no other.
    pub(super) fn condemn(&self) {
        self.condemned.store(true, Ordering::Relaxed);
    }

    /// Whether it must not be sent any more.
    pub(super) fn is_dead(&self, now: Boot) -> bool {
        self.condemned.load(Ordering::Relaxed) || self.life.is_some_and(|life| life.is_dead(now))
    }
}

/// What became of a look-up.
#[derive(Debug, Clone)]
pub(super) enum Lookup {
    /// Here it is.
    Found(Arc<Loaded>),
    /// The vault has no such item.
    Missing,
    /// The vault cannot say now.
    Unavailable,
}

impl Credentials {
    /// An empty cache of what `engine` renews.
    pub(super) fn new(engine: Engine) -> Self {
        Self {
            loaded: Mutex::default(),
            version: AtomicU64::new(0),
            engine,
        }
    }

    /// The credential, if it is in memory.
    pub(super) fn get(&self, key: &Key) -> Option<Arc<Loaded>> {
        self.loaded().get(key).cloned()
    }

    /// All access tokens in memory.
    pub(super) fn tokens(&self) -> Vec<(Key, Arc<Loaded>)> {
        let loaded = self.loaded();
        let tokens = loaded.iter().filter(|(_, it)| it.token.is_some());
        tokens
            .map(|(key, it)| (key.clone(), Arc::clone(it)))
            .collect()
    }

    /// Takes what was stored just now, whose access token was asked for at `asked`.
    pub(super) fn renewed(&self, key: &Key, item: StoredItem, asked: Boot) {
        let token = item.grant.as_ref().map(|grant| Token::new(grant, asked));
        let loaded = Arc::new(self.make(item, token));
        self.loaded().insert(key.clone(), loaded);
    }

    fn make(&self, item: StoredItem, token: Option<Token>) -> Loaded {
        Loaded {
            secret: item.secret,
            hosts: item.hosts,
            version: self.version.fetch_add(1, Ordering::Relaxed) + 1,
            token,
            engine: self.engine.clone(),
            filled: Mutex::new(Vec::new()),
        }
    }

    /// The credential, from memory or the vault; without a vault, from memory alone.
    pub(super) async fn load(
        &self,
        vault: Option<&Vault>,
        provider: &ProviderName,
        connection: &ConnectionName,
    ) -> Result<Option<Arc<Loaded>>, VaultError> {
        let key = (provider.clone(), connection.clone());
        if let Some(found) = self.loaded().get(&key) {
            return Ok(Some(Arc::clone(found)));
        }
        let item = ItemKey::Connection {
            provider: key.0.clone(),
            connection: key.1.clone(),
        };
        let vault = vault.ok_or(VaultError::TimedOut)?;
        let Some(item) = vault.get(&item).await? else {
            return Ok(None);
        };
        let clock = self.engine.clock();
        let token = item.grant.as_ref().map(|it| Token::taken_up(it, clock));
        let loaded = Arc::new(self.make(item, token));
        self.loaded().insert(key, Arc::clone(&loaded));
        Ok(Some(loaded))
    }

    /// Forgets a replaced or deleted credential; its memory is wiped when the last request that
    /// uses it is over.
    pub(super) fn forget(&self, provider: &ProviderName, connection: &ConnectionName) {
        self.loaded()
            .remove(&(provider.clone(), connection.clone()));
    }

    /// When credentials were put on the wire since this was last asked, in seconds since 1970.
    pub(super) fn take_uses(&self) -> Vec<(Key, i64)> {
        let loaded = self.loaded();
        let uses = loaded
            .iter()
            .map(|(key, loaded)| (key.clone(), loaded.take_use()));
        uses.filter(|(_, at)| *at > 0).collect()
    }

    /// Forgets all, so that settings of the upstream side take effect.
    pub(super) fn forget_all(&self) {
        self.loaded().clear();
    }

    fn loaded(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Loaded>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Loaded {
    /// Whether its access token is over, and it is known that no other comes by itself: of one whose
    /// end nobody knows that is as good as over.
    pub(super) fn is_over(&self) -> bool {
        let now = self.engine.clock().boot();
        self.token
            .as_ref()
            .is_some_and(|token| token.life.is_none() || token.is_dead(now))
    }

    /// Whether `secret` is its access token.
    pub(super) fn is_of(&self, secret: &Secret) -> bool {
        same(&self.secret, secret)
    }

    fn take_use(&self) -> i64 {
        let filled = self.filled.lock().unwrap_or_else(PoisonError::into_inner);
        let uses = filled
            .iter()
            .map(|(_, _, credential)| credential.used.swap(0, Ordering::Relaxed));
        uses.max().unwrap_or(0)
    }

    /// The credential as it goes into `slot`. Whoever stored it checked that it fits; a slot that
    /// a definition gained since then may not take it.
    pub(super) fn fill(
        &self,
        (provider, connection): &Key,
        slot: &Slot,
        reach: Reach,
        upstream: &Settings,
    ) -> Option<Arc<Credential>> {
        let mut filled = self.filled.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |(of, to, _): &&(Slot, Reach, _)| of == slot && *to == reach;
        if let Some((_, _, credential)) = filled.iter().find(known) {
            return Some(Arc::clone(credential));
        }
        let credential = Arc::new(Credential {
            filled: slot.fill(&self.secret).ok()?,
            upstream: upstream.pool(reach),
            provider: provider.clone(),
            connection: connection.clone(),
            used: AtomicI64::new(0),
            renewal: self.token.as_ref().map(|token| Renewed {
                version: self.version,
                life: token.life,
                engine: self.engine.clone(),
            }),
        });
        filled.push((slot.clone(), reach, Arc::clone(&credential)));
        Some(credential)
    }
}

/// Whether two secrets are one, in constant time.
pub(super) fn same(a: &Secret, b: &Secret) -> bool {
    a.expose().as_bytes().ct_eq(b.expose().as_bytes()).into()
}
