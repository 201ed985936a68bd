//! What an authorization server says about itself (RFC 8414, OIDC Discovery 1.0).
//!
//! Invariants:
//! - M1 The server is who was asked for: its `issuer` is the one that the address was made of, but
//!   for one `/` at the end (threat O4). With the `/` left out or put in, the two are the same host
//!   and path to everybody; libraries for both ends add it.
//! - M2 Every endpoint is one that we would send something to (threat O5); one that is not spoils
//!   the whole document, since a login that starts with it must not fall back to something else.
//!
//! Endpoints may be of other hosts than the issuer: Google's are.

use serde_json::{Map, Value};

use super::{Incoming, address, answer};

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
    /// There is none at this address (404 and the like, or a page); the next one may have it.
    #[error("the server has none there (status {0})")]
    Absent(u16),
    /// It cannot be used.
    #[error("{0}")]
    Unusable(String),
}

/// Most of a server's own words in an error.
const QUOTED_MAX: usize = 200;

/// The addresses where the metadata of `issuer` may be, best first (RFC 8414 section 3.1, OIDC
/// Discovery section 4): path-inserted, then appended. None if it is no `https` address.
pub fn addresses(issuer: &str) -> Vec<String> {
    let Some(url) = address::issuer(issuer) else {
        return Vec::new();
    };
    let path = address::without_slash(url.path());
    let mut all = vec![
        address::well_known(&url, "oauth-authorization-server", path),
        address::well_known(&url, "openid-configuration", path),
    ];
    if !path.is_empty() {
        let mut appended = url.clone();
        appended.set_path(&format!("{path}/.well-known/openid-configuration"));
        all.push(appended.into());
    }
    all
}

/// Reads what stood at one of them. The issuer in it must be `issuer` (RFC 8414 section 3.3), and
/// S256 must not be ruled out by `code_challenge_methods_supported`.
pub fn read(answer: &Incoming, issuer: &str) -> Result<Metadata, MetadataError> {
    let document = document(answer)?;
    let named = text(&document, "issuer")?.ok_or_else(|| missing("issuer"))?;
    if address::issuer(named).is_none()
        || address::without_slash(named) != address::without_slash(issuer)
    {
        return Err(MetadataError::Unusable(format!(
            "it calls itself `{}`, not `{}`",
            answer::short(named, QUOTED_MAX),
            answer::short(issuer, QUOTED_MAX)
        )));
    }
    let methods = present(&document, "code_challenge_methods_supported");
    if methods.is_some() && !lists(methods, "S256") {
        return Err(MetadataError::Unusable(
            "it does not take PKCE with S256, without which a login can be stolen".into(),
        ));
    }
    let ways = present(&document, "token_endpoint_auth_methods_supported");
    Ok(Metadata {
        issuer: named.to_owned(),
        authorization_endpoint: endpoint(&document, "authorization_endpoint")?,
        token_endpoint: endpoint(&document, "token_endpoint")?
            .ok_or_else(|| missing("token_endpoint"))?,
        registration_endpoint: endpoint(&document, "registration_endpoint")?,
        revocation_endpoint: endpoint(&document, "revocation_endpoint")?,
        device_authorization_endpoint: endpoint(&document, "device_authorization_endpoint")?,
        scopes_supported: answer::scopes(answer::texts(document.get("scopes_supported"))),
        names_itself: document.get("authorization_response_iss_parameter_supported")
            == Some(&Value::Bool(true)),
        // without a list it is `client_secret_basic` alone (RFC 8414 section 2)
        takes_public_clients: lists(ways, "none"),
        takes_secret_in_body: lists(ways, "client_secret_post"),
    })
}

/// The JSON object that stood somewhere well known. Servers that answer everything with their start
/// page have none there.
pub(super) fn document(answer: &Incoming) -> Result<Map<String, Value>, MetadataError> {
    let absent = MetadataError::Absent(answer.status.as_u16());
    if answer.status != http::StatusCode::OK {
        return Err(absent);
    }
    serde_json::from_slice(&answer.body).map_err(|_| absent)
}

/// A member that is a text; an error if it is something else.
pub(super) fn text<'a>(
    document: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, MetadataError> {
    match present(document, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(MetadataError::Unusable(format!("its `{name}` is no text"))),
    }
}

/// What is said when something has to be there.
pub(super) fn missing(name: &str) -> MetadataError {
    MetadataError::Unusable(format!("it has no `{name}`"))
}

fn endpoint(
    document: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<String>, MetadataError> {
    let Some(text) = text(document, name)? else {
        return Ok(None);
    };
    match address::endpoint(text) {
        Some(url) => Ok(Some(url.into())),
        None => Err(MetadataError::Unusable(format!(
            "its `{name}` is no `https` address: `{}`",
            answer::short(text, QUOTED_MAX)
        ))),
    }
}

/// A member that is there: `null` is not.
fn present<'a>(document: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    document.get(name).filter(|value| !value.is_null())
}

fn lists(list: Option<&Value>, wanted: &str) -> bool {
    answer::texts(list).any(|text| text == wanted)
}

#[cfg(test)]
mod tests;
