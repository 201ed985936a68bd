//! A provider's own server where a person runs it: its address, and what a definition means there.
//!
//! A token of such a server is for nobody else. So the definition that applies to its connection
//! ([`Definition::at`]) has that server in place of all its own hosts, in its routes as in its
//! authorization server's addresses.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::routing::{
    Authority, Host, HostPattern, ParseHostError, ParsePathScopeError, PathScope,
};

use super::definition::{Auth, Definition, HTTPS_PORT, RouteRule};

/// The address of a provider's own server: `https://github.example.com`, perhaps with a port and a
/// path. Displays in one form, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    authority: Authority,
    path: PathScope,
}

/// Why a text is no address of a server. None repeats it: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseBaseUrlError {
    /// What stands for the host is none.
    #[error("its host cannot be used")]
    Host(#[source] ParseHostError),
    /// Another scheme, or none.
    #[error("it begins with `https://`")]
    NotHttps,
    /// What stands for the path is none.
    #[error("its path cannot be used")]
    Path(#[source] ParsePathScopeError),
    /// `?` or `#`.
    #[error("it has neither `?` nor `#` in it")]
    QueryOrFragment,
}

impl BaseUrl {
    /// The server's name.
    pub fn host(&self) -> &Host {
        &self.authority.host
    }

    /// The server's port.
    pub fn port(&self) -> u16 {
        self.authority.port
    }

    /// `scope` below the address' own path.
    fn below(&self, scope: &PathScope) -> Option<PathScope> {
        if self.path.is_everything() {
            return Some(scope.clone());
        }
        if scope.is_everything() {
            return Some(self.path.clone());
        }
        let (path, scope) = (self.path.to_string(), scope.to_string());
        PathScope::parse(&format!("{}{scope}", path.strip_suffix("/**")?)).ok()
    }
}

impl FromStr for BaseUrl {
    type Err = ParseBaseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SCHEME: &str = "https://";
        let (scheme, rest) = text
            .split_at_checked(SCHEME.len())
            .ok_or(ParseBaseUrlError::NotHttps)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(ParseBaseUrlError::NotHttps);
        }
        if rest.contains(['?', '#']) {
            return Err(ParseBaseUrlError::QueryOrFragment);
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let authority =
            Authority::parse(authority, Some(HTTPS_PORT)).map_err(ParseBaseUrlError::Host)?;
        let path = path.strip_suffix('/').unwrap_or(path);
        // what a scope reads as everything is none of it here
        if path == "/" {
            return Err(ParseBaseUrlError::Path(ParsePathScopeError::EmptySegment));
        }
        if path.contains('*') {
            return Err(ParseBaseUrlError::Path(ParsePathScopeError::Star));
        }
        let path = PathScope::parse(path).map_err(ParseBaseUrlError::Path)?;
        Ok(Self { authority, path })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host().as_str();
        if host.contains(':') {
            write!(f, "https://[{host}]")?;
        } else {
            write!(f, "https://{host}")?;
        }
        if self.port() != HTTPS_PORT {
            write!(f, ":{}", self.port())?;
        }
        let path = self.path.to_string();
        f.write_str(path.strip_suffix("/**").unwrap_or(&path))
    }
}

impl Definition {
    /// Whether a person can run a server of their own for it: every address of its authorization
    /// server follows the base URL, so that nothing of a login goes elsewhere.
    pub fn takes_base_url(&self) -> bool {
        match &self.auth {
            Auth::OAuth2(oauth) => oauth.base_url.is_some() && oauth.is_templated(),
            Auth::ApiKey | Auth::Browser(_) => false,
        }
    }

