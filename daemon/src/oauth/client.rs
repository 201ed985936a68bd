//! Who we are to an authorization server, and how it is told (RFC 6749 section 2.3).

use authsome_proto::Secret;

use crate::providers::ClientAuth;

/// A registered client.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its public name.
    pub id: String,
    /// Its secret; a public client has none.
    pub secret: Option<Secret>,
    /// How the secret reaches the token endpoint.
    pub auth: ClientAuth,
}
