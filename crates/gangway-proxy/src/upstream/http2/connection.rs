//! A connection of HTTP/2, shared by the requests of one thread.
//!
//! A dead connection is found out by a ping, but pings are rare: gRPC servers close connections that are pinged more
//! often than every five minutes while they have nothing to say. So a connection is pinged only when it owes an answer
//! and has been silent, and only once until something else comes or the five minutes are over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Waker};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Ping, PingPong};
use parking_lot::Mutex;
use pingora_core::protocols::http::v2::client::drive_connection;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::message::response_head::HEAD_MAX;
use crate::overload::open_connections::OpenConnection;
use crate::stream::upstream_error::{UpstreamError, UpstreamErrorKind};
use crate::upstream::coarse_clock::CoarseClock;
use crate::upstream::http2::observed_io::ObservedIo;
use crate::upstream::socket::UpstreamSocket;
use crate::upstream::transport::EndpointTransport;

/// Requests at a time on one connection.
const STREAMS_MAX: usize = 100;

/// Bytes of a response that may be sent ahead on one stream: 20 MB/s at a round trip of 12 ms.
const STREAM_WINDOW: u32 = 256 * 1024;

/// All streams together: slow clients must not hold back the responses of others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * 100;

/// Bytes of a request's body that wait for the connection.
const SEND_BUFFER_MAX: usize = 64 * 1024;

/// An owed answer is silent for this long before the connection is pinged.
const SILENCE_MAX: u64 = 10_000;

/// A ping that is unanswered for this long makes a connection suspect: new requests go elsewhere.
const SUSPECT_AFTER: u64 = 1_000;

/// A ping that is unanswered for this long means that the connection is dead.
const DEAD_AFTER: u64 = 5_000;

/// Between two pings without anything else in between.
const PING_PAUSE: u64 = 310_000;

/// A connection, shared by its streams.
#[derive(Debug)]
pub(crate) struct Http2Connection {
    sender: SendRequest<Bytes>,
    transport: Arc<EndpointTransport>,
    closed: watch::Receiver<bool>,
    driver: AbortHandle,
    clock: CoarseClock,
    streams: AtomicUsize,
    has_served: AtomicBool,
    /// When the last stream ended.
    idle_since: AtomicU64,
    received: Arc<AtomicU64>,
    /// Streams whose response has not begun.
    awaiting: AtomicUsize,
    /// Since when there has been any.
    awaiting_since: AtomicU64,
    pings: Mutex<Pings>,
}

struct Pings {
    sender: Option<PingPong>,
    /// When the unanswered ping was sent.
    sent: Option<u64>,
    /// When the last ping was sent; 0 if none was.
    last: u64,
    /// When the last pong came.
    answered: u64,
}

/// One of the streams of a connection, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Http2Slot {
    pub(crate) sender: SendRequest<Bytes>,
    pub(crate) connection: Arc<Http2Connection>,
    /// Whether an earlier request used the connection.
    pub(crate) is_reused: bool,
    is_awaiting: bool,
}

impl Http2Connection {
    /// Begins to speak HTTP/2. The caller limits the time.
    pub(crate) async fn open(
        socket: UpstreamSocket,
        transport: &Arc<EndpointTransport>,
        clock: &CoarseClock,
        open: OpenConnection,
    ) -> Result<Arc<Self>, UpstreamError> {
        let received = Arc::new(AtomicU64::new(clock.millis()));
        let io = ObservedIo::new(socket, clock.clone(), Arc::clone(&received));
        let handshake = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_max_send_streams(STREAMS_MAX)
            .max_send_buffer_size(SEND_BUFFER_MAX)
            .max_header_list_size(u32::try_from(HEAD_MAX).unwrap_or(u32::MAX))
            .handshake::<_, Bytes>(io);
        let (sender, mut connection) = handshake.await.map_err(|error| {
            UpstreamError::new(UpstreamErrorKind::ClosedUnanswered, format!("no HTTP/2 there: {error}"))
        })?;
        let pings = Pings { sender: connection.ping_pong(), sent: None, last: 0, answered: 0 };
        let (closed_tx, closed) = watch::channel(false);
        let driver = tokio::spawn(async move {
            let _open = open;
            drive_connection(connection, 0, closed_tx, None, Arc::default()).await;
        });
        Ok(Arc::new(Self {
            sender,
            transport: Arc::clone(transport),
            closed,
            driver: driver.abort_handle(),
            clock: clock.clone(),
            streams: AtomicUsize::new(0),
            has_served: AtomicBool::new(false),
            idle_since: AtomicU64::new(clock.millis()),
            received,
            awaiting: AtomicUsize::new(0),
            awaiting_since: AtomicU64::new(0),
            pings: Mutex::new(pings),
        }))
    }

