//! RFC 7636, the client's side, independent of the product's.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::canary::Canary;

/// A verifier and its challenge (S256).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pkce {
    /// `code_verifier`.
    pub verifier: String,
    /// `code_challenge`.
    pub challenge: String,
}

impl Pkce {
    /// A new pair.
    pub fn new() -> Self {
        Self::of(Canary::alphanumeric("verifier-of-a-test-").secret())
    }

    /// The pair of a verifier.
    pub fn of(verifier: &str) -> Self {
        Self {
            verifier: verifier.to_owned(),
            challenge: URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)),
        }
    }
}

impl Default for Pkce {
    fn default() -> Self {
        Self::new()
    }
}
