//! The server of the login page: HTTP/1.1 on one loopback port, only while something waits.
//!
//! The listener is bound in the call that offers a form, so its address works when it is printed.
//! One task accepts, one task serves each connection; both end when the last login does, after what
//! is being answered has been answered.
//!
//! Keys: the pieces of a body are collected into one buffer that is wiped, and the pieces themselves
//! are kept until their connection is gone, because only then nobody else holds their memory and it
//! can be wiped too. What remains are copies in the kernel's socket buffers.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use authsome_proto::{LoginId, Secret};
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::{Zeroize as _, Zeroizing};

use super::form::{self, BODY_MAX, BodyFault, Head, Own, Reception, Reply};
use super::{LoginForm, Shared, Submission, Submitted, page};
use crate::small_server;

/// Connections at a time. A browser opens a handful; more would let a local program use up our
/// descriptors.
const CONNECTIONS_MAX: usize = 32;

/// Time for the head of a request, and for its body.
const READ_MAX: Duration = Duration::from_secs(10);

/// Time for storing a key. The keyring may ask the person for a password first.
const STORE_MAX: Duration = Duration::from_secs(120);

/// Time for answers that are under way when the last login ends.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// How often the server looks whether a login is over: out of time, or given up without a word. The
/// port stays open at most that much longer; nothing is accepted on it by then.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Pause after a failed accept, which would otherwise fail again at once (out of descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server that runs.
#[derive(Debug, Clone)]
pub(super) struct Running {
    /// The port it has, which is not always the one that was wanted.
    pub(super) port: u16,
    /// Its address.
    pub(super) own: Arc<Own>,
    /// Ends it.
    pub(super) stop: CancellationToken,
}

