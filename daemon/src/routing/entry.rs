//! What becomes of a destination before any request to it is read (threats C4, D3).
//!
//! The proxy asks this once for each `CONNECT` and each absolute-form request; what is intercepted
//! then goes to [`super::decide()`] request by request. `explain` asks the same function.
//!
//! Invariant: with [`Unmatched::Deny`] nothing is reached but what has a route, whatever the
//! scheme, the port or the spelling: not `http://`, not an address, not another port of a host
//! that has one.

use authsome_proto::request::Unmatched;

use super::host::Authority;
use super::refuse::RefuseCode;
use super::table::RouteTable;

/// How a destination is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// An absolute-form request for `http://`.
    Cleartext,
    /// A `CONNECT`.
    Connect,
    /// An absolute-form request for `https://` (axios before 1.7): served as if it were tunnelled.
    Secure,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Its requests are forwarded without a credential.
    Forward,
    /// Its requests are read, judged, and get a credential or a refusal.
    Intercept,
    /// It is answered with this.
    Refuse(RefuseCode),
    /// Its bytes pass unread.
    Tunnel,
}

/// Judges a destination.
pub fn enter<C>(
    table: &RouteTable<C>,
    unmatched: Unmatched,
    dialled: &Authority,
    way: Way,
) -> Entry {
    let covered = match way {
        Way::Cleartext if table.covers_host(&dialled.host) => {
            return Entry::Refuse(RefuseCode::CleartextRefused);
        }
        Way::Cleartext => false,
        Way::Connect | Way::Secure => table.covers(dialled),
    };
    match (covered, unmatched, way) {
        (true, _, _) => Entry::Intercept,
        (false, Unmatched::Deny, _) => Entry::Refuse(RefuseCode::NotAllowed),
        (false, Unmatched::Tunnel, Way::Connect) => Entry::Tunnel,
        (false, Unmatched::Tunnel, Way::Cleartext | Way::Secure) => Entry::Forward,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::routing::{Choice, HostPattern, Methods, PathScope, Route, Slot};

    fn table() -> RouteTable<()> {
        RouteTable::build(vec![Route {
            provider: "p".parse().unwrap(),
            connection: "default".parse().unwrap(),
            hosts: vec![
                HostPattern::parse("api.example.com").unwrap(),
                HostPattern::parse("*.wild.example.com").unwrap(),
            ],
            port: 443,
            path: PathScope::parse("/v1/**").unwrap(),
            except: Vec::new(),
            methods: Methods::Any,
            slot: Slot::Query { name: "key".into() },
            credential: (),
            choice: Choice {
                by_default: true,
                placeholder: None,
            },
            rules: Arc::default(),
        }])
    }

    #[test]
    fn deny_has_no_holes() {
        let table = table();
        let denied = Entry::Refuse(RefuseCode::NotAllowed);
        let clear = Entry::Refuse(RefuseCode::CleartextRefused);
        for (way, name, with_deny, with_tunnel) in [
            (
                Way::Connect,
                "api.example.com:443",
                Entry::Intercept,
                Entry::Intercept,
            ),
            (
                Way::Connect,
                "API.example.com.:443",
                Entry::Intercept,
                Entry::Intercept,
            ),
            (
                Way::Connect,
                "a.b.wild.example.com:443",
                Entry::Intercept,
                Entry::Intercept,
            ),
            (
                Way::Secure,
                "api.example.com:443",
                Entry::Intercept,
                Entry::Intercept,
            ),
            // another port of a host that has a route
            (Way::Connect, "api.example.com:8443", denied, Entry::Tunnel),
            (Way::Connect, "api.example.com:80", denied, Entry::Tunnel),
            (Way::Secure, "api.example.com:8443", denied, Entry::Forward),
            // look-alikes, parents, addresses
            (Way::Connect, "wild.example.com:443", denied, Entry::Tunnel),
            (
                Way::Connect,
                "evilwild.example.com:443",
                denied,
                Entry::Tunnel,
            ),
            (
                Way::Connect,
                "api.example.com.evil.test:443",
                denied,
                Entry::Tunnel,
            ),
            (Way::Connect, "93.184.216.34:443", denied, Entry::Tunnel),
            (
                Way::Connect,
                "[2606:2800:220:1::1]:443",
                denied,
                Entry::Tunnel,
            ),
            (Way::Connect, "127.0.0.1:443", denied, Entry::Tunnel),
            (Way::Connect, "169.254.169.254:443", denied, Entry::Tunnel),
            (Way::Secure, "other.example:443", denied, Entry::Forward),
            // in the clear: a host that has a route never, any other only without `deny`
            (Way::Cleartext, "api.example.com:80", clear, clear),
            (Way::Cleartext, "api.example.com:443", clear, clear),
            (Way::Cleartext, "x.wild.example.com:8080", clear, clear),
            (Way::Cleartext, "other.example:80", denied, Entry::Forward),
            (Way::Cleartext, "10.0.0.1:80", denied, Entry::Forward),
        ] {
            let dialled = Authority::parse(name, None).unwrap();
            let enter = |unmatched| enter(&table, unmatched, &dialled, way);
            assert_eq!(enter(Unmatched::Deny), with_deny, "{way:?} {name}, deny");
            assert_eq!(enter(Unmatched::Tunnel), with_tunnel, "{way:?} {name}");
        }
    }
}
