//! What stands beside an access token in the vault: where it came from, and how the next one is had.
//!
//! All of one connection's tokens are in one item, so that a write either gives the new pair or
//! leaves the old one (threats O7, S1).

use authsome_proto::Secret;
use serde::{Deserialize, Serialize};

use crate::oauth::Client;
use crate::providers::{ClientAuth, Flow};

/// An OAuth grant.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredGrant {
    /// The flow that it came from.
    pub flow: Flow,
    /// How the next access token is had.
    pub renewal: Renewal,
    /// When the access token came, in seconds since 1970 by this machine's clock.
    pub issued_at: i64,
    /// How long it is good, in seconds, where the server said something believable.
    pub lifetime: Option<u64>,
    /// Scopes that were granted, or asked for where the server was silent.
    pub scopes: Vec<String>,
    /// The client that it was given to; a refresh token is good for no other (RFC 6749 section 6).
    pub client: Option<StoredClient>,
    /// Where the next one is had: no later answer moves it elsewhere (threat O4).
    pub token_url: String,
    /// Where it is given back.
    pub revocation_url: Option<String>,
    /// The resource that it is for (RFC 8707).
    pub resource: Option<String>,
    /// Whether the server replaces the refresh token each time it is used; unknown until it was.
    pub rotates: Option<bool>,
    /// A renewal was about to be sent at that time (seconds since 1970), and nothing is known of its
    /// end. A server that rotates may have replaced the refresh token already.
    pub renewing_since: Option<i64>,
}

/// How the next access token is had.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Renewal {
    /// Not at all: a person logs in again.
    None,
    /// For a refresh token.
    RefreshToken(Secret),
    /// For the client's own credentials.
    ClientCredentials,
    /// For an assertion signed with the key of this service account's file.
    ServiceAccount(Secret),
}

/// A client as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredClient {
    /// Its public id.
    pub id: String,
    /// Its secret.
    pub secret: Option<Secret>,
    /// How the secret is sent.
    pub auth: ClientAuth,
}

impl StoredGrant {
    /// Bytes of all secrets together.
    pub(super) fn secrets_len(&self) -> usize {
        let renewal = match &self.renewal {
            Renewal::None | Renewal::ClientCredentials => 0,
            Renewal::RefreshToken(secret) | Renewal::ServiceAccount(secret) => secret.len(),
        };
        let client = self.client.as_ref().and_then(|it| it.secret.as_ref());
        renewal + client.map_or(0, Secret::len)
    }

    /// Room that it takes as JSON at most, in bytes.
    pub(super) fn room(&self) -> usize {
        let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let texts = self.secrets_len()
            + self
                .scopes
                .iter()
                .map(|scope| scope.len() + 1)
                .sum::<usize>()
            + self.client.as_ref().map_or(0, |client| client.id.len())
            + self.token_url.len()
            + optional(&self.revocation_url)
            + optional(&self.resource);
        texts * 6 + 1024
    }
}

impl From<StoredClient> for Client {
    fn from(client: StoredClient) -> Self {
        Self {
            id: client.id,
            secret: client.secret,
            auth: client.auth,
        }
    }
}

impl From<Client> for StoredClient {
    fn from(client: Client) -> Self {
        Self {
            id: client.id,
            secret: client.secret,
            auth: client.auth,
        }
    }
}
