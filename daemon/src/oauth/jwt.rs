//! A service account's key file, and the assertion that is signed with it (RFC 7523, Google's
//! `service_account` JSON).

use authsome_proto::Secret;

/// A service account. The key is checked when it is read: RSA, 2048 bits or more.
#[derive(Debug, Clone)]
pub struct ServiceAccount {
    /// Who it is: `client_email`.
    pub email: String,
    /// Where its assertions are taken: `token_uri`, `https`.
    pub token_uri: String,
    /// The whole file, as it is stored.
    file: Secret,
}

/// Why a key file cannot be used. Never quotes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadKeyFile(pub &'static str);

impl ServiceAccount {
    /// Reads a key file.
    pub fn read(file: Secret) -> Result<Self, BadKeyFile> {
        drop(file);
        todo!()
    }

    /// The file, to be stored.
    pub fn file(&self) -> &Secret {
        &self.file
    }

    /// An RS256 assertion for `scopes`, good from `now` (seconds since 1970) for an hour.
    pub fn assertion(&self, scopes: &[String], now: u64) -> Result<Secret, BadKeyFile> {
        drop((scopes, now));
        todo!()
    }
}
