//! Serves one HTTP/2 connection with all its streams in one task, and ends it when its time has come.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::thread::LocalKey;
use std::time::Duration;

use h2::Reason;
use h2::server::{Builder, Connection, SendResponse};
use http::Request;
use tokio::sync::watch;
use tokio::task::coop::has_budget_remaining;
use tokio::time::Instant;

use crate::downstream::byte_stream::ByteStream;
use crate::downstream::connection::ClientConnection;
use crate::downstream::http2::client_stream::{ClientStream, StreamParts};
use crate::downstream::http2::read_head::{RequestEnd, read_head};
use crate::downstream::http2::send_budget::{SendBudget, SendPiece};
use crate::downstream::http2::stream_loop::{OpenStream, ServeRequests, UnusedLoops};
use crate::downstream::http2::streams::Streams;
use crate::downstream::http2::unread_bodies::UnreadBodies;
use crate::downstream::http2::wakes::{ConnectionPart, Wakes};
use crate::downstream::http2::watched_io::{IoState, SharedIo};
use crate::downstream::listener_profile::ListenerProfile;
use crate::exchange::exchange_pool::PooledExchange;
use crate::exchange::serve;
use crate::exchange::state::Exchange;
use crate::exchange::worker::Worker;
use crate::lifecycle::{Lifecycle, Phases, reached};
use crate::limits::Limits;
use crate::overload::address_account::AddressAccount;
use crate::overload::memory_budget::MemoryBudget;
use crate::reply::rejection::Rejection;
use crate::timer::Timer;

/// Bytes of the body of one stream that are buffered.
const STREAM_BUFFER_MAX: usize = 32 * 1024;

/// Heads that are rejected before the connection is closed. A client that keeps on sending them costs more than it is
/// worth.
const REJECTED_HEADS_MAX: usize = 32;

/// Streams that the h2 library resets on its own account, for a malformed head or a frame on a stream that was
/// forgotten, before it closes the connection. Larger than the other bound: a client that has not yet heard of an early
/// response sends on for a window, in frames of 16 KiB.
const ERROR_RESETS_MAX: usize = 256;

/// Streams that the client may reset before they were accepted. More at once are a rapid reset.
const PENDING_RESETS_MAX: usize = 20;

/// Streams whose reset is remembered, so that frames that were on their way are dropped without a further error, and for
/// how long.
const REMEMBERED_RESETS_MAX: usize = 100;
const REMEMBERED_RESETS_TIME: Duration = Duration::from_secs(10);

/// How much larger a head may be for the h2 library than for us. The library answers heads above its own bound itself,
/// and such an answer reaches neither the access log nor the metrics.
const LIBRARY_HEAD_FACTOR: u32 = 2;

/// How long a connection that was told to go away may stay without a stream.
const GOING_IDLE: Duration = Duration::from_secs(5);

/// How long requests may take to end after their connection has ended. They notice it by themselves.
const WIND_DOWN: Duration = Duration::from_secs(5);

/// How often the parts of a connection are polled in one poll of its task, while they wake each other. Afterwards other
/// connections have their turn.
const ROUNDS_MAX: usize = 4;

thread_local! {
    static UNUSED_LOOPS: UnusedLoops<ByExchange> = const { RefCell::new(Vec::new()) };
}

/// Serves requests by the data plane.
struct ByExchange {
    worker: Arc<Worker>,
    connection: Arc<ClientConnection>,
}

impl ServeRequests for ByExchange {
    fn limits(&self) -> &Limits {
        &self.worker.shared.settings.limits
    }

    fn memory(&self) -> MemoryBudget {
        self.worker.shared.overload.memory.clone()
    }

    fn account(&self) -> Option<&Arc<AddressAccount>> {
        self.connection.account.as_ref()
    }

    fn begin_idle(&self) {
        if let Some(mark) = &self.connection.idle {
            self.worker.shared.overload.idle.begin(mark);
        }
    }

    fn end_idle(&self) -> bool {
        self.connection.idle.as_ref().is_none_or(|mark| mark.end())
    }

    fn serve(&self, exchange: &mut Exchange, client: &mut ClientStream) -> impl Future<Output = ()> + Send {
        serve::serve(&self.worker, &self.connection, exchange, client)
    }

    fn reject(
        &self,
        exchange: &mut Exchange,
        client: &mut ClientStream,
        rejection: Rejection,
    ) -> impl Future<Output = ()> + Send {
        serve::reject(&self.worker, &self.connection, exchange, client, rejection)
    }

    fn unused_loops() -> &'static LocalKey<UnusedLoops<Self>> {
        &UNUSED_LOOPS
    }
}

