//! Credentials in memory: read from the vault once, ready for the wire, shared by all runs.
//!
//! The request path never asks the vault. A credential is loaded when the first run needs it and
//! kept in locked memory until it is replaced or deleted. Every stored version has its own pool
//! of upstream connections (threat H10), so a replaced key takes its connections with it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use authsome_proto::{ConnectionName, ProviderName, Secret};

use super::upstream::Settings;
use crate::proxy::{Credential, Reach};
use crate::routing::Slot;
use crate::vault::{ItemKey, Vault, VaultError};

type Key = (ProviderName, ConnectionName);

/// The cache.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    /// Guards the map only; never held across a call of the vault.
    loaded: Mutex<HashMap<Key, Arc<Loaded>>>,
}

/// One stored credential.
pub(super) struct Loaded {
    secret: Secret,
    /// The definition's hosts when it was stored (threat L12).
    pub(super) hosts: Vec<String>,
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
        let loaded = Arc::new(Loaded {
            secret: item.secret,
            hosts: item.hosts,
            filled: Mutex::new(Vec::new()),
        });
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
            renewal: None,
        });
        filled.push((slot.clone(), reach, Arc::clone(&credential)));
        Some(credential)
    }
}
