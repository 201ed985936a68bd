//! What becomes of a request on the proxy's own port: intercept, tunnel, forward or refuse.
//!
//! A `CONNECT` to an authority that the run's table covers is intercepted; its requests are judged
//! and, where needed, refused inside the tunnel, where clients show it. Any other is tunnelled
//! untouched or refused. Absolute-form `http://` goes on in the clear unless the host has a route
//! (threat D3); absolute-form `https://` (axios before 1.7) is served as if it were tunnelled.
//!
//! Invariant (threats C2, C4): a certificate is signed only for an authority that the table
//! covers.

use std::sync::Arc;

use http::header::ORIGIN;
use http::uri::Scheme;
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use rustls::ServerConfig;
use tokio::net::TcpStream;

use super::address::Reach;
use super::body::AnswerBody;
use super::dial::{self, Purpose};
use super::link::Link;
use super::respond::{About, Refusal};
use super::trail::{self, Subject};
use super::upstream::SendError;
use super::{CaError, ProxyState, RunView, forward};
use crate::routing::{Authority, Entry, RefuseCode, Way, enter};

/// What a connection turns into once its `CONNECT` is answered.
pub(super) enum Turned {
    /// TLS is ended here.
    Intercept {
        child: OnUpgrade,
        run: Arc<RunView>,
        dialled: Authority,
        config: Arc<ServerConfig>,
    },
    /// Bytes pass unread.
    Tunnel {
        child: OnUpgrade,
        run: Arc<RunView>,
        upstream: TcpStream,
    },
}

/// Whether a browser wrote these headers: no program that was told to use a proxy marks its outer
/// request so, and a web page cannot leave the marks out (threat L1b).
pub(super) fn is_from_a_page(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN)
        || headers
            .keys()
            .any(|name| name.as_str().starts_with("sec-fetch-"))
}

/// Answers `request` of `run`; a `CONNECT` that was taken leaves in `turned` what comes next.
pub(super) async fn answer(
    state: &Arc<ProxyState>,
    run: Arc<RunView>,
    request: Request<Incoming>,
    turned: impl FnOnce(Turned),
) -> Response<AnswerBody> {
    let result = if request.method() == Method::CONNECT {
        connect(state, run, request, turned).await
    } else {
        absolute(state, run, request).await
    };
    result.unwrap_or_else(Refusal::into_response)
}

async fn connect(
    state: &Arc<ProxyState>,
    run: Arc<RunView>,
    mut request: Request<Incoming>,
    turned: impl FnOnce(Turned),
) -> Result<Response<AnswerBody>, Refusal> {
    let target = request
        .uri()
        .authority()
        .map(http::uri::Authority::as_str)
        .unwrap_or_default();
    let dialled = Authority::parse(target, None)
        .map_err(|_| refuse(state, &run, &request, target, RefuseCode::Malformed))?;
    let child = request.extensions_mut().remove::<OnUpgrade>();
    let name = dialled.to_string();
    let refuse = |code| refuse(state, &run, &request, &name, code);
    let child = child.ok_or_else(|| refuse(RefuseCode::Malformed))?;
    let entry = enter(&run.table.load(), run.unmatched, &dialled, Way::Connect);
    if entry == Entry::Intercept {
        let now = (run.clock)();
        let config = run.ca.server_config(&dialled.host, now).map_err(|error| {
            tracing::warn!(run = %run.id, host = %dialled.host, error = %error, "no certificate");
            match error {
                CaError::Expired => refuse(RefuseCode::RunEnded),
                _ => refuse(RefuseCode::Malformed),
            }
        })?;
        if run.ca.ends_soon(now) {
            tracing::warn!(run = %run.id, "the run's certificate authority ends in less than 14 days");
        }
        turned(Turned::Intercept {
            child,
            run,
            dialled,
            config,
        });
    } else {
        if let Entry::Refuse(code) = entry {
            return Err(refuse(code));
        }
        let settings = run.plain.settings();
        let host = dialled.host.as_str();
        let dialling = dial::dial(
            settings,
            host,
            dialled.port,
            Purpose::Stream,
            Reach::Anywhere,
        );
        let upstream = dialling.await.map_err(|error| {
            let error = SendError::dialling(&error);
            refuse(error.code).because(&error.reason)
        })?;
        turned(Turned::Tunnel {
            child,
            run,
            upstream,
        });
    }
    Ok(Response::new(AnswerBody::Text(bytes::Bytes::new())))
}

async fn absolute(
    state: &Arc<ProxyState>,
    run: Arc<RunView>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Refusal> {
    let target = request
        .uri()
        .authority()
        .map(http::uri::Authority::as_str)
        .unwrap_or_default();
    let (scheme, way, own_port) = match request.uri().scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => (Scheme::HTTPS, Way::Secure, 443),
        Some(scheme) if *scheme == Scheme::HTTP => (Scheme::HTTP, Way::Cleartext, 80),
        _ => return Err(refuse(state, &run, &request, target, RefuseCode::Malformed)),
    };
    let dialled = Authority::parse(target, Some(own_port))
        .map_err(|_| refuse(state, &run, &request, target, RefuseCode::Malformed))?;
    if let Entry::Refuse(code) = enter(&run.table.load(), run.unmatched, &dialled, way) {
        return Err(refuse(state, &run, &request, dialled.host.as_str(), code));
    }
    let ended = run.ended.clone();
    let link = Link::new(Arc::clone(state), Arc::clone(&run), dialled, None, scheme)
        .ok_or_else(|| refuse(state, &run, &request, "", RefuseCode::Malformed))?;
    let link = Arc::new(link);
    tokio::select! {
        response = forward::forward(&link, request) => Ok(response.map(AnswerBody::cut_with_run)),
        () = ended.cancelled() => {
            let about = About { host: &link.host_text, method: "", path: "", route: None };
            Err(Refusal::new(RefuseCode::RunEnded, about))
        }
    }
}

fn refuse(
    state: &ProxyState,
    run: &RunView,
    request: &Request<Incoming>,
    host: &str,
    code: RefuseCode,
) -> Refusal {
    let method = request.method().as_str();
    let path = if request.method() == Method::CONNECT {
        ""
    } else {
        request.uri().path()
    };
    tracing::info!(run = %run.id, host, reason = code.code(), "refused");
    trail::refuse(
        state.audit.get(),
        run,
        host,
        &Subject { method, path },
        code,
    );
    Refusal::new(
        code,
        About {
            host,
            method,
            path,
            route: None,
        },
    )
}
