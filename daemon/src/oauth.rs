//! OAuth 2.0 as a client speaks it: what is sent to an authorization server, and what its answers
//! are worth.
//!
//! | module | what | source |
//! | --- | --- | --- |
//! | `pkce`, `authorize`, `callback` | the code flow up to its code | RFC 6749, 7636, 8252, 9207 |
//! | `client`, `token` | who we are; codes, refresh tokens and assertions for tokens | RFC 6749, 8707 |
//! | `device` | a code that is typed on another device | RFC 8628 |
//! | `jwt` | a service account's key for tokens | RFC 7523 |
//! | `metadata`, `resource`, `register` | finding a server, and registering there | RFC 8414, 9728, 7591 |
//! | `life` | how long a token is good, and when the next one is asked for | |
//! | `revoke` | giving tokens back | RFC 7009 |
//! | `form`, `said` | forms that hold secrets; a server's words, fit to be shown | |
//! | `http` | one exchange with a server | |
//! | `address`, `answer`, `form` | addresses, words and refusals of servers; bodies for them | |
//!
//! All but `http` is pure: bytes and values in, bytes and decisions out.
//!
//! Invariants:
//! - O1 PKCE is S256, always; a state is used once and looked at before anything else that came
//!   with it (threats O3, O4).
//! - O2 Endpoints are `https`, and all of one login's are of one server's (threats O4, O5).
//! - O3 No error, no `Debug` and no log line holds a code, a token, a verifier or a secret.
//!
//! Not here: who renews a token (`broker/renew.rs`), how a person goes through a login
//! (`broker/login`), where tokens rest (`vault`).

mod address;
mod answer;
pub mod authorize;
pub mod callback;
pub mod client;
pub mod device;
mod form;
pub mod http;
mod json;
pub mod jwt;
pub mod life;
pub mod metadata;
pub mod pkce;
pub mod register;
pub mod resource;
pub mod revoke;
mod said;
pub mod token;

pub use client::Client;
pub use token::{Grant, TokenError, Tokens};

use ::http::{HeaderMap, StatusCode};
use zeroize::Zeroizing;

/// A request to one of a server's endpoints: `POST` with a body, else `GET`.
pub struct Outgoing {
    /// Further headers; what identifies the client is marked sensitive.
    pub headers: HeaderMap,
    /// Type and content.
    pub body: Option<(&'static str, Zeroizing<Vec<u8>>)>,
}

/// What came back, not longer than [`http::ANSWER_MAX`].
pub struct Incoming {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; may hold tokens.
    pub body: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outgoing").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
