//! The bytes of a connection to an endpoint, in clear or in TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A connection to an endpoint.
#[derive(Debug)]
pub(crate) enum UpstreamSocket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The state of a connection on which nothing is expected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Quiet {
    /// Nothing has come.
    Open,
    /// The endpoint has closed it.
    Closed,
    /// Bytes have come that nobody asked for.
    Stray,
}

impl UpstreamSocket {
    /// Reads into `space`; 0 means the end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut space = ReadBuf::new(space);
        let outcome = match self {
            Self::Plain(tcp) => ready!(Pin::new(tcp).poll_read(cx, &mut space)),
            Self::Tls(tls) => match ready!(Pin::new(&mut **tls).poll_read(cx, &mut space)) {
                // Many applications close TLS without saying so in TLS. A body with a length or an end of its own
                // shows whether anything is missing.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
                outcome => outcome,
            },
        };
        Poll::Ready(outcome.map(|()| space.filled().len()))
    }

    /// Whether a read may find something. False only if the system has told of nothing since a read found nothing.
    pub(crate) fn has_news(&self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.try_io(Interest::READABLE, || Ok(())).is_ok(),
            // TLS may have bytes of its own.
            Self::Tls(_) => true,
        }
    }

    /// Waits until a read may find something. Ready where only a read can tell.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            // A read tells of an error.
            Self::Plain(tcp) => tcp.poll_read_ready(cx).map(drop),
            Self::Tls(_) => Poll::Ready(()),
        }
    }

    /// Writes from several pieces, as if they were one.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match (self, pieces) {
            // Most requests are one piece; the other system call is cheaper for it.
            (Self::Plain(tcp), [piece, rest @ ..]) if rest.iter().all(|piece| piece.is_empty()) => {
                Pin::new(tcp).poll_write(cx, piece)
            }
            (Self::Plain(tcp), pieces) => Pin::new(tcp).poll_write_vectored(cx, pieces),
            (Self::Tls(tls), pieces) => Pin::new(&mut **tls).poll_write_vectored(cx, pieces),
        }
    }

    /// Writes out what TLS holds back.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_flush(cx),
        }
    }

    /// Closes the sending side.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_shutdown(cx),
        }
    }

    /// Looks whether anything has come, without waiting. While nothing has, and the last read has said so, this costs
    /// no system call.
    pub(crate) fn look(&mut self) -> Quiet {
        let mut byte = [0];
        let outcome = match self {
            Self::Plain(tcp) => match tcp.try_read(&mut byte) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                outcome => Poll::Ready(outcome),
            },
            // TLS may have something of its own to read, such as tickets for the next handshake.
            Self::Tls(_) => self.poll_read(&mut Context::from_waker(Waker::noop()), &mut byte),
        };
        match outcome {
            Poll::Pending => Quiet::Open,
            Poll::Ready(Ok(0) | Err(_)) => Quiet::Closed,
            Poll::Ready(Ok(_)) => Quiet::Stray,
        }
    }
}
