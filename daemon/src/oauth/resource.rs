//! What a protected resource, such as an MCP server, says about who guards it (RFC 9728).

use http::HeaderMap;

use super::Incoming;
use super::metadata::MetadataError;

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
    drop(headers);
    todo!()
}

/// Where the metadata of `resource` may be, best first (section 3.1): with its path, then without.
pub fn addresses(resource: &str) -> Vec<String> {
    drop(resource);
    todo!()
}

/// Reads it. `resource` in it must be what was asked for, or a prefix of it that ends at a segment
/// (section 3.3: else somebody stands in for another).
pub fn read(answer: &Incoming, asked: &str) -> Result<Resource, MetadataError> {
    drop((answer, asked));
    todo!()
}