/// Binds the port, or a free one if it is taken, and starts to serve. Call it inside the runtime.
pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Running> {
    let bind = |port| StdListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = match bind(shared.port) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => bind(0),
        bound => bound,
    }?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let running = Running {
        port,
        own: Arc::new(Own::new(port)),
        stop: CancellationToken::new(),
    };
    let listener = TcpListener::from_std(listener)?;
    // ended by `stop`, which `State::end` cancels with the last login
    drop(tokio::spawn(serve(
        listener,
        Arc::clone(shared),
        running.clone(),
    )));
    Ok(running)
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, running: Running) {
    let connections = TaskTracker::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    tracing::debug!(port = running.port, "login page opened");
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = running.stop.cancelled() => break,
            _ = look.tick() => {
                let now = Instant::now();
                shared.lock().end(|waiting| waiting.is_over(now));
            }
            accepted = accept(&listener, &room) => match accepted {
                Ok((stream, permit)) => {
                    let server = Server { shared: Arc::clone(&shared), own: Arc::clone(&running.own) };
                    let stop = running.stop.clone();
                    connections.spawn(async move {
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
    connections.close();
    let drained = timeout(DRAIN_MAX, connections.wait()).await;
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
}

/// The pieces of bodies that went through a connection.
type Pieces = Arc<Mutex<Vec<Bytes>>>;

async fn serve_connection(server: Server, stream: TcpStream, stop: CancellationToken) {
    let pieces = Pieces::default();
    let service = service_fn(|request| {
        let (server, pieces) = (server.clone(), Arc::clone(&pieces));
        async move { Ok::<_, Infallible>(respond(&server, request, &pieces).await) }
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

async fn respond(
    server: &Server,
    request: Request<Incoming>,
    pieces: &Pieces,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let is_head = head.method == Method::HEAD;
    let submission = {
        let state = server.shared.lock();
        let head = Head {
            method: &head.method,
            uri: &head.uri,
            headers: &head.headers,
        };
        match form::receive(head, &server.own, &state.waiting, Instant::now()) {
            Reception::Reply(reply) => Err(reply),
            Reception::Submission(waiting) => Ok((
                waiting.id.clone(),
                Arc::clone(&waiting.form),
                waiting.field.clone(),
            )),
        }
    };
    let reply = match submission {
        Err(reply) => reply,
        Ok((id, form, field)) => match timeout(READ_MAX, collect(body, pieces)).await {
            Ok(Some(body)) => match form::read_key(&form, &field, &body) {
                Ok(secret) => store(server, &id, &form, &field, secret).await,
                Err(BodyFault::Foreign) => Reply::new(StatusCode::FORBIDDEN, page::refused()),
                Err(BodyFault::Key(fault)) => {
                    let html = page::form(&form, &field, Some(&fault.to_string()));
                    Reply::new(StatusCode::UNPROCESSABLE_ENTITY, html)
                }
            },
            _ => Reply::new(StatusCode::BAD_REQUEST, page::refused()),
        },
    };
    to_response(reply, is_head)
}

/// Reads a body into one buffer that is wiped; `None` when the browser hung up.
async fn collect(mut body: Incoming, pieces: &Pieces) -> Option<Zeroizing<Vec<u8>>> {
    // never grows, so it never leaves a copy behind
    let mut whole = Zeroizing::new(Vec::with_capacity(BODY_MAX));
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.ok()?.into_data() else {
            continue;
        };
        let fits = whole.len() + piece.len() <= BODY_MAX;
        if fits {
            whole.extend_from_slice(&piece);
        }
        pieces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(piece);
        if !fits {
            return None;
        }
    }
    Some(whole)
}

/// Hands the key on and waits for the outcome.
async fn store(
    server: &Server,
    id: &LoginId,
    form: &LoginForm,
    field: &str,
    secret: Secret,
) -> Reply {
    let sink = {
        let mut state = server.shared.lock();
        match state.waiting.iter_mut().find(|waiting| waiting.id == *id) {
            None => return Reply::new(StatusCode::GONE, page::gone()),
            Some(waiting) if waiting.is_storing => {
                return Reply::new(StatusCode::CONFLICT, page::storing());
            }
            Some(waiting) => {
                waiting.is_storing = true;
                waiting.sink.clone()
            }
        }
    };
    // also when this browser hangs up while the key is being stored
    let storing = Storing { server, id };
    let (answer, outcome) = oneshot::channel();
    let outcome = async {
        let submission = Submission::Secret(secret);
        sink.send(Submitted { submission, answer }).await.ok()?;
        outcome.await.ok()
    };
    match timeout(STORE_MAX, outcome).await {
        Ok(Some(Ok(_shown))) => {
            server.shared.lock().end(|waiting| waiting.id == *id);
            Reply::new(StatusCode::OK, page::done(form))
        }
        Ok(Some(Err(problem))) => {
            drop(storing);
            let html = page::form(form, field, Some(&problem));
            Reply::new(StatusCode::SERVICE_UNAVAILABLE, html)
        }
        Ok(None) => {
            server.shared.lock().end(|waiting| waiting.id == *id);
            Reply::new(StatusCode::GONE, page::gone())
        }
        Err(_) => {
            drop(storing);
            let problem = "The vault did not answer in time. See your terminal, then try again.";
            let html = page::form(form, field, Some(problem));
            Reply::new(StatusCode::GATEWAY_TIMEOUT, html)
        }
    }
}

/// A login whose key is being stored; lets the next key in when it goes.
struct Storing<'a> {
    server: &'a Server,
    id: &'a LoginId,
}

impl Drop for Storing<'_> {
    fn drop(&mut self) {
        let mut state = self.server.shared.lock();
        for waiting in state
            .waiting
            .iter_mut()
            .filter(|waiting| waiting.id == *self.id)
        {
            waiting.is_storing = false;
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
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        // not `no-referrer`: with it browsers send `Origin: null` with our own form (Fetch, 3.2.5);
        // this one tells other origins as little
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            header::HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if reply.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
    }
    response
}