    /// The definition as it applies to a person's own server: that server and no other host. `None`
    /// if there is no such thing.
    pub fn at(&self, server: &BaseUrl) -> Option<Self> {
        if !self.takes_base_url() {
            return None;
        }
        let mut applied = self.clone();
        let Auth::OAuth2(oauth) = &mut applied.auth else {
            return None;
        };
        oauth.base_url = Some(server.to_string());
        let mut routes: Vec<RouteRule> = Vec::new();
        for rule in &self.routes {
            let paths = match &oauth.self_hosted {
                Some(paths) => paths.as_slice(),
                None => std::slice::from_ref(&rule.path),
            };
            for path in paths {
                let except = rule.except.iter().filter(|except| path.covers(except));
                let rule = RouteRule {
                    hosts: vec![HostPattern::Exact(server.host().clone())],
                    port: server.port(),
                    path: server.below(path)?,
                    except: except.map(|it| server.below(it)).collect::<Option<_>>()?,
                    methods: rule.methods.clone(),
                    slot: rule.slot.clone(),
                };
                if !routes.contains(&rule) {
                    routes.push(rule);
                }
            }
        }
        applied.routes = routes;
        applied.regions = Vec::new();
        Some(applied)
    }

    /// The definition as it applies to a connection with this base URL, if it has one. `None` if it
    /// cannot be read, or the definition has no such thing any more.
    pub fn applied(self: &Arc<Self>, base_url: Option<&str>) -> Option<Arc<Self>> {
        match base_url {
            None => Some(Arc::clone(self)),
            Some(text) => self.at(&text.parse().ok()?).map(Arc::new),
        }
    }

