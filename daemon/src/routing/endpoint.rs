//! Where authorization servers give tokens out, renew them and take them back (threat D14).
//!
//! A program that could reach such a place with a credential of ours could trade it for another one,
//! or take it from everybody else. So no request to one carries a credential, whoever's route has
//! its host; our own requests to them do not come through the proxy.
//!
//! Invariant: every path that some server reads as the endpoint's, or as one below it, is one.

use std::collections::HashMap;

use super::host::{Authority, Host};
use super::path::{PathScope, RawPath};

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Where it is.
    pub authority: Authority,
    /// Its path there.
    pub path: EndpointPath,
}

/// The path of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EndpointPath {
    /// This path and all below it.
    Below(PathScope),
    /// `/` alone; what is below it is every other path of the host.
    Root,
}

impl EndpointPath {
    /// The endpoint at `path`, the decoded path of a URL. What cannot be a scope is left off from the
    /// first segment on that cannot, so that what stays contains the endpoint.
    pub fn of(path: &str) -> Self {
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        let mut scope = PathScope::everything();
        let mut text = String::new();
        let mut any = false;
        for segment in segments {
            any = true;
            text.push('/');
            text.push_str(segment);
            match PathScope::parse(&text) {
                Ok(longer) if !segment.contains('*') => scope = longer,
                _ => break,
            }
        }
        if any { Self::Below(scope) } else { Self::Root }
    }

    fn may_be(&self, path: &RawPath<'_>) -> bool {
        match self {
            Self::Below(scope) => scope.may_match_with_format(path),
            Self::Root => path.may_be_root(),
        }
    }
}

/// The endpoints that a run's routes could lead to.
#[derive(Debug, Clone, Default)]
pub(super) struct Endpoints(HashMap<Host, Vec<(u16, EndpointPath)>>);

impl Endpoints {
    pub(super) fn new(endpoints: impl Iterator<Item = Endpoint>) -> Self {
        let mut by_host: HashMap<Host, Vec<(u16, EndpointPath)>> = HashMap::new();
        for Endpoint { authority, path } in endpoints {
            let known = by_host.entry(authority.host).or_default();
            let one = (authority.port, path);
            if !known.contains(&one) {
                known.push(one);
            }
        }
        Self(by_host)
    }

    /// Whether some server might read `path` as one of them.
    pub(super) fn may_be_at(&self, authority: &Authority, path: &RawPath<'_>) -> bool {
        let known = self.0.get(&authority.host).map_or(&[][..], Vec::as_slice);
        known
            .iter()
            .any(|(port, endpoint)| *port == authority.port && endpoint.may_be(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_at(endpoint: &str, path: &str) -> bool {
        EndpointPath::of(endpoint).may_be(&RawPath::parse(path).unwrap())
    }

    /// D14
    #[test]
    fn an_endpoint_is_found_in_every_spelling_and_nothing_else_is_one() {
        for (endpoint, path, expected) in [
            ("/oauth/token", "/oauth/token", true),
            ("/oauth/token", "/oauth/token/", true),
            ("/oauth/token", "/oauth/token/revoke", true),
            ("/oauth/token", "/OAuth/Token", true),
            ("/oauth/token", "/oauth%2ftoken", true),
            ("/oauth/token", "//oauth//token", true),
            ("/oauth/token", "/oauth/token.json", true),
            ("/oauth/token", "/oauth/token;x=1", true),
            ("/oauth/token", "/oauth/%74oken", true),
            ("/oauth/token", "/oauth/%2574oken", true),
            ("/oauth/token", "/oauth/token%3fx", true),
            ("/oauth/token", "/oauth/token.", true),
            ("/oauth/token", "/oauth/token%20", true),
            ("/oauth/token", "/ｏauth/token", true),
            ("/oauth/token", "/oauth/tokens", false),
            ("/oauth/token", "/oauth", false),
            ("/oauth/token", "/oauth/authorize", false),
            ("/oauth/token", "/x/oauth/token", false),
            ("/api/oauth.v2.access", "/api/oauth.v2.access", true),
            ("/api/oauth.v2.access", "/api/oauth.v2", false),
            ("/api/oauth.v2.access", "/api/chat.postMessage", false),
            ("/", "/", true),
            ("", "//", true),
            ("/", "/;x", true),
            ("/", "/x", false),
            ("/a/{x}/token", "/a/b", true),
            ("/a/{x}/token", "/b", false),
            ("/{x}/token", "/anything", true),
            ("/a/**", "/a", true),
            ("/**", "/a", true),
        ] {
            assert_eq!(is_at(endpoint, path), expected, "{endpoint} {path}");
        }
    }
}
