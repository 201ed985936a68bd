//! OAuth clients: made once at a provider, kept in the vault, used again at the next login.

use authsome_proto::{ProviderName, Secret, WireError};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Broker;
use crate::broker::now;
use crate::errors::Explain;
use crate::oauth::Client;
use crate::vault::{ItemKey, StoredClient, StoredItem};

/// A client as it rests in the vault.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KnownClient {
    pub(super) client: StoredClient,
    /// The redirect address that it registered itself with, if it did: another port needs another
    /// registration.
    pub(super) registered_for: Option<String>,
}

impl Broker {
    /// The client that is known for the server at `host`.
    pub(super) async fn known_client(
        &self,
        provider: &ProviderName,
        host: &str,
    ) -> Result<Option<KnownClient>, WireError> {
        let item = self
            .vault
            .get(&key(provider, host))
            .await
            .map_err(|error| error.explain(&format!("read the OAuth client of `{provider}`")))?;
        // one that cannot be read is asked for anew; it is no credential that could be lost
        Ok(item.and_then(|item| serde_json::from_str(item.secret.expose()).ok()))
    }

    /// Remembers a client for the next login.
    pub(super) async fn remember_client(
        &self,
        provider: &ProviderName,
        host: &str,
        client: &Client,
        registered_for: Option<String>,
    ) -> Result<(), WireError> {
        let known = KnownClient {
            client: client.clone().into(),
            registered_for,
        };
        let len = client.secret.as_ref().map_or(0, Secret::len) + client.id.len();
        // an escaped character takes at most six bytes: the buffer never grows
        let mut text = Zeroizing::new(Vec::with_capacity(len * 6 + 1024));
        let text = serde_json::to_writer(&mut *text, &known)
            .ok()
            .and_then(|()| String::from_utf8(std::mem::take(&mut *text)).ok())
            .unwrap_or_default();
        let item = StoredItem {
            secret: Secret::new(text),
            hosts: vec![host.to_owned()],
            stored_at: now(),
            grant: None,
        };
        self.vault
            .put(&key(provider, host), item)
            .await
            .map_err(|error| error.explain(&format!("store the OAuth client of `{provider}`")))
    }

    /// Forgets the client, so that the next login asks for one.
    pub(in crate::broker) async fn forget_client(
        &self,
        provider: &ProviderName,
        host: &str,
    ) -> Result<(), WireError> {
        self.vault
            .delete(&key(provider, host))
            .await
            .map(drop)
            .map_err(|error| error.explain(&format!("delete the OAuth client of `{provider}`")))
    }
}

fn key(provider: &ProviderName, host: &str) -> ItemKey {
    ItemKey::Client {
        provider: provider.clone(),
        server: host.to_owned(),
    }
}
