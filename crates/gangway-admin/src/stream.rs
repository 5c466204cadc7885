//! An answer that goes on: the events for one subscriber, and what its connection knows of it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::events::Subscription;

/// A stream ends after this long, and its client connects again: otherwise one whose client has vanished unseen could stay.
const STREAM_TIME: Duration = Duration::from_hours(1);

/// A client that takes nothing for this long is cut off.
const STALLED_TIME: Duration = Duration::from_secs(10);

/// The events for one subscriber, as a body.
pub(crate) struct EventBody {
    next: Pin<Box<dyn Future<Output = (Listening, Option<Bytes>)> + Send>>,
    progress: Progress,
    _place: OwnedSemaphorePermit,
}

/// A subscriber, until the admin listener stops serving.
struct Listening {
    subscription: Subscription,
    open: watch::Receiver<()>,
}

/// How far a stream has come. Shared by the stream and its connection.
#[derive(Clone, Debug)]
pub(crate) struct Progress(Arc<Mutex<Taken>>);

#[derive(Debug)]
struct Taken {
    begun: Instant,
    /// When a piece was handed out that the connection has not come back from.
    handed_out: Option<Instant>,
}

impl Progress {
    pub(crate) fn begin() -> Self {
        Self(Arc::new(Mutex::new(Taken { begun: Instant::now(), handed_out: None })))
    }

    /// Whether the client takes nothing, or the stream has lasted long enough.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        let Taken { begun, handed_out } = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        handed_out.is_some_and(|at| at + STALLED_TIME <= now) || begun + STREAM_TIME <= now
    }

    fn set_handed_out(&self, at: Option<Instant>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).handed_out = at;
    }
}

impl EventBody {
    /// The body for one subscriber. It ends with the sender of `open`, and gives back its place.
    pub(crate) fn new(
        subscription: Subscription,
        progress: Progress,
        place: OwnedSemaphorePermit,
        open: watch::Receiver<()>,
    ) -> Self {
        Self { next: Box::pin(Listening { subscription, open }.next()), progress, _place: place }
    }
}

impl Listening {
    async fn next(mut self) -> (Self, Option<Bytes>) {
        let piece = tokio::select! {
            biased;
            // Nothing is ever sent.
            _ = self.open.changed() => None,
            piece = self.subscription.next() => piece,
        };
        (self, piece)
    }
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.progress.set_handed_out(None);
        let (listening, piece) = ready!(self.next.as_mut().poll(cx));
        self.next = Box::pin(listening.next());
        self.progress.set_handed_out(Some(Instant::now()));
        Poll::Ready(piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_overdue_once_its_client_takes_nothing() {
        let progress = Progress::begin();
        progress.set_handed_out(Some(Instant::now()));
        assert!(!progress.is_overdue(Instant::now()));
        tokio::time::advance(STALLED_TIME).await;
        assert!(progress.is_overdue(Instant::now()));
        progress.set_handed_out(None);
        assert!(!progress.is_overdue(Instant::now()), "it waits for events");
        tokio::time::advance(STREAM_TIME).await;
        assert!(progress.is_overdue(Instant::now()));
    }
}
