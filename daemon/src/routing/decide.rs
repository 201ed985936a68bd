//! The decision: may this request carry a credential, and which (threats D1, D3, D5, D6, D13, D14).
//!
//! In this order, and the first refusal stands:
//!
//! 1. Names: the dialled authority, the SNI and every `Host` or `:authority` are one name (D1).
//!    The rule is chosen by the authority that is dialled and whose certificate is verified; the
//!    others can only disagree with it.
//! 2. Method: `TRACE`, `TRACK` and `CONNECT` are refused everywhere. They echo a request to who
//!    asks, or open a tunnel that nobody reads.
//! 3. Coverage: a host without a route passes. One with a route on any port is refused over
//!    `http://` (D3), and must be named by the request.
//! 4. A header that overrides the method or the path: refused on covered hosts, whatever the route
//!    allows, because what the server will do is then not what was judged (D6).
//! 5. Path: free of tricks (D5), by no reading an endpoint where tokens are given out or taken back
//!    (D14), and in the scope of some route.
//! 6. A placeholder of a connection means the routes of that connection, and only in their slot
//!    (D7, `choice`); without one a request means the default connections.
//! 7. Of these the longest path scope wins, then the narrower host. If the winner does not allow
//!    the method, the request is refused: the next best route was written for other paths. Two
//!    winners with different credentials or slots refuse each other (D13).
//! 8. Every rule set of the winner agrees. They only forbid; no other route takes its place.
//!
//! [`explain`] is the same code with somebody listening.
//!
//! Invariants: the order of routes changes nothing. A covered destination is either injected or
//! refused, never passed. No allocation for requests in their usual spelling.
//! Not here: whether the chosen credential can be had (the caller looks at `Route::credential`).

mod choice;

use http::{HeaderMap, Method};

use self::choice::{Meant, check_unmatched};
use super::host::{Authority, Host};
use super::path::RawPath;
use super::placeholder::Presented;
use super::refuse::RefuseCode;
use super::rules::{RuleSet, Ruling};
use super::table::{Coverage, HostRank, Route, RouteTable};

/// What the decision is made from.
#[derive(Debug, Clone, Copy)]
pub struct RequestView<'a> {
    /// Where the connection goes: the target of `CONNECT`, or of an absolute-form request.
    pub dialled: &'a Authority,
    /// The name in the TLS greeting, if one was sent.
    pub sni: Option<&'a str>,
    /// Every name that the request itself gives: all `Host` fields, `:authority`, and the
    /// authority of an absolute-form target inside a tunnel. Equal ones agree here; that HTTP/1.1
    /// allows one `Host` field only is the parser's to enforce.
    pub host_headers: &'a [&'a [u8]],
    /// Whether the request came through TLS (or asks for `https://`).
    pub scheme_https: bool,
    /// The method. A WebSocket over HTTP/2 (RFC 8441) is judged as the `GET` it is turned into.
    pub method: &'a Method,
    /// The path as it is forwarded, without the query.
    pub path: &'a str,
    /// Whether a header tells the server to use another method or path: [`overrides_method`].
    pub method_override: bool,
    /// The placeholder that the request carries, if it carries one.
    pub presented: &'a Presented<'a>,
}

/// What is done with a request.
#[derive(Debug)]
pub enum Decision<'t, C> {
    /// It is forwarded with the credential of this route.
    Inject(&'t Route<C>),
    /// It is forwarded without a credential: its destination has no route.
    Pass,
    /// It is answered with this.
    Refuse(RefuseCode),
}

// not derived: a reference is `Copy` whatever `C` is
impl<C> Clone for Decision<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Decision<'_, C> {}

/// What became of one route that has the request's host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the one.
    Chosen,
    /// Its scope does not contain the path as written, but some servers would read it so.
    MaybePath,
    /// It is of another connection than the one that the request means.
    OtherChoice,
    /// It would be the one, but does not allow the method.
    OtherMethod,
    /// Its scope does not contain the path.
    OtherPath,
    /// It is for another port.
    OtherPort,
    /// A route with a longer path scope or a narrower host fits too.
    Outranked,
    /// It fits exactly as well as the chosen one, and names another credential or slot.
    Tied,
}

