//! Listens for one endpoint and answers its requests.
//!
//! 1. The port is the endpoint's own and stays it, since a tunnel points there. While somebody else
//!    has it, we say so and try again.
//! 2. `HEAD` is answered 200, for senders that look whether anybody is there; else only `POST`.
//! 3. Headers are judged before the body is read, its length before it is hashed. 401 without a
//!    body for whatever is not signed.
//! 4. What came before is answered 200 and not delivered again; what is being delivered is waited
//!    for.
//! 5. The audit log takes the record; then the request goes to the program in a task of its own, so
//!    that a sender that hangs up does not end it halfway.
//! 6. The program's answer is the sender's, if it comes within the endpoint's patience. Else 503,
//!    which makes senders try again; if the program finishes all the same, that next try is answered
//!    200 and not delivered.
//!
//! On failure: no keys (the vault is shut), no audit log, too much at once: 503.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use authsome_proto::WebhookName;
use bytes::{Bytes, BytesMut};
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode, request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::deliver::{self, Answer, DeliverError};
use super::endpoint::{Endpoint, Ticket};
use super::replay::{Admission, Identity};
use super::secrets::LiveSecret;
use super::verify::{Reason, Verifier};
use crate::audit::{self, Record};
use crate::runs::port;
use crate::small_server;

/// How long until the port is tried again while somebody else has it. Longer would keep an endpoint
/// dark after the other has gone.
const RETRY_BIND: Duration = Duration::from_secs(2);

/// Pause after a failed accept, which would otherwise fail again at once (out of descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections of an endpoint at once, and deliveries. Each may hold a body: with the default limit
/// that is 64 MiB in all.
const CONNECTIONS_MAX: usize = 32;
const DELIVERIES_MAX: usize = 32;

/// Time for the head of a request, and for the pause before the next one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest head; senders use two or three KiB.
const HEAD_MAX: usize = 32 * 1024;

/// Most header fields in a head.
const HEADERS_MAX: usize = 100;

/// What a sender is told to wait before it tries again. Most have a schedule of their own.
const RETRY_AFTER_SECONDS: u64 = 5;

/// What an endpoint needs of the rest of the daemon.
pub trait Backing: Send + Sync + 'static {
    /// The secrets in the vault; `None` if it cannot give them now.
    fn secrets(
        &self,
        webhook: &WebhookName,
    ) -> impl Future<Output = Option<Vec<LiveSecret>>> + Send;

    /// Puts something on record; false if the log takes nothing.
    fn record(&self, record: Record) -> impl Future<Output = bool> + Send;
}

