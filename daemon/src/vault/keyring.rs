//! The keyring of Linux: items in the Secret Service.
//!
//! An item has the attributes `service` = `authsome` and `username` = `HOME-ID/provider/connection`,
//! by which it is found, and `home`, `provider`, `connection` (or `webhook`) for people and their tools; its label
//! is `authsome: intercom (default)`.
//!
//! Each call: ask whether the keyring is there and open ([`super::secret_service`]); then let the
//! library do the work; if it fails as a platform, drop everything, build it anew and try once more.
//! The library keeps a session that dies with the service, and would answer `NoSession` for ever.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use keyring_core::api::CredentialStoreApi as _;
use keyring_core::{Entry, Error};
use zbus_secret_service_keyring_store::Store;
use zeroize::Zeroizing;

use super::error::VaultError;
use super::item::ItemKey;
use super::keyring_errors::convert;
use super::secret_service::{self, Answer, Bus};

const SERVICE: &str = "authsome";

/// How much earlier than its caller the worker stops waiting for the user, so that the caller
/// reads "locked" and not "timed out".
const MARGIN: Duration = Duration::from_millis(500);

/// The Secret Service, connected when first used.
pub(super) struct Keyring {
    home_id: String,
    bus: Option<Bus>,
    store: Option<Arc<Store>>,
    /// A question that the user has not answered yet. One at a time: ten commands against a locked
    /// keyring must not open ten windows.
    question: Option<Receiver<Answer>>,
}

impl Keyring {
    pub(super) fn new(home_id: &str) -> Self {
        Self {
            home_id: home_id.to_owned(),
            bus: None,
            store: None,
            question: None,
        }
    }

    pub(super) fn put(
        &mut self,
        key: &ItemKey,
        text: &[u8],
        until: Instant,
    ) -> Result<(), VaultError> {
        let attributes = attributes(&self.home_id, key);
        self.with_entry(key, until, |entry| {
            entry.set_secret(text)?;
            let attributes = attributes
                .iter()
                .map(|(name, value)| (*name, value.as_str()));
            entry.update_attributes(&attributes.collect())
        })
    }

    pub(super) fn get(
        &mut self,
        key: &ItemKey,
        until: Instant,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        self.with_entry(key, until, |entry| match entry.get_secret() {
            Ok(text) => Ok(Some(Zeroizing::new(text))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(error),
        })
    }

    pub(super) fn delete(&mut self, key: &ItemKey, until: Instant) -> Result<bool, VaultError> {
        self.with_entry(key, until, |entry| match entry.delete_credential() {
            Ok(()) => Ok(true),
            Err(Error::NoEntry) => Ok(false),
            Err(error) => Err(error),
        })
    }

    /// Whether the keyring is there and open; asks nobody to open it.
    pub(super) fn check(&mut self) -> Result<(), VaultError> {
        if self.is_locked()? {
            Err(VaultError::Locked)
        } else {
            Ok(())
        }
    }

    fn with_entry<T>(
        &mut self,
        key: &ItemKey,
        until: Instant,
        act: impl Fn(&Entry) -> Result<T, Error>,
    ) -> Result<T, VaultError> {
        match self.attempt(key, until, &act) {
            Err(VaultError::Platform(error)) => {
                tracing::info!(error = %error, "the keyring was restarted or failed; connecting again");
                self.disconnect();
                self.attempt(key, until, &act)
            }
            answer => answer,
        }
    }

    fn attempt<T>(
        &mut self,
        key: &ItemKey,
        until: Instant,
        act: impl Fn(&Entry) -> Result<T, Error>,
    ) -> Result<T, VaultError> {
        self.open(until)?;
        let store = if let Some(store) = &self.store {
            Arc::clone(store)
        } else {
            let store = Store::new().map_err(|error| convert(key, error))?;
            Arc::clone(self.store.insert(store))
        };
        let user = format!("{}/{key}", self.home_id);
        let label = label(key);
        let modifiers = HashMap::from([("label", label.as_str())]);
        store
            .build(SERVICE, &user, Some(&modifiers))
            .and_then(|entry| act(&entry))
            .map_err(|error| convert(key, error))
    }

    /// Makes sure that the keyring is there and open, and where it is locked and a desktop can show
    /// the question, waits for the user.
    fn open(&mut self, until: Instant) -> Result<(), VaultError> {
        if !self.is_locked()? {
            self.question = None;
            return Ok(());
        }
        if !secret_service::can_ask() {
            return Err(VaultError::Locked);
        }
        let question = match self.question.take() {
            Some(question) => question,
            None => secret_service::ask_to_unlock()?,
        };
        let patience = until
            .saturating_duration_since(Instant::now())
            .saturating_sub(MARGIN);
        match question.recv_timeout(patience) {
            Ok(Answer::Unlocked) => Ok(()),
            Ok(Answer::Dismissed) => Err(VaultError::Denied),
            Err(RecvTimeoutError::Timeout) => {
                self.question = Some(question);
                Err(VaultError::Locked)
            }
            // it could not be asked
            Err(RecvTimeoutError::Disconnected) => Err(VaultError::Locked),
        }
    }

    /// Whether the keyring is locked; connects anew if the old connection is of no use.
    fn is_locked(&mut self) -> Result<bool, VaultError> {
        if let Some(bus) = &self.bus {
            match bus.is_locked() {
                Err(VaultError::Platform(_)) => self.disconnect(),
                answer => return answer,
            }
        }
        self.bus.insert(Bus::connect()?).is_locked()
    }

    fn disconnect(&mut self) {
        self.store = None;
        self.bus = None;
    }
}

/// What a person reads in a keyring program.
fn label(key: &ItemKey) -> String {
    match key {
        ItemKey::Connection {
            provider,
            connection,
        } => {
            format!("authsome: {provider} ({connection})")
        }
        ItemKey::Client { provider, server } => {
            format!("authsome: OAuth client of {provider} at {server}")
        }
        ItemKey::Install => "authsome: install secret".to_owned(),
        ItemKey::Webhook { webhook } => format!("authsome: webhook {webhook}"),
    }
}

/// The attributes beside those by which the library finds the item.
fn attributes(home_id: &str, key: &ItemKey) -> Vec<(&'static str, String)> {
    let mut attributes = vec![("home", home_id.to_owned())];
    match key {
        ItemKey::Connection {
            provider,
            connection,
        } => {
            attributes.push(("provider", provider.to_string()));
            attributes.push(("connection", connection.to_string()));
        }
        ItemKey::Client { provider, server } => {
            attributes.push(("provider", provider.to_string()));
            attributes.push(("server", server.clone()));
        }
        ItemKey::Install => {}
        ItemKey::Webhook { webhook } => attributes.push(("webhook", webhook.to_string())),
    }
    attributes
}
