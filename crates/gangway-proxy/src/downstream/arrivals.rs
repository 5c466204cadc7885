//! Connections that were just taken: their first request may still be on its way.
//!
//! A connection that is ended between its handshake and its first request loses that one: the client has
//! sent it to somebody who was there. So whoever ends connections waits until those that have just arrived
//! had time to ask. How long a handshake takes is up to the client, and to how busy the machine is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

/// For the first request after the handshake: it mostly comes with the end of that.
const FIRST_REQUEST_TIME: Duration = Duration::from_millis(250);

/// How often handshakes are looked at that are waited for.
const LOOK: Duration = Duration::from_millis(20);

/// Counts them over all threads.
#[derive(Debug)]
pub(crate) struct Arrivals {
    since: Instant,
    shaking: AtomicUsize,
    /// When the last handshake was over, in milliseconds since `since`.
    last: AtomicU64,
}

/// A connection until its handshake is over.
#[derive(Debug)]
pub(crate) struct Arriving(Arc<Arrivals>);

impl Arrivals {
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), shaking: AtomicUsize::new(0), last: AtomicU64::new(0) }
    }

    /// A connection was taken.
    pub(crate) fn begin(self: &Arc<Self>) -> Arriving {
        self.shaking.fetch_add(1, Ordering::AcqRel);
        Arriving(Arc::clone(self))
    }

    /// Waits until whoever has just arrived had time to send a first request; at most for `most`.
    ///
    /// At least for that time, so that busy clients hear with an answer that they are to go elsewhere.
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
        // Before the count: who finds nobody shaking finds when the last one was.
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