    /// The hosts of a connection as [`Definition::hosts_in`] writes them: those of its own server if
    /// it is for one. None if the definition has no such thing.
    pub fn hosts_for(&self, server: Option<&BaseUrl>, region: Option<&str>) -> Vec<String> {
        match server {
            None => self.hosts_in(region),
            Some(server) => self.at(server).map_or_else(Vec::new, |it| it.hosts()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::providers::{bundled, hosts_gained, parse_definition};

    fn bundled(name: &str) -> Definition {
        let mut all = bundled::DEFINITIONS.iter();
        let (_, text) = all.find(|(known, _)| *known == name).unwrap();
        parse_definition(text, "x.json".as_ref(), None).0.unwrap()
    }

    fn base(text: &str) -> BaseUrl {
        text.parse().unwrap()
    }

    #[test]
    fn each_spelling_of_a_server_has_one_form_or_a_reason() {
        for (text, shown) in [
            ("https://github.example.com", "https://github.example.com"),
            ("HTTPS://GitHub.Example.com./", "https://github.example.com"),
            ("https://git.example.com:443", "https://git.example.com"),
            (
                "https://git.example.com:8443/",
                "https://git.example.com:8443",
            ),
            (
                "https://example.com/git/lab/",
                "https://example.com/git/lab",
            ),
            ("https://10.1.2.3", "https://10.1.2.3"),
            ("https://[::1]:8443/x", "https://[::1]:8443/x"),
            ("https://[::1]", "https://[::1]"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
        ] {
            assert_eq!(base(text).to_string(), shown);
            assert_eq!(base(shown), base(text));
        }
        for bad in [
            "",
            "github.example.com",
            "http://github.example.com",
            "https:/github.example.com",
            "https://",
            "https:///x",
            "https://u:p@github.example.com",
            "https://u@github.example.com",
            "https://github.example.com?x",
            "https://github.example.com/#x",
            "https://github.example.com/x?y",
            "https://*.example.com",
            "https://github.example.com:0",
            "https://github.example.com:+443",
            "https://github.example.com:",
            "https://github.example.com//",
            "https://github.example.com/a//b",
            "https://github.example.com/a/../b",
            "https://github.example.com/a%2fb",
            "https://github.example.com/**",
            "https://github.example.com/a/**",
            "https://github.example.com\\x",
            "https://github.example.com/a\\x",
            "https://a b.example",
            " https://github.example.com",
            "https://0x7f.1",
        ] {
            let error = bad.parse::<BaseUrl>();
            assert!(error.is_err(), "{bad}: {error:?}");
        }
        let error = "https://user:hunter2@x.example/".parse::<BaseUrl>();
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn a_connection_of_an_own_server_is_for_nothing_else() {
        let github = bundled("github");
        let own = base("https://github.example.com");
        assert_eq!(
            github.hosts_for(Some(&own), None),
            ["github.example.com/api/**"]
        );
        assert_eq!(github.hosts_for(None, None), github.hosts());
        let port = base("https://example.com:8443/hub");
        assert_eq!(
            github.hosts_for(Some(&port), Some("eu")),
            ["example.com:8443/hub/api/**"]
        );
        let six = base("https://[::1]:8443");
        let at = github.at(&six).unwrap();
        assert_eq!(at.hosts(), ["[::1]:8443/api/**"]);
        // what is stored at the login is what the definition says later, and nothing beyond it
        assert_eq!(hosts_gained(&at, &at.hosts()), [""; 0]);
        assert_eq!(hosts_gained(&at, &github.hosts()), at.hosts());
        assert_eq!(hosts_gained(&github, &at.hosts()), github.hosts());
        assert_eq!(
            hosts_gained(&at, &github.at(&own).unwrap().hosts()),
            at.hosts()
        );

        let gitlab = bundled("gitlab").at(&own).unwrap();
        assert_eq!(gitlab.hosts(), ["github.example.com/api/**"]);
        let Auth::OAuth2(oauth) = &gitlab.auth else {
            panic!()
        };
        assert_eq!(
            oauth.resolve(&oauth.token_url, None),
            "https://github.example.com/oauth/token"
        );
        assert_eq!(
            gitlab.routes.first().unwrap().slot,
            bundled("gitlab").routes.first().unwrap().slot
        );
    }

    #[test]
    fn only_definitions_whose_every_address_follows_take_a_server() {
        let takes: Vec<&str> = bundled::DEFINITIONS
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| bundled(name).takes_base_url())
            .collect();
        assert_eq!(takes, ["github", "gitlab"]);
        let own = base("https://x.example");
        assert_eq!(bundled("slack").hosts_for(Some(&own), None), [""; 0]);
        let mut mixed = bundled("gitlab");
        let Auth::OAuth2(oauth) = &mut mixed.auth else {
            panic!()
        };
        oauth.revocation_url = Some("https://gitlab.com/oauth/revoke".into());
        assert_eq!(mixed.at(&own), None);
    }

    #[test]
    fn without_paths_of_its_own_a_server_has_those_of_the_routes() {
        let text = r#"{"v": 1, "name": "x", "display_name": "X", "auth": "oauth2",
            "routes": [{"hosts": ["api.x.com", "x.com"], "path": "/v1", "except": ["/v1/admin"],
                "methods": ["GET"], "header": {"name": "Authorization", "prefix": "Bearer"}}],
            "oauth": {"base_url": "https://x.com", "token_url": "{base_url}/token",
                "flows": ["client_credentials"]}}"#;
        let (definition, problems) = parse_definition(text, "x.json".as_ref(), None);
        assert_eq!(problems, []);
        let at = definition
            .unwrap()
            .at(&base("https://own.example/x"))
            .unwrap();
        let rule = at.routes.first().unwrap();
        assert_eq!(at.hosts(), ["own.example/x/v1/**"]);
        assert_eq!(rule.except, [PathScope::parse("/x/v1/admin").unwrap()]);
        assert_eq!(
            rule.methods,
            crate::routing::Methods::Only(vec![http::Method::GET])
        );
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_a_panic_and_shown_as_it_reads(text in "(https://)?[a-z0-9.:/@?#%\\[\\]*-]{0,30}|\\PC{0,30}") {
            if let Ok(server) = text.parse::<BaseUrl>() {
                let shown = server.to_string();
                prop_assert_eq!(shown.parse::<BaseUrl>(), Ok(server.clone()));
                let url = url::Url::parse(&shown).unwrap();
                prop_assert_eq!(url.scheme(), "https");
                prop_assert_eq!(url.port_or_known_default(), Some(server.port()));
                let host = Host::parse(url.host_str().unwrap()).unwrap();
                prop_assert_eq!(&host, server.host());
                prop_assert!(url.username().is_empty() && url.query().is_none());
            }
        }
    }
}
