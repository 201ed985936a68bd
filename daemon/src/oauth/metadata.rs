//! What an authorization server says about itself (RFC 8414, OpenID Connect Discovery 1.0).

use super::Incoming;

/// A server's endpoints. All are `https` and none has a user part or a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Its name.
    pub issuer: String,
    /// Where the browser is sent.
    pub authorization_endpoint: Option<String>,
    /// Where tokens come from.
    pub token_endpoint: String,
    /// Where clients register.
    pub registration_endpoint: Option<String>,
    /// Where tokens are given back.
    pub revocation_endpoint: Option<String>,
    /// Where device codes come from.
    pub device_authorization_endpoint: Option<String>,
    /// Scopes it knows.
    pub scopes_supported: Vec<String>,
    /// Whether it names itself in its answers (RFC 9207).
    pub names_itself: bool,
    /// Whether clients without a secret are taken.
    pub takes_public_clients: bool,
    /// Whether the secret may stand in the body; else `Basic`.
    pub takes_secret_in_body: bool,
}

/// Why it cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// There is none at this address (404 and the like); the next one may have it.
    #[error("the server answered with status {0}")]
    Absent(u16),
    /// It cannot be used.
    #[error("{0}")]
    Unusable(String),
}

/// The addresses where the metadata of `issuer` may be, best first (RFC 8414 section 3.1, OpenID
/// Connect Discovery section 4): path-inserted, then appended. None if it is no `https` address.
pub fn addresses(issuer: &str) -> Vec<String> {
    drop(issuer);
    todo!()
}

/// Reads what stood at one of them. The issuer in it must be `issuer` (RFC 8414 section 3.3), and
/// S256 must not be ruled out by `code_challenge_methods_supported`.
pub fn read(answer: &Incoming, issuer: &str) -> Result<Metadata, MetadataError> {
    drop((answer, issuer));
    todo!()
}
