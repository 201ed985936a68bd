//! A request's body, looked through for placeholders on its way (threat D7).
//!
//! A placeholder belongs into the slot of its connection. One in a body is a mistake or an attempt
//! to have somebody else use it, so the body is broken off before the end of it: no upstream gets
//! it whole. Frames are neither kept nor copied.
//!
//! Not here: what is encoded (compressed, as base64), and the frames of a WebSocket.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use hyper::body::{Body, Frame, SizeHint};

use super::forward;
use super::link::Link;
use super::trail::Subject;
use crate::routing::{RefuseCode, Scanner};

/// Why a request's body ends early.
#[derive(Debug, thiserror::Error)]
pub(super) enum WatchError<E: std::error::Error + 'static> {
    #[error("the body contains a placeholder")]
    Placeholder,
    #[error("the client broke off")]
    Transfer(#[source] E),
}

/// A body that ends with an error where a placeholder ends in it.
pub(super) struct Watched<B> {
    body: B,
    scanner: Scanner,
    found: bool,
}

impl<B> Watched<B> {
    pub(super) fn new(body: B) -> Self {
        Self {
            body,
            scanner: Scanner::default(),
            found: false,
        }
    }
}

impl<B> Body for Watched<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + 'static,
{
    type Data = Bytes;
    type Error = WatchError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if this.found {
            return Poll::Ready(None);
        }
        let frame = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(WatchError::Transfer(error)))),
            Some(Ok(frame)) => frame,
        };
        this.found = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => this.scanner.feed(data),
            (None, Some(trailers)) => is_in(trailers),
            (None, None) => false,
        };
        Poll::Ready(Some(if this.found {
            Err(WatchError::Placeholder)
        } else {
            Ok(frame)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.found || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn is_in(trailers: &HeaderMap) -> bool {
    trailers.iter().any(|(name, value)| {
        Scanner::default().feed(name.as_str().as_bytes())
            || Scanner::default().feed(value.as_bytes())
    })
}

/// Tells about a placeholder in a body, once: the audit log, and whoever answers the request.
pub(super) struct Alarm {
    pub(super) link: Arc<Link>,
    pub(super) method: Method,
    /// As the child sent it.
    pub(super) target: Option<PathAndQuery>,
    pub(super) raised: AtomicBool,
}

impl Alarm {
    pub(super) fn raise(&self) {
        if self.raised.swap(true, Ordering::Relaxed) {
            return;
        }
        let subject = Subject {
            method: self.method.as_str(),
            path: self.target.as_ref().map_or("/", PathAndQuery::path),
        };
        forward::refused(&self.link, &subject, RefuseCode::PlaceholderMisplaced);
    }

    pub(super) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt as _, stream};
    use http::HeaderValue;
    use http_body_util::{BodyExt as _, StreamBody};
    use proptest::prelude::*;

    use super::*;
    use crate::routing::Template;

    /// What comes out of a watched body with these frames: its data, and whether it ended well.
    fn through(frames: Vec<Frame<Bytes>>) -> (Vec<u8>, bool) {
        let frames = stream::iter(frames).map(Ok::<_, Infallible>);
        let mut body = Watched::new(StreamBody::new(frames));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let mut data = Vec::new();
            while let Some(frame) = body.frame().await {
                match frame {
                    Ok(frame) => data.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
                    Err(WatchError::Placeholder) => return (data, false),
                    Err(WatchError::Transfer(never)) => match never {},
                }
            }
            (data, true)
        })
    }

    /// `text` in frames that end at `cuts`.
    fn cut(text: &[u8], cuts: &[prop::sample::Index]) -> Vec<Frame<Bytes>> {
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        ends.push(text.len());
        ends.sort_unstable();
        let mut begin = 0;
        let mut frames = Vec::new();
        for end in ends {
            frames.push(Frame::data(Bytes::copy_from_slice(&text[begin..end])));
            begin = end;
        }
        frames
    }

    #[test]
    fn a_placeholder_in_a_trailer_is_found() {
        let placeholder = Template::plain().fill(&[9; 17]);
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", HeaderValue::from_static("abc"));
        let data = || Frame::data(Bytes::from_static(b"data"));
        assert!(through(vec![data(), Frame::trailers(trailers.clone())]).1);
        let value = format!("x {}", placeholder.as_str());
        trailers.insert("x-checksum", HeaderValue::from_str(&value).unwrap());
        assert_eq!(
            through(vec![data(), Frame::trailers(trailers)]),
            (b"data".to_vec(), false)
        );
    }

    proptest! {
        /// D7
        #[test]
        fn a_placeholder_is_found_wherever_the_frames_end(
            random in any::<[u8; 17]>(),
            before in "(?s).{0,40}|(auths|authsome|aauthsomeauthsome[a-k]{0,25}o){0,3}",
            after in "(?s).{0,40}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let placeholder = Template::plain().fill(&random);
            let text = [before.as_bytes(), placeholder.as_str().as_bytes(), after.as_bytes()].concat();
            let (sent, whole) = through(cut(&text, &cuts));
            prop_assert!(!whole);
            prop_assert!(text.starts_with(&sent));
            prop_assert!(memchr::memmem::find(&sent, placeholder.as_str().as_bytes()).is_none());
        }

        /// D7
        #[test]
        fn a_body_without_a_placeholder_passes_as_it_is(
            text in "(?s).{0,80}|(authsome-proxy-managed|auths-|authsome[a-k2-9]{0,25}[lo01A-Z]){0,8}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let (sent, whole) = through(cut(text.as_bytes(), &cuts));
            prop_assert!(whole);
            prop_assert_eq!(sent, text.as_bytes());
        }
    }
}
