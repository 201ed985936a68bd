//! The routes of a run, arranged for one look-up per request.
//!
//! Built once when a run starts or its connections change, then swapped in as a whole; requests
//! only read it. Exact hosts and the parents of wildcards have a hash map each, so a look-up costs
//! one hash for the host and one per label behind it, whatever the number of routes.
//!
//! Invariants: the order of the routes given to [`RouteTable::build`] changes nothing but the
//! order in which [`RouteTable::routes`] yields them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use authsome_proto::{ConnectionName, ProviderName};
use http::Method;

use super::endpoint::{Endpoint, Endpoints};
use super::host::{Authority, Host, HostPattern};
use super::path::{PathScope, RawPath};
use super::placeholder::Placeholder;
use super::rules::RuleSet;
use super::slot::Slot;

/// The methods that a route allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Methods {
    /// Every method that the proxy forwards at all.
    Any,
    /// Exactly these. `GET` does not imply `HEAD`, and `POST` not the `OPTIONS` of a preflight
    /// (which carries no credential by the fetch standard and so wants none).
    Only(Vec<Method>),
}

impl Methods {
    /// Whether `method` is allowed. Methods are case-sensitive (RFC 9110 §9.1).
    pub fn allow(&self, method: &Method) -> bool {
        match self {
            Self::Any => true,
            Self::Only(methods) => methods.contains(method),
        }
    }
}

/// One rule: requests to these hosts, port, paths and methods carry this credential in this slot.
///
/// `Debug` shows what `C` shows; a credential that is put here hides itself.
#[derive(Debug, Clone)]
pub struct Route<C> {
    /// Whose definition the rule is from.
    pub provider: ProviderName,
    /// Which connection of it.
    pub connection: ConnectionName,
    /// The hosts; one is enough.
    pub hosts: Vec<HostPattern>,
    /// The port.
    pub port: u16,
    /// The paths.
    pub path: PathScope,
    /// Paths inside of `path` that the route does not cover, whoever else does or does not.
    pub except: Vec<PathScope>,
    /// The methods.
    pub methods: Methods,
    /// What is filled.
    pub slot: Slot,
    /// What it is filled with.
    pub credential: C,
    /// When it is chosen among routes of other connections.
    pub choice: Choice,
    /// What else must hold; all of them.
    pub rules: Arc<[RuleSet]>,
}

/// Which requests mean this connection (threat D7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Whether it is taken by requests that carry no placeholder of their own.
    pub by_default: bool,
    /// The placeholder that takes it, and nothing else.
    pub placeholder: Option<Placeholder>,
}

/// Whether a route covers a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coverage {
    /// Not as it is written, or not surely; but some server might read it so.
    Maybe,
    /// No server can read it so.
    No,
    /// Every server must read it so.
    Yes,
}

impl<C> Route<C> {
    /// Whether the route covers every path there is, so that no reading of one matters.
    pub(super) fn covers_every_path(&self) -> bool {
        self.path.is_everything() && self.except.is_empty()
    }

    /// Whether the route covers `path`: in its scope and in none of its exceptions.
    pub(super) fn covers(&self, path: &RawPath<'_>) -> Coverage {
        if self.except.iter().any(|except| except.matches(path)) {
            Coverage::No
        } else if self.path.matches(path) && !self.except.iter().any(|it| it.may_match(path)) {
            Coverage::Yes
        } else if self.path.may_match(path) {
            Coverage::Maybe
        } else {
            Coverage::No
        }
    }

    /// Whether both would put the same credential into the same place under the same rules, so that
    /// it does not matter which is taken.
    pub(super) fn is_interchangeable(&self, other: &Self) -> bool {
        self.provider == other.provider
            && self.connection == other.connection
            && self.slot == other.slot
            && self.rules == other.rules
    }
}

/// How well a pattern fits a host; greater is narrower. An exact name beats every wildcard, and a
/// longer wildcard a shorter one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostRank {
    /// By `*.parent`, with the length of the parent.
    Subdomain(usize),
    /// By its own name.
    Exact,
}

/// The routes of a run.
#[derive(Clone)]
pub struct RouteTable<C> {
    routes: Vec<Route<C>>,
    /// Indices into `routes`, by host.
    exact: HashMap<Host, Vec<usize>>,
    /// Indices into `routes`, by what follows the `*.`.
    subdomains: HashMap<Host, Vec<usize>>,
    endpoints: Endpoints,
}

impl<C> RouteTable<C> {
    /// Arranges the routes.
    pub fn build(routes: Vec<Route<C>>) -> Self {
        let mut exact: HashMap<Host, Vec<usize>> = HashMap::new();
        let mut subdomains: HashMap<Host, Vec<usize>> = HashMap::new();
        for (index, route) in routes.iter().enumerate() {
            for pattern in &route.hosts {
                let indices = match pattern {
                    HostPattern::Exact(host) => exact.entry(host.clone()),
                    HostPattern::Subdomains(host) => subdomains.entry(host.clone()),
                }
                .or_default();
                // a definition may name one host twice; that is no ambiguity
                if indices.last() != Some(&index) {
                    indices.push(index);
                }
            }
        }
        Self {
            routes,
            exact,
            subdomains,
            endpoints: Endpoints::default(),
        }
    }

    /// The same with the places where no credential goes (threat D14), those of them that some route
    /// would lead to.
    #[must_use]
    pub fn guarding(mut self, endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        let endpoints = endpoints.into_iter();
        let led_to = endpoints.filter(|endpoint| self.covers(&endpoint.authority));
        self.endpoints = Endpoints::new(led_to);
        self
    }

    /// Whether some server might read `path` as an endpoint where tokens are given out or taken back.
    pub(super) fn guards(&self, authority: &Authority, path: &RawPath<'_>) -> bool {
        self.endpoints.may_be_at(authority, path)
    }

    /// Whether connections to `authority` are intercepted: some route has its host and port.
    pub fn covers(&self, authority: &Authority) -> bool {
        self.candidates(&authority.host)
            .any(|(_, route)| route.port == authority.port)
    }

    /// Whether some route has this host, on any port: then `http://` to it is refused (D3).
    pub fn covers_host(&self, host: &Host) -> bool {
        self.candidates(host).next().is_some()
    }

    /// All routes.
    pub fn routes(&self) -> impl Iterator<Item = &Route<C>> {
        self.routes.iter()
    }

    /// The routes whose hosts contain `host`, on any port, each with its rank. A route that fits
    /// by several patterns comes several times.
    pub(super) fn candidates(&self, host: &Host) -> impl Iterator<Item = (HostRank, &Route<C>)> {
        let exact = self
            .exact
            .get(host)
            .map(|indices| (HostRank::Exact, indices));
        // an address has no parents, and its parts are not labels
        let name = if self.subdomains.is_empty() || host.ip().is_some() {
            ""
        } else {
            host.as_str()
        };
        let parents = name
            .match_indices('.')
            .filter_map(move |(dot, _)| name.get(dot + 1..))
            .filter_map(|parent| {
                let indices = self.subdomains.get(parent)?;
                Some((HostRank::Subdomain(parent.len()), indices))
            });
        exact
            .into_iter()
            .chain(parents)
            .flat_map(|(rank, indices)| indices.iter().map(move |index| (rank, *index)))
            .filter_map(|(rank, index)| Some((rank, self.routes.get(index)?)))
    }
}

impl<C> fmt::Debug for RouteTable<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RouteTable({} routes)", self.routes.len())
    }
}
