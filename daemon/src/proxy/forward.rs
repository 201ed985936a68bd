//! One request: judged, stripped, filled, recorded, sent; its answer cleaned and streamed back.
//!
//! The same path serves requests inside a tunnel and absolute-form ones.
//!
//! Invariants:
//! - F1 The names, path and method that are judged are the ones that are sent (threats D1, D5).
//! - F2 The record is with the audit log before a credential leaves (design 3.6).
//! - F3 Redirects go back to the child; the next hop is judged afresh (threat D11).
//! - F4 A request that waited for its turn, or for a token, is judged again before it is sent.
//! - F5 A token that is known to be over is not sent (threat O8). A request is sent a second time at
//!   most: after a 401, with another token, if it has no body and may be repeated.
//!
//! On failure: the child gets JSON with a stable code; the credential has not left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{HOST, HeaderValue, RETRY_AFTER, UPGRADE};
use http::request::Parts;
use http::uri::{PathAndQuery, Scheme};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;

use super::body::{AnswerBody, RequestBody, Tally};
use super::link::{Busy, Link};
use super::respond::{About, Refusal};
use super::trail::{self, Subject};
use super::upstream::Manner;
use super::watch::{Alarm, Watched};
use super::{Credential, Limits, NotRenewed, Unmatched, Why, inject, websocket};
use crate::policy::{Full, wait_for_turns};
use crate::routing::{Decision, Presented, RefuseCode, RequestView, decide, overrides_method};

/// Names a request may give: one `Host`, one authority. One more tells that there are too many.
const NAMES_MAX: usize = 3;

/// What was decided about a request, free of the route table.
enum Verdict {
    Inject(Arc<Credential>, Limits),
    Pass,
    Refuse(RefuseCode, Option<(Box<str>, Box<str>)>),
}

/// How much of a refused request's body is awaited, and how long. A client that is still sending
/// gets the end of the stream along with its answer, and some (curl 7.88) then tell of a broken
/// connection instead of the reason. Whoever sends more has to cope with that.
const SWALLOW_MAX: usize = 64 * 1024;
const SWALLOW_WAIT: Duration = Duration::from_millis(250);

