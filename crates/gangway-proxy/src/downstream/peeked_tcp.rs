//! A TCP stream whose first bytes can be looked at before they are read.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::buffer_pool::{self, Buffer};
use crate::downstream::client_socket::ClientSocket;

/// How long a client is silent before the system asks whether it is there, and how often it asks.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// A TCP stream and the bytes that were already read from it to recognise the protocol.
#[derive(Debug)]
pub(crate) struct PeekedTcp {
    tcp: ClientSocket,
    ahead: Option<Ahead>,
    written: u64,
}

/// Bytes that were read and not yet taken.
#[derive(Debug)]
struct Ahead {
    buffer: Buffer,
    start: usize,
    end: usize,
}

impl PeekedTcp {
    pub(crate) fn new(tcp: std::net::TcpStream) -> Self {
        Self { tcp: ClientSocket::new(tcp), ahead: None, written: 0 }
    }

    /// How many bytes the socket has taken.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Lets the connection end with a reset.
    pub(crate) fn set_reset(&self) {
        // If this fails, the connection is broken already.
        let _ = self.option(|socket| socket.set_linger(Some(Duration::ZERO)));
    }

    /// Lets the system ask the client now and then whether it is there.
    pub(crate) fn set_keepalive(&self) {
        let keepalive = TcpKeepalive::new().with_time(PROBE_INTERVAL).with_interval(PROBE_INTERVAL).with_retries(3);
        let _ = self.option(|socket| socket.set_tcp_keepalive(&keepalive));
    }

    /// Whether the system knows that the connection is broken.
    pub(crate) fn has_error(&self) -> bool {
        !matches!(self.option(|socket| socket.take_error()), Ok(None))
    }

    /// Whether the runtime wakes tasks when something happens to the socket.
    pub(crate) fn is_registered(&self) -> bool {
        self.tcp.is_registered()
    }

    /// Whether bytes have come to a socket that is not registered. Costs a system call.
    pub(crate) fn has_unread(&self) -> bool {
        self.tcp.has_unread()
    }

    fn option<L>(&self, call: impl FnOnce(SockRef<'_>) -> io::Result<L>) -> io::Result<L> {
        let descriptor = self.tcp.descriptor().ok_or(io::ErrorKind::NotConnected)?;
        call(SockRef::from(&descriptor))
    }

    /// Whether the client begins with the HTTP/2 preface (RFC 9113, section 3.4). Its first three bytes are enough,
    /// since no real method begins with them. False at the end of the stream.
    pub(crate) async fn speaks_http2(&mut self) -> io::Result<bool> {
        const PREFACE: &[u8] = b"PRI";
        loop {
            let seen = self.ahead.as_ref().map_or(&[][..], |ahead| &ahead.buffer[ahead.start..ahead.end]);
            if seen.len() >= PREFACE.len() || !PREFACE.starts_with(seen) {
                return Ok(seen.starts_with(PREFACE));
            }
            if poll_fn(|cx| self.poll_read_ahead(cx)).await? == 0 {
                return Ok(false);
            }
        }
    }

    /// Reads some bytes ahead. Holds no buffer while there are none.
    fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut ahead = self.ahead.take().unwrap_or_else(|| Ahead { buffer: buffer_pool::take(), start: 0, end: 0 });
        let mut space = ReadBuf::new(&mut ahead.buffer[ahead.end..]);
        let outcome = Pin::new(&mut self.tcp).poll_read(cx, &mut space);
        let len = space.filled().len();
        ahead.end += len;
        if ahead.end > 0 {
            self.ahead = Some(ahead);
        }
        ready!(outcome)?;
        Poll::Ready(Ok(len))
    }

    fn note_written(&mut self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(len)) = &outcome {
            self.written = self.written.wrapping_add(*len as u64);
        }
        outcome
    }
}

impl AsyncRead for PeekedTcp {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(ahead) = &mut self.ahead {
            let len = buf.remaining().min(ahead.end - ahead.start);
            buf.put_slice(&ahead.buffer[ahead.start..ahead.start + len]);
            ahead.start += len;
            if ahead.start == ahead.end {
                self.ahead = None;
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for PeekedTcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.note_written(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.tcp).poll_write_vectored(cx, slices);
        self.note_written(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
