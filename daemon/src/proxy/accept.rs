//! Takes connections on the proxy's ports and lives with each until its end.
//!
//! 1. [`serve`] takes everybody on loopback and asks each outer request for a run's token (407);
//!    [`serve_direct`] is a run's own port, where the kernel must say that the caller is ours
//!    before a byte is read.
//! 2. The outer request is read by an HTTP/1.1 server. Origin-form is refused, so is what a
//!    browser wrote (threat L1b).
//! 3. After a `CONNECT` the connection turns into a tunnel or is served inside TLS. A served
//!    connection runs in a task of its own; this one only watches over it: it ends it when the run
//!    ends, when it is idle, or when the daemon stops and no request is under way. Watching from
//!    outside keeps all of that off the request path.
//!
//! On failure of `accept` (no descriptors left) the loop pauses and goes on (threat H12).

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use http::uri::Scheme;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use nix::sys::resource::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::AnswerBody;
use super::connect::{self, Turned};
use super::link::Link;
use super::respond::{About, Refusal};
use super::tunnel::{self, Rewound};
use super::{ProxyState, RunView, forward, tls, token};
use crate::routing::RefuseCode;
use crate::sys::sock_diag;

/// Time for a head on the outer hop, and for the pause before the next one (threat H6).
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest head taken over HTTP/1.1; hyper wants at least 8 KiB.
const HEAD_MAX: usize = 64 * 1024;
/// Most header fields in a head. Browsers and SDKs send about twenty.
const HEADERS_MAX: usize = 128;
/// How often an intercepted connection is looked at; idle ones end after one to two of these.
/// Clients keep their pools for about a minute.
const IDLE_TICK: Duration = Duration::from_secs(60);
/// How often a connection is looked at once the daemon stops.
const DRAIN_TICK: Duration = Duration::from_millis(25);
/// Time that requests have to finish once the daemon stops (threat S5).
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after a failed `accept`: descriptors come back when some connection ends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Descriptors kept for the control socket, the vault, the audit log and the runtime.
const DESCRIPTORS_RESERVED: u64 = 64;
/// HTTP/2 limits (threat H5), each a few times what real clients need.
const STREAMS_MAX: u32 = 100;
const HEADER_LIST_MAX: u32 = 64 * 1024;
const PENDING_RESETS_MAX: usize = 20;
const ERROR_RESETS_MAX: usize = 256;

/// Serves the main port until `shutdown`, then drains.
pub async fn serve(listener: TcpListener, state: Arc<ProxyState>, shutdown: CancellationToken) {
    Door {
        state,
        entry: Entry::Token,
    }
    .serve(listener, shutdown)
    .await;
}

/// Serves the run's own port, which asks no token, until the run ends or `shutdown`.
pub async fn serve_direct(
    listener: TcpListener,
    run: Arc<RunView>,
    state: Arc<ProxyState>,
    shutdown: CancellationToken,
) {
    let stop = shutdown.child_token();
    let ended = run.ended.clone();
    let door = Door {
        state,
        entry: Entry::Run(run),
    };
    let watch = async {
        ended.cancelled().await;
        stop.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = door.serve(listener, stop.clone()) => {}
        () = watch => {}
    }
}

/// How a caller proves that it may come in.
#[derive(Clone)]
enum Entry {
    /// By the token of a run.
    Token,
    /// By its socket being ours, as the kernel says.
    Run(Arc<RunView>),
}

#[derive(Clone)]
struct Door {
    state: Arc<ProxyState>,
    entry: Entry,
}

/// The two steps of stopping: let requests finish, then cut.
#[derive(Clone)]
struct Stop {
    drain: CancellationToken,
    cut: CancellationToken,
}

