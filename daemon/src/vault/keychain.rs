//! The keyring of macOS, through the `keyring` crate's own choice of the platform's store.
//!
//! The Keychain has neither sessions that die nor attributes of our own, so the plain
//! service/user/secret entry is all that is needed. Untested: nobody could run it so far; on Linux
//! it is only type-checked.
#![cfg_attr(
    not(target_os = "macos"),
    expect(dead_code, reason = "type-checked only")
)]

use std::time::Instant;

use keyring::{Entry, Error};
use zeroize::Zeroizing;

use super::error::VaultError;
use super::item::ItemKey;
use super::keyring_errors::convert;

/// The user's default keychain.
pub(super) struct Keyring {
    home_id: String,
}

impl Keyring {
    pub(super) fn new(home_id: &str) -> Self {
        Self {
            home_id: home_id.to_owned(),
        }
    }

    pub(super) fn put(&mut self, key: &ItemKey, text: &[u8], _: Instant) -> Result<(), VaultError> {
        self.entry(key)?
            .set_secret(text)
            .map_err(|error| convert(key, error))
    }

    pub(super) fn get(
        &mut self,
        key: &ItemKey,
        _: Instant,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        match self.entry(key)?.get_secret() {
            Ok(text) => Ok(Some(Zeroizing::new(text))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(convert(key, error)),
        }
    }

    pub(super) fn delete(&mut self, key: &ItemKey, _: Instant) -> Result<bool, VaultError> {
        match self.entry(key)?.delete_credential() {
            Ok(()) => Ok(true),
            Err(Error::NoEntry) => Ok(false),
            Err(error) => Err(convert(key, error)),
        }
    }

    /// Whether the keychain can be used; asks nobody.
    #[expect(clippy::unused_self, reason = "the same shape as the Secret Service's")]
    pub(super) fn check(&mut self) -> Result<(), VaultError> {
        match Entry::store_status() {
            Ok(()) => Ok(()),
            Err(error) => Err(VaultError::Absent(error.to_string().into())),
        }
    }

    fn entry(&self, key: &ItemKey) -> Result<Entry, VaultError> {
        Entry::new("authsome", &format!("{}/{key}", self.home_id))
            .map_err(|error| convert(key, error))
    }
}
