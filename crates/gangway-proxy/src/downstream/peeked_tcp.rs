//! A TCP stream whose first bytes can be looked at before they are read.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;

use crate::buffer_pool::{self, Buffer};
use crate::downstream::client_socket::ClientSocket;

/// How long a client is silent before the system asks whether it is there, and how often it asks.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// A TCP stream and the bytes that were already read from it to recognise the protocol.
#[derive(Debug)]
pub(crate) struct PeekedTcp {
    tcp: ClientSocket,
    ahead: Option<Ahead>,
    /// Whether the last read has found nothing, and its task is woken once there is something.
    is_read_awaited: bool,
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
        Self { tcp: ClientSocket::new(tcp), ahead: None, is_read_awaited: false, written: 0 }
    }

    /// How many bytes the socket has taken.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Whether a read may find something, or would have to be asked to wake the task. Costs no system call.
    pub(crate) fn has_news(&self) -> bool {
        !self.is_read_awaited || self.tcp.may_have_unread()
    }

    /// Waits until a read may find something. Ready where only a read can tell.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ahead.is_some() {
            return Poll::Ready(());
        }
        let outcome = self.tcp.poll_readable(cx);
        // Without budget the socket was not asked.
        self.is_read_awaited = outcome.is_pending() && coop::has_budget_remaining();
        outcome
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

    /// Whether bytes have come that were not read. Costs a system call.
    pub(crate) fn has_unread(&self) -> bool {
        self.tcp.has_unread()
    }

    fn option<L>(&self, call: impl FnOnce(SockRef<'_>) -> io::Result<L>) -> io::Result<L> {
        let descriptor = self.tcp.descriptor().ok_or(io::ErrorKind::NotConnected)?;
        call(SockRef::from(&descriptor))
    }

    /// Our end of the connection.
    pub(crate) fn local_ip(&self) -> io::Result<IpAddr> {
        let address = self.option(|socket| socket.local_addr())?;
        address.as_socket().map(|address| address.ip()).ok_or(io::ErrorKind::InvalidData.into())
    }

    /// The bytes that were read ahead.
    pub(crate) fn ahead(&self) -> &[u8] {
        self.ahead.as_ref().map_or(&[][..], |ahead| &ahead.buffer[ahead.start..ahead.end])
    }

    /// Takes this many of the bytes that were read ahead.
    pub(crate) fn skip(&mut self, len: usize) {
        if let Some(ahead) = &mut self.ahead {
            ahead.start = ahead.end.min(ahead.start + len);
            if ahead.start == ahead.end {
                self.ahead = None;
            }
        }
    }

    /// Reads some bytes ahead, and returns how many: 0 at the end of the stream, and where there is no room for more.
    pub(crate) async fn read_ahead(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read_ahead(cx)).await
    }

    /// Whether the client begins with the HTTP/2 preface (RFC 9113, section 3.4). Its first three bytes are enough,
    /// since no real method begins with them. False at the end of the stream.
    pub(crate) async fn speaks_http2(&mut self) -> io::Result<bool> {
        const PREFACE: &[u8] = b"PRI";
        loop {
            let seen = self.ahead();
            if seen.len() >= PREFACE.len() || !PREFACE.starts_with(seen) {
                return Ok(seen.starts_with(PREFACE));
            }
            if self.read_ahead().await? == 0 {
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
        let outcome = Pin::new(&mut self.tcp).poll_read(cx, buf);
        // Without budget the socket was not asked.
        self.is_read_awaited = outcome.is_pending() && coop::has_budget_remaining();
        outcome
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

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn connected() -> (TcpStream, PeekedTcp) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("it is bound")).await.expect("it listens");
        let (socket, _) = listener.accept().await.expect("a client");
        (client, PeekedTcp::new(socket.into_std().expect("it was registered")))
    }

    async fn finds_nothing(io: &mut PeekedTcp) -> bool {
        let mut byte = [0];
        poll_fn(|cx| Poll::Ready(Pin::new(&mut *io).poll_read(cx, &mut ReadBuf::new(&mut byte)).is_pending())).await
    }

    #[tokio::test]
    async fn a_read_that_has_found_nothing_is_news_again_once_bytes_or_the_end_come() {
        let (mut client, mut io) = connected().await;
        assert!(io.has_news(), "nobody has looked yet");
        for sent in [&b"x"[..], b""] {
            assert!(finds_nothing(&mut io).await && !io.has_news());
            match sent {
                b"" => client.shutdown().await.expect("it is open"),
                sent => client.write_all(sent).await.expect("it is open"),
            }
            // The task is woken although nothing else is asked.
            let news = poll_fn(|_| if io.has_news() { Poll::Ready(()) } else { Poll::Pending });
            tokio::time::timeout(Duration::from_secs(60), news).await.expect("the task is woken");
            let mut byte = [0];
            assert_eq!(io.read(&mut byte).await.expect("no reset"), sent.len());
        }
    }

    #[tokio::test]
    async fn asking_before_a_read_finds_what_the_read_would_find() {
        let (mut client, mut io) = connected().await;
        let ask = async |io: &mut PeekedTcp| poll_fn(|cx| Poll::Ready(io.poll_readable(cx).is_ready())).await;
        assert!(ask(&mut io).await, "the first read is tried");
        assert!(finds_nothing(&mut io).await);
        for sent in [&b"x"[..], b""] {
            assert!(!ask(&mut io).await && !io.has_news());
            match sent {
                b"" => client.shutdown().await.expect("it is open"),
                sent => client.write_all(sent).await.expect("it is open"),
            }
            let readable = poll_fn(|cx| io.poll_readable(cx));
            tokio::time::timeout(Duration::from_secs(60), readable).await.expect("the task is woken");
            assert!(io.has_news());
            let mut bytes = [0; 2];
            assert_eq!(io.read(&mut bytes).await.expect("no reset"), sent.len());
        }
    }

    #[tokio::test]
    async fn a_read_at_the_end_of_a_long_poll_is_repeated() {
        let (_client, mut io) = connected().await;
        poll_fn(|cx| {
            // As if much had been read and written before.
            while coop::has_budget_remaining() {
                let _ = pin!(coop::consume_budget()).poll(cx);
            }
            let mut byte = [0];
            assert!(Pin::new(&mut io).poll_read(cx, &mut ReadBuf::new(&mut byte)).is_pending());
            Poll::Ready(())
        })
        .await;
        assert!(io.has_news(), "the socket was not asked");
    }
}