/// Serves a connection to its end. Its client gets GOAWAY once `goaway` is true, its listener is no more as it was, or
/// connections are to be closed.
pub(crate) async fn serve_http2<T: ByteStream>(
    io: T,
    worker: &Arc<Worker>,
    connection: Arc<ClientConnection>,
    goaway: watch::Receiver<bool>,
    phases: Phases,
) {
    let listener = Arc::clone(&connection.listener);
    let requests = ByExchange { worker: Arc::clone(worker), connection };
    serve_connection(io, requests, going_away(&listener, goaway, phases)).await;
}

/// Waits until the client is to be sent elsewhere.
async fn going_away(listener: &ListenerProfile, mut goaway: watch::Receiver<bool>, phases: Phases) {
    tokio::select! {
        Ok(_) = goaway.wait_for(|goes| *goes) => {}
        () = listener.retired() => {}
        () = reached(phases, Lifecycle::Closing) => {}
    }
}

/// Serves a connection until it ends; its client gets GOAWAY once `going_away` is ready.
pub(super) async fn serve_connection<T: ByteStream, S: ServeRequests>(
    io: T,
    requests: S,
    going_away: impl Future<Output = ()>,
) {
    let unread = UnreadBodies::new(requests.account());
    let (io, io_state) = SharedIo::new(io, requests.limits(), requests.memory(), unread);
    let mut going_away = pin!(going_away);
    let mut is_going_away = false;
    // On the heap, so that its state does not take room for as long as the connection lasts.
    let mut handshake = Box::pin(builder(requests.limits()).handshake::<_, SendPiece>(io.share()));
    let connection = std::future::poll_fn(|cx| {
        if let Poll::Ready(connection) = handshake.as_mut().poll(cx) {
            return Poll::Ready(Some(connection));
        }
        is_going_away = is_going_away || going_away.as_mut().poll(cx).is_ready();
        // A client that has said nothing is sent elsewhere by the end of its connection.
        if is_going_away && !io.has_unread() { Poll::Ready(None) } else { Poll::Pending }
    });
    let connection = match connection.await {
        Some(Ok(connection)) => connection,
        Some(Err(error)) => return tracing::debug!(%error, "an HTTP/2 connection ended before its first request"),
        None => return,
    };
    drop(handshake);
    let wakes = Arc::new(Wakes::new());
    io.begin_session(&wakes);
    let mut session = Http2Session {
        connection,
        requests: Arc::new(requests),
        streams: Streams::new(Arc::clone(&wakes)),
        budget: Arc::default(),
        io,
        io_state,
        rejected_heads: 0,
        // A new connection counts as idle, and its first request may have come together with its preface.
        idle: Idle { since: Some(Instant::now()), ..Idle::default() },
        going_away: Some(going_away),
        going_away_waker: wakes.waker(ConnectionPart::GoingAway),
        connection_waker: wakes.waker(ConnectionPart::Connection),
        wakes,
    };
    if is_going_away {
        session.go_away();
    }
    let outcome = std::future::poll_fn(|cx| session.poll(cx)).await;
    if let Err(error) = outcome {
        tracing::debug!(%error, "an HTTP/2 connection was cut");
    }
    let Http2Session { connection, io, mut streams, wakes, .. } = session;
    // The requests hear that their client has gone, and are recorded as such.
    drop((connection, io));
    let ended = std::future::poll_fn(|cx| poll_ended(&mut streams, &wakes, cx));
    let _ = tokio::time::timeout(WIND_DOWN, ended).await;
}

/// Polls the streams of a connection that has ended. Ready once they have ended too.
fn poll_ended<S: ServeRequests>(streams: &mut Streams<S>, wakes: &Wakes, cx: &Context<'_>) -> Poll<()> {
    wakes.begin_poll(cx.waker());
    streams.poll_woken();
    if streams.is_empty() {
        return Poll::Ready(());
    }
    // Nothing but streams is polled any more.
    let _ = (wakes.take_connection(), wakes.take_going_away());
    if wakes.end_poll() {
        cx.waker().wake_by_ref();
    }
    Poll::Pending
}

fn builder(limits: &Limits) -> Builder {
    let mut builder = Builder::new();
    builder
        // The defaults of 64 KiB allow 1.2 MB/s at a round trip of 50 ms.
        .initial_window_size(limits.h2_stream_window)
        .initial_connection_window_size(limits.h2_connection_window)
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX).saturating_mul(LIBRARY_HEAD_FACTOR))
        .max_send_buffer_size(STREAM_BUFFER_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(Some(ERROR_RESETS_MAX))
        .max_concurrent_reset_streams(REMEMBERED_RESETS_MAX)
        .reset_stream_duration(REMEMBERED_RESETS_TIME);
    builder
}

/// A connection and its streams.
struct Http2Session<'s, T: ByteStream, S, F> {
    connection: Connection<SharedIo<T>, SendPiece>,
    requests: Arc<S>,
    streams: Streams<S>,
    budget: Arc<SendBudget>,
    io: SharedIo<T>,
    io_state: Arc<IoState>,
    rejected_heads: usize,
    idle: Idle,
    /// Ready when the client is to be told to go away. None once it was told.
    going_away: Option<Pin<&'s mut F>>,
    going_away_waker: Waker,
    connection_waker: Waker,
    wakes: Arc<Wakes>,
}

