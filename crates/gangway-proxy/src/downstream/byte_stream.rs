//! The byte stream of a client: TCP, or TLS over TCP.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::downstream::client_tls::ClientTls;
use crate::downstream::peeked_tcp::PeekedTcp;

/// A byte stream that carries HTTP. What was written may be held back until it is flushed.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send + Sync + fmt::Debug + 'static {
    /// Whether a read may find something. False only if the last read has found nothing, the system has told of nothing
    /// since, and the task that read is woken once it does.
    fn has_news(&self) -> bool {
        true
    }

    /// Waits until a read may find something. Ready at once where only a read can tell.
    fn poll_readable(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    /// How many bytes the socket has taken. Bytes that TLS keeps back do not count, so that this tells whether a
    /// client goes on reading.
    fn bytes_written(&self) -> u64;

    /// Whether bytes are held back because the client does not take them.
    fn is_behind(&self) -> bool {
        false
    }

    /// Lets the connection end with a reset once it is dropped: what was written does not look whole.
    fn reset_when_dropped(&self);

    /// Lets the system find out whether the client is still there, although nothing is sent and nothing can come.
    fn probe(&self);

    /// Whether the system knows that the connection is broken. Costs a system call.
    fn is_broken(&self) -> bool;

    /// Whether tasks are woken when something happens to the stream. Before that, nothing is known of it but what a
    /// call finds.
    fn is_registered(&self) -> bool {
        true
    }

    /// Whether bytes have come that were not read, also where the runtime has not heard of them yet. Costs a system call.
    fn has_unread(&self) -> bool {
        false
    }

    /// Ends both directions, so that the peer gets what was written once the stream is dropped.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self).poll_shutdown(cx)
    }
}

impl ByteStream for PeekedTcp {
    fn has_news(&self) -> bool {
        self.has_news()
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_readable(cx)
    }

    fn bytes_written(&self) -> u64 {
        self.written()
    }

    fn reset_when_dropped(&self) {
        self.set_reset();
    }

    fn probe(&self) {
        self.set_keepalive();
    }

    fn is_broken(&self) -> bool {
        self.has_error()
    }

    fn is_registered(&self) -> bool {
        self.is_registered()
    }

    fn has_unread(&self) -> bool {
        self.has_unread()
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The system sends what waits and then the end, also for a socket that is closed.
        Poll::Ready(Ok(()))
    }
}

impl ByteStream for ClientTls {
    fn has_news(&self) -> bool {
        // A read that has found nothing has taken all that TLS had decrypted.
        self.tcp().has_news()
    }

    fn bytes_written(&self) -> u64 {
        self.tcp().written()
    }

    fn is_behind(&self) -> bool {
        self.is_behind()
    }

    fn reset_when_dropped(&self) {
        self.tcp().set_reset();
    }

    fn probe(&self) {
        self.tcp().set_keepalive();
    }

    fn is_broken(&self) -> bool {
        self.tcp().has_error()
    }

    fn is_registered(&self) -> bool {
        self.tcp().is_registered()
    }

    fn has_unread(&self) -> bool {
        self.tcp().has_unread()
    }
}

#[cfg(any(test, fuzzing))]
impl ByteStream for tokio::io::DuplexStream {
    fn bytes_written(&self) -> u64 {
        0
    }

    fn reset_when_dropped(&self) {}

    fn probe(&self) {}

    fn is_broken(&self) -> bool {
        false
    }
}