impl Door {
    async fn serve(self, listener: TcpListener, shutdown: CancellationToken) {
        let tracker = TaskTracker::new();
        let stop = Stop {
            drain: shutdown,
            cut: CancellationToken::new(),
        };
        loop {
            let accepted = tokio::select! {
                () = stop.drain.cancelled() => break,
                accepted = accept(&listener) => accepted,
            };
            let Ok((stream, peer, place)) = accepted.inspect_err(|error| {
                tracing::warn!(%error, "cannot accept a connection");
            }) else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let (door, stop) = (self.clone(), stop.clone());
            tracker.spawn(async move {
                door.connection(stream, peer, stop).await;
                drop(place);
            });
        }
        drop(listener);
        tracker.close();
        if tokio::time::timeout(DRAIN_TIMEOUT, tracker.wait())
            .await
            .is_err()
        {
            tracing::info!(
                connections = tracker.len(),
                "cutting connections that did not finish"
            );
            stop.cut.cancel();
            tracker.wait().await;
        }
    }

    async fn connection(&self, stream: TcpStream, peer: SocketAddr, stop: Stop) {
        if let Entry::Run(_) = self.entry
            && !is_ours(&stream, peer)
        {
            tracing::info!(%peer, "refused a caller of another user");
            return;
        }
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY on a child's connection");
        }
        let Some(turned) = self.outer(stream, &stop).await else {
            return;
        };
        match turned {
            Turned::Intercept {
                child,
                run,
                dialled,
                config,
            } => {
                let Some(io) = lower(child).await else { return };
                let handshake = tls::accept(io, config);
                let accepted = tokio::select! {
                    accepted = handshake => accepted,
                    () = run.ended.cancelled() => return,
                    () = stop.drain.cancelled() => return,
                };
                let accepted = match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::debug!(%error, host = %dialled.host, "no TLS with the child");
                        return;
                    }
                };
                let state = Arc::clone(&self.state);
                let link = Link::new(state, run, dialled, accepted.sni.clone(), Scheme::HTTPS);
                if let Some(link) = link {
                    inner(accepted, Arc::new(link), &stop).await;
                }
            }
            Turned::Tunnel {
                child,
                run,
                upstream,
            } => {
                let Some(io) = lower(child).await else { return };
                tokio::select! {
                    _ = tunnel::copy(io, upstream) => {}
                    () = run.ended.cancelled() => {}
                    () = stop.cut.cancelled() => {}
                }
            }
        }
    }

    /// Serves the outer hop until it ends or turns into something else.
    async fn outer(&self, stream: TcpStream, stop: &Stop) -> Option<Turned> {
        let slot = Mutex::new(None);
        {
            let service = service_fn(|request| self.answer(request, &slot));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_buf_size(HEAD_MAX)
                .max_headers(HEADERS_MAX)
                .preserve_header_case(true)
                .auto_date_header(false)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            tokio::pin!(connection);
            let mut draining = false;
            loop {
                tokio::select! {
                    ended = connection.as_mut() => {
                        if let Err(error) = ended {
                            tracing::debug!(%error, "a child's connection ended");
                        }
                        break;
                    }
                    () = stop.drain.cancelled(), if !draining => {
                        draining = true;
                        connection.as_mut().graceful_shutdown();
                    }
                    () = stop.cut.cancelled() => return None,
                }
            }
        }
        slot.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        slot: &Mutex<Option<Turned>>,
    ) -> Result<Response<AnswerBody>, Infallible> {
        let method = request.method().as_str();
        let plain = |code| {
            Refusal::new(
                code,
                About {
                    host: "",
                    method,
                    path: "",
                    route: None,
                },
            )
        };
        // said before the token is looked at: it holds for every caller and tells nobody anything
        if request.uri().authority().is_none() {
            let refusal = plain(RefuseCode::Malformed)
                .saying("this port is a proxy, and no server: it takes no origin-form requests");
            return Ok(refusal.into_response());
        }
        let run = match &self.entry {
            Entry::Token => token::check(&self.state.runs.load(), request.headers()),
            Entry::Run(run) => Some(Arc::clone(run)).filter(|run| !run.is_over()),
        };
        let Some(run) = run else {
            return Ok(plain(RefuseCode::NoToken).into_response());
        };
        if connect::is_from_a_page(request.headers()) {
            let refusal = plain(RefuseCode::Malformed)
                .saying("this port takes no requests that a web page made");
            return Ok(refusal.into_response());
        }
        let turn = |turned| {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(turned);
        };
        Ok(connect::answer(&self.state, run, request, turn).await)
    }
}

