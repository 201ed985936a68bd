//! OAuth clients: made once at a provider, kept in the vault, used again at the next login.

use authsome_proto::{ProviderName, Secret, WireError};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Broker;
use super::oauth::server_of;
use crate::broker::now;
use crate::connections::ConnectionRecord;
use crate::errors::Explain;
use crate::oauth::Client;
use crate::providers::Auth;
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

    /// Forgets the clients of a provider: at its own server, and at those of `records`.
    pub(in crate::broker) async fn forget_clients(
        &self,
        provider: &ProviderName,
        records: &[ConnectionRecord],
    ) -> Result<(), WireError> {
        let Ok(entry) = self.definition(provider) else {
            return Ok(());
        };
        let Auth::OAuth2(facts) = &entry.definition.auth else {
            return Ok(());
        };
        let bases = records.iter().map(|record| record.base_url.as_deref());
        for base in bases.chain([None]) {
            let server = server_of(&facts.resolve(&facts.token_url, base), base);
            self.vault
                .delete(&key(provider, &server))
                .await
                .map_err(|error| {
                    error.explain(&format!("delete the OAuth client of `{provider}`"))
                })?;
        }
        Ok(())
    }
}

fn key(provider: &ProviderName, host: &str) -> ItemKey {
    ItemKey::Client {
        provider: provider.clone(),
        server: host.to_owned(),
    }
}
