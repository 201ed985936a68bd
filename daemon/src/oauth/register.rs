//! Registering as a client (RFC 7591).
//!
//! Redirect URIs in the answer are not compared: a server that keeps another one refuses ours in
//! the authorization request, and a code never goes anywhere but to the address that is sent there.
//!
//! On failure: `invalid_redirect_uri` and the like are [`TokenError::Refused`].

use authsome_proto::Secret;
use serde::Deserialize;

use super::{Client, Incoming, Outgoing, TokenError, answer, json};
use crate::providers::ClientAuth;

/// Longest client id that is taken. Some servers put a whole signed registration into it.
const ID_MAX: usize = 4096;

/// Longest client secret that is taken, for the same reason.
const SECRET_MAX: usize = 4096;

/// The request: a native client with a loopback redirect, the code flow, and no secret if the server
/// takes that (`public`).
pub fn request(redirect_uri: &str, scopes: &[String], public: bool) -> Outgoing {
    let method = if public {
        "none"
    } else {
        "client_secret_basic"
    };
    let mut body = serde_json::json!({
        "client_name": "authsome",
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
        // OpenID Connect Registration: a web client may have no loopback redirect
        "application_type": "native",
    });
    if !scopes.is_empty()
        && let Some(body) = body.as_object_mut()
    {
        body.insert("scope".into(), scopes.join(" ").into());
    }
    Outgoing {
        headers: json::headers(),
        body: Some((json::TYPE, body.to_string().into_bytes().into())),
    }
}

/// The client that the server made (section 3.2.1); its `token_endpoint_auth_method` decides how the
/// secret is sent.
pub fn read(answer: &Incoming) -> Result<Client, TokenError> {
    if let Some(error) = answer::refusal(answer) {
        return Err(error);
    }
    let body: Body = serde_json::from_slice(&answer.body)
        .map_err(|_| TokenError::Malformed("it is no JSON object with a client id"))?;
    let id = body.client_id;
    if !(1..=ID_MAX).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenError::Malformed("its client id is none"));
    }
    let secret = body.client_secret.filter(|secret| !secret.is_empty());
    if secret.as_ref().is_some_and(|secret| !can_be_sent(secret)) {
        return Err(TokenError::Malformed("its client secret is none"));
    }
    let (secret, auth) = match body.token_endpoint_auth_method.as_deref() {
        // a secret that is not asked for is not sent
        Some("none") => (None, ClientAuth::Body),
        Some("client_secret_post") => (secret, ClientAuth::Body),
        // the default of section 2
        Some("client_secret_basic") | None => (secret, ClientAuth::Basic),
        Some(_) => {
            return Err(TokenError::Malformed(
                "it wants the client to authenticate in a way that is not supported",
            ));
        }
    };
    Ok(Client { id, secret, auth })
}

/// Section 3.2.1.
#[derive(Deserialize)]
struct Body {
    client_id: String,
    client_secret: Option<Secret>,
    token_endpoint_auth_method: Option<String>,
}

/// RFC 6749 appendix A.2.
fn can_be_sent(secret: &Secret) -> bool {
    secret.len() <= SECRET_MAX
        && secret
            .expose()
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

#[cfg(test)]
mod tests;
