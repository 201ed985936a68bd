//! Registering as a client (RFC 7591).

use super::{Client, Incoming, Outgoing, TokenError};

/// The request: a native client with a loopback redirect, the code flow, and no secret if the server
/// takes that (`public`).
pub fn request(redirect_uri: &str, scopes: &[String], public: bool) -> Outgoing {
    drop((redirect_uri, scopes, public));
    todo!()
}

/// The client that the server made (section 3.2.1); its `token_endpoint_auth_method` decides how the
/// secret is sent.
pub fn read(answer: &Incoming) -> Result<Client, TokenError> {
    drop(answer);
    todo!()
}
