//! Serves one HTTP/2 connection: accepts its streams, starts a task for each, and ends it when its time has come.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use h2::Reason;
use h2::server::{Builder, Connection, SendResponse};
use http::Request;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::downstream::byte_stream::ByteStream;
use crate::downstream::connection::ClientConnection;
use crate::downstream::http2::client_stream::{ClientStream, StreamParts};
use crate::downstream::http2::exchange_pool::PooledExchange;
use crate::downstream::http2::read_head::{RequestEnd, read_head};
use crate::downstream::http2::send_budget::{SendBudget, SendPiece};
use crate::downstream::http2::stream_tasks::{AbortTasks, StreamTasks};
use crate::downstream::http2::wake_flag::Rarely;
use crate::downstream::http2::watched_io::{IoState, WatchedIo};
use crate::exchange::serve;
use crate::exchange::state::Exchange;
use crate::exchange::worker::Worker;
use crate::lifecycle::{Lifecycle, Phases, reached};
use crate::limits::Limits;
use crate::overload::memory_budget::MemoryBudget;
use crate::reply::reason::Reason as ReplyReason;
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

/// Serves the requests of a connection. A trait, so that this folder's tests need no data plane.
pub(super) trait ServeRequests: Send + Sync + 'static {
    fn limits(&self) -> &Limits;

    fn memory(&self) -> MemoryBudget;

    /// Notes that the connection has no request.
    fn begin_idle(&self);

    /// Notes that a request has come. False if the connection was chosen to be closed in that moment.
    fn end_idle(&self) -> bool;

    fn serve(&self, exchange: &mut Exchange, client: &mut ClientStream) -> impl Future<Output = ()> + Send;

    fn reject(
        &self,
        exchange: &mut Exchange,
        client: &mut ClientStream,
        rejection: Rejection,
    ) -> impl Future<Output = ()> + Send;
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
}

/// Serves a connection to its end. Its client gets GOAWAY once `goaway` is true, or connections are to be closed.
pub(crate) async fn serve_http2<T: ByteStream>(
    io: T,
    worker: &Arc<Worker>,
    connection: Arc<ClientConnection>,
    goaway: watch::Receiver<bool>,
    phases: Phases,
) {
    let requests = ByExchange { worker: Arc::clone(worker), connection };
    serve_connection(io, requests, going_away(goaway, phases)).await;
}

/// Waits until the client is to be sent elsewhere.
async fn going_away(mut goaway: watch::Receiver<bool>, phases: Phases) {
    tokio::select! {
        Ok(_) = goaway.wait_for(|goes| *goes) => {}
        () = reached(phases, Lifecycle::Closing) => {}
    }
}