/// Lets a client finish a short request that is refused; none of it is kept.
async fn swallow(mut body: Incoming) {
    let all = async {
        let mut left = SWALLOW_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // a client that takes longer than that gets its answer now
    drop(tokio::time::timeout(SWALLOW_WAIT, all).await);
}

/// Answers `request`, which came over `link`.
pub(super) async fn forward(link: &Arc<Link>, request: Request<Incoming>) -> Response<AnswerBody> {
    let busy = link.enter();
    let started = Instant::now();
    let (mut parts, body) = request.into_parts();
    let websocket = websocket::Opening::of(&mut parts);
    let credential = match admit(link, &parts).await {
        Ok(credential) => credential,
        Err(refusal) => {
            if parts.version == Version::HTTP_2 {
                swallow(body).await;
            }
            return *refusal;
        }
    };
    let again = match &credential {
        Some(credential) if websocket.is_none() => Again::of(credential, &parts, &body),
        _ => None,
    };
    let exchange = Exchange { busy, started };
    let body = Some(body);
    let sent = send(exchange, parts, body, credential.clone(), websocket).await;
    let response = match sent {
        Ok(response) => response,
        Err(refusal) => return refusal.into_response(),
    };
    match credential {
        Some(credential) if response.status() == StatusCode::UNAUTHORIZED => {
            rejected(link, &credential, again, response).await
        }
        _ => response,
    }
}

/// Judges a request, waits for its turn and for a token that is not over, and says what it is sent
/// with; else how it is answered.
async fn admit(
    link: &Link,
    parts: &Parts,
) -> Result<Option<Arc<Credential>>, Box<Response<AnswerBody>>> {
    let mut verdict = judge(link, parts);
    let mut turns = None;
    if let Verdict::Inject(credential, limits) = &verdict
        && !limits.is_empty()
    {
        match wait_for_turns(limits).await {
            Ok(taken) => {
                if taken.waited() {
                    // rules, credential and the run itself may be others by now
                    verdict = judge(link, parts);
                }
                turns = Some(taken);
            }
            Err(full) => return Err(Box::new(limited(link, parts, credential, full))),
        }
    }
    if let Verdict::Inject(credential, _) = &verdict
        && let Some(renewal) = &credential.renewal
        && renewal.is_dead()
    {
        let names = credential.names();
        let renewed = renewal.wait(names, Why::Dead, &link.run.ended).await;
        if let Err(not) = renewed {
            return Err(Box::new(not_renewed(link, parts, credential, &not)));
        }
        // the next version of it, or the reason why there is none, is in the routes
        verdict = judge(link, parts);
        if let Verdict::Inject(credential, _) = &verdict
            && credential.is_dead()
        {
            let not = NotRenewed::because("");
            return Err(Box::new(not_renewed(link, parts, credential, &not)));
        }
    }
    let (code, route) = match verdict {
        Verdict::Inject(credential, _) => {
            if let Some(turns) = turns {
                turns.used();
            }
            return Ok(Some(credential));
        }
        Verdict::Pass => return Ok(None),
        Verdict::Refuse(code, route) => (code, route),
    };
    let about = About {
        host: &link.host_text,
        method: parts.method.as_str(),
        path: parts.uri.path(),
        route: route
            .as_ref()
            .map(|(provider, connection)| (&**provider, &**connection)),
    };
    refused(
        link,
        &Subject {
            method: parts.method.as_str(),
            path: parts.uri.path(),
        },
        code,
    );
    Err(Box::new(Refusal::new(code, about).into_response()))
}

/// A request that can be sent once more: nothing is lost if the server has acted on it already, and
/// its body is empty, since bodies are not kept.
struct Again(Parts);

impl Again {
    fn of(credential: &Credential, parts: &Parts, body: &Incoming) -> Option<Self> {
        let repeats = matches!(
            parts.method,
            Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE
        );
        let kept = credential.renewal.is_some() && repeats && body.is_end_stream();
        kept.then(|| Self(parts.clone()))
    }
}

/// What becomes of a 401: a token that its server has withdrawn is renewed, and the request is judged
/// and sent again, once, with the next one. The answer goes back as it is where that cannot be.
async fn rejected(
    link: &Arc<Link>,
    credential: &Credential,
    again: Option<Again>,
    response: Response<AnswerBody>,
) -> Response<AnswerBody> {
    let Some(renewal) = &credential.renewal else {
        return response;
    };
    let Some(Again(parts)) = again else {
        renewal.hint(credential.names());
        return response;
    };
    let names = credential.names();
    let renewed = renewal.wait(names, Why::Rejected, &link.run.ended).await;
    if renewed.is_err() {
        return response;
    }
    // its record ends before the next one begins
    drop(response);
    let credential = match admit(link, &parts).await {
        Ok(credential) => credential,
        Err(refusal) => return *refusal,
    };
    let exchange = Exchange {
        busy: link.enter(),
        started: Instant::now(),
    };
    send(exchange, parts, None, credential, None)
        .await
        .unwrap_or_else(Refusal::into_response)
}

/// The answer for a request whose turn is further away than it may wait.
fn limited(
    link: &Link,
    parts: &Parts,
    credential: &Credential,
    full: Full,
) -> Response<AnswerBody> {
    let refusal = refuse_for(link, parts, credential, RefuseCode::RateLimited);
    come_back(refusal.into_response(), full.retry_after)
}

/// The answer for a request whose token is over.
fn not_renewed(
    link: &Link,
    parts: &Parts,
    credential: &Credential,
    not: &NotRenewed,
) -> Response<AnswerBody> {
    let refusal = refuse_for(link, parts, credential, RefuseCode::RenewalFailed);
    come_back(
        refusal.because(&not.reason).into_response(),
        not.retry_after,
    )
}

fn refuse_for(link: &Link, parts: &Parts, credential: &Credential, code: RefuseCode) -> Refusal {
    let subject = Subject {
        method: parts.method.as_str(),
        path: parts.uri.path(),
    };
    refused(link, &subject, code);
    let about = About {
        host: &link.host_text,
        method: subject.method,
        path: subject.path,
        route: Some((credential.provider.as_str(), credential.connection.as_str())),
    };
    Refusal::new(code, about)
}

fn come_back(mut response: Response<AnswerBody>, after: Duration) -> Response<AnswerBody> {
    // rounded up: whoever comes back then finds a turn
    let seconds = after.as_millis().div_ceil(1000).max(1);
    if let Ok(seconds) = HeaderValue::from_str(&seconds.to_string()) {
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

pub(super) fn refused(link: &Link, subject: &Subject<'_>, code: RefuseCode) {
    tracing::info!(run = %link.run.id, host = %link.host_text, reason = code.code(), "refused");
    trail::refuse(
        link.state.audit.get(),
        &link.run,
        &link.host_text,
        subject,
        code,
    );
}

fn judge(link: &Link, parts: &Parts) -> Verdict {
    if link.run.is_over() {
        return Verdict::Refuse(RefuseCode::RunEnded, None);
    }
    let mut names: [&[u8]; NAMES_MAX] = [&[]; NAMES_MAX];
    let mut count = 0;
    let mut hosts = 0;
    let given = parts.headers.get_all(HOST).iter().map(|value| {
        hosts += 1;
        value.as_bytes()
    });
    let authority = parts
        .uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    for name in given.chain(authority) {
        let Some(place) = names.get_mut(count) else {
            return Verdict::Refuse(RefuseCode::Malformed, None);
        };
        *place = name;
        count += 1;
    }
    // RFC 9112, section 3.2: more than one `Host` is an error even if they agree
    let asked_https = parts
        .uri
        .scheme()
        .is_none_or(|scheme| *scheme == Scheme::HTTPS);
    if hosts > 1 {
        return Verdict::Refuse(RefuseCode::Malformed, None);
    }
    let view = RequestView {
        dialled: &link.dialled,
        sni: link.sni.as_deref(),
        host_headers: names.get(..count).unwrap_or_default(),
        scheme_https: link.scheme == Scheme::HTTPS && asked_https,
        method: &parts.method,
        path: parts.uri.path(),
        method_override: overrides_method(&parts.headers),
        presented: &Presented::find(&parts.headers, &parts.uri),
    };
    let table = link.run.table.load();
    match decide(&table, &view) {
        // the route may have gone while the connection was open
        Decision::Pass if link.run.unmatched == Unmatched::Deny => {
            Verdict::Refuse(RefuseCode::NotAllowed, None)
        }
        Decision::Pass => Verdict::Pass,
        Decision::Refuse(code) => Verdict::Refuse(code, None),
        Decision::Inject(route) => {
            let names = || {
                let (provider, connection) = (&route.provider, &route.connection);
                (provider.as_str().into(), connection.as_str().into())
            };
            match route.credential.ready() {
                Ok((credential, limits)) => {
                    Verdict::Inject(Arc::clone(credential), Arc::clone(limits))
                }
                Err(code) => Verdict::Refuse(code, Some(names())),
            }
        }
    }
}

/// What a request holds from its head to the end of its answer.
struct Exchange {
    busy: Busy,
    started: Instant,
}

/// Sends a request; without a `body` if it is a repeated one.
async fn send(
    Exchange { busy, started }: Exchange,
    mut parts: Parts,
    body: Option<Incoming>,
    credential: Option<Arc<Credential>>,
    websocket: Option<websocket::Opening>,
) -> Result<Response<AnswerBody>, Refusal> {
    let link = Arc::clone(&busy.0);
    // the client's path: after the injection the query may hold the secret
    let target = parts.uri.path_and_query().cloned();
    let path = || target.as_ref().map_or("/", PathAndQuery::path);
    let method = parts.method.clone();
    let refuse = |code: RefuseCode| {
        let route = credential
            .as_ref()
            .map(|credential| (credential.provider.as_str(), credential.connection.as_str()));
        let about = About {
            host: &link.host_text,
            method: method.as_str(),
            path: path(),
            route,
        };
        let subject = Subject {
            method: method.as_str(),
            path: path(),
        };
        refused(&link, &subject, code);
        Refusal::new(code, about)
    };
    inject::strip(&mut parts);
    if let Some(opening) = &websocket {
        opening.prepare(&mut parts).map_err(refuse)?;
    } else if parts.headers.contains_key(UPGRADE) {
        return Err(refuse(RefuseCode::UpgradeRefused));
    }
    if let Some(credential) = &credential {
        inject::inject(&mut parts, &credential.filled).map_err(refuse)?;
    }
    let upstream = credential
        .as_ref()
        .map_or(&link.run.plain, |credential| &credential.upstream);
    let manner = match (&websocket, parts.version) {
        (Some(_), _) => Manner::Upgrade,
        (None, Version::HTTP_2) => Manner::Http2,
        (None, _) => Manner::Http1,
    };
    address(&link, &mut parts, upstream.speaks_h2(manner))
        .ok_or_else(|| refuse(RefuseCode::Malformed))?;
    let number = link.state.next_request();
    let subject = Subject {
        method: method.as_str(),
        path: path(),
    };
    match &credential {
        Some(credential) => {
            trail::inject(&link, credential, number, &subject)
                .await
                .map_err(refuse)?;
        }
        None => trail::pass(&link, number, &subject),
    }
    let watched = body
        .as_ref()
        .is_some_and(|it| watches(&link, websocket.is_some(), it));
    let alarm = watched.then(|| {
        Arc::new(Alarm {
            link: Arc::clone(&link),
            method: method.clone(),
            target: target.clone(),
            raised: AtomicBool::new(false),
        })
    });
    let body = match (&websocket, &alarm, body) {
        (Some(_), ..) | (None, _, None) => RequestBody::Empty,
        (None, Some(alarm), Some(body)) => {
            RequestBody::Watched(Watched::new(body), credential.clone(), Arc::clone(alarm))
        }
        (None, None, Some(body)) => RequestBody::Streamed(body, credential.clone()),
    };
    let request = Request::from_parts(parts, body);
    let answer = upstream.send(manner, request).await;
    let mut tally = Tally {
        busy,
        request: Some(number),
        started,
        status: 0,
        bytes: 0,
    };
    let mut response = answer.map_err(|error| {
        if alarm.as_ref().is_some_and(|alarm| alarm.is_raised()) {
            // the upstream saw no more than a broken request; the audit log knows already
            tally.status = RefuseCode::PlaceholderMisplaced.status().as_u16();
            let about = About {
                host: &link.host_text,
                method: method.as_str(),
                path: path(),
                route: None,
            };
            return Refusal::new(RefuseCode::PlaceholderMisplaced, about);
        }
        tally.status = error.code.status().as_u16();
        refuse(error.code).because(&error.reason)
    })?;
    tally.status = response.status().as_u16();
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let Some(opening) = websocket else {
            return Err(refuse(RefuseCode::UpgradeRefused));
        };
        let upstream = hyper::upgrade::on(&mut response);
        return Ok(opening.accepted(response, upstream, tally));
    }
    if websocket.is_some_and(|opening| opening.would_open(response.status())) {
        return Err(refuse(RefuseCode::UpgradeRefused));
    }
    let (mut parts, body) = response.into_parts();
    inject::clean_response(&mut parts);
    // whatever the upstream spoke, the child is answered in its own version
    parts.version = Version::HTTP_11;
    Ok(Response::from_parts(
        parts,
        AnswerBody::streamed(body, tally),
    ))
}

/// Whether a request's body is looked through: not one that is empty.
fn watches(link: &Link, websocket: bool, body: &Incoming) -> bool {
    !websocket && !body.is_end_stream() && !link.state.passes_bodies.load(Ordering::Relaxed)
}

/// Points the request at what was dialled, in the one spelling that was judged.
fn address(link: &Link, parts: &mut Parts, h2: bool) -> Option<()> {
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(link.scheme.clone());
    uri.authority = Some(link.authority.clone());
    uri.path_and_query = match std::mem::take(&mut parts.uri).into_parts().path_and_query {
        Some(target) => Some(target),
        None => Some(PathAndQuery::from_static("/")),
    };
    parts.uri = Uri::from_parts(uri).ok()?;
    if h2 {
        // `:authority` says it; RFC 9113, section 8.3.1 wants no second name beside it
        parts.headers.remove(HOST);
    } else {
        parts.headers.insert(HOST, link.host_header.clone());
    }
    parts.version = Version::HTTP_11;
    // the child's own upgrade must not reach the client's side of the exchange
    parts.extensions.remove::<OnUpgrade>();
    if parts.method == Method::CONNECT {
        return None;
    }
    if link.scheme == Scheme::HTTP
        && let Some(proxy) = &link.run.plain.settings().proxy
        && let Some(authorization) = &proxy.authorization
    {
        // plain HTTP goes to the upstream proxy in absolute form, with its password
        parts
            .headers
            .insert(http::header::PROXY_AUTHORIZATION, authorization.clone());
    }
    Some(())
}
