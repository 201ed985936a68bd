//! Web sockets: the opening request is judged like any other, then bytes pass unread.
//!
//! Over HTTP/1.1 the child's `Upgrade` goes to the upstream and its 101 back (RFC 6455). Over
//! HTTP/2 the child sends an extended `CONNECT` (RFC 8441), which becomes an HTTP/1.1 upgrade; the
//! 101 becomes a 200. Nothing flows before the upstream has said yes (threats H3, H8).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::body::{AnswerBody, Tally};
use super::inject;
use super::tunnel;
use crate::routing::RefuseCode;

/// A child's request to open a WebSocket.
pub(super) struct Opening {
    child: OnUpgrade,
    /// Whether it came as an extended `CONNECT`.
    extended: bool,
}

impl Opening {
    /// The opening in `parts`, if it is one. An extended `CONNECT` is rewritten to the `GET` that
    /// it stands for, and judged as that.
    pub(super) fn of(parts: &mut Parts) -> Option<Self> {
        if parts.version == Version::HTTP_2 {
            let protocol = parts.extensions.get::<Protocol>()?;
            if parts.method != Method::CONNECT || protocol.as_str() != "websocket" {
                return None;
            }
            let child = parts.extensions.remove::<OnUpgrade>()?;
            parts.extensions.remove::<Protocol>();
            parts.method = Method::GET;
            return Some(Self {
                child,
                extended: true,
            });
        }
        let upgrade = parts.headers.get(UPGRADE)?;
        let wanted = parts.version == Version::HTTP_11
            && parts.method == Method::GET
            && upgrade.as_bytes().eq_ignore_ascii_case(b"websocket");
        if !wanted {
            return None;
        }
        let child = parts.extensions.remove::<OnUpgrade>()?;
        Some(Self {
            child,
            extended: false,
        })
    }

    /// Sets what the upgrade at the upstream needs, after the hop's headers are gone.
    pub(super) fn prepare(&self, parts: &mut Parts) -> Result<(), RefuseCode> {
        let headers = &mut parts.headers;
        // an opening has no body: what it announced would be taken out of what follows (H3)
        let has_body = headers.contains_key(TRANSFER_ENCODING)
            || headers.get(CONTENT_LENGTH).is_some_and(|len| len != "0");
        if has_body {
            return Err(RefuseCode::UpgradeRefused);
        }
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if self.extended {
            let mut nonce = [0_u8; 16];
            getrandom::fill(&mut nonce).map_err(|_| RefuseCode::UpgradeRefused)?;
            let nonce = HeaderValue::from_str(&STANDARD.encode(nonce))
                .map_err(|_| RefuseCode::UpgradeRefused)?;
            headers.insert(SEC_WEBSOCKET_KEY, nonce);
            headers
                .entry(SEC_WEBSOCKET_VERSION)
                .or_insert(HeaderValue::from_static("13"));
        }
        Ok(())
    }

    /// Whether `status`, which is no upgrade, would look like one to the child: to an extended
    /// `CONNECT` every 2xx says that the stream is open.
    pub(super) fn would_open(&self, status: StatusCode) -> bool {
        self.extended && status.is_success()
    }

    /// The answer to the child, after which bytes pass both ways until either side ends.
    pub(super) fn accepted(
        self,
        response: Response<Incoming>,
        upstream: OnUpgrade,
        tally: Tally,
    ) -> Response<AnswerBody> {
        let (mut parts, _) = response.into_parts();
        inject::clean_response(&mut parts);
        if self.extended {
            parts.status = StatusCode::OK;
            parts.headers.remove(CONNECTION);
            parts.headers.remove(UPGRADE);
            parts.headers.remove(SEC_WEBSOCKET_ACCEPT);
        } else {
            parts
                .headers
                .insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            parts
                .headers
                .insert(UPGRADE, HeaderValue::from_static("websocket"));
        }
        parts.version = Version::HTTP_11;
        let child = self.child;
        // ends with either side, and with the run; `tally` tells the audit log then
        tokio::spawn(async move {
            let mut tally = tally;
            let run = std::sync::Arc::clone(&tally.busy.0.run);
            let flow = async {
                let (child, upstream) = tokio::try_join!(child, upstream).ok()?;
                let (child, upstream) = (TokioIo::new(child), TokioIo::new(upstream));
                Some(tunnel::copy(child, upstream).await)
            };
            tokio::select! {
                moved = flow => if let Some(moved) = moved {
                    tally.bytes = moved;
                },
                () = run.ended.cancelled() => {}
            }
        });
        Response::from_parts(parts, AnswerBody::Text(Bytes::new()))
    }
}
