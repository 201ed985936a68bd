//! One exchange with an authorization server: verified TLS, no redirects, an end to everything.
//!
//! Connecting and sending are two steps, because a renewal writes down that it is about to be sent
//! when nothing but the sending is left (threat O7).
//!
//! Invariants: certificates are verified for the very name (threat D2); nothing is followed; an
//! answer is at most [`ANSWER_MAX`] long (threat O5); addresses are checked as for any upstream
//! (threat D12); no error holds a body.

use std::sync::Arc;

use super::{Incoming, Outgoing};
use crate::proxy::{Reach, UpstreamSettings};

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
#[derive(Debug)]
pub struct Connected {}

impl Servers {
    /// Reaches servers as `settings` say.
    pub fn new(settings: Arc<UpstreamSettings>) -> Self {
        Self(settings)
    }

    /// Connects to the server of `url`; `reach` says how far its name may lead.
    #[expect(clippy::unused_async, reason = "to be written")]
    pub async fn connect(&self, url: &str, reach: Reach) -> Result<Connected, HttpError> {
        drop((url, reach, Arc::clone(&self.0)));
        todo!()
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
    #[expect(clippy::unused_async, reason = "to be written")]
    pub async fn send(self, request: Outgoing) -> Result<Incoming, HttpError> {
        drop(request);
        todo!()
    }
}