/// One route that was looked at, and what became of it.
#[derive(Debug)]
pub struct Finding<'t, C> {
    /// The route.
    pub route: &'t Route<C>,
    /// What became of it.
    pub verdict: Verdict,
}

/// A decision with everything that spoke in it.
#[derive(Debug)]
pub struct Explanation<'t, C> {
    /// What is done.
    pub decision: Decision<'t, C>,
    /// The routes that were weighed; none if the request was refused before.
    pub findings: Vec<Finding<'t, C>>,
    /// What the rule sets of the winner said, those that spoke; none if there is no winner.
    pub rulings: Vec<(&'t RuleSet, Ruling)>,
}

/// Judges a request.
pub fn decide<'t, C>(table: &'t RouteTable<C>, request: &RequestView<'_>) -> Decision<'t, C> {
    match judge(table, request, |_, _| {}, |_, _| {}) {
        Ok(decision) => decision,
        Err(code) => Decision::Refuse(code),
    }
}

/// Judges a request and reports what became of every route of its host, and which rules spoke.
pub fn explain<'t, C>(table: &'t RouteTable<C>, request: &RequestView<'_>) -> Explanation<'t, C> {
    let mut findings = Vec::new();
    let mut rulings = Vec::new();
    let decision = judge(
        table,
        request,
        |route, verdict| findings.push(Finding { route, verdict }),
        |set, ruling| rulings.push((set, ruling)),
    )
    .unwrap_or_else(Decision::Refuse);
    Explanation {
        decision,
        findings,
        rulings,
    }
}

/// Whether a header asks the server to treat the request as one with another method, or another
/// path, than it was judged by (D6). `_` counts as `-`: CGI and its heirs cannot tell them apart.
pub fn overrides_method(headers: &HeaderMap) -> bool {
    const OVERRIDES: [&str; 5] = [
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
    ];
    headers.keys().any(|name| {
        let name = name.as_str();
        name.starts_with('x') && OVERRIDES.iter().any(|known| is_same_for_cgi(name, known))
    })
}

/// Whether two lower-case header names are one name after the `-` to `_` mapping of RFC 3875
/// §4.1.18.
pub(crate) fn is_same_for_cgi(one: &str, other: &str) -> bool {
    let fold = |byte: u8| if byte == b'_' { b'-' } else { byte };
    one.len() == other.len() && one.bytes().map(fold).eq(other.bytes().map(fold))
}

