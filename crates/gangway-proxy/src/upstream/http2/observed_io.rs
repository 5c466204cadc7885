//! The bytes of a connection of HTTP/2, with a note of when the last ones came.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::upstream::coarse_clock::CoarseClock;
use crate::upstream::socket::UpstreamSocket;

/// When bytes came, in milliseconds of a coarse clock that begins above 0.
#[derive(Debug)]
pub(super) struct LastReceived {
    last: AtomicU64,
    /// When a request was sent first since then; 0 if none was.
    owed_since: AtomicU64,
}

impl LastReceived {
    pub(super) fn new(now: u64) -> Self {
        Self { last: AtomicU64::new(now), owed_since: AtomicU64::new(0) }
    }

    pub(super) fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Since when an answer has been owed without a byte coming.
    pub(super) fn owed_since(&self) -> Option<u64> {
        Some(self.owed_since.load(Ordering::Relaxed)).filter(|since| *since != 0)
    }

    /// Notes that an answer is owed from now on.
    pub(super) fn owe(&self, now: u64) {
        if self.owed_since.load(Ordering::Relaxed) == 0 {
            self.owed_since.store(now, Ordering::Relaxed);
        }
    }

    fn note(&self, now: u64) {
        self.last.store(now, Ordering::Relaxed);
        self.owed_since.store(0, Ordering::Relaxed);
    }
}

/// A connection that notes when bytes came by it.
#[derive(Debug)]
pub(super) struct ObservedIo {
    socket: UpstreamSocket,
    clock: CoarseClock,
    received: Arc<LastReceived>,
}

impl ObservedIo {
    pub(super) fn new(socket: UpstreamSocket, clock: CoarseClock, received: Arc<LastReceived>) -> Self {
        Self { socket, clock, received }
    }
}

impl AsyncRead for ObservedIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let len = ready!(this.socket.poll_read(cx, buffer.initialize_unfilled()))?;
        buffer.advance(len);
        this.received.note(this.clock.millis());
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
