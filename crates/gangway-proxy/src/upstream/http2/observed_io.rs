//! The bytes of a connection of HTTP/2, with a note of when the last ones came.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::upstream::coarse_clock::CoarseClock;
use crate::upstream::socket::UpstreamSocket;

/// A connection that notes when bytes came by it.
#[derive(Debug)]
pub(super) struct ObservedIo {
    socket: UpstreamSocket,
    clock: CoarseClock,
    received: Arc<AtomicU64>,
}

impl ObservedIo {
    pub(super) fn new(socket: UpstreamSocket, clock: CoarseClock, received: Arc<AtomicU64>) -> Self {
        Self { socket, clock, received }
    }
}

impl AsyncRead for ObservedIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let len = ready!(this.socket.poll_read(cx, buffer.initialize_unfilled()))?;
        buffer.advance(len);
        this.received.store(this.clock.millis(), Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ObservedIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().socket.poll_write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().socket.poll_write(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().socket.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().socket.poll_shutdown(cx)
    }
}
