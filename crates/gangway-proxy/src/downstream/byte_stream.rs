//! The byte stream of a client: TCP, or TLS over TCP.

use std::fmt;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;

use crate::downstream::peeked_tcp::PeekedTcp;

/// A byte stream that carries HTTP.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send + Sync + fmt::Debug + 'static {
    /// How many bytes the socket has taken. Bytes that TLS keeps back do not count, so that this tells whether a
    /// client goes on reading.
    fn bytes_written(&self) -> u64;

    /// Lets the connection end with a reset once it is dropped: what was written does not look whole.
    fn reset_when_dropped(&self);

    /// Lets the system find out whether the client is still there, although nothing is sent and nothing can come.
    fn probe(&self);

    /// Whether the system knows that the connection is broken. Costs a system call.
    fn is_broken(&self) -> bool;
}

impl ByteStream for PeekedTcp {
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
}

/// On the heap, since its state is large and moves through several layers.
impl ByteStream for Box<TlsStream<PeekedTcp>> {
    fn bytes_written(&self) -> u64 {
        self.get_ref().0.written()
    }

    fn reset_when_dropped(&self) {
        self.get_ref().0.set_reset();
    }

    fn probe(&self) {
        self.get_ref().0.set_keepalive();
    }

    fn is_broken(&self) -> bool {
        self.get_ref().0.has_error()
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
