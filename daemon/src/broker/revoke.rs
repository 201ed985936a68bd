//! Giving tokens back to their server (RFC 7009), after they are gone here.
//!
//! The refresh token goes first: with it servers end what came of it. Whatever the server says, the
//! local credential is gone already; what is told is which of the two happened (threat O9).

use std::time::Duration;

use authsome_proto::response::Revocation;
use authsome_proto::{ConnectionName, ProviderName};

use super::Broker;
use super::upstream::reach_of;
use crate::oauth::Client;
use crate::oauth::revoke::{self, Hint};
use crate::vault::{Renewal, StoredItem};

/// How long the server may take for all of a connection's tokens: a person waits for it.
const SERVER_MAX: Duration = Duration::from_secs(10);

/// What was stored of a connection that is gone now.
pub(super) struct Taken {
    pub(super) connection: ConnectionName,
    /// Nothing where the vault had nothing any more.
    pub(super) item: Option<StoredItem>,
    pub(super) base_url: Option<String>,
}

impl Taken {
    /// Whether there is something that a server knows.
    pub(super) fn has_tokens(&self) -> bool {
        let item = self.item.as_ref();
        item.is_some_and(|item| item.grant.is_some())
    }
}

impl Broker {
    /// Gives back what `taken` holds.
    pub(super) async fn give_back(
        &self,
        provider: &ProviderName,
        taken: Vec<Taken>,
    ) -> Vec<(ConnectionName, Revocation)> {
        let mut outcomes = Vec::new();
        for taken in taken {
            let asked = tokio::time::timeout(SERVER_MAX, self.give_one_back(provider, &taken));
            let outcome = asked.await.unwrap_or_else(|_| Revocation::Failed {
                reason: format!("no answer within {} seconds", SERVER_MAX.as_secs()),
            });
            if let Revocation::Failed { reason } = &outcome {
                tracing::warn!(%provider, connection = %taken.connection, reason, "not revoked");
            }
            outcomes.push((taken.connection, outcome));
        }
        outcomes
    }

    async fn give_one_back(&self, provider: &ProviderName, taken: &Taken) -> Revocation {
        let Some(item) = &taken.item else {
            return Revocation::NotOffered;
        };
        let Some((grant, url)) = item
            .grant
            .as_ref()
            .and_then(|grant| Some((grant, grant.revocation_url.as_ref()?)))
        else {
            return Revocation::NotOffered;
        };
        let entry = self.definition(provider).ok();
        let reach = reach_of(entry.as_ref(), taken.base_url.as_deref(), url);
        let servers = match self.servers().await {
            Ok(servers) => servers,
            Err(error) => {
                return Revocation::Failed {
                    reason: error.message,
                };
            }
        };
        let client = grant.client.clone().map(Client::from);
        let mut tokens = vec![(&item.secret, Hint::Access)];
        if let Renewal::RefreshToken(token) = &grant.renewal {
            tokens.insert(0, (token, Hint::Refresh));
        }
        let mut failed = None;
        for (token, hint) in tokens {
            let request = revoke::request(token, hint, client.as_ref());
            let outcome = match servers.send(url, reach, request).await {
                Ok(answer) => revoke::read(&answer),
                Err(error) => Err(error.to_string()),
            };
            if let Err(reason) = outcome {
                let which = match hint {
                    Hint::Access => "access token",
                    Hint::Refresh => "refresh token",
                };
                failed.get_or_insert(format!("the {which}: {reason}"));
            }
        }
        match failed {
            None => Revocation::Revoked,
            Some(reason) => Revocation::Failed { reason },
        }
    }
}
