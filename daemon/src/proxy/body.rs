//! Bodies on their way through: passed on frame by frame, never collected (threat H9).
//!
//! Trailers that would set authentication, routing or framing are dropped (threat H2); all others
//! pass, because gRPC says its status in one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::inject::clean_trailers;
use super::link::Busy;
use super::watch::{Alarm, WatchError, Watched};
use super::{Credential, trail};
use crate::routing::Filled;

/// Why a body was cut short by us.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the run ended")]
    RunEnded,
    #[error("the other side broke off")]
    Transfer(#[source] hyper::Error),
}

/// A request's body on its way to the upstream.
pub(super) enum RequestBody {
    Empty,
    /// A child's body; the credential says which trailer would stand in its slot's place.
    Streamed(Incoming, Option<Arc<Credential>>),
    /// The same, looked through for placeholders.
    Watched(Watched<Incoming>, Option<Arc<Credential>>, Arc<Alarm>),
}

/// Why a request's body was cut short.
pub(super) type RequestBodyError = WatchError<hyper::Error>;

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let (frame, credential) = match self.get_mut() {
            Self::Empty => return Poll::Ready(None),
            Self::Streamed(body, credential) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                (frame.map(|it| it.map_err(WatchError::Transfer)), credential)
            }
            Self::Watched(body, credential, alarm) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                if matches!(frame, Some(Err(WatchError::Placeholder))) {
                    alarm.raise();
                }
                (frame, credential)
            }
        };
        let filled = credential.as_ref().map(|credential| &credential.filled);
        Poll::Ready(frame.map(|frame| frame.map(|f| with_clean_trailers(f, filled))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streamed(body, _) => body.is_end_stream(),
            Self::Watched(body, ..) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streamed(body, _) => body.size_hint(),
            Self::Watched(body, ..) => body.size_hint(),
        }
    }
}

/// An answer's body on its way to the child.
pub(super) enum AnswerBody {
    /// A refusal of ours, or nothing.
    Text(Bytes),
    /// An upstream's body.
    Streamed(Streamed),
}

/// An upstream's body, counted.
pub(super) struct Streamed {
    body: Incoming,
    tally: Tally,
    /// Set where no task watches over the whole connection.
    cut: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl AnswerBody {
    pub(super) fn streamed(body: Incoming, tally: Tally) -> Self {
        Self::Streamed(Streamed {
            body,
            tally,
            cut: None,
        })
    }

    /// Breaks the body off when the run ends.
    pub(super) fn cut_with_run(self) -> Self {
        match self {
            Self::Text(text) => Self::Text(text),
            Self::Streamed(mut streamed) => {
                let ended = streamed.tally.busy.0.run.ended.clone();
                streamed.cut = Some(Box::pin(ended.cancelled_owned()));
                Self::Streamed(streamed)
            }
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Text(text) if text.is_empty() => Poll::Ready(None),
            Self::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
            Self::Streamed(Streamed { body, tally, cut }) => {
                if let Some(cut) = cut
                    && cut.as_mut().poll(cx).is_ready()
                {
                    return Poll::Ready(Some(Err(BodyError::RunEnded)));
                }
                let frame = match ready!(Pin::new(body).poll_frame(cx)) {
                    None => return Poll::Ready(None),
                    Some(Err(error)) => return Poll::Ready(Some(Err(BodyError::Transfer(error)))),
                    Some(Ok(frame)) => frame,
                };
                if let Some(data) = frame.data_ref() {
                    tally.bytes += u64::try_from(data.len()).unwrap_or(u64::MAX);
                }
                Poll::Ready(Some(Ok(with_clean_trailers(frame, None))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Streamed(streamed) => streamed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(u64::try_from(text.len()).unwrap_or(u64::MAX)),
            Self::Streamed(streamed) => streamed.body.size_hint(),
        }
    }
}

/// Counts an answer and tells the audit log when it is over, however it ends.
pub(super) struct Tally {
    pub(super) busy: Busy,
    /// The number under which the audit log knows the request, if it does.
    pub(super) request: Option<u64>,
    pub(super) started: Instant,
    pub(super) status: u16,
    pub(super) bytes: u64,
}

impl Drop for Tally {
    fn drop(&mut self) {
        if let Some(request) = self.request {
            trail::done(
                &self.busy.0,
                request,
                self.status,
                self.bytes,
                self.started.elapsed(),
            );
        }
    }
}

fn with_clean_trailers(frame: Frame<Bytes>, filled: Option<&Filled>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            clean_trailers(&mut trailers, filled);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}
