//! Bytes both ways, unread: hosts without a route, and web sockets.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Buffer per direction. Larger gains nothing over loopback; it is held as long as the tunnel is.
const BUFFER_LEN: usize = 32 * 1024;

/// Moves bytes both ways until both sides have ended or one failed; the bytes that went to `a`.
pub(super) async fn copy<A, B>(mut a: A, mut b: B) -> u64
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let moved = tokio::io::copy_bidirectional_with_sizes(&mut a, &mut b, BUFFER_LEN, BUFFER_LEN);
    match moved.await {
        Ok((_, to_a)) => to_a,
        Err(error) => {
            // peers that drop TCP without a goodbye are common and no fault of ours
            tracing::debug!(%error, "a tunnel broke off");
            0
        }
    }
}

/// A stream with bytes that were read too early put back in front.
#[derive(Debug)]
pub(super) struct Rewound<IO> {
    early: Bytes,
    io: IO,
}

impl<IO> Rewound<IO> {
    /// `early` is read first, then `io`.
    pub(super) fn new(early: Bytes, io: IO) -> Self {
        Self { early, io }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Rewound<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let len = self.early.len().min(buf.remaining());
        buf.put_slice(self.early.get(..len).unwrap_or_default());
        self.early.advance(len);
        if self.early.is_empty() {
            self.early = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Rewound<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
