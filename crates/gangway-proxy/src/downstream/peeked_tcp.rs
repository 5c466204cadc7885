//! A TCP stream whose first bytes can be looked at before they are read.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TCP stream and the bytes that were already read from it to recognise the protocol.
#[derive(Debug)]
pub(crate) struct PeekedTcp {
    tcp: TcpStream,
    ahead: Vec<u8>,
    ahead_taken: usize,
}

impl PeekedTcp {
    pub(crate) fn new(tcp: TcpStream) -> Self {
        Self { tcp, ahead: Vec::new(), ahead_taken: 0 }
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.tcp.as_raw_fd()
    }

    /// Whether the client begins with the HTTP/2 preface (RFC 9113, section 3.4). Its first three bytes are enough,
    /// since no real method begins with them. False at the end of the stream.
    pub(crate) async fn speaks_http2(&mut self) -> io::Result<bool> {
        const PREFACE: &[u8] = b"PRI";
        loop {
            let seen = self.ahead.len().min(PREFACE.len());
            if self.ahead[..seen] != PREFACE[..seen] {
                return Ok(false);
            }
            if seen == PREFACE.len() {
                return Ok(true);
            }
            if self.tcp.read_buf(&mut self.ahead).await? == 0 {
                return Ok(false);
            }
        }
    }
}

impl AsyncRead for PeekedTcp {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead_taken < self.ahead.len() {
            let len = buf.remaining().min(self.ahead.len() - self.ahead_taken);
            let from = self.ahead_taken;
            buf.put_slice(&self.ahead[from..from + len]);
            self.ahead_taken += len;
            if self.ahead_taken == self.ahead.len() {
                self.ahead = Vec::new();
                self.ahead_taken = 0;
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for PeekedTcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
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
