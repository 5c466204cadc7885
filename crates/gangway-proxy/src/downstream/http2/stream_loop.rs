//! Serves streams one after the other in one future.
//!
//! The future of a request is large. A future for each request would be allocated, moved and freed for each; so there is
//! one that is given a stream when it has ended with the last one, and that is kept in between.

use std::cell::RefCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::LocalKey;

use parking_lot::Mutex;

use crate::downstream::http2::client_stream::ClientStream;
use crate::exchange::exchange_pool::PooledExchange;
use crate::exchange::state::Exchange;
use crate::limits::Limits;
use crate::overload::address_account::AddressAccount;
use crate::overload::memory_budget::MemoryBudget;
use crate::reply::reason::Reason;
use crate::reply::rejection::Rejection;

/// The unused loops that a thread keeps. Further ones go back to the allocator.
const UNUSED_MAX: usize = 32;

/// Serves the requests of a connection. A trait, so that this folder's tests need no data plane.
pub(super) trait ServeRequests: Send + Sync + Sized + 'static {
    fn limits(&self) -> &Limits;

    fn memory(&self) -> MemoryBudget;

    /// What the clients of the address hold; none for addresses that speak for many clients.
    fn account(&self) -> Option<&Arc<AddressAccount>>;

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

    /// The unused loops of this thread.
    fn unused_loops() -> &'static LocalKey<UnusedLoops<Self>>;
}

/// The loops that a thread keeps for the next streams.
pub(super) type UnusedLoops<S> = RefCell<Vec<StreamLoop<S>>>;

/// A stream that is to be served.
pub(super) struct OpenStream<S> {
    pub(super) requests: Arc<S>,
    /// Has the head of the request.
    pub(super) exchange: PooledExchange,
    pub(super) client: ClientStream,
    /// Why the request is not served, if its head must not be.
    pub(super) rejection: Option<Rejection>,
}

/// A future that serves one stream after the other.
pub(super) struct StreamLoop<S> {
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    handover: Arc<Handover<S>>,
    /// Whether a panic has ended the future.
    is_spoilt: bool,
}

/// How a loop is given a stream.
struct Handover<S>(Mutex<LoopState<S>>);

struct LoopState<S> {
    given: Option<OpenStream<S>>,
    /// Whether there is a stream that was given and has not ended.
    is_in_use: bool,
}

impl<S: ServeRequests> StreamLoop<S> {
    /// Begins with a stream, in a loop of this thread that is not in use. Nothing happens before it is polled.
    pub(super) fn begin(stream: OpenStream<S>) -> Self {
        let unused = S::unused_loops().try_with(|unused| unused.borrow_mut().pop()).ok().flatten();
        let begun = unused.unwrap_or_else(|| {
            let handover = Arc::new(Handover(Mutex::new(LoopState { given: None, is_in_use: false })));
            let future = Box::pin(serve_given(Arc::clone(&handover)));
            Self { future, handover, is_spoilt: false }
        });
        *begun.handover.0.lock() = LoopState { given: Some(stream), is_in_use: true };
        begun
    }

    /// Ready once the stream has ended.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Requests have a guard of their own, so that they are answered. This one is for the rest.
        match catch_unwind(AssertUnwindSafe(|| self.future.as_mut().poll(cx))) {
            Ok(_) if self.handover.0.lock().is_in_use => Poll::Pending,
            Ok(_) => Poll::Ready(()),
            Err(_) => {
                self.is_spoilt = true;
                Poll::Ready(())
            }
        }
    }

    /// Keeps a loop whose stream has ended for the next one.
    pub(super) fn release(self) {
        if self.is_spoilt {
            return;
        }
        // A thread that ends keeps none any more.
        let _ = S::unused_loops().try_with(|unused| {
            let mut unused = unused.borrow_mut();
            if unused.len() < UNUSED_MAX {
                unused.push(self);
            }
        });
    }
}

impl<S> fmt::Debug for StreamLoop<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamLoop")
    }
}

impl<S> Handover<S> {
    /// Waits for a stream, and puts it where there is none. No waker is kept: the loop is polled next by the one that gives
    /// it a stream.
    fn poll_given(&self, place: &mut Option<OpenStream<S>>) -> Poll<()> {
        let mut state = self.0.lock();
        if state.given.is_none() {
            return Poll::Pending;
        }
        std::mem::swap(&mut state.given, place);
        Poll::Ready(())
    }
}

async fn serve_given<S: ServeRequests>(handover: Arc<Handover<S>>) {
    // A stream is large too, so it is served in this one place.
    let mut stream = None;
    loop {
        poll_fn(|_| handover.poll_given(&mut stream)).await;
        if let Some(stream) = &mut stream {
            serve_stream(stream).await;
        }
        stream = None;
        handover.0.lock().is_in_use = false;
    }
}

async fn serve_stream<S: ServeRequests>(stream: &mut OpenStream<S>) {
    let OpenStream { requests, exchange, client, rejection } = stream;
    let is_unhurt = match rejection.take() {
        None => unless_it_panics(requests.serve(exchange, client)).await,
        Some(rejection) => unless_it_panics(requests.reject(exchange, client, rejection)).await,
    };
    if !is_unhurt {
        exchange.replace();
        if !client.has_begun_response() {
            let internal = Rejection::new(Reason::Internal, "a panic of ours");
            unless_it_panics(requests.reject(exchange, client, internal)).await;
        }
    }
    client.close().await;
}

/// Runs a future to its end and returns false if it panics. The panic hook reports it; only this stream sees the state
/// that it left half changed.
async fn unless_it_panics(future: impl Future<Output = ()>) -> bool {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(|()| true),
        Err(_) => Poll::Ready(false),
    })
    .await
}
