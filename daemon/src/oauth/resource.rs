//! What a protected resource, such as an MCP server, says about who guards it (RFC 9728).
//!
//! 1. The resource refuses a request; [`challenge`] may say where its metadata is.
//! 2. Else it is at one of its [`addresses`].
//! 3. [`read`] gives the authorization servers, whose own metadata comes next (`metadata.rs`).
//!
//! Invariant: tokens are asked for what was asked for, not for what a document found on the way
//! calls itself (section 7.3, threat O5).

mod challenges;

use http::{HeaderMap, header::WWW_AUTHENTICATE};
use url::Url;

use super::metadata::{self, MetadataError};
use super::{Incoming, address, answer};

/// Longest name that is shown.
const NAME_MAX: usize = 100;

/// Most authorization servers that are looked at; each costs a person's patience if it is dead.
const SERVERS_MAX: usize = 8;

/// Most of a server's own words in an error.
const QUOTED_MAX: usize = 200;

/// A resource's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its identifier: sent as `resource` (RFC 8707).
    pub resource: String,
    /// Its authorization servers, never empty; `https`.
    pub authorization_servers: Vec<String>,
    /// Scopes that it wants.
    pub scopes_supported: Vec<String>,
    /// Its name for people; printable and short.
    pub name: Option<String>,
}

/// What `WWW-Authenticate` of a 401 says (RFC 9728 section 5.1, RFC 6750 section 3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Challenge {
    /// Where the metadata is.
    pub resource_metadata: Option<String>,
    /// Scopes that would do.
    pub scopes: Vec<String>,
}

/// Reads the `Bearer` challenges of an answer; several headers and several schemes in one header
/// are taken apart as RFC 9110 section 11.6.1 says.
pub fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let bearer: Vec<_> = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .flat_map(|value| challenges::parse(&String::from_utf8_lossy(value.as_bytes())))
        .filter(|challenge| challenge.scheme == "bearer")
        .collect();
    if bearer.is_empty() {
        return None;
    }
    let resource_metadata = bearer
        .iter()
        .filter_map(|challenge| challenge.parameter("resource_metadata"))
        .find_map(address::endpoint)
        .map(Into::into);
    let scopes = bearer
        .iter()
        .filter_map(|challenge| challenge.parameter("scope"))
        .map(|text| answer::scopes(text.split(' ')))
        .find(|scopes| !scopes.is_empty());
    Some(Challenge {
        resource_metadata,
        scopes: scopes.unwrap_or_default(),
    })
}

/// Where the metadata of `resource` may be, best first (section 3.1): with its path, then without.
/// A `/` at the end of the path is tried with and without: section 3.1 keeps it, most servers serve
/// the other. None if it is no `https` address.
pub fn addresses(resource: &str) -> Vec<String> {
    let Some(url) = address::endpoint(resource) else {
        return Vec::new();
    };
    let mut root = url.clone();
    root.set_query(None);
    let path = if url.path() == "/" { "" } else { url.path() };
    let at = |url: &Url, path| address::well_known(url, "oauth-protected-resource", path);
    let mut all = vec![
        at(&url, path),
        at(&url, address::without_slash(path)),
        at(&root, ""),
    ];
    all.dedup();
    all
}

/// Reads it. `resource` in it must be what was asked for, or a prefix of it that ends at a segment
/// (section 3.3: else somebody stands in for another).
pub fn read(answer: &Incoming, asked: &str) -> Result<Resource, MetadataError> {
    let document = metadata::document(answer)?;
    let named =
        metadata::text(&document, "resource")?.ok_or_else(|| metadata::missing("resource"))?;
    let fits = address::endpoint(named)
        .zip(address::endpoint(asked))
        .is_some_and(|(named, asked)| covers(&named, &asked));
    if !fits {
        return Err(MetadataError::Unusable(format!(
            "it is about `{}`, not about `{}`",
            answer::short(named, QUOTED_MAX),
            answer::short(asked, QUOTED_MAX)
        )));
    }
    // as written: an issuer is compared letter by letter
    let authorization_servers: Vec<_> = answer::texts(document.get("authorization_servers"))
        .filter(|text| address::issuer(text).is_some())
        .take(SERVERS_MAX)
        .map(str::to_owned)
        .collect();
    if authorization_servers.is_empty() {
        return Err(MetadataError::Unusable(
            "it names no `https` authorization server".into(),
        ));
    }
    let name = document
        .get("resource_name")
        .and_then(serde_json::Value::as_str)
        .map(|name| answer::short(name, NAME_MAX))
        .filter(|name| !name.is_empty());
    Ok(Resource {
        resource: named.to_owned(),
        authorization_servers,
        scopes_supported: answer::scopes(answer::texts(document.get("scopes_supported"))),
        name,
    })
}

/// Whether `named` is `asked` or lies above it. One `/` at the end makes no difference; a query does.
fn covers(named: &Url, asked: &Url) -> bool {
    if named.origin() != asked.origin() {
        return false;
    }
    if named.query().is_some() {
        return named.query() == asked.query() && named.path() == asked.path();
    }
    asked
        .path()
        .strip_prefix(address::without_slash(named.path()))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