/// Serves `endpoint` until it is stopped or `shutdown`; `listener` is its port, if it is bound
/// already.
pub async fn serve<B: Backing>(
    endpoint: Arc<Endpoint>,
    listener: Option<std::net::TcpListener>,
    backing: Arc<B>,
    shutdown: CancellationToken,
) {
    let stop = endpoint.stop.clone();
    let ended = async {
        tokio::select! {
            () = stop.cancelled() => {}
            () = shutdown.cancelled() => {}
        }
    };
    tokio::pin!(ended);
    let listener = tokio::select! {
        () = &mut ended => return,
        listener = listen(&endpoint, listener) => listener,
    };
    let desk = Arc::new(Desk {
        endpoint,
        backing,
        deliveries: Arc::new(Semaphore::new(DELIVERIES_MAX)),
        tasks: TaskTracker::new(),
        closing: CancellationToken::new(),
    });
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        tokio::select! {
            () = &mut ended => break,
            accepted = accept(&listener, &room) => match accepted {
                Ok((stream, permit)) => {
                    let desk_of_task = Arc::clone(&desk);
                    desk.tasks.spawn(async move {
                        serve_connection(&desk_of_task, stream).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(webhook = %desk.endpoint.name, %error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    desk.closing.cancel();
    desk.tasks.close();
    // what is under way may finish; whoever stops us says how long
    desk.tasks.wait().await;
}

/// The endpoint's listener, as soon as its port can be had.
async fn listen(endpoint: &Endpoint, listener: Option<std::net::TcpListener>) -> TcpListener {
    let mut bound = listener.map_or_else(|| port::bind(endpoint.port), Ok);
    loop {
        match bound.and_then(TcpListener::from_std) {
            Ok(listener) => {
                endpoint.set_problem(None);
                tracing::info!(webhook = %endpoint.name, port = endpoint.port, "listening");
                return listener;
            }
            Err(error) => {
                let why = match error.kind() {
                    io::ErrorKind::AddrInUse => "another program has it".to_owned(),
                    _ => error.to_string(),
                };
                let problem = format!("cannot listen on 127.0.0.1, port {}: {why}", endpoint.port);
                if endpoint.problem().as_ref() != Some(&problem) {
                    tracing::warn!(webhook = %endpoint.name, problem, "trying again");
                }
                endpoint.set_problem(Some(problem));
            }
        }
        tokio::time::sleep(RETRY_BIND).await;
        bound = port::bind(endpoint.port);
    }
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

/// What the tasks of one endpoint share.
struct Desk<B> {
    endpoint: Arc<Endpoint>,
    backing: Arc<B>,
    deliveries: Arc<Semaphore>,
    /// Connections and deliveries.
    tasks: TaskTracker,
    /// No further requests on connections that are open.
    closing: CancellationToken,
}

async fn serve_connection<B: Backing>(desk: &Arc<Desk<B>>, stream: TcpStream) {
    let service = service_fn(|request| {
        let desk = Arc::clone(desk);
        async move { Ok::<_, Infallible>(desk.answer(request).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX);
    small_server::serve(
        &builder,
        stream,
        service,
        &desk.closing,
        "a webhook's sender",
    )
    .await;
}

/// Why a request is not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The sender took too long.
    BodyLate,
    /// It is longer than the endpoint allows.
    BodyTooLarge,
    /// The sender broke off, or the framing is wrong.
    BodyBroken,
    /// It is not signed.
    Unverified(Reason),
    /// We cannot judge it now.
    Unavailable(&'static str),
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::BodyLate => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            // ours to mend, so the sender should try again
            Self::Unverified(Reason::NoSecret) | Self::Unavailable(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Unverified(_) => StatusCode::UNAUTHORIZED,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::BodyBroken => "body_broken",
            Self::BodyLate => "body_late",
            Self::BodyTooLarge => "body_too_large",
            Self::Unavailable(code) => code,
            Self::Unverified(reason) => reason.code(),
        }
    }
}

/// A request with a good signature.
struct Verified {
    identity: Identity,
    body: Bytes,
}

impl<B: Backing> Desk<B> {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        match *request.method() {
            Method::HEAD => return empty(StatusCode::OK),
            Method::POST => {}
            _ => {
                let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
                let allowed = HeaderValue::from_static("HEAD, POST");
                response.headers_mut().insert(ALLOW, allowed);
                return response;
            }
        }
        let (parts, body) = request.into_parts();
        match self.verify(&parts, body).await {
            Ok(verified) => self.deliver_once(parts, verified).await,
            Err(refusal) => self.refuse(refusal).await,
        }
    }

    async fn verify(&self, parts: &request::Parts, body: Incoming) -> Result<Verified, Refusal> {
        let endpoint = &self.endpoint;
        // what says how long it is says so before anything is computed
        if body.size_hint().lower() > endpoint.body_max {
            return Err(Refusal::BodyTooLarge);
        }
        let now = Timestamp::now();
        let keys = match endpoint.keys(now) {
            Some(keys) => keys,
            None => self.load_keys(now).await?,
        };
        let mut verifier =
            Verifier::begin(&endpoint.scheme, &keys, &parts.headers, now.as_second())
                .map_err(Refusal::Unverified)?;
        let mut hash = Sha256::new();
        let read = read_body(body, endpoint.body_max, |chunk| {
            verifier.update(chunk);
            hash.update(chunk);
        });
        let body = tokio::time::timeout(BODY_TIMEOUT, read)
            .await
            .unwrap_or(Err(Refusal::BodyLate))?;
        let id = verifier.finish().map_err(Refusal::Unverified)?;
        let identity = match id {
            Some(id) => Identity::of_id(&id),
            None => Identity::of_body(&hash.finalize().into()),
        };
        Ok(Verified { identity, body })
    }

    /// The vault was shut when the daemon started.
    async fn load_keys(&self, now: Timestamp) -> Result<Vec<super::mac::SigningKey>, Refusal> {
        let secrets = self.backing.secrets(&self.endpoint.name).await;
        let secrets = secrets.ok_or(Refusal::Unavailable("vault"))?;
        self.endpoint.offer_secrets(&secrets);
        self.endpoint.keys(now).ok_or(Refusal::Unavailable("vault"))
    }

    async fn deliver_once(
        self: &Arc<Self>,
        parts: request::Parts,
        verified: Verified,
    ) -> Response<Full<Bytes>> {
        let endpoint = &self.endpoint;
        let begun = Instant::now();
        match endpoint.admit(verified.identity, endpoint.wait).await {
            Admission::New => {}
            Admission::Delivered => {
                let mut record = self.record(audit::Event::WebhookAccept);
                record.decision = Some("repeated");
                let _said = self.backing.record(record).await;
                return empty(StatusCode::OK);
            }
            Admission::UnderWay => return self.fail("handler_slow", None).await,
        }
        let ticket = endpoint.ticket(verified.identity);
        let Ok(permit) = Arc::clone(&self.deliveries).try_acquire_owned() else {
            return self.fail("busy", None).await;
        };
        let bytes = verified.body.len();
        let request =
            match deliver::prepare(&endpoint.forward, &endpoint.name, parts, verified.body) {
                Ok(request) => request,
                Err(error) => return self.fail(error.code(), None).await,
            };
        let mut record = self.record(audit::Event::WebhookAccept);
        record.bytes = u64::try_from(bytes).ok();
        if !self.backing.record(record).await {
            return unavailable();
        }
        endpoint.accepted.fetch_add(1, Ordering::Relaxed);
        let (told, outcome) = oneshot::channel();
        let task = Arc::clone(endpoint);
        self.tasks.spawn(async move {
            let outcome = deliver::deliver(&task.forward, request).await;
            settle(ticket, &outcome);
            // the sender may be gone, or have been answered already
            drop(told.send(outcome));
            drop(permit);
        });
        let patience = endpoint.wait.saturating_sub(begun.elapsed());
        match tokio::time::timeout(patience, outcome).await {
            Ok(Ok(Ok(answer))) if answer.status.is_success() => pass(answer),
            Ok(Ok(Ok(answer))) => {
                self.note_failure("handler_refused", Some(answer.status))
                    .await;
                pass(answer)
            }
            Ok(Ok(Err(error))) => {
                tracing::info!(webhook = %endpoint.name, error = %error, "not delivered");
                self.fail(error.code(), None).await
            }
            // the task ended without a word: it panicked
            Ok(Err(_)) => self.fail("internal", None).await,
            Err(_) => self.fail("handler_slow", None).await,
        }
    }

    async fn refuse(&self, refusal: Refusal) -> Response<Full<Bytes>> {
        if let Some(left_out) = self.endpoint.may_record_refusal(Instant::now()) {
            let mut record = self.record(audit::Event::WebhookRefuse);
            record.code = Some(refusal.code());
            if left_out > 0 {
                record.detail = Some(format!("{left_out} more before it").into());
            }
            let _said = self.backing.record(record).await;
        }
        match refusal.status() {
            StatusCode::SERVICE_UNAVAILABLE => unavailable(),
            status => empty(status),
        }
    }

    /// The request was good and was not delivered: the sender is to try again.
    async fn fail(&self, code: &'static str, status: Option<StatusCode>) -> Response<Full<Bytes>> {
        self.note_failure(code, status).await;
        unavailable()
    }

    async fn note_failure(&self, code: &'static str, status: Option<StatusCode>) {
        self.endpoint.failed.fetch_add(1, Ordering::Relaxed);
        let mut record = self.record(audit::Event::WebhookFail);
        record.code = Some(code);
        record.status = status.map(|status| status.as_u16());
        let _said = self.backing.record(record).await;
    }

    fn record(&self, event: audit::Event) -> Record {
        let mut record = Record::new(event);
        record.webhook = Some(self.endpoint.name.clone());
        record
    }
}

/// Tells the endpoint how a delivery went: only 2xx means that the program has it.
fn settle(ticket: Ticket, outcome: &Result<Answer, DeliverError>) {
    if outcome
        .as_ref()
        .is_ok_and(|answer| answer.status.is_success())
    {
        ticket.delivered();
    }
}

/// Reads a body of at most `max` bytes, and shows each piece of it to `see` as it comes.
async fn read_body(
    mut body: Incoming,
    max: u64,
    mut see: impl FnMut(&[u8]),
) -> Result<Bytes, Refusal> {
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::BodyBroken)?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        if piece.len() > max - whole.len() {
            return Err(Refusal::BodyTooLarge);
        }
        see(&piece);
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

fn pass(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    if let Some(content_type) = answer.content_type {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    response
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}

fn unavailable() -> Response<Full<Bytes>> {
    let mut response = empty(StatusCode::SERVICE_UNAVAILABLE);
    let after = HeaderValue::from(RETRY_AFTER_SECONDS);
    response.headers_mut().insert(RETRY_AFTER, after);
    response
}