/// The time that a connection has no stream. Pings do not prolong it.
#[derive(Debug, Default)]
struct Idle {
    since: Option<Instant>,
    due: Timer,
    has_expired: bool,
}

impl<T: ByteStream, S: ServeRequests, F: Future<Output = ()>> Http2Session<'_, T, S, F> {
    /// Polls the parts that were woken. Ready when the connection has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wakes.begin_poll(cx.waker());
        for _ in 0..ROUNDS_MAX {
            self.poll_going_away();
            // First what the streams have to say, so that the h2 library writes it at once.
            self.streams.poll_woken();
            if self.wakes.take_connection()
                && let Poll::Ready(outcome) = self.poll_connection()
            {
                return Poll::Ready(outcome);
            }
            if !self.wakes.has_any() || !has_budget_remaining() {
                break;
            }
        }
        if let Poll::Ready(outcome) = self.io.poll_flush_held(&mut Context::from_waker(&self.connection_waker)) {
            outcome?;
        }
        if self.poll_idle(cx).is_ready() {
            // Says which streams were not served, so that a request that is on its way is sent again elsewhere.
            self.connection.abrupt_shutdown(Reason::NO_ERROR);
            self.wakes.note(ConnectionPart::Connection);
        }
        if self.wakes.end_poll() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn poll_going_away(&mut self) {
        if self.wakes.take_going_away()
            && let Some(going_away) = &mut self.going_away
            && going_away.as_mut().poll(&mut Context::from_waker(&self.going_away_waker)).is_ready()
        {
            self.go_away();
        }
    }

    /// Tells the client to send no more requests here. Those that are on their way are served.
    fn go_away(&mut self) {
        self.going_away = None;
        self.connection.graceful_shutdown();
        self.wakes.note(ConnectionPart::Connection);
    }

    /// Lets the h2 library read and write, and begins with the streams that it has read. Ready at the end.
    fn poll_connection(&mut self) -> Poll<io::Result<()>> {
        let waker = self.connection_waker.clone();
        let mut cx = Context::from_waker(&waker);
        loop {
            match ready!(self.connection.poll_accept(&mut cx)) {
                Some(Ok((request, respond))) => self.begin(request, respond),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Ready, once, when the connection has had no stream for too long, although its client was told to go away.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let idle = &mut self.idle;
        if idle.has_expired {
            return Poll::Pending;
        }
        if !self.streams.is_empty() || self.connection.has_streams() || self.io_state.is_writing() {
            idle.due.clear();
            // The idle time ends with bytes that wait to be written, as well as with a stream.
            if idle.since.take().is_some() && !self.requests.end_idle() {
                idle.has_expired = true;
                return Poll::Ready(());
            }
            return Poll::Pending;
        }
        let mut since = *idle.since.get_or_insert_with(|| {
            self.requests.begin_idle();
            Instant::now()
        });
        let idle_max = self.requests.limits().idle;
        loop {
            let was_told = self.going_away.is_none();
            self.idle.due.set(since + if was_told { GOING_IDLE.min(idle_max) } else { idle_max });
            ready!(self.idle.due.poll_expired(cx));
            if was_told {
                self.idle.has_expired = true;
                return Poll::Ready(());
            }
            self.go_away();
            since = Instant::now();
            self.idle.since = Some(since);
        }
    }

    /// Begins with a stream.
    fn begin(&mut self, request: Request<h2::RecvStream>, mut respond: SendResponse<SendPiece>) {
        let limits = self.requests.limits();
        if self.idle.since.take().is_some() && !self.requests.end_idle() {
            return self.connection.abrupt_shutdown(Reason::NO_ERROR);
        }
        // Streams that the client has reset may still be winding down.
        let streams_max = usize::try_from(limits.h2_streams).unwrap_or(usize::MAX).saturating_mul(2);
        if self.streams.len() >= streams_max {
            return respond.send_reset(Reason::REFUSED_STREAM);
        }
        let (parts, body) = request.into_parts();
        let end = if body.is_end_stream() { RequestEnd::WithHead } else { RequestEnd::Later };
        let mut exchange = PooledExchange::take();
        let rejection = read_head(&parts, end, limits, &mut exchange.head).err();
        drop(parts);
        if rejection.is_some() {
            self.rejected_heads += 1;
            if self.rejected_heads > REJECTED_HEADS_MAX {
                return self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            }
        }
        let shared = StreamParts { limits, budget: &self.budget, io: &self.io_state };
        let client = ClientStream::new(&shared, &exchange.head, body, respond);
        self.streams.begin(OpenStream { requests: Arc::clone(&self.requests), exchange, client, rejection });
    }
}
