//! What is stored, under which name, and how it is written.
//!
//! An item is one line of JSON in both stores: `{"v":1,"name":"intercom/default","secret":…}`. It
//! carries its own name, so that a person who recovers a file knows what it is, and so that an item
//! that was moved to another's place is refused instead of sent to the wrong host.

use std::fmt;

use authsome_proto::secret::SECRET_MAX;
use authsome_proto::{ConnectionName, ProviderName, Secret, WebhookName};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::VaultError;
use super::grant::StoredGrant;

/// The version of the JSON that this program writes.
const VERSION: u64 = 1;

/// Longest item in bytes: a secret and a grant of [`SECRET_MAX`] each with every character escaped,
/// and its hosts.
pub(super) const ITEM_MAX: u64 = 1024 * 1024;

/// The name of one item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ItemKey {
    /// The credential of a connection.
    Connection {
        /// Its provider.
        provider: ProviderName,
        /// Its name among the connections of that provider.
        connection: ConnectionName,
    },
    /// The install secret.
    Install,
    /// An OAuth client.
    Client {
        /// Its provider.
        provider: ProviderName,
        /// The host that it is registered at.
        server: String,
    },
    /// The live secrets of a webhook's endpoint.
    Webhook {
        /// Its name.
        webhook: WebhookName,
    },
}

impl fmt::Display for ItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection {
                provider,
                connection,
            } => write!(f, "{provider}/{connection}"),
            Self::Install => f.write_str("install"),
            // names have no colon, so no connection of a provider `client` or `webhook` is meant by
            // these
            Self::Client { provider, server } => write!(f, "client:{provider}@{server}"),
            Self::Webhook { webhook } => write!(f, "webhook:{webhook}"),
        }
    }
}

/// One stored credential with what must be remembered beside it.
#[derive(Debug, Clone)]
pub struct StoredItem {
    /// The credential.
    pub secret: Secret,
    /// The hosts of the definition when it was stored; one that a definition gains later gets
    /// nothing until a person confirms it (threat L12).
    pub hosts: Vec<String>,
    /// When it was stored, RFC 3339.
    pub stored_at: String,
    /// Where an access token came from, and how the next one is had.
    pub grant: Option<StoredGrant>,
}

#[derive(Serialize)]
struct Written<'a> {
    v: u64,
    name: &'a str,
    secret: &'a Secret,
    hosts: &'a [String],
    stored_at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<&'a StoredGrant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    #[serde(rename = "v")]
    _v: u64,
    name: String,
    secret: Secret,
    hosts: Vec<String>,
    stored_at: String,
    grant: Option<StoredGrant>,
}

#[derive(Deserialize)]
struct Version {
    v: u64,
}

/// The text of `item` as it is stored under `key`.
pub(super) fn encode(key: &ItemKey, item: &StoredItem) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    if item.secret.len() > SECRET_MAX {
        return Err(VaultError::TooLarge {
            len: item.secret.len(),
            max: SECRET_MAX,
        });
    }
    if let Some(len) = item.grant.as_ref().map(StoredGrant::secrets_len)
        && len > SECRET_MAX
    {
        return Err(VaultError::TooLarge {
            len,
            max: SECRET_MAX,
        });
    }
    let name = key.to_string();
    let grant = item.grant.as_ref().map_or(0, StoredGrant::room);
    let hosts: usize = item.hosts.iter().map(|host| host.len() * 6 + 3).sum();
    // an escaped character takes at most six bytes: the buffer never grows, so no copy is left
    let mut text = Zeroizing::new(Vec::with_capacity(
        item.secret.len() * 6 + hosts + grant + 1024,
    ));
    let written = Written {
        v: VERSION,
        name: &name,
        secret: &item.secret,
        hosts: &item.hosts,
        stored_at: &item.stored_at,
        grant: item.grant.as_ref(),
    };
    serde_json::to_writer(&mut *text, &written)
        .map_err(|_| corrupt(key, "it cannot be written"))?;
    Ok(text)
}

