//! Hands a verified request to the local program: the same bytes, a connection of its own.
//!
//! Headers pass as they came, less those that belong to the connection they came over. `Host` is
//! the program's own, as if a client had called it. `Authsome-Webhook-Verified: NAME` is added, and
//! whatever a sender put under a name that begins like it is gone.
//!
//! Of the program's answer its status, its `Content-Type` and its body go back: some senders want a
//! word of theirs echoed before they send anything else. Its other headers are for nobody.

use std::io;
use std::time::Duration;

use authsome_proto::WebhookName;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::forward::Forward;
use crate::proxy::inject;

/// Says to the program that the request was verified, and for which endpoint.
pub const VERIFIED: HeaderName = HeaderName::from_static("authsome-webhook-verified");

/// What the names of our headers begin with; a sender's own are taken out.
const OURS: &str = "authsome-";

/// Longest answer that goes back to the sender; of a longer one only the status does. Senders look
/// at a few hundred bytes at most.
const ANSWER_MAX: usize = 1024 * 1024;

/// How long a program may take in all. Senders have given up by then; what it still does is for its
/// own sake, and for knowing that it was done when the sender tries again.
pub const HANDLER_MAX: Duration = Duration::from_secs(60);

/// What the program said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// The type of its body.
    pub content_type: Option<HeaderValue>,
    /// Its body.
    pub body: Bytes,
}

/// Why the program did not answer.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// Nobody listens there.
    #[error("the local program cannot be reached")]
    Down(#[source] io::Error),
    /// It hung up, or spoke something else than HTTP.
    #[error("the local program did not answer")]
    Broken(#[source] hyper::Error),
    /// It took longer than [`HANDLER_MAX`].
    #[error("the local program took too long")]
    Slow,
    /// The request cannot be written; a defect of ours.
    #[error("the request cannot be forwarded")]
    Unwritable(#[source] http::Error),
}

impl DeliverError {
    /// The stable code in the audit log.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Down(_) => "handler_down",
            Self::Broken(_) | Self::Unwritable(_) => "handler_broken",
            Self::Slow => "handler_slow",
        }
    }
}

/// Delivers a request and waits for the answer.
pub async fn deliver(
    forward: &Forward,
    request: Request<Full<Bytes>>,
) -> Result<Answer, DeliverError> {
    tokio::time::timeout(HANDLER_MAX, exchange(forward, request))
        .await
        .unwrap_or(Err(DeliverError::Slow))
}

/// The request as the program gets it.
pub fn prepare(
    forward: &Forward,
    webhook: &WebhookName,
    parts: request::Parts,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, DeliverError> {
    let mut parts = parts;
    // takes out what belongs to the sender's connection, and what it names so
    inject::strip(&mut parts);
    let mut headers = HeaderMap::with_capacity(parts.headers.len() + 2);
    for (name, value) in &parts.headers {
        if !is_ours_to_set(name) {
            headers.append(name, value.clone());
        }
    }
    let text = |value: &str| HeaderValue::from_str(value).map_err(http::Error::from);
    let host = text(forward.authority()).map_err(DeliverError::Unwritable)?;
    let verified = text(webhook.as_str()).map_err(DeliverError::Unwritable)?;
    headers.insert(HOST, host);
    headers.insert(VERIFIED, verified);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(forward.target())
        .body(Full::new(body))
        .map_err(DeliverError::Unwritable)?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// Whether we set a header ourselves, or nobody may. A server that joins `-` and `_`, as CGI does,
/// must not find a sender's word under our name.
fn is_ours_to_set(name: &HeaderName) -> bool {
    [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, TRAILER, EXPECT].contains(name)
        || name.as_str().replace('_', "-").starts_with(OURS)
}

async fn exchange(
    forward: &Forward,
    request: Request<Full<Bytes>>,
) -> Result<Answer, DeliverError> {
    let stream = TcpStream::connect(forward.addresses())
        .await
        .map_err(DeliverError::Down)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(DeliverError::Broken)?;
    let ask = async {
        let (parts, body) = sender
            .send_request(request)
            .await
            .map_err(DeliverError::Broken)?
            .into_parts();
        let mut headers = parts.headers;
        Ok(Answer {
            status: parts.status,
            content_type: headers.remove(CONTENT_TYPE),
            body: collect(body).await.unwrap_or_default(),
        })
    };
    // the connection does the reading and writing; when it ends first, `ask` says why
    let drive = async {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "webhook: the local program hung up");
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = ask => answer,
        () = drive => Err(DeliverError::Slow),
    }
}

/// The whole body, or nothing of one that is too long or breaks off: half an answer misleads.
async fn collect(mut body: Incoming) -> Option<Bytes> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.ok()?.into_data() else {
            continue;
        };
        if whole.len() + piece.len() > ANSWER_MAX {
            return None;
        }
        whole.extend_from_slice(&piece);
    }
    Some(whole.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method("POST").uri("/elsewhere?x=1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let forward = Forward::parse("http://127.0.0.1:3000/hooks?a=b").unwrap();
        prepare(
            &forward,
            &"fin".parse().unwrap(),
            parts,
            Bytes::from_static(b"body"),
        )
        .unwrap()
    }

    fn lines(request: &Request<Full<Bytes>>) -> Vec<String> {
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}", value.to_str().unwrap())
        };
        request.headers().iter().map(line).collect()
    }

    #[test]
    fn headers_pass_but_for_those_of_the_connection_and_ours() {
        let request = prepared(&[
            ("host", "tunnel.example"),
            ("x-fin-agent-api-webhook-signature", "sha256=aa"),
            ("content-type", "application/json"),
            ("connection", "keep-alive, x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic eA=="),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("trailer", "x-sum"),
            ("expect", "100-continue"),
            ("upgrade", "h2c"),
            ("x-twice", "1"),
            ("x-twice", "2"),
        ]);
        assert_eq!(request.uri(), "/hooks?a=b");
        assert_eq!(
            lines(&request),
            [
                "x-fin-agent-api-webhook-signature: sha256=aa",
                "content-type: application/json",
                "x-twice: 1",
                "x-twice: 2",
                "host: 127.0.0.1:3000",
                "authsome-webhook-verified: fin",
                "content-length: 4",
            ]
        );
    }

    #[test]
    fn a_senders_own_word_that_it_was_verified_is_taken_out() {
        let request = prepared(&[
            ("authsome-webhook-verified", "other"),
            ("Authsome_Webhook_Verified", "other"),
            ("authsome-webhook-verified", "fin"),
            ("AUTHSOME-anything", "x"),
        ]);
        let ours: Vec<_> = lines(&request)
            .into_iter()
            .filter(|line| line.starts_with("authsome"))
            .collect();
        assert_eq!(ours, ["authsome-webhook-verified: fin"]);
    }
}