/// Serves an intercepted connection and watches over it.
async fn inner(accepted: tls::Accepted<Rewound<TcpStream>>, link: Arc<Link>, stop: &Stop) {
    let h2 = accepted.h2;
    let io = TokioIo::new(accepted.stream);
    let served = Arc::clone(&link);
    let task = if h2 {
        tokio::spawn(serve_h2(io, served))
    } else {
        tokio::spawn(serve_h1(io, served))
    };
    let mut task = tokio_util::task::AbortOnDropHandle::new(task);
    let mut tick = tokio::time::interval(IDLE_TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick.tick().await;
    let mut begun = link.begun();
    let mut draining = false;
    loop {
        tokio::select! {
            _ = &mut task => return,
            () = link.run.ended.cancelled() => return,
            () = stop.cut.cancelled() => return,
            () = stop.drain.cancelled(), if !draining => {
                draining = true;
                tick = tokio::time::interval(DRAIN_TICK);
                tick.tick().await;
                begun = link.begun();
            }
            _ = tick.tick() => {
                // quiet for a whole tick: its bytes are out, no next request came
                if link.is_quiet() && link.begun() == begun {
                    return;
                }
                begun = link.begun();
            }
        }
    }
}

type ChildIo = TokioIo<tokio_rustls::server::TlsStream<Rewound<TcpStream>>>;

async fn serve_h1(io: ChildIo, link: Arc<Link>) {
    let service = service_fn(|request| {
        let link = Arc::clone(&link);
        async move { Ok::<_, Infallible>(forward::forward(&link, request).await) }
    });
    // no header timeout here: it would arm a timer per request, and the watcher ends idle ones
    let served = http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .preserve_header_case(true)
        .auto_date_header(false)
        .serve_connection(io, service);
    if let Err(error) = served.with_upgrades().await {
        tracing::debug!(%error, host = %link.host_text, "an intercepted connection ended");
    }
}

async fn serve_h2(io: ChildIo, link: Arc<Link>) {
    let service = service_fn(|request| {
        let link = Arc::clone(&link);
        async move { Ok::<_, Infallible>(forward::forward(&link, request).await) }
    });
    let served = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_LIST_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(ERROR_RESETS_MAX)
        .enable_connect_protocol()
        .auto_date_header(false)
        .serve_connection(io, service);
    if let Err(error) = served.await {
        tracing::debug!(%error, host = %link.host_text, "an intercepted connection ended");
    }
}

/// The socket under a `CONNECT`, with what the child sent too early.
async fn lower(child: OnUpgrade) -> Option<Rewound<TcpStream>> {
    // fails if the child went away before its answer was written
    let upgraded = child.await.ok()?;
    // the outer hop is served on a TCP stream, so this is what comes back
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    Some(Rewound::new(parts.read_buf, parts.io.into_inner()))
}

/// Places for connections on all ports together: descriptors are the process', not a port's.
static PLACES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(places())));

async fn accept(
    listener: &TcpListener,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    // the connection first: a port where nobody calls must not hold a place
    let (stream, peer) = listener.accept().await?;
    let place = Arc::clone(&PLACES)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    Ok((stream, peer, place))
}

/// How many connections fit: each needs a descriptor to the child and one to the upstream.
fn places() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    let places = limit.saturating_sub(DESCRIPTORS_RESERVED) / 2;
    usize::try_from(places)
        .unwrap_or(usize::MAX)
        .clamp(8, Semaphore::MAX_PERMITS)
}

fn is_ours(stream: &TcpStream, peer: SocketAddr) -> bool {
    let owner = stream
        .local_addr()
        .and_then(|local| sock_diag::owner_of(local, peer));
    match owner {
        Ok(owner) => owner == Some(nix::unistd::geteuid().as_raw()),
        Err(error) => {
            tracing::warn!(%error, "the kernel does not say whose socket this is");
            false
        }
    }
}
