//! The address that the browser is sent to (RFC 6749 section 4.1.1).

use super::pkce::{Pkce, State};

/// An authorization request.
#[derive(Debug)]
pub struct Authorization<'a> {
    /// The server's authorization endpoint; its own query is kept.
    pub endpoint: &'a str,
    /// Who asks.
    pub client_id: &'a str,
    /// Where the answer goes.
    pub redirect_uri: &'a str,
    /// What is asked for; nothing is said if empty.
    pub scopes: &'a [String],
    /// Ties the answer to this login.
    pub state: &'a State,
    /// Ties the code to this login.
    pub pkce: &'a Pkce,
    /// The resource that the token is for (RFC 8707).
    pub resource: Option<&'a str>,
    /// What the provider wants beside that, such as `access_type=offline`.
    pub params: &'a [(String, String)],
}

impl Authorization<'_> {
    /// The whole address; `None` if the endpoint is no `https` address. A parameter of ours is
    /// never overridden by the provider's.
    pub fn url(&self) -> Option<String> {
        todo!()
    }
}