/// Serves a connection until it ends; its client gets GOAWAY once `going_away` is ready.
pub(super) async fn serve_connection<T: ByteStream, S: ServeRequests>(
    io: T,
    requests: S,
    going_away: impl Future<Output = ()>,
) {
    let (io, io_state) = WatchedIo::new(io, requests.limits(), requests.memory());
    let handshake = builder(requests.limits()).handshake::<_, SendPiece>(io);
    let connection = match handshake.await {
        Ok(connection) => connection,
        Err(error) => return tracing::debug!(%error, "an HTTP/2 connection ended before its first request"),
    };
    let going_away = pin!(going_away);
    let mut going_away = Rarely::new(going_away);
    let tasks = Arc::new(StreamTasks::default());
    let abort = AbortTasks(Arc::clone(&tasks));
    let mut session = Http2Session {
        connection,
        requests: Arc::new(requests),
        tasks,
        budget: Arc::default(),
        io: io_state,
        rejected_heads: 0,
        idle: Idle::default(),
        is_going: false,
    };
    let outcome = std::future::poll_fn(|cx| {
        if !session.is_going && going_away.poll(cx).is_ready() {
            session.is_going = true;
            session.connection.graceful_shutdown();
        }
        session.poll(cx)
    })
    .await;
    if let Err(error) = outcome {
        tracing::debug!(%error, "an HTTP/2 connection was cut");
    }
    let Http2Session { connection, tasks, .. } = session;
    // The requests hear that their client has gone, and are recorded as such.
    drop(connection);
    let ended = std::future::poll_fn(|cx| tasks.poll_ended(cx));
    let _ = tokio::time::timeout(WIND_DOWN, ended).await;
    drop(abort);
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
struct Http2Session<T: ByteStream, S> {
    connection: Connection<WatchedIo<T>, SendPiece>,
    requests: Arc<S>,
    tasks: Arc<StreamTasks>,
    budget: Arc<SendBudget>,
    io: Arc<IoState>,
    rejected_heads: usize,
    idle: Idle,
    /// Whether the client was told to go away.
    is_going: bool,
}

/// The time that a connection has no stream. Pings do not prolong it.
#[derive(Debug, Default)]
struct Idle {
    since: Option<Instant>,
    due: Timer,
    has_expired: bool,
}

impl<T: ByteStream, S: ServeRequests> Http2Session<T, S> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => self.begin(request, respond),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending if self.poll_idle(cx).is_ready() => {
                    // Says which streams were not served, so that a request that is on its way is sent again elsewhere.
                    self.connection.abrupt_shutdown(Reason::NO_ERROR);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Ready, once, when the connection has had no stream for too long.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let idle = &mut self.idle;
        if idle.has_expired {
            return Poll::Pending;
        }
        if self.tasks.poll_ended(cx).is_pending() || self.connection.has_streams() || self.io.is_writing() {
            idle.due.clear();
            // The idle time ends with bytes that wait to be written, as well as with a stream.
            if idle.since.take().is_some() && !self.requests.end_idle() {
                idle.has_expired = true;
                return Poll::Ready(());
            }
            return Poll::Pending;
        }
        let since = *idle.since.get_or_insert_with(|| {
            self.requests.begin_idle();
            Instant::now()
        });
        let idle_max = self.requests.limits().idle;
        idle.due.set(since + if self.is_going { GOING_IDLE.min(idle_max) } else { idle_max });
        std::task::ready!(idle.due.poll_expired(cx));
        idle.has_expired = true;
        Poll::Ready(())
    }

    /// Starts the task of a stream.
    fn begin(&mut self, request: Request<h2::RecvStream>, mut respond: SendResponse<SendPiece>) {
        let limits = self.requests.limits();
        if self.idle.since.take().is_some() && !self.requests.end_idle() {
            return self.connection.abrupt_shutdown(Reason::NO_ERROR);
        }
        // Tasks of streams that the client has reset may still be winding down.
        let tasks_max = usize::try_from(limits.h2_streams).unwrap_or(usize::MAX).saturating_mul(2);
        if self.tasks.len() >= tasks_max {
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
        let stream = respond.stream_id().as_u32();
        let shared = StreamParts { limits, budget: &self.budget, io: &self.io };
        let client = ClientStream::new(&shared, &exchange.head, body, respond);
        self.tasks.spawn(stream, serve_stream(Arc::clone(&self.requests), exchange, client, rejection));
    }
}

/// Serves the request of one stream.
async fn serve_stream<S: ServeRequests>(
    requests: Arc<S>,
    mut exchange: PooledExchange,
    mut client: ClientStream,
    rejection: Option<Rejection>,
) {
    let is_unhurt = match rejection {
        None => unless_it_panics(requests.serve(&mut exchange, &mut client)).await,
        Some(rejection) => unless_it_panics(requests.reject(&mut exchange, &mut client, rejection)).await,
    };
    if !is_unhurt {
        exchange.replace();
        if !client.has_begun_response() {
            let internal = Rejection::new(ReplyReason::Internal, "a panic of ours");
            unless_it_panics(requests.reject(&mut exchange, &mut client, internal)).await;
        }
    }
    client.close().await;
}

/// Runs a future to its end and returns false if it panics. The panic hook reports it; only this stream sees the state
/// that it left half changed.
async fn unless_it_panics(future: impl Future<Output = ()>) -> bool {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(|()| true),
        Err(_) => Poll::Ready(false),
    })
    .await
}
