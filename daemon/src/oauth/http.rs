//! One exchange with an authorization server: verified TLS, no redirects, an end to everything.
//!
//! Connecting and sending are two steps, because a renewal writes down that it is about to be sent
//! when nothing but the sending is left (threat O7).
//!
//! Invariants: certificates are verified for the very name (threat D2); nothing is followed; an
//! answer is at most [`ANSWER_MAX`] long (threat O5); addresses are checked as for any upstream
//! (threat D12); no error holds a body.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use ::http::{Method, Request, Response, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming as Stream};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use url::{Position, Url};
use zeroize::Zeroizing;

use super::{Incoming, Outgoing};
use crate::proxy::{Reach, UpstreamSettings, connect_http1};

/// How long there is to connect. Shorter breaks bad networks; longer keeps a person, or a request
/// that waits for its token, in the dark.
const CONNECT_MAX: Duration = Duration::from_secs(15);

/// How long a server has for its whole answer. Shorter gives up on a slow one that did what it was
/// asked, which costs a rotated token; longer holds up whoever waits.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// Room for an answer at first; most fit.
const ANSWER_USUAL: usize = 8 * 1024;

/// Room for the head of an answer, and most headers in it.
const HEAD_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 100;

/// Longest answer that is read, in bytes. Metadata and tokens have a few thousand.
pub const ANSWER_MAX: usize = 256 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Not an `https` address, or one with a user part.
    #[error("`{0}` is not an https address")]
    Url(String),
    /// There is no connection; nothing was sent.
    #[error("cannot connect to {host}: {reason}")]
    Connect {
        /// The host.
        host: String,
        /// Why, in words.
        reason: String,
    },
    /// The request went out, at least in part, and no whole answer came back: nobody knows whether
    /// the server did what it was asked.
    #[error("{host} did not answer: {reason}")]
    Lost {
        /// The host.
        host: String,
        /// Why, in words.
        reason: String,
    },
}

/// A way to authorization servers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Servers(Arc<UpstreamSettings>);

/// A connection on which one request can be sent.
pub struct Connected {
    sender: SendRequest<Full<Bytes>>,
    /// Drives the connection; ends with it.
    driver: AbortOnDropHandle<()>,
    host: String,
    host_header: HeaderValue,
    target: Uri,
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

impl Servers {
    /// Reaches servers as `settings` say.
    pub fn new(settings: Arc<UpstreamSettings>) -> Self {
        Self(settings)
    }

    /// Connects to the server of `url`; `reach` says how far its name may lead.
    pub async fn connect(&self, url: &str, reach: Reach) -> Result<Connected, HttpError> {
        let Address {
            whole,
            host,
            host_header,
            target,
        } = Address::of(url)?;
        let refused = |reason: String| HttpError::Connect {
            host: host.clone(),
            reason,
        };
        let stream = timeout(CONNECT_MAX, connect_http1(&self.0, &whole, reach))
            .await
            .map_err(|_| refused(format!("no connection within {CONNECT_MAX:?}")))?
            .map_err(&refused)?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_MAX)
            .max_headers(HEADERS_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| refused(error.to_string()))?;
        // how it ends is told by the exchange on it
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Connected {
            sender,
            driver: AbortOnDropHandle::new(driver),
            host,
            host_header,
            target,
        })
    }

    /// Connects and sends.
    pub async fn send(
        &self,
        url: &str,
        reach: Reach,
        request: Outgoing,
    ) -> Result<Incoming, HttpError> {
        self.connect(url, reach).await?.send(request).await
    }
}

impl Connected {
    /// Sends the request and reads the answer.
    pub async fn send(self, request: Outgoing) -> Result<Incoming, HttpError> {
        let Self {
            mut sender,
            // held until the answer is whole
            driver: _driver,
            host,
            host_header,
            target,
        } = self;
        let request = prepare(request, host_header, target);
        let lost = |reason: String| HttpError::Lost {
            host: host.clone(),
            reason,
        };
        let exchange = async {
            let answer = match sender.try_send_request(request).await {
                Ok(answer) => answer,
                Err(mut failed) => {
                    let unsent = failed.take_message().is_some();
                    let reason = innermost(&failed.into_error());
                    return Err(if unsent {
                        let host = host.clone();
                        HttpError::Connect { host, reason }
                    } else {
                        lost(reason)
                    });
                }
            };
            collect(answer).await.map_err(&lost)
        };
        timeout(ANSWER_WAIT, exchange)
            .await
            .map_err(|_| lost(format!("no whole answer within {ANSWER_WAIT:?}")))?
    }
}

/// An address, taken apart.
struct Address {
    /// For the connection.
    whole: Uri,
    /// For people.
    host: String,
    host_header: HeaderValue,
    /// Path and query.
    target: Uri,
}

impl Address {
    fn of(text: &str) -> Result<Self, HttpError> {
        let parsed = Url::parse(text).ok().filter(|url| {
            url.scheme() == "https" && url.username().is_empty() && url.password().is_none()
        });
        let taken_apart = parsed.and_then(|url| {
            let host = url.host_str()?.to_owned();
            let authority = &url[Position::BeforeHost..Position::AfterPort];
            let target = &url[Position::BeforePath..Position::AfterQuery];
            Some(Self {
                whole: format!("https://{authority}/").parse().ok()?,
                host,
                host_header: HeaderValue::from_str(authority).ok()?,
                target: target.parse().ok()?,
            })
        });
        taken_apart.ok_or_else(|| HttpError::Url(shown(text)))
    }
}

/// What may be shown of an address that is none: no query, and nothing where a user part may be.
fn shown(text: &str) -> String {
    let bare = text.split(['?', '#']).next().unwrap_or_default();
    if bare.contains('@') {
        return "…".to_owned();
    }
    bare.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn prepare(outgoing: Outgoing, host: HeaderValue, target: Uri) -> Request<Full<Bytes>> {
    let Outgoing { mut headers, body } = outgoing;
    headers.insert(HOST, host);
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("authsome/", env!("CARGO_PKG_VERSION"))),
    );
    headers
        .entry(ACCEPT)
        .or_insert(HeaderValue::from_static("application/json"));
    let (method, content) = match body {
        Some((kind, content)) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            // wiped when the last part of it is sent
            (Method::POST, Bytes::from_owner(content))
        }
        None => (Method::GET, Bytes::new()),
    };
    let mut request = Request::new(Full::new(content));
    *request.method_mut() = method;
    *request.uri_mut() = target;
    *request.headers_mut() = headers;
    request
}

async fn collect(answer: Response<Stream>) -> Result<Incoming, String> {
    let (parts, mut stream) = answer.into_parts();
    let too_long = || format!("its answer is longer than {ANSWER_MAX} bytes");
    if stream.size_hint().lower() > u64::try_from(ANSWER_MAX).unwrap_or(u64::MAX) {
        return Err(too_long());
    }
    let mut body = Zeroizing::new(Vec::with_capacity(ANSWER_USUAL));
    while let Some(frame) = stream.frame().await {
        let frame = frame.map_err(|error| innermost(&error))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        let len = body.len().saturating_add(data.len());
        if len > ANSWER_MAX {
            return Err(too_long());
        }
        if len > body.capacity() {
            // a vector that grows leaves its old content behind, unwiped
            let mut larger = Zeroizing::new(Vec::with_capacity(len.saturating_mul(2)));
            larger.extend_from_slice(&body);
            body = larger;
        }
        body.extend_from_slice(data);
    }
    Ok(Incoming {
        status: parts.status,
        headers: parts.headers,
        body,
    })
}

/// The cause of all: the outer ones only say that something failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

#[cfg(test)]
mod tests;
