//! The bodies a stand-in sends: whole, a stream of known length, events in their own time, pieces
//! that a test hands out, and one that breaks off.

use std::io;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Interval;

/// Pieces of a long download.
const CHUNK_LEN: usize = 64 * 1024;

/// Content of every piece: bytes that no compression or mix-up could hide a fault behind.
static CHUNK: LazyLock<Bytes> = LazyLock::new(|| {
    let mut state = 1_u32;
    (0..CHUNK_LEN)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect()
});

/// What a stand-in answers with.
#[derive(Debug)]
pub(super) enum Answer {
    /// All at once.
    Whole(Option<Bytes>),
    /// So many bytes, made as they are taken.
    Bytes(u64),
    /// Server-sent events: so many, one each tick.
    Events { left: u32, interval: Interval },
    /// What the other end of the channel says, until it is closed.
    Fed(UnboundedReceiver<Bytes>),
    /// What comes, last first, with a pause at `None`; then the connection (HTTP/2: the stream)
    /// is cut.
    Cut(Vec<Option<Bytes>>),
}

impl Answer {
    pub(super) fn whole(text: impl Into<Bytes>) -> Self {
        Self::Whole(Some(text.into()))
    }

    /// A beginning that arrives, and then nothing more.
    pub(super) fn cut_after(first: &'static str) -> Self {
        Self::Cut(vec![None, Some(Bytes::from_static(first.as_bytes()))])
    }

    /// `count` events, the first at once.
    pub(super) fn events(count: u32, every: Duration) -> Self {
        Self::Events {
            left: count,
            interval: tokio::time::interval(every.max(Duration::from_micros(1))),
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let data = match self.get_mut() {
            Self::Whole(text) => text.take().filter(|text| !text.is_empty()),
            Self::Bytes(0) | Self::Events { left: 0, .. } => None,
            Self::Bytes(left) => {
                let take = usize::try_from(*left).unwrap_or(CHUNK_LEN).min(CHUNK_LEN);
                *left -= take as u64;
                Some(CHUNK.slice(..take))
            }
            Self::Events { left, interval } => {
                ready!(interval.poll_tick(context));
                *left -= 1;
                // each event says when it was sent, so that a reader can tell how long it took
                Some(Bytes::from(format!(
                    "data: {}\n\n",
                    monotonic_nanoseconds()
                )))
            }
            Self::Fed(pieces) => ready!(pieces.poll_recv(context)),
            Self::Cut(pieces) => match pieces.pop() {
                Some(Some(piece)) => Some(piece),
                // what is not waited for is not flushed, and then nothing has begun
                Some(None) => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                None => return Poll::Ready(Some(Err(io::Error::other("cut on purpose")))),
            },
        };
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Self::Bytes(left) => SizeHint::with_exact(*left),
            Self::Events { .. } | Self::Fed(_) | Self::Cut(_) => SizeHint::default(),
        }
    }
}

/// `CLOCK_MONOTONIC`, which all processes of a machine share.
pub(super) fn monotonic_nanoseconds() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("Linux has it");
    let seconds = u64::try_from(now.tv_sec()).expect("time since start is positive");
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec()).expect("a positive number")
}
