//! The server of the login page: HTTP/1.1 on one loopback port, only while something waits.
//!
//! The listener is bound in the call that offers a form, so its address works when it is printed.
//! One task accepts, one task serves each connection; both end when the last login does, after what
//! is being answered has been answered.
//!
//! Secrets: the pieces of a body are collected into one buffer that is wiped, and the pieces
//! themselves are kept until their connection is gone, because only then nobody else holds their
//! memory and it can be wiped too. What remains are copies in the kernel's socket buffers, and the
//! address of a callback, whose code is in memory of hyper's that cannot be reached: it is given up
//! before the code is handed on, and a code is good once, for whoever has the verifier (PKCE).

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use http::header::{self, HeaderName, HeaderValue};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::Zeroize as _;

use super::form::{Extra, Own, Reply};
use super::waiting::{Shared, State};
use super::{OfferError, Port, page};
use crate::small_server;

mod respond;

/// Connections at a time. A browser opens a handful; more would let a local program use up our
/// descriptors.
const CONNECTIONS_MAX: usize = 32;

/// Time for the head of a request, and for its body.
const READ_MAX: Duration = Duration::from_secs(10);

/// Time for answers that are under way when the last login ends.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// How often the server looks whether a login is over: out of time, or given up without a word. The
/// port stays open at most that much longer; nothing is accepted on it by then.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Pause after a failed accept, which would otherwise fail again at once (out of descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const CROSS_ORIGIN_OPENER_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-opener-policy");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// A server that runs.
#[derive(Debug, Clone)]
pub(super) struct Running {
    /// The port it has, which is not always the one that was wanted.
    pub(super) port: u16,
    /// Its address.
    pub(super) own: Arc<Own>,
    /// Ends it.
    pub(super) stop: CancellationToken,
    /// Cancelled once its port is free again.
    pub(super) closed: CancellationToken,
}

/// A server on a port that will do: one that runs, or a new one. Call it inside the runtime.
pub(super) fn running(
    shared: &Arc<Shared>,
    state: &mut State,
    port: Port,
) -> Result<Running, OfferError> {
    let configured = shared.port;
    let on_configured = |running: &&Running| running.port == configured;
    let found = state.servers.iter().find(on_configured);
    let found = found.or_else(|| state.servers.first().filter(|_| port == Port::Any));
    if let Some(running) = found {
        return Ok(running.clone());
    }
    let bind = |port| StdListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = match (bind(configured), port) {
        (Err(error), Port::Any) if error.kind() == io::ErrorKind::AddrInUse => bind(0),
        (Err(error), Port::Configured) if error.kind() == io::ErrorKind::AddrInUse => {
            return Err(OfferError::Taken {
                port: configured,
                holder: None,
            });
        }
        (bound, _) => bound,
    };
    let running = listener.and_then(|listener| start(shared, listener));
    let running = running.map_err(|source| OfferError::Listen {
        port: configured,
        source,
    })?;
    state.servers.push(running.clone());
    Ok(running)
}

fn start(shared: &Arc<Shared>, listener: StdListener) -> io::Result<Running> {
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let running = Running {
        port,
        own: Arc::new(Own::new(port)),
        stop: CancellationToken::new(),
        closed: CancellationToken::new(),
    };
    let listener = TcpListener::from_std(listener)?;
    // ended by `stop`, which `State::rest` cancels with the last login
    drop(tokio::spawn(serve(
        listener,
        Arc::clone(shared),
        running.clone(),
    )));
    Ok(running)
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, running: Running) {
    // also if the task is dropped
    let closed = running.closed.clone().drop_guard();
    let tasks = TaskTracker::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    tracing::debug!(port = running.port, "login page opened");
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = running.stop.cancelled() => break,
            _ = look.tick() => {
                let now = Instant::now();
                shared.lock().end(now, |waiting| waiting.is_over(now));
            }
            accepted = accept(&listener, &room) => match accepted {
                Ok((stream, permit)) => {
                    let server = Server {
                        shared: Arc::clone(&shared),
                        own: Arc::clone(&running.own),
                        tasks: tasks.clone(),
                    };
                    let stop = running.stop.clone();
                    tasks.spawn(async move {
                        serve_connection(server, stream, stop).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the login page cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    drop(closed);
    tasks.close();
    let drained = timeout(DRAIN_MAX, tasks.wait()).await;
    tracing::debug!(
        port = running.port,
        graceful = drained.is_ok(),
        "login page closed"
    );
}

/// The next connection, once there is room for it.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

/// What a connection needs.
#[derive(Clone)]
struct Server {
    shared: Arc<Shared>,
    own: Arc<Own>,
    /// Its connections, and what goes on without them.
    tasks: TaskTracker,
}

/// The pieces of bodies that went through a connection.
type Pieces = Arc<Mutex<Vec<Bytes>>>;

async fn serve_connection(server: Server, stream: TcpStream, stop: CancellationToken) {
    let pieces = Pieces::default();
    let service = service_fn(|request| {
        let (server, pieces) = (server.clone(), Arc::clone(&pieces));
        async move { Ok::<_, Infallible>(respond::respond(&server, request, &pieces).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(READ_MAX)
        // one request each: nothing to drain when the login is over
        .keep_alive(false);
    small_server::serve(&builder, stream, service, &stop, "the login page's browser").await;
    let pieces = std::mem::take(&mut *pieces.lock().unwrap_or_else(PoisonError::into_inner));
    for piece in pieces {
        if let Ok(mut piece) = piece.try_into_mut() {
            piece.as_mut().zeroize();
        }
    }
}

fn to_response(reply: Reply, is_head: bool) -> Response<Full<Bytes>> {
    let html = if is_head {
        Bytes::new()
    } else {
        Bytes::from(reply.html)
    };
    let mut response = Response::new(Full::new(html));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    let policy = HeaderValue::from_str(&page::SECURITY_POLICY);
    // a policy that is no header value would be a bug of ours: allow nothing at all then
    let policy = policy.unwrap_or(HeaderValue::from_static("default-src 'none'"));
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    // with `no-referrer` browsers send `Origin: null` with our own form (Fetch, 3.2.5); `same-origin`
    // tells other origins as little
    let mut referrer = "same-origin";
    match reply.extra {
        Extra::Nothing => {}
        Extra::Allow(methods) => {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        Extra::NoReferrer => referrer = "no-referrer",
        Extra::SeeOther(path) => {
            referrer = "no-referrer";
            // made of our own characters
            if let Ok(path) = path.try_into() {
                headers.insert(header::LOCATION, path);
            }
        }
    }
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, referrer),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
        (CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
