//! The byte stream that Pingora reads requests from and writes answers to.
//!
//! Reads pass the [`Gate`] (HTTP/1) or are watched frame by frame (HTTP/2), and are bounded in time. Writes are
//! buffered above TLS, so that a head and a small body become one record and one packet.

use std::any::Any;
use std::io;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::http::ResponseHeader;
use pingora::protocols::l4::socket::SocketAddr as PingoraAddress;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::downstream::connection::ClientConnection;
use crate::downstream::linger::{ByteStream, Unread};
use crate::downstream::peeked_tcp::PeekedTcp;
use crate::downstream::read_deadline::Deadline;
use crate::downstream::read_requests::{poll_frames, poll_requests};
use crate::downstream::websocket::WebSocketTunnel;
use crate::http1::gate::Gate;
use crate::http2::frames::Frames;
use crate::lifecycle::Phases;
use crate::limits::Limits;

/// Fits a head with a small body; larger bodies bypass the buffer.
const WRITE_BUFFER: usize = 4096;

/// The stream that is handed to Pingora.
#[derive(Debug)]
pub(crate) struct Downstream<T: ByteStream> {
    /// None only while the stream is dropped.
    io: Option<BufWriter<T>>,
    reading: ReadSide,
    deadline: Deadline,
    connection: Arc<ClientConnection>,
    phases: Phases,
    /// Set once the protocol was switched.
    tunnel: Option<Box<WebSocketTunnel>>,
    unread: Arc<Mutex<Option<T>>>,
    fd: RawFd,
    alpn: Option<ALPN>,
    ssl: Option<Arc<SslDigest>>,
    socket: Arc<SocketDigest>,
    proxy: Arc<ProxyDigest>,
    since: SystemTime,
}

#[derive(Debug)]
enum ReadSide {
    Http1(Box<Gate>),
    Http2(Frames),
}

/// Facts about the layers below HTTP that Pingora asks for.
struct TransportSession {
    fd: RawFd,
    /// The version of HTTP that was negotiated, or recognised by its first bytes.
    alpn: Option<ALPN>,
    ssl: Option<Arc<SslDigest>>,
}

impl Downstream<PeekedTcp> {
    /// A stream over plain TCP.
    pub(crate) fn plain(
        conn: PeekedTcp,
        connection: Arc<ClientConnection>,
        alpn: Option<ALPN>,
        limits: &Limits,
        phases: Phases,
    ) -> (Self, Unread<PeekedTcp>) {
        let session = TransportSession { fd: conn.fd(), alpn, ssl: None };
        Self::new(conn, session, connection, limits, phases)
    }
}

impl Downstream<TlsStream<PeekedTcp>> {
    /// A stream over TLS; the version of HTTP was negotiated.
    pub(crate) fn tls(
        stream: TlsStream<PeekedTcp>,
        connection: Arc<ClientConnection>,
        limits: &Limits,
        phases: Phases,
    ) -> (Self, Unread<TlsStream<PeekedTcp>>) {
        let (conn, session) = stream.get_ref();
        let fd = conn.fd();
        let alpn = match session.alpn_protocol() {
            Some(b"h2") => Some(ALPN::H2),
            Some(b"http/1.1") => Some(ALPN::H1),
            _ => None,
        };
        let cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("");
        let version = session.protocol_version().and_then(|version| version.as_str()).unwrap_or("");
        let ssl = Arc::new(SslDigest::new(cipher, version, None, None, Vec::new()));
        Self::new(stream, TransportSession { fd, alpn, ssl: Some(ssl) }, connection, limits, phases)
    }
}

impl<T: ByteStream> Downstream<T> {
    fn new(
        io: T,
        session: TransportSession,
        connection: Arc<ClientConnection>,
        limits: &Limits,
        phases: Phases,
    ) -> (Self, Unread<T>) {
        let TransportSession { fd, alpn, ssl } = session;
        let socket = SocketDigest::from_raw_fd(fd);
        // Set in advance, which saves Pingora system calls.
        let _ = socket.peer_addr.set(Some(PingoraAddress::Inet(connection.peer)));
        let _ = socket.local_addr.set(Some(PingoraAddress::Inet(connection.local)));
        let facts: Box<dyn Any + Send + Sync> = Box::new(Arc::clone(&connection));
        let proxy = Arc::new(ProxyDigest::new(blank_response(), Some(facts)));
        let reading = match alpn {
            Some(ALPN::H2) => ReadSide::Http2(Frames::default()),
            _ => ReadSide::Http1(Box::new(Gate::new(limits))),
        };
        let unread = Arc::new(Mutex::new(None));
        let downstream = Self {
            io: Some(BufWriter::with_capacity(WRITE_BUFFER, io)),
            reading,
            deadline: Deadline::new(limits),
            connection,
            phases,
            tunnel: None,
            unread: Arc::clone(&unread),
            fd,
            alpn,
            ssl,
            socket: Arc::new(socket),
            proxy,
            since: SystemTime::now(),
        };
        (downstream, Unread(unread))
    }