    pub(crate) fn transport(&self) -> &Arc<EndpointTransport> {
        &self.transport
    }

    /// A stream, if the connection can carry another one at once.
    pub(crate) fn begin(self: &Arc<Self>) -> Option<Http2Slot> {
        let max = STREAMS_MAX.min(self.sender.current_max_send_streams());
        if self.streams.load(Ordering::Relaxed) >= max || self.is_suspect() {
            return None;
        }
        let mut sender = self.sender.clone();
        if !sender.poll_ready(&mut Context::from_waker(Waker::noop())).ready_and(|outcome| outcome.is_ok()) {
            return None;
        }
        self.streams.fetch_add(1, Ordering::Relaxed);
        if self.awaiting.fetch_add(1, Ordering::Relaxed) == 0 {
            self.awaiting_since.store(self.clock.millis(), Ordering::Relaxed);
        }
        let is_reused = self.has_served.swap(true, Ordering::Relaxed);
        Some(Http2Slot { sender, connection: Arc::clone(self), is_reused, is_awaiting: true })
    }

    /// Whether no further stream can ever begin on it.
    pub(crate) fn is_over(&self) -> bool {
        *self.closed.borrow() || {
            let mut sender = self.sender.clone();
            let ready = sender.poll_ready(&mut Context::from_waker(Waker::noop()));
            ready.ready_and(|outcome| outcome.is_err())
        }
    }

    /// For how many milliseconds no stream has been under way.
    pub(crate) fn idle_for(&self) -> u64 {
        match self.streams.load(Ordering::Relaxed) {
            0 => self.clock.millis().saturating_sub(self.idle_since.load(Ordering::Relaxed)),
            _ => 0,
        }
    }

    fn is_suspect(&self) -> bool {
        let sent = self.pings.lock().sent;
        sent.is_some_and(|sent| self.clock.millis().saturating_sub(sent) >= SUSPECT_AFTER)
    }

    /// Pings the connection if it owes an answer and is silent, and ends it if it does not answer the ping. Called
    /// several times a second.
    pub(crate) fn check(&self) {
        let now = self.clock.millis();
        let received = self.received.load(Ordering::Relaxed);
        let mut pings = self.pings.lock();
        let Pings { sender: Some(sender), sent, last, answered } = &mut *pings else { return };
        if let Some(at) = *sent {
            let pong = sender.poll_pong(&mut Context::from_waker(Waker::noop()));
            if pong.ready_and(|outcome| outcome.is_ok()) {
                *answered = now;
                *sent = None;
            } else if received <= at && now.saturating_sub(at) >= DEAD_AFTER {
                // Its streams fail with it.
                self.driver.abort();
            }
            return;
        }
        let owes = self.awaiting.load(Ordering::Relaxed) > 0;
        let silent_for = now.saturating_sub(received.max(self.awaiting_since.load(Ordering::Relaxed)));
        let is_silent = silent_for >= if owes { SILENCE_MAX } else { PING_PAUSE };
        let is_used = self.streams.load(Ordering::Relaxed) > 0;
        let may_ping = *last == 0 || received > *answered || now.saturating_sub(*last) >= PING_PAUSE;
        if is_used && is_silent && may_ping && sender.send_ping(Ping::opaque()).is_ok() {
            *sent = Some(now);
            *last = now;
        }
    }
}

impl std::fmt::Debug for Pings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pings").field("sent", &self.sent).finish_non_exhaustive()
    }
}

impl Http2Slot {
    /// Notes that the response has begun.
    pub(crate) fn answered(&mut self) {
        if std::mem::take(&mut self.is_awaiting) {
            self.connection.awaiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Http2Slot {
    fn drop(&mut self) {
        self.answered();
        let connection = &self.connection;
        if connection.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            connection.idle_since.store(connection.clock.millis(), Ordering::Relaxed);
        }
    }
}

/// Questions about a poll that is not waited for.
trait ReadyNow<T> {
    fn ready_and(self, is_so: impl FnOnce(T) -> bool) -> bool;
}

impl<T> ReadyNow<T> for std::task::Poll<T> {
    fn ready_and(self, is_so: impl FnOnce(T) -> bool) -> bool {
        match self {
            Self::Ready(value) => is_so(value),
            Self::Pending => false,
        }
    }
}