/// The item whose stored text is `text`, which must name `key`. No error quotes the text.
pub(super) fn decode(key: &ItemKey, text: &[u8]) -> Result<StoredItem, VaultError> {
    // serde's own message may quote what it did not understand
    let Version { v } =
        serde_json::from_slice(text).map_err(|_| corrupt(key, "it is not one of our items"))?;
    if v > VERSION {
        return Err(VaultError::NewerVersion {
            what: format!("`{key}`"),
            found: v,
        });
    }
    let read: Read =
        serde_json::from_slice(text).map_err(|_| corrupt(key, "it is not one of our items"))?;
    if read.name != key.to_string() {
        return Err(corrupt(key, "another item stands in its place"));
    }
    Ok(StoredItem {
        secret: read.secret,
        hosts: read.hosts,
        stored_at: read.stored_at,
        grant: read.grant,
    })
}

pub(super) fn corrupt(key: &ItemKey, reason: &str) -> VaultError {
    VaultError::Corrupt {
        what: format!("the stored item `{key}`"),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> ItemKey {
        ItemKey::Connection {
            provider: "intercom".parse().unwrap(),
            connection: ConnectionName::default_name(),
        }
    }

    fn item(secret: &str) -> StoredItem {
        StoredItem {
            secret: Secret::new(secret.to_owned()),
            hosts: vec!["api.intercom.io".to_owned()],
            stored_at: "2026-01-01T00:00:00Z".to_owned(),
            grant: None,
        }
    }

    #[test]
    fn golden_v1_item() {
        let text = encode(&key(), &item("tok_1")).unwrap();
        assert_eq!(
            std::str::from_utf8(&text).unwrap(),
            r#"{"v":1,"name":"intercom/default","secret":"tok_1","hosts":["api.intercom.io"],"stored_at":"2026-01-01T00:00:00Z"}"#
        );
    }

    #[test]
    fn no_two_kinds_of_items_share_a_name() {
        let webhook = ItemKey::Webhook {
            webhook: "install".parse().unwrap(),
        };
        assert_eq!(webhook.to_string(), "webhook:install");
        assert!("webhook:install".parse::<ProviderName>().is_err());
    }

    #[test]
    fn an_item_in_anothers_place_is_refused() {
        let text = encode(&key(), &item("tok_1")).unwrap();
        let error = decode(&ItemKey::Install, &text).unwrap_err();
        assert!(matches!(error, VaultError::Corrupt { .. }), "{error}");
    }

    #[test]
    fn a_newer_item_is_refused_as_newer() {
        let error = decode(&key(), br#"{"v":2,"anything":["else"]}"#).unwrap_err();
        assert!(
            matches!(error, VaultError::NewerVersion { found: 2, .. }),
            "{error}"
        );
    }

    #[test]
    fn a_secret_over_the_limit_is_refused() {
        assert!(encode(&key(), &item(&"x".repeat(SECRET_MAX))).is_ok());
        let error = encode(&key(), &item(&"x".repeat(SECRET_MAX + 1))).unwrap_err();
        assert!(matches!(error, VaultError::TooLarge { .. }), "{error}");
    }

    /// S7: no damage panics, none goes unnoticed where it matters, and no error quotes the secret.
    #[test]
    fn every_flipped_bit_gives_an_error_or_the_same_name() {
        let text = encode(&key(), &item("hunter2")).unwrap();
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut damaged = text.to_vec();
                damaged[at] ^= 1 << bit;
                if let Err(error) = decode(&key(), &damaged) {
                    assert!(
                        !format!("{error} {error:?}").contains("hunter"),
                        "{error:?}"
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn items_round_trip_without_growing_the_buffer(secret in any::<String>(), hosts in proptest::collection::vec(any::<String>(), 0..4)) {
            let item = StoredItem { secret: Secret::new(secret.clone()), hosts: hosts.clone(), stored_at: "t".to_owned(), grant: None };
            let room = secret.len() * 6 + hosts.iter().map(|host| host.len() * 6 + 3).sum::<usize>() + 1024;
            let text = encode(&key(), &item).unwrap();
            prop_assert!(text.len() <= room);
            let read = decode(&key(), &text).unwrap();
            prop_assert_eq!(read.secret.expose(), secret);
            prop_assert_eq!(read.hosts, hosts);
        }

        #[test]
        fn any_bytes_decode_without_a_panic(text in any::<Vec<u8>>()) {
            drop(decode(&key(), &text));
        }
    }
}
