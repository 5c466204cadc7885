//! Tracks connections that were just accepted: their first request may still be on its way.
//!
//! A connection that is closed between its handshake and its first request loses that request. So before connections
//! are closed, those that have just arrived get time to send one. How long a handshake takes depends on the client
//! and on the load of the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

/// Time for the first request after the handshake. It usually arrives together with the end of the handshake.
const FIRST_REQUEST_TIME: Duration = Duration::from_millis(250);

/// How often the number of pending handshakes is checked.
const LOOK: Duration = Duration::from_millis(20);

/// Counts connections in their handshake, over all threads.
#[derive(Debug)]
pub(crate) struct Arrivals {
    since: Instant,
    shaking: AtomicUsize,
    /// When the last handshake ended, in milliseconds since `since`.
    last: AtomicU64,
}

/// A connection whose handshake is not over.
#[derive(Debug)]
pub(crate) struct Arriving(Arc<Arrivals>);

impl Arrivals {
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), shaking: AtomicUsize::new(0), last: AtomicU64::new(0) }
    }

    /// Counts a connection until the result is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Arriving {
        self.shaking.fetch_add(1, Ordering::AcqRel);
        Arriving(Arc::clone(self))
    }

    /// Waits until clients that have just arrived had time to send a first request; at most for `most`.
    ///
    /// Waits at least for the time of a first request, so that busy clients are sent elsewhere with an answer.
    pub(crate) async fn settled(&self, most: Duration) {
        let until = Instant::now() + most;
        sleep(FIRST_REQUEST_TIME.min(most)).await;
        loop {
            let now = Instant::now();
            let last = self.since + Duration::from_millis(self.last.load(Ordering::Acquire)) + FIRST_REQUEST_TIME;
            let is_shaking = self.shaking.load(Ordering::Acquire) > 0;
            if now >= until || (!is_shaking && now >= last) {
                return;
            }
            let next = if is_shaking { now + LOOK } else { last };
            sleep_until(next.min(until)).await;
        }
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        let since = u64::try_from(self.0.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        // Before the count: a reader that sees no pending handshake then also sees when the last one ended.
        self.0.last.fetch_max(since, Ordering::AcqRel);
        self.0.shaking.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn settling(arrivals: &Arc<Arrivals>, most: Duration) -> Duration {
        let begun = Instant::now();
        arrivals.settled(most).await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_is_waited_for_and_the_first_request_after_it() {
        let arrivals = Arc::new(Arrivals::new());
        assert_eq!(settling(&arrivals, Duration::MAX / 4).await, FIRST_REQUEST_TIME);
        let slow = arrivals.begin();
        let (took, ()) = tokio::join!(settling(&arrivals, Duration::from_secs(60)), async {
            sleep(Duration::from_secs(3)).await;
            drop(slow);
        });
        assert!(took >= Duration::from_secs(3) + FIRST_REQUEST_TIME, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_without_end() {
        let arrivals = Arc::new(Arrivals::new());
        let _silent = arrivals.begin();
        assert_eq!(settling(&arrivals, Duration::from_secs(2)).await, Duration::from_secs(2));
        assert_eq!(settling(&arrivals, Duration::from_millis(9)).await, Duration::from_millis(9));
    }
}
