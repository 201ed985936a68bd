//! Comparing definitions: with each other (overlaps), and with what was known at login (L12).

use crate::routing::{HostPattern, Methods, PathScope};

use super::definition::{Definition, HTTPS_PORT, RouteRule};
use super::fields;

/// A destination that two definitions claim with equal right. The proxy refuses such requests when
/// both are connected, so people should hear of it before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Overlap {
    /// The narrower of the two host patterns.
    pub(super) host: String,
    /// The path both have; none if both mean everything.
    pub(super) path: Option<String>,
}

/// The first destination on which neither definition wins: same kind of host pattern, same port,
/// same path, a method in common.
pub(super) fn overlap(one: &Definition, other: &Definition) -> Option<Overlap> {
    let rules = one
        .routes
        .iter()
        .flat_map(|a| other.routes.iter().map(move |b| (a, b)));
    rules.into_iter().find_map(|(a, b)| overlap_of_rules(a, b))
}

fn overlap_of_rules(a: &RouteRule, b: &RouteRule) -> Option<Overlap> {
    let path = a.path.to_string();
    if a.port != b.port || path != b.path.to_string() || !share_a_method(&a.methods, &b.methods) {
        return None;
    }
    let pairs = a
        .hosts
        .iter()
        .flat_map(|x| b.hosts.iter().map(move |y| (x, y)));
    let host = pairs.into_iter().find_map(|(x, y)| match (x, y) {
        (HostPattern::Exact(_), HostPattern::Exact(_)) => (x == y).then(|| x.to_string()),
        (HostPattern::Subdomains(_), HostPattern::Subdomains(_)) if covers(x, y) => {
            Some(y.to_string())
        }
        (HostPattern::Subdomains(_), HostPattern::Subdomains(_)) if covers(y, x) => {
            Some(x.to_string())
        }
        _ => None, // an exact name wins over a wildcard
    })?;
    let everywhere = a.path.specificity() == 0;
    Some(Overlap {
        host,
        path: (!everywhere).then_some(path),
    })
}

fn share_a_method(a: &Methods, b: &Methods) -> bool {
    match (a, b) {
        (Methods::Only(a), Methods::Only(b)) => a.iter().any(|method| b.contains(method)),
        _ => true,
    }
}

/// Whether every name that `narrow` matches is matched by `wide`.
fn covers(wide: &HostPattern, narrow: &HostPattern) -> bool {
    match (wide, narrow) {
        (HostPattern::Exact(_), _) => wide == narrow,
        (HostPattern::Subdomains(_), HostPattern::Exact(host)) => wide.matches(host),
        (HostPattern::Subdomains(top), HostPattern::Subdomains(below)) => {
            top == below || wide.matches(below)
        }
    }
}

/// The hosts of `now` that no host in `stored` covers (threat L12): what a definition gained since
/// the credential was stored. `stored` is what [`Definition::hosts`] said then; what cannot be read
/// there covers nothing.
pub fn hosts_gained(now: &Definition, stored: &[String]) -> Vec<String> {
    let stored: Vec<_> = stored.iter().filter_map(|text| place(text)).collect();
    let is_covered = |text: &String| {
        place(text).is_some_and(|now| {
            stored.iter().any(|known| {
                known.port == now.port
                    && covers(&known.pattern, &now.pattern)
                    && known.path.covers(&now.path)
            })
        })
    };
    now.hosts()
        .into_iter()
        .filter(|text| !is_covered(text))
        .collect()
}

/// Where a credential may go.
struct Place {
    pattern: HostPattern,
    port: u16,
    path: PathScope,
}