    fn io(&mut self) -> Pin<&mut BufWriter<T>> {
        pinned(&mut self.io)
    }

    /// The stream, and its tunnel if the protocol was switched.
    fn parts(&mut self) -> (Pin<&mut BufWriter<T>>, Option<&mut WebSocketTunnel>) {
        if self.tunnel.is_none() && self.connection.upgraded() {
            self.tunnel = Some(Box::new(WebSocketTunnel::new(self.phases.clone())));
        }
        (pinned(&mut self.io), self.tunnel.as_deref_mut())
    }
}

fn pinned<T: ByteStream>(io: &mut Option<BufWriter<T>>) -> Pin<&mut BufWriter<T>> {
    Pin::new(io.as_mut().expect("taken only when dropped"))
}

/// Writes the close frame of a WebSocket if it is due.
fn poll_goodbye<T: ByteStream>(
    mut io: Pin<&mut BufWriter<T>>,
    tunnel: &mut WebSocketTunnel,
    cx: &mut Context<'_>,
) -> io::Result<()> {
    while let Some(bytes) = tunnel.poll_goodbye(cx) {
        match io.as_mut().poll_write(cx, bytes) {
            Poll::Ready(taken) => tunnel.goodbye_taken(taken?),
            Poll::Pending => return Ok(()),
        }
    }
    if tunnel.is_deaf() {
        // If this is pending, the task is woken and comes here again.
        let _ = io.poll_flush(cx);
    }
    Ok(())
}

/// Writes bytes of the application to the client of a WebSocket.
fn poll_write_tunnel<T: ByteStream>(
    mut io: Pin<&mut BufWriter<T>>,
    tunnel: &mut WebSocketTunnel,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    poll_goodbye(io.as_mut(), tunnel, cx)?;
    if tunnel.is_deaf() {
        return Poll::Ready(Ok(bytes.len()));
    }
    let allowed = tunnel.allowed(bytes);
    let taken = std::task::ready!(io.as_mut().poll_write(cx, &bytes[..allowed]))?;
    tunnel.written(&bytes[..taken]);
    poll_goodbye(io, tunnel, cx)?;
    Poll::Ready(Ok(taken))
}

fn blank_response() -> Box<ResponseHeader> {
    Box::new(ResponseHeader::build(200, Some(0)).expect("200 is a status"))
}

impl<T: ByteStream> AsyncRead for Downstream<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let (io, Some(tunnel)) = self.parts() {
            poll_goodbye(io, tunnel, cx)?;
        }
        let this = &mut *self;
        let io = pinned(&mut this.io);
        match &mut this.reading {
            ReadSide::Http1(gate) => poll_requests(io, gate, &mut this.deadline, &this.connection, cx, buf),
            ReadSide::Http2(frames) => poll_frames(io, frames, &mut this.deadline, cx, buf),
        }
    }
}

impl<T: ByteStream> Drop for Downstream<T> {
    fn drop(&mut self) {
        let still_sending = matches!(&self.reading, ReadSide::Http1(gate) if gate.is_in_body());
        if let Some(io) = self.io.take()
            && still_sending
        {
            *self.unread.lock() = Some(io.into_inner());
        }
    }
}

impl<T: ByteStream> AsyncWrite for Downstream<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.parts() {
            (io, Some(tunnel)) => poll_write_tunnel(io, tunnel, cx, bytes),
            (io, None) => io.poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.parts() {
            (io, Some(tunnel)) => {
                let first = slices.iter().find(|slice| !slice.is_empty());
                poll_write_tunnel(io, tunnel, cx, first.map_or(&[], |slice| slice))
            }
            (io, None) => io.poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_shutdown(cx)
    }
}

#[async_trait]
impl<T: ByteStream> Shutdown for Downstream<T> {
    async fn shutdown(&mut self) {
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl<T: ByteStream> UniqueID for Downstream<T> {
    fn id(&self) -> UniqueIDType {
        self.fd
    }
}

impl<T: ByteStream> Ssl for Downstream<T> {
    fn get_ssl(&self) -> Option<&TlsRef> {
        None
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.ssl.clone()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.alpn.clone()
    }
}

impl<T: ByteStream> GetTimingDigest for Downstream<T> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        vec![Some(TimingDigest { established_ts: self.since, ..Default::default() })]
    }
}

impl<T: ByteStream> GetProxyDigest for Downstream<T> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(Arc::clone(&self.proxy))
    }
}

impl<T: ByteStream> GetSocketDigest for Downstream<T> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.socket))
    }
}

#[async_trait]
impl<T: ByteStream> Peek for Downstream<T> {}
