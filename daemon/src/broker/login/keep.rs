//! Storing what a login brought.

use authsome_proto::response::LoggedIn;
use authsome_proto::{Event, Secret, WireError};

use super::Broker;
use super::target::Named;
use crate::audit::{self, Record};
use crate::broker::now;
use crate::connections::{ConnectionRecord, ConnectionState, GrantRecord};
use crate::errors::{Explain, storage};
use crate::providers::BaseUrl;
use crate::vault::{ItemKey, StoredGrant, StoredItem};

/// A credential that a login brought.
#[derive(Debug)]
pub(super) struct NewCredential<'a> {
    pub(super) named: &'a Named,
    pub(super) secret: Secret,
    pub(super) region: Option<String>,
    /// The provider's own server that it is for.
    pub(super) server: Option<BaseUrl>,
    /// How it is renewed, if it came by OAuth.
    pub(super) stored_grant: Option<StoredGrant>,
    /// What people are told of that.
    pub(super) grant: Option<GrantRecord>,
    pub(super) account: Option<String>,
}

impl<'a> NewCredential<'a> {
    /// A credential that is just a secret.
    pub(super) fn of(named: &'a Named, secret: Secret) -> Self {
        Self {
            named,
            secret,
            region: None,
            server: None,
            stored_grant: None,
            grant: None,
            account: None,
        }
    }
}

impl Broker {
    /// Stores a credential: audit, vault, record, routes, in this order (B1 to B3). Call it with
    /// `changing` held.
    pub(super) async fn keep(
        &self,
        credential: NewCredential<'_>,
        by: u32,
    ) -> Result<LoggedIn, WireError> {
        let Named {
            definition,
            connection,
            ..
        } = credential.named;
        let provider = &definition.name;
        let existing = self.connections.find(provider, connection);
        let mut record = Record::new(match existing {
            Some(_) => audit::Event::Rotate,
            None => audit::Event::Login,
        });
        record.provider = Some(provider.clone());
        record.connection = Some(connection.clone());
        self.audit_first(record, by).await?;

        let key = ItemKey::Connection {
            provider: provider.clone(),
            connection: connection.clone(),
        };
        let hosts = definition.hosts_for(credential.server.as_ref(), None);
        let item = StoredItem {
            secret: credential.secret,
            hosts: hosts.clone(),
            stored_at: now(),
            grant: credential.stored_grant,
        };
        // first: the outcome of a call that takes too long is not known
        self.credentials.forget(provider, connection);
        if let Err(error) = self.vault.put(&key, item).await {
            self.refresh_runs().await;
            return Err(error.explain(&format!("store the key of `{provider}`")));
        }
        let grant = credential.grant.unwrap_or_default();
        let record = ConnectionRecord {
            provider: provider.clone(),
            connection: connection.clone(),
            state: ConnectionState::Connected,
            created_at: existing
                .as_ref()
                .map_or_else(now, |old| old.created_at.clone()),
            rotated_at: existing.as_ref().map(|_| now()),
            last_used: existing.as_ref().and_then(|old| old.last_used.clone()),
            hosts,
            account: credential.account,
            region: credential.region,
            base_url: credential.server.map(|server| server.to_string()),
            grant: Some(grant.clone()).filter(|grant| *grant != GrantRecord::default()),
        };
        let inserted = self.connections.insert(record);
        // also after a failure: the replaced key must not live on in a run (B3)
        self.refresh_runs().await;
        inserted
            .map_err(|error| storage(&format!("record the connection of `{provider}`"), &error))?;
        self.tell(Event::ConnectionChanged {
            provider: provider.clone(),
            connection: connection.clone(),
        });
        tracing::info!(%provider, %connection, "logged in");
        Ok(LoggedIn {
            provider: provider.clone(),
            display_name: definition.display_name.clone(),
            connection: connection.clone(),
            is_default: self.connections.default_of(provider).as_ref() == Some(connection),
            replaced: existing.is_some(),
            variables: definition.variables(),
            store: self.vault.status().await.store_name(),
            runs: self.run_count(),
            expires_at: grant.expires_at,
            renews: grant.renews,
            scopes: grant.scopes,
        })
    }
}