/// `api.x.com`, `*.x.com:8443`, `::1`, `api.x.com/v1/**`.
fn place(text: &str) -> Option<Place> {
    let (host, path) = text.split_at(text.find('/').unwrap_or(text.len()));
    let path = PathScope::parse(path).ok()?;
    let (pattern, port) = if let Ok(pattern) = fields::host_pattern(host) {
        (pattern, HTTPS_PORT)
    } else {
        let (host, port) = host.rsplit_once(':')?;
        (fields::host_pattern(host).ok()?, port.parse().ok()?)
    };
    Some(Place {
        pattern,
        port,
        path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::parse_definition;

    fn definition(rule: &str) -> Definition {
        let text = format!(
            r#"{{"v": 1, "name": "x", "display_name": "X", "auth": "api_key",
                "routes": [{{{rule}, "header": {{"name": "x-api-key"}}}}]}}"#
        );
        let (definition, problems) = parse_definition(&text, "x.json".as_ref(), None);
        definition.unwrap_or_else(|| panic!("{problems:?}"))
    }

    /// Threat L12.
    #[test]
    fn hosts_that_were_not_there_at_login_are_named() {
        let stored = |hosts: &[&str]| hosts.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>();
        let now = definition(r#""hosts": ["api.x.com", "*.eu.x.com", "evil.example"]"#);
        assert_eq!(hosts_gained(&now, &stored(&["*.x.com"])), ["evil.example"]);
        assert_eq!(
            hosts_gained(&now, &stored(&["api.x.com"])),
            ["*.eu.x.com", "evil.example"]
        );
        assert_eq!(
            hosts_gained(&now, &stored(&["api.x.com", "*.eu.x.com", "evil.example"])),
            Vec::<String>::new()
        );
        assert_eq!(hosts_gained(&now, &[]).len(), 3);
        assert_eq!(
            hosts_gained(&now, &stored(&["not a host", "*", "*.com", ""])).len(),
            3
        );
        let narrow = definition(r#""hosts": ["*.x.com"]"#);
        assert_eq!(
            hosts_gained(&narrow, &stored(&["api.x.com", "*.api.x.com"])),
            ["*.x.com"]
        );
        let apex = definition(r#""hosts": ["x.com", "xx.com"]"#);
        assert_eq!(
            hosts_gained(&apex, &stored(&["*.x.com"])),
            ["x.com", "xx.com"]
        );
    }

    /// Threat L12.
    #[test]
    fn another_port_of_the_same_host_is_gained() {
        let now = definition(r#""hosts": ["api.x.com"], "port": 8443"#);
        assert_eq!(
            hosts_gained(&now, &["api.x.com".to_owned()]),
            ["api.x.com:8443"]
        );
        assert_eq!(
            hosts_gained(&now, &["*.x.com:8443".to_owned()]),
            Vec::<String>::new()
        );
    }

    /// Threat L12: a key that was given for one part of a host is not the whole host's.
    #[test]
    fn another_path_of_the_same_host_is_gained() {
        let stored = |places: &[&str]| places.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>();
        let fin = definition(r#""hosts": ["api.x.com"], "path": "/fin/**""#);
        assert_eq!(fin.hosts(), ["api.x.com/fin/**"]);
        let whole = definition(r#""hosts": ["api.x.com"]"#);
        let gained = |now, known: &[&str]| hosts_gained(now, &stored(known));
        assert_eq!(gained(&whole, &["api.x.com/fin/**"]), ["api.x.com"]);
        assert_eq!(gained(&fin, &["api.x.com/fin/start/**"]), fin.hosts());
        assert_eq!(gained(&fin, &["api.x.com/fin_voice/**"]), fin.hosts());
        assert_eq!(gained(&fin, &["api.x.com:8443/fin/**"]), fin.hosts());
        let none: [&str; 0] = [];
        assert_eq!(gained(&fin, &["api.x.com/fin/**"]), none);
        assert_eq!(gained(&fin, &["*.x.com"]), none);
        let deeper = definition(r#""hosts": ["api.x.com"], "port": 8443, "path": "/fin/a""#);
        assert_eq!(gained(&deeper, &["api.x.com:8443/fin/**"]), none);
    }

    #[test]
    fn two_definitions_overlap_where_neither_wins() {
        for (one, other, overlaps) in [
            (r#""hosts": ["a.x.com"]"#, r#""hosts": ["a.x.com"]"#, true),
            (r#""hosts": ["a.x.com"]"#, r#""hosts": ["*.x.com"]"#, false),
            (
                r#""hosts": ["*.x.com"]"#,
                r#""hosts": ["*.eu.x.com"]"#,
                true,
            ),
            (
                r#""hosts": ["a.x.com"]"#,
                r#""hosts": ["a.x.com"], "path": "/v1""#,
                false,
            ),
            (
                r#""hosts": ["a.x.com"]"#,
                r#""hosts": ["a.x.com"], "port": 444"#,
                false,
            ),
            (
                r#""hosts": ["a.x.com"], "methods": ["GET"]"#,
                r#""hosts": ["a.x.com"], "methods": ["POST"]"#,
                false,
            ),
        ] {
            let (one, other) = (definition(one), definition(other));
            assert_eq!(
                overlap(&one, &other).is_some(),
                overlaps,
                "{one:?} {other:?}"
            );
            assert_eq!(overlap(&other, &one).is_some(), overlaps);
        }
    }
}