fn judge<'t, C>(
    table: &'t RouteTable<C>,
    request: &RequestView<'_>,
    mut note: impl FnMut(&'t Route<C>, Verdict),
    ruled: impl FnMut(&'t RuleSet, Ruling),
) -> Result<Decision<'t, C>, RefuseCode> {
    check_names(request)?;
    check_method(request.method)?;

    let host = &request.dialled.host;
    let port = request.dialled.port;
    if !request.scheme_https {
        if table.covers_host(host) {
            return Err(RefuseCode::CleartextRefused);
        }
        check_unmatched(table, request.presented)?;
        return Ok(Decision::Pass);
    }
    if !table.covers(request.dialled) {
        check_unmatched(table, request.presented)?;
        return Ok(Decision::Pass);
    }
    if request.host_headers.is_empty() {
        return Err(RefuseCode::Malformed);
    }
    if request.method_override {
        return Err(RefuseCode::MethodNotAllowed);
    }
    let path = RawPath::parse(request.path).map_err(|_trick| RefuseCode::BadPath)?;
    if table.guards(request.dialled, &path) {
        return Err(RefuseCode::OauthEndpoint);
    }
    let meant = Meant::of(table, request.presented)?;

    let on_port = || {
        table
            .candidates(host)
            .filter(|(_, route)| route.port == port && meant.includes(route))
    };
    let empty_segment = path.has_empty_segment();
    let mut best: Option<Rank> = None;
    for (host_rank, route) in on_port() {
        // servers that merge slashes, keep them or see a host behind them find different scopes
        if empty_segment && !route.covers_every_path() {
            return Err(RefuseCode::BadPath);
        }
        if route.covers(&path) == Coverage::Yes {
            best = best.max(Some(Rank::of(host_rank, route)));
        }
    }

    let mut chosen: Option<&'t Route<C>> = None;
    let mut method_fails = false;
    let mut maybe = false;
    let mut tied = false;
    for (host_rank, route) in table.candidates(host) {
        let rank = Some(Rank::of(host_rank, route));
        let verdict = if route.port != port {
            Verdict::OtherPort
        } else if !meant.includes(route) {
            Verdict::OtherChoice
        } else if let coverage @ (Coverage::Maybe | Coverage::No) = route.covers(&path) {
            // an unusual reading matters only where it would beat or meet the winner
            if rank >= best && coverage == Coverage::Maybe {
                maybe = true;
                Verdict::MaybePath
            } else {
                Verdict::OtherPath
            }
        } else if rank < best {
            Verdict::Outranked
        } else if !route.methods.allow(request.method) {
            method_fails = true;
            Verdict::OtherMethod
        } else if chosen.is_none_or(|chosen| chosen.is_interchangeable(route)) {
            chosen = Some(route);
            Verdict::Chosen
        } else {
            tied = true;
            Verdict::Tied
        };
        note(route, verdict);
    }

    if maybe {
        Err(RefuseCode::BadPath)
    } else if tied {
        Err(RefuseCode::Ambiguous)
    } else if let Some(route) = chosen {
        if !meant.stands_in(&route.slot) {
            return Err(RefuseCode::PlaceholderMisplaced);
        }
        check_rules(route, request, &path, ruled)?;
        Ok(Decision::Inject(route))
    } else if method_fails {
        Err(meant.unfit(RefuseCode::MethodNotAllowed))
    } else {
        Err(meant.unfit(RefuseCode::PathNotAllowed))
    }
}

/// Asks every rule set of the route that won; one that refuses is enough.
fn check_rules<'t, C>(
    route: &'t Route<C>,
    request: &RequestView<'_>,
    path: &RawPath<'_>,
    mut ruled: impl FnMut(&'t RuleSet, Ruling),
) -> Result<(), RefuseCode> {
    let mut refused = false;
    for set in &*route.rules {
        let ruling = set.rule(request.dialled, request.method, path);
        refused |= ruling.refuses();
        if ruling != Ruling::Silent {
            ruled(set, ruling);
        }
    }
    if refused {
        return Err(RefuseCode::DeniedByRule);
    }
    Ok(())
}

/// How well a route fits; greater is narrower. The path speaks before the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    path: usize,
    host: HostRank,
}

impl Rank {
    fn of<C>(host: HostRank, route: &Route<C>) -> Self {
        Self {
            path: route.path.specificity(),
            host,
        }
    }
}

fn check_names(request: &RequestView<'_>) -> Result<(), RefuseCode> {
    let dialled = request.dialled;
    if let Some(sni) = request.sni {
        let agrees = sni.eq_ignore_ascii_case(dialled.host.as_str())
            || Host::parse(sni).is_ok_and(|host| host == dialled.host);
        if !agrees {
            return Err(RefuseCode::NamesDiffer);
        }
    }
    let default_port = if request.scheme_https { 443 } else { 80 };
    for name in request.host_headers {
        let name = str::from_utf8(name).map_err(|_| RefuseCode::Malformed)?;
        match dialled.is_named_by(name, default_port) {
            Ok(true) => {}
            Ok(false) => return Err(RefuseCode::NamesDiffer),
            Err(_) => return Err(RefuseCode::Malformed),
        }
    }
    Ok(())
}

fn check_method(method: &Method) -> Result<(), RefuseCode> {
    // in any case: methods are case-sensitive by the standard, not by every server
    let refused = ["CONNECT", "TRACE", "TRACK"];
    if refused
        .iter()
        .any(|refused| method.as_str().eq_ignore_ascii_case(refused))
    {
        return Err(RefuseCode::MethodNotAllowed);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
